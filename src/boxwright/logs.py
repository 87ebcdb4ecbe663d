"""The log of a service, a worker or an operator's command, on standard error: lines for people, or JSON for a collector.

    start         begins to log
    JsonFormatter  a record as one line of JSON

What happens is logged as ``event=NAME key=value …``. In JSON, each key of such a line is a key of the object,
and its value has the type that was logged.
"""

from __future__ import annotations

import datetime
import json
import logging
import re
import sys
from typing import Any

from boxwright.access import redaction
from boxwright.telemetry import spans

TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s%(trace)s"
OWN = ("time", "level", "logger", "message", "traceback", "trace_id")  # keys that are no event's

_EVENT = re.compile(r"event=([\w%]+)")
_CONVERSION = re.compile(r"(?:(\w+)=)?%(?:%|[-#0 +]*\d*(?:\.\d+)?[a-zA-Z])")


def start(level: str, style: str) -> None:
    """Begins to log.

    Args:
        level: the least severe level that is logged.
        style: `text` or `json`.
    """
    logging.basicConfig(stream=sys.stderr, level=level.upper(), format=TEXT)
    for handler in logging.getLogger().handlers:
        handler.addFilter(TraceFilter())
    if style == "json":
        for handler in logging.getLogger().handlers:
            handler.addFilter(_EventFilter())  # before the one below, which leaves no template
            handler.setFormatter(JsonFormatter())
    redaction.protect_log()


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: OWN keys, `event`, and the values of the event.

    `time` is UTC with milliseconds, as RFC 3339 has it. `traceback` and `trace_id` are there where there is one.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        at = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line: dict[str, Any] = {
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
        }
        line |= getattr(record, "event_values", {})
        if trace_id := getattr(record, "trace_id", ""):
            line["trace_id"] = trace_id
        line["message"] = record.getMessage()
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            line["traceback"] = record.exc_text
        return json.dumps(line, ensure_ascii=False, default=str)


class TraceFilter(logging.Filter):
    """Lets every record pass, and notes the trace that its thread works for."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Lets it pass."""
        context = spans.current().context
        trace_id = context.trace_id if context is not None and context.is_sampled else ""
        record.trace_id, record.trace = trace_id, f" trace_id={trace_id}" if trace_id else ""
        return True


class _EventFilter(logging.Filter):
    """Lets every record pass, and notes what its event has."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.event_values = event_values(record.msg, record.args)
        return True


def event_values(template: object, values: object) -> dict[str, Any]:
    """What a line of the log says by keys: its event, and the values that follow a key and an equals sign.

    Args:
        template: of the line, as the logging package takes it.
        values: for its conversions, likewise.

    Returns:
        Values of JSON: numbers and truth values as they are, all else as text without credentials. Empty for a line that is
        no event.
    """
    text = str(template)
    if not (found := _EVENT.match(text)) or not isinstance(values, tuple | None):
        return {}
    conversions = [one for one in _CONVERSION.finditer(text) if not one[0].endswith("%%")]
    if len(conversions) != len(values or ()):
        return {}  # the handler says that they do not fit
    named = {key: value for one, value in zip(conversions, values or (), strict=True) if (key := one[1])}
    constant = dict(re.findall(r"(\w+)=([^\s%]+)(?=\s|$)", text))
    event = _EVENT.match(text % (values or ()) if "%" in found[1] else text)
    assert event is not None
    return {key: _plain(value) for key, value in ({"event": event[1]} | constant | named).items() if key not in OWN}


def _plain(value: object) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    return redaction.redact(str(value))
