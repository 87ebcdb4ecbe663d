"""One path for every call: authenticate, check required fields, call the service, name the error.

`Dispatcher` binds every row of the table to a method of the same name, in snake case, at construction. A forgotten
method is a start-up failure; a planned gap answers UNIMPLEMENTED. Whatever a service raises leaves here as an ApiError:
its own, or INTERNAL with an incident id under which the log, and only the log, holds the traceback.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from google.protobuf import message

from boxwright import callers, errors
from boxwright.surface import methods

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
Authenticate = Callable[[Mapping[str, str]], callers.Caller]
REQUIRED = "Required field not set."  # the service's own words; clients match on them


def accept_everyone(metadata: Mapping[str, str]) -> callers.Caller:
    """Lets every caller in as nobody in particular; credentials are accepted and not looked at."""
    return callers.ANONYMOUS


class Dispatcher:
    """Carries every call of both API servers to the service method that answers it.

    Args:
        services: service objects by full gRPC service name.
        authenticate: turns request metadata (lower-case header names) into a Caller, or raises an ApiError.
        planned: rpcs that no service needs to offer yet.
        new_incident_id: names an unexpected failure, for the caller and for the log.

    Raises:
        TypeError: a service lacks a method of the table, or a service is not in the table.
    """

    def __init__(
        self,
        services: Mapping[str, object],
        authenticate: Authenticate = accept_everyone,
        planned: Collection[str] = methods.PLANNED,
        *,
        new_incident_id: Callable[[], str] = lambda: secrets.token_hex(6),
    ) -> None:
        self._authenticate = authenticate
        self._new_incident_id = new_incident_id
        self._bound = _bind(services, planned)

    def call(self, row: methods.Method, request: message.Message, metadata: Mapping[str, str]) -> message.Message:
        """Answers one call.

        Raises:
            ApiError: anything that went wrong, fit to be shown to the caller.
        """
        return self.guard(row, lambda: self._call(row, request, metadata))

    def serve(
        self,
        row: methods.Method,
        read: Callable[[], message.Message],
        metadata: Mapping[str, str],
        write: Callable[[message.Message], _T],
    ) -> _T:
        """Reads the request, answers it and writes the answer, all in the calling thread.

        Raises:
            ApiError: as `call`, and for a request that cannot be read.
        """
        return self.guard(row, lambda: write(self._call(row, read(), metadata)))

    def guard(self, row: methods.Method, work: Callable[[], _T]) -> _T:
        """Runs a piece of a call; whatever it raises becomes an ApiError."""
        try:
            return work()
        except errors.ApiError:
            raise
        except Exception as unexpected:  # the one place of the API servers where the unknown gets a name
            incident_id = self._new_incident_id()
            _log.exception("event=call_failed rpc=%s incident=%s", row.full_name, incident_id)
            raise errors.internal(incident_id) from unexpected

    def _call(self, row: methods.Method, request: message.Message, metadata: Mapping[str, str]) -> message.Message:
        caller = self._authenticate(metadata)
        missing = [(path, REQUIRED) for path in row.required if not methods.is_set(request, path)]
        if missing:
            raise errors.invalid_fields(missing)
        return row.unwrap(self._bound[row](row.wrap(request), caller))


def _bind(services: Mapping[str, object], planned: Collection[str]) -> dict[methods.Method, Callable[..., Any]]:
    known = {row.service for row in methods.TABLE}
    problems = [f"{name} is not a service of the table" for name in services if name not in known]
    bound: dict[methods.Method, Callable[..., Any]] = {}
    for row in methods.TABLE:
        method = getattr(services.get(row.service), row.python_name, None)
        if callable(method):
            bound[row] = method
        elif row.rpc in planned:
            bound[row] = _not_yet(row)
        else:
            problems.append(f"no {row.python_name}() for {row.full_name}")
    if problems:
        raise TypeError("The services do not fit the table of methods: " + "; ".join(problems) + ".")
    return bound


def _not_yet(row: methods.Method) -> Callable[..., Any]:
    def answer(request: object, caller: callers.Caller) -> Any:
        raise errors.unimplemented(f"{row.rpc} of {row.service} is not available in this installation.")

    return answer
