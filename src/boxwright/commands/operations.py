"""``boxwright operations``: list, describe, wait for, cancel and resume operations of a running service."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import time
from typing import Any

from boxwright import errors
from boxwright.commands.connection import Connection, Unreachable, add_arguments

POLL_S = 1.0
LINE_INTERVAL_S = 10.0  # where the output is no terminal
PATIENCE_S = 60.0  # for a service that is being restarted while somebody waits
ENDED = {"SUCCEEDED": 0, "FAILED": 1, "CANCELLED": 1}


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds ``operations`` and its own commands."""
    parser = commands.add_parser(
        "operations",
        help="list, describe, wait for, cancel and resume operations",
        description="Operations of a running service, over its REST API.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, run, text in (
        ("list", _list, "newest first"),
        ("describe", _describe, "one operation, with its numbers"),
        ("wait", _wait, "show how far an operation is until it ends; exit status 1 if it does not succeed"),
        ("cancel", _cancel, "ask for an operation's end"),
        ("resume", _resume, "let a batch prediction that failed or was cancelled go on, as a new operation"),
    ):
        action = actions.add_parser(name, help=text, description=f"{name.capitalize()}: {text}.")
        if name != "list":
            action.add_argument("name", metavar="NAME", help="the operation, by its full name or its id")
        if name == "resume":
            action.add_argument("--wait", action="store_true", help="wait for the new operation's end")
        add_arguments(action)
        action.set_defaults(run=run)


def _list(options: argparse.Namespace) -> int:
    connection = Connection(options)
    found = connection.pages(f"{connection.parent}/operations", "operations")
    if options.as_json:
        _print_json(found)
        return 0
    for operation in found:
        metadata = operation.get("metadata", {})
        state = _state(operation)
        print(
            f"{operation['name'].rpartition('/')[2]:24} {_kind(metadata):16} {state:10} "
            f"{metadata.get('progressPercent', 0):3}%  {metadata.get('createTime', '')}"
        )
    return 0


def _describe(options: argparse.Namespace) -> int:
    connection = Connection(options)
    name = connection.full_name(options.name, "operations")
    operation, numbers = connection.call("GET", name), connection.call("GET", f"{name}:progress")
    if options.as_json:
        _print_json({"operation": operation, "progress": numbers})
        return 0
    metadata = operation.get("metadata", {})
    lines = {
        "name": name,
        "kind": numbers["kind"],
        "state": numbers["state"],
        "created": metadata.get("createTime", ""),
    }
    lines |= {"updated": numbers["update_time"], "progress": in_words(numbers), "results": _results(metadata)}
    lines |= asked_and_spent(numbers)
    lines["weights"] = f"{start} at the start" if (start := numbers.get("initial_weights")) else ""
    lines["losses"] = ", ".join(f"{name} {value:.3g}" for name, value in numbers.get("losses", {}).items())
    lines["error"] = operation.get("error", {}).get("message", "")
    for key, value in lines.items():
        if value:
            print(f"{key + ':':10} {value}")
    for reason in numbers.get("failures") or _reasons(metadata.get("partialFailures", [])):
        print(f"{'failures:':10} {reason['images']:,.0f} {reason['code']}, first: {reason['first']}")
    return 0


