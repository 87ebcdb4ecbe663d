"""Experiment: what the ingredients of a training are worth: each taken out in turn, everything else as it is.

    python -m benchmarks.training.ablation_experiment FOLDER [FOLDER ...] [--steps 600] [--seeds 0 1] [--only mosaic scale]
        [--out runs.jsonl] [--model-type cloud-low-latency-1]

Trains with `quality.py` on each labelled folder and prints a Markdown table of mAP at 0.5 and 0.50 … 0.95 on TEST, in
fp32: means over the seeds, with their range. Short trainings, so that many fit into an hour; what is slow to pay shows
little in them: `--steps 0` trains as long as users' trainings do. `--out` keeps every run and takes those that are there
already from it: use another one for other code.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
from typing import Any

INGREDIENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "everything": ("everything", {}),
    "coarse": ("no coarse first phase (a third more pixels)", {"coarse_until": 0.0}),
    "mosaic": ("no mosaics", {"mosaic": 0.0}),
    "framed": ("never whole in the last part", {"framed": 0.0}),
    "upside-down": ("never flipped top to bottom", {"upside_down": False}),
    "scale": ("no changes of scale", {"scale_jitter": 0.0}),
    "colour": ("no changes of colour", {"colour_jitter": 0.0}),
    "average": ("no moving average", {"ema_decay": 0.0}),
    "decay": ("no weight decay", {"weight_decay": 0.0}),
    "rate": ("half the learning rate", {"peak_rate": 1e-3}),
    "rounding": ("no rounding like int8", {"rounding_from": 1.0}),
    "pretrained": ("on ImageNet weights", {"network": "pretrained"}),
}
MINUTES = 30.0  # long enough for the steps on any machine


def run(folder: pathlib.Path, model_type: str, steps: int, seed: int, changes: dict[str, Any]) -> dict[str, Any]:
    """One training; returns the last line of `quality.py`."""
    command = [sys.executable, "-m", "benchmarks.training.quality", str(folder)]
    command += ["--minutes", str(MINUTES), "--seed", str(seed), "--model-type", model_type]
    command += ["--recipe", json.dumps({"steps": steps, "quantise": False, "pretrained": False, **changes})]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result


def cell(values: list[float]) -> str:
    mean = f"{statistics.mean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.3f} to {max(values):.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    parser.add_argument("--model-type", default="cloud-high-accuracy-1")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--only", nargs="+", choices=INGREDIENTS, default=list(INGREDIENTS))
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()
    done: dict[str, dict[str, Any]] = {}
    if arguments.out and arguments.out.exists():
        done = {row["key"]: row for row in map(json.loads, arguments.out.read_text().splitlines())}
    rows = []
    for name in arguments.only:
        title, changes = INGREDIENTS[name]
        cells = [title]
        for folder in arguments.folders:
            results = []
            for seed in arguments.seeds:
                key = f"{folder.resolve()} {arguments.model_type} {name} {arguments.steps} {seed}"
                if key not in done:
                    done[key] = {"key": key, **run(folder, arguments.model_type, arguments.steps, seed, changes)}
                    print(f"{key}: {done[key]['map50']} {done[key]['map50_95']}", file=sys.stderr, flush=True)
                    if arguments.out:
                        with arguments.out.open("a") as file:
                            file.write(json.dumps(done[key]) + "\n")
                results.append(done[key])
            cells += [cell([one["map50"] for one in results]), cell([one["map50_95"] for one in results])]
        rows.append(cells)
    titles = [
        f"{folder.name}: {figure}" for folder in arguments.folders for figure in ("mAP at 0.5", "mAP 0.5 to 0.95")
    ]
    print("| training | " + " | ".join(titles) + " |")
    print("| --- |" + " --- |" * len(titles))
    for cells in rows:
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
