"""``boxwright operations``: list, describe, wait for, cancel and resume operations of a running service."""

from __future__ import annotations

import argparse
import datetime
import sys
from typing import Any

from google.rpc import code_pb2

from boxwright import errors
from boxwright.commands import finding, help_text, output, waiting
from boxwright.commands.connection import RestConnection, add_arguments
from boxwright.commands.waiting import in_words as in_words

MAX_LISTED = 50
ENDED_ALREADY = 1

EXIT_STATUSES = """\
Exit status of whatever waits: 0 everything succeeded; 1 failed or cancelled; 2 the service could not be asked;
3 succeeded, but some images or rows failed; 130 Ctrl-C, which leaves the operation alone."""
EXAMPLES = f"""\
An operation is named by its id, its full name, the name of its results folder, or by the dataset or model that
it works on if that is clear.

  boxwright operations list
  boxwright operations describe IOD4485591010266213735
  boxwright operations wait IOD4485591010266213735 && echo done

{EXIT_STATUSES}
"""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds ``operations`` and its own commands."""
    parser = commands.add_parser(
        "operations",
        help="list, describe, wait for, cancel and resume operations",
        description="Operations of a running service, over its REST API.",
        epilog=EXAMPLES,
        formatter_class=help_text.Formatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, run, text in (
        ("list", _list, "newest first"),
        ("describe", _describe, "one operation, with its numbers"),
        ("wait", _wait, "show how far an operation is until it ends"),
        ("cancel", _cancel, "ask for an operation's end; exit status 1 if it had ended already"),
        ("resume", _resume, "let a batch prediction that failed or was cancelled go on, as a new operation"),
    ):
        action = actions.add_parser(name, help=text, description=f"{name.capitalize()}: {text}.", epilog=EXAMPLES)
        if name == "list":
            action.add_argument(
                "--limit",
                type=int,
                default=MAX_LISTED,
                metavar="N",
                help=f"the newest N, 0 for all (default {MAX_LISTED})",
            )
        else:
            action.add_argument("name", metavar="OPERATION", help="id, full name, results folder, or what it works on")
        if name == "resume":
            action.add_argument("--wait", action="store_true", help="wait for the new operation's end")
        add_arguments(action)
        action.set_defaults(run=run)


def _list(options: argparse.Namespace) -> int:
    connection = RestConnection(options)
    limit = max(0, options.limit)
    found = connection.pages(f"{connection.parent}/operations", "operations", limit=limit or None)
    shown = found[:limit] if limit else found
    if options.as_json:
        output.print_json(shown)
    else:
        known = {one["name"]: one.get("displayName", "") for one in _things(connection)} if shown else {}
        headings = ("OPERATION", "KIND", "STATE", "IMAGES", "FAILED", "DONE", "DURATION", "WORKS ON", "CREATED")
        rows = (_row(connection, operation, known) for operation in shown)
        output.print_table(headings, [row for row in rows if row])
    if not found:
        output.say(f"There are no operations in {connection.parent} at {connection.url}.")
    elif len(found) > len(shown):
        output.say(f"These are the newest {limit}; more with --limit.")
    return 0


def _things(connection: RestConnection) -> list[dict[str, Any]]:
    """The datasets and models of the project."""
    return [
        one for path, key in finding.LIST_KEYS.items() for one in connection.pages(f"{connection.parent}/{path}", key)
    ]


def _row(connection: RestConnection, operation: dict[str, Any], known: dict[str, str]) -> tuple[Any, ...] | None:
    """An operation in the columns of the list; None if it has been deleted meanwhile."""
    try:
        numbers = connection.call("GET", f"{operation['name']}:progress")
    except errors.ApiError as error:
        if error.code == code_pb2.NOT_FOUND:
            return None
        raise
    subject = numbers.get("works_on", "")
    start, end = (datetime.datetime.fromisoformat(numbers[key]) for key in ("create_time", "update_time"))
    if "end_time" in numbers:
        end = datetime.datetime.fromisoformat(numbers["end_time"])
    return (
        finding.last_segment(operation["name"]),
        numbers["kind"],
        numbers["state"].lower(),
        output.number(numbers["done"]) if numbers.get("done") is not None else "",
        output.number(numbers["failed"]) if numbers.get("failed") is not None else "",
        f"{numbers['progress_percent']:.0f}%",
        output.duration((end - start).total_seconds(), with_tenths=True),
        known.get(subject) or finding.last_segment(subject),
        output.moment(numbers["create_time"]),
    )


def _describe(options: argparse.Namespace) -> int:
    connection = RestConnection(options)
    name = finding.find(connection, options.name, "operations")["name"]
    operation, numbers = connection.call("GET", name), connection.call("GET", f"{name}:progress")
    if options.as_json:
        output.print_json({"operation": operation, "progress": numbers})
        return 0
    metadata = operation.get("metadata", {})
    lines = {
        "name": name,
        "kind": numbers["kind"],
        "state": numbers["state"],
        "created": numbers["create_time"],
        "updated": numbers["update_time"],
        "progress": in_words(numbers),
        "results": finding.output_folder(metadata),
        **asked_and_spent(numbers),
    }
    if not lines["model"]:
        lines["works on"] = numbers.get("works_on", "")
    lines["made"] = operation.get("response", {}).get("name", "")
    lines["weights"] = f"{start} at the start" if (start := numbers.get("initial_weights")) else ""
    lines["losses"] = ", ".join(f"{name} {value:.3g}" for name, value in numbers.get("losses", {}).items())
    lines["error"] = operation.get("error", {}).get("message", "").strip()
    output.print_fields(lines, least_width=12)
    for reason in numbers.get("failures") or _reasons(metadata.get("partialFailures", [])):
        output.print_fields(
            {"failures": f"{reason['images']:,.0f} {reason['code']}, first: {reason['first']}"}, least_width=12
        )
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
        "threshold": ", ".join(_thresholds(numbers)),
        "labels": ", ".join(numbers.get("labels", ())),
        "formats": ", ".join(numbers.get("formats", ())),
        "left out": f"{count:,.0f} names that are no images" if (count := numbers.get("left_out")) else "",
        "base": numbers.get("reuse", ""),
        "ignored": f"params {', '.join(ignored)}" if ignored else "",
        "duration": output.duration(spent_s, with_tenths=True) if (spent_s := _spent_s(numbers)) is not None else "",
        "stages": ", ".join(
            f"{name} {spent_s:,.{1 if spent_s >= 10 else 2}f} s" for name, spent_s in stages if spent_s > 0
        ),
        "rate": f"{rate:,.1f} images/s" if (rate := numbers.get("images_per_s")) is not None else "",
        "limited by": numbers.get("bottleneck", ""),
        "advice": numbers.get("advice", ""),
        "dry run": numbers.get("summary", "") or ("yes" if numbers.get("validate_only") else ""),
        "estimate": numbers.get("estimate", ""),
    }


def _thresholds(numbers: dict[str, Any]) -> list[str]:
    """The threshold, and those of labels that have their own."""
    general = [f"{numbers['score_threshold']:g}"] if "score_threshold" in numbers else []
    return general + [f"{label} {score:g}" for label, score in sorted(numbers.get("score_thresholds", {}).items())]


def _spent_s(numbers: dict[str, Any]) -> float | None:
    """Seconds of work on an operation; where they are not counted, those from the call to the end; None before that."""
    if numbers.get("elapsed_s") is not None:
        return float(numbers["elapsed_s"])
    if "end_time" not in numbers:
        return None
    start, end = (datetime.datetime.fromisoformat(numbers[key]) for key in ("create_time", "end_time"))
    return (end - start).total_seconds()


def _wait(options: argparse.Namespace) -> int:
    connection = RestConnection(options)
    found = waiting.patiently(lambda: finding.find(connection, options.name, "operations"))
    return waiting.follow(connection, found["name"], as_json=options.as_json)


def _cancel(options: argparse.Namespace) -> int:
    connection = RestConnection(options)
    name = finding.find(connection, options.name, "operations")["name"]
    state = connection.call("GET", f"{name}:progress")["state"]
    if state in waiting.ENDED:
        print(f"boxwright: {name} has ended already: {state}. There is nothing to cancel.", file=sys.stderr)
        return ENDED_ALREADY
    answer = connection.call("POST", f"{name}:cancel")
    output.print_json(answer) if options.as_json else print(f"Asked for the end of {name}.")
    return 0


def _resume(options: argparse.Namespace) -> int:
    connection = RestConnection(options)
    name = finding.find(connection, options.name, "operations")["name"]
    answer = connection.call("POST", f"{name}:resume")
    if not options.as_json:
        print(f"It goes on as {answer['name']}.")
    if options.wait:
        return waiting.follow(connection, answer["name"], as_json=options.as_json)
    if options.as_json:
        output.print_json(answer)
    return 0
