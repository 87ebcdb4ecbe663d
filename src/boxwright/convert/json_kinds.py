"""Which of the formats that are JSON a file has, by the names at its beginning."""

from __future__ import annotations

import functools
import json
import pathlib
import re
from typing import Any

LOOKED_AT_BYTES = 1_000_000  # of a file's beginning
_COCO_LIST = re.compile(r'"(?:images|annotations)"\s*:\s*\[')
_KEY = re.compile(r'"([^"\\]{1,40})"\s*:')


def beginning(file: pathlib.Path) -> str:
    """The first characters of a file; empty if it cannot be read."""
    try:
        with file.open("rb") as handle:
            return handle.read(LOOKED_AT_BYTES).decode("utf-8-sig", "replace")
    except OSError:
        return ""


@functools.lru_cache(maxsize=4)  # several formats look at one file
def keys(text: str) -> frozenset[str]:
    """The names of members, at any depth."""
    return frozenset(_KEY.findall(text))


def first_entry(text: str) -> dict[str, Any]:
    """The first object in a text; empty if it does not end there."""
    try:
        found, _ = json.JSONDecoder().raw_decode(text, text.index("{"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def format_name(text: str) -> str | None:
    """The format of a JSON document that begins so; None if it is none that is read."""
    found, is_list = keys(text), text.lstrip().startswith("[")
    if is_list:
        is_tasks = "data" in found and ({"annotations", "predictions"} & found or "from_name" in found)
        return "labelstudio" if is_tasks or isinstance(first_entry(text).get("data"), dict) else None
    if {"shapes", "imagePath"} <= found:
        return "labelme"
    if "items" in found and {"dm_format_version", "categories"} & found and "images" not in found:
        return "datumaro"
    return "coco" if _COCO_LIST.search(text) else None


def lines_format_name(text: str) -> str | None:
    """The format of a file with an object a line that begins so; None if it is none that is read."""
    first = first_entry(text).keys() or keys(text.lstrip().partition("\n")[0])  # a line may go on behind what was read
    if "source-ref" in first:
        return "sagemaker"
    if "imageGcsUri" in first or "instance" in first or {"content", "mimeType"} <= first:
        return "vertex"
    return "results" if "ID" in first else None
