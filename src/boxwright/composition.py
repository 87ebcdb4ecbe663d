"""The composition root: builds the components of a service or a worker from the settings."""

from __future__ import annotations

import dataclasses
from typing import Any

from boxwright import __version__, derived_settings, extras, objects, places, processes, states, work_table
from boxwright.access import (
    accounts,
    audit,
    authenticate,
    bucket_grants,
    decide,
    exchange,
    federation,
    impersonation,
    index,
    quotas,
    sign_in,
    token_status,
)
from boxwright.access.audit_log import AuditLog
from boxwright.batch.child_pool import Children
from boxwright.batch.tuning.scheduler import Tuner
from boxwright.batch.tuning.tuning_file import FILE as TUNING_FILE
from boxwright.batch.tuning.tuning_file import Tunings
from boxwright.health import readiness
from boxwright.inference.model_store import ModelFolders
from boxwright.metadata import database, migrations, models
from boxwright.notifications import destinations, event_notes, sender
from boxwright.objects import throttling
from boxwright.objects.recorded_stores import RecordedStores
from boxwright.online.deployed_models import DeployedModels
from boxwright.online.deployment_follower import DeploymentFollower
from boxwright.operations import amounts, queue_counts, worker
from boxwright.operations.ledger import Ledger
from boxwright.pictures import builder, cache, decoders
from boxwright.runners import plan_folders, retention, sweep
from boxwright.services import (
    automl,
    curation_service,
    iam,
    iam_credentials,
    image_pictures,
    locations,
    messages,
    operations,
    outcome_cache,
    prediction,
    resources,
    resume,
    store_checks,
    uploads,
)
from boxwright.settings import Settings
from boxwright.surface import dispatch, iam_credentials_pb, methods
from boxwright.telemetry.metrics import Metrics
from boxwright.telemetry.spans import Traces

DRAIN_S = 8.0

Kind = states.OperationKind


@dataclasses.dataclass
class WorkerParts:
    """What runs operations, built and not yet started."""

    db: database.Database
    worker: worker.Worker
    sender: sender.Sender
    children: Children
    tuner: Tuner
    ledger: Ledger
    folders: ModelFolders
    plans: plan_folders.PlanFolders
    stores: objects.Stores
    audit: AuditLog
    retention: retention.Retention
    metrics: Metrics
    traces: Traces
    daily_sweep: sweep.DailySweep

    def readiness_looks(self) -> dict[str, readiness.Look]:
        """What must be there for the work: the database with this version's schema, and the service's own state."""

        def look_at_state() -> str | None:
            return None if self.stores.answers(self.stores.state("")) else "does not answer"

        return {"database": self.db.schema_problem, "state": look_at_state}

    def start(self) -> None:
        """Begins to run operations, and to send their events."""
        self.worker.start()
        self.sender.start()
        self.retention.start()
        self.daily_sweep.start()

    def close(self) -> None:
        """Hands back what is running, ends the children and leaves the database."""
        self.worker.drain(DRAIN_S)
        self.sender.close()
        self.retention.close()
        self.daily_sweep.close()
        self.tuner.close()
        self.children.close()
        self.audit.close()
        self.db.close()
        self.traces.close()


@dataclasses.dataclass
class TokenParts:
    """What gives access tokens, says what they are, gives those of accounts to others, and where people sign in."""

    service: exchange.TokenService
    status: token_status.TokenStatus
    impersonation: impersonation.Impersonation
    providers: sign_in.SignInProviders


@dataclasses.dataclass
class ServiceParts:
    """What the API servers stand on, built and not yet started."""

    worker: WorkerParts
    online: DeployedModels
    follower: DeploymentFollower
    pictures: builder.PictureBuilder
    dispatcher: dispatch.Dispatcher
    operations: operations.Operations
    tokens: TokenParts | None

    def start(self, *, runs_operations: bool) -> None:
        """Begins to follow the rows of deployed models, and to run operations where that is wanted."""
        if runs_operations:
            self.worker.start()
        self.follower.start()


