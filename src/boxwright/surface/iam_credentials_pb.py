"""`google.iam.credentials.v1.IAMCredentials.GenerateAccessToken` and its messages, by the names and numbers of the proto.

The package that Google publishes them in is a client with much else. They are in a pool of their own, as the same file in
the default pool would keep that client from being loaded in this process.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, message_factory, timestamp_pb2

_PACKAGE = "google.iam.credentials.v1"
_Field = descriptor_pb2.FieldDescriptorProto
_ONE, _MANY = _Field.LABEL_OPTIONAL, _Field.LABEL_REPEATED
_MESSAGES: dict[str, tuple[tuple[str, int, Any, str], ...]] = {
    "GenerateAccessTokenRequest": (
        ("name", 1, _ONE, ""),
        ("delegates", 2, _MANY, ""),
        ("scope", 4, _MANY, ""),
        ("lifetime", 7, _ONE, ".google.protobuf.Duration"),
    ),
    "GenerateAccessTokenResponse": (
        ("access_token", 1, _ONE, ""),
        ("expire_time", 3, _ONE, ".google.protobuf.Timestamp"),
    ),
}


def _pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    described = descriptor_pb2.FileDescriptorProto(
        name="google/iam/credentials/v1/common.proto", package=_PACKAGE, syntax="proto3"
    )
    for known in (duration_pb2, timestamp_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
        described.dependency.append(known.DESCRIPTOR.name)
    for name, fields in _MESSAGES.items():
        made = described.message_type.add(name=name)
        for field, number, label, of_type in fields:
            kind = _Field.TYPE_MESSAGE if of_type else _Field.TYPE_STRING
            made.field.add(name=field, number=number, label=label, type=kind, type_name=of_type or None)
    request, response = (f".{_PACKAGE}.{name}" for name in _MESSAGES)
    method = described.service.add(name="IAMCredentials").method.add(name="GenerateAccessToken")
    method.input_type, method.output_type = request, response
    pool.AddSerializedFile(described.SerializeToString())
    return pool


_POOL = _pool()
GenerateAccessTokenRequest: Any = message_factory.GetMessageClass(
    _POOL.FindMessageTypeByName(f"{_PACKAGE}.GenerateAccessTokenRequest")
)
GenerateAccessTokenResponse: Any = message_factory.GetMessageClass(
    _POOL.FindMessageTypeByName(f"{_PACKAGE}.GenerateAccessTokenResponse")
)
