"""docs/clients/curation.proto: what a client of another language needs is what the service speaks."""

from __future__ import annotations

import importlib.util
import pathlib
import shutil
import subprocess
from typing import Any

import pytest
from google.protobuf import descriptor, descriptor_pb2

from boxwright import curation_messages
from boxwright.surface import methods

SITE = pathlib.Path(__file__).parents[2] / "docs" / "site"


@pytest.fixture(scope="module")
def made() -> Any:
    spec = importlib.util.spec_from_file_location("curation_proto", SITE / "curation_proto.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_file_is_up_to_date(made: Any) -> None:
    assert made.FILE.read_text(encoding="utf-8") == made.proto_text(), "run python docs/site/curation_proto.py"


def _add(file: descriptor.FileDescriptor, found: dict[str, descriptor_pb2.FileDescriptorProto], made: Any) -> None:
    for other in file.dependencies:
        _add(other, found, made)
    plain = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(plain)
    plain.name = made.published(plain.name)
    for index, name in enumerate(plain.dependency):
        plain.dependency[index] = made.published(name)
    found.setdefault(plain.name, plain)


def _fields(message: descriptor_pb2.DescriptorProto, prefix: str = "") -> dict[str, tuple[int, int, int, str]]:
    path = f"{prefix}{message.name}"
    found = {f"{path}.{one.name}": (one.number, one.type, one.label, one.type_name) for one in message.field}
    for nested in message.nested_type:
        found |= _fields(nested, f"{path}.")
    for kind in message.enum_type:
        found |= {f"{path}.{kind.name}.{value.name}": (value.number, 0, 0, "") for value in kind.value}
    return found


def test_protoc_makes_the_same_messages_and_methods_of_it(made: Any, tmp_path: pathlib.Path) -> None:
    if shutil.which("protoc") is None:
        pytest.skip("protoc is not installed (Debian: apt-get install protobuf-compiler)")
    files: dict[str, descriptor_pb2.FileDescriptorProto] = {}
    own: dict[str, descriptor_pb2.FileDescriptorProto] = {}
    for row in methods.TABLE:
        for kind in (row.request, row.response):
            _add(methods.pb_class(kind).DESCRIPTOR.file, files, made)
    for name in curation_messages.__all__:
        if hasattr(one := getattr(curation_messages, name), "pb"):
            _add(one.pb().DESCRIPTOR.file, files, made)
    for name in [name for name in files if name.startswith("boxwright/curation_messages/")]:
        own[name] = files.pop(name)
    _add(__import__("google.api.annotations_pb2", fromlist=["x"]).DESCRIPTOR, files, made)
    (tmp_path / "known.pb").write_bytes(descriptor_pb2.FileDescriptorSet(file=files.values()).SerializeToString())
    shutil.copy(made.FILE, tmp_path / "curation.proto")
    command = [
        "protoc",
        "--descriptor_set_in=known.pb",
        f"--descriptor_set_out={tmp_path / 'made.pb'}",
        "curation.proto",
    ]
    subprocess.run([*command[:1], f"--proto_path={tmp_path}", *command[1:]], cwd=tmp_path, check=True)
    (compiled,) = descriptor_pb2.FileDescriptorSet.FromString((tmp_path / "made.pb").read_bytes()).file
    wanted: dict[str, tuple[int, int, int, str]] = {}
    for file in own.values():
        for message in file.message_type:
            wanted |= _fields(message)
    found: dict[str, tuple[int, int, int, str]] = {}
    for message in compiled.message_type:
        found |= _fields(message)
    assert found == wanted
    (service,) = compiled.service
    rows = [row for row in methods.TABLE if row.service == f"{made.PACKAGE}.Curation"]
    assert [(one.name, one.input_type, one.output_type) for one in service.method] == [
        (row.rpc, *(f".{methods.pb_class(kind).DESCRIPTOR.full_name}" for kind in (row.request, row.response)))
        for row in rows
    ]
