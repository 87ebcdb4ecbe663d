"""One training job from examples to model folder: prepare, train, deliver.

    run(job, read_bytes, watcher, elapsed) -> Outcome

Every stage can be repeated: a checkpoint holds the trained weights, the model folder appears under its name only when it
is complete, and a job whose model folder exists is done.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib

import torch
from torch import Tensor

from boxwright.detector.data import dataset, sampling
from boxwright.detector.delivery import finish
from boxwright.detector.evaluation import intervals
from boxwright.detector.network import dense
from boxwright.detector.planning import candidates, hold_out, input_size, schedule, time_budget, trained
from boxwright.detector.training import fit, trainer
from boxwright.learning import checkpoint, device, input_frame, listener, parallel_step
from boxwright.learning import sampling as learning_sampling
from boxwright.learning import trainer as learning_trainer
from boxwright.learning.job import EXAMPLES_FILE, JobError, Outcome, TrainingJob

FINAL_LOSS = 0.02  # of the score, on images that it had not seen before: what has learned from them should find them
SIZE_SAMPLE = 200  # images that decide the input's size and aspect


def run(
    job: TrainingJob, read_bytes: fit.ReadBytes, watcher: listener.ProgressListener, elapsed: listener.ElapsedTime
) -> Outcome:
    """Does the job, or what is left of it.

    Raises:
        JobError: it cannot be done as it stands.
        TrainingStopped: the listener asked for it.
        FloatingPointError: training diverged.
        UnreadableImage: too many training images cannot be read.
    """
    done = finish.finished(job)
    if done is not None:
        return done
    where = device.prepared(job.threads)
    notebook = listener.ProgressRelay(watcher)
    splits = _splits(job, notebook)
    images_a_pass = learning_sampling.pass_length(sampling.weights(splits.train))
    recipe = _recipe(job, where, images_a_pass)
    work = fit.TrainingContext(job, recipe, where, splits, read_bytes, notebook, elapsed, images_a_pass)
    return finish.ModelBuilder(job, read_bytes, notebook, elapsed).deliver(_best(work))


def _best(work: fit.TrainingContext) -> trained.Trained:
    """Trains what is to be tried, or what is left of it; returns the network that is to be the model."""
    job = work.job
    states = {folder: _checkpoint(folder, work) for folder in candidates.folders(job)}
    known = [state for state in states.values() if state is not None]
    work.elapsed.before_s = max((state.elapsed_s for state in known), default=0.0)
    time, kind = _time(work), dense.MODEL_TYPES[job.model_type]
    evidence = functools.cache(lambda: _evidence(work))

    def choose(folder: pathlib.Path, of: dense.ModelType, within: input_size.TimeBudget) -> input_size.InputSize:
        state = states[folder]
        return trainer.input_of(state) if state else _input(work.recipe, evidence(), of, within)

    plan = candidates.plan(job, work.recipe, kind, time, choose, len(work.splits.train), work.images_a_pass)
    held = hold_out.choose(plan, work.splits, time, work.images_a_pass) if work.recipe.holds_out else None
    learner = fit.CandidateTrainer(work)
    if held is not None:
        plan = held.plan
        learner.turn_to(held.trial)
    best = _best_of(plan, work, learner, time, states)
    if work.notebook.finish_requested() and best.score is not None and best.score < schedule.LEAST_SCORE:
        raise listener.TrainingStopped  # nothing that anybody would want
    choice = best.choice
    if best.untrained_score is not None and best.steps == 0:
        choice += "; as they are: training has brought nothing on validation"
    best = dataclasses.replace(best, choice="; ".join(part for part in (choice, plan.note) if part))
    if held is not None:
        return _with_all_images(work, learner, held, best, states)
    few = hold_out.holding(work.splits.validation)
    if 0 < few < schedule.ENOUGH_IMAGES and (len(plan.candidates) > 1 or best.untrained_score is not None):
        work.notebook.warn(
            f"VALIDATION has only {few} images with objects, so the choice of the network is uncertain: add more images "
            f"there, {schedule.ENOUGH_IMAGES} at least."
        )
    return best


def _with_all_images(
    work: fit.TrainingContext,
    learner: fit.CandidateTrainer,
    held: hold_out.HoldOutPlan,
    chosen: trained.Trained,
    states: dict[pathlib.Path, checkpoint.State | None],
) -> trained.Trained:
    """Lets the chosen network learn from all images, unless it has won as it was, or the training is to end."""
    certainty = None
    if chosen.judged is not None and chosen.rivals:
        certainty = intervals.agreement(chosen.judged, chosen.rivals)
    learned = None
    if held.finals and chosen.steps and chosen.score is not None and not work.notebook.finish_requested():
        learned = _final(work, learner, held, chosen, states)
    work.notebook.warn(held.in_words(chosen.steps > 0, learned is not None))
    made = trained.ChoiceRecord(held.judges, certainty, learned is not None)
    return dataclasses.replace(learned or chosen, splits=work.splits, choice_made=made)


def _final(
    work: fit.TrainingContext,
    learner: fit.CandidateTrainer,
    held: hold_out.HoldOutPlan,
    chosen: trained.Trained,
    states: dict[pathlib.Path, checkpoint.State | None],
) -> trained.Trained | None:
    """Trains the chosen network on all images; None if that fails or does not end, for the trial has left one."""
    assert held.final is not None and chosen.score is not None
    candidate = held.finals[chosen.start]
    state = _own(states[candidate.folder], candidate, work.notebook)
    learner.turn_to(held.final)
    after = _attempt(work, learner, candidate, state, chosen, weights=chosen.network.state_dict())
    if after is None or after.steps == 0 or after.stop_reason == learning_trainer.EARLY_STOPPED:
        return None
    learner.turn_to(held.trial)
    if learner.score(after.network) < chosen.score - FINAL_LOSS:  # of images that it has learned by now
        work.notebook.warn("The training on all images has made the network worse: the one before it is the model.")
        return None
    return dataclasses.replace(
        chosen,
        network=after.network,
        steps=chosen.steps + after.steps,
        stop_reason=after.stop_reason,
        training_s=after.training_s,
        history=_joined(chosen, after),
        images_a_pass=after.images_a_pass,
    )


def _joined(chosen: trained.Trained, after: trained.Trained) -> dict[str, list[list[float]]]:
    """The record of two trainings of one network, one after the other."""
    later = [[chosen.steps + step, *values] for step, *values in after.history["losses"]]
    return {**chosen.history, "losses": [*chosen.history["losses"], *later]}


def _best_of(
    plan: candidates.TrainingPlan,
    work: fit.TrainingContext,
    learner: fit.CandidateTrainer,
    time: input_size.TimeBudget,
    states: dict[pathlib.Path, checkpoint.State | None],
) -> trained.Trained:
    """Trains the plan's networks; returns the better one."""
    found = [_own(states[candidate.folder], candidate, work.notebook) for candidate in plan.candidates]
    if len(found) == 1:
        return dataclasses.replace(learner.train(plan.candidates[0], found[0]), choice=plan.reason)
    second_s = plan.candidates[1].needed_s(time, work.images_a_pass)
    first = learner.train(plan.candidates[0], found[0], second_s=second_s)
    if work.notebook.finish_requested():
        return dataclasses.replace(first, choice=f"{candidates.WORDS[first.start]}: the training was ended on request")
    reason = candidates.reason_to_stop(
        plan.candidates[0],
        first.score,
        learner.left_s(plan.candidates[1]),
        second_s,
        begun=found[1] is not None,
        known=candidates.is_known(len(work.splits.train), first.untrained_score),
    )
    if reason:
        return dataclasses.replace(first, choice=reason)
    second = _attempt(work, learner, plan.candidates[1], found[1], first)
    if second is None:
        return dataclasses.replace(first, choice=candidates.failed(first, plan.candidates[1].start))
    better = candidates.better(first, dataclasses.replace(second, training_s=second.training_s - first.training_s))
    other = first if better.start == second.start else second
    if other.judged is None:
        return better
    lead = -candidates.GAIN if better.start == candidates.RANDOM else candidates.GAIN
    return dataclasses.replace(better, rivals=(*better.rivals, (other.judged, lead)))


