"""An OpenAPI 3 description of the REST server, generated from the table of methods and the message descriptors.

Nothing in it is written by hand: a row or a field that is added appears by itself. Paths are spelled out with one
parameter for each segment, as OpenAPI has no templates over slashes.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from typing import Any

from google.protobuf import descriptor

import boxwright
from boxwright.surface import methods, raw_bodies

MAX_QUERY_DEPTH = 2  # of nested message fields as query parameters
_Field = descriptor.FieldDescriptor
_INT32 = {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1}
_INT64 = {"type": "string", "format": "int64", "pattern": r"^-?[0-9]{1,18}$"}
_NUMBER = {"type": "number"}
_SCALARS: dict[int, dict[str, Any]] = {
    _Field.TYPE_BOOL: {"type": "boolean"},
    _Field.TYPE_BYTES: {"type": "string", "format": "byte"},
    _Field.TYPE_DOUBLE: _NUMBER,
    _Field.TYPE_FLOAT: _NUMBER,
    _Field.TYPE_INT32: _INT32,
    _Field.TYPE_INT64: _INT64,
    _Field.TYPE_STRING: {"type": "string"},
}
_WELL_KNOWN: dict[str, dict[str, Any]] = {
    "google.protobuf.Any": {
        "type": "object",
        "properties": {"@type": {"type": "string"}},
        "additionalProperties": True,
    },
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]{1,11}(\.[0-9]{1,9})?s$"},
    "google.protobuf.Empty": {"type": "object", "additionalProperties": False},
    "google.protobuf.FieldMask": {"type": "string"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
}
_BYTES: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}  # of an HttpBody
_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "additionalProperties": False,
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "status"],
            "additionalProperties": False,
            "properties": {
                "code": {"type": "integer"},
                "message": {"type": "string"},
                "status": {"type": "string"},
                "details": {"type": "array", "items": {"type": "object"}},
            },
        }
    },
}


@functools.cache
def document() -> bytes:
    """The description as JSON."""
    return json.dumps(_describe(), indent=1).encode() + b"\n"


def _describe() -> dict[str, Any]:
    schemas: dict[str, Any] = {"Error": _ERROR}
    paths: dict[str, dict[str, Any]] = {}
    for row in methods.TABLE:
        addresses = [(template, row.verb, row.body) for template in row.paths]
        addresses += [(template, "POST", "*") for template in row.post_paths]
        for number, (template, verb, body) in enumerate(addresses):
            path, variables = _spelled(template)
            operation = _operation(row, variables, template, body, schemas)
            operation["operationId"] = row.rpc if number == 0 else f"{row.rpc}{number + 1}"
            paths.setdefault(path, {})[verb.lower()] = operation
    return {
        "openapi": "3.0.3",
        "info": {"title": "Boxwright", "version": boxwright.__version__, "description": boxwright.__doc__},
        "paths": paths,
        "components": {"schemas": dict(sorted(schemas.items()))},
    }


def _spelled(template: str) -> tuple[str, list[str]]:
    """A path template with a parameter per segment: ``/v1/projects/{project}/…``, and the names of the parameters."""
    plain = re.sub(r"\{[\w.]+=([^}]+)\}", r"\1", template).replace("/**", "/{resource}")
    named = re.sub(r"(\w+)s/\*", r"\1s/{\1}", plain)
    return named, re.findall(r"\{(\w+)\}", named)


def _operation(
    row: methods.Method, variables: list[str], template: str, body: str | None, schemas: dict[str, Any]
) -> dict[str, Any]:
    request = row.request_pb.DESCRIPTOR
    in_path = re.search(r"\{([\w.]+)=", template)
    taken = {in_path[1].partition(".")[0] if in_path else "", body or ""}
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in variables
    ]
    if body != "*":
        parameters += [
            {"name": name, "in": "query", "required": name in _camel(row.required), "schema": schema}
            for name, schema in _query(request, taken)
        ]
    operation: dict[str, Any] = {
        "tags": [row.service],
        "parameters": parameters,
        "responses": {
            "200": {"description": "The answer.", "content": _answer(row, schemas)},
            "default": {
                "description": "A google.rpc.Status.",
                "content": _json({"$ref": "#/components/schemas/Error"}),
            },
        },
    }
    if raw_bodies.is_taken(row, body):
        operation["requestBody"] = {"content": dict.fromkeys((raw_bodies.OCTETS, "image/*"), _BYTES), "required": True}
    elif body is not None:
        kind = request if body == "*" else request.fields_by_name[body].message_type
        operation["requestBody"] = {"content": _json(_reference(kind, schemas))}
    return operation


def _answer(row: methods.Method, schemas: dict[str, Any]) -> dict[str, Any]:
    """What a method answers with, by type."""
    kind = row.response_pb.DESCRIPTOR
    return {"*/*": _BYTES} if raw_bodies.is_kind(kind) else _json(_reference(kind, schemas))


def _camel(paths: tuple[str, ...]) -> set[str]:
    return {re.sub(r"_(\w)", lambda letter: letter[1].upper(), path) for path in paths}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _query(
    kind: descriptor.Descriptor, taken: set[str], prefix: str = "", depth: int = 1
) -> Iterator[tuple[str, dict[str, Any]]]:
    for field in kind.fields:
        if field.name in taken and not prefix:
            continue
        name = prefix + field.camelcase_name
        if field.type != _Field.TYPE_MESSAGE:
            yield name, _value(field, {})
        elif field.message_type.full_name in _WELL_KNOWN:
            yield name, _WELL_KNOWN[field.message_type.full_name]
        elif depth < MAX_QUERY_DEPTH and not field.is_repeated:
            yield from _query(field.message_type, taken, name + ".", depth + 1)


def _reference(kind: descriptor.Descriptor, schemas: dict[str, Any]) -> dict[str, Any]:
    """A reference to a message's schema, which is added to `schemas` if it is not there."""
    if kind.full_name in _WELL_KNOWN:
        return _WELL_KNOWN[kind.full_name]
    name = kind.full_name
    if name not in schemas:
        schemas[name] = {}  # messages may contain themselves
        properties = {field.camelcase_name: _value(field, schemas) for field in kind.fields}
        schemas[name] = {"type": "object", "properties": properties, "additionalProperties": False}
    return {"$ref": f"#/components/schemas/{name}"}


def _value(field: descriptor.FieldDescriptor, schemas: dict[str, Any]) -> dict[str, Any]:
    if field.type == _Field.TYPE_MESSAGE and field.message_type.GetOptions().map_entry:
        of = field.message_type.fields_by_name["value"]
        return {"type": "object", "additionalProperties": _value(of, schemas)}
    if field.type == _Field.TYPE_MESSAGE:
        single = _reference(field.message_type, schemas)
    elif field.type == _Field.TYPE_ENUM:
        single = {"type": "string", "enum": [value.name for value in field.enum_type.values]}
    else:
        single = _SCALARS[field.type]
    return {"type": "array", "items": single} if field.is_repeated else single
