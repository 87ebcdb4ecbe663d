"""Which precision a detector predicts with: int8 may lose half a point of average precision (`learning.precision`).

PrecisionSelector(…).choose(splits) -> the section `quantisation` of model.json
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from boxwright import boxes
from boxwright.detector.data import dataset
from boxwright.detector.evaluation import evaluate
from boxwright.detector.planning import input_size, int8_budget
from boxwright.inference import model_folder, predictor
from boxwright.learning import listener, precision


class PrecisionSelector(precision.PrecisionSelector):
    """Makes the choice for a draft of a detector's model folder."""

    def __init__(
        self,
        draft: pathlib.Path,
        *,
        threads: int,
        read_bytes: Callable[[str], bytes],
        watcher: listener.ProgressListener,
        left_s: Callable[[], float],
    ) -> None:
        info = model_folder.ModelInfo.read(draft)

        def measure(examples: Sequence[dataset.Example], found: Sequence[boxes.Detections]) -> float:
            truth = [evaluate.GroundTruth(one.boxes_norm, one.label_indices) for one in examples]
            return evaluate.quick_scores(len(info.labels), truth, found)[1]

        quality = precision.Quality(
            key="map50_95",
            words="average precision",
            measure=measure,
            open=predictor.Predictor.open,
            image_s=input_size.prediction_s(info.input_hw),
        )
        super().__init__(draft, threads=threads, read_bytes=read_bytes, watcher=watcher, left_s=left_s, quality=quality)

    def choose(self, splits: dataset.Splits) -> dict[str, Any]:
        """See `choose_from`."""
        return self.choose_from(int8_budget.images_for(splits))
