"""From a trained network to a model folder: export, check, choose a precision, evaluate, report, publish.

Every stage can be repeated: the model folder appears under its name only when it is complete, and a job whose model folder
exists is done.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from concurrent import futures
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import boxwright
from boxwright import errors
from boxwright.classifier.data import dataset
from boxwright.classifier.delivery import export, time_budget
from boxwright.classifier.evaluation import evaluate, mistakes, report
from boxwright.classifier.network import loss, network
from boxwright.classifier.training import features, input_size
from boxwright.classifier.training.trained import EXPECTED_SHARE, Trained, TrainingContext
from boxwright.images import appearance, decode, letterbox
from boxwright.inference import baseline, classification, evaluated_examples, model_folder
from boxwright.learning import checkpoint, listener, model_draft, precision
from boxwright.learning.job import JobError, Outcome, TrainingJob
from boxwright.predictions import LabelScores

LEFT_AT_QUANTISING = 0.9  # of the time that delivery takes
LEFT_AT_EVALUATING = 0.3


@dataclasses.dataclass(frozen=True)
class _Evaluated:
    """The test images that could be predicted, and what was said of them."""

    split: str
    examples: list[dataset.Example]
    judged: evaluate.ScoredImages
    table: baseline.PlainTable
    found: list[LabelScores]
    sizes_hw: list[tuple[int, int]]


class ModelBuilder:
    """Makes the model folder of one job.

    Args:
        work: the job, as it was trained.
    """

    def __init__(self, work: TrainingContext) -> None:
        self._work = work
        self._job = work.job
        self._draft = work.job.folder / model_draft.DRAFT_FOLDER

    def deliver(self, trained: Trained) -> Outcome:
        """Exports, checks, evaluates and reports on the network, then gives the model folder its name."""
        job, work = self._job, self._work
        self._show("exporting", 1.0)
        weights_sha256 = checkpoint.weights_sha256(trained.network.state_dict())
        export.write_draft(
            self._draft,
            trained.network,
            labels=job.labels,
            model_type=job.model_type,
            classification_type=job.classification_type,
            input_hw=trained.input_hw,
            provenance=self._provenance(trained, weights_sha256),
            notice=trained.origin.notice,
        )
        check_agreement(trained.network, self._opened("fp32"), job.classification_type)
        quantisation = self._choose_precision(trained.splits)
        evaluated = self._predict(self._opened(quantisation["chosen"]), trained.splits)
        evaluation = evaluate.evaluate(
            job.labels,
            evaluated.judged.targets,
            evaluated.judged.scores,
            classification_type=job.classification_type,
            split=evaluated.split,
        )
        evaluation["extras"]["quantisation"] = quantisation
        evaluation["extras"]["candidates"] = {
            name: dataclasses.asdict(one) for name, one in trained.chosen.judged.items()
        }
        self._report(trained, evaluated, evaluation)
        self._keep_baseline(evaluated)
        self._keep_examples(evaluated)
        if work.notebook.stop_requested():
            raise listener.TrainingStopped
        model_draft.publish(self._draft, job.folder / model_draft.MODEL_FOLDER, evaluation)
        (job.folder / checkpoint.CHECKPOINT_FILE).unlink(missing_ok=True)
        (job.folder / input_size.INPUT_FILE).unlink(missing_ok=True)
        shutil.rmtree(job.folder / features.FOLDER, ignore_errors=True)
        return Outcome(trained.stop_reason, work.elapsed(), weights_sha256)

    def _opened(self, chosen: str) -> classification.Classifier:
        return classification.Classifier.open(self._draft, streams=self._job.threads, precision=chosen)

    def _show(self, stage: str, left: float) -> None:
        """Reports a stage at whose beginning this share of the delivery's time is left."""
        left_s, elapsed_s = left * EXPECTED_SHARE * self._work.reserve_s, self._work.elapsed()
        share = elapsed_s / max(1e-9, elapsed_s + left_s)
        self._work.notebook.progress(100.0 * share, stage, eta_s=round(left_s, 1))

    def _provenance(self, trained: Trained, weights_sha256: str) -> dict[str, Any]:
        splits, job = trained.splits, self._job
        known = trained.origin
        return {
            "boxwright_version": boxwright.__version__,
            "seed": job.seed,
            "threads": job.threads,
            "steps": trained.steps,
            "images": {"TRAIN": len(splits.train), "VALIDATION": len(splits.validation), "TEST": len(splits.test)},
            "stop_reason": trained.stop_reason,
            "training_s": round(trained.training_s, 1),
            "probe_ready_s": round(trained.probe_ready_s, 1),
            "elapsed_s": round(self._work.elapsed(), 1),
            "weights_sha256": weights_sha256,
            "initial_weights": trained.start,
            "initial_weights_origin": {
                name: value for name, value in dataclasses.asdict(known).items() if name != "notice"
            },
            "input": self._work.input_reason,
            "network": trained.chosen.reason,
            "temperature": round(trained.chosen.temperature, 4),
            "penalty": trained.l2,
            "orientation": {
                **dataclasses.asdict(trained.ways), "mirrored": trained.ways.mirrored, "flips": trained.ways.flips,
            },
        }  # fmt: skip

    def _choose_precision(self, splits: dataset.Splits) -> dict[str, Any]:
        """Decides between fp32 and int8, in the time that evaluation can spare."""
        work, job = self._work, self._job
        self._show("quantising", LEFT_AT_QUANTISING)
        evaluated = len(splits.test or splits.validation)
        until_s = job.budget_s - time_budget.LAST_SECONDS_S - evaluated * work.kind.image_s / job.threads

        def measure(examples: Sequence[dataset.Example], found: Sequence[LabelScores]) -> float:
            targets = dataset.targets(examples, len(job.labels)) > 0.5
            scores = np.stack([one.by_label(len(job.labels)) for one in found])
            return evaluate.quick_score(targets, scores, job.classification_type)

        key, words = ("top1_accuracy", "top-1 accuracy")
        if not work.is_multiclass:
            key, words = ("macro_average_precision", "average precision")
        selector = precision.PrecisionSelector(
            self._draft,
            threads=job.threads,
            read_bytes=work.read_bytes,
            watcher=work.notebook,
            left_s=lambda: until_s - work.elapsed(),
            quality=precision.Quality(key, words, measure, classification.Classifier.open, work.kind.image_s),
        )
        if not work.recipe.quantise:
            return selector.refuse("The recipe asks for fp32.")
        return selector.choose_from(precision.images_for(splits.train, splits.validation))

    def _predict(self, opened: classification.Classifier, splits: dataset.Splits) -> _Evaluated:
        """Predicts the test images with the exported model."""
        job, work = self._job, self._work
        examples = splits.test or splits.validation
        kept: list[dataset.Example] = []
        rows: list[Any] = []
        if not splits.test:
            work.notebook.warn("There is no test image: the model is evaluated on the validation images.")

        def predict(example: dataset.Example) -> Any:
            try:
                prepared = opened.prepare(work.read_bytes(example.uri))
                return opened.postprocess(opened.infer(prepared), prepared), prepared.size_hw, appearance.of(prepared)
            except decode.DecodeError as error:
                return error.reason
            except (OSError, LookupError, errors.ApiError) as error:
                return f"the image cannot be read: {error}"

        chunk = 4 * job.threads
        with futures.ThreadPoolExecutor(job.threads) as pool:
            for first in range(0, len(examples), chunk):
                if work.notebook.stop_requested():
                    raise listener.TrainingStopped
                if first and work.elapsed() > job.budget_s - time_budget.LAST_SECONDS_S:
                    work.notebook.warn(f"The budget ends: only {first} of {len(examples)} images are evaluated.")
                    break
                self._show("evaluating", LEFT_AT_EVALUATING * (1.0 - first / len(examples)))
                part = examples[first : first + chunk]
                for example, answer in zip(part, pool.map(predict, part), strict=True):
                    if isinstance(answer, str):
                        work.notebook.warn(f"An image is left out of the evaluation. {example.uri}: {answer}")
                        continue
                    kept.append(example)
                    rows.append(answer)
        count = len(job.labels)
        scores = np.stack([found.by_label(count) for found, _, _ in rows]) if rows else np.zeros((0, count))
        judged = evaluate.ScoredImages(dataset.targets(kept, count) > 0.5, scores, job.classification_type)
        found, sizes_hw, looks = zip(*rows, strict=True) if rows else ((), (), ())
        table = baseline.PlainTable.of(sizes_hw, looks, found)
        return _Evaluated("TEST" if splits.test else "VALIDATION", kept, judged, table, list(found), list(sizes_hw))

    def _keep_baseline(self, evaluated: _Evaluated) -> None:
        """Writes what the images and results of the evaluation look like, which later ones are compared with."""
        profile = baseline.Profile(len(self._job.labels))
        profile.add(evaluated.table)
        judged = evaluated.judged
        is_kept = judged.scores >= baseline.FLOOR
        scores, is_right = judged.scores[is_kept], judged.targets[is_kept]
        truth = int(judged.targets.sum())
        baseline.write(
            self._draft, profile, baseline.Quality.of(scores, is_right, truth, _best_threshold(scores, is_right, truth))
        )

    def _keep_examples(self, evaluated: _Evaluated) -> None:
        """Writes the labels that the images have and those that were found, for a look at single images later."""
        rows = zip(evaluated.examples, evaluated.found, evaluated.sizes_hw, strict=True)
        images = [
            evaluated_examples.EvaluatedImage(one.uri, one.sha256, size_hw, one.label_indices, None, found)
            for one, found, size_hw in rows
        ]
        labels = [label["display_name"] for label in self._job.labels]
        kept = evaluated_examples.collect(images, labels, split=evaluated.split, has_boxes=False)
        evaluated_examples.write(self._draft, kept)

    def _report(self, trained: Trained, evaluated: _Evaluated, evaluation: dict[str, Any]) -> None:
        """Writes the page, and what it warns of into the evaluation's extras."""
        job, work, extras = self._job, self._work, evaluation["extras"]
        splits = [evaluated.split] * len(evaluated.examples)
        own = mistakes.doubtful(evaluated.examples, splits, evaluated.judged.scores, is_multiclass=work.is_multiclass)
        doubtful = sorted([*own, *trained.doubtful], key=lambda one: -one.doubt)
        quality = ("right", f"{extras['top1_accuracy']:.1%}") if work.is_multiclass else (
            "macro average precision", f"{extras['macro_average_precision']:.3f}"
        )  # fmt: skip
        facts = report.ReportFacts(
            title=f"Training of a {job.model_type} classifier, {job.classification_type}",
            summary=[
                quality,
                ("ended", trained.stop_reason),
                ("minutes", f"{work.elapsed() / 60:.1f}"),
                ("first model after", f"{trained.probe_ready_s:.0f} s"),
                ("steps of fine-tuning", str(trained.steps)),
                ("input", f"{trained.input_hw[1]} x {trained.input_hw[0]}: {work.input_reason}"),
                ("network", f"{trained.start}; {trained.chosen.name}"),
                ("images are shown", trained.ways.in_words),
                ("predicts in", "{chosen}: {reason}".format(**extras["quantisation"])),
            ],
            warnings=work.notebook.warnings,
            labels=job.labels,
            splits=trained.splits,
            history=trained.history,
            candidates=[
                (name, one.loss, one.right, one.temperature, name == trained.chosen.name)
                for name, one in trained.chosen.judged.items()
            ],
            evaluation=evaluation,
            examples=evaluated.examples,
            judged=evaluated.judged,
            doubtful=doubtful,
        )

        def has_time() -> bool:
            last_s = job.budget_s - time_budget.LAST_SECONDS_S / 2
            return work.elapsed() < last_s and not work.notebook.stop_requested()

        path = self._draft / model_folder.REPORT_FILE
        extras["concerns"] = report.write(path, facts, work.read_bytes, has_time)
        extras["doubtful_labels"] = [
            {
                "uri": one.example.uri,
                "split": one.split,
                "label": _name(job, one.label),
                "instead": _name(job, one.instead),
            }
            for one in doubtful
        ]


