"""The messages of `boxwright.v1.Curation`, the service of this project's own, as proto-plus classes.

    examples        the images of a dataset, one by one and many at once
    labels          a dataset's labels, and what is in a dataset
    results         the results of a batch prediction, and the objects of buckets
    evaluations     an evaluation image by image, and its confusion matrix

Labels and boxes are AutoML's own `AnnotationPayload`, so that what a prediction says can be sent as it is.
"""

from boxwright.curation_messages.evaluations import (
    EvaluatedExample,
    EvaluationSummary,
    ListEvaluatedExamplesRequest,
    ListEvaluatedExamplesResponse,
    SummarizeEvaluationRequest,
)
from boxwright.curation_messages.examples import (
    AnnotationSource,
    BatchDeleteExamplesRequest,
    BatchDeleteExamplesResponse,
    BatchUpdateExamplesRequest,
    BatchUpdateExamplesResponse,
    Example,
    GetExampleImageRequest,
    GetExampleRequest,
    ListExamplesRequest,
    ListExamplesResponse,
    LookupExamplesRequest,
    LookupExamplesResponse,
    Region,
    RevertChangeRequest,
    RevertChangeResponse,
    SuggestAnnotationsRequest,
    SuggestAnnotationsResponse,
    UpdateExampleRequest,
    UploadExampleRequest,
)
from boxwright.curation_messages.labels import (
    AnnotationSpec,
    CreateAnnotationSpecRequest,
    DatasetSummary,
    DeleteAnnotationSpecRequest,
    ListAnnotationSpecsRequest,
    ListAnnotationSpecsResponse,
    MergeAnnotationSpecsRequest,
    SummarizeDatasetRequest,
    UpdateAnnotationSpecRequest,
)
from boxwright.curation_messages.results import (
    AddResultsRequest,
    DownloadObjectRequest,
    GetResultImageRequest,
    ListObjectsRequest,
    ListObjectsResponse,
    ListResultsRequest,
    ListResultsResponse,
    ObjectEntry,
    Result,
    ResultsSummary,
    SummarizeResultsRequest,
)

__all__ = [
    "AddResultsRequest",
    "AnnotationSource",
    "AnnotationSpec",
    "BatchDeleteExamplesRequest",
    "BatchDeleteExamplesResponse",
    "BatchUpdateExamplesRequest",
    "BatchUpdateExamplesResponse",
    "CreateAnnotationSpecRequest",
    "DatasetSummary",
    "DeleteAnnotationSpecRequest",
    "DownloadObjectRequest",
    "EvaluatedExample",
    "EvaluationSummary",
    "Example",
    "GetExampleImageRequest",
    "GetExampleRequest",
    "GetResultImageRequest",
    "ListAnnotationSpecsRequest",
    "ListAnnotationSpecsResponse",
    "ListEvaluatedExamplesRequest",
    "ListEvaluatedExamplesResponse",
    "ListExamplesRequest",
    "ListExamplesResponse",
    "ListObjectsRequest",
    "ListObjectsResponse",
    "ListResultsRequest",
    "ListResultsResponse",
    "LookupExamplesRequest",
    "LookupExamplesResponse",
    "MergeAnnotationSpecsRequest",
    "ObjectEntry",
    "Region",
    "Result",
    "ResultsSummary",
    "RevertChangeRequest",
    "RevertChangeResponse",
    "SuggestAnnotationsRequest",
    "SuggestAnnotationsResponse",
    "SummarizeDatasetRequest",
    "SummarizeEvaluationRequest",
    "SummarizeResultsRequest",
    "UpdateAnnotationSpecRequest",
    "UpdateExampleRequest",
    "UploadExampleRequest",
]
