"""Examples: the images of a dataset, one by one and many at once.

Example                 an image of a dataset, with its labels
Region                  a part of an image
…Request, …Response     of the methods about examples
"""

from __future__ import annotations

import proto
from google.api import httpbody_pb2
from google.cloud.automl_v1 import types
from google.protobuf import field_mask_pb2, timestamp_pb2

__protobuf__ = proto.module(
    package="boxwright.v1",
    manifest={
        "AnnotationSource",
        "BatchDeleteExamplesRequest",
        "BatchDeleteExamplesResponse",
        "BatchUpdateExamplesRequest",
        "BatchUpdateExamplesResponse",
        "Example",
        "GetExampleImageRequest",
        "GetExampleRequest",
        "ListExamplesRequest",
        "ListExamplesResponse",
        "LookupExamplesRequest",
        "LookupExamplesResponse",
        "Region",
        "RevertChangeRequest",
        "RevertChangeResponse",
        "SuggestAnnotationsRequest",
        "SuggestAnnotationsResponse",
        "UpdateExampleRequest",
        "UploadExampleRequest",
    },
)


class AnnotationSource(proto.Enum):
    """Where a label of an image comes from."""

    ANNOTATION_SOURCE_UNSPECIFIED = 0
    IMPORTED = 1
    HUMAN = 2
    MODEL = 3
    ACCEPTED = 4


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
        display_name: name of the file as a person knows it.
        sources: where the labels come from, one for each of `annotations`. A label that a model has found (MODEL) has the
            model's score in its payload, one that a person has accepted (ACCEPTED) keeps it; others have score 1. A request
            whose mask names them with `annotations` gives one for each. Without them, a new label whose score is below 1 is
            a model's, other new ones are a person's, and a model's label that is sent without its score has been accepted.
            The labels of a model in a LABELED image are ACCEPTED.
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
    display_name = proto.Field(proto.STRING, number=11)
    sources = proto.RepeatedField(proto.ENUM, number=12, enum=AnnotationSource)


class GetExampleRequest(proto.Message):
    """Asks for one example by `name`."""

    name = proto.Field(proto.STRING, number=1)


class ListExamplesRequest(proto.Message):
    """Asks for a page of a dataset's examples.

    Attributes:
        parent: name of the dataset.
        filter: terms joined by AND; fields ``label``, ``state``, ``ml_use``, ``uri``, ``author``, ``source``, and the
            numbers ``boxes`` and ``min_edge_px``, which also take ``<``, ``<=``, ``>``, ``>=``.
        page_size: 1 to 1000; 0 means 100.
        page_token: of the page before.
        skip: how many examples are left out before the page's first one, counted from the token's place.
        order_by: ``import_order`` (default), ``update_time``, ``display_name``, ``boxes``; `` desc`` turns it round.
        view: BASIC leaves `annotations` and `sources` out.
    """

    class View(proto.Enum):
        """How much is said of each example."""

        VIEW_UNSPECIFIED = 0
        BASIC = 1
        FULL = 2

    parent = proto.Field(proto.STRING, number=1)
    filter = proto.Field(proto.STRING, number=2)
    page_size = proto.Field(proto.INT32, number=3)
    page_token = proto.Field(proto.STRING, number=4)
    skip = proto.Field(proto.INT32, number=5)
    order_by = proto.Field(proto.STRING, number=6)
    view = proto.Field(proto.ENUM, number=7, enum=View)


class ListExamplesResponse(proto.Message):
    """A page of examples, in the order of their import; `total_size` counts all that the filter lets pass."""

    examples = proto.RepeatedField(proto.MESSAGE, number=1, message=Example)
    next_page_token = proto.Field(proto.STRING, number=2)
    total_size = proto.Field(proto.INT32, number=3)


class UpdateExampleRequest(proto.Message):
    """Changes ``annotations``, ``state`` or ``ml_use`` of the example, as far as the mask names them."""

    example = proto.Field(proto.MESSAGE, number=1, message=Example)
    update_mask = proto.Field(proto.MESSAGE, number=2, message=field_mask_pb2.FieldMask)


class UploadExampleRequest(proto.Message):
    """Adds an image to a dataset, without labels; the same content gives the example that is there.

    Attributes:
        parent: name of the dataset.
        display_name: name of the file, with folders if there are any.
        ml_use: the set that the image is put in; unspecified: UNASSIGNED.
        image: the file, at most 30 MB.
    """

    parent = proto.Field(proto.STRING, number=1)
    display_name = proto.Field(proto.STRING, number=2)
    ml_use = proto.Field(proto.ENUM, number=3, enum=Example.MlUse)
    image = proto.Field(proto.MESSAGE, number=4, message=httpbody_pb2.HttpBody)


