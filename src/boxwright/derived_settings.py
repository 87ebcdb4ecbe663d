"""What rooms are given of the settings, in the rooms' own types."""

from __future__ import annotations

import logging
import pathlib
from collections.abc import Sequence

from boxwright import __version__, errors, extras, objects
from boxwright.access import authenticate, quotas
from boxwright.batch.channels import ChannelChildren
from boxwright.batch.child_pool import Children
from boxwright.batch.job import MachineShare
from boxwright.cluster import cluster_share
from boxwright.cluster.cluster_share import DRIVER_MODULE, ClusterShare
from boxwright.inference.model_store import ModelFolders
from boxwright.operations import amounts
from boxwright.runners import batch_choices
from boxwright.settings import QuotaSettings, Settings, StorageSettings, TracesSettings
from boxwright.states import WORK, OperationKind
from boxwright.telemetry.metrics import Metrics
from boxwright.telemetry.spans import Traces

log = logging.getLogger(__name__)

UPLOADS = "uploads"  # the bucket of images that are sent, where the operator has chosen no other
LOCAL_NAMES = ("localhost", "automl.localhost", "127.0.0.1", "[::1]")  # by which client-env names the service


def token_rules(settings: Settings) -> authenticate.TokenRules:
    """What tokens must be like, by the settings."""
    server = settings.server
    usual = authenticate.TokenRules()
    scheme = "https" if server.tls_cert else "http"
    own = {f"{scheme}://{host}:{server.port}" for host in (*LOCAL_NAMES, server.host)}
    own |= {server.public_url.rstrip("/")} if server.public_url else set()
    return authenticate.TokenRules(
        audiences=usual.audiences | {f"{origin}/" for origin in own} | set(server.token_audiences),
        token_audiences=usual.token_audiences | {f"{origin}/token" for origin in own} | set(server.token_audiences),
        skew_s=server.clock_skew_s,
        life_s=server.token_life_s,
    )


def lanes(settings: Settings) -> list[list[OperationKind]]:
    """The lanes of this process: the kinds of operations that each of them serves.

    Raises:
        ApiError: FAILED_PRECONDITION: trainings are asked for by name, and what they need is not installed.
    """
    kinds, batch = settings.operations.kinds, settings.batch
    found: list[list[OperationKind]] = []
    if "train" in kinds:
        if extras.can_train():
            found.append([OperationKind.CREATE_MODEL])
        elif kinds != tuple(WORK):
            raise errors.failed_precondition(f"kinds names train: {extras.TRAINING_NEEDS}")
        else:
            log.info("event=no_training reason=%r", extras.TRAINING_NEEDS)
    if "export" in kinds:
        found.append(list(WORK["export"]))
    if "import" in kinds:
        found.append([OperationKind.IMPORT_MODEL])
    if "batch" in kinds:
        found += [[OperationKind.BATCH_PREDICT]] * (batch.jobs if settings.ray.address is None else settings.ray.jobs)
    if "import" in kinds:
        found += [[OperationKind.IMPORT_DATA]] * settings.operations.import_jobs
    return found


def worker_connections(lanes: Sequence[list[OperationKind]]) -> int:
    """Connections to PostgreSQL that a worker needs: one a lane; two for leases, events and what is done now and then."""
    return len(lanes) + 2


def inference_children(settings: Settings, variables: Sequence[str]) -> Children:
    """The inference children of this process: their engine is this machine, or a cluster.

    Args:
        settings: those of this process.
        variables: of the environment, that the stores need.

    Raises:
        ApiError: FAILED_PRECONDITION: a cluster is asked for that takes anybody, or what it needs is not installed.
    """
    chosen = settings.ray
    if chosen.address is None:
        return Children(variables)
    if not extras.can_use_ray():
        raise errors.failed_precondition(extras.RAY_NEEDS)
    cluster_share.check(chosen.address)
    environment = {cluster_share.VARIABLE: hosts_share(settings).to_json()}
    return ChannelChildren([*variables, "RAY_"], DRIVER_MODULE, environment)


