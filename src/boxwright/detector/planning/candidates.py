"""Which networks a job trains, in which order, and which of them becomes the model (ADR 0016).

    plan(job, recipe, kind, time, choose, images, images_a_pass) -> TrainingPlan
    better(first, second) -> Trained

The plain network from random weights predicts two to three times as fast as the others and is as good where there is enough
to learn from. Where it finds too little, a network that starts from weights of others is trained too, and validation
decides. With COCO's weights installed that is the network of NanoDet-g's design, which is tried first where there are few
images or where a label is one of COCO's; without them it is the one on ImageNet's. Data, budget, the kind of processor and
what is installed say what is planned, as for the input's size; never a measured speed.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Callable

from boxwright.detector.network import coco, coco_labels, dense, pretrained
from boxwright.detector.planning import input_size, schedule, trained
from boxwright.learning import efficientnet, origin
from boxwright.learning.job import JobError, TrainingJob
from boxwright.weights import catalogue, installed

GOOD_SCORE = 0.7  # mean of mAP at 0.5 and at 0.50 … 0.95 on validation, say 0.83 and 0.57: no other network is tried
GAIN = 0.02  # of that score, at least, for which a network that predicts more slowly is taken
QUICK_IMAGES = 100  # with fewer, the network from COCO's weights need only be useful: people wait for it
USEFUL_SCORE = 0.65
FEW_IMAGES = 150  # with fewer, weights of others come first, and alone if there is time for one network only
KNOWN_SCORE = 0.2  # of a network that has learned nothing from the job's images: its labels are what their names say
LEAST_SHARE = 0.3  # of the time that the second network needs: with less it is not begun
LONGEST_S = 3600.0  # two trainings that take longer are not planned, whatever the budget
ONE_ALONE = "two networks would take more than the budget, or than an hour"
ATTEMPTS_FILE = trained.ATTEMPTS_FILE
GIVEN_UP = "given-up"  # in its place
MOST_ATTEMPTS = 3  # from one checkpoint; the service gives up a job, and its first network, after five
RANDOM = "random"
PRETRAINED = "pretrained"  # a recipe's names for the networks
COCO = "coco"
WORDS = {
    RANDOM: "from random weights",
    pretrained.SOURCE: "on pretrained weights",
    coco.SOURCE: "from COCO's weights",
}

ChooseInput = Callable[[pathlib.Path, dense.ModelType, input_size.TimeBudget], input_size.InputSize]


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A network to train.

    Attributes:
        start: the weights it starts from, in words.
        folder: of its checkpoint.
        fingerprint: of its checkpoint.
        build: from the number of labels and the initial score to the network.
        recipe: of its training.
        step_share: of the steps that are planned for random weights.
        least_steps: however few images there are; None for the schedule's own.
        step_cost: of one of its steps, to one of the plain network.
        origin: of its weights; None for random ones.
        knows_labels: whether it starts with rows for some of the job's labels.
        input: of the network.
        good_score: on validation, from which no other network is tried.
        is_judged: whether its score is that of its last weights, with what other images would have given.
        is_trial: whether its training is there to decide: it goes on to its end, and another one follows.
        later_s: seconds that the one that follows takes.
        time_share: of the time for training, after which it ends.
    """

    start: str
    folder: pathlib.Path
    fingerprint: str
    build: Callable[[int, float], dense.Network]
    recipe: schedule.Recipe
    step_share: float = 1.0
    least_steps: int | None = None
    step_cost: float = 1.0
    origin: origin.Origin | None = None
    knows_labels: bool = False
    input: input_size.InputSize = input_size.UNKNOWN
    good_score: float = dataclasses.field(default_factory=lambda: GOOD_SCORE)
    is_judged: bool = False
    is_trial: bool = False
    later_s: float = 0.0
    time_share: float = 1.0

    def finds_too_little(self, score: float | None) -> bool:
        """Whether another network should be tried, given the mean of both mAP on validation."""
        return score is not None and score < self.good_score

    def steps(self, images_a_pass: int, passes: float) -> int:
        """Steps of its training, with a share of the passes that are planned otherwise."""
        return self.recipe.steps_for(images_a_pass, passes * self.step_share, self.least_steps)

    def relative_time(self, images_a_pass: int, passes: float = 1.0) -> float:
        """What its training takes, in trainings of the plain network with the same input."""
        return self.step_cost * self.steps(images_a_pass, passes) / self.recipe.steps_for(images_a_pass, passes)

    def own_time(self, time: input_size.TimeBudget, images_a_pass: int) -> input_size.TimeBudget:
        """The time that its own steps take, given that of the plain network's steps."""

        def samples(passes: float) -> int:
            return round(self.relative_time(images_a_pass, passes) * time.samples(passes))

        return dataclasses.replace(time, samples=samples)

    def needed_s(self, time: input_size.TimeBudget, images_a_pass: int) -> float:
        """Seconds that its training takes, given the time that the plain network's steps take."""
        return self.own_time(time, images_a_pass).needed_s(self.input.view_hw, self.input.passes)


