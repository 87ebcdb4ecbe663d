"""What the params of a batch prediction say of the job and not of its results: priority, deadline, who hears of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from boxwright import errors, objects, states
from boxwright.callers import Requirement
from boxwright.notifications.destinations import HTTPS, AllowedHosts
from boxwright.operations.records import Terms
from boxwright.services import validation

LEAST_DEADLINE_S, MOST_DEADLINE_S = 1.0, 366 * 24 * 3600.0
MAX_DESTINATIONS = 5
PRIORITIZE = "boxwright.operations.prioritize"  # the permission that high priority needs


@dataclasses.dataclass(frozen=True)
class Receivers:
    """Where events may be sent.

    Attributes:
        allowed: hosts for web addresses; None: those of a request that was accepted before, whatever they are.
        schemes: of folders.
    """

    allowed: AllowedHosts | None = None
    schemes: Sequence[str] = objects.DEFAULT_SCHEMES

    def destinations(self, text: str, field: str) -> tuple[str, ...]:
        """The addresses between commas, each once. Raises INVALID_ARGUMENT naming the field."""
        found = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
        if len(found) > MAX_DESTINATIONS:
            raise errors.invalid_argument(
                field, f"It names {len(found)} destinations; the limit is {MAX_DESTINATIONS}."
            )
        if self.allowed is None:
            return found
        for one in found:
            try:
                if one.startswith(HTTPS):
                    self.allowed.parse(one)
                elif one.endswith("/"):
                    objects.caller_uri(one, self.schemes, directory=True)
                else:
                    raise errors.bad_request(
                        "A destination is https://HOST/PATH, or a folder such as gs://BUCKET/events/."
                    )
            except errors.ApiError as error:
                raise errors.invalid_argument(
                    field, f"'{one[: validation.MAX_SHOWN_CHARS]}': {error.message}"
                ) from error
        return found


def folders(chosen: Terms) -> list[objects.ObjectUri]:
    """The folders among the destinations, which the caller must be allowed to write to."""
    return [objects.ObjectUri.parse(one) for one in chosen.notify if not one.startswith(HTTPS)]


def terms(params: Mapping[str, str], receivers: Receivers = Receivers()) -> Terms:
    """The terms that a request's params name.

    Args:
        params: of the request.
        receivers: where events may be sent.

    Raises:
        ApiError: INVALID_ARGUMENT naming the key whose value is not possible.
    """
    priority, deadline_s = states.Priority.NORMAL, None
    notify: tuple[str, ...] = ()
    for key, value in params.items():
        field = f"params.{key[: validation.MAX_SHOWN_CHARS]}"
        match validation.spelled(key):
            case "priority":
                priority = _priority(value, field)
            case "deadline_s":
                deadline_s = validation.number(value, field, float, LEAST_DEADLINE_S, MOST_DEADLINE_S)
            case "notify":
                notify = receivers.destinations(value, field)
    return Terms(priority, deadline_s, notify)


def requirements(chosen: Terms, model: str) -> Sequence[Requirement]:
    """The permissions that a caller needs for these terms, beside those of the method."""
    return [Requirement(PRIORITIZE, model)] if chosen.priority == states.Priority.HIGH else []


def _priority(text: str, field: str) -> states.Priority:
    try:
        return states.Priority(text.strip().lower())
    except ValueError:
        known = ", ".join(states.Priority)
        raise errors.invalid_argument(
            field, f"'{text[: validation.MAX_SHOWN_CHARS]}' is no priority; priorities: {known}."
        ) from None
