"""Finished shards are found again by one listing and blocks, not one by one."""

from __future__ import annotations

import collections
import json
import pathlib

import pytest
from google.rpc import status_pb2
from tests.support.predictions.batch_jobs import Bench

from boxwright import kinds, objects
from boxwright.batch.output import json_lines, sidecars
from boxwright.batch.output.finished_shards import FinishedShards
from boxwright.batch.output.shard_reports import BLOCK_SHARDS
from boxwright.batch.output.sink import Sink
from boxwright.batch.turn_file import TurnState

SHARDS = 3 * BLOCK_SHARDS + 10
FAILED = (7, BLOCK_SHARDS, 2 * BLOCK_SHARDS + 1, SHARDS)


class CountingStores(objects.Stores):
    """Counts calls by what they ask for."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench.root / "buckets", bench.root / "state")
        self.calls: collections.Counter[str] = collections.Counter()

    def get(self, uri, **options):
        self.calls["get"] += 1
        return super().get(uri, **options)

    def exists(self, uri):
        self.calls["exists"] += 1
        return super().exists(uri)


@pytest.fixture
def bench(tmp_path: pathlib.Path) -> Bench:
    bench = Bench(tmp_path)
    sink = Sink(bench.spec(), bench.stores)
    for shard in range(1, SHARDS + 1):
        if shard != SHARDS - 3:  # one that is not done
            failures = [status_pb2.Status(code=5, message=f"gone {shard}")] if shard in FAILED else []
            errors = [json_lines.error_line(f"gs://b/{shard}.jpg", status) for status in failures]
            sink.commit(shard, [b'{"ID":"%d"}\n' % shard] * (shard % 3 + 1), errors, failures, one_colour=shard % 2)
    return bench


def test_all_that_is_there_is_found_with_few_calls(bench):
    asked_each, recalling = CountingStores(bench), CountingStores(bench)
    one_by_one, swept = Sink(bench.spec(), asked_each), Sink(bench.spec(), recalling)
    swept.recall()
    for shard in range(1, SHARDS + 1):
        was, now = one_by_one.committed(shard), swept.committed(shard)
        assert (was is None) == (now is None) == (shard == SHARDS - 3)
        if was and now:
            assert (now.predicted, now.failed, now.sha256, now.failures) == (
                was.predicted, was.failed, was.sha256, was.failures,
            )  # fmt: skip
    swept.end_recall()
    assert (swept.predicted, swept.errors_by_code) == (one_by_one.predicted, one_by_one.errors_by_code)
    # a block each, which has the messages of its failed images, and the notes of ten shards behind them
    assert recalling.calls["get"] <= 3 + 10 + 1
    assert recalling.calls["exists"] == 0
    assert asked_each.calls.total() > 2 * SHARDS

    def closed(sink: Sink) -> dict[str, bytes]:
        sink.close("CANCELLED", rows_read=0, duplicates=0, model_digest="d")
        return bench.output()

    assert closed(swept) == closed(one_by_one)


def test_what_is_asked_out_of_order_or_not_at_all_is_found_too(bench):
    sink = Sink(bench.spec(), bench.stores)
    sink.recall()
    assert [sink.committed(shard) is not None for shard in (70, 3, 71, SHARDS - 3, SHARDS)] == [
        True, True, True, False, True,
    ]  # fmt: skip
    assert list(sink.finished()) == [shard for shard in range(1, SHARDS + 1) if shard != SHARDS - 3]
    sink.end_recall()
    sink.end_recall()


def test_a_shard_without_notes_is_worked_out_again(bench):
    for path in bench.root.glob("state/**/shards/*-report.json"):
        if path.name.startswith(f"{SHARDS:07d}"):
            path.unlink()
    sink = Sink(bench.spec(), bench.stores)
    sink.recall()
    assert sink.committed(SHARDS - 1) is not None
    assert sink.committed(SHARDS) is None


def test_a_new_job_has_nothing(tmp_path):
    bench = Bench(tmp_path)
    sink = Sink(bench.spec("new"), bench.stores)
    sink.recall()
    assert sink.committed(1) is None
    assert not list(sink.finished())


def test_only_shards_are_taken_for_shards(tmp_path):
    bench = Bench(tmp_path)
    folder = bench.bucket / "job"
    folder.mkdir()
    (folder / "candidates").mkdir()
    for name in (
        "a_1.jsonl",
        "a_12.jsonl",
        "a_0.jsonl",
        "a_007.jsonl",
        "a_1000000000000000000.jsonl",
        "a_.jsonl",
        "a_3.json",
        "a_4.jsonl.part",
        "b_5.jsonl",
    ):
        (folder / name).write_bytes(b"x")
    (folder / "candidates" / "a_9.jsonl").write_bytes(b"x")
    found = FinishedShards.listed(bench.stores, bench.directory(), "a_{}.jsonl")
    assert list(found) == [1, 12]
    assert [shard in found for shard in (0, 1, 12, 13, 10**9)] == [False, True, True, False, False]


@pytest.mark.parametrize("kind", [kinds.OBJECT_DETECTION, kinds.IMAGE_CLASSIFICATION], ids=lambda kind: kind.name)
def test_who_goes_on_with_what_was_known_closes_a_job_as_who_did_it_all(tmp_path, kind):
    bench = Bench(tmp_path, kind)
    first = Sink(bench.spec(candidate_floor=0.1), bench.stores)
    failure = status_pb2.Status(code=5, message="gone")
    for shard in [*range(1, 70), 72]:
        failures = [failure] if shard in (3, 72) else []
        errors = [json_lines.error_line(f"gs://b/{shard}.jpg", failure) for failure in failures]
        first.commit(
            shard, [b'{"ID":"%d"}\n' % shard], errors, failures, shard % 2, {sidecars.CANDIDATES: b"%d" % shard}
        )
    assert first.committed(71) is None
    state = first.state()
    stores = CountingStores(bench)
    second = Sink(bench.spec(candidate_floor=0.1), stores)
    second.go_on(TurnState(json.loads(json.dumps(state.values)), state.parts))
    assert not stores.calls.total()
    assert (second.first_open, second.counted()) == (70, (70, 72, 2))
    assert [second.is_counted(shard) for shard in (1, 69, 70, 71, 72, 73)] == [True, True, False, False, True, False]
    assert list(second.finished()) == [*range(1, 70)]
    assert second.failures.values() == first.failures.values()
    assert [second.committed(shard) for shard in (70, 71, 73, 1000)] == [None] * 4
    assert stores.calls["exists"] == 2, "those that were asked for before, and no others"

    def closed(sink: Sink) -> dict[str, bytes]:
        sink.close("CANCELLED", rows_read=0, duplicates=0, model_digest="d")
        return bench.output()

    assert closed(second) == closed(first)