def _attempt(
    work: fit.TrainingContext,
    learner: fit.CandidateTrainer,
    candidate: candidates.Candidate,
    state: checkpoint.State | None,
    first: trained.Trained,
    weights: dict[str, Tensor] | None = None,
) -> trained.Trained | None:
    """Trains another network, or goes on with one; None if that fails, for the first one is a model already."""
    words = candidates.WORDS[candidate.start]
    if weights is not None:
        words += " on all images"
    is_done = state is not None and state.trained  # what dies from now on dies of something else
    if not is_done and not candidates.begin(candidate.folder, state.step if state else 0):
        work.notebook.warn(f"The training {words} is given up: earlier attempts have died of it.")
        return None
    try:
        return learner.train(candidate, state, ways_up=first.ways_up, weights=weights)
    except listener.TrainingStopped:
        candidates.forget_attempts(candidate.folder)
        raise
    except (FloatingPointError, MemoryError, torch.OutOfMemoryError) as error:
        work.notebook.warn(f"The training {words} is given up: {error}")
        candidates.give_up(candidate.folder)
        return None


def _own(
    state: checkpoint.State | None, candidate: candidates.Candidate, watcher: listener.ProgressListener
) -> checkpoint.State | None:
    if state is not None and state.fingerprint != candidate.fingerprint:
        watcher.warn("Training starts anew: the checkpoint belongs to another network.")
        return None
    return state


