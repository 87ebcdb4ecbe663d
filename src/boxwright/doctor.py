"""``boxwright doctor``: what Boxwright finds on this machine, one line a fact, and whether something is to be mended.

It looks and changes nothing, so it may run beside a service and before one has ever run. Only when it is asked to measure it
keeps what it has measured.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import pathlib
import platform
import shutil
import socket
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator

import sqlalchemy as sa

import boxwright
from boxwright import derived_settings, errors, extras, machine, objects, places
from boxwright.access import providers, review, sign_in
from boxwright.batch.job import MachineShare
from boxwright.batch.tuning import scheduler, tuning_file
from boxwright.batch.tuning.command import TuningCommand
from boxwright.inference import openvino_runtime, runtime_selection
from boxwright.inference.model_folder import MODEL_FILE, ModelError
from boxwright.inference.model_opening import open_model
from boxwright.metadata import database, migrations
from boxwright.objects import throttling
from boxwright.settings import ServerSettings, Settings, StorageSettings
from boxwright.weights import catalogue, installed

LEAST_DISK_BYTES = 1_000_000_000
LEAST_MEMORY_BYTES = 1_000_000_000
PATIENCE_S = 2.0  # with a store or a port that does not answer
MODELS_OPENED = 20  # the newest; opening one takes a good part of a second
NETWORKS_MEASURED = 3  # the newest; measuring one takes up to twenty seconds


@dataclasses.dataclass(frozen=True)
class Fact:
    """One thing that was looked at.

    Attributes:
        key: its name for programs; the same in every run.
        is_ok: False if it is to be mended.
        text: what was found, for people.
    """

    key: str
    is_ok: bool
    text: str


def run(
    settings: Settings, *, buckets: Iterable[str] = (), as_json: bool = False, tune: bool = False, cluster: bool = False
) -> int:
    """Prints every fact; returns 0, or 1 if something is to be mended.

    Args:
        settings: of the service that runs here, or is to.
        buckets: URIs of buckets to ask for.
        as_json: one JSON object instead of lines.
        tune: measure first how many processes suit the newest networks.
        cluster: ask the nodes of the cluster too.
    """
    facts = []
    looks: list[Callable[[Settings], Iterator[Fact]]] = [
        *(_version, _config, _cores, _memory, _processor, _disk, _places, _runtime, _gpu, _training, _weights),
        *(_database, _access, lambda chosen: _stores(chosen.storage, buckets), _models),
        *(lambda chosen: _tuning(chosen, tune), _doors),
    ]
    for look in [*looks, lambda chosen: _cluster(chosen, buckets)] if cluster else looks:
        for fact in look(settings):
            facts.append(fact)
            if not as_json:
                print(f"{'ok' if fact.is_ok else 'attention':10} {fact.key:12} {fact.text}", flush=True)
    is_well = all(fact.is_ok for fact in facts)
    if as_json:
        found = [{"key": fact.key, "ok": fact.is_ok, "text": fact.text} for fact in facts]
        print(json.dumps({"ok": is_well, "facts": found}, indent=2, ensure_ascii=False))
    return 0 if is_well else 1


def _version(_settings: Settings) -> Iterator[Fact]:
    yield Fact("version", True, f"Boxwright {boxwright.__version__}, Python {platform.python_version()}")


def _config(settings: Settings) -> Iterator[Fact]:
    if settings.config_file is not None:
        yield Fact("config", True, f"settings are read from {settings.config_file}; environment and flags win over it")


def _cores(settings: Settings) -> Iterator[Fact]:
    allowed, usable = machine.affinity_cores(), machine.usable_cores()
    text = f"{settings.operations.cores} in use; the machine has {os.cpu_count()}, this process may run on {allowed}"
    if usable < allowed:
        text += f", its control group allows {usable}"
    too_many = settings.operations.cores > usable
    yield Fact("cores", not too_many, f"{text}: lower the setting cores" if too_many else text)


def _memory(settings: Settings) -> Iterator[Fact]:
    total, usable = machine.memory_bytes(), machine.usable_memory_bytes()
    text = f"{_size(total)}" + (f", of which the control group allows {_size(usable)}" if usable < total else "")
    text += f"; a batch reads {settings.batch.usable_in_flight_bytes / 1e6:.0f} MB of images ahead"
    is_enough = usable >= LEAST_MEMORY_BYTES
    yield Fact("memory", is_enough, text if is_enough else f"{text}: predicting needs {_size(LEAST_MEMORY_BYTES)}")


def _processor(_settings: Settings) -> Iterator[Fact]:
    found = machine.instruction_sets()
    has_integers = any("vnni" in name or name in ("amx_int8", "asimddp", "i8mm") for name in found)
    what = "int8 networks run at full speed" if has_integers else "int8 networks gain less without integer units"
    yield Fact("processor", True, f"{platform.machine()}, {' '.join(found) or 'no known instruction sets'}: {what}")


def _disk(settings: Settings) -> Iterator[Fact]:
    for key, folder in (("data_dir", settings.storage.data_dir), ("temporary", pathlib.Path(tempfile.gettempdir()))):
        if not folder.is_dir():
            yield Fact(
                key, False, f"there is no folder {folder}: `boxwright serve` makes it, or name it with --data-dir"
            )
            continue
        free = shutil.disk_usage(folder).free
        text = f"{folder}, {_size(free)} free"
        if not os.access(folder, os.W_OK):
            yield Fact(key, False, f"{text}: it may not be written to")
        elif free < LEAST_DISK_BYTES:
            yield Fact(key, False, f"{text}: make room, {_size(LEAST_DISK_BYTES)} at least")
        else:
            yield Fact(key, True, text)


def _places(settings: Settings) -> Iterator[Fact]:
    def look() -> str:
        places.check_overlaps(settings)
        return "callers can name none of the service's own files"

    yield _asked("places", look)


def _training(_settings: Settings) -> Iterator[Fact]:
    if extras.can_train():
        yield Fact("training", True, f"PyTorch {importlib.metadata.version('torch')}")
    else:
        yield Fact("training", True, f"none: trainings are refused. {extras.TRAINING_NEEDS}")


def _weights(settings: Settings) -> Iterator[Fact]:
    yield _asked("weights", lambda: _installed(settings))


def _installed(settings: Settings) -> str:
    if not settings.training.pretrained:
        return "not used: the setting train_pretrained is off"
    place = installed.folder(settings.training.weights_dir)
    problems = {one.name: installed.state(place, one) for one in catalogue.ALL}
    there = [name for name, problem in problems.items() if not problem]
    missing = [f"{problem}: a few photographs teach less without" for problem in problems.values() if problem]
    return "; ".join([*(f"{name} is installed in {place}" for name in there), *missing])


def _runtime(_settings: Settings) -> Iterator[Fact]:
    try:
        yield Fact("openvino", True, f"OpenVINO {openvino_runtime.load_openvino().__version__}")
    except ImportError as error:
        yield Fact("openvino", False, f"OpenVINO cannot be loaded: {error}")


def _gpu(settings: Settings) -> Iterator[Fact]:
    if runtime_selection.gpu_is_usable():
        chosen = settings.inference.runtime
        yield Fact("gpu", True, f"visible, and usable with ONNX Runtime; the setting runtime is {chosen}")
    elif settings.inference.runtime == "gpu":
        yield Fact("gpu", False, "none can be used, but the setting runtime is gpu: see docs/batch-prediction.md")
    else:
        yield Fact("gpu", True, "none can be used; networks run on the CPU")


def _database(settings: Settings) -> Iterator[Fact]:
    yield _asked("database", lambda: _schema(settings))
    if settings.database.url is not None and settings.database.url.startswith(database.DRIVER):
        with contextlib.suppress(errors.ApiError, sa.exc.SQLAlchemyError):  # the line above says what is wrong
            needed = derived_settings.worker_connections(derived_settings.lanes(settings))
            yield Fact("connections", *places.connections(settings, needed))


def _schema(settings: Settings) -> str:
    """Says which schema the database has; raises ApiError if it is not this version's."""
    if settings.database.url is None and not (settings.storage.data_dir / "metadata.sqlite").exists():
        return "SQLite, not there yet: the first start makes it"
    db = places.open_database(settings, prepare=False)
    try:
        with db.named(), db.read() as connection:
            found = migrations.revision_of(connection)
    finally:
        db.close()
    if found is None:
        return f"{db.label}, empty: the first start fills it"
    if not migrations.Stamp.parse(found).serves_this_version:
        raise migrations.other_revision(db.label, found)
    return f"{db.label}, schema {found}, {'current' if found == migrations.HEAD else 'serves two versions'}"


