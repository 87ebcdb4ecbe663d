"""`google.api.HttpBody` at the REST server, as its published rule of transcoding says: bytes in place of JSON.

    is_taken(row, body)         whether a request's body is such a field: its bytes are the field's data
    put(request, field, …)      fills the field
    respond(row, answer, …)     an answer of that type as bytes of its own type

At the gRPC server it is a message like any other. What is sent may come from strangers: a type that is not a JPEG's is
offered as a file, never shown as a page of this origin.
"""

from __future__ import annotations

import hashlib
from typing import Any

from google.api import httpbody_pb2
from google.protobuf import descriptor, message
from starlette import responses

from boxwright.surface import methods

KIND = httpbody_pb2.HttpBody.DESCRIPTOR.full_name
SHOWN_TYPE = "image/jpeg"  # the one type that a page may show: the service has made the picture itself
OCTETS = "application/octet-stream"
ETAG_DIGITS = 32


def is_kind(kind: descriptor.Descriptor | None) -> bool:
    """Whether a message is an HttpBody."""
    return kind is not None and kind.full_name == KIND


def is_taken(row: methods.Method, body: str | None) -> bool:
    """Whether the body of a request is an HttpBody; `body` is the field that it fills, as `Method.body`."""
    if body in (None, "*"):
        return False
    return is_kind(row.request_pb.DESCRIPTOR.fields_by_name[str(body)].message_type)


def put(request: message.Message, field: str, content_type: str, content: bytes | bytearray) -> None:
    """Fills the field of a request with a body as it arrived."""
    target: Any = getattr(request, field)
    target.CopyFrom(httpbody_pb2.HttpBody(content_type=content_type, data=bytes(content)))


def respond(row: methods.Method, answer: httpbody_pb2.HttpBody, if_none_match: str = "") -> responses.Response:
    """An answer's bytes with their type and etag; 304 without them if the caller has them already.

    Args:
        row: of the method; says for how long the answer may be kept.
        answer: what the method has answered.
        if_none_match: the caller's header of that name: etags, separated by commas.
    """
    etag = f'"{hashlib.sha256(answer.data).hexdigest()[:ETAG_DIGITS]}"'
    headers = {
        "cache-control": row.cache_control or "no-store",
        "etag": etag,
        "vary": "authorization, x-goog-api-key",  # who may not see it does not find it in a browser's cache
    }
    had = {one.strip().removeprefix("W/") for one in if_none_match.split(",")}
    if row.is_read and (etag in had or "*" in had):
        return responses.Response(status_code=304, headers=headers)
    headers["content-type"] = answer.content_type or OCTETS
    if headers["content-type"] != SHOWN_TYPE:
        headers["content-disposition"] = "attachment"
    return responses.Response(answer.data, headers=headers)
