"""Times a model with several numbers of processes: ``python -m boxwright.batch.tuning.measure_main FOLDER LIMITS…``.

One `TuningCommand` as a line of JSON on standard input names the network and the cores. What is timed, with several
numbers of processes, is the whole engine over images drawn here, from the file to the shard, in FOLDER. The other
arguments are the `MeasurementLimits`. Events on standard output:

    {"event": "measured", "processes", "threads", "images_per_s"}     one candidate, most processes first
    {"event": "over"}                                                 there are no more, or there is no more time

It ends when its input ends, and takes FOLDER along.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import logging
import os
import pathlib
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from PIL import Image

from boxwright import errors, machine, objects, processes
from boxwright.batch.engine import opening
from boxwright.batch.engine.engine import MachineEngine
from boxwright.batch.engine.loaded_models import LoadedModels
from boxwright.batch.engine.peer_pool import PeerPool
from boxwright.batch.events import Events
from boxwright.batch.job import BatchJob, BatchSpec, JobFolders
from boxwright.batch.output.sink import Sink
from boxwright.batch.segments import Item, Segment
from boxwright.batch.tuning import tuning_file
from boxwright.batch.tuning.command import TuningCommand
from boxwright.batch.tuning.tuning_file import MeasurementLimits
from boxwright.inference.model_folder import ModelInfo

LEAST_WINDOW_S = 0.5  # of a candidate that was late to be warm; shorter ones say nothing
WARM_UP_S = 0.3  # from the moment when every process has predicted something
IMAGES = 36
IMAGE_HW = (480, 640)
SHARD_IMAGES = 100
SCORE_THRESHOLD, MAX_BOXES = 0.5, 100  # what most batches ask for
BUCKET = "tuning"
REMOVALS = 100

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Rate:
    """What one candidate gave.

    Attributes:
        images_per_s: images a second.
        cores_used: processor time of all its processes, in seconds per second.
    """

    images_per_s: float
    cores_used: float


def measure(
    job: BatchJob, images: list[str], models: LoadedModels, peers: PeerPool, until_s: float, window_s: float
) -> Rate | None:
    """How fast a job is that never ends; None if it was not well under way in time.

    Args:
        job: the model, and the number of processes to measure.
        images: what to predict, over and over.
        models: the models of this process.
        peers: the other processes.
        until_s: when to end at the latest, on the monotonic clock.
        window_s: how long to measure once it is warm.
    """
    stores = objects.Stores.from_config(job.folders.stores)
    with opening.opened(job, models, peers, stores, Sink(job.spec, stores)) as engine:
        clock = _Clock(engine, job.share.process_count, until_s, window_s, lambda: _cpu_s(peers.pids))
        for _ in engine.run(_EndlessPlan(images), clock.is_over):
            pass
    return clock.rate


def measure_candidates(
    command: TuningCommand,
    folder: pathlib.Path,
    counts: list[int],
    until_s: float,
    limits: MeasurementLimits,
    events: Events,
) -> None:
    """Measures one number of processes after the other, on images drawn into the folder, and says what each gave.

    Ends if the first, which can use every core, is not measured or did not get its cores: with nothing to compare it to, a
    smaller number could only be chosen by accident.
    """
    images, models, peers = draw(folder), LoadedModels(), PeerPool()
    try:
        for position, count in enumerate(counts):
            job = job_in(folder, command, count)
            now_s = time.monotonic()
            share = len(counts) - position if position else 1  # the first, whose processes have to start, may take all
            rate = measure(job, images, models, peers, now_s + (until_s - now_s) / share, limits.window_s)
            threads = job.of_one_process().share.cores
            if position == 0 and (rate is None or rate.cores_used < limits.cores_share * count * threads):
                log.info("event=tuning_disturbed processes=%d rate=%s", count, rate)
                return
            if rate is not None:
                events.say("measured", processes=count, threads=threads, images_per_s=round(rate.images_per_s, 1))
    finally:
        peers.close()


def job_in(folder: pathlib.Path, command: TuningCommand, processes: int) -> BatchJob:
    """A job with this network and so many processes, on images in the folder, with results that nobody reads."""
    stores = objects.Stores(folder / "buckets", folder / "state")
    spec = BatchSpec(
        input_uris=[],  # the plan is endless
        output_directory=f"gs://{BUCKET}/results-{processes}",
        scratch=str(stores.state(f"operations/tuning-{processes}")),
        score_threshold=SCORE_THRESHOLD,
        max_boxes=MAX_BOXES,
        shard_images=SHARD_IMAGES,
        row_failure_limit=0.0,
        precision=command.precision,
        kind=ModelInfo.read(pathlib.Path(command.model_folder)).kind,
    )
    # of memory for models, what the present candidate's takes
    share = dataclasses.replace(command.share, processes=processes, models_bytes=1)
    return BatchJob(spec, JobFolders(command.model_folder, stores.to_config()), share)


def draw(folder: pathlib.Path) -> list[str]:
    """Writes VGA photographs of nothing; returns their URIs."""
    (folder / "buckets" / BUCKET).mkdir(parents=True)
    random = np.random.default_rng(0)
    height, width = IMAGE_HW
    uris = []
    for number in range(IMAGES):
        coarse = random.integers(0, 256, (12, 16, 3), np.uint8)  # soft patches, and grain on them as a camera has it
        smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), np.int16)
        pixels = np.clip(smooth + random.integers(-8, 9, smooth.shape, np.int16), 0, 255).astype(np.uint8)
        target = io.BytesIO()
        Image.fromarray(pixels).save(target, "JPEG", quality=85)
        (folder / "buckets" / BUCKET / f"{number}.jpg").write_bytes(target.getvalue())
        uris.append(f"gs://{BUCKET}/{number}.jpg")
    return uris


class _EndlessPlan:
    """The same images again and again."""

    def __init__(self, images: list[str]) -> None:
        self._items = itertools.cycle([Item(image) for image in images])

    def segments(self) -> Iterator[Segment]:
        for shard in itertools.count(1):
            yield Segment(shard, list(itertools.islice(self._items, SHARD_IMAGES)))

    def stop(self) -> None:
        """It never waits."""


class _Clock:
    """Says when a candidate has run for long enough, and how fast it was from the end of its warm-up on."""

    def __init__(
        self, engine: MachineEngine, processes: int, until_s: float, window_s: float, cpu_s: Callable[[], float]
    ) -> None:
        self._cpu_s = cpu_s
        self._engine = engine
        self._processes = processes
        self._until_s = until_s
        self._window_s = window_s
        self._warm_at_s: float | None = None
        self._first: tuple[float, int, float] | None = None  # time, images, processor time
        self._last = (0.0, 0, 0.0)

    def is_over(self) -> bool:
        """Looks at the engine; the engine asks ten times a second or more."""
        self._last = now_s, done, _ = time.monotonic(), self._engine.counts.images_done, self._cpu_s()
        if self._warm_at_s is None and done and self._engine.processes_heard == self._processes:
            self._warm_at_s = now_s + WARM_UP_S
        if self._first is None and self._warm_at_s is not None and now_s >= self._warm_at_s:
            self._first = self._last
        return now_s >= self._until_s or (self._first is not None and now_s - self._first[0] >= self._window_s)

    @property
    def rate(self) -> Rate | None:
        """None if there was no time for a measurement."""
        if self._first is None or self._last[0] - self._first[0] < LEAST_WINDOW_S:
            return None
        seconds, images, cpu_s = (last - first for last, first in zip(self._last, self._first, strict=True))
        return Rate(images / seconds, cpu_s / seconds)


def _cpu_s(pids: Sequence[int]) -> float:
    """Processor time of this process and others; what has ended meanwhile counts nothing."""
    total_s = time.process_time()
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total_s += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total_s


def _end_with_input(folder: pathlib.Path, is_ending: threading.Event) -> None:
    while sys.stdin.readline():
        pass
    is_ending.set()
    for _ in range(REMOVALS):
        shutil.rmtree(folder, ignore_errors=True)  # files may be written behind its back until the first folder is gone
        if not folder.exists():
            break
    os._exit(0)  # peers end when this process does


def main() -> None:
    """Measures one model."""
    started_s = time.monotonic()
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    folder, events = pathlib.Path(sys.argv[1]), Events()
    limits = MeasurementLimits.from_arguments(sys.argv[2:])
    command = TuningCommand.from_json(sys.stdin.readline())
    is_ending = threading.Event()
    threading.Thread(target=_end_with_input, args=(folder, is_ending), name="input", daemon=True).start()
    counts = tuning_file.candidates(command.share.cores, machine.usable_memory_bytes())
    if len(counts) > 1 and opening.has_peers(command.share, command.model_folder, command.precision):
        try:
            measure_candidates(command, folder, counts, started_s + limits.time_s, limits, events)
        except errors.ApiError as error:
            log.warning("event=tuning_failed reason=%s", error.message)
        except OSError:
            if is_ending.is_set():  # the folder goes away: this is the other thread's doing, which ends the process
                threading.Event().wait()
            raise
    events.say("over")


if __name__ == "__main__":
    processes.end_quickly()
    main()
