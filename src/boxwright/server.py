"""Runs a service or a worker: opens the API servers on what `composition` builds, and stops everything in order."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import ipaddress
import logging
import shlex
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent import futures
from typing import Any, TextIO

from starlette import requests, responses, routing

from boxwright import composition, errors
from boxwright.console import files, sign_in
from boxwright.health.health_server import Page
from boxwright.health.probes import Probes
from boxwright.health.readiness import in_words
from boxwright.settings import ServerSettings, Settings, StorageSettings
from boxwright.surface import grpc_server, http_server, limits, request_policy, rest_server, token_route, waiting
from boxwright.surface.certificate_files import CertificateFiles
from boxwright.telemetry.metric_table import VALUES

GRPC_GRACE_S = 3.0

log = logging.getLogger(__name__)


FIRST_ACCOUNT = "boxwright access start --project PROJECT"


def check_exposure(settings: Settings) -> None:
    """Refuses to listen where others could reach a service that lets everybody in, or read what is sent to it.

    Raises:
        ApiError: FAILED_PRECONDITION with what to do instead.
    """
    host = settings.server.host
    if settings.server.console_providers and not settings.server.requires_accounts:
        raise errors.failed_precondition(
            "Refusing to serve: console_providers says where people sign in, but access is open, so nobody has to. Serve "
            "with --access required, or unset console_providers."
        )
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    if is_loopback:
        return
    if not settings.server.requires_accounts:
        raise errors.failed_precondition(
            f"Refusing to listen on {host}: it is not a loopback address and access is open, so anybody who reaches it "
            f"could read and write every bucket. Make a first account with `{FIRST_ACCOUNT}`, and serve with "
            "--access required."
        )
    if settings.server.tls_cert is None and not settings.server.trusted_proxies:
        raise errors.failed_precondition(
            f"Refusing to listen on {host} without TLS: whoever is on the way could read tokens and use them. Choose "
            "tls_cert and tls_key (`boxwright client-env` makes some), or name the proxies that do TLS with trusted_proxies."
        )


def read_certificate(chosen: ServerSettings) -> CertificateFiles | None:
    """The certificate of both API servers, None without TLS; FAILED_PRECONDITION if it cannot be used."""
    if chosen.tls_cert is None or chosen.tls_key is None:
        return None
    return CertificateFiles(chosen.tls_cert, chosen.tls_key, chosen.tls_client_ca)


def check_accounts(parts: composition.ServiceParts, host: str) -> None:
    """Raises FAILED_PRECONDITION where nobody could call: accounts are required, and there are none."""
    if parts.tokens is not None and not composition.has_accounts(parts.worker.db):
        raise errors.failed_precondition(
            f"Refusing to listen on {host}: accounts are required and there are none. Make the first one: `{FIRST_ACCOUNT}` "
            "(with the same --data-dir or database)."
        )


def build_guard(chosen: ServerSettings, certificate: CertificateFiles | None) -> request_policy.RequestPolicy:
    """Builds what judges where requests come from; INVALID_ARGUMENT names a setting that cannot be read."""
    names = certificate.names if certificate is not None else ()
    return request_policy.RequestPolicy(
        chosen.host,
        names,
        chosen.allowed_hosts,
        chosen.allowed_origins,
        chosen.public_url,
        chosen.trusted_proxies if chosen.tls_cert is None else (),
    )


def serve(settings: Settings, out: TextIO = sys.stdout) -> None:
    """Runs the service until SIGTERM or SIGINT."""
    chosen = settings.server
    check_exposure(settings)
    certificate = read_certificate(chosen)
    request_guard = build_guard(chosen, certificate)
    http_socket = _listen_http(chosen)  # before anything is created: a port that is taken leaves nothing behind
    try:
        _check_free(chosen.host, chosen.grpc_port)
        parts = composition.build_service(settings)
        check_accounts(parts, chosen.host)
    except BaseException:
        http_socket.close()
        raise
    if certificate is not None:
        parts.worker.metrics.follow(functools.partial(_certificate_ends, certificate))
    asyncio.run(_serve(settings, parts, request_guard, certificate, http_socket, out))


def serve_worker(settings: Settings, out: TextIO = sys.stdout) -> None:
    """Runs operations until SIGTERM or SIGINT, without serving the API."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    worker_parts = composition.build_worker(settings)
    probes = _build_probes(settings, worker_parts, lambda: not stopping.is_set())
    worker_parts.start()
    probes.start()
    line = f"\n  probes    {probes.address}/readyz" if probes.address else ""
    print(f"Boxwright's worker is ready.\n  database  {worker_parts.db.label}{line}", file=out, flush=True)
    stopping.wait()
    log.info("event=stopping")
    worker_parts.close()
    probes.close()
    log.info("event=stopped")


