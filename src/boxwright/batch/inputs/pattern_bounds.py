"""Which keys a pattern can still match behind a given one: what lies between need not be listed."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

BEHIND_SLASH = "0"  # the character that follows the slash: DIR0 is behind all keys below DIR/
SLASH = "/"


@dataclasses.dataclass(frozen=True)
class PatternPart:
    """A pattern's part between two slashes.

    Attributes:
        head: what it has before its first ``*``.
        names: what fits; None: the part is `head` and nothing else.
        is_deep: whether it has a ``**``, which also stands for slashes.
    """

    head: str
    names: re.Pattern[str] | None
    is_deep: bool = False


class PatternBounds:
    """The bounds of one pattern.

    Args:
        parts: the pattern's, in order; what follows the first deep one does not matter.
    """

    def __init__(self, parts: Sequence[PatternPart]) -> None:
        self._parts = parts

    def __call__(self, key: str) -> str | None:
        """The first key, from this one on, that may match; None if none from here on does.

        It is a lower bound: no key before it matches, and it need not match itself. Keys are ordered by their UTF-8 bytes.
        """
        starts: list[int] = []
        start = 0
        for number, part in enumerate(self._parts, 1):
            starts.append(start)
            is_last = number == len(self._parts)
            rest = key[start:]
            head = part.head if part.names is not None or is_last else part.head + SLASH
            if not rest.startswith(head):
                is_ahead = encoded(rest) < encoded(head)
                return key[:start] + head if is_ahead else self._behind(key, starts)
            if part.is_deep:
                return key
            if part.names is None:
                if is_last and rest != head:
                    return self._behind(key, starts)
                start += len(head)
                continue
            name, slash, _ = rest.partition(SLASH)
            if not slash:
                return key
            if is_last or not part.names.fullmatch(name):
                return key[:start] + name + BEHIND_SLASH
            start += len(name) + 1
        return key

    def _behind(self, key: str, starts: Sequence[int]) -> str | None:
        """The first key behind the folder in which the last of these parts starts that may match."""
        for depth in range(len(starts) - 1, 0, -1):
            if self._parts[depth - 1].names is not None:
                return key[: starts[depth] - 1] + BEHIND_SLASH
        return None


def encoded(key: str) -> bytes:
    """What keys are ordered by; names of files may be none that UTF-8 can write."""
    return key.encode("utf-8", "surrogateescape")
