"""report.html: one page, kept with the model, that tells a person how the training went and what to do about it.

    write(path, facts, read_bytes, has_time)

The page needs nothing else: charts are SVG, the images are embedded as small JPEGs with their boxes drawn over them.
"""

from __future__ import annotations

import dataclasses
import html
import math
import pathlib
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from boxwright import boxes
from boxwright.detector.data import dataset
from boxwright.detector.evaluation import comparison, data_checks, evaluate, intervals
from boxwright.inference.model_folder import REPORT_FILE
from boxwright.learning import charts, page

WORST_IMAGES = 20
MOST_LABELS_IN_TABLES = 40  # a confusion table of hundreds of labels is no table
MOST_CURVES = len(charts.COLOURS)

_PAGE = string.Template((pathlib.Path(__file__).parent / REPORT_FILE).read_text(encoding="utf-8"))


@dataclasses.dataclass(frozen=True)
class ReportFacts:
    """All that the page shows.

    Attributes:
        title: what was trained.
        summary: pairs of name and value for the head of the page.
        warnings: sentences of the training itself.
        labels: display_name of every label, in index order.
        splits: the images.
        input_hw: the network's input in pixels.
        history: the trainer's record, `losses` and `checks`.
        evaluation: from `evaluate.evaluate`.
        evaluated: the images that were evaluated, with `ground_truth` and `detections` in the same order.
        ground_truth: of each.
        detections: of each.
        choice: a sentence about how sure the choice of the network is; may be empty.
    """

    title: str
    summary: Sequence[tuple[str, str]]
    warnings: Sequence[str]
    labels: Sequence[dict[str, str]]
    splits: dataset.Splits
    input_hw: tuple[int, int]
    history: Mapping[str, Sequence[Sequence[float]]]
    evaluation: dict[str, Any]
    evaluated: Sequence[dataset.Example]
    ground_truth: Sequence[evaluate.GroundTruth]
    detections: Sequence[boxes.Detections]
    choice: str = ""


@dataclasses.dataclass(frozen=True)
class ReportOutcome:
    """What the page says in words, for those who do not open it.

    Attributes:
        concerns: what it warns of.
        certainty: how sure the numbers are, and the choice of the network.
        interval: [low, high] of mAP at 0.5, which holds 95 % of the drawings; None without boxes.
    """

    concerns: list[str]
    certainty: str
    interval: list[float] | None


def write(
    path: pathlib.Path, facts: ReportFacts, read_bytes: Callable[[str], bytes], has_time: Callable[[], bool]
) -> ReportOutcome:
    """Writes the page and returns what it says in words.

    Args:
        path: where to.
        facts: what about.
        read_bytes: from a URI to the encoded image.
        has_time: asked before each picture; once it says no, the rest is left out.
    """
    threshold = comparison.best_threshold(facts.evaluation)
    pairs = list(zip(facts.ground_truth, facts.detections, strict=True))
    compared = [comparison.compare(truth, found, threshold) for truth, found in pairs]
    curves = evaluate.label_curves(len(facts.labels), facts.ground_truth, facts.detections)
    statistics = data_checks.label_statistics(facts.labels, facts.splits, facts.input_hw)
    warnings = [
        *facts.warnings,
        *data_checks.concerns(facts.splits, statistics),
        *data_checks.unlabelled(facts.ground_truth, facts.detections, [one.uri for one in facts.evaluated]),
    ]
    head, rows = _confusion(facts.labels, compared)
    ranges = intervals.average_precision_intervals(curves, len(pairs))
    said = intervals.in_words(facts.evaluation["extras"]["split"], len(pairs), curves, ranges["map50"])
    certainty = " ".join(part for part in (said, facts.choice) if part)
    made = _PAGE.substitute(
        title=html.escape(facts.title),
        style=page.STYLE,
        summary=page.summary(facts.summary),
        warnings=page.warnings(warnings),
        split=html.escape(facts.evaluation["extras"]["split"]),
        replicates=ranges["replicates"],
        certainty=html.escape(certainty),
        quality=_quality(facts.evaluation["extras"], ranges),
        losses=_losses(facts.history),
        checks=_checks(facts.history),
        curves=_curves(facts.labels, curves),
        threshold=f"{threshold:.2f}",
        confusion_head=head,
        confusion=rows,
        tiny=f"{data_checks.TINY_PX:.0f}",
        statistics="".join(_statistics_row(one) for one in statistics),
        worst=_worst(facts, compared, threshold, read_bytes, has_time),
    )
    path.write_text(made, encoding="utf-8")
    return ReportOutcome(warnings, certainty, ranges["map50"])


def _quality(extras: dict[str, Any], ranges: dict[str, Any]) -> str:
    rows = [
        page.row(
            one["display_name"],
            [
                str(one["boxes"]),
                *([f"{one['ap50']:.3f}", page.between(interval)] if one["boxes"] else ["no boxes", ""]),
                *([f"{one['ap75']:.3f}", f"{one['ap50_95']:.3f}"] if one["boxes"] else ["", ""]),
            ],
        )
        for one, interval in zip(extras["labels"], ranges["labels"], strict=True)
    ]
    mean = [
        f"{extras['map50']:.3f}",
        page.between(ranges["map50"]),
        f"{extras['map75']:.3f}",
        f"{extras['map50_95']:.3f}",
    ]
    return "".join([*rows, page.row("mean", [str(sum(one["boxes"] for one in extras["labels"])), *mean], "all")])


