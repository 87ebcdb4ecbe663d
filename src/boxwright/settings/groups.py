# ruff: noqa: RUF009 — setting makes dataclass fields, which is what defaults are for
"""The settings in groups: default, meaning and bounds of each."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import typing
from collections.abc import Mapping
from typing import Any, Self

from boxwright import machine, objects, processes, states
from boxwright.settings import fields
from boxwright.settings.batch import BatchSettings, NotifySettings, RaySettings
from boxwright.settings.fields import Group, Setting, setting
from boxwright.settings.serving import QuotaSettings, ServerSettings


@dataclasses.dataclass(frozen=True)
class StorageSettings(Group):
    """Where data is: the service's own, and what callers may name."""

    data_dir: pathlib.Path = setting(
        pathlib.Path("boxwright-data"), "Folder of the service's own state: metadata, models, work in progress."
    )
    data_dir_free_bytes: int = setting(
        1_000_000_000,
        "Bytes that must be free in `data_dir` before an import, training or batch prediction begins; 0: nobody looks.",
        check=fields.between(0, 1 << 60),
    )
    buckets_dir: pathlib.Path = setting(
        pathlib.Path("buckets"), "Folder whose sub-folders are the buckets: `NAME/` is reachable as `gs://NAME/`."
    )
    gs: str = setting(
        "folder",
        "What `gs://` is: `folder` (the buckets folder) or `cloud` (Google Cloud Storage).",
        check=fields.one_of("folder", "cloud"),
    )
    gs_emulator: str | None = setting(
        None, "Address of an emulator that `gs://` is instead; `STORAGE_EMULATOR_HOST` sets it too."
    )
    schemes: tuple[str, ...] = setting(
        ("gs",), "Object stores that callers may name, separated by commas: `gs`, `s3`, `az`.", check=fields.has_schemes
    )
    file_roots: tuple[str, ...] = setting(
        (),
        "Folders below which `file:///` paths may be read and written, separated by commas; none: no `file:///`.",
        check=fields.has_absolute_paths,
    )
    state_uri: str | None = setting(
        None,
        "Folder in an object store for models and plans, `s3://BUCKET/FOLDER`; unset: they are in `data_dir`.",
        check=fields.names_folder,
    )
    credentials_dir: pathlib.Path | None = setting(
        None,
        "Folder of credential profiles, `NAME.env` each: tenants' own credentials for their buckets; unset: there are none.",
    )
    uploads_uri: str | None = setting(
        None,
        "Folder for images that are sent to datasets, `s3://BUCKET/FOLDER`; unset: bucket `uploads` in `buckets_dir`.",
        check=fields.names_folder,
    )
    picture_cache_bytes: int = setting(
        2_147_483_648,
        "Room for pictures of images that the console has shown, in `data_dir`, in bytes; 0: they are made each time.",
        check=fields.between(0, 1 << 50),
    )
    retry_s: float = setting(
        20.0,
        "Seconds for which one call to a store waits for trouble to pass, with growing pauses between attempts.",
        name="storage_retry_s",
        check=fields.between(0.1, 3600),
    )
    look_s: float = setting(
        1.0,
        "Seconds that a call may wait for its first look at lists and buckets; 0: the operation finds out all.",
        name="storage_look_s",
        check=fields.between(0, 60),
    )

    @property
    def choices(self) -> objects.StoreConfig:
        """What of these settings concerns object stores."""
        return objects.StoreConfig(
            self.gs,
            self.schemes,
            self.file_roots,
            self.gs_emulator,
            self.retry_s,
            self.state_uri or "",
            # children may have another working directory
            "" if self.credentials_dir is None else str(self.credentials_dir.absolute()),
        )

    @property
    def serves_buckets_dir(self) -> bool:
        """Whether callers reach the buckets folder by ``gs://``."""
        return "gs" in self.schemes and self.gs == "folder" and not self.gs_emulator


