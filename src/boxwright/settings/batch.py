# ruff: noqa: RUF009 — setting makes dataclass fields, which is what defaults are for
"""The settings of batch predictions and of the events that they send."""

from __future__ import annotations

import dataclasses
import pathlib

from boxwright import machine
from boxwright.settings import fields
from boxwright.settings.fields import Group, setting


@dataclasses.dataclass(frozen=True)
class BatchSettings(Group):
    """Batch prediction."""

    jobs: int = setting(
        2, "Batch predictions that run at the same time.", name="batch_jobs", check=fields.between(1, 1000)
    )
    slice_s: float = setting(
        30.0,
        "Seconds for which a batch prediction may go on while others wait; then it goes to the end of the queue.",
        name="batch_slice_s",
        check=fields.between(0, 86400),
    )
    shard_images: int = setting(
        500,
        "Images per result file (`image_object_detection_N.jsonl`, `image_classification_N.jsonl`); the first five files of "
        "a long list have 100.",
        check=fields.between(1, 1_000_000),
    )
    row_failure_limit: float = setting(
        0.5,
        "Share of unusable rows, 0 to 1, above which a batch prediction fails as a whole.",
        name="batch_row_failure_limit",
        check=fields.between(0, 1),
    )
    image_failure_limit: float = setting(
        1.0,
        "Share of failed images, 0 to 1, above which a batch prediction fails; it always fails if no image was predicted.",
        name="batch_image_failure_limit",
        check=fields.between(0, 1),
    )
    image_timeout_s: float = setting(
        60.0,
        "Seconds that one image may take in a batch prediction, or to be decoded in an import, before it is left out.",
        check=fields.between(1, 86400),
    )
    in_flight_bytes: int = setting(
        256_000_000,
        "Memory of a batch prediction for images that are read and not yet predicted, in bytes; at most an eighth of all.",
        name="batch_in_flight_bytes",
        check=fields.between(1_000_000, 1 << 50),
    )
    models_bytes: int = setting(
        1_000_000_000,
        "Memory of an inference process for models that stay loaded for later jobs, in bytes.",
        name="batch_models_bytes",
        check=fields.between(1, 1 << 50),
    )
    tune: bool = setting(
        True,
        "Whether the number of processes that suits a network is measured, after its first batch prediction on a machine.",
    )
    camel_case: bool = setting(
        False,
        "Spell the keys inside `annotations` of the batch files in camelCase instead of snake_case.",
        name="batch_camel_case",
    )
    candidates: str = setting(
        "keep",
        "Whether batch predictions keep candidates, which answer other thresholds without inference: `keep` or `none`.",
        name="batch_candidates",
        check=fields.one_of("keep", "none"),
    )
    candidate_floor: float = setting(
        0.05,
        "Least score, 0 to 1, of a candidate; a job whose own threshold is lower keeps candidates down to that.",
        name="batch_candidate_floor",
        check=fields.between(0, 1),
    )
    report: bool = setting(
        True,
        "Whether batch predictions that keep candidates end with a report (`report/` in the folder of the results).",
        name="batch_report",
    )
    reuse: str = setting(
        "none",
        "Whether batch predictions take over what a former one found in images that have not changed: `none` or `auto`.",
        name="batch_reuse",
        check=fields.one_of("none", "auto"),
    )
    reuse_audit: float = setting(
        0.001,
        "Share, 0 to 1, of the images with former results that are predicted all the same; other results fail the job.",
        check=fields.between(0, 1),
    )
    candidates_days: float | None = setting(
        None,
        "Days after the end of a batch prediction for which its candidates are kept; unset: for ever.",
        check=fields.above_zero,
    )
    resume_days: float = setting(
        7.0,
        "Days for which the plan of a failed or cancelled batch prediction is kept, so that it can be resumed.",
        check=fields.between(0, 3650),
    )

    price_per_core_hour: float = setting(
        0.0,
        "What an hour of a core costs, in any currency: dry runs of batch predictions multiply it; 0: they name no cost.",
        check=fields.between(0, 1e6),
    )

    @property
    def usable_in_flight_bytes(self) -> int:
        """`in_flight_bytes`, or an eighth of the memory that this process may use, whichever is less."""
        return min(self.in_flight_bytes, machine.usable_memory_bytes() // 8)


@dataclasses.dataclass(frozen=True)
class RaySettings(Group):
    """Batch predictions on the machines of a Ray cluster."""

    address: str | None = setting(
        None,
        "Ray cluster whose machines do the batch predictions of this process: `HOST:PORT` of its head, or `auto` for "
        "that of this machine; unset: this machine does them.",
        name="ray_address",
        check=fields.is_ray_address,
    )
    hosts: int = setting(
        100,
        "Hosts at the same time, at most; all batch predictions of this process share them, shard by shard.",
        name="ray_hosts",
        check=fields.between(1, 10_000),
    )
    jobs: int = setting(
        16,
        "Batch predictions that run at the same time where a cluster does them, instead of `batch_jobs`.",
        name="ray_jobs",
        check=fields.between(1, 1000),
    )
    host_cores: int = setting(
        1, "Cores of a host, which its node has to have.", name="ray_host_cores", check=fields.between(1, 1024)
    )
    host_gpus: float = setting(
        0.0,
        "GPUs of a host whose job's network runs on a GPU; less than 1: several share one; 0: the cluster has none.",
        name="ray_host_gpus",
        check=fields.between(0, 16),
    )
    gpu_wait_s: float = setting(
        120.0,
        "Seconds that a batch prediction waits for its first host with a GPU, before hosts without one do it; with "
        "`runtime=gpu` it waits on.",
        name="ray_gpu_wait_s",
        check=fields.between(0, 86400),
    )
    cache_dir: pathlib.Path | None = setting(
        None,
        "Folder of each node for models, which come from `state_uri`; unset: `data_dir` is the same folder on all nodes.",
        name="ray_cache_dir",
    )
    cache_bytes: int = setting(
        10_000_000_000,
        "How much of that folder models may take, in bytes; the one that was used longest ago is deleted first.",
        name="ray_cache_bytes",
        check=fields.between(1_000_000, 1 << 50),
    )


@dataclasses.dataclass(frozen=True)
class NotifySettings(Group):
    """Events of operations, and where they may be sent."""

    hosts: tuple[str, ...] = setting(
        (),
        "Hosts that events may be sent to, separated by commas: `NAME`, `NAME:PORT`; and the addresses and networks "
        "(`10.1.0.0/16`) of those that are not public; none: events only go to folders.",
        name="notify_hosts",
        check=fields.has_receivers,
    )
    ca: pathlib.Path | None = setting(
        None,
        "Certificates (PEM) of authorities for receivers of events, beside those that the machine knows.",
        name="notify_ca",
    )
    secret_file: pathlib.Path | None = setting(
        None,
        "File of the secret from which each project's secret for events is made; unset: `notify.secret` in `data_dir`. All "
        "workers need the same one.",
        name="notify_secret_file",
    )
