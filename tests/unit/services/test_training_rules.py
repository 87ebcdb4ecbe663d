"""What CreateModel may ask for, by kind: model types, budgets, the base model, and what there is to learn from."""

from __future__ import annotations

import itertools

import pytest
from google.cloud.automl_v1 import types

from boxwright import errors, kinds, names
from boxwright.metadata import database, datasets, models
from boxwright.services import training_rules

DETECTION, CLASSIFICATION = kinds.OBJECT_DETECTION, kinds.IMAGE_CLASSIFICATION
PARENT = names.LocationName("p", "l")
BUDGETS = [
    (DETECTION, "cloud-high-accuracy-1", 0, 216_000),
    (DETECTION, "cloud-low-latency-1", 20_000, 20_000),
    (DETECTION, "cloud-high-accuracy-1", 900_000, 900_000),
    (DETECTION, "mobile-low-latency-1", 0, 24_000),
    (DETECTION, "mobile-versatile-1", 1_000, 1_000),
    (DETECTION, "mobile-high-accuracy-1", 100_000, 100_000),
    (CLASSIFICATION, "cloud", 0, 192_000),
    (CLASSIFICATION, "cloud", 1_000, 1_000),  # what a published sample sends
    (CLASSIFICATION, "cloud", 24_000, 24_000),
    (CLASSIFICATION, "cloud", 800_000, 800_000),
    (CLASSIFICATION, "mobile-low-latency-1", 0, 24_000),
    (CLASSIFICATION, "mobile-core-ml-versatile-1", 100_000, 100_000),
]


@pytest.mark.parametrize(("kind", "model_type", "requested", "budget"), BUDGETS)
def test_a_budget_inside_its_models_range_is_taken(kind, model_type, requested, budget):
    assert training_rules.train_budget(kind, requested, model_type, "f") == budget


@pytest.mark.parametrize(("kind", "model_type", "requested"), [
    (DETECTION, "cloud-high-accuracy-1", 19_999),
    (DETECTION, "cloud-high-accuracy-1", 900_001),
    (DETECTION, "mobile-versatile-1", 999),
    (DETECTION, "mobile-versatile-1", 100_001),
    (DETECTION, "mobile-versatile-1", -1),
    (CLASSIFICATION, "cloud", 999),
    (CLASSIFICATION, "cloud", 800_001),
    (CLASSIFICATION, "mobile-high-accuracy-1", 999),
    (CLASSIFICATION, "mobile-core-ml-low-latency-1", 100_001),
])  # fmt: skip
def test_a_budget_outside_its_models_range_is_refused_with_the_range(kind, model_type, requested):
    with pytest.raises(errors.ApiError, match=f"f; Message: {requested} is outside the range of {model_type}: "):
        training_rules.train_budget(kind, requested, model_type, "f")


def test_model_types_are_taken_in_either_spelling():
    assert training_rules.model_type(DETECTION, "", "f") == "cloud-high-accuracy-1"
    assert training_rules.model_type(CLASSIFICATION, "", "f") == "cloud"
    for kind in kinds.SERVED:
        assert training_rules.model_type(kind, "mobile_versatile_1", "f") == "mobile-versatile-1"


@pytest.mark.parametrize(("kind", "model_type", "allowed"), [
    (DETECTION, "huge", "cloud-high-accuracy-1"),
    (DETECTION, "cloud", "cloud-high-accuracy-1"),
    (DETECTION, "mobile-core-ml-versatile-1", "cloud-high-accuracy-1"),
    (CLASSIFICATION, "cloud-high-accuracy-1", "cloud, mobile-low-latency-1"),
    (CLASSIFICATION, "cloud-low-latency-1", "mobile-core-ml-high-accuracy-1"),
])  # fmt: skip
def test_the_types_of_one_kind_are_not_those_of_the_other(kind, model_type, allowed):
    with pytest.raises(
        errors.ApiError, match=f"Unknown model type '{model_type}' for {kind.words}; allowed: .*{allowed}"
    ):
        training_rules.model_type(kind, model_type, "f")


@pytest.mark.parametrize("kind", kinds.SERVED)
@pytest.mark.parametrize("other", [*kinds.ALL, None])
def test_the_metadata_is_that_of_the_datasets_kind(kind, other):
    if kind is other:
        return
    model = types.Model(**{} if other is None else {other.model_member: {}})
    why = "Required field not set" if other is None else f"'{other.model_member}' does not match .* {kind.words}: send"
    with pytest.raises(errors.ApiError, match=f"model.{kind.model_member}; Message: {why}"):
        training_rules.resolved(types.CreateModelRequest(model=model), kind)


# ---- what there is to learn from ----------------------------------------------------------------------------------------


@pytest.fixture
def db(tmp_path):
    opened = database.Database(tmp_path / "metadata.sqlite")
    values = {"id": "ICN1", "project": "p", "location": "l", "display_name": "d", "labels": {}, "etag": "e"}
    member = CLASSIFICATION.dataset_member
    with opened.write() as connection:
        datasets.insert(connection, {**values, "metadata_member": member, "create_time_us": 1, "update_time_us": 1})
    yield opened
    opened.close()


