"""Runners: the work behind a kind of operation, what it knows and asks, and what it raises (`worker` says what follows)."""

from __future__ import annotations

import abc
import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from google.protobuf import message
from google.rpc import status_pb2

from boxwright import callers, errors, names, objects, states
from boxwright.metadata import database
from boxwright.objects import grants
from boxwright.operations import sharing
from boxwright.operations.ledger import ClaimedOperation, Ledger

TRUST_MARGIN_FRACTION = 0.2  # stop trusting a lease this share of its life before it ends

CallerGrants = Callable[[str, tuple[str, ...]], objects.Grants]  # of a member and its groups; raises PERMISSION_DENIED
# lists, and what these name
_READING = (
    states.OperationKind.BATCH_PREDICT,
    states.OperationKind.IMPORT_DATA,
    states.OperationKind.IMPORT_MODEL,
)

log = logging.getLogger(__name__)


def trusted_s(lease_ttl_s: float) -> float:
    """Seconds after a renewal during which a lease of this length is trusted."""
    return lease_ttl_s * (1 - TRUST_MARGIN_FRACTION)


def no_grants(member: str, groups: tuple[str, ...]) -> objects.Grants:
    """Nothing: what a member may where nobody says what it may."""
    return objects.Grants(callers.Caller(member).email)


class Stopped(Exception):
    """The runner saw `should_stop` and left its work in order."""


class Denied(Stopped):
    """Who has asked for the work may not have it done any more.

    Attributes:
        error: PERMISSION_DENIED, with which the operation ends.
    """

    def __init__(self, error: errors.ApiError) -> None:
        super().__init__(error.message)
        self.error = error


class TurnOver(Exception):
    """The runner has had its turn while others wait, and left its work in order; it goes on when its next turn comes."""


class AttemptError(Exception):
    """This attempt died through no fault of the request (a killed child, say); another may succeed."""


@dataclasses.dataclass(frozen=True)
class Success:
    """What a runner returns.

    Attributes:
        respond: makes the operation's response; what it writes is in the transaction that ends the operation.
    """

    respond: Callable[[sa.Connection], message.Message]


class Runner(abc.ABC):
    """The work behind one kind of operation."""

    @abc.abstractmethod
    def run(self, request: bytes, context: Context) -> Success:
        """Does the work; may be called again for the same operation after a crash."""

    def close_cancelled(self, request: bytes, context: Context) -> Success | None:
        """Puts earlier attempts' results in order, when cancellation was asked for before this attempt began.

        Returns:
            What the operation delivers although it was cancelled; None, as most do, for nothing.
        """
        return None

    def made_output(self, context: Context) -> bool:
        """Whether anything is in the output folder of an operation that ends without success; it is named only if so."""
        return True

    def tidy(self, operation: names.OperationName) -> None:  # noqa: B027 — most runners keep nothing
        """Frees what the attempts kept, once the operation has ended in whatever way; may be lost in a crash."""


