"""Time of an evaluation at new and at known thresholds: what a slider of the console waits for.

    python -m benchmarks.serving.evaluation [--quick] [--images 5000] [--labels 20]

Images have six boxes and forty findings each, most near a box. What the service calls is called in this process,
without HTTP. Each time is the median of nine calls. Prints a table and ends with one JSON object.
"""

from __future__ import annotations

import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable

import numpy as np

from benchmarks.harness import arguments, results
from boxwright import boxes
from boxwright.inference import evaluated_examples, outcomes

BOXES, FINDINGS, REPEATS = 6, 40, 9


def drawn(images: int, labels: int) -> evaluated_examples.EvaluatedExamples:
    """An evaluation with that many images."""
    random = np.random.default_rng(0)
    made = []
    for number in range(images):
        corners = random.uniform(0, 0.8, (BOXES, 2))
        there = np.hstack([corners, corners + random.uniform(0.05, 0.2, (BOXES, 2))]).astype(np.float32)
        names = random.integers(0, labels, BOXES)
        near = random.integers(0, BOXES, FINDINGS)
        found = boxes.Detections(
            (there[near] + random.normal(0, 0.02, (FINDINGS, 4))).astype(np.float32),
            np.sort(random.random(FINDINGS).astype(np.float32))[::-1],
            np.where(random.random(FINDINGS) < 0.8, names[near], random.integers(0, labels, FINDINGS)),
        )
        made.append(evaluated_examples.EvaluatedImage(f"gs://b/{number}.jpg", "", (1080, 1920), names, there, found))
    return evaluated_examples.collect(made, [f"label{one}" for one in range(labels)], split="TEST", has_boxes=True)


def median_ms(call: Callable[[int], object]) -> float:
    """The median over calls, each with its own number."""
    taken = []
    for number in range(REPEATS):
        begun = time.perf_counter()
        call(number)
        taken.append(1000.0 * (time.perf_counter() - begun))
    return statistics.median(taken)


def main() -> None:
    """Measures and prints."""
    parser = arguments.parser(__doc__, "200 images")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--labels", type=int, default=20)
    chosen = parser.parse_args()
    count = 200 if chosen.quick else chosen.images
    examples = drawn(count, chosen.labels)
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        evaluated_examples.write(place, examples)
        size_bytes = (place / evaluated_examples.FILE).stat().st_size
        figures = {"read": median_ms(lambda number: evaluated_examples.read(place))}
    table = outcomes.OutcomeTable(examples)
    known = table.at(0.5, 0.5)
    figures |= {
        "pairs": median_ms(lambda number: outcomes.OutcomeTable(examples)),
        "new_thresholds": median_ms(lambda number: table.at(0.5 + number / 100, 0.5).counts()),
        "known_thresholds": median_ms(lambda number: known.counts()),
        "best_score": median_ms(lambda number: outcomes.best_score(table, 0.5)),
    }
    figures = {name: round(value, 2) for name, value in figures.items()}
    for name, value in figures.items():
        print(f"{name:18} {value:9.2f} ms", flush=True)
    results.close(
        __file__,
        chosen,
        {"ms": figures, "file_bytes": size_bytes},
        source="docs/evaluation.md",
        conditions=f"{count} images, {len(examples.finding_labels)} findings, {chosen.labels} labels",
        figures=figures,
    )


if __name__ == "__main__":
    main()
