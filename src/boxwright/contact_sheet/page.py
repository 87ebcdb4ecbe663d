"""The page: every image with its labels and its boxes, in one file that needs nothing else.

The images are embedded as small JPEGs, the boxes are SVG over them; labels of whole images stand in their corner. A slider
chooses the score from which they are shown; without scripts the page stays at its first value.
"""

from __future__ import annotations

import dataclasses
import html
import os
import pathlib
from collections.abc import Iterable, Sequence

from boxwright.contact_sheet import pictures
from boxwright.contact_sheet.boxes import OTHER_COLOUR, Box, Prediction, colours

MAX_FIGURES = 150  # keeps the page below some ten megabytes
BLANK_SIZE = (480, 360)  # of an image that cannot be shown, in pixels
FONT_PX, TAG_HEIGHT_PX, CHARACTER_PX = 12.0, 16.0, 6.8


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of the page; the first column of a row is a label, which gets its colour.

    Attributes:
        note: below it, in small letters.
        whole: label of the row for everything, which is set in bold.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str
    whole: str


@dataclasses.dataclass(frozen=True)
class Figure:
    """One image of the page.

    Attributes:
        name: what stands below it.
        title: its whole address, shown on the name.
        path: the image's file; None if it is not known where that is.
        predictions: what was found.
        truth: its labels.
        verdict: what stands below it, at the right.
        is_good: the verdict's colour; None for neither.
    """

    name: str
    title: str
    path: pathlib.Path | None
    predictions: tuple[Prediction, ...]
    truth: tuple[Box, ...] = ()
    verdict: str = ""
    is_good: bool | None = None


@dataclasses.dataclass(frozen=True)
class PageInfo:
    """What the page says beside its images.

    Attributes:
        summary: pairs of name and value.
        labels: every label that has a colour.
        threshold: the score from which boxes are shown at first.
        note: about that, in small letters.
        has_truth: whether the images have labels of their own, which can be hidden.
        hidden: what is said about images that are not shown; empty if all are.
        failures: pairs of an image's address and the reason why it failed.
        failures_note: what is said about failures that are not listed.
    """

    title: str
    summary: Sequence[tuple[str, str]]
    table: Table
    labels: Iterable[str]
    threshold: float
    note: str
    has_truth: bool
    failures: Sequence[tuple[str, str]]
    hidden: str = ""
    failures_note: str = ""


def write(path: pathlib.Path, sheet: PageInfo, figures: Iterable[Figure]) -> int:
    """Writes the page, figure by figure; it appears under its name when it is whole.

    Returns:
        How many of the images could not be shown.

    Raises:
        OSError: it cannot be written.
    """
    colour_of = colours(sheet.labels)
    head, _, tail = _PAGE.format(
        title=html.escape(sheet.title),
        summary="".join(f"<div><dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd></div>" for k, v in sheet.summary),
        table_title=html.escape(sheet.table.title),
        headings="".join(f'<th scope="col">{html.escape(heading)}</th>' for heading in sheet.table.headings),
        table=_table(sheet.table, colour_of),
        table_note=html.escape(sheet.table.note),
        truth_switch=_TRUTH_SWITCH if sheet.has_truth else "",
        threshold=f"{sheet.threshold:.2f}",
        note=html.escape(sheet.note),
        hidden=f"<p>{html.escape(sheet.hidden)}</p>" if sheet.hidden else "",
        errors=_failures(sheet),
    ).partition(_FIGURES_MARK)
    blank = 0
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(head)
            for text, is_shown in (_figure(figure, colour_of, sheet.threshold) for figure in figures):
                file.write(text + "\n")
                blank += not is_shown
            file.write(tail)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return blank


def _table(table: Table, colour_of: dict[str, str]) -> str:
    body = []
    for label, *numbers in table.rows:
        colour = colour_of.get(label) if label != table.whole else None
        swatch = f'<i style="background:{colour}"></i>' if colour else ""
        body.append(
            f'<tr{" class=all" if label == table.whole else ""}><th scope="row">{swatch}{html.escape(label)}</th>'
            + "".join(f"<td>{html.escape(number)}</td>" for number in numbers)
            + "</tr>"
        )
    return "\n".join(body)


