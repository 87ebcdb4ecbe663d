"""The engines: the same plan gives the same bytes, whatever happens on the way. Every engine must pass this suite."""

from __future__ import annotations

import io
import json
import os
import pathlib

import numpy as np
import pytest
from google.rpc import code_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.support import drawn_images
from tests.support.batch_jobs import Bench, in_order
from tests.support.tiny_model import TinyModel

from boxwright import errors
from boxwright.batch.engine.thread_engine import LocalEngine
from boxwright.batch.job import BatchJob
from boxwright.batch.output.shard_reports import ShardReport
from boxwright.batch.output.sink import Sink
from boxwright.batch.plan import Plan
from boxwright.inference.predictor import Predictor

IMAGES = 34
RESULTS = "image_object_detection"


def _cmyk_jpeg() -> bytes:
    target = io.BytesIO()
    Image.fromarray(np.full((32, 40, 3), 90, np.uint8)).convert("CMYK").save(target, "JPEG")
    return target.getvalue()


SPOILT = {  # file content by name; None: there is no such file
    "missing.jpg": None,
    "empty.jpg": b"",
    "text.jpg": b"this is not an image",
    "truncated.jpg": drawn_images.draw(1).content[:400],
    "header.jpg": drawn_images.draw(1).content[:20],
    "truncated.png": drawn_images.draw(1, file_format="PNG").content[:200],
    "riff.webp": b"RIFF\x00\x00\x00\x00WEBPVP8 ",
    "zeros.gif": bytes(5000),
    "svg.png": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
}
ODD_BUT_FINE = {
    "ä +%20#?.jpg": drawn_images.draw(2).content,
    "no extension": drawn_images.draw(3, file_format="PNG").content,
    "wrong.jpg": drawn_images.draw(4, file_format="BMP").content,
    "one pixel.png": drawn_images.draw(5, size_hw=(1, 1), file_format="PNG", boxes=0).content,
    "cmyk.jpg": _cmyk_jpeg(),
}


