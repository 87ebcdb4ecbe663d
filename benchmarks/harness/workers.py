"""Child processes of a benchmark that answer tasks, one JSON object a line, in and out."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
from typing import Any

ROOT = pathlib.Path(__file__).parents[2]


def of_module(name: str) -> tuple[str, ...]:
    """The command that runs a module of the benchmarks."""
    return sys.executable, "-m", name


class Worker:
    """A child process; it is ready when the constructor returns.

    Args:
        command: what to run.
        log: gets its standard error.
    """

    def __init__(self, *command: str | pathlib.Path, log: pathlib.Path) -> None:
        self._log = log.open("a")
        self._process = subprocess.Popen(
            [str(part) for part in command],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self._receive()

    def send(self, **task: Any) -> None:
        """Gives a task, to be followed by `answer`."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a worker ended: {pathlib.Path(self._log.name).read_text()[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, **task: Any) -> dict[str, Any]:
        """Gives a task and waits for its answer; RuntimeError if the process has ended."""
        self.send(**task)
        return self._receive()

    def answer(self) -> dict[str, Any]:
        """Waits for the answer to what was sent."""
        return self._receive()

    def close(self) -> None:
        """Ends its input, and the process if it does not end then."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()
