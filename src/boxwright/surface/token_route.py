"""``POST /token``, ``/introspect`` and ``/revoke`` at the REST server: a form in, JSON out, as RFC 6749 has it.

Who gets a token, and what one is, is not decided here.
"""

from __future__ import annotations

import asyncio
import json
import urllib.parse
from collections.abc import Callable, Mapping
from concurrent import futures
from typing import Any, Protocol

from google.rpc import code_pb2, error_details_pb2
from starlette import requests, responses, routing

from boxwright import callers, errors

PATH, INTROSPECT_PATH, REVOKE_PATH = "/token", "/introspect", "/revoke"
FORM = "application/x-www-form-urlencoded"
MAX_FORM_BYTES = 16 * 1024
MAX_FIELDS = 20


Answer = tuple[bool, dict[str, Any]]  # whether it is no error, and the fields of the response


class TokenService(Protocol):
    """Who gives tokens."""

    def answer(self, form: Mapping[str, str], origin: callers.Origin) -> Answer:
        """Answers a form; raises ApiError."""

    def refused(self, reason: str, origin: callers.Origin) -> None:
        """Hears of a request that is no form."""


class TokenStatus(Protocol):
    """Who says what tokens are, and ends them."""

    def introspect(self, form: Mapping[str, str], origin: callers.Origin) -> Answer:
        """Answers a form; raises ApiError."""

    def revoke(self, form: Mapping[str, str], origin: callers.Origin) -> Answer:
        """Answers a form; raises ApiError."""


class _BadForm(Exception):
    """Why a request is no form that can be read."""


def build_token_routes(
    tokens: TokenService, status: TokenStatus, executor: futures.Executor, silence_s: float
) -> list[routing.Route]:
    """Builds the routes.

    Args:
        tokens: gives tokens.
        status: says what they are, and ends them.
        executor: the thread pool in which both run.
        silence_s: for which a form may be silent.
    """

    def build(path: str, answer: Callable[[Mapping[str, str], callers.Origin], Answer]) -> routing.Route:
        async def respond(request: requests.Request) -> responses.Response:
            run = asyncio.get_running_loop().run_in_executor
            agent = request.headers.get("user-agent", "")
            origin = callers.Origin(request.client.host if request.client else "", agent)
            try:
                form = await _read(request, silence_s)
                is_fine, fields = await run(executor, answer, form, origin)
            except _BadForm as problem:
                try:
                    await run(executor, tokens.refused, str(problem), origin)
                except errors.ApiError as error:
                    return _unavailable(error)
                return _json(400, {"error": "invalid_request", "error_description": str(problem)})
            except (errors.ApiError, RuntimeError) as error:
                return _unavailable(error)
            return _json(200 if is_fine else 400, fields)

        return routing.Route(path, respond, methods=["POST"])

    answers = {PATH: tokens.answer, INTROSPECT_PATH: status.introspect, REVOKE_PATH: status.revoke}
    return [build(path, answer) for path, answer in answers.items()]


async def _read(request: requests.Request, silence_s: float) -> dict[str, str]:
    sent = request.headers.getlist("content-type")
    if len(sent) != 1 or sent[0].partition(";")[0].strip().lower() != FORM:
        raise _BadForm(f"Send the parameters with 'Content-Type: {FORM}'.")
    content = bytearray()
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(silence_s):
                chunk = await anext(stream, None)
        except TimeoutError as silent:
            raise _BadForm("Nothing of the request's body arrived for a while.") from silent
        if chunk is None:
            break
        content += chunk
        if len(content) > MAX_FORM_BYTES:
            raise _BadForm(f"Such a request has at most {MAX_FORM_BYTES} bytes.")
    try:
        pairs = urllib.parse.parse_qsl(
            content.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS
        )
    except ValueError as unreadable:
        raise _BadForm("The parameters cannot be read.") from unreadable
    form = dict(pairs)
    if len(form) != len(pairs):
        raise _BadForm("A parameter is there twice.")
    return form


def _unavailable(error: Exception) -> responses.Response:
    """The answer where the database is away, the pool takes no more work, or an address has failed too often."""
    fields = {"error": "temporarily_unavailable", "error_description": "Try again shortly."}
    if not isinstance(error, errors.ApiError) or error.code != code_pb2.RESOURCE_EXHAUSTED:
        return _json(503, fields)
    response = _json(429, fields | {"error_description": error.message})
    for detail in error.details:
        if isinstance(detail, error_details_pb2.RetryInfo):
            response.headers["retry-after"] = str(detail.retry_delay.seconds)
    return response


def _json(status_code: int, fields: dict[str, Any]) -> responses.Response:
    headers = {"content-type": "application/json; charset=UTF-8", "cache-control": "no-store", "pragma": "no-cache"}
    return responses.Response(json.dumps(fields).encode() + b"\n", status_code, headers)
