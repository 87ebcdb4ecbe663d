"""The parts of an estimate: intervals, samples, strata, reasons, sentences."""

from __future__ import annotations

import itertools
import pathlib

import pytest
from tests.support.predictions.batch_jobs import Bench

from boxwright import errors
from boxwright.batch.engine import stages
from boxwright.batch.engine.advice import JobFacts, advice
from boxwright.batch.estimate import estimator, intervals, sentences, sightings, survey, trial
from boxwright.batch.estimate.sightings import Sighting
from boxwright.batch.estimate.survey import Sample, Survey
from boxwright.batch.estimate.trial import TrialResult
from boxwright.batch.segments import Item


def test_wilsons_interval_has_the_published_values():
    low, high = intervals.wilson(81, 263)  # R. G. Newcombe, Statistics in Medicine 17 (1998), table I: 0.2553 to 0.3662
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert [round(bound, 4) for bound in intervals.wilson(0, 20)] == [0.0, 0.1611]  # 0.0000 to 0.1611 there
    assert intervals.wilson(0, 0) == (0.0, 1.0)
    assert intervals.wilson(7, 7)[1] == 1.0


def test_rates_that_differ_make_a_wide_interval():
    assert intervals.relative_error([10.0] * 8) == 0
    assert intervals.relative_error([9.0, 11.0]) == pytest.approx(12.71 * 1.41421 / 1.41421 / 10, rel=1e-3)
    assert intervals.relative_error([1.0]) == intervals.relative_error([0.0, 0.0]) == 1.0


def test_each_image_of_a_stream_has_the_same_chance():
    counts = [0] * 40
    for start in range(0, 4000, 40):
        sample = Sample(100)
        for number in range(4000):
            sample.offer(Item(str((number + start) % 4000)))
        assert len(sample.items) == len({item.id for item in sample.items}) == 100
        for item in sample.items:
            counts[int(item.id) // 100] += 1
    assert sum(counts) == 10_000
    assert min(counts) > 0.7 * 250
    assert max(counts) < 1.3 * 250


def test_what_leaves_a_sample_is_told():
    sample = Sample(3)
    left = [sample.offer(Item(str(number))) for number in range(50)]
    gone = {item.id for item in left if item is not None}
    assert len(gone) == 47
    assert gone | {item.id for item in sample.items} == {str(number) for number in range(50)}


def test_a_pass_over_strata_has_every_size_and_the_share_that_is_missing():
    seen = [Sighting(Item(f"{number}"), None if number % 2 else 1000 + number) for number in range(1280)]
    ordered = trial.in_strata(seen)
    assert sorted(item.id for item in ordered) == sorted(one.item.id for one in seen)
    first = [int(item.id) for item in ordered[: trial.STRATA]]
    assert sum(number % 2 for number in first) == trial.STRATA // 2
    there = sorted(number for number in first if number % 2 == 0)
    assert all(later - earlier < 2 * 1280 // 32 for earlier, later in itertools.pairwise(there))
    assert ordered == trial.in_strata(seen), "always the same"


def test_a_survey_reads_what_the_job_reads_and_puts_no_segment(tmp_path: pathlib.Path):
    bench = Bench(tmp_path)
    rows = [f"gs://b/{number}.{'PNG' if number % 3 else 'jpg'}" for number in range(1200)]
    bench.write_list([*rows, rows[0], "x/a.jpg", "y/b.jpg", "# no"])
    with survey.taken(bench.job(), bench.stores, lambda: False, lambda rows: None) as found:
        assert (found.rows, found.images, found.duplicates, found.unusable) == (1204, 1203, 1, 3)
        assert found.suffixes == {".png": 800, ".jpg": 400}
        assert len(found.sample) == survey.SAMPLE_IMAGES
        by_reason = {why: (reason.rows, len(reason.first)) for why, reason in found.reasons.items()}
    assert sorted(by_reason.values()) == [(1, 1), (2, 2)]
    (alike,) = [why for why, counts in by_reason.items() if counts[0] == 2]
    assert alike.startswith("it is not a usable gs:// path: it does not start with gs://; write the whole address")
    assert not list((tmp_path / "state").rglob("segment-*"))


def test_a_survey_fails_as_the_job_does(tmp_path: pathlib.Path):
    bench = Bench(tmp_path)
    bench.write_list(["a", "b", "gs://b/c.jpg"])
    with (
        pytest.raises(errors.ApiError, match="2 of 3 rows are not usable paths of images"),
        survey.taken(bench.job(), bench.stores, lambda: False, lambda rows: None),
    ):
        pass


def test_looking_says_what_is_missing_and_what_is_there_instead(tmp_path: pathlib.Path):
    bench = Bench(tmp_path)
    (bench.bucket / "a b.jpg").write_bytes(b"12345")
    items = [Item("gs://b/a b.jpg"), Item("gs://b/a%20b.jpg"), Item("gs://nowhere/c.jpg"), Item("row 7", "unusable")]
    found = sightings.look(bench.stores, items, lambda: False)
    assert [one.size_bytes for one in found.seen] == [5, None, None, None]
    shown = found.as_json(images=4)
    assert (shown["method"], shown["looked_at"], shown["missing"], shown["bytes"]) == ("all", 3, 2, 5)
    assert "write names as they are, not percent-encoded" in shown["first_missing"][0]
    assert found.as_json(images=4000)["bytes"] == 5000


def test_the_time_of_a_job_is_that_of_its_images_and_what_every_job_takes():
    tried = TrialResult(images=500, seconds=5.0, images_per_s=100.0, relative_error=0.05, ramp_s=0.5, start_s=3.0)
    seconds, low, high = estimator.expected_s(Survey(images=10_000, opening_s=0.4), tried)
    assert seconds == pytest.approx(estimator.FIXED_S + 0.4 + 0.5 + 100)
    assert low == pytest.approx(seconds - 10)
    assert high == pytest.approx(seconds + 10 + 3)
    assert estimator.expected_s(Survey(), TrialResult()) == (0, 0, 0)
    most, _, _ = estimator.expected_s(Survey(images=10_000), tried, reused_share=0.99)
    assert most == pytest.approx(estimator.FIXED_S + 0.5 + 1 + 9_900 * estimator.REUSED_S)


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        (stages.READING, "Images of 2.5 MB arrive at 25.0 MB/s and 2 cores wait for them"),
        (stages.DECODING, "Decoding images of 12.0 megapixels is 50% of the work; smaller copies"),
        (stages.NETWORK, "The network (fp32) is 30% of the work on 2 cores; a smaller type of model, int8"),
        (stages.POSTPROCESSING, "Making results of the network's output is 15% of the work"),
        (stages.WRITING, "Writing results is 5% of the work; fewer formats"),
        ("nothing", ""),
    ],
)
def test_the_advice_names_what_holds_a_job_up_with_its_numbers(limit: str, said: str):
    spent_s = dict(zip(stages.STAGES, (70.0, 10.0, 6.0, 3.0, 1.0, 40.0), strict=True))
    amounts = {stages.DECODED: 100, stages.BYTES: 250e6, stages.PIXELS: 1200e6}
    found = advice(limit, JobFacts(10.0, spent_s, amounts, "fp32", 2))
    assert found.startswith(said)
    assert found.endswith("." if said else "")