@dataclasses.dataclass(frozen=True)
class TrainingPlan:
    """What to train: one network, or two of which the second is tried if the first finds too little.

    Attributes:
        candidates: in order.
        reason: why there is one alone, in words.
        note: what the user should know of weights that are missing; may be empty.
    """

    candidates: tuple[Candidate, ...]
    reason: str = ""
    note: str = ""


def folders(job: TrainingJob) -> list[pathlib.Path]:
    """Where checkpoints of the job may lie."""
    others = (trained.PRETRAINED_FOLDER, trained.COCO_FOLDER, trained.FINAL_FOLDER)
    return [job.folder, *(job.folder / name for name in others)]


def plan(
    job: TrainingJob,
    recipe: schedule.Recipe,
    kind: dense.ModelType,
    time: input_size.TimeBudget,
    choose: ChooseInput,
    images: int,
    images_a_pass: int,
) -> TrainingPlan:
    """Decides what to train, and with which inputs.

    Args:
        job: the job.
        recipe: of the training; it may name a network.
        kind: of model.
        time: that the plain network's steps may take.
        choose: the input of a candidate, in a folder, of a kind, given the time that its own steps may take.
        images: to train on.
        images_a_pass: that one pass shows, repeats counted.

    Raises:
        JobError: the recipe names a network that cannot be had.
    """
    found = _without_inputs(job, recipe, kind, images)
    chosen = (
        dataclasses.replace(one, input=choose(one.folder, _sizes(kind, one), one.own_time(time, images_a_pass)))
        for one in found.candidates
    )
    found = dataclasses.replace(found, candidates=tuple(chosen))
    if len(found.candidates) == 1:
        return found
    first, second = found.candidates
    needed_s = first.needed_s(time, images_a_pass) + LEAST_SHARE * second.needed_s(time, images_a_pass)
    if time.allows(needed_s, first.input.input_hw, LONGEST_S):
        return found
    few = images < FEW_IMAGES
    alone = next(one for one in found.candidates if one.start != RANDOM) if few else first
    why = f"{WORDS[alone.start]}: {ONE_ALONE}" + (f", and there are fewer than {FEW_IMAGES} images" if few else "")
    return TrainingPlan((alone,), why, found.note)


def _sizes(kind: dense.ModelType, candidate: Candidate) -> dense.ModelType:
    """The kind of model, with the inputs that suit the candidate's weights."""
    if candidate.start != coco.SOURCE:
        return kind
    most_px = coco.MOST_KNOWN_AREA_PX if candidate.knows_labels else kind.most_coco_area_px
    windows_below = coco.KNOWN_WINDOWS_BELOW if candidate.knows_labels else coco.WINDOWS_BELOW
    return dataclasses.replace(
        kind,
        input_area_px=kind.coco_area_px,
        most_area_px=max(kind.coco_area_px, min(kind.most_coco_area_px, most_px)),
        windows_below=windows_below if kind.has_windows else 0.0,
    )


def _without_inputs(job: TrainingJob, recipe: schedule.Recipe, kind: dense.ModelType, images: int) -> TrainingPlan:
    """The networks of a job in the order in which they are tried if there is time for two."""
    plain = Candidate(RANDOM, job.folder, job.fingerprint, functools.partial(dense.Network, kind.network), recipe)
    if recipe.network in (PRETRAINED, COCO):
        return _asked_for(job, recipe, images)
    if recipe.network:
        own = dataclasses.replace(plain, build=functools.partial(dense.Network, _own(recipe.network)))
        return TrainingPlan((own,), "from random weights, of the recipe")
    if not recipe.pretrained:
        return TrainingPlan((plain,), "from random weights: the settings allow no others")
    note = ""
    try:
        other = _on_coco(job, recipe, images)
    except installed.WeightsMissing as missing:
        note = "" if job.weights_dir is None else str(missing)
        if not kind.tries_pretrained:
            return TrainingPlan(
                (plain,), "from random weights, as always for this model type without COCO's weights", note
            )
        try:
            other = _on_imagenet(job, recipe)
        except efficientnet.WeightsMissing as error:
            return TrainingPlan((plain,), f"from random weights: {error}", note)
    if other.start == coco.SOURCE and (images < FEW_IMAGES or other.knows_labels):
        return TrainingPlan((other, plain), note=note)
    return TrainingPlan((plain, other), note=note)


def _asked_for(job: TrainingJob, recipe: schedule.Recipe, images: int) -> TrainingPlan:
    """The one network on weights of others that a recipe names."""
    try:
        if recipe.network == COCO:
            return TrainingPlan((_on_coco(job, recipe, images),), f"{WORDS[coco.SOURCE]}, as the recipe asks")
        return TrainingPlan((_on_imagenet(job, recipe),), f"{WORDS[pretrained.SOURCE]}, as the recipe asks")
    except (efficientnet.WeightsMissing, installed.WeightsMissing) as error:
        raise JobError(f"The recipe asks for the {recipe.network} network: {error}.") from error


