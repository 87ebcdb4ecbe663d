"""index.html: every predicted image with its labels and its boxes, in one file that needs nothing else.

The images are embedded as small JPEGs, the boxes are SVG over them. A slider chooses the score from which a box is
shown; without scripts the page stays at its first value.
"""

from __future__ import annotations

import base64
import dataclasses
import html
import io
import pathlib
from collections.abc import Sequence

from PIL import Image, ImageOps

from boxwright.demo import dataset, results, table

MAX_FIGURES = 150  # keeps the page below some ten megabytes
THUMBNAIL_PX = 480
JPEG_QUALITY = 82
FONT_PX, TAG_HEIGHT_PX, CHARACTER_PX = 12.0, 16.0, 6.8

# Colours that differ in lightness as well as in hue; labels take them in alphabetical order.
COLOURS = ("#e69f00", "#56b4e9", "#00b386", "#f0e442", "#e8602c", "#cc79a7", "#7f9cff", "#a6d854", "#ff6f91", "#c0a16b")


@dataclasses.dataclass(frozen=True)
class Facts:
    """What the head of the page says.

    Attributes:
        summary: pairs of name and value.
        rows: the per-label table.
        threshold: the score from which boxes are shown at first, and at which the captions count.
    """

    title: str
    summary: Sequence[tuple[str, str]]
    rows: Sequence[table.Row]
    threshold: float


def write_contact_sheet(
    path: pathlib.Path, pictures: Sequence[dataset.Picture], folder: pathlib.Path, found: results.Results, facts: Facts
) -> None:
    """Writes the page for the pictures that were predicted; `folder` is the bucket they lie in."""
    shown = [picture for picture in pictures if picture.uri in found.predictions]
    labels = {box.label for picture in pictures for box in picture.boxes} | {row.label for row in facts.rows}
    labels.discard(table.ALL_LABELS)
    colours = {label: COLOURS[index % len(COLOURS)] for index, label in enumerate(sorted(labels))}
    figures = [
        _figure(picture, folder / picture.key, found.predictions[picture.uri], colours, facts.threshold)
        for picture in shown[:MAX_FIGURES]
    ]
    note = f"<p>{len(shown) - MAX_FIGURES} more images are not shown.</p>" if len(shown) > MAX_FIGURES else ""
    page = _PAGE.format(
        title=html.escape(facts.title),
        summary="".join(f"<div><dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd></div>" for k, v in facts.summary),
        table=_table(facts.rows, colours),
        threshold=f"{facts.threshold:.2f}",
        figures="\n".join(figures),
        note=note,
        errors=_errors(found.errors),
    )
    path.write_text(page, encoding="utf-8")


def _table(rows: Sequence[table.Row], colours: dict[str, str]) -> str:
    body = []
    for row in rows:
        label, *numbers = table.cells(row)
        colour = colours.get(label)
        swatch = f'<i style="background:{colour}"></i>' if colour else ""
        body.append(
            f'<tr{"" if colour else " class=all"}><th scope="row">{swatch}{html.escape(label)}</th>'
            + "".join(f"<td>{number}</td>" for number in numbers)
            + "</tr>"
        )
    return "\n".join(body)


def _figure(
    picture: dataset.Picture,
    path: pathlib.Path,
    predictions: tuple[results.Prediction, ...],
    colours: dict[str, str],
    threshold: float,
) -> str:
    """One image with its boxes; the caption counts those of at least `threshold`."""
    encoded, (width, height) = _thumbnail(path)
    # Frames first, tags on top of them; the best score is drawn last.
    drawn = sorted(predictions, key=lambda prediction: prediction.score)
    layers = [_truth(box, width, height) for box in picture.boxes]
    layers += [_predicted(prediction, width, height, colours, prediction.score >= threshold) for prediction in drawn]
    counts = results.compare(picture.boxes, predictions, threshold)
    verdict = "good" if counts.missed == counts.extra == 0 else "off"
    words = [f"{counts.found} of {len(picture.boxes)} found"] if picture.boxes else ["nothing to find"]
    words += [f"{counts.extra} extra"] if counts.extra else []
    return (
        f'<figure><svg viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(picture.key)}">'
        f'<image href="data:image/jpeg;base64,{encoded}" width="{width}" height="{height}"/>{"".join(layers)}</svg>'
        f"<figcaption><span>{html.escape(pathlib.PurePosixPath(picture.key).name)}</span>"
        f'<span class="{verdict}">{", ".join(words)}</span></figcaption></figure>'
    )


def _thumbnail(path: pathlib.Path) -> tuple[str, tuple[int, int]]:
    """The image upright and small, as base64 JPEG, and its size (width, height)."""
    with Image.open(path) as stored:
        image = ImageOps.exif_transpose(stored).convert("RGB")
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return base64.b64encode(buffer.getvalue()).decode("ascii"), image.size


def _truth(box: dataset.Box, width: int, height: int) -> str:
    """A label's box: dashed, white over black, so that it shows on any picture."""
    return f'<g class="truth"><title>label: {html.escape(box.label)}</title>{_frame(box, width, height) * 2}</g>'


def _predicted(prediction: results.Prediction, width: int, height: int, colours: dict[str, str], is_shown: bool) -> str:
    """A predicted box: a solid frame in its label's colour and a tag with the score."""
    box, colour = prediction.box, colours.get(prediction.box.label, "#ffffff")
    text = f"{box.label} {prediction.score:.2f}"
    tag_width = CHARACTER_PX * len(text) + 6
    x = max(0.0, min(box.x_min * width, width - tag_width))
    above = box.y_min * height - TAG_HEIGHT_PX
    y = above if above >= 0 else box.y_min * height
    hidden = "" if is_shown else " hidden"
    return (
        f'<g class="hit{hidden}" data-score="{prediction.score:.4f}" style="--c:{colour}">'
        f"<title>{html.escape(text)}</title>{_frame(box, width, height)}"
        f'<rect class="tag" x="{x:.1f}" y="{y:.1f}" width="{tag_width:.1f}" height="{TAG_HEIGHT_PX:.0f}"/>'
        f'<text x="{x + 3:.1f}" y="{y + FONT_PX:.1f}">{html.escape(text)}</text></g>'
    )


def _frame(box: dataset.Box, width: int, height: int) -> str:
    return (
        f'<rect x="{box.x_min * width:.1f}" y="{box.y_min * height:.1f}"'
        f' width="{(box.x_max - box.x_min) * width:.1f}" height="{(box.y_max - box.y_min) * height:.1f}"/>'
    )


def _errors(errors: dict[str, str]) -> str:
    if not errors:
        return "<p>Every image could be predicted.</p>"
    items = (f"<li><code>{html.escape(uri)}</code><br>{html.escape(why)}</li>" for uri, why in errors.items())
    return f"<ul>{''.join(items)}</ul>"


_PAGE = (pathlib.Path(__file__).parent / "contact_sheet.html").read_text(encoding="utf-8")
