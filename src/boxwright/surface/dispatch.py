"""One path for every call: admit the caller, check required fields and permissions, call the service, name the error.

`Dispatcher` binds every row of the table to a method of the same name, in snake case, at construction. A forgotten
method is a start-up failure; a planned gap answers UNIMPLEMENTED. Whatever a service raises leaves here as an ApiError:
its own, or INTERNAL with an incident id under which the log, and only the log, holds the traceback.
"""

from __future__ import annotations

import dataclasses
import logging
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from google.protobuf import message

from boxwright import callers, errors, names
from boxwright.surface import methods
from boxwright.telemetry import spans, trace_context

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
Headers = Sequence[tuple[str, str]]  # names in lower case; a name may be there twice
REQUIRED = "Required field not set."  # the service's own words; clients match on them


class AccessDecider(Protocol):
    """Who is calling, and what they may do."""

    def admit(self, method: str, headers: Headers, *, may_wait: bool = True) -> callers.Caller | None:
        """Says who is calling, by the headers of a call alone.

        Args:
            method: the method's name with dots, for the details of an error.
            headers: all headers or metadata of the call, credentials of the query among them.
            may_wait: False on the event loop: the answer is None where it would take a while.

        Raises:
            ApiError: UNAUTHENTICATED, or another refusal of what was sent.
        """

    def check(self, caller: callers.Caller, method: str, requirements: Sequence[callers.Requirement]) -> None:
        """Lets a call pass, or not.

        Raises:
            ApiError: PERMISSION_DENIED naming the permission and the resource.
        """


class CallRecorder(Protocol):
    """Where calls are recorded."""

    def check(self) -> None:
        """Lets a change begin, or not.

        Raises:
            ApiError: UNAVAILABLE: it could not be recorded.
        """

    def record(self, call: callers.CallRecord) -> None:
        """Records a call that has ended.

        Raises:
            ApiError: UNAVAILABLE: a change cannot be recorded.
        """


class CallQuotas(Protocol):
    """How much may be asked."""

    def count(self, rpc: str, project: str) -> None:
        """Counts a call that may be made and is charged to a project; raises RESOURCE_EXHAUSTED if it is too many."""

    def count_failure(self, address: str, error: errors.ApiError) -> None:
        """Counts a refused caller of an address; raises RESOURCE_EXHAUSTED if there are too many."""


class Dispatcher:
    """Carries every call of both API servers to the service method that answers it.

    Args:
        services: service objects by full gRPC service name.
        decider: says who is calling and what they may do.
        planned: rpcs that no service needs to offer yet.
        recorder: records calls; None: nobody does.
        quotas: say how much may be asked; None: without limit.
        new_incident_id: names an unexpected failure, for the caller and for the log.

    Raises:
        TypeError: a service lacks a method of the table, or a service is not in the table.
    """

    def __init__(
        self,
        services: Mapping[str, object],
        decider: AccessDecider,
        planned: Collection[str] = methods.PLANNED,
        *,
        recorder: CallRecorder | None = None,
        quotas: CallQuotas | None = None,
        new_incident_id: Callable[[], str] = lambda: secrets.token_hex(6),
    ) -> None:
        self._decider = decider
        self._recorder = recorder
        self._quotas = quotas
        self._new_incident_id = new_incident_id
        self._bound = _bind(services, planned)

    def admit(
        self, method: str, headers: Headers, origin: callers.Origin = callers.NOWHERE, *, may_wait: bool = True
    ) -> callers.Caller | None:
        """Says who is calling, before anything of the call's body is read; once for each call.

        None is the answer only where it may not wait, and would have to.

        Raises:
            ApiError: the caller is nobody who may call.
        """
        try:
            caller = self.guard(method, lambda: self._decider.admit(method, headers, may_wait=may_wait))
        except errors.ApiError as error:
            if self._quotas is not None:
                self._quotas.count_failure(origin.address, error)
            raise
        return caller and dataclasses.replace(caller, origin=origin)

    def refused(self, method: str, origin: callers.Origin, error: errors.ApiError) -> None:
        """Records a call that was refused before its body; `method` is its name with dots."""
        if self._recorder is not None:
            caller = callers.Caller(origin=origin)
            self._recorder.record(callers.CallRecord(method, caller, error=error))

    def call(
        self, row: methods.Method, request: message.Message, caller: callers.Caller, *, is_again: bool = False
    ) -> message.Message:
        """Answers one call; `is_again`: it was answered before, and its caller has waited since.

        Raises:
            ApiError: anything that went wrong, fit to be shown to the caller.
        """
        return self._recorded(row, lambda: request, caller, lambda answer: answer, is_again=is_again)

    def serve(
        self,
        row: methods.Method,
        read: Callable[[], message.Message],
        caller: callers.Caller,
        write: Callable[[message.Message], _T],
    ) -> _T:
        """Reads the request, answers it and writes the answer, all in the calling thread.

        Raises:
            ApiError: as `call`, and for a request that cannot be read.
        """
        return self._recorded(row, read, caller, write)

    def guard(self, method: str, work: Callable[[], _T]) -> _T:
        """Runs a piece of a call; whatever it raises becomes an ApiError."""
        try:
            return work()
        except errors.ApiError:
            raise
        except Exception as unexpected:  # the one place of the API servers where the unknown gets a name
            incident_id = self._new_incident_id()
            _log.exception("event=call_failed rpc=%s incident=%s", method, incident_id)
            raise errors.internal(incident_id) from unexpected

    def _recorded(
        self,
        row: methods.Method,
        read: Callable[[], message.Message],
        caller: callers.Caller,
        write: Callable[[message.Message], _T],
        *,
        is_again: bool = False,
    ) -> _T:
        """Answers a call, and records it."""
        record = callers.CallRecord(row.dotted_name, caller, row.is_read)

        def work() -> _T:
            nonlocal record
            request = read()
            record = dataclasses.replace(record, resource=methods.resource_of(row, request), request=request)
            missing = [(path, REQUIRED) for path in row.required if not methods.is_set(request, path)]
            if missing:
                raise errors.invalid_fields(missing)
            record = dataclasses.replace(record, needs=methods.requirements(row, request))
            self._decider.check(caller, row.dotted_name, record.needs)
            if names.is_name(record.resource):  # what is none may be the address of an image
                spans.current().set(resource=record.resource)
            if self._quotas is not None and not is_again:  # after the permission: nobody uses up what others have
                # what anybody may ask of any project is not charged to that project
                own = names.project_of(record.resource) if record.needs else caller.email
                self._quotas.count(row.rpc, caller.charged_project or own or caller.email)
            if self._recorder is not None and not row.is_read:
                self._recorder.check()
            answer = row.unwrap(self._bound[row](row.wrap(request), caller))
            record = dataclasses.replace(record, answer=answer)
            return write(answer)

        try:
            content = self.guard(row.dotted_name, work)
        except errors.ApiError as error:
            if self._recorder is not None:
                self._recorder.record(dataclasses.replace(record, answer=None, error=error))
            raise
        if self._recorder is not None and not is_again:
            self._recorder.record(record)
        return content


def origin_of(headers: Headers, address: str) -> callers.Origin:
    """Where a call comes from, by its headers and its connection's address."""
    agents = [value for name, value in headers if name == "user-agent"]
    parents = [value for name, value in headers if name == trace_context.HEADER]
    # of several, none can be the caller's
    return callers.Origin(address, agents[0] if agents else "", parents[0] if len(parents) == 1 else "")


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
