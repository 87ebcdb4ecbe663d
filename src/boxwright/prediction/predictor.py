"""The exported network in its runtime, with its pre- and post-processing: the single home of both.

    open_model(folder) reads model.json -> ModelInfo        cheap, no runtime
    Predictor.open(folder) -> Predictor                     compiles model.onnx
    prepare(bytes) -> Prepared                              decode and letterbox
    infer(prepared) -> RawOutput                            the network, one image at a time
    postprocess(raw, prepared) -> Detections                suppression, back to the upright original

Training's evaluation, online and batch prediction all come through here, so they agree. One image is one request on one
thread: what is found in an image depends on nothing but the image and the model.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import queue
import sys
import threading
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from boxwright import boxes
from boxwright.prediction import decode

FORMAT_VERSION = 1
MODEL_FILE = "model.json"
NETWORK_FILE = "model.onnx"
MAX_CANDIDATES = 600  # best-scored boxes that enter suppression: bounds the pairwise matrix whatever the scores are
FILL = 127  # grey that becomes zero after the network's normalisation

_WARMING_UP = threading.Lock()


class ModelError(Exception):
    """A model folder is incomplete, damaged, or of a version that this program does not read."""


@dataclasses.dataclass(frozen=True)
class Label:
    """One thing that the model can find."""

    display_name: str
    annotation_spec_id: str


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """What model.json says.

    Attributes:
        labels: in the order of the network's classes.
        input_hw: network input in pixels.
        score_floor: lower scores are never reported, in [0, 1].
        suppression_iou: of two boxes of one label that overlap more, the better one stays.
        max_detections: per image.
        digest: sha256 of model.json, which itself holds the digest of the network.
        document: the whole file.
    """

    labels: tuple[Label, ...]
    input_hw: tuple[int, int]
    score_floor: float
    suppression_iou: float
    max_detections: int
    digest: str
    document: dict[str, Any]

    @classmethod
    def read(cls, folder: pathlib.Path) -> ModelInfo:
        """Reads model.json.

        Raises:
            ModelError: absent, unreadable or of another version.
        """
        try:
            text = (folder / MODEL_FILE).read_bytes()
            document = json.loads(text)
            version = document["format_version"]
            if version != FORMAT_VERSION:
                raise ModelError(f"{folder}: model format {version} is not supported, only {FORMAT_VERSION}.")
            return cls(
                labels=tuple(Label(one["display_name"], one["annotation_spec_id"]) for one in document["labels"]),
                input_hw=(int(document["input_hw"][0]), int(document["input_hw"][1])),
                score_floor=float(document["score_floor"]),
                suppression_iou=float(document["nms_iou"]),
                max_detections=int(document["max_detections"]),
                digest=hashlib.sha256(text).hexdigest(),
                document=document,
            )
        except FileNotFoundError as error:
            raise ModelError(f"{folder}: there is no {MODEL_FILE}.") from error
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise ModelError(f"{folder}: {MODEL_FILE} is unreadable: {error}.") from error


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


@dataclasses.dataclass(frozen=True)
class RawOutput:
    """The network's answer for one image.

    Attributes:
        boxes_px: (A, 4) float32, xyxy in input pixels.
        scores: (A, C) float32 in [0, 1].
    """

    boxes_px: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]


def letterbox(image: decode.DecodedImage, input_hw: tuple[int, int]) -> Prepared:
    """Scales an image to fit into the frame, keeps its aspect, centres it on grey."""
    height, width = input_hw
    original_height, original_width = image.size_hw
    scale = min(height / original_height, width / original_width)
    scaled_width = min(width, max(1, round(original_width * scale)))
    scaled_height = min(height, max(1, round(original_height * scale)))
    pixels = image.pixels
    if pixels.shape[:2] != (scaled_height, scaled_width):
        resized = Image.fromarray(pixels).resize((scaled_width, scaled_height), Image.Resampling.BILINEAR)
        pixels = np.asarray(resized, np.uint8)
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


def load_openvino() -> Any:
    """Imports the runtime: late, because it is heavy, and without its usage reports.

    Importing openvino sends a report over the network from a forked process, which also keeps the importer's standard
    output open. Without its telemetry package it falls back to a silent stub; nothing here may call home.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # makes the import fail, as documented
    import openvino

    return openvino


def _outputs(request: Any) -> RawOutput:
    """Copies what a request has inferred; the request is reused."""
    return RawOutput(np.array(request.get_output_tensor(0).data[0]), np.array(request.get_output_tensor(1).data[0]))


class Predictor:
    """A loaded model. Safe for any number of threads; as many images run at once as there are streams."""

    def __init__(self, info: ModelInfo, requests: list[Any], limits: decode.Limits) -> None:
        self.info = info
        self.limits = limits
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for request in requests:
            self._idle.put(request)

    @classmethod
    def open(
        cls,
        folder: pathlib.Path,
        *,
        streams: int | None = None,
        precision: str = "fp32",
        limits: decode.Limits = decode.DEFAULT_LIMITS,
    ) -> Predictor:
        """Loads a model folder.

        Args:
            folder: holds model.json and model.onnx.
            streams: images in flight, one thread each; this machine's usable cores when None.
            precision: only "fp32".
            limits: per image.

        Raises:
            ModelError: the folder is incomplete or damaged.
            ValueError: unknown precision.
        """
        if precision != "fp32":
            raise ValueError(f"precision must be 'fp32', not {precision!r}")
        info = ModelInfo.read(folder)
        network_path = folder / NETWORK_FILE
        try:
            network = network_path.read_bytes()
        except OSError as error:
            raise ModelError(f"{folder}: {NETWORK_FILE} cannot be read.") from error
        if hashlib.sha256(network).hexdigest() != info.document.get("digests", {}).get(NETWORK_FILE):
            raise ModelError(f"{folder}: {NETWORK_FILE} is not the file that {MODEL_FILE} describes.")

        openvino = load_openvino()
        count = streams or len(os.sched_getaffinity(0))
        options = {
            "INFERENCE_PRECISION_HINT": "f32",
            "NUM_STREAMS": str(count),
            "INFERENCE_NUM_THREADS": str(count),  # one thread a stream: sums are made in one order only
            "ENABLE_CPU_PINNING": "NO",  # several processes share these cores
        }
        core = openvino.Core()
        try:
            compiled = core.compile_model(core.read_model(network), "CPU", options)
        except RuntimeError as error:
            raise ModelError(f"{folder}: {NETWORK_FILE} cannot be loaded: {error}") from error
        requests = [compiled.create_infer_request() for _ in range(count)]
        blank = np.zeros((1, *info.input_hw, 3), np.uint8)
        with _WARMING_UP:
            for request in requests:
                # here, one thread at a time: the binding sets up its use of arrays at the first inference, and two
                # threads doing so at once wait for each other for ever
                request.infer([blank])
                _outputs(request)
        return cls(info, requests, limits)

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
        """Runs the network on one image; waits while all streams are busy."""
        request = self._idle.get()
        try:
            request.infer([prepared.pixels])
            return _outputs(request)
        finally:
            self._idle.put(request)

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
