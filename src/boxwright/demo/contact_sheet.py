"""index.html: every predicted image with its labels and what was found, compared at the best confidence."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence

from boxwright.contact_sheet import page
from boxwright.demo import dataset, kinds, results, table

MAX_FIGURES = page.MAX_FIGURES


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
    path: pathlib.Path, kind: kinds.DemoKind, data: dataset.DataSet, found: results.Results, facts: PageFacts
) -> None:
    """Writes the page for the pictures that were predicted."""
    pictures = data.to_predict()
    shown = [picture for picture in pictures if picture.uri in found.predictions]
    labels = kind.labels(pictures) | {row.label for row in facts.rows}
    sheet = page.PageInfo(
        title=facts.title,
        summary=facts.summary,
        table=page.Table(
            title="Evaluation on the test images",
            headings=kind.headings,
            rows=[row.cells for row in facts.rows],
            note=kind.table_note,
            whole=table.ALL_LABELS,
        ),
        labels=labels - {table.ALL_LABELS},
        threshold=facts.threshold,
        note=kind.page_note.format(threshold=facts.threshold),
        has_truth=kind.has_boxes,
        failures=list(found.errors.items()),
        hidden=page.shown_first(len(shown) - MAX_FIGURES, "images"),
    )
    page.write(path, sheet, _figures(kind, data, shown[:MAX_FIGURES], found, facts.threshold))


def _figures(
    kind: kinds.DemoKind,
    data: dataset.DataSet,
    shown: Sequence[dataset.DemoImage],
    found: results.Results,
    threshold: float,
) -> Iterator[page.Figure]:
    """The images; each caption is about what was found with a score of at least `threshold`."""
    for picture in shown:
        predictions = found.predictions[picture.uri]
        verdict, is_good = kind.verdict(data, picture, predictions, threshold)
        yield page.Figure(
            name=pathlib.PurePosixPath(picture.key).name,
            title=picture.key,
            path=data.folder / picture.key,
            predictions=predictions,
            truth=picture.boxes,
            verdict=verdict,
            is_good=is_good,
        )