class LookupExamplesRequest(proto.Message):
    """Asks which contents are in a dataset already: `sha256` are at most 1000 digests in lower-case hexadecimal."""

    parent = proto.Field(proto.STRING, number=1)
    sha256 = proto.RepeatedField(proto.STRING, number=2)


class LookupExamplesResponse(proto.Message):
    """Those that are there, in the order of the request."""

    sha256 = proto.RepeatedField(proto.STRING, number=1)


class Region(proto.Message):
    """A part of an upright image, as fractions of its sides in [0, 1]; nothing set means all of it."""

    left = proto.Field(proto.FLOAT, number=1)
    top = proto.Field(proto.FLOAT, number=2)
    width = proto.Field(proto.FLOAT, number=3)
    height = proto.Field(proto.FLOAT, number=4)


class GetExampleImageRequest(proto.Message):
    """Asks for an example's picture: upright, sRGB, as JPEG.

    Attributes:
        name: of the example.
        edge_px: the longer side of the picture at most: 256, 640, 1280, 2560 or 4096; 0 means 1280.
        region: the part of the image that is wanted.
    """

    name = proto.Field(proto.STRING, number=1)
    edge_px = proto.Field(proto.INT32, number=2)
    region = proto.Field(proto.MESSAGE, number=3, message=Region)


class BatchUpdateExamplesRequest(proto.Message):
    """Changes many examples in the same way, all or none.

    Attributes:
        parent: name of the dataset.
        names: of the examples, at most 1000; or `filter` instead.
        filter: as in `ListExamplesRequest`; ``*`` means all.
        expected_count: how many the filter must find; another number refuses the call.
        ml_use: the set that they are put in, if any.
        state: the state that they get, if any; LABELED with nothing in it means that there is nothing to find,
            UNLABELED takes their labels away.
        add_label: display name of a label that they all get: of the whole image in a classification dataset only.
        remove_label: display name of a label that is taken off them.
        relabel_from: display name of a label that becomes `relabel_to`.
        relabel_to: display name.
    """

    parent = proto.Field(proto.STRING, number=1)
    names = proto.RepeatedField(proto.STRING, number=2)
    filter = proto.Field(proto.STRING, number=3)
    expected_count = proto.Field(proto.INT32, number=4)
    ml_use = proto.Field(proto.ENUM, number=5, enum=Example.MlUse)
    state = proto.Field(proto.ENUM, number=6, enum=Example.State)
    add_label = proto.Field(proto.STRING, number=7)
    remove_label = proto.Field(proto.STRING, number=8)
    relabel_from = proto.Field(proto.STRING, number=9)
    relabel_to = proto.Field(proto.STRING, number=10)


class BatchUpdateExamplesResponse(proto.Message):
    """How many were changed; `change` names what `RevertChange` takes back, empty if nothing was changed."""

    updated_count = proto.Field(proto.INT32, number=1)
    change = proto.Field(proto.STRING, number=2)


class BatchDeleteExamplesRequest(proto.Message):
    """Takes examples out of a dataset; images in buckets stay. Fields as in `BatchUpdateExamplesRequest`."""

    parent = proto.Field(proto.STRING, number=1)
    names = proto.RepeatedField(proto.STRING, number=2)
    filter = proto.Field(proto.STRING, number=3)
    expected_count = proto.Field(proto.INT32, number=4)


class BatchDeleteExamplesResponse(proto.Message):
    """How many were taken out; `change` names what `RevertChange` takes back."""

    deleted_count = proto.Field(proto.INT32, number=1)
    change = proto.Field(proto.STRING, number=2)


class RevertChangeRequest(proto.Message):
    """Takes a change of many examples back, by its `name`, ``…/datasets/{dataset}/changes/{change}``."""

    name = proto.Field(proto.STRING, number=1)


class RevertChangeResponse(proto.Message):
    """How many examples are as before, and how many stay because somebody has changed them since."""

    reverted_count = proto.Field(proto.INT32, number=1)
    kept_count = proto.Field(proto.INT32, number=2)


class SuggestAnnotationsRequest(proto.Message):
    """Asks what a model finds in an example; the service reads the image itself, as a batch does.

    Attributes:
        name: of the example.
        model: name of a model; it need not be deployed.
        score_threshold: of the findings; 0 means 0.5.
    """

    name = proto.Field(proto.STRING, number=1)
    model = proto.Field(proto.STRING, number=2)
    score_threshold = proto.Field(proto.FLOAT, number=3)


class SuggestAnnotationsResponse(proto.Message):
    """What the model finds, best first, with the ids of the dataset's labels; `unknown_labels` are not among them."""

    annotations = proto.RepeatedField(proto.MESSAGE, number=1, message=types.AnnotationPayload)
    unknown_labels = proto.RepeatedField(proto.STRING, number=2)
