"""The sink: a shard exists or it does not, errors are gathered in order, and doing it again changes nothing."""

from __future__ import annotations

import json
import pathlib

import pytest
from google.rpc import status_pb2
from tests.support.predictions.batch_jobs import Bench, in_order

from boxwright import errors, kinds
from boxwright.batch.output import account, manifest
from boxwright.batch.output.account import OutputAccount
from boxwright.batch.output.shard_writer import ShardWriter
from boxwright.batch.output.sink import Sink


@pytest.fixture
def bench(tmp_path: pathlib.Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def sink(bench: Bench) -> Sink:
    return Sink(bench.spec(), bench.stores)


def _commit(sink: Sink, shard: int, good: int, bad: int):
    return sink.commit(shard, *_contents(shard, good, bad))


def _put(writer: ShardWriter, shard: int, good: int, bad: int):
    return writer.put(shard, *_contents(shard, good, bad))


def _contents(shard: int, good: int, bad: int):
    lines = [b'{"ID":"%d-%d"}\n' % (shard, number) for number in range(good)]
    error_lines = [b'{"ID":"%d-e%d"}\n' % (shard, number) for number in range(bad)]
    failures = [status_pb2.Status(code=5, message=f"{shard}-e{number}") for number in range(bad)]
    return lines, error_lines, failures


def _close(sink: OutputAccount, rows_read: int = 0) -> manifest.Manifest:
    return sink.close("SUCCEEDED", rows_read=rows_read, duplicates=0, model_digest="d")


def test_nothing_is_committed_at_first_and_a_closed_job_has_its_manifest_alone(bench, sink):
    assert sink.committed(1) is None
    assert _close(sink).shards == []
    assert list(bench.output()) == ["manifest.json"]


def test_a_committed_shard_is_found_again_with_its_report(bench, sink):
    report = _commit(sink, 1, 3, 2)
    assert (report.shard, report.predicted, report.failed) == (1, 3, 2)
    assert Sink(bench.spec(), bench.stores).committed(1) == report
    assert sink.committed(2) is None
    assert list(bench.output()) == ["image_object_detection_1.jsonl"]


@pytest.mark.parametrize("part", ["report.json", "errors.jsonl"])
def test_a_shard_whose_report_or_error_lines_are_gone_is_worked_out_once_more(bench, sink, part):
    report = _commit(sink, 1, 3, 2)
    before = bench.output()
    (scratch,) = bench.root.glob(f"state/**/0000001-{part}")
    scratch.unlink()
    again = Sink(bench.spec(), bench.stores)
    assert again.committed(1) is None
    assert _commit(again, 1, 3, 2) == report
    assert bench.output() == before


def test_a_shard_whose_images_all_failed_is_an_empty_file(bench, sink):
    _commit(sink, 1, 0, 2)
    assert bench.output() == {"image_object_detection_1.jsonl": b""}
    assert sink.committed(1) is not None


def test_shards_that_other_processes_put_are_counted_to_the_bytes_of_one_process(bench, sink):
    shards = {1: (3, 0), 2: (0, 2), 3: (4, 1)}
    for shard, (good, bad) in shards.items():
        _commit(sink, shard, good, bad)
    _close(sink, 10)
    spec = bench.spec("apart")
    account, reports = OutputAccount(spec, bench.stores), []
    for shard, (good, bad) in reversed(shards.items()):
        reports.append(_put(ShardWriter(spec, bench.stores), shard, good, bad))  # each as if on another machine
    for report in reports:
        account.count(report)
    assert (account.predicted, account.errors_by_code) == (sink.predicted, sink.errors_by_code)
    _close(account, 10)
    assert bench.output("apart") == bench.output()
    assert {shard: OutputAccount(spec, bench.stores).committed(shard) for shard in (1, 2, 3)} == {
        report.shard: report for report in reports
    }


@pytest.mark.parametrize("shard", [2, 3])
def test_a_further_pass_may_be_put_and_counted_by_different_processes(bench, shard):
    first = Sink(bench.spec(), bench.stores)
    _commit(first, 2, 1, 1)
    _commit(first, 3, 0, 2)
    _close(first, 4)
    spec = bench.spec(pass_number=1)
    writer, account = ShardWriter(spec, bench.stores), OutputAccount(spec, bench.stores)
    assert account.committed(2) is None and account.committed(3) is None
    whole = _put(writer, shard, 2, 0)
    still = _put(writer, 5 - shard, 1, 1)
    for report in (whole, still):
        account.count(report)
    found = _close(account, 4)
    assert (found.images_predicted, found.errors_by_code) == (3, {"NOT_FOUND": 1})
    assert bench.output()["errors_1.jsonl"] == b'{"ID":"%d-e0"}\n' % (5 - shard)


def test_a_report_lists_at_most_twenty_failures(sink):
    assert len(_commit(sink, 1, 0, 25).failures) == 20


def test_committing_again_writes_the_same_bytes_into_the_same_file(bench, sink):
    first = _commit(sink, 1, 3, 1)
    before = (bench.bucket / "job/image_object_detection_1.jsonl").stat()
    assert _commit(sink, 1, 3, 1) == first
    after = (bench.bucket / "job/image_object_detection_1.jsonl").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_shard_that_is_there_is_never_replaced(bench, sink):
    _commit(sink, 1, 3, 0)
    with pytest.raises(errors.ApiError, match="is there already with other results") as raised:
        _commit(sink, 1, 5, 0)
    assert raised.value.code_name == "ABORTED"
    assert bench.output()["image_object_detection_1.jsonl"].count(b"\n") == 3


def test_errors_are_gathered_in_input_order_without_holes(bench, sink):
    for shard, bad in ((3, 1), (1, 2), (2, 0)):  # finished out of order
        _commit(sink, shard, 1, bad)
    assert len(_close(sink).errors_files) == 1
    assert bench.output()["errors_1.jsonl"] == b'{"ID":"1-e0"}\n{"ID":"1-e1"}\n{"ID":"3-e0"}\n'


def test_a_job_without_failures_has_no_errors_file(bench, sink):
    _commit(sink, 1, 1, 0)
    assert _close(sink).errors_files == []
    assert list(bench.output()) == ["image_object_detection_1.jsonl", "manifest.json"]


def test_gathering_again_gives_the_same_bytes(bench, sink):
    for shard in (1, 2):
        _commit(sink, shard, 1, 3)
    _close(sink)
    first = bench.output()
    _close(Sink(bench.spec(), bench.stores))
    assert bench.output() == first


def test_many_errors_are_spread_over_files_without_splitting_a_line(bench, sink, monkeypatch):
    monkeypatch.setattr(account, "ERRORS_FILE_BYTES", 60)
    for shard in range(1, 8):
        _commit(sink, shard, 0, 3)
    files = _close(sink).errors_files
    output = bench.output()
    assert len(files) == len([name for name in output if name.startswith("errors_")]) > 1
    assert in_order(output, "errors").count(b"\n") == 21
    assert all(content.endswith(b"}\n") for name, content in output.items() if name.startswith("errors_"))


def test_preparing_sweeps_what_a_killed_writer_left_and_keeps_whole_shards(bench, sink):
    _commit(sink, 1, 1, 0)
    (bench.bucket / "job" / "image_object_detection_2.jsonl#1").write_bytes(b'{"ID"')
    sink.prepare()
    assert list(bench.output()) == ["image_object_detection_1.jsonl"]


def test_preparing_without_the_bucket_names_it(bench):
    (bench.bucket / "x").write_bytes(b"")
    spec = bench.spec()
    object.__setattr__(spec, "output_directory", "gs://nowhere/out")
    with pytest.raises(errors.ApiError, match="nowhere"):
        Sink(spec, bench.stores).prepare()


def test_an_output_folder_that_leads_out_of_its_bucket_is_never_written(bench, tmp_path):
    (tmp_path / "outside").mkdir()
    (bench.bucket / "job").symlink_to(tmp_path / "outside")
    with pytest.raises(errors.ApiError, match="leads out of its bucket"):
        _commit(Sink(bench.spec(), bench.stores), 1, 1, 1)
    assert list((tmp_path / "outside").iterdir()) == []


def test_preparing_never_deletes_outside_the_bucket(bench, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "notes#1").write_bytes(b"mine")
    (bench.bucket / "job").symlink_to(outside)
    with pytest.raises(errors.ApiError, match="leads out of its bucket"):
        Sink(bench.spec(), bench.stores).prepare()
    assert (outside / "notes#1").read_bytes() == b"mine"


def test_the_manifest_accounts_for_every_row_and_verifies(bench, sink):
    _commit(sink, 1, 3, 2)
    _commit(sink, 2, 1, 0)
    written = _close(sink, rows_read=6)
    assert manifest.Manifest.from_json(bench.output()["manifest.json"]) == written
    assert (written.images_predicted, written.errors_by_code) == (4, {"NOT_FOUND": 2})
    assert [file.lines for file in written.shards] == [3, 1]
    assert manifest.examine(bench.stores, bench.directory()) == manifest.ManifestCheck("SUCCEEDED", [])


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (
            lambda folder: (folder / "image_object_detection_2.jsonl").unlink(),
            "image_object_detection_2.jsonl is missing",
        ),
        (lambda folder: (folder / "image_object_detection_1.jsonl").write_bytes(b"{}\n" * 3), "other bytes"),
        (lambda folder: (folder / "errors_1.jsonl").write_bytes(b""), "errors_1.jsonl has other bytes"),
        (
            lambda folder: (folder / "image_object_detection_3.jsonl").write_bytes(b""),
            "image_object_detection_3.jsonl is not of",
        ),
        (
            lambda folder: (folder / "image_object_detection_1 (copy).jsonl").write_bytes(b"{}\n"),
            "(copy).jsonl is not of",
        ),
        (lambda folder: (folder / "errors_01.jsonl").write_bytes(b""), "errors_01.jsonl is not of this job"),
    ],
)
def test_verifying_names_the_file_that_is_not_what_the_job_wrote(bench, sink, spoil, problem):
    _commit(sink, 1, 3, 2)
    _commit(sink, 2, 1, 0)
    _close(sink, rows_read=6)
    spoil(bench.bucket / "job")
    assert any(problem in line for line in manifest.examine(bench.stores, bench.directory()).problems)


