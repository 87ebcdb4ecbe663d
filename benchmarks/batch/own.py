"""The product's own stages and engine as a child process of a benchmark: one JSON object a line, in and out.

    python -m benchmarks.batch.own bare MODEL_FOLDER CORE
        {"paths"} → {"decode_ms", "infer_ms", "postprocess_ms", "images", "seconds"}
    python -m benchmarks.batch.own engine MODEL_FOLDER SERVICE_FOLDER
        {"list", "name"} → {"images", "seconds", "cpu_s", "stages", "cores"}

    python -m benchmarks.batch.own member FD
        a process of the engine's team, see `boxwright.batch.engine.peer_pool`; its figures go to files

`bare` keeps to one core and times each stage alone: all images are decoded, then all go through the network, then all
through post-processing. With "together", it takes image after image through all three. `engine` runs whole jobs on all
cores without the service: list in, files out.
"""

from __future__ import annotations

import json
import os
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.batch import stage_clock
from boxwright import objects, temporary
from boxwright.batch.engine import peer_main
from boxwright.batch.engine.engine import MachineEngine
from boxwright.batch.engine.loaded_models import LoadedModels
from boxwright.batch.engine.peer_pool import PeerPool
from boxwright.batch.job import BatchJob, BatchSpec, JobFolders, MachineShare
from boxwright.batch.output.sink import Sink
from boxwright.batch.plan import Plan
from boxwright.inference.model_opening import open_model

SCORE_THRESHOLD = 0.5  # what the API assumes when a call says nothing
MAX_BOXES = 100
SHARD_IMAGES = 500
FIGURES = "BENCHMARK_FIGURES"  # the folder in which members leave theirs
AT_ONCE = 64  # prepared images that are held in memory


def bare(model_folder: pathlib.Path, core: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Stages on one core; the images' bytes are in memory before the clock starts."""
    os.sched_setaffinity(0, {core})  # before the runtime starts threads
    predictor = open_model(model_folder, streams=1)

    def apart(paths: list[str]) -> dict[str, Any]:
        sums_s = [0.0, 0.0, 0.0]
        for start in range(0, len(paths), AT_ONCE):
            contents = [pathlib.Path(path).read_bytes() for path in paths[start : start + AT_ONCE]]
            marks = [time.perf_counter()]
            prepared = [predictor.prepare(content) for content in contents]
            marks.append(time.perf_counter())
            raw = [predictor.infer(one) for one in prepared]
            marks.append(time.perf_counter())
            for answer, one in zip(raw, prepared, strict=True):
                predictor.postprocess(answer, one, SCORE_THRESHOLD).keep(SCORE_THRESHOLD, MAX_BOXES)
            marks.append(time.perf_counter())
            sums_s = [total + marks[n + 1] - marks[n] for n, total in enumerate(sums_s)]
        each_ms = [total / len(paths) * 1e3 for total in sums_s]
        names = ("decode_ms", "infer_ms", "postprocess_ms")
        return {**dict(zip(names, each_ms, strict=True)), "images": len(paths), "seconds": sum(sums_s)}

    def together(paths: list[str]) -> dict[str, Any]:
        contents = [pathlib.Path(path).read_bytes() for path in paths]
        started_s = time.perf_counter()
        for content in contents:
            prepared = predictor.prepare(content)
            found = predictor.postprocess(predictor.infer(prepared), prepared, SCORE_THRESHOLD)
            found.keep(SCORE_THRESHOLD, MAX_BOXES)
        return {"images": len(paths), "seconds": time.perf_counter() - started_s}

    return lambda task: together(task["paths"]) if task.get("together") else apart(task["paths"])


def engine(model_folder: pathlib.Path, service_folder: pathlib.Path) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Whole jobs over the bucket of a service, with all cores: what the inference child does, without the service."""
    cores = len(os.sched_getaffinity(0))
    predictor = open_model(model_folder, streams=1)
    clock = stage_clock.StageClock()
    clock.attach()
    figures = temporary.TemporaryFolder("figures")
    os.environ[FIGURES] = str(figures.path)
    members = PeerPool(command=(sys.executable, "-m", "benchmarks.batch.own", "member"))
    members.gather(cores - 1)

    def run(task: dict[str, Any]) -> dict[str, Any]:
        stores = objects.Stores(service_folder / "buckets", service_folder / "state")
        spec = BatchSpec(
            input_uris=[task["list"]],
            output_directory=f"gs://{task['list'].split('/')[2]}/{task['name']}",
            scratch=str(stores.state(f"operations/{task['name']}")),
            score_threshold=SCORE_THRESHOLD,
            max_boxes=MAX_BOXES,
            shard_images=task.get("shard_images", SHARD_IMAGES),
            row_failure_limit=0.0,
            kind=predictor.info.kind,
        )
        job = BatchJob(spec, JobFolders(str(model_folder), stores.to_config()), MachineShare(cores))
        sink = Sink(spec, stores)
        clock.clear()
        cpu_before_s, started_s = time.process_time(), time.perf_counter()
        sink.prepare()
        plan = Plan(spec, stores)
        team = MachineEngine(job, stores, predictor, sink, peers=members)
        images = sum(report.predicted for report in team.run(plan, lambda: False))
        sink.close("SUCCEEDED", rows_read=plan.rows_read, duplicates=plan.duplicates, model_digest=predictor.digest)
        seconds, cpu_s = time.perf_counter() - started_s, time.process_time() - cpu_before_s
        stages = {stage: list(sums) for stage, sums in clock.taken().items()}
        for path in (figures.path / f"{task['name']}-{index}.json" for index in range(1, cores)):
            while not path.exists():  # written a moment after the job's end
                time.sleep(0.01)
            theirs = json.loads(path.read_text())
            cpu_s += theirs["cpu_s"]
            stages = {
                stage: [a + b for a, b in zip(stages[stage], theirs["stages"][stage], strict=True)] for stage in stages
            }
        return {"images": images, "seconds": seconds, "cpu_s": cpu_s, "stages": stages, "cores": cores}

    return run


def measured_member() -> None:
    """A member of the team whose stages are measured, job by job."""
    clock = stage_clock.StageClock()
    clock.attach()
    work = peer_main.work

    def measured(
        number: int, job: BatchJob, peer: int, models: LoadedModels, leader: peer_main.LeaderConnection
    ) -> None:
        clock.clear()
        cpu_before_s = time.process_time()
        work(number, job, peer, models, leader)
        found = {"cpu_s": time.process_time() - cpu_before_s, "stages": clock.taken()}
        path = pathlib.Path(os.environ[FIGURES], f"{job.spec.output_directory.rpartition('/')[2]}-{peer}.json")
        path.with_suffix(".part").write_text(json.dumps(found))
        path.with_suffix(".part").rename(path)

    peer_main.work = measured
    sys.argv = [sys.argv[0], sys.argv[2]]
    peer_main.main()


def main() -> None:
    """Opens the model, says so, then answers tasks until its input ends."""
    if sys.argv[1] == "member":
        measured_member()
    what, folder, argument = sys.argv[1:]
    model_folder = pathlib.Path(folder)
    answer = bare(model_folder, int(argument)) if what == "bare" else engine(model_folder, pathlib.Path(argument))
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
