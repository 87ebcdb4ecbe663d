"""The table of methods: one frozen row per rpc, from which both API servers are built.

    TABLE            every row, AutoMl in proto order, then PredictionService, Operations, Locations, IAMPolicy,
                     IAMCredentials, Curation
    row.request_pb   the protobuf class the API servers speak
    row.wrap(pb)     what the service method receives: the proto-plus type for AutoML messages, else the message itself
    is_set(pb, path) whether a required field (dotted, may end in a oneof) has a value
    requirements(…)  the permissions that a request needs, on the resources that it names

The table knows names, routes, required fields and permissions; a row without a permission and the field that names its
resource cannot be made. What a request means is the services' business.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from google.cloud.automl_v1 import types
from google.cloud.location import locations_pb2
from google.iam.v1 import iam_policy_pb2, policy_pb2
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2, field_mask_pb2, message, struct_pb2

from boxwright import curation_messages, names
from boxwright.callers import Requirement
from boxwright.surface import iam_credentials_pb

AUTOML = "google.cloud.automl.v1.AutoMl"
PREDICTION = "google.cloud.automl.v1.PredictionService"
OPERATIONS = "google.longrunning.Operations"
LOCATIONS = "google.cloud.location.Locations"
IAM = "google.iam.v1.IAMPolicy"
IAM_CREDENTIALS = "google.iam.credentials.v1.IAMCredentials"
CURATION = "boxwright.v1.Curation"

MAX_IMAGE_BODY_BYTES = 48 * 1024 * 1024  # a 30 MB image as base64, with room for the rest
_MESSAGE_TYPE = 11  # FieldDescriptor.TYPE_MESSAGE
NO_PERMISSION = "none"  # of a method that answers every caller who is known
_OF_HOLDER = "*"  # before the dot of a permission: what its policies' holder has, see _HOLDERS
_HOLDERS = {  # collection in a resource name → what its policy's permissions start with
    "projects": "resourcemanager.projects",
    "locations": "automl.locations",
    "datasets": "automl.datasets",
    "models": "automl.models",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Method:
    """One rpc: its name, its HTTP rule, its messages and the fields that must be set.

    Attributes:
        service: full name of the gRPC service.
        rpc: name of the rpc inside the service.
        verb: HTTP verb in capitals.
        paths: path templates, each with exactly one variable.
        body: ``*``, the name of the request field the HTTP body fills, or None when the body is ignored.
        request: proto-plus or protobuf class of the request.
        response: proto-plus or protobuf class of the answer.
        result: class of `Operation.response` once a long-running method is done; None for other methods.
        required: dotted request fields without which the call is refused.
        is_ours: whether it is an addition, which no official client knows.
        max_body_bytes: a request's body at most, where that is more than for most methods.
        permission: what the caller needs, or NO_PERMISSION; ``*.x`` is x of whatever kind of resource is named.
        resource: dotted request field with the resource's name, on which the permission is needed.
        or_starter: whether who has started the operation that is named needs no permission.
        dataset_permission: a further one, on the dataset whose id `dataset_field` has.
        dataset_field: dotted request field with the id of a dataset below `resource`.
        post_paths: further path templates, which answer POST with body ``*``.
        only_reads: whether it changes nothing, though its verb is not GET.

    Raises:
        TypeError: the permission or the resource is missing, or there is no such field.
    """

    service: str
    rpc: str
    verb: str
    paths: tuple[str, ...]
    body: str | None = None
    request: Any
    response: Any
    result: Any = None
    required: tuple[str, ...] = ()
    is_ours: bool = False
    max_body_bytes: int = 0
    permission: str = ""
    resource: str = ""
    or_starter: bool = False
    dataset_permission: str = ""
    dataset_field: str = ""
    post_paths: tuple[str, ...] = ()
    only_reads: bool = False

    def __post_init__(self) -> None:
        if not self.permission or not self.resource:
            raise TypeError(f"{self.rpc} needs a permission and the field that names its resource.")
        if self.resource not in self.required:
            raise TypeError(f"{self.rpc}: the field {self.resource} must be required, as it is what is judged.")

    @property
    def dotted_name(self) -> str:
        """The method's name in the details of errors, such as ``google.longrunning.Operations.GetOperation``."""
        return f"{self.service}.{self.rpc}"

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing."""
        return self.verb == "GET" or self.only_reads

    @property
    def full_name(self) -> str:
        """The gRPC path of the method, such as ``/google.longrunning.Operations/GetOperation``."""
        return f"/{self.service}/{self.rpc}"

    @property
    def python_name(self) -> str:
        """The name of the method on the service object: the rpc in snake case."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", self.rpc).lower()

    @property
    def request_pb(self) -> type[message.Message]:
        """The protobuf class of the request."""
        return pb_class(self.request)

    @property
    def response_pb(self) -> type[message.Message]:
        """The protobuf class of the answer."""
        return pb_class(self.response)

    def wrap(self, request: message.Message) -> Any:
        """Returns the request as the service method takes it; the message is shared, not copied."""
        return self.request.wrap(request) if _is_proto_plus(self.request) else request

    def unwrap(self, response: Any) -> message.Message:
        """Returns the protobuf message behind what the service method answered.

        Raises:
            TypeError: the method answered with another type than the table says.
        """
        if not isinstance(response, self.response):
            raise TypeError(f"{self.rpc} answered {type(response).__name__} instead of {self.response.__name__}")
        answer: message.Message = self.response.pb(response) if _is_proto_plus(self.response) else response
        return answer


