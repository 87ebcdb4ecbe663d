"""What an import of a network is asked for: job.json in the job's folder, with the files beside it.

source.onnx     the network
examples.jsonl  the labelled images, if there are any: file, and boxes with the names of their labels
images/         their bytes
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

JOB_FILE = "job.json"
SOURCE_FILE = "source.onnx"
EXAMPLES_FILE = "examples.jsonl"
IMAGES_FOLDER = "images"
INPUTS = ("rgb01", "rgb255", "bgr01", "bgr255", "imagenet")  # what the numbers of an image may be
LAYOUTS = (
    "rtdetr", "rfdetr", "hf-detr", "hf-rtdetr", "torchvision", "tf-od", "contract", "yolov5", "yolov8", "yolo-e2e",
    "yolo-e2e-norm", "yolox", "yolox-raw", "yolonas", "effdet", "effdet-sides", "effdet-corners",
)  # fmt: skip
ALIASES = {  # families that share a layout
    "yolov7": "yolov5",
    "yolov9": "yolov8",
    "yolo11": "yolov8",
    "yolov11": "yolov8",
    "yolo12": "yolov8",
    "yolov10": "yolo-e2e",
    "yolo26": "yolo-e2e",
    "dfine": "rtdetr",
    "deim": "rtdetr",
}
UNVALIDATED = "unvalidated"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportJob:
    """What is asked for.

    Attributes:
        model_id: of the model that is made; ids of its labels depend on it.
        layout: a name of the table; empty: it is found.
        labels: names in the order of the network's classes; none: the file says them.
        input: one of `INPUTS`; empty: the layout's.
        resize: a mode of `letterbox.RESIZES`; empty: the layout's.
        fill: grey beside the image, 0 to 255; None: the layout's.
        input_hw: height and width in pixels, for networks that leave them open.
        nms_iou: of two boxes of one label that overlap more, the better one stays; None: the layout's.
        licence: as the caller has said it; empty: what the file says.
        accepts_unvalidated: whether a model is wanted that does not find the boxes of the labelled images.
        memory_bytes: that the process may use.
        threads: processor threads to use.
        timeout_s: seconds that the work may take.
    """

    model_id: str
    layout: str = ""
    labels: tuple[str, ...] = ()
    input: str = ""
    resize: str = ""
    fill: int | None = None
    input_hw: tuple[int, int] | None = None
    nms_iou: float | None = None
    licence: str = ""
    accepts_unvalidated: bool = False
    memory_bytes: int
    threads: int
    timeout_s: float

    def to_json(self) -> str:
        """The content of job.json."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def read(cls, folder: pathlib.Path) -> ImportJob:
        """Reads job.json.

        Raises:
            OSError, ValueError, TypeError, KeyError: it is not there, or not one.
        """
        document: dict[str, Any] = json.loads((folder / JOB_FILE).read_text(encoding="utf-8"))
        document["labels"] = tuple(document["labels"])
        if document["input_hw"] is not None:
            document["input_hw"] = (int(document["input_hw"][0]), int(document["input_hw"][1]))
        return cls(**document)
