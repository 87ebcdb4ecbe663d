"""From a trained network to a model folder: export, check, choose a precision, evaluate, report, publish.

Every stage can be repeated: the model folder appears under its name only when it is complete, and a job whose model folder
exists is done.
"""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
from collections.abc import Callable
from concurrent import futures
from typing import Any

import numpy as np
import torch

import boxwright
from boxwright import boxes, errors
from boxwright.detector.data import dataset
from boxwright.detector.delivery import export, precision
from boxwright.detector.evaluation import comparison, evaluate, orientation, report
from boxwright.detector.network import dense
from boxwright.detector.planning import input_size
from boxwright.detector.planning.time_budget import DECODE_IMAGE_S, LAST_SECONDS_S, expected_s
from boxwright.detector.planning.trained import (
    ATTEMPTS_FILE,
    COCO_FOLDER,
    FINAL_FOLDER,
    PRETRAINED_FOLDER,
    Trained,
)
from boxwright.images import appearance, decode, letterbox
from boxwright.inference import baseline, evaluated_examples, model_folder, predictor
from boxwright.learning import checkpoint, listener, model_draft
from boxwright.learning.job import JobError, Outcome, TrainingJob
from boxwright.learning.listener import ElapsedTime, ProgressRelay

LEFT_AT_QUANTISING = 0.9  # of the time that delivery takes
LEFT_AT_EVALUATING = 0.3


@dataclasses.dataclass(frozen=True)
class _Evaluated:
    """The test images that could be predicted, and what was found in them."""

    split: str
    examples: list[dataset.Example]
    ground_truth: list[evaluate.GroundTruth]
    found: list[boxes.Detections]
    sizes_hw: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    looks: list[bytes] = dataclasses.field(default_factory=list)


