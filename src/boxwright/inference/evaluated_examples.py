"""What was found in the images that a model was evaluated with, kept in the model's folder: evaluated.npz.

collect(found, …) -> EvaluatedExamples     of the images, in the order of the evaluation
write(folder, examples)                    the same bytes for the same images
read(folder) -> EvaluatedExamples or None

The file is beside the model and is not exported with it: it has the addresses of images.
"""

from __future__ import annotations

import dataclasses
import io
import json
import pathlib
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from boxwright import boxes
from boxwright.predictions import ImagePrediction

FORMAT_VERSION = 1
FILE = "evaluated.npz"
SCORE_FLOORS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)  # the first that leaves no more than MAX_FINDINGS
MAX_FINDINGS = 1_000_000  # of all images: about 40 MB in memory
MAX_FINDINGS_OF_IMAGE = 100  # as the evaluation counts
MAX_FILE_BYTES = 200_000_000  # of the arrays; what is larger is not read

_ARRAYS: dict[str, tuple[type, tuple[int, ...]]] = {
    "sizes_hw": (np.int32, (2,)),
    "truth_images": (np.int32, ()),
    "truth_labels": (np.int32, ()),
    "truth_boxes_norm": (np.float32, (4,)),
    "finding_images": (np.int32, ()),
    "finding_labels": (np.int32, ()),
    "finding_scores": (np.float64, ()),
    "finding_boxes_norm": (np.float32, (4,)),
}


@dataclasses.dataclass(frozen=True)
class EvaluatedImage:
    """One image of an evaluation.

    Attributes:
        uri: where it is.
        sha256: of its bytes, hexadecimal; empty if it is not known.
        size_hw: of the upright image in pixels.
        label_indices: (G,) int64, what is there.
        boxes_norm: (G, 4) float32, xyxy in [0, 1]; None where labels are of whole images.
        found: what the model says, best first.
    """

    uri: str
    sha256: str
    size_hw: tuple[int, int]
    label_indices: npt.NDArray[np.int64]
    boxes_norm: npt.NDArray[np.float32] | None
    found: ImagePrediction


@dataclasses.dataclass(frozen=True)
class EvaluatedExamples:
    """All images of an evaluation as arrays; I images, G labels that are there, F findings.

    Attributes:
        split: TEST or VALIDATION.
        score_floor: findings have at least this score, in [0, 1].
        has_boxes: whether labels and findings have boxes.
        labels: display names by label index.
        uris: of the images.
        sha256: of their bytes, hexadecimal; empty for one that is not known.
        sizes_hw: (I, 2) int32, of the upright images in pixels.
        truth_images: (G,) int32, ascending: the image of each label.
        truth_labels: (G,) int32.
        truth_boxes_norm: (G, 4) float32, xyxy in [0, 1]; zeros without boxes.
        finding_images: (F,) int32, ascending.
        finding_labels: (F,) int32.
        finding_scores: (F,) float64, rounded as published; descending within an image.
        finding_boxes_norm: (F, 4) float32.
    """

    split: str
    score_floor: float
    has_boxes: bool
    labels: tuple[str, ...]
    uris: tuple[str, ...]
    sha256: tuple[str, ...]
    sizes_hw: npt.NDArray[np.int32]
    truth_images: npt.NDArray[np.int32]
    truth_labels: npt.NDArray[np.int32]
    truth_boxes_norm: npt.NDArray[np.float32]
    finding_images: npt.NDArray[np.int32]
    finding_labels: npt.NDArray[np.int32]
    finding_scores: npt.NDArray[np.float64]
    finding_boxes_norm: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.uris)


