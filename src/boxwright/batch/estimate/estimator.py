"""The estimate of a job: its inputs surveyed, a sample looked for and tried, and what follows from that."""

from __future__ import annotations

import dataclasses
import pathlib
import threading
from collections.abc import Callable, Mapping
from typing import Any

from boxwright import errors, objects
from boxwright.batch.engine import stages
from boxwright.batch.engine.advice import JobFacts, advice
from boxwright.batch.engine.loaded_models import LoadedModels
from boxwright.batch.engine.peer_pool import PeerPool
from boxwright.batch.estimate import room, sentences, sightings, survey
from boxwright.batch.estimate.sightings import Sightings
from boxwright.batch.estimate.survey import Survey
from boxwright.batch.estimate.trial import Trial, TrialResult
from boxwright.batch.events import Events
from boxwright.batch.job import BatchJob
from boxwright.batch.reuse import opening as reuse_opening
from boxwright.inference.model_folder import ModelError, ModelInfo

FORMAT_VERSION = 1
FIXED_S = 0.1  # what every job takes beside its images: a lane, the plan, the manifest, the end
REUSED_S = 0.0001  # of an image whose results are taken over (benchmarks.batch.reuse)
LEAST_ERROR = 0.1  # of a time: a machine's pace is not the same from minute to minute
SAID_EVERY_S = 0.5


def run(job: BatchJob, models: LoadedModels, peers: PeerPool, events: Events, stop_requested: threading.Event) -> None:
    """Estimates one job and says so: the event ``estimated``, or ``stopped``.

    Raises:
        ApiError: with which the job itself would fail.
    """
    uses = objects.BucketUses(lambda use: events.say("bucket", **dataclasses.asdict(use)))
    stores = objects.Stores.from_config(job.folders.stores).enduring(stop_requested.is_set).observed(uses.note)
    said = _Said(events)
    try:
        found = _estimate(job, models, peers, stores, stop_requested.is_set, said)
    finally:
        said.end()
    if stop_requested.is_set():
        events.say("stopped")
    else:
        events.say("estimated", **found)


def _estimate(
    job: BatchJob,
    models: LoadedModels,
    peers: PeerPool,
    stores: objects.Stores,
    should_stop: Callable[[], bool],
    said: _Said,
) -> dict[str, Any]:
    said.begin("reading the inputs")
    with survey.taken(job, stores, should_stop, said.note) as listed:
        said.begin("looking for images")
        seen = sightings.look(stores, listed.sample, should_stop)
        said.begin("looking for former results")
        reuse = _reuse(job, stores, seen)
        said.begin("predicting a sample")
        alone = dataclasses.replace(job, spec=dataclasses.replace(job.spec, base="", only_new=False))
        tried = Trial(alone, models, peers, stores, should_stop).run(seen.seen, listed.images)
    output = objects.ObjectUri.parse(job.spec.output_directory)
    return {
        "estimate": _document(job, listed, seen, tried, reuse, room.free_bytes(stores, output)),
        "row_failures": [[status.code, status.message] for status in listed.row_failures],
    }


def _reuse(job: BatchJob, stores: objects.Stores, seen: Sightings) -> dict[str, Any]:
    """Which share of the sample has the version that the job's base has, or why there is no base; empty without `reuse`."""
    with reuse_opening.opened(job, stores) as base:
        if base.results is None:
            return {"reuse": f"nothing is taken over: {base.reason}"} if base.reason else {}
        items = [one.item for one in seen.looked_at if one.error is None]
        known = sum(row is not None for row in base.known(items))
        return {"reused_share": round(known / max(1, len(seen.looked_at)), 6)}


