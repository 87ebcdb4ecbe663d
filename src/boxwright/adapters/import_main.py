"""The importing process: `python -m boxwright.adapters.import_main FOLDER`, on a job's folder.

    {"event": "progress", "percent", "stage", "facts"}
    {"event": "done", "warnings"}          last, exit 0; the model lies in FOLDER/model
    {"event": "refused", "message"}        last, exit 1: the file is not taken
    {"event": "failed", "message"}         last, exit 1: a fault of this machine or program

It reads a file that may be hostile, so it has no secrets, reads nothing but its folder, and may use no more memory, time and
room for files than its job says. The end of standard input means that the parent is gone and ends it at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import resource
import sys
import threading
from typing import Any, TextIO

from boxwright import faults, processes
from boxwright.adapters.job import ImportJob

EXIT_FAILED = 1
EXIT_ORPHANED = 4
FILE_BYTES = 5_000_000_000  # of one file that is written: a network with its nodes
OOM_SCORE = "500"  # of 1000, added to the share of memory: the kernel ends this process before the service
MEMORY = "memory"


def _limit(job: ImportJob) -> None:
    seconds = max(1, round(job.timeout_s * job.threads))
    for which, most in (
        (resource.RLIMIT_DATA, job.memory_bytes),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(which)[1]
        wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(which, (wanted, wanted))
    with contextlib.suppress(OSError):
        pathlib.Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)


def _work(folder: pathlib.Path, channel: TextIO) -> dict[str, Any]:
    job = ImportJob.read(folder)
    _limit(job)
    from boxwright.adapters import model_making, source

    def tell(percent: int, stage: str, facts: dict[str, Any]) -> None:
        event = {"event": "progress", "percent": percent, "stage": stage, "facts": facts}
        channel.write(json.dumps(event, ensure_ascii=False) + "\n")
        channel.flush()

    faults.point("adapters.before_making")
    try:
        warnings = model_making.make(folder, job, tell)
    except source.Refused as refusal:
        return {"event": "refused", "message": str(refusal)}
    except MemoryError:
        return {"event": "refused", "message": MEMORY}
    except RuntimeError as error:
        if "bad_alloc" in str(error) or "allocate" in str(error):
            return {"event": "refused", "message": MEMORY}
        raise
    return {"event": "done", "warnings": warnings}


def _watch_parent() -> None:
    sys.stdin.read()
    os._exit(EXIT_ORPHANED)


def main() -> int:
    """Does the job of the folder that the command line names; returns the exit code."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # nothing but events reaches the parent
    threading.Thread(target=_watch_parent, daemon=True).start()
    try:
        event = _work(pathlib.Path(sys.argv[1]), channel)
    except Exception as error:  # the parent says it, whatever it is
        text = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        event = {"event": "failed", "message": str(text)[:2000]}
    channel.write(json.dumps(event, ensure_ascii=False) + "\n")
    channel.flush()
    return 0 if event["event"] == "done" else EXIT_FAILED


if __name__ == "__main__":
    processes.end_quickly()
    _code = main()
    sys.stderr.flush()
    os._exit(_code)  # native runtimes must not delay or spoil the end with their clean-up
