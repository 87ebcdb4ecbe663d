"""Who is calling, and what a call needs: values that the API servers, `access` and the services hand to each other."""

from __future__ import annotations

import dataclasses

from google.protobuf import message

from boxwright import errors


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where a call comes from.

    Attributes:
        address: of the connection, an IP address; empty where there is none.
        user_agent: what the program says that it is.
        traceparent: the span that the call is a part of, as the caller's header has it.
    """

    address: str = ""
    user_agent: str = ""
    traceparent: str = ""


NOWHERE = Origin()


@dataclasses.dataclass(frozen=True)
class Caller:
    """The identity behind one call, as it was judged before the call's body was read.

    Attributes:
        member: the name by which policies and grants know the caller, such as ``user:ada@example.org`` or
            ``serviceAccount:ci@demo.boxwright.localhost``; empty while everybody may do everything (``access = open``).
        key: what the caller has shown, such as ``keys/KID``, ``apiKeys/ID``, ``tokens/PREFIX`` or ``providers/NAME``.
        charged_project: the project that the request wants charged; empty: the one of the resource that it names.
        groups: further members that the caller counts as, ``group:…`` and ``principalSet:…``.
        narrowed_to: permissions beyond which the key gives none; None: the key narrows nothing.
        actors: members who have had the caller's token given to them for the caller's account, the last one last.
        origin: where the call comes from; no part of who is calling.
    """

    member: str = ""
    key: str = ""
    charged_project: str = ""
    groups: tuple[str, ...] = ()
    narrowed_to: frozenset[str] | None = None
    actors: tuple[str, ...] = ()
    origin: Origin = dataclasses.field(default=NOWHERE, compare=False)

    @property
    def email(self) -> str:
        """The member without its kind; ``anonymous`` for nobody in particular."""
        return self.member.partition(":")[2] or "anonymous"


ANONYMOUS = Caller()


@dataclasses.dataclass(frozen=True)
class Requirement:
    """A permission that a call needs on a resource.

    Attributes:
        permission: its full name, such as ``automl.datasets.get``.
        resource: the resource's name as the request has it.
        or_starter: whether who has started the operation of that name needs no permission.
    """

    permission: str
    resource: str
    or_starter: bool = False


@dataclasses.dataclass(frozen=True)
class CallRecord:
    """What is recorded of one call.

    Attributes:
        method: its name with dots.
        caller: who has made it.
        is_read: whether it changes nothing.
        resource: the name of the resource that it is about; empty where the call did not get so far.
        needs: the permissions that it needs.
        request: what was asked; None where it was not read.
        answer: what was answered; None for an error.
        error: why it was not done; None if it was.
    """

    method: str
    caller: Caller
    is_read: bool = False
    resource: str = ""
    needs: tuple[Requirement, ...] = ()
    request: message.Message | None = None
    answer: message.Message | None = None
    error: errors.ApiError | None = None
