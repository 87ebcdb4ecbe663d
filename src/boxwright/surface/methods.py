"""The table of methods: one frozen row per rpc, from which both API servers are built.

    TABLE            every row, AutoMl in proto order, then PredictionService, Operations, Locations, IAMPolicy,
                     IAMCredentials, Curation
    row.request_pb   the protobuf class the API servers speak
    row.wrap(pb)     what the service method receives: the proto-plus type for AutoML messages, else the message itself

The table knows names, routes, required fields and permissions; a row without a permission and the field that names its
resource cannot be made. What a request means is the services' business.
"""

from __future__ import annotations

from google.cloud.automl_v1 import types
from google.cloud.location import locations_pb2
from google.iam.v1 import iam_policy_pb2, policy_pb2
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2, struct_pb2

from boxwright.surface import curation_rows, iam_credentials_pb, label_rows, result_rows
from boxwright.surface.curation_rows import CURATION
from boxwright.surface.method_row import (
    NO_PERMISSION,
    Method,
    is_set,
    pb_class,
    reads,
    requirements,
    resource_of,
    starts,
)

__all__ = [
    "CURATION",
    "NO_PERMISSION",
    "PLANNED",
    "TABLE",
    "Method",
    "is_set",
    "pb_class",
    "requirements",
    "resource_of",
]

AUTOML = "google.cloud.automl.v1.AutoMl"
PREDICTION = "google.cloud.automl.v1.PredictionService"
OPERATIONS = "google.longrunning.Operations"
LOCATIONS = "google.cloud.location.Locations"
IAM = "google.iam.v1.IAMPolicy"
IAM_CREDENTIALS = "google.iam.credentials.v1.IAMCredentials"

MAX_IMAGE_BODY_BYTES = 48 * 1024 * 1024  # a 30 MB image as base64, with room for the rest

_LOCATION = "projects/*/locations/*"
_DATASET = _LOCATION + "/datasets/*"
_MODEL = _LOCATION + "/models/*"
_OPERATION = _LOCATION + "/operations/*"
_OUTPUT = "output_config.gcs_destination.output_uri_prefix"
_INPUT = "input_config.gcs_source.input_uris"

