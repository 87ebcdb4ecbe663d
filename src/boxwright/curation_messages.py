"""The messages of `boxwright.v1.Curation`, the service of this project's own, as proto-plus classes.

    Example                 an image of a dataset, with its labels
    GetExampleRequest, ListExamplesRequest, ListExamplesResponse, UpdateExampleRequest

Labels and boxes are AutoML's own `AnnotationPayload`, so that what a prediction says can be sent as it is.
"""

from __future__ import annotations

import proto
from google.cloud.automl_v1 import types
from google.protobuf import field_mask_pb2, timestamp_pb2

__protobuf__ = proto.module(
    package="boxwright.v1",
    manifest={
        "Example",
        "GetExampleRequest",
        "ListExamplesRequest",
        "ListExamplesResponse",
        "UpdateExampleRequest",
    },
)


class Example(proto.Message):
    """An image of a dataset.

    Attributes:
        name: ``…/datasets/{dataset}/examples/{example}``; the last part is the SHA-256 of the image's bytes.
        uri: where the image is.
        ml_use: the set it belongs to.
        state: whether its labels are known.
        width_px: of the upright image.
        height_px: of the upright image.
        annotations: its labels; boxes are fractions of the upright image's sides, in [0, 1].
        etag: of its set, state and labels; changes when one of them does.
        author: member that has changed it last; empty if nobody did since the import, or anybody may.
        update_time: when it was changed last; absent if it was not since the import.
    """

    class MlUse(proto.Enum):
        """The set that an image belongs to."""

        ML_USE_UNSPECIFIED = 0
        TRAIN = 1
        VALIDATION = 2
        TEST = 3
        UNASSIGNED = 4

    class State(proto.Enum):
        """Whether labels are known."""

        STATE_UNSPECIFIED = 0
        LABELED = 1
        UNLABELED = 2
        SUGGESTED = 3

    name = proto.Field(proto.STRING, number=1)
    uri = proto.Field(proto.STRING, number=2)
    ml_use = proto.Field(proto.ENUM, number=3, enum=MlUse)
    state = proto.Field(proto.ENUM, number=4, enum=State)
    width_px = proto.Field(proto.INT32, number=5)
    height_px = proto.Field(proto.INT32, number=6)
    annotations = proto.RepeatedField(proto.MESSAGE, number=7, message=types.AnnotationPayload)
    etag = proto.Field(proto.STRING, number=8)
    author = proto.Field(proto.STRING, number=9)
    update_time = proto.Field(proto.MESSAGE, number=10, message=timestamp_pb2.Timestamp)


class GetExampleRequest(proto.Message):
    """Asks for one example by `name`."""

    name = proto.Field(proto.STRING, number=1)


class ListExamplesRequest(proto.Message):
    """Asks for a page of a dataset's examples.

    Attributes:
        parent: name of the dataset.
        filter: terms joined by AND; fields ``label``, ``state``, ``ml_use``, ``uri``.
        page_size: 1 to 1000; 0 means 100.
        page_token: of the page before.
        skip: how many examples are left out before the page's first one, counted from the token's place.
    """

    parent = proto.Field(proto.STRING, number=1)
    filter = proto.Field(proto.STRING, number=2)
    page_size = proto.Field(proto.INT32, number=3)
    page_token = proto.Field(proto.STRING, number=4)
    skip = proto.Field(proto.INT32, number=5)


class ListExamplesResponse(proto.Message):
    """A page of examples, in the order of their import; `total_size` counts all that the filter lets pass."""

    examples = proto.RepeatedField(proto.MESSAGE, number=1, message=Example)
    next_page_token = proto.Field(proto.STRING, number=2)
    total_size = proto.Field(proto.INT32, number=3)


class UpdateExampleRequest(proto.Message):
    """Changes ``annotations``, ``state`` or ``ml_use`` of the example, as far as the mask names them."""

    example = proto.Field(proto.MESSAGE, number=1, message=Example)
    update_mask = proto.Field(proto.MESSAGE, number=2, message=field_mask_pb2.FieldMask)
