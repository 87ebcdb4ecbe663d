"""The gRPC server: one generic handler per row of the table, with health and reflection beside them.

The guard is an interceptor, before every handler. A handler takes its message when there is room for it; what nobody has
asked for stays on the wire, all but some 64 KiB. Requests arrive as bytes and are parsed in the thread pool, so that an
undecodable message is INVALID_ARGUMENT and not the framework's INTERNAL. Errors leave as status code and text, with the
whole `google.rpc.Status` in the trailing metadata.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import urllib.parse
from collections.abc import Awaitable, Callable, Iterable
from concurrent import futures
from typing import Any

import grpc
from google.protobuf import descriptor, descriptor_pb2, descriptor_pool, message
from google.rpc import status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from boxwright import errors
from boxwright.surface import dispatch, grpc_messages, limits, methods, request_policy, waiting
from boxwright.telemetry.metrics import Metrics
from boxwright.telemetry.spans import Traces

CONNECTION_GRACE_S = 600.0  # for the calls of a connection that takes no new ones; none waits longer than 300 s
MAX_STATUS_BYTES = 3000  # clients refuse more than 8 KiB of metadata; the text travels twice, once percent-encoded
MAX_MESSAGE_CHARS = 700  # a character may take 12 bytes percent-encoded
MIN_PING_INTERVAL_MS = 10_000  # clients that hold calls open may ping this often; gRPC's own default is 5 minutes
PUBLIC = f"/{health.SERVICE_NAME}/"  # probes have no credentials, and learn nothing but whether the service is up
_CODES = {code.value[0]: code for code in grpc.StatusCode}


@dataclasses.dataclass(frozen=True)
class GrpcServer:
    """The gRPC server with its health service; made, started and stopped on the event loop."""

    server: grpc.aio.Server
    health: health.aio.HealthServicer

    def listen(self, address: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Adds an address (port 0 picks a free one) before the start; returns the port."""
        if credentials is None:
            return int(self.server.add_insecure_port(address))
        return int(self.server.add_secure_port(address, credentials))

    async def start(self) -> None:
        """Starts to listen."""
        await self.announce(False)
        await self.server.start()

    async def stop(self, grace_s: float) -> None:
        """Takes no new calls and gives running ones `grace_s` to end; close the watcher first."""
        await self.announce(False)
        await self.server.stop(grace_s)

    async def announce(self, is_serving: bool) -> None:
        """Tells health checks whether the service takes calls; they hear NOT_SERVING until this is called."""
        states = health_pb2.HealthCheckResponse
        for name in _service_names():
            await self.health.set(name, states.SERVING if is_serving else states.NOT_SERVING)


def build_grpc_server(
    dispatcher: dispatch.Dispatcher,
    watcher: waiting.OperationNotifier,
    executor: futures.Executor,
    *,
    request_guard: request_policy.RequestPolicy,
    bounds: limits.ServerLimits,
    budget: limits.BodyBudget,
    decoding: futures.Executor | None = None,
    metrics: Metrics | None = None,
    traces: Traces | None = None,
) -> GrpcServer:
    """Builds the gRPC server, without ports, inside the running event loop."""
    reception = waiting.CallExecutor(dispatcher, watcher, executor, decoding, metrics, "grpc", traces)
    receiver = grpc_messages.MessageReader(bounds, budget)

    def handlers_of(rows: Iterable[methods.Method]) -> dict[str, grpc.RpcMethodHandler]:
        return {row.rpc: _handler(row, reception, receiver, request_guard) for row in rows}

    handlers = [
        grpc.method_handlers_generic_handler(service, handlers_of(rows))
        for service, rows in itertools.groupby(methods.TABLE, key=lambda row: row.service)
    ]
    server = grpc.aio.server(
        handlers=handlers,
        interceptors=[_GuardInterceptor(request_guard, receiver, reception)],
        options=_options(bounds),
    )
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    names = [name for name in _service_names() if name] + [health.SERVICE_NAME, reflection.SERVICE_NAME]
    reflection.enable_server_reflection(names, server, pool=reflection_pool())
    return GrpcServer(server, servicer)