def _losses(history: Mapping[str, Sequence[Sequence[float]]]) -> str:
    names = ("score", "box", "distribution")
    return charts.line_chart(
        [
            charts.Series(name, [(row[0], row[column]) for row in history.get("losses", ())])
            for column, name in enumerate(names, 1)
        ],
        x_label="step",
        y_label="loss, by term",
        y_limits=None,
    )


def _checks(history: Mapping[str, Sequence[Sequence[float]]]) -> str:
    rows = history.get("checks", ())
    return charts.line_chart(
        [
            charts.Series("AP at 0.5", [(row[0], row[1]) for row in rows]),
            charts.Series("AP 0.5 to 0.95", [(row[0], row[2]) for row in rows]),
        ],
        x_label="step",
        y_label="average precision on validation images",
        y_limits=(0.0, 1.0),
    )


def _curves(labels: Sequence[dict[str, str]], curves: Sequence[evaluate.LabelCurve]) -> str:
    """The labels with the most boxes, each one's precision against its recall."""
    column = evaluate.GRID.index(comparison.MATCH_IOU)
    chosen = sorted((i for i, one in enumerate(curves) if one.box_count), key=lambda i: -curves[i].box_count)
    series = []
    for index in chosen[:MOST_CURVES]:
        one = curves[index]
        hits = one.true_positives[:, column]
        points = [(float(hit) / one.box_count, float(hit) / (row + 1)) for row, hit in enumerate(hits)]
        series.append(charts.Series(labels[index]["display_name"], points))
    left_out = f"<p>The {MOST_CURVES} labels with the most boxes are shown.</p>" if len(chosen) > MOST_CURVES else ""
    return left_out + charts.line_chart(
        series, x_label="recall", y_label="precision", y_limits=(0.0, 1.0), x_limits=(0.0, 1.0)
    )


def _confusion(labels: Sequence[dict[str, str]], compared: Sequence[comparison.Comparison]) -> tuple[str, str]:
    """Head and rows of the table; of very many labels, those with the most mistakes."""
    table = comparison.confusion(compared, len(labels))
    wrong = table.sum(axis=0) + table.sum(axis=1) - 2 * table.diagonal()
    shown = sorted(range(len(labels)), key=lambda index: -wrong[index])[:MOST_LABELS_IN_TABLES]
    shown = [*sorted(shown), len(labels)]
    names = [*(one["display_name"] for one in labels), ""]
    head = "".join(f'<th scope="col">{html.escape(names[index] or "missed")}</th>' for index in shown)
    rows = []
    for row in shown:
        total = max(1, int(table[row].sum()))
        cells = [
            f'<span style="background:rgba(var(--heat),{0.6 * math.sqrt(table[row, column] / total):.2f})">'
            f"&nbsp;{table[row, column]}&nbsp;</span>"
            if table[row, column]
            else "·"
            for column in shown
        ]
        rows.append(page.row(names[row] or "nothing there", cells))
    return f'<tr><th scope="col">is</th>{head}</tr>', "".join(rows)


def _statistics_row(one: data_checks.LabelStatistics) -> str:
    counts = [f"{one.boxes[name]} ({one.images[name]})" for name in dataset.SPLITS]
    return page.row(one.display_name, [*counts, f"{one.median_side_px:.0f}", f"{one.tiny_share:.0%}"])


def _worst(
    facts: ReportFacts,
    compared: Sequence[comparison.Comparison],
    threshold: float,
    read_bytes: Callable[[str], bytes],
    has_time: Callable[[], bool],
) -> str:
    order = sorted(range(len(compared)), key=lambda index: -compared[index].cost)
    figures = []
    for index in order[:WORST_IMAGES]:
        if compared[index].cost == 0.0:
            break
        if not has_time():
            figures.append('<p class="none">The budget ended before the other images could be drawn.</p>')
            break
        shown = page.picture(facts.evaluated[index].uri, read_bytes)
        if shown is None:
            continue
        figures.append(_figure(facts, index, compared[index], threshold, shown))
    return "".join(figures) or '<p class="none">No evaluated image has a mistake.</p>'


def _figure(
    facts: ReportFacts, index: int, compared: comparison.Comparison, threshold: float, shown: tuple[str, int, int]
) -> str:
    _, width, height = shown
    layers = []
    for box in facts.ground_truth[index].boxes_norm:
        layers.append(_frame(box.tolist(), width, height, 'class="truth"') * 2)
    found = facts.detections[index].keep(threshold, len(facts.detections[index]))
    for box, score, label in zip(found.boxes_norm, found.scores, found.label_indices, strict=True):
        colour = charts.COLOURS[int(label) % len(charts.COLOURS)]
        layers.append(_frame(box.tolist(), width, height, f'class="hit" stroke="{colour}"'))
        name = html.escape(f"{facts.labels[label]['display_name']} {score:.2f}")
        layers.append(f'<text class="tag" x="{box[0] * width + 2:.1f}" y="{box[1] * height + 12:.1f}">{name}</text>')
    confused = int((compared.pairs[:, 0] != compared.pairs[:, 1]).sum())
    words = [
        f"{count} {word}"
        for count, word in (
            (len(compared.missed), "missed"),
            (confused, "confused"),
            (len(compared.imagined), "imagined"),
        )
        if count
    ]
    return page.figure(shown, "".join(layers), ", ".join(words), facts.evaluated[index].uri)


def _frame(box: Sequence[float], width: int, height: int, attributes: str) -> str:
    left, top, right, bottom = box
    return (
        f'<rect {attributes} x="{left * width:.1f}" y="{top * height:.1f}" '
        f'width="{(right - left) * width:.1f}" height="{(bottom - top) * height:.1f}"/>'
    )
