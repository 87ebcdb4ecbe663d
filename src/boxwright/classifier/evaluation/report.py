"""report.html: one page, kept with the model, that tells a person how the training went and what to do about it.

write(path, facts, read_bytes, has_time) -> what it warns of
"""

from __future__ import annotations

import dataclasses
import html
import math
import pathlib
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from boxwright.classifier.data import dataset
from boxwright.classifier.evaluation import data_checks, evaluate, mistakes
from boxwright.inference.model_folder import REPORT_FILE
from boxwright.learning import charts, page

WORST_IMAGES = 20
DOUBTFUL_IMAGES = 12
LEAST_CALIBRATED = 5  # answers: what fewer of them say is chance
PAIRS = 5  # of labels, with
PAIR_IMAGES = 3  # pictures each
MOST_LABELS_IN_TABLES = 40  # a confusion table of hundreds of labels is no table

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
        history: the fine-tuning's record, `losses` and `checks`.
        candidates: (name, loss on validation, share of right answers, temperature, whether it was chosen).
        evaluation: from `evaluate.evaluate`.
        examples: the images that were evaluated.
        judged: their targets and scores.
        doubtful: likely wrong labels, in any set.
    """

    title: str
    summary: Sequence[tuple[str, str]]
    warnings: Sequence[str]
    labels: Sequence[dict[str, str]]
    splits: dataset.Splits
    history: Mapping[str, Sequence[Sequence[float]]]
    candidates: Sequence[tuple[str, float, float, float, bool]]
    evaluation: dict[str, Any]
    examples: Sequence[dataset.Example]
    judged: evaluate.ScoredImages
    doubtful: Sequence[mistakes.DoubtfulLabel]


class _Pictures:
    """Draws images as long as there is time, each at most once a section."""

    def __init__(self, facts: ReportFacts, read_bytes: Callable[[str], bytes], has_time: Callable[[], bool]) -> None:
        self._facts = facts
        self._read_bytes = read_bytes
        self.has_time = has_time

    def figure(self, uri: str, title: str) -> str:
        shown = page.picture(uri, self._read_bytes) if self.has_time() else None
        return "" if shown is None else page.figure(shown, "", title, uri)

    def of_mistake(self, one: mistakes.Mistake) -> str:
        row, names = self._facts.judged.scores[one.row], [label["display_name"] for label in self._facts.labels]
        said = ", ".join(f"{names[index]} {row[index]:.2f}" for index in one.predicted) or "nothing"
        given = ", ".join(names[index] for index in one.given) or "nothing"
        return self.figure(self._facts.examples[one.row].uri, f"is {given}; said {said}")


def write(
    path: pathlib.Path, facts: ReportFacts, read_bytes: Callable[[str], bytes], has_time: Callable[[], bool]
) -> list[str]:
    """Writes the page and returns what it warns of.

    Args:
        path: where to.
        facts: what about.
        read_bytes: from a URI to the encoded image.
        has_time: asked before each picture; once it says no, the rest is left out.
    """
    warnings = [
        *facts.warnings,
        *data_checks.concerns(facts.labels, facts.splits),
        *data_checks.doubts(facts.doubtful, facts.labels),
        *_one_sided(facts),
    ]
    extras, pictures = facts.evaluation["extras"], _Pictures(facts, read_bytes, has_time)
    wrong = mistakes.worst(facts.judged.targets, facts.judged.scores, is_multiclass=facts.judged.is_multiclass)
    doubtful = "".join(_doubtful(facts, one, pictures) for one in facts.doubtful[:DOUBTFUL_IMAGES])
    shown = "".join(pictures.of_mistake(one) for one in wrong[:WORST_IMAGES])
    made = _PAGE.substitute(
        title=html.escape(facts.title),
        style=page.STYLE,
        summary=page.summary(facts.summary),
        warnings=page.warnings(warnings),
        split=html.escape(extras["split"]),
        quality_words=_quality_words(extras),
        quality=_quality(facts, extras),
        candidates="".join(_candidate(*one) for one in facts.candidates),
        calibration_words=f"On average scores miss that by {extras['expected_calibration_error']:.3f}.",
        calibration=_calibration(extras),
        thresholds=_thresholds(facts.evaluation),
        confusion=_confusion(facts, wrong, pictures) if facts.judged.is_multiclass else "",
        doubtful=doubtful or '<p class="none">No label is doubted.</p>',
        worst=shown or '<p class="none">No evaluated image has a mistake.</p>',
        losses=charts.line_chart(
            [charts.Series("loss", [(one[0], one[1]) for one in facts.history.get("losses", ())])],
            x_label="step", y_label="loss in fine-tuning", y_limits=None,
        ),
        checks=charts.line_chart(
            [charts.Series("right", [(one[0], one[1]) for one in facts.history.get("checks", ())])],
            x_label="step", y_label="right on validation images", y_limits=(0.0, 1.0),
        ),
    )  # fmt: skip
    path.write_text(made, encoding="utf-8")
    return warnings


def _one_sided(facts: ReportFacts) -> list[str]:
    """The API's au_roc is 0 where a set has one answer only."""
    support = facts.judged.targets.sum(axis=0)
    counted = len(facts.judged.targets)
    names = [label["display_name"] for label, images in zip(facts.labels, support, strict=True) if images == counted]
    if not counted or not names or len(facts.labels) == 1:
        return []
    return [f"Every evaluated image is {names[0]}: nothing can be said about telling it apart."]


