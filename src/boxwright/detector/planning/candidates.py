"""Which networks a job trains, in which order, and which of them becomes the model (ADR 0016).

    plan(job, recipe, kind, time, chosen, images, times) -> TrainingPlan
    better(first, second) -> Trained

The plain network from random weights predicts two to three times as fast as the pretrained one and is as good where there
is enough to learn from. Where it finds too little, the pretrained one is trained too, and validation decides. Data, budget
and the kind of processor say what is planned, as for the input's size; never a measured speed.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Callable

from boxwright.detector.job import JobError, TrainingJob
from boxwright.detector.network import dense, pretrained
from boxwright.detector.planning import input_size, schedule, trained

GOOD_SCORE = 0.7  # mean of mAP at 0.5 and at 0.50 … 0.95 on validation, say 0.83 and 0.57: no other network is tried
GAIN = 0.02  # of that score, at least, for which a network that predicts more slowly is taken
FEW_IMAGES = 150  # with fewer the pretrained network is the one that is trained if there is time for one alone
LEAST_SHARE = 0.3  # of the time that the second network needs: with less it is not begun
LONGEST_S = 3600.0  # two trainings that take longer are not planned, whatever the budget
ONE_ALONE = "two networks would take more than the budget, or than an hour"
FAILED = "from random weights: the training on pretrained ones failed"
ATTEMPTS_FILE = "attempts.txt"  # in the second network's folder: the step at which each of its trainings has begun
GIVEN_UP = "given-up"  # in its place
MOST_ATTEMPTS = 3  # from one checkpoint; the service gives up a job, and its first network, after five
RANDOM = "random"
PRETRAINED = "pretrained"  # a recipe's name for the network


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A network to train.

    Attributes:
        start: the weights it starts from, in words.
        folder: of its checkpoint.
        fingerprint: of its checkpoint.
        build: from the number of labels and the initial score to the network.
        step_share: of the steps that are planned for random weights.
    """

    start: str
    folder: pathlib.Path
    fingerprint: str
    build: Callable[[int, float], dense.Network]
    step_share: float = 1.0


@dataclasses.dataclass(frozen=True)
class TrainingPlan:
    """What to train: one network, or two of which the second is tried if the first finds too little.

    Attributes:
        candidates: in order.
        reason: why there is one alone, in words.
    """

    candidates: tuple[Candidate, ...]
    reason: str = ""


def folders(job: TrainingJob) -> list[pathlib.Path]:
    """Where checkpoints of the job may lie."""
    return [job.folder, job.folder / trained.PRETRAINED_FOLDER]


def relative_time(recipe: schedule.Recipe, images_a_pass: int, passes: float = 1.0) -> float:
    """What the pretrained network's training takes, in trainings of the plain one, in this share of the passes."""
    share = recipe.steps_for(images_a_pass, passes * pretrained.STEP_SHARE) / recipe.steps_for(images_a_pass, passes)
    return pretrained.STEP_COST * share


