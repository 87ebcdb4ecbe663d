"""The exported network in its runtime, with its pre- and post-processing: the single home of both.

    Predictor.open(folder) -> Predictor                     loads the network that model.json chooses into a runtime
    prepare(bytes) -> Prepared                              decode and letterbox
    infer(prepared) -> RawOutput                            the network, one image at a time
    postprocess(raw, prepared) -> Detections                suppression, back to the upright original

Training's evaluation, online and batch prediction all come through here, so they agree. One image is one request on one
thread: what is found in an image depends on nothing but the image and the model.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib

import numpy as np
import numpy.typing as npt

from boxwright import boxes
from boxwright.prediction import decode, resize, runtimes
from boxwright.prediction.model_folder import (
    FORMAT_VERSION,
    MODEL_FILE,
    NETWORK_FILE,
    REPORT_FILE,
    Label,
    ModelError,
    ModelInfo,
    read_network,
)
from boxwright.prediction.runtimes import RawOutput, Runtime, load_openvino, read_model

# The detector, which may see no other module of this room, finds these here.
__all__ = [
    "FILL",
    "FORMAT_VERSION",
    "MODEL_FILE",
    "NETWORK_FILE",
    "REPORT_FILE",
    "Label",
    "ModelError",
    "ModelInfo",
    "Predictor",
    "Prepared",
    "RawOutput",
    "detections_from",
    "letterbox",
    "load_openvino",
    "read_model",
    "suppress",
]

MAX_CANDIDATES = 600  # best-scored boxes that enter suppression: bounds the pairwise matrix whatever the scores are
FILL = 127  # grey that becomes zero after the network's normalisation


@dataclasses.dataclass(frozen=True)
class Prepared:
    """An image in the network's frame.

    Attributes:
        pixels: (1, H, W, 3) uint8, letterboxed.
        offset_xy: where the image starts in the frame, in pixels.
        scaled_wh: width and height that the image occupies in the frame, in pixels.
        size_hw: upright original, in pixels.
    """

    pixels: npt.NDArray[np.uint8]
    offset_xy: tuple[int, int]
    scaled_wh: tuple[int, int]
    size_hw: tuple[int, int]


def letterbox(image: decode.DecodedImage, input_hw: tuple[int, int]) -> Prepared:
    """Scales an image to fit into the frame, keeps its aspect, centres it on grey."""
    height, width = input_hw
    original_height, original_width = image.size_hw
    scale = min(height / original_height, width / original_width)
    scaled_width = min(width, max(1, round(original_width * scale)))
    scaled_height = min(height, max(1, round(original_height * scale)))
    pixels = image.pixels
    if pixels.shape[:2] != (scaled_height, scaled_width):
        pixels = resize.resized(pixels, (scaled_height, scaled_width))
    left, top = (width - scaled_width) // 2, (height - scaled_height) // 2
    frame = np.full((1, height, width, 3), FILL, np.uint8)
    frame[0, top : top + scaled_height, left : left + scaled_width] = pixels
    return Prepared(frame, (left, top), (scaled_width, scaled_height), image.size_hw)


def suppress(
    boxes_px: npt.NDArray[np.float32], label_indices: npt.NDArray[np.int64], iou_threshold: float
) -> npt.NDArray[np.bool_]:
    """Greedy class-wise suppression of boxes that come best first; (N, 4) and (N,) give the kept rows, (N,) bool.

    One pairwise matrix, then one boolean row per box that is kept and overlaps another. The overlap is written out in
    place and without a division: this is the only stage of a prediction that holds the interpreter for long.
    """
    left, top, right, bottom = boxes_px.T.copy()
    areas = (right - left) * (bottom - top)
    intersection = np.minimum(right[:, None], right)  # (N, N), as all below
    intersection -= np.maximum(left[:, None], left)
    np.maximum(intersection, 0.0, out=intersection)
    heights = np.minimum(bottom[:, None], bottom)
    heights -= np.maximum(top[:, None], top)
    np.maximum(heights, 0.0, out=heights)
    intersection *= heights
    union = np.add(areas[:, None], areas, out=heights)
    union -= intersection
    union *= iou_threshold
    overlaps = intersection > union
    overlaps &= label_indices[:, None] == label_indices
    keep = np.ones(len(boxes_px), bool)
    for row in np.flatnonzero(overlaps.sum(axis=1) > 1):  # every box overlaps itself
        if keep[row]:
            keep[row + 1 :] &= ~overlaps[row, row + 1 :]
    return keep


def detections_from(
    raw: RawOutput,
    prepared: Prepared,
    *,
    score_floor: float,
    suppression_iou: float,
    max_detections: int,
) -> boxes.Detections:
    """Network output to detections in the upright original.

    Candidates are ordered by score, ties by anchor and then label, so that the result never depends on a sort's mood.
    """
    flat_scores = raw.scores.reshape(-1)
    candidates = np.flatnonzero(flat_scores >= score_floor)
    order = np.argsort(-flat_scores[candidates], kind="stable")[:MAX_CANDIDATES]
    candidates = candidates[order]
    anchors, label_indices = np.divmod(candidates, raw.scores.shape[1])
    boxes_px = raw.boxes_px[anchors]
    keep = np.flatnonzero(suppress(boxes_px, label_indices, suppression_iou))[:max_detections]
    offset = np.asarray(prepared.offset_xy * 2, np.float32)
    extent = np.asarray(prepared.scaled_wh * 2, np.float32)
    boxes_norm = np.clip((boxes_px[keep] - offset) / extent, 0.0, 1.0)
    inside = (boxes_norm[:, 2:] > boxes_norm[:, :2]).all(axis=1)  # a box wholly in the grey border has no area
    keep = keep[inside]
    return boxes.Detections(
        boxes_norm[inside].astype(np.float32),
        flat_scores[candidates[keep]].astype(np.float32),
        label_indices[keep].astype(np.int64),
    )


class Predictor:
    """A loaded model. Safe for any number of threads; its runtime decides how many images run at once."""

    def __init__(self, info: ModelInfo, runtime: Runtime, limits: decode.Limits, network_bytes: int = 0) -> None:
        self.info = info
        self.network_bytes = network_bytes
        self.limits = limits
        self.runtime = runtime

    @classmethod
    def open(
        cls,
        folder: pathlib.Path,
        *,
        streams: int | None = None,
        precision: str | None = None,
        runtime: str = "cpu",
        limits: decode.Limits = decode.DEFAULT_LIMITS,
        keep_compiled: bool = False,
    ) -> Predictor:
        """Loads a model folder.

        Args:
            folder: holds model.json and the network's files.
            streams: images in flight on the CPU, one thread each; this machine's usable cores when None.
            precision: of the network; the one that model.json chooses when None.
            runtime: "cpu", "gpu" or "auto"; see `runtimes.open_runtime`.
            limits: per image.
            keep_compiled: keep the compiled network in the folder, for whoever opens it next on this machine.

        Raises:
            ModelError: the folder is incomplete or damaged, or the network does not run here.
            ValueError: the model has no network of that precision.
        """
        info = ModelInfo.read(folder)
        network = read_network(folder, info, precision or info.precision)
        count = streams or len(os.sched_getaffinity(0))
        try:
            opened = runtimes.open_runtime(network, info.input_hw, count, runtime, folder if keep_compiled else None)
        except ModelError as error:
            raise ModelError(f"{folder}: {error}") from error
        return cls(info, opened, limits, len(network.graph) + len(network.weights or b""))

    @property
    def labels(self) -> tuple[Label, ...]:
        """In the order of `Detections.label_indices`."""
        return self.info.labels

    @property
    def input_hw(self) -> tuple[int, int]:
        """Network input in pixels."""
        return self.info.input_hw

    @property
    def digest(self) -> str:
        """Names the model: equal digests, equal answers."""
        return self.info.digest

    def prepare(self, data: bytes) -> Prepared:
        """Decodes and letterboxes one image.

        Raises:
            DecodeError: the bytes are no usable image.
        """
        return letterbox(decode.decode(data, self.input_hw, self.limits), self.input_hw)

    def infer(self, prepared: Prepared) -> RawOutput:
        """Runs the network on one image; waits while the runtime is busy."""
        return self.runtime.infer(prepared.pixels)

    def postprocess(self, raw: RawOutput, prepared: Prepared, min_score: float = 0.0) -> boxes.Detections:
        """Suppression and the way back to the upright original.

        Args:
            raw: from `infer`.
            prepared: from `prepare`.
            min_score: a caller that will drop lower scores anyway saves time by saying so here; the detections at or
                above it are the same as without.
        """
        margin = 10.0**-boxes.SCORE_DECIMALS  # callers compare rounded scores
        return detections_from(
            raw,
            prepared,
            score_floor=max(self.info.score_floor, min_score - margin),
            suppression_iou=self.info.suppression_iou,
            max_detections=self.info.max_detections,
        )

    def predict(self, data: bytes, min_score: float = 0.0) -> boxes.Detections:
        """One image from bytes to detections, in the calling thread.

        Raises:
            DecodeError: the bytes are no usable image.
        """
        prepared = self.prepare(data)
        return self.postprocess(self.infer(prepared), prepared, min_score)
