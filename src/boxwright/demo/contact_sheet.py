"""index.html: every predicted image with its labels and its boxes, compared at the best confidence."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence

from boxwright.contact_sheet import page
from boxwright.demo import dataset, results, table

MAX_FIGURES = page.MAX_FIGURES
TABLE_NOTE = (
    "AP@0.5: average precision at an IoU of 0.5; of all labels, its mean. AP@grid: averaged over the API's 23 IoU "
    "thresholds from 0.05 to 0.99. Precision and recall: at an IoU and a confidence of 0.5."
)


@dataclasses.dataclass(frozen=True)
class PageFacts:
    """What the head of the page says.

    Attributes:
        summary: pairs of name and value.
        rows: the per-label table.
        threshold: the score from which boxes are shown at first, and at which the captions count.
    """

    title: str
    summary: Sequence[tuple[str, str]]
    rows: Sequence[table.EvaluationRow]
    threshold: float


def write_contact_sheet(
    path: pathlib.Path,
    pictures: Sequence[dataset.DemoImage],
    folder: pathlib.Path,
    found: results.Results,
    facts: PageFacts,
) -> None:
    """Writes the page for the pictures that were predicted; `folder` is the bucket they lie in."""
    shown = [picture for picture in pictures if picture.uri in found.predictions]
    labels = {box.label for picture in pictures for box in picture.boxes} | {row.label for row in facts.rows}
    sheet = page.PageInfo(
        title=facts.title,
        summary=facts.summary,
        table=page.Table(
            title="Evaluation on the test images",
            headings=table.HEADINGS,
            rows=[table.cells(row) for row in facts.rows],
            note=TABLE_NOTE,
            whole=table.ALL_LABELS,
        ),
        labels=labels - {table.ALL_LABELS},
        threshold=facts.threshold,
        note=(
            f"At first, boxes are shown from a score of {facts.threshold:.2f} on, where the evaluation's F1 is best; the "
            "counts below the images are taken there too, at an IoU of 0.5."
        ),
        has_truth=True,
        failures=list(found.errors.items()),
        hidden=page.shown_first(len(shown) - MAX_FIGURES, "images"),
    )
    page.write(path, sheet, _figures(shown[:MAX_FIGURES], folder, found, facts.threshold))


def _figures(
    shown: Sequence[dataset.DemoImage], folder: pathlib.Path, found: results.Results, threshold: float
) -> Iterator[page.Figure]:
    """The images; each caption counts the boxes of at least `threshold`."""
    for picture in shown:
        predictions = found.predictions[picture.uri]
        counts = results.compare(picture.boxes, predictions, threshold)
        words = [f"{counts.found} of {len(picture.boxes)} found"] if picture.boxes else ["nothing to find"]
        words += [f"{counts.extra} extra"] if counts.extra else []
        yield page.Figure(
            name=pathlib.PurePosixPath(picture.key).name,
            title=picture.key,
            path=folder / picture.key,
            predictions=predictions,
            truth=picture.boxes,
            verdict=", ".join(words),
            is_good=counts.missed == counts.extra == 0,
        )
