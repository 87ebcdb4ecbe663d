"""Notes of finished shards: blocks of many save requests, and say what the notes of each shard say."""

from __future__ import annotations

import pathlib
import threading

import pytest
from google.rpc import status_pb2
from tests.support.machine.waiting import PATIENCE_S
from tests.support.predictions.batch_jobs import Bench

from boxwright import objects
from boxwright.batch import read_ahead
from boxwright.batch.output import shard_reports
from boxwright.batch.output.sink import Sink

BLOCK = 4


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(shard_reports, "BLOCK_SHARDS", BLOCK)


@pytest.fixture
def bench(tmp_path: pathlib.Path) -> Bench:
    return Bench(tmp_path)


class CountingStores(objects.Stores):
    """Counts what is read, and answers nothing before so many ask at the same time, once."""

    def __init__(self, bench: Bench, at_once: int = 1) -> None:
        super().__init__(bench.root / "buckets", bench.root / "state")
        self._at_once = at_once
        self._asking = 0
        self._have_met = threading.Condition()
        self.reads: list[str] = []

    def get(self, uri, **options):
        with self._have_met:
            self._asking += 1
            self._have_met.notify_all()
            assert self._have_met.wait_for(lambda: self._asking >= self._at_once, PATIENCE_S), (
                "one read after the other"
            )
        self.reads.append(uri.key)
        return super().get(uri, **options)

    def head(self, uri):
        self.reads.append(uri.key)
        return super().head(uri)


def _commit(sink: Sink, shards: list[int]) -> None:
    """Shard 3, 6, 9… have a missing image, shard 5, 10… one that is too slow."""
    for shard in shards:
        codes = [code for each, code in ((3, 5), (5, 4)) if shard % each == 0]
        lines = [b'{"ID":"%d-%d"}\n' % (shard, number) for number in range(shard % 3 + 1)]
        errors = [b'{"ID":"%d-e%d"}\n' % (shard, code) for code in codes]
        sink.commit(shard, lines, errors, [status_pb2.Status(code=code, message="m") for code in codes])


def _closed(bench: Bench, sink: Sink) -> dict[str, bytes]:
    sink.close("CANCELLED", rows_read=0, duplicates=0, model_digest="d")
    return bench.output()


def _blocks(bench: Bench) -> list[str]:
    return sorted(path.name for path in bench.root.glob("state/**/blocks/*"))


@pytest.mark.parametrize(
    "shards",
    [range(1, 1), range(1, 4), range(1, 9), range(1, 23), [7, 6, 8, 5, 2, 1, 3, 11, 9, 10], [2, 5, 30]],
    ids=["none", "no block", "blocks alone", "blocks and more", "out of order", "holes"],
)
def test_who_knows_nothing_closes_a_job_as_who_did_it_all(bench, shards):
    sink = Sink(bench.spec(), bench.stores)
    _commit(sink, list(shards))
    expected = _closed(bench, sink)
    assert b"-e5" in expected.get("errors_1.jsonl", b"-e5") and expected["manifest.json"]
    (bench.bucket / "job" / "manifest.json").unlink()
    (bench.bucket / "job" / "errors_1.jsonl").unlink(missing_ok=True)
    assert _closed(bench, Sink(bench.spec(), bench.stores)) == expected


def test_a_block_says_how_many_images_have_one_colour(bench):
    sink = Sink(bench.spec(), bench.stores)
    for shard in range(1, shard_reports.BLOCK_SHARDS + 2):
        sink.commit(shard, [b"{}\n"] * 3, [], [], shard % 2)
    assert _blocks(bench)
    assert sink.close("CANCELLED", rows_read=0, duplicates=0, model_digest="").images_of_one_colour == sum(
        shard % 2 for shard in range(1, shard_reports.BLOCK_SHARDS + 2)
    )
    again = Sink(bench.spec(), bench.stores)
    closed = again.close("CANCELLED", rows_read=0, duplicates=0, model_digest="")
    assert closed.images_of_one_colour == sum(shard % 2 for shard in range(1, shard_reports.BLOCK_SHARDS + 2))


