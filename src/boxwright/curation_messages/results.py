"""The results of a batch prediction, image by image, and the objects of buckets.

Result                  what a batch has found in one image
ResultsSummary          counts for a threshold slider
ObjectEntry             an object or a folder of a bucket
…Request, …Response     of the methods about results and objects
"""

from __future__ import annotations

import proto
from google.cloud.automl_v1 import types
from google.protobuf import timestamp_pb2
from google.rpc import status_pb2

from boxwright.curation_messages.examples import Example, Region

__protobuf__ = proto.module(
    package="boxwright.v1",
    manifest={
        "AddResultsRequest",
        "DownloadObjectRequest",
        "GetResultImageRequest",
        "ListObjectsRequest",
        "ListObjectsResponse",
        "ListResultsRequest",
        "ListResultsResponse",
        "ObjectEntry",
        "Result",
        "ResultsSummary",
        "SummarizeResultsRequest",
    },
)


class Result(proto.Message):
    """What a batch prediction says of one image.

    Attributes:
        name: ``…/operations/{operation}/results/{place}``; the place is ``K-R``, line R (from 0) of result file K, or
            ``eK-R`` of errors file K.
        image_id: as in the JSONL files.
        width_px: of the upright image; 0 if not known.
        height_px: of the upright image; 0 if not known.
        annotations: best first, above the threshold that was asked for.
        error: why there is no prediction, if there is none.
        uncertainty: how much a label for this image would teach, as in the report's ``label_next.csv``; 0 without
            candidates.
        reason: why, in words.
    """

    name = proto.Field(proto.STRING, number=1)
    image_id = proto.Field(proto.STRING, number=2)
    width_px = proto.Field(proto.INT32, number=3)
    height_px = proto.Field(proto.INT32, number=4)
    annotations = proto.RepeatedField(proto.MESSAGE, number=5, message=types.AnnotationPayload)
    error = proto.Field(proto.MESSAGE, number=6, message=status_pb2.Status)
    uncertainty = proto.Field(proto.FLOAT, number=7)
    reason = proto.Field(proto.STRING, number=8)


class ListResultsRequest(proto.Message):
    """Asks for a page of a batch prediction's results.

    Attributes:
        parent: name of the operation; it may still be running: finished shards are there.
        filter: terms joined by AND; fields ``label``, ``image_id`` (a part of it), ``has_error``, and the numbers ``score``,
            ``boxes``. ``label`` and ``score`` are about one finding.
        order_by: ``list_order`` (default; failed images come last), ``score``, ``boxes``, ``uncertainty``, with ``desc``
            or not. The last three have the first 100,000 images, without failed ones.
        page_size: 1 to 1000; 0 means 100.
        page_token: of the page before.
        skip: how many results are left out before the page's first one, counted from the token's place.
        score_threshold: of the annotations; 0 means the threshold of the job. Not below it in a folder without candidates.
    """

    parent = proto.Field(proto.STRING, number=1)
    filter = proto.Field(proto.STRING, number=2)
    order_by = proto.Field(proto.STRING, number=3)
    page_size = proto.Field(proto.INT32, number=4)
    page_token = proto.Field(proto.STRING, number=5)
    skip = proto.Field(proto.INT32, number=6)
    score_threshold = proto.Field(proto.FLOAT, number=7)


class ListResultsResponse(proto.Message):
    """A page of results. It may be short, or empty, and have a next one: a call reads for about a second.

    Attributes:
        results: of the page.
        next_page_token: of the next page; empty if there is none.
        total_size: how many results there are; -1 while it is not known.
        read_file_count: how many files of the output folder are read, or passed over, up to the end of this page; for an
            order, how many are ranked.
        file_count: of all. An order has no results before `read_file_count` reaches it.
    """

    results = proto.RepeatedField(proto.MESSAGE, number=1, message=Result)
    next_page_token = proto.Field(proto.STRING, number=2)
    total_size = proto.Field(proto.INT32, number=3)
    read_file_count = proto.Field(proto.INT32, number=4)
    file_count = proto.Field(proto.INT32, number=5)


class GetResultImageRequest(proto.Message):
    """Asks for a result's picture; fields as in `GetExampleImageRequest`."""

    name = proto.Field(proto.STRING, number=1)
    edge_px = proto.Field(proto.INT32, number=2)
    region = proto.Field(proto.MESSAGE, number=3, message=Region)


class SummarizeResultsRequest(proto.Message):
    """Asks for the counts of the batch prediction `name`."""

    name = proto.Field(proto.STRING, number=1)