@pytest.mark.parametrize("kind", kinds.SERVED, ids=lambda kind: kind.name)
def test_results_are_named_by_the_models_kind_whoever_finds_them_again(tmp_path, kind):
    bench = Bench(tmp_path, kind)
    most = 7 if kind == kinds.OBJECT_DETECTION else None
    spec = bench.spec(max_boxes=most)
    for shard in (1, 2):
        _commit(Sink(spec, bench.stores), shard, 2, 0)
    written = Sink(spec, bench.stores).close("CANCELLED", rows_read=0, duplicates=0, model_digest="d")
    names = [f"{kind.name}_1.jsonl", f"{kind.name}_2.jsonl"]
    assert list(bench.output()) == [*names, "manifest.json"] and [file.name for file in written.shards] == names
    assert written.settings.get("max_bounding_box_count") == most
    assert ("max_bounding_box_count" in written.settings) == (most is not None)
    assert manifest.examine(bench.stores, bench.directory()).problems == []
    for other in kinds.SERVED:
        (bench.bucket / "job" / f"{other.name}_9.jsonl").write_bytes(b"")
        problems = manifest.examine(bench.stores, bench.directory()).problems
        assert f"{other.name}_9.jsonl is not of this job: the manifest does not name it" in problems


def test_images_of_one_colour_are_counted_whoever_closes_the_job(bench, sink):
    sink.commit(1, [b"{}\n"] * 5, [], [], 2)
    sink.commit(2, [b"{}\n"] * 5, [], [])
    report = sink.commit(3, [b"{}\n"], [], [], 1)
    assert report.one_colour == 1 and Sink(bench.spec(), bench.stores).committed(3) == report
    assert _close(sink, 11).images_of_one_colour == 3
    first = bench.output()["manifest.json"]
    again = Sink(bench.spec(), bench.stores)  # knows of none and asks the notes
    assert _close(again, 11).images_of_one_colour == 3
    assert bench.output()["manifest.json"] == first
    assert manifest.Manifest.from_json(first).images_of_one_colour == 3


