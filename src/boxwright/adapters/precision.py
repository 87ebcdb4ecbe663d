"""Which precision an imported network predicts with: int8 may lose half a point of average precision (`learning.precision`).

choose(draft, examples, job) -> the section `quantisation` of model.json
"""

from __future__ import annotations

import pathlib
import time
from collections.abc import Sequence
from typing import Any

from boxwright import boxes
from boxwright.adapters.job import ImportJob
from boxwright.adapters.validation import Example
from boxwright.detector.evaluation import evaluate
from boxwright.inference import model_folder, predictor
from boxwright.learning import precision

INT8_S = 30.0  # building int8 and comparing it may take so long; an import does not wait for more
IMAGE_S = 0.1  # set aside for each image
CALIBRATION_IMAGES = 64
FEW = "Fewer than {least} labelled images: too few to compare int8 on."
NOT_MEASURED = "int8 is built only for networks that were validated."


class _Watcher:
    """Nobody stops the choice: the parent ends the process."""

    def progress(self, percent: float, stage: str, **details: object) -> None:
        """See `listener.ProgressListener`."""

    def warn(self, message: str) -> None:
        """See `listener.ProgressListener`."""

    def stop_requested(self) -> bool:
        """See `listener.ProgressListener`."""
        return False

    def finish_requested(self) -> bool:
        """See `listener.ProgressListener`."""
        return False


def choose(draft: pathlib.Path, examples: Sequence[Example], job: ImportJob) -> dict[str, Any]:
    """Builds int8, compares it on the labelled images, and writes the decision into the draft's model.json.

    Half of the images teach int8 its ranges where there are enough for both; else all do both.

    Args:
        draft: model.json and model.onnx; gains the int8 network if that is chosen.
        examples: the labelled images; fewer than `precision.COMPARED_LEAST` decide nothing.
        job: of the import.

    Returns:
        the section: `chosen`, `reason`, and what was measured.
    """
    labels = len(model_folder.ModelInfo.read(draft).labels)
    started_s = time.monotonic()

    def left_s() -> float:
        return min(INT8_S, job.timeout_s / 4) - (time.monotonic() - started_s)

    def measure(judged: Sequence[Example], found: Sequence[boxes.Detections]) -> float:
        return evaluate.quick_scores(labels, [one.truth for one in judged], found)[1]

    quality = precision.Quality(
        key="map50_95", words="average precision", measure=measure, open=predictor.Predictor.open, image_s=IMAGE_S
    )
    selector = precision.PrecisionSelector(
        draft,
        threads=job.threads,
        read_bytes=lambda uri: pathlib.Path(uri).read_bytes(),
        watcher=_Watcher(),
        left_s=left_s,
        quality=quality,
    )
    if not examples:
        return selector.refuse(NOT_MEASURED)
    if len(examples) < precision.COMPARED_LEAST:
        return selector.refuse(FEW.format(least=precision.COMPARED_LEAST))
    are_enough = len(examples) >= 2 * precision.COMPARED_LEAST
    learned = examples[::2] if are_enough else examples
    compared = examples[1::2] if are_enough else examples
    images = precision.Images(
        tuple(learned[:CALIBRATION_IMAGES]),
        tuple(("VALIDATION", one) for one in compared[: precision.COMPARED_MOST]),
    )
    return selector.choose_from(images)