class Context:
    """What a runner knows of its operation, and how it speaks to the ledger.

    Attributes:
        plan_id: id of the operation under which the plan is kept: its own, or the one that it goes on with.
        goes_on: whether it goes on with the plan of an operation that has ended.
        output_directory: where results go, empty until `keep_output_directory`.
        reported: the numbers that earlier attempts have reported last; None if they have not.
        priority: of the project's operations of its kind.
        is_dry_run: whether it only says what its work would be.
        trace: what is noted of the trace that it belongs to.
        caller: the member that has started it; empty: anybody may do everything.
        uses: the buckets that this attempt uses, each told to `on_use` once.
    """

    def __init__(
        self,
        claimed: ClaimedOperation,
        ledger: Ledger,
        is_turn_over: Callable[[float], bool] = lambda worked_s: False,
        on_use: Callable[[Context, objects.BucketUse], None] = lambda context, use: None,
    ) -> None:
        self.name: names.OperationName = claimed.name
        self.kind = claimed.kind
        self.leaves = False
        self._is_turn_over = is_turn_over
        self.create_time_us = claimed.create_time_us
        self.lease = claimed.lease
        self._ledger = ledger
        self.output_directory = claimed.output_directory
        self.plan_id = claimed.plan_of or claimed.name.operation
        self.goes_on = claimed.plan_of is not None
        self.reported = claimed.progress
        self.priority = claimed.priority
        self.is_dry_run = bool((claimed.progress or {}).get(sharing.DRY_RUN))
        self.trace = claimed.trace
        # what stays in the progress of the row, whatever the runner reports
        self._marks = ({sharing.DRY_RUN: True} if self.is_dry_run else {}) | (self.trace.entry if self.trace else {})
        self.caller, self._groups = claimed.caller, claimed.caller_groups
        # of this attempt; nothing until it is known
        self._grants = objects.Grants(callers.Caller(self.caller).email) if self.caller else None
        self._output: objects.ObjectUri | None = None
        self.uses = objects.BucketUses(lambda use: on_use(self, use))
        self._denial: errors.ApiError | None = None
        self._stop = threading.Event()
        self._cancel_requested = claimed.cancel_requested
        self._lost = self._drained = False
        self.trusted_until_s = time.monotonic() + trusted_s(ledger.lease_ttl_s)
        if claimed.cancel_requested:
            self._stop.set()

    def limited(self, stores: objects.Stores, output: objects.ObjectUri | None = None) -> objects.Stores:
        """Returns stores for what the operation's caller may read and write, with the credentials of its project.

        Args:
            stores: all that the service reaches.
            output: folder below which the work writes; None: nowhere yet.
        """
        self._output = output or self._output
        ours = stores.of_project(self.name.project).observed(self.uses.note)
        return ours.limited_to(self._grants, self._output)

    def begin(self, grants_of: CallerGrants) -> None:
        """Looks up what the caller may, for the whole of this attempt."""
        if self.caller:
            try:
                self._grants = grants_of(self.caller, self._groups)
            except database.Transient:
                raise  # the database is away, which says nothing of the caller
            except errors.ApiError as error:
                self._deny(error)

    def judge(self, grants_of: CallerGrants) -> None:
        """Ends the work unless its caller still may what it might while this attempt began."""
        if self._grants is None or self._denial is not None:
            return
        try:
            now = grants_of(self.caller, self._groups)
        except database.Transient as error:
            log.warning(
                "event=caller_not_judged operation=%s reason=%s", self.name, error
            )  # the next renewal asks again
            return
        except errors.ApiError as error:
            self._deny(error)
            return
        lost = self._grants.lost_reading(now) if self.kind in _READING else None
        if lost is not None:
            self._deny(grants.denied(now.holder, grants.READ, lost))
        elif self._output is not None and not now.allows(self._output.folder, grants.WRITE):
            self._deny(grants.denied(now.holder, grants.WRITE, self._output))

    def _deny(self, error: errors.ApiError) -> None:
        log.warning("event=caller_denied operation=%s reason=%s", self.name, error.message)
        self._denial = error
        self._stop.set()

    def report(
        self,
        *,
        progress_percent: int | None = None,
        partial_failures: Sequence[status_pb2.Status] | None = None,
        output_directory: str | None = None,
        progress: Mapping[str, Any] | None = None,
        images: int = 0,
    ) -> None:
        """Records progress, and images that were worked on since the last report. Raises LeaseLost."""
        if progress is not None:
            progress = {**self._marks, **progress}
        try:
            cancel = self._ledger.report(
                self.lease,
                progress_percent=progress_percent,
                partial_failures=partial_failures,
                output_directory=output_directory,
                progress=progress,
                images=images,
            )
        except database.Transient as error:
            if output_directory is not None:
                raise  # the work depends on it; how far it is will be said again
            log.warning("event=report_failed operation=%s reason=%s", self.name, error)
            return
        self.note_renewal(cancel_requested=cancel)

    def keep_output_directory(self, proposed: str) -> str:
        """Records where results go and returns it; a later attempt gets the first one's answer, whatever it proposes."""
        if not self.output_directory:
            self.report(output_directory=proposed)
            self.output_directory = proposed
        return self.output_directory

    def should_stop(self) -> bool:
        """Whether the work should end now: cancelled, draining, or the lease is lost."""
        return self._stop.is_set()

    def must_leave(self) -> bool:
        """Whether the work ends now even if it would deliver something when cancelled: draining, or the lease is lost."""
        return self._lost or self._drained

    def should_yield(self, worked_s: float) -> bool:
        """Whether others of its kind wait and this work, having got on for `worked_s`, should raise TurnOver."""
        self.leaves = self.leaves or self._is_turn_over(worked_s)
        return self.leaves

    def wait_for_stop(self, timeout_s: float) -> bool:
        """Waits until the work should end, at most `timeout_s`; returns whether it should."""
        return self._stop.wait(timeout_s)

    def raise_if_stopped(self) -> None:
        """Raises LeaseLost, Stopped or Denied once the work should end."""
        self.raise_if_lost()
        if self._denial is not None and not self._cancel_requested:
            raise Denied(self._denial)
        if self._stop.is_set():
            raise Stopped(str(self.name))

    def raise_if_lost(self) -> None:
        """Raises LeaseLost once the lease is lost, whatever else was asked for."""
        if self._lost:
            raise errors.LeaseLost(self.name)

    @property
    def cancel_requested(self) -> bool:
        """Whether cancellation was asked for."""
        return self._cancel_requested

    def note_renewal(self, *, cancel_requested: bool) -> None:
        """Called after the lease was renewed."""
        if cancel_requested:
            self._cancel_requested = True
            self._stop.set()

    def stop(self, *, lost: bool = False) -> None:
        """Asks the runner to stop."""
        self._lost = self._lost or lost
        self._drained = self._drained or not lost
        self._stop.set()
