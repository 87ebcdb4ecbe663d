"""One job's training: features, probe, fine-tuning, and the choice between them.

    train(work) -> Trained

Everything but the fine-tuning is a function of the images and takes seconds once the features are kept; so only the
fine-tuning has a checkpoint, and an attempt that follows a kill does the rest again.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import pathlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from boxwright.classifier.data import augment, dataset
from boxwright.classifier.evaluation import mistakes, orientation
from boxwright.classifier.network import network
from boxwright.classifier.training import candidates, doubts, features, finetuning, probe, recipe
from boxwright.images import decode, letterbox
from boxwright.inference import model_folder
from boxwright.learning import (
    checkpoint,
    device,
    efficientnet,
    listener,
    origin,
    pixel_cache,
    sampling,
    trainer,
)
from boxwright.learning.job import TrainingJob

ReadBytes = Callable[[str], bytes]

MOST_LABEL_WEIGHT = 10.0  # of the positive terms of a rare label, MULTILABEL
ORIENTATION_IMAGES = 300  # of VALIDATION, at most
CHECK_IMAGES = 96  # of VALIDATION, during fine-tuning
DOUBTS_SHARE = 0.05  # of the budget, at most, for the search of wrong labels
PROBE_SHARE = 0.3  # of the budget, at most, for the search of the penalty
LEAST_SHARE = 0.15  # of the planned steps: with time for fewer, fine-tuning is not begun
STEP_COST = 2.5  # of a step for one image, to one prediction of the same size
CALIBRATION_STEPS = 20
EXPECTED_SHARE = 0.3  # of what is set aside for a busy machine: what delivery usually takes


@dataclasses.dataclass(frozen=True)
class TrainingContext:
    """What every part of a job needs.

    Attributes:
        reserve_s: seconds to leave for the delivery.
    """

    job: TrainingJob
    recipe: recipe.Recipe
    kind: network.ModelType
    where: device.Device
    splits: dataset.Splits
    read_bytes: ReadBytes
    notebook: listener.ProgressRelay
    elapsed: listener.ElapsedTime
    reserve_s: float

    @property
    def input_hw(self) -> tuple[int, int]:
        """The network's input in pixels."""
        return (self.recipe.side_px, self.recipe.side_px) if self.recipe.side_px else self.kind.input_hw

    @property
    def is_multiclass(self) -> bool:
        """Whether an image has one label."""
        return self.job.classification_type == model_folder.MULTICLASS


@dataclasses.dataclass(frozen=True)
class Trained:
    """What the training leaves.

    Attributes:
        network: in eval mode, its temperature in its last layer.
        input_hw: its input in pixels.
        splits: the images.
        steps: of fine-tuning.
        stop_reason: why the training ended.
        training_s: seconds that it took.
        history: of the fine-tuning, for the report.
        ways: which flips leave the labels as they are.
        chosen: which candidate it is, and the others.
        probe_ready_s: seconds after which the first usable model was there, in the first attempt that knows.
        l2: the probe's penalty.
        doubtful: likely wrong labels of training images, the most doubtful first.
        origin: of the weights it started from.
    """

    network: network.ClassificationNetwork
    input_hw: tuple[int, int]
    splits: dataset.Splits
    steps: int
    stop_reason: str
    training_s: float
    history: dict[str, list[list[float]]]
    ways: orientation.Orientation
    chosen: candidates.Chosen
    probe_ready_s: float
    l2: float
    doubtful: tuple[mistakes.DoubtfulLabel, ...]
    origin: origin.Origin


@dataclasses.dataclass(frozen=True)
class _Set:
    """Images of a set that could be read, with what the pretrained network sees in them."""

    examples: tuple[dataset.Example, ...]
    features: npt.NDArray[np.float16]
    targets: npt.NDArray[np.float32]


