"""The loop of the console: label a few images, train, predict many, label what the batch proposes, train again.

    python -m benchmarks.training.loop --minutes 3 --seeds 2

For each seed, scenes are drawn. A service of its own imports the first ones with their boxes and trains a model;
a batch predicts the pool; `AddResults` puts the most uncertain images into the dataset as suggestions. A person is played
who keeps a suggestion that fits what is there and puts right what does not. The second model is trained with these, a
third one with as many images of the pool taken at random. Their average precision is that on the same TEST images.
"""

from __future__ import annotations

import argparse
import csv
import pathlib
import random
import tempfile
from typing import Any

import httpx
import numpy as np

from benchmarks.harness import arguments, results
from boxwright import boxes
from boxwright.demo import dataset, drawn, service

PARENT = "projects/demo/locations/us-central1"
FITS_IOU = 0.7  # of a suggestion that is kept as it is
WAIT_S = 60


class Service:
    """A running service, called over REST."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=f"{url}/v1/", timeout=WAIT_S + 30, trust_env=False)

    def call(self, verb: str, path: str, body: Any = None, **query: Any) -> dict[str, Any]:
        """The answer's JSON."""
        answer = self._http.request(verb, path, json=body, params=query)
        if answer.is_error:
            raise RuntimeError(f"{verb} {path}: {answer.text}")
        return dict(answer.json())

    def done(self, verb: str, path: str, body: Any) -> dict[str, Any]:
        """The operation that a call starts, at its end."""
        operation = self.call(verb, path, body)
        while not operation.get("done"):
            operation = self.call("POST", f"{operation['name']}:wait", {"timeout": f"{WAIT_S}s"})
        if "error" in operation:
            raise RuntimeError(f"{path}: {operation['error']['message']}")
        return operation

    def examples(self, name: str, where: str) -> list[dict[str, Any]]:
        """A dataset's examples that a filter lets pass."""
        found: list[dict[str, Any]] = []
        token = ""
        while True:
            page = self.call("GET", f"{name}/examples", filter=where, pageSize=500, pageToken=token)
            found += page.get("examples", [])
            token = page.get("nextPageToken", "")
            if not token:
                return found

    def labelled(self, display_name: str, pictures: list[dataset.DemoImage], bucket: pathlib.Path) -> str:
        """A new dataset with these pictures; returns its name."""
        body = {"displayName": display_name, "imageObjectDetectionDatasetMetadata": {}}
        name = self.done("POST", f"{PARENT}/datasets", body)["response"]["name"]
        with (bucket / f"{display_name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(row for picture in pictures for row in dataset.box_rows(picture))
        source = {"gcsSource": {"inputUris": [dataset.uri(f"{display_name}.csv")]}}
        self.done("POST", f"{name}:importData", {"inputConfig": source})
        return str(name)

    def trained(self, display_name: str, of: str, model_type: str) -> str:
        """A model of a dataset; returns its name."""
        metadata = {"modelType": model_type, "trainBudgetMilliNodeHours": "1000"}
        body = {
            "displayName": display_name,
            "datasetId": of.rpartition("/")[2],
            "imageObjectDetectionModelMetadata": metadata,
        }
        return str(self.done("POST", f"{PARENT}/models", body)["response"]["name"])

    def average_precision(self, model: str) -> float:
        """Mean over the IoU thresholds of the overall evaluation."""
        found = self.call("GET", f"{model}/modelEvaluations")["modelEvaluation"]
        (overall,) = [one for one in found if "annotationSpecId" not in one]
        return float(overall["imageObjectDetectionEvaluationMetrics"]["boundingBoxMeanAveragePrecision"])


def _box(annotation: dict[str, Any]) -> tuple[float, float, float, float]:
    corners = annotation["imageObjectDetection"]["boundingBox"]["normalizedVertices"]
    xs, ys = [one.get("x", 0.0) for one in corners], [one.get("y", 0.0) for one in corners]
    return min(xs), min(ys), max(xs), max(ys)


def _iou(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    return float(boxes.pairwise_iou(np.array([one]), np.array([other]))[0, 0])


def _put_right(running: Service, example: dict[str, Any], truth: tuple[dataset.Box, ...]) -> int:
    """Labels an example with what is there, as a person does; returns how many suggestions are kept as they are."""
    offered, wanted, kept = list(example.get("annotations", [])), [], 0
    for box in truth:
        place = (box.x_min, box.y_min, box.x_max, box.y_max)
        fitting = [
            one for one in offered
            if one["displayName"] == box.label and _iou(_box(one), place) >= FITS_IOU
        ]  # fmt: skip
        if fitting:
            kept += 1
            offered.remove(fitting[0])
            wanted.append(fitting[0])
        else:
            vertices = [{"x": place[0], "y": place[1]}, {"x": place[2], "y": place[3]}]
            drawn_box = {"boundingBox": {"normalizedVertices": vertices}}
            wanted.append({"displayName": box.label, "imageObjectDetection": drawn_box})
    body = {**example, "annotations": wanted, "state": "LABELED", "mlUse": "TRAIN"}
    running.call("PATCH", example["name"], body, updateMask="annotations,state,mlUse")
    return kept


def _compared(seed: int, folder: pathlib.Path, options: argparse.Namespace) -> dict[str, Any]:
    """One seed: the three scores, and how many suggestions were kept."""
    bucket = folder / "buckets" / dataset.BUCKET
    bucket.mkdir(parents=True)
    sizes = drawn.Sizes(train=options.first + options.pool, validation=options.validation, test=options.test)
    pictures = drawn.draw_dataset(bucket, seed, sizes).pictures
    first = [*pictures[: options.first], *pictures[options.first + options.pool :]]
    pool = {picture.uri: picture for picture in pictures[options.first : options.first + options.pool]}
    (bucket / "pool.csv").write_text("".join(f"{uri}\n" for uri in pool), encoding="utf-8")
    with service.running(folder, folder / "buckets", options.minutes, keep=False) as started:
        running = Service(started.url)
        name = running.labelled("loop", first, bucket)
        begun = running.trained("begun", name, options.model_type)
        job = running.done(
            "POST",
            f"{begun}:batchPredict",
            {
                "inputConfig": {"gcsSource": {"inputUris": [dataset.uri("pool.csv")]}},
                "outputConfig": {"gcsDestination": {"outputUriPrefix": dataset.uri("found/")}},
            },
        )
        chosen = {"operation": job["name"], "orderBy": "uncertainty desc", "limit": options.next, "state": "SUGGESTED"}
        running.done("POST", f"{name}/examples:addResults", chosen)
        suggested = running.examples(name, "state = SUGGESTED")
        offered = sum(len(one.get("annotations", [])) for one in suggested)
        kept = sum(_put_right(running, one, pool[one["uri"]].boxes) for one in suggested)
        by_loop = running.trained("by_loop", name, options.model_type)
        at_random = random.Random(seed).sample(sorted(pool), len(suggested))
        other = running.labelled("by_chance", [*first, *(pool[uri] for uri in at_random)], bucket)
        by_chance = running.trained("by_chance", other, options.model_type)
        scores = {"begun": begun, "loop": by_loop, "random": by_chance}
        found = {kind: round(running.average_precision(model), 4) for kind, model in scores.items()}
    return {"seed": seed, "added": len(suggested), "suggested": offered, "kept": kept, **found}


def main() -> None:
    """Measures and prints."""
    parser = arguments.parser(__doc__, quick="one seed, few images, a few seconds a training")
    parser.add_argument("--minutes", type=float, default=3.0, help="of each of the three trainings of a seed")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first", type=int, default=40, help="images that are labelled at first")
    parser.add_argument("--pool", type=int, default=300, help="images that the batch predicts")
    parser.add_argument("--next", type=int, default=30, help="images that are added")
    parser.add_argument("--validation", type=int, default=20)
    parser.add_argument("--test", type=int, default=100)
    parser.add_argument("--model-type", default="mobile-versatile-1")
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.minutes, options.model_type = 1, 0.05, "mobile-low-latency-1"
        options.first, options.pool, options.next, options.validation, options.test = 30, 20, 6, 10, 12
    rows = []
    for seed in range(1, options.seeds + 1):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(_compared(seed, pathlib.Path(folder), options))
        print(rows[-1], flush=True)
    gains = [row["loop"] - row["random"] for row in rows]
    added = f"{options.next} of {options.pool} added"
    results.close(
        __file__,
        options,
        {"rows": rows, "mean_gain": round(sum(gains) / len(gains), 4)},
        source="docs/console.md",
        conditions=f"{options.first} images at first, {added}, {options.minutes:g} minutes a training",
        figures={"loop": rows},
    )


if __name__ == "__main__":
    main()