def _figure(figure: Figure, colour_of: dict[str, str], threshold: float) -> tuple[str, bool]:
    """One image with its boxes, and whether the image itself could be shown."""
    why = ""
    try:
        if figure.path is None:
            raise pictures.PictureError("The image is not here.")
        encoded, size = pictures.thumbnail(figure.path)
        width, height = _scaled(size)
        image = f'<image href="data:image/jpeg;base64,{encoded}" width="{width}" height="{height}"/>'
    except pictures.PictureError as error:
        why, (width, height) = str(error), BLANK_SIZE
        image = f'<text class="why" x="50%" y="50%" text-anchor="middle">{html.escape(why)}</text>'
    # Frames first, tags on top of them; the best score is drawn last.
    drawn = sorted(figure.predictions, key=lambda prediction: prediction.score)
    layers = [_truth(box, width, height) for box in figure.truth]
    line = {id(one): row for row, one in enumerate(one for one in reversed(drawn) if one.box is None)}
    layers += [
        _predicted(one, width, height, colour_of, row=line.get(id(one)), is_shown=one.score >= threshold)
        for one in drawn
        if line.get(id(one), 0) < height // TAG_HEIGHT_PX
    ]
    verdict = {True: "good", False: "off", None: ""}[figure.is_good]
    text = (
        f'<figure><svg viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(figure.title)}">'
        f"{image}{''.join(layers)}</svg>"
        f'<figcaption><span title="{html.escape(figure.title)}">{html.escape(figure.name)}</span>'
        f'<span class="{verdict}">{html.escape(figure.verdict)}</span></figcaption></figure>'
    )
    return text, not why


def _scaled(size: tuple[int, int]) -> tuple[int, int]:
    """The size at which an image is drawn on: small ones are enlarged, so that lines and tags are as large as on others."""
    factor = pictures.THUMBNAIL_PX / max(size)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _truth(box: Box, width: int, height: int) -> str:
    """A label's box: dashed, white over black, so that it shows on any picture."""
    return f'<g class="truth"><title>label: {html.escape(box.label)}</title>{_frame(box, width, height) * 2}</g>'


def _predicted(
    prediction: Prediction,
    width: int,
    height: int,
    colour_of: dict[str, str],
    *,
    row: int | None,
    is_shown: bool,
) -> str:
    """A predicted box: a solid frame in its label's colour and a tag with the score; of a whole image the tag alone.

    Args:
        prediction: what was found.
        width, height: of the drawing, in its units.
        colour_of: the labels' colours.
        row: the tag's place from the top, where there is no box.
        is_shown: whether it reaches the threshold.
    """
    text = f"{prediction.label} {prediction.score:.2f}"
    tag_width = CHARACTER_PX * len(text) + 6
    box = prediction.box
    if box is None:
        frame, x, y = "", 0.0, (row or 0) * TAG_HEIGHT_PX
    else:
        frame, x = _frame(box, width, height), max(0.0, min(box.x_min * width, width - tag_width))
        above = box.y_min * height - TAG_HEIGHT_PX
        y = above if above >= 0 else box.y_min * height
    hidden = "" if is_shown else " hidden"
    return (
        f'<g class="hit{hidden}" data-score="{prediction.score:.4f}" '
        f'style="--c:{colour_of.get(prediction.label, OTHER_COLOUR)}"><title>{html.escape(text)}</title>{frame}'
        f'<rect class="tag" x="{x:.1f}" y="{y:.1f}" width="{tag_width:.1f}" height="{TAG_HEIGHT_PX:.0f}"/>'
        f'<text x="{x + 3:.1f}" y="{y + FONT_PX:.1f}">{html.escape(text)}</text></g>'
    )


def _frame(box: Box, width: int, height: int) -> str:
    return (
        f'<rect x="{box.x_min * width:.1f}" y="{box.y_min * height:.1f}"'
        f' width="{(box.x_max - box.x_min) * width:.1f}" height="{(box.y_max - box.y_min) * height:.1f}"/>'
    )


def _failures(sheet: PageInfo) -> str:
    if not sheet.failures:
        return "<p>Every image could be predicted.</p>"
    items = (f"<li><code>{html.escape(uri)}</code><br>{html.escape(why)}</li>" for uri, why in sheet.failures)
    note = f"<p>{html.escape(sheet.failures_note)}</p>" if sheet.failures_note else ""
    return f"<ul>{''.join(items)}</ul>{note}"


def shown_first(count: int, what: str) -> str:
    """The sentence about what is left out; empty if nothing is."""
    return f"{count:,} more {what} are not shown." if count > 0 else ""


_PAGE = (pathlib.Path(__file__).parent / "page.html").read_text(encoding="utf-8")
_FIGURES_MARK = "<!-- figures -->"
_TRUTH_SWITCH = '<label><input type="checkbox" id="truth" checked> labels (dashed)</label>\n'
