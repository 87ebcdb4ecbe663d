"""Compliance cases: requests and the answers they must get, read from JSON and sent through both doors.

A case is one JSON object:

    id          what it shows, unique in its file
    rpc         ``Service/Method``; the file's own unless given
    request     the whole request as proto JSON; REST and gRPC requests are both made from it
    http        or, spelled out: ``VERB /path?query`` exactly as it goes over the wire
    body        of `http`: an object, or the text itself; `bytes` instead of `body`: text to be sent as Latin-1
    grpc        beside `http`: the same request as proto JSON, for the other door
    only        ``rest`` or ``grpc`` when the other door cannot say it; `why` tells the reason
    headers     HTTP headers, sent as metadata over gRPC
    ok          what the answer holds at least (see `mismatch`)
    error       or the name of the code; `message`: what its text contains (a string or a list of them)

`ok`, `error` and `message` may be ``{"rest": …, "grpc": …}`` where the doors differ. ``{name}`` in any text is replaced by
the world's value of that name, ``{a*33}`` by 33 times the letter.
"""

from __future__ import annotations

import dataclasses
import http.client
import json
import pathlib
import re
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import grpc
from google.protobuf import json_format
from google.rpc import code_pb2, status_pb2

from boxwright.surface import methods

FOLDER = pathlib.Path(__file__).parents[2] / "compatibility" / "cases"
DOORS = ("rest", "grpc")
TIMEOUT_S = 30
HTTP_CODES = {  # written down here once more: this is what is to be proven
    "CANCELLED": 499, "UNKNOWN": 500, "INVALID_ARGUMENT": 400, "DEADLINE_EXCEEDED": 504, "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409, "PERMISSION_DENIED": 403, "RESOURCE_EXHAUSTED": 429, "FAILED_PRECONDITION": 400,
    "ABORTED": 409, "OUT_OF_RANGE": 400, "UNIMPLEMENTED": 501, "INTERNAL": 500, "UNAVAILABLE": 503, "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}  # fmt: skip
KEYS = {"id", "rpc", "request", "http", "body", "bytes", "grpc", "only", "why", "headers", "ok", "error", "message"}
_ROWS = {row.full_name.removeprefix("/"): row for row in methods.TABLE}


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came back: a message as JSON, or the name of a code and a text."""

    content: Any = None
    code: str = ""
    text: str = ""


@dataclasses.dataclass(frozen=True)
class Case:
    """One case of one file."""

    file: str
    data: dict[str, Any]
    row: methods.Method

    @property
    def label(self) -> str:
        return f"{self.file}/{self.data['id']}"

    @property
    def doors(self) -> tuple[str, ...]:
        if "only" in self.data:
            return (self.data["only"],)
        return DOORS if "request" in self.data or "grpc" in self.data else ("rest",)


def read_cases() -> Iterator[Case]:
    """Reads every file of cases."""
    for path in sorted(FOLDER.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        for data in content["cases"]:
            yield Case(path.stem, data, _ROWS[data.get("rpc", content["rpc"])])


def problems(case: Case) -> Iterator[str]:
    """What is wrong with a case itself."""
    data = case.data
    yield from (f"unknown key {key!r}" for key in set(data) - KEYS)
    if not re.fullmatch(r"[a-z0-9_]+", data["id"]):
        yield "the id is not lower_case_with_underscores"
    if ("request" in data) == ("http" in data):
        yield "it needs either request or http"
    if ("ok" in data) == ("error" in data):
        yield "it needs either ok or error"
    if len(case.doors) == 1 and not data.get("why"):
        yield "it goes through one door only and does not say why"


def filled(value: Any, lookup: Callable[[str], str | None]) -> Any:
    """The value with every ``{name}`` in its texts replaced."""
    if isinstance(value, dict):
        return {filled(key, lookup): filled(item, lookup) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, lookup) for item in value]
    if not isinstance(value, str):
        return value
    repeated = re.sub(r"\{([^{}])\*(\d+)\}", lambda match: match[1] * int(match[2]), value)
    return re.sub(r"\{([A-Za-z_]+)\}", lambda match: lookup(match[1]) or match[0], repeated)


# ---- sending ------------------------------------------------------------------------------------------------------------


def send_rest(port: int, row: methods.Method, data: dict[str, Any]) -> Answer:
    """Sends a filled case as it is spelled; checks the shape of an error."""
    if "http" in data:
        verb, _, url = data["http"].partition(" ")
        body = data.get("body", data.get("bytes"))
        content = body if isinstance(body, str | None) else json.dumps(body)
        encoded = None if content is None else content.encode("latin-1" if "bytes" in data else "utf-8")
    else:
        verb, url, encoded = _spelled(row, data["request"])
    headers = {"Content-Type": "application/json"} if encoded is not None else {}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request(verb, url, encoded, headers | data.get("headers", {}))
        response = connection.getresponse()
        content_type, text = response.getheader("content-type"), response.read().decode()
    finally:
        connection.close()
    assert content_type == "application/json; charset=UTF-8"
    parsed = json.loads(text)
    if response.status == 200:
        return Answer(parsed)
    assert set(parsed) == {"error"}
    error = parsed["error"]
    assert set(error) <= {"code", "message", "status", "details"}
    assert error["code"] == response.status == HTTP_CODES[error["status"]]
    return Answer(code=error["status"], text=error["message"])


def _spelled(row: methods.Method, request: dict[str, Any]) -> tuple[str, str, bytes | None]:
    """A request in proto JSON as verb, URL and body, the way the API's HTTP rules say."""
    rest = json.loads(json.dumps(request))
    match = re.fullmatch(r"(.*)\{([\w.]+)=[^}]*\}(.*)", row.paths[0])
    assert match
    owner, _, last = match[2].rpartition(".")
    fields = row.request_pb.DESCRIPTOR.fields_by_name
    holder = rest[fields[owner].json_name] if owner else rest
    name = holder[last] if owner else holder.pop(last)
    url = match[1] + urllib.parse.quote(name, safe="/") + match[3]
    body: Any = None
    if row.body == "*":
        body, rest = rest, {}
    elif row.body is not None:
        body = rest.pop(fields[row.body].json_name, {})
    query = urllib.parse.urlencode(rest, doseq=True)
    encoded = None if body is None else json.dumps(body).encode()
    return row.verb, url + ("?" + query if query else ""), encoded


def send_grpc(channel: grpc.Channel, row: methods.Method, data: dict[str, Any]) -> Answer:
    """Sends a filled case as a message; checks that the details say what the status says."""
    request = json_format.ParseDict(data.get("request", data.get("grpc")), row.request_pb())
    call = channel.unary_unary(
        row.full_name,
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=row.response_pb.FromString,
    )
    headers = data.get("headers", {})
    metadata = [(key.lower(), value) for key, value in headers.items() if not key.lower().startswith("content-")]
    try:
        return Answer(json_format.MessageToDict(call(request, timeout=TIMEOUT_S, metadata=metadata)))
    except grpc.RpcError as error:
        trailing = dict(error.trailing_metadata() or ())
        status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
        code = error.code().name
        assert code_pb2.Code.Value(code) == status.code
        return Answer(code=code, text=error.details())


# ---- comparing ----------------------------------------------------------------------------------------------------------


def mismatch(wanted: Any, got: Any, path: str = "answer") -> str:
    """Says where an answer is not as wanted, or nothing.

    Objects may hold more than is wanted, lists may not; null: must be absent; ``"*"``: anything but absent or empty;
    ``"~regex"``: a text in which the expression is found.
    """
    if isinstance(wanted, dict) and isinstance(got, dict):
        for key, value in wanted.items():
            if value is None:
                if key in got:
                    return f"{path}.{key} should be absent, it is {got[key]!r}"
            elif key not in got:
                return f"{path}.{key} is absent"
            elif found := mismatch(value, got[key], f"{path}.{key}"):
                return found
        return ""
    if isinstance(wanted, list) and isinstance(got, list):
        if len(wanted) != len(got):
            return f"{path} has {len(got)} items instead of {len(wanted)}"
        pairs = zip(wanted, got, strict=True)
        return next(filter(None, (mismatch(one, two, f"{path}[{at}]") for at, (one, two) in enumerate(pairs))), "")
    if isinstance(wanted, str) and isinstance(got, str):
        if wanted == "*":
            return "" if got else f"{path} is empty"
        if wanted.startswith("~"):
            return "" if re.search(wanted[1:], got) else f"{path} is {got!r}, which {wanted[1:]!r} does not match"
    return "" if wanted == got and type(wanted) is type(got) else f"{path} is {got!r} instead of {wanted!r}"


def verdict(data: dict[str, Any], door: str, answer: Answer) -> str:
    """Says how an answer through a door differs from what the case wants, or nothing."""

    def of_door(key: str) -> Any:
        value = data.get(key)
        return value[door] if isinstance(value, dict) and set(value) == set(DOORS) else value

    if "error" in data:
        fragments = of_door("message") or []
        missing = [
            part for part in ([fragments] if isinstance(fragments, str) else fragments) if part not in answer.text
        ]
        if answer.code != of_door("error") or missing:
            return f"it answered {answer.code or 'OK'}: {answer.text!r}; wanted {of_door('error')} with {missing}"
        return "Traceback" if "Traceback" in answer.text else ""
    if answer.code:
        return f"it answered {answer.code}: {answer.text!r}"
    return mismatch(of_door("ok"), answer.content)