def _on_imagenet(job: TrainingJob, recipe: schedule.Recipe) -> Candidate:
    weights = efficientnet.load(pretrained.PUBLISHED)

    def build(label_count: int, score_prior: float) -> dense.Network:
        return pretrained.PretrainedNetwork(label_count, score_prior).fill(weights)

    return Candidate(
        pretrained.SOURCE,
        job.folder / trained.PRETRAINED_FOLDER,
        f"{job.fingerprint}/{PRETRAINED}",
        build,
        recipe,
        step_share=pretrained.STEP_SHARE,
        step_cost=pretrained.STEP_COST,
        origin=pretrained.PUBLISHED.origin,
    )


def _on_coco(job: TrainingJob, recipe: schedule.Recipe, images: int) -> Candidate:
    if job.weights_dir is None:
        raise installed.WeightsMissing("this job names no folder of installed weights")
    found = installed.load(job.weights_dir, catalogue.NANODET_G)
    rows = [coco_labels.row_of(label["display_name"]) for label in job.labels]

    def build(label_count: int, score_prior: float) -> dense.Network:
        return coco.CocoNetwork(rows, score_prior).fill(found.tensors)

    return Candidate(
        coco.SOURCE,
        job.folder / trained.COCO_FOLDER,
        f"{job.fingerprint}/{COCO}",
        build,
        _gentle(recipe, job.recipe, images),
        step_share=coco.STEP_SHARE,
        least_steps=coco.LEAST_STEPS,
        step_cost=coco.STEP_COST,
        origin=coco.origin_of(found),
        knows_labels=any(row is not None for row in rows),
        good_score=USEFUL_SCORE if images < QUICK_IMAGES else GOOD_SCORE,
    )


def _gentle(recipe: schedule.Recipe, overrides: dict[str, object], images: int) -> schedule.Recipe:
    """The recipe for a network that knows photographs already; what a job asks for stays."""
    changes: dict[str, float] = {"colour_jitter": coco.COLOUR_SHARE * recipe.colour_jitter}
    if images < coco.MOSAIC_FROM_IMAGES:
        changes["mosaic"] = 0.0
    own = {name: value for name, value in changes.items() if name not in overrides}
    return dataclasses.replace(recipe, **own)  # type: ignore[arg-type]


def _own(choice: str | dict[str, object]) -> dense.NetworkConfig:
    try:
        return dense.network_config(choice)
    except TypeError as error:
        raise JobError(f"The recipe names no network: {error}.") from error


def is_known(images: int, untrained_score: float | None) -> bool:
    """Whether a network knows the labels so well, and has so few images, that random weights cannot catch up with it."""
    return images < FEW_IMAGES and untrained_score is not None and untrained_score >= KNOWN_SCORE


def reason_to_stop(
    first: Candidate, score: float | None, left_s: float, second_s: float, *, begun: bool, known: bool = False
) -> str:
    """Why the second network is not trained, in words; empty if it is.

    Args:
        first: the one that was trained first.
        score: of it.
        left_s: of the budget, for training.
        second_s: that the second would take.
        begun: whether an earlier attempt has begun it.
        known: as `is_known` has it.
    """
    words = WORDS[first.start]
    if score is None:
        return f"{words}: there was no validation to compare others by"
    if not first.finds_too_little(score):
        return f"{words}, and good enough: {score:.2f} on validation"
    if known:
        return f"{words}, which knew the labels before: {score:.2f} on validation, of fewer than {FEW_IMAGES} images"
    if not begun and left_s < LEAST_SHARE * second_s:
        return f"{words}: no time was left to try others"
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


def failed(first: trained.Trained, second: str) -> str:
    """Why the first network is the model although it found too little: the training from other weights failed."""
    return f"{WORDS[first.start]}: the training {WORDS[second]} failed"


def better(first: trained.Trained, second: trained.Trained) -> trained.Trained:
    """The one that validation prefers; one from random weights unless the other is clearly ahead, for it predicts faster."""
    assert first.score is not None
    words, others = WORDS[first.start], WORDS[second.start]
    if second.score is None:
        return dataclasses.replace(first, choice=f"{words}: the training {others} had no time for validation")
    first_score, second_score = first.score, second.score
    ahead = second_score - first_score
    takes_second = ahead >= GAIN if first.start == RANDOM else ahead > -GAIN
    if takes_second:
        reason = f"{others}: {second_score:.2f} on validation, {first_score:.2f} {words}"
        return dataclasses.replace(second, choice=reason)
    reason = f"{words}: {first_score:.2f} on validation, {second_score:.2f} {others}"
    return dataclasses.replace(first, choice=reason)
