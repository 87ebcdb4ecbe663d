"""Two workers at one shard that find other results: the manifest speaks of the files that are there in the end."""

from __future__ import annotations

import hashlib
import json
import pathlib
from collections.abc import Callable

import pytest
from google.rpc import status_pb2
from tests.support.predictions.batch_jobs import Bench

from boxwright import errors, objects
from boxwright.batch.output import json_lines, sidecars
from boxwright.batch.output.sink import Sink

SHARD = "image_object_detection_1.jsonl"
GONE, AWAY = status_pb2.Status(code=5, message="gone"), status_pb2.Status(code=14, message="away")
CANDIDATES = sidecars.CANDIDATES


class Interrupted(objects.Stores):
    """Does something else before, or after, the first object is written whose key ends so; an error ends the writer."""

    def __init__(self, bench: Bench, suffix: str, between: Callable[[], None], *, after: bool = False) -> None:
        super().__init__(bench.root / "buckets", bench.root / "state")
        self._suffix, self._between, self._after = suffix, between, after

    def put(self, uri, data):
        self._pass(uri, False)
        super().put(uri, data)
        self._pass(uri, True)

    def put_once(self, uri, data):
        self._pass(uri, False)
        is_written = super().put_once(uri, data)
        self._pass(uri, True)
        return is_written

    def _pass(self, uri: objects.ObjectUri, is_after: bool) -> None:
        if uri.key.endswith(self._suffix) and is_after == self._after:
            self._suffix = "?"
            self._between()


class Killed(Exception):
    """The writer is gone."""


def _die() -> None:
    raise Killed


@pytest.fixture
def bench(tmp_path: pathlib.Path) -> Bench:
    return Bench(tmp_path)


def _commit(bench: Bench, who: str, stores: objects.Stores | None = None) -> None:
    """Two images of three have a line of the worker's own; what is wrong with the third differs as well."""
    lines = [b'{"ID":"%d","by":"%s"}\n' % (number, who.encode()) for number in (1, 2)]
    failures = [GONE if who == "first" else AWAY]
    error_lines = [json_lines.error_line("gs://b/3.jpg", status) for status in failures]
    sink = Sink(bench.spec(), stores or bench.stores)
    sink.commit(1, lines, error_lines, failures, beside={CANDIDATES: who.encode()})


def _refused(bench: Bench, who: str, stores: objects.Stores | None = None) -> None:
    with pytest.raises(errors.ApiError, match="other results") as caught:
        _commit(bench, who, stores)
    assert caught.value.code_name == "ABORTED"


def _closed_by_another(bench: Bench, *, sweep: bool) -> dict[str, str]:
    """Who has the shard, its errors and its candidates by the manifest that another worker makes; all must be there."""
    sink = Sink(bench.spec(), bench.stores)
    if sweep:
        sink.recall()
        sink.committed(1)
        sink.end_recall()
    manifest = sink.close("CANCELLED", rows_read=0, duplicates=0, model_digest="d")
    output = bench.output()
    for file in [*manifest.shards, *manifest.errors_files, *manifest.candidates]:
        assert hashlib.sha256(output[file.name]).hexdigest() == file.sha256
    assert sum(manifest.errors_by_code.values()) == sum(file.lines for file in manifest.errors_files)
    if not manifest.shards:
        return {}
    by_lines = json.loads(output[manifest.shards[0].name].splitlines()[0])["by"]
    code = json.loads(output[manifest.errors_files[0].name])["status"]["code"]
    assert [list(manifest.errors_by_code)] == [["NOT_FOUND" if code == 5 else "UNAVAILABLE"]]
    by = {"lines": by_lines, "errors": "first" if code == 5 else "second"}
    return by | {"candidates": output[manifest.candidates[0].name].decode()}


def _all_by(who: str) -> dict[str, str]:
    return dict.fromkeys(("lines", "errors", "candidates"), who)


@pytest.mark.parametrize("sweep", [True, False])
def test_who_comes_second_changes_nothing(bench, sweep):
    _commit(bench, "first")
    _refused(bench, "second")
    assert _closed_by_another(bench, sweep=sweep) == _all_by("first")


@pytest.mark.parametrize("sweep", [True, False])
@pytest.mark.parametrize("suffix", ["1-errors.jsonl", "1-report.json"])
def test_notes_of_a_killed_worker_do_not_hold(bench, suffix, sweep):
    with pytest.raises(Killed):
        _commit(bench, "first", Interrupted(bench, suffix, _die, after=True))
    _commit(bench, "second")
    assert _closed_by_another(bench, sweep=sweep) == _all_by("second")


@pytest.mark.parametrize("sweep", [True, False])
def test_a_slow_worker_comes_too_late(bench, sweep):
    _refused(bench, "first", Interrupted(bench, SHARD, lambda: _commit(bench, "second")))
    # what the slow one had beside its shard was replaced before the other's was put
    assert _closed_by_another(bench, sweep=sweep) == _all_by("second")


@pytest.mark.parametrize("sweep", [True, False])
@pytest.mark.parametrize("suffix", ["1-errors.jsonl", "1-report.json"])
def test_a_slow_worker_is_there_before_the_other(bench, suffix, sweep):
    def other_is_overtaken() -> None:
        _refused(bench, "second", Interrupted(bench, SHARD, lambda: _commit(bench, "first")))

    first = Interrupted(bench, suffix, other_is_overtaken, after=True)
    _commit(bench, "first", first)
    assert _closed_by_another(bench, sweep=sweep) == _all_by("first")


def test_a_shard_whose_candidates_another_has_replaced_is_worked_out_again(bench):
    _refused(bench, "second", Interrupted(bench, "object_detection_1.parquet", lambda: _commit(bench, "first")))
    sink = Sink(bench.spec(), bench.stores)
    sink.recall()
    assert sink.committed(1) is None
    sink.end_recall()
    _commit(bench, "first")
    assert _closed_by_another(bench, sweep=True) == _all_by("first")
