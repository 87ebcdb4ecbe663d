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

import numpy as np
import numpy.typing as npt
import torch

from boxwright.classifier.data import augment, dataset
from boxwright.classifier.evaluation import mistakes, orientation
from boxwright.classifier.network import network
from boxwright.classifier.training import (
    candidates,
    doubts,
    features,
    finetuning,
    label_weighting,
    probe,
    recipe,
    start,
    trained,
)
from boxwright.images import decode, letterbox
from boxwright.learning import (
    checkpoint,
    efficientnet,
    pixel_cache,
    trainer,
)

ORIENTATION_IMAGES = 300  # of VALIDATION, at most
CHECK_IMAGES = 96  # of VALIDATION, during fine-tuning
DOUBTS_SHARE = 0.05  # of the budget, at most, for the search of wrong labels
PROBE_SHARE = 0.3  # of the budget, at most, for the search of the penalty
LEAST_SHARE = 0.15  # of the planned steps: with time for fewer, fine-tuning is not begun
MOST_PROBE_IMAGES = 40_000  # of TRAIN, evenly spread: more of them change a single layer no more
MOST_CHOICE_IMAGES = 5_000  # of VALIDATION
FEATURES_SHARE = 0.3  # of the budget, at most, for the features of TRAIN; a third of that for VALIDATION
LEAST_PROBE_IMAGES = 64  # however short the budget is
CALIBRATION_STEPS = 20


@dataclasses.dataclass(frozen=True)
class _Set:
    """Images of a set that could be read, with what the pretrained network sees in them."""

    examples: tuple[dataset.Example, ...]
    features: npt.NDArray[np.float16]
    targets: npt.NDArray[np.float32]


