"""One training job from examples to model folder: prepare, train, export, evaluate, publish.

    run(job, read_bytes, watcher, elapsed) -> Outcome

Every stage can be repeated: the checkpoint holds the trained weights, the model folder appears under its name only when it
is complete, and a job whose model folder exists is done.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from concurrent import futures

import numpy as np
import torch

import boxwright
from boxwright import boxes, errors
from boxwright.detector import augment, checkpoint, data, evaluate, export, model, schedule, trainer
from boxwright.detector.job import EXAMPLES_FILE, Job, JobError
from boxwright.prediction import decode, predictor

ReadBytes = Callable[[str], bytes]

SIZE_SAMPLE = 64  # images that decide the input's aspect
CHECK_IMAGES = 64  # validation images looked at during training
WARM_UP_SHARE = 0.15  # of the budget, at most, for decoding images before the first step
EXPORT_S = 8.0  # write the graph, compile it, open it
EVALUATION_IMAGE_S = 0.05  # network and suppression on a busy core
LAST_SECONDS_S = 3.0  # evaluation stops this long before the budget ends
TRAINING_PERCENT = (2.0, 90.0)
EVALUATION_PERCENT = (92.0, 99.0)
DRAFT_FOLDER = "model.draft"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a job ended."""

    stop_reason: str
    elapsed_s: float
    weights_sha256: str


class Elapsed:
    """Seconds spent on a job: earlier attempts, as the checkpoint tells, and this process."""

    def __init__(self, clock: Callable[[], float], started_s: float) -> None:
        self._clock = clock
        self._started_s = started_s
        self.before_s = 0.0

    def __call__(self) -> float:
        return self.before_s + self._clock() - self._started_s


class _TrainingPart:
    """Shows the trainer's progress as a part of the job's."""

    def __init__(self, watcher: trainer.Watcher) -> None:
        self._watcher = watcher
        self.warn = watcher.warn
        self.stop_requested = watcher.stop_requested

    def progress(self, percent: float, stage: str, **details: object) -> None:
        first, last = TRAINING_PERCENT
        self._watcher.progress(first + (last - first) * percent, stage, **details)


def run(job: Job, read_bytes: ReadBytes, watcher: trainer.Watcher, elapsed: Elapsed) -> Outcome:
    """Does the job, or what is left of it.

    Raises:
        JobError: it cannot be done as it stands.
        Stopped: the watcher asked for it.
        FloatingPointError: training diverged.
        UnreadableImage: too many training images cannot be read.
    """
    done = _finished(job)
    if done is not None:
        return done
    torch.set_num_threads(job.threads)
    torch.set_flush_denormal(True)  # values near zero are slow otherwise
    torch.use_deterministic_algorithms(True)
    recipe = _recipe(job)
    splits = _splits(job, watcher)
    state = _checkpoint(job, watcher)
    if state is not None:
        elapsed.before_s = state.elapsed_s
    kind = model.MODEL_TYPES[job.model_type]
    input_hw = _input_hw(splits.train, read_bytes, recipe.input_area_px or kind.input_area_px)
    torch.manual_seed(job.seed)
    network = model.Network(model.TINY if recipe.network == "tiny" else kind.network, len(job.labels))
    if state is not None and state.trained:
        network.load_state_dict(state.average)
        outcome = Outcome(state.stop_reason, elapsed(), "")
        steps = state.step
    else:
        learner = _trainer(job, recipe, splits, network, input_hw, read_bytes, watcher, elapsed)
        if state is not None:
            learner.restore(state)
        outcome = Outcome(learner.run(), elapsed(), "")
        network, steps = learner.average, learner.step
    network.eval()
    outcome = dataclasses.replace(outcome, weights_sha256=checkpoint.weights_sha256(network.state_dict()))
    return _deliver(job, network, input_hw, splits, steps, recipe, outcome, read_bytes, watcher, elapsed)


def _finished(job: Job) -> Outcome | None:
    target = job.folder / export.MODEL_FOLDER
    if not target.exists():
        return None
    provenance = predictor.ModelInfo.read(target).document["provenance"]
    return Outcome(provenance["stop_reason"], provenance["elapsed_s"], provenance["weights_sha256"])


