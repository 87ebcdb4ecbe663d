"""The exported network in its runtime, with its pre- and post-processing: the single home of both.

    Predictor.open(folder) -> Predictor                     loads the network that model.json chooses into a runtime
    prepare(bytes) -> Prepared                              decode and letterbox
    infer(prepared) -> RawOutput                            the network, one image at a time
    postprocess(raw, prepared) -> Detections                suppression, voting, back to the upright original

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
    Voting,
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
    "Voting",
    "detections_from",
    "letterbox",
    "load_openvino",
    "read_model",
    "suppress",
    "vote",
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

    @property
    def is_one_colour(self) -> bool:
        """Whether the image, as the network sees it, has a single colour."""
        (left, top), (width, height) = self.offset_xy, self.scaled_wh
        return decode.is_one_colour(self.pixels[0, top : top + height, left : left + width])


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


def _areas(
    boxes_a: npt.NDArray[np.float32], boxes_b: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Intersection and union of every pair, (A, 4) and (B, 4) give (A, B) each.

    Written out in place: with `suppress` and `vote`, the only stage of a prediction that holds the interpreter for long.
    """
    left_a, top_a, right_a, bottom_a = boxes_a.T.copy()[..., None]  # (A, 1) each
    left_b, top_b, right_b, bottom_b = boxes_b.T.copy()  # (B,) each
    intersection = np.minimum(right_a, right_b)  # (A, B), as all below
    intersection -= np.maximum(left_a, left_b)
    np.maximum(intersection, 0.0, out=intersection)
    heights = np.minimum(bottom_a, bottom_b)
    heights -= np.maximum(top_a, top_b)
    np.maximum(heights, 0.0, out=heights)
    intersection *= heights
    union = np.add((right_a - left_a) * (bottom_a - top_a), (right_b - left_b) * (bottom_b - top_b), out=heights)
    union -= intersection
    return intersection, union


def suppress(
    boxes_px: npt.NDArray[np.float32], label_indices: npt.NDArray[np.int64], iou_threshold: float
) -> npt.NDArray[np.bool_]:
    """Greedy class-wise suppression of boxes that come best first; (N, 4) and (N,) give the kept rows, (N,) bool.

    One pairwise matrix, without a division, then one boolean row per box that is kept and overlaps another.
    """
    intersection, union = _areas(boxes_px, boxes_px)
    union *= iou_threshold
    overlaps = intersection > union
    overlaps &= label_indices[:, None] == label_indices
    keep = np.ones(len(boxes_px), bool)
    for row in np.flatnonzero(overlaps.sum(axis=1) > 1):  # every box overlaps itself
        if keep[row]:
            keep[row + 1 :] &= ~overlaps[row, row + 1 :]
    return keep


def vote(
    boxes_px: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    label_indices: npt.NDArray[np.int64],
    kept: npt.NDArray[np.int64],
    voting: Voting,
) -> npt.NDArray[np.float32]:
    """Where the kept boxes lie when those that agree with them have a say: means, weighted by score and overlap.

    Box voting, after Gidaris and Komodakis (2015). The sums run in the order of the boxes, so that a box which shares in
    none of them changes no bit.

    Args:
        boxes_px: (N, 4), best first, as suppression has seen them.
        scores: (N,).
        label_indices: (N,).
        kept: (K,) rows that suppression has left.
        voting: who takes part.

    Returns:
        (K, 4).
    """
    intersection, union = _areas(boxes_px[kept], boxes_px)  # (K, N) each
    agree = intersection > np.float32(voting.iou) * union
    agree &= label_indices[kept, None] == label_indices
    agree &= scores >= np.float32(voting.score_share) * scores[kept, None]
    rows, voters = np.nonzero(agree)  # (M,) each
    weights = scores[voters].astype(np.float64) * intersection[rows, voters] / union[rows, voters]
    sums = np.stack([np.bincount(rows, weights * side, len(kept)) for side in boxes_px[voters].T], axis=1)  # (K, 4)
    totals = np.bincount(rows, weights, len(kept))[:, None]
    # A box without area does not even overlap itself: it stays where it is.
    moved = np.divide(sums, totals, out=boxes_px[kept].astype(np.float64), where=totals > 0)
    return moved.astype(np.float32)


