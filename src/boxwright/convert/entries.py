"""What may stand in an annotation: the paths of images, labels and numbers."""

from __future__ import annotations

import math
import unicodedata
from typing import Any

from boxwright.convert import account
from boxwright.tool_formats.pictures import CROWD as CROWD
from boxwright.tool_formats.pictures import DIFFICULT as DIFFICULT
from boxwright.tool_formats.pictures import TRUNCATED as TRUNCATED

NO_SCORE = "score that is no number from 0 to 1: dropped"
_NUMBERS = frozenset({int, float})
MAX_SIDE_PX = 1_000_000


def is_uri(path: str) -> bool:
    """Whether the path says by itself where the image lies."""
    return "://" in path or path.startswith("/")


def path_problem(path: str) -> str | None:
    """Why a path cannot name an image, or None."""
    if not path or path.endswith("/"):
        return "the image's path is missing"
    if not path.isprintable() and not all(
        character.isprintable() or unicodedata.category(character) == "Zs" for character in path
    ):
        return "the image's path has characters that cannot be printed"
    return f"the image's path '{path}' leaves its folder" if ".." in path.split("/") else None


def label_problem(label: str) -> str | None:
    """Why a text cannot be a label, or None; the import's own rule."""
    if not label:
        return "the box has no label"
    if not label.isprintable() or len(label) > 128 or label != label.strip():
        return "a label is printable text of at most 128 characters, without spaces around it"
    return None


def tidy(path: str) -> str:
    """A relative path with slashes and without ``./`` at its front; a URI stays as it is."""
    if "://" in path:
        return path
    tidied = path.replace("\\", "/")
    while tidied.startswith("./"):
        tidied = tidied[2:].lstrip("/")
    return tidied


def finite(values: object, count: int) -> tuple[float, ...] | None:
    """The list as that many finite numbers, or None if it is not that."""
    if not isinstance(values, list | tuple) or len(values) != count:
        return None
    if not {*map(type, values)} <= _NUMBERS:
        return None
    try:
        found = tuple(map(float, values))
    except OverflowError:
        return None
    return found if all(map(math.isfinite, found)) else None


def objects(value: object) -> list[dict[str, Any]]:
    """The entries of a list as objects. What is no object is an empty one, which lacks what its reader asks for."""
    found = value if isinstance(value, list) else [] if value is None else [value]
    return [one if isinstance(one, dict) else {} for one in found]


def pixel_size(height: object, width: object) -> tuple[int, int] | None:
    """(height, width) in pixels, None if they are no sizes of an image."""
    sides = finite([height, width], 2)
    return (int(sides[0]), int(sides[1])) if sides and min(sides) >= 1 and max(sides) <= MAX_SIDE_PX else None


def told_score(value: object, where: str, told: account.Account) -> float | None:
    """A score in [0, 1]; None if there is none, or none that is one, which is told."""
    if value is None:
        return None
    found = finite([value], 1)
    if found is None or not 0 <= found[0] <= 1:
        told.note(NO_SCORE, where)
        return None
    return found[0]