def _build_probes(settings: Settings, parts: composition.WorkerParts, is_open: Callable[[], bool]) -> Probes:
    chosen = settings.operations
    probes = Probes(
        parts.worker.problems, parts.readiness_looks(), is_open, chosen.health_host, chosen.health_port,
        {"/metrics": parts.metrics.page},
    )  # fmt: skip
    parts.metrics.follow(probes.numbers)
    return probes


async def _serve(
    settings: Settings,
    parts: composition.ServiceParts,
    request_guard: request_policy.RequestPolicy,
    certificate: CertificateFiles | None,
    http_socket: socket.socket,
    out: TextIO,
) -> None:
    """Opens both API servers, runs until a signal, then stops everything in order."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    chosen = settings.server
    executor = futures.ThreadPoolExecutor(chosen.request_threads, thread_name_prefix="request")
    decoding = futures.ThreadPoolExecutor(chosen.decoding_threads, thread_name_prefix="decoding")
    watcher = waiting.OperationNotifier(parts.operations.finished_among, hold_s=chosen.hold_s, executor=executor)
    parts.worker.ledger.listeners.append(lambda name, state: watcher.notify(name))
    ready = asyncio.Event()
    bounds = limits.ServerLimits(
        **{field.name: getattr(chosen, field.name) for field in dataclasses.fields(limits.ServerLimits)}
    )
    shared: dict[str, Any] = {
        "request_guard": request_guard, "bounds": bounds, "budget": limits.BodyBudget(bounds.bodies_bytes),
        "decoding": decoding, "metrics": parts.worker.metrics, "traces": parts.worker.traces,
    }  # fmt: skip
    grpc_api = grpc_server.build_grpc_server(parts.dispatcher, watcher, executor, **shared)
    grpc_port = _listen_grpc(grpc_api, chosen, certificate)
    probes = _build_probes(settings, parts.worker, ready.is_set)
    routes = _routes(settings, parts, probes, executor)
    app = rest_server.build_rest_app(parts.dispatcher, watcher, executor, routes, has_console=chosen.console, **shared)
    http = http_server.HttpServer(app, bounds, None if certificate is None else certificate.context)
    parts.start(runs_operations=settings.operations.worker)
    probes.start()
    await grpc_api.start()
    http_task = asyncio.create_task(http.serve(sockets=[http_socket]))
    while not http.started and not http_task.done():
        await asyncio.sleep(0.01)
    ready.set()
    await grpc_api.announce(True)
    _welcome(
        settings, http_socket.getsockname()[1], grpc_port, out, has_accounts=composition.has_accounts(parts.worker.db)
    )
    async with _following(certificate, request_guard):
        await asyncio.wait([asyncio.create_task(stopping.wait()), http_task], return_when=asyncio.FIRST_COMPLETED)
        log.info("event=stopping")
        ready.clear()
        await grpc_api.announce(False)
        await _answering_on(chosen.drain_s, stopping, http_task)
    watcher.close()
    http.should_exit = True
    await asyncio.gather(grpc_api.stop(GRPC_GRACE_S), http_task)
    await asyncio.to_thread(parts.worker.worker.drain, composition.DRAIN_S)
    await asyncio.to_thread(parts.follower.close)
    parts.online.close()
    parts.pictures.close()
    decoding.shutdown()
    executor.shutdown()
    parts.worker.close()
    probes.close()
    log.info("event=stopped")


def _certificate_ends(certificate: CertificateFiles) -> dict[str, dict[tuple[str, ...], float]]:
    ends: dict[tuple[str, ...], float] = {(door,): certificate.valid_until_s for door in VALUES["door"]}
    return {"boxwright_certificate_expiry_timestamp_seconds": ends}


async def _answering_on(drain_s: float, stopping: asyncio.Event, http_task: asyncio.Task[None]) -> None:
    """Goes on to answer while a balancer learns from `/readyz` that it shall ask elsewhere; a second signal ends that."""
    if drain_s and not http_task.done():
        stopping.clear()
        again = asyncio.create_task(stopping.wait())
        await asyncio.wait([again, http_task], timeout=drain_s, return_when=asyncio.FIRST_COMPLETED)
        again.cancel()


def _routes(
    settings: Settings, parts: composition.ServiceParts, probes: Probes, executor: futures.Executor
) -> list[routing.Route]:
    """The paths beside the API: health, tokens, the console."""
    routes = [
        routing.Route("/healthz", _answer(dict[str, str])),
        routing.Route("/readyz", _answer(probes.problems)),
    ]
    if parts.tokens is not None:
        tokens, silence_s = parts.tokens, settings.server.body_timeout_s
        routes += token_route.build_token_routes(tokens.service, tokens.status, executor, silence_s)
    if settings.server.console:
        routes += files.build_console_routes(_signing_in(settings.server, parts), executor)
    return routes


def _signing_in(chosen: ServerSettings, parts: composition.ServiceParts) -> sign_in.SignInRules | None:
    if parts.tokens is None or not chosen.console_providers:
        return None
    return sign_in.SignInRules(parts.tokens.providers.listed, chosen.console_scope)


def _answer(page: Page) -> Callable[[requests.Request], Awaitable[responses.Response]]:
    async def answer(request: requests.Request) -> responses.Response:
        problems = page()
        return responses.PlainTextResponse(in_words(problems), 503 if problems else 200)

    return answer


@contextlib.asynccontextmanager
async def _following(certificate: CertificateFiles | None, guard: request_policy.RequestPolicy) -> AsyncIterator[None]:
    """Follows the files of the certificate; SIGHUP asks to look at once."""
    if certificate is None:
        yield
        return
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, asked.set)
    watching = asyncio.create_task(certificate.watch(asked, lambda: guard.serve_certificate(certificate.names)))
    try:
        yield
    finally:
        watching.cancel()


def _listen_grpc(grpc_api: grpc_server.GrpcServer, chosen: ServerSettings, certificate: CertificateFiles | None) -> int:
    credentials = certificate and certificate.grpc_credentials()
    try:
        return grpc_api.listen(f"{_bracketed(chosen.host)}:{chosen.grpc_port}", credentials)
    except RuntimeError as error:
        raise _port_taken("--grpc-port", chosen.host, chosen.grpc_port) from error


def _listen_http(chosen: ServerSettings) -> socket.socket:
    try:
        is_plain = chosen.tls_cert is None
        return http_server.open_listener(chosen.host, chosen.port, chosen.connections, is_plain=is_plain)
    except OSError as error:
        raise _port_taken("--port", chosen.host, chosen.port) from error


def _check_free(host: str, grpc_port: int) -> None:
    """Raises FAILED_PRECONDITION if the gRPC port is taken; gRPC itself listens later."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        if grpc_port:
            socket.create_server((host, grpc_port), family=family).close()
    except OSError as error:
        raise _port_taken("--grpc-port", host, grpc_port) from error


