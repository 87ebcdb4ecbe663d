"""Whether a process can do its work: looks at the database and the state store, in a thread of its own.

A look may take as long as a store's patience. Who asks gets the newest finding at once, and whether it is too old.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from boxwright import errors

INTERVAL_S = 5.0  # between two looks
OLDEST_S = 30.0  # of a finding that still counts

Look = Callable[[], str | None]  # what is wrong, in words that give no address away; None if nothing is


class Readiness:
    """Looks again and again until it is closed.

    Args:
        looks: by what they look at.
        interval_s: between two rounds.
    """

    def __init__(self, looks: Mapping[str, Look], interval_s: float = INTERVAL_S) -> None:
        self._looks = looks
        self._interval_s = interval_s
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._found: dict[str, tuple[float, str | None]] = {}
        self._threads = [
            threading.Thread(target=self._repeat, args=(name,), name=f"readiness-{name}", daemon=True) for name in looks
        ]

    def start(self) -> None:
        """Begins to look."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Ends the looking; a look that is under way is not waited for."""
        self._ended.set()

    def problems(self) -> dict[str, str]:
        """What is wrong now, by what was looked at; empty if all is well."""
        with self._lock:
            found = dict(self._found)
        now_s = time.monotonic()
        told: dict[str, str] = {}
        for name in self._looks:
            at_s, problem = found.get(name, (0.0, "has not been looked at yet"))
            if problem is None and now_s - at_s > OLDEST_S:
                problem = f"has not answered for {now_s - at_s:.0f} seconds"
            if problem is not None:
                told[name] = problem
        return told

    def _repeat(self, name: str) -> None:
        while True:
            try:
                problem = self._looks[name]()
            except errors.ApiError as error:
                problem = f"does not answer ({error.code_name})"
            except Exception as error:  # a probe must not end because of one odd answer
                problem = f"cannot be used ({type(error).__name__})"
            with self._lock:
                self._found[name] = time.monotonic(), problem
            if self._ended.wait(self._interval_s):
                return


def in_words(problems: Mapping[str, str]) -> str:
    """An answer's text: a line for each problem."""
    return "".join(f"{name}: {problem}\n" for name, problem in problems.items()) or "ok\n"