def test_others_on_the_machine_come_before_every_stage():
    assert advice(stages.NETWORK, JobFacts(10.0, {}, {}, "int8", 2, shared=0.8)).startswith(
        "Other batch predictions shared 2 cores for 80% of the time"
    )
    assert "int8" in advice(stages.NETWORK, JobFacts(10.0, {}, {}, "int8", 1, shared=0.1))


def _document(**answer: object) -> dict:
    return {
        "lists": {"reasons": [], "duplicates": 0, "left_out": {}, "read_share": 1.0},
        "objects": {"missing": 0, "trouble": {}},
        "sample": {"images": 64, "failed_share": 0.0, "first_failure": ""},
        "answer": {
            "images": 120_000, "seconds_low": 840, "seconds_high": 1140, "cores": 2, "limited_by": "decoding",
            "jsonl_bytes": 2e9, "candidates_bytes": 1e9, **answer,
        },
    }  # fmt: skip


def test_an_estimate_is_one_line():
    assert sentences.summary(_document()) == "120,000 images, 14 to 19 min on 2 cores, limited by decoding."
    part = _document(seconds_low=3.21, seconds_high=4.0, cores=1)
    part["lists"]["read_share"] = 0.5
    assert sentences.summary(part) == "about 120,000 images, 3.2 to 4.0 s on 1 core, limited by decoding."


def test_warnings_say_what_to_mend():
    assert sentences.warnings(_document(free_bytes=10e9), 1.0) == []
    (room,) = sentences.warnings(_document(free_bytes=3e9), 1.0)
    assert room == "The results need about 3.0 GB, and 3.0 GB are free there; make room, or write them elsewhere."
    failing = _document()
    failing["sample"] = {"images": 64, "failed_share": 0.5, "first_failure": "gs://b/x does not exist."}
    (limit,) = sentences.warnings(failing, 0.2)
    assert (
        limit
        == "The job would fail: of the sample, more than the limit of 20% failed; the first: gs://b/x does not exist."
    )
