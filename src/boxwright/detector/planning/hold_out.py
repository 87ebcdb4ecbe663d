"""Small VALIDATION sets: which training images help to decide, and what is trained when it is decided (ADR 0033).

    choose(plan, splits, time, images_a_pass) -> HoldOutPlan or None

A handful of images says little about a network. Where there are few, some of TRAIN are kept from the networks until one is
chosen: each is trained in a trial, and judged by them and VALIDATION. The chosen one then learns from all of these images,
for a number of steps that is planned and not chosen by looking. From `candidates.FEW_IMAGES` training images on, those that
are held out are few among many, and the trial is the training.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence

from boxwright.detector.data import dataset, sampling
from boxwright.detector.network import coco
from boxwright.detector.planning import candidates, input_size, schedule, trained
from boxwright.learning import sampling as learning_sampling

MOST_SHARE = 1 / 3  # of the images of each label is held out, at most
TRIAL_SHARE = 0.5  # of a training's steps, for a network that starts from COCO's weights; others forecast badly
FINAL_SHARE = 0.5  # of a training's steps, for the chosen one on all images


@dataclasses.dataclass(frozen=True)
class HoldOutPlan:
    """Who judges, and what follows.

    Attributes:
        plan: the networks, in trials.
        trial: the images that they learn from and are judged by.
        final: the images that the chosen one learns from in the end, with no VALIDATION; None if the trial was its training.
        finals: that training of each network, by the weights that it starts from.
        judges: number of images with objects that judge, by the set that they are in.
    """

    plan: candidates.TrainingPlan
    trial: dataset.Splits
    final: dataset.Splits | None
    finals: dict[str, candidates.Candidate]
    judges: dict[str, int]

    def in_words(self, is_trained: bool, learned_all: bool) -> str:
        """What became of the images, for the user.

        Args:
            is_trained: whether the chosen network has learned from any image.
            learned_all: whether it has learned from all.
        """
        count = sum(self.judges.values())
        words = [
            f"VALIDATION has only {self.judges['VALIDATION']} images with objects. {self.judges['TRAIN']} TRAIN images were "
            f"held out to choose the network on {count} images."
        ]
        if learned_all:
            words.append("Then it learned from all images except those of TEST.")
        elif is_trained:
            words.append("It has not learned from them.")
        if count < schedule.ENOUGH_IMAGES:
            words.append(f"The choice is still uncertain: add images to VALIDATION, {schedule.ENOUGH_IMAGES} at least.")
        return " ".join(words)


def holding(examples: Sequence[dataset.Example]) -> int:
    """How many images have objects."""
    return sum(1 for one in examples if len(one.label_indices))


def choose(
    plan: candidates.TrainingPlan, splits: dataset.Splits, time: input_size.TimeBudget, images_a_pass: int
) -> HoldOutPlan | None:
    """Decides whether training images help to judge; None if nothing depends on it, or if there is no time for it.

    Args:
        plan: of the job.
        splits: of the job.
        time: that the plain network's steps may take.
        images_a_pass: that one pass over TRAIN shows, repeats counted.
    """
    decides = len(plan.candidates) > 1 or plan.candidates[0].knows_labels
    held = held_out(splits) if decides else ()
    if not held:
        return None
    chosen = {id(one) for one in held}
    rest = tuple(one for one in splits.train if id(one) not in chosen)
    together = tuple(sorted((*splits.validation, *held), key=lambda one: (one.sha256, one.uri)))
    trial = dataclasses.replace(splits, train=rest, validation=together)
    judges = {"VALIDATION": holding(splits.validation), "TRAIN": len(held)}
    if len(splits.train) >= candidates.FEW_IMAGES:
        alone = tuple(
            dataclasses.replace(one, fingerprint=f"{one.fingerprint}/held out", is_judged=True)
            for one in plan.candidates
        )
        return HoldOutPlan(dataclasses.replace(plan, candidates=alone), trial, None, {}, judges)
    learned = (
        *splits.train,
        *(splits.validation if splits.test else ()),
    )  # without TEST, VALIDATION evaluates the model
    final = dataset.Splits(
        tuple(sorted(learned, key=lambda one: (one.sha256, one.uri))), (), splits.test or splits.validation, ()
    )
    finals = {one.start: _final(one) for one in plan.candidates}
    final_pass = learning_sampling.pass_length(sampling.weights(final.train))
    needed_s = [one.needed_s(time, images_a_pass) for one in map(_trial, plan.candidates)]
    final_s = max(one.needed_s(time, final_pass) for one in finals.values())
    least_s = needed_s[0] + candidates.LEAST_SHARE * sum(needed_s[1:]) + final_s
    if not time.allows(least_s, plan.candidates[0].input.input_hw, candidates.LONGEST_S):
        return None
    trials = tuple(
        dataclasses.replace(
            _trial(one),
            later_s=finals[one.start].needed_s(time, final_pass),
            time_share=1.0 - final_s / (sum(needed_s) + final_s),
        )
        for one in plan.candidates
    )
    return HoldOutPlan(dataclasses.replace(plan, candidates=trials), trial, final, finals, judges)


def held_out(splits: dataset.Splits) -> tuple[dataset.Example, ...]:
    """Training images with objects that VALIDATION lacks to be enough: at most a third of those of any label.

    Images that bring a label which VALIDATION does not have come first. Their order is that of their contents' digests.
    """
    wanted = schedule.ENOUGH_IMAGES - holding(splits.validation)
    full = [one for one in splits.train if len(one.label_indices)]
    images_of = collections.Counter(label for one in full for label in _labels(one))
    left = collections.Counter({label: int(MOST_SHARE * images) for label, images in images_of.items()})
    seen = {label for one in splits.validation for label in _labels(one)}
    held: list[dataset.Example] = []
    for brings_a_label in (True, False):
        for one in full:
            labels = _labels(one)
            is_new = not labels <= seen
            if len(held) >= wanted or any(one is other for other in held) or (brings_a_label and not is_new):
                continue
            if all(left[label] > 0 for label in labels):
                held.append(one)
                seen |= labels
                left.subtract(labels)
    return tuple(held)


def _labels(example: dataset.Example) -> set[int]:
    return set(example.label_indices.tolist())


def _trial(candidate: candidates.Candidate) -> candidates.Candidate:
    share = TRIAL_SHARE if candidate.start == coco.SOURCE else 1.0
    fingerprint = f"{candidate.fingerprint}/trial"
    return dataclasses.replace(_shortened(candidate, share), fingerprint=fingerprint, is_judged=True, is_trial=True)


def _final(candidate: candidates.Candidate) -> candidates.Candidate:
    job_folder = candidate.folder if candidate.start == candidates.RANDOM else candidate.folder.parent
    return dataclasses.replace(
        _shortened(candidate, FINAL_SHARE),
        folder=job_folder / trained.FINAL_FOLDER,
        fingerprint=f"{candidate.fingerprint}/final",
        knows_labels=False,
    )


def _shortened(candidate: candidates.Candidate, share: float) -> candidates.Candidate:
    least = candidate.least_steps or schedule.MIN_STEPS
    return dataclasses.replace(
        candidate, step_share=share * candidate.step_share, least_steps=max(1, round(share * least))
    )
