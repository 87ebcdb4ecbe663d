"""Every method × every kind of caller × both API servers: allowed exactly as the table below says.

The table is written by hand from the published roles; a method without a line in it fails. A call is allowed where it gets
past the decision: most of them then meet what is not there, which is the cheapest proof.
"""

from __future__ import annotations

import base64
import dataclasses
import re
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from google.rpc import code_pb2, error_details_pb2, status_pb2
from tests.support.access.credentials import Account
from tests.support.access.guarded_service import LOCATION, GuardedService, run_guarded_service

from boxwright import callers, names, states
from boxwright.operations import ledger
from boxwright.surface import methods, raw_bodies, routes, transcode

DATASET, MODEL = f"{LOCATION}/datasets/IOD1", f"{LOCATION}/models/IOD2"
OPERATION = f"{LOCATION}/operations/IOD3"
TARGET = "projects/demo/serviceAccounts/target@demo.boxwright.localhost"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
CSV = {"gcs_source": {"input_uris": ["gs://b/list.csv"]}}
OUTPUT = {"gcs_destination": {"output_uri_prefix": "gs://b/out/"}}

# v viewer, p predictor, e editor, a admin, V E O the basic roles, r admin of the installation; d admin of the dataset alone,
# m admin and q predictor of the model alone, s who has started the operation, n an admin's key narrowed to two permissions
ALLOWED = """
CreateDataset               e a E O r
GetDataset                  v e a V E O r d n
ListDatasets                v e a V E O r
UpdateDataset               e a E O r d
DeleteDataset               e a E O r d
ImportData                  e a E O r d
ExportData                  e a E O r d
GetAnnotationSpec           v e a V E O r d
CreateModel                 e a E O r
ImportModel                 e a E O r
GetModel                    v e a V E O r m
ListModels                  v e a V E O r
DeleteModel                 e a E O r m
UpdateModel                 e a E O r m
DeployModel                 e a E O r m
UndeployModel               e a E O r m
ExportModel                 e a E O r m
GetModelEvaluation          v e a V E O r m
ListModelEvaluations        v e a V E O r m
ListModelEvaluations:all    v e a V E O r
DescribeModel               v e a V E O r m
Predict                     p e a E O r m q n
BatchPredict                p e a E O r m q n
ListOperations              v e a V E O r
GetOperation                v e a V E O r s
DeleteOperation             e a E O r
CancelOperation             e a E O r s
WaitOperation               v e a V E O r s
ResumeOperation             e a E O r
GetOperationProgress        v e a V E O r s
ListLocations               v e a V E O r
GetLocation                 v e a V E O r
ListExamples                v e a V E O r d
GetExample                  v e a V E O r d
UpdateExample               e a E O r d
GetExampleImage             v e a V E O r d
SuggestAnnotations          e a E O r
ListEvaluatedExamples       v e a V E O r m
SummarizeEvaluation         v e a V E O r m
UploadExample               e a E O r d
LookupExamples              v e a V E O r d
BatchUpdateExamples         e a E O r d
BatchDeleteExamples         e a E O r d
RevertChange                e a E O r d
SummarizeDataset            v e a V E O r d n
ListAnnotationSpecs         v e a V E O r d
CreateAnnotationSpec        e a E O r d
UpdateAnnotationSpec        e a E O r d
DeleteAnnotationSpec        e a E O r d
MergeAnnotationSpecs        e a E O r d
ListResults                 v e a V E O r s
SummarizeResults            v e a V E O r s
AddResults                  e a E O r
GetResultImage              v e a V E O r s
DownloadObject              v e a V E O r s
ListObjects                 v e a V E O r
SetIamPolicy:location       a O r
SetIamPolicy:dataset        a O r d
SetIamPolicy:model          a O r m
SetIamPolicy:project        O r
GetIamPolicy:location       a O r
GetIamPolicy:dataset        a O r d
GetIamPolicy:model          a O r m
GetIamPolicy:project        V E O r
TestIamPermissions          v p e a V E O r d m q s n x o t T
TestIamPermissions:project  v p e a V E O r d m q s n x o t T
GenerateAccessToken         r t T
GenerateAccessToken:project r t T
GenerateAccessToken:admin   r
GenerateAccessToken:nobody  r
"""
# t creates tokens of one account, T of all of the project
# x an account without any role, o the owner of another project, 0 nobody, D a disabled admin
CALLERS = ["v", "p", "e", "a", "V", "E", "O", "r", "d", "m", "q", "s", "n", "x", "o", "t", "T", "0", "D"]
GRANTS = {
    "v": ("roles/automl.viewer", "projects/demo"),
    "p": ("roles/automl.predictor", "projects/demo"),
    "e": ("roles/automl.editor", "projects/demo"),
    "a": ("roles/automl.admin", "projects/demo"),
    "V": ("roles/viewer", "projects/demo"),
    "E": ("roles/editor", "projects/demo"),
    "O": ("roles/owner", "projects/demo"),
    "r": ("roles/boxwright.admin", "installation"),
    "d": ("roles/automl.admin", DATASET),
    "m": ("roles/automl.admin", MODEL),
    "q": ("roles/automl.predictor", MODEL),
    "n": ("roles/automl.admin", "projects/demo"),
    "o": ("roles/owner", "projects/other"),
    "t": ("roles/iam.serviceAccountTokenCreator", TARGET),
    "T": ("roles/iam.serviceAccountTokenCreator", "projects/demo"),
    "D": ("roles/automl.admin", "projects/demo"),
}
NARROWED = ["automl.datasets.get", "automl.models.predict"]
BY_TOKEN = ["p", "a", "O", "m", "o"]  # these send an access token, the others a token that they have signed
_METADATA: dict[str, Any] = {"image_object_detection_dataset_metadata": {}}
FIELDS: dict[str, dict[str, Any]] = {
    "CreateDataset": {"parent": LOCATION, "dataset": {"display_name": "d", **_METADATA}},
    "GetDataset": {"name": DATASET},
    "ListDatasets": {"parent": LOCATION},
    "UpdateDataset": {"dataset": {"name": DATASET, "display_name": "e"}, "update_mask": {"paths": ["display_name"]}},
    "DeleteDataset": {"name": DATASET},
    "ImportData": {"name": DATASET, "input_config": CSV},
    "ExportData": {"name": DATASET, "output_config": OUTPUT},
    "GetAnnotationSpec": {"name": f"{DATASET}/annotationSpecs/1"},
    "CreateModel": {"parent": LOCATION, "model": {"display_name": "m", "dataset_id": "IOD1"}},
    "ImportModel": {"name": LOCATION, "input_config": CSV},
    "GetModel": {"name": MODEL},
    "ListModels": {"parent": LOCATION},
    "DeleteModel": {"name": MODEL},
    "UpdateModel": {"model": {"name": MODEL, "display_name": "e"}, "update_mask": {"paths": ["display_name"]}},
    "DeployModel": {"name": MODEL},
    "UndeployModel": {"name": MODEL},
    "ExportModel": {"name": MODEL, "output_config": OUTPUT},
    "GetModelEvaluation": {"name": f"{MODEL}/modelEvaluations/1"},
    "ListModelEvaluations": {"parent": MODEL},
    "ListModelEvaluations:all": {"parent": f"{LOCATION}/models/-"},
    "DescribeModel": {"name": MODEL},
    "Predict": {"name": MODEL, "payload": {"image": {"image_bytes": b"x"}}},
    "BatchPredict": {"name": MODEL, "input_config": CSV, "output_config": OUTPUT},
    "ListOperations": {"name": LOCATION},
    **{rpc: {"name": OPERATION} for rpc in ("GetOperation", "CancelOperation", "WaitOperation")},
    **{rpc: {"name": OPERATION} for rpc in ("ResumeOperation", "GetOperationProgress")},
    "DeleteOperation": {"name": f"{LOCATION}/operations/IOD404"},
    "ListExamples": {"parent": DATASET},
    "GetExample": {"name": f"{DATASET}/examples/{'0' * 64}"},
    "UploadExample": {"parent": DATASET, "image": {"data": b"x"}},
    "LookupExamples": {"parent": DATASET, "sha256": ["0" * 64]},
    "GetExampleImage": {"name": f"{DATASET}/examples/{'0' * 64}"},
    "SuggestAnnotations": {"name": f"{DATASET}/examples/{'0' * 64}", "model": MODEL},
    "ListEvaluatedExamples": {"parent": MODEL},
    "SummarizeEvaluation": {"name": MODEL},
    "ListResults": {"parent": OPERATION},
    "SummarizeResults": {"name": OPERATION},
    "AddResults": {"parent": DATASET, "operation": OPERATION},
    "GetResultImage": {"name": f"{OPERATION}/results/1-0"},
    "DownloadObject": {"name": OPERATION, "path": "manifest.json"},
    "ListObjects": {"parent": LOCATION},
    "UpdateExample": {
        "example": {"name": f"{DATASET}/examples/{'0' * 64}", "etag": "e", "state": "LABELED"},
        "update_mask": {"paths": ["state"]},
    },
    "BatchUpdateExamples": {"parent": DATASET, "filter": "*", "state": "LABELED"},
    "BatchDeleteExamples": {"parent": DATASET, "filter": "*"},
    "RevertChange": {"name": f"{DATASET}/changes/1"},
    "SummarizeDataset": {"name": DATASET},
    "ListAnnotationSpecs": {"parent": DATASET},
    "CreateAnnotationSpec": {"parent": DATASET, "annotation_spec": {"display_name": "l"}},
    "UpdateAnnotationSpec": {
        "annotation_spec": {"name": f"{DATASET}/annotationSpecs/1", "display_name": "l"},
        "update_mask": {"paths": ["display_name"]},
    },
    "DeleteAnnotationSpec": {"name": f"{DATASET}/annotationSpecs/1"},
    "MergeAnnotationSpecs": {"name": f"{DATASET}/annotationSpecs/1", "into": f"{DATASET}/annotationSpecs/2"},
    "ListLocations": {"name": "projects/demo"},
    "GetLocation": {"name": LOCATION},
    "TestIamPermissions": {"resource": MODEL, "permissions": ["automl.models.predict"]},
    "TestIamPermissions:project": {"resource": "projects/demo", "permissions": ["automl.models.predict"]},
}
for _call, _name in {
    "": TARGET.replace("demo", "-", 1),
    ":project": TARGET,
    ":admin": "projects/-/serviceAccounts/highest@demo.boxwright.localhost",
    ":nobody": "projects/-/serviceAccounts/nobody@demo.boxwright.localhost",
}.items():
    FIELDS[f"GenerateAccessToken{_call}"] = {"name": _name, "scope": [SCOPE]}