def _document(
    job: BatchJob,
    listed: Survey,
    seen: Sightings,
    tried: TrialResult,
    reuse: Mapping[str, Any],
    free_bytes: int | None,
) -> dict[str, Any]:
    """The estimate as ``estimate.json`` has it, without what only the service knows."""
    images = listed.images
    limit = stages.bottleneck(tried.stage_s, {}) if tried.stage_s else ""
    facts = JobFacts(tried.seconds, tried.stage_s, tried.amounts, _precision(job), job.share.cores)
    seconds, low_s, high_s = expected_s(listed, tried, reuse.get("reused_share", 0.0))
    per_image = images / max(1, tried.counted)
    written = {kind: round(made * per_image) for kind, made in sorted(tried.sidecar_bytes.items())}
    answer: dict[str, Any] = {
        "images": images,
        "seconds": round(seconds, 1),
        "seconds_low": round(low_s, 1),
        "seconds_high": round(high_s, 1),
        "cores": job.share.cores,
        "limited_by": limit,
        "advice": advice(limit, facts),
        **reuse,
        "jsonl_bytes": round(tried.jsonl_bytes * per_image),
        "candidates_bytes": written.pop("candidates", 0),
        **({"formats_bytes": written} if written else {}),
        **({} if free_bytes is None else {"free_bytes": free_bytes}),
    }
    document: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "model": job.spec.model,
        "input_uris": job.spec.input_uris,
        "lists": listed.as_json(),
        "objects": seen.as_json(images),
        "sample": _sample(tried, facts),
        "answer": answer,
    }
    document["warnings"] = sentences.warnings(document, job.spec.image_failure_limit)
    document["summary"] = sentences.summary(document)
    return document


def expected_s(listed: Survey, tried: TrialResult, reused_share: float = 0.0) -> tuple[float, float, float]:
    """Returns (seconds that the job takes from the moment that it begins, the least, the most).

    Args:
        listed: its inputs.
        tried: its sample.
        reused_share: of its images, whose results are taken over, [0, 1].
    """
    if tried.images == 0:
        return 0.0, 0.0, 0.0
    fixed_s = FIXED_S + listed.opening_s + REUSED_S * reused_share * listed.images
    if tried.is_whole:
        seconds = fixed_s + tried.seconds * (1 - reused_share)
        return seconds, seconds * (1 - LEAST_ERROR), seconds * (1 + LEAST_ERROR) + tried.start_s
    work_s = listed.images * (1 - reused_share) / tried.images_per_s
    error = min(0.9, max(LEAST_ERROR, tried.relative_error))
    begin_s = fixed_s + tried.ramp_s
    return begin_s + work_s, begin_s + work_s * (1 - error), begin_s + work_s * (1 + error) + tried.start_s


def _sample(tried: TrialResult, facts: JobFacts) -> dict[str, Any]:
    decoded = max(1.0, tried.amounts.get(stages.DECODED, 0))
    images = max(1, tried.images)
    return {
        "images": tried.images,
        "failed": tried.failed,
        "failed_share": round(tried.failed / images, 6),
        "first_failure": tried.first_failure,
        "seconds": round(tried.seconds, 3),
        "start_s": round(tried.start_s, 3),
        "images_per_s": round(tried.images_per_s, 2),
        "ms_per_image": {stage: round(1000 * spent_s / images, 3) for stage, spent_s in tried.stage_s.items()},
        "results_per_image": round(tried.results / max(1, tried.counted), 3),
        "megapixels": round(facts.megapixels, 3),
        "bytes_per_image": round(tried.amounts.get(stages.BYTES, 0) / decoded),
    }


def _precision(job: BatchJob) -> str:
    if job.spec.precision:
        return job.spec.precision
    try:
        return ModelInfo.read(pathlib.Path(job.folders.model)).precision
    except ModelError as error:
        raise errors.failed_precondition(f"The model cannot be loaded: {error}") from error


@dataclasses.dataclass
class _Stage:
    name: str = ""
    rows: int = 0


class _Said:
    """Says twice a second what is under way."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._now = _Stage()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="estimate")
        self._thread.start()

    def begin(self, stage: str) -> None:
        self._now.name = stage

    def note(self, rows: int) -> None:
        self._now.rows = rows

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(SAID_EVERY_S):
            self._events.say("estimating", stage=self._now.name, rows=self._now.rows)
