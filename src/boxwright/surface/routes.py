"""Which row of the table an HTTP request means, by verb and path.

Paths are compared segment by segment after percent-decoding each once, so an encoded slash never changes which row is
meant. The custom verb (``:predict``) is what follows the first colon of the last segment. A template may end in ``**``,
which is any number of segments, none included.
"""

from __future__ import annotations

import dataclasses
import re
import urllib.parse

from boxwright import errors
from boxwright.surface import methods

MAX_SHOWN_CHARS = 120  # of anything a caller sent, when it is repeated in an error


@dataclasses.dataclass(frozen=True)
class Route:
    """Where a request goes: the row, and the request field that its path fills with a resource name."""

    row: methods.Method
    field: str
    name: str
    body: str | None  # as `Method.body`


@dataclasses.dataclass(frozen=True)
class _Template:
    row: methods.Method
    verb: str
    body: str | None
    segments: tuple[str, ...]
    custom_verb: str
    field: str
    first: int
    last: int | None  # None: to the end


def _compile(row: methods.Method, path: str, verb: str, body: str | None) -> _Template:
    before, field, pattern, after = re.fullmatch(r"/(.*)\{([\w.]+)=([^}]+)\}(.*)", path).groups()  # type: ignore[union-attr]
    plain, _, custom_verb = f"{before}{pattern}{after}".partition(":")
    first = before.count("/")
    last = None if pattern.endswith("**") else first + pattern.count("/") + 1
    return _Template(row, verb, body, tuple(plain.split("/")), custom_verb, field, first, last)


_TEMPLATES = tuple(
    _compile(row, path, verb, body)
    for row in methods.TABLE
    for paths, verb, body in ((row.paths, row.verb, row.body), (row.post_paths, "POST", "*"))
    for path in paths
)


def find_route(verb: str, raw_path: str) -> Route:
    """Finds the row for an HTTP verb and a still percent-encoded path without its query.

    Raises:
        ApiError: NOT_FOUND for a path or verb that no row has.
    """
    raw_segments = raw_path.removeprefix("/").split("/")
    raw_segments[-1], _, custom_verb = raw_segments[-1].partition(":")
    try:
        segments = [urllib.parse.unquote(segment, errors="strict") for segment in raw_segments]
    except UnicodeDecodeError as unreadable:
        raise errors.bad_request("The request path is not valid UTF-8.") from unreadable
    matching = [template for template in _TEMPLATES if _matches(template, segments, custom_verb)]
    for template in matching:
        if template.verb == verb:
            name = "/".join(segments[template.first : template.last])
            return Route(template.row, template.field, name, template.body)
    if matching:
        verbs = ", ".join(sorted({template.verb for template in matching}))
        raise errors.not_found(f"{shown(verb)} is not a method of {shown(raw_path)}. It has: {verbs}.")
    raise errors.not_found(f"The requested URL {shown(raw_path)} was not found on this server.")


def _matches(template: _Template, segments: list[str], custom_verb: str) -> bool:
    wanted = template.segments
    if wanted[-1] == "**":
        wanted = wanted[:-1] + ("*",) * (len(segments) - len(wanted) + 1)
    return (
        len(segments) == len(wanted)
        and custom_verb == template.custom_verb
        and all(
            segment if pattern == "*" else segment == pattern for pattern, segment in zip(wanted, segments, strict=True)
        )
    )


def shown(text: str, limit_chars: int = MAX_SHOWN_CHARS) -> str:
    """Makes a caller's text fit to be repeated: valid Unicode, one line, not long."""
    clean = re.sub(r"[\x00-\x1f\x7f]+", " ", text[: limit_chars + 1].encode("utf-8", "replace").decode())
    return clean if len(clean) <= limit_chars else clean[:limit_chars] + "…"
