"""Outcomes of evaluations, kept in memory for those who look at one threshold after another."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
import threading
from collections.abc import Callable

from boxwright import errors
from boxwright.inference import evaluated_examples, outcomes
from boxwright.inference.model_folder import ModelError, ModelInfo

MAX_MODELS = 4
MAX_ROWS = 4_000_000  # labels and findings of all outcomes that are kept, about 20 bytes each


@dataclasses.dataclass(frozen=True)
class KeptEvaluation:
    """The evaluation of a model.

    Attributes:
        table: what its outcomes are made of.
        spec_ids: of the labels, by label index.
    """

    table: outcomes.OutcomeTable
    spec_ids: tuple[str, ...]


class OutcomeCache:
    """Reads and judges evaluations once, and forgets those that were not asked for longest.

    Args:
        local: from a model's name to its folder on this machine.
        max_rows: of the outcomes that are kept.
    """

    def __init__(self, local: Callable[[str], pathlib.Path], max_rows: int = MAX_ROWS) -> None:
        self._local = local
        self._max_rows = max_rows
        self._lock = threading.Lock()
        self._kept: collections.OrderedDict[str, KeptEvaluation | None] = collections.OrderedDict()
        self._outcomes: collections.OrderedDict[tuple[str, float, float], outcomes.Outcomes] = collections.OrderedDict()

    def evaluation(self, folder: str) -> KeptEvaluation | None:
        """What a model has kept of its evaluation; None if it has nothing.

        Raises:
            ApiError: FAILED_PRECONDITION: the model cannot be read; as the state's bucket has it.
        """
        with self._lock:
            if folder in self._kept:
                self._kept.move_to_end(folder)
                return self._kept[folder]
        try:
            path = self._local(folder)
            info = ModelInfo.read(path)
        except ModelError as error:
            raise errors.failed_precondition(f"The model cannot be read: {error}") from error
        found = evaluated_examples.read(path)
        spec_ids = tuple(label.annotation_spec_id for label in info.labels)
        kept = None
        if found is not None and found.labels == tuple(label.display_name for label in info.labels):
            kept = KeptEvaluation(outcomes.OutcomeTable(found), spec_ids)
        with self._lock:
            self._kept[folder] = kept
            while len(self._kept) > MAX_MODELS:
                self._kept.popitem(last=False)
        return kept

    def at(self, folder: str, kept: KeptEvaluation, iou: float, score: float) -> outcomes.Outcomes:
        """The outcomes of a model's evaluation at an IoU and a score, see `OutcomeTable.at`."""
        if not kept.table.examples.has_boxes:
            iou = 0.0
        key = (folder, iou, score)
        with self._lock:
            if key in self._outcomes:
                self._outcomes.move_to_end(key)
                return self._outcomes[key]
        found = kept.table.at(iou, score)
        with self._lock:
            self._outcomes[key] = found
            while len(self._outcomes) > 1 and sum(map(_rows, self._outcomes.values())) > self._max_rows:
                self._outcomes.popitem(last=False)
        return found


def _rows(one: outcomes.Outcomes) -> int:
    return len(one.kept) + len(one.truth_partners) + 1