def _build_access(
    settings: Settings, db: database.Database, recorder: audit.CallRecorder, counted: quotas.Quotas
) -> tuple[decide.OpenDecider | decide.PolicyDecider, TokenParts | None]:
    """Who decides on calls, and who gives tokens."""
    if not settings.server.requires_accounts:
        return decide.OpenDecider(), None
    reader, rules = index.IndexReader(db), derived_settings.token_rules(settings)
    authenticator = authenticate.Authenticator(db, reader, rules)
    federated = federation.Federation(reader, rules.skew_s)
    service = exchange.TokenService(db, authenticator, rules, recorder=recorder, quotas=counted, federation=federated)
    status = token_status.TokenStatus(db, authenticator, service)
    given = impersonation.Impersonation(db, reader, rules.life_s, counted)
    people = sign_in.SignInProviders(reader, settings.server.console_providers)
    return decide.PolicyDecider(db, reader, authenticator), TokenParts(service, status, given, people)


def has_accounts(db: database.Database) -> bool:
    """Whether anybody could call where accounts are required."""
    with db.read() as connection:
        return bool(accounts.listed(connection))


def build_worker(settings: Settings, *, connections: int | None = None) -> WorkerParts:
    """Builds what runs operations; creates the folders of the data directory.

    Args:
        connections: to PostgreSQL, where no setting says how many; None: as many as a worker needs.
    """
    storage, batch = settings.storage, settings.batch
    processes.set_niceness(settings.operations.child_niceness)
    places.check(settings)
    places.prepare(storage)
    models_dir, work_dir = storage.data_dir / "models", storage.data_dir / "work"
    counted = Metrics([row.rpc for row in methods.TABLE], {"version": __version__, "schema": migrations.HEAD})
    stores = RecordedStores(counted, storage.buckets_dir, storage.data_dir / "state", storage.choices)
    traces = derived_settings.traces(settings.traces, counted)
    lanes = derived_settings.lanes(settings)
    db = places.open_database(settings, counted, connections=connections or derived_settings.worker_connections(lanes))
    plans = plan_folders.PlanFolders(db, stores, work_dir, batch.resume_days)
    sweep.sweep_here(db, stores, plans, models_dir)
    folders = ModelFolders(models_dir, stores)
    space = amounts.DiskSpace(storage.data_dir, storage.data_dir_free_bytes)
    ledger = _build_ledger(settings, db, folders, space)
    children = derived_settings.inference_children(settings, stores.variables)
    throttling.count_by(lambda: counted.add("boxwright_store_throttled_total"))
    counted.follow(
        lambda: {"boxwright_children": {(): children.count}, "boxwright_db_connections": {(): db.connections_in_use}}
    )
    tuner = Tuner(Tunings(storage.data_dir / TUNING_FILE), measures=batch.tune and settings.ray.address is None)
    slices_s = {Kind.BATCH_PREDICT: batch.slice_s}
    # by the operation and not by the setting: what an account has started is limited to its grants, whoever does the work
    grants_of = bucket_grants.WorkGrants(index.IndexReader(db)).of
    runners = work_table.build_runners(settings, db, stores, folders, children, tuner, plans, counted)
    audit_log = AuditLog(storage.data_dir / "audit", db)
    recorder = audit.WorkRecorder(audit_log)
    lanes_worker = worker.Worker(
        ledger,
        runners,
        lanes,
        dry_runs=[Kind.BATCH_PREDICT] if [Kind.BATCH_PREDICT] in lanes else [],
        slices_s=slices_s,
        grants_of=grants_of,
        space=space,
        observe=recorder.record,
        observe_use=recorder.record_use,
        metrics=counted,
        traces=traces,
    )
    delivering = sender.Deliveries.of(
        settings.notify.hosts, settings.notify.ca, places.notify_secret(settings), stores, grants_of
    )
    events = sender.Sender(db, delivering.deliver)
    ledger.listeners.append(lambda name, state: events.wake())
    kept = retention.KeptDays(settings.operations.days, batch.candidates_days, batch.resume_days)
    retaining = retention.Retention(db, stores, kept)
    daily = sweep.DailySweep(db, stores, plans)
    return WorkerParts(
        db, lanes_worker, events, children, tuner, ledger, folders, plans, stores, audit_log, retaining, counted,
        traces, daily,
    )  # fmt: skip