def _access(settings: Settings) -> Iterator[Fact]:
    """Says what is to be looked at in accounts and policies, where they count."""
    if not settings.server.requires_accounts:
        if settings.server.console_providers:
            yield Fact("sign_in", False, "console_providers says where people sign in, but access is open")
        return
    try:
        with places.opened_database(settings, prepare=False) as db, db.read() as connection:
            text, found = review.summary(connection), review.findings(connection)
            vouching = providers.listed(connection)
    except (errors.ApiError, sa.exc.SQLAlchemyError):
        yield Fact("access", False, "accounts cannot be read: see the line about the database")
        return
    yield Fact("access", not found, "; ".join([text, *found]))
    if names := settings.server.console_providers:
        missing = sign_in.findings(vouching, names, public_url=settings.server.public_url)
        yield Fact(
            "sign_in", not missing, "; ".join(missing or [f"people sign in to the console at {', '.join(names)}"])
        )


def _stores(storage: StorageSettings, buckets: Iterable[str]) -> Iterator[Fact]:
    if storage.serves_buckets_dir:
        folder = storage.buckets_dir
        count = sum(entry.is_dir() for entry in folder.iterdir()) if folder.is_dir() else 0
        is_usable = folder.is_dir() and os.access(folder, os.W_OK)
        text = f"gs:// is the folder {folder}, {count} bucket{'' if count == 1 else 's'}"
        yield Fact(
            "gs", is_usable, text if is_usable else f"gs:// is the folder {folder}, which is not there or not ours"
        )
    for root in storage.file_roots:
        is_there = pathlib.Path(root).is_dir()
        yield Fact("file", is_there, f"file://{root}" + ("" if is_there else " is no folder here"))
    choices = dataclasses.replace(storage.choices, retry_s=min(storage.retry_s, PATIENCE_S))
    try:
        stores = objects.Stores(storage.buckets_dir, storage.data_dir / "state", choices)
    except errors.ApiError as error:
        yield Fact("credentials", False, error.message)
        return
    if storage.credentials_dir is not None:
        yield Fact("credentials", True, _profiles(stores.profiles))
    if stores.keeps_state_remotely:
        yield _asked("state", lambda: _bucket(stores, stores.state("")))
    for text in buckets:
        yield _asked("bucket", lambda text=text: _bucket(stores, _parsed(stores, text)))  # type: ignore[misc]


