"""An engine made ready for a job: its model loaded, its peers started, its images watched.

with opened(job, models, peers, stores, sink) as engine: …
with alone(job, models, stores) as pipeline: …              one process, no shards: for a trial
"""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator

from boxwright import objects
from boxwright.batch.engine import in_flight
from boxwright.batch.engine.engine import MachineEngine, image_threads
from boxwright.batch.engine.loaded_models import LoadedModels
from boxwright.batch.engine.peer_pool import PeerPool
from boxwright.batch.engine.pipeline import ImagePipeline
from boxwright.batch.engine.shard_assembler import ShardSink
from boxwright.batch.job import BatchJob, MachineShare
from boxwright.batch.reuse.opening import OpenedBase
from boxwright.inference import model_folder, runtime_selection


@contextlib.contextmanager
def opened(
    job: BatchJob,
    models: LoadedModels,
    peers: PeerPool,
    stores: objects.Stores,
    sink: ShardSink,
    base: OpenedBase | None = None,
) -> Iterator[MachineEngine]:
    """The engine for a job, on peers too if these are of use.

    Raises:
        ApiError: the model cannot be loaded.
    """
    with_peers = has_peers(job.share, job.folders.model, job.spec.precision)
    part = job.of_one_process() if with_peers else job
    peers.gather(job.share.process_count - 1 if with_peers else 0)  # first: they start while the model is loaded here
    predictor = models.for_job(part)
    threads = image_threads(part.share, predictor)
    with in_flight.watching(job.folders.notes, threads, job.spec.image_timeout_s) as journal:
        yield MachineEngine(
            job, stores, predictor, sink, journal=journal, peers=peers if with_peers else None, base=base
        )


@contextlib.contextmanager
def alone(job: BatchJob, models: LoadedModels, stores: objects.Stores) -> Iterator[ImagePipeline]:
    """The pipeline of a job in this process alone.

    Raises:
        ApiError: the model cannot be loaded.
    """
    predictor = models.for_job(job)
    threads = image_threads(job.share, predictor)
    with in_flight.watching(job.folders.notes, threads, job.spec.image_timeout_s) as journal:
        yield ImagePipeline(job.spec, stores, predictor, journal)


def has_peers(share: MachineShare, folder: str, precision: str | None) -> bool:
    """Whether several processes do the work, and not one alone: a GPU is fed by one.

    Args:
        share: of all processes together.
        folder: the model's.
        precision: of the network; None for the one that the model has chosen.
    """
    if share.process_count == 1:
        return False
    try:
        info = model_folder.ModelInfo.read(pathlib.Path(folder))
    except model_folder.ModelError:
        return True  # said when it is opened
    return not runtime_selection.is_for_a_gpu(info.is_onnx(precision or info.precision), share.runtime)
