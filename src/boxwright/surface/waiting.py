"""Waiting clients wait on the event loop, not in a thread.

    OperationNotifier   wakes waiters when an operation is done; one query for all of them, and only while one waits
    CallExecutor        the one asynchronous path of both API servers: dispatch in the thread pool, waiting in between

`WaitOperation` waits up to its timeout. `GetOperation` is held for a short while from the second poll of a running
operation on, so that clients with long polling intervals learn of the end when it happens. Neither passes the caller's
deadline, and both answer at once when the watcher is closed.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
import time
from collections.abc import Callable, Collection
from concurrent import futures
from typing import Any, TypeVar

from google.longrunning import operations_pb2
from google.protobuf import message
from google.rpc import code_pb2

from boxwright import callers, errors
from boxwright.surface import dispatch, limits, methods
from boxwright.telemetry import spans
from boxwright.telemetry.metrics import Metrics
from boxwright.telemetry.trace_context import TraceContext

_WAITING_RPCS = ("GetOperation", "WaitOperation")
_log = logging.getLogger(__name__)
_T = TypeVar("_T")

JUDGE = "boxwright.surface.JudgeRequest"  # the name in the audit log of what is refused before its method is known
WAIT_LIMIT_S = 300.0  # the published backend limit of WaitOperation
ASSUMED_DEADLINE_S = 10.0  # HTTP callers do not tell theirs; a GetOperation there is held for a third of this at most
MAX_REMEMBERED_POLLS = 4096  # names; forgetting one costs its client a single unheld poll
MAX_WAITING = 200  # calls of one account at a time; more are answered at once
DEADLINE_MARGIN_S = 1.0  # the answer's way back, or a tenth of what is left if that is less


class OperationNotifier:
    """Wakes waiters when their operation is done.

    Args:
        finished_among: answers which of the given operations are done or gone; called in the thread pool.
        poll_interval_s: how often it is asked while somebody waits.
        hold_s: how long a running operation's GetOperation is held at most; 0 switches holding off.
        executor: the thread pool for `finished_among`; the loop's own when None.

    Everything but `notify` and `close` belongs to the loop's thread.
    """

    def __init__(
        self,
        finished_among: Callable[[Collection[str]], set[str]],
        poll_interval_s: float = 0.1,
        *,
        hold_s: float = 5.0,
        executor: futures.Executor | None = None,
    ) -> None:
        self.hold_s = hold_s
        self._finished_among = finished_among
        self._poll_interval_s = poll_interval_s
        self._executor = executor
        self._loop: asyncio.AbstractEventLoop | None = None
        self._poke = asyncio.Event()
        self._waiters: dict[str, set[asyncio.Future[bool]]] = {}
        self._poller: asyncio.Task[None] | None = None
        self._polled: collections.OrderedDict[str, None] = collections.OrderedDict()
        self._is_closed = False

    @property
    def waiting_count(self) -> int:
        """How many callers wait now."""
        return sum(len(waiters) for waiters in self._waiters.values())

    async def until_done(self, name: str, timeout_s: float) -> bool:
        """Waits until the operation is done or gone; False when time ran out or the watcher was closed."""
        if self._is_closed or timeout_s <= 0:
            return False
        self._loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = self._loop.create_future()
        self._waiters.setdefault(name, set()).add(waiter)
        if self._poller is None or self._poller.done():
            self._poller = self._loop.create_task(self._poll(), name="operations-watcher")
            self._poller.add_done_callback(self._poller_ended)
        try:
            async with asyncio.timeout(timeout_s):
                return await waiter
        except TimeoutError:
            return False
        finally:
            self._forget(name, waiter)

    def was_polled_before(self, name: str) -> bool:
        """Remembers that this operation is polled, and tells whether it was before."""
        is_known = name in self._polled
        self._polled[name] = None
        self._polled.move_to_end(name)
        if len(self._polled) > MAX_REMEMBERED_POLLS:
            self._polled.popitem(last=False)
        return is_known

    def notify(self, name: str) -> None:
        """Says, from any thread, that an operation changed: its waiters look again at once."""
        self._on_loop(self._look_again, name)

    def close(self) -> None:
        """Releases everybody who waits, from any thread; later waits end at once. For the start of a shutdown."""
        self._is_closed = True
        self._on_loop(self._release, False)

    def _on_loop(self, callback: Callable[..., None], *args: Any) -> None:
        if self._loop is not None and not self._loop.is_closed():  # without a loop nobody has ever waited
            self._loop.call_soon_threadsafe(callback, *args)

    def _look_again(self, name: str) -> None:
        if name in self._waiters:
            self._poke.set()

    def _forget(self, name: str, waiter: asyncio.Future[bool]) -> None:
        waiters = self._waiters.get(name)
        if waiters is not None:
            waiters.discard(waiter)
            if not waiters:
                del self._waiters[name]
                if not self._waiters:
                    self._poke.set()  # lets the poller see that nobody waits any more

    def _release(self, is_done: bool, names: Collection[str] | None = None) -> None:
        for name in list(self._waiters) if names is None else names:
            for waiter in self._waiters.get(name, ()):
                if not waiter.done():
                    waiter.set_result(is_done)

    async def _poll(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiters:
            try:
                async with asyncio.timeout(self._poll_interval_s):
                    await self._poke.wait()
            except TimeoutError:
                pass
            self._poke.clear()
            names = tuple(self._waiters)
            if names:
                self._release(True, await loop.run_in_executor(self._executor, self._finished_among, names))

    def _poller_ended(self, poller: asyncio.Task[None]) -> None:
        failure = None if poller.cancelled() else poller.exception()
        if isinstance(failure, errors.ApiError):
            _log.warning("event=watcher_failed reason=%s", failure)
        elif failure is not None:
            _log.error("event=watcher_failed", exc_info=failure)
        if failure is not None or poller.cancelled():
            self._release(False)  # a caller that still waits asks the service itself, which reports what is wrong


class CallExecutor:
    """Carries the calls of one API server through dispatch, and waits where a method waits.

    Args:
        dispatcher: where every call goes.
        watcher: who knows when operations end.
        executor: the bounded thread pool in which dispatch runs.
        decoding: the one for calls that decode images; None: there is no other.
        metrics: counts calls, and those that are refused.
        traces: begins the spans of calls.
        door: what the metrics call this API server, ``rest`` or ``grpc``.
    """

    def __init__(
        self,
        dispatcher: dispatch.Dispatcher,
        watcher: OperationNotifier,
        executor: futures.Executor,
        decoding: futures.Executor | None = None,
        metrics: Metrics | None = None,
        door: str = "rest",
        traces: spans.Traces | None = None,
    ) -> None:
        self._dispatcher = dispatcher
        self._metrics, self._door = metrics or Metrics(), door
        self._traces = traces or spans.Traces()
        self._watcher = watcher
        self._executor = executor
        self._decoding = decoding or executor
        self._waiting: collections.Counter[str] = collections.Counter()  # by member

    async def admit(self, method: str, headers: dispatch.Headers, address: str = "") -> callers.Caller:
        """Says who is calling, by the headers of a call; `method` is its name with dots.

        Raises:
            ApiError: the caller is nobody who may call.
        """
        origin = dispatch.origin_of(headers, address)
        try:
            caller = self._dispatcher.admit(method, headers, origin, may_wait=False)
            if caller is None:
                caller = await self._run(lambda: self._dispatcher.admit(method, headers, origin))
        except errors.ApiError as error:
            refusal = error
            self._count_refusal(error)
            await self._run(lambda: self._dispatcher.refused(method, origin, refusal))
            raise
        if caller is None:
            raise TypeError("Who decides on calls has not said who is calling.")
        return caller

    async def refused(self, headers: dispatch.Headers, address: str, error: errors.ApiError) -> None:
        """Records what was refused by its host, its origin or where it comes from."""
        origin = dispatch.origin_of(headers, address)
        self._count_refusal(error)
        with contextlib.suppress(errors.ApiError):  # the service stops: it is refused all the same
            await self._run(lambda: self._dispatcher.refused(JUDGE, origin, error))

    async def answer(
        self,
        row: methods.Method,
        read: Callable[[], message.Message],
        caller: callers.Caller,
        write: Callable[[message.Message], _T],
        *,
        remaining_s: float | None,
        body: limits.Body | None = None,
    ) -> _T:
        """Answers one call; `remaining_s` is the time to the caller's deadline, None when it is unknown.

        The bytes of `body`, which `read` reads, stay counted for as long as a thread works on the call.

        Raises:
            ApiError: anything that went wrong, fit to be shown to the caller.
        """
        code, started_s = "OK", time.perf_counter()
        self._metrics.add("boxwright_rpc_in_flight", 1, self._door)
        parent = TraceContext.parse(caller.origin.traceparent)
        with spans.entered(self._traces.begin(f"{row.service}/{row.rpc}", parent, is_request=True)) as span:
            try:
                return await self._answer(row, read, caller, write, remaining_s=remaining_s, body=body)
            except errors.ApiError as error:
                code = error.code_name
                if error.code in (code_pb2.PERMISSION_DENIED, code_pb2.RESOURCE_EXHAUSTED):
                    self._count_refusal(error)
                raise
            except BaseException:  # the caller has hung up
                code = "CANCELLED"
                raise
            finally:
                self._metrics.add("boxwright_rpc_in_flight", -1, self._door)
                took_s = time.perf_counter() - started_s
                self._metrics.observe("boxwright_rpc_seconds", took_s, row.rpc, self._door, code)
                span.set(door=self._door, code=code)

    def _count_refusal(self, error: errors.ApiError) -> None:
        self._metrics.add("boxwright_access_denied_total", 1, self._door, error.code_name)

    async def _answer(
        self,
        row: methods.Method,
        read: Callable[[], message.Message],
        caller: callers.Caller,
        write: Callable[[message.Message], _T],
        *,
        remaining_s: float | None,
        body: limits.Body | None,
    ) -> _T:
        if row.service != methods.OPERATIONS or row.rpc not in _WAITING_RPCS:

            def serve() -> _T:
                with body.used() if body is not None else contextlib.nullcontext():
                    return self._dispatcher.serve(row, read, caller, write)

            return await self._run(serve, self._decoding if row.decodes else self._executor)
        started_s = asyncio.get_running_loop().time()
        request: Any = await self._run(lambda: self._dispatcher.guard(row.dotted_name, read))
        operation: Any = await self._run(lambda: self._dispatcher.call(row, request, caller))
        if not operation.done:
            if remaining_s is not None:
                remaining_s -= asyncio.get_running_loop().time() - started_s
            wait_s = self._wait_s(request, remaining_s)
            if wait_s > 0 and not (caller.member and self._waiting[caller.member] >= MAX_WAITING):
                await self._wait(request.name, wait_s, caller)
                operation = await self._run(lambda: self._dispatcher.call(row, request, caller, is_again=True))
        return await self._run(lambda: self._dispatcher.guard(row.dotted_name, lambda: write(operation)))

    async def _wait(self, name: str, wait_s: float, caller: callers.Caller) -> None:
        self._waiting[caller.member] += 1
        self._metrics.add("boxwright_waiting_calls", 1, self._door)
        try:
            await self._watcher.until_done(name, wait_s)
        finally:
            self._metrics.add("boxwright_waiting_calls", -1, self._door)
            self._waiting[caller.member] -= 1
            if not self._waiting[caller.member]:
                del self._waiting[caller.member]

    def _wait_s(self, request: Any, remaining_s: float | None) -> float:
        if isinstance(request, operations_pb2.WaitOperationRequest):
            asked_s = request.timeout.seconds + request.timeout.nanos / 1e9
            wait_s = min(asked_s, WAIT_LIMIT_S) if request.HasField("timeout") else WAIT_LIMIT_S
            return (
                wait_s if remaining_s is None else min(wait_s, remaining_s - min(DEADLINE_MARGIN_S, remaining_s / 10))
            )
        if not self._watcher.was_polled_before(request.name):
            return 0.0
        return min(self._watcher.hold_s, (ASSUMED_DEADLINE_S if remaining_s is None else remaining_s) / 3)

    async def _run(self, work: Callable[[], _T], executor: futures.Executor | None = None) -> _T:
        try:
            answer = asyncio.get_running_loop().run_in_executor(executor or self._executor, spans.carried(work))
        except RuntimeError as closed:  # the pool takes no more work
            raise errors.unavailable("The service is shutting down; try again shortly.") from closed
        return await answer
