"""Names that are whole numbers, one after the other: which of them were seen, two numbers can say."""

from __future__ import annotations

MOST_DIGITS = 18  # a database takes such a number


class NumberRange:
    """Whole numbers, one after the other, that were the first names of all; any other name ends the run."""

    def __init__(self) -> None:
        self._first = self._end = 0
        self._is_begun = False
        self._next: str | None = None  # the name that goes on; none at the beginning and after the end

    def takes(self, name: str) -> bool:
        """Whether the name goes on the run: then it belongs to it, and was never seen before."""
        if name == self._next:
            self._end += 1
        elif not self._is_begun and is_number(name):
            self._first, self._end = int(name), int(name) + 1
        else:
            self._is_begun, self._next = True, None
            return False
        self._is_begun, self._next = True, str(self._end)
        return True

    def __contains__(self, name: str) -> bool:
        return is_number(name) and self._first <= int(name) < self._end


def is_number(name: str) -> bool:
    """Whether this is how a whole number is written, one of at most `MOST_DIGITS` digits."""
    return name.isdecimal() and name.isascii() and len(name) <= MOST_DIGITS and (name[0] != "0" or name == "0")
