"""The composition root: builds every room from the settings, starts and stops them in order."""

from __future__ import annotations

import asyncio
import dataclasses
import ipaddress
import logging
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent import futures
from typing import TextIO

import grpc
from starlette import requests, responses, routing

from boxwright import errors, extras, objects, places, processes, states
from boxwright.batch.child_pool import Children
from boxwright.batch.job import MachineShare
from boxwright.batch.tuning.scheduler import Tuner
from boxwright.batch.tuning.tuning_file import FILE as TUNING_FILE
from boxwright.batch.tuning.tuning_file import Tunings
from boxwright.inference.deployed_models import DeployedModels
from boxwright.inference.model_store import ModelFolders
from boxwright.metadata import database, models
from boxwright.operations import ledger, runner, worker
from boxwright.runners import batch_predict, export, import_data, plan_folders, sweep, train_model
from boxwright.services import automl, iam, locations, looking, operations, prediction, resources, resuming, validation
from boxwright.settings import ServerSettings, Settings, StorageSettings
from boxwright.surface import dispatch, grpc_door, guard, http_server, limits, rest_door, waiting

GRPC_GRACE_S = 3.0
DRAIN_S = 8.0

Kind = states.OperationKind
log = logging.getLogger(__name__)


@dataclasses.dataclass
class Workshop:
    """What runs operations, built and not yet started."""

    db: database.Database
    worker: worker.Worker
    children: Children
    tuner: Tuner
    book: ledger.Ledger
    folders: ModelFolders
    plans: plan_folders.PlanFolders
    stores: objects.Stores

    def close(self) -> None:
        """Hands back what is running, ends the children and leaves the database."""
        self.worker.drain(DRAIN_S)
        self.tuner.close()
        self.children.close()
        self.db.close()


@dataclasses.dataclass
class Rooms:
    """The rooms below the doors, built and not yet started."""

    workshop: Workshop
    online: DeployedModels
    dispatcher: dispatch.Dispatcher
    operations: operations.Operations


def open_database(settings: Settings, *, prepare: bool = True) -> database.Database:
    """Opens the metadata database that the settings name."""
    return database.Database(
        settings.database.url or settings.storage.data_dir / "metadata.sqlite",
        connections=settings.database.connections,
        ca_file=settings.database.ca,
        prepare=prepare,
    )


def build_workshop(settings: Settings) -> Workshop:
    """Builds what runs operations; creates the folders of the data directory."""
    storage, batch = settings.storage, settings.batch
    processes.set_niceness(settings.operations.child_niceness)
    places.check(settings)
    places.prepare(storage)
    models_dir, work_dir = storage.data_dir / "models", storage.data_dir / "work"
    stores = objects.Stores(storage.buckets_dir, storage.data_dir / "state", storage.choices)
    db = open_database(settings)
    sweep.sweep(db, stores, work_dir, models_dir, batch.resume_days)
    plans = plan_folders.PlanFolders(db, stores, work_dir, batch.resume_days)
    folders = ModelFolders(models_dir, stores)
    book = ledger.Ledger(db, lease_ttl_s=settings.operations.lease_ttl_s)
    children = Children(stores.variables)
    tuner = Tuner(Tunings(storage.data_dir / TUNING_FILE), measures=batch.tune)
    lanes = [[Kind.EXPORT_DATA, Kind.EXPORT_MODEL]]
    if extras.can_train():
        lanes.insert(0, [Kind.CREATE_MODEL])
    else:
        log.info("event=no_training reason=%r", extras.TRAINING_NEEDS)
    lanes += [[Kind.BATCH_PREDICT]] * batch.jobs + [[Kind.IMPORT_DATA]] * settings.operations.import_jobs
    slices_s = {Kind.BATCH_PREDICT: batch.slice_s}
    runners = _runners(settings, db, stores, folders, children, tuner, plans)
    return Workshop(
        db, worker.Worker(book, runners, lanes, slices_s=slices_s), children, tuner, book, folders, plans, stores
    )


