"""The index of a plan: the same images as without it, in few calls, whatever the list holds and whoever was killed."""

from __future__ import annotations

import collections
import contextlib
import json
import pathlib
import threading

import pytest
from google.rpc import code_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.predictions.batch_inputs import tar
from tests.support.predictions.batch_jobs import Bench

from boxwright import errors, faults, objects
from boxwright.batch import cut_builder, plan_index, planner
from boxwright.batch import plan as plan_module
from boxwright.batch.inputs import list_pieces
from boxwright.batch.job import BatchSpec
from boxwright.batch.plan import Plan

BLOCKS = 3 * 4096
ROWS = 6000


@pytest.fixture
def bench(tmp_path: pathlib.Path) -> Bench:
    return Bench(tmp_path)


class _Counting(objects.Stores):
    """Stores that count calls."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench.root / "buckets", bench.root / "state")
        self.calls: collections.Counter[str] = collections.Counter()
        self.read_bytes = 0

    def range(self, uri, start, length, *, e_tag=""):
        self.calls["range"] += 1
        self.read_bytes += length
        return super().range(uri, start, length, e_tag=e_tag)

    def get_with_version(self, uri, *, max_bytes=None):
        self.calls["get"] += 1
        return super().get_with_version(uri, max_bytes=max_bytes)

    def head(self, uri):
        self.calls["head"] += 1
        return super().head(uri)

    def put_once(self, uri, data):
        self.calls["put"] += 1
        return super().put_once(uri, data)


def _items(spec: BatchSpec, stores: objects.Stores, *, keeps: bool = True) -> tuple[object, ...]:
    """What a plan makes of a job: (shards, counts), or its error."""
    with contextlib.closing(Plan(spec, stores, keeps=keeps)) as plan:
        try:
            shards = [[(item.id, item.failure) for item in segment.items] for segment in plan.segments()]
        except errors.ApiError as error:
            return error.code, error.message
        failures = [status.message for status in plan.row_failures]
        return shards, plan.rows_read, plan.rows_failed, plan.duplicates, plan.images_planned, failures


LINES = st.sampled_from(
    [
        "gs://b/{}.jpg", "gs://b/folder-{}/a b.jpg", " gs://b/{}.jpg ", '"gs://b/{}.jpg"', "gs://b/{}.jpg,cat,0.5",
        "gs://b/ä{}.jpg", "gs://b/写真/{}.jpg", "gs://b/{}\u3000.jpg", "gs://b/{}.jpg\u00a0", "gs://b/../{}.jpg", "gs://b//{}.jpg",
        "gs://b/.{}.jpg", "gs://b/{}/", "gs://b", "gs://1234567890/{}.jpg", "gs://127.0.0.1/{}.jpg", "s3://b/{}.jpg", "GS://b/{}",
        "bad {}", "", "   ", ",,", '"open {}', "gs://b/{}.tar#a.jpg", "gs://b/" + "long/" * 500 + "{}.jpg", "\ufeffgs://b/{}.jpg",
        "gs://b/a\tb{}.jpg", "gs://b/\x0b{}.jpg", "gs://B.c_d-e/{}.JPG", "gs://b/{}.jpg?x=1&y=%20", "gs://b/{}'s;(1)[2].jpg",
    ]
)  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(
    lines=st.lists(st.tuples(LINES, st.integers(0, 12), st.sampled_from(["\n", "\n", "\r\n", "\r"])), max_size=60),
    start=st.sampled_from(["", "\ufeff", "\n", "\r"]),
    is_ended=st.booleans(),
    first_bytes=st.sampled_from([1, 40, 1 << 18]),
    shard_images=st.integers(1, 9),
)
def test_the_index_has_the_images_that_reading_the_list_line_by_line_gives(
    tmp_path_factory, lines, start, is_ended, first_bytes, shard_images
):
    bench = Bench(tmp_path_factory.mktemp("plan"))
    text = start + "".join(line.format(number) + end for line, number, end in lines)
    (bench.bucket / "list.csv").write_bytes(text.encode() if is_ended else text.rstrip("\r\n").encode())
    spec = bench.spec(shard_images=shard_images, row_failure_limit=1.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(list_pieces, "FIRST_BYTES", first_bytes)
        patch.setattr(list_pieces, "MOST_BYTES", 4 * first_bytes)
        patch.setattr(cut_builder, "MAX_GAP_BYTES", 100)
        expected = _items(spec, bench.stores, keeps=False)
        assert _items(spec, bench.stores) == expected
        assert _items(spec, bench.stores) == expected, "and at the second attempt"


@pytest.mark.parametrize(
    "content",
    [
        b'{"content": "gs://b/1.jpg"}\n{"content": "gs://b/2.jpg"}\n\n[1]\n{"content": "gs://b/1.jpg"}',
        b'{"ID":"gs://b/1.jpg","status":{"code":5,"message":"x"}}\n{"ID":"no path","status":{"code":3,"message":"x"}}\n',
        b"\n\nname,image\nx,gs://b/1.jpg\ny\nz,gs://b/2.jpg\n",
        b"gs://b/1.jpg\n\xff\n",
        b"gs://b/1.jpg\n" + b"x" * 70_000,
        b"gs://b/1.jpg\0\n",
        b'{"ID": "gs://b/1.jpg", "annotations": []}\n',
        b"\x89PNG\r\n\x1a\n",
    ],
    ids=["JSON Lines", "errors file", "named column", "no UTF-8", "long line", "NUL", "results", "image"],
)
def test_lists_of_every_form_have_the_same_rows_and_errors_in_an_index(bench, content):
    (bench.bucket / "list.csv").write_bytes(content)
    spec = bench.spec(row_failure_limit=1.0, input_column="image" if b"name,image" in content else "")
    expected = _items(spec, bench.stores, keeps=False)
    assert _items(spec, bench.stores) == expected
    assert _items(spec, bench.stores) == expected


@pytest.mark.parametrize("bad", [400, 600, 1400])
def test_rows_are_judged_at_the_same_rows_as_one_by_one(bench, bad):
    good = [f"gs://b/{number}.jpg" for number in range(3000)]
    bench.write_list([*good[:500], *(f"bad {number}" for number in range(bad)), *good[500:]])
    spec = bench.spec(row_failure_limit=0.5)
    assert _items(spec, bench.stores) == _items(spec, bench.stores, keeps=False)


def test_a_long_list_is_planned_in_few_calls_and_each_byte_is_read_once(bench):
    bench.write_list([f"gs://b/folder/image-{number:05}.jpg" for number in range(ROWS)])
    size = (bench.bucket / "list.csv").stat().st_size
    stores = _Counting(bench)
    with contextlib.closing(Plan(bench.spec(shard_images=10), stores)) as plan:
        assert sum(segment.image_count for segment in plan.segments()) == ROWS
    # the header; blocks of 5, 64 and 531 cuts; what was there before: no header, no block; the list
    assert stores.calls == {"put": 4, "get": 2, "head": 1, "range": 1}
    assert stores.read_bytes == size


def test_shards_that_stand_behind_each_other_are_read_together(bench):
    bench.write_list([f"gs://b/folder/image-{number:05}.jpg" for number in range(ROWS)])
    size = (bench.bucket / "list.csv").stat().st_size
    assert size < plan_index.READ_BYTES
    list(Plan(bench.spec(shard_images=10), bench.stores).segments())
    stores = _Counting(bench)
    read = [len(segment.items) for segment in Plan(bench.spec(shard_images=10), stores).segments()]
    assert sum(read) == ROWS
    assert stores.calls["range"] == -(-size // plan_index.READ_BYTES)
    assert size <= stores.read_bytes <= size + plan_index.READ_BYTES // 10


def test_a_plan_that_is_whole_goes_on_without_the_list_being_read(bench):
    bench.write_list([*(f"gs://b/{number}.jpg" for number in range(ROWS)), "bad", "gs://b/1.jpg"])
    first = Plan(bench.spec(), bench.stores)
    list(first.segments())
    stores = _Counting(bench)
    again = Plan(bench.spec(), stores)
    assert sum(segment.image_count for segment in again.segments()) == ROWS + 1
    # header, three blocks, the last one first; the list's identity, and which block is the last
    assert stores.calls == {"get": 5, "head": 4}
    assert (again.rows_read, again.rows_failed, again.duplicates, again.images_planned) == (ROWS + 2, 1, 1, ROWS + 1)
    assert again.row_failures == first.row_failures
    assert again.is_complete


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_plan_that_stops_after_some_blocks_goes_on_with_the_same_shards(bench, kept):
    bench.write_list([f"gs://b/{number % 5000}.jpg" for number in range(ROWS)])
    whole = _items(bench.spec(), bench.stores)
    for number in range(kept + 1, 4):
        bench.stores.delete_written(bench.stores.state(f"operations/job/plan/index-{number:07}.json"))
    assert _items(bench.spec(), bench.stores) == whole


@pytest.mark.parametrize("point", ["plan.before_block", "plan.after_block"])
@pytest.mark.parametrize("passage", [1, 2, 3])
def test_no_shard_comes_before_its_block_is_stored(bench, monkeypatch, point, passage):
    bench.write_list([f"gs://b/{number}.jpg" for number in range(ROWS)])
    passed = 0

    def die(name: str) -> None:
        nonlocal passed
        passed += name == point
        if passed == passage and name == point:
            raise OSError(28, "the disk is full")

    came = 0
    with monkeypatch.context() as patch, pytest.raises(OSError, match="full"):
        patch.setattr(faults, "point", die)
        for segment in Plan(bench.spec(), bench.stores).segments():
            came = segment.shard
    folder = bench.root / "state" / "boxwright" / "operations" / "job" / "plan"
    blocks = [json.loads(path.read_text()) for path in sorted(folder.glob("index-*"))]
    assert len(blocks) == (passage if point == "plan.after_block" else passage - 1)
    assert came <= sum(len(block["cuts"]) for block in blocks)
    assert len(_items(bench.spec(), bench.stores)[0]) == ROWS // 10


def test_a_list_that_changes_between_the_plan_and_a_shard_ends_the_job(bench):
    bench.write_list([f"gs://b/{number:05}.jpg" for number in range(2 * ROWS)])
    segments = Plan(bench.spec(), bench.stores).segments()
    first = next(segments)
    (bench.bucket / "list.csv").unlink()
    bench.write_list([f"gs://b/{number:05}.png" for number in range(2 * ROWS)])
    with pytest.raises(errors.ApiError, match=r"gs://b/list\.csv changed while the job was running") as raised:
        _ = first.items
    assert raised.value.code == code_pb2.ABORTED


def test_another_attempts_block_that_cuts_otherwise_ends_the_job(bench):
    bench.write_list([f"gs://b/{number}.jpg" for number in range(30)])
    list(Plan(bench.spec(), bench.stores).segments())
    uri = bench.stores.state("operations/job/plan/index-0000001.json")
    block = json.loads(bench.stores.get(uri))
    bench.stores.put(uri, json.dumps(block | {"cuts": block["cuts"][:2], "end": None}).encode())
    with pytest.raises(errors.ApiError, match="changed while the job was running"):
        list(Plan(bench.spec(), bench.stores).segments())


def test_a_long_stretch_of_rows_that_were_listed_before_is_not_read_again(bench):
    lines = [*(f"gs://b/{number}.jpg" for number in range(5)), *["gs://b/1.jpg"] * 100_000, "gs://b/last.jpg"]
    bench.write_list(lines)
    list(Plan(bench.spec(), bench.stores).segments())
    stores = _Counting(bench)
    (segment,) = Plan(bench.spec(), stores).segments()
    assert [item.id for item in segment.items] == list(dict.fromkeys(lines))
    assert stores.read_bytes < 2 * plan_index.READ_BYTES


def test_a_row_of_an_archives_member_in_a_long_list_ends_the_index_and_not_the_job(bench):
    (bench.bucket / "x.tar").write_bytes(tar({"a.jpg": b"1", "b.jpg": b"2"}))
    lines = [f"gs://b/{number}.jpg" for number in range(ROWS)]
    lines[4000] = "gs://b/x.tar#b.jpg"
    bench.write_list(lines)
    spec = bench.spec()
    segments = list(Plan(spec, bench.stores).segments())
    assert [item.id for segment in segments for item in segment.items] == lines
    assert segments[400].items[0].held_bytes == 1
    folder = bench.root / "state" / "boxwright" / "operations" / "job" / "plan"
    assert len(list(folder.glob("segment-*"))) + 69 == len(segments) or not list(folder.glob("index-*"))
    assert list(Plan(spec, bench.stores).segments()) == segments


def test_stored_segments_are_written_several_at_a_time_and_come_in_order(bench):
    (bench.bucket / "dir").mkdir()
    for number in range(40):
        (bench.bucket / "dir" / f"{number:02}.jpg").write_bytes(b"x")
    together = threading.Barrier(plan_module.SEGMENT_PUTS)

    class Slow(objects.Stores):
        def put_once(self, uri, data):
            if "segment-" in uri.key and int(uri.key[-12:-5]) <= plan_module.SEGMENT_PUTS:
                together.wait(300)
            return super().put_once(uri, data)

    stores = Slow(bench.root / "buckets", bench.root / "state")
    shards = [segment.shard for segment in Plan(bench.spec(lists=["gs://b/dir/"], shard_images=2), stores).segments()]
    assert shards == list(range(1, 21))


def test_who_stops_a_plan_does_not_wait_for_its_list(bench, monkeypatch):
    monkeypatch.setattr(planner, "STOP_S", 0.0)
    bench.write_list([f"gs://b/{number}.jpg" for number in range(100_000)])
    may_go_on = threading.Event()

    class HeldUp(objects.Stores):
        def range(self, uri, start, length, *, e_tag=""):
            if start:
                may_go_on.wait()
            return super().range(uri, start, length, e_tag=e_tag)

    plan = Plan(bench.spec(shard_images=500), HeldUp(bench.root / "buckets", bench.root / "state"))
    segments = plan.segments()
    assert next(segments).shard == 1
    threading.Timer(0.0, plan.stop).start()
    assert len(list(segments)) < 199
    may_go_on.set()
    plan.close()
