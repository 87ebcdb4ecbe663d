"""What was counted of datasets, kept until what is in them changes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa

_Kept = TypeVar("_Kept")


class KeptCounts:
    """What was counted of a dataset, as long as its content is the same.

    Counting reads every example, and the console asks whenever a page is shown.
    """

    MAX_ENTRIES = 64

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[tuple[str, str], tuple[int, Any]] = OrderedDict()

    def get(self, dataset: sa.Row[Any], what: str, count: Callable[[], _Kept]) -> _Kept:
        """Returns what `count` said of the dataset in this version of its content, or says now."""
        key, version = (dataset.id, what), dataset.content_version
        with self._lock:
            found = self._entries.get(key)
        if found is not None and found[0] == version:
            return found[1]
        counted = count()
        with self._lock:
            self._entries[key] = (version, counted)
            self._entries.move_to_end(key)
            while len(self._entries) > self.MAX_ENTRIES:
                self._entries.popitem(last=False)
        return counted
