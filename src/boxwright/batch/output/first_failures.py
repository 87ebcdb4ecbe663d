"""What is told of a job's failed images: the first of them, and how many there are of each kind with an example."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from google.rpc import code_pb2

from boxwright import errors


class FirstFailures:
    """The failures of finished shards, in the order of the shards, whatever order these finish in.

    Attributes:
        first: (shard, code, message) of the first ones.
        reasons: by canonical code name: (images, shard of the first one with a message, that message).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.first: list[tuple[int, int, str]] = []
        self.reasons: dict[str, tuple[int, int, str]] = {}

    def add(self, shard: int, errors_by_code: Mapping[str, int], failures: Sequence[tuple[int, str]]) -> None:
        """Takes a shard, once.

        Args:
            shard: its number.
            errors_by_code: failed images by canonical code name.
            failures: (code, message) of the first of them.
        """
        if not errors_by_code and not failures:
            return
        with self._lock:
            for name, images in errors_by_code.items():
                before, first_shard, message = self.reasons.get(name, (0, 0, ""))
                self.reasons[name] = before + images, first_shard, message
            for code, message in failures:
                name = code_pb2.Code.Name(code)
                images, first_shard, known = self.reasons.get(name, (0, 0, ""))
                if not known or shard < first_shard:
                    self.reasons[name] = images, shard, message
            self.first += [(shard, code, message) for code, message in failures]
            self.first.sort(key=lambda failure: failure[0])
            del self.first[errors.MAX_PARTIAL_FAILURES :]

    def values(self) -> dict[str, Any]:
        """All of it as JSON data; see `take`."""
        with self._lock:
            return {"first": list(self.first), "reasons": dict(self.reasons)}

    def take(self, values: Mapping[str, Any]) -> None:
        """Takes what `values` has given."""
        with self._lock:
            self.first = [(shard, code, message) for shard, code, message in values["first"]]
            self.reasons = {name: (images, shard, text) for name, (images, shard, text) in values["reasons"].items()}
