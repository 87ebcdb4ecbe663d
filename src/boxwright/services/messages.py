"""Operations and predictions as the public messages that callers see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa
from google.cloud.automl_v1 import types
from google.longrunning import operations_pb2
from google.protobuf import any_pb2, empty_pb2, json_format, message, struct_pb2
from google.rpc import status_pb2

from boxwright import boxes, states
from boxwright.metadata.messages import classification_type, dataset, model, model_evaluation, timestamp
from boxwright.operations import ledger, operation_trace
from boxwright.predictions import ImagePrediction, LabelScores
from boxwright.services import requested

Kind = states.OperationKind
_DETAILS_MEMBERS = {
    Kind.CREATE_DATASET: "create_dataset_details",
    Kind.DELETE_DATASET: "delete_details",
    Kind.DELETE_MODEL: "delete_details",
    Kind.IMPORT_DATA: "import_data_details",
    Kind.EXPORT_DATA: "export_data_details",
    Kind.CREATE_MODEL: "create_model_details",
    Kind.DEPLOY_MODEL: "deploy_model_details",
    Kind.UNDEPLOY_MODEL: "undeploy_model_details",
    Kind.EXPORT_MODEL: "export_model_details",
    Kind.BATCH_PREDICT: "batch_predict_details",
    Kind.IMPORT_MODEL: "create_model_details",  # clients know no other that ends with a model
}


def operation_details(kind: states.OperationKind, input_config: types.BatchPredictInputConfig | None = None) -> bytes:
    """Serialised OperationMetadata whose details member is set, as clients tell operations apart by it."""
    metadata = types.OperationMetadata.pb(types.OperationMetadata())
    member = getattr(metadata, _DETAILS_MEMBERS[kind])
    member.SetInParent()
    if input_config is not None:
        member.input_config.CopyFrom(types.BatchPredictInputConfig.pb(input_config))
    serialised: bytes = metadata.SerializeToString()
    return serialised


def operation(row: sa.Row[Any]) -> operations_pb2.Operation:
    """The operation that a row stores, with its OperationMetadata."""
    result = operations_pb2.Operation(name=str(ledger.name_of(row)), done=row.state in states.OPERATION_TERMINAL)
    if row.response is not None:
        result.response.ParseFromString(row.response)
    if row.error is not None:
        result.error.ParseFromString(row.error)
    metadata = types.OperationMetadata.pb(types.OperationMetadata())
    metadata.ParseFromString(row.details)
    metadata.create_time.CopyFrom(timestamp(row.create_time_us))
    metadata.update_time.CopyFrom(timestamp(row.update_time_us))
    metadata.progress_percent = row.progress_percent
    for code, text in row.partial_failures:
        metadata.partial_failures.add(code=code, message=text)
    if row.output_directory:
        member = getattr(metadata, _DETAILS_MEMBERS[states.OperationKind(row.kind)])
        member.output_info.gcs_output_directory = row.output_directory
    result.metadata.Pack(metadata)
    return result


def progress(row: sa.Row[Any]) -> struct_pb2.Struct:
    """How far an operation is: its kind, state and percentage, what was asked for, and its runner's numbers.

    Numbers and what was asked for stay when it has ended.
    """
    result = struct_pb2.Struct()
    ended = {} if row.done_time_us is None else {"end_time": timestamp(row.done_time_us).ToJsonString()}
    result.update(
        {
            "name": str(ledger.name_of(row)),
            "kind": row.kind,
            "state": row.state,
            "cancel_requested": row.cancel_requested_us is not None,
            "progress_percent": row.progress_percent,
            "works_on": row.works_on,
            "create_time": timestamp(row.create_time_us).ToJsonString(),
            "update_time": timestamp(row.update_time_us).ToJsonString(),
            **ended,
            **requested.facts(row),
            **(operation_trace.split(row.progress)[1] or {}),
        }
    )
    return result


def event_data(row: sa.Row[Any]) -> dict[str, Any]:
    """What an event says of an operation: its progress, its output folder, and how it failed."""
    data = json_format.MessageToDict(progress(row)) | {"output_directory": row.output_directory}
    if row.error is not None:
        status = status_pb2.Status.FromString(row.error)
        data["error"] = {"code": status.code, "message": status.message}
    return data


def member_of(annotation: types.AnnotationPayload) -> str:
    """Which member of its detail an annotation has set; empty if none."""
    return types.AnnotationPayload.pb(annotation).WhichOneof("detail") or ""


def packed(response: message.Message | None = None) -> any_pb2.Any:
    """A response as `google.protobuf.Any`; Empty if there is none."""
    result = any_pb2.Any()
    result.Pack(response if response is not None else empty_pb2.Empty())
    return result


def annotation_payloads(found: ImagePrediction, labels: list[tuple[str, str]]) -> list[types.AnnotationPayload]:
    """What was found in an image as the payload of an online prediction, rounded as the batch files are.

    Args:
        labels: (annotation spec id, display name) by label index.
    """
    details = _ANNOTATIONS[type(found)](found)
    return [
        types.AnnotationPayload(annotation_spec_id=labels[index][0], display_name=labels[index][1], **detail)
        for index, detail in zip(found.label_indices.tolist(), details, strict=True)
    ]


def _detections(found: boxes.Detections) -> Iterator[dict[str, Any]]:
    corners = boxes.rounded_boxes(found.boxes_norm).tolist()
    for (x_min, y_min, x_max, y_max), score in zip(corners, boxes.rounded_scores(found.scores).tolist(), strict=True):
        vertices = [types.NormalizedVertex(x=x_min, y=y_min), types.NormalizedVertex(x=x_max, y=y_max)]
        box = types.BoundingPoly(normalized_vertices=vertices)
        yield {"image_object_detection": types.ImageObjectDetectionAnnotation(bounding_box=box, score=score)}


def _classifications(found: LabelScores) -> Iterator[dict[str, Any]]:
    for score in boxes.rounded_scores(found.scores).tolist():
        yield {"classification": types.ClassificationAnnotation(score=score)}


_ANNOTATIONS: dict[type, Callable[[Any], Iterator[dict[str, Any]]]] = {
    boxes.Detections: _detections,
    LabelScores: _classifications,
}


__all__ = [
    "annotation_payloads",
    "classification_type",
    "dataset",
    "event_data",
    "member_of",
    "model",
    "model_evaluation",
    "operation",
    "operation_details",
    "packed",
    "progress",
]
