"""A dataset's labels, and what is in a dataset.

AnnotationSpec          a label with its colour and key
DatasetSummary          counts, sizes and readiness for training
…Request, …Response     of the methods about labels
"""

from __future__ import annotations

import proto
from google.protobuf import field_mask_pb2

from boxwright.curation_messages.examples import Example

__protobuf__ = proto.module(
    package="boxwright.v1",
    manifest={
        "AnnotationSpec",
        "CreateAnnotationSpecRequest",
        "DatasetSummary",
        "DeleteAnnotationSpecRequest",
        "ListAnnotationSpecsRequest",
        "ListAnnotationSpecsResponse",
        "MergeAnnotationSpecsRequest",
        "SummarizeDatasetRequest",
        "UpdateAnnotationSpecRequest",
    },
)


class AnnotationSpec(proto.Message):
    """A label of a dataset.

    Attributes:
        name: ``…/datasets/{dataset}/annotationSpecs/{annotation_spec}``.
        display_name: the label.
        colour: ``#rrggbb`` in lower case; empty: the console chooses one.
        hot_key: ``0`` to ``9`` or a lower-case letter; empty: none. No two labels of a dataset have the same.
        example_count: images that carry it.
        annotation_count: how often it is given.
    """

    name = proto.Field(proto.STRING, number=1)
    display_name = proto.Field(proto.STRING, number=2)
    colour = proto.Field(proto.STRING, number=3)
    hot_key = proto.Field(proto.STRING, number=4)
    example_count = proto.Field(proto.INT32, number=5)
    annotation_count = proto.Field(proto.INT32, number=6)


class ListAnnotationSpecsRequest(proto.Message):
    """Asks for a page of a dataset's labels, by display name; page_size 1 to 1000, 0 means 100."""

    parent = proto.Field(proto.STRING, number=1)
    page_size = proto.Field(proto.INT32, number=2)
    page_token = proto.Field(proto.STRING, number=3)


class ListAnnotationSpecsResponse(proto.Message):
    """A page of labels."""

    annotation_specs = proto.RepeatedField(proto.MESSAGE, number=1, message=AnnotationSpec)
    next_page_token = proto.Field(proto.STRING, number=2)
    total_size = proto.Field(proto.INT32, number=3)


class CreateAnnotationSpecRequest(proto.Message):
    """Adds a label to the dataset `parent`."""

    parent = proto.Field(proto.STRING, number=1)
    annotation_spec = proto.Field(proto.MESSAGE, number=2, message=AnnotationSpec)


class UpdateAnnotationSpecRequest(proto.Message):
    """Changes ``display_name``, ``colour`` or ``hot_key`` of a label, as far as the mask names them."""

    annotation_spec = proto.Field(proto.MESSAGE, number=1, message=AnnotationSpec)
    update_mask = proto.Field(proto.MESSAGE, number=2, message=field_mask_pb2.FieldMask)


class DeleteAnnotationSpecRequest(proto.Message):
    """Deletes a label and takes it off every image; `expected_count` must be its `annotation_count`."""

    name = proto.Field(proto.STRING, number=1)
    expected_count = proto.Field(proto.INT32, number=2)


class MergeAnnotationSpecsRequest(proto.Message):
    """Makes one label of two: what is `name` becomes `into`, and `name` is deleted.

    Attributes:
        name: of the label that goes.
        into: name of the label that stays, of the same dataset.
        expected_count: must be the `annotation_count` of the label that goes.
    """

    name = proto.Field(proto.STRING, number=1)
    into = proto.Field(proto.STRING, number=2)
    expected_count = proto.Field(proto.INT32, number=3)


class SummarizeDatasetRequest(proto.Message):
    """Asks what is in the dataset `name`."""

    name = proto.Field(proto.STRING, number=1)


class DatasetSummary(proto.Message):
    """What is in a dataset.

    Attributes:
        name: of the dataset.
        counts: images by set and state; pairs without images are left out.
        labels: of each label, by display name.
        box_edge_px: shorter edge of boxes: how many have fewer pixels than 8, 16, 32, 64, 128, 256, and how many more.
        findings: what a training would say of the dataset, worst first; the console says it in words of its own.
        train_minutes_max: minutes after which the service ends a training whatever its budget; 0: never.
    """

    class Count(proto.Message):
        """Images of one set and state."""

        ml_use = proto.Field(proto.ENUM, number=1, enum=Example.MlUse)
        state = proto.Field(proto.ENUM, number=2, enum=Example.State)
        example_count = proto.Field(proto.INT32, number=3)

    class Label(proto.Message):
        """A label's images by set (of LABELED ones), and its smallest box."""

        annotation_spec = proto.Field(proto.MESSAGE, number=1, message=AnnotationSpec)
        train_count = proto.Field(proto.INT32, number=2)
        validation_count = proto.Field(proto.INT32, number=3)
        test_count = proto.Field(proto.INT32, number=4)
        unassigned_count = proto.Field(proto.INT32, number=5)
        min_edge_px = proto.Field(proto.FLOAT, number=6)

    class Finding(proto.Message):
        """One thing to know before training.

        Attributes:
            level: BLOCKS: a training is refused; WARNS: it is worse for it; TELLS.
            code: ``NO_IMAGES``, ``FEW_LABELED``, ``LABEL_WITH_FEW_IMAGES``, ``NO_TEST_IMAGES``, ``UNLABELED_LEFT_OUT``,
                ``SUGGESTED_LEFT_OUT``, ``TINY_BOXES``, ``TRAINING_UNDER_WAY`` and others later.
            count: the number that is meant.
            label: the label that is meant, if any.
            message: in words.
        """

        class Level(proto.Enum):
            """How much it matters."""

            LEVEL_UNSPECIFIED = 0
            BLOCKS = 1
            WARNS = 2
            TELLS = 3

        level = proto.Field(proto.ENUM, number=1, enum=Level)
        code = proto.Field(proto.STRING, number=2)
        count = proto.Field(proto.INT32, number=3)
        label = proto.Field(proto.STRING, number=4)
        message = proto.Field(proto.STRING, number=5)

    name = proto.Field(proto.STRING, number=1)
    counts = proto.RepeatedField(proto.MESSAGE, number=2, message=Count)
    labels = proto.RepeatedField(proto.MESSAGE, number=3, message=Label)
    box_edge_px = proto.RepeatedField(proto.INT32, number=4)
    findings = proto.RepeatedField(proto.MESSAGE, number=5, message=Finding)
    train_minutes_max = proto.Field(proto.DOUBLE, number=6)