def _fill(db: database.Database, counts: dict[str, int], ml_use: str = "UNASSIGNED", *, bare: int = 0) -> None:
    """Adds images: so many of each label, and some without one."""
    labels = [*itertools.chain.from_iterable([label] * count for label, count in counts.items()), *[None] * bare]
    images = [
        {
            "sha256": f"{ml_use}{number}",
            "uri": f"gs://b/{ml_use}{number}",
            "ml_use": ml_use,
            "width_px": 9,
            "height_px": 9,
            "state": "UNLABELED" if label is None else "LABELED",
            "annotations": [] if label is None else [(label, None, None, None, None)],
        }
        for number, label in enumerate(labels)
    ]
    ids = itertools.count(1)
    with db.write() as connection:
        start = len(datasets.specs(connection, "ICN1"))
        datasets.merge(connection, "ICN1", images, lambda: f"{start}-{next(ids)}", has_one_label=True)


def _check(db: database.Database, least: int = 10) -> None:
    with db.read() as connection:
        training_rules.check_examples(connection, PARENT.dataset("ICN1"), CLASSIFICATION, least)


def test_two_labels_with_ten_images_each_are_enough(db):
    _fill(db, {"a": 10, "b": 10})
    _check(db)


@pytest.mark.parametrize(("counts", "bare", "text"), [
    ({}, 0, "has no labelled images; import images with labels first"),
    ({}, 30, "has no labelled images; import images with labels first"),
    ({"a": 30}, 0, "at least 2 labels apart; .* has 1: 'a'. Import images of another label"),
    ({"a": 30, "b": 9}, 30, "Each label needs at least 10 images that carry it; .* 'b' has 9"),
])  # fmt: skip
def test_too_little_is_refused_with_what_to_do(db, counts, bare, text):
    _fill(db, counts, bare=bare)
    with pytest.raises(errors.ApiError, match=text):
        _check(db)


def test_five_thousand_labels_are_learned_and_no_more(db):
    _fill(db, {f"label {number}": 1 for number in range(5_000)})
    _check(db, least=1)
    _fill(db, {"one more": 1}, "TRAIN")
    with pytest.raises(errors.ApiError, match=r"at most 5000 labels; .* has 5001"):
        _check(db, least=1)


def test_a_label_whose_every_image_is_held_back_cannot_be_learned(db):
    _fill(db, {"a": 10})
    _fill(db, {"b": 10}, "TEST")
    with pytest.raises(errors.ApiError, match=r"Every image of 'b' in .* is for VALIDATION or TEST"):
        _check(db)


# ---- the base model ------------------------------------------------------------------------------------------------------


def _add_model(db: database.Database, model_id: str, kind: kinds.DatasetKind, model_type: str, location: str) -> None:
    texts = {
        "display_name": "m",
        "dataset_id": "ICN1",
        "model_type": model_type,
        "labels": {},
        "etag": "e",
        "folder": "f",
    }
    numbers = {
        "create_time_us": 1,
        "update_time_us": 1,
        "train_budget_milli_node_hours": 1,
        "train_cost_milli_node_hours": 1,
    }
    states = {"deployment_state": "UNDEPLOYED", "stop_reason": "MODEL_CONVERGED", "metadata_member": kind.model_member}
    row = {"id": model_id, "project": "p", "location": location, **texts, **numbers, **states}
    with db.write() as connection:
        models.insert(connection, row, [])


def _check_base(db: database.Database, base_model_id: str) -> None:
    model = types.Model(image_classification_model_metadata={"base_model_id": base_model_id, "model_type": "cloud"})
    with db.read() as connection:
        training_rules.check_base_model(connection, PARENT, model)


def test_a_base_model_is_of_the_same_location_kind_and_type(db):
    _add_model(db, "ICN5", CLASSIFICATION, "cloud", "l")
    _add_model(db, "ICN6", CLASSIFICATION, "mobile-versatile-1", "l")
    _add_model(db, "ICN7", CLASSIFICATION, "cloud", "elsewhere")
    _add_model(db, "IOD5", DETECTION, "mobile-versatile-1", "l")
    _check_base(db, "")
    _check_base(db, "ICN5")
    for unknown in ("ICN4", "ICN7", "projects/p/locations/l/models/ICN5"):
        with pytest.raises(errors.ApiError, match="The model does not exist"):
            _check_base(db, unknown)
    field = "model.image_classification_model_metadata.base_model_id; Message: "
    with pytest.raises(errors.ApiError, match=field + "The model ICN6 is of type mobile-versatile-1"):
        _check_base(db, "ICN6")
    with pytest.raises(errors.ApiError, match=field + "The model IOD5 has image_object_detection_model_metadata"):
        _check_base(db, "IOD5")