def _reasons(failures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The listed failures by reason, most frequent first; a service lists the first twenty."""
    found: dict[int, dict[str, Any]] = {}
    for failure in failures:
        code, message = failure.get("code", 2), failure.get("message", "")
        entry = found.setdefault(code, {"code": errors.ApiError(code, "").code_name, "images": 0, "first": message})
        entry["images"] += 1
    return sorted(found.values(), key=lambda reason: -reason["images"])


def asked_and_spent(numbers: dict[str, Any]) -> dict[str, str]:
    """What a batch prediction was asked for and what it took, a line each; empty where it is not known."""
    lists, count = numbers.get("input_uris", []), numbers.get("input_uri_count", 0)
    more = [f"and {count - len(lists):,.0f} more"] if count > len(lists) else []
    ignored = [
        f"{param['key']} (did you mean {param['nearest']}?)" if param.get("nearest") else param["key"]
        for param in numbers.get("ignored_params", [])
    ]
    stages = sorted(numbers.get("stages", {}).items(), key=lambda stage: -stage[1])
    return {
        "model": numbers.get("model", ""),
        "list": ", ".join([*lists, *more]),
        "threshold": f"{numbers['score_threshold']:g}" if "score_threshold" in numbers else "",
        "ignored": f"params {', '.join(ignored)}" if ignored else "",
        "duration": _duration(spent_s) if (spent_s := _spent_s(numbers)) is not None else "",
        "stages": ", ".join(
            f"{name} {spent_s:,.{1 if spent_s >= 10 else 2}f} s" for name, spent_s in stages if spent_s > 0
        ),
        "limited by": numbers.get("bottleneck", ""),
    }


def _spent_s(numbers: dict[str, Any]) -> float | None:
    """Seconds of work on an operation; where they are not counted, those from the call to the end; None before that."""
    if numbers.get("elapsed_s") is not None:
        return float(numbers["elapsed_s"])
    if "end_time" not in numbers:
        return None
    start, end = (datetime.datetime.fromisoformat(numbers[key]) for key in ("create_time", "end_time"))
    return (end - start).total_seconds()


def _wait(options: argparse.Namespace) -> int:
    connection = Connection(options)
    return _follow(connection, connection.full_name(options.name, "operations"), options.as_json)


def _cancel(options: argparse.Namespace) -> int:
    connection = Connection(options)
    name = connection.full_name(options.name, "operations")
    answer = connection.call("POST", f"{name}:cancel")
    _print_json(answer) if options.as_json else print(f"Asked for the end of {name}.")
    return 0


def _resume(options: argparse.Namespace) -> int:
    connection = Connection(options)
    answer = connection.call("POST", f"{connection.full_name(options.name, 'operations')}:resume")
    _print_json(answer) if options.as_json else print(f"It goes on as {answer['name']}.")
    return _follow(connection, answer["name"], options.as_json) if options.wait else 0


def _follow(connection: Connection, name: str, as_json: bool) -> int:
    """Shows how far an operation is until it ends; returns the exit status."""
    is_live = sys.stderr.isatty()
    said_s = heard_s = time.monotonic()
    numbers = connection.call("GET", f"{name}:progress")
    try:
        while numbers["state"] not in ENDED:
            if is_live:
                print(f"\r\x1b[K{in_words(numbers)}", end="", file=sys.stderr, flush=True)
            elif time.monotonic() - said_s >= LINE_INTERVAL_S:
                said_s = time.monotonic()
                print(in_words(numbers), file=sys.stderr, flush=True)
            time.sleep(POLL_S)
            try:
                numbers, heard_s = connection.call("GET", f"{name}:progress"), time.monotonic()
            except Unreachable:  # an operation outlives a restart of the service, and so does who waits for it
                if time.monotonic() - heard_s > PATIENCE_S:
                    raise
    except KeyboardInterrupt:
        print(f"\nIt goes on. To wait again: boxwright operations wait {name}", file=sys.stderr)
        return 130
    finally:
        if is_live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    operation = connection.call("GET", name)
    if as_json:
        _print_json(operation)
    else:
        results = _results(operation.get("metadata", {}))
        reason = operation.get("error", {}).get("message", "")
        print("  ".join(text for text in (numbers["state"], in_words(numbers), reason, results) if text))
    return ENDED[numbers["state"]]


def in_words(numbers: dict[str, Any]) -> str:
    """An operation's numbers as one line."""
    parts = []
    if numbers["state"] == "PENDING":
        parts.append("waiting for its turn")
    if numbers.get("total") is not None:
        about = "" if numbers.get("total_is_exact") else "about "
        parts.append(f"{numbers['done']:,.0f} of {about}{numbers['total']:,.0f} images")
        if numbers.get("failed"):
            parts.append(f"{numbers['failed']:,.0f} failed")
        if numbers.get("images_of_one_colour"):
            parts.append(f"{numbers['images_of_one_colour']:,.0f} of one colour")
    if numbers.get("stage"):
        parts.append(numbers["stage"])
    if numbers.get("epoch") is not None and numbers.get("steps"):
        parts.append(f"epoch {numbers['epoch']:,.1f}, step {numbers.get('step', 0):,.0f} of {numbers['steps']:,.0f}")
    parts.append(f"{numbers['progress_percent']:.0f}%")
    if numbers.get("images_per_s") is not None:
        parts.append(f"{numbers['images_per_s']:,.1f} images/s")
    if numbers.get("validation_map50") is not None:
        parts.append(f"validation AP@0.5 {numbers['validation_map50']:.3f}")
    if numbers.get("eta_s") is not None and numbers["state"] == "RUNNING":
        parts.append(f"{_duration(numbers['eta_s'])} left")
    if numbers.get("bottleneck") and numbers["state"] == "RUNNING":
        parts.append(f"limited by {numbers['bottleneck']}")
    return ", ".join(parts)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _state(operation: dict[str, Any]) -> str:
    if not operation.get("done"):
        return "unfinished"
    code = operation.get("error", {}).get("code")
    return "succeeded" if code is None else "cancelled" if code == 1 else "failed"


def _kind(metadata: dict[str, Any]) -> str:
    return next((key.removesuffix("Details") for key in metadata if key.endswith("Details")), "")


def _results(metadata: dict[str, Any]) -> str:
    found = (value.get("outputInfo", {}) for key, value in metadata.items() if key.endswith("Details"))
    return next((info["gcsOutputDirectory"] for info in found if "gcsOutputDirectory" in info), "")


def _print_json(answer: Any) -> None:
    print(json.dumps(answer, indent=2, ensure_ascii=False))