def _recipe(job: Job) -> schedule.Recipe:
    if job.model_type not in model.MODEL_TYPES:
        raise JobError(f"Unknown model type '{job.model_type}'; use one of {', '.join(model.MODEL_TYPES)}.")
    try:
        return schedule.Recipe.from_job(job.recipe)
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


def _checkpoint(job: Job, watcher: trainer.Watcher) -> checkpoint.State | None:
    try:
        state = checkpoint.load(job.folder)
    except checkpoint.CheckpointError as error:
        watcher.warn(f"Training starts anew: {error}.")
        return None
    if state is not None and state.fingerprint != job.fingerprint:
        watcher.warn("Training starts anew: the checkpoint belongs to another job.")
        return None
    return state


def _input_hw(examples: Sequence[data.Example], read_bytes: ReadBytes, area_px: int) -> tuple[int, int]:
    stride = max(1, len(examples) // SIZE_SAMPLE)
    sizes_hw = []
    for example in examples[::stride][:SIZE_SAMPLE]:
        try:
            sizes_hw.append(decode.upright_size(read_bytes(example.uri)))
        except (OSError, LookupError, errors.ApiError, decode.DecodeError):
            continue  # reported when it is needed for training
    return model.choose_input_hw(area_px, sizes_hw)


def _warm_cache(
    examples: Sequence[data.Example],
    cache: data.PixelCache,
    threads: int,
    budget_s: float,
    watcher: trainer.Watcher,
    elapsed: Elapsed,
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
            watcher.progress(
                TRAINING_PERCENT[0] * first / len(examples), "training", step=0, steps=0, epoch=0.0, losses={}
            )
    return (elapsed() - started_s) / max(1, done)


def _validation_set(
    examples: Sequence[data.Example], input_hw: tuple[int, int], read_bytes: ReadBytes
) -> trainer.ValidationSet:
    stride = max(1, math.ceil(len(examples) / CHECK_IMAGES))
    images, ground_truth = [], []
    for example in examples[::stride]:
        try:
            image = decode.decode(read_bytes(example.uri), input_hw)
        except (OSError, LookupError, errors.ApiError, decode.DecodeError):
            continue  # reported by the final evaluation
        images.append(predictor.letterbox(image, input_hw))
        ground_truth.append(evaluate.GroundTruth(example.boxes_norm, example.label_indices))
    return trainer.ValidationSet(images, ground_truth)


def _trainer(
    job: Job,
    recipe: schedule.Recipe,
    splits: data.Splits,
    network: model.Network,
    input_hw: tuple[int, int],
    read_bytes: ReadBytes,
    watcher: trainer.Watcher,
    elapsed: Elapsed,
) -> trainer.Trainer:
    cache = data.PixelCache(read_bytes, input_hw, job.cache_bytes)
    image_s = _warm_cache(splits.train, cache, job.threads, job.budget_s, watcher, elapsed)
    evaluated = len(splits.test or splits.validation)
    reserve_s = EXPORT_S + LAST_SECONDS_S + evaluated * (EVALUATION_IMAGE_S / job.threads + 2 * image_s)
    plan = schedule.Schedule(
        steps=recipe.steps or schedule.planned_steps(len(splits.train), recipe.batch_size),
        input_hw=input_hw,
        train_until_s=max(job.budget_s / 2, job.budget_s - reserve_s),
        mosaic=recipe.mosaic,
    )
    source = augment.BatchSource(splits.train, cache, seed=job.seed, batch_size=recipe.batch_size, warn=watcher.warn)
    setting = trainer.Setting(job.folder, job.fingerprint, len(splits.train), job.threads, elapsed)
    validation = _validation_set(splits.validation, input_hw, read_bytes)
    return trainer.Trainer(network, source, plan, recipe, setting, validation, _TrainingPart(watcher))


def _deliver(
    job: Job,
    network: model.Network,
    input_hw: tuple[int, int],
    splits: data.Splits,
    steps: int,
    recipe: schedule.Recipe,
    outcome: Outcome,
    read_bytes: ReadBytes,
    watcher: trainer.Watcher,
    elapsed: Elapsed,
) -> Outcome:
    """Exports, checks and evaluates the network, then gives the model folder its name."""
    watcher.progress(TRAINING_PERCENT[1], "exporting")
    draft = job.folder / DRAFT_FOLDER
    provenance = {
        "boxwright_version": boxwright.__version__,
        "seed": job.seed,
        "threads": job.threads,
        "steps": steps,
        "epochs": round(steps * recipe.batch_size / len(splits.train), 2),
        "images": {"TRAIN": len(splits.train), "VALIDATION": len(splits.validation), "TEST": len(splits.test)},
        "stop_reason": outcome.stop_reason,
        "training_s": round(outcome.elapsed_s, 1),
        "elapsed_s": round(elapsed(), 1),
        "weights_sha256": outcome.weights_sha256,
        "initial_weights": "random",
    }
    export.write_draft(
        draft,
        network,
        labels=job.labels,
        model_type=job.model_type,
        input_hw=input_hw,
        score_floor=export.DEFAULT_SCORE_FLOOR if job.score_floor is None else job.score_floor,
        provenance=provenance,
    )
    opened = predictor.Predictor.open(draft, streams=job.threads)
    _check_agreement(network, opened)
    evaluation = _evaluate(job, opened, splits, read_bytes, watcher, elapsed)
    if watcher.stop_requested():
        raise trainer.Stopped
    export.publish(draft, job.folder / export.MODEL_FOLDER, evaluation)
    (job.folder / checkpoint.CHECKPOINT_FILE).unlink(missing_ok=True)
    return dataclasses.replace(outcome, elapsed_s=elapsed())


def _check_agreement(network: model.Network, opened: predictor.Predictor) -> None:
    """Compares the exported network with the trained one on noise.

    Raises:
        JobError: they differ; the export is wrong and must not be used.
    """
    height, width = opened.input_hw
    pixels = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    raw = opened.infer(predictor.Prepared(pixels, (0, 0), (width, height), (height, width)))
    boxes_px, scores = network.predict(torch.from_numpy(pixels))
    score_gap = float(np.abs(raw.scores - scores[0].numpy()).max())
    box_gap_px = float(np.abs(raw.boxes_px - boxes_px[0].numpy()).max())
    if not (score_gap <= export.AGREEMENT_SCORE and box_gap_px <= export.AGREEMENT_PX):
        raise JobError(
            f"The exported network differs from the trained one: scores by {score_gap:.2g}, boxes by {box_gap_px:.2g} px."
        )


def _evaluate(
    job: Job,
    opened: predictor.Predictor,
    splits: data.Splits,
    read_bytes: ReadBytes,
    watcher: trainer.Watcher,
    elapsed: Elapsed,
) -> dict[str, object]:
    """Predicts the test images with the exported model and evaluates the answers."""
    split = "TEST" if splits.test else "VALIDATION"
    examples = splits.test or splits.validation
    if split == "VALIDATION":
        watcher.warn("There is no test image: the model is evaluated on the validation images.")

    def predict(example: data.Example) -> boxes.Detections | str:
        try:
            return opened.predict(read_bytes(example.uri))
        except decode.DecodeError as error:
            return error.reason
        except (OSError, LookupError, errors.ApiError) as error:
            return f"the image cannot be read: {error}"

    ground_truth: list[evaluate.GroundTruth] = []
    found: list[boxes.Detections] = []
    chunk = 4 * job.threads
    with futures.ThreadPoolExecutor(job.threads) as pool:
        for first in range(0, len(examples), chunk):
            if watcher.stop_requested():
                raise trainer.Stopped
            if first and elapsed() > job.budget_s - LAST_SECONDS_S:
                watcher.warn(f"The budget ends: only {first} of {len(examples)} images are evaluated.")
                break
            low, high = EVALUATION_PERCENT
            watcher.progress(low + (high - low) * first / len(examples), "evaluating")
            part = examples[first : first + chunk]
            for example, answer in zip(part, pool.map(predict, part), strict=True):
                if isinstance(answer, str):
                    watcher.warn(f"An image is left out of the evaluation. {example.uri}: {answer}")
                    continue
                found.append(answer)
                ground_truth.append(evaluate.GroundTruth(example.boxes_norm, example.label_indices))
    return evaluate.evaluate(job.labels, ground_truth, found, split=split)