_EMPTY = empty_pb2.Empty
_AUTOML_ROWS = (
    starts(AUTOML, "CreateDataset", ("POST", f"/v1/{{parent={_LOCATION}}}/datasets", "dataset"),
           types.CreateDatasetRequest, types.Dataset, ("parent", "dataset.display_name"), "datasets.create"),
    reads(AUTOML, "GetDataset", f"/v1/{{name={_DATASET}}}", types.GetDatasetRequest, types.Dataset, ("name",),
          "datasets.get"),
    reads(AUTOML, "ListDatasets", f"/v1/{{parent={_LOCATION}}}/datasets",
          types.ListDatasetsRequest, types.ListDatasetsResponse, ("parent",), "datasets.list"),
    Method(service=AUTOML, rpc="UpdateDataset", verb="PATCH", paths=(f"/v1/{{dataset.name={_DATASET}}}",),
           body="dataset", request=types.UpdateDatasetRequest, response=types.Dataset,
           required=("dataset.name", "update_mask"),
           permission="automl.datasets.update", resource="dataset.name"),
    starts(AUTOML, "DeleteDataset", ("DELETE", f"/v1/{{name={_DATASET}}}", None),
           types.DeleteDatasetRequest, _EMPTY, ("name",), "datasets.delete"),
    starts(AUTOML, "ImportData", ("POST", f"/v1/{{name={_DATASET}}}:importData", "*"),
           types.ImportDataRequest, _EMPTY, ("name", _INPUT), "datasets.import"),
    starts(AUTOML, "ExportData", ("POST", f"/v1/{{name={_DATASET}}}:exportData", "*"),
           types.ExportDataRequest, _EMPTY, ("name", _OUTPUT), "datasets.export"),
    reads(AUTOML, "GetAnnotationSpec", f"/v1/{{name={_DATASET}/annotationSpecs/*}}",
          types.GetAnnotationSpecRequest, types.AnnotationSpec, ("name",), "annotationSpecs.get"),
    starts(AUTOML, "CreateModel", ("POST", f"/v1/{{parent={_LOCATION}}}/models", "model"),
           types.CreateModelRequest, types.Model, ("parent", "model.display_name", "model.dataset_id"), "models.create",
           dataset_permission="automl.datasets.get", dataset_field="model.dataset_id"),
    reads(AUTOML, "GetModel", f"/v1/{{name={_MODEL}}}", types.GetModelRequest, types.Model, ("name",), "models.get"),
    reads(AUTOML, "ListModels", f"/v1/{{parent={_LOCATION}}}/models",
          types.ListModelsRequest, types.ListModelsResponse, ("parent",), "models.list"),
    starts(AUTOML, "DeleteModel", ("DELETE", f"/v1/{{name={_MODEL}}}", None),
           types.DeleteModelRequest, _EMPTY, ("name",), "models.delete"),
    Method(service=AUTOML, rpc="UpdateModel", verb="PATCH", paths=(f"/v1/{{model.name={_MODEL}}}",),
           body="model", request=types.UpdateModelRequest, response=types.Model,
           required=("model.name", "update_mask"),
           permission="automl.models.create", resource="model.name"),
    starts(AUTOML, "DeployModel", ("POST", f"/v1/{{name={_MODEL}}}:deploy", "*"),
           types.DeployModelRequest, _EMPTY, ("name",), "models.deploy"),
    starts(AUTOML, "UndeployModel", ("POST", f"/v1/{{name={_MODEL}}}:undeploy", "*"),
           types.UndeployModelRequest, _EMPTY, ("name",), "models.undeploy"),
    starts(AUTOML, "ExportModel", ("POST", f"/v1/{{name={_MODEL}}}:export", "*"),
           types.ExportModelRequest, _EMPTY, ("name", _OUTPUT), "models.export"),
    reads(AUTOML, "GetModelEvaluation", f"/v1/{{name={_MODEL}/modelEvaluations/*}}",
          types.GetModelEvaluationRequest, types.ModelEvaluation, ("name",), "modelEvaluations.get"),
    # The proto calls `filter` required here; official clients send it empty to mean "all".
    reads(AUTOML, "ListModelEvaluations", f"/v1/{{parent={_MODEL}}}/modelEvaluations",
          types.ListModelEvaluationsRequest, types.ListModelEvaluationsResponse, ("parent",), "modelEvaluations.list"),
    Method(service=AUTOML, rpc="DescribeModel", verb="GET", paths=(f"/v1/{{name={_MODEL}}}:describe",),
           request=types.GetModelRequest, response=struct_pb2.Struct, required=("name",), is_ours=True,
           permission="automl.models.get", resource="name"),
    starts(AUTOML, "ImportModel", ("POST", f"/v1/{{name={_LOCATION}}}/models:import", "*"),
           types.ImportDataRequest, types.Model, ("name", _INPUT), "models.create", is_ours=True),
)  # fmt: skip

_PREDICTION_ROWS = (
    Method(service=PREDICTION, rpc="Predict", verb="POST", paths=(f"/v1/{{name={_MODEL}}}:predict",), body="*",
           request=types.PredictRequest, response=types.PredictResponse, required=("name", "payload.payload"),
           max_body_bytes=MAX_IMAGE_BODY_BYTES, only_reads=True,
           permission="automl.models.predict", resource="name"),
    starts(PREDICTION, "BatchPredict", ("POST", f"/v1/{{name={_MODEL}}}:batchPredict", "*"),
           types.BatchPredictRequest, types.BatchPredictResult, ("name", _INPUT, _OUTPUT), "models.predict"),
)  # fmt: skip