def build(settings: Settings) -> Rooms:
    """Builds everything below the doors."""
    workshop = build_workshop(settings)
    db, book = workshop.db, workshop.book
    cores, inference = settings.operations.cores, settings.inference
    online = DeployedModels(workshop.folders, cores=cores, runtime=inference.runtime, precision=inference.precision)
    with db.read() as connection:
        for folder, node_count in models.deployed(connection):
            online.deploy(folder, node_count)
    served = settings.server.locations
    policy = resources.Policy(
        served,
        settings.training.min_images_per_label,
        settings.training.model_life_days,
        settings.storage.choices.served,
        settings.batch.resume_days,
        # with --no-worker the trainings run in other processes, which may have what they need
        trains=extras.can_train() or not settings.operations.worker,
    )
    looks = looking.Looks(workshop.stores, settings.storage.look_s)
    operations_service = operations.Operations(
        db, book, served, resuming.Resuming(db, book, policy, online, looks), workshop.plans.sweep_soon
    )
    dispatcher = dispatch.Dispatcher(
        {
            "google.cloud.automl.v1.AutoMl": automl.AutoMl(db, book, policy, online, looks),
            "google.cloud.automl.v1.PredictionService": prediction.PredictionService(db, book, policy, online, looks),
            "google.longrunning.Operations": operations_service,
            "google.cloud.location.Locations": locations.Locations(served),
            "google.iam.v1.IAMPolicy": iam.IamPolicy(served),
        },
        planned=(),
    )
    return Rooms(workshop, online, dispatcher, operations_service)


def _runners(
    settings: Settings,
    db: database.Database,
    stores: objects.Stores,
    folders: ModelFolders,
    children: Children,
    tuner: Tuner,
    plans: plan_folders.PlanFolders,
) -> dict[Kind, runner.Runner]:
    """Who does which kind of work."""
    work_dir = settings.storage.data_dir / "work"
    return {
        Kind.IMPORT_DATA: import_data.ImportData(
            db,
            stores,
            work_dir,
            row_failure_limit=settings.operations.import_row_failure_limit,
            threads=settings.operations.cores,
            new_digits=resources.random_digits,
        ),
        Kind.CREATE_MODEL: train_model.TrainModel(
            db,
            stores,
            work_dir,
            folders,
            train_model.TrainingLimits(
                train_minutes_max=settings.training.minutes_max,
                threads=settings.operations.cores,
                cache_bytes=settings.training.cache_bytes,
                seed=settings.training.seed,
                pretrained=settings.training.pretrained,
            ),
            resources.random_digits,
        ),
        Kind.BATCH_PREDICT: batch_predict.BatchPredict(
            db,
            stores,
            plans,
            folders,
            children,
            tuner,
            batch_predict.OutputSettings(
                shard_images=settings.batch.shard_images,
                row_failure_limit=settings.batch.row_failure_limit,
                image_failure_limit=settings.batch.image_failure_limit,
                image_timeout_s=settings.batch.image_timeout_s,
                camel_case=settings.batch.camel_case,
                precision=settings.inference.precision,
            ),
            MachineShare(
                cores=settings.operations.cores,
                runtime=settings.inference.runtime,
                in_flight_bytes=settings.batch.usable_in_flight_bytes,
                models_bytes=settings.batch.models_bytes,
            ),
            validation.batch_params,
        ),
        Kind.EXPORT_DATA: export.ExportData(db, stores),
        Kind.EXPORT_MODEL: export.ExportModel(db, stores, folders),
    }


def check_exposure(host: str) -> None:
    """Refuses to listen where others could reach a service that lets everybody in.

    Raises:
        ApiError: FAILED_PRECONDITION with what to do instead.
    """
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    if not is_loopback:
        raise errors.failed_precondition(
            f"Refusing to listen on {host}: it is not a loopback address and no authentication is configured, so "
            "anybody who reaches it could read and write every bucket. Listen on 127.0.0.1 and put an authenticating "
            "proxy in front."
        )


def check_certificate(chosen: ServerSettings) -> None:
    """Raises FAILED_PRECONDITION unless the certificate and its key, if any, can be read and belong together."""
    if chosen.tls_cert is None or chosen.tls_key is None:
        return
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(chosen.tls_cert, chosen.tls_key)
    except OSError as error:  # also what ssl itself raises
        raise errors.failed_precondition(
            f"The certificate {chosen.tls_cert} with the key {chosen.tls_key} cannot be used: {error}."
        ) from error


def build_guard(chosen: ServerSettings) -> guard.Guard:
    """Builds what judges where requests come from; INVALID_ARGUMENT names a setting that cannot be read."""
    names = guard.certificate_names(chosen.tls_cert.read_bytes()) if chosen.tls_cert is not None else ()
    return guard.Guard(chosen.host, names, chosen.allowed_hosts, chosen.allowed_origins, chosen.public_url)


def serve(settings: Settings, out: TextIO = sys.stdout) -> None:
    """Runs the service until SIGTERM or SIGINT."""
    chosen = settings.server
    check_exposure(chosen.host)
    check_certificate(chosen)
    request_guard = build_guard(chosen)
    http_socket = _listen_http(chosen)  # before anything is created: a port that is taken leaves nothing behind
    try:
        _check_free(chosen.host, chosen.grpc_port)
        rooms = build(settings)
    except BaseException:
        http_socket.close()
        raise
    asyncio.run(_serve(settings, rooms, request_guard, http_socket, out))