def _is_proto_plus(kind: Any) -> bool:
    return hasattr(kind, "wrap")


def pb_class(kind: Any) -> type[message.Message]:
    """Returns the protobuf class of a proto-plus or protobuf class."""
    answer: type[message.Message] = kind.pb() if _is_proto_plus(kind) else kind
    return answer


def is_set(request: message.Message, path: str) -> bool:
    """Tells whether the dotted field has a value; proto3 cannot tell an empty string or list from an absent one."""
    head, _, rest = path.partition(".")
    if head in request.DESCRIPTOR.oneofs_by_name:  # a oneof may carry the name of a field elsewhere, never of its own
        return request.WhichOneof(head) is not None
    field = request.DESCRIPTOR.fields_by_name[head]
    value = getattr(request, head)
    if field.type != _MESSAGE_TYPE or field.is_repeated:
        return bool(value)
    if rest:
        return request.HasField(head) and is_set(value, rest)
    if isinstance(value, field_mask_pb2.FieldMask):
        return bool(value.paths)
    return request.HasField(head)


def requirements(row: Method, request: message.Message) -> tuple[Requirement, ...]:
    """The permissions that a request with all required fields needs; of operations and lists of models see the services."""
    if row.permission == NO_PERMISSION:
        return ()
    resource = str(_value(request, row.resource))
    permission = row.permission
    if permission.startswith(_OF_HOLDER):
        kind = resource.split("/")[-2:][0]
        permission = _HOLDERS.get(kind, f"automl.{kind}") + permission.removeprefix(_OF_HOLDER)
    first = Requirement(permission, resource, row.or_starter)
    if not row.dataset_permission:
        return (first,)
    dataset = f"{resource}/datasets/{_value(request, row.dataset_field)}"
    # what is no id is no dataset's, which the service says
    return (first, Requirement(row.dataset_permission, dataset if names.is_name(dataset) else resource))


def resource_of(row: Method, request: message.Message) -> str:
    """The name of the resource that a request is about, as it has it; empty if it has none."""
    return str(_value(request, row.resource))


def _value(request: message.Message, path: str) -> Any:
    value: Any = request
    for step in path.split("."):
        value = getattr(value, step)
    return value


_LOCATION = "projects/*/locations/*"
_DATASET = _LOCATION + "/datasets/*"
_MODEL = _LOCATION + "/models/*"
_OPERATION = _LOCATION + "/operations/*"
_EXAMPLE = _DATASET + "/examples/*"
_OUTPUT = "output_config.gcs_destination.output_uri_prefix"
_INPUT = "input_config.gcs_source.input_uris"


def _get(  # a method that reads; `needs` is its permission, on the first of the required fields
    service: str, rpc: str, path: str, request: type, response: type, required: tuple[str, ...], needs: str,
    **more: Any,
) -> Method:  # fmt: skip
    return Method(
        service=service, rpc=rpc, verb="GET", paths=(path,), request=request, response=response, required=required,
        permission=f"automl.{needs}", resource=required[0], **more,
    )  # fmt: skip


