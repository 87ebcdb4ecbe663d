# ruff: noqa: RUF009 — _documented makes dataclass fields, which is what defaults are for
"""Settings: one frozen record, every field documented with its unit, read from the environment.

A field ``name`` is set by the environment variable ``BOXWRIGHT_NAME``; the flags of ``boxwright serve`` override it.
Only the composition root reads settings; every other room receives values.
"""

from __future__ import annotations

import dataclasses
import difflib
import logging
import pathlib
import types
import typing
from collections.abc import Collection, Mapping
from typing import Any, Self

from boxwright import errors, machine, objects, processes

PREFIX = "BOXWRIGHT_"
# Variables with that prefix that are no settings: of client commands, of fault injection, and of the test suite.
OTHER_VARIABLES = ("URL", "TOKEN", "PROJECT", "LOCATION", "CA", "FAULTS", "FAULTS_ONCE", "FUZZ_EXAMPLES")
TEST_PREFIX = "BOXWRIGHT_TEST_"
EMULATOR_VARIABLE = "STORAGE_EMULATOR_HOST"  # as in Google's own clients
KINDS = {int: "a whole number", float: "a number"}
TRUTHS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def _documented(default: Any, text: str) -> Any:
    if callable(default):
        return dataclasses.field(default_factory=default, metadata={"help": text})
    return dataclasses.field(default=default, metadata={"help": text})


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything that an operator may choose."""

    data_dir: pathlib.Path = _documented(
        pathlib.Path("boxwright-data"), "Folder of the service's own state: metadata, models, work in progress."
    )
    database_url: str | None = _documented(
        None,
        "Metadata database, `postgresql+pg8000://USER:PASSWORD@HOST/NAME`; unset: `metadata.sqlite` in `data_dir`.",
    )
    database_connections: int = _documented(20, "Connections to PostgreSQL that one process holds at most.")
    database_ca: pathlib.Path | None = _documented(
        None, "Certificates (PEM) that PostgreSQL's is checked against; unset: the connection is not encrypted."
    )
    buckets_dir: pathlib.Path = _documented(
        pathlib.Path("buckets"), "Folder whose sub-folders are the buckets: `NAME/` is reachable as `gs://NAME/`."
    )
    gs: str = _documented("folder", "What `gs://` is: `folder` (the buckets folder) or `cloud` (Google Cloud Storage).")
    gs_emulator: str | None = _documented(
        None, "Address of an emulator that `gs://` is instead; `STORAGE_EMULATOR_HOST` sets it too."
    )
    schemes: tuple[str, ...] = _documented(
        ("gs",), "Object stores that callers may name, separated by commas: `gs`, `s3`, `az`."
    )
    file_roots: tuple[str, ...] = _documented(
        (), "Folders below which `file:///` paths may be read and written, separated by commas; none: no `file:///`."
    )
    state_uri: str | None = _documented(
        None, "Folder in an object store for models and plans, `s3://BUCKET/FOLDER`; unset: they are in `data_dir`."
    )
    storage_retry_s: float = _documented(
        20.0, "Seconds for which one call to a store waits for trouble to pass, with growing pauses between attempts."
    )
    storage_look_s: float = _documented(
        1.0, "Seconds that a call may wait for its first look at lists and buckets; 0: the operation finds out all."
    )
    host: str = _documented("127.0.0.1", "Address that both doors listen on; other than loopback needs authentication.")
    port: int = _documented(8470, "Port of REST, health and readiness. 0 picks a free one.")
    grpc_port: int = _documented(8471, "Port of gRPC. 0 picks a free one.")
    tls_cert: pathlib.Path | None = _documented(None, "Certificate chain (PEM) for both doors; needs `tls_key`.")
    tls_key: pathlib.Path | None = _documented(None, "Private key (PEM) of `tls_cert`.")
    public_url: str | None = _documented(
        None, "Where callers reach REST through a proxy, `https://HOST`: its host and its origin are served."
    )
    allowed_hosts: tuple[str, ...] = _documented(
        (),
        "Host names that requests may be sent to beside the service's own, separated by commas; `*.example.org` too.",
    )
    allowed_origins: tuple[str, ...] = _documented(
        (), "Origins whose pages may send requests beside the service's own, `https://HOST`, separated by commas."
    )
    head_timeout_s: float = _documented(
        10.0, "Seconds within which the head of a request, or the handshake of a connection, must be complete."
    )
    body_timeout_s: float = _documented(30.0, "Seconds for which the body of a request may be silent.")
    connections: int = _documented(1000, "Connections that each door keeps open at most.")
    body_bytes: int = _documented(1_048_576, "Longest body of a request, in bytes; an image for Predict: 48 MiB.")
    bodies_bytes: int = _documented(
        536_870_912, "Memory for the bodies of all requests at both doors, in bytes; beyond it, UNAVAILABLE."
    )
    grpc_streams: int = _documented(100, "Calls that one gRPC connection carries at the same time.")
    grpc_metadata_bytes: int = _documented(16_384, "Longest metadata of a gRPC call, in bytes.")
    grpc_connection_age_s: float = _documented(
        3600.0, "Seconds after which a gRPC connection takes no new calls; running ones go on, clients connect anew."
    )
    locations: tuple[str, ...] = _documented(("us-central1",), "Location ids served here, separated by commas.")
    cores: int = _documented(
        machine.usable_cores, "Cores to use for training and for a batch prediction; default: all usable ones."
    )
    train_minutes_max: float | None = _documented(
        None, "Wall-time cap of every training in minutes, below the request's budget; unset: the budget alone."
    )
    child_niceness: int = _documented(
        processes.CHILD_NICENESS, "Priority of trainings and batch predictions: 0 is the service's own, 19 the lowest."
    )
    train_seed: int = _documented(0, "Seed of every training; same data, seed and cores give the same weights.")
    train_pretrained: bool = _documented(
        True, "Whether trainings may try a network on ImageNet weights: it takes time, and predicts more slowly."
    )
    train_cache_bytes: int = _documented(2_000_000_000, "Memory for decoded training images, in bytes.")
    min_images_per_label: int = _documented(10, "Images that each label needs before training starts.")
    import_row_failure_limit: float = _documented(
        0.5, "Share of failed rows, 0 to 1, above which an import imports nothing."
    )
    batch_row_failure_limit: float = _documented(
        0.5, "Share of unusable rows, 0 to 1, above which a batch prediction fails as a whole."
    )
    batch_image_failure_limit: float = _documented(
        1.0,
        "Share of failed images, 0 to 1, above which a batch prediction fails; it always fails if no image was predicted.",
    )
    shard_images: int = _documented(
        500, "Images per `image_object_detection_N.jsonl`; the first five files of a long list have 100."
    )
    image_timeout_s: float = _documented(
        60.0, "Seconds that one image may take in a batch prediction before it is left out, with an error line."
    )
    runtime: str = _documented(
        "auto", "What runs the networks: `cpu`, `gpu`, or `auto`, which takes the GPU where one can be used."
    )
    force_fp32: bool = _documented(
        False, "Predict with the fp32 network also where a model has chosen its int8 one: slower, other boxes."
    )
    batch_in_flight_bytes: int = _documented(
        256_000_000,
        "Memory of a batch prediction for images that are read and not yet predicted, in bytes; at most an eighth of all.",
    )
    batch_models_bytes: int = _documented(
        1_000_000_000, "Memory of an inference process for models that stay loaded for later jobs, in bytes."
    )
    tune: bool = _documented(
        True,
        "Whether the number of processes that suits a network is measured, after its first batch prediction on a machine.",
    )
    batch_camel_case: bool = _documented(
        False, "Spell the keys inside `annotations` of the batch files in camelCase instead of snake_case."
    )
    worker: bool = _documented(
        True, "Whether `serve` also runs operations; `false` leaves them to `boxwright worker` processes."
    )
    batch_slice_s: float = _documented(
        30.0, "Seconds for which a batch prediction may go on while others wait; then it goes to the end of the queue."
    )
    resume_days: float = _documented(
        7.0, "Days for which the plan of a failed or cancelled batch prediction is kept, so that it can be resumed."
    )
    batch_jobs: int = _documented(2, "Batch predictions that run at the same time.")
    import_jobs: int = _documented(2, "Imports that run at the same time.")
    model_life_days: float | None = _documented(
        548.0, "Days after which a model stops predicting (18 months); `none` for never."
    )
    hold_s: float = _documented(
        5.0, "Seconds for which GetOperation of a running operation is held open, from its second poll on; 0 for never."
    )
    lease_ttl_s: float = _documented(10.0, "Seconds after which a dead worker's operation is taken over.")
    request_threads: int = _documented(16, "Threads that answer API calls.")
    log_level: str = _documented("INFO", "Least severe log level written to standard error.")

    def __post_init__(self) -> None:
        for name, least, most in (
            ("port", 0, 65535),
            ("grpc_port", 0, 65535),
            ("cores", 1, 4096),
            ("child_niceness", 0, 19),
            ("import_row_failure_limit", 0, 1),
            ("batch_row_failure_limit", 0, 1),
            ("batch_image_failure_limit", 0, 1),
            ("batch_in_flight_bytes", 1_000_000, 1 << 50),
            ("batch_models_bytes", 1, 1 << 50),
            ("shard_images", 1, 1_000_000),
            ("batch_jobs", 1, 1000),
            ("import_jobs", 1, 1000),
            ("request_threads", 1, 1000),
            ("head_timeout_s", 0.1, 3600),
            ("body_timeout_s", 0.1, 3600),
            ("connections", 1, 1_000_000),
            ("body_bytes", 1024, 1 << 30),
            ("bodies_bytes", 1 << 26, 1 << 50),
            ("grpc_streams", 1, 1_000_000),
            ("grpc_metadata_bytes", 4096, 1 << 20),
            ("grpc_connection_age_s", 1, 1 << 20),
            ("database_connections", 2, 1000),
            ("batch_slice_s", 0, 86400),
            ("resume_days", 0, 3650),
            ("lease_ttl_s", 1, 3600),
            ("hold_s", 0, 60),
            ("image_timeout_s", 1, 86400),
            ("storage_retry_s", 0.1, 3600),
            ("storage_look_s", 0, 60),
        ):
            if not least <= getattr(self, name) <= most:
                raise errors.invalid_argument(name, f"{getattr(self, name)} is not from {least} to {most}.")
        for name in ("train_minutes_max", "model_life_days", "train_cache_bytes", "min_images_per_label"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise errors.invalid_argument(name, f"{value} is not above 0.")
        if not self.locations:
            raise errors.invalid_argument("locations", "At least one location must be served.")
        if self.log_level.upper() not in logging.getLevelNamesMapping():
            known = ", ".join(logging.getLevelNamesMapping())
            raise errors.invalid_argument("log_level", f"'{self.log_level}' is none of {known}.")
        if self.gs not in ("folder", "cloud"):
            raise errors.invalid_argument("gs", f"'{self.gs}' is neither folder nor cloud.")
        if self.state_uri is not None and objects.caller_uri(self.state_uri, objects.CLOUDS, directory=True).key == "":
            raise errors.invalid_argument("state_uri", f"'{self.state_uri}' names no folder in its bucket.")
        if self.runtime not in ("auto", "cpu", "gpu"):
            raise errors.invalid_argument("runtime", f"'{self.runtime}' is none of auto, cpu and gpu.")
        unknown = sorted(set(self.schemes) - {"gs", "s3", "az"})
        if unknown or not self.schemes:
            raise errors.invalid_argument("schemes", f"'{','.join(self.schemes)}' is no list of gs, s3 and az.")
        if not all(root.startswith("/") for root in self.file_roots):
            raise errors.invalid_argument("file_roots", "Every folder must be an absolute path.")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise errors.invalid_argument("tls_cert", "TLS needs both the certificate and its key.")

    @property
    def in_flight_bytes(self) -> int:
        """`batch_in_flight_bytes`, or an eighth of the memory that this process may use, whichever is less."""
        return min(self.batch_in_flight_bytes, machine.usable_memory_bytes() // 8)

    @property
    def store_choices(self) -> objects.StoreChoices:
        """What of these settings concerns object stores."""
        return objects.StoreChoices(
            self.gs, self.schemes, self.file_roots, self.gs_emulator, self.storage_retry_s, self.state_uri or ""
        )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], **overrides: Any) -> Self:
        """Reads ``BOXWRIGHT_*`` variables; `overrides` that are not None win.

        Raises:
            ApiError: INVALID_ARGUMENT naming the setting that is unknown or cannot be read.
        """
        hints = typing.get_type_hints(cls)
        values: dict[str, Any] = {}
        for variable, text in environment.items():
            name = variable.removeprefix(PREFIX).lower()
            if not variable.startswith(PREFIX) or variable.startswith(TEST_PREFIX):
                continue
            if name in hints:
                values[name] = _parsed(name, text, hints[name])
            elif name.upper() not in OTHER_VARIABLES:
                raise _unknown(variable, hints)
        if environment.get(EMULATOR_VARIABLE):
            values.setdefault("gs_emulator", environment[EMULATOR_VARIABLE])
        values |= {name: value for name, value in overrides.items() if value is not None}
        return cls(**values)


def _unknown(variable: str, names: Collection[str]) -> errors.ApiError:
    known = [PREFIX + name.upper() for name in (*names, *OTHER_VARIABLES)]
    near = difflib.get_close_matches(variable.upper(), known, n=1)
    hint = f"Did you mean {near[0]}?" if near else "docs/configuration.md lists the settings."
    return errors.invalid_argument(variable, f"There is no such setting. {hint}")


def _parsed(name: str, text: str, kind: Any) -> Any:
    """Parses one variable into the field's type."""
    choices = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    if type(None) in choices and text.strip().lower() in ("", "none"):
        return None
    wanted = choices[0]
    if typing.get_origin(wanted) is tuple:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if wanted is bool:
        if text.strip().lower() not in TRUTHS:
            raise errors.invalid_argument(name, f"{PREFIX}{name.upper()}='{text}' is neither true nor false.")
        return TRUTHS[text.strip().lower()]
    try:
        return wanted(text)
    except ValueError:
        raise errors.invalid_argument(
            name, f"{PREFIX}{name.upper()}='{text}' is not {KINDS.get(wanted, wanted.__name__)}."
        ) from None
