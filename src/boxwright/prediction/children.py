"""The inference children of this process: borrowed for one job at a time, kept for the next with their models loaded."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from boxwright.processes import Child

CHILD_MODULE = "boxwright.prediction.child"


class Children:
    """A small pool; it grows with the jobs that run at once and never shrinks below what runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[tuple[str, Child]] = []  # with the model folder that each used last
        self._borrowed: set[Child] = set()

    @contextlib.contextmanager
    def borrow(self, model_folder: str) -> Iterator[Child]:
        """Lends a child, best one that has this model loaded; it comes back unless it has died."""
        child = self._take(model_folder)
        try:
            yield child
        finally:
            with self._lock:
                self._borrowed.discard(child)
                if child.is_alive():
                    self._idle.append((model_folder, child))

    def close(self) -> None:
        """Ends every child."""
        with self._lock:
            children = [child for _, child in self._idle] + list(self._borrowed)
            self._idle.clear()
        for child in children:
            child.close(grace_s=0)

    def _take(self, model_folder: str) -> Child:
        with self._lock:
            self._idle = [(folder, child) for folder, child in self._idle if child.is_alive()]
            same = [entry for entry in self._idle if entry[0] == model_folder]
            if self._idle:
                entry = (same or self._idle)[-1]
                self._idle.remove(entry)
                self._borrowed.add(entry[1])
                return entry[1]
        child = Child(CHILD_MODULE)
        with self._lock:
            self._borrowed.add(child)
        return child
