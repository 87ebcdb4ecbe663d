"""The plan: read once, frozen segment by segment, the same at every later attempt."""

from __future__ import annotations

import contextlib
import json
import pathlib
import threading

import pytest
from google.rpc import code_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.predictions.batch_jobs import Bench

from boxwright import errors, objects
from boxwright.batch.inputs import list_pieces
from boxwright.batch.job import BatchSpec
from boxwright.batch.plan import Plan, read_segment
from boxwright.batch.row_judge import JUDGED_FROM_ROW
from boxwright.batch.segments import Segment


@pytest.fixture
def bench(tmp_path: pathlib.Path) -> Bench:
    return Bench(tmp_path)


def _segments(bench: Bench, **job: object) -> list[Segment]:
    return list(Plan(bench.spec(**job), bench.stores).segments())


def _ids(segments: list[Segment]) -> list[list[str]]:
    return [[item.id for item in segment.items] for segment in segments]


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff", ",,,\n"])
def test_an_empty_list_fails_with_the_known_text(bench, content):
    bench.write_list([])
    (bench.bucket / "list.csv").write_text(content, encoding="utf-8")
    with pytest.raises(errors.ApiError) as raised:
        _segments(bench)
    assert raised.value.message == "BatchPredict could not start due to empty input CSV file."
    assert raised.value.code == code_pb2.INVALID_ARGUMENT


def test_a_list_is_split_in_order_into_shards_of_the_given_size(bench):
    uris = [f"gs://b/{number}.jpg" for number in range(25)]
    bench.write_list(uris)
    segments = _segments(bench)
    assert [segment.shard for segment in segments] == [1, 2, 3]
    assert _ids(segments) == [uris[:10], uris[10:20], uris[20:]]


def test_a_list_that_fills_its_shards_exactly_has_no_empty_shard(bench):
    bench.write_list([f"gs://b/{number}.jpg" for number in range(20)])
    assert [len(segment.items) for segment in _segments(bench)] == [10, 10]


def test_several_lists_are_one_after_the_other_and_an_empty_one_is_nothing(bench):
    bench.write_list(["gs://b/1.jpg"], "first.csv")
    bench.write_list([], "empty.csv")
    bench.write_list(["gs://b/2.jpg"], "last.csv")
    lists = ["gs://b/first.csv", "gs://b/empty.csv", "gs://b/last.csv"]
    assert _ids(_segments(bench, lists=lists)) == [["gs://b/1.jpg", "gs://b/2.jpg"]]


def test_an_image_that_is_listed_again_is_planned_once_where_it_came_first(bench):
    bench.write_list(["gs://b/a.jpg", "gs://b/b.jpg", "gs://b/a.jpg"], "list.csv")
    bench.write_list(["gs://b/b.jpg", "gs://b/c.jpg", "gs://b/A.jpg"], "more.csv")
    plan = Plan(bench.spec(lists=["gs://b/list.csv", "gs://b/more.csv"]), bench.stores)
    assert _ids(list(plan.segments())) == [["gs://b/a.jpg", "gs://b/b.jpg", "gs://b/c.jpg", "gs://b/A.jpg"]]
    assert (plan.rows_read, plan.duplicates, plan.images_planned) == (6, 2, 4)


def test_only_the_first_column_is_read(bench):
    bench.write_list(["gs://b/a.jpg,label,0.1", '"gs://b/a,b.jpg",x', " gs://b/c d.jpg "])
    assert _ids(_segments(bench)) == [["gs://b/a.jpg", "gs://b/a,b.jpg", "gs://b/c d.jpg"]]


BAD_ROWS = [
    "a.jpg",
    "/photos/cat.jpg",
    "http://x/a.jpg",
    "gs://b",
    "gs://b/",
    "gs://b/../x",
    "gs://b/folder/",
    "state://boxwright/x",
]


@pytest.mark.parametrize("row", BAD_ROWS)
def test_a_row_that_is_no_path_is_planned_as_a_failed_image_with_its_place(bench, row):
    bench.write_list(["gs://b/a.jpg", row, "gs://b/c.jpg"])
    plan = Plan(bench.spec(), bench.stores)
    ((first, failed, last),) = [segment.items for segment in plan.segments()]
    assert (first.failure, last.failure) == (None, None)
    assert failed.id == row
    assert failed.failure.startswith("gs://b/list.csv, line 2: ")
    assert [status.message for status in plan.row_failures] == [failed.failure]


def test_a_job_fails_when_too_many_rows_are_no_paths_and_quotes_the_first(bench):
    bench.write_list(["gs://b/a.jpg", "bad 1", "bad 2"])
    with pytest.raises(
        errors.ApiError,
        match=r"2 of 3 rows are not usable paths of images, more than the limit of 50%.*line 2: the text there is not",
    ):
        _segments(bench)


