"""The command line as a person uses it: a process of its own, pointed at a service."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import subprocess
import sys

TIMEOUT_S = 300.0
PROGRAM = [sys.executable, "-m", "boxwright.cli"]
FIELD = re.compile(r" *([^:\n]+): +(.*)")
LEFT_OUT = ("BOXWRIGHT_", "REQUESTS_CA", "CURL_CA", "SSL_CERT")


def fields(printed: str) -> dict[str, str]:
    """The ``key: value`` lines of what a command printed, whatever stands in which column; of equal keys the first."""
    found = [(match[1], match[2]) for line in printed.splitlines() if (match := FIELD.fullmatch(line))]
    return dict(reversed(found))


@dataclasses.dataclass(frozen=True)
class CommandLine:
    """Runs ``boxwright …``.

    Attributes:
        url: the service that it is pointed at.
    """

    url: str
    project: str = "demo"

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a command."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)}
        pointed = {"BOXWRIGHT_URL": self.url, "BOXWRIGHT_PROJECT": self.project, "BOXWRIGHT_TOKEN": "secret"}
        return inherited | pointed | more

    def __call__(
        self, *arguments: str | pathlib.Path, timeout_s: float = TIMEOUT_S, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end; its standard input is closed."""
        return subprocess.run(
            [*PROGRAM, *map(str, arguments)],
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=timeout_s,
            check=False,
        )

    def done(self, *arguments: str | pathlib.Path, status: int = 0, **environment: str) -> str:
        """Runs a command that must end with this status; returns its standard output."""
        ended = self(*arguments, timeout_s=TIMEOUT_S, **environment)
        assert ended.returncode == status, f"{arguments}: {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
        assert "Traceback" not in ended.stderr, ended.stderr
        return ended.stdout

    def begin(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Starts a command; its outputs are pipes, each line of which arrives at once."""
        return subprocess.Popen(
            [*PROGRAM, *arguments],
            env=self.environment(PYTHONUNBUFFERED="1", **environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
