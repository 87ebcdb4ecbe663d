"""What commands print: JSON, tables and fields, on any console."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

GAP = "  "


def print_json(answer: Any) -> None:
    """Prints JSON, indented; in ASCII alone where the console has no UTF-8."""
    is_utf8 = (sys.stdout.encoding or "").lower().replace("-", "").replace("_", "") == "utf8"
    print(json.dumps(answer, indent=2, ensure_ascii=not is_utf8))


def say(text: str) -> None:
    """Prints a remark that is no result: to standard error."""
    print(safe(text), file=sys.stderr, flush=True)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Prints rows below their headings; numbers stand to the right. Nothing is printed without rows."""
    cells = [[_cell(value) for value in row] for row in rows]
    if not cells:
        return
    values = [list(headings), *cells]
    widths = [max(width(row[column]) for row in values) for column in range(len(headings))]
    is_number = [all(_is_number(row[column]) for row in cells) for column in range(len(headings))]
    for row in values:
        shown = [
            " " * (space - width(cell)) + cell if right else cell + " " * (space - width(cell))
            for cell, space, right in zip(row, widths, is_number, strict=True)
        ]
        print(GAP.join(shown).rstrip())


def print_fields(fields: Mapping[str, Any], *, least_width: int = 0) -> None:
    """Prints ``key: value`` lines with the values below one another; what is empty or None is left out."""
    shown = {key: _cell(value) for key, value in fields.items() if value not in ("", None)}
    space = max([least_width, *(width(key) + 2 for key in shown)])
    for key, value in shown.items():
        print(f"{key}:{' ' * (space - width(key) - 1)}{value}")


def width(text: str) -> int:
    """Columns that a text takes on a terminal: wide characters take two, combining ones none."""
    return sum(
        0
        if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf")
        else 2
        if unicodedata.east_asian_width(character) in ("W", "F")
        else 1
        for character in text
    )


def cut(text: str, columns: int) -> str:
    """A text of at most so many columns; one that was longer ends with ``…``."""
    if width(text) <= columns:
        return text
    kept = ""
    for character in text:
        if width(kept + character) > columns - 1:
            break
        kept += character
    return kept + "…"


def safe(text: str) -> str:
    """A text without control characters, which could change what a terminal shows; they are written as escapes."""
    return "".join(
        character
        if character == "\n" or unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp")
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )


def number(value: float, places: int = 0) -> str:
    """A number with groups of three digits, such as ``12,500``."""
    return f"{value:,.{places}f}"


def plain(value: Any) -> Any:
    """A value of a protobuf Struct with whole numbers as such: 500 instead of 500.0."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    return {key: plain(item) for key, item in value.items()} if isinstance(value, dict) else value


def duration(seconds: float, *, with_tenths: bool = False) -> str:
    """``2 h 01 min``, ``54 min 18 s`` or ``3 s``; below ten seconds ``3.2 s`` if tenths are asked for."""
    if with_tenths and seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def moment(text: str) -> str:
    """An RFC 3339 time of the API to the second: ``2026-01-01 12:00:00Z``; other text as it is."""
    day, separator, rest = text.partition("T")
    return f"{day} {rest[:8]}Z" if separator and len(rest) >= 8 else text


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return safe(str(value)).replace("\n", "\\n")


def _is_number(text: str) -> bool:
    return not text or text.replace(",", "").replace(".", "", 1).rstrip("%").isdigit()
