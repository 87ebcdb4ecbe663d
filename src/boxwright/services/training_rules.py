"""What a training may be asked for, and what it needs, by its dataset's kind. Sources: proto comments, page of quotas."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from google.cloud.automl_v1 import types

from boxwright import errors, kinds, names, states
from boxwright.metadata import datasets, models

MAX_LISTED_LABELS = 20  # error texts travel in headers, which clients accept up to 8 KiB
LEARNED_USES = (states.MlUse.TRAIN, states.MlUse.UNASSIGNED)


@dataclasses.dataclass(frozen=True)
class BudgetRange:
    """The budgets of a model type, in milli node hours."""

    least: int
    most: int
    default: int


@dataclasses.dataclass(frozen=True)
class TrainingRules:
    """The rules of a kind.

    Attributes:
        budgets: by model type.
        default_type: of models whose request names none.
        carries: what an image has that counts for a label, as the end of "images …".
        empty: what is said of a dataset without labels.
        label_range: the least and the most labels that a model learns; None for no limit.
        learns_every_label: whether each label needs an image that is not for VALIDATION or TEST.
    """

    budgets: Mapping[str, BudgetRange]
    default_type: str
    carries: str
    empty: str
    label_range: tuple[int, int | None] = (1, None)
    learns_every_label: bool = False


_CLOUD_DETECTION = BudgetRange(20_000, 900_000, 216_000)
_MOBILE = BudgetRange(1_000, 100_000, 24_000)
_MOBILE_TYPES = ("mobile-low-latency-1", "mobile-versatile-1", "mobile-high-accuracy-1")
_CORE_ML_TYPES = tuple(one.replace("mobile-", "mobile-core-ml-") for one in _MOBILE_TYPES)
_RULES = {
    kinds.OBJECT_DETECTION: TrainingRules(
        budgets={
            "cloud-high-accuracy-1": _CLOUD_DETECTION,
            "cloud-low-latency-1": _CLOUD_DETECTION,
            **dict.fromkeys(_MOBILE_TYPES, _MOBILE),
        },
        default_type="cloud-high-accuracy-1",
        carries="with a box of it",
        empty="has no labelled boxes; import images with boxes first",
    ),
    kinds.IMAGE_CLASSIFICATION: TrainingRules(
        # the API's least for `cloud` is 8,000, but its own pages' sample sends 1,000 for it
        budgets={
            "cloud": BudgetRange(1_000, 800_000, 192_000),
            **dict.fromkeys(_MOBILE_TYPES + _CORE_ML_TYPES, _MOBILE),
        },
        default_type="cloud",
        carries="that carry it",
        empty="has no labelled images; import images with labels first",
        label_range=(2, 5_000),
        learns_every_label=True,
    ),
}


def check_kind(row: sa.Row[Any]) -> kinds.DatasetKind:
    """The kind of a dataset.

    Raises:
        ApiError: FAILED_PRECONDITION: no model is trained from datasets of its kind.
    """
    kind = kinds.of_member(row.metadata_member)
    if not kind.training_module:
        listed = ", ".join(one.dataset_member for one in kinds.TRAINED)
        raise errors.failed_precondition(
            f"Models can be trained only from datasets of kind {listed}; this one is {row.metadata_member}."
        )
    return kind


def resolved(request: types.CreateModelRequest, kind: kinds.DatasetKind) -> types.CreateModelRequest:
    """The request with model type and budget filled in.

    Raises:
        ApiError: INVALID_ARGUMENT naming the field: other metadata than the dataset's kind has, or an impossible value.
    """
    member = types.Model.pb(request.model).WhichOneof("model_metadata")
    if member != kind.model_member:
        why = (
            "Required field not set."
            if member is None
            else (f"'{member}' does not match the dataset's type, {kind.words}: send {kind.model_member}.")
        )
        raise errors.invalid_argument(f"model.{kind.model_member}", why)
    result = types.CreateModelRequest(request)
    metadata = getattr(types.Model.pb(result.model), member)
    field = f"model.{member}"
    metadata.model_type = model_type(kind, metadata.model_type, f"{field}.model_type")
    metadata.train_budget_milli_node_hours = train_budget(
        kind, metadata.train_budget_milli_node_hours, metadata.model_type, f"{field}.train_budget_milli_node_hours"
    )
    return result


def model_type(kind: kinds.DatasetKind, text: str, field: str) -> str:
    """The model type in its dash-case spelling; either case is accepted, empty means the default."""
    rules = _RULES[kind]
    chosen = text.replace("_", "-") or rules.default_type
    if chosen not in rules.budgets:
        raise errors.invalid_argument(
            field, f"Unknown model type '{text[:80]}' for {kind.words}; allowed: {', '.join(rules.budgets)}."
        )
    return chosen


def train_budget(kind: kinds.DatasetKind, requested: int, chosen_type: str, field: str) -> int:
    """The training budget in milli node hours: the type's default when unset, else inside the type's range."""
    budget = _RULES[kind].budgets[chosen_type]
    if requested and not budget.least <= requested <= budget.most:
        raise errors.invalid_argument(
            field,
            f"{requested} is outside the range of {chosen_type}: {budget.least} to {budget.most} milli node hours. "
            "The service's setting train_minutes_max makes trainings shorter than that.",
        )
    return requested or budget.default


def check_base_model(connection: sa.Connection, parent: names.LocationName, model: types.Model) -> None:
    """Looks at the model that a training is to start from, where the kind knows such a thing and the request names one.

    Raises:
        ApiError: NOT_FOUND: it is not in the location; INVALID_ARGUMENT: it is of another kind or model type.
    """
    raw = types.Model.pb(model)
    member = raw.WhichOneof("model_metadata")
    metadata = getattr(raw, member)
    base_id = getattr(metadata, "base_model_id", "")
    if not base_id:
        return
    base = models.find(connection, parent.project, parent.location, base_id)
    if base is None:
        raise errors.not_found(errors.MODEL_UNKNOWN)
    field = f"model.{member}.base_model_id"
    if base.metadata_member != member:
        raise errors.invalid_argument(
            field, f"The model {base_id} has {base.metadata_member}; name a model with {member}, or none."
        )
    if base.model_type != metadata.model_type:
        raise errors.invalid_argument(
            field,
            f"The model {base_id} is of type {base.model_type}, and a training starts from a model of its own type, "
            f"{metadata.model_type}: change model_type, or name another model or none.",
        )


def check_examples(
    connection: sa.Connection, name: names.DatasetName, kind: kinds.DatasetKind, min_images_per_label: int
) -> None:
    """Looks at what there is to learn from.

    Raises:
        ApiError: FAILED_PRECONDITION naming the labels that have too few images, or what else is missing.
    """
    for refusal in refusals(connection, name, kind, min_images_per_label):
        raise errors.failed_precondition(refusal.message)


@dataclasses.dataclass(frozen=True)
class Refusal:
    """Why a training of a dataset is refused.

    Attributes:
        code: in capitals, for programs.
        message: what CreateModel says.
        labels: those that are meant, with the images of each that count.
    """

    code: str
    message: str
    labels: tuple[tuple[str, int], ...] = ()


def refusals(
    connection: sa.Connection, name: names.DatasetName, kind: kinds.DatasetKind, min_images_per_label: int
) -> Iterator[Refusal]:
    """Yields all that speaks against a training, in the order in which it is looked at."""
    rules = _RULES[kind]
    counts = datasets.examples_per_spec(connection, name.dataset)
    proposed = datasets.proposed_specs(connection, name.dataset)
    specs = [one for one in datasets.specs(connection, name.dataset) if counts.get(one[0]) or one[0] not in proposed]
    if not specs:
        yield Refusal("NO_LABELS", f"Dataset {name} {rules.empty}.")
        return
    yield from _label_count_refusals(name, [label for _, label in specs], rules.label_range)
    few = [(label, counts.get(spec, 0)) for spec, label in specs if counts.get(spec, 0) < min_images_per_label]
    if few:
        yield Refusal(
            "LABEL_WITH_FEW_IMAGES",
            f"Each label needs at least {min_images_per_label} images {rules.carries}; in {name} "
            f"{_listed([f'{_quoted(label)} has {count}' for label, count in few])}. "
            "Import more images of these labels, or lower the minimum in the service's settings.",
            tuple(few),
        )
    uses = datasets.labelled_per_use(connection, name.dataset)
    if not any(uses.get(use) for use in LEARNED_USES):
        yield Refusal(
            "NO_TRAIN_IMAGES",
            f"Dataset {name} has no images to train on: none is assigned to TRAIN or left UNASSIGNED.",
        )
    elif rules.learns_every_label:
        learned = datasets.examples_per_spec(connection, name.dataset, LEARNED_USES)
        unlearned = [label for spec, label in specs if not learned.get(spec)]
        if unlearned:
            yield Refusal(
                "LABEL_WITHOUT_TRAIN_IMAGES",
                f"Every image of {_listed([_quoted(label) for label in unlearned])} in {name} is for VALIDATION or TEST, so "
                "there is none to learn from. Import images of these labels for TRAIN, or leave them UNASSIGNED.",
                tuple((label, 0) for label in unlearned),
            )


def most_labels(kind: kinds.DatasetKind) -> int | None:
    """How many labels a model of a kind learns at most; None for no limit."""
    return _RULES[kind].label_range[1]


def _label_count_refusals(
    name: names.DatasetName, labels: list[str], limits: tuple[int, int | None]
) -> Iterator[Refusal]:
    least, most = limits
    if len(labels) < least:
        yield Refusal(
            "FEW_LABELS",
            f"A model tells at least {least} labels apart; {name} has {len(labels)}: '{labels[0]}'. "
            "Import images of another label.",
        )
    if most is not None and len(labels) > most:
        yield Refusal(
            "MANY_LABELS",
            f"A model learns at most {most} labels; {name} has {len(labels)}. "
            "Make a dataset with fewer labels; look whether a column of the CSV holds something else than labels.",
        )


def _quoted(label: str) -> str:
    return f"'{label}'"


def _listed(entries: list[str]) -> str:
    rest = len(entries) - MAX_LISTED_LABELS
    return ", ".join(entries[:MAX_LISTED_LABELS] + [f"{rest} more"] * (rest > 0))
