"""What is kept between calls: the most recently used, up to a weight."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

_Value = TypeVar("_Value")


class RecentCache(Generic[_Value]):
    """Values by key; the least recently used ones are dropped. Safe to use from several threads.

    Args:
        most_bytes: of all values together; one that is heavier than that is not kept.
        weigh: about how many bytes a value has.
    """

    def __init__(self, most_bytes: int, weigh: Callable[[_Value], int]) -> None:
        self._most_bytes = most_bytes
        self._weigh = weigh
        self._lock = threading.Lock()
        self._kept: collections.OrderedDict[Hashable, tuple[_Value, int]] = collections.OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Hashable) -> _Value | None:
        """The value of a key; None if there is none."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][0]

    def put(self, key: Hashable, value: _Value) -> None:
        """Keeps a value, in the place of an earlier one."""
        weight = self._weigh(value)
        with self._lock:
            _, former = self._kept.pop(key, (None, 0))
            self._bytes -= former
            if weight > self._most_bytes:
                return
            self._kept[key] = value, weight
            self._bytes += weight
            while self._bytes > self._most_bytes:
                _, (_, dropped) = self._kept.popitem(last=False)
                self._bytes -= dropped
