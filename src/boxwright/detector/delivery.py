"""From a trained network to a model folder: export, check, choose a precision, evaluate, report, publish.

Every stage can be repeated: the model folder appears under its name only when it is complete, and a job whose model folder
exists is done.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from concurrent import futures
from typing import Any

import numpy as np
import torch

import boxwright
from boxwright import boxes, errors
from boxwright.detector import (
    checkpoint,
    data,
    evaluate,
    export,
    model,
    orientation,
    precision,
    report,
    sampling,
    sizing,
    trainer,
)
from boxwright.detector.job import Job, JobError
from boxwright.prediction import decode, predictor

EXPORT_S = 8.0  # write the graph, compile it, open it
LAST_SECONDS_S = 3.0  # evaluation stops this long before the budget ends, and the report half of it
DECODE_IMAGE_S = 0.03  # a photograph on a busy core
EXPECTED_SHARE = 0.3  # of what is set aside for a busy machine: what delivery usually takes
LEFT_AT_QUANTISING = 0.9  # of the time that delivery takes
LEFT_AT_EVALUATING = 0.3
MOST_PERCENT = 99.0
DRAFT_FOLDER = "model.draft"
PRETRAINED_FOLDER = "pretrained"  # of the second network's checkpoint
MAX_REPORTED_WARNINGS = 50


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a job ended."""

    stop_reason: str
    elapsed_s: float
    weights_sha256: str


class Elapsed:
    """Seconds spent on a job: earlier attempts, as the checkpoint tells, and this process."""

    def __init__(self, clock: Callable[[], float], started_s: float) -> None:
        self._clock = clock
        self._started_s = started_s
        self.before_s = 0.0

    def __call__(self) -> float:
        return self.before_s + self._clock() - self._started_s


class Notebook:
    """Passes everything on to the watcher, progress that never goes back, and keeps the warnings for the report."""

    def __init__(self, watcher: trainer.Watcher) -> None:
        self._watcher = watcher
        self._percent = 0.0
        self.warnings: list[str] = []
        self.stop_requested = watcher.stop_requested

    def progress(self, percent: float, stage: str, **details: object) -> None:
        self._percent = max(self._percent, min(MOST_PERCENT, percent))
        self._watcher.progress(self._percent, stage, **details)

    def warn(self, message: str) -> None:
        if len(self.warnings) < MAX_REPORTED_WARNINGS:
            self.warnings.append(message)
        self._watcher.warn(message)


@dataclasses.dataclass(frozen=True)
class Trained:
    """What the training leaves.

    Attributes:
        network: in eval mode.
        input: its input, and why it is that.
        splits: the images.
        steps: done.
        batch_size: images a step.
        stop_reason: why it ended.
        training_s: seconds that it took.
        history: the trainer's record.
        ways_up: which ways up the objects may be; None if training ended before that was measured.
        start: the weights it started from.
        score: mean of mAP at 0.5 and at 0.50 … 0.95 at the last validation; None if there was none.
        choice: why it is this network, in words.
    """

    network: model.Network
    input: sizing.Choice
    splits: data.Splits
    steps: int
    batch_size: int
    stop_reason: str
    training_s: float
    history: dict[str, list[list[float]]]
    ways_up: orientation.Orientation | None = None
    start: str = "random"
    score: float | None = None
    choice: str = ""


@dataclasses.dataclass(frozen=True)
class _Evaluated:
    """The test images that could be predicted, and what was found in them."""

    split: str
    examples: list[data.Example]
    ground_truth: list[evaluate.GroundTruth]
    found: list[boxes.Detections]


def reserve_s(evaluated: int, image_s: float, threads: int, input_hw: tuple[int, int]) -> float:
    """Seconds that the delivery of a model needs.

    Args:
        evaluated: images to evaluate.
        image_s: to read and decode one.
        threads: that predict them.
        input_hw: of the network.
    """
    return EXPORT_S + LAST_SECONDS_S + evaluated * (sizing.prediction_s(input_hw) / threads + 2 * image_s)


def expected_s(splits: data.Splits, budget_s: float, threads: int, input_hw: tuple[int, int]) -> float:
    """Seconds from the last step to the finished model, roughly."""
    evaluated = len(splits.test or splits.validation)
    aside_s = reserve_s(evaluated, DECODE_IMAGE_S, threads, input_hw)
    return EXPECTED_SHARE * (aside_s + precision.reserve_s(splits, budget_s, threads, DECODE_IMAGE_S, input_hw))