class _Learner:
    """One job's training."""

    def __init__(self, work: TrainingContext, weights: list[torch.Tensor]) -> None:
        self._work = work
        self._label_count = len(work.job.labels)
        self._pretrained = network.ClassificationNetwork(work.kind.published, self._label_count).fill(weights).eval()
        self._reader = self._reader_of(self._pretrained, work.job.folder / features.FOLDER)

    def _reader_of(self, read: network.ClassificationNetwork, keep_in: pathlib.Path | None) -> features.FeatureReader:
        work = self._work
        return features.FeatureReader(
            read,
            work.input_hw,
            read_bytes=work.read_bytes,
            threads=work.job.threads,
            where=work.where,
            watcher=work.notebook,
            keep_in=keep_in,
            key=work.job.fingerprint[:16],
        )

    def _set(self, examples: tuple[dataset.Example, ...], name: str, view: str = features.WHOLE) -> _Set:
        found = self._reader.read(examples, name, view, functools.partial(self._tell, name, len(examples)))
        usable = found.usable()
        kept = tuple(one for one, good in zip(examples, usable, strict=True) if good)
        width = efficientnet.HEAD_WIDTH
        rows = np.concatenate([np.zeros((0, width), np.float16), *found.parts])[usable]
        return _Set(kept, rows, dataset.targets(kept, self._label_count))

    def _tell(self, name: str, count: int, done: int) -> None:
        details: dict[str, object] = {"step": 0, "steps": 0, "epoch": 0.0, "losses": {}}
        words = {"train": "TRAIN", "validation": "VALIDATION"}
        self._work.notebook.progress(0.0, "training", **details, images_read=f"{done} of {count} {words[name]}")

    # ---- the probe ----------------------------------------------------------------------------------------------------

    def _probe(self, train: list[_Set], validation: _Set, label_weights: npt.NDArray[np.float64]) -> probe.Probe:
        until_s = self._work.elapsed() + PROBE_SHARE * self._work.job.budget_s
        weights = _weights(train[0].examples)
        return probe.fit(
            probe.LabelledFeatures(
                np.concatenate([one.features for one in train]),
                np.concatenate([one.targets for one in train]),
                np.concatenate([weights for _ in train]),
            ),
            probe.LabelledFeatures(validation.features, validation.targets, np.ones(len(validation.targets))),
            self._work.job.classification_type,
            label_weights,
            lambda: self._work.elapsed() < until_s,
        )

    def train(self) -> Trained:
        work, splits = self._work, self._work.splits
        state = _checkpoint(work)
        work.elapsed.before_s = state.elapsed_s if state is not None else 0.0
        train = self._set(splits.train, "train")
        validation = self._set(splits.validation, "validation")
        label_weights = _label_weights(train.targets, is_multiclass=work.is_multiclass)
        first = self._probe([train], validation, label_weights)
        probe_ready_s = work.elapsed()
        ways = self._ways(first, validation)
        train_ways = [train]
        if work.recipe.flips and ways.mirrored:
            train_ways.append(self._set(splits.train, "train", features.MIRRORED))
        if work.recipe.flips and ways.flips:
            train_ways.append(self._set(splits.train, "train", features.UPSIDE_DOWN))
        found = self._probe(train_ways, validation, label_weights) if len(train_ways) > 1 else first
        self._pretrained.put_head(found.head)
        logits = {candidates.PROBE: found.logits(validation.features)}
        tuned = self._fine_tuned(state, train, validation, ways, label_weights)
        networks = {candidates.PROBE: self._pretrained}
        steps, stop_reason, history = 0, self._reason_without_tuning(), {}
        if tuned is not None:
            steps, stop_reason, history = tuned.step, tuned.stop_reason, tuned.history
            networks[candidates.FINE_TUNED] = tuned.average.to("cpu").eval()
            networks[candidates.BETWEEN] = self._between(networks[candidates.FINE_TUNED])
            for name in (candidates.FINE_TUNED, candidates.BETWEEN):
                logits[name] = self._logits(networks[name], validation)
        # the positive terms of rare labels counted more: what that adds to their logits is known
        logits = {name: one - np.log(label_weights) for name, one in logits.items()}
        chosen = candidates.better(logits, validation.targets, work.job.classification_type)
        result = networks[chosen.name]
        calibrate(result, chosen.temperature, label_weights)
        return Trained(
            result, work.input_hw, splits, steps, stop_reason, work.elapsed(), history, ways, chosen,
            probe_ready_s, found.l2, self._doubtful(train, found.l2), work.kind.published.origin,
        )  # fmt: skip

    def _reason_without_tuning(self) -> str:
        if self._work.notebook.finish_requested():
            return trainer.EARLY_STOPPED
        return trainer.BUDGET_REACHED if self._work.recipe.finetune else trainer.MODEL_CONVERGED

    def _ways(self, known: probe.Probe, validation: _Set) -> orientation.Orientation:
        """Which flips leave the labels as they are."""
        examples = validation.examples[:ORIENTATION_IMAGES]
        mirrored, turned = (
            self._set(examples, "validation", view) for view in (features.MIRRORED, features.UPSIDE_DOWN)
        )
        return orientation.measure(
            known.logits(validation.features[: len(examples)]),
            known.logits(mirrored.features),
            known.logits(turned.features),
            validation.targets[: len(examples)],
            is_multiclass=self._work.is_multiclass,
        )

    def _doubtful(self, train: _Set, l2: float) -> tuple[mistakes.DoubtfulLabel, ...]:
        """Labels of training images that models contradict which have not learned from those images."""
        work = self._work
        until_s = min(work.elapsed() + DOUBTS_SHARE * work.job.budget_s, work.job.budget_s - work.reserve_s / 2)
        features_of = probe.LabelledFeatures(train.features, train.targets, _weights(train.examples))
        scores = doubts.out_of_fold(features_of, l2, work.job.classification_type, lambda: work.elapsed() < until_s)
        if scores is None:
            return ()
        sets = ["TRAIN"] * len(train.examples)
        return tuple(mistakes.doubtful(train.examples, sets, scores, is_multiclass=work.is_multiclass))

    # ---- fine-tuning --------------------------------------------------------------------------------------------------

    def _fine_tuned(
        self,
        state: checkpoint.State | None,
        train: _Set,
        validation: _Set,
        ways: orientation.Orientation,
        label_weights: npt.NDArray[np.float64],
    ) -> finetuning.FineTuning | None:
        """The fine-tuning, done; None if there is no time for it, or if it failed."""
        work, job, own = self._work, self._work.job, self._work.recipe
        if not own.finetune or work.notebook.finish_requested():
            return None
        cache = pixel_cache.PixelCache(work.read_bytes, work.input_hw, job.cache_bytes)
        source = augment.BatchSource(
            train.examples,
            cache,
            label_count=self._label_count,
            seed=job.seed,
            batch_size=own.batch_size,
            warn=work.notebook.warn,
        )
        until_s = max(job.budget_s / 2, job.budget_s - work.reserve_s)
        plan = recipe.FineTuningSchedule(
            steps=own.steps_for(source.epoch_length),
            train_until_s=until_s,
            input_hw=work.input_hw,
            recipe=own,
            mirrored=own.flips and ways.mirrored,
            flips=own.flips and ways.flips,
            mixes=work.is_multiclass,
            calibration_steps=CALIBRATION_STEPS,
        )
        unit_s = STEP_COST * own.batch_size * work.kind.image_s / job.threads * (recipe.COARSE_SCALE**2)
        if state is None and until_s - work.elapsed() < LEAST_SHARE * plan.remaining_s(0, unit_s):
            work.notebook.warn("The budget is too short for fine-tuning: the model is the probe on frozen features.")
            return None
        torch.manual_seed(job.seed)
        learner = network.ClassificationNetwork(work.kind.published, self._label_count)
        learner.load_state_dict(self._pretrained.state_dict())
        setting = trainer.TrainerOptions(
            folder=job.folder,
            fingerprint=job.fingerprint,
            image_count=source.epoch_length,
            threads=job.threads,
            elapsed_s=work.elapsed,
            where=work.where,
            after_s=lambda checks, left_s: EXPECTED_SHARE * work.reserve_s,
            start=work.kind.published.source,
        )
        tuning = finetuning.FineTuning(
            learner,
            source,
            plan,
            own,
            setting,
            self._checked(validation),
            work.notebook,
            classification_type=job.classification_type,
            label_weights=label_weights,
        )
        if state is not None:
            tuning.restore(state)
        if state is not None and state.trained:
            return tuning
        try:
            tuning.run()
        except FloatingPointError as error:
            work.notebook.warn(f"Fine-tuning is given up: {error}")
            return None
        return tuning

    def _checked(self, validation: _Set) -> finetuning.ValidationSet:
        stride = max(1, math.ceil(len(validation.examples) / CHECK_IMAGES))
        frames = []
        for example in validation.examples[::stride]:
            image = decode.decode(self._work.read_bytes(example.uri), self._work.input_hw)
            frames.append(letterbox.letterbox(image, self._work.input_hw).pixels)
        return finetuning.ValidationSet(tuple(frames), validation.targets[::stride])

    def _between(self, tuned: network.ClassificationNetwork) -> network.ClassificationNetwork:
        mixed = network.ClassificationNetwork(self._work.kind.published, self._label_count).eval()
        mixed.load_state_dict(network.between(self._pretrained.state_dict(), tuned.state_dict()))
        return mixed

    def _logits(self, judged: network.ClassificationNetwork, validation: _Set) -> npt.NDArray[np.float64]:
        """Logits of a network on VALIDATION."""
        found = self._reader_of(judged, None).read(validation.examples, "validation")
        head = network.Head(
            judged.labels.weight.detach().double().numpy(), judged.labels.bias.detach().double().numpy()
        )
        rows = np.concatenate([np.zeros((0, efficientnet.HEAD_WIDTH), np.float16), *found.parts])
        return probe.logits(head, rows)