for _kind, _name in {"location": LOCATION, "dataset": DATASET, "model": MODEL, "project": "projects/demo"}.items():
    FIELDS[f"SetIamPolicy:{_kind}"] = {"resource": _name, "policy": {"etag": b"stale"}}
    FIELDS[f"GetIamPolicy:{_kind}"] = {"resource": _name}


def _expected() -> dict[str, set[str]]:
    lines = [line.split() for line in ALLOWED.strip().splitlines()]
    return {words[0]: set(words[1:]) for words in lines}


EXPECTED = _expected()
ROWS = {row.rpc: row for row in methods.TABLE}
CASES = [(call, caller, door) for call in EXPECTED for caller in CALLERS for door in ("rest", "grpc")]


@dataclasses.dataclass
class Cast:
    """The service and what each caller sends."""

    service: GuardedService
    headers: dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def cast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cast]:
    with run_guarded_service(tmp_path_factory.mktemp("matrix"), "--no-worker") as service:
        accounts: dict[str, Account] = {}
        service.registry.account("target")
        headers: dict[str, dict[str, str]] = {"0": {}}
        for number, letter in enumerate(CALLERS):
            if letter == "0":
                continue
            accounts[letter] = account = service.registry.account(f"caller-{number}", "elsewhere")
            if letter in GRANTS:
                service.registry.grant(account.member, *GRANTS[letter])
            token = service.registry.token(account) if letter in BY_TOKEN else account.signed()
            headers[letter] = {"authorization": f"Bearer {token}"}
        headers["n"] = {"x-goog-api-key": service.registry.api_key(accounts["n"], NARROWED)}
        service.registry.set_disabled(accounts["D"], True)
        service.registry.grant(service.registry.account("highest").member, "roles/boxwright.admin", "installation")
        _start_operation(service, accounts["s"])
        yield Cast(service, headers)