def _recipe(job: TrainingJob, where: device.Device, images_a_pass: int) -> schedule.Recipe:
    if job.model_type not in dense.MODEL_TYPES:
        raise JobError(f"Unknown model type '{job.model_type}'; use one of {', '.join(dense.MODEL_TYPES)}.")
    try:
        pays = job.threads >= schedule.MANY_CORES and images_a_pass >= schedule.LARGE_FROM_IMAGES
        return schedule.Recipe.from_job(job.recipe, large_batches=where.is_gpu or pays)
    except TypeError as error:
        raise JobError(f"Unknown recipe field: {error}.") from error


def _splits(job: TrainingJob, watcher: listener.ProgressListener) -> dataset.Splits:
    try:
        examples = dataset.read_examples(job.folder / EXAMPLES_FILE)
    except ValueError as error:
        raise JobError(f"{error}.") from error
    splits = dataset.resolve_splits(examples)
    for note in splits.notes:
        watcher.warn(note)
    highest = max((int(one.label_indices.max()) for one in examples if len(one.label_indices)), default=-1)
    if not any(len(one.label_indices) for one in splits.train):
        raise JobError("There is nothing to learn from: no training image has a bounding box.")
    if highest >= len(job.labels):
        raise JobError(f"A box refers to label {highest}, but there are only {len(job.labels)} labels.")
    return splits


def _checkpoint(folder: pathlib.Path, work: fit.TrainingContext) -> checkpoint.State | None:
    try:
        state = checkpoint.load(folder)
    except checkpoint.CheckpointError as error:
        work.notebook.warn(f"Training starts anew: {error}.")
        return None
    if state is not None and not state.fingerprint.startswith(work.job.fingerprint):
        work.notebook.warn("Training starts anew: the checkpoint belongs to another job.")
        return None
    if state is not None and not state.trained and state.schedule["batch_size"] != work.recipe.batch_size:
        work.notebook.warn(
            "Training starts anew: a GPU came or went, and steps take another number of images than before."
        )
        return None
    return state


def _evidence(work: fit.TrainingContext) -> input_size.ObjectSizes:
    """Looks at some of the training images."""
    holding = [one for one in work.splits.train if len(one.label_indices)]
    sample = holding[:: max(1, len(holding) // SIZE_SAMPLE)][:SIZE_SAMPLE]
    sizes = input_frame.upright_sizes(sample, work.read_bytes, work.job.threads)
    seen = [(size, one) for size, one in zip(sizes, sample, strict=True) if size is not None]
    return input_size.ObjectSizes(
        [size for size, _ in seen], [one.boxes_norm for _, one in seen], [one.label_indices for _, one in seen]
    )


def _input(
    recipe: schedule.Recipe, evidence: input_size.ObjectSizes, kind: dense.ModelType, time: input_size.TimeBudget
) -> input_size.InputSize:
    """Chooses a network's input, or takes the recipe's."""
    if recipe.input_area_px:
        kind = dataclasses.replace(kind, input_area_px=recipe.input_area_px, most_area_px=recipe.input_area_px)
    return input_size.choose(evidence, kind, time)


def _time(work: fit.TrainingContext) -> input_size.TimeBudget:
    """What the planned steps may take, by nominal speeds."""
    job, recipe, where = work.job, work.recipe, work.where
    px_per_s = input_size.LOW_PRECISION_PX_PER_S if where.low_precision else input_size.FULL_PRECISION_PX_PER_S
    parts = parallel_step.count_for(job.threads, recipe.batch_size)
    return input_size.TimeBudget(
        budget_s=job.budget_s,
        samples=lambda passes: recipe.steps_for(work.images_a_pass, passes) * recipe.batch_size,
        px_per_s=input_size.GPU_PX_PER_S if where.is_gpu else parts * px_per_s,
        reserve_s=lambda input_hw: fit.reserve_s(work, time_budget.DECODE_IMAGE_S, input_hw),
    )