@pytest.fixture(scope="module")
def predictors(tiny_model: TinyModel):
    opened: dict[int, Predictor] = {}

    def predictor(threads: int) -> Predictor:
        if threads not in opened:
            opened[threads] = Predictor.open(tiny_model.folder, streams=threads)
        return opened[threads]

    return predictor


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A bucket with good, odd and spoilt images, and a list of them all; jobs differ by name."""
    bench = Bench(tmp_path_factory.mktemp("engine"))
    names = drawn_images.write_images(bench.bucket, IMAGES)
    for name, content in {**ODD_BUT_FINE, **SPOILT}.items():
        if content is not None:
            (bench.bucket / name).write_bytes(content)
    (bench.bucket / "folder.jpg").mkdir()
    os.mkfifo(bench.bucket / "fifo.jpg")
    (bench.bucket / "out.jpg").symlink_to(bench.root.parent)
    spoilt = [*SPOILT, "folder.jpg", "fifo.jpg", "out.jpg"]
    listed = names[:5] + spoilt + names[5:20] + list(ODD_BUT_FINE) + names[20:]
    bench.write_list([f'"gs://b/{name}"' for name in listed])
    return bench


def _run(bench: Bench, job: BatchJob, predictors, *, stop_after: int | None = None) -> list[ShardReport]:
    """Runs a job to its end, or until so many shards are reported."""
    sink = Sink(job, bench.stores)
    sink.prepare()
    engine = LocalEngine(job, bench.stores, predictors(job.threads), sink)
    plan = Plan(job, bench.stores)
    reports: list[ShardReport] = []
    for report in engine.run(plan, lambda: stop_after is not None and len(reports) >= stop_after):
        reports.append(report)
    if stop_after is None:
        sink.close("SUCCEEDED", rows_read=plan.rows_read, duplicates=plan.duplicates, model_digest="d")
    return sorted(reports, key=lambda report: report.shard)


@pytest.fixture(scope="module")
def reference(bench: Bench, predictors) -> dict[str, bytes]:
    _run(bench, bench.job("reference", threads=1, shard_images=10), predictors)
    return bench.output("reference")


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_any_number_of_threads_gives_the_same_bytes(bench, predictors, reference, threads):
    _run(bench, bench.job(f"threads-{threads}", threads=threads), predictors)
    assert bench.output(f"threads-{threads}") == reference


@pytest.mark.parametrize("shard_images", [1, 7, 1000])
def test_any_shard_size_gives_the_same_lines_in_the_same_order(bench, predictors, reference, shard_images):
    _run(bench, bench.job(f"size-{shard_images}", shard_images=shard_images), predictors)
    output = bench.output(f"size-{shard_images}")
    assert in_order(output, RESULTS) == in_order(reference, RESULTS)
    assert in_order(output, "errors") == in_order(reference, "errors")


class _BrokenPlan(Plan):
    def segments(self):
        yield next(super().segments())
        raise MemoryError("the rest was not read")


class _BrokenSink(Sink):
    def commit(self, *arguments, **values):
        raise MemoryError("not written")


@pytest.mark.parametrize("broken", ["plan", "sink"])
def test_whatever_breaks_behind_the_images_ends_the_run_with_it(bench, predictors, broken):
    job = bench.job(f"broken-{broken}")
    sink = (_BrokenSink if broken == "sink" else Sink)(job, bench.stores)
    plan = (_BrokenPlan if broken == "plan" else Plan)(job, bench.stores)
    engine = LocalEngine(job, bench.stores, predictors(job.threads), sink)
    with pytest.raises(MemoryError, match="not "):
        list(engine.run(plan, lambda: False))


def test_running_again_gives_the_same_bytes(bench, predictors, reference):
    _run(bench, bench.job("again"), predictors)
    assert bench.output("again") == reference


def test_lines_keep_the_lists_order_and_every_image_is_in_one_family(bench, reference):
    listed = [line.strip('"') for line in (bench.bucket / "list.csv").read_text().splitlines()]
    good = [json.loads(line)["ID"] for line in in_order(reference, RESULTS).splitlines()]
    bad = [json.loads(line)["ID"] for line in in_order(reference, "errors").splitlines()]
    assert sorted(good + bad) == sorted(listed)
    assert good == [name for name in listed if name in set(good)]
    assert bad == [name for name in listed if name in set(bad)]


def test_one_spoilt_image_of_each_kind_costs_one_error_line_that_names_it(reference):
    lines = [json.loads(line) for line in in_order(reference, "errors").splitlines()]
    failed = {line["ID"].removeprefix("gs://b/"): line["status"] for line in lines}
    assert set(failed) == {*SPOILT, "folder.jpg", "fifo.jpg", "out.jpg"}
    assert len(lines) == len(failed)
    for name, status in failed.items():
        assert f"gs://b/{name}" in status["message"]
        assert set(status) == {"code", "message"}
    expected = {"missing.jpg": code_pb2.NOT_FOUND, "out.jpg": code_pb2.PERMISSION_DENIED}
    expected |= {"folder.jpg": code_pb2.NOT_FOUND, "fifo.jpg": code_pb2.NOT_FOUND}
    for name, status in failed.items():
        assert status["code"] == expected.get(name, code_pb2.INVALID_ARGUMENT), name


def test_what_is_found_is_what_the_predictor_finds(bench, predictors, reference):
    for line in in_order(reference, RESULTS).splitlines():
        value = json.loads(line)
        data = (bench.bucket / value["ID"].removeprefix("gs://b/")).read_bytes()
        found = predictors(1).predict(data).keep(0.5, 100)
        scores = [annotation["image_object_detection"]["score"] for annotation in value["annotations"]]
        assert scores == [round(float(score), 6) for score in found.scores]


@pytest.mark.parametrize(("threshold", "most"), [(0.0, 3), (0.7, 100), (1.0, 100)])
def test_threshold_and_count_are_kept_to(bench, predictors, threshold, most):
    job = bench.job(f"kept-{threshold}", score_threshold=threshold, max_boxes=most)
    _run(bench, job, predictors)
    counts = []
    for line in in_order(bench.output(job.output_directory[7:]), RESULTS).splitlines():
        scores = [one["image_object_detection"]["score"] for one in json.loads(line)["annotations"]]
        assert scores == sorted(scores, reverse=True)
        assert all(score >= threshold for score in scores)
        counts.append(len(scores))
    assert max(counts) <= most
    assert {0.0: max(counts) == 3, 0.7: 0 < max(counts) < 100, 1.0: max(counts) == 0}[threshold]


def _stats(folder: pathlib.Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir()}


def test_after_a_stop_in_the_middle_no_finished_shard_is_done_again(bench, predictors, reference):
    job = bench.job("stopped", threads=2)
    _run(bench, job, predictors, stop_after=2)
    folder = bench.bucket / "stopped"
    before, half = _stats(folder), bench.output("stopped")
    assert 2 <= len(before) < len([name for name in reference if name.startswith(RESULTS)])
    assert all(content == reference[name] for name, content in half.items()), "a shard is whole or absent"
    reports = _run(bench, job, predictors)
    after = _stats(folder)
    assert bench.output("stopped") == reference
    assert {name: after[name] for name in before} == before
    assert [report.shard for report in reports] == list(range(1, len(reports) + 1))


def test_a_finished_job_that_runs_again_predicts_nothing(bench, predictors, reference):
    job = bench.job("twice")
    first = _run(bench, job, predictors)
    before = _stats(bench.bucket / "twice")
    sink = Sink(job, bench.stores)

    class NoPredictor(Predictor):
        def prepare(self, data: bytes):
            raise AssertionError("an image of a finished shard was predicted again")

    other = predictors(1)
    engine = LocalEngine(job, bench.stores, NoPredictor(other.info, other.runtime, other.limits), sink)
    reports = list(engine.run(Plan(job, bench.stores), lambda: False))
    assert sorted(reports, key=lambda report: report.shard) == first
    shards = {name: stat for name, stat in _stats(bench.bucket / "twice").items() if name.startswith(RESULTS)}
    assert shards == {name: stat for name, stat in before.items() if name.startswith(RESULTS)}
    assert bench.output("twice") == reference


def test_a_failing_predictor_costs_its_image_and_shows_only_an_incident(bench, predictors, caplog):
    bench.write_list([f"gs://b/{number:04d}.jpg" for number in range(3)], "three.csv")
    job = bench.job("surprise", lists=["gs://b/three.csv"], threads=1)

    class Surprised(Predictor):
        def prepare(self, data: bytes):
            if data == (bench.bucket / "0001.jpg").read_bytes():
                raise RuntimeError("the secret reason")
            return super().prepare(data)

    sink = Sink(job, bench.stores)
    other = predictors(1)
    engine = LocalEngine(job, bench.stores, Surprised(other.info, other.runtime, other.limits), sink)
    (report,) = engine.run(Plan(job, bench.stores), lambda: False)
    sink.close("SUCCEEDED", rows_read=3, duplicates=0, model_digest="d")
    assert (report.predicted, report.failed) == (2, 1)
    error = bench.output("surprise")["errors_1.jsonl"]
    assert b'"ID":"gs://b/0001.jpg","status":{"code":13' in error
    assert b"secret" not in error
    assert "the secret reason" in caplog.text


def test_a_bad_list_ends_the_run_with_its_error_and_no_thread_left(bench, predictors):
    import threading

    before = set(threading.enumerate())
    job = bench.job("absent", lists=["gs://b/absent.csv"])
    with pytest.raises(errors.ApiError, match=r"gs://b/absent\.csv does not exist"):
        _run(bench, job, predictors)
    assert not set(threading.enumerate()) - before
    assert bench.output("absent") == {}


def test_a_sink_that_cannot_write_ends_the_run_with_its_error(bench, predictors):
    bench.write_list([f"gs://b/{number:04d}.jpg" for number in range(3)], "three.csv")
    (bench.bucket / "blocked").write_bytes(b"a file where a folder is wanted")
    job = bench.job("blocked", lists=["gs://b/three.csv"])
    with pytest.raises(errors.ApiError, match="gs://b/blocked/image_object_detection_1"):
        _run(bench, job, predictors)


KINDS = st.sampled_from(["good", "missing", "spoilt", "no path", "again", "blank"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kinds=st.lists(KINDS, min_size=1, max_size=14), shard_images=st.integers(1, 6), threads=st.integers(1, 3))
def test_every_row_is_exactly_one_record(bench, predictors, tmp_path_factory, kinds, shard_images, threads):
    rows = []
    for index, kind in enumerate(kinds):
        rows.append(
            {
                "good": f"gs://b/{index % IMAGES:04d}.jpg",
                "missing": f"gs://b/none-{index}.jpg",
                "spoilt": "gs://b/text.jpg",
                "no path": f"nonsense-{index}.jpg",
                "again": rows[0] if rows else "gs://b/0000.jpg",
                "blank": "",
            }[kind]
        )
    name = tmp_path_factory.mktemp("mix").name
    bench.write_list(rows, f"{name}.csv")
    job = bench.job(
        name, lists=[f"gs://b/{name}.csv"], shard_images=shard_images, threads=threads, row_failure_limit=1.0
    )
    expected = list(dict.fromkeys(row for row in rows if row))
    if not expected:
        with pytest.raises(errors.ApiError, match="empty input CSV"):
            _run(bench, job, predictors)
        return
    reports = _run(bench, job, predictors)
    output = bench.output(name)
    good = [json.loads(line)["ID"] for line in in_order(output, RESULTS).splitlines()]
    bad = [json.loads(line)["ID"] for line in in_order(output, "errors").splitlines()]
    assert sorted(good + bad) == sorted(expected)
    assert all(item.startswith("gs://b/0") for item in good)
    assert (sum(report.predicted for report in reports), sum(report.failed for report in reports)) == (
        len(good),
        len(bad),
    )
