"""HTTP requests to messages and messages to JSON: pure functions over the table of methods.

    read_options(query)             how the answer is to be written; credentials given in the query
    read_request(route, query, …)   the request message, from path, query and body
    write_message(message, …)       proto3 JSON as the service's clients know it
    write_error(error)              HTTP code and Google's one error shape

Requests are read generously in spelling (camelCase and snake_case, numbers for strings in `params`) and strictly in
meaning: an unknown field, a key given twice, a value of the wrong kind is INVALID_ARGUMENT naming it. Nothing here
raises anything but ApiError, whatever arrives.
"""

from __future__ import annotations

import binascii
import dataclasses
import json
import re
import urllib.parse
from typing import Any, NoReturn

from google.protobuf import descriptor, json_format, message
from google.rpc import code_pb2, error_details_pb2

from boxwright import errors
from boxwright.surface import raw_bodies, routes

HTTP_CODES = {
    code_pb2.CANCELLED: 499,
    code_pb2.UNKNOWN: 500,
    code_pb2.INVALID_ARGUMENT: 400,
    code_pb2.DEADLINE_EXCEEDED: 504,
    code_pb2.NOT_FOUND: 404,
    code_pb2.ALREADY_EXISTS: 409,
    code_pb2.PERMISSION_DENIED: 403,
    code_pb2.RESOURCE_EXHAUSTED: 429,
    code_pb2.FAILED_PRECONDITION: 400,
    code_pb2.ABORTED: 409,
    code_pb2.OUT_OF_RANGE: 400,
    code_pb2.UNIMPLEMENTED: 501,
    code_pb2.INTERNAL: 500,
    code_pb2.UNAVAILABLE: 503,
    code_pb2.DATA_LOSS: 500,
    code_pb2.UNAUTHENTICATED: 401,
}
# Google's system parameters; every parameter that starts with `$` is one too. They never name a request field here.
SYSTEM_PARAMETERS = frozenset(
    {"access_token", "alt", "callback", "fields", "key", "oauth_token", "prettyPrint", "quotaUser"}
    | {"uploadType", "upload_protocol"}
)
MAX_QUERY_FIELDS = 200  # real requests have fewer than ten
_BAD_JSON = "Invalid JSON payload received. "
_Field = descriptor.FieldDescriptor
_TYPE_NAMES = {
    getattr(_Field, name): name
    for name in ("TYPE_BOOL", "TYPE_BYTES", "TYPE_DOUBLE", "TYPE_ENUM", "TYPE_FLOAT", "TYPE_INT32", "TYPE_INT64")
}


@dataclasses.dataclass(frozen=True)
class Options:
    """What the query says about the answer, and the credentials it carries as metadata."""

    integers_for_enums: bool = False
    is_pretty: bool = False
    credentials: tuple[tuple[str, str], ...] = ()


def read_options(query: bytes) -> Options:
    """Reads the system parameters of a query; a query that cannot be read has none."""
    try:
        pairs = _query_pairs(query)
    except errors.ApiError:
        return Options()
    parameters = dict(pairs)
    alt = parameters.get("$alt", parameters.get("alt", ""))
    return Options(
        integers_for_enums="enum-encoding=int" in alt.replace(" ", "").split(";"),
        is_pretty=parameters.get("prettyPrint", parameters.get("$prettyPrint", "")).lower() in ("true", "1"),
        # an access token in an address would be kept in logs and histories; an API key is sent so by Google's clients
        credentials=tuple(("x-goog-api-key", value) for name, value in pairs if name == "key" and value),
    )


def read_request(
    route: routes.Route, query: bytes, body: bytes | bytearray = b"", content_type: str = ""
) -> message.Message:
    """Builds the request message from path, query and body; the path wins over the others.

    Args:
        route: the row, and what the path says.
        query: percent-encoded.
        body: JSON, or for a row that takes an HttpBody its bytes.
        content_type: of the body, for such a row.

    Raises:
        ApiError: INVALID_ARGUMENT naming what cannot be understood.
    """
    request = route.row.request_pb()
    is_raw = raw_bodies.is_taken(route.row, route.body)
    if route.body is not None and not is_raw:
        _read_body(request, route.body, body)
    _read_query(request, query)
    if route.body is not None and is_raw:
        raw_bodies.put(request, route.body, content_type, body)  # whatever the query has said of that field
    target, steps = request, route.field.split(".")
    for step in steps[:-1]:
        target = getattr(target, step)
    setattr(target, steps[-1], route.name)
    return request


def write_message(answer: message.Message, *, integers_for_enums: bool = False, is_pretty: bool = False) -> bytes:
    """Writes a message as proto3 JSON: lowerCamelCase, default values left out, int64 as strings."""
    text = json_format.MessageToJson(
        answer,
        indent=2 if is_pretty else None,
        ensure_ascii=False,
        use_integers_for_enums=integers_for_enums,
    )
    return text.encode() + b"\n"


