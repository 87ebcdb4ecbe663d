"""Lists, changes of many examples, labels and summaries say the same over either database."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from google.cloud.automl_v1 import types

from boxwright import curation_messages as pb
from boxwright import errors, kinds, names
from boxwright.callers import ANONYMOUS
from boxwright.metadata import database, datasets
from boxwright.operations.ledger import Ledger
from boxwright.services.curation import CurationMethods
from boxwright.services.resources import Kind, Policy

DATASET = "projects/p/locations/us-central1/datasets/ICN1"


@pytest.fixture
def methods(database_place):
    """The methods of a MULTICLASS dataset with eight images, four of each label, and two without."""
    db = database.Database(database_place)
    metadata = types.ImageClassificationDatasetMetadata(classification_type=types.ClassificationType.MULTICLASS)
    values = {"id": "ICN1", "project": "p", "location": "us-central1", "display_name": "d", "labels": {}, "etag": "e"}
    kind = {
        "metadata_member": kinds.IMAGE_CLASSIFICATION.dataset_member,
        "metadata_bytes": types.ImageClassificationDatasetMetadata.serialize(metadata),
    }
    images = [
        {
            "sha256": f"{number:064x}",
            "uri": f"gs://b/{9 - number}.jpg",
            "ml_use": ("TRAIN", "TEST")[number % 2],
            "width_px": 9,
            "height_px": 9,
            "state": "LABELED" if number < 8 else "UNLABELED",
            "annotations": [(f"label{number // 4}", None, None, None, None)] if number < 8 else [],
        }
        for number in range(10)
    ]
    ids = itertools.count(1)
    with db.write() as connection:
        datasets.insert(connection, {**values, **kind, "create_time_us": 1, "update_time_us": 1})
        datasets.merge(connection, "ICN1", images, lambda: str(next(ids)), has_one_label=True)
    nothing: Any = None
    yield CurationMethods(db, Ledger(db, lease_ttl_s=10), Policy(), nothing, nothing)
    db.close()


def _all(methods: CurationMethods, **options: Any) -> list[pb.Example]:
    return list(methods.list_examples(pb.ListExamplesRequest(parent=DATASET, **options), ANONYMOUS).examples)


def _update(methods: CurationMethods, **options: Any) -> pb.BatchUpdateExamplesResponse:
    request = pb.BatchUpdateExamplesRequest(**{"parent": DATASET, "filter": "*", "expected_count": 10, **options})
    return methods.batch_update_examples(request, ANONYMOUS)


def _labels(example: pb.Example) -> list[str]:
    return [one.display_name for one in example.annotations]


ORDERS = ("import_order", "update_time", "display_name", "boxes")


@pytest.mark.parametrize("order", [f"{one}{way}" for one in ORDERS for way in ("", " desc")])
def test_pages_of_every_order_lead_through_all_examples(methods, order):
    found, token = [], ""
    while True:
        request = pb.ListExamplesRequest(parent=DATASET, order_by=order, page_size=3, page_token=token)
        answer = methods.list_examples(request, ANONYMOUS)
        found += [one.name for one in answer.examples]
        token = answer.next_page_token
        if not token:
            break
    assert found == [one.name for one in _all(methods, order_by=order)]
    assert len(set(found)) == 10
    if order.startswith("display_name"):
        assert [one.display_name for one in _all(methods, order_by=order)] == sorted(
            (f"{number}.jpg" for number in range(10)), reverse="desc" in order
        )


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("boxes>=1 AND ml_use=TEST", 4),
        ("boxes<1", 2),
        ("NOT min_edge_px>0", 10),
        ("source=IMPORTED", 8),
        ("NOT source=IMPORTED", 2),
        ("label=label1", 4),
        ("NOT author:*", 10),
        ('uri="b/1."', 1),
    ],
)
def test_filters_find_the_same_everywhere(methods, text, count):
    answer = methods.list_examples(pb.ListExamplesRequest(parent=DATASET, filter=text), ANONYMOUS)
    assert (answer.total_size, len(answer.examples)) == (count, count)


def test_every_kind_of_change_is_taken_back(methods):
    before = _all(methods)
    for options, labels in (
        ({"ml_use": "VALIDATION"}, 8),
        ({"state": "UNLABELED"}, 0),
        ({"add_label": "label0"}, 10),
        ({"remove_label": "label1"}, 4),
        ({"relabel_from": "label1", "relabel_to": "label0"}, 8),
    ):
        done = _update(methods, **options)
        assert done.updated_count, options
        assert sum(len(_labels(one)) for one in _all(methods)) == labels
        reverted = methods.revert_change(pb.RevertChangeRequest(name=done.change), ANONYMOUS)
        assert (reverted.reverted_count, reverted.kept_count) == (done.updated_count, 0)
        assert _all(methods) == before
    request = pb.BatchDeleteExamplesRequest(parent=DATASET, filter="label=label0", expected_count=4)
    gone = methods.batch_delete_examples(request, ANONYMOUS)
    assert len(_all(methods)) == 6
    methods.revert_change(pb.RevertChangeRequest(name=gone.change), ANONYMOUS)
    assert _all(methods) == before


def test_labels_are_merged_and_deleted_and_the_summary_follows(methods):
    def summary() -> pb.DatasetSummary:
        return methods.summarize_dataset(pb.SummarizeDatasetRequest(name=DATASET), ANONYMOUS)

    before, first = _all(methods), summary()
    assert [(one.annotation_spec.display_name, one.train_count, one.test_count) for one in first.labels] == [
        ("label0", 2, 2),
        ("label1", 2, 2),
    ]
    assert {one.code for one in first.findings} == {"LABEL_WITH_FEW_IMAGES", "UNLABELED_LEFT_OUT"}
    zero, one = (label.annotation_spec.name for label in first.labels)
    merged = methods.merge_annotation_specs(
        pb.MergeAnnotationSpecsRequest(name=one, into=zero, expected_count=4), ANONYMOUS
    )
    assert [label.annotation_spec.annotation_count for label in summary().labels] == [8]
    methods.revert_change(pb.RevertChangeRequest(name=merged.change), ANONYMOUS)
    deleted = methods.delete_annotation_spec(pb.DeleteAnnotationSpecRequest(name=one, expected_count=4), ANONYMOUS)
    assert sum(count.example_count for count in summary().counts if count.state == pb.Example.State.UNLABELED) == 6
    methods.revert_change(pb.RevertChangeRequest(name=deleted.change), ANONYMOUS)
    assert _all(methods) == before
    assert summary() == first


def test_labels_stay_while_an_import_runs_and_a_training_waits_for_it(methods):
    summary = methods.summarize_dataset(pb.SummarizeDatasetRequest(name=DATASET), ANONYMOUS)
    zero, one = (label.annotation_spec.name for label in summary.labels)
    name = names.DatasetName.parse(DATASET)
    draft = methods._draft(
        ANONYMOUS, name.parent, Kind.IMPORT_DATA, types.ImportDataRequest(name=DATASET), works_on=DATASET
    )
    with methods._db.write() as connection:
        methods._ledger.start(connection, draft)
    renamed = pb.AnnotationSpec(name=zero, display_name="other", colour="#ABCDEF")
    for call, request in (
        (methods.merge_annotation_specs, pb.MergeAnnotationSpecsRequest(name=one, into=zero, expected_count=4)),
        (methods.delete_annotation_spec, pb.DeleteAnnotationSpecRequest(name=one, expected_count=4)),
        (
            methods.update_annotation_spec,
            pb.UpdateAnnotationSpecRequest(annotation_spec=renamed, update_mask={"paths": ["display_name"]}),
        ),
    ):
        with pytest.raises(errors.ApiError, match=r"imports into .* may bring labels"):
            call(request, ANONYMOUS)
    coloured = methods.update_annotation_spec(
        pb.UpdateAnnotationSpecRequest(annotation_spec=renamed, update_mask={"paths": ["colour"]}), ANONYMOUS
    )
    assert (coloured.display_name, coloured.colour) == ("label0", "#abcdef")
    now = methods.summarize_dataset(pb.SummarizeDatasetRequest(name=DATASET), ANONYMOUS)
    assert [one.code for one in now.findings if one not in summary.findings] == ["OPERATION_UNDER_WAY"]
