"""Random requests for both doors, and the one rule for every answer: it is a proper answer or a proper refusal."""

from __future__ import annotations

import collections
import dataclasses
import json
from typing import Any

import grpc
import requests
from google.protobuf import descriptor
from google.protobuf.message import Message
from google.rpc import status_pb2
from hypothesis import strategies as st

from boxwright.surface import methods

TIMEOUT_S = 60
_Field = descriptor.FieldDescriptor
_INTEGERS = {
    _Field.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    _Field.TYPE_INT64: st.sampled_from([0, 1, -1, 1000, 20000, 2**63 - 1, -(2**63)]) | st.integers(-(2**63), 2**63 - 1),
    _Field.TYPE_ENUM: st.integers(-(2**31), 2**31 - 1) | st.integers(0, 9),
}
# what an answer may be called; UNIMPLEMENTED is how the IAM methods refuse
PROPER = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "ABORTED", "ALREADY_EXISTS", "UNIMPLEMENTED"}
TELLING = ("Traceback", "Incident", 'File "')


@dataclasses.dataclass
class Tally:
    """Counts answers by door and name of code; remembers what no answer may be."""

    counts: collections.Counter[tuple[str, str]] = dataclasses.field(default_factory=collections.Counter)

    def take_http(self, response: requests.Response) -> None:
        """Counts a REST answer after checking it."""
        is_file = "attachment" in response.headers.get("content-disposition", "")
        if response.status_code == 200 and (is_file or response.headers["content-type"] == "image/jpeg"):
            self.counts["REST", "OK"] += 1
            return
        assert response.headers["content-type"] == "application/json; charset=UTF-8", response.headers
        content = json.loads(response.content)
        code = "OK" if response.status_code == 200 else content["error"]["status"]
        if code != "OK":
            assert set(content) == {"error"}
            assert set(content["error"]) <= {"code", "message", "status", "details"}
            assert content["error"]["code"] == response.status_code
            assert not [word for word in TELLING if word in content["error"]["message"]], content
        assert code in PROPER, f"{response.request.method} {response.request.url}: {response.text[:500]}"
        self.counts["REST", code] += 1

    def take_rpc(self, channel: grpc.Channel, row: methods.Method, request: bytes) -> None:
        """Sends bytes to a method, and counts the answer after checking it."""
        code = "OK"
        try:
            row.response_pb.FromString(channel.unary_unary(row.full_name)(request, timeout=TIMEOUT_S))
        except grpc.RpcError as error:
            code = error.code().name
            trailing = dict(error.trailing_metadata() or ())
            assert status_pb2.Status.FromString(trailing["grpc-status-details-bin"]).code == error.code().value[0]
            assert not [word for word in TELLING if word in error.details()], error.details()
        assert code in PROPER, f"{row.full_name} {request!r}: {code}"
        self.counts["gRPC", code] += 1

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def messages(kind: descriptor.Descriptor, names: list[str], fitting: str) -> st.SearchStrategy[dict[str, Any]]:
    """Messages of a type as nested dicts of field names, with some fields set.

    Texts are often one of `names`; the resource that the message is about is most often `fitting`.
    """
    texts = st.sampled_from(names) | st.text(max_size=30)
    resources = st.sampled_from([fitting] * 9 + names)

    def value(field: descriptor.FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
        if field.type == _Field.TYPE_MESSAGE and field.message_type.GetOptions().map_entry:
            return st.dictionaries(st.sampled_from(["score_threshold", "a", ""]) | texts, texts, max_size=2)
        single: st.SearchStrategy[Any]
        if field.type == _Field.TYPE_MESSAGE:
            single = fields(field.message_type, depth + 1)
        elif field.type in _INTEGERS:
            single = _INTEGERS[field.type]
        elif field.type == _Field.TYPE_BOOL:
            single = st.booleans()
        elif field.type in (_Field.TYPE_FLOAT, _Field.TYPE_DOUBLE):
            single = st.floats(width=32)
        else:
            single = st.binary(max_size=40) if field.type == _Field.TYPE_BYTES else texts
        return st.lists(single, max_size=2) if field.is_repeated else single

    def fields(of: descriptor.Descriptor, depth: int) -> st.SearchStrategy[dict[str, Any]]:
        if depth > 4:
            return st.just({})
        one_of = {field.containing_oneof.name: field.name for field in of.fields if field.containing_oneof}
        usable = [
            field
            for field in of.fields
            if not field.containing_oneof or field.name == one_of[field.containing_oneof.name]
        ]
        always = {name: resources for name in ("name", "parent", "resource") if name in of.fields_by_name and depth < 2}
        sometimes = {field.name: value(field, depth) for field in usable if field.name not in always}
        return st.fixed_dictionaries(always, optional=sometimes)

    return fields(kind, 0)


def encoded(row: methods.Method, values: dict[str, Any]) -> bytes:
    """The bytes of such a message; what protobuf cannot hold is left out."""
    message: Message = row.request_pb()
    for name, value in values.items():
        try:
            message.MergeFrom(row.request_pb(**{name: value}))
        except (TypeError, ValueError, UnicodeEncodeError):
            continue
    return message.SerializePartialToString()


@st.composite
def mutated(draw: st.DrawFn, original: bytes) -> bytes:
    """A message with a few of its bytes changed, cut off or repeated."""
    content = bytearray(original)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(content)))
        match draw(st.sampled_from(["set", "insert", "cut", "repeat"])):
            case "set" if at < len(content):
                content[at] = draw(st.integers(0, 255))
            case "insert":
                content[at:at] = draw(st.binary(max_size=6))
            case "cut":
                del content[at : at + draw(st.integers(1, 8))]
            case _:
                content += content[at:]
    return bytes(content)
