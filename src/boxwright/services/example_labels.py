"""The labels of one example on the wire: read and checked against its dataset, and written."""

from __future__ import annotations

import dataclasses
import math
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from google.cloud.automl_v1 import types

from boxwright import boxes, errors, kinds, states
from boxwright import curation_messages as pb
from boxwright.metadata import datasets
from boxwright.metadata.datasets import Annotation
from boxwright.services import messages

Source = states.AnnotationSource
MAX_ANNOTATIONS = boxes.MAX_LABELLED  # of one image
_FIELD, _SOURCES = "example.annotations", "example.sources"
_OF_MODELS = (Source.MODEL, Source.ACCEPTED)
_ALMOST_ONE = 1 - 1e-6  # scores have six decimals; a message has 1 where nothing is said


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


class GivenAnnotation(NamedTuple):
    """A label as a request gives it.

    Attributes:
        annotation: its source and score are those that are given, or a person's and none.
        source: where it comes from; empty if the request does not say.
    """

    annotation: Annotation
    source: str


def read(
    connection: sa.Connection,
    dataset: sa.Row[Any],
    given: Sequence[types.AnnotationPayload],
    sources: Sequence[pb.AnnotationSource] | None,
    size_hw: tuple[int, int],
) -> list[GivenAnnotation]:
    """The annotations that a request gives to an example of a dataset; a repeated one counts once.

    Args:
        connection: to read the dataset's labels.
        dataset: its row.
        given: the request's annotations.
        sources: where they come from, one for each of them; None if the request does not say.
        size_hw: of the upright image, in pixels.

    Raises:
        ApiError: INVALID_ARGUMENT naming the annotation: its label is not the dataset's, its box is none, there are too
            many; or the sources, if they are not one for each.
    """
    if len(given) > MAX_ANNOTATIONS:
        raise errors.invalid_argument(_FIELD, f"There are {len(given)}; an image has {MAX_ANNOTATIONS} at most.")
    if sources is not None and len(sources) != len(given):
        raise errors.invalid_argument(
            _SOURCES, f"There are {len(sources)}, and {len(given)} annotations. Give one for each."
        )
    labels = dict(datasets.specs(connection, dataset.id))
    ids = {label: spec_id for spec_id, label in labels.items()}
    has_boxes = kinds.of_member(dataset.metadata_member) is kinds.OBJECT_DETECTION
    wanted: dict[tuple[Any, ...], GivenAnnotation] = {}
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
        box = _box(one, field, size_hw) if has_boxes else _without_box(one, field)
        source = _source(sources[index], f"{_SOURCES}[{index}]") if sources is not None else ""
        annotation = Annotation(spec_id, labels[spec_id], box, source or Source.HUMAN, _score(one, field))
        wanted.setdefault((spec_id, box), GivenAnnotation(annotation, source))
    return list(wanted.values())


def with_sources(
    wanted: Sequence[GivenAnnotation], had: Sequence[Annotation], state: states.ExampleState | str
) -> list[Annotation]:
    """Says where the labels come from that an example is to have.

    A label that it has already keeps its source, its score and all decimals of its box; a model's may be accepted, and that
    taken back. A new label comes from where the request says. If it does not say, a score below 1 makes it a model's label,
    and other ones are a person's; a model's label that comes back without its score has been accepted. What a LABELED
    example has of a model is accepted.

    Args:
        wanted: as `read` returns them, or `kept`.
        had: what the example has.
        state: that it is to have.
    """
    before = {_sent(one): one for one in had}
    found = []
    for one, source in wanted:
        known = before.get(_sent(one))
        settled = _new(one, source) if known is None else _known(known, one, source)
        if settled.source == Source.MODEL and state == states.ExampleState.LABELED:
            settled = dataclasses.replace(settled, source=Source.ACCEPTED.value)
        found.append(settled)
    return found


def kept(had: Sequence[Annotation]) -> list[GivenAnnotation]:
    """The labels that an example has, as a request that leaves them as they are."""
    return [GivenAnnotation(one, one.source) for one in had]


def _new(one: Annotation, source: str) -> Annotation:
    """A label that the example does not have yet."""
    if not source:
        source = Source.HUMAN if one.score in (None, 1.0) else Source.MODEL
    return dataclasses.replace(one, source=source, score=one.score if source in _OF_MODELS else None)


def _known(known: Annotation, one: Annotation, source: str) -> Annotation:
    """A label that the example has, with what the request says of it."""
    if known.source not in _OF_MODELS:
        return known
    if source:
        return dataclasses.replace(known, source=source if source in _OF_MODELS else Source.ACCEPTED.value)
    is_bare = one.score is None or (one.score == 1.0 and (known.score or 1.0) < _ALMOST_ONE)
    return dataclasses.replace(known, source=Source.ACCEPTED.value) if is_bare else known


def _sent(one: Annotation) -> tuple[Any, ...]:
    """A label as it comes back from a client: coordinates have the precision of the messages."""
    return one.spec_id, *(struct.unpack("4f", struct.pack("4f", *one.box)) if one.box else ())


def _score(one: types.AnnotationPayload, field: str) -> float | None:
    """The score that a request gives; None if it gives none."""
    member = messages.member_of(one)
    score = getattr(one, member).score if member else 0.0
    if not 0 <= score <= 1:  # also refuses NaN
        raise errors.invalid_argument(field, f"Its score is {score:g}; scores are from 0 to 1.")
    return float(score) or None


def _source(value: int, field: str) -> str:
    """The name of a source that a request gives; empty for the unspecified one."""
    known: Any = pb.AnnotationSource
    if value and value not in iter(known):
        raise errors.invalid_argument(field, f"Choose one of: {', '.join(one.name for one in known if one)}.")
    return known(value).name if value else ""


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


def _box(one: types.AnnotationPayload, field: str, size_hw: tuple[int, int]) -> tuple[float, float, float, float]:
    if messages.member_of(one) != "image_object_detection":
        raise errors.invalid_argument(field, "An image of this dataset has boxes: set image_object_detection.")
    vertices = one.image_object_detection.bounding_box.normalized_vertices
    if len(vertices) != 2:
        raise errors.invalid_argument(field, f"A box has two opposite normalized_vertices; this has {len(vertices)}.")
    xs, ys = sorted(vertex.x for vertex in vertices), sorted(vertex.y for vertex in vertices)
    if not all(math.isfinite(value) and 0 <= value <= 1 for value in (*xs, *ys)):
        raise errors.invalid_argument(field, "Coordinates are fractions of the image's sides, from 0 to 1.")
    if boxes.is_too_small((xs[0], ys[0], xs[1], ys[1]), size_hw):
        raise errors.invalid_argument(
            field, f"Each edge of a box is at least {boxes.MIN_EDGE_PX} pixels of the image. Draw a larger box."
        )
    return xs[0], ys[0], xs[1], ys[1]


def _without_box(one: types.AnnotationPayload, field: str) -> tuple[float, float, float, float] | None:
    if messages.member_of(one) not in ("", "classification"):
        raise errors.invalid_argument(field, "An image of this dataset has labels without boxes: set classification.")
    return None