@dataclasses.dataclass(frozen=True)
class DatabaseSettings(Group):
    """The metadata database."""

    url: str | None = setting(
        None,
        "Metadata database, `postgresql+pg8000://USER:PASSWORD@HOST/NAME`; unset: `metadata.sqlite` in `data_dir`.",
        name="database_url",
    )
    connections: int | None = setting(
        None,
        "Connections to PostgreSQL that one process holds at most; unset: 20 for `serve`, for a worker lanes + 2.",
        name="database_connections",
        check=lambda value: None if value is None else fields.between(2, 1000)(value),
    )
    ca: pathlib.Path | None = setting(
        None,
        "Certificates (PEM) that PostgreSQL's is checked against; unset: the connection is not encrypted.",
        name="database_ca",
    )


@dataclasses.dataclass(frozen=True)
class OperationsSettings(Group):
    """What runs operations, and what it may use of the machine."""

    worker: bool = setting(
        True, "Whether `serve` also runs operations; `false` leaves them to `boxwright worker` processes."
    )
    kinds: tuple[str, ...] = setting(
        tuple(states.WORK),
        "Work that this process does, separated by commas: `train`, `batch`, `import` (images and networks), `export`.",
        check=fields.has_work,
    )
    health_port: int | None = setting(
        None,
        "Port on which a process answers probes and `/metrics` beside its API; 0 picks a free one; unset: none.",
        check=fields.is_port,
    )
    health_host: str = setting(
        "127.0.0.1", "Address of that port. Its answers hold no data and ask for no credentials."
    )
    cores: int = setting(
        machine.usable_cores,
        "Cores to use for training and for a batch prediction; default: all usable ones.",
        check=fields.between(1, 4096),
    )
    child_niceness: int = setting(
        processes.CHILD_NICENESS,
        "Priority of trainings and batch predictions: 0 is the service's own, 19 the lowest.",
        check=fields.between(0, 19),
    )
    lease_ttl_s: float = setting(
        10.0, "Seconds after which a dead worker's operation is taken over.", check=fields.between(1, 3600)
    )
    days: float | None = setting(
        None,
        "Days after their end for which operations can be asked for; then their rows are deleted; unset: for ever.",
        name="operation_days",
        check=fields.above_zero,
    )
    import_jobs: int = setting(2, "Imports that run at the same time.", check=fields.between(1, 1000))
    import_model_bytes: int = setting(
        4_000_000_000,
        "Memory that the process may use that reads and tries out an imported network, in bytes.",
        check=fields.above_zero,
    )
    import_model_timeout_s: float = setting(
        1800.0, "Seconds after which the import of a network is given up.", check=fields.between(10, 86_400)
    )
    import_row_failure_limit: float = setting(
        0.5, "Share of failed rows, 0 to 1, above which an import imports nothing.", check=fields.between(0, 1)
    )
    undo_days: float = setting(
        30.0, "Days for which a change of many images can be taken back.", check=fields.between(0, 3650)
    )
    undo_examples: int = setting(
        1_000_000,
        "Former images that are kept for that in a dataset; those of its newest change are kept in any case.",
        check=fields.between(0, 1 << 40),
    )


@dataclasses.dataclass(frozen=True)
class TrainingSettings(Group):
    """What a training needs and makes."""

    minutes_max: float | None = setting(
        None,
        "Wall-time cap of every training in minutes, below the request's budget; unset: the budget alone.",
        name="train_minutes_max",
        check=fields.above_zero,
    )
    seed: int = setting(
        0,
        "Seed of every training; same data, seed and cores give the same weights.",
        name="train_seed",
        check=fields.between(0, (1 << 63) - 1),
    )
    pretrained: bool = setting(
        True,
        "Whether trainings may start from pretrained weights (COCO's, ImageNet's); such networks predict more slowly.",
        name="train_pretrained",
    )
    keep_best: bool = setting(
        False,
        "Whether a cancelled training delivers the best network that it has, unless the model's labels say otherwise.",
        name="train_keep_best",
    )
    state_every_s: float = setting(
        60.0,
        "Seconds between two copies of a training's progress to `state_uri`, from where another machine can go on.",
        name="train_state_every_s",
        check=fields.between(1, 86400),
    )
    weights_dir: pathlib.Path | None = setting(
        None,
        "Folder of the weights that `boxwright weights install` gets; unset: `boxwright/weights` in the user's data folder.",
    )
    cache_bytes: int = setting(
        2_000_000_000,
        "Memory for decoded training images, in bytes.",
        name="train_cache_bytes",
        check=fields.above_zero,
    )
    min_images_per_label: int = setting(
        10, "Images that each label needs before training starts.", check=fields.above_zero
    )
    unlabelled_as_negative: bool = setting(
        False,
        "Whether images without a label in MULTILABEL datasets are learned from, as images that have none of the labels.",
        name="train_unlabelled_as_negative",
    )
    model_life_days: float | None = setting(
        548.0, "Days after which a model stops predicting (18 months); `none` for never.", check=fields.above_zero
    )