def detections_from(
    raw: RawOutput,
    prepared: Prepared,
    *,
    score_floor: float,
    suppression_iou: float,
    voting: Voting | None,
    max_detections: int,
    min_score: float = 0.0,
) -> boxes.Detections:
    """Network output to detections in the upright original.

    Candidates are ordered by score, ties by anchor and then label, so that the result never depends on a sort's mood.

    Args:
        raw: from the network.
        prepared: what it has looked at.
        score_floor: of the model; lower scores do not count at all.
        suppression_iou: of two boxes of one label that overlap more, the better one stays.
        voting: which of the others share in its place, None for none.
        max_detections: best ones.
        min_score: lower ones are not returned; nothing else about the others depends on it.
    """
    flat_scores = raw.scores.reshape(-1)
    share = 1.0 if voting is None else voting.score_share
    candidates = np.flatnonzero(flat_scores >= max(score_floor, share * min_score))
    order = np.argsort(-flat_scores[candidates], kind="stable")[:MAX_CANDIDATES]
    candidates = candidates[order]
    anchors, label_indices = np.divmod(candidates, raw.scores.shape[1])
    boxes_px, scores = raw.boxes_px[anchors], flat_scores[candidates]
    keep = np.flatnonzero(suppress(boxes_px, label_indices, suppression_iou))[:max_detections]
    keep = keep[scores[keep] >= min_score]
    kept_px = boxes_px[keep] if voting is None else vote(boxes_px, scores, label_indices, keep, voting)
    offset = np.asarray(prepared.offset_xy * 2, np.float32)
    extent = np.asarray(prepared.scaled_wh * 2, np.float32)
    boxes_norm = np.clip((kept_px - offset) / extent, 0.0, 1.0)
    inside = (boxes_norm[:, 2:] > boxes_norm[:, :2]).all(axis=1)  # a box wholly in the grey border has no area
    keep = keep[inside]
    return boxes.Detections(
        boxes_norm[inside].astype(np.float32),
        scores[keep].astype(np.float32),
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
        if not decode.FIRST_POLICY <= info.image_policy <= decode.POLICY:
            raise ModelError(
                f"{folder}: {MODEL_FILE} names image policy {info.image_policy}; this Boxwright knows "
                f"{decode.FIRST_POLICY} to {decode.POLICY}."
            )
        network = read_network(folder, info, precision or info.precision)
        count = streams or len(os.sched_getaffinity(0))
        try:
            opened = runtimes.open_runtime(network, info.input_hw, count, runtime, folder if keep_compiled else None)
        except ModelError as error:
            raise ModelError(f"{folder.name}: {error}") from error
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
        return letterbox(decode.decode(data, self.input_hw, self.limits, self.info.image_policy), self.input_hw)

    def infer(self, prepared: Prepared) -> RawOutput:
        """Runs the network on one image; waits while the runtime is busy."""
        return self.runtime.infer(prepared.pixels)

    def postprocess(self, raw: RawOutput, prepared: Prepared, min_score: float = 0.0) -> boxes.Detections:
        """Suppression, voting and the way back to the upright original.

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
            score_floor=self.info.score_floor,
            suppression_iou=self.info.suppression_iou,
            voting=self.info.voting,
            max_detections=self.info.max_detections,
            min_score=min_score - margin,
        )

    def predict(self, data: bytes, min_score: float = 0.0) -> boxes.Detections:
        """One image from bytes to detections, in the calling thread.

        Raises:
            DecodeError: the bytes are no usable image.
        """
        prepared = self.prepare(data)
        return self.postprocess(self.infer(prepared), prepared, min_score)
