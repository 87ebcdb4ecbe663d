"""Waiting for an operation: how far it is, a service that is away for a while, Ctrl-C, and the exit status at the end."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

from boxwright.commands import output
from boxwright.commands.connection import RestConnection, Unreachable
from boxwright.commands.finding import last_segment, output_folder

POLL_S = 1.0
LINE_INTERVAL_S = 10.0  # where standard error is no terminal
PATIENCE_S = 60.0  # for a service that is being restarted while somebody waits
RETRY_S = 1.0
BAR_COLUMNS = 20
SUCCEEDED, FAILED, PARTLY, INTERRUPTED = 0, 1, 3, 130
ENDED = {"SUCCEEDED": SUCCEEDED, "FAILED": FAILED, "CANCELLED": FAILED}
COUNTED_KINDS = ("batch_predict", "import_data")  # whose partial failures are images or rows that are missing
CANCELLED_CODE = 1
_T = TypeVar("_T")


def patiently(ask: Callable[[], _T]) -> _T:
    """Asks again, for up to a minute, while the service is away, and says so once.

    Raises:
        Unreachable: it was away for longer.
    """
    begun_s = time.monotonic()
    has_said = False
    while True:
        try:
            return ask()
        except Unreachable as away:
            if time.monotonic() - begun_s > PATIENCE_S:
                raise
            if not has_said:
                has_said = True
                _clear_line()
                output.say(f"{away.message.strip()} Trying again for up to {PATIENCE_S:.0f} s.")
            time.sleep(RETRY_S)


def follow(connection: RestConnection, name: str, *, as_json: bool) -> int:
    """Shows how far an operation is until it ends, prints its end, and returns the exit status.

    Standard error has the progress: a bar on a terminal, else a line every ten seconds. Standard output has the end.

    Returns:
        0: succeeded; 1: failed or cancelled; 3: succeeded, and some images or rows failed; 130: Ctrl-C.
    """
    found = ended(connection, name)
    if found is None:
        return INTERRUPTED
    operation, numbers = found
    if as_json:
        output.print_json(operation)
    else:
        print(end_in_words(operation, numbers))
        _say_what_failed(operation, numbers)
    return status_of(operation, numbers)


def ended(connection: RestConnection, name: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Shows how far an operation is until it ends; returns it and its numbers, None after Ctrl-C."""
    try:
        numbers = _watch(connection, name)
        return patiently(lambda: connection.call("GET", name)), numbers
    except KeyboardInterrupt:
        _clear_line()
        output.say(f"It goes on. To wait again: boxwright operations wait {name}")
        return None


def started(connection: RestConnection, operation: dict[str, Any], *, wait: bool, as_json: bool) -> int:
    """Tells of an operation that a command has started; waits for its end if asked to.

    Returns:
        The exit status: 0 if it was started, else as `follow`.
    """
    name, is_done = operation["name"], operation.get("done", False)
    if wait and not is_done:
        if not as_json:
            output.say(f"Started {name}")
        return follow(connection, name, as_json=as_json)
    numbers = connection.call("GET", f"{name}:progress") if is_done else {}
    if as_json:
        output.print_json(operation)
    elif is_done:
        print(end_in_words(operation, numbers))
        _say_what_failed(operation, numbers)
    else:
        print(f"Started {name}")
        output.say(f"To wait for its end: boxwright operations wait {last_segment(name)}")
    return status_of(operation, numbers) if is_done else SUCCEEDED


def status_of(operation: dict[str, Any], numbers: dict[str, Any]) -> int:
    """The exit status that an operation which has ended stands for."""
    if "error" in operation:
        return FAILED
    return PARTLY if _has_failures(operation, numbers) else SUCCEEDED


def state_of(operation: dict[str, Any]) -> str:
    """``running``, ``succeeded``, ``failed`` or ``cancelled``, as far as an operation's message says it."""
    if not operation.get("done"):
        return "unfinished"
    code = operation.get("error", {}).get("code")
    return "succeeded" if code is None else "cancelled" if code == CANCELLED_CODE else "failed"


