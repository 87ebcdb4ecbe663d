"""Trains a classifier on a labelled folder and reports the quality on its test images.

    python -m benchmarks.training.classification DATA_DIR --minutes 5 [--model-type cloud]

DATA_DIR holds labels.csv and the images: rows of `set,path,label,…` (image classification), or the 11-column import format
of object detection, whose boxes are then taken as labels that are present (`--multilabel`). The trainer runs as the service
runs it: a child process with a budget. The last line of the output is one JSON object.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import pathlib
import resource
import tempfile
import time
from typing import Any

from benchmarks.harness import arguments, results
from benchmarks.training import quality

DETECTION_COLUMNS = 11


def read_rows(data_dir: pathlib.Path, *, multilabel: bool) -> tuple[list[str], list[dict[str, Any]]]:
    """Labels in order of their names, and one example per image."""
    with (data_dir / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = [(row[0], row[1], row[2:3] if len(row) == DETECTION_COLUMNS else row[2:]) for row in csv.reader(file)]
    labels = sorted({label for _, _, found in rows for label in found if label})
    examples: dict[str, dict[str, Any]] = {}
    for ml_use, path, found in rows:
        if path not in examples:
            digest = hashlib.sha256((data_dir / path).read_bytes()).hexdigest()
            uri = f"gs://{data_dir.name}/{path}"
            examples[path] = {"uri": uri, "sha256": digest, "ml_use": ml_use or "UNASSIGNED", "labels": []}
        own = examples[path]["labels"]
        own += [labels.index(label) for label in found if label and labels.index(label) not in own]
    return labels, [one for one in examples.values() if one["labels"] or multilabel]


def write_job(job_dir: pathlib.Path, data_dir: pathlib.Path, options: argparse.Namespace) -> None:
    labels, examples = read_rows(data_dir, multilabel=options.multilabel)
    job = {
        "labels": [{"display_name": name, "annotation_spec_id": str(index)} for index, name in enumerate(labels)],
        "model_type": options.model_type,
        "classification_type": "MULTILABEL" if options.multilabel else "MULTICLASS",
        "budget_s": options.minutes * 60,
        "seed": options.seed,
        "threads": options.threads,
        "cache_bytes": 2 << 30,
        "stores": {"buckets_dir": str(data_dir.parent), "state_dir": str(job_dir)},
        "recipe": json.loads(options.recipe),
    }
    (job_dir / "job.json").write_text(json.dumps(job), encoding="utf-8")
    lines = "".join(json.dumps(example) + "\n" for example in examples)
    (job_dir / "examples.jsonl").write_text(lines, encoding="utf-8")


def main() -> None:
    parser = arguments.parser(__doc__, quick="at most a minute of training")
    parser.add_argument("data_dir", type=pathlib.Path)
    parser.add_argument("--multilabel", action="store_true", help="any number of labels an image")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--model-type", default="cloud")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--recipe", default="{}", help="JSON overrides of hyper-parameters, for experiments")
    parser.add_argument("--keep", type=pathlib.Path, help="keep the job folder here")
    options = parser.parse_args()
    if options.quick:
        options.minutes = min(options.minutes, 1.0)
    with tempfile.TemporaryDirectory() as temporary:
        job_dir = options.keep or pathlib.Path(temporary)
        job_dir.mkdir(parents=True, exist_ok=True)
        write_job(job_dir, options.data_dir.resolve(), options)
        started_s = time.monotonic()
        event = quality.train(job_dir, "boxwright.classifier.train_main")
        wall_s = time.monotonic() - started_s
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        evaluation = json.loads((job_dir / "model" / "evaluation.json").read_text(encoding="utf-8"))
        document = json.loads((job_dir / "model" / "model.json").read_text(encoding="utf-8"))
    extras, said = evaluation["extras"], document["provenance"]
    _show(extras, said)
    line = {
        "data": options.data_dir.name,
        "model_type": options.model_type,
        "classification_type": extras["classification_type"],
        "top1_accuracy": extras.get("top1_accuracy"),
        "macro_average_precision": extras["macro_average_precision"],
        "expected_calibration_error": extras["expected_calibration_error"],
        "split": extras["split"],
        "wall_s": round(wall_s, 1),
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "peak_mib": used.ru_maxrss >> 10,
        "probe_ready_s": said["probe_ready_s"],
        "network": said["network"],
        "candidates": extras["candidates"],
        "steps": said["steps"],
        "stop_reason": event["stop_reason"],
        "precision": extras["quantisation"]["chosen"],
        "quantisation": extras["quantisation"],
        "weights_sha256": event["weights_sha256"],
    }
    row = {
        "seed": options.seed,
        "top1": round(extras.get("top1_accuracy", 0.0), 3),
        "macro_ap": round(extras["macro_average_precision"], 3),
        "ece": round(extras["expected_calibration_error"], 3),
        "chosen": said["network"].partition(":")[0],
        "precision": extras["quantisation"]["chosen"],
        "minutes": round(wall_s / 60, 1),
    }
    results.close(
        __file__,
        options,
        line,
        source="docs/models.md",
        conditions=f"{extras['split']} images ({extras['images']}), in the precision that the model chose",
        figures={f"{options.data_dir.name}_{options.model_type}": [row]},
    )


def _show(extras: dict[str, Any], said: dict[str, Any]) -> None:
    print(f"\n{'label':20} {'images':>6} {'recall':>6} {'AP':>6}")
    for row in extras["labels"]:
        print(f"{row['display_name']:20} {row['images']:6} {row['recall']:6.3f} {row['average_precision']:6.3f}")
    print(f"mean AP {extras['macro_average_precision']:.3f}, top-1 {extras.get('top1_accuracy', 0.0):.3f}")
    print(f"calibration error {extras['expected_calibration_error']:.3f}; {said['network']}")
    print("predicts in {chosen}: {reason}".format(**extras["quantisation"]))


if __name__ == "__main__":
    main()