def collect(
    images: Sequence[EvaluatedImage],
    labels: Sequence[str],
    *,
    split: str,
    has_boxes: bool,
    max_findings: int = MAX_FINDINGS,
) -> EvaluatedExamples:
    """The images as arrays; where there are too many findings, those of low score are left out.

    Args:
        images: in the order of the evaluation.
        labels: display names by label index.
        split: TEST or VALIDATION.
        has_boxes: whether labels have boxes.
        max_findings: of all images together.
    """
    truths = [len(one.label_indices) for one in images]
    most = MAX_FINDINGS_OF_IMAGE if has_boxes else len(labels)
    kept = [one.found.keep(SCORE_FLOORS[0], most) for one in images]
    scores = _joined([boxes.rounded_scores(one.scores) for one in kept], np.float64)
    counts = {floor: int(np.count_nonzero(scores >= floor)) for floor in SCORE_FLOORS}
    floor = next((one for one in SCORE_FLOORS if counts[one] <= max_findings), SCORE_FLOORS[-1])
    chosen = scores >= floor
    places = [
        np.zeros((len(one), 4), np.float32) if not isinstance(one, boxes.Detections) else one.boxes_norm for one in kept
    ]
    there = [np.zeros((len(one.label_indices), 4)) if one.boxes_norm is None else one.boxes_norm for one in images]
    return EvaluatedExamples(
        split=split,
        score_floor=floor,
        has_boxes=has_boxes,
        labels=tuple(labels),
        uris=tuple(one.uri for one in images),
        sha256=tuple(one.sha256 for one in images),
        sizes_hw=np.array([one.size_hw for one in images], np.int32).reshape(-1, 2),
        truth_images=np.repeat(np.arange(len(images)), truths).astype(np.int32),
        truth_labels=_joined([one.label_indices for one in images], np.int32),
        truth_boxes_norm=_joined(there, np.float32, 4),
        finding_images=np.repeat(np.arange(len(images)), [len(one) for one in kept]).astype(np.int32)[chosen],
        finding_labels=_joined([one.label_indices for one in kept], np.int32)[chosen],
        finding_scores=scores[chosen],
        finding_boxes_norm=_joined(places, np.float32, 4)[chosen],
    )


def write(folder: pathlib.Path, examples: EvaluatedExamples) -> None:
    """Writes evaluated.npz into the folder of a model that is being made."""
    said = {
        "format_version": FORMAT_VERSION,
        **{name: getattr(examples, name) for name in ("split", "score_floor", "has_boxes", "labels", "uris", "sha256")},
    }
    text = np.frombuffer(json.dumps(said, ensure_ascii=False).encode(), np.uint8)
    whole = io.BytesIO()
    np.savez_compressed(whole, said=text, **{name: getattr(examples, name) for name in _ARRAYS})
    (folder / FILE).write_bytes(whole.getvalue())


def read(folder: pathlib.Path) -> EvaluatedExamples | None:
    """What a model's folder has kept; None if it has nothing, or nothing that this program reads."""
    try:
        with zipfile.ZipFile(folder / FILE) as archive:
            if sum(one.file_size for one in archive.infolist()) > MAX_FILE_BYTES:
                return None
        with np.load(folder / FILE, allow_pickle=False) as arrays:
            said = json.loads(arrays["said"].tobytes())
            if said["format_version"] != FORMAT_VERSION:
                return None
            found = EvaluatedExamples(
                split=str(said["split"]),
                score_floor=float(said["score_floor"]),
                has_boxes=bool(said["has_boxes"]),
                labels=tuple(map(str, said["labels"])),
                uris=tuple(map(str, said["uris"])),
                sha256=tuple(map(str, said["sha256"])),
                **{
                    name: np.ascontiguousarray(arrays[name], kind).reshape(-1, *shape)
                    for name, (kind, shape) in _ARRAYS.items()
                },
            )
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None
    return found if _is_whole(found) else None


def _is_whole(found: EvaluatedExamples) -> bool:
    """Whether the arrays fit each other."""
    for images, labels, more in (
        (found.truth_images, found.truth_labels, [found.truth_boxes_norm]),
        (found.finding_images, found.finding_labels, [found.finding_boxes_norm, found.finding_scores]),
    ):
        if any(len(one) != len(images) for one in (labels, *more)) or (np.diff(images) < 0).any():
            return False
        if len(images) and not (images[0] >= 0 and images[-1] < len(found)):
            return False
        if len(labels) and not (labels.min() >= 0 and labels.max() < len(found.labels)):
            return False
    return len(found.sha256) == len(found.sizes_hw) == len(found)


def _joined(parts: Sequence[npt.NDArray[Any]], kind: type, *columns: int) -> npt.NDArray[Any]:
    if not parts:
        return np.zeros((0, *columns), kind)
    return np.concatenate(parts).astype(kind).reshape(-1, *columns)
