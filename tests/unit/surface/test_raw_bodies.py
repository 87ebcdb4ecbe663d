"""HttpBody at the REST server: bytes in place of JSON, with etags and types that no page can misuse."""

from __future__ import annotations

import pytest
from google.api import httpbody_pb2
from starlette import datastructures

from boxwright import curation_messages, errors
from boxwright.surface import bodies, limits, methods, openapi, raw_bodies, routes, transcode

READING = methods.Method(
    service=methods.CURATION, rpc="Shows", verb="GET", paths=("/v1/{name=a/*}:image",),
    request=curation_messages.GetExampleImageRequest, response=httpbody_pb2.HttpBody, required=("name",),
    permission="automl.examples.get", resource="name", cache_control="private, max-age=60",
)  # fmt: skip
TAKING = methods.Method(
    service=methods.CURATION, rpc="Takes", verb="POST", paths=("/v1/{parent=a/*}:upload",), body="image",
    request=curation_messages.UploadExampleRequest, response=curation_messages.Example, required=("parent",),
    permission="automl.examples.create", resource="parent",
)  # fmt: skip
PICTURE = httpbody_pb2.HttpBody(content_type="image/jpeg", data=b"\xff\xd8picture")


def test_an_answer_is_its_bytes_with_its_type_and_an_etag() -> None:
    answer = raw_bodies.respond(READING, PICTURE)
    assert (answer.status_code, answer.body) == (200, b"\xff\xd8picture")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "private, max-age=60"
    assert "content-disposition" not in answer.headers
    etag = answer.headers["etag"]
    for sent in (etag, f'"other", W/{etag}', "*"):
        again = raw_bodies.respond(READING, PICTURE, sent)
        assert (again.status_code, again.body, again.headers["etag"]) == (304, b"", etag)
    assert raw_bodies.respond(READING, PICTURE, '"other"').status_code == 200


@pytest.mark.parametrize("content_type", ["text/html", "image/svg+xml", "", "image/png"])
def test_what_is_no_picture_of_ours_is_a_file_and_not_a_page(content_type: str) -> None:
    answer = raw_bodies.respond(READING, httpbody_pb2.HttpBody(content_type=content_type, data=b"<script>"))
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.headers["content-type"] == (content_type or raw_bodies.OCTETS)


def test_a_body_fills_the_field_whatever_the_query_says() -> None:
    route = routes.Route(TAKING, "parent", "a/b", "image")
    sent = b'{"json": "is bytes too"}'
    query = b"displayName=x.jpg&image.contentType=text/html&image.data=aGE="
    request = transcode.read_request(route, query, bytearray(sent), "image/png")
    assert (request.parent, request.display_name) == ("a/b", "x.jpg")  # type: ignore[attr-defined]
    assert request.image == httpbody_pb2.HttpBody(content_type="image/png", data=sent)  # type: ignore[attr-defined]
    with pytest.raises(errors.ApiError, match="could not be found"):
        transcode.read_request(route, b"nothing=1", b"x", "image/png")


class _Sent:
    """A request with these headers."""

    def __init__(self, *content_types: str) -> None:
        pairs = [(b"content-type", one.encode()) for one in content_types]
        self.headers = datastructures.Headers(raw=[(b"content-length", b"9"), *pairs])


TYPES = {
    "image/jpeg": (True, False),
    "IMAGE/PNG; q=1": (True, False),
    "application/octet-stream": (True, False),
    "application/json": (False, True),
    "text/plain": (False, False),
    "multipart/form-data; boundary=image/png": (False, False),
    "application/x-www-form-urlencoded": (False, False),
    "text/plain;image/png": (False, False),
    "": (False, False),
}


@pytest.mark.parametrize("content_type, taken", TYPES.items(), ids=TYPES)
def test_only_types_that_a_browser_asks_for_are_taken(content_type: str, taken: tuple[bool, bool]) -> None:
    create = next(row for row in methods.TABLE if row.rpc == "CreateDataset")
    for row, body, is_taken in ((TAKING, "image", taken[0]), (create, "dataset", taken[1])):
        route = routes.Route(row, "parent", "a/b", body)
        try:
            bodies.check_headers(_Sent(content_type), route, limits.ServerLimits())  # type: ignore[arg-type]
            found = True
        except errors.ApiError as error:
            assert "Send the body with 'Content-Type: " in error.message
            found = False
        assert found == is_taken, row.rpc
    twice = _Sent("image/png", "image/png")
    with pytest.raises(errors.ApiError):
        bodies.check_headers(twice, routes.Route(TAKING, "parent", "a/b", "image"), limits.ServerLimits())  # type: ignore[arg-type]


def test_both_are_described() -> None:
    schemas: dict[str, object] = {}
    described = openapi._operation(READING, [], READING.paths[0], None, schemas)
    assert described["responses"]["200"]["content"] == {"*/*": {"schema": {"type": "string", "format": "binary"}}}
    described = openapi._operation(TAKING, [], TAKING.paths[0], "image", schemas)
    assert set(described["requestBody"]["content"]) == {"application/octet-stream", "image/*"}
    assert {one["name"] for one in described["parameters"]} == {"displayName", "mlUse"}
