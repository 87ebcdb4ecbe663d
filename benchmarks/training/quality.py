"""Trains on a labelled folder and reports the quality on its test split.

    python -m benchmarks.training.quality DATA_DIR --minutes 15 [--model-type cloud-high-accuracy-1]

DATA_DIR holds labels.csv (the 11-column import format without header, paths relative to the folder) and the images. The
trainer runs as the service runs it: a child process with a budget. The last line of the output is one JSON object.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Any

from benchmarks.harness import arguments, results
from boxwright.runners import train_model
from boxwright.weights import installed


def read_rows(data_dir: pathlib.Path) -> tuple[list[str], list[dict[str, Any]]]:
    """Labels in order of appearance, and one example per image."""
    labels: list[str] = []
    examples: dict[str, dict[str, Any]] = {}
    with (data_dir / "labels.csv").open(newline="", encoding="utf-8") as file:
        for ml_use, path, label, x_min, y_min, _, _, x_max, y_max, _, _ in csv.reader(file):
            if path not in examples:
                digest = hashlib.sha256((data_dir / path).read_bytes()).hexdigest()
                uri = f"gs://{data_dir.name}/{path}"
                examples[path] = {"uri": uri, "sha256": digest, "ml_use": ml_use or "UNASSIGNED", "boxes": []}
            if label:
                if label not in labels:
                    labels.append(label)
                box = [float(value) for value in (x_min, y_min, x_max, y_max)]
                examples[path]["boxes"].append([labels.index(label), *box])
    return labels, list(examples.values())


def write_job(job_dir: pathlib.Path, data_dir: pathlib.Path, options: argparse.Namespace) -> None:
    labels, examples = read_rows(data_dir)
    job = {
        "labels": [{"display_name": name, "annotation_spec_id": str(index)} for index, name in enumerate(labels)],
        "model_type": options.model_type,
        "budget_s": options.minutes * 60,
        "seed": options.seed,
        "threads": options.threads,
        "cache_bytes": 2 << 30,
        "stores": {"buckets_dir": str(data_dir.parent), "state_dir": str(job_dir)},
        "recipe": json.loads(options.recipe),
        "weights_dir": str(installed.folder(options.weights_dir)),
    }
    (job_dir / "job.json").write_text(json.dumps(job), encoding="utf-8")
    lines = "".join(json.dumps(example) + "\n" for example in examples)
    (job_dir / "examples.jsonl").write_text(lines, encoding="utf-8")


def train(job_dir: pathlib.Path, module: str = "boxwright.detector.train_main") -> dict[str, Any]:
    """Runs the trainer, shows its progress, returns its last event."""
    command = [sys.executable, "-m", module, str(job_dir)]
    event: dict[str, Any] = {}
    shown_s = 0.0
    environment = {**os.environ, **train_model.CHILD_ENVIRONMENT}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        for line in child.stdout:
            event = json.loads(line)
            if event["event"] != "progress" or time.monotonic() - shown_s > 15:
                shown_s = time.monotonic()
                print(line.rstrip(), flush=True)
    if event.get("event") != "done":
        raise SystemExit(f"training failed: {event}")
    return event


def main() -> None:
    parser = arguments.parser(__doc__, quick="at most a minute of training")
    parser.add_argument("data_dir", type=pathlib.Path)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--model-type", default="cloud-high-accuracy-1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--recipe", default="{}", help="JSON overrides of hyper-parameters, for experiments")
    parser.add_argument(
        "--weights-dir", type=pathlib.Path, help="installed weights (default: where they are installed)"
    )
    parser.add_argument("--keep", type=pathlib.Path, help="keep the job folder here")
    options = parser.parse_args()
    if options.quick:
        options.minutes = min(options.minutes, 1.0)
    with tempfile.TemporaryDirectory() as temporary:
        job_dir = options.keep or pathlib.Path(temporary)
        job_dir.mkdir(parents=True, exist_ok=True)
        write_job(job_dir, options.data_dir.resolve(), options)
        started_s = time.monotonic()
        event = train(job_dir)
        wall_s = time.monotonic() - started_s
        evaluation = json.loads((job_dir / "model" / "evaluation.json").read_text(encoding="utf-8"))
        document = json.loads((job_dir / "model" / "model.json").read_text(encoding="utf-8"))
    extras, quantisation = evaluation["extras"], evaluation["extras"]["quantisation"]
    print(f"\n{'label':20} {'boxes':>6} {'AP50':>6} {'AP75':>6} {'AP':>6}")
    for row in extras["labels"]:
        print(f"{row['display_name']:20} {row['boxes']:6} {row['ap50']:6.3f} {row['ap75']:6.3f} {row['ap50_95']:6.3f}")
    print(f"{'mean':20} {'':6} {extras['map50']:6.3f} {extras['map75']:6.3f} {extras['map50_95']:6.3f}")
    print(f"{extras['split']}, {extras['images']} images; {wall_s:.0f} s wall, {event['stop_reason']}")
    print(f"predicts in {quantisation['chosen']}: {quantisation['reason']}")
    line = {
        "data": options.data_dir.name,
        "model_type": options.model_type,
        "map50": round(extras["map50"], 4),
        "map75": round(extras["map75"], 4),
        "map50_95": round(extras["map50_95"], 4),
        "ap50": {row["display_name"]: round(row["ap50"], 4) for row in extras["labels"]},
        "split": extras["split"],
        "wall_s": round(wall_s, 1),
        "network": document["provenance"]["network"],
        "initial_weights": document["provenance"]["initial_weights"],
        "untrained_score": document["provenance"]["untrained_score"],
        "steps": document["provenance"]["steps"],
        "epochs": document["provenance"]["epochs"],
        "input_hw": document["input_hw"],
        "stop_reason": event["stop_reason"],
        "precision": quantisation["chosen"],
        "fp32": quantisation.get("fp32"),  # on the images that the choice was made on, as is int8
        "int8": quantisation.get("int8"),
        "quantisation": quantisation,
        "weights_sha256": event["weights_sha256"],
    }
    row = {
        "seed": options.seed,
        "map_50": round(extras["map50"], 3),
        "map_50_95": round(extras["map50_95"], 3),
        "precision": quantisation["chosen"],
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


if __name__ == "__main__":
    main()