def test_exactly_the_limit_is_not_too_many(bench):
    bench.write_list(["gs://b/a.jpg", "bad"])
    assert len(_segments(bench)) == 1
    assert len(_segments(bench, name="none", row_failure_limit=0.5)) == 1
    with pytest.raises(errors.ApiError):
        _segments(bench, name="strict", row_failure_limit=0.0)


def test_no_shard_starts_before_the_first_thousand_rows_are_judged(bench):
    bench.write_list(["gs://b/a.jpg", *(f"bad {number}" for number in range(JUDGED_FROM_ROW))])
    with pytest.raises(errors.ApiError, match=f"of {JUDGED_FROM_ROW} rows"):
        next(Plan(bench.spec(), bench.stores).segments())


def test_a_list_that_turns_bad_later_fails_then(bench):
    good = [f"gs://b/{number}.jpg" for number in range(JUDGED_FROM_ROW)]
    bench.write_list([*good, *(f"bad {number}" for number in range(2 * JUDGED_FROM_ROW))])
    plan = Plan(bench.spec(), bench.stores)
    with pytest.raises(errors.ApiError, match="more than the limit"):
        list(plan.segments())
    assert len(plan.row_failures) == 20


class _HeldUp(objects.Stores):
    """Stores that give no list's later part before they may."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench.root / "buckets", bench.root / "state")
        self.may_go_on = threading.Event()

    def range(self, uri, start, length, *, e_tag=""):
        if start:
            self.may_go_on.wait()
        return super().range(uri, start, length, e_tag=e_tag)


def test_shards_come_while_the_list_is_still_being_read(bench):
    rows = 4 * list_pieces.FIRST_BYTES // len("gs://b/00000.jpg\n")
    bench.write_list([f"gs://b/{number:05}.jpg" for number in range(rows)])
    stores = _HeldUp(bench)
    with contextlib.closing(Plan(bench.spec(shard_images=100), stores)) as plan:
        assert next(plan.segments()).shard == 1
        assert JUDGED_FROM_ROW < plan.rows_read < rows // 3
        assert not plan.is_complete
        assert plan.estimated_images() == pytest.approx(rows, rel=0.1)
        stores.may_go_on.set()
    assert Plan(plan._spec, bench.stores).estimated_images() is None, "nothing is known before the list is read"


def test_a_second_attempt_finds_the_same_plan(bench):
    bench.write_list([*(f"gs://b/{number}.jpg" for number in range(25)), "bad", "gs://b/1.jpg"])
    first = _segments(bench)
    assert _segments(bench) == first


def test_a_second_attempt_splits_as_the_first_did_even_if_it_stopped_early(bench):
    bench.write_list([f"gs://b/{number}.jpg" for number in range(2500)])
    stopped = next(Plan(bench.spec(shard_images=100), bench.stores).segments())
    again = _segments(bench, shard_images=100)
    assert again[0] == stopped
    assert [len(segment.items) for segment in again] == [100] * 25


def test_a_plan_is_not_split_otherwise_when_the_shard_size_was_changed_in_between(bench):
    bench.write_list([f"gs://b/{number}.jpg" for number in range(25)])
    first = _segments(bench, shard_images=10)
    assert _segments(bench, shard_images=5) == first


CHANGES = {
    "a row more": lambda lines: [*lines, "gs://b/new.jpg"],
    "a row less": lambda lines: lines[:-1],
    "another row of the same length": lambda lines: ["gs://b/9.jpg", *lines[1:]],
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_list_that_changed_under_a_running_job_fails_it_by_name(bench, what):
    lines = [f"gs://b/{number}.jpg" for number in range(5)]
    bench.write_list(lines)
    next(Plan(bench.spec(), bench.stores).segments())
    (bench.bucket / "list.csv").unlink()
    bench.write_list(CHANGES[what](lines))
    with pytest.raises(errors.ApiError, match=r"gs://b/list\.csv changed while the job was running") as raised:
        _segments(bench)
    assert raised.value.code == code_pb2.ABORTED


def test_a_row_that_was_added_behind_what_an_attempt_had_read_is_seen(bench):
    lines = [f"gs://b/{number}.jpg" for number in range(2500)]
    bench.write_list(lines)
    next(Plan(bench.spec(shard_images=100), bench.stores).segments())
    bench.write_list([*lines, "gs://b/new.jpg"])
    with pytest.raises(errors.ApiError, match=r"gs://b/list\.csv changed while the job was running"):
        _segments(bench, shard_images=100)


def test_a_list_that_is_gone_at_the_second_attempt_is_named(bench):
    bench.write_list(["gs://b/1.jpg"])
    _segments(bench)
    (bench.bucket / "list.csv").unlink()
    with pytest.raises(errors.ApiError, match=r"gs://b/list\.csv does not exist"):
        _segments(bench)


def test_the_frozen_plan_is_json_that_says_what_was_read(bench):
    bench.write_list(["gs://b/ä.jpg", "bad"])
    _segments(bench)
    folder = bench.root / "state" / "boxwright" / "operations" / "job" / "plan"
    header = json.loads((folder / "header.json").read_text())
    assert header["lists"][0][:2] == ["gs://b/list.csv", (bench.bucket / "list.csv").stat().st_size]
    block = json.loads((folder / "index-0000001.json").read_text())
    assert block["cuts"] == [[2, 1, [[0, 0, (bench.bucket / "list.csv").stat().st_size, 1, []]]]]
    assert block["end"][:3] == [2, 1, 2]
    assert "line 2" in block["end"][3][0][1]
    assert sorted(path.name for path in folder.iterdir()) == ["header.json", "index-0000001.json"]


@settings(max_examples=40, deadline=None)
@given(
    numbers=st.lists(st.integers(0, 30), min_size=1, max_size=60),
    shard_images=st.integers(1, 20),
    bad=st.sets(st.integers(0, 59), max_size=5),
)
def test_every_row_is_planned_once_or_is_a_duplicate(tmp_path_factory, numbers, shard_images, bad):
    bench = Bench(tmp_path_factory.mktemp("plan"))
    lines = [f"bad/{number}.jpg" if index in bad else f"gs://b/{number}.jpg" for index, number in enumerate(numbers)]
    bench.write_list(lines)
    plan = Plan(bench.spec(shard_images=shard_images, row_failure_limit=1.0), bench.stores)
    segments = list(plan.segments())
    planned = [item.id for segment in segments for item in segment.items]
    assert planned == list(dict.fromkeys(lines))
    assert plan.rows_read == len(lines) == len(planned) + plan.duplicates
    assert all(len(segment.items) == shard_images for segment in segments[:-1])
    assert 1 <= len(segments[-1].items) <= shard_images


def test_a_long_list_starts_with_small_shards_and_a_short_one_does_not(bench):
    bench.write_list([f"gs://b/{number}.jpg" for number in range(2600)])
    assert [len(segment.items) for segment in _segments(bench, shard_images=500)] == [100] * 5 + [500] * 4 + [100]
    bench.write_list([f"gs://b/{number}.jpg" for number in range(JUDGED_FROM_ROW - 1)], "short.csv")
    short = _segments(bench, lists=["gs://b/short.csv"], shard_images=500, name="short")
    assert [len(segment.items) for segment in short] == [500, 499]


def _as_former(bench: Bench, version: int, **job: object) -> BatchSpec:
    """A job whose plan was begun by a former version: its header is there, and nothing else."""
    spec = bench.spec(**job)
    next(Plan(spec, bench.stores).segments())
    uri = objects.ObjectUri.parse(spec.scratch).child("plan/header.json")
    header = json.loads(bench.stores.get(uri))
    del header["block_cuts"]
    bench.stores.delete_prefix(objects.ObjectUri.parse(spec.scratch))
    bench.stores.put(uri, json.dumps({**header, "version": version}).encode())
    return spec


def test_what_an_earlier_version_said_of_a_bad_row_stays(bench):
    bench.write_list(["gs://b/1.jpg", "bad", "gs://b/2.jpg"])
    spec = _as_former(bench, 2)
    uri = objects.ObjectUri.parse(spec.scratch).child("plan/segment-0000001.json")
    frozen = [["gs://b/1.jpg", None], ["bad", "said otherwise"], ["gs://b/2.jpg", None]]
    bench.stores.put(uri, json.dumps(frozen).encode())
    (segment,) = Plan(spec, bench.stores).segments()
    assert [[item.id, item.failure] for item in segment.items] == frozen
    bench.stores.put(uri, json.dumps([["gs://b/1.jpg", "once unusable"], *frozen[1:]]).encode())
    with pytest.raises(errors.ApiError, match="changed while the job was running"):
        list(Plan(spec, bench.stores).segments())


def test_a_plan_of_an_earlier_version_keeps_its_even_shards(bench):
    bench.write_list([f"gs://b/{number}.jpg" for number in range(1200)])
    even = _as_former(bench, 1, shard_images=500)
    assert [len(segment.items) for segment in Plan(even, bench.stores).segments()] == [500, 500, 200]
    bench.stores.delete_prefix(objects.ObjectUri.parse(even.scratch))
    small = _as_former(bench, 2, shard_images=500)
    segments = list(Plan(small, bench.stores).segments())
    assert [len(segment.items) for segment in segments] == [100] * 5 + [500, 200]
    scratch = objects.ObjectUri.parse(small.scratch)
    assert [read_segment(bench.stores, scratch, segment.shard) for segment in segments] == segments
