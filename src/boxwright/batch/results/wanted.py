"""Which results are asked for: what counts as found in an image, and which images a filter lets pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from boxwright.batch.output import selected_results
from boxwright.batch.output.selected_results import SelectedResults
from boxwright.batch.results.shard import FailedImage, ShardTable
from boxwright.predictions import Selection

FIELDS = ("label", "image_id", "has_error", "score", "boxes")
_OF_FOUND = frozenset({"label", "score", "boxes"})
_COMPARED: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": np.equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
}  # fmt: skip


class Term(Protocol):
    """One comparison of a filter, as `services.filters` parses it; terms of numbers have finite ones."""

    @property
    def field(self) -> str:
        """One of `FIELDS`."""

    @property
    def value(self) -> str | None:
        """What is compared with; None: any."""

    @property
    def negated(self) -> bool:
        """Whether it must not hold."""

    @property
    def comparison(self) -> str:
        """One of ``=``, ``<``, ``<=``, ``>``, ``>=``."""

    @property
    def number(self) -> float:
        """The value as a number."""


class Threshold(NamedTuple):
    """What counts as found: the fields of `BatchSpec` of the same names."""

    score_threshold: float
    label_thresholds: Mapping[str, float]
    only_labels: Collection[str] | None
    max_boxes: int | None

    def selection(self, display_names: Sequence[str]) -> Selection:
        """The selection among these labels."""
        return Selection.of(
            display_names, self.score_threshold, self.label_thresholds, self.only_labels, self.max_boxes
        )


@dataclasses.dataclass(frozen=True)
class ResultSelection:
    """What a list is asked for.

    ``label`` and ``score`` are about one finding: with both, an image passes if some finding of that label has such a score.

    Attributes:
        terms: of the filter; all must hold.
        threshold: what counts as found.
    """

    terms: Sequence[Term]
    threshold: Threshold

    @property
    def is_all(self) -> bool:
        """Whether every image passes."""
        return not self.terms

    @property
    def takes_results(self) -> bool:
        """Whether images with a prediction may pass."""
        return not any(term.field == "has_error" and (term.value == "true") != term.negated for term in self.terms)

    @property
    def takes_errors(self) -> bool:
        """Whether failed images may pass: nothing is said of what was found."""
        return not any(
            term.field in _OF_FOUND or (term.field == "has_error" and (term.value == "true") == term.negated)
            for term in self.terms
        )

    def results(self, found: ShardTable) -> SelectedResults:
        """What counts as found in a shard."""
        return selected_results.selected(
            found.table, self.threshold.selection([name for _, name in found.labels]), found.labels
        )

    def rows(self, results: SelectedResults) -> npt.NDArray[np.int64]:
        """The images of a shard that pass, in order."""
        count = len(results.table)
        passes = np.ones(count, bool)
        labels = results.table.label_indices[results.rows].astype(np.int64)
        images = np.repeat(np.arange(count), np.diff(results.offsets))
        scored = np.ones(len(labels), bool)
        for term in self._terms("score"):
            scored &= _holds(term, results.table.scores[results.rows])
        is_scored = bool(self._terms("score"))
        for term in self._terms("label"):
            carries = np.ones(len(labels), bool)
            if term.value is not None:
                carries = np.isin(labels, [n for n, (_, name) in enumerate(results.labels) if name == term.value])
            has_it = np.bincount(images[carries if term.negated else carries & scored], minlength=count) > 0
            passes &= has_it != term.negated
            is_scored &= term.negated
        if is_scored:  # no label has taken the scores
            passes &= np.bincount(images[scored], minlength=count) > 0
        for term in self._terms("boxes"):
            passes &= _holds(term, np.diff(results.offsets))
        for term in self._terms("image_id"):
            part = term.value or ""
            passes &= np.array([(part in image_id) != term.negated for image_id in results.table.ids], bool)
        return np.flatnonzero(passes)

    def takes(self, image: FailedImage) -> bool:
        """Whether a failed image passes."""
        return all(((term.value or "") in image.id) != term.negated for term in self._terms("image_id"))

    def _terms(self, field: str) -> list[Term]:
        return [term for term in self.terms if term.field == field]


def _holds(term: Term, numbers: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    compared: npt.NDArray[np.bool_] = _COMPARED[term.comparison](numbers, term.number)
    return compared != term.negated
