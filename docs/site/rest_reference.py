"""The reference of the REST methods, made from the table of methods and the service's own OpenAPI description."""

from __future__ import annotations

import json
import re
from typing import Any

from boxwright.surface import methods, openapi


def rest_reference() -> str:
    """The reference of the REST methods, as Markdown: every method and message of the service's OpenAPI description."""
    description = json.loads(openapi.document())
    by_rpc: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, operations in description["paths"].items():
        for verb, operation in operations.items():
            by_rpc.setdefault(re.sub(r"\d+$", "", operation["operationId"]), []).append((verb, path, operation))
    lines = [
        "# REST methods",
        "",
        "Every method of the REST API, made from the table that the service is built from. A running service describes",
        "itself at `/v1/openapi.json`. What differs from AutoML Vision is in [compatibility](../compatibility.md); errors",
        "and JSON are in [the wire](../wire.md).",
    ]
    service = ""
    for row in methods.TABLE:
        if row.service != service:
            service = row.service
            lines += ["", f"## {service}"]
        lines += _method(row, by_rpc[row.rpc])
    lines += ["", "## Messages", "", "Names are as in JSON; fields that are not set are left out."]
    for name, schema in description["components"]["schemas"].items():
        lines += _message(name, schema)
    return "\n".join(lines) + "\n"


def _method(row: methods.Method, routes: list[tuple[str, str, dict[str, Any]]]) -> list[str]:
    lines = ["", f"### {row.rpc}", "", "```text"]
    lines += [f"{verb.upper()} {path}" for verb, path, _ in routes]
    lines += ["```", ""]
    if row.is_ours:
        lines += ["An addition of Boxwright, which no official client knows.", ""]
    _, _, operation = routes[0]
    body = operation.get("requestBody")
    facts = [f"- gRPC: `{row.full_name}`"]
    facts += [f"- body: {_content(body)}"] if body else []
    facts += [f"- answer: {_content(operation['responses']['200'])}"]
    if row.result is not None:
        facts += [f"- `response` of the operation at its end: `{methods.pb_class(row.result).DESCRIPTOR.full_name}`"]
    facts += [f"- required: {', '.join(f'`{name}`' for name in row.required)}"] if row.required else []
    query = [parameter for parameter in operation["parameters"] if parameter["in"] == "query"]
    table = ["", "| query parameter | type |", "|---|---|"] if query else []
    return [*lines, *facts, *table, *(f"| `{one['name']}` | {_kind(one['schema'])} |" for one in query)]


def _content(described: dict[str, Any]) -> str:
    """A body or an answer in words: a message as JSON, or bytes with their types."""
    content = described["content"]
    if "application/json" in content:
        return _kind(content["application/json"]["schema"])
    return f"bytes, {' or '.join(f'`{kind}`' for kind in content)}"


def _message(name: str, schema: dict[str, Any]) -> list[str]:
    lines = ["", f"({_anchor(name)})=", "", f"### {name}", ""]
    fields = schema.get("properties", {})
    if not fields:
        return [*lines, "No fields."]
    return [*lines, "| field | type |", "|---|---|", *(f"| `{field}` | {_kind(of)} |" for field, of in fields.items())]


def _kind(schema: dict[str, Any]) -> str:
    """A schema in words; messages are links."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name.rpartition('.')[2]}](#{_anchor(name)})"
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    if "enum" in schema:
        return " \\| ".join(f"`{value}`" for value in schema["enum"])
    if isinstance(schema.get("additionalProperties"), dict):
        return f"map of {_kind(schema['additionalProperties'])}"
    words = schema.get("format") or schema.get("type", "any")
    return {"byte": "base64", "int64": "int64, as a string", "date-time": "time, RFC 3339"}.get(words, words)


def _anchor(name: str) -> str:
    return "message-" + name.lower().replace(".", "-")