def end_in_words(operation: dict[str, Any], numbers: dict[str, Any]) -> str:
    """The end of an operation in a line: state, numbers, reason, and what has come of it."""
    reason = operation.get("error", {}).get("message", "").strip()
    made = operation.get("response", {}).get("name", "")
    parts = (state_of(operation).upper(), in_words(numbers), reason, made, output_folder(operation.get("metadata", {})))
    return output.safe("  ".join(part for part in parts if part))


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
        if numbers.get("reused"):
            parts.append(f"{numbers['reused']:,.0f} taken over")
        if numbers.get("images_of_one_colour"):
            parts.append(f"{numbers['images_of_one_colour']:,.0f} of one colour")
    if numbers.get("waits_for"):
        parts.append(f"waiting for {numbers['waits_for']}, which is called too often")
    if numbers.get("stage"):
        parts.append(numbers["stage"])
    if numbers.get("images_read"):
        parts.append(f"read {numbers['images_read']}")
    if numbers.get("epoch") is not None and numbers.get("steps"):
        parts.append(f"epoch {numbers['epoch']:,.1f}, step {numbers.get('step', 0):,.0f} of {numbers['steps']:,.0f}")
    parts.append(f"{numbers['progress_percent']:.0f}%")
    if numbers.get("images_per_s") is not None:
        parts.append(f"{numbers['images_per_s']:,.1f} images/s")
    if numbers.get("validation_map50") is not None:
        parts.append(f"validation AP@0.5 {numbers['validation_map50']:.3f}")
    if numbers.get("validation_accuracy") is not None:
        parts.append(f"right on validation {numbers['validation_accuracy']:.1%}")
    if numbers.get("eta_s") is not None and numbers["state"] == "RUNNING":
        parts.append(f"{output.duration(numbers['eta_s'])} left")
    if numbers.get("bottleneck") and numbers["state"] == "RUNNING":
        parts.append(f"limited by {numbers['bottleneck']}")
    return ", ".join(parts)


def _watch(connection: RestConnection, name: str) -> dict[str, Any]:
    """Shows an operation's progress until it ends; returns its numbers."""
    is_live = sys.stderr.isatty()
    said_s = time.monotonic()
    while True:
        numbers = patiently(lambda: connection.call("GET", f"{name}:progress"))
        if numbers["state"] in ENDED:
            _clear_line()
            return numbers
        if is_live:
            print(f"\r\x1b[K{_line(numbers)}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - said_s >= LINE_INTERVAL_S:
            said_s = time.monotonic()
            output.say(in_words(numbers))
        time.sleep(POLL_S)


def _line(numbers: dict[str, Any]) -> str:
    """Bar and words, as much as the terminal is wide."""
    full, empty = ("█", "░") if (sys.stderr.encoding or "").lower().startswith("utf") else ("#", "-")
    filled = int(BAR_COLUMNS * min(100.0, max(0.0, numbers["progress_percent"])) / 100)  # full means 100 %
    bar = full * filled + empty * (BAR_COLUMNS - filled)
    return output.cut(f"{bar} {output.safe(in_words(numbers))}", shutil.get_terminal_size().columns - 1)


def _clear_line() -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _has_failures(operation: dict[str, Any], numbers: dict[str, Any]) -> bool:
    """Whether images or rows have failed; a training's partial failures are remarks about its data."""
    if numbers.get("kind") not in COUNTED_KINDS:
        return False
    return bool(numbers.get("failed") or operation.get("metadata", {}).get("partialFailures"))


def _say_what_failed(operation: dict[str, Any], numbers: dict[str, Any]) -> None:
    """The first failures or remarks, and what can be done about failed images."""
    failures = operation.get("metadata", {}).get("partialFailures", [])
    if numbers.get("kind") == "batch_predict":
        for reason in numbers.get("failures", []):
            output.say(f"    {reason['images']:,.0f} {reason['code']}, first: {reason['first']}")
        if "error" not in operation and numbers.get("failed"):
            output.say(f"To predict the failed images again: boxwright batch retry {last_segment(operation['name'])}")
        return
    for failure in failures:
        output.say(f"    {failure.get('message', '')}")
