"""Whether labelling the uncertain images of a report is better than labelling images taken at random.

    python -m benchmarks.training.label_next DATA_DIR --minutes 10 --seeds 3 --first 60 --next 60

DATA_DIR is as for `benchmarks.training.quality`. For each seed, a model is trained on a few images, its report's choice is
made among the other training images, and two models are trained, with the same budget: one with the chosen images added, one
with as many images taken at random. Their average precision is that on the TEST images. The bar: at least equal with every
seed, and a point better on average.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import tempfile
from typing import Any

import numpy as np

from benchmarks.harness import arguments, results
from benchmarks.training import quality
from boxwright import kinds
from boxwright.batch.output import candidates
from boxwright.batch.output.candidates import CandidateTable
from boxwright.batch.report import label_next
from boxwright.images import appearance, decode
from boxwright.inference import baseline, predictor

BAR_POINTS = 0.01


def _trained(folder: pathlib.Path, data_dir: pathlib.Path, uris: set[str], options: argparse.Namespace) -> pathlib.Path:
    """Trains with these images of the TRAIN set, and all of the other sets; the model's folder."""
    folder.mkdir()
    quality.write_job(folder, data_dir, options)
    path = folder / "examples.jsonl"
    examples = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    kept = [one for one in examples if one["ml_use"] != "TRAIN" or one["uri"] in uris]
    path.write_text("".join(json.dumps(one) + "\n" for one in kept), encoding="utf-8")
    quality.train(folder)
    return folder / "model"


def _score(model: pathlib.Path) -> float:
    evaluation = json.loads((model / "evaluation.json").read_text(encoding="utf-8"))
    return float(evaluation["extras"]["map50_95"])


def _chosen(model: pathlib.Path, data_dir: pathlib.Path, pool: list[str], count: int) -> list[str]:
    """The images of the pool that the report of a job over them would propose first."""
    opened = predictor.Predictor.open(model)
    rows = []
    for uri in pool:
        content = (data_dir.parent / uri.removeprefix("gs://")).read_bytes()
        try:
            prepared = opened.prepare(content)
        except decode.DecodeError:
            continue
        found = opened.postprocess(opened.infer(prepared), prepared, baseline.FLOOR)
        rows.append(
            (uri, candidates.of_image(content, prepared.size_hw, found, baseline.FLOOR, appearance.of(prepared)))
        )
    table = CandidateTable.of(kinds.OBJECT_DETECTION.name, rows)
    chooser = label_next.Pool(len(opened.labels))
    chooser.add(table)
    counts = np.bincount(table.label_indices, minlength=len(opened.labels))
    return [one.image.id for one in chooser.chosen(counts)][:count]


def _compared(seed: int, folder: pathlib.Path, data_dir: pathlib.Path, options: argparse.Namespace) -> dict[str, Any]:
    """One seed: the two scores, and that of the model that chose."""
    rng = np.random.default_rng(seed)
    _, examples = quality.read_rows(data_dir)
    train = sorted(one["uri"] for one in examples if one["ml_use"] == "TRAIN")
    first = set(rng.choice(train, min(options.first, len(train)), replace=False).tolist())
    pool = [uri for uri in train if uri not in first]
    begun = _trained(folder / f"first-{seed}", data_dir, first, options)
    chosen = _chosen(begun, data_dir, pool, options.next)
    drawn = rng.choice(pool, len(chosen), replace=False).tolist()
    by_report = _trained(folder / f"report-{seed}", data_dir, first | set(chosen), options)
    by_chance = _trained(folder / f"random-{seed}", data_dir, first | set(drawn), options)
    scores = {"first": _score(begun), "report": _score(by_report), "random": _score(by_chance)}
    return {"seed": seed, "added": len(chosen), **{name: round(score, 4) for name, score in scores.items()}}


def main() -> None:
    """Measures and prints."""
    parser = arguments.parser(__doc__, quick="one seed, at most half a minute a training")
    parser.add_argument("data_dir", type=pathlib.Path)
    parser.add_argument("--minutes", type=float, default=10.0, help="of each of the three trainings of a seed")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=60, help="images that are labelled at first")
    parser.add_argument("--next", type=int, default=60, help="images that are added, at most")
    parser.add_argument("--model-type", default="mobile-versatile-1")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    options.seed, options.recipe, options.weights_dir = 0, json.dumps({"quantise": False}), None
    if options.quick:
        options.seeds, options.minutes = 1, min(options.minutes, 0.5)
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for seed in range(options.seeds):
            rows.append(_compared(seed, pathlib.Path(temporary), options.data_dir.resolve(), options))
            print(rows[-1], flush=True)
    gains = [row["report"] - row["random"] for row in rows]
    mean = sum(gains) / len(gains)
    says = "proved" if min(gains) >= 0 and mean >= BAR_POINTS else "not proved"
    print(f"gain over random images: {mean:+.3f} on average, {min(gains):+.3f} at worst: {says}")
    results.close(
        __file__,
        options,
        {"rows": rows, "mean_gain": round(mean, 4)},
        source="docs/batch-prediction.md",
        conditions=f"{options.minutes:g} minutes a training",
        figures={f"label_next_{options.data_dir.name}": rows},
    )


if __name__ == "__main__":
    main()