def test_a_whole_block_is_one_request(bench):
    _commit(Sink(bench.spec(), bench.stores), list(range(1, 3 * BLOCK + 2)))
    stores = CountingStores(bench)
    Sink(bench.spec(), stores).close("CANCELLED", rows_read=0, duplicates=0, model_digest="d")
    # its numbers and its error lines; the last shard is in no block, and has no error lines
    assert sorted(key.rpartition("/")[2] for key in stores.reads) == [
        *sorted(2 * [f"{block:07d}-block" for block in (1, 2, 3)]),
        "0000013-report.json",
    ]


def test_later_attempts_write_the_blocks_that_are_missing_and_no_other(bench):
    _commit(Sink(bench.spec(), bench.stores), [1, 2, 3])
    assert _blocks(bench) == []
    second = Sink(bench.spec(), bench.stores)
    assert all(second.committed(shard) for shard in (1, 2, 3))
    _commit(second, [4, 5])
    assert _blocks(bench) == ["0000001-block"]
    (path,) = bench.root.glob("state/**/0000001-block")
    before = path.stat()
    third = Sink(bench.spec(), bench.stores)
    assert all(third.committed(shard) for shard in range(1, 6))
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert third.close("CANCELLED", rows_read=0, duplicates=0, model_digest="d").errors_by_code == {
        "NOT_FOUND": 1,
        "DEADLINE_EXCEEDED": 1,
    }


def test_shards_that_have_gone_since_are_in_no_manifest(bench):
    _commit(Sink(bench.spec(), bench.stores), list(range(1, 10)))
    (bench.bucket / "job" / "image_object_detection_3.jsonl").unlink()
    manifest = Sink(bench.spec(), bench.stores).close("CANCELLED", rows_read=0, duplicates=0, model_digest="d")
    assert [file.name.rpartition("_")[2] for file in manifest.shards] == [
        f"{n}.jsonl" for n in (1, 2, 4, 5, 6, 7, 8, 9)
    ]
    assert bench.output()["errors_1.jsonl"] == b'{"ID":"5-e4"}\n{"ID":"6-e5"}\n{"ID":"9-e5"}\n'


def test_a_shard_whose_notes_are_gone_is_in_no_manifest(bench):
    _commit(Sink(bench.spec(), bench.stores), [1, 2, 3])
    for part in ("0000003-errors.jsonl", "0000001-report.json"):
        next(bench.root.glob(f"state/**/{part}")).unlink()
    manifest = Sink(bench.spec(), bench.stores).close("CANCELLED", rows_read=0, duplicates=0, model_digest="d")
    assert [file.name for file in manifest.shards] == ["image_object_detection_2.jsonl"]


def test_notes_are_read_many_at_a_time_from_a_slow_store(bench, monkeypatch):
    monkeypatch.setattr(shard_reports, "BLOCK_SHARDS", 1000)
    _commit(Sink(bench.spec(), bench.stores), list(range(1, 101)))
    stores = CountingStores(bench, at_once=4)
    Sink(bench.spec(), stores).close("CANCELLED", rows_read=0, duplicates=0, model_digest="d")
    assert len(stores.reads) >= 100


def test_little_is_read_ahead_of_what_is_heavy_and_all_comes_in_order():
    read: list[int] = []

    def note(number: int) -> int:
        read.append(number)
        return number

    found = read_ahead.in_order(note, range(100), weigh=lambda number: read_ahead.AHEAD_BYTES // 3 + 1)
    assert [next(found) for _ in range(3)] == [0, 1, 2]
    assert len(read) <= 6
    assert list(found) == list(range(3, 100))


def test_trouble_ends_the_reading():
    def fail(number: int) -> int:
        if number == 7:
            raise OSError("gone")
        return number

    found = read_ahead.in_order(fail, range(1000))
    assert [next(found) for _ in range(7)] == list(range(7))
    with pytest.raises(OSError, match="gone"):
        next(found)