_OPERATION_ROWS = (
    reads(OPERATIONS, "ListOperations", f"/v1/{{name={_LOCATION}}}/operations",
          operations_pb2.ListOperationsRequest, operations_pb2.ListOperationsResponse, ("name",), "operations.list"),
    reads(OPERATIONS, "GetOperation", f"/v1/{{name={_OPERATION}}}",
          operations_pb2.GetOperationRequest, operations_pb2.Operation, ("name",), "operations.get", or_starter=True),
    Method(service=OPERATIONS, rpc="DeleteOperation", verb="DELETE", paths=(f"/v1/{{name={_OPERATION}}}",),
           request=operations_pb2.DeleteOperationRequest, response=_EMPTY, required=("name",),
           permission="automl.operations.delete", resource="name"),
    Method(service=OPERATIONS, rpc="CancelOperation", verb="POST", paths=(f"/v1/{{name={_OPERATION}}}:cancel",),
           body="*", request=operations_pb2.CancelOperationRequest, response=_EMPTY, required=("name",),
           permission="automl.operations.cancel", resource="name", or_starter=True),
    Method(service=OPERATIONS, rpc="WaitOperation", verb="POST", paths=(f"/v1/{{name={_OPERATION}}}:wait",),
           body="*", request=operations_pb2.WaitOperationRequest, response=operations_pb2.Operation,
           required=("name",), only_reads=True,
           permission="automl.operations.get", resource="name", or_starter=True),
    Method(service=OPERATIONS, rpc="ResumeOperation", verb="POST", paths=(f"/v1/{{name={_OPERATION}}}:resume",),
           body="*", request=operations_pb2.GetOperationRequest, response=operations_pb2.Operation,
           required=("name",), is_ours=True,
           permission="automl.operations.get", resource="name", or_starter=True),
    Method(service=OPERATIONS, rpc="GetOperationProgress", verb="GET", paths=(f"/v1/{{name={_OPERATION}}}:progress",),
           request=operations_pb2.GetOperationRequest, response=struct_pb2.Struct, required=("name",), is_ours=True,
           permission="automl.operations.get", resource="name", or_starter=True),
)  # fmt: skip

_LOCATION_ROWS = (
    reads(LOCATIONS, "ListLocations", "/v1/{name=projects/*}/locations",
          locations_pb2.ListLocationsRequest, locations_pb2.ListLocationsResponse, ("name",), "locations.list"),
    reads(LOCATIONS, "GetLocation", f"/v1/{{name={_LOCATION}}}",
          locations_pb2.GetLocationRequest, locations_pb2.Location, ("name",), "locations.get"),
)  # fmt: skip

_POLICY_HOLDERS = (_LOCATION, _DATASET, _MODEL, "projects/*")
_IAM_ROWS = (
    Method(service=IAM, rpc="SetIamPolicy", verb="POST", body="*",
           paths=tuple(f"/v1/{{resource={holder}}}:setIamPolicy" for holder in _POLICY_HOLDERS),
           request=iam_policy_pb2.SetIamPolicyRequest, response=policy_pb2.Policy, required=("resource",),
           permission="*.setIamPolicy", resource="resource"),
    Method(service=IAM, rpc="GetIamPolicy", verb="GET",
           paths=tuple(f"/v1/{{resource={holder}}}:getIamPolicy" for holder in _POLICY_HOLDERS),
           request=iam_policy_pb2.GetIamPolicyRequest, response=policy_pb2.Policy, required=("resource",),
           post_paths=("/v1/{resource=projects/*}:getIamPolicy",),  # as gcloud asks
           permission="*.getIamPolicy", resource="resource"),
    Method(service=IAM, rpc="TestIamPermissions", verb="POST", body="*",
           paths=(f"/v1/{{resource={_LOCATION}/**}}:testIamPermissions", "/v1/{resource=projects/*}:testIamPermissions"),
           request=iam_policy_pb2.TestIamPermissionsRequest, response=iam_policy_pb2.TestIamPermissionsResponse,
           required=("resource", "permissions"), only_reads=True,
           permission=NO_PERMISSION, resource="resource"),
)  # fmt: skip

_CREDENTIAL_ROWS = (
    Method(service=IAM_CREDENTIALS, rpc="GenerateAccessToken", verb="POST", body="*",
           paths=("/v1/{name=projects/*/serviceAccounts/*}:generateAccessToken",),
           request=iam_credentials_pb.GenerateAccessTokenRequest, response=iam_credentials_pb.GenerateAccessTokenResponse,
           required=("name", "scope"),
           permission="iam.serviceAccounts.getAccessToken", resource="name"),
)  # fmt: skip

TABLE: tuple[Method, ...] = (
    *_AUTOML_ROWS, *_PREDICTION_ROWS, *_OPERATION_ROWS, *_LOCATION_ROWS, *_IAM_ROWS, *_CREDENTIAL_ROWS, *curation_rows.ROWS,
    *label_rows.ROWS, *result_rows.ROWS,
)  # fmt: skip
# may be missing at start-up; they answer UNIMPLEMENTED then
PLANNED = frozenset({"ListLocations", "GetLocation", *(row.rpc for row in _IAM_ROWS)})