def _profiles(found: Iterable[objects.CredentialProfile]) -> str:
    """The credential profiles in words, without a credential."""
    shown = [f"{one.name} for {', '.join(map(str, one.folders))}" for one in found]
    return f"credential profiles: {'; '.join(shown) or 'none'}"


def _parsed(stores: objects.Stores, text: str) -> objects.ObjectUri:
    return objects.caller_uri(text.rstrip("/") + "/", stores.schemes, directory=True)


def _bucket(stores: objects.Stores, uri: objects.ObjectUri) -> str:
    stores.check_bucket(uri)
    bucket = f"{uri.scheme}://{uri.bucket}"
    if any(one.bucket == bucket and one.throttled for one in throttling.snapshot()):
        return f"{bucket} answers, and says that it is called too often: use fewer processes, or more prefixes"
    return f"{bucket} answers"


def _models(settings: Settings) -> Iterator[Fact]:
    folders = _model_folders(settings)
    opened, problems = 0, []
    for path in folders[:MODELS_OPENED]:
        try:
            open_model(path, streams=1, precision=settings.inference.precision, runtime=settings.inference.runtime)
            opened += 1
        except ModelError as error:
            problems.append(str(error))
    more = f"; {len(folders) - MODELS_OPENED} older ones not tried" if len(folders) > MODELS_OPENED else ""
    yield Fact("models", not problems, "; ".join([f"{opened} can be loaded{more}", *problems]))


def _model_folders(settings: Settings) -> list[pathlib.Path]:
    """The models on this machine, the newest first."""
    folders = [path.parent for path in (settings.storage.data_dir / "models").glob(f"*/{MODEL_FILE}")]
    return sorted(folders, key=lambda path: (path / MODEL_FILE).stat().st_mtime, reverse=True)


