"""Hosts that are killed, images that kill them, hosts that compute otherwise: the bytes are those of one machine."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import psutil
import pytest
from google.rpc import code_pb2
from tests.support.predictions import engines
from tests.support.predictions.batch_jobs import in_order
from tests.support.predictions.tiny_model import TinyModel
from tests.support.processes import crashes

from boxwright import errors, faults, objects
from boxwright.batch.output.sink import Sink
from boxwright.batch.plan import Plan
from boxwright.cluster import blame, cluster_share, fleet, numeric
from boxwright.cluster.ray_engine import RayEngine


@pytest.fixture
def maker(tiny_model: TinyModel) -> Iterator[engines.EngineMaker]:
    with engines.opened("ray", tiny_model) as maker:
        yield maker


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.full)])
def test_hosts_that_are_killed_cost_time_and_nothing_else(bench, reference, maker, kills):
    job = bench.job(f"killed-{kills}", shard_images=1 if kills > 2 else 10)
    sink, plan = Sink(job.spec, bench.stores), Plan(job.spec, bench.stores)
    sink.prepare()
    engine = maker.make(job, bench.stores, sink)
    killed, reports = 0, []
    for report in engine.run(plan, lambda: False):
        reports.append(report)
        if killed < kills and _killed_one():
            killed += 1
    sink.close("SUCCEEDED", rows_read=plan.rows_read, duplicates=plan.duplicates, model_digest="d")
    assert killed == kills
    assert isinstance(engine, RayEngine)
    assert engine.hosts_lost >= 1
    assert sorted(report.shard for report in reports) == list(range(1, len(reports) + 1))
    output = bench.output(job.spec.output_directory.rpartition("/")[2])
    if kills == 2:
        assert output == reference
    assert in_order(output, bench.kind.name) == in_order(reference, bench.kind.name)
    assert in_order(output, "errors") == in_order(reference, "errors")


def _killed_one() -> bool:
    """Kills a host of the process's own cluster, if there is one."""
    for process in engines.cluster().hosts():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
            return True
    return False


@pytest.mark.parametrize(
    ("action", "code", "words"),
    [
        ("kill", code_pb2.INTERNAL, "decoding this image crashes the decoder"),
        pytest.param("hang", code_pb2.DEADLINE_EXCEEDED, "took longer than 2 s", marks=pytest.mark.full),
    ],
)
def test_an_image_that_ends_its_host_is_one_error_line(bench, maker, monkeypatch, action, code, words):
    monkeypatch.setenv(faults.VARIABLE, f"image gs://b/0011.jpg:{action}@*")
    job = bench.job(f"deadly-{action}", image_timeout_s=2.0)
    _, reports = engines.finish(bench, job, maker)
    assert sum(report.failed for report in reports) == 2
    failed = [json.loads(line) for line in in_order(bench.output(f"deadly-{action}"), "errors").splitlines()]
    (line,) = [one for one in failed if one["ID"] == "gs://b/0011.jpg"]
    assert line["status"]["code"] == code
    assert words in line["status"]["message"]
    assert "gs://b/none.jpg" in {one["ID"] for one in failed}
    known = blame.JobConvictions(bench.stores, objects.ObjectUri.parse(job.spec.scratch))
    assert list(known.among(["gs://b/0011.jpg", "gs://b/0012.jpg"])) == ["gs://b/0011.jpg"]


@pytest.mark.full
def test_a_host_that_hangs_is_ended_and_its_shards_are_done(bench, reference, maker, monkeypatch):
    monkeypatch.setattr(fleet, "SILENCE_S", 1.0)
    monkeypatch.setattr(fleet, "BEAT_S", 0.5)
    job = bench.job("silent", image_timeout_s=2.0)
    sink, plan = Sink(job.spec, bench.stores), Plan(job.spec, bench.stores)
    sink.prepare()
    engine = maker.make(job, bench.stores, sink)
    stopped = []
    for _ in engine.run(plan, lambda: False):
        if not stopped and (hosts := engines.cluster().hosts()):
            hosts[0].suspend()
            stopped.append(hosts[0])
    sink.close("SUCCEEDED", rows_read=plan.rows_read, duplicates=plan.duplicates, model_digest="d")
    crashes.wait_until_gone(stopped)
    assert stopped
    assert bench.output("silent") == reference


def test_hosts_that_are_lost_one_after_the_other_end_the_attempt(bench, maker, monkeypatch):
    monkeypatch.setattr(fleet, "MOST_LOSSES", 1)
    monkeypatch.setenv(faults.VARIABLE, "image gs://b/0000.jpg:kill@*")
    with pytest.raises(fleet.HostsLostError, match="2 hosts were lost in a row"):
        engines.finish(bench, bench.job("hopeless", shard_images=1000), maker)
    assert not [name for name in bench.output("hopeless") if name.startswith(bench.kind.name)]


def test_the_verdict_of_a_former_attempt_holds(bench, maker):
    job = bench.job("judged")
    verdicts = blame.JobConvictions(bench.stores, objects.ObjectUri.parse(job.spec.scratch))
    verdicts.add("gs://b/0020.jpg", errors.internal("x").status)
    verdicts.add("gs://b/0020.jpg", errors.aborted("second thoughts").status)
    engines.finish(bench, job, maker)
    failed = [json.loads(line) for line in in_order(bench.output("judged"), "errors").splitlines()]
    assert {one["ID"]: one["status"]["code"] for one in failed}["gs://b/0020.jpg"] == code_pb2.INTERNAL


def test_hosts_that_compute_otherwise_take_no_part(bench, maker):
    job = bench.job("otherwise")
    scratch = objects.ObjectUri.parse(job.spec.scratch)
    numeric.frozen(bench.stores, scratch, {"instructions": "of another age"})
    with pytest.raises(
        errors.ApiError, match=r"No host of the cluster computes as the first one .*instructions"
    ) as raised:
        engines.finish(bench, job, maker)
    assert raised.value.code == code_pb2.FAILED_PRECONDITION
    assert not [name for name in bench.output("otherwise") if name.startswith(bench.kind.name)]


def test_a_model_that_is_on_no_node_ends_the_job_with_words(bench, maker, tmp_path):
    maker.folder = tmp_path / "gone"
    with pytest.raises(errors.ApiError, match="The model cannot be loaded"):
        engines.finish(bench, bench.job("without"), maker)


@pytest.mark.parametrize("address", ["auto", "10.0.0.1:6379", "head.example:6379", "[2001:db8::1]:6379"])
def test_a_cluster_that_takes_anybody_is_refused(monkeypatch, address):
    monkeypatch.delenv("RAY_AUTH_MODE")
    with pytest.raises(errors.ApiError, match="RAY_AUTH_MODE=token"):
        cluster_share.check(address)


@pytest.mark.parametrize("address", ["127.0.0.1:6379", "[::1]:6379", "localhost:6379"])
def test_a_cluster_of_this_machine_is_not(monkeypatch, address):
    monkeypatch.delenv("RAY_AUTH_MODE")
    cluster_share.check(address)
