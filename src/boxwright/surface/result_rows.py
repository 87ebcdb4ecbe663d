"""The rows of `boxwright.v1.Curation` about the results of batch predictions and the objects of buckets."""

from __future__ import annotations

from google.api import httpbody_pb2
from google.protobuf import empty_pb2

from boxwright import curation_messages
from boxwright.surface.curation_rows import CURATION
from boxwright.surface.method_row import reads, starts

_LOCATION = "projects/*/locations/*"
_OPERATION = _LOCATION + "/operations/*"

ROWS = (
    reads(CURATION, "ListResults", f"/v1/{{parent={_OPERATION}}}/results", curation_messages.ListResultsRequest,
          curation_messages.ListResultsResponse, ("parent",), "operations.get", or_starter=True, is_ours=True),
    reads(CURATION, "SummarizeResults", f"/v1/{{name={_OPERATION}}}:summarizeResults",
          curation_messages.SummarizeResultsRequest, curation_messages.ResultsSummary, ("name",), "operations.get",
          or_starter=True, is_ours=True),
    reads(CURATION, "GetResultImage", f"/v1/{{name={_OPERATION}/results/*}}:image",
          curation_messages.GetResultImageRequest, httpbody_pb2.HttpBody, ("name",), "operations.get", or_starter=True,
          is_ours=True, decodes=True, cache_control="private, no-cache"),  # the object may have changed since
    starts(CURATION, "AddResults", ("POST", f"/v1/{{parent={_LOCATION}/datasets/*}}/examples:addResults", "*"),
           curation_messages.AddResultsRequest, empty_pb2.Empty, ("parent", "operation"), "datasets.import", is_ours=True),
    reads(CURATION, "ListObjects", f"/v1/{{parent={_LOCATION}}}/objects", curation_messages.ListObjectsRequest,
          curation_messages.ListObjectsResponse, ("parent",), "locations.get", is_ours=True),
    reads(CURATION, "DownloadObject", f"/v1/{{name={_OPERATION}}}:download", curation_messages.DownloadObjectRequest,
          httpbody_pb2.HttpBody, ("name", "path"), "operations.get", or_starter=True, is_ours=True),
)  # fmt: skip