def write_error(error: errors.ApiError) -> tuple[int, bytes]:
    """Returns the HTTP code and the body ``{"error": {"code", "message", "status", "details"}}``."""
    http_code = HTTP_CODES.get(error.code, 500)
    shown: dict[str, Any] = {"code": http_code, "message": error.message, "status": error.code_name}
    packed = errors.ApiError(error.code, "", error.details).status.details  # the message need not be valid Unicode here
    details = [json_format.MessageToDict(detail) for detail in packed]
    if details:
        shown["details"] = details
    return http_code, json.dumps({"error": shown}, ensure_ascii=False, indent=2).encode("utf-8", "replace") + b"\n"


# --- body ------------------------------------------------------------------------------------------------------------


def _read_body(request: message.Message, body_field: str, body: bytes | bytearray) -> None:
    target = request
    if body_field != "*":
        target = getattr(request, body_field)
        target.SetInParent()
    if not body.strip():
        return
    payload = _parse_json(body)
    if not isinstance(payload, dict):
        raise errors.bad_request(_BAD_JSON + "Root element must be a message.")
    binaries: list[tuple[tuple[str | int, ...], bytes]] = []
    _prepare(payload, target.DESCRIPTOR, () if body_field == "*" else (body_field,), (), binaries)
    _merge(payload, target)
    for steps, value in binaries:
        owner: Any = target
        for step in steps[:-1]:
            owner = owner[step] if isinstance(step, int) else getattr(owner, step)
        setattr(owner, str(steps[-1]), value)


