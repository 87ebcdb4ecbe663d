"""One training job from examples to model folder: prepare, train, deliver.

    run(job, read_bytes, watcher, elapsed) -> Outcome

Every stage can be repeated: the checkpoint holds the trained weights, the model folder appears under its name only when it
is complete, and a job whose model folder exists is done.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Callable, Sequence
from concurrent import futures

import torch

from boxwright import errors
from boxwright.detector import (
    augment,
    candidates,
    checkpoint,
    data,
    delivery,
    device,
    evaluate,
    model,
    orientation,
    precision,
    pretrained,
    sampling,
    schedule,
    shards,
    sizing,
    trainer,
)
from boxwright.detector.job import EXAMPLES_FILE, Job, JobError
from boxwright.prediction import decode, predictor

ReadBytes = Callable[[str], bytes]

SIZE_SAMPLE = 200  # images that decide the input's size and aspect
CHECK_IMAGES = 64  # validation images looked at during training
WARM_UP_SHARE = 0.15  # of the budget, at most, for decoding images before the first step
WARM_UP_PERCENT = 1.0


@dataclasses.dataclass(frozen=True)
class _Work:
    """What every part of a job needs."""

    job: Job
    recipe: schedule.Recipe
    kind: model.ModelType
    where: device.Device
    splits: data.Splits
    read_bytes: ReadBytes
    notebook: delivery.Notebook
    elapsed: delivery.Elapsed
    images_a_pass: int


def run(job: Job, read_bytes: ReadBytes, watcher: trainer.Watcher, elapsed: delivery.Elapsed) -> delivery.Outcome:
    """Does the job, or what is left of it.

    Raises:
        JobError: it cannot be done as it stands.
        Stopped: the watcher asked for it.
        FloatingPointError: training diverged.
        UnreadableImage: too many training images cannot be read.
    """
    done = delivery.finished(job)
    if done is not None:
        return done
    where = device.choose()
    torch.set_num_threads(job.threads)
    torch.set_flush_denormal(True)  # values near zero are slow otherwise
    torch.use_deterministic_algorithms(not where.is_gpu)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # all is written anyway
    recipe = _recipe(job, where)
    notebook = delivery.Notebook(watcher)
    kind = model.MODEL_TYPES[job.model_type]
    splits = _splits(job, notebook)
    images_a_pass = sampling.pass_length(sampling.weights(splits.train))
    trained = _best(_Work(job, recipe, kind, where, splits, read_bytes, notebook, elapsed, images_a_pass))
    return delivery.Delivery(job, read_bytes, notebook, elapsed).deliver(trained)


def _best(work: _Work) -> delivery.Trained:
    """Trains what is to be tried, or what is left of it; returns the network that validation prefers."""
    job = work.job
    states = [_checkpoint(job.folder, job, work.notebook)]
    chosen = trainer.input_of(states[0]) if states[0] else _input(work)
    time = _time(work)
    second_s = time.needed_s(chosen.input_hw) * pretrained.RELATIVE_TIME
    plan = candidates.plan(job, work.recipe, work.kind, time, chosen.input_hw, len(work.splits.train))
    if len(plan.candidates) > 1:
        states.append(_checkpoint(plan.candidates[1].folder, job, work.notebook))
    for number, (candidate, state) in enumerate(zip(plan.candidates, states, strict=True)):
        if state is not None and state.fingerprint != candidate.fingerprint:
            work.notebook.warn("Training starts anew: the checkpoint belongs to another network.")
            states[number] = None
    work.elapsed.before_s = max((one.elapsed_s for one in states if one is not None), default=0.0)
    cache = data.PixelCache(work.read_bytes, chosen.input_hw, job.cache_bytes)
    first = _train(work, plan.candidates[0], states[0], chosen, cache, None, second_s if len(states) > 1 else 0.0)
    if len(states) == 1:
        return dataclasses.replace(first, choice=plan.reason)
    if not candidates.finds_too_little(first.score):
        return dataclasses.replace(first, choice="from random weights, and good enough")
    left_s = job.budget_s - _reserve_s(job, work.splits, delivery.DECODE_IMAGE_S, chosen.input_hw) - work.elapsed()
    if states[1] is None and left_s < candidates.LEAST_SHARE * second_s:
        return dataclasses.replace(first, choice="from random weights: no time was left to try others")
    try:
        second = _train(work, plan.candidates[1], states[1], chosen, cache, first.ways_up, 0.0)
    except FloatingPointError as error:
        work.notebook.warn(f"The network on pretrained weights is given up. {error}")
        return dataclasses.replace(first, choice="from random weights: the other training diverged")
    return candidates.better(first, second)


def _train(
    work: _Work,
    candidate: candidates.Candidate,
    state: checkpoint.State | None,
    chosen: sizing.Choice,
    cache: data.PixelCache,
    ways_up: orientation.Orientation | None,
    second_s: float,
) -> delivery.Trained:
    """Trains one network, or what is left of it.

    Args:
        work: the job.
        candidate: what to train.
        state: its checkpoint, if there is one.
        chosen: the input.
        cache: of the training images.
        ways_up: which ways up the objects may be, if another network has found out.
        second_s: what another network would take after this one, 0.0 if there is none to try.
    """
    job = work.job
    torch.manual_seed(job.seed)
    boxes_per_image = sum(len(one.label_indices) for one in work.splits.train) / len(work.splits.train)
    prior = model.score_prior(boxes_per_image, len(job.labels), chosen.input_hw)
    network = candidate.build(len(job.labels), prior)
    if state is not None and state.trained:
        network.load_state_dict(state.average)
        stop_reason, steps, history, checks = state.stop_reason, state.step, state.history, state.checks
        known = trainer.orientation_of(state)
    else:
        learner = _trainer(work, candidate, network, chosen, cache, second_s)
        if ways_up is not None:
            learner.plan.ways_up = dataclasses.replace(ways_up, from_step=0)
        if state is not None:
            learner.restore(state)
        stop_reason = learner.run()
        network, steps, history, checks = learner.average.to("cpu"), learner.step, learner.history, learner.checks
        known = learner.plan.ways_up
    network.eval()
    return delivery.Trained(
        network=network,
        input=chosen,
        splits=work.splits,
        steps=steps,
        batch_size=work.recipe.batch_size,
        stop_reason=stop_reason,
        training_s=work.elapsed(),
        history=history,
        ways_up=known,
        start=candidate.start,
        score=checks[-1][1] if checks else None,
    )


def _recipe(job: Job, where: device.Device) -> schedule.Recipe:
    if job.model_type not in model.MODEL_TYPES:
        raise JobError(f"Unknown model type '{job.model_type}'; use one of {', '.join(model.MODEL_TYPES)}.")
    try:
        return schedule.Recipe.from_job(job.recipe, large_batches=where.is_gpu)
    except TypeError as error:
        raise JobError(f"Unknown recipe field: {error}.") from error


def _splits(job: Job, watcher: trainer.Watcher) -> data.Splits:
    try:
        examples = data.read_examples(job.folder / EXAMPLES_FILE)
    except ValueError as error:
        raise JobError(f"{error}.") from error
    splits = data.resolve_splits(examples)
    for note in splits.notes:
        watcher.warn(note)
    highest = max((int(one.label_indices.max()) for one in examples if len(one.label_indices)), default=-1)
    if not any(len(one.label_indices) for one in splits.train):
        raise JobError("There is nothing to learn from: no training image has a bounding box.")
    if highest >= len(job.labels):
        raise JobError(f"A box refers to label {highest}, but there are only {len(job.labels)} labels.")
    return splits


def _checkpoint(folder: pathlib.Path, job: Job, watcher: trainer.Watcher) -> checkpoint.State | None:
    try:
        state = checkpoint.load(folder)
    except checkpoint.CheckpointError as error:
        watcher.warn(f"Training starts anew: {error}.")
        return None
    if state is not None and not state.fingerprint.startswith(job.fingerprint):
        watcher.warn("Training starts anew: the checkpoint belongs to another job.")
        return None
    return state


def _input(work: _Work) -> sizing.Choice:
    """Looks at some of the training images and chooses the network's input."""
    recipe, kind = work.recipe, work.kind
    holding = [one for one in work.splits.train if len(one.label_indices)]
    sample = holding[:: max(1, len(holding) // SIZE_SAMPLE)][:SIZE_SAMPLE]

    def size_hw(example: data.Example) -> tuple[int, int] | None:
        try:
            return decode.upright_size(work.read_bytes(example.uri))
        except (OSError, LookupError, errors.ApiError, decode.DecodeError):
            return None  # reported when it is needed for training

    with futures.ThreadPoolExecutor(work.job.threads) as pool:
        sizes = list(pool.map(size_hw, sample))
    seen = [(size, one) for size, one in zip(sizes, sample, strict=True) if size is not None]
    evidence = sizing.Evidence(
        [size for size, _ in seen], [one.boxes_norm for _, one in seen], [one.label_indices for _, one in seen]
    )
    if recipe.input_area_px:
        kind = dataclasses.replace(kind, input_area_px=recipe.input_area_px, most_area_px=recipe.input_area_px)
    return sizing.choose(evidence, kind, _time(work))


def _time(work: _Work) -> sizing.Time:
    """What the planned steps may take, by nominal speeds."""
    job, recipe, where = work.job, work.recipe, work.where
    px_per_s = sizing.LOW_PRECISION_PX_PER_S if where.low_precision else sizing.FULL_PRECISION_PX_PER_S
    parts = shards.count_for(job.threads, recipe.batch_size)  # more threads than that were not measured
    return sizing.Time(
        budget_s=job.budget_s,
        samples=_steps(recipe, work.images_a_pass) * recipe.batch_size,
        px_per_s=sizing.GPU_PX_PER_S if where.is_gpu else parts * px_per_s,
        reserve_s=lambda input_hw: _reserve_s(job, work.splits, delivery.DECODE_IMAGE_S, input_hw),
    )


def _steps(recipe: schedule.Recipe, images: int, share: float = 1.0) -> int:
    return recipe.steps or schedule.planned_steps(images, recipe.batch_size, share)


def _reserve_s(job: Job, splits: data.Splits, image_s: float, input_hw: tuple[int, int]) -> float:
    """Seconds to set aside for everything that follows the last step."""
    evaluated = len(splits.test or splits.validation)
    quantising_s = precision.reserve_s(splits, job.budget_s, job.threads, image_s, input_hw)
    return delivery.reserve_s(evaluated, image_s, job.threads, input_hw) + quantising_s


def _warm_cache(
    examples: Sequence[data.Example],
    cache: data.PixelCache,
    threads: int,
    budget_s: float,
    watcher: trainer.Watcher,
    elapsed: delivery.Elapsed,
) -> float:
    """Decodes images ahead of the first step; returns seconds per image."""
    started_s, done, chunk = elapsed(), 0, 4 * threads
    with futures.ThreadPoolExecutor(threads) as pool:
        for first in range(0, len(examples), chunk):
            if watcher.stop_requested():
                raise trainer.Stopped
            if cache.is_full or elapsed() - started_s > WARM_UP_SHARE * budget_s:
                break
            done += sum(pool.map(cache.warm, [example.uri for example in examples[first : first + chunk]]))
            watcher.progress(WARM_UP_PERCENT * first / len(examples), "training", step=0, steps=0, epoch=0.0, losses={})
    return (elapsed() - started_s) / max(1, done)


def _validation_set(
    examples: Sequence[data.Example], input_hw: tuple[int, int], read_bytes: ReadBytes
) -> trainer.ValidationSet:
    stride = max(1, math.ceil(len(examples) / CHECK_IMAGES))
    images, coarse_images, ground_truth = [], [], []
    for example in examples[::stride]:
        try:
            image = decode.decode(read_bytes(example.uri), input_hw)
        except (OSError, LookupError, errors.ApiError, decode.DecodeError):
            continue  # reported by the final evaluation
        images.append(predictor.letterbox(image, input_hw))
        coarse_images.append(predictor.letterbox(image, schedule.coarse_hw(input_hw)))
        ground_truth.append(evaluate.GroundTruth(example.boxes_norm, example.label_indices))
    return trainer.ValidationSet(images, ground_truth, coarse_images)


def _trainer(
    work: _Work,
    candidate: candidates.Candidate,
    network: model.Network,
    chosen: sizing.Choice,
    cache: data.PixelCache,
    second_s: float,
) -> trainer.Trainer:
    job, recipe, splits, input_hw = work.job, work.recipe, work.splits, chosen.input_hw
    image_s = _warm_cache(splits.train, cache, job.threads, job.budget_s, work.notebook, work.elapsed)
    reserve_s = _reserve_s(job, splits, image_s, input_hw)
    warn = work.notebook.warn
    source = augment.BatchSource(splits.train, cache, seed=job.seed, batch_size=recipe.batch_size, warn=warn)
    plan = schedule.Schedule(
        steps=_steps(recipe, source.epoch_length, candidate.step_share),
        input_hw=input_hw,
        train_until_s=max(job.budget_s / 2, job.budget_s - reserve_s),
        recipe=recipe,
    )
    delivery_s = delivery.expected_s(splits, job.budget_s, job.threads, input_hw)

    def after_s(checks: Sequence[tuple[float, float]]) -> float:
        goes_on = bool(checks) and candidates.finds_too_little(checks[-1][1])
        return delivery_s + (second_s if goes_on else 0.0)

    setting = trainer.Setting(
        folder=candidate.folder,
        fingerprint=candidate.fingerprint,
        image_count=source.epoch_length,
        threads=job.threads,
        elapsed_s=work.elapsed,
        where=work.where,
        after_s=after_s,
        input=chosen,
        start=candidate.start,
    )
    candidate.folder.mkdir(exist_ok=True)
    validation = _validation_set(splits.validation, input_hw, work.read_bytes)
    return trainer.Trainer(network, source, plan, recipe, setting, validation, work.notebook)