def _start_operation(service: GuardedService, starter: Account) -> None:
    """An import that has failed, which somebody without a role has started."""
    opened = ledger.Ledger(service.registry.db, lease_ttl_s=10.0)
    draft = ledger.Draft(
        names.LocationName("demo", "us-central1"),
        "IOD3",
        states.OperationKind.IMPORT_DATA,
        request=b"",
        details=b"",
        works_on=MODEL,
        caller=callers.Caller(starter.member),
    )
    from boxwright import errors

    with service.registry.db.write() as connection:
        opened.start(connection, draft, errors.not_found("gone"))


def _ask(cast: Cast, call: str, caller: str, door: str) -> status_pb2.Status:
    """What a call is answered with; code 0 for success."""
    row = ROWS[call.partition(":")[0]]
    request = request_of(row, FIELDS[call])
    if door == "grpc":
        return _by_grpc(cast, row, request, cast.headers[caller])
    return _by_rest(cast, row, request, cast.headers[caller])


def request_of(row: methods.Method, fields: dict[str, Any]) -> Any:
    request = row.request_pb()
    wrapped = row.request(fields) if hasattr(row.request, "wrap") else row.request(**fields)
    request.CopyFrom(row.request.pb(wrapped) if hasattr(row.request, "wrap") else wrapped)
    return request


