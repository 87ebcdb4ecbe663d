"""The engines: the same plan gives the same bytes, whatever happens on the way. Every engine must pass this suite."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
from collections.abc import Iterator

import numpy as np
import pytest
from google.rpc import code_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.support.images import drawn_images
from tests.support.predictions import engines
from tests.support.predictions.batch_jobs import Bench, in_order, scores
from tests.support.predictions.engines import EngineMaker
from tests.support.predictions.tiny_model import TinyModel

from boxwright import errors, faults, objects
from boxwright.batch.engine import stages
from boxwright.batch.job import BatchJob
from boxwright.batch.output.shard_reports import ShardReport
from boxwright.batch.output.sink import Sink
from boxwright.batch.plan import Plan
from boxwright.inference.model_opening import open_model

IMAGES = 34


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


@pytest.fixture(scope="module", params=["tiny_model", "tiny_classifier"])
def model(request: pytest.FixtureRequest) -> TinyModel:
    """A model of each kind."""
    found: TinyModel = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module", params=engines.NAMES)
def maker(request: pytest.FixtureRequest, model: TinyModel) -> Iterator[EngineMaker]:
    with engines.opened(request.param, model) as maker:
        yield maker


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, model: TinyModel, maker: EngineMaker) -> Bench:
    """A bucket with good, odd and spoilt images, and a list of them all; jobs differ by name."""
    bench = Bench(tmp_path_factory.mktemp("engine"), model.kind)
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


def _run(bench: Bench, job: BatchJob, maker: EngineMaker, *, stop_after: int | None = None) -> list[ShardReport]:
    """Runs a job to its end, or until so many shards are reported."""
    return engines.finish(bench, job, maker, stop_after=stop_after)[1]


@pytest.fixture(scope="module")
def reference(bench: Bench, model: TinyModel) -> dict[str, bytes]:
    """What one thread of one process gives: the bytes of every engine."""
    if not bench.output("reference"):
        job = bench.job("reference", threads=1, shard_images=10)
        engines.finish(bench, job, engines.ThreadsMaker(model.folder))
    return bench.output("reference")


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_any_number_of_threads_gives_the_same_bytes(bench, maker, reference, threads):
    _run(bench, bench.job(f"threads-{threads}", threads=threads), maker)
    assert bench.output(f"threads-{threads}") == reference


@pytest.mark.parametrize("shard_images", [1, 7, 1000])
def test_any_shard_size_gives_the_same_lines_in_the_same_order(bench, maker, reference, shard_images):
    _run(bench, bench.job(f"size-{shard_images}", shard_images=shard_images), maker)
    output = bench.output(f"size-{shard_images}")
    assert in_order(output, bench.kind.name) == in_order(reference, bench.kind.name)
    assert in_order(output, "errors") == in_order(reference, "errors")


class _BrokenPlan(Plan):
    def segments(self):
        yield next(super().segments())
        raise MemoryError("the rest was not read")


class _BrokenSink(Sink):
    def commit(self, *arguments, **values):
        raise MemoryError("not written")

    count = commit  # what is done where shards are put by other processes


@pytest.mark.parametrize("broken", ["plan", "sink"])
def test_whatever_breaks_behind_the_images_ends_the_run_with_it(bench, maker, broken):
    job = bench.job(f"broken-{broken}")
    sink = (_BrokenSink if broken == "sink" else Sink)(job.spec, bench.stores)
    plan = (_BrokenPlan if broken == "plan" else Plan)(job.spec, bench.stores)
    engine = maker.make(job, bench.stores, sink)
    with pytest.raises(MemoryError, match="not "):
        list(engine.run(plan, lambda: False))


def test_running_again_gives_the_same_bytes(bench, maker, reference):
    _run(bench, bench.job("again"), maker)
    assert bench.output("again") == reference


def test_lines_keep_the_lists_order_and_every_image_is_in_one_family(bench, reference):
    listed = [line.strip('"') for line in (bench.bucket / "list.csv").read_text().splitlines()]
    good = [json.loads(line)["ID"] for line in in_order(reference, bench.kind.name).splitlines()]
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


def test_what_is_found_is_what_the_model_finds(bench, model, reference):
    here = open_model(model.folder, streams=1)
    for line in in_order(reference, bench.kind.name).splitlines():
        value = json.loads(line)
        data = (bench.bucket / value["ID"].removeprefix("gs://b/")).read_bytes()
        prepared = here.prepare(data)
        found = here.postprocess(here.infer(prepared), prepared).keep(0.5, 100)
        assert scores(line) == [round(float(score), 6) for score in found.scores]
        names = [here.labels[index].display_name for index in found.label_indices]
        assert [one["display_name"] for one in value["annotations"]] == names


@pytest.mark.parametrize(("threshold", "most"), [(0.0, 1), (0.6, 100), (1.0, 100)])
def test_threshold_and_count_are_kept_to(bench, maker, threshold, most):
    job = bench.job(f"kept-{threshold}", score_threshold=threshold, max_boxes=most)
    _run(bench, job, maker)
    counts = []
    for line in in_order(bench.output(job.spec.output_directory[7:]), bench.kind.name).splitlines():
        found = scores(line)
        assert found == sorted(found, reverse=True)
        assert all(score >= threshold for score in found)
        counts.append(len(found))
    assert max(counts) <= most
    assert {0.0: max(counts) == 1, 0.6: 0 < max(counts) < 100, 1.0: max(counts) == 0}[threshold]


def _stats(folder: pathlib.Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir()}


def test_after_a_stop_in_the_middle_no_finished_shard_is_done_again(bench, maker, reference):
    job = bench.job("stopped", threads=2)
    _run(bench, job, maker, stop_after=2)
    folder = bench.bucket / "stopped"
    before, half = _stats(folder), bench.output("stopped")
    assert 2 <= len(before) < len([name for name in reference if name.startswith(bench.kind.name)])
    assert all(content == reference[name] for name, content in half.items()), "a shard is whole or absent"
    reports = _run(bench, job, maker)
    after = _stats(folder)
    assert bench.output("stopped") == reference
    assert {name: after[name] for name in before} == before
    assert [report.shard for report in reports] == list(range(1, len(reports) + 1))


def test_a_finished_job_that_runs_again_reads_no_image(bench, maker, reference):
    job = bench.job("twice")
    first = _run(bench, job, maker)
    before = _stats(bench.bucket / "twice")

    class NoImages(objects.Stores):
        def get(self, uri: objects.ObjectUri, **values):
            assert not uri.key.endswith(".jpg"), "an image of a finished shard was read again"
            return super().get(uri, **values)

    engine = maker.make(job, NoImages(bench.root / "buckets", bench.root / "state"), Sink(job.spec, bench.stores))
    reports = list(engine.run(Plan(job.spec, bench.stores), lambda: False))
    assert sorted(reports, key=lambda report: report.shard) == first
    counts = engine.counts
    assert counts.images_found == counts.images_done == sum(report.predicted + report.failed for report in first)
    assert counts.shards_committed == 0
    assert not any(counts.take_committed(report.shard) for report in first)
    shards = {name: stat for name, stat in _stats(bench.bucket / "twice").items() if name.startswith(bench.kind.name)}
    assert shards == {name: stat for name, stat in before.items() if name.startswith(bench.kind.name)}
    assert bench.output("twice") == reference


def test_counts_and_stage_times_are_those_of_the_whole_job(bench, maker):
    engine, reports = engines.finish(bench, bench.job("counts"), maker)
    assert engine.counts.images_done == sum(report.predicted + report.failed for report in reports)
    assert engine.counts.images_failed == sum(report.failed for report in reports) > 0
    assert engine.counts.images_found == 0
    assert engine.counts.shards_committed == len(reports)
    assert all(engine.counts.take_committed(report.shard) for report in reports)
    assert not any(engine.counts.take_committed(report.shard) for report in reports)
    spent_s = engine.stage_s()
    assert set(spent_s) == set(stages.STAGES)
    assert spent_s[stages.DECODING] > 0 and spent_s[stages.NETWORK] > 0


def test_a_surprise_costs_its_image_and_shows_only_an_incident(bench, model, maker, monkeypatch, capfd, caplog):
    fault = "image gs://b/0001.jpg:raise@*"
    monkeypatch.setenv(faults.VARIABLE, fault)  # for processes that are started now
    monkeypatch.setattr(faults, "point", faults.Faults({faults.VARIABLE: fault}).point)
    bench.write_list([f"gs://b/{number:04d}.jpg" for number in range(3)], "three.csv")
    job = bench.job("surprise", lists=["gs://b/three.csv"], threads=1)
    with contextlib.closing(type(maker)(model.folder)) as fresh:
        (report,) = _run(bench, job, fresh)
    assert (report.predicted, report.failed) == (2, 1)
    error = bench.output("surprise")["errors_1.jsonl"]
    assert b'"ID":"gs://b/0001.jpg","status":{"code":13' in error
    assert b"injected" not in error
    assert "injected fault" in caplog.text + capfd.readouterr().err


def test_a_bad_list_ends_the_run_with_its_error_and_no_thread_left(bench, maker):
    import threading

    _run(bench, bench.job("before", threads=2), maker)  # starts what an engine keeps for the next job
    before = set(threading.enumerate())
    job = bench.job("absent", lists=["gs://b/absent.csv"])
    with pytest.raises(errors.ApiError, match=r"gs://b/absent\.csv does not exist"):
        _run(bench, job, maker)
    assert not set(threading.enumerate()) - before
    assert bench.output("absent") == {}


def test_a_sink_that_cannot_write_ends_the_run_with_its_error(bench, maker):
    bench.write_list([f"gs://b/{number:04d}.jpg" for number in range(3)], "three.csv")
    (bench.bucket / "blocked").write_bytes(b"a file where a folder is wanted")
    job = bench.job("blocked", lists=["gs://b/three.csv"])
    with pytest.raises(errors.ApiError, match=f"gs://b/blocked/{bench.kind.name}_1"):
        _run(bench, job, maker)


KINDS = st.sampled_from(["good", "missing", "spoilt", "no path", "again", "blank"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kinds=st.lists(KINDS, min_size=1, max_size=14), shard_images=st.integers(1, 6), threads=st.integers(1, 3))
def test_every_row_is_exactly_one_record(bench, maker, tmp_path_factory, kinds, shard_images, threads):
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
            _run(bench, job, maker)
        return
    reports = _run(bench, job, maker)
    output = bench.output(name)
    good = [json.loads(line)["ID"] for line in in_order(output, bench.kind.name).splitlines()]
    bad = [json.loads(line)["ID"] for line in in_order(output, "errors").splitlines()]
    assert sorted(good + bad) == sorted(expected)
    assert all(item.startswith("gs://b/0") for item in good)
    assert (sum(report.predicted for report in reports), sum(report.failed for report in reports)) == (
        len(good),
        len(bad),
    )
