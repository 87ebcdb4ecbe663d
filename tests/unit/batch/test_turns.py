"""Turns of one job: each begins with what the last one knew, in as many calls whatever is finished, to the same bytes."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import pathlib
import threading
from typing import Any

import pytest
from tests.support.images import drawn_images
from tests.support.machine.waiting import PATIENCE_S
from tests.support.predictions.batch_inputs import tar
from tests.support.predictions.batch_jobs import Bench

from boxwright import objects
from boxwright.batch import child_main, turn_file
from boxwright.batch.engine.loaded_models import LoadedModels
from boxwright.batch.engine.peer_pool import PeerPool
from boxwright.batch.events import Events
from boxwright.batch.job import Attempt, BatchJob
from boxwright.batch.output.sink import Sink

IMAGES = 40
CALLS = ("get_with_version", "version", "head", "put", "put_once", "range", "keys", "list", "delete_written")
UNDER_WAY = 4  # images that one thread and its readers have in hand, a shard each
MOST_CALLS = 30  # of a turn, besides those that put its shards: a stop may come late on a busy machine


class Told(Events):
    """Keeps what a job says, and stops it once it has finished so many shards itself."""

    def __init__(self, most_shards: int | None) -> None:
        self.stop = threading.Event()
        self.said: list[dict[str, Any]] = []
        self._most = most_shards
        self._begun = itertools.count(1)

    def hold(self) -> None:
        """Lets no more shards be finished than are wanted before the job is stopped."""
        if self._most is not None and next(self._begun) > self._most:
            assert self.stop.wait(PATIENCE_S)

    def say(self, event: str, **values: Any) -> None:
        self.said.append({"event": event, **values})
        if event == "shard" and values["committed"] == self._most:
            self.stop.set()

    def all(self, event: str) -> list[dict[str, Any]]:
        return [one for one in self.said if one["event"] == event]


class Turns:
    """Runs turns of jobs over the images of a bucket, and counts the calls that are not for images."""

    def __init__(self, bench: Bench, model: Any, models: LoadedModels, peers: PeerPool) -> None:
        self.bench, self._model, self._models, self._peers = bench, model, models, peers
        names = drawn_images.write_images(bench.bucket, IMAGES)
        self.uris = [f"gs://b/{name}" for name in names]
        bench.write_list(self.uris)
        self.calls: collections.Counter[str] = collections.Counter()

    def job(self, name: str, epoch: int, **values: Any) -> BatchJob:
        notes = self.bench.root / "notes" / name
        values = {"shard_images": 1, "image_failure_limit": 1.0, **values}
        job = self.bench.job(name, threads=1, model_folder=self._model.folder, notes=notes, **values)
        return dataclasses.replace(job, attempt=Attempt(f"projects/p/locations/l/operations/{name}", epoch))

    def turn(self, name: str, epoch: int, shards: int | None = None, **values: Any) -> Told:
        told = Told(shards)
        self.calls.clear()
        self.told = told
        child_main.run_job(self.job(name, epoch, **values), self._models, self._peers, told, told.stop)
        return told


@pytest.fixture
def turns(tmp_path: pathlib.Path, tiny_model, models, peers, monkeypatch) -> Turns:
    turns = Turns(Bench(tmp_path), tiny_model, models, peers)

    def counted(name: str) -> Any:
        call = getattr(objects.Stores, name)

        def count(self: objects.Stores, uri: objects.ObjectUri, *arguments: Any, **options: Any) -> Any:
            turns.calls[name] += not uri.key.endswith((".jpg", ".png"))
            return call(self, uri, *arguments, **options)

        return count

    commit_lines = Sink.commit_lines

    def held(self: Sink, *arguments: Any) -> Any:
        turns.told.hold()
        return commit_lines(self, *arguments)

    monkeypatch.setattr(Sink, "commit_lines", held)
    for name in CALLS:
        monkeypatch.setattr(objects.Stores, name, counted(name))
    return turns


def _ended(told: Told) -> dict[str, Any]:
    """What the end of a job says that the number of turns does not change."""
    (done,) = told.all("done")
    return {
        key: done[key] for key in ("shards", "images", "failed", "one_colour", "rows_read", "duplicates", "left_out")
    }


def test_a_turn_goes_on_where_the_last_one_ended_with_the_same_bytes(turns):
    whole = turns.turn("whole", 1)
    calls = []
    for epoch in range(1, 6):
        told = turns.turn("turns", epoch, shards=3)
        calls.append(turns.calls.total() - turns.calls["put_once"])
        assert told.said[-1] == {"event": "stopped"}
        assert len(told.all("resumed")) == (epoch > 1)
        found = [one for one in told.all("shard") if one["is_found"]]
        assert len(found) <= UNDER_WAY, "only what was under way when the last turn ended"
    last = turns.turn("turns", 6)
    assert turns.bench.output("turns") == turns.bench.output("whole")
    assert _ended(last) == _ended(whole)
    assert last.all("done")[0]["found"] == last.all("resumed")[0]["images"] >= 15
    assert max(calls[1:]) <= MOST_CALLS


def test_the_calls_of_a_turn_do_not_depend_on_what_is_finished(turns):
    turns.turn("few", 1, shards=2)
    turns.turn("few", 2, shards=1)
    few = turns.calls.total() - turns.calls["put_once"]
    turns.turn("many", 1, shards=25)
    turns.turn("many", 2, shards=1)
    many = turns.calls.total() - turns.calls["put_once"]
    assert max(few, many) <= MOST_CALLS, "and not two for each finished shard"


@pytest.mark.parametrize("why", ["another worker had it", "its child died", "damaged", "no more a job of this pass"])
def test_what_a_turn_knew_is_left_where_it_may_not_hold(turns, why):
    whole = turns.turn("whole", 1)
    turns.turn("job", 1, shards=10)
    path = turns.bench.root / "notes" / "job" / turn_file.FILE
    if why == "damaged":
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    if why == "its child died":
        assert turn_file.taken(turns.job("job", 2)) is not None
    epoch, values = (3, {}) if why.startswith("another") else (2, {"pass_number": 1} if "pass" in why else {})
    told = turns.turn("job", epoch, **values)
    assert not told.all("resumed")
    assert len([one for one in told.all("shard") if one["is_found"]]) >= 10
    assert _ended(told) == _ended(whole)
    assert turns.bench.output("job") == turns.bench.output("whole")


def test_failures_of_earlier_turns_are_told_at_once(turns):
    turns.bench.write_list(["gs://b/missing.jpg", *turns.uris, "gs://b/gone.jpg", "no path", turns.uris[0]])
    whole = turns.turn("whole", 1)
    turns.turn("turns", 1, shards=2)
    (resumed,) = turns.turn("turns", 2, shards=38).all("resumed")
    assert [failure[:2] for failure in resumed["first"]] == [(1, 5)]
    assert [(name, *found[:2]) for name, found in resumed["reasons"].items()] == [("NOT_FOUND", 1, 1)]
    assert resumed["failed"] == 1
    last = turns.turn("turns", 3)
    assert _ended(last) == _ended(whole)
    assert turns.bench.output("turns") == turns.bench.output("whole")


def test_shards_that_were_put_since_are_found_if_they_were_under_way(turns):
    turns.turn("whole", 1)
    turns.turn("turns", 1, shards=5)
    kept = turns.bench.output("whole")
    sink = Sink(turns.bench.spec("turns"), turns.bench.stores)
    done = {f"{sink._spec.kind}_{shard}.jsonl" for shard in range(1, IMAGES + 1)} & turns.bench.output("turns").keys()
    late = next(shard for shard in range(1, IMAGES) if f"{sink._spec.kind}_{shard}.jsonl" not in done)
    state = turn_file.taken(turns.job("turns", 2))
    assert state is not None
    state.values["sink"]["asked"] = late + 1  # as if these two had been begun, and only the first ends later
    turn_file.keep(turns.job("turns", 1), state)
    sink.commit(late, kept[f"{sink._spec.kind}_{late}.jsonl"].splitlines(keepends=True), [], [])
    told = turns.turn("turns", 2)
    assert [one["shard"] for one in told.all("shard") if one["is_found"]] == [late]
    assert turns.bench.output("turns") == kept


@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_turns_of_what_is_no_list_store_nothing_again_and_work_on_the_rest(turns, kind):
    images = {
        uri.rpartition("/")[2]: (turns.bench.bucket / uri.rpartition("/")[2]).read_bytes() for uri in turns.uris[:12]
    }
    if kind == "archive":
        (turns.bench.bucket / "photos.tar").write_bytes(tar(images))
        lists = ["gs://b/photos.tar"]
    else:
        (turns.bench.bucket / "photos").mkdir()
        for name, content in images.items():
            (turns.bench.bucket / "photos" / name).write_bytes(content)
        lists = ["gs://b/photos/"]
    whole = turns.turn("whole", 1, lists=lists)
    first = turns.turn("turns", 1, shards=8, lists=lists)
    last = turns.turn("turns", 2, lists=lists)
    known = last.all("resumed")[0]["shards"]
    assert known >= len(first.all("shard")) == 8
    assert turns.calls["put_once"] <= 3 * (12 - known) + 2  # segment, notes and shard of each that is left
    assert _ended(last) == _ended(whole)
    assert turns.bench.output("turns") == turns.bench.output("whole")
