"""The rows of `boxwright.v1.Curation` about many examples at once, labels, and what is in a dataset."""

from __future__ import annotations

from boxwright import curation_messages as pb
from boxwright.surface.curation_rows import CURATION
from boxwright.surface.method_row import Method

_DATASET = "projects/*/locations/*/datasets/*"
_SPEC = _DATASET + "/annotationSpecs/*"
_PARENT, _CHANGE = f"/v1/{{parent={_DATASET}}}", f"/v1/{{name={_DATASET}/changes/*}}"


def _row(
    rpc: str, route: tuple[str, str, str | None], request: type, response: type, needs: str, *required: str
) -> Method:
    verb, path, body = route
    return Method(
        service=CURATION, rpc=rpc, verb=verb, paths=(path,), body=body, request=request, response=response,
        required=required, is_ours=True, permission=f"automl.{needs}", resource=required[0],
    )  # fmt: skip


ROWS = (
    _row("BatchUpdateExamples", ("POST", f"{_PARENT}/examples:batchUpdate", "*"),
         pb.BatchUpdateExamplesRequest, pb.BatchUpdateExamplesResponse, "examples.update", "parent"),
    _row("BatchDeleteExamples", ("POST", f"{_PARENT}/examples:batchDelete", "*"),
         pb.BatchDeleteExamplesRequest, pb.BatchDeleteExamplesResponse, "examples.delete", "parent"),
    _row("RevertChange", ("POST", f"{_CHANGE}:revert", "*"),
         pb.RevertChangeRequest, pb.RevertChangeResponse, "examples.update", "name"),
    _row("SummarizeDataset", ("GET", f"/v1/{{name={_DATASET}}}:summarize", None),
         pb.SummarizeDatasetRequest, pb.DatasetSummary, "datasets.get", "name"),
    _row("ListAnnotationSpecs", ("GET", f"{_PARENT}/annotationSpecs", None),
         pb.ListAnnotationSpecsRequest, pb.ListAnnotationSpecsResponse, "annotationSpecs.list", "parent"),
    _row("CreateAnnotationSpec", ("POST", f"{_PARENT}/annotationSpecs", "annotation_spec"),
         pb.CreateAnnotationSpecRequest, pb.AnnotationSpec, "annotationSpecs.create",
         "parent", "annotation_spec.display_name"),
    _row("UpdateAnnotationSpec", ("PATCH", f"/v1/{{annotation_spec.name={_SPEC}}}", "annotation_spec"),
         pb.UpdateAnnotationSpecRequest, pb.AnnotationSpec, "annotationSpecs.update",
         "annotation_spec.name", "update_mask"),
    _row("DeleteAnnotationSpec", ("DELETE", f"/v1/{{name={_SPEC}}}", None),
         pb.DeleteAnnotationSpecRequest, pb.BatchUpdateExamplesResponse, "annotationSpecs.delete", "name"),
    _row("MergeAnnotationSpecs", ("POST", f"/v1/{{name={_SPEC}}}:merge", "*"),
         pb.MergeAnnotationSpecsRequest, pb.BatchUpdateExamplesResponse, "annotationSpecs.delete", "name", "into"),
)  # fmt: skip
