"""Takes gRPC messages from the wire when there is room for them.

gRPC shows a message when it is whole, and its length no earlier, so what is on its way is counted by what it may become:
at first the length that most methods allow; after a moment, which no small message needs, the longest of all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from google.rpc import code_pb2

from boxwright import errors
from boxwright.surface import limits, methods

PROMPT_S = 0.25  # a message that came with its headers is taken within a millisecond
PATIENCE = 10  # silence within a message cannot be seen: a long one may take this many times the limit of silence


class MessageReader:
    """Takes the messages of the gRPC server, within its limits."""

    def __init__(self, bounds: limits.ServerLimits, budget: limits.BodyBudget) -> None:
        self._bounds = bounds
        self._budget = budget

    def new_body(self) -> limits.Body:
        """An empty body, counted against the budget of both API servers."""
        return limits.Body(self._budget)

    async def receive(
        self, row: methods.Method | None, context: grpc.aio.ServicerContext[Any, Any], body: limits.Body
    ) -> bool:
        """Takes the next message of a call into `body`; False if there is none. `row` is None for other methods.

        Raises:
            ApiError: INVALID_ARGUMENT if a method of the table got no message, RESOURCE_EXHAUSTED if it is too long,
                UNAVAILABLE if there is no room for it, DEADLINE_EXCEEDED if it takes too long to arrive.
        """
        body.count(self._bounds.body_bytes)
        limit_bytes = self._bounds.body_bytes if row is None else self._bounds.of(row)
        timeout_s = self._bounds.body_timeout_s * (PATIENCE if limit_bytes > self._bounds.body_bytes else 1)
        loop = asyncio.get_running_loop()
        full: list[errors.ApiError] = []
        limit = asyncio.timeout(None)

        def expect_the_longest() -> None:
            try:
                body.count(self._bounds.largest_bytes)
                limit.reschedule(loop.time() + timeout_s)
            except errors.ApiError as error:
                full.append(error)
                limit.reschedule(loop.time())

        is_late = loop.call_later(PROMPT_S, expect_the_longest)
        try:
            async with limit:
                content = await context.read()
        except TimeoutError as late:
            why = f"The request's message did not arrive within {timeout_s:g} s."
            raise (full[0] if full else errors.ApiError(code_pb2.DEADLINE_EXCEEDED, why)) from late
        finally:
            is_late.cancel()
        if content is grpc.aio.EOF:
            if row is not None:
                raise errors.bad_request("The call carries no message.")
            return False
        if len(content) > limit_bytes:
            raise errors.resource_exhausted(f"Received message larger than max ({len(content)} vs. {limit_bytes})")
        body.put(content)
        return True

    def bounded(self, handler: grpc.RpcMethodHandler) -> grpc.RpcMethodHandler:
        """The same handler, whose messages are taken within the limits."""
        parse = handler.request_deserializer or bytes

        async def answer_stream(messages: object, context: Any) -> AsyncIterator[Any]:
            async for answer in handler.stream_stream(self._messages(context, parse), context):
                yield answer

        async def answer_one(messages: object, context: Any) -> Any:
            behaviour = handler.unary_stream or handler.unary_unary
            async for request in self._messages(context, parse):
                return await behaviour(request, context)
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "The call carries no message.")

        if handler.request_streaming:
            return grpc.stream_stream_rpc_method_handler(answer_stream, response_serializer=handler.response_serializer)
        is_streaming = handler.response_streaming
        make = grpc.stream_stream_rpc_method_handler if is_streaming else grpc.stream_unary_rpc_method_handler
        return make(answer_one, response_serializer=handler.response_serializer)

    async def _messages(self, context: Any, parse: Callable[[bytes], Any]) -> AsyncIterator[Any]:
        while True:
            body = self.new_body()
            try:
                if not await self.receive(None, context, body):
                    return
                request = parse(bytes(body.content))
            except errors.ApiError as error:
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, error.message)
                raise
            finally:
                body.close()
            yield request
