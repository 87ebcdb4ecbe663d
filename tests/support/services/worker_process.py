"""A real `boxwright worker` on a service's files."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import subprocess
import sys

from tests.support.machine.waiting import PATIENCE_S, wait_until

from boxwright.processes import NICENESS_VARIABLE


@dataclasses.dataclass
class WorkerProcess:
    """A running worker; `log` is what it wrote to standard output and error."""

    process: subprocess.Popen[bytes]
    log: pathlib.Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        """Ends it as a power cut would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Asks it to end, waits, and returns the exit status."""
        self.process.terminate()
        return self.process.wait(PATIENCE_S)


def start(
    data_dir: pathlib.Path, buckets: pathlib.Path, log: pathlib.Path, environment: dict[str, str]
) -> WorkerProcess:
    """Starts a worker and waits until it is ready."""
    command = [sys.executable, "-m", "boxwright.cli", "worker", "--data-dir", str(data_dir), "--buckets", str(buckets)]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BOXWRIGHT_")}
    inherited |= {"BOXWRIGHT_TUNE": "false", NICENESS_VARIABLE: os.environ[NICENESS_VARIABLE]}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=inherited | environment
        )
    wait_until(lambda: b"worker is ready" in log.read_bytes(), "the worker to be ready")
    return WorkerProcess(process, log)