class ModelBuilder:
    """Makes the model folder of one job.

    Args:
        job: the job.
        read_bytes: from a URI to the encoded image.
        notebook: who listens.
        elapsed: seconds spent on the job.
    """

    def __init__(
        self, job: TrainingJob, read_bytes: Callable[[str], bytes], notebook: ProgressRelay, elapsed: ElapsedTime
    ) -> None:
        self._job = job
        self._read_bytes = read_bytes
        self._notebook = notebook
        self._elapsed = elapsed
        self._expected_s = 0.0

    def deliver(self, trained: Trained) -> Outcome:
        """Exports, checks, evaluates and reports on the network, then gives the model folder its name."""
        job, draft = self._job, self._job.folder / model_draft.DRAFT_FOLDER
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
            notice=trained.origin.notice if trained.origin else "",
        )
        check_agreement(trained.network, predictor.Predictor.open(draft, streams=job.threads))
        quantisation = self._choose_precision(trained)
        evaluated = self._predict(predictor.Predictor.open(draft, streams=job.threads), trained.splits)
        evaluation = evaluate.evaluate(job.labels, evaluated.ground_truth, evaluated.found, split=evaluated.split)
        evaluation["extras"]["quantisation"] = quantisation
        self._report(trained, evaluated, evaluation)
        self._keep_baseline(draft, evaluated, evaluation)
        self._keep_examples(draft, evaluated)
        if self._notebook.stop_requested():
            raise listener.TrainingStopped
        model_draft.publish(draft, job.folder / model_draft.MODEL_FOLDER, evaluation)
        for name in (checkpoint.CHECKPOINT_FILE, ATTEMPTS_FILE):
            (job.folder / name).unlink(missing_ok=True)
        for name in (PRETRAINED_FOLDER, COCO_FOLDER, FINAL_FOLDER):
            shutil.rmtree(job.folder / name, ignore_errors=True)
        return Outcome(trained.stop_reason, self._elapsed(), weights_sha256)

    def _show(self, stage: str, left: float) -> None:
        """Reports a stage at whose beginning this share of the delivery's time is left."""
        left_s = left * self._expected_s
        elapsed_s = self._elapsed()
        self._notebook.progress(100.0 * elapsed_s / max(1e-9, elapsed_s + left_s), stage, eta_s=round(left_s, 1))

    def _provenance(self, trained: Trained, weights_sha256: str) -> dict[str, Any]:
        splits = trained.splits
        return {
            "boxwright_version": boxwright.__version__,
            "seed": self._job.seed,
            "threads": self._job.threads,
            "steps": trained.steps,
            "epochs": round(trained.steps * trained.batch_size / trained.images_a_pass, 2),
            "images_a_pass": trained.images_a_pass,  # rare labels repeated, of many empty images some
            "input": dataclasses.asdict(trained.input),
            "images": {"TRAIN": len(splits.train), "VALIDATION": len(splits.validation), "TEST": len(splits.test)},
            "stop_reason": trained.stop_reason,
            "training_s": round(trained.training_s, 1),
            "elapsed_s": round(self._elapsed(), 1),
            "weights_sha256": weights_sha256,
            "initial_weights": trained.start,
            "initial_weights_origin": _origin(trained),
            "untrained_score": trained.untrained_score,
            "network": trained.choice,
            "chosen_on": None if trained.choice_made is None else dataclasses.asdict(trained.choice_made),
            "orientation": _orientation(trained.ways_up),
        }

    def _choose_precision(self, trained: Trained) -> dict[str, Any]:
        """Decides between fp32 and int8, in the time that evaluation can spare."""
        job = self._job
        self._show("quantising", LEFT_AT_QUANTISING)
        splits = trained.splits
        image_s = (input_size.prediction_s(trained.input.input_hw) + DECODE_IMAGE_S) / job.threads
        until_s = job.budget_s - LAST_SECONDS_S - len(splits.test or splits.validation) * image_s
        chooser = precision.PrecisionSelector(
            job.folder / model_draft.DRAFT_FOLDER,
            threads=job.threads,
            read_bytes=self._read_bytes,
            watcher=self._notebook,
            left_s=lambda: until_s - self._elapsed(),
        )
        return (
            chooser.choose(splits) if job.recipe.get("quantise", True) else chooser.refuse("The recipe asks for fp32.")
        )

    def _predict(self, opened: predictor.Predictor, splits: dataset.Splits) -> _Evaluated:
        """Predicts the test images with the exported model."""
        job, notebook = self._job, self._notebook
        examples = splits.test or splits.validation
        result = _Evaluated("TEST" if splits.test else "VALIDATION", [], [], [])
        if not splits.test:
            notebook.warn("There is no test image: the model is evaluated on the validation images.")

        def predict(example: dataset.Example) -> tuple[boxes.Detections, tuple[int, int], bytes] | str:
            try:
                prepared = opened.prepare(self._read_bytes(example.uri))
                found = opened.postprocess(opened.infer(prepared), prepared)
                return found, prepared.size_hw, appearance.of(prepared)
            except decode.DecodeError as error:
                return error.reason
            except (OSError, LookupError, errors.ApiError) as error:
                return f"the image cannot be read: {error}"

        chunk = 4 * job.threads
        with futures.ThreadPoolExecutor(job.threads) as pool:
            for first in range(0, len(examples), chunk):
                if notebook.stop_requested():
                    raise listener.TrainingStopped
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
                    result.found.append(answer[0])
                    result.sizes_hw.append(answer[1])
                    result.looks.append(answer[2])
        return result

    def _keep_baseline(self, draft: pathlib.Path, evaluated: _Evaluated, evaluation: dict[str, Any]) -> None:
        """Writes what the images and results of the evaluation look like, which later ones are compared with."""
        profile = baseline.Profile(len(self._job.labels))
        profile.add(baseline.PlainTable.of(evaluated.sizes_hw, evaluated.looks, evaluated.found))
        curves = evaluate.label_curves(len(self._job.labels), evaluated.ground_truth, evaluated.found)
        column = evaluate.GRID.index(comparison.MATCH_IOU)
        quality = baseline.Quality.of(
            np.concatenate([one.scores for one in curves]),
            np.concatenate([one.matched[:, column] for one in curves]),
            sum(one.box_count for one in curves),
            comparison.best_threshold(evaluation),
        )
        baseline.write(draft, profile, quality)

    def _keep_examples(self, draft: pathlib.Path, evaluated: _Evaluated) -> None:
        """Writes what is in the images and what was found, for a look at single images later."""
        rows = zip(evaluated.examples, evaluated.found, evaluated.sizes_hw, strict=True)
        images = [
            evaluated_examples.EvaluatedImage(one.uri, one.sha256, size_hw, one.label_indices, one.boxes_norm, found)
            for one, found, size_hw in rows
        ]
        labels = [label["display_name"] for label in self._job.labels]
        kept = evaluated_examples.collect(images, labels, split=evaluated.split, has_boxes=True)
        evaluated_examples.write(draft, kept)

    def _report(self, trained: Trained, evaluated: _Evaluated, evaluation: dict[str, Any]) -> None:
        """Writes the page, and what it warns of into the evaluation's extras."""
        job, elapsed_s = self._job, self._elapsed()
        height, width = trained.input.input_hw
        facts = report.ReportFacts(
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
            choice=trained.choice_made.in_words if trained.choice_made else "",
        )

        def has_time() -> bool:
            return self._elapsed() < job.budget_s - LAST_SECONDS_S / 2 and not self._notebook.stop_requested()

        path = job.folder / model_draft.DRAFT_FOLDER / model_folder.REPORT_FILE
        told = report.write(path, facts, self._read_bytes, has_time)
        evaluation["extras"] |= {
            "concerns": told.concerns,
            "certainty": told.certainty,
            "map50_interval": told.interval,
        }


def _origin(trained: Trained) -> dict[str, Any] | None:
    """What the weights are that the network started from; the notice lies in a file of its own."""
    if trained.origin is None:
        return None
    return {name: value for name, value in dataclasses.asdict(trained.origin).items() if name != "notice"}


def _orientation(known: orientation.Orientation | None) -> dict[str, Any] | None:
    return None if known is None else {**dataclasses.asdict(known), "flips": known.flips}


def finished(job: TrainingJob) -> Outcome | None:
    """What an earlier attempt has delivered; None if nothing is there."""
    target = job.folder / model_draft.MODEL_FOLDER
    if not target.exists():
        return None
    provenance = model_folder.ModelInfo.read(target).document["provenance"]
    return Outcome(provenance["stop_reason"], provenance["elapsed_s"], provenance["weights_sha256"])


def check_agreement(network: dense.Network, opened: predictor.Predictor) -> None:
    """Compares the exported network with the trained one on noise.

    Raises:
        JobError: they differ; the export is wrong and must not be used.
    """
    height, width = opened.input_hw
    pixels = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    raw = opened.infer(letterbox.Prepared(pixels, (0, 0), (width, height), (height, width)))
    boxes_px, scores = network.predict(torch.from_numpy(pixels))
    score_gap = float(np.abs(raw.scores - scores[0].numpy()).max())
    box_gap_px = float(np.abs(raw.boxes_px - boxes_px[0].numpy()).max())
    if not (score_gap <= export.AGREEMENT_SCORE and box_gap_px <= export.AGREEMENT_PX):
        raise JobError(
            f"The exported network differs from the trained one: scores by {score_gap:.2g}, boxes by {box_gap_px:.2g} px."
        )