def plan(
    job: TrainingJob,
    recipe: schedule.Recipe,
    kind: dense.ModelType,
    time: input_size.TimeBudget,
    chosen: input_size.InputSize,
    images: int,
    times: float,
) -> TrainingPlan:
    """Decides what to train.

    Args:
        job: the job.
        recipe: of the training; it may name a network.
        kind: of model.
        time: that the plain network's steps may take.
        chosen: the input.
        images: to train on.
        times: as `relative_time` has it.

    Raises:
        JobError: the recipe names a network that cannot be had.
    """
    plain = Candidate(RANDOM, job.folder, job.fingerprint, functools.partial(dense.Network, kind.network))
    if recipe.network and recipe.network != PRETRAINED:
        own = dataclasses.replace(plain, build=functools.partial(dense.Network, _own(recipe.network)))
        return TrainingPlan((own,), "from random weights, of the recipe")
    if recipe.network != PRETRAINED and not kind.tries_pretrained:
        return TrainingPlan((plain,), "from random weights, as always for this model type")
    if recipe.network != PRETRAINED and not recipe.pretrained:
        return TrainingPlan((plain,), "from random weights: the settings allow no others")
    try:
        weights = pretrained.load()
    except pretrained.WeightsMissing as error:
        if recipe.network == PRETRAINED:
            raise JobError(f"The recipe asks for the pretrained network: {error}.") from error
        return TrainingPlan((plain,), f"from random weights: {error}")

    def build(label_count: int, score_prior: float) -> dense.Network:
        return pretrained.PretrainedNetwork(label_count, score_prior).fill(weights)

    fingerprint = f"{job.fingerprint}/{PRETRAINED}"
    other = Candidate(pretrained.SOURCE, folders(job)[1], fingerprint, build, pretrained.STEP_SHARE)
    if recipe.network == PRETRAINED:
        return TrainingPlan((other,), "on pretrained weights, as the recipe asks")
    if time.fits(chosen.input_hw, chosen.passes, times=1.0 + LEAST_SHARE * times, longest_s=LONGEST_S):
        return TrainingPlan((plain, other))
    if images < FEW_IMAGES:
        return TrainingPlan(
            (other,), f"on pretrained weights: {ONE_ALONE}, and there are fewer than {FEW_IMAGES} images"
        )
    return TrainingPlan((plain,), f"from random weights: {ONE_ALONE}")


def _own(choice: str | dict[str, object]) -> dense.NetworkConfig:
    try:
        return dense.network_config(choice)
    except TypeError as error:
        raise JobError(f"The recipe names no network: {error}.") from error


def finds_too_little(score: float | None) -> bool:
    """Whether another network should be tried, given the mean of both mAP on validation."""
    return score is not None and score < GOOD_SCORE


def reason_to_stop(score: float | None, left_s: float, second_s: float, *, begun: bool) -> str:
    """Why the second network is not trained, in words; empty if it is.

    Args:
        score: of the first.
        left_s: of the budget, for training.
        second_s: that the second would take.
        begun: whether an earlier attempt has begun it.
    """
    if score is None:
        return "from random weights: there was no validation to compare others by"
    if not finds_too_little(score):
        return f"from random weights, and good enough: {score:.2f} on validation"
    if not begun and left_s < LEAST_SHARE * second_s:
        return "from random weights: no time was left to try others"
    return ""


def begin(folder: pathlib.Path, step: int) -> bool:
    """Writes down that the training in `folder` begins at a step; False if it has died too often there, or was given up.

    What kills the process, such as the kernel when memory ends, will do so again, and must not cost the first network.
    """
    folder.mkdir(exist_ok=True)
    path = folder / ATTEMPTS_FILE
    begun = path.read_text().split() if path.exists() else []
    if GIVEN_UP in begun or begun.count(str(step)) >= MOST_ATTEMPTS:
        return False
    with path.open("a") as file:
        file.write(f"{step}\n")
    return True


def give_up(folder: pathlib.Path) -> None:
    """Writes down that the training diverged or found no memory: another attempt would come to the same end."""
    with (folder / ATTEMPTS_FILE).open("a") as file:
        file.write(f"{GIVEN_UP}\n")


def forget_attempts(folder: pathlib.Path) -> None:
    """What was stopped on request has not died."""
    (folder / ATTEMPTS_FILE).unlink(missing_ok=True)


def better(first: trained.Trained, second: trained.Trained) -> trained.Trained:
    """The second if validation prefers it clearly, for the first one predicts faster."""
    assert first.score is not None
    if second.score is None:
        return dataclasses.replace(first, choice="from random weights: the other training had no time for validation")
    from_random, on_pretrained = f"{first.score:.2f}", f"{second.score:.2f}"
    if second.score >= first.score + GAIN:
        reason = f"on pretrained weights: {on_pretrained} on validation, {from_random} from random ones"
        return dataclasses.replace(second, choice=reason)
    reason = f"from random weights: {from_random} on validation, {on_pretrained} on pretrained ones"
    return dataclasses.replace(first, choice=reason)