def _build_ledger(settings: Settings, db: database.Database, folders: ModelFolders, space: amounts.DiskSpace) -> Ledger:
    """The ledger; `space` is the room on this machine."""
    # without a worker others do the work, in data directories of their own
    here = space if settings.operations.worker else amounts.DiskSpace()
    return Ledger(
        db,
        lease_ttl_s=settings.operations.lease_ttl_s,
        limits=derived_settings.amount_limits(settings.quota, folders, here),
        note_event=event_notes.EventNotes(messages.event_data).note,
    )


def build_service(settings: Settings) -> ServiceParts:
    """Builds everything below the API servers."""
    worker_parts = build_worker(settings, connections=database.DEFAULT_CONNECTIONS)
    db, ledger = worker_parts.db, worker_parts.ledger
    worker_parts.metrics.follow(queue_counts.QueueCounts(db).read)
    cores, inference = settings.operations.cores, settings.inference
    online = DeployedModels(
        worker_parts.folders,
        cores=cores,
        runtime=inference.runtime,
        precision=inference.precision,
        timeout_s=inference.predict_timeout_s,
        metrics=worker_parts.metrics,
    )
    worker_parts.metrics.follow(lambda: {"boxwright_models_loaded": {(): online.loaded_count}})
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
        # with --no-worker, or other kinds, the trainings run in other processes, which may have what they need
        trains=extras.can_train() or not settings.operations.worker or "train" not in settings.operations.kinds,
        notify_hosts=destinations.AllowedHosts.of(settings.notify.hosts),
        undo_days=settings.operations.undo_days,
        undo_examples=settings.operations.undo_examples,
        train_minutes_max=settings.training.minutes_max,
    )
    recorder = audit.CallRecorder(worker_parts.audit, reads=settings.server.audit_reads)
    counted = quotas.Quotas(derived_settings.quota_limits(settings))
    decider, tokens = _build_access(settings, db, recorder, counted)
    looks = store_checks.StoreChecks(worker_parts.stores, settings.storage.look_s, decider.grants)
    resuming = resume.ResumeService(db, ledger, policy, online, looks, decider.check)
    pictures = _build_pictures(settings)
    ground = (db, ledger, policy, online, looks)
    sent = uploads.UploadFolder(worker_parts.stores, *derived_settings.upload_folder(settings.storage))
    operations_service = operations.Operations(db, ledger, served, resuming, worker_parts.plans.sweep_soon)
    dispatcher = dispatch.Dispatcher(
        {
            "google.cloud.automl.v1.AutoMl": automl.AutoMl(*ground, uploads=sent),
            "google.cloud.automl.v1.PredictionService": prediction.PredictionService(*ground, decider.check),
            "google.longrunning.Operations": operations_service,
            "google.cloud.location.Locations": locations.Locations(served),
            "google.iam.v1.IAMPolicy": iam.IamPolicy(db, decider, served),
            "google.iam.credentials.v1.IAMCredentials": iam_credentials.IamCredentials(
                None if tokens is None else tokens.impersonation, iam_credentials_pb.GenerateAccessTokenResponse
            ),
            "boxwright.v1.Curation": _build_curation(worker_parts, pictures, sent, (*ground, decider.check)),
        },
        decider,
        planned=(),
        recorder=recorder,
        quotas=counted,
    )
    follower = DeploymentFollower(db, online)
    return ServiceParts(worker_parts, online, follower, pictures, dispatcher, operations_service, tokens)


def _build_curation(
    worker_parts: WorkerParts, pictures: builder.PictureBuilder, sent: uploads.UploadFolder, ground: tuple[Any, ...]
) -> curation_service.CurationService:
    """The service of our own; `ground` is what `Resources` needs."""
    stores = worker_parts.stores
    return curation_service.CurationService(
        *ground,
        pictures=image_pictures.ImagePictures(pictures, stores),
        uploads=sent,
        judged=outcome_cache.OutcomeCache(worker_parts.folders.local),
    )


def _build_pictures(settings: Settings) -> builder.PictureBuilder:
    """Who makes pictures: no more at once than there are cores, and threads that ask."""
    count = min(settings.server.decoding_threads, settings.operations.cores)
    kept = cache.PictureCache(settings.storage.data_dir / "pictures", settings.storage.picture_cache_bytes)
    return builder.PictureBuilder(decoders.DecoderProcesses(count, settings.batch.image_timeout_s), kept)