def _port_taken(flag: str, host: str, port: int) -> errors.ApiError:
    return errors.failed_precondition(
        f"Cannot listen on {host}, port {port}: something else listens there already, or the port is not allowed. Choose "
        f"another with {flag}."
    )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _stores_line(storage: StorageSettings) -> str:
    """Says what the object addresses mean here."""
    lines = []
    if "gs" in storage.schemes and storage.gs_emulator:
        lines.append(f"gs://NAME/… is the emulator at {storage.gs_emulator}")
    elif "gs" in storage.schemes:
        where = f"the folder {storage.buckets_dir}/NAME" if storage.gs == "folder" else "Google Cloud Storage"
        lines.append(f"gs://NAME/… is {where}")
    lines += [f"{scheme}://NAME/… is served" for scheme in storage.schemes if scheme != "gs"]
    lines += [f"file://{root}/… is served" for root in storage.file_roots]
    return "".join(f"  {line}\n" for line in lines)


def _welcome(settings: Settings, port: int, grpc_port: int, out: TextIO, *, has_accounts: bool) -> None:
    """Says where the API servers listen and how to point a client at them."""
    scheme = "https" if settings.server.tls_cert else "http"
    host = _bracketed(settings.server.host)
    location = settings.server.locations[0]
    if settings.server.requires_accounts:
        token, credentials = ' -H "Authorization: Bearer $TOKEN"', ""
        note = "  accounts are required: boxwright accounts, boxwright iam; see docs/access.md\n"
    else:
        token, credentials, note = "", "credentials=AnonymousCredentials(),", ""
        if has_accounts:
            note = "  access is OPEN although there are accounts: everybody who gets here may do everything\n"
            note += "         (boxwright serve --access required asks for accounts)\n"
    console = f"  Pages  {scheme}://{host}:{port}/console/ in a browser\n" if settings.server.console else ""
    authority = settings.server.tls_cert and settings.server.tls_cert.with_name("ca.pem")
    if authority and authority.exists():
        token = f" --cacert {shlex.quote(str(authority))}{token}"
        note += f"  TLS    clients trust {authority}; boxwright client-env prints their environment\n"
    print(
        f"Boxwright is ready.\n"
        f"  REST   {scheme}://{host}:{port}/v1/projects/PROJECT/locations/{location}/…\n"
        f"  gRPC   {host}:{grpc_port}{'' if settings.server.tls_cert else ' (plaintext)'}\n"
        f"{console}"
        f"{_stores_line(settings.storage)}"
        f"{note}"
        f"  curl   curl{token} {scheme}://{host}:{port}/v1/projects/demo/locations/{location}/datasets\n"
        f"  Python automl.AutoMlClient(transport='rest', {credentials}\n"
        f"                             client_options={{'api_endpoint': '{scheme}://{host}:{port}'}})",
        file=out,
        flush=True,
    )
