"""The .proto text of `boxwright.v1`, made from the descriptors and the table of methods.

`python docs/site/curation_proto.py` writes docs/clients/curation.proto, for clients of other languages.
"""

from __future__ import annotations

import inspect
import pathlib
import re
import textwrap
from typing import Any

from google.protobuf import descriptor

from boxwright import curation_messages
from boxwright.surface import methods

PACKAGE = "boxwright.v1"
FILE = pathlib.Path(__file__).resolve().parents[1] / "clients" / "curation.proto"
IMPORTS = ("google/api/annotations.proto",)  # of the service's own lines
WIDTH = 120
_SCALARS = {
    descriptor.FieldDescriptor.TYPE_DOUBLE: "double",
    descriptor.FieldDescriptor.TYPE_FLOAT: "float",
    descriptor.FieldDescriptor.TYPE_INT64: "int64",
    descriptor.FieldDescriptor.TYPE_INT32: "int32",
    descriptor.FieldDescriptor.TYPE_BOOL: "bool",
    descriptor.FieldDescriptor.TYPE_STRING: "string",
    descriptor.FieldDescriptor.TYPE_BYTES: "bytes",
}


def proto_text() -> str:
    """The text of one file with every message, enumeration and method of the package."""
    described = [getattr(curation_messages, name) for name in curation_messages.__all__]
    is_message = [hasattr(one, "pb") for one in described]
    messages = sorted((one for one, is_one in zip(described, is_message, strict=True) if is_one), key=_name)
    enumerations = sorted((one for one, is_one in zip(described, is_message, strict=True) if not is_one), key=_name)
    rows = [row for row in methods.TABLE if row.service == f"{PACKAGE}.Curation"]
    used = {name for row in rows for name in _imports_of(row)}
    for one in messages:
        used |= _files(one.pb().DESCRIPTOR)
    lines = [
        "// boxwright.v1.Curation: the datasets, results and evaluations of a Boxwright service, one by one.",
        "",
        'syntax = "proto3";',
        "",
        f"package {PACKAGE};",
        "",
        *(f'import "{name}";' for name in sorted({*IMPORTS, *used})),
        "",
        *_service(rows),
    ]
    for one in enumerations:
        lines += ["", *_enumeration(one, "")]
    for one in messages:
        lines += ["", *_message(one, "")]
    return "\n".join(lines) + "\n"


def published(file: str) -> str:
    """The name under which Google has published a file that its Python client names otherwise."""
    return file.replace("google/cloud/automl_v1/types/", "google/cloud/automl/v1/")


def _name(one: Any) -> str:
    return str(one.__name__)


def _files(message: descriptor.Descriptor) -> set[str]:
    """The files, of other packages, that a message's fields are described in."""
    found = set()
    for field in message.fields:
        kind = field.message_type or field.enum_type
        if kind is not None and kind.file.package != PACKAGE:
            found.add(published(kind.file.name))
    for nested in message.nested_types:
        found |= _files(nested)
    return found


def _imports_of(row: methods.Method) -> set[str]:
    kinds = [methods.pb_class(one).DESCRIPTOR for one in (row.request, row.response)]
    return {published(kind.file.name) for kind in kinds if kind.file.package != PACKAGE}


def _service(rows: list[methods.Method]) -> list[str]:
    lines = ["service Curation {"]
    for row in rows:
        request, response = (methods.pb_class(one).DESCRIPTOR.full_name for one in (row.request, row.response))
        first, *others = row.paths
        lines += [
            f"  rpc {row.rpc}({_short(request)}) returns ({_short(response)}) {{",
            "    option (google.api.http) = {",
        ]
        lines += [f'      {row.verb.lower()}: "{first}"', *([f'      body: "{row.body}"'] if row.body else [])]
        lines += [f'      additional_bindings {{ {row.verb.lower()}: "{path}" }}' for path in others]
        lines += ["    };", "  }"]
    return [*lines, "}"]


def _message(one: Any, margin: str) -> list[str]:
    message = one.pb().DESCRIPTOR
    summary, of_fields = _documented(one)
    lines = [*_comment(summary, margin), f"{margin}message {message.name} {{"]
    inner = margin + "  "
    for kind in message.enum_types:
        lines += [*_enumeration(getattr(one, kind.name), inner), ""]
    for kind in message.nested_types:
        lines += [*_message(getattr(one, kind.name), inner), ""]
    for field in message.fields:
        lines += _comment(of_fields.get(field.name, ""), inner)
        often = "repeated " if field.is_repeated else ""
        lines.append(f"{inner}{often}{_kind(field)} {field.name} = {field.number};")
    return [*lines, f"{margin}}}"]


def _enumeration(one: Any, margin: str) -> list[str]:
    summary, _ = _documented(one)
    values = [f"{margin}  {value.name} = {value.value};" for value in one]
    return [*_comment(summary, margin), f"{margin}enum {one.__name__} {{", *values, f"{margin}}}"]


def _kind(field: descriptor.FieldDescriptor) -> str:
    kind = field.message_type or field.enum_type
    return _short(kind.full_name) if kind is not None else _SCALARS[field.type]


def _short(name: str) -> str:
    return name.removeprefix(f"{PACKAGE}.")


def _documented(one: Any) -> tuple[str, dict[str, str]]:
    """What a class says of itself, and of each field."""
    summary, _, attributes = inspect.cleandoc(one.__doc__ or "").partition("\n\nAttributes:\n")
    of_fields: dict[str, str] = {}
    name = ""
    for line in textwrap.dedent(attributes).splitlines():
        if found := re.match(r"(\w+): (.*)", line):
            name, of_fields[found[1]] = found[1], found[2]
        elif name and line.startswith(" "):
            of_fields[name] += f" {line.strip()}"
    return summary, of_fields


def _comment(text: str, margin: str) -> list[str]:
    plain = " ".join(text.replace("``", "`").split())
    return textwrap.wrap(plain, WIDTH, initial_indent=f"{margin}// ", subsequent_indent=f"{margin}// ")


if __name__ == "__main__":
    FILE.write_text(proto_text(), encoding="utf-8")
