"""The Operations service: get, list, cancel, delete, wait — the ledger's rows as their callers see them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import sqlalchemy as sa
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2, struct_pb2

from boxwright import errors, names, states
from boxwright.callers import Caller
from boxwright.metadata import database
from boxwright.metadata.schema import operations
from boxwright.operations import resumable
from boxwright.operations.ledger import Ledger
from boxwright.services import filters, messages, validation
from boxwright.services.resume import ResumeService


class Operations:
    """`google.longrunning.Operations`, with two methods of our own: resume_operation and get_operation_progress.

    Args:
        db: the metadata database.
        ledger: the operations.
        locations: location ids served here.
        resuming: starts operations that go on with the plan of one that has ended.
        sweep_soon: frees, in the background, what an operation that was deleted had kept.
    """

    def __init__(
        self,
        db: database.Database,
        ledger: Ledger,
        locations: Sequence[str],
        resuming: ResumeService,
        sweep_soon: Callable[[], None],
    ) -> None:
        self._db = db
        self._ledger = ledger
        self._locations = locations
        self._resuming = resuming
        self._sweep_soon = sweep_soon

    def list_operations(
        self, request: operations_pb2.ListOperationsRequest, caller: Caller
    ) -> operations_pb2.ListOperationsResponse:
        """Lists a location's operations, newest first."""
        parent = names.LocationName.parse(request.name, "name")
        validation.location(parent, self._locations, "name")
        done = operations.c.state.in_(states.OPERATION_TERMINAL)
        clauses: dict[str, filters.Clause] = {
            "operation_id": filters.equals(operations.c.id),
            "works_on": filters.equals(operations.c.works_on),
            "done": lambda term: done if _truth(term.value) else sa.not_(done),
        }
        query = filters.apply(self._ledger.select_of(parent.project, parent.location), request.filter, clauses)
        scope = f"operations {parent} {request.filter}"
        size = validation.page_size(request.page_size)
        after = database.PageKey.from_token(request.page_token, scope)
        with self._db.read() as connection:
            rows, following = database.newest_first(connection, query, operations, page_size=size, after=after)
        return operations_pb2.ListOperationsResponse(
            operations=[messages.operation(row) for row in rows],
            next_page_token=following.token(scope) if following else "",
        )

    def get_operation(self, request: operations_pb2.GetOperationRequest, caller: Caller) -> operations_pb2.Operation:
        """Returns an operation as it stands."""
        return self._get(request.name)

    def delete_operation(self, request: operations_pb2.DeleteOperationRequest, caller: Caller) -> empty_pb2.Empty:
        """Forgets a finished operation; a running one must be cancelled first."""
        name = self._name(request.name)
        state = self._ledger.delete_if_done(name)
        if state is None:
            raise _unknown(name)
        if state not in states.OPERATION_TERMINAL:
            raise errors.failed_precondition(f"Operation {name} is still {state}; cancel it or wait for its end first.")
        if state in resumable.RESUMABLE_STATES:
            self._sweep_soon()
        return empty_pb2.Empty()

    def cancel_operation(self, request: operations_pb2.CancelOperationRequest, caller: Caller) -> empty_pb2.Empty:
        """Asks for an operation's end; a finished operation stays as it is."""
        name = self._name(request.name)
        if not self._ledger.request_cancel(name):
            raise _unknown(name)
        return empty_pb2.Empty()

    def wait_operation(self, request: operations_pb2.WaitOperationRequest, caller: Caller) -> operations_pb2.Operation:
        """Returns an operation as it stands; the API servers do the waiting."""
        return self._get(request.name)

    def resume_operation(self, request: operations_pb2.GetOperationRequest, caller: Caller) -> operations_pb2.Operation:
        """Starts a new operation that goes on with a batch prediction which has failed or was cancelled."""
        return self._resuming.resume(self._name(request.name), caller)

    def get_operation_progress(self, request: operations_pb2.GetOperationRequest, caller: Caller) -> struct_pb2.Struct:
        """Returns how far an operation is, in numbers."""
        return messages.progress(self._row(request.name))

    def finished_among(self, wanted: Collection[str]) -> set[str]:
        """Returns those of the named operations that are finished or gone."""
        return self._ledger.finished_among(wanted)

    def _get(self, text: str) -> operations_pb2.Operation:
        return messages.operation(self._row(text))

    def _row(self, text: str) -> sa.Row[Any]:
        name = self._name(text)
        row = self._ledger.find(name)
        if row is None:
            raise _unknown(name)
        return row

    def _name(self, text: str) -> names.OperationName:
        name = names.OperationName.parse(text, "name")
        validation.location(name, self._locations, "name")
        return name


def _unknown(name: names.OperationName) -> errors.ApiError:
    return errors.not_found(f"Operation {name} was not found.")


def _truth(value: str | None) -> bool:
    if value is None or value.lower() not in ("true", "false"):
        raise errors.invalid_argument("filter", "Field 'done' is compared with true or false.")
    return value.lower() == "true"
