"""A service started, and clients pointed at it, with nothing but what `boxwright client-env` prints."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from tests.support.machine.ports import free_port
from tests.support.machine.waiting import PATIENCE_S
from tests.support.services import tls_process
from tests.support.services.tls_process import clean_environment

from boxwright.processes import NICENESS_VARIABLE

NOTHING: Mapping[str, str] = MappingProxyType({})
CLI = [sys.executable, "-m", "boxwright.cli"]


@dataclasses.dataclass
class EnvService(tls_process.ServiceBehindTls):
    """A running service with TLS at both API servers.

    Attributes:
        exports: what the command printed.
        exports_without_universe: what it printed with ``--no-universe``.
    """

    exports: str
    exports_without_universe: str

    @property
    def authority(self) -> pathlib.Path:
        return self.folder / "client" / "ca.pem"

    def run(
        self, *command: str, universe: bool = True, timeout_s: float = PATIENCE_S
    ) -> subprocess.CompletedProcess[str]:
        """Runs a program in a shell that has evaluated the printed lines, and in no other environment."""
        exports = self.exports if universe else self.exports_without_universe
        return subprocess.run(
            ["sh", "-c", 'eval "$EXPORTS"; exec "$@"', "sh", *command],
            env=clean_environment() | {"EXPORTS": exports},
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )


def _print_exports(folder: pathlib.Path, port: int, grpc_port: int, *flags: str) -> str:
    command = [*CLI, "client-env", "--out", str(folder), "--port", str(port), "--grpc-port", str(grpc_port), *flags]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


@contextlib.contextmanager
def run_env_service(
    folder: pathlib.Path, *hosts: str, environment: Mapping[str, str] = NOTHING
) -> Iterator[EnvService]:
    """Runs the command, for these hosts too, then the service as the command says, until the end of the block."""
    ports = free_port(), free_port()
    (folder / "buckets").mkdir(exist_ok=True)
    flags = [flag for host in hosts for flag in ("--host", host)]
    exports = _print_exports(folder / "client", *ports, *flags)
    service = EnvService(folder, *ports, exports, _print_exports(folder / "client", *ports, *flags, "--no-universe"))
    (advice,) = (line for line in exports.splitlines() if "boxwright serve" in line)
    command = [*CLI, *shlex.split(advice.removeprefix("#"))[1:]]
    command += ["--data-dir", str(service.data_dir), "--buckets", str(folder / "buckets")]
    own = {**clean_environment(), NICENESS_VARIABLE: os.environ[NICENESS_VARIABLE], **environment}
    with tls_process.running(command, service.url, service.authority, folder / "service.log", own):
        yield service
