"""The rows of `boxwright.v1.Curation` about the results of batch predictions and the objects of buckets."""

from __future__ import annotations

from boxwright import curation_messages
from boxwright.surface.curation_rows import CURATION
from boxwright.surface.method_row import reads

_OPERATION = "projects/*/locations/*/operations/*"

ROWS = (
    reads(CURATION, "ListResults", f"/v1/{{parent={_OPERATION}}}/results", curation_messages.ListResultsRequest,
          curation_messages.ListResultsResponse, ("parent",), "operations.get", or_starter=True, is_ours=True),
    reads(CURATION, "SummarizeResults", f"/v1/{{name={_OPERATION}}}:summarizeResults",
          curation_messages.SummarizeResultsRequest, curation_messages.ResultsSummary, ("name",), "operations.get",
          or_starter=True, is_ours=True),
)  # fmt: skip