def serve_worker(settings: Settings, out: TextIO = sys.stdout) -> None:
    """Runs operations until SIGTERM or SIGINT, without any door."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    workshop = build_workshop(settings)
    workshop.worker.start()
    print(f"Boxwright's worker is ready.\n  database  {workshop.db.label}", file=out, flush=True)
    stopping.wait()
    log.info("event=stopping")
    workshop.close()
    log.info("event=stopped")


async def _serve(
    settings: Settings, rooms: Rooms, request_guard: guard.Guard, http_socket: socket.socket, out: TextIO
) -> None:
    """Opens both doors, runs until a signal, then stops everything in order."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    chosen = settings.server
    executor = futures.ThreadPoolExecutor(chosen.request_threads, thread_name_prefix="request")
    watcher = waiting.Watcher(rooms.operations.finished_among, hold_s=chosen.hold_s, executor=executor)
    rooms.workshop.book.listeners.append(lambda name, state: watcher.notify(name))
    ready = asyncio.Event()
    bounds = limits.Limits(**{field.name: getattr(chosen, field.name) for field in dataclasses.fields(limits.Limits)})
    budget = limits.BodyBudget(bounds.bodies_bytes)
    door = grpc_door.build_grpc_server(
        rooms.dispatcher, watcher, executor, request_guard=request_guard, bounds=bounds, budget=budget
    )
    grpc_port = _listen_grpc(door, chosen)
    routes = [
        routing.Route("/healthz", _answer(lambda: True)),
        routing.Route("/readyz", _answer(ready.is_set)),
    ]
    app = rest_door.build_rest_app(
        rooms.dispatcher, watcher, executor, routes, request_guard=request_guard, bounds=bounds, budget=budget
    )
    http = http_server.HttpServer(app, bounds, chosen.tls_cert, chosen.tls_key)
    if settings.operations.worker:
        rooms.workshop.worker.start()
    await door.start()
    http_task = asyncio.create_task(http.serve(sockets=[http_socket]))
    while not http.started and not http_task.done():
        await asyncio.sleep(0.01)
    ready.set()
    await door.announce(True)
    _welcome(settings, http_socket.getsockname()[1], grpc_port, out)
    await asyncio.wait([asyncio.create_task(stopping.wait()), http_task], return_when=asyncio.FIRST_COMPLETED)
    log.info("event=stopping")
    ready.clear()
    watcher.close()
    http.should_exit = True
    await asyncio.gather(door.stop(GRPC_GRACE_S), http_task)
    await asyncio.to_thread(rooms.workshop.worker.drain, DRAIN_S)
    rooms.online.close()
    executor.shutdown()
    rooms.workshop.close()
    log.info("event=stopped")


def _answer(is_fine: Callable[[], bool]) -> Callable[[requests.Request], Awaitable[responses.Response]]:
    async def answer(request: requests.Request) -> responses.Response:
        return responses.PlainTextResponse("ok\n") if is_fine() else responses.PlainTextResponse("not ready\n", 503)

    return answer


def _listen_grpc(door: grpc_door.GrpcDoor, chosen: ServerSettings) -> int:
    credentials = None
    if chosen.tls_cert is not None and chosen.tls_key is not None:
        pair = (chosen.tls_key.read_bytes(), chosen.tls_cert.read_bytes())
        credentials = grpc.ssl_server_credentials([pair])
    try:
        return door.listen(f"{_bracketed(chosen.host)}:{chosen.grpc_port}", credentials)
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


def _welcome(settings: Settings, port: int, grpc_port: int, out: TextIO) -> None:
    """Says where the doors are and how to point a client at them."""
    scheme = "https" if settings.server.tls_cert else "http"
    host = _bracketed(settings.server.host)
    location = settings.server.locations[0]
    print(
        f"Boxwright is ready.\n"
        f"  REST   {scheme}://{host}:{port}/v1/projects/PROJECT/locations/{location}/…\n"
        f"  gRPC   {host}:{grpc_port}{'' if settings.server.tls_cert else ' (plaintext)'}\n"
        f"{_stores_line(settings.storage)}"
        f"  curl   curl {scheme}://{host}:{port}/v1/projects/demo/locations/{location}/datasets\n"
        f"  Python automl.AutoMlClient(transport='rest', credentials=AnonymousCredentials(),\n"
        f"                             client_options={{'api_endpoint': '{scheme}://{host}:{port}'}})",
        file=out,
        flush=True,
    )
