"""Parts of the page that is kept with a model: style, lists, table rows, pictures.

A page needs nothing else: charts are SVG (`charts`), images are embedded as small JPEGs.
"""

from __future__ import annotations

import base64
import html
import io
import pathlib
from collections.abc import Callable, Sequence

from PIL import Image

from boxwright import errors, objects
from boxwright.images import decode

STYLE = (pathlib.Path(__file__).parent / "report.css").read_text(encoding="utf-8")
THUMBNAIL_HW = (360, 480)
JPEG_QUALITY = 80


def summary(pairs: Sequence[tuple[str, str]]) -> str:
    """Names and values for the head of the page."""
    return "".join(f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>" for name, value in pairs)


def warnings(sentences: Sequence[str]) -> str:
    """What the user should know, as a list."""
    if not sentences:
        return "<p>Nothing in the data or in the training looks wrong.</p>"
    return f'<ul class="warnings">{"".join(f"<li>{html.escape(one)}</li>" for one in sentences)}</ul>'


def row(name: str, cells: Sequence[str], kind: str = "") -> str:
    """A row of a table; the cells are markup."""
    opening = f'<tr class="{kind}">' if kind else "<tr>"
    return f'{opening}<th scope="row">{html.escape(name)}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def between(interval: Sequence[float] | None) -> str:
    """An interval in words; empty for none."""
    return "" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"


def picture(uri: str, read_bytes: Callable[[str], bytes]) -> tuple[str, int, int] | None:
    """An image as (base64 of a small JPEG, width, height); None where it cannot be read now."""
    try:
        decoded = decode.decode(read_bytes(uri), THUMBNAIL_HW)
    except (OSError, LookupError, errors.ApiError, objects.StoreLost, decode.DecodeError):
        return None  # it could be read for the evaluation; the page is not worth waiting for it
    image = Image.fromarray(decoded.pixels)
    image.thumbnail((THUMBNAIL_HW[1], THUMBNAIL_HW[0]))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return base64.b64encode(buffer.getvalue()).decode("ascii"), *image.size


def figure(shown: tuple[str, int, int], layers: str, title: str, text: str) -> str:
    """A picture with a caption; `layers` is SVG over it, `title` and `text` are plain."""
    encoded, width, height = shown
    return (
        f'<figure><svg viewBox="0 0 {width} {height}" role="img"><image href="data:image/jpeg;base64,{encoded}" '
        f'width="{width}" height="{height}"/>{layers}</svg>'
        f"<figcaption><b>{html.escape(title)}</b><br>{html.escape(text)}</figcaption></figure>"
    )