def _starts(  # a method that answers with an Operation
    service: str, rpc: str, route: tuple[str, str, str | None], request: type, result: type, required: tuple[str, ...],
    needs: str, **more: Any,
) -> Method:  # fmt: skip
    verb, path, body = route
    return Method(
        service=service, rpc=rpc, verb=verb, paths=(path,), body=body,
        request=request, response=operations_pb2.Operation, result=result, required=required,
        permission=f"automl.{needs}", resource=required[0], **more,
    )  # fmt: skip


_EMPTY = empty_pb2.Empty
_AUTOML_ROWS = (
    _starts(AUTOML, "CreateDataset", ("POST", f"/v1/{{parent={_LOCATION}}}/datasets", "dataset"),
            types.CreateDatasetRequest, types.Dataset, ("parent", "dataset.display_name"), "datasets.create"),
    _get(AUTOML, "GetDataset", f"/v1/{{name={_DATASET}}}", types.GetDatasetRequest, types.Dataset, ("name",),
         "datasets.get"),
    _get(AUTOML, "ListDatasets", f"/v1/{{parent={_LOCATION}}}/datasets",
         types.ListDatasetsRequest, types.ListDatasetsResponse, ("parent",), "datasets.list"),
    Method(service=AUTOML, rpc="UpdateDataset", verb="PATCH", paths=(f"/v1/{{dataset.name={_DATASET}}}",),
           body="dataset", request=types.UpdateDatasetRequest, response=types.Dataset,
           required=("dataset.name", "update_mask"),
           permission="automl.datasets.update", resource="dataset.name"),
    _starts(AUTOML, "DeleteDataset", ("DELETE", f"/v1/{{name={_DATASET}}}", None),
            types.DeleteDatasetRequest, _EMPTY, ("name",), "datasets.delete"),
    _starts(AUTOML, "ImportData", ("POST", f"/v1/{{name={_DATASET}}}:importData", "*"),
            types.ImportDataRequest, _EMPTY, ("name", _INPUT), "datasets.import"),
    _starts(AUTOML, "ExportData", ("POST", f"/v1/{{name={_DATASET}}}:exportData", "*"),
            types.ExportDataRequest, _EMPTY, ("name", _OUTPUT), "datasets.export"),
    _get(AUTOML, "GetAnnotationSpec", f"/v1/{{name={_DATASET}/annotationSpecs/*}}",
         types.GetAnnotationSpecRequest, types.AnnotationSpec, ("name",), "annotationSpecs.get"),
    _starts(AUTOML, "CreateModel", ("POST", f"/v1/{{parent={_LOCATION}}}/models", "model"),
            types.CreateModelRequest, types.Model, ("parent", "model.display_name", "model.dataset_id"), "models.create",
            dataset_permission="automl.datasets.get", dataset_field="model.dataset_id"),
    _get(AUTOML, "GetModel", f"/v1/{{name={_MODEL}}}", types.GetModelRequest, types.Model, ("name",), "models.get"),
    _get(AUTOML, "ListModels", f"/v1/{{parent={_LOCATION}}}/models",
         types.ListModelsRequest, types.ListModelsResponse, ("parent",), "models.list"),
    _starts(AUTOML, "DeleteModel", ("DELETE", f"/v1/{{name={_MODEL}}}", None),
            types.DeleteModelRequest, _EMPTY, ("name",), "models.delete"),
    Method(service=AUTOML, rpc="UpdateModel", verb="PATCH", paths=(f"/v1/{{model.name={_MODEL}}}",),
           body="model", request=types.UpdateModelRequest, response=types.Model,
           required=("model.name", "update_mask"),
           permission="automl.models.create", resource="model.name"),
    _starts(AUTOML, "DeployModel", ("POST", f"/v1/{{name={_MODEL}}}:deploy", "*"),
            types.DeployModelRequest, _EMPTY, ("name",), "models.deploy"),
    _starts(AUTOML, "UndeployModel", ("POST", f"/v1/{{name={_MODEL}}}:undeploy", "*"),
            types.UndeployModelRequest, _EMPTY, ("name",), "models.undeploy"),
    _starts(AUTOML, "ExportModel", ("POST", f"/v1/{{name={_MODEL}}}:export", "*"),
            types.ExportModelRequest, _EMPTY, ("name", _OUTPUT), "models.export"),
    _get(AUTOML, "GetModelEvaluation", f"/v1/{{name={_MODEL}/modelEvaluations/*}}",
         types.GetModelEvaluationRequest, types.ModelEvaluation, ("name",), "modelEvaluations.get"),
    # The proto calls `filter` required here; official clients send it empty to mean "all".
    _get(AUTOML, "ListModelEvaluations", f"/v1/{{parent={_MODEL}}}/modelEvaluations",
         types.ListModelEvaluationsRequest, types.ListModelEvaluationsResponse, ("parent",), "modelEvaluations.list"),
    Method(service=AUTOML, rpc="DescribeModel", verb="GET", paths=(f"/v1/{{name={_MODEL}}}:describe",),
           request=types.GetModelRequest, response=struct_pb2.Struct, required=("name",), is_ours=True,
           permission="automl.models.get", resource="name"),
    _starts(AUTOML, "ImportModel", ("POST", f"/v1/{{name={_LOCATION}}}/models:import", "*"),
            types.ImportDataRequest, types.Model, ("name", _INPUT), "models.create", is_ours=True),
)  # fmt: skip

