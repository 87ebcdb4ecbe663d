"""What decoding JPEGs at a fraction of their size costs in quality.

    python -m benchmarks.batch.decode_fidelity MODEL_FOLDER DATA_FOLDER [--split TEST] [--quick]

Predicts the images of a labelled folder (labels.csv in the 11-column import format, paths relative to the folder) twice: as
the service does, and decoded at full size and then shrunk by the same letterbox. Prints both average precisions. Only images
at least twice as large as the network's input in both directions are decoded at a fraction at all: `scaled_images` says how
many those were, and their own figures stand beside those of all images. With --enlarge, every image is first enlarged until
it is so many times as large as the input and stored as a JPEG of quality 95, so that all are decoded at a fraction. The last
line is one JSON object.
"""

from __future__ import annotations

import csv
import io
import math
import pathlib
import sys

import numpy as np
from PIL import Image, ImageOps

from benchmarks.harness import arguments, results
from boxwright import boxes
from boxwright.detector.evaluation import evaluate
from boxwright.images import decode
from boxwright.images.letterbox import Prepared, letterbox
from boxwright.inference.predictor import Predictor

UNLIMITED_HW = (1 << 20, 1 << 20)  # a frame so large that nothing is decoded at a fraction
QUICK_IMAGES = 24
AP = "map50_95"
Run = tuple[evaluate.GroundTruth, boxes.Detections, boxes.Detections, bool, float]


def truths(folder: pathlib.Path, labels: list[str], split: str) -> dict[str, evaluate.GroundTruth]:
    """Path → what is in the image, for the images of a split; all images if none is in it."""
    rows: dict[str, list[tuple[int, list[float]]]] = {}
    wanted = set()
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        for ml_use, path, label, x_min, y_min, _, _, x_max, y_max, _, _ in csv.reader(file):
            rows.setdefault(path, [])
            if ml_use == split:
                wanted.add(path)
            if label in labels:
                rows[path].append((labels.index(label), [float(value) for value in (x_min, y_min, x_max, y_max)]))
    return {
        path: evaluate.GroundTruth(
            np.asarray([box for _, box in found], np.float32).reshape(-1, 4),
            np.asarray([label for label, _ in found], np.int64),
        )
        for path, found in rows.items()
        if path in (wanted or rows)
    }


def prepared_in_full(predictor: Predictor, data: bytes) -> Prepared:
    """As `Predictor.prepare`, but decoded at full size."""
    return letterbox(decode.decode(data, UNLIMITED_HW, predictor.limits), predictor.input_hw)


def enlarged(predictor: Predictor, data: bytes, times: float) -> bytes:
    """The image as a JPEG that is at least so many times as large as the network's input, in both directions."""
    height, width = predictor.input_hw
    with Image.open(io.BytesIO(data)) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    scale = max(1.0, times * max(height / upright.height, width / upright.width))
    size = (math.ceil(upright.width * scale), math.ceil(upright.height * scale))
    stored = io.BytesIO()
    upright.resize(size, Image.Resampling.LANCZOS).save(stored, "JPEG", quality=95)
    return stored.getvalue()


def both(predictor: Predictor, data: bytes, truth: evaluate.GroundTruth) -> Run:
    """Truth, detections as served and in full, whether a fraction was decoded, mean grey difference of the frames."""
    served, full = predictor.prepare(data), prepared_in_full(predictor, data)
    decoded = decode.decode(data, predictor.input_hw, predictor.limits)
    found = [predictor.postprocess(predictor.infer(one), one) for one in (served, full)]
    difference = float(np.abs(served.pixels.astype(np.int16) - full.pixels).mean())
    return truth, found[0], found[1], decoded.pixels.shape[:2] != decoded.size_hw, difference


def precisions(label_count: int, runs: list[Run]) -> tuple[float, float]:
    """AP (0.50:0.95) as served and in full, in points of 100."""
    labels = [{"display_name": str(n), "annotation_spec_id": str(n)} for n in range(label_count)]
    truth = [run[0] for run in runs]
    found = [
        evaluate.evaluate(labels, truth, detections, split="TEST")["extras"][AP] * 100
        for detections in ([run[1] for run in runs], [run[2] for run in runs])
    ]
    return found[0], found[1]


def main() -> int:
    parser = arguments.parser(__doc__, quick=f"the first {QUICK_IMAGES} images")
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--split", default="TEST", help="TEST, VALIDATION or TRAIN (default TEST)")
    parser.add_argument("--enlarge", type=float, metavar="TIMES", help="enlarge every image first, for example 2.5")
    options = parser.parse_args()
    predictor = Predictor.open(options.model)
    names = [label.display_name for label in predictor.labels]
    chosen = sorted(truths(options.data, names, options.split).items())[: QUICK_IMAGES if options.quick else None]
    runs = []
    for path, truth in chosen:
        data = (options.data / path).read_bytes()
        runs.append(both(predictor, enlarged(predictor, data, options.enlarge) if options.enlarge else data, truth))
    scaled = [run for run in runs if run[3]]
    result: dict[str, object] = {"data": options.data.name, "input_hw": list(predictor.input_hw)}
    print(f"{'':16}{'images':>8}{'AP served':>12}{'AP full':>12}{'cost':>8}{'grey levels':>13}")
    for name, part in (("all", runs), ("scaled", scaled)):
        served, full = precisions(len(names), part) if part else (0.0, 0.0)
        difference = float(np.mean([run[4] for run in part])) if part else 0.0
        print(f"{name:16}{len(part):>8}{served:>12.3f}{full:>12.3f}{full - served:>8.3f}{difference:>13.3f}")
        line = {"images": len(part), "ap_served": served, "ap_full": full, "ap_cost": full - served}
        result |= {f"{name}_{key}": round(value, 4) for key, value in line.items()}
        result[f"{name}_grey_levels"] = round(difference, 4)
    named = [options.data.name, options.split.lower(), *([str(options.enlarge)] if options.enlarge else [])]
    kept = ("ap_served", "ap_full", "ap_cost")
    row = {
        "images": len(runs),
        "scaled_images": len(scaled),
        "enlarged": options.enlarge,
        **{name: round(float(str(result[f"all_{name}"])), 2) for name in kept},
    }
    results.close(
        __file__,
        options,
        {**result, "precision": predictor.info.precision, "enlarged": options.enlarge, "quick": options.quick},
        source="docs/benchmarks.md",
        conditions=f"{options.data.name}, {options.split}; average precision in points of 100",
        figures={"_".join(named): row},
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
