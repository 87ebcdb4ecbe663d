"""Ids that callers give to requests: one that is sent twice is answered with the operation that the first one started.

The rules are those of https://google.aip.dev/155: the same id with another request is an error. An id is its caller's, in a
project, and is kept for `KEPT_S` seconds.
"""

from __future__ import annotations

import dataclasses

import sqlalchemy as sa

from boxwright import errors, names
from boxwright.metadata import database
from boxwright.metadata.schema import request_ids

KEPT_S = 7 * 24 * 3600


@dataclasses.dataclass(frozen=True)
class IdentifiedRequest:
    """A request that has an id.

    Attributes:
        project: in which the id is known.
        caller: the member that gave it; empty for anybody.
        id: the caller's text.
        sha256: of the request, hexadecimal.
    """

    project: str
    caller: str
    id: str
    sha256: str


def first_operation(connection: sa.Connection, request: IdentifiedRequest) -> names.OperationName | None:
    """The operation that this request has started before; None if its id is new, or was used too long ago.

    Raises:
        ApiError: ALREADY_EXISTS: another request has had this id.
    """
    least_us = database.now_us(connection) - KEPT_S * 1_000_000
    found = connection.execute(
        sa.select(request_ids.c.request_sha256, request_ids.c.operation_name).where(
            *_of(request), request_ids.c.create_time_us >= least_us
        )
    ).first()
    if found is None:
        return None
    if found.request_sha256 != request.sha256:
        raise errors.already_exists(
            f"params.request_id '{request.id}' belongs to another request, which has started {found.operation_name}. "
            "Give a new request an id of its own."
        )
    return names.OperationName.parse(found.operation_name)


def note(connection: sa.Connection, request: IdentifiedRequest, operation: names.OperationName) -> None:
    """Keeps the id of a request that has just started an operation, and forgets those of the project that are too old."""
    now_us = database.now_us(connection)
    is_old = request_ids.c.create_time_us < now_us - KEPT_S * 1_000_000
    connection.execute(request_ids.delete().where(request_ids.c.project == request.project, is_old))
    connection.execute(
        request_ids.insert().values(
            project=request.project,
            caller=request.caller,
            id=request.id,
            request_sha256=request.sha256,
            operation_name=str(operation),
            create_time_us=now_us,
        )
    )


def _of(request: IdentifiedRequest) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        request_ids.c.project == request.project,
        request_ids.c.caller == request.caller,
        request_ids.c.id == request.id,
    )
