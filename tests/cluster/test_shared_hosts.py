"""Several jobs on the hosts of one driver: who gets the next place, and the bytes of each."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from concurrent import futures

import pytest
from tests.support.machine.waiting import wait_until
from tests.support.predictions import engines
from tests.support.predictions.tiny_model import TinyModel

from boxwright.batch.output.sink import Sink
from boxwright.batch.plan import Plan
from boxwright.cluster import host_pool
from boxwright.cluster.fleet import Fleet
from boxwright.cluster.seats import OpenedSeat, Seat, Task, TaskAnswer


@pytest.fixture
def maker(tiny_model: TinyModel) -> Iterator[engines.RayMaker]:
    with engines.opened("ray", tiny_model) as maker:
        assert isinstance(maker, engines.RayMaker)
        yield maker


class Asker:
    """A job that asks for places by hand.

    Attributes:
        done: by host, how many of its shards that has done.
    """

    def __init__(self, bench, maker, name: str, project: str) -> None:
        values = {"shard_images": 1, "model_folder": maker.folder}
        self.job = bench.job(name, **values)
        sink = Sink(self.job.spec, bench.stores)
        sink.prepare()
        self._segments = iter(list(Plan(self.job.spec, bench.stores).segments()))
        self._fleet = Fleet(self.job, maker.pool(), lambda opened: "", group=project)
        self._seats: dict[Task, Seat] = {}
        self.done: collections.Counter[Seat] = collections.Counter()

    def ask(self) -> None:
        """Says that it has shards, and lets hosts begin with it."""
        self._fleet.want(10, 10)
        self._fleet.free()

    def hear(self, kind: type, count: int) -> None:
        """Waits for so many arrivals of a kind."""
        while count:
            arrival = wait_until(lambda: self._fleet.next(0.1), "an answer of a host")
            assert isinstance(arrival, kind), arrival
            count -= 1
            if isinstance(arrival, TaskAnswer):
                self.done[self._seats[arrival.task]] += 1

    def takes(self) -> bool:
        """Hands a shard over if there is a place for it."""
        seat = self._fleet.free()
        if seat is None:
            return False
        segment = next(self._segments)
        task = Task(segment.shard)
        self._seats[task] = seat
        self._fleet.hand(seat, task, segment.items, {})
        self._fleet.want(10, 10)
        return True

    def close(self) -> None:
        self._fleet.close()


def test_the_next_place_is_for_the_project_that_has_fewest_and_in_it_for_the_job_that_has(bench, maker, monkeypatch):
    monkeypatch.setattr(host_pool, "STALE_S", 1e9)
    pool = maker.pool()
    pool.start(2)
    wait_until(lambda: pool.up == 2, "two hosts")
    first, second, other = askers = [
        Asker(bench, maker, name, project) for name, project in [("p1", "p"), ("p2", "p"), ("q", "q")]
    ]
    first.ask()
    first.hear(OpenedSeat, 2)
    assert [first.takes() for _ in range(5)] == [True] * 4 + [False]  # alone it has every place
    for one in (second, other):
        one.ask()
        one.hear(OpenedSeat, 2)
    first.hear(TaskAnswer, 4)
    assert second.takes()  # nobody has anything
    assert not first.takes()
    assert not second.takes()  # their project has one, the other none
    assert other.takes()
    assert not second.takes()  # the other job of its project has none
    assert first.takes()
    assert not first.takes()
    assert other.takes()
    assert not any(one.takes() for one in askers)  # there is no place left
    for one, count in ((first, 1), (second, 1), (other, 2)):
        one.hear(TaskAnswer, count)
    assert sum((one.done for one in askers), collections.Counter()).total() == 8
    hosts = set(first.done)
    assert len(hosts) == 2  # and each of them has worked for another job too
    assert set(second.done) | set(other.done) == hosts
    for one in askers:
        one.close()


def test_jobs_that_run_together_and_lose_a_host_have_the_bytes_of_each_alone(bench, maker, reference):
    maker.pool().start(2)
    with futures.ThreadPoolExecutor(2) as threads:
        running = [threads.submit(engines.finish, bench, bench.job(name), maker) for name in ("left", "right")]
        host = wait_until(lambda: next(iter(engines.cluster().hosts()), None), "a host")
        host.kill()
        for one in running:
            one.result()
    assert bench.output("left") == bench.output("right") == reference