def test_notes_and_manifests_that_do_not_count_colours_are_read(bench, sink):
    sink.commit(1, [b"{}\n"] * 5, [], [], 2)
    (path,) = bench.root.glob("state/**/0000001-report.json")
    report = json.loads(path.read_text())
    assert report.pop("one_colour") == 2
    path.write_text(json.dumps(report))
    assert Sink(bench.spec(), bench.stores).committed(1).one_colour == 0
    _close(sink, 5)
    document = json.loads(bench.output()["manifest.json"])
    former = {key: value for key, value in document.items() if key != "images_of_one_colour"}
    assert manifest.Manifest.from_json(json.dumps(former).encode()).images_of_one_colour == 0
    later = {**document, "of_a_later_version": 1}
    assert manifest.Manifest.from_json(json.dumps(later).encode()).images_of_one_colour == 2


def test_verifying_sees_a_row_that_is_not_accounted_for(bench, sink):
    _commit(sink, 1, 3, 0)
    _close(sink, rows_read=4)
    (line,) = manifest.examine(bench.stores, bench.directory()).problems
    assert line.startswith("4 different rows were read, but 3 results and 0 errors")


# ---- further passes: failed images are tried again ------------------------------------------------------------------------


def _pass(bench: Bench, number: int) -> Sink:
    return Sink(bench.spec(pass_number=number), bench.stores)


