"""The ledger of long-running operations: start, claim, renew, report, finish, cancel — fenced by lease epoch.

An operation is a row. Services start rows, a worker claims them, clients read them. A claim adds one to `lease_epoch`, and
every later write of the worker says ``WHERE id AND lease_epoch AND state = RUNNING``: a worker that lost its lease changes
nothing and learns so by `errors.LeaseLost`. The database's clock alone decides when a lease has run out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from google.protobuf import any_pb2, message
from google.rpc import status_pb2

from boxwright import errors, names, states
from boxwright.metadata import database
from boxwright.metadata.schema import operations
from boxwright.operations import amounts, batch_amounts, deadlines, operation_trace, progress_values, sharing
from boxwright.operations.records import ClaimedOperation as ClaimedOperation
from boxwright.operations.records import Draft as Draft
from boxwright.operations.records import Lease as Lease
from boxwright.operations.records import name_of as name_of
from boxwright.telemetry import spans

MAX_PARTIAL_FAILURES = 20  # operations.proto: "This field will never have more than 20 entries"
MAX_ATTEMPTS_WITHOUT_PROGRESS = 5  # an operation that kills its worker each time must not do so for ever
MICROSECONDS = 1_000_000

State = states.OperationState
_RUNNING_STATES = (State.PENDING, State.RUNNING)


class Ledger:
    """All statements on the operations table.

    Args:
        db: the metadata database.
        lease_ttl_s: how long a claim holds without renewal.
        limits: what a project may have, and the room that work needs.
        note_event: called with the row of an operation that has just begun or ended, in the transaction that says so.
        listeners: called with (operation name, state) after a state change made through this object.
    """

    def __init__(
        self,
        db: database.Database,
        *,
        lease_ttl_s: float,
        limits: amounts.AmountLimits | None = None,
        note_event: Callable[[sa.Connection, sa.Row[Any]], None] = lambda connection, row: None,
    ) -> None:
        self.limits = limits or amounts.AmountLimits()
        self._db = db
        self._note_event = note_event
        self._ttl_us = round(lease_ttl_s * MICROSECONDS)
        self.lease_ttl_s = lease_ttl_s
        self.listeners: list[Callable[[str, State], None]] = []

    # ---- services -----------------------------------------------------------------------------------------------

    def start(
        self, connection: sa.Connection, draft: Draft, error: errors.ApiError | None = None, *, dry_run: bool = False
    ) -> sa.Row[Any]:
        """Adds a PENDING operation in the caller's transaction, with an error a FAILED one; then `announce` it.

        Raises RESOURCE_EXHAUSTED if the project has too much (`amounts`), or there is too little room for the work.
        """
        if error is None:
            project = draft.location.project
            self.limits.check_start(connection, draft.kind, project, draft.caller.charged_project or project)
        failed = {"state": State.FAILED, "error": error.status.SerializeToString()} if error else None
        trace = operation_trace.begun()
        marks = ({sharing.DRY_RUN: True} if dry_run else {}) | (trace.entry if trace is not None else {})
        row = self._insert(
            connection, draft, (failed or {"state": State.PENDING}) | ({"progress": marks} if marks else {})
        )
        spans.current().set(operation=str(name_of(row)))
        return row

    def start_done(self, connection: sa.Connection, draft: Draft, response: any_pb2.Any) -> sa.Row[Any]:
        """Adds an operation that is already SUCCEEDED: the work was done in this same transaction.

        Raises RESOURCE_EXHAUSTED if the project has too much by that.
        """
        self.limits.check_added(connection, draft.kind, draft.location.project)
        values = {"state": State.SUCCEEDED, "response": response.SerializeToString(), "progress_percent": 100}
        return self._insert(connection, draft, values)

    def announce(self, row: sa.Row[Any]) -> None:
        """Tells the listeners of a row's state."""
        for listener in self.listeners:
            listener(str(name_of(row)), State(row.state))

    def find(self, name: names.OperationName) -> sa.Row[Any] | None:
        """Returns the operation's row, or None."""
        with self._db.read() as connection:
            return self.find_in(connection, name)

    def find_in(self, connection: sa.Connection, name: names.OperationName) -> sa.Row[Any] | None:
        """Returns the operation's row as the caller's transaction sees it, or None."""
        return connection.execute(_named(sa.select(operations), name)).first()

    def select_of(self, project: str, location: str) -> sa.Select[Any]:
        """The query for a location's operations, to be filtered and paged."""
        return sa.select(operations).where(operations.c.project == project, operations.c.location == location)

    def running_on(self, connection: sa.Connection, works_on: str) -> Sequence[sa.Row[Any]]:
        """The unfinished operations that work on a resource, oldest first."""
        return connection.execute(
            sa.select(operations)
            .where(operations.c.works_on == works_on, operations.c.state.in_(_RUNNING_STATES))
            .order_by(operations.c.create_time_us)
        ).all()

    def finished_among(self, wanted: Collection[str]) -> set[str]:
        """Returns those of the named operations that are finished or gone."""
        ids = {names.OperationName.parse(name).operation: name for name in wanted}
        with self._db.read() as connection:
            rows = connection.execute(
                sa.select(operations.c.id).where(operations.c.id.in_(ids), operations.c.state.in_(_RUNNING_STATES))
            )
            still_running = {row.id for row in rows}
        return {name for operation_id, name in ids.items() if operation_id not in still_running}

    def request_cancel(self, name: names.OperationName) -> bool:
        """Asks for cancellation; returns whether the operation exists.

        One that has not begun is cancelled at once; of others, a worker puts the results in order first.
        """
        with self._db.write() as connection:
            row = connection.execute(_named(sa.select(operations), name).with_for_update()).first()
            if row is None:
                return False
            now = database.now_us(connection)
            values: dict[str, Any] = {"cancel_requested_us": sa.func.coalesce(operations.c.cancel_requested_us, now)}
            at_once = row.state == State.PENDING and not row.output_directory
            if at_once:
                error = errors.cancelled().status.SerializeToString()
                values |= {"state": State.CANCELLED, "error": error, "done_time_us": now, "update_time_us": now}
            if row.state in _RUNNING_STATES:
                changed = operations.update().where(operations.c.id == row.id).values(**values)
                changed_row = connection.execute(changed.returning(*operations.c)).one()
                if at_once:
                    self._note_event(connection, changed_row)
        self._notify(str(name), State.CANCELLED if at_once else State(row.state))
        return True

    def cancel_overdue(self) -> None:
        """Asks for the cancellation of every operation whose deadline has passed."""
        with self._db.read() as connection:
            if not deadlines.any_overdue(connection):  # looking costs no writer anything
                return
        with self._db.write() as connection:
            overdue = deadlines.ask(connection)
        for name in overdue:
            self._notify(str(name), State.PENDING)

    def delete_if_done(self, name: names.OperationName) -> State | None:
        """Forgets a finished operation; returns the state it was found in (None: there is no such operation)."""
        with self._db.write() as connection:
            found = _named(sa.select(operations.c.id, operations.c.state), name).with_for_update()
            row = connection.execute(found).first()
            if row is None:
                return None
            if row.state in states.OPERATION_TERMINAL:
                connection.execute(operations.delete().where(operations.c.id == row.id))
            return State(row.state)

    # ---- worker -------------------------------------------------------------------------------------------------

    def claim(
        self, kinds: Collection[states.OperationKind], owner: str, *, among: sharing.Among = sharing.Among.ALL
    ) -> ClaimedOperation | None:
        """Takes an operation of these kinds that waits, or whose lease has run out; None if there is none.

        Projects take turns; in a project, priorities do (see `sharing`), and of one, what has waited longest is next.
        `among`: which of them.
        """
        if not self.has_work(kinds, among=among):  # looking costs no writer anything
            return None
        with self._db.write(exclusive=False) as connection:
            now = database.now_us(connection)
            chosen = sharing.claimable(kinds, now, among).with_for_update(skip_locked=True)
            row = connection.execute(
                operations.update()
                .where(operations.c.id == chosen.scalar_subquery())
                .values(
                    state=State.RUNNING,
                    lease_owner=owner,
                    lease_epoch=operations.c.lease_epoch + 1,
                    lease_expires_us=now + self._ttl_us,
                    attempts=operations.c.attempts + 1,
                    update_time_us=now,
                )
                .returning(*operations.c)
            ).first()
            if row is not None:
                sharing.note_turn(connection, row, now)
                if row.lease_epoch == 1 and row.cancel_requested_us is None:
                    self._note_event(connection, row)
        if row is None:
            return None
        trace, progress = operation_trace.split(row.progress)
        return ClaimedOperation(
            lease=Lease(row.id, row.lease_epoch, owner),
            name=name_of(row),
            kind=states.OperationKind(row.kind),
            request=row.request,
            create_time_us=row.create_time_us,
            cancel_requested=row.cancel_requested_us is not None,
            attempts=row.attempts,
            output_directory=row.output_directory,
            plan_of=row.plan_of,
            progress=progress,
            trace=trace,
            caller=row.caller,
            caller_groups=tuple(json.loads(row.caller_groups)),
            priority=states.Priority(row.priority),
        )

    def has_work(self, kinds: Collection[states.OperationKind], *, among: sharing.Among = sharing.Among.ALL) -> bool:
        """Whether `claim` would find an operation now."""
        with self._db.read() as connection:
            query = sharing.claimable(kinds, database.now_us(connection), among)
            return connection.execute(query).first() is not None

    def waiting(self, kind: states.OperationKind, since_s: float) -> int:
        """How many operations of this kind have waited for so long, so that no lane anywhere can be free for them."""
        with self._db.read() as connection:
            before_us = database.now_us(connection) - round(since_s * MICROSECONDS)
            count = sa.select(sa.func.count()).where(operations.c.kind == kind, operations.c.state == State.PENDING)
            return connection.execute(count.where(operations.c.queued_time_us <= before_us)).scalar_one()

    def renew(self, lease: Lease) -> bool:
        """Extends the lease; returns whether cancellation was asked for. Raises LeaseLost."""
        with self._db.write(exclusive=False) as connection:
            expires_us = database.now_us(connection) + self._ttl_us
            row = self._fenced(connection, lease, {"lease_expires_us": expires_us})
        return row.cancel_requested_us is not None

    def report(
        self,
        lease: Lease,
        *,
        progress_percent: int | None = None,
        partial_failures: Sequence[status_pb2.Status] | None = None,
        output_directory: str | None = None,
        progress: Mapping[str, Any] | None = None,
        images: int = 0,
    ) -> bool:
        """Records how far the work is; the percentage never goes back. Returns whether cancellation was asked for.

        `images` are those that were worked on since the last report.

        Raises:
            LeaseLost: another worker owns the operation now.
        """
        with self._db.write(exclusive=False) as connection:
            values: dict[str, Any] = {"update_time_us": database.now_us(connection)}
            if progress_percent is not None:
                percent = max(0, min(100, progress_percent))
                further = operations.c.progress_percent < percent
                values["progress_percent"] = sa.case((further, percent), else_=operations.c.progress_percent)
                # an attempt that got further than any before it is not part of a crash loop
                values["attempts"] = sa.case((further, 1), else_=operations.c.attempts)
            if partial_failures is not None:
                values["partial_failures"] = [[s.code, s.message] for s in partial_failures[:MAX_PARTIAL_FAILURES]]
            if output_directory is not None:
                values["output_directory"] = output_directory
            if progress is not None:
                values["progress"] = progress_values.storable(progress)
            row = self._fenced(connection, lease, values)
            if images:
                batch_amounts.count_images(connection, row.charged_project, images)
        return row.cancel_requested_us is not None

    def finish(
        self, lease: Lease, outcome: status_pb2.Status | Callable[[sa.Connection], message.Message],
        *, forgets_output: bool = False,
    ) -> None:  # fmt: skip
        """Ends the operation: with an error, or with the response that `outcome` makes. Raises LeaseLost.

        What `outcome` writes through its connection happens in the same transaction, or not at all. `forgets_output`: the
        output folder is named no longer, as nothing was made there.
        """
        with self._db.write() as connection:
            values: dict[str, Any] = {"lease_owner": None, "lease_expires_us": None}
            if forgets_output:
                values["output_directory"] = ""
            if callable(outcome):
                response = any_pb2.Any()
                response.Pack(outcome(connection))
                values |= {"state": State.SUCCEEDED, "response": response.SerializeToString(), "progress_percent": 100}
            else:
                was_cancelled = outcome.code == errors.cancelled().code
                error = deadlines.exceeded(connection, lease.operation_id) if was_cancelled else None
                values |= {
                    "state": State.CANCELLED if was_cancelled else State.FAILED,
                    "error": (error.status if error else outcome).SerializeToString(),
                }
            now = database.now_us(connection)
            row = self._fenced(connection, lease, {**values, "done_time_us": now, "update_time_us": now})
            self._note_event(connection, row)
        self._notify(str(name_of(row)), State(row.state))

    def release(self, lease: Lease, *, blameless: bool) -> None:
        """Puts the operation back at the end of the queue; a blameless release does not count as an attempt."""
        with self._db.write(exclusive=False) as connection:
            values = {
                "state": State.PENDING,
                "lease_owner": None,
                "lease_expires_us": None,
                "attempts": operations.c.attempts - 1 if blameless else operations.c.attempts,
                "queued_time_us": database.now_us(connection),
            }
            self._fenced(connection, lease, values)

    # ---- inside -------------------------------------------------------------------------------------------------

    def _insert(self, connection: sa.Connection, draft: Draft, values: dict[str, Any]) -> sa.Row[Any]:
        last_us = connection.execute(sa.select(sa.func.max(operations.c.create_time_us))).scalar() or 0
        # whole milliseconds, each used once: output folders are named by it, and two jobs must never share a folder
        create_us = max(database.now_us(connection) // 1000 * 1000, last_us + 1000)
        done_us = create_us if values["state"] in states.OPERATION_TERMINAL else None
        row = connection.execute(
            operations.insert()
            .values(
                id=draft.id,
                project=draft.location.project,
                location=draft.location.location,
                kind=draft.kind,
                request=draft.request,
                details=draft.details,
                works_on=draft.works_on,
                plan_of=draft.plan_of,
                output_directory=draft.output_directory,
                caller=draft.caller.member,
                caller_groups=json.dumps(draft.caller.groups),
                charged_project=draft.caller.charged_project or draft.location.project,
                partial_failures=[],
                create_time_us=create_us,
                update_time_us=create_us,
                done_time_us=done_us,
                queued_time_us=create_us,
                priority=draft.terms.priority,
                deadline_us=deadlines.of(create_us, draft.terms.deadline_s),
                notify=json.dumps(draft.terms.notify),
                **values,
            )
            .returning(*operations.c)
        ).one()
        if done_us is not None:
            self._note_event(connection, row)
        return row

    def _fenced(self, connection: sa.Connection, lease: Lease, values: dict[str, Any]) -> sa.Row[Any]:
        row = connection.execute(
            operations.update()
            .where(
                operations.c.id == lease.operation_id,
                operations.c.lease_epoch == lease.epoch,
                operations.c.state == State.RUNNING,
            )
            .values(**values)
            .returning(*operations.c)
        ).first()
        if row is None:
            raise errors.LeaseLost(f"operation {lease.operation_id}, epoch {lease.epoch}")
        return row

    def _notify(self, name: str, state: State) -> None:
        for listener in self.listeners:
            listener(name, state)


def _named(query: Any, name: names.OperationName) -> Any:
    return query.where(
        operations.c.project == name.project,
        operations.c.location == name.location,
        operations.c.id == name.operation,
    )