def hosts_share(settings: Settings) -> ClusterShare:
    """What hosts have and where; `settings.ray.address` has to be set."""
    chosen = settings.ray
    assert chosen.address is not None
    cache_dir = "" if chosen.cache_dir is None else str(chosen.cache_dir.resolve())
    return ClusterShare(
        address=chosen.address,
        most_hosts=chosen.hosts,
        cores=chosen.host_cores,
        gpus=chosen.host_gpus,
        gpu_wait_s=chosen.gpu_wait_s,
        cache_dir=cache_dir,
        cache_bytes=chosen.cache_bytes,
    )


def traces(chosen: TracesSettings, metrics: Metrics) -> Traces:
    """What begins the spans of this process.

    Args:
        chosen: the settings.
        metrics: counts spans.

    Raises:
        ApiError: FAILED_PRECONDITION: a collector is named, and what sends to it is not installed.
    """
    if chosen.endpoint is None:
        return Traces()
    if not extras.can_trace():
        raise errors.failed_precondition(extras.TRACES_NEEDS)
    from boxwright.telemetry.otlp_traces import OtlpTraces  # its packages are optional, and take a while to import

    about = {"service.version": __version__}
    return OtlpTraces(chosen.endpoint, chosen.share, chosen.shard_step, metrics, about)


def quota_limits(settings: Settings) -> quotas.QuotaLimits:
    """How much callers may ask; who is alone may ask everything."""
    chosen = settings.quota
    if not settings.server.requires_accounts:
        return quotas.QuotaLimits()
    return quotas.QuotaLimits(
        requests=chosen.requests_per_minute,
        models=chosen.models_per_minute,
        predictions=chosen.predict_per_minute,
        failed_authentications=chosen.failed_authentications_per_minute,
        tokens=chosen.tokens_per_minute,
    )


def amount_limits(quota: QuotaSettings, folders: ModelFolders, space: amounts.DiskSpace) -> amounts.AmountLimits:
    """How much projects may have."""
    return amounts.AmountLimits(
        operations=quota.operations,
        datasets=quota.datasets,
        models=quota.models,
        stored_bytes=quota.stored_bytes,
        batch_jobs_waiting=quota.batch_jobs_waiting_max,
        batch_images_a_day=quota.batch_images_a_day_max,
        size_of=folders.size_bytes,
        space=space,
    )


def output_settings(settings: Settings) -> batch_choices.OutputSettings:
    """What of the settings reaches the output of a batch prediction."""
    return batch_choices.OutputSettings(
        shard_images=settings.batch.shard_images,
        row_failure_limit=settings.batch.row_failure_limit,
        image_failure_limit=settings.batch.image_failure_limit,
        image_timeout_s=settings.batch.image_timeout_s,
        camel_case=settings.batch.camel_case,
        precision=settings.inference.precision,
        keeps_candidates=settings.batch.candidates == "keep",
        candidate_floor=settings.batch.candidate_floor,
        report=settings.batch.report,
        reuse=settings.batch.reuse,
        reuse_audit=settings.batch.reuse_audit,
    )


def machine_share(settings: Settings) -> MachineShare:
    """What this machine gives a batch prediction."""
    return MachineShare(
        cores=settings.operations.cores,
        runtime=settings.inference.runtime,
        in_flight_bytes=settings.batch.usable_in_flight_bytes,
        models_bytes=settings.batch.models_bytes,
    )


def upload_folder(storage: StorageSettings) -> tuple[objects.ObjectUri | None, pathlib.Path | None]:
    """Where images are kept that are sent: its address, None if there is none; and its bucket, if that is to be made.

    Raises:
        ApiError: INVALID_ARGUMENT: the service does not reach it.
    """
    if storage.uploads_uri is not None:
        uri = objects.ObjectUri.parse(storage.uploads_uri)
        if uri.scheme not in storage.schemes:
            why = f"'{storage.uploads_uri}' is not reached: add {uri.scheme} to schemes (BOXWRIGHT_SCHEMES)."
            raise errors.invalid_argument("uploads_uri", why)
        return uri, None
    if not storage.serves_buckets_dir:
        return None, None
    return objects.ObjectUri("gs", UPLOADS, ""), storage.buckets_dir / UPLOADS
