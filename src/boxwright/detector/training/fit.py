"""One network of a job, from its first step or its checkpoint to the end of its training.

CandidateTrainer(work, input).train(candidate, state) -> Trained
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures

import torch
from torch import Tensor

from boxwright import boxes
from boxwright.detector.data import augment, dataset, sampling
from boxwright.detector.evaluation import evaluate, intervals, orientation
from boxwright.detector.network import dense
from boxwright.detector.planning import candidates, int8_budget, schedule, time_budget, trained
from boxwright.detector.training import trainer, validation_set
from boxwright.learning import checkpoint, device, listener, pixel_cache
from boxwright.learning import sampling as learning_sampling
from boxwright.learning.job import TrainingJob

ReadBytes = Callable[[str], bytes]

WARM_UP_SHARE = 0.15  # of the budget, at most, for decoding images before the first step; and at most
WARM_UP_OF_LEFT = 0.5  # of what is left of it
WARM_UP_PERCENT = 1.0


@dataclasses.dataclass(frozen=True)
class TrainingContext:
    """What every part of a job needs; `images_a_pass` are those that one pass shows, repeats counted."""

    job: TrainingJob
    recipe: schedule.Recipe
    where: device.Device
    splits: dataset.Splits
    read_bytes: ReadBytes
    notebook: listener.ProgressRelay
    elapsed: listener.ElapsedTime
    images_a_pass: int


def reserve_s(work: TrainingContext, image_s: float, input_hw: tuple[int, int]) -> float:
    """Seconds to set aside for everything that follows the last step."""
    job, splits = work.job, work.splits
    evaluated = len(splits.test or splits.validation)
    quantising_s = int8_budget.reserve_s(splits, job.budget_s, job.threads, image_s, input_hw)
    return time_budget.reserve_s(evaluated, image_s, job.threads, input_hw) + quantising_s


class _Images:
    """The job's images at the size of one input.

    Attributes:
        cache: of training images.
        image_s: seconds to read and decode one, once it was measured.
        validation: once it was read.
    """

    def __init__(self, work: TrainingContext, input_hw: tuple[int, int]) -> None:
        self.input_hw = input_hw
        self.cache = pixel_cache.PixelCache(work.read_bytes, input_hw, work.job.cache_bytes)
        self.image_s: float | None = None
        self.validation: validation_set.ValidationSet | None = None


class CandidateTrainer:
    """Trains the networks of one job, one after the other; images are kept for as long as the input stays the same."""

    def __init__(self, work: TrainingContext) -> None:
        self._work = work
        self._images = _Images(work, (0, 0))
        self._told_of_one_colour = False

    def turn_to(self, splits: dataset.Splits) -> None:
        """From here on the networks learn from other images, and other ones validate; what was decoded stays."""
        images_a_pass = learning_sampling.pass_length(sampling.weights(splits.train))
        self._work = dataclasses.replace(self._work, splits=splits, images_a_pass=images_a_pass)
        self._images.validation = None

    def left_s(self, candidate: candidates.Candidate) -> float:
        """Seconds of its share of the budget that are left for training a network."""
        work = self._work
        aside_s = reserve_s(work, time_budget.DECODE_IMAGE_S, candidate.input.input_hw)
        return candidate.time_share * (work.job.budget_s - aside_s) - work.elapsed()

    def train(
        self,
        candidate: candidates.Candidate,
        state: checkpoint.State | None,
        *,
        ways_up: orientation.Orientation | None = None,
        second_s: float = 0.0,
        weights: Mapping[str, Tensor] | None = None,
    ) -> trained.Trained:
        """Trains one network, or what is left of it. `training_s` of the result counts from the beginning of the job.

        Args:
            candidate: what to train.
            state: its checkpoint, if there is one.
            ways_up: which ways up the objects may be, if another network has looked.
            second_s: what another network would take after this one, 0.0 if there is none to try.
            weights: to begin with; None for those of the candidate.

        Raises:
            TrainingStopped, FloatingPointError, UnreadableImage: as `Trainer.run`.
        """
        work = self._work
        if self._images.input_hw != candidate.input.input_hw:
            self._images = _Images(work, candidate.input.input_hw)
        network = self._fresh(candidate, weights)
        before = self._untrained_scores(network) if candidate.knows_labels else None
        untrained = None if before is None else sum(before) / 2
        if state is not None and state.trained:
            network.load_state_dict(state.average)
            training_s, stop_reason, steps, history = state.elapsed_s, state.stop_reason, state.step, state.history
            checks, known = state.checks, trainer.orientation_of(state)
        else:
            is_last = candidates.is_known(len(work.splits.train), untrained)
            learner = self._trainer(candidate, network, 0.0 if is_last else second_s, before)
            learner.plan.ways_up = dataclasses.replace(ways_up, from_step=0) if ways_up and ways_up.is_known else None
            if state is not None:
                learner.restore(state)
            stop_reason = learner.run()
            self._tell_of_one_colour()
            training_s, network = work.elapsed(), learner.average.to("cpu")
            steps, history = learner.step, learner.history
            checks, known = learner.checks, learner.plan.ways_up
        has_objects = any(len(one.label_indices) for one in work.splits.validation)
        result = trained.Trained(
            network=network.eval(),
            input=candidate.input,
            splits=work.splits,
            steps=steps,
            batch_size=work.recipe.batch_size,
            stop_reason=stop_reason,
            training_s=training_s,
            history=history,
            ways_up=known,
            start=candidate.start,
            score=checks[-1][1] if checks and has_objects else None,
            origin=candidate.origin,
            untrained_score=untrained,
            images_a_pass=work.images_a_pass,
        )
        return self._with_untrained(candidate, result)

    def _with_untrained(self, candidate: candidates.Candidate, after: trained.Trained) -> trained.Trained:
        """The network as it was, if training has brought nothing; with what other images say, if that is asked."""
        if after.score is None:
            return after
        if candidate.is_judged and (judged := self._resampled(after.network)) is not None:
            after = dataclasses.replace(after, score=judged.score, judged=judged)
        if after.untrained_score is None:
            return after
        before = dataclasses.replace(after, network=self._fresh(candidate).eval(), steps=0, score=after.untrained_score)
        if after.judged is not None:
            before = dataclasses.replace(before, judged=self._resampled(before.network))
        assert before.score is not None and after.score is not None
        chosen, other = (before, after) if before.score >= after.score else (after, before)
        return dataclasses.replace(chosen, rivals=() if other.judged is None else ((other.judged, 0.0),))

    def _fresh(self, candidate: candidates.Candidate, weights: Mapping[str, Tensor] | None = None) -> dense.Network:
        """The network as it starts, or with these weights; the same in every attempt."""
        job, examples = self._work.job, self._work.splits.train
        torch.manual_seed(job.seed)
        boxes_per_image = sum(len(one.label_indices) for one in examples) / len(examples)
        prior = dense.score_prior(boxes_per_image, len(job.labels), candidate.input.input_hw)
        network = candidate.build(len(job.labels), prior)
        if weights is not None:
            network.load_state_dict(weights)
        return network

    def _untrained_scores(self, network: dense.Network) -> tuple[float, float] | None:
        """(mAP at 0.5, mAP at 0.50 … 0.95) on validation of a network before it has learned; None without objects."""
        validation = self._validation_set()
        if not any(len(one.label_indices) for one in validation.ground_truth):
            return None
        found = self._found(network.eval())
        network.train()
        return evaluate.quick_scores(network.label_count, validation.ground_truth, found)

    def score(self, network: dense.Network) -> float:
        """Mean of mAP at 0.5 and at 0.50 … 0.95 on validation of a network in eval mode."""
        return (
            sum(evaluate.quick_scores(network.label_count, self._validation_set().ground_truth, self._found(network)))
            / 2
        )

    def _resampled(self, network: dense.Network) -> intervals.ResampledScore | None:
        """The same, and what other images would give; None without objects."""
        if not any(len(one.label_indices) for one in self._validation_set().ground_truth):
            return None
        return intervals.resample(network.label_count, self._validation_set().ground_truth, self._found(network))

    def _found(self, network: dense.Network) -> list[boxes.Detections]:
        torch.set_num_threads(self._work.job.threads)
        return [trainer.find_in(network, [image])[0] for image in self._validation_set().images]

    def _trainer(
        self,
        candidate: candidates.Candidate,
        network: dense.Network,
        second_s: float,
        untrained: tuple[float, float] | None,
    ) -> trainer.DetectionTrainer:
        work, job, recipe, splits = self._work, self._work.job, candidate.recipe, self._work.splits
        input_hw, images = candidate.input.input_hw, self._images
        if images.image_s is None:
            images.image_s = self._warm_cache(candidate)
        source = augment.BatchSource(
            splits.train, images.cache, seed=job.seed, batch_size=recipe.batch_size, warn=work.notebook.warn
        )
        plan = schedule.Schedule(
            steps=candidate.steps(source.epoch_length, candidate.input.passes),
            input_hw=input_hw,
            train_until_s=candidate.time_share
            * max(job.budget_s / 2, job.budget_s - reserve_s(work, images.image_s, input_hw)),
            recipe=recipe,
            even_steps=work.where.is_gpu,
            window_hw=candidate.input.window_hw,
        )
        delivery_s = time_budget.expected_s(splits, job.budget_s, job.threads, input_hw)

        def after_s(checks: Sequence[tuple[float, float]], left_s: float) -> float:
            goes_on = bool(checks) and candidate.finds_too_little(checks[-1][1])
            follows_s = min(second_s, self.left_s(candidate) - left_s) if goes_on else 0.0
            return (
                delivery_s + candidate.later_s + (follows_s if follows_s >= candidates.LEAST_SHARE * second_s else 0.0)
            )

        setting = trainer.DetectionOptions(
            folder=candidate.folder,
            fingerprint=candidate.fingerprint,
            image_count=source.epoch_length,
            threads=job.threads,
            elapsed_s=work.elapsed,
            where=work.where,
            after_s=after_s,
            input=candidate.input,
            start=candidate.start,
            untrained=untrained,
            is_trial=candidate.is_trial,
        )
        candidate.folder.mkdir(exist_ok=True)
        return trainer.DetectionTrainer(network, source, plan, recipe, setting, self._validation_set(), work.notebook)

    def _tell_of_one_colour(self) -> None:
        """Warns of images in which nothing can be seen, once per job: they teach that objects are not there."""
        found = self._images.cache.one_colour
        if found and not self._told_of_one_colour:
            self._told_of_one_colour = True
            count = "One training image is" if len(found) == 1 else f"{len(found)} training images are"
            self._work.notebook.warn(
                f"{count} of one colour; nothing can be learned from that. The first: {min(found)}"
            )

    def _warm_cache(self, candidate: candidates.Candidate) -> float:
        """Decodes images ahead of the first step; returns seconds per image, with all threads at work."""
        work, threads = self._work, self._work.job.threads
        limit_s = min(WARM_UP_SHARE * work.job.budget_s, WARM_UP_OF_LEFT * self.left_s(candidate))
        started_s, done, chunk = work.elapsed(), 0, 4 * threads
        examples = work.splits.train
        with futures.ThreadPoolExecutor(threads) as pool:
            for first in range(0, len(examples), chunk):
                if work.notebook.stop_requested():
                    raise listener.TrainingStopped
                if self._images.cache.is_full or work.elapsed() - started_s > limit_s:
                    break
                done += sum(
                    pool.map(self._images.cache.warm, [example.uri for example in examples[first : first + chunk]])
                )
                percent = WARM_UP_PERCENT * first / len(examples)
                work.notebook.progress(percent, "training", step=0, steps=0, epoch=0.0, losses={})
        return (work.elapsed() - started_s) / max(1, done)

    def _validation_set(self) -> validation_set.ValidationSet:
        if self._images.validation is None:
            examples, input_hw = self._work.splits.validation, self._images.input_hw
            self._images.validation = validation_set.read(examples, self._work.read_bytes, input_hw)
        return self._images.validation
