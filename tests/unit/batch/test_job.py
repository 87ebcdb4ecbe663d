"""A job as data: what a machine gives is divided among processes, and what is sent is what arrives."""

from __future__ import annotations

import dataclasses
import pathlib

import pytest
from tests.support.predictions.batch_jobs import Bench

from boxwright.batch.job import BatchJob, BatchSpec, JobFolders, MachineShare, TrialCommand, command_from_json


@pytest.fixture
def job(tmp_path: pathlib.Path) -> BatchJob:
    """A job none of whose values is a default."""
    spec = BatchSpec(
        ["gs://b/ä.csv"], "gs://b/out", "state:///x", 0.25, 7, 3, 0.1, 0.2, 2.5, True, "fp32", "models/m",
        [{"key": "a", "nearest": None}], 2, "image_classification", "uri", [".png"], [["1", "daisy"]], "d",
        {"daisy": 0.75}, ["daisy"], 0.05, ["csv"], True, "gs://b/former", "gone", True, 0.5, "e", 0.04,
    )  # fmt: skip
    folders = JobFolders("/models/m", Bench(tmp_path).stores.to_config(), "/notes")
    return BatchJob(spec, folders, MachineShare(8, 2, "auto", 1000, 400, 4.0))


def test_none_of_the_jobs_values_is_a_default(job):
    for part in (job.spec, job.folders, job.share):
        for field in dataclasses.fields(part):
            if field.default is not dataclasses.MISSING:
                assert getattr(part, field.name) != field.default, field.name


def test_a_job_and_a_trial_arrive_as_they_were_sent(job):
    assert BatchJob.from_json(job.to_json()) == command_from_json(job.to_json()) == job
    trial = TrialCommand("gs://b/1.jpg", job)
    assert command_from_json(trial.to_json()) == trial
    assert "\n" not in trial.to_json()


@pytest.mark.parametrize("line", ["", "[]", "{}", '{"job": {}}', '{"job": {"spec": {}, "folders": {}, "share": {}}}'])
def test_what_is_no_command_is_told_from_one(line):
    with pytest.raises((ValueError, TypeError, KeyError)):
        command_from_json(line)


@pytest.mark.parametrize(
    ("cores", "processes", "count", "cores_of_one", "in_flight_bytes", "models_bytes"),
    [(4, 0, 4, 1, 250, 100), (8, 2, 2, 4, 500, 200), (8, 3, 3, 2, 333, 133), (8, 9, 8, 1, 125, 50), (1, 0, 1, 1, 1000, 400)],
)  # fmt: skip
def test_a_share_is_divided_among_its_processes(cores, processes, count, cores_of_one, in_flight_bytes, models_bytes):
    share = MachineShare(cores, processes, in_flight_bytes=1000, models_bytes=400)
    assert share.process_count == count
    one = share.of_one_process()
    assert (one.cores, one.in_flight_bytes, one.models_bytes) == (cores_of_one, in_flight_bytes, models_bytes)
    assert one.of_one_process() == one


def test_no_memory_is_divided_away():
    one = MachineShare(8, in_flight_bytes=3, models_bytes=3).of_one_process()
    assert (one.in_flight_bytes, one.models_bytes) == (1, 1)


def test_what_a_process_gets_of_a_job_decides_the_same_bytes(job):
    part = job.of_one_process()
    assert (part.spec, part.folders, part.share) == (job.spec, job.folders, job.share.of_one_process())