def _by_grpc(cast: Cast, row: methods.Method, request: Any, headers: dict[str, str]) -> status_pb2.Status:
    stub = cast.service.channel.unary_unary(
        row.full_name,
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=row.response_pb.FromString,
    )
    try:
        stub(request, metadata=list(headers.items()), timeout=300)
    except grpc.RpcError as error:
        trailing = dict(error.trailing_metadata() or ())
        found = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
        assert found.code == error.code().value[0]
        return found
    return status_pb2.Status()


def _by_rest(cast: Cast, row: methods.Method, request: Any, headers: dict[str, str]) -> status_pb2.Status:
    name: Any = request
    for step in row.resource.split("."):
        name = getattr(name, step)
    verb, path, body = _address(row, name)
    payload = json_format.MessageToDict(request)
    query = {}
    if body != "*":  # fields that are neither in the path nor in the body
        fields = request.DESCRIPTOR.fields_by_name
        elsewhere = {fields[one].json_name for one in (row.resource.split(".")[0], body) if one}
        query = {key: value for key, value in payload.items() if key not in elsewhere}
        payload = payload[fields[body].json_name] if body else payload
    sent = payload if body is not None else None
    if raw_bodies.is_taken(row, body):
        octets = headers | {"Content-Type": raw_bodies.OCTETS}
        answer = cast.service.http.request(verb, path, content=base64.b64decode(sent["data"]), headers=octets)
    else:
        answer = cast.service.http.request(verb, path, json=sent, params=query, headers=headers)
    if answer.status_code == 200:
        return status_pb2.Status()
    error = answer.json()["error"]
    found = status_pb2.Status(code=code_pb2.Code.Value(error["status"]), message=error["message"])
    assert transcode.HTTP_CODES[found.code] == answer.status_code
    for detail in error.get("details", ()):
        json_format.ParseDict(detail, found.details.add())
    return found


def _address(row: methods.Method, name: str) -> tuple[str, str, str | None]:
    for template in row.paths:
        path = re.sub(r"\{[^}]+\}", name, template)
        try:
            route = routes.find_route(row.verb, path)
        except Exception:
            continue
        if route.row == row and route.name == name:
            return row.verb, path, route.body
    raise AssertionError(f"no path of {row.rpc} has {name}")


def test_every_method_has_a_line_in_the_table() -> None:
    assert {call.partition(":")[0] for call in EXPECTED} == set(ROWS)
    assert set(FIELDS) == set(EXPECTED)
    assert len(CASES) >= 1000


@pytest.mark.parametrize("door", ["rest", "grpc"])
@pytest.mark.parametrize("call", EXPECTED)
def test_a_method_is_for_whom_the_table_says(cast: Cast, call: str, door: str) -> None:
    row = ROWS[call.partition(":")[0]]
    for caller in CALLERS:
        found = _ask(cast, call, caller, door)
        infos = [_info(detail) for detail in found.details if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)]
        refused = {info.reason for info in infos}
        context = f"{call} by {caller}: {found}"
        if caller in EXPECTED[call]:
            assert found.code not in (code_pb2.UNAUTHENTICATED, code_pb2.PERMISSION_DENIED), context
        elif caller in ("0", "D"):
            assert found.code == code_pb2.UNAUTHENTICATED, context
            assert refused == {"CREDENTIALS_MISSING" if caller == "0" else "ACCOUNT_STATE_INVALID"}, context
            assert dict(infos[0].metadata) == {"service": "automl.googleapis.com", "method": row.dotted_name}
        else:
            assert found.code == code_pb2.PERMISSION_DENIED, context
            _check_refusal(row, call, caller, found, infos[0])


def _info(detail: Any) -> error_details_pb2.ErrorInfo:
    info = error_details_pb2.ErrorInfo()
    detail.Unpack(info)
    return info


def _check_refusal(
    row: methods.Method, call: str, caller: str, found: status_pb2.Status, info: error_details_pb2.ErrorInfo
) -> None:
    if caller == "n":
        assert info.reason == "API_KEY_SERVICE_BLOCKED"
        project = "-" if "GenerateAccessToken" in call else "demo"
        assert dict(info.metadata) == {"service": "automl.googleapis.com", "consumer": f"projects/{project}"}
        assert found.message == f"Requests to this API method {row.dotted_name} are blocked."
        return
    lacking = {need.permission: need.resource for need in methods.requirements(row, request_of(row, FIELDS[call]))}
    if call in ("ResumeOperation", "SuggestAnnotations"):
        lacking["automl.models.predict"] = MODEL
    if call == "AddResults":
        lacking["automl.operations.get"] = OPERATION
    permission = info.metadata["permission"]
    assert (info.reason, info.domain) == ("IAM_PERMISSION_DENIED", "automl.googleapis.com")
    assert lacking[permission] == info.metadata["resource"]
    assert found.message == (
        f"Permission '{permission}' denied on resource '//automl.googleapis.com/{lacking[permission]}' "
        "(or it may not exist)."
    )
