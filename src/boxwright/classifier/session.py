"""One training job from examples to model folder: prepare, train, deliver.

    run(job, read_bytes, watcher, elapsed) -> Outcome

Every stage can be repeated: features and checkpoint are kept, the model folder appears under its name only when it is
complete, and a job whose model folder exists is done.
"""

from __future__ import annotations

from boxwright.classifier.data import dataset
from boxwright.classifier.delivery import finish, time_budget
from boxwright.classifier.network import network
from boxwright.classifier.training import fit, input_size, recipe, start, trained
from boxwright.inference import model_folder
from boxwright.learning import device, listener
from boxwright.learning.job import EXAMPLES_FILE, JobError, Outcome, TrainingJob


def run(
    job: TrainingJob, read_bytes: trained.ReadBytes, watcher: listener.ProgressListener, elapsed: listener.ElapsedTime
) -> Outcome:
    """Does the job, or what is left of it.

    Raises:
        JobError: it cannot be done as it stands.
        TrainingStopped: the listener asked for it.
        UnreadableImage: too many training images cannot be read.
    """
    done = finish.finished(job)
    if done is not None:
        return done
    where = device.prepared(job.threads)
    notebook = listener.ProgressRelay(watcher)
    kind, own = _kind(job), _recipe(job)
    if not own.pretrained:
        raise JobError(
            "Image classification starts from published weights, and the setting train_pretrained allows none: set it to "
            "true, or train a dataset for object detection."
        )
    splits = _splits(job, notebook)
    begun = start.load(kind, job.base_model_dir, [label["display_name"] for label in job.labels])
    chosen = _input(job, own, kind, where, splits, read_bytes)
    kind = kind.with_input(chosen.input_hw)
    reserve_s = time_budget.reserve_s(splits, kind, job.budget_s, job.threads)
    work = trained.TrainingContext(
        job, own, kind, where, splits, read_bytes, notebook, elapsed, chosen.reason, reserve_s
    )
    return finish.ModelBuilder(work).deliver(fit.train(work, begun))


def _kind(job: TrainingJob) -> network.ModelType:
    if job.model_type not in network.MODEL_TYPES:
        raise JobError(f"Unknown model type '{job.model_type}'; use one of {', '.join(network.MODEL_TYPES)}.")
    if job.classification_type not in (model_folder.MULTICLASS, model_folder.MULTILABEL):
        raise JobError(f"Unknown classification type '{job.classification_type}'; use MULTICLASS or MULTILABEL.")
    return network.MODEL_TYPES[job.model_type]


def _recipe(job: TrainingJob) -> recipe.Recipe:
    try:
        return recipe.Recipe.from_job(job.recipe)
    except TypeError as error:
        raise JobError(f"Unknown recipe field: {error}.") from error


def _input(
    job: TrainingJob,
    own: recipe.Recipe,
    kind: network.ModelType,
    where: device.Device,
    splits: dataset.Splits,
    read_bytes: trained.ReadBytes,
) -> input_size.InputSize:
    if own.input_hw:
        return input_size.InputSize((own.input_hw[0], own.input_hw[1]), "the job's own")

    def steps_share(larger: network.ModelType) -> float:
        if where.is_gpu:
            return 1.0
        budget_s = job.budget_s - time_budget.reserve_s(splits, larger, job.budget_s, job.threads)
        return own.share_for(len(splits.train), budget_s, larger.image_s, job.threads)

    is_multiclass = job.classification_type == model_folder.MULTICLASS
    return input_size.choose(
        kind,
        splits,
        read_bytes,
        job.folder,
        threads=job.threads,
        is_multiclass=is_multiclass,
        steps_share=steps_share,
    )


def _splits(job: TrainingJob, watcher: listener.ProgressListener) -> dataset.Splits:
    try:
        examples = dataset.read_examples(job.folder / EXAMPLES_FILE)
    except ValueError as error:
        raise JobError(f"{error}.") from error
    if job.classification_type == model_folder.MULTICLASS:
        several = [one for one in examples if len(one.label_indices) > 1]
        if several:
            raise JobError(f"An image has several labels, which MULTICLASS does not allow: {several[0].uri}.")
        examples = [one for one in examples if len(one.label_indices)]
    splits = dataset.resolve_splits(examples)
    for note in splits.notes:
        watcher.warn(note)
    highest = max((int(one.label_indices.max()) for one in examples if len(one.label_indices)), default=-1)
    if highest >= len(job.labels):
        raise JobError(f"An image refers to label {highest}, but there are only {len(job.labels)} labels.")
    if len({int(label) for one in splits.train for label in one.label_indices}) == 0:
        raise JobError("There is nothing to learn from: no training image has a label.")
    return splits
