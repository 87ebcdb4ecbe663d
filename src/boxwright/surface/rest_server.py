"""The REST server: an ASGI application over the same table as the gRPC server.

Every path under ``/v1/`` goes through one route; other routes (health, metrics, console) are handed in. Whatever is
wrong with a request, the answer is JSON in Google's error shape. The guard comes first, for every route; path, verb,
credentials and other headers are judged before the body is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from concurrent import futures
from typing import Any, TypeVar

from google.api import httpbody_pb2
from google.protobuf import message
from google.rpc import error_details_pb2
from starlette import applications, exceptions, requests, responses, routing, types

from boxwright import errors
from boxwright.surface import (
    bodies,
    dispatch,
    home,
    limits,
    openapi,
    raw_bodies,
    request_policy,
    routes,
    transcode,
    waiting,
)
from boxwright.telemetry.metrics import Metrics
from boxwright.telemetry.spans import Traces

# who may be asked by anybody: nothing behind these needs credentials, or they are what is exchanged for some
PUBLIC_PATHS = (
    "/", "/healthz", "/readyz", "/token", "/introspect", "/revoke", "/v1/openapi.json", "/console", "/console/{path:path}",
)  # fmt: skip
_T = TypeVar("_T")
_CODE_OF_STATUS = {401: errors.unauthenticated, 403: errors.permission_denied, 404: errors.not_found}


def build_rest_app(
    dispatcher: dispatch.Dispatcher,
    watcher: waiting.OperationNotifier,
    executor: futures.Executor,
    extra_routes: Sequence[routing.Route] = (),
    *,
    request_guard: request_policy.RequestPolicy,
    bounds: limits.ServerLimits,
    budget: limits.BodyBudget,
    decoding: futures.Executor | None = None,
    metrics: Metrics | None = None,
    traces: Traces | None = None,
    has_console: bool = False,
) -> types.ASGIApp:
    """Builds the ASGI application; `extra_routes` come before those under ``/v1/``.

    With `has_console`, among them are the console's, and ``/`` leads browsers there.

    Raises:
        TypeError: an extra route is not in PUBLIC_PATHS, and nobody would judge its callers.
    """
    unguarded = [route.path for route in extra_routes if getattr(route, "path", None) not in PUBLIC_PATHS]
    if unguarded:
        raise TypeError(f"Nobody judges the callers of {', '.join(unguarded)}.")
    reception = waiting.CallExecutor(dispatcher, watcher, executor, decoding, metrics, "rest", traces)
    api = RestServer(reception, bounds, budget)
    app = applications.Starlette(
        routes=[
            routing.Route("/", home.lead if has_console else home.show),
            *extra_routes,
            routing.Route("/v1/openapi.json", _describe),
            routing.Route("/v1/{path:path}", api),
        ],
        exception_handlers={exceptions.HTTPException: _show_http_exception},
    )
    app.router.redirect_slashes = False
    return _guarded(app, request_guard, reception)


def _guarded(
    app: types.ASGIApp, request_guard: request_policy.RequestPolicy, reception: waiting.CallExecutor
) -> types.ASGIApp:
    """Puts the guard before an application, and the headers that keep browsers away on every answer."""

    async def answer(scope: types.Scope, receive: types.Receive, send: types.Send) -> None:
        async def send_with_headers(event: types.Message) -> None:
            if event["type"] == "http.response.start":
                given = list(event.get("headers", ()))
                names = {name for name, _ in given}  # pages with scripts have a policy of their own
                event["headers"] = given + [pair for pair in request_policy.ANSWER_HEADERS if pair[0] not in names]
            await send(event)

        if scope["type"] != "http":  # the server below speaks nothing else
            raise RuntimeError(f"The REST server does not serve {scope['type']}.")
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        chosen, address = app, scope["client"][0] if scope["client"] else ""
        try:
            if _raw_path(scope) not in request_policy.PROBES:
                request_guard.judge_peer(address)
            request_guard.judge(scope["method"], _raw_path(scope), headers, scope["scheme"])
        except errors.ApiError as error:
            chosen = show_error(error)
            await reception.refused(headers, address, error)
        await chosen(scope, receive, send_with_headers)

    return answer


class RestServer:
    """Answers every request under ``/v1/``."""

    def __init__(self, reception: waiting.CallExecutor, bounds: limits.ServerLimits, budget: limits.BodyBudget) -> None:
        self._reception = reception
        self._bounds = bounds
        self._budget = budget

    async def __call__(self, scope: types.Scope, receive: types.Receive, send: types.Send) -> None:
        """Answers one request, an error of the API included."""
        request = requests.Request(scope, receive)
        body = limits.Body(self._budget)
        try:
            response = await self._answer(request, body)
        except errors.ApiError as error:
            response = show_error(error)
        except requests.ClientDisconnect:
            return
        finally:
            body.close()
        await response(scope, receive, send)

    async def _answer(self, request: requests.Request, body: limits.Body) -> responses.Response:
        route = routes.find_route(_verb(request), _raw_path(request.scope))
        query: bytes = request.scope["query_string"]
        options = transcode.read_options(query)
        headers = [*options.credentials, *request.headers.items()]
        caller = await self._reception.admit(
            route.row.dotted_name, headers, request.client.host if request.client else ""
        )
        bodies.check_headers(request, route, self._bounds)
        await bodies.read(request, route, body, self._bounds)

        def write(answer: message.Message) -> responses.Response:
            if isinstance(answer, httpbody_pb2.HttpBody):
                return raw_bodies.respond(route.row, answer, request.headers.get("if-none-match", ""))
            content = transcode.write_message(
                answer, integers_for_enums=options.integers_for_enums, is_pretty=options.is_pretty
            )
            return _json_response(200, content)

        content_type = request.headers.get("content-type", "")
        return await _unless_disconnected(
            request,
            self._reception.answer(
                route.row,
                lambda: transcode.read_request(route, query, body.content, content_type),
                caller,
                write,
                remaining_s=None,
                body=body,
            ),
        )


async def _unless_disconnected(request: requests.Request, work: Coroutine[Any, Any, _T]) -> _T:
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
        response.headers["www-authenticate"] = _challenge(error)
    for detail in error.details:
        if isinstance(detail, error_details_pb2.RetryInfo):
            response.headers["retry-after"] = str(detail.retry_delay.seconds)
    return response


def _challenge(error: errors.ApiError) -> str:
    reasons = [detail.reason for detail in error.details if isinstance(detail, error_details_pb2.ErrorInfo)]
    nothing_sent = not reasons or reasons == ["CREDENTIALS_MISSING"]
    return 'Bearer realm="boxwright"' + ("" if nothing_sent else ', error="invalid_token"')


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
    }
    return responses.Response(content, status_code, headers)


def _verb(request: requests.Request) -> str:
    override = request.headers.get("x-http-method-override", "")  # Google's Java client sends PATCH as a POST with this
    return override.upper() if override and request.method == "POST" else request.method


def _raw_path(scope: types.Scope) -> str:
    raw: str = scope["raw_path"].decode("latin-1").partition("?")[0]
    return raw.removeprefix(scope.get("root_path", ""))
