"""The body of a REST request: what its headers say is judged before a byte of it is read.

A browser may send `text/plain`, forms and bodies without a type to any address without asking; JSON it may not. A body
therefore needs the type that the service's clients send: JSON, or for a method that takes bytes (`raw_bodies`) the type of
an image or of any octets. For all of these a browser asks before it sends a page's request to another origin.
"""

from __future__ import annotations

import asyncio

from google.rpc import code_pb2
from starlette import requests

from boxwright import errors
from boxwright.surface import limits, raw_bodies, routes

JSON = "application/json"


def check_headers(request: requests.Request, route: routes.Route, bounds: limits.ServerLimits) -> None:
    """Refuses by its headers a body that would not be taken; a method without a body ignores what is sent as one.

    Raises:
        ApiError: INVALID_ARGUMENT saying what is not supported, or that the body is too long.
    """
    declared_bytes, limit_bytes = _declared_bytes(request), bounds.of(route.row)
    if declared_bytes > limit_bytes:
        raise _too_large(limit_bytes)
    if declared_bytes and route.body is not None:
        _check_type(request, route)


async def read(request: requests.Request, route: routes.Route, body: limits.Body, bounds: limits.ServerLimits) -> None:
    """Reads the request's body into `body`.

    Raises:
        ApiError: INVALID_ARGUMENT for a body that is too long or of another type, UNAVAILABLE if there is no room for
            it, DEADLINE_EXCEEDED if nothing of it arrives for a while.
        ClientDisconnect: the caller hung up.
    """
    stream, limit_bytes, silence_s = request.stream(), bounds.of(route.row), bounds.body_timeout_s
    while True:
        try:
            async with asyncio.timeout(silence_s):
                chunk = await anext(stream, None)
        except TimeoutError as silent:
            raise errors.ApiError(
                code_pb2.DEADLINE_EXCEEDED, f"Nothing of the request's body arrived for {silence_s:g} s."
            ) from silent
        if chunk is None:
            return
        if chunk:
            if route.body is not None:
                _check_type(request, route)
            if len(body.content) + len(chunk) > limit_bytes:
                raise _too_large(limit_bytes)
            body.add(chunk)


def _check_type(request: requests.Request, route: routes.Route) -> None:
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise errors.bad_request("Content-Encoding is not supported. Send the body uncompressed.")
    sent = request.headers.getlist("content-type")
    found = sent[0].partition(";")[0].strip().lower() if len(sent) == 1 else ""
    is_raw = raw_bodies.is_taken(route.row, route.body)
    if found == raw_bodies.OCTETS or found.startswith("image/") if is_raw else found == JSON:
        return
    shown = f"Content-Type '{routes.shown(', '.join(sent))}' is not supported" if sent else "A body needs a type"
    wanted = f"{raw_bodies.OCTETS}' or that of the image, such as 'image/png" if is_raw else JSON
    raise errors.bad_request(f"{shown}. Send the body with 'Content-Type: {wanted}'.")


def _declared_bytes(request: requests.Request) -> int:
    declared = request.headers.get("content-length", "")
    return int(declared[:18]) if declared.isascii() and declared.isdigit() else 0  # longer ones are too long anyway


def _too_large(limit_bytes: int) -> errors.ApiError:
    return errors.bad_request(f"Request payload size exceeds the limit: {limit_bytes} bytes.")