def _parse_json(body: bytes | bytearray) -> Any:
    try:
        return json.loads(body.decode("utf-8-sig"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except UnicodeDecodeError as unreadable:
        raise errors.bad_request(_BAD_JSON + "The body is not valid UTF-8.") from unreadable
    except RecursionError as deep:
        raise errors.bad_request(_BAD_JSON + "It is nested too deeply.") from deep
    except ValueError as malformed:
        raise errors.bad_request(f"{_BAD_JSON}{routes.shown(str(malformed))}.") from malformed


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise errors.bad_request(f'{_BAD_JSON}The key "{routes.shown(twice)}" is given twice in one object.')
    return found


def _no_constant(name: str) -> NoReturn:
    raise errors.bad_request(f"{_BAD_JSON}{name} is not JSON.")


def _prepare(
    payload: dict[str, Any],
    kind: descriptor.Descriptor,
    shown_path: tuple[str, ...],
    steps: tuple[str | int, ...],
    binaries: list[tuple[tuple[str | int, ...], bytes]],
) -> None:
    """Checks names against the schema, turns numbers in string maps into strings and takes binary values out."""
    seen: set[str] = set()
    for key, value in payload.items():
        field = _find_field(kind, key)
        if field is None:
            raise _unknown_name(key, shown_path)
        if field.name in seen:
            raise errors.bad_request(f'{_BAD_JSON}The field "{field.name}" is given in both spellings.')
        seen.add(field.name)
        here = (*shown_path, field.name)
        if _is_map(field):
            if isinstance(value, dict) and field.message_type.fields_by_name["value"].type == _Field.TYPE_STRING:
                payload[key] = {name: _as_text(item) for name, item in value.items()}
        elif field.type == _Field.TYPE_BYTES and isinstance(value, str) and not field.is_repeated:
            binaries.append(((*steps, field.name), _decode_base64(value, here)))
            payload[key] = ""
        elif field.type == _Field.TYPE_ENUM and isinstance(value, float):
            raise _wrong_kind(here, "TYPE_ENUM", value)
        elif field.type == _Field.TYPE_MESSAGE and not _is_well_known(field.message_type):
            if isinstance(value, dict) and not field.is_repeated:
                _prepare(value, field.message_type, here, (*steps, field.name), binaries)
            elif value is not None and not field.is_repeated:
                raise _wrong_kind(here, field.message_type.full_name, value)
            elif isinstance(value, list) and field.is_repeated:
                for index, item in enumerate(value):
                    if isinstance(item, dict):
                        _prepare(item, field.message_type, here, (*steps, field.name, index), binaries)


def _wrong_kind(path: tuple[str, ...], kind: str, value: Any) -> errors.ApiError:
    shown = routes.shown(json.dumps(value))
    return errors.bad_request(f"{_BAD_JSON}Invalid value at '{'.'.join(path)}' ({kind}), {shown}")


def _as_text(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, (bool, int, float)) else value


def _decode_base64(text: str, path: tuple[str, ...]) -> bytes:
    try:
        encoded = text.encode("ascii").translate(bytes.maketrans(b"-_", b"+/"))
        if encoded.find(b"\n") >= 0 or encoded.find(b" ") >= 0:  # line-wrapped by a command-line tool
            encoded = b"".join(encoded.split())
        encoded += b"=" * (-len(encoded) % 4)
        return binascii.a2b_base64(encoded, strict_mode=True)
    except ValueError as undecodable:
        shown = routes.shown(text[:40])
        raise errors.bad_request(
            f"Invalid value at '{'.'.join(path)}' (TYPE_BYTES), Base64 decoding failed for \"{shown}\"."
        ) from undecodable


def _merge(payload: dict[str, Any], target: message.Message) -> None:
    try:
        json_format.ParseDict(payload, target)
    except json_format.Error as misfit:
        raise errors.bad_request(_BAD_JSON + routes.shown(str(misfit), 4 * routes.MAX_SHOWN_CHARS)) from misfit
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as misfit:  # a value of the wrong kind
        raise errors.bad_request("Request contains an invalid argument.") from misfit


# --- query -----------------------------------------------------------------------------------------------------------


def _query_pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        return urllib.parse.parse_qsl(
            query.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=MAX_QUERY_FIELDS
        )
    except ValueError as unreadable:
        raise errors.bad_request(f"The query string cannot be read: {routes.shown(str(unreadable))}.") from unreadable


def _read_query(request: message.Message, query: bytes) -> None:
    gathered: dict[tuple[str, ...], list[str]] = {}
    fields: dict[tuple[str, ...], descriptor.FieldDescriptor] = {}
    for name, value in _query_pairs(query):
        if name not in SYSTEM_PARAMETERS and not name.startswith("$"):
            path, field = _find_query_field(request.DESCRIPTOR, name)
            gathered.setdefault(path, []).append(value)
            fields[path] = field
    for path, values in gathered.items():
        field = fields[path]
        if field.type == _Field.TYPE_MESSAGE and field.message_type.full_name == "google.protobuf.FieldMask":
            owner: Any = request
            for step in path:
                owner = getattr(owner, step)
            owner.SetInParent()
            owner.paths.extend(_snake(mask) for text in values for mask in text.split(",") if mask.strip())
            continue
        if len(values) > 1 and not field.is_repeated:
            raise errors.bad_request(f"The query parameter '{'.'.join(path)}' is given {len(values)} times.")
        converted = [_from_query(field, value) for value in values]
        payload: Any = converted if field.is_repeated else converted[0]
        for step in reversed(path):
            payload = {step: payload}
        _merge(payload, request)


def _find_query_field(kind: descriptor.Descriptor, name: str) -> tuple[tuple[str, ...], descriptor.FieldDescriptor]:
    path: list[str] = []
    steps = name.split(".")
    for number, step in enumerate(steps, 1):
        field = _find_field(kind, step)
        if field is None or _is_map(field):
            break
        path.append(field.name)
        is_message = field.type == _Field.TYPE_MESSAGE
        if number == len(steps) and not (is_message and not _is_well_known(field.message_type)):
            return tuple(path), field
        if not is_message or field.is_repeated:
            break
        kind = field.message_type
    raise errors.ApiError(
        code_pb2.INVALID_ARGUMENT,
        f'{_BAD_JSON}Unknown name "{routes.shown(name)}": Cannot bind query parameter. '
        f"Field '{routes.shown(name)}' could not be found in request message.",
        [_violation(name, "unknown query parameter")],
    )


def _from_query(field: descriptor.FieldDescriptor, text: str) -> Any:
    if field.name == "filter" and len(text) >= 2 and text[0] == text[-1] == '"':
        return text[1:-1]
    if field.type == _Field.TYPE_BOOL:
        if text.lower() in ("true", "1", "false", "0"):
            return text.lower() in ("true", "1")
        raise errors.bad_request(f"Invalid value at '{field.name}' (TYPE_BOOL), \"{routes.shown(text)}\".")
    if field.type in _TYPE_NAMES and not text:
        raise errors.bad_request(f"Invalid value at '{field.name}' ({_TYPE_NAMES[field.type]}), \"\".")
    return text


# --- shared ----------------------------------------------------------------------------------------------------------


def _find_field(kind: descriptor.Descriptor, name: str) -> descriptor.FieldDescriptor | None:
    return kind.fields_by_camelcase_name.get(name) or kind.fields_by_name.get(name)


def _is_map(field: descriptor.FieldDescriptor) -> bool:
    return field.type == _Field.TYPE_MESSAGE and field.message_type.GetOptions().map_entry


def _is_well_known(kind: descriptor.Descriptor) -> bool:
    return kind.full_name.startswith("google.protobuf.")


def _snake(path: str) -> str:
    return re.sub(r"[A-Z]", lambda capital: "_" + capital.group().lower(), path.strip())


def _unknown_name(name: str, path: tuple[str, ...]) -> errors.ApiError:
    where = f" at '{'.'.join(path)}'" if path else ""
    return errors.ApiError(
        code_pb2.INVALID_ARGUMENT,
        f'{_BAD_JSON}Unknown name "{routes.shown(name)}"{where}: Cannot find field.',
        [_violation(".".join((*path, name)), "unknown field")],
    )


def _violation(field: str, why: str) -> error_details_pb2.BadRequest:
    violation = error_details_pb2.BadRequest.FieldViolation(field=routes.shown(field), description=why)
    return error_details_pb2.BadRequest(field_violations=[violation])
