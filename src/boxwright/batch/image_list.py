"""Lists of images that callers name: CSV files, JSON Lines, and the ``errors_N.jsonl`` of former batch predictions.

Which of them a file is shows in its first line. A CSV has an image's address in column 1. JSON Lines have an object a line,
with the address under one of `KEYS`; an errors file has ``{"ID":…,"status":{"code":…,"message":…}}`` a line, and lists its
IDs in their order. Other JSON is refused by what it is. All are read as streams.

Names of keys: Vertex AI (``content``, ``imageGcsUri``, ``instance``), SageMaker (``source-ref``), Hugging Face
(``file_name``, which is relative to the list's folder), AutoML (``inputUri``), BigQuery object tables (``uri``).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from boxwright import errors, objects, rows
from boxwright.batch.entry import Entry

MAX_JSON_LINE_CHARS = 8 * rows.MAX_LINE_CHARS  # an ID is a cell of a row, and JSON may write a character with six
RELATIVE_KEYS = ("file_name", "fileName", "filename")
KEYS = (
    "content", "image", "image_gcs_uri", "imageGcsUri", "gcs_uri", "gcsUri", "input_uri", "inputUri",
    "image_uri", "imageUri", "uri", "url", "path", "source-ref", "source_ref", *RELATIVE_KEYS, "instance",
)  # fmt: skip
_SHOWN_KEYS = "content, image, image_gcs_uri, uri, path, file_name or source-ref"
WANTED = (
    "a list is a CSV with an image's address in column 1, JSON Lines with the address under "
    f"{_SHOWN_KEYS} (or params.input_column), or the errors_N.jsonl files of former batch predictions"
)


def read(
    stores: objects.Stores, uri: objects.ObjectUri, *, chunks: Iterator[bytes] | None = None, column: str = ""
) -> Iterator[Entry]:
    """Yields what a list names; the ID of an errors file's line, and the value of a JSON key, exactly as they stand there.

    Args:
        stores: where the list is.
        uri: the list.
        chunks: its text, if that is not what the object itself holds.
        column: the key of the addresses, or a CSV's column by the name in its header; empty for what is usual.

    Raises:
        ApiError: NOT_FOUND and the like from the store; INVALID_ARGUMENT if the file is no such list.
    """
    lines = rows.lines(stores, uri, max_chars=MAX_JSON_LINE_CHARS, chunks=chunks)
    first = next(lines, None)
    if first is not None:
        form = ListForm.of(first, column)
        for line in itertools.chain((first,), lines):
            if (entry := form.entry(line, column)) is not None:
                yield entry


class ListForm(NamedTuple):
    """What a list's lines are, told by its first line that is not blank.

    Attributes:
        kind: ``csv``, ``json`` or ``errors``.
        cell: of a CSV: the index of the address in a row.
        header_line: of a CSV: the number of the line that names the columns; 0 for none.
    """

    kind: str
    cell: int = 0
    header_line: int = 0

    @classmethod
    def of(cls, first: rows.TextLine, column: str) -> ListForm:
        """Tells the form; raises INVALID_ARGUMENT if the file is no list, or a CSV without that column."""
        if first.is_json:
            check_first_line(first, column)
            return cls("errors" if _is_errors_line(_parsed(first.text)) else "json")
        if not column:
            return cls("csv")
        header = first.row()
        names = header.cells if header is not None else []
        if column not in names:
            raise errors.bad_request(
                f"{first.uri}: no column of its first line is called like params.input_column says; write the name as it "
                "stands there, or leave it out if the addresses are in column 1 of a list without a header."
            )
        return cls("csv", names.index(column), first.number)

    @property
    def is_plain(self) -> bool:
        """Whether the address is what a line begins with."""
        return self == ListForm("csv")

    def entry(self, line: rows.TextLine, column: str) -> Entry | None:
        """What a line names; None for a header, and for a row of empty cells."""
        match self.kind:
            case "errors":
                return Entry(_failed_image(line), _place(line), line.end_bytes)
            case "json":
                return _json_row(line, column)
        row = None if line.number <= self.header_line else line.row()
        if row is None:
            return None
        text = row.cells[self.cell] if self.cell < len(row.cells) else ""
        failure = None if text or not self.cell else "the row has no value in that column"
        return Entry(text, _place(line), line.end_bytes, row.cells, line.number == 1, failure)


def check_first_line(line: rows.TextLine, column: str = "") -> None:
    """Raises INVALID_ARGUMENT if a file's first line shows that it is JSON of another kind than a list's."""
    if not line.is_json:
        return
    value = _parsed(line.text)
    match value:
        case {"ID": _, "annotations": _} if not column:
            what = "this file has results of a batch prediction, not a list of images"
        case _ if _is_errors_line(value) or _json_row(line, column).failure is None:
            return
        case dict():
            what = f"its first line is JSON without an image's address under {column or _SHOWN_KEYS}"
        case _:
            what = "this is JSON, but no errors file of a batch prediction, and no JSON Lines either"
    raise errors.bad_request(f"{line.uri}: {what}; {WANTED}.")


def address_in(value: Mapping[str, Any], column: str = "", *, is_outer: bool = True) -> tuple[str | None, str]:
    """Returns (the address in a row, None if there is none; the key or column that it was looked for in).

    Args:
        value: the row's values by their names; mappings in it are looked into.
        column: the wanted name, with a full stop between a name and a name in its value; empty for `KEYS`.
        is_outer: whether mappings in it are looked into; not into those in these.
    """
    if column:
        found: Any = value
        for name in (column,) if column in value else column.split("."):
            found = found.get(name) if isinstance(found, Mapping) else None
        return (found if isinstance(found, str) and found else None), column
    for key in KEYS:
        match value.get(key):
            case str() as text if text:
                return text, key
            case Mapping() as inner if is_outer and (nested := address_in(inner, is_outer=False))[0]:
                return nested
    return None, ""


def whole_address(text: str, key: str, uri: objects.ObjectUri) -> str:
    """The address that a value stands for: a file name without a scheme is relative to the list's own folder."""
    if key.rpartition(".")[2] in RELATIVE_KEYS and "://" not in text:
        return f"{uri.scheme}://{uri.bucket}/{uri.key[: uri.key.rfind('/') + 1]}{text.removeprefix('./')}"
    return text


