"""Rows of datasets, models and evaluations as the public AutoML messages that stand for them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from google.cloud.automl_v1 import types
from google.protobuf import timestamp_pb2

from boxwright import kinds, names, states

NODE_QPS = 1.5  # the real service's own approximate figure per node
_CLASSIFICATION_TYPES = {getattr(types.ClassificationType, one).value: one for one in states.ClassificationType}


def timestamp(time_us: int) -> timestamp_pb2.Timestamp:
    """A stored time, integer microseconds UTC, as a protobuf Timestamp."""
    return timestamp_pb2.Timestamp(seconds=time_us // 1_000_000, nanos=time_us % 1_000_000 * 1000)


def dataset(row: sa.Row[Any]) -> types.Dataset:
    """The dataset that a row stores."""
    result = types.Dataset.pb(types.Dataset())
    result.name = str(names.DatasetName(row.project, row.location, row.id))
    result.display_name = row.display_name
    result.description = row.description
    result.create_time.CopyFrom(timestamp(row.create_time_us))
    result.etag = row.etag
    result.example_count = row.example_count
    result.labels.update(row.labels)
    member = getattr(result, row.metadata_member)
    member.ParseFromString(row.metadata_bytes)
    member.SetInParent()  # clients tell datasets apart by the member that is set, even when it is empty
    return types.Dataset.wrap(result)


def classification_type(row: sa.Row[Any]) -> states.ClassificationType | None:
    """How many labels an image of a dataset has; None if that is not said: detection, or a dataset from before 0.2."""
    if row.metadata_member != kinds.IMAGE_CLASSIFICATION.dataset_member:
        return None
    metadata = types.ImageClassificationDatasetMetadata.pb(types.ImageClassificationDatasetMetadata())
    metadata.ParseFromString(row.metadata_bytes)
    return _CLASSIFICATION_TYPES.get(metadata.classification_type)


def model(row: sa.Row[Any]) -> types.Model:
    """The model that a row stores."""
    result = types.Model(
        name=str(names.ModelName(row.project, row.location, row.id)),
        display_name=row.display_name,
        dataset_id=row.dataset_id,
        deployment_state=getattr(types.Model.DeploymentState, row.deployment_state),
        etag=row.etag,
        labels=row.labels,
    )
    raw = types.Model.pb(result)
    raw.create_time.CopyFrom(timestamp(row.create_time_us))
    raw.update_time.CopyFrom(timestamp(row.update_time_us))
    metadata = getattr(raw, row.metadata_member)  # kinds differ in the fields' numbers, not in their names
    metadata.model_type = row.model_type
    metadata.node_count = row.node_count
    metadata.node_qps = NODE_QPS
    metadata.stop_reason = row.stop_reason
    metadata.train_budget_milli_node_hours = row.train_budget_milli_node_hours
    metadata.train_cost_milli_node_hours = row.train_cost_milli_node_hours
    if row.base_model_id:
        metadata.base_model_id = row.base_model_id
    return result


def model_evaluation(row: sa.Row[Any], model_name: names.ModelName) -> types.ModelEvaluation:
    """The evaluation that a row stores, with its model's `metadata_member`."""
    result = types.ModelEvaluation.pb(types.ModelEvaluation())
    result.name = str(model_name.evaluation(row.id))
    result.annotation_spec_id = row.annotation_spec_id
    result.display_name = row.display_name
    result.create_time.CopyFrom(timestamp(row.create_time_us))
    result.evaluated_example_count = row.evaluated_example_count
    metrics = getattr(result, kinds.of_member(row.metadata_member).evaluation_member)
    metrics.ParseFromString(row.metrics)
    metrics.SetInParent()
    return types.ModelEvaluation.wrap(result)
