"""A trained model's folder: model.json, and the network's files that it names.

    ModelInfo.read(folder) -> ModelInfo              what model.json says; cheap, no runtime
    read_network(folder, info, precision) -> Network the bytes of one network, checked against their digests

A model may bring its network in more than one precision; which of them predicts is decided once, in model.json, so that
results do not depend on the machine.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
from typing import Any

from boxwright.images import letterbox

FORMAT_VERSION = 1
MODEL_FILE = "model.json"
NETWORK_FILE = "model.onnx"
NOTICE_FILE = "NOTICE"  # of weights that the network started from: it must be passed on with the model
REPORT_FILE = "report.html"  # of the training; a model may have none
DEFAULT_PRECISION = "fp32"
OBJECT_DETECTION = "image_object_detection"  # kinds of models; a model.json that names none is a detector's
IMAGE_CLASSIFICATION = "image_classification"
KINDS = (OBJECT_DETECTION, IMAGE_CLASSIFICATION)
MULTICLASS, MULTILABEL = "MULTICLASS", "MULTILABEL"  # classification types: the API's names


class ModelError(Exception):
    """A model folder is incomplete, damaged, or of a version that this program does not read."""


@dataclasses.dataclass(frozen=True)
class Label:
    """One thing that the model can find."""

    display_name: str
    annotation_spec_id: str


@dataclasses.dataclass(frozen=True)
class Voting:
    """Which boxes share in the place of a detection: those of its label that suppression drops and that agree with it.

    Attributes:
        iou: they overlap it by more than this, in [0, 1).
        score_share: their score is at least this share of its score, in (0, 1].
    """

    iou: float
    score_share: float


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """What model.json says.

    Attributes:
        kind: one of `KINDS`.
        classification_type: `MULTICLASS` or `MULTILABEL`; empty for a detector.
        labels: in the order of the network's classes.
        input_hw: network input in pixels.
        score_floor: lower scores are never reported, in [0, 1]; 0 for classification.
        suppression_iou: of two boxes of one label that overlap more, the better one stays; 1 for classification.
        voting: None for models from before there was one, and for classification.
        max_detections: per image; of classification the number of labels.
        image_policy: how the bytes of an image become pixels, see `decode.decode`; 1 for models that do not say it.
        framing: how an image fills the input; centred on grey for models that do not say it.
        networks: the network's file by precision, "fp32" among them.
        precision: the one that predicts.
        digest: sha256 of model.json, which itself holds the digests of the network's files.
        document: the whole file.
    """

    kind: str
    classification_type: str
    labels: tuple[Label, ...]
    input_hw: tuple[int, int]
    score_floor: float
    suppression_iou: float
    voting: Voting | None
    max_detections: int
    image_policy: int
    framing: letterbox.Framing
    networks: dict[str, str]
    precision: str
    digest: str
    document: dict[str, Any]

    def is_onnx(self, precision: str) -> bool:
        """Whether any runtime can read the network of a precision; false where there is none."""
        return not self.networks.get(precision, ".xml").endswith(".xml")

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
                raise ModelError(f"{folder.name}: model format {version} is not supported, only {FORMAT_VERSION}.")
            networks = dict(document.get("networks", {DEFAULT_PRECISION: NETWORK_FILE}))
            precision = document.get("precision", DEFAULT_PRECISION)
            if precision not in networks or DEFAULT_PRECISION not in networks:
                raise ModelError(
                    f"{folder.name}: {MODEL_FILE} names no network for {precision} or {DEFAULT_PRECISION}."
                )
            kind = document.get("kind", OBJECT_DETECTION)
            if kind not in KINDS:
                raise ModelError(
                    f"{folder.name}: models of the kind {kind} are not supported, only {' and '.join(KINDS)}."
                )
            classification_type = document["classification_type"] if kind == IMAGE_CLASSIFICATION else ""
            if classification_type not in ("", MULTICLASS, MULTILABEL):
                raise ModelError(f"{folder.name}: {MODEL_FILE} names no classification type: {classification_type}.")
            rules = document
            if kind == IMAGE_CLASSIFICATION:
                rules = {"score_floor": 0.0, "nms_iou": 1.0, "max_detections": len(document["labels"])}
            voting = rules.get("box_voting")
            return cls(
                kind=kind,
                classification_type=classification_type,
                labels=tuple(Label(one["display_name"], one["annotation_spec_id"]) for one in document["labels"]),
                input_hw=(int(document["input_hw"][0]), int(document["input_hw"][1])),
                score_floor=float(rules["score_floor"]),
                suppression_iou=float(rules["nms_iou"]),
                voting=voting and Voting(float(voting["iou"]), float(voting["score_share"])),
                max_detections=int(rules["max_detections"]),
                image_policy=int(document.get("image_policy", 1)),
                framing=_framing(document),
                networks=networks,
                precision=precision,
                digest=hashlib.sha256(text).hexdigest(),
                document=document,
            )
        except FileNotFoundError as error:
            raise ModelError(f"{folder.name}: there is no {MODEL_FILE}.") from error
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            why = error.strerror if isinstance(error, OSError) else error  # without the path, which callers may not see
            raise ModelError(f"{folder.name}: {MODEL_FILE} is unreadable: {why}.") from error


def _framing(document: dict[str, Any]) -> letterbox.Framing:
    """How an image fills the input, where model.json says it: `resize_mode` and `fill` beside the words for people."""
    preprocessing = document.get("preprocessing", {})
    if "resize_mode" not in preprocessing:
        return letterbox.CENTRED
    framing = letterbox.Framing(preprocessing["resize_mode"], int(preprocessing["fill"]))
    if framing.resize not in letterbox.RESIZES or not 0 <= framing.fill <= 255:
        raise ValueError(f"preprocessing: resize_mode {framing.resize} with fill {framing.fill} is not known")
    return framing


@dataclasses.dataclass(frozen=True)
class StoredNetwork:
    """A network as it lies in its files.

    Attributes:
        name: the file that model.json names; for messages.
        graph: ONNX, or OpenVINO's XML.
        weights: what belongs to the XML, None for ONNX.
        digest: sha256 over the files' digests: equal digests, equal networks.
        precision: "fp32" or "int8".
    """

    name: str
    graph: bytes
    weights: bytes | None
    digest: str
    precision: str

    @property
    def is_onnx(self) -> bool:
        """Whether any runtime can read it."""
        return self.weights is None


def read_network(folder: pathlib.Path, info: ModelInfo, precision: str) -> StoredNetwork:
    """Reads the network of one precision; an ``.xml`` brings the ``.bin`` beside it.

    Raises:
        ModelError: a file is missing, or not the one that model.json describes.
        ValueError: the model has no network of that precision.
    """
    if precision not in info.networks:
        raise ValueError(f"precision must be one of {', '.join(info.networks)}, not {precision!r}")
    name = info.networks[precision]
    graph, digest = _checked(folder, info, name)
    if info.is_onnx(precision):
        return StoredNetwork(name, graph, None, digest, precision)
    weights, weights_digest = _checked(folder, info, name.removesuffix(".xml") + ".bin")
    return StoredNetwork(
        name, graph, weights, hashlib.sha256((digest + weights_digest).encode()).hexdigest(), precision
    )


def digest_of(content: bytes) -> str:
    """The digest by which model.json names a file's content."""
    return hashlib.sha256(content).hexdigest()


def _checked(folder: pathlib.Path, info: ModelInfo, name: str) -> tuple[bytes, str]:
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise ModelError(f"{folder.name}: {name} cannot be read.") from error
    digest = digest_of(content)
    if digest != info.document.get("digests", {}).get(name):
        raise ModelError(f"{folder.name}: {name} is not the file that {MODEL_FILE} describes.")
    return content, digest
