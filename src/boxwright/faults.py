"""Fault injection: named points at which a process may be told to die, fail or hang.

``BOXWRIGHT_FAULTS=sink.after_put:kill@3,plan.after_block:raise`` kills the process at the third passage of the point
``sink.after_put`` and raises at the first passage of ``plan.after_block``. Actions: ``kill`` (SIGKILL to itself),
``raise`` (`OSError`, as a full disk would), ``hang`` (for ever). Points and actions are documented in
docs/crash-safety.md; without the variable a point costs one dictionary look-up.

Every process counts for itself, so a fault that kills a child kills its successors too. With
``BOXWRIGHT_FAULTS_ONCE=FOLDER`` each fault happens once: it leaves a mark in the folder, and a process that finds the mark
passes unharmed. ``@*`` is every passage: with marks, taking a mark away arms the fault again in processes that run.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import pathlib
import signal
import threading
import urllib.parse
from collections.abc import Mapping

from boxwright import errors

VARIABLE = "BOXWRIGHT_FAULTS"
ONCE_VARIABLE = "BOXWRIGHT_FAULTS_ONCE"
ACTIONS = ("kill", "raise", "hang")
EVERY_PASSAGE = "*"


@dataclasses.dataclass
class _Fault:
    action: str
    at: int | None  # None: at every passage
    passed: int = 0


def parse(text: str) -> dict[str, _Fault]:
    """Parses the variable's value.

    Raises:
        ApiError: INVALID_ARGUMENT naming the part that is not understood.
    """
    found = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        point, _, what = part.rpartition(":")
        action, _, count = what.partition("@")
        if action not in ACTIONS or not (count == EVERY_PASSAGE or (count or "1").isdigit()):
            raise errors.invalid_argument(
                VARIABLE, f"'{part}' is not POINT:ACTION[@N] with one of {', '.join(ACTIONS)}."
            )
        found[point] = _Fault(action, None if count == EVERY_PASSAGE else int(count or 1))
    return found


class Faults:
    """The faults of one process."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._faults = parse(environment.get(VARIABLE, ""))
        self._marks = environment.get(ONCE_VARIABLE, "")
        self._lock = threading.Lock()

    def point(self, name: str) -> None:
        """Passes a named point; usually nothing happens."""
        fault = self._faults.get(name)
        if fault is None:
            return
        with self._lock:
            fault.passed += 1
            if fault.at is not None and fault.passed != fault.at:
                return
        if self._marks and not _marked_first(pathlib.Path(self._marks, urllib.parse.quote(name, safe=""))):
            return
        if fault.action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault.action == "raise":
            raise OSError(errno.ENOSPC, f"injected fault at {name}")
        threading.Event().wait()


def _marked_first(mark: pathlib.Path) -> bool:
    """Leaves a mark; returns whether nobody had left it before."""
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


_process_faults = Faults(os.environ)
point = _process_faults.point
