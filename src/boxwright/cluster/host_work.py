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
from boxwright.batch.inputs import member_files
from boxwright.batch.job import BatchJob
from boxwright.batch.output.shard_reports import ShardReport
from boxwright.batch.output.sink import Sink
from boxwright.batch.segments import Item, Segment
from boxwright.cluster import numeric
from boxwright.cluster.host_answers import OpenAnswer, ShardAnswer
from boxwright.inference.model_folder import ModelError
from boxwright.inference.model_store import FETCHING, ModelFolders

MOST_LINES = 50


class HostWork:
    """See `Host`."""

    def __init__(self, cache_dir: str, cache_bytes: int) -> None:
        self._cache_dir, self._cache_bytes = cache_dir, cache_bytes
        self._models, self._peers = LoadedModels(), PeerPool()
        self._stopping = threading.Event()
        self._lines = _Lines()
        logging.getLogger().addHandler(self._lines)

    def open(self, job: str, node: str) -> OpenAnswer:
        """See `Host.open`."""
        self._given = BatchJob.from_json(job)
        self._stores = objects.Stores.from_config(self._given.folders.stores).enduring(self._stopping.is_set)
        self._notes = temporary.TemporaryFolder("host")  # convictions are a job's
        self._stopping.clear()
        try:
            folders = dataclasses.replace(self._given.folders, model=str(self._model()), notes=str(self._notes.path))
            self._job = dataclasses.replace(self._given, folders=folders)
            predictor = self._models.for_job(self._job.of_one_process())
        except errors.ApiError as error:
            return OpenAnswer(node, error=error.status.SerializeToString())
        return OpenAnswer(node, numeric.class_of(predictor, self._job.spec.precision))

    def predict(
        self, shard: int, items: list[tuple[str, str | None]], convicted: Mapping[str, tuple[int, str]]
    ) -> ShardAnswer:
        """See `Host.predict`."""
        started_s = time.monotonic()
        self._convict(convicted)
        found: list[tuple[str, str, bool]] = []
        segment = Segment(shard, [Item(image_id, failure) for image_id, failure in items])
        uses = objects.BucketUses(lambda use: found.append((use.bucket, use.permission, use.is_allowed)))
        stores = self._stores.observed(uses.note)
        totals: dict[str, float] = {}
        report, failure = None, b""
        try:
            with opening.opened(
                self._job, self._models, self._peers, stores, HostSink(self._job.spec, stores)
            ) as engine:
                report = next(iter(engine.run(OneSegment(segment), self._stopping.is_set)), None)
                totals = engine.stage_s() | engine.amounts()
        except errors.ApiError as error:
            failure = error.status.SerializeToString()
        return ShardAnswer(
            None if report is None else dataclasses.asdict(report),
            failure, totals, found, self._lines.taken(), time.monotonic() - started_s,
        )  # fmt: skip

    def try_image(self, image_id: str) -> None:
        """See `Host.try_image`."""
        with opening.alone(self._job, self._models, self._stores) as pipeline:
            pipeline.run(image_id, member_files.left_by(self._job.folders.notes, image_id))

    def stop(self) -> None:
        """See `Host.stop`."""
        self._stopping.set()

    def _convict(self, convicted: Mapping[str, tuple[int, str]]) -> None:
        kept = Convictions(self._notes.path)
        for image_id in convicted.keys() - kept.read().keys():
            code, text = convicted[image_id]
            kept.add(image_id, status_pb2.Status(code=code, message=text))

    def _model(self) -> pathlib.Path:
        """The model's folder on this node."""
        given = pathlib.Path(self._given.folders.model)
        if not self._cache_dir:
            return given
        cache = pathlib.Path(self._cache_dir)
        cache.mkdir(parents=True, exist_ok=True)
        try:
            folder = ModelFolders(cache, self._stores).local(given.name)
        except ModelError as error:
            raise errors.failed_precondition(f"The model cannot be loaded: {error}") from error
        if not folder.is_dir():
            raise errors.failed_precondition(
                f"The model {given.name} is not on this node: without state_uri, models_dir of all nodes has to be the same."
            )
        (folder / USED_FILE).touch()
        _trim(cache, self._cache_bytes, folder)
        return folder


USED_FILE = ".used"  # when a model was used last


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


def _trim(cache: pathlib.Path, most_bytes: int, kept: pathlib.Path) -> None:
    """Deletes the models that were used longest ago, but for one, until the rest takes no more than so much."""
    folders = [folder for folder in cache.iterdir() if folder.is_dir() and FETCHING not in folder.name]
    sizes = {folder: sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) for folder in folders}
    for folder in sorted(folders, key=_used_s):
        if sum(sizes.values()) <= most_bytes:
            return
        if folder != kept:
            del sizes[folder]
            shutil.rmtree(folder, ignore_errors=True)  # who has it open keeps what is open


def _used_s(folder: pathlib.Path) -> float:
    try:
        return (folder / USED_FILE).stat().st_mtime
    except OSError:
        return 0.0
