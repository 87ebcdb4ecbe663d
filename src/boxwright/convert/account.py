"""What a conversion has to tell: what a format could not carry, what was doubtful, and what was left out."""

from __future__ import annotations

from boxwright import errors

MAX_LEFT_OUT_SHOWN = 20  # as many as an import lists


class Account:
    """Counts what happened, with the first place of each kind.

    Args:
        skip_bad: leave unusable entries out and count them, instead of stopping at the first.
    """

    def __init__(self, *, skip_bad: bool = False) -> None:
        self.skip_bad = skip_bad
        self._notes: dict[str, tuple[int, str]] = {}
        self._left_out: list[str] = []
        self.left_out_count = 0

    def note(self, what: str, where: str, count: int = 1) -> None:
        """Counts more cases of something that was changed, lost or doubtful; nothing if there is none."""
        if count:
            before, first = self._notes.get(what, (0, where))
            self._notes[what] = (before + count, first)

    def refuse(self, where: str, why: str) -> None:
        """An entry that cannot be used: leaves it out, or stops.

        Raises:
            ApiError: INVALID_ARGUMENT with the place and the reason, unless unusable entries are to be left out.
        """
        if not self.skip_bad:
            raise errors.bad_request(f"{where}: {why}. Nothing was written; --skip-bad leaves such entries out.")
        self.left_out_count += 1
        if len(self._left_out) < MAX_LEFT_OUT_SHOWN:
            self._left_out.append(f"{where}: {why}")

    def counts(self) -> dict[str, int]:
        """How often each kind was noted."""
        return {what: count for what, (count, _) in self._notes.items()}

    def lines(self) -> list[str]:
        """The account as lines for a person; none if there is nothing to tell."""
        told = [f"{count} × {what} (first: {first})" for what, (count, first) in self._notes.items()]
        if self.left_out_count:
            told.append(f"{self.left_out_count} × left out as unusable:")
            told += [f"    {line}" for line in self._left_out]
            if self.left_out_count > len(self._left_out):
                told.append(f"    … and {self.left_out_count - len(self._left_out)} more")
        return told