class ResultsSummary(proto.Message):
    """Counts of a batch prediction.

    Attributes:
        name: of the operation.
        output_directory: where the files are.
        image_count: images with a prediction.
        error_count: images without one.
        score_threshold: of the job.
        has_candidates: whether findings below the threshold are kept; without them the threshold can only be raised.
        reason: why there are no candidates, or why something is missing here; empty otherwise.
        labels: of each label that was found, the most frequent first.
        images_above: entry k: images with any finding of score k / 100 or more; 101 entries.
        errors: by code and sentence, the most frequent first, at most 50.
        files: of the output folder, at most 1000.
    """

    class Label(proto.Message):
        """Findings of a label: entry k of `found_above` and `images_above` is for scores of k / 100 or more; 101 entries."""

        display_name = proto.Field(proto.STRING, number=1)
        found_above = proto.RepeatedField(proto.INT64, number=2)
        images_above = proto.RepeatedField(proto.INT64, number=3)

    class Error(proto.Message):
        """Images that failed with the same words."""

        code = proto.Field(proto.INT32, number=1)
        message = proto.Field(proto.STRING, number=2)
        image_count = proto.Field(proto.INT64, number=3)

    class File(proto.Message):
        """A file of the output folder, by its path in it."""

        path = proto.Field(proto.STRING, number=1)
        size_bytes = proto.Field(proto.INT64, number=2)

    name = proto.Field(proto.STRING, number=1)
    output_directory = proto.Field(proto.STRING, number=2)
    image_count = proto.Field(proto.INT64, number=3)
    error_count = proto.Field(proto.INT64, number=4)
    score_threshold = proto.Field(proto.FLOAT, number=5)
    has_candidates = proto.Field(proto.BOOL, number=6)
    reason = proto.Field(proto.STRING, number=7)
    labels = proto.RepeatedField(proto.MESSAGE, number=8, message=Label)
    images_above = proto.RepeatedField(proto.INT64, number=9)
    errors = proto.RepeatedField(proto.MESSAGE, number=10, message=Error)
    files = proto.RepeatedField(proto.MESSAGE, number=11, message=File)


class AddResultsRequest(proto.Message):
    """Adds images of a batch prediction to a dataset; the answer is an operation, as that of an import.

    Attributes:
        parent: name of the dataset.
        operation: name of the batch prediction.
        names: of the results, at most 1000; or `filter`, `order_by` and `limit` instead.
        filter: as in `ListResultsRequest`; empty: all.
        order_by: as in `ListResultsRequest`.
        limit: how many results are added, from the first of that order on; 0: all.
        state: SUGGESTED (default): with what was found, for a person to judge; UNLABELED: without; LABELED: as if known.
        score_threshold: of what was found; 0 means the threshold of the job.
    """

    parent = proto.Field(proto.STRING, number=1)
    operation = proto.Field(proto.STRING, number=2)
    names = proto.RepeatedField(proto.STRING, number=3)
    filter = proto.Field(proto.STRING, number=4)
    order_by = proto.Field(proto.STRING, number=5)
    limit = proto.Field(proto.INT32, number=6)
    state = proto.Field(proto.ENUM, number=7, enum=Example.State)
    score_threshold = proto.Field(proto.FLOAT, number=8)


class ObjectEntry(proto.Message):
    """An object of a bucket, or a folder; a folder's `uri` ends in a slash and it has no size."""

    uri = proto.Field(proto.STRING, number=1)
    size_bytes = proto.Field(proto.INT64, number=2)
    update_time = proto.Field(proto.MESSAGE, number=3, message=timestamp_pb2.Timestamp)
    is_folder = proto.Field(proto.BOOL, number=4)


class ListObjectsRequest(proto.Message):
    """Asks for a page of what lies directly in a folder.

    Attributes:
        parent: name of the location.
        prefix: URI of the folder; empty: the buckets that the caller may read.
        page_size: 1 to 1000; 0 means 100.
        page_token: of the page before.
    """

    parent = proto.Field(proto.STRING, number=1)
    prefix = proto.Field(proto.STRING, number=2)
    page_size = proto.Field(proto.INT32, number=3)
    page_token = proto.Field(proto.STRING, number=4)


class ListObjectsResponse(proto.Message):
    """A page of objects and folders, by name."""

    objects = proto.RepeatedField(proto.MESSAGE, number=1, message=ObjectEntry)
    next_page_token = proto.Field(proto.STRING, number=2)


class DownloadObjectRequest(proto.Message):
    """Asks for a file of a batch prediction's or an export's output folder, as it is.

    Attributes:
        name: of the operation.
        path: of the file in the output folder.
    """

    name = proto.Field(proto.STRING, number=1)
    path = proto.Field(proto.STRING, number=2)
