"""The work of a host: the engine of one machine, for one shard after the other."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import pathlib
import shutil
import threading
import time
from collections.abc import Iterator, Mapping

from google.rpc import status_pb2

from boxwright import errors, objects, temporary
from boxwright.batch.engine import opening
from boxwright.batch.engine.convictions import Convictions
from boxwright.batch.engine.loaded_models import LoadedModels
from boxwright.batch.engine.peer_pool import PeerPool
from boxwright.batch.job import BatchJob
from boxwright.batch.output.shard_reports import ShardReport
from boxwright.batch.output.sink import Sink
from boxwright.batch.segments import Item, Segment
from boxwright.cluster import member_packs, numeric
from boxwright.cluster.host_answers import HandedItem, OpenAnswer, ShardAnswer
from boxwright.inference.model_folder import ModelError, ModelInfo
from boxwright.inference.model_store import FETCHING, ModelFolders

MOST_LINES = 50
USED_FILE = ".used"  # when a model was used last


@dataclasses.dataclass(frozen=True)
class _OpenJob:
    """A job that this host works for.

    Attributes:
        job: with this node's folders.
        stores: where its images are.
        notes: a folder of its own: convictions are a job's.
        stopping: whether its shards are to end early.
    """

    job: BatchJob
    stores: objects.Stores
    notes: temporary.TemporaryFolder
    stopping: threading.Event


class HostWork:
    """See `Host`."""

    def __init__(self, cache_dir: str, cache_bytes: int) -> None:
        self._cache_dir, self._cache_bytes = cache_dir, cache_bytes
        self._models, self._peers = LoadedModels(), PeerPool()
        self._jobs: dict[str, _OpenJob] = {}
        self._lines = _Lines()
        logging.getLogger().addHandler(self._lines)

    def open(self, key: str, job: str, node: str) -> OpenAnswer:
        """See `Host.open`."""
        given, stopping = BatchJob.from_json(job), threading.Event()
        stores = objects.Stores.from_config(given.folders.stores).enduring(stopping.is_set)
        notes = temporary.TemporaryFolder("host")
        try:
            model = self._model(given, stores)
            self._trim(model)
            folders = dataclasses.replace(given.folders, model=str(model), notes=str(notes.path))
            own = dataclasses.replace(given, folders=folders)
            predictor = self._models.for_job(own.of_one_process())
            found = numeric.class_of(predictor, own.spec.precision)
            digest = numeric.policy_digest(own.spec, ModelInfo.read(model), found)
        except errors.ApiError as error:
            notes.close()
            return OpenAnswer(node, error=error.status.SerializeToString())
        own = dataclasses.replace(own, spec=dataclasses.replace(own.spec, policy_digest=digest))
        self._jobs[key] = _OpenJob(own, stores, notes, stopping)
        return OpenAnswer(node, found)

    def forget(self, key: str) -> None:
        """See `Host.forget`."""
        found = self._jobs.pop(key, None)
        if found is not None:
            found.notes.close()

    def predict(
        self, key: str, shard: int, items: list[HandedItem], convicted: Mapping[str, tuple[int, str]]
    ) -> ShardAnswer:
        """See `Host.predict`."""
        started_s = time.monotonic()
        own = self._jobs[key]
        _convict(own, convicted)
        found: list[tuple[str, str, bool]] = []
        uses = objects.BucketUses(lambda use: found.append((use.bucket, use.permission, use.is_allowed)))
        stores = own.stores.observed(uses.note)
        totals: dict[str, float] = {}
        report, failure = None, b""
        try:
            self._model(own.job, own.stores)
            own_items = member_packs.fetched(own.stores, [Item(*item) for item in items], own.notes.path)
            with opening.opened(own.job, self._models, self._peers, stores, HostSink(own.job.spec, stores)) as engine:
                report = next(iter(engine.run(OneSegment(Segment(shard, own_items)), own.stopping.is_set)), None)
                totals = engine.stage_s() | engine.amounts()
            member_packs.removed(own_items)
        except errors.ApiError as error:
            failure = error.status.SerializeToString()
        return ShardAnswer(
            None if report is None else dataclasses.asdict(report),
            failure, totals, found, self._lines.taken(), time.monotonic() - started_s,
        )  # fmt: skip

    def try_image(self, key: str, item: HandedItem) -> None:
        """See `Host.try_image`."""
        own = self._jobs[key]
        (found,) = member_packs.fetched(own.stores, [Item(*item)], own.notes.path)
        with opening.alone(own.job, self._models, own.stores) as pipeline:
            pipeline.run(found.id, found.held)
        member_packs.removed([found])

    def stop(self, key: str) -> None:
        """See `Host.stop`."""
        if key in self._jobs:
            self._jobs[key].stopping.set()

    def _model(self, job: BatchJob, stores: objects.Stores) -> pathlib.Path:
        """The folder of a job's model on this node; fetched, if it is not there (any more)."""
        given = pathlib.Path(job.folders.model)
        if not self._cache_dir:
            return given
        cache = pathlib.Path(self._cache_dir)
        cache.mkdir(parents=True, exist_ok=True)
        try:
            folder = ModelFolders(cache, stores).local(given.name)
        except ModelError as error:
            raise errors.failed_precondition(f"The model cannot be loaded: {error}") from error
        if not folder.is_dir():
            raise errors.failed_precondition(
                f"The model {given.name} is not on this node: without state_uri, models_dir of all nodes has to be the same."
            )
        (folder / USED_FILE).touch()
        return folder

    def _trim(self, newest: pathlib.Path) -> None:
        """Deletes the models that were used longest ago, but for those of jobs of this host, until there is room."""
        if not self._cache_dir:
            return
        kept = {newest, *(pathlib.Path(own.job.folders.model) for own in self._jobs.values())}
        cache = pathlib.Path(self._cache_dir)
        folders = [folder for folder in cache.iterdir() if folder.is_dir() and FETCHING not in folder.name]
        sizes = {folder: _size_bytes(folder) for folder in folders}
        for folder in sorted(folders, key=_used_s):
            if sum(sizes.values()) <= self._cache_bytes:
                return
            if folder not in kept:
                del sizes[folder]
                shutil.rmtree(folder, ignore_errors=True)  # who has it open keeps what is open


class HostSink(Sink):
    """Puts shards, and counts nothing: the driver has looked which are there, and counts by the reports."""

    def committed(self, shard: int) -> ShardReport | None:
        """Nothing: what is handed over is to be done."""
        return None

    def count(self, report: ShardReport) -> None:
        """See the class."""


class OneSegment:
    """A plan of one shard."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment

    def segments(self) -> Iterator[Segment]:
        """See `Segments`."""
        yield self._segment

    def stop(self) -> None:
        """See `Segments`; it never waits."""


def _convict(own: _OpenJob, convicted: Mapping[str, tuple[int, str]]) -> None:
    """Tells a job's engine which images to leave out."""
    kept = Convictions(own.notes.path)
    for image_id in convicted.keys() - kept.read().keys():
        code, text = convicted[image_id]
        kept.add(image_id, status_pb2.Status(code=code, message=text))


class _Lines(logging.Handler):
    """Keeps the last warnings of the log until they are taken."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._kept: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(Exception):  # a line that cannot be made is none
            self._kept = [*self._kept, self.format(record)][-MOST_LINES:]

    def taken(self) -> list[str]:
        kept, self._kept = self._kept, []
        return kept


def _used_s(folder: pathlib.Path) -> float:
    try:
        return (folder / USED_FILE).stat().st_mtime
    except OSError:
        return 0.0


def _size_bytes(folder: pathlib.Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
