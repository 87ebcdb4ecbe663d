"""Where the time of images goes: measures the stages of the engine in this process, from outside.

    clock = StageClock(); clock.attach(); …; clock.taken() -> {stage: (calls, wall s, CPU s)}

The network runs in threads of OpenVINO's own, so the CPU time of inference is that of the native threads of this process
(without those of the object store's client) and of the calls into it.
"""

from __future__ import annotations

import functools
import pathlib
import threading
import time
from collections.abc import Callable, Collection
from typing import Any

STAGES = ("fetch", "decode", "letterbox", "infer", "postprocess", "encode", "sink")
WORK = ("decode", "letterbox", "infer", "postprocess")  # what has to be done for an image, whoever does it
STORE_THREADS = "tokio"  # how the object store's client names its threads


class StageClock:
    """Sums wall and CPU time by stage, over all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sums: dict[str, list[float]] = {}
        self._python: set[int] = set()  # threads that called a stage: one may outlive its Thread object for a moment
        self.clear()

    def clear(self) -> None:
        """Starts anew."""
        with self._lock:
            self._sums = {stage: [0, 0.0, 0.0] for stage in STAGES}
            self._python.clear()
        self._native_before_s = native_cpu_s()

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, its time counted for a stage."""

        @functools.wraps(function)
        def measured(*arguments: Any, **named: Any) -> Any:
            wall_s, cpu_s = time.perf_counter(), time.thread_time()
            try:
                return function(*arguments, **named)
            finally:
                wall_s, cpu_s = time.perf_counter() - wall_s, time.thread_time() - cpu_s
                with self._lock:
                    self._python.add(threading.get_native_id())
                    sums = self._sums[stage]
                    sums[0] += 1
                    sums[1] += wall_s
                    sums[2] += cpu_s

        return measured

    def attach(self) -> None:
        """Measures every predictor, store and sink of this process from now on; once in a process."""
        from boxwright import objects
        from boxwright.batch.output import json_lines, sink
        from boxwright.images import decode
        from boxwright.inference import classification, loaded_model, predictor

        places: tuple[tuple[Any, str, str], ...] = (
            (objects.Stores, "get_with_version", "fetch"),
            (decode, "decode", "decode"),
            (loaded_model, "letterbox", "letterbox"),
            (loaded_model.LoadedModel, "infer", "infer"),
            (predictor.Predictor, "postprocess", "postprocess"),
            (classification.Classifier, "postprocess", "postprocess"),
            (json_lines, "success_line", "encode"),
            (sink.Sink, "commit", "sink"),
        )
        for owner, name, stage in places:
            setattr(owner, name, self.timed(stage, getattr(owner, name)))

    def taken(self) -> dict[str, tuple[int, float, float]]:
        """(calls, wall seconds, CPU seconds) by stage since the last `clear`."""
        with self._lock:
            native_s = native_cpu_s(self._python) - self._native_before_s
            found = {stage: (int(sums[0]), sums[1], sums[2]) for stage, sums in self._sums.items()}
        calls, wall_s, cpu_s = found["infer"]
        found["infer"] = (calls, wall_s, cpu_s + native_s)
        return found


def native_cpu_s(python: Collection[int] = ()) -> float:
    """CPU seconds of this process's native threads that live now, without those of the object store's client.

    Args:
        python: threads that are known to be Python's, beside those that are listed.
    """
    python = {*python, *(thread.native_id for thread in threading.enumerate() if thread.native_id is not None)}
    total_ns = 0
    for task in pathlib.Path("/proc/self/task").iterdir():
        if int(task.name) not in python and not (task / "comm").read_text().startswith(STORE_THREADS):
            total_ns += int((task / "schedstat").read_text().split()[0])
    return total_ns / 1e9
