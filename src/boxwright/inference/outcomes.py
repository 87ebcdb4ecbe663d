"""What became of each label and each finding of an evaluation at two thresholds: the confusion matrix, and lists by image.

OutcomeTable(examples).at(iou, score) -> Outcomes
Outcomes.confusion() -> (C + 1, C + 1)          row what is there, column what was found; the last of each is nothing
Outcomes.counts() -> (C, 3)                     true positives, false positives, false negatives
best_score(table, iou) -> float                 the threshold of the API's grid with the best F1

A finding below the score threshold is as if it were not there. Findings, best score first, take the free box of their own
label that they overlap most, if they overlap it enough: the matching of `detector.evaluation.evaluate`, so the counts are
those of the model's evaluation. What is left of both is then paired in the same way whatever its label: such a pair is
CONFUSED, a false positive of one label and a false negative of another. Labels of whole images pair as boxes that cover
the image would.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from boxwright import boxes
from boxwright.inference.evaluated_examples import EvaluatedExamples

# the API's 23 confidence thresholds; from literals, so that 0.5 is exactly 0.5
SCORES = tuple(float(f"0.{hundredths:02d}") for hundredths in (*range(5, 100, 5), 96, 97, 98, 99))
LEAST_IOU = 0.05  # the lowest IoU threshold; pairs that overlap less are never looked at
NOTHING = -1


@dataclasses.dataclass(frozen=True)
class Outcomes:
    """All labels and findings at an IoU and a score; G labels, F findings.

    Attributes:
        examples: what they are of.
        kept: (F,) bool, whether a finding reaches the score threshold.
        truth_partners: (G,) int64, the finding that a label was paired with; `NOTHING` for a miss.
        finding_partners: (F,) int64, the label that a finding was paired with; `NOTHING` for a false alarm.
        truth_ious: (G,) float64, with the partner; 0 without one, and without boxes.
    """

    examples: EvaluatedExamples
    kept: npt.NDArray[np.bool_]
    truth_partners: npt.NDArray[np.int64]
    finding_partners: npt.NDArray[np.int64]
    truth_ious: npt.NDArray[np.float64]

    @functools.cached_property
    def truth_found_as(self) -> npt.NDArray[np.int64]:
        """(G,) the label that each label was found as; `NOTHING` for a miss."""
        found = self._labels(self.examples.finding_labels, self.truth_partners)
        return found

    @functools.cached_property
    def finding_is(self) -> npt.NDArray[np.int64]:
        """(F,) the label that is where each finding is; `NOTHING` for a false alarm."""
        return self._labels(self.examples.truth_labels, self.finding_partners)

    @staticmethod
    def _labels(labels: npt.NDArray[np.int32], partners: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        found = np.full(len(partners), NOTHING)
        has_one = partners != NOTHING
        found[has_one] = labels[partners[has_one]]
        return found

    @functools.cached_property
    def _alarms(self) -> npt.NDArray[np.bool_]:
        return self.kept & (self.finding_partners == NOTHING)

    def confusion(self) -> npt.NDArray[np.int64]:
        """(C + 1, C + 1): row what is there, column what was found; the last column misses, the last row false alarms.

        The sum of a row is the number of that label's boxes.
        """
        size = len(self.examples.labels)
        table = np.zeros((size + 1, size + 1), np.int64)
        columns = np.where(self.truth_found_as == NOTHING, size, self.truth_found_as)
        np.add.at(table, (self.examples.truth_labels, columns), 1)
        np.add.at(table[size], self.examples.finding_labels[self._alarms], 1)
        return table

    def counts(self) -> npt.NDArray[np.int64]:
        """(C, 3) by label: true positives, false positives, false negatives."""
        table = self.confusion()
        right = np.diagonal(table)[:-1]
        return np.stack([right, table[:, :-1].sum(axis=0) - right, table[:-1].sum(axis=1) - right], axis=1)

    @functools.cached_property
    def losses(self) -> npt.NDArray[np.float64]:
        """(I,) how wrong each image is: each miss and each confused label counts 1, each false alarm its score."""
        examples = self.examples
        wrong = (self.truth_found_as != examples.truth_labels).astype(np.float64)
        loss = np.bincount(examples.truth_images, wrong, len(examples))
        alarms = examples.finding_scores[self._alarms]
        loss += np.bincount(examples.finding_images[self._alarms], alarms, len(examples))
        return np.round(loss, boxes.SCORE_DECIMALS)


class OutcomeTable:
    """The pairs of an evaluation that overlap at all, from which outcomes at any thresholds are made.

    Args:
        examples: of the evaluation.
    """

    def __init__(self, examples: EvaluatedExamples) -> None:
        self.examples = examples
        findings, truths, ious = _overlapping(examples)
        # best finding of an image first, then as they overlap; of equal ones the label that comes first
        order = np.lexsort((truths, -ious, findings))
        self._findings, self._truths, self._ious = findings[order], truths[order], ious[order]

    def at(self, iou: float, score: float) -> Outcomes:
        """Pairs labels and findings.

        Args:
            iou: from which a finding counts as the object, `LEAST_IOU` to 1; not used without boxes.
            score: of the findings that count, in [0, 1].
        """
        examples = self.examples
        kept = examples.finding_scores >= score
        truth_partners = np.full(len(examples.truth_labels), NOTHING)
        finding_partners = np.full(len(examples.finding_labels), NOTHING)
        truth_ious = np.zeros(len(truth_partners))
        good = kept[self._findings]
        if examples.has_boxes:
            good &= self._ious >= iou
        findings, truths, ious = self._findings[good], self._truths[good], self._ious[good]
        same = examples.finding_labels[findings] == examples.truth_labels[truths]
        for mask in (same, ~same):
            free = mask & (finding_partners[findings] == NOTHING) & (truth_partners[truths] == NOTHING)
            chosen = np.flatnonzero(free)[_taken(findings[free], truths[free])]
            finding_partners[findings[chosen]] = truths[chosen]
            truth_partners[truths[chosen]] = findings[chosen]
            truth_ious[truths[chosen]] = ious[chosen]
        return Outcomes(examples, kept, truth_partners, finding_partners, truth_ious)


def _taken(findings: npt.NDArray[np.int64], truths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Which pairs come about where the best finding takes its best label, then the next its best of those that are left.

    All findings ask for their best label at once. A label keeps the best finding that has asked; the others ask for their
    next one, until nobody has any left. This is deferred acceptance (Gale and Shapley, 1962): as all labels prefer the same
    findings, its result is that of taking turns.

    Args:
        findings: (N,) of pairs, ascending: the best first.
        truths: (N,) of the same pairs; of one finding, the label that it overlaps most first.

    Returns:
        indices of pairs.
    """
    asking, at = np.unique(findings, return_index=True)
    end = np.append(at[1:], len(findings))
    nobody = len(asking)
    keeps = np.full(int(truths.max(initial=-1)) + 1, nobody)
    active = np.arange(nobody)
    while len(active):
        wanted = truths[at[active]]
        former = keeps[wanted]
        np.minimum.at(keeps, wanted, active)
        sent_away = np.unique(former[(former != nobody) & (keeps[wanted] != former)])
        active = np.concatenate([active[keeps[wanted] != active], sent_away])
        at[active] += 1
        active = active[at[active] < end[active]]
    return at[keeps[keeps != nobody]]