def _options(bounds: limits.ServerLimits) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", bounds.largest_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),  # a second service on the same port is a mistake, not a cluster
        ("grpc.http2.min_recv_ping_interval_without_data_ms", MIN_PING_INTERVAL_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.max_metadata_size", bounds.grpc_metadata_bytes),
        ("grpc.max_concurrent_streams", bounds.grpc_streams),
        ("grpc.max_allowed_incoming_connections", bounds.connections),
        ("grpc.server_handshake_timeout_ms", int(bounds.head_timeout_s * 1000)),
        ("grpc.max_connection_age_ms", int(bounds.grpc_connection_age_s * 1000)),
        ("grpc.max_connection_age_grace_ms", int(CONNECTION_GRACE_S * 1000)),
    ]


class _GuardInterceptor(grpc.aio.ServerInterceptor):
    """Refuses calls before anything of their message is taken, and bounds the messages of health and reflection."""

    def __init__(
        self,
        request_guard: request_policy.RequestPolicy,
        receiver: grpc_messages.MessageReader,
        reception: waiting.CallExecutor,
    ) -> None:
        self._guard = request_guard
        self._receiver = receiver
        self._reception = reception

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any
    ) -> grpc.RpcMethodHandler | None:
        """Answers with the handler of a call."""
        metadata, method = _texts(handler_call_details.invocation_metadata), handler_call_details.method
        handler = await continuation(handler_call_details)
        try:
            self._guard.judge_metadata(metadata)
        except errors.ApiError as error:
            return _refusing(error, self._reception)
        try:
            if handler is not None and method not in _OURS and not method.startswith(PUBLIC):
                await self._reception.admit(method.removeprefix("/").replace("/", "."), metadata)
        except errors.ApiError as error:
            return _refusing(error)
        return handler if handler is None or method in _OURS else self._receiver.bounded(handler)


_OURS = frozenset(row.full_name for row in methods.TABLE)  # whose handlers admit their callers themselves


def _texts(metadata: Any) -> list[tuple[str, str]]:
    return [(key, value) for key, value in metadata or () if isinstance(value, str)]


