"""The watcher: one question for everybody, asked only while somebody waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection
from concurrent import futures

import pytest
from google.cloud import automl_v1
from google.longrunning import operations_pb2
from tests.unit.surface import tiny_service

from boxwright import callers, errors
from boxwright.surface import methods, waiting

LONG_S = 3600.0
ROWS = {row.rpc: row for row in methods.TABLE}


class Ledger:
    """Answers who is finished, and remembers what it was asked."""

    def __init__(self) -> None:
        self.finished: set[str] = set()
        self.questions: list[tuple[str, ...]] = []
        self.asked = threading.Event()

    def finished_among(self, names: Collection[str]) -> set[str]:
        self.questions.append(tuple(sorted(names)))
        self.asked.set()
        return self.finished & set(names)


async def all_wait(watcher: waiting.OperationNotifier, count: int) -> None:
    async with asyncio.timeout(tiny_service.TIMEOUT_S):
        while watcher.waiting_count != count:
            await asyncio.sleep(0)


def test_nobody_waits_nobody_asks() -> None:
    ledger = Ledger()
    watcher = waiting.OperationNotifier(ledger.finished_among)
    watcher.notify("a")
    watcher.close()
    assert (watcher.waiting_count, ledger.questions) == (0, [])


def test_one_question_serves_everybody_and_the_asking_ends() -> None:
    async def run() -> None:
        ledger = Ledger()
        watcher = waiting.OperationNotifier(ledger.finished_among, LONG_S)
        waits = [asyncio.create_task(watcher.until_done(name, LONG_S)) for name in ("a", "a", "b", "c")]
        await all_wait(watcher, 4)
        ledger.finished = {"a", "c"}
        watcher.notify("b")
        assert await waits[0] and await waits[1] and await waits[3]
        assert ledger.questions == [("a", "b", "c")]
        assert not waits[2].done()
        ledger.finished.add("b")
        watcher.notify("b")
        assert await waits[2]
        await all_wait(watcher, 0)
        assert watcher._poller is not None
        await watcher._poller
        assert ledger.questions == [("a", "b", "c"), ("b",)]

    asyncio.run(run())


def test_polling_finds_what_nobody_announced() -> None:
    async def run() -> None:
        ledger = Ledger()
        watcher = waiting.OperationNotifier(ledger.finished_among, 0.001)
        wait = asyncio.create_task(watcher.until_done("a", LONG_S))
        await asyncio.to_thread(ledger.asked.wait, tiny_service.TIMEOUT_S)
        ledger.finished = {"a"}
        assert await wait

    asyncio.run(run())


def test_time_runs_out_and_a_closed_watcher_does_not_wait() -> None:
    async def run() -> None:
        watcher = waiting.OperationNotifier(Ledger().finished_among, LONG_S)
        assert not await watcher.until_done("a", 0.001)
        assert not await watcher.until_done("a", 0)
        assert watcher.waiting_count == 0
        wait = asyncio.create_task(watcher.until_done("a", LONG_S))
        await all_wait(watcher, 1)
        await asyncio.to_thread(watcher.close)
        assert not await wait
        assert not await watcher.until_done("b", LONG_S)

    asyncio.run(run())


def test_a_failing_question_releases_everybody(caplog: pytest.LogCaptureFixture) -> None:
    def fail(names: Collection[str]) -> set[str]:
        raise OSError("the database is away")

    async def run() -> None:
        watcher = waiting.OperationNotifier(fail, 0.001)
        assert not await watcher.until_done("a", LONG_S)
        assert not await watcher.until_done("a", LONG_S)  # and waiting begins anew

    asyncio.run(run())
    assert [record.getMessage() for record in caplog.records] == ["event=watcher_failed"] * 2


def test_polled_names_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MAX_REMEMBERED_POLLS", 2)
    watcher = waiting.OperationNotifier(Ledger().finished_among)
    assert [watcher.was_polled_before(name) for name in ("a", "b", "a", "c", "b", "a")] == [
        False,
        False,
        True,
        False,
        False,  # forgotten when c came
        False,  # forgotten when b came back
    ]


WAITS: list[tuple[operations_pb2.WaitOperationRequest, float | None, float]] = [
    # request, time to the caller's deadline, how long is waited
    (operations_pb2.WaitOperationRequest(), None, 300.0),  # no timeout: the limit
    (operations_pb2.WaitOperationRequest(timeout={"seconds": 9999}), None, 300.0),
    (operations_pb2.WaitOperationRequest(timeout={"nanos": 500_000_000}), None, 0.5),
    (operations_pb2.WaitOperationRequest(timeout={}), None, 0.0),  # given, and nothing
    (operations_pb2.WaitOperationRequest(timeout={"seconds": -5}), None, -5.0),
    (operations_pb2.WaitOperationRequest(), 60.0, 59.0),
    (operations_pb2.WaitOperationRequest(), 5.0, 4.5),
    (operations_pb2.WaitOperationRequest(timeout={"seconds": 2}), 5.0, 2.0),
    (operations_pb2.WaitOperationRequest(), -1.0, -0.9),
]


@pytest.mark.parametrize("request_, remaining_s, expected_s", WAITS, ids=range(len(WAITS)))
def test_a_wait_is_as_long_as_the_caller_wants_it(
    request_: operations_pb2.WaitOperationRequest, remaining_s: float | None, expected_s: float
) -> None:
    with futures.ThreadPoolExecutor(1) as pool:
        reception = waiting.CallExecutor(
            tiny_service.build_house().dispatcher, waiting.OperationNotifier(Ledger().finished_among), pool
        )
        assert reception._wait_s(request_, remaining_s) == pytest.approx(expected_s)


def test_a_poll_is_held_from_the_second_on_and_for_a_third_of_the_deadline() -> None:
    with futures.ThreadPoolExecutor(1) as pool:
        watcher = waiting.OperationNotifier(Ledger().finished_among, hold_s=5.0)
        reception = waiting.CallExecutor(tiny_service.build_house().dispatcher, watcher, pool)
        request = operations_pb2.GetOperationRequest(name="a")
        held_s = [reception._wait_s(request, remaining_s) for remaining_s in (60.0, 60.0, 6.0, None)]
        assert held_s == [0.0, 5.0, 2.0, pytest.approx(10 / 3)]


def test_a_stopped_pool_is_unavailable() -> None:
    async def run() -> None:
        pool = futures.ThreadPoolExecutor(1)
        watcher = waiting.OperationNotifier(Ledger().finished_among)
        reception = waiting.CallExecutor(tiny_service.build_house().dispatcher, watcher, pool)
        pool.shutdown()
        row = ROWS["GetModel"]
        with pytest.raises(errors.ApiError, match="shutting down"):
            await reception.answer(
                row, automl_v1.GetModelRequest.pb(), callers.ANONYMOUS, lambda answer: answer, remaining_s=None
            )

    asyncio.run(run())
