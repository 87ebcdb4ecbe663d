"""The rows of `boxwright.v1.Curation`, the service of our own."""

from __future__ import annotations

from google.api import httpbody_pb2

from boxwright import curation_messages
from boxwright.surface.method_row import Method, reads

CURATION = "boxwright.v1.Curation"

MAX_UPLOAD_BYTES = 32 * 1024 * 1024  # an image of 30 MB, and a little more, which hears why it is refused

_DATASET = "projects/*/locations/*/datasets/*"
_EXAMPLE = _DATASET + "/examples/*"
_MODEL = "projects/*/locations/*/models/*"

ROWS = (
    reads(CURATION, "ListExamples", f"/v1/{{parent={_DATASET}}}/examples", curation_messages.ListExamplesRequest,
          curation_messages.ListExamplesResponse, ("parent",), "examples.list", is_ours=True),
    reads(CURATION, "GetExample", f"/v1/{{name={_EXAMPLE}}}", curation_messages.GetExampleRequest,
          curation_messages.Example, ("name",), "examples.get", is_ours=True),
    Method(service=CURATION, rpc="UpdateExample", verb="PATCH", paths=(f"/v1/{{example.name={_EXAMPLE}}}",),
           body="example", request=curation_messages.UpdateExampleRequest, response=curation_messages.Example,
           required=("example.name", "example.etag", "update_mask"), is_ours=True,
           permission="automl.examples.update", resource="example.name"),
    Method(service=CURATION, rpc="UploadExample", verb="POST", paths=(f"/v1/{{parent={_DATASET}}}/examples:upload",),
           body="image", request=curation_messages.UploadExampleRequest, response=curation_messages.Example,
           required=("parent", "image.data"), is_ours=True, decodes=True, max_body_bytes=MAX_UPLOAD_BYTES,
           permission="automl.datasets.import", resource="parent"),
    Method(service=CURATION, rpc="LookupExamples", verb="POST", paths=(f"/v1/{{parent={_DATASET}}}/examples:lookup",),
           body="*", request=curation_messages.LookupExamplesRequest, response=curation_messages.LookupExamplesResponse,
           required=("parent",), is_ours=True, only_reads=True,
           permission="automl.examples.list", resource="parent"),
    reads(CURATION, "GetExampleImage", f"/v1/{{name={_EXAMPLE}}}:image", curation_messages.GetExampleImageRequest,
          httpbody_pb2.HttpBody, ("name",), "examples.get", is_ours=True, decodes=True,
          # an example's name is its content
          cache_control="private, max-age=31536000, immutable"),
    Method(service=CURATION, rpc="SuggestAnnotations", verb="POST", paths=(f"/v1/{{name={_EXAMPLE}}}:suggest",),
           body="*", request=curation_messages.SuggestAnnotationsRequest,
           response=curation_messages.SuggestAnnotationsResponse, required=("name", "model"), is_ours=True,
           only_reads=True, decodes=True, permission="automl.examples.get", resource="name"),
    reads(CURATION, "ListEvaluatedExamples", f"/v1/{{parent={_MODEL}}}/evaluatedExamples",
          curation_messages.ListEvaluatedExamplesRequest, curation_messages.ListEvaluatedExamplesResponse, ("parent",),
          "modelEvaluations.list", is_ours=True),
    reads(CURATION, "SummarizeEvaluation", f"/v1/{{name={_MODEL}}}:summarizeEvaluation",
          curation_messages.SummarizeEvaluationRequest, curation_messages.EvaluationSummary, ("name",),
          "modelEvaluations.get", is_ours=True),
)  # fmt: skip