def _quality_words(extras: dict[str, Any]) -> str:
    ranges = extras["intervals"]
    if "top1_accuracy" in extras:
        return _share(extras["top1_accuracy"], ranges["top1_accuracy"], "the right label")
    return _share(extras["exact_match"], ranges["exact_match"], "exactly their labels")


def _share(value: float, interval: Sequence[float] | None, what: str) -> str:
    between = "" if interval is None else f" ({interval[0]:.1%} to {interval[1]:.1%})"
    return f"{value:.1%} of the images get {what}{between}."


def _quality(facts: ReportFacts, extras: dict[str, Any]) -> str:
    counts = data_checks.image_counts(len(facts.labels), facts.splits)
    rows = []
    for index, one in zip(evaluate.shown_order(facts.labels), extras["labels"], strict=True):
        known = one["images"] > 0
        rows.append(
            page.row(
                one["display_name"],
                [
                    str(one["images"]),
                    f"{one['recall']:.0%}" if known else "no images",
                    f"{one['average_precision']:.3f}" if known else "",
                    page.between(one["interval"]),
                    *(str(counts[name][index]) for name in dataset.SPLITS),
                ],
            )
        )
    total = [str(extras["images"]), "", f"{extras['macro_average_precision']:.3f}", ""]
    sums = [str(len(one)) for one in (facts.splits.train, facts.splits.validation, facts.splits.test)]
    return "".join([*rows, page.row("mean, and images", [*total, *sums], "all")])


def _candidate(name: str, loss: float, right: float, temperature: float, is_chosen: bool) -> str:
    cells = [f"{loss:.3f}", f"{right:.1%}", f"{temperature:.2f}"]
    return page.row(f"{name} (chosen)" if is_chosen else name, cells, "all" if is_chosen else "")


def _calibration(extras: dict[str, Any]) -> str:
    counted = [one for one in extras["calibration"] if one["images"] >= LEAST_CALIBRATED]
    points = [(one["confidence"], one["accuracy"]) for one in counted]
    return charts.line_chart(
        [charts.Series("as it should be", [(0.0, 0.0), (1.0, 1.0)]), charts.Series("as it is", points)],
        x_label="score",
        y_label="share of right answers",
        y_limits=(0.0, 1.0),
        x_limits=(0.0, 1.0),
    )


def _thresholds(evaluation: dict[str, Any]) -> str:
    rows = evaluation["overall"]["confidence_metrics_entry"]
    series = [
        charts.Series(name, [(one["confidence_threshold"], one[field]) for one in rows])
        for name, field in (("precision", "precision"), ("recall", "recall"), ("F1", "f1_score"))
    ]
    return charts.line_chart(
        series, x_label="score threshold", y_label="precision and recall by threshold", y_limits=(0.0, 1.0)
    )


def _confusion(facts: ReportFacts, wrong: Sequence[mistakes.Mistake], pictures: _Pictures) -> str:
    table = evaluate.confusion(facts.judged)
    head, rows = _confusion_table(facts.labels, table)
    parts = [
        "<h2>What was taken for what</h2><p>Rows are the labels, columns what was said. A threshold plays no part.</p>"
        f'<div class="scroll"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'
    ]
    names = [label["display_name"] for label in facts.labels]
    for truth, given, count in mistakes.confused_pairs(table)[:PAIRS]:
        own = [one for one in wrong if one.given == (truth,) and one.predicted == (given,)][:PAIR_IMAGES]
        figures = "".join(pictures.of_mistake(one) for one in own)
        if not figures:
            break
        title = html.escape(f"{names[truth]} taken for {names[given]}, {count} of {int(table[truth].sum())}")
        parts.append(f'<h3 class="pairs">{title}</h3><div class="grid">{figures}</div>')
    return "".join(parts)


def _confusion_table(labels: Sequence[dict[str, str]], table: npt.NDArray[np.int64]) -> tuple[str, str]:
    """Head and rows of the table; of very many labels, those with the most mistakes."""
    wrong = table.sum(axis=0) + table.sum(axis=1) - 2 * table.diagonal()
    order = evaluate.shown_order(labels)
    most = set(sorted(order, key=lambda index: -wrong[index])[:MOST_LABELS_IN_TABLES])
    shown = [index for index in order if index in most]
    head = "".join(f'<th scope="col">{html.escape(labels[index]["display_name"])}</th>' for index in shown)
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
        rows.append(page.row(labels[row]["display_name"], cells))
    return f'<tr><th scope="col">is</th>{head}</tr>', "".join(rows)


def _doubtful(facts: ReportFacts, one: mistakes.DoubtfulLabel, pictures: _Pictures) -> str:
    names = [label["display_name"] for label in facts.labels]
    if one.label is None:
        title = f"{names[one.instead or 0]} is missing"
    elif one.instead is None:
        title = f"{names[one.label]} is probably not there"
    else:
        title = f"labelled {names[one.label]}, probably {names[one.instead]}"
    return pictures.figure(one.example.uri, f"{title} ({one.split})")
