"""The OpenAPI description follows the table of methods and the messages."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from google.api import httpbody_pb2

from boxwright.surface import methods, openapi

DOCUMENT: dict[str, Any] = json.loads(openapi.document())
OPERATIONS = {operation["operationId"]: operation for path in DOCUMENT["paths"].values() for operation in path.values()}


@pytest.mark.parametrize("row", methods.TABLE, ids=lambda row: row.rpc)
def test_every_method_is_described_with_its_body(row: methods.Method) -> None:
    operation = OPERATIONS[row.rpc]
    assert operation["tags"] == [row.service]
    assert ("requestBody" in operation) == (row.body is not None)
    if row.response_pb is httpbody_pb2.HttpBody:
        assert operation["responses"]["200"]["content"] == {"*/*": {"schema": {"type": "string", "format": "binary"}}}
        return
    answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
    name = row.response_pb.DESCRIPTOR.full_name
    assert answer == {"$ref": f"#/components/schemas/{name}"} or name.startswith("google.protobuf.")


def test_a_path_is_described_for_every_address() -> None:
    described = [(verb, path) for path, operations in DOCUMENT["paths"].items() for verb in operations]
    assert len(described) == sum(len(row.paths) + len(row.post_paths) for row in methods.TABLE)
    for _, path in described:
        assert not re.search(r"[*=]", path)


def test_parameters_are_those_of_the_path_and_the_query() -> None:
    listed = {(one["in"], one["name"]) for one in OPERATIONS["ListDatasets"]["parameters"]}
    in_query = {("query", name) for name in ("filter", "pageSize", "pageToken")}
    assert listed == {("path", "project"), ("path", "location")} | in_query
    (mask,) = [one for one in OPERATIONS["UpdateDataset"]["parameters"] if one["in"] == "query"]
    assert (mask["name"], mask["required"]) == ("updateMask", True)


def test_every_reference_leads_somewhere() -> None:
    names = re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(DOCUMENT))
    assert set(names) <= set(DOCUMENT["components"]["schemas"])


def test_fields_have_the_types_of_proto_json() -> None:
    model = DOCUMENT["components"]["schemas"]["google.cloud.automl.v1.ImageObjectDetectionModelMetadata"]["properties"]
    assert model["trainBudgetMilliNodeHours"]["type"] == "string"
    assert model["nodeQps"]["type"] == "number"
    dataset = DOCUMENT["components"]["schemas"]["google.cloud.automl.v1.Dataset"]["properties"]
    assert dataset["labels"] == {"type": "object", "additionalProperties": {"type": "string"}}
    assert dataset["exampleCount"]["format"] == "int32"