@dataclasses.dataclass(frozen=True)
class InferenceSettings(Group):
    """What runs networks, online and in batches."""

    runtime: str = setting(
        "auto",
        "What runs the networks: `cpu`, `gpu`, or `auto`, which takes the GPU where one can be used.",
        check=fields.one_of("auto", "cpu", "gpu"),
    )
    force_fp32: bool = setting(
        False, "Predict with the fp32 network also where a model has chosen its int8 one: slower, other boxes."
    )
    predict_timeout_s: float = setting(
        30.0,
        "Seconds that Predict may take to decode an image; then the process that predicts is started again.",
        check=fields.between(0.1, 3600),
    )

    @property
    def precision(self) -> str | None:
        """``fp32`` if that is forced; None for each model's own choice."""
        return "fp32" if self.force_fp32 else None


@dataclasses.dataclass(frozen=True)
class TracesSettings(Group):
    """Traces for OpenTelemetry."""

    endpoint: str | None = setting(
        None,
        "Collector of OpenTelemetry that traces are sent to by OTLP over HTTP, `http://HOST:4318`; unset: there are none.",
        name="traces_endpoint",
        check=fields.is_collector,
    )
    share: float = setting(
        1.0,
        "Share of the traces begun by this service that are sent, 0 to 1. A caller's trace is sent if its header says so.",
        name="traces_share",
        check=fields.between(0, 1),
    )
    shard_step: int = setting(
        100,
        "One shard in this many of a batch prediction has a span.",
        name="traces_shard_step",
        check=fields.between(1, 1_000_000),
    )


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything that an operator may choose; each field but the last is a group, and a table of the configuration file.

    Attributes:
        config_file: the file that was read; None if there was none.
    """

    storage: StorageSettings = dataclasses.field(default_factory=StorageSettings)
    database: DatabaseSettings = dataclasses.field(default_factory=DatabaseSettings)
    server: ServerSettings = dataclasses.field(default_factory=ServerSettings)
    quota: QuotaSettings = dataclasses.field(default_factory=QuotaSettings)
    operations: OperationsSettings = dataclasses.field(default_factory=OperationsSettings)
    training: TrainingSettings = dataclasses.field(default_factory=TrainingSettings)
    inference: InferenceSettings = dataclasses.field(default_factory=InferenceSettings)
    batch: BatchSettings = dataclasses.field(default_factory=BatchSettings)
    ray: RaySettings = dataclasses.field(default_factory=RaySettings)
    notify: NotifySettings = dataclasses.field(default_factory=NotifySettings)
    traces: TracesSettings = dataclasses.field(default_factory=TracesSettings)
    config_file: pathlib.Path | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any], config_file: pathlib.Path | None = None) -> Self:
        """Returns the settings with these values, by the settings' names, and the defaults of all others.

        Raises:
            ApiError: INVALID_ARGUMENT naming the setting whose value is not possible.
        """
        chosen: dict[str, dict[str, Any]] = {group: {} for group in _groups()}
        known = {one.name: one for one in all_settings()}
        for name, value in values.items():
            chosen[known[name].group][known[name].key] = value
        groups: dict[str, Any] = {group: kind(**chosen[group]) for group, kind in _groups().items()}
        return cls(**groups, config_file=config_file)


@functools.cache
def all_settings() -> tuple[Setting, ...]:
    """Every setting, group by group."""
    return tuple(one for group, kind in _groups().items() for one in fields.settings_of(kind, group))


@functools.cache
def _groups() -> dict[str, type[Group]]:
    hints = typing.get_type_hints(Settings)
    return {name: kind for name, kind in hints.items() if isinstance(kind, type) and issubclass(kind, Group)}