def _json_row(line: rows.TextLine, column: str) -> Entry:
    """One line of JSON Lines; one that is unusable costs a row and not the list."""
    value = _parsed(line.text)
    text, key, failure = None, "", None
    match value:
        case {"ID": str(), "status": {}}:
            failure = "the line is one of an errors file; name those apart"
        case dict():
            text, key = address_in(value, column)
            if text is None:
                failure = f"the line has no address under {column or _SHOWN_KEYS}"
            elif not _is_text(text):
                text, failure = None, "its address has half of a character"
        case _:
            failure = "the line is no JSON object"
    shown = _place(line) if text is None else whole_address(text, key, line.uri)
    return Entry(shown, _place(line), line.end_bytes, failure=failure)


def _place(line: rows.TextLine) -> str:
    return f"{line.uri}, line {line.number}"


def _is_errors_line(value: Any) -> bool:
    return isinstance(value, dict) and "ID" in value and "status" in value


def _failed_image(line: rows.TextLine) -> str:
    """The ID in a line of an errors file."""
    value = _parsed(line.text)
    match value:
        case {"ID": str() as image_id, "status": {"code": int() as code, "message": str()}} if (
            len(value) == 2 and not isinstance(code, bool) and image_id and _is_text(image_id)
        ):
            return image_id
    raise errors.bad_request(
        f'{line.uri}, line {line.number}: this is no line of an errors file, {{"ID":…,"status":{{"code":…,"message":…}}}}; '
        f"{WANTED}."
    )


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _is_text(text: str) -> bool:
    """Whether this can be written as UTF-8: JSON can name halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
