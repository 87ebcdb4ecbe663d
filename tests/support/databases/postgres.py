"""A real PostgreSQL server for tests: found or installed, made in a temporary folder, reached by a Unix socket.

Where the server's programs are not installed and may not be (see `apt`), the tests that need a server are skipped with the
reason.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping

import pg8000.native
import psutil
import pytest
from tests.support.machine import apt, installing

START_TIMEOUT_S = 60
PORT = 5432  # part of the socket's name; no TCP port is opened
SETTINGS = {  # nothing here outlives the tests, so nothing needs to reach the disk
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "listen_addresses": "''",
    "max_connections": "100",
    "shared_buffers": "32MB",
}
USER = "postgres"


class Missing(Exception):
    """There is no server to be had; says why."""


class Cluster:
    """A running server. What it gives out as empty databases are schemas of users of their own: far cheaper to make."""

    def __init__(self, folder: pathlib.Path, programs: pathlib.Path, settings: Mapping[str, str] = SETTINGS) -> None:
        self.folder = folder
        self._settings = settings
        self._programs = programs
        self._numbers = itertools.count(1)

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        options = " ".join(f"-c {name}={value}" for name, value in self._settings.items())
        options += f" -c unix_socket_directories={self.folder}"
        self._run("pg_ctl", "start", "-w", "-D", self._data, "-l", str(self.folder / "log"), "-o", options)

    def stop(self) -> None:
        """Stops the server, cutting off whoever is connected."""
        self._run("pg_ctl", "stop", "-w", "-m", "fast", "-D", self._data)

    def kill(self) -> None:
        """Kills every process of the server at once, as a power cut would."""
        server = psutil.Process(int((self.folder / "data" / "postmaster.pid").read_text().split()[0]))
        server.suspend()  # or it would see its children die, and put things in order
        processes = [*server.children(recursive=True), server]
        for process in processes:
            process.kill()
        psutil.wait_procs(processes, START_TIMEOUT_S)

    def make(self) -> None:
        """Makes the cluster's files."""
        self._run("initdb", "-D", self._data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")

    def new_database(self) -> str:
        """Creates an empty database; returns its URL."""
        name = f"test_{next(self._numbers)}"
        with contextlib.closing(pg8000.native.Connection(USER, database=USER, unix_sock=self._socket)) as connection:
            connection.run(f"CREATE ROLE {name} LOGIN")
            connection.run(f"CREATE SCHEMA {name} AUTHORIZATION {name}")  # the first that the role looks into
        return f"postgresql+pg8000://{name}@/{USER}?unix_sock={self._socket}"

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    @property
    def _socket(self) -> str:
        return str(self.folder / f".s.PGSQL.{PORT}")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        if os.geteuid() == 0:  # the server refuses to run as root
            command = ["setpriv", "--reuid", USER, "--regid", USER, "--init-groups", *command]
        # a file, not a pipe: the server inherits it and would hold a pipe open for as long as it runs
        with (self.folder / "programs.log").open("ab+") as output:
            done = subprocess.run(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                timeout=START_TIMEOUT_S, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"},
            )  # fmt: skip
            if done.returncode:
                output.seek(0)
                raise RuntimeError(f"{program} failed: {output.read().decode(errors='replace')[-2000:]}")


def find_programs() -> pathlib.Path:
    """The folder of initdb and pg_ctl.

    Raises:
        Missing: with what to do.
    """
    with installing.alone():
        return _find_or_install()


def _find_or_install() -> pathlib.Path:
    for _ in range(2):
        folders = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
        found = shutil.which("initdb")
        folders += [pathlib.Path(found).resolve().parent] if found else []
        usable = [folder for folder in folders if (folder / "pg_ctl").exists()]
        if usable:
            return usable[-1]
        if not apt.may_install():
            raise Missing("PostgreSQL's server is not installed (Debian: apt-get install postgresql)")
        if trouble := apt.install("postgresql"):
            raise Missing(f"PostgreSQL could not be installed: {trouble}")
    raise Missing("PostgreSQL's package was installed and has no initdb")


@contextlib.contextmanager
def running(**settings: str) -> Iterator[Cluster]:
    """Makes and starts a cluster, with these settings beside ours; stops and removes it afterwards. Raises Missing."""
    programs = find_programs()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bxpg-"))  # a socket's path is short
    try:
        if os.geteuid() == 0:
            user = pwd.getpwnam(USER)
            os.chown(folder, user.pw_uid, user.pw_gid)
        cluster = Cluster(folder, programs, {**SETTINGS, **settings})
        cluster.make()
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """The session's PostgreSQL server."""
    try:
        programs = find_programs()
    except Missing as missing:
        pytest.skip(str(missing))
    assert programs
    with running() as cluster:
        yield cluster


@pytest.fixture(params=["sqlite", "postgresql"])
def database_place(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> pathlib.Path | str:
    """Where a new, empty database is: a file's path, and once more a URL."""
    if request.param == "sqlite":
        return tmp_path / "metadata.sqlite"
    return request.getfixturevalue("postgres").new_database()