def train(work: TrainingContext, weights: list[torch.Tensor]) -> Trained:
    """Trains what the job asks for, or what is left of it.

    Args:
        work: the job.
        weights: published ones.

    Raises:
        TrainingStopped: the listener asked for it.
        UnreadableImage: too many training images cannot be read.
    """
    return _Learner(work, weights).train()


def calibrate(
    trained: network.ClassificationNetwork, temperature: float, label_weights: npt.NDArray[np.float64]
) -> None:
    """Puts the correction for weighted labels, and the temperature, into the last layer."""
    with torch.no_grad():
        trained.labels.bias.sub_(torch.from_numpy(np.log(label_weights)))
        trained.labels.weight.div_(temperature)
        trained.labels.bias.div_(temperature)


def _weights(examples: tuple[dataset.Example, ...]) -> npt.NDArray[np.float64]:
    """How often each image counts: rare labels more often."""
    weights = sampling.repeats([one.label_indices.tolist() for one in examples])
    weights[weights == 0.0] = 1.0
    return weights


def _label_weights(targets: npt.NDArray[np.float32], *, is_multiclass: bool) -> npt.NDArray[np.float64]:
    """(C,) of the positive terms of MULTILABEL: the root of how many images lack a label for each that has it."""
    if is_multiclass or not len(targets):
        return np.ones(targets.shape[1])
    positive = targets.sum(axis=0, dtype=np.float64)
    return np.clip(np.sqrt((len(targets) - positive) / np.maximum(positive, 1.0)), 1.0, MOST_LABEL_WEIGHT)


def _checkpoint(work: TrainingContext) -> checkpoint.State | None:
    try:
        state = checkpoint.load(work.job.folder)
    except checkpoint.CheckpointError as error:
        work.notebook.warn(f"Training starts anew: {error}.")
        return None
    if state is not None and state.fingerprint != work.job.fingerprint:
        work.notebook.warn("Training starts anew: the checkpoint belongs to another job.")
        return None
    return state