class Delivery:
    """Makes the model folder of one job.

    Args:
        job: the job.
        read_bytes: from a URI to the encoded image.
        notebook: who listens.
        elapsed: seconds spent on the job.
    """

    def __init__(self, job: Job, read_bytes: Callable[[str], bytes], notebook: Notebook, elapsed: Elapsed) -> None:
        self._job = job
        self._read_bytes = read_bytes
        self._notebook = notebook
        self._elapsed = elapsed
        self._expected_s = 0.0

    def deliver(self, trained: Trained) -> Outcome:
        """Exports, checks, evaluates and reports on the network, then gives the model folder its name."""
        job, draft = self._job, self._job.folder / DRAFT_FOLDER
        self._expected_s = expected_s(trained.splits, job.budget_s, job.threads, trained.input.input_hw)
        self._show("exporting", 1.0)
        weights_sha256 = checkpoint.weights_sha256(trained.network.state_dict())
        export.write_draft(
            draft,
            trained.network,
            labels=job.labels,
            model_type=job.model_type,
            input_hw=trained.input.input_hw,
            score_floor=export.DEFAULT_SCORE_FLOOR if job.score_floor is None else job.score_floor,
            provenance=self._provenance(trained, weights_sha256),
        )
        check_agreement(trained.network, predictor.Predictor.open(draft, streams=job.threads))
        quantisation = self._choose_precision(trained)
        evaluated = self._predict(predictor.Predictor.open(draft, streams=job.threads), trained.splits)
        evaluation = evaluate.evaluate(job.labels, evaluated.ground_truth, evaluated.found, split=evaluated.split)
        evaluation["extras"]["quantisation"] = quantisation
        self._report(trained, evaluated, evaluation)
        if self._notebook.stop_requested():
            raise trainer.Stopped
        export.publish(draft, job.folder / export.MODEL_FOLDER, evaluation)
        (job.folder / checkpoint.CHECKPOINT_FILE).unlink(missing_ok=True)
        shutil.rmtree(job.folder / PRETRAINED_FOLDER, ignore_errors=True)
        return Outcome(trained.stop_reason, self._elapsed(), weights_sha256)

    def _show(self, stage: str, left: float) -> None:
        """Reports a stage at whose beginning this share of the delivery's time is left."""
        left_s = left * self._expected_s
        elapsed_s = self._elapsed()
        self._notebook.progress(100.0 * elapsed_s / max(1e-9, elapsed_s + left_s), stage, eta_s=round(left_s, 1))

    def _provenance(self, trained: Trained, weights_sha256: str) -> dict[str, Any]:
        splits = trained.splits
        images_a_pass = sampling.pass_length(sampling.weights(splits.train))
        return {
            "boxwright_version": boxwright.__version__,
            "seed": self._job.seed,
            "threads": self._job.threads,
            "steps": trained.steps,
            "epochs": round(trained.steps * trained.batch_size / images_a_pass, 2),
            "images_a_pass": images_a_pass,  # rare labels repeated, of many empty images some
            "input": dataclasses.asdict(trained.input),
            "images": {"TRAIN": len(splits.train), "VALIDATION": len(splits.validation), "TEST": len(splits.test)},
            "stop_reason": trained.stop_reason,
            "training_s": round(trained.training_s, 1),
            "elapsed_s": round(self._elapsed(), 1),
            "weights_sha256": weights_sha256,
            "initial_weights": trained.start,
            "network": trained.choice,
            "orientation": _orientation(trained.ways_up),
        }

    def _choose_precision(self, trained: Trained) -> dict[str, Any]:
        """Decides between fp32 and int8, in the time that evaluation can spare."""
        job = self._job
        self._show("quantising", LEFT_AT_QUANTISING)
        splits = trained.splits
        image_s = (sizing.prediction_s(trained.input.input_hw) + DECODE_IMAGE_S) / job.threads
        until_s = job.budget_s - LAST_SECONDS_S - len(splits.test or splits.validation) * image_s
        chooser = precision.Chooser(
            job.folder / DRAFT_FOLDER,
            threads=job.threads,
            read_bytes=self._read_bytes,
            watcher=self._notebook,
            left_s=lambda: until_s - self._elapsed(),
        )
        return (
            chooser.choose(splits) if job.recipe.get("quantise", True) else chooser.refuse("The recipe asks for fp32.")
        )

    def _predict(self, opened: predictor.Predictor, splits: data.Splits) -> _Evaluated:
        """Predicts the test images with the exported model."""
        job, notebook = self._job, self._notebook
        examples = splits.test or splits.validation
        result = _Evaluated("TEST" if splits.test else "VALIDATION", [], [], [])
        if not splits.test:
            notebook.warn("There is no test image: the model is evaluated on the validation images.")

        def predict(example: data.Example) -> boxes.Detections | str:
            try:
                return opened.predict(self._read_bytes(example.uri))
            except decode.DecodeError as error:
                return error.reason
            except (OSError, LookupError, errors.ApiError) as error:
                return f"the image cannot be read: {error}"

        chunk = 4 * job.threads
        with futures.ThreadPoolExecutor(job.threads) as pool:
            for first in range(0, len(examples), chunk):
                if notebook.stop_requested():
                    raise trainer.Stopped
                if first and self._elapsed() > job.budget_s - LAST_SECONDS_S:
                    notebook.warn(f"The budget ends: only {first} of {len(examples)} images are evaluated.")
                    break
                self._show("evaluating", LEFT_AT_EVALUATING * (1.0 - first / len(examples)))
                part = examples[first : first + chunk]
                for example, answer in zip(part, pool.map(predict, part), strict=True):
                    if isinstance(answer, str):
                        notebook.warn(f"An image is left out of the evaluation. {example.uri}: {answer}")
                        continue
                    result.examples.append(example)
                    result.ground_truth.append(evaluate.GroundTruth(example.boxes_norm, example.label_indices))
                    result.found.append(answer)
        return result

    def _report(self, trained: Trained, evaluated: _Evaluated, evaluation: dict[str, Any]) -> None:
        """Writes the page, and what it warns of into the evaluation's extras."""
        job, elapsed_s = self._job, self._elapsed()
        height, width = trained.input.input_hw
        facts = report.Facts(
            title=f"Training of a {job.model_type} model",
            summary=[
                ("mAP at 0.5", f"{evaluation['extras']['map50']:.3f}"),
                ("mAP 0.5 to 0.95", f"{evaluation['extras']['map50_95']:.3f}"),
                ("ended", trained.stop_reason),
                ("minutes", f"{elapsed_s / 60:.1f}"),
                ("steps", str(trained.steps)),
                ("images a second", f"{trained.steps * trained.batch_size / max(1.0, trained.training_s):.0f}"),
                ("input", f"{width} x {height}, {trained.input.reason}"),
                ("network", trained.choice),
                ("objects", trained.ways_up.in_words if trained.ways_up else "upright"),
                ("predicts in", "{chosen}: {reason}".format(**evaluation["extras"]["quantisation"])),
            ],
            warnings=self._notebook.warnings,
            labels=job.labels,
            splits=trained.splits,
            input_hw=trained.input.input_hw,
            history=trained.history,
            evaluation=evaluation,
            evaluated=evaluated.examples,
            ground_truth=evaluated.ground_truth,
            detections=evaluated.found,
        )

        def has_time() -> bool:
            return self._elapsed() < job.budget_s - LAST_SECONDS_S / 2 and not self._notebook.stop_requested()

        path = job.folder / DRAFT_FOLDER / predictor.REPORT_FILE
        evaluation["extras"]["concerns"] = report.write(path, facts, self._read_bytes, has_time)


