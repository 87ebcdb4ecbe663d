"""What the rows of a plan are: usable or not, how many, and when they are too many that are not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.rpc import code_pb2, status_pb2

from boxwright import errors, objects, row_hints, rows
from boxwright.batch.entry import Entry
from boxwright.batch.inputs.list_pieces import PieceRows
from boxwright.batch.segments import Item

JUDGED_FROM_ROW = 1000


class RowJudge:
    """Judges rows, and counts them.

    Args:
        stores: says which addresses are served; what may be read of them is noted.
        limit: the share of unusable rows above which the job fails, [0, 1].

    Attributes:
        rows_read: so far.
        rows_failed: of those, unusable.
        row_failures: why, of the first of them.
    """

    def __init__(self, stores: objects.Stores, limit: float) -> None:
        self._schemes = stores.schemes
        self._named = stores.named()
        self._limit = limit
        self.begin()

    def begin(self) -> None:
        """Begins to count anew."""
        self.rows_read = 0
        self.rows_failed = 0
        self.row_failures: list[status_pb2.Status] = []

    def state(self) -> dict[str, Any]:
        """What was counted, as JSON data; see `restore`."""
        failures = [(status.code, status.message) for status in self.row_failures]
        return {"rows_read": self.rows_read, "rows_failed": self.rows_failed, "row_failures": failures}

    def restore(self, values: Mapping[str, Any]) -> None:
        """Takes what `state` has given."""
        self.rows_read, self.rows_failed = values["rows_read"], values["rows_failed"]
        self.row_failures = [status_pb2.Status(code=code, message=text) for code, text in values["row_failures"]]

    def counted(self, entry: Entry) -> Item:
        """What an entry is; it counts. Raises as `judge` at every thousandth row."""
        self.rows_read += 1
        item = self.item(entry)
        if item.failure is not None:
            self.rows_failed += 1
            if len(self.row_failures) < errors.MAX_PARTIAL_FAILURES:
                self.row_failures.append(status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message=item.failure))
        if self.rows_read % JUDGED_FROM_ROW == 0:
            self.judge()
        return item

    def item(self, entry: Entry) -> Item:
        """What an entry is: an image, or a row that is unusable."""
        text, reason = entry.text, None if entry.failure is None else f"{entry.place}: {entry.failure}."
        if reason is None and entry.held is None:
            try:
                self._named.note_readable(objects.caller_uri(text, self._schemes))
            except objects.BadUri as error:
                reason = error.message if entry.is_name else self._explained(entry, error)
        if reason is None:
            return Item(text, held=entry.held)
        if not entry.is_name and not rows.is_shown(text):
            text = entry.place  # names the row; its text may be a secret of another file
        return Item(text, reason)

    def items(self, found: PieceRows) -> list[Item]:
        """What rows of a list are."""
        return [Item(text.decode()) for text in found.plain] if found.entry is None else [self.item(found.entry)]

    def count_plain(self, texts: list[bytes]) -> None:
        """Counts plain rows, which are all usable, and notes what is to be read. Raises as `counted`."""
        to_judged = -self.rows_read % JUDGED_FROM_ROW or JUDGED_FROM_ROW
        if self.rows_failed and to_judged <= len(texts):  # where the share is the highest among them
            self.rows_read += to_judged
            self.judge()
            self.rows_read -= to_judged
        self.rows_read += len(texts)
        if self._named.notes_each:
            for text in texts:
                self._named.note_readable(objects.ObjectUri.parse(text.decode()))
        else:
            for bucket in {text[: text.find(b"/", 5) + 1] for text in texts}:
                self._named.note_readable(objects.ObjectUri.parse(bucket.decode()))

    def judge(self) -> None:
        """Raises INVALID_ARGUMENT if too many rows are unusable so far."""
        share = self.rows_failed / max(1, self.rows_read)
        if share > self._limit:
            raise errors.bad_request(
                f"{self.rows_failed} of {self.rows_read} rows are not usable paths of images, more than the limit of "
                f"{self._limit:.0%}; the first: {self.row_failures[0].message}"
            )

    def _explained(self, entry: Entry, error: objects.BadUri) -> str:
        """Why a row is unusable, with its place, and what is typical of such rows."""
        shown = f"{error.about(rows.quoted(entry.text))}."
        hint = row_hints.of_image_list(entry.cells or [entry.text], self._schemes, is_first=entry.is_first)
        return f"{entry.place}: {shown}{_sentence(hint)}"


def _sentence(hint: str | None) -> str:
    return f" {hint[0].upper()}{hint[1:]}." if hint else ""