def _best_threshold(scores: npt.NDArray[np.float64], is_right: npt.NDArray[np.bool_], truth: int) -> float:
    """The score in twentieths at which F1 of all labels together is best; 0.5 without any result."""
    steps = np.arange(1, baseline.SCORE_BINS) / baseline.SCORE_BINS
    right = np.array([np.count_nonzero(is_right & (scores >= step)) for step in steps])
    kept = np.array([np.count_nonzero(scores >= step) for step in steps])
    f1 = 2 * right / np.maximum(kept + truth, 1)
    return float(steps[f1.argmax()]) if f1.any() else baseline.CONFIDENT


def _name(job: TrainingJob, label: int | None) -> str | None:
    return None if label is None else job.labels[label]["display_name"]


def finished(job: TrainingJob) -> Outcome | None:
    """What an earlier attempt has delivered; None if nothing is there."""
    target = job.folder / model_draft.MODEL_FOLDER
    if not target.exists():
        return None
    provenance = model_folder.ModelInfo.read(target).document["provenance"]
    return Outcome(provenance["stop_reason"], provenance["elapsed_s"], provenance["weights_sha256"])


def check_agreement(
    trained: network.ClassificationNetwork, opened: classification.Classifier, classification_type: str
) -> None:
    """Compares the exported network with the trained one on noise.

    Raises:
        JobError: they differ; the export is wrong and must not be used.
    """
    height, width = opened.input_hw
    pixels = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    raw = opened.infer(letterbox.Prepared(pixels, (0, 0), (width, height), (height, width)))
    with torch.inference_mode():
        scores = loss.scores_of(trained(torch.from_numpy(pixels)), classification_type).numpy()
    gap = float(np.abs(raw.scores - scores).max())
    if not gap <= export.AGREEMENT_SCORE:
        raise JobError(f"The exported network differs from the trained one: scores by {gap:.2g}.")
