"""The worker: claim, run, finish. It renews leases in the background and drains on request.

A worker has a few lanes; each lane is a thread that runs one operation at a time of the kinds it serves. A runner does the
work and speaks through its `Context` (see `runner`): it reports progress, asks whether to stop, and raises. What it raises
decides:

    returns a Success     SUCCEEDED with its response
    ApiError              FAILED with that status
    Denied                FAILED: its caller may not have it done any more
    Stopped               CANCELLED if cancellation was asked for, else PENDING again (drain)
    TurnOver              PENDING again, behind all that waits already
    AttemptError          PENDING again, until too many attempts got nowhere; then FAILED
    LeaseLost             nothing is written: somebody else owns the operation now
    database.Transient    nothing is written: the database is away, and the lease will run out
    anything else         FAILED with INTERNAL and an incident id; the traceback goes to the log

A lease may run out while the work goes on, for example because the database was away, and another lane of the same process
may claim the operation. The earlier attempt is then stopped, and the later one begins when it has left: both use the
operation's folders on this machine.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence

import sqlalchemy as sa
from google.protobuf import message
from google.rpc import code_pb2, status_pb2

from boxwright import errors, names, objects, states
from boxwright.metadata import database
from boxwright.operations import amounts
from boxwright.operations.attempt_records import AttemptRecords
from boxwright.operations.ledger import MAX_ATTEMPTS_WITHOUT_PROGRESS, ClaimedOperation, Ledger
from boxwright.operations.runner import (
    AttemptError,
    CallerGrants,
    Context,
    Denied,
    Runner,
    Stopped,
    TurnOver,
    no_grants,
    trusted_s,
)
from boxwright.operations.sharing import Among
from boxwright.telemetry import spans
from boxwright.telemetry.metrics import Metrics

WAITED_S = 1.0  # two polls: what has waited for so long has no free lane anywhere
RETRY_INTERVAL_S = 0.5  # between attempts to write down an end while the database is away
POLL_INTERVAL_S = 0.5  # work started by another process is seen this late at most; our own wakes the lanes at once
RENEW_FRACTION = 0.25  # renewals per lease: four, so that three may fail
STILL_S = 150.0  # without a beat: longer than a call of the database can last
EARLIER_ATTEMPT_S = 10.0  # an attempt that was told to stop is waited for so long at a time

log = logging.getLogger(__name__)


class Worker:
    """Runs operations of the ledger in a few lanes until it is drained.

    Args:
        ledger: where operations are claimed and finished.
        runners: which runner does which kind.
        lanes: one entry per lane: the kinds that it serves.
        owner: this worker's name in the leases.
        dry_runs: kinds whose dry runs have a lane more, which takes nothing else.
        slices_s: for how long work of a kind may go on while others of that kind wait; without limit if not named.
        grants_of: what a member may read and write now; asked for operations with a caller, at their begin and at every
            renewal.
        space: the room that the work needs here, before the first attempt; later ones find out.
        observe: hears of the first attempt at an operation (None), and how it ended: with a status, code 0 for success.
        observe_use: hears of each bucket that an attempt uses first, and of the member for whom; empty for anybody.
        metrics: counts attempts, lanes and leases.
        traces: begins the spans of attempts.
    """

    def __init__(
        self,
        ledger: Ledger,
        runners: Mapping[states.OperationKind, Runner],
        lanes: Sequence[Collection[states.OperationKind]],
        owner: str | None = None,
        dry_runs: Collection[states.OperationKind] = (),
        slices_s: Mapping[states.OperationKind, float] | None = None,
        grants_of: CallerGrants = no_grants,
        space: amounts.DiskSpace | None = None,
        observe: Callable[[names.OperationName, states.OperationKind, status_pb2.Status | None], None] | None = None,
        observe_use: Callable[[names.OperationName, str, objects.BucketUse], None] | None = None,
        metrics: Metrics | None = None,
        traces: spans.Traces | None = None,
    ) -> None:
        self._ledger = ledger
        self._records = AttemptRecords(metrics, traces)
        self._metrics = self._records.metrics
        self._observe_use = observe_use or (lambda name, caller, use: None)
        self._observe = observe or (lambda name, kind, outcome: None)
        self._slices_s = slices_s or {}
        self._space = space or amounts.DiskSpace()
        self._grants_of = grants_of
        self._turn_lock = threading.Lock()
        self._runners = runners
        self._owner = owner or f"worker-{uuid.uuid4().hex[:12]}"
        self._draining = threading.Event()
        self._wake = threading.Condition()
        self._idle: list[tuple[Collection[states.OperationKind], Among]] = []  # of lanes that wait
        self._active: set[Context] = set()  # attempts, not operations: there may be two of one
        self._active_changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._serve_lane, args=(kinds,), name=f"lane-{number}")
            for number, kinds in enumerate(lanes, 1)
        ]
        self._records.note_lanes(lanes)
        # what was cancelled while it waited for a lane shall not wait for one any longer
        self._threads.append(
            threading.Thread(target=self._serve_lane, args=(list(runners), Among.CANCELLED), name="lane-cancelled")
        )
        if dry_runs:
            args = (dry_runs, Among.DRY_RUNS)
            self._threads.append(threading.Thread(target=self._serve_lane, args=args, name="lane-dry-runs"))
        self._beats = {"lane-waker": time.monotonic(), "lease-renewer": time.monotonic()}
        self._threads.append(threading.Thread(target=self._look_for_work, name="lane-waker"))
        self._threads.append(threading.Thread(target=self._renew_leases, name="lease-renewer"))

    def start(self) -> None:
        """Starts the lanes."""
        self._ledger.listeners.append(self._on_change)
        for thread in self._threads:
            thread.start()

    def problems(self) -> dict[str, str]:
        """What keeps this worker from its work: threads that have ended or stand still; empty if all is well."""
        if self._draining.is_set():
            return {}
        now_s = time.monotonic()
        told = {
            thread.name: "has ended" for thread in self._threads if thread.ident is not None and not thread.is_alive()
        }
        still = {name: now_s - at_s for name, at_s in self._beats.items() if now_s - at_s > STILL_S}
        return {name: f"has stood still for {for_s:.0f} seconds" for name, for_s in still.items()} | told

    def drain(self, timeout_s: float = 20.0) -> None:
        """Claims nothing more, asks running work to stop, and waits for it; unfinished operations become PENDING."""
        self._draining.set()
        with self._active_changed:
            for context in self._active:
                context.stop()
        with self._wake:
            self._wake.notify_all()
        deadline_s = time.monotonic() + timeout_s
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline_s - time.monotonic()))

    # ---- inside -------------------------------------------------------------------------------------------------

    def _on_change(self, name: str, state: states.OperationState) -> None:
        """Wakes the lanes for new work, and the renewer so that a cancel is seen at once."""
        if state in states.OPERATION_TERMINAL:
            return
        with self._wake:
            self._wake.notify_all()

    def _serve_lane(self, kinds: Collection[states.OperationKind], among: Among = Among.ALL) -> None:
        while not self._draining.is_set():
            claimed = self._claim(kinds, among)
            if claimed is not None:
                self._run(claimed)
                continue
            with self._wake:
                if not self._draining.is_set():
                    self._idle.append((kinds, among))
                    self._wake.wait()
                    self._idle.remove((kinds, among))

    def _claim(self, kinds: Collection[states.OperationKind], among: Among) -> ClaimedOperation | None:
        try:
            return self._ledger.claim(kinds, self._owner, among=among)
        except database.Transient as error:
            log.warning("event=claim_failed reason=%s", error)
        except Exception:
            log.exception("event=claim_failed")  # the database may be away for a while; the lane must not die of it
        return None

    def _look_for_work(self) -> None:
        """Wakes idle lanes for work that another process has started or left: it asks for all of them, twice a second."""
        while not self._draining.wait(POLL_INTERVAL_S):
            self._beats["lane-waker"] = time.monotonic()
            with self._wake:
                idle = list(self._idle)
            wanted = {among: {kind for kinds, whose in idle if whose == among for kind in kinds} for among in Among}
            try:
                self._ledger.cancel_overdue()
                has_work = any(kinds and self._ledger.has_work(kinds, among=among) for among, kinds in wanted.items())
            except Exception as error:  # the database may be away for a while; the thread must not die of it
                log.warning("event=look_failed reason=%s", error)
                continue
            if has_work:
                with self._wake:
                    self._wake.notify_all()

    def _run(self, claimed: ClaimedOperation) -> None:
        context = Context(
            claimed,
            self._ledger,
            lambda worked_s: self._is_turn_over(claimed.kind, worked_s),
            lambda context, use: self._observe_use(context.name, context.caller, use),
        )
        self._enter(context)
        with self._records.under_way(claimed):
            try:
                self._finish(claimed, context)
            except errors.LeaseLost:
                self._metrics.add("boxwright_leases_lost_total")
                self._records.ended(claimed.kind, "lease_lost")
                log.warning("event=lease_lost operation=%s epoch=%d", claimed.name, claimed.lease.epoch)
            except database.Transient as error:
                self._records.ended(claimed.kind, "lease_lost")
                log.warning("event=database_lost operation=%s reason=%s", claimed.name, error)
            except Exception:
                self._records.ended(claimed.kind, "died")
                # the lease runs out and another attempt follows
                log.exception("event=finish_failed operation=%s", claimed.name)
            finally:
                with self._active_changed:
                    self._active.remove(context)
                    self._active_changed.notify_all()

    def _enter(self, context: Context) -> None:
        """Counts an attempt among those under way, and stops all of its operation but the newest."""
        with self._active_changed:
            self._active.add(context)
            *earlier, _ = sorted(self._attempts(context), key=lambda one: one.lease.epoch)
            for each in earlier:
                each.stop(lost=True)
            if self._draining.is_set():
                context.stop()

    def _attempts(self, context: Context) -> list[Context]:
        """The attempts at a context's operation that are under way in this process, its own among them."""
        return [one for one in self._active if one.lease.operation_id == context.lease.operation_id]

    def _wait_for_earlier(self, context: Context) -> None:
        """Returns once no other attempt at the operation is under way here. Raises LeaseLost, or Stopped after a while."""
        deadline_s = time.monotonic() + EARLIER_ATTEMPT_S
        with self._active_changed:
            while len(self._attempts(context)) > 1:
                context.raise_if_lost()
                if time.monotonic() > deadline_s:
                    raise Stopped(f"an earlier attempt at {context.name} has not ended yet")
                self._active_changed.wait(0.1)
        context.raise_if_lost()

    def _finish(self, claimed: ClaimedOperation, context: Context) -> None:
        """Runs the operation and writes what came of it."""
        lease = claimed.lease
        if lease.epoch == 1:
            self._observe(claimed.name, claimed.kind, None)
        try:
            self._wait_for_earlier(context)
            context.begin(self._grants_of)
            if claimed.attempts > MAX_ATTEMPTS_WITHOUT_PROGRESS:
                raise errors.ApiError(
                    code_pb2.INTERNAL,
                    f"The work died {claimed.attempts - 1} times in a row without getting further; the service's log has "
                    f"the reasons under {claimed.name}.",
                )
            runner, success = self._runners[claimed.kind], None
            if context.cancel_requested:
                success = runner.close_cancelled(claimed.request, context)
            if success is None:
                context.raise_if_stopped()
                if lease.epoch == 1:
                    self._space.check(claimed.kind, claimed.name.project)
                try:
                    success = runner.run(claimed.request, context)
                except objects.WaitEndedError:
                    context.raise_if_stopped()
                    raise
            self._end(context, success.respond)
        except (errors.LeaseLost, database.Transient):
            raise
        except errors.ApiError as error:
            log.warning("event=operation_failed operation=%s status=%s reason=%s", claimed.name, error.code_name, error)
            self._end(context, error.status)
        except TurnOver:
            self._ledger.release(lease, blameless=True)
            self._records.ended(claimed.kind, "turn_over")
            with self._wake:
                self._wake.notify_all()
            return
        except Denied as denied:
            self._end(context, denied.error.status)
        except Stopped:
            if context.cancel_requested:
                self._end(context, errors.cancelled().status)
            else:
                self._ledger.release(lease, blameless=True)
                self._records.ended(claimed.kind, "handed_back")
                return
        except AttemptError as error:
            log.warning("event=attempt_failed operation=%s attempt=%d reason=%s", claimed.name, claimed.attempts, error)
            self._ledger.release(lease, blameless=False)
            self._records.ended(claimed.kind, "died")
            return
        except Exception:
            incident_id = uuid.uuid4().hex[:12]
            log.exception("event=incident incident=%s operation=%s", incident_id, claimed.name)
            self._end(context, errors.internal(incident_id).status)
        self._runners[claimed.kind].tidy(claimed.name)

    def _end(self, context: Context, outcome: status_pb2.Status | Callable[[sa.Connection], message.Message]) -> None:
        """Writes the end down, again and again while the database is away and the lease can be trusted."""
        forgets_output = not callable(outcome) and self._made_nothing(context)
        while True:
            try:
                self._ledger.finish(context.lease, outcome, forgets_output=forgets_output)
                break
            except database.Transient:
                if time.monotonic() > context.trusted_until_s:
                    raise
                time.sleep(RETRY_INTERVAL_S)
        status = status_pb2.Status() if callable(outcome) else outcome
        self._records.operation_ended(context, status)
        self._observe(context.name, context.kind, status)

    def _made_nothing(self, context: Context) -> bool:
        """Whether an operation that ends without success names an output folder in which nothing is."""
        if not context.output_directory:
            return False
        try:
            return not self._runners[context.kind].made_output(context)
        except Exception as error:  # a store that does not answer must not keep an end from being written down
            log.warning("event=output_not_seen operation=%s reason=%s", context.name, error)
            return False

    def _is_turn_over(self, kind: states.OperationKind, worked_s: float) -> bool:
        """Whether somebody waits for the lane of one that has worked for so long; one lane is freed for each who waits."""
        if worked_s < self._slices_s.get(kind, float("inf")):
            return False
        with self._turn_lock:
            with self._active_changed:
                leaving = sum(context.kind == kind and context.leaves for context in self._active)
            try:
                return self._ledger.waiting(kind, WAITED_S) > leaving
            except database.Transient:
                return False

    def _renew_leases(self) -> None:
        """Renews every active lease until the worker has drained; a lease that cannot be renewed is not trusted."""
        interval_s = min(1.0, self._ledger.lease_ttl_s * RENEW_FRACTION)
        while True:
            self._beats["lease-renewer"] = time.monotonic()
            with self._wake:
                self._wake.wait(interval_s)
            with self._active_changed:
                contexts = list(self._active)
            if self._draining.is_set() and not contexts:
                return
            for context in contexts:
                self._renew(context)

    def _renew(self, context: Context) -> None:
        renewal_started_s = time.monotonic()
        try:
            with self._metrics.timed("boxwright_lease_renewal_seconds"):
                cancel_requested = self._ledger.renew(context.lease)
        except errors.LeaseLost:
            context.stop(lost=True)  # no harm to an operation that has just ended
            return
        except (sa.exc.SQLAlchemyError, errors.ApiError) as error:
            log.warning("event=renewal_failed operation=%s reason=%s", context.name, error)
            if time.monotonic() > context.trusted_until_s:
                context.stop(lost=True)
            return
        context.trusted_until_s = renewal_started_s + trusted_s(self._ledger.lease_ttl_s)
        context.note_renewal(cancel_requested=cancel_requested)
        context.judge(self._grants_of)
