"""The REST door: an ASGI application over the same table as the gRPC door.

Every path under ``/v1/`` goes through one route; other routes (health, metrics, console) are handed in. Whatever is
wrong with a request, the answer is JSON in Google's error shape.
"""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Coroutine, Sequence
from concurrent import futures
from typing import Any

from google.protobuf import message
from starlette import applications, exceptions, requests, responses, routing, types

from boxwright import errors
from boxwright.surface import dispatch, openapi, routes, transcode, waiting

MAX_BODY_BYTES = 48 * 1024 * 1024  # a 30 MB image as base64, with room for the rest
MAX_DRAINED_BYTES = 8 * MAX_BODY_BYTES  # read and dropped, so that a client still sending sees why it was refused
BACKLOG = 1024  # connections not yet accepted; many waiting clients may arrive at once
_CODE_OF_STATUS = {401: errors.unauthenticated, 403: errors.permission_denied, 404: errors.not_found}


def build_rest_app(
    dispatcher: dispatch.Dispatcher,
    watcher: waiting.Watcher,
    executor: futures.Executor,
    extra_routes: Sequence[routing.BaseRoute] = (),
    *,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> applications.Starlette:
    """Builds the ASGI application; `extra_routes` come first."""
    door = RestDoor(waiting.Reception(dispatcher, watcher, executor), max_body_bytes)
    app = applications.Starlette(
        routes=[*extra_routes, routing.Route("/v1/openapi.json", _describe), routing.Route("/v1/{path:path}", door)],
        exception_handlers={exceptions.HTTPException: _show_http_exception},
    )
    app.router.redirect_slashes = False
    return app


def open_listener(host: str, port: int) -> socket.socket:
    """Opens the listening socket for the HTTP server; port 0 picks a free one.

    asyncio switches Nagle's algorithm off only for sockets it resolved itself; without that every answer over a kept-alive
    connection costs 40 ms, because head and body are two writes. Accepted sockets inherit the option.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


class RestDoor:
    """Answers every request under ``/v1/``."""

    def __init__(self, reception: waiting.Reception, max_body_bytes: int) -> None:
        self._reception = reception
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: types.Scope, receive: types.Receive, send: types.Send) -> None:
        request = requests.Request(scope, receive)
        try:
            response = await self._answer(request)
        except errors.ApiError as error:
            response = show_error(error)
        except requests.ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _answer(self, request: requests.Request) -> responses.Response:
        body = await self._read_body(request)
        route = routes.find_route(_verb(request), _raw_path(request))
        query: bytes = request.scope["query_string"]
        options = transcode.read_options(query)
        metadata = dict(options.credentials) | {name.lower(): value for name, value in request.headers.items()}
        content_type = request.headers.get("content-type", "")

        def write(answer: message.Message) -> bytes:
            return transcode.write_message(
                answer, integers_for_enums=options.integers_for_enums, is_pretty=options.is_pretty
            )

        content = await _unless_disconnected(
            request,
            self._reception.answer(
                route.row,
                functools.partial(transcode.read_request, route, query, body, content_type),
                metadata,
                write,
                remaining_s=None,
            ),
        )
        return _json_response(200, content)

    async def _read_body(self, request: requests.Request) -> bytes:
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        too_large = errors.bad_request(f"Request payload size exceeds the limit: {self._max_body_bytes} bytes.")
        if "expect" in request.headers and _declared_bytes(request) > self._max_body_bytes:
            raise too_large  # the client asked before sending
        chunks: list[bytes] = []
        size_bytes = 0
        async for chunk in request.stream():
            size_bytes += len(chunk)
            if size_bytes <= self._max_body_bytes:
                chunks.append(chunk)
            else:
                chunks.clear()
            if size_bytes > MAX_DRAINED_BYTES:
                break
        if size_bytes > self._max_body_bytes:
            raise too_large
        if size_bytes and encoding not in ("", "identity"):
            raise errors.bad_request("Content-Encoding is not supported. Send the body uncompressed.")
        return b"".join(chunks)


async def _unless_disconnected(request: requests.Request, work: Coroutine[Any, Any, bytes]) -> bytes:
    answering = asyncio.ensure_future(work)
    hanging_up = asyncio.ensure_future(request.receive())  # after the body only the disconnect can arrive
    try:
        await asyncio.wait((answering, hanging_up), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise requests.ClientDisconnect
        return answering.result()
    finally:
        answering.cancel()
        hanging_up.cancel()


async def _describe(request: requests.Request) -> responses.Response:
    return _json_response(200, openapi.document())


def show_error(error: errors.ApiError) -> responses.Response:
    """An ApiError as an HTTP response in Google's shape; for the routes of other rooms too."""
    http_code, content = transcode.write_error(error)
    response = _json_response(http_code, content)
    if http_code == 401:
        response.headers["www-authenticate"] = "Bearer"
    return response


def _show_http_exception(request: requests.Request, failure: Exception) -> responses.Response:
    status_code = getattr(failure, "status_code", 500)
    make = _CODE_OF_STATUS.get(status_code, errors.not_found if status_code == 405 else errors.bad_request)
    if status_code >= 500:
        make = errors.unavailable
    return show_error(make(f"{request.method} {routes.shown(request.url.path)}: {getattr(failure, 'detail', '')}."))


def _json_response(status_code: int, content: bytes) -> responses.Response:
    headers = {
        "content-type": "application/json; charset=UTF-8",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
    }
    return responses.Response(content, status_code, headers)


def _verb(request: requests.Request) -> str:
    override = request.headers.get("x-http-method-override", "")  # Google's Java client sends PATCH as a POST with this
    return override.upper() if override and request.method == "POST" else request.method


def _declared_bytes(request: requests.Request) -> int:
    declared = request.headers.get("content-length", "")
    return int(declared) if declared.isascii() and declared.isdigit() else 0


def _raw_path(request: requests.Request) -> str:
    raw = request.scope["raw_path"].decode("latin-1").partition("?")[0]
    root: str = request.scope.get("root_path", "")
    return raw.removeprefix(root)