def _orientation(known: orientation.Orientation | None) -> dict[str, Any] | None:
    return None if known is None else {**dataclasses.asdict(known), "flips": known.flips}


def finished(job: Job) -> Outcome | None:
    """What an earlier attempt has delivered; None if nothing is there."""
    target = job.folder / export.MODEL_FOLDER
    if not target.exists():
        return None
    provenance = predictor.ModelInfo.read(target).document["provenance"]
    return Outcome(provenance["stop_reason"], provenance["elapsed_s"], provenance["weights_sha256"])


def check_agreement(network: model.Network, opened: predictor.Predictor) -> None:
    """Compares the exported network with the trained one on noise.

    Raises:
        JobError: they differ; the export is wrong and must not be used.
    """
    height, width = opened.input_hw
    pixels = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    raw = opened.infer(predictor.Prepared(pixels, (0, 0), (width, height), (height, width)))
    boxes_px, scores = network.predict(torch.from_numpy(pixels))
    score_gap = float(np.abs(raw.scores - scores[0].numpy()).max())
    box_gap_px = float(np.abs(raw.boxes_px - boxes_px[0].numpy()).max())
    if not (score_gap <= export.AGREEMENT_SCORE and box_gap_px <= export.AGREEMENT_PX):
        raise JobError(
            f"The exported network differs from the trained one: scores by {score_gap:.2g}, boxes by {box_gap_px:.2g} px."
        )
