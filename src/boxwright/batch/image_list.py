"""Lists of images that callers name: CSV files, and the ``errors_N.jsonl`` of former batch predictions.

Which of the two a file is shows in its first line. A CSV has an image's address in column 1. An errors file has one object
a line, ``{"ID":…,"status":{"code":…,"message":…}}``, and lists its IDs in their order. Other JSON is refused by what it is.
Both are read as streams.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from boxwright import errors, objects, rows

MAX_JSON_LINE_CHARS = 8 * rows.MAX_LINE_CHARS  # an ID is a cell of a row, and JSON may write a character with six
_WANTED = "a list is a CSV with an image's address in column 1, or the errors_N.jsonl files of former batch predictions"


def read(stores: objects.Stores, uri: objects.ObjectUri) -> Iterator[rows.Row]:
    """Yields the rows of a list; those of an errors file have the ID as their only cell, exactly as it stands there.

    Raises:
        ApiError: NOT_FOUND and the like from the store; INVALID_ARGUMENT if the file is no such list.
    """
    is_json: bool | None = None
    for line in rows.lines(stores, uri, max_chars=MAX_JSON_LINE_CHARS):
        if is_json is None:
            is_json = line.is_json
            if is_json:
                check_first_line(line)
        if is_json:
            yield rows.Row(uri, line.number, [_failed_image(line)], line.end_bytes)
        elif (row := line.row()) is not None:
            yield row


def check_first_line(line: rows.TextLine) -> None:
    """Raises INVALID_ARGUMENT if a file's first line shows that it is JSON of another kind than an errors file."""
    if not line.is_json:
        return
    value = _parsed(line.text)
    match value:
        case {"ID": _, "status": _}:
            return
        case {"ID": _, "annotations": _}:
            what = "this file has results of a batch prediction, not a list of images"
        case {"content": str()} | {"imageGcsUri": str()}:
            what = "this is the JSON Lines list of another service"
        case _:
            what = "this is JSON, but no errors file of a batch prediction"
    raise errors.bad_request(f"{line.uri}: {what}; {_WANTED}.")


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
        f"{_WANTED}."
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
