"""A service set up by `boxwright access start` alone, and client programs with nothing but what that prints."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shlex
import subprocess
from collections.abc import Iterator

from tests.support.machine.ports import free_port
from tests.support.services import tls_process
from tests.support.services.env_service import CLI, EnvService
from tests.support.services.tls_process import clean_environment

from boxwright.processes import NICENESS_VARIABLE


def administer(service: EnvService, *words: str) -> str:
    """Runs a command on the service's database; returns what it prints."""
    return command_line(*words, "--data-dir", str(service.data_dir))


def command_line(*words: str) -> str:
    """Runs a command that must succeed; returns what it prints."""
    done = subprocess.run([*CLI, *words], env=clean_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout.strip()


@contextlib.contextmanager
def run_started_service(
    folder: pathlib.Path, *, works: bool = False, host: str = "", **settings: str
) -> Iterator[EnvService]:
    """Makes the first account, then runs the service as the command says, until the end of the block.

    Args:
        works: whether operations are worked on.
        host: one more name for the certificate.
        settings: variables without their prefix, in small letters.
    """
    ports = free_port(), free_port()
    (folder / "buckets").mkdir(exist_ok=True)
    flags = ["--port", str(ports[0]), "--grpc-port", str(ports[1]), "--out", str(folder / "client")]
    data = ["--data-dir", str(folder / "data")]
    named = ["--host", host] if host else []
    exports = command_line("access", "start", "--project", "demo", "--bucket", "b", *named, *flags, *data)
    without = command_line("client-env", "--account", "owner", "--no-universe", *flags, *data)
    service = EnvService(folder, *ports, exports, without)
    (advice,) = (line for line in exports.splitlines() if "boxwright serve" in line)
    command = [*CLI, *shlex.split(advice.removeprefix("#"))[1:], "--buckets", str(folder / "buckets")]
    command += [] if works else ["--no-worker"]
    own = {**clean_environment(), NICENESS_VARIABLE: os.environ[NICENESS_VARIABLE]}
    own |= {f"BOXWRIGHT_{name.upper()}": value for name, value in settings.items()}
    with tls_process.running(command, service.url, service.authority, folder / "service.log", own):
        yield service
