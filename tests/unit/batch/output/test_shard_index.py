"""The tally: every shard is counted once, in order, in a few bytes."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import boxwright
from boxwright.batch.output.manifest import Manifest
from boxwright.batch.output.shard_index import OutputFile, ShardIndex

PATTERN = "shard_{}.jsonl"


def _digest(shard: int) -> str:
    return hashlib.sha256(str(shard).encode()).hexdigest()


def _tally(shards: dict[int, tuple[int, int]]) -> ShardIndex:
    tally = ShardIndex()
    for shard, (predicted, failed) in shards.items():
        tally.add(shard, predicted, failed, _digest(shard), {"NOT_FOUND": failed} if failed else {})
    return tally


SHARDS = st.dictionaries(
    st.integers(1, 60), st.tuples(st.integers(0, 500), st.integers(0, 500)).filter(any), max_size=20
)


@given(SHARDS)
def test_shards_come_in_order_whatever_order_they_finished_in(shards):
    tally = _tally(shards)
    expected = [OutputFile(PATTERN.format(shard), shards[shard][0], _digest(shard)) for shard in sorted(shards)]
    files = tally.files(PATTERN)
    assert files == expected
    assert list(files) == expected
    assert files[:2] == expected[:2]
    assert list(tally.failed_shards()) == [(shard, shards[shard][1]) for shard in sorted(shards) if shards[shard][1]]
    assert tally.predicted == sum(predicted for predicted, _ in shards.values())
    assert tally.failed == sum(tally.errors_by_code.values()) == sum(failed for _, failed in shards.values())


def test_shards_in_a_row_are_told_once_all_are_counted():
    tally = _tally({1: (3, 2), 2: (0, 1), 4: (1, 0)})
    assert tally.records(range(1, 3)) == [(3, 2, _digest(1)), (0, 1, _digest(2))]
    assert tally.records(range(2, 5)) is None
    assert tally.records(range(4, 6)) is None
    assert ShardIndex().records(range(1, 2)) is None


def test_a_shard_counts_once():
    tally = _tally({1: (3, 2)})
    tally.add(1, 3, 2, _digest(1), {"NOT_FOUND": 2})
    assert (tally.predicted, tally.failed, len(tally.files(PATTERN))) == (3, 2, 1)


def test_files_differ_from_others_and_have_no_more_than_there_are():
    files = _tally({1: (1, 0), 3: (2, 0)}).files(PATTERN)
    assert files != list(files)[:1]
    assert files != [*files, *files]
    with pytest.raises(IndexError):
        files[2]


@given(SHARDS)
def test_the_manifest_is_what_json_makes_of_it_as_a_whole(shards):
    manifest = Manifest(
        "SUCCEEDED", 9, 0, 1, {"NOT_FOUND": 2}, _tally(shards).files(PATTERN), [OutputFile("errors_1", 1, _digest(0))],
        {"name": 'the "shards": [] of', "digest": "d"}, {"score_threshold": 0.5},
    )  # fmt: skip
    document = dataclasses.asdict(dataclasses.replace(manifest, shards=list(manifest.shards)))
    document["errors_by_code"] = {"NOT_FOUND": {"images": 2, "retryable": False}}
    document = {"format_version": 1, "software": f"boxwright {boxwright.__version__}", **document}
    assert manifest.to_json() == json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n"
    assert Manifest.from_json(manifest.to_json()) == manifest
