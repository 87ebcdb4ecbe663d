"""An operation's state as a CloudEvent 1.0 in JSON, structured mode (https://github.com/cloudevents/spec)."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Any

from boxwright import names, states

CONTENT_TYPE = "application/cloudevents+json"
MAX_BYTES = 64_000  # the least size that every receiver of CloudEvents takes is 64 KiB
STARTED = "started"
WORDS = {
    states.OperationState.RUNNING: STARTED,
    states.OperationState.SUCCEEDED: "succeeded",
    states.OperationState.FAILED: "failed",
    states.OperationState.CANCELLED: "cancelled",
}
_LONG = ("input_uris", "failures", "ignored_params", "labels", "score_thresholds")  # left out first, if it is too long


def event_id(operation: names.OperationName, word: str) -> str:
    """The id of an event: the operation's and its state, so that a second copy is known by it."""
    return f"{operation.operation}-{word}"


def text(operation: names.OperationName, word: str, time_us: int, data: Mapping[str, Any]) -> str:
    """The event's JSON, of at most `MAX_BYTES` bytes.

    Args:
        operation: whose state it is.
        word: which state, of `WORDS`.
        time_us: when it has come to it, microseconds UTC.
        data: what is told of it.
    """
    time = datetime.datetime.fromtimestamp(time_us / 1_000_000, datetime.UTC)
    event = {
        "specversion": "1.0",
        "id": event_id(operation, word),
        "source": f"/v1/{operation.parent}",
        "type": f"boxwright.operation.{word}",
        "subject": str(operation),
        "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": dict(data),
    }
    made = json.dumps(event)
    for key in _LONG:
        if len(made) <= MAX_BYTES:
            break
        event["data"] = {name: value for name, value in event["data"].items() if name != key}  # type: ignore[attr-defined]
        made = json.dumps(event)
    return made