_PREDICTION_ROWS = (
    Method(service=PREDICTION, rpc="Predict", verb="POST", paths=(f"/v1/{{name={_MODEL}}}:predict",), body="*",
           request=types.PredictRequest, response=types.PredictResponse, required=("name", "payload.payload"),
           max_body_bytes=MAX_IMAGE_BODY_BYTES, only_reads=True,
           permission="automl.models.predict", resource="name"),
    _starts(PREDICTION, "BatchPredict", ("POST", f"/v1/{{name={_MODEL}}}:batchPredict", "*"),
            types.BatchPredictRequest, types.BatchPredictResult, ("name", _INPUT, _OUTPUT), "models.predict"),
)  # fmt: skip

_OPERATION_ROWS = (
    _get(OPERATIONS, "ListOperations", f"/v1/{{name={_LOCATION}}}/operations",
         operations_pb2.ListOperationsRequest, operations_pb2.ListOperationsResponse, ("name",), "operations.list"),
    _get(OPERATIONS, "GetOperation", f"/v1/{{name={_OPERATION}}}",
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
    _get(LOCATIONS, "ListLocations", "/v1/{name=projects/*}/locations",
         locations_pb2.ListLocationsRequest, locations_pb2.ListLocationsResponse, ("name",), "locations.list"),
    _get(LOCATIONS, "GetLocation", f"/v1/{{name={_LOCATION}}}",
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

_CURATION_ROWS = (
    _get(CURATION, "ListExamples", f"/v1/{{parent={_DATASET}}}/examples", curation_messages.ListExamplesRequest,
         curation_messages.ListExamplesResponse, ("parent",), "examples.list", is_ours=True),
    _get(CURATION, "GetExample", f"/v1/{{name={_EXAMPLE}}}", curation_messages.GetExampleRequest,
         curation_messages.Example, ("name",), "examples.get", is_ours=True),
    Method(service=CURATION, rpc="UpdateExample", verb="PATCH", paths=(f"/v1/{{example.name={_EXAMPLE}}}",),
           body="example", request=curation_messages.UpdateExampleRequest, response=curation_messages.Example,
           required=("example.name", "example.etag", "update_mask"), is_ours=True,
           permission="automl.examples.update", resource="example.name"),
)  # fmt: skip

TABLE: tuple[Method, ...] = (
    *_AUTOML_ROWS, *_PREDICTION_ROWS, *_OPERATION_ROWS, *_LOCATION_ROWS, *_IAM_ROWS, *_CREDENTIAL_ROWS, *_CURATION_ROWS,
)  # fmt: skip
# may be missing at start-up; they answer UNIMPLEMENTED then
PLANNED = frozenset({"ListLocations", "GetLocation", *(row.rpc for row in _IAM_ROWS)})
