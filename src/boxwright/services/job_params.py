"""What the params of a batch prediction say of the job and not of its results: its priority and its deadline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from boxwright import errors, states
from boxwright.callers import Requirement
from boxwright.operations.records import Terms
from boxwright.services import validation

LEAST_DEADLINE_S, MOST_DEADLINE_S = 1.0, 366 * 24 * 3600.0
PRIORITIZE = "boxwright.operations.prioritize"  # the permission that high priority needs


def terms(params: Mapping[str, str]) -> Terms:
    """The terms that a request's params name.

    Raises:
        ApiError: INVALID_ARGUMENT naming the key whose value is not possible.
    """
    priority, deadline_s = states.Priority.NORMAL, None
    for key, value in params.items():
        field = f"params.{key[: validation.MAX_SHOWN_CHARS]}"
        match validation.spelled(key):
            case "priority":
                priority = _priority(value, field)
            case "deadline_s":
                deadline_s = validation.number(value, field, float, LEAST_DEADLINE_S, MOST_DEADLINE_S)
    return Terms(priority, deadline_s)


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
