"""What it costs that Predict decodes and infers in a process of its own: the same images in this process and in that one.

    python -m benchmarks.serving.prediction_process [--quick] [--model FOLDER] [--images FOLDER] [--times 300]

    alone      one caller: here and there in turns, image by image; medians of both and of the difference
    callers    eight callers without a pause: images per second here, and there

Answers are compared to the last bit. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent import futures

from benchmarks.harness import arguments, pictures, results, serving
from boxwright import boxes, machine
from boxwright.inference.predictor import Predictor
from boxwright.online.prediction_process import PredictionProcess

KINDS = {"vga": 1.0, "12mp": 0.2}  # share of the times: large images take long
ORIGINALS = {"vga": 24, "12mp": 4}
CALLERS = 8
TIMEOUT_S = 60.0
Predict = Callable[[bytes], boxes.Detections]


def packed(found: boxes.Detections) -> tuple[bytes, ...]:
    """All bits of an answer."""
    return found.boxes_norm.tobytes(), found.scores.tobytes(), found.label_indices.tobytes()


def timed_ms(predict: Predict, image: bytes) -> tuple[float, tuple[bytes, ...]]:
    """Milliseconds, and the answer."""
    started_s = time.perf_counter()
    found = predict(image)
    return (time.perf_counter() - started_s) * 1e3, packed(found)


def alone(here: Predict, there: Predict, images: list[bytes], times: int) -> tuple[float, float, float]:
    """Medians in ms: here, there, and of the difference for the same image at the same time."""
    here_ms, there_ms = [], []
    for number in range(times):
        image = images[number % len(images)]
        order = (here, there) if number % 2 else (there, here)  # neither always has the image warm in the cache
        (first_ms, first), (second_ms, second) = (timed_ms(predict, image) for predict in order)
        if first != second:
            raise RuntimeError("the two processes do not give the same answer")
        here_ms.append(first_ms if order[0] is here else second_ms)
        there_ms.append(second_ms if order[0] is here else first_ms)
    costs_ms = [other - one for one, other in zip(here_ms, there_ms, strict=True)]
    return statistics.median(here_ms), statistics.median(there_ms), statistics.median(costs_ms)


def rate(predict: Predict, images: list[bytes], times: int) -> float:
    """Images per second of `CALLERS` callers."""
    work = [images[number % len(images)] for number in range(times)]
    with futures.ThreadPoolExecutor(CALLERS) as pool:
        started_s = time.perf_counter()
        list(pool.map(predict, work))
        return times / (time.perf_counter() - started_s)


def measure(folder: pathlib.Path, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Kind → figures."""
    model = options.model or folder / "model"
    if options.model is None:
        serving.make_model(model, options.model_type, options.precision)
    if options.images is not None:
        files = {"given": pictures.given(options.images)}
    else:
        files = pictures.make(folder / "images", list(KINDS), ORIGINALS)
    cores = machine.usable_cores()
    predictor = Predictor.open(model, streams=cores)
    process = PredictionProcess(TIMEOUT_S, cores, lambda ended: None)
    labels = len(predictor.labels)
    found = {}
    try:
        process.load(1, model, streams=cores, precision=None, runtime="cpu")

        def there(image: bytes) -> boxes.Detections:
            answer = process.predict(1, image, predictor.KIND, labels)
            assert isinstance(answer, boxes.Detections)
            return answer

        for kind, paths in files.items():
            images = [path.read_bytes() for path in paths]
            times = max(4, round(options.times * KINDS.get(kind, 1.0)))
            alone(predictor.predict, there, images, 4)  # warm
            here_ms, there_ms, cost_ms = alone(predictor.predict, there, images, times)
            rates = [[rate(predict, images, times) for predict in (predictor.predict, there)] for _ in range(3)]
            found[kind] = {
                "bytes": round(statistics.mean(len(image) for image in images)),
                "here_ms": round(here_ms, 2),
                "there_ms": round(there_ms, 2),
                "cost_ms": round(cost_ms, 2),
                "here_images_per_s": round(statistics.median(one for one, _ in rates), 1),
                "there_images_per_s": round(statistics.median(other for _, other in rates), 1),
            }
    finally:
        process.close()
    return found


def main() -> int:
    parser = arguments.parser(__doc__, quick="few images, under 45 s")
    arguments.add_model(parser)
    arguments.add_images(parser)
    parser.add_argument(
        "--times", type=int, default=300, help="images of VGA size, a fifth of it of 12 MP (default 300)"
    )
    options = parser.parse_args()
    if options.quick:
        options.times = 20
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        found = measure(pathlib.Path(temporary), options)
    print(f"{'images':8}{'bytes':>12}{'here ms':>10}{'there ms':>10}{'cost ms':>10}{'here /s':>10}{'there /s':>10}")
    for kind, figures in found.items():
        print(f"{kind:8}{figures['bytes']:>12}" + "".join(f"{value:>10}" for value in list(figures.values())[1:]))
    results.close(
        __file__,
        options,
        {"kinds": found, "callers": CALLERS, "times": options.times},
        source="docs/benchmarks.md",
        conditions=f"{options.times} images of VGA size, one caller and {CALLERS}",
        figures=found,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
