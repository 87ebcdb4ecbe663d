"""The labels of one example on the wire: read and checked against its dataset, and written."""

from __future__ import annotations

import dataclasses
import math
import struct
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from google.cloud.automl_v1 import types

from boxwright import boxes, errors, kinds, states
from boxwright.metadata import datasets
from boxwright.metadata.datasets import Annotation
from boxwright.services import messages

Source = states.AnnotationSource
MAX_ANNOTATIONS = 500  # of one image, as in an import
_FIELD = "example.annotations"
_OF_MODELS = (Source.MODEL, Source.ACCEPTED)


def fill(payload: Any, annotation: Annotation, kind: kinds.DatasetKind) -> None:
    """Writes an annotation into the API's message; a label without a box gets the member of its dataset's kind.

    Args:
        payload: an empty `AnnotationPayload` as protobuf has it: a page of a list has thousands, and messages of proto-plus
            take ten times as long to make.
    """
    payload.annotation_spec_id, payload.display_name = annotation.spec_id, annotation.label
    score = annotation.score if annotation.source in _OF_MODELS and annotation.score is not None else 1.0
    if annotation.box is None:
        if kind is kinds.IMAGE_CLASSIFICATION:
            payload.classification.score = score
        return
    x_min, y_min, x_max, y_max = annotation.box
    payload.image_object_detection.score = score
    vertices = payload.image_object_detection.bounding_box.normalized_vertices
    vertices.add(x=x_min, y=y_min)
    vertices.add(x=x_max, y=y_max)


def read(connection: sa.Connection, dataset: sa.Row[Any], given: Sequence[types.AnnotationPayload]) -> list[Annotation]:
    """The annotations that a request gives to an example of a dataset; a repeated one counts once.

    Raises:
        ApiError: INVALID_ARGUMENT naming the annotation: its label is not the dataset's, its box is none, there are too
            many.
    """
    if len(given) > MAX_ANNOTATIONS:
        raise errors.invalid_argument(_FIELD, f"There are {len(given)}; an image has {MAX_ANNOTATIONS} at most.")
    labels = dict(datasets.specs(connection, dataset.id))
    ids = {label: spec_id for spec_id, label in labels.items()}
    has_boxes = kinds.of_member(dataset.metadata_member) is kinds.OBJECT_DETECTION
    wanted: dict[tuple[Any, ...], Annotation] = {}
    for index, one in enumerate(given):
        field = f"{_FIELD}[{index}]"
        spec_id = one.annotation_spec_id or ids.get(one.display_name, "")
        if spec_id not in labels:
            shown = (one.annotation_spec_id or one.display_name)[:80]
            raise errors.invalid_argument(field, f"The dataset has no label '{shown}'. Choose one of its labels.")
        if one.display_name not in ("", labels[spec_id]):
            raise errors.invalid_argument(
                field, f"annotation_spec_id {spec_id} is '{labels[spec_id]}', not '{one.display_name[:80]}'."
            )
        box = _box(one, field) if has_boxes else _without_box(one, field)
        wanted.setdefault((spec_id, box), Annotation(spec_id, labels[spec_id], box, Source.HUMAN, _score(one, field)))
    return list(wanted.values())


def with_sources(wanted: Sequence[Annotation], had: Sequence[Annotation], state: str) -> list[Annotation]:
    """Says where the labels come from that an example is to have.

    A label that it has already keeps its source, its score and all decimals of its box. A new one is a person's, unless it
    has a model's score: then it is MODEL where a person is still to judge it, and ACCEPTED where the example is LABELED.
    What a LABELED example keeps of a model's labels is ACCEPTED, as is a model's label that comes back without its score.

    Args:
        wanted: as `read` or `examples.annotations_of` returns them.
        had: what the example has.
        state: that it is to have.
    """
    before = {_sent(one): one for one in had}
    found = []
    for one in wanted:
        kept = before.get(_sent(one))
        if kept is None:
            kept = dataclasses.replace(one, source=Source.HUMAN if one.score is None else Source.MODEL)
        if kept.source == Source.MODEL and (state == states.ExampleState.LABELED or one.score is None):
            kept = dataclasses.replace(kept, source=Source.ACCEPTED.value)
        found.append(kept)
    return found


def _sent(one: Annotation) -> tuple[Any, ...]:
    """A label as it comes back from a client: coordinates have the precision of the messages."""
    return one.spec_id, *(struct.unpack("4f", struct.pack("4f", *one.box)) if one.box else ())


def _score(one: types.AnnotationPayload, field: str) -> float | None:
    """The score that a model gave a label; None where a person gives it, which counts as 1."""
    member = messages.member_of(one)
    score = getattr(one, member).score if member else 0.0
    if not 0 <= score <= 1:  # also refuses NaN
        raise errors.invalid_argument(field, f"Its score is {score:g}; scores are from 0 to 1.")
    return float(score) if 0 < score < 1 else None


def check_state(state: str, wanted: Sequence[Annotation], labels: states.ClassificationType | None) -> None:
    """INVALID_ARGUMENT where an example's state and number of labels contradict each other.

    Args:
        labels: how many an image has; None for detection.
    """
    multiclass = labels is states.ClassificationType.MULTICLASS
    if multiclass and len(wanted) > 1:
        raise errors.invalid_argument(_FIELD, "An image of a MULTICLASS dataset has one label.")
    if state == states.ExampleState.UNLABELED and wanted:
        raise errors.invalid_argument("example.state", "An image with labels is not UNLABELED. Set it to LABELED.")
    if state == states.ExampleState.LABELED and multiclass and not wanted:
        raise errors.invalid_argument(
            "example.state", "An image of a MULTICLASS dataset without a label is not LABELED. Set it to UNLABELED."
        )


def _box(one: types.AnnotationPayload, field: str) -> tuple[float, float, float, float]:
    if messages.member_of(one) != "image_object_detection":
        raise errors.invalid_argument(field, "An image of this dataset has boxes: set image_object_detection.")
    vertices = one.image_object_detection.bounding_box.normalized_vertices
    if len(vertices) != 2:
        raise errors.invalid_argument(field, f"A box has two opposite normalized_vertices; this has {len(vertices)}.")
    xs, ys = sorted(vertex.x for vertex in vertices), sorted(vertex.y for vertex in vertices)
    if not all(math.isfinite(value) and 0 <= value <= 1 for value in (*xs, *ys)):
        raise errors.invalid_argument(field, "Coordinates are fractions of the image's sides, from 0 to 1.")
    shortest = boxes.MIN_EDGE_NORM - boxes.EDGE_TOLERANCE_NORM
    if xs[1] - xs[0] < shortest or ys[1] - ys[0] < shortest:
        raise errors.invalid_argument(
            field, f"Each edge of a box is at least {boxes.MIN_EDGE_NORM} of the image's side. Draw a larger box."
        )
    return xs[0], ys[0], xs[1], ys[1]


def _without_box(one: types.AnnotationPayload, field: str) -> tuple[float, float, float, float] | None:
    if messages.member_of(one) not in ("", "classification"):
        raise errors.invalid_argument(field, "An image of this dataset has labels without boxes: set classification.")
    return None
