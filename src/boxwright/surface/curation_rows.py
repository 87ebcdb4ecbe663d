"""The rows of `boxwright.v1.Curation`, the service of our own."""

from __future__ import annotations

from google.api import httpbody_pb2

from boxwright import curation_messages
from boxwright.surface.method_row import Method, reads

CURATION = "boxwright.v1.Curation"

_DATASET = "projects/*/locations/*/datasets/*"
_EXAMPLE = _DATASET + "/examples/*"
_OPERATION = "projects/*/locations/*/operations/*"

ROWS = (
    reads(CURATION, "ListExamples", f"/v1/{{parent={_DATASET}}}/examples", curation_messages.ListExamplesRequest,
          curation_messages.ListExamplesResponse, ("parent",), "examples.list", is_ours=True),
    reads(CURATION, "GetExample", f"/v1/{{name={_EXAMPLE}}}", curation_messages.GetExampleRequest,
          curation_messages.Example, ("name",), "examples.get", is_ours=True),
    Method(service=CURATION, rpc="UpdateExample", verb="PATCH", paths=(f"/v1/{{example.name={_EXAMPLE}}}",),
           body="example", request=curation_messages.UpdateExampleRequest, response=curation_messages.Example,
           required=("example.name", "example.etag", "update_mask"), is_ours=True,
           permission="automl.examples.update", resource="example.name"),
    reads(CURATION, "GetExampleImage", f"/v1/{{name={_EXAMPLE}}}:image", curation_messages.GetExampleImageRequest,
          httpbody_pb2.HttpBody, ("name",), "examples.get", is_ours=True, decodes=True,
          # an example's name is its content
          cache_control="private, max-age=31536000, immutable"),
    reads(CURATION, "ListResults", f"/v1/{{parent={_OPERATION}}}/results", curation_messages.ListResultsRequest,
          curation_messages.ListResultsResponse, ("parent",), "operations.get", or_starter=True, is_ours=True),
    reads(CURATION, "SummarizeResults", f"/v1/{{name={_OPERATION}}}:summarizeResults",
          curation_messages.SummarizeResultsRequest, curation_messages.ResultsSummary, ("name",), "operations.get",
          or_starter=True, is_ours=True),
)  # fmt: skip