def _tuning(settings: Settings, measure: bool) -> Iterator[Fact]:
    """What was measured on a machine like this one; measured now if that is asked for."""
    cores = settings.operations.cores
    tunings = tuning_file.Tunings(settings.storage.data_dir / tuning_file.FILE)
    problems = list(_measure(settings, tunings)) if measure and cores > 1 else []
    here = machine.processor_name(), cores
    found = [one for one in tunings.all() if (one.key.processor, one.key.cores) == here]
    if cores == 1:
        text = "one core in use: there is nothing to choose"
    elif found:
        text = "; ".join(one.in_words() for one in found)
    else:
        until = (
            ", until after a network's first batch prediction" if settings.batch.tune else "; the setting tune is off"
        )
        text = f"nothing measured yet: one process a core{until}"
    yield Fact("tuning", not problems, "; ".join([text, *problems]))


def _measure(settings: Settings, tunings: tuning_file.Tunings) -> Iterator[str]:
    """Measures the newest networks and keeps what was found; yields what went wrong, in words."""
    share = MachineShare(
        cores=settings.operations.cores,
        runtime=settings.inference.runtime,
        in_flight_bytes=settings.batch.usable_in_flight_bytes,
        models_bytes=settings.batch.models_bytes,
    )
    wanted: dict[tuning_file.Key, TuningCommand] = {}
    for folder in _model_folders(settings)[:MODELS_OPENED]:
        command = TuningCommand(str(folder), settings.inference.precision, share)
        with contextlib.suppress(ModelError):  # `_models` has named it
            wanted.setdefault(tuning_file.key_of(command), command)
    if not wanted:
        yield "there is no model to measure"
    for key, command in list(wanted.items())[:NETWORKS_MEASURED]:
        try:
            found = scheduler.measured(command, threading.Event())
            if found is None:
                yield f"{key.network} could not be measured: a GPU runs it, or the machine is too busy"
            else:
                tunings.keep(found)
        except OSError as error:
            yield f"what was measured cannot be kept: {error}"


def _doors(settings: Settings) -> Iterator[Fact]:
    chosen = settings.server
    for key, port in (("port", chosen.port), ("grpc_port", chosen.grpc_port)):
        if port == 0 or _is_free(chosen.host, port):
            yield Fact(key, True, f"{port or 'any'} is free")
        elif _serves(chosen):
            yield Fact(key, True, f"{port} is in use; a service answers on {chosen.host}, port {chosen.port}")
        else:
            yield Fact(key, False, f"{port} on {chosen.host} is taken by something else, or not allowed")


def _cluster(settings: Settings, buckets: Iterable[str]) -> Iterator[Fact]:
    if settings.ray.address is None or not extras.can_use_ray():
        yield Fact("cluster", False, extras.RAY_NEEDS if settings.ray.address else "ray_address is not set")
        return
    from boxwright.cluster import examination  # loads ray

    storage = settings.storage
    stores = objects.Stores(storage.buckets_dir, storage.data_dir / "state", storage.choices)
    folders = [storage.buckets_dir] if storage.serves_buckets_dir else []
    folders += [] if stores.keeps_state_remotely else [storage.data_dir]
    uris = [*(_parsed(stores, text) for text in buckets), *([stores.state("")] if stores.keeps_state_remotely else [])]
    share = derived_settings.hosts_share(settings)
    yield from (Fact(*dataclasses.astuple(one)) for one in examination.findings(share, stores, uris, folders))


def _is_free(host: str, port: int) -> bool:
    """Whether a listener could be opened; it is closed at once."""
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            return True
    except OSError:
        return False


def _serves(chosen: ServerSettings) -> bool:
    """Whether our health page answers; a certificate is not checked, nothing secret is sent."""
    host = f"[{chosen.host}]" if ":" in chosen.host else chosen.host
    try:
        if chosen.tls_cert is not None:
            with socket.create_connection((chosen.host, chosen.port), timeout=PATIENCE_S):
                return True
        with urllib.request.urlopen(f"http://{host}:{chosen.port}/healthz", timeout=PATIENCE_S) as answer:
            return bool(answer.read(8) == b"ok\n")
    except (OSError, urllib.error.URLError, ValueError):
        return False


def _asked(key: str, ask: Callable[[], str]) -> Fact:
    """A fact that is either said or refused."""
    try:
        return Fact(key, True, ask())
    except errors.ApiError as error:
        return Fact(key, False, error.message.strip())


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