class _Learner:
    """One job's training."""

    def __init__(self, work: trained.TrainingContext, begun: start.StartingWeights) -> None:
        self._work = work
        self._label_count = len(work.job.labels)
        self._start = begun
        self._pretrained = begun.network
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
            key="{}-{}x{}".format(work.job.fingerprint[:16], *work.input_hw),
        )

    def _set(self, examples: tuple[dataset.Example, ...], name: str, view: str = features.WHOLE) -> _Set:
        found = self._reader.read(examples, name, view, functools.partial(self._tell, name, view, len(examples)))
        usable = found.usable()
        kept = tuple(one for one, good in zip(examples, usable, strict=True) if good)
        width = efficientnet.HEAD_WIDTH
        rows = np.concatenate([np.zeros((0, width), np.float16), *found.parts])[usable]
        return _Set(kept, rows, dataset.targets(kept, self._label_count))

    def _tell(self, name: str, view: str, count: int, done: int) -> None:
        """Reports how far a set is, as a share of the time that all features, the planned steps and the delivery take."""
        work = self._work
        passes = 1.0 + work.recipe.finetune  # whole, then mirrored
        ahead = {("train", features.WHOLE): passes, ("validation", features.WHOLE): passes}.get((name, view), 1.0)
        seconds = work.kind.image_s / work.job.threads
        left_s = seconds * (ahead * count - done) + self._tuning_s() + trained.EXPECTED_SHARE * work.reserve_s
        left_s = min(left_s, max(1.0, work.job.budget_s - work.elapsed()))
        details: dict[str, object] = {"step": 0, "steps": 0, "epoch": 0.0, "losses": {}, "eta_s": round(left_s, 1)}
        said = f"{done} of {count} {name.upper()}{'' if view == features.WHOLE else ', ' + view}"
        share = work.elapsed() / (work.elapsed() + left_s)
        work.notebook.progress(100.0 * share, "training", **details, images_read=said)

    def _tuning_s(self) -> float:
        """Seconds that the planned fine-tuning takes, by nominal speeds."""
        work, own = self._work, self._work.recipe
        if not own.finetune:
            return 0.0
        plan = self._plan(len(work.splits.train), orientation.UNKNOWN)
        return plan.remaining_s(0, self._unit_s())

    def _unit_s(self) -> float:
        """Seconds that a step of low resolution takes, by nominal speeds."""
        work, own = self._work, self._work.recipe
        return recipe.STEP_COST * own.batch_size * work.kind.image_s / work.job.threads * recipe.COARSE_SCALE**2

    def _some(self, examples: tuple[dataset.Example, ...], most: int, share: float) -> tuple[dataset.Example, ...]:
        """As many of the images, evenly spread, as there may be and as a share of the budget allows to look at."""
        job, kind = self._work.job, self._work.kind
        most = min(most, max(LEAST_PROBE_IMAGES, int(share * job.budget_s * job.threads / kind.image_s)))
        if len(examples) <= most:
            return examples
        return tuple(examples[number * len(examples) // most] for number in range(most))

    # ---- the probe ----------------------------------------------------------------------------------------------------

    def _probe(self, train: list[_Set], validation: _Set, label_weights: npt.NDArray[np.float64]) -> probe.Probe:
        until_s = self._work.elapsed() + PROBE_SHARE * self._work.job.budget_s
        weights = label_weighting.of_images(train[0].examples)
        return probe.fit(
            probe.LabelledFeatures(
                np.concatenate([one.features for one in train]),
                np.concatenate([one.targets for one in train]),
                np.concatenate([weights for _ in train]),
                views=len(train),
            ),
            probe.LabelledFeatures(validation.features, validation.targets, np.ones(len(validation.targets))),
            self._work.job.classification_type,
            label_weights,
            lambda: self._work.elapsed() < until_s,
            self._start.rows,
        )

    def train(self) -> trained.Trained:
        work, splits = self._work, self._work.splits
        state = _checkpoint(work)
        work.elapsed.before_s = state.elapsed_s if state is not None else 0.0
        learned = self._some(splits.train, MOST_PROBE_IMAGES, FEATURES_SHARE)
        train = self._set(learned, "train")
        validation = self._set(self._some(splits.validation, MOST_CHOICE_IMAGES, FEATURES_SHARE / 3), "validation")
        label_weights = label_weighting.of_labels(train.targets, is_multiclass=work.is_multiclass)
        first = self._probe([train], validation, label_weights)
        probe_ready_s = work.elapsed()
        ways = self._ways(first, validation)
        train_ways = [train]
        if work.recipe.flips and ways.mirrored:
            train_ways.append(self._set(learned, "train", features.MIRRORED))
        if work.recipe.flips and ways.flips:
            train_ways.append(self._set(learned, "train", features.UPSIDE_DOWN))
        found = self._probe(train_ways, validation, label_weights) if len(train_ways) > 1 else first
        self._pretrained.put_head(found.head)
        logits = {candidates.PROBE: found.logits(validation.features)}
        tuned = self._fine_tuned(state, validation, ways, label_weights)
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
        return trained.Trained(
            result, work.input_hw, splits, steps, stop_reason, work.elapsed(), history, ways, chosen,
            self._start.words, probe_ready_s, found.l2, self._doubtful(train, found.l2), work.kind.published.origin,
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
        features_of = probe.LabelledFeatures(train.features, train.targets, label_weighting.of_images(train.examples))
        scores = doubts.out_of_fold(features_of, l2, work.job.classification_type, lambda: work.elapsed() < until_s)
        if scores is None:
            return ()
        sets = ["TRAIN"] * len(train.examples)
        return tuple(mistakes.doubtful(train.examples, sets, scores, is_multiclass=work.is_multiclass))

    # ---- fine-tuning --------------------------------------------------------------------------------------------------

    def _fine_tuned(
        self,
        state: checkpoint.State | None,
        validation: _Set,
        ways: orientation.Orientation,
        label_weights: npt.NDArray[np.float64],
    ) -> finetuning.FineTuning | None:
        """The fine-tuning, done; None if there is no time for it, or if it failed."""
        work, own = self._work, self._work.recipe
        if not own.finetune or work.notebook.finish_requested():
            return None
        source = self._source()
        plan = self._plan(source.epoch_length, ways)
        needed_s = LEAST_SHARE * plan.remaining_s(0, self._unit_s())
        if state is None and plan.train_until_s - work.elapsed() < needed_s:
            work.notebook.warn("The budget is too short for fine-tuning: the model is the probe on frozen features.")
            return None
        tuning = finetuning.FineTuning(
            self._copy(),
            source,
            plan,
            own,
            self._options(source.epoch_length),
            self._checked(validation),
            work.notebook,
            classification_type=work.job.classification_type,
            label_weights=label_weights,
        )
        if state is not None:
            tuning.restore(state)
        try:
            tuning.run()
        except FloatingPointError as error:
            work.notebook.warn(f"Fine-tuning is given up: {error}")
            return None
        return tuning

    def _source(self) -> augment.BatchSource:
        work, examples = self._work, self._work.splits.train
        return augment.BatchSource(
            examples,
            pixel_cache.PixelCache(work.read_bytes, work.input_hw, work.job.cache_bytes),
            label_weighting.of_images(examples),
            label_count=self._label_count,
            seed=work.job.seed,
            batch_size=work.recipe.batch_size,
            warn=work.notebook.warn,
        )

    def _plan(self, images_a_pass: int, ways: orientation.Orientation) -> recipe.FineTuningSchedule:
        work, own, budget_s = self._work, self._work.recipe, self._work.job.budget_s
        return recipe.FineTuningSchedule(
            steps=own.steps_for(images_a_pass),
            train_until_s=max(budget_s / 2, budget_s - work.reserve_s),
            input_hw=work.input_hw,
            recipe=own,
            mirrored=own.flips and ways.mirrored,
            flips=own.flips and ways.flips,
            has_one_label=work.is_multiclass,
            calibration_steps=CALIBRATION_STEPS,
        )

    def _options(self, images_a_pass: int) -> trainer.TrainerOptions:
        work = self._work
        return trainer.TrainerOptions(
            folder=work.job.folder,
            fingerprint=work.job.fingerprint,
            image_count=images_a_pass,
            threads=work.job.threads,
            elapsed_s=work.elapsed,
            where=work.where,
            after_s=lambda checks, left_s: trained.EXPECTED_SHARE * work.reserve_s,
            start=self._start.words,
        )

    def _copy(self) -> network.ClassificationNetwork:
        """The probe as a network that learns."""
        learner = network.ClassificationNetwork(self._work.kind.published, self._label_count)
        learner.load_state_dict(self._pretrained.state_dict())
        return learner

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


def train(work: trained.TrainingContext, begun: start.StartingWeights) -> trained.Trained:
    """Trains what the job asks for, or what is left of it.

    Args:
        work: the job.
        begun: the weights that it starts from.

    Raises:
        TrainingStopped: the listener asked for it.
        UnreadableImage: too many training images cannot be read.
    """
    return _Learner(work, begun).train()


def calibrate(
    trained: network.ClassificationNetwork, temperature: float, label_weights: npt.NDArray[np.float64]
) -> None:
    """Puts the correction for weighted labels, and the temperature, into the last layer."""
    with torch.no_grad():
        trained.labels.bias.sub_(torch.from_numpy(np.log(label_weights)))
        trained.labels.weight.div_(temperature)
        trained.labels.bias.div_(temperature)


def _checkpoint(work: trained.TrainingContext) -> checkpoint.State | None:
    try:
        state = checkpoint.load(work.job.folder)
    except checkpoint.CheckpointError as error:
        work.notebook.warn(f"Training starts anew: {error}.")
        return None
    if state is not None and state.fingerprint != work.job.fingerprint:
        work.notebook.warn("Training starts anew: the checkpoint belongs to another job.")
        return None
    return state