def _refusing(error: errors.ApiError, reception: waiting.CallExecutor | None = None) -> grpc.RpcMethodHandler:
    """Refuses a call; with `reception`, also records that."""

    async def refuse(messages: object, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        if reception is not None:
            await reception.refused(_texts(context.invocation_metadata()), _address(context.peer()), error)
        await _refuse(context, error)
        raise error  # not reached: abort raises

    behaviour: Callable[..., Awaitable[bytes]] = refuse
    return grpc.stream_unary_rpc_method_handler(behaviour)  # which takes no message on its own


def _service_names() -> list[str]:
    return ["", *dict.fromkeys(row.service for row in methods.TABLE)]  # "" is the server as a whole


def _handler(
    row: methods.Method,
    reception: waiting.CallExecutor,
    receiver: grpc_messages.MessageReader,
    request_guard: request_policy.RequestPolicy,
) -> grpc.RpcMethodHandler:
    async def handle(messages: object, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        body = receiver.new_body()
        try:
            address, metadata = _address(context.peer()), _texts(context.invocation_metadata())
            try:
                request_guard.judge_peer(address)
            except errors.ApiError as error:
                await reception.refused(metadata, address, error)
                raise
            caller = await reception.admit(row.dotted_name, metadata, address)
            await receiver.receive(row, context, body)
            return await reception.answer(
                row,
                lambda: _parse(row, body.content),
                caller,
                _serialize,
                remaining_s=context.time_remaining(),
                body=body,
            )
        except errors.ApiError as error:
            await _refuse(context, error)
            raise  # not reached: abort raises
        finally:
            body.close()

    behaviour: Callable[..., Awaitable[bytes]] = handle
    # no (de)serialiser: bytes in, bytes out; on the wire a call with one message is the same in both kinds
    return grpc.stream_unary_rpc_method_handler(behaviour)


def _address(peer: str) -> str:
    """The address in ``ipv4:127.0.0.1:50001`` or ``ipv6:%5B::1%5D:50001``, as gRPC spells a peer."""
    rest = urllib.parse.unquote(peer).partition(":")[2]
    return rest.rpartition(":")[0].strip("[]").partition("%")[0]


def _parse(row: methods.Method, request: bytes | bytearray) -> message.Message:
    try:
        return row.request_pb.FromString(request)
    except message.DecodeError as undecodable:
        raise errors.bad_request(
            f"The request is not a valid {row.request_pb.DESCRIPTOR.full_name} message."
        ) from undecodable


def _serialize(answer: message.Message) -> bytes:
    return answer.SerializeToString()


async def _refuse(context: grpc.aio.ServicerContext[Any, Any], error: errors.ApiError) -> None:
    status = error.status
    text = error.message if len(error.message) <= MAX_MESSAGE_CHARS else error.message[: MAX_MESSAGE_CHARS - 1] + "…"
    if status.ByteSize() > MAX_STATUS_BYTES:
        status = status_pb2.Status(code=status.code, message=text)
    code = _CODES.get(error.code, grpc.StatusCode.UNKNOWN)
    await context.abort(code, text, (("grpc-status-details-bin", status.SerializeToString()),))


@functools.cache
def reflection_pool() -> descriptor_pool.DescriptorPool:
    """Descriptors of every service of the table, in a pool of their own.

    The message classes come without service descriptors; the ones made here would collide with other copies of the same
    services in the default pool.
    """
    pool = descriptor_pool.DescriptorPool()
    added: set[str] = set()
    _copy_file(health_pb2.DESCRIPTOR, pool, added)
    reflection_file = descriptor_pool.Default().FindFileContainingSymbol(reflection.SERVICE_NAME)
    _copy_file(reflection_file, pool, added)
    for package in ("google.cloud.automl.v1", "boxwright.v1"):
        _describe_services(package, pool, added)
    for row in methods.TABLE:
        for kind in (row.request_pb, row.response_pb):
            _copy_file(kind.DESCRIPTOR.file, pool, added)
    return pool


def _describe_services(package: str, pool: descriptor_pool.DescriptorPool, added: set[str]) -> None:
    """Adds a file with the services of a package to the pool, and the files of their messages."""
    described = descriptor_pb2.FileDescriptorProto(
        name=f"{package.replace('.', '/')}/services.proto", package=package, syntax="proto3"
    )
    services: dict[str, descriptor_pb2.ServiceDescriptorProto] = {}
    for row in methods.TABLE:
        of_package, _, name = row.service.rpartition(".")
        if of_package != package:
            continue
        for kind in (row.request_pb, row.response_pb):
            _copy_file(kind.DESCRIPTOR.file, pool, added)
            if kind.DESCRIPTOR.file.name not in described.dependency:
                described.dependency.append(kind.DESCRIPTOR.file.name)
        services.setdefault(name, descriptor_pb2.ServiceDescriptorProto(name=name)).method.add(
            name=row.rpc,
            input_type="." + row.request_pb.DESCRIPTOR.full_name,
            output_type="." + row.response_pb.DESCRIPTOR.full_name,
        )
    described.service.extend(services.values())
    pool.AddSerializedFile(described.SerializeToString())


def _copy_file(file: descriptor.FileDescriptor, pool: descriptor_pool.DescriptorPool, added: set[str]) -> None:
    if file.name not in added:
        added.add(file.name)
        for dependency in file.dependencies:
            _copy_file(dependency, pool, added)
        pool.AddSerializedFile(file.serialized_pb)
