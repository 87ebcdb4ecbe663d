"""The log as JSON: every key of an event is one of its line, and nothing of a credential comes through."""

from __future__ import annotations

import ast
import json
import logging
import pathlib

import pytest

import boxwright
from boxwright import logs
from boxwright.access import redaction

TOKEN = "bxw_" + "a1B2c3D4" * 4
LEVELS = ("debug", "info", "warning", "error", "exception")


def _line(record: logging.LogRecord) -> dict[str, object]:
    logs._EventFilter().filter(record)
    redaction.RedactionFilter().filter(record)
    text = logs.JsonFormatter().format(record)
    assert "\n" not in text
    return dict(json.loads(text))


def _record(template: str, *values: object, exc_info: object = None) -> logging.LogRecord:
    return logging.LogRecord("boxwright.room", logging.WARNING, "", 0, template, values or None, exc_info)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("template", "values", "expected"),
    [
        ("event=stopping", (), {"event": "stopping"}),
        ("event=done operation=%s rows=%d", ("a/b c", 7), {"event": "done", "operation": "a/b c", "rows": 7}),
        ("event=%s id=%s try=%d", ("sent", "x", 2), {"event": "sent", "id": "x", "try": 2}),
        ("event=tuning_%s network=%r", ("done", "n"), {"event": "tuning_done", "network": "n"}),
        ("event=left elapsed_s=%.2f", (1.23456,), {"event": "left", "elapsed_s": 1.23456}),
        ("event=noise line=%r", ('a "b"\n',), {"event": "noise", "line": 'a "b"\n'}),
        ("event=progress operation=%s %s", ("op", "{}"), {"event": "progress", "operation": "op"}),
        ("event=share used=100%% of=%s", ("disk",), {"event": "share", "of": "disk"}),
        ("event=kept by=hand is_new=%s", (True,), {"event": "kept", "by": "hand", "is_new": True}),
        ("event=too_few a=%s b=%s", ("x",), {}),
        ("Started server process [%d]", (7,), {}),
    ],
)
def test_values_of_an_event(template: str, values: tuple[object, ...], expected: dict[str, object]) -> None:
    assert logs.event_values(template, values or None) == expected


def test_a_line_has_a_time_and_its_message() -> None:
    line = _line(_record("event=done rows=%d", 7))
    assert line["message"] == "event=done rows=7"
    assert (line["level"], line["logger"], line["rows"]) == ("WARNING", "boxwright.room", 7)
    assert str(line["time"]).endswith("Z")


def test_a_traceback_is_in_its_line_and_credentials_are_in_none() -> None:
    try:
        raise ValueError(f"refused {TOKEN}")
    except ValueError as error:
        line = _line(
            _record("event=failed reason=%s", f"with {TOKEN}", exc_info=(ValueError, error, error.__traceback__))
        )
    assert "Traceback" in str(line["traceback"])
    assert line["reason"] == f"with {redaction.REPLACEMENT}"
    assert TOKEN not in json.dumps(line)


def test_a_line_with_a_mapping_of_values_is_written() -> None:
    record = logging.LogRecord("uvicorn", logging.INFO, "", 0, "%(a)s", ({"a": 1},), None)
    assert _line(record)["message"] == "1"


def _templates() -> list[tuple[str, str, int]]:
    """Place, template and number of values of every event that the code logs."""
    found = []
    for path in sorted(pathlib.Path(boxwright.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in LEVELS
                and node.args
            ):
                first = node.args[0]
                if (
                    isinstance(first, ast.Constant)
                    and isinstance(first.value, str)
                    and first.value.startswith("event=")
                ):
                    count = sum(
                        len(getattr(one.value, "elts", ())) if isinstance(one, ast.Starred) else 1 for one in node.args
                    )
                    found.append((f"{path.name}:{node.lineno}", first.value, count - 1))
    return found


def test_every_event_of_the_code_can_be_written_as_json() -> None:
    templates = _templates()
    assert len(templates) > 50
    for place, template, count in templates:
        values = logs.event_values(template, tuple(range(count)) if count else None)
        assert "event" in values, place
        keys = {word.partition("=")[0] for word in template.split() if "=" in word}
        assert not keys & set(logs.OWN), f"{place}: a key of every line: {template}"
        assert keys == set(values), f"{place}: {template}"
