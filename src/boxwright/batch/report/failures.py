"""Errors grouped by what they say: messages without the image's address and without numbers, counted, with examples."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable
from typing import Any

from google.rpc import code_pb2

EXAMPLES = 3
MOST_GROUPS = 200  # messages of further kinds are counted as one
OTHERS = "other messages"
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://[^\s\"']+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclasses.dataclass
class _Failures:
    images: int = 0
    examples: list[str] = dataclasses.field(default_factory=list)


class FailureGroups:
    """The error lines of a job, by code and message."""

    def __init__(self) -> None:
        self._groups: dict[tuple[int, str], _Failures] = {}

    def add(self, lines: Iterable[bytes]) -> None:
        """Takes error lines."""
        for line in lines:
            said = json.loads(line)
            status = said.get("status", {})
            code = int(status.get("code", code_pb2.UNKNOWN))
            key = (code, without_address(str(status.get("message", "")), str(said["ID"])))
            if key not in self._groups and len(self._groups) >= MOST_GROUPS:
                key = (code_pb2.UNKNOWN, OTHERS)
            group = self._groups.setdefault(key, _Failures())
            group.images += 1
            if len(group.examples) < EXAMPLES:
                group.examples.append(str(said["ID"]))

    def listed(self) -> list[dict[str, Any]]:
        """The groups, the largest first: ``code``, ``message``, ``images``, ``examples``."""
        ranked = sorted(self._groups.items(), key=lambda entry: (-entry[1].images, entry[0]))
        return [
            {"code": _name(code), "message": message, **dataclasses.asdict(group)} for (code, message), group in ranked
        ]


def without_address(message: str, image_id: str) -> str:
    """What a message says of any image: addresses and numbers are left out."""
    plain = message.replace(image_id, "…") if image_id else message
    return _NUMBER.sub("#", _ADDRESS.sub("…", plain)).removeprefix("…: ")[:300]


def _name(code: int) -> str:
    return code_pb2.Code.Name(code) if code in code_pb2.Code.values() else "UNKNOWN"