def _failed_job(bench: Bench, sink: Sink) -> dict[str, bytes]:
    """Shard 1 is whole, shards 2 and 3 have failed images; many errors files."""
    _commit(sink, 1, 3, 0)
    _commit(sink, 2, 1, 2)
    _commit(sink, 3, 0, 3)
    sink.close("FAILED", rows_read=9, duplicates=0, model_digest="d")
    return bench.output()


def _undisturbed(bench: Bench) -> dict[str, bytes]:
    """What a job writes in whose first and only pass shard 2 is whole and one image of shard 3 fails."""
    sink = Sink(bench.spec("calm"), bench.stores)
    for shard, good, bad in ((1, 3, 0), (2, 3, 0), (3, 2, 1)):
        _commit(sink, shard, good, bad)
    _close(sink, rows_read=9)
    return bench.output("calm")


def test_a_further_pass_tries_failed_images_again_and_ends_with_the_bytes_of_an_undisturbed_run(
    bench, sink, monkeypatch
):
    with monkeypatch.context() as patched:
        patched.setattr(account, "ERRORS_FILE_BYTES", 15)
        assert "errors_2.jsonl" in _failed_job(bench, sink)
    again = _pass(bench, 1)
    found = again.committed(1)
    assert found is not None and found.predicted == 3
    assert again.committed(2) is None and again.committed(3) is None
    _commit(again, 2, 3, 0)
    _commit(again, 3, 2, 1)
    _close(again, rows_read=9)
    assert bench.output() == _undisturbed(bench)
    assert manifest.examine(bench.stores, bench.directory()) == manifest.ManifestCheck("SUCCEEDED", [])
    later = _pass(bench, 1)
    assert [report.failed for shard in (1, 2, 3) if (report := later.committed(shard))] == [0, 0, 1]


def test_a_shard_whose_new_notes_are_there_and_it_is_not_is_worked_out_once_more(bench, sink):
    before = _failed_job(bench, sink)
    _commit(_pass(bench, 1), 2, 3, 0)
    shard = bench.bucket / "job" / "image_object_detection_2.jsonl"
    shard.write_bytes(before[shard.name])  # as if the process had died before it put the shard
    again = _pass(bench, 1)
    assert again.committed(2) is None
    _commit(again, 2, 3, 0)
    assert again.committed(2) is not None
    assert shard.read_bytes().count(b"\n") == 3


@pytest.mark.parametrize("is_put", [True, False], ids=["put", "not put"])
def test_a_further_pass_that_is_cancelled_says_what_is_there(bench, sink, is_put):
    before = _failed_job(bench, sink)
    _commit(_pass(bench, 1), 2, 3, 0)
    if not is_put:
        (bench.bucket / "job" / "image_object_detection_2.jsonl").write_bytes(before["image_object_detection_2.jsonl"])
    _pass(bench, 1).close("CANCELLED", rows_read=0, duplicates=0, model_digest="d")
    assert manifest.examine(bench.stores, bench.directory()) == manifest.ManifestCheck("CANCELLED", [])
    output = bench.output()
    kept = in_order(output, "errors")
    assert kept == (before["errors_1.jsonl"] if not is_put else b"".join(before["errors_1.jsonl"].splitlines(True)[2:]))


def test_a_further_pass_replaces_no_shard_whose_images_were_all_predicted(bench, sink):
    _failed_job(bench, sink)
    with pytest.raises(errors.ApiError, match="other results"):
        _commit(_pass(bench, 1), 1, 2, 0)
    assert bench.output()["image_object_detection_1.jsonl"].count(b"\n") == 3


def test_blocks_of_an_earlier_pass_do_not_speak_for_a_later_one(bench, monkeypatch):
    from boxwright.batch.output import shard_reports

    monkeypatch.setattr(shard_reports, "BLOCK_SHARDS", 2)
    first = Sink(bench.spec(), bench.stores)
    for shard in (1, 2, 3, 4, 5):
        _commit(first, shard, 1, shard % 2)
    first.close("FAILED", rows_read=8, duplicates=0, model_digest="d")
    second = _pass(bench, 1)
    assert [second.committed(shard) is None for shard in (1, 2, 3, 4, 5)] == [True, False, True, False, True]
    for shard in (1, 3, 5):
        _commit(second, shard, 2, 0)
    _pass(bench, 1).close("CANCELLED", rows_read=0, duplicates=0, model_digest="d")
    written = manifest.Manifest.from_json(bench.output()["manifest.json"])
    assert (written.images_predicted, written.errors_by_code) == (8, {})
    assert manifest.examine(bench.stores, bench.directory()).problems == []