def _overlapping(
    examples: EvaluatedExamples,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Findings, labels and IoU of all pairs of one image that overlap by `LEAST_IOU`; without boxes of all, by 0."""
    count = len(examples)
    first_truth = np.searchsorted(examples.truth_images, np.arange(count + 1))
    first_finding = np.searchsorted(examples.finding_images, np.arange(count + 1))
    parts: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]] = []
    for image in range(count):
        rows = np.arange(first_finding[image], first_finding[image + 1])
        columns = np.arange(first_truth[image], first_truth[image + 1])
        if not len(rows) or not len(columns):
            continue
        if not examples.has_boxes:
            parts.append(
                (np.repeat(rows, len(columns)), np.tile(columns, len(rows)), np.zeros(len(rows) * len(columns)))
            )
            continue
        found = examples.finding_boxes_norm[rows].astype(np.float64)
        there = examples.truth_boxes_norm[columns].astype(np.float64)
        iou = boxes.pairwise_iou(found, there)
        row, column = np.nonzero(iou >= LEAST_IOU)
        parts.append((rows[row], columns[column], iou[row, column].astype(np.float64)))
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    findings, truths, ious = (np.concatenate(one) for one in zip(*parts, strict=True))
    return findings, truths, ious


def precision_recall_f1(
    right: npt.NDArray[np.int64], wrong: npt.NDArray[np.int64], missed: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """TP / (TP + FP), TP / (TP + FN) and their harmonic mean; 0 where there is nothing to divide by."""
    precision, recall = _ratio(right, right + wrong), _ratio(right, right + missed)
    return precision, recall, _ratio(2 * precision * recall, precision + recall)


def best_score(table: OutcomeTable, iou: float) -> float:
    """The threshold of `SCORES` with the best F1 of all labels together; of equal ones the higher; 0.5 without any."""
    best, chosen = 0.0, 0.5
    whole = table.at(iou, SCORES[0])  # a finding of lower score never takes a box from a better one
    scores = table.examples.finding_scores
    hits = (whole.finding_partners != NOTHING) & (whole.finding_is == table.examples.finding_labels)
    for score in SCORES:
        right, kept = int((hits & (scores >= score)).sum()), int((scores >= score).sum())
        if not right:
            continue
        precision, recall = right / kept, right / len(table.examples.truth_labels)
        f1 = 2 * precision * recall / (precision + recall)
        if f1 >= best:
            best, chosen = f1, score
    return chosen


def _ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    part, whole = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
