"""The processes that `crash.py` kills: a service, and apart from it, if asked for, two workers and an object store."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import Any

import psutil
import sqlalchemy as sa
from tests.support.predictions.tiny_model import TinyModel
from tests.support.processes import crashes
from tests.support.stores import object_servers

from boxwright.metadata import database
from boxwright.metadata.schema import operations

BUCKET = "pictures"
ROOT = pathlib.Path(__file__).parents[2]
OPERATION_TIMEOUT_S = 300
WORKERS = ("worker 1", "worker 2")
LEASE_TTL_S = 2


class World:
    """All processes of an installation, each restarted at will.

    Args:
        folder: where everything lies.
        database_url: None for SQLite in the data directory.
        is_apart: whether workers and the object store are processes of their own.
        shard_images: images per output file.
    """

    def __init__(self, folder: pathlib.Path, database_url: str | None, is_apart: bool, shard_images: int) -> None:
        self.folder = folder
        self.is_apart = is_apart
        self.bucket = folder / "buckets" / BUCKET
        self.bucket.mkdir(parents=True)
        self._marks = folder / "marks"
        self._marks.mkdir()
        self._points: Sequence[str] = ()
        self._shard_images = shard_images
        self._url = database_url
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._ports = {"service": _free_port(), "store": _free_port()}
        self._model = ""
        self._db: database.Database | None = None
        self._closing = threading.Event()
        threading.Thread(target=self._keep_children_quick, name="priorities", daemon=True).start()

    @property
    def processes(self) -> tuple[str, ...]:
        """What may be killed at any instant."""
        return ("service", "child", "member", *(("worker", "store") if self.is_apart else ()))

    def start(self, points: Sequence[str], model: TinyModel) -> None:
        """Starts everything, the faults at these points asleep, and installs the model."""
        self._points = points
        self.disarm()
        for name in ("store", "service", *WORKERS) if self.is_apart else ("service",):
            self._start(name)
        self._model = model.install(self.folder / "data", database_url=self._url)
        self._db = database.Database(self._url or self.folder / "data" / "metadata.sqlite")

    def close(self) -> None:
        """Ends everything."""
        self._closing.set()
        for process in self._running.values():
            process.kill()
            process.wait()
        if self._db is not None:
            self._db.close()

    # ---- faults -------------------------------------------------------------------------------------------------

    def _mark(self, point: str) -> pathlib.Path:
        return self._marks / urllib.parse.quote(point, safe="")

    def arm(self, point: str) -> None:
        """Whoever passes the point next is killed."""
        self._mark(point).unlink(missing_ok=True)

    def is_armed(self, point: str) -> bool:
        """Whether nobody has been killed at the point yet."""
        return not self._mark(point).exists()

    def disarm(self) -> None:
        """Everybody passes unharmed."""
        for point in self._points:
            self._mark(point).touch()

    # ---- processes ----------------------------------------------------------------------------------------------

    def kill_child(self, module: str) -> bool:
        """Kills an inference process that runs the module; returns whether there was one."""
        for process in self._running.values():
            for child in crashes.children_of(process.pid, module) if process.poll() is None else ():
                child.kill()
                return True
        return False

    def _keep_children_quick(self) -> None:
        """Gives children the priority of this process: at their own, a busy machine would spend the run on starting them."""
        priority = os.getpriority(os.PRIO_PROCESS, 0)
        while not self._closing.wait(0.2):
            for process in list(self._running.values()):
                with contextlib.suppress(psutil.NoSuchProcess, OSError):
                    for child in crashes.children_of(process.pid, "boxwright.batch"):
                        os.setpriority(os.PRIO_PROCESS, child.pid, priority)
                        pathlib.Path(f"/proc/{child.pid}/autogroup").write_text(str(priority))

    def loses_lease(self, target: str) -> bool:
        """Whether killing this process leaves an operation to whoever comes next."""
        return target == "worker" or (target == "service" and not self.is_apart)

    def kill_and_restart(self, target: str, operation: str, outage_s: float) -> float:
        """Kills one process and starts it again; returns the Unix time at which it was ready.

        Of the workers it is the one that runs the operation. The store stays away for a while; the others come back at once.
        """
        name = self._working(operation) if target == "worker" else target
        self._running[name].kill()
        self._running[name].wait()
        if name == "store":
            threading.Event().wait(outage_s)
        self._start(name)
        return time.time()

    def _working(self, operation: str) -> str:
        """The worker whose log says that it claimed the operation last."""
        epoch, _ = self.lease(operation)
        claim = f"event=operation_started operation={operation} kind=batch_predict epoch={epoch}\n".encode()
        return next((name for name in WORKERS if claim in (self.folder / f"{name}.log").read_bytes()), WORKERS[0])

    def _start(self, name: str) -> None:
        log = self.folder / f"{name}.log"
        with log.open("ab") as output:
            begin = output.tell()
            self._running[name] = process = subprocess.Popen(
                self._command(name),
                cwd=ROOT,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        deadline_s = time.monotonic() + 120
        while not self._is_ready(name, log, begin):
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError(f"{name} did not start:\n{log.read_text()[-4000:]}")
            threading.Event().wait(0.02)

    def _is_ready(self, name: str, log: pathlib.Path, begin: int) -> bool:
        if name == "store":
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self._ports["store"])) == 0
        return b"is ready" in log.read_bytes()[begin:]

    def _command(self, name: str) -> list[str]:
        if name == "store":
            where = [str(self._ports["store"]), str(self.folder / "buckets"), BUCKET]
            return [sys.executable, "-m", "tests.support.stores.gcs_double", *where]
        folders = ["--data-dir", str(self.folder / "data"), "--buckets", str(self.folder / "buckets")]
        if name in WORKERS:
            return [sys.executable, "-m", "boxwright.cli", "worker", *folders]
        ports = ["--port", str(self._ports["service"]), "--grpc-port", "0"]
        apart = ["--no-worker"] if self.is_apart else []
        return [sys.executable, "-m", "boxwright.cli", "serve", *folders, *ports, *apart]

    def _environment(self) -> dict[str, str]:
        environment = {
            **os.environ,
            "BOXWRIGHT_FAULTS": ",".join(f"{point}:kill@*" for point in self._points),
            "BOXWRIGHT_FAULTS_ONCE": str(self._marks),
            "BOXWRIGHT_LEASE_TTL_S": str(LEASE_TTL_S),
            "BOXWRIGHT_SHARD_IMAGES": str(self._shard_images),
            "BOXWRIGHT_HOLD_S": "0",
            "BOXWRIGHT_TUNE": "false",
        }
        if self._url is not None:
            environment["BOXWRIGHT_DATABASE_URL"] = self._url
        if self.is_apart:
            address = f"http://127.0.0.1:{self._ports['store']}"
            environment |= {"BOXWRIGHT_GS": "cloud", **object_servers.gcs_environment(address)}
        return environment

    # ---- operations ---------------------------------------------------------------------------------------------

    def start_batch(self, prefix: str) -> str:
        """Starts a batch over the list; returns the operation's name."""
        body = {
            "inputConfig": {"gcsSource": {"inputUris": [f"gs://{BUCKET}/list.csv"]}},
            "outputConfig": {"gcsDestination": {"outputUriPrefix": f"gs://{BUCKET}/{prefix}/"}},
            "params": {"score_threshold": "0.2"},
        }
        name: str = self._call("POST", f"{self._model}:batchPredict", body)["name"]
        return name

    def is_done(self, name: str) -> bool:
        """Whether an operation has ended."""
        return self._row(name).done_time_us is not None

    def lease(self, name: str) -> tuple[int, int]:
        """Returns (how often the operation was claimed, Unix microseconds at which its lease ends or 0)."""
        row = self._row(name)
        return row.lease_epoch, row.lease_expires_us or 0

    def finished(self, name: str) -> dict[str, Any]:
        """Waits for an operation's end."""
        deadline_s = time.monotonic() + OPERATION_TIMEOUT_S
        while not self.is_done(name):
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"{name} did not end in {OPERATION_TIMEOUT_S} s; see {self.folder}")
            threading.Event().wait(0.02)
        return self._call("GET", name)

    def _row(self, name: str) -> sa.Row[Any]:
        assert self._db is not None
        with self._db.read() as connection:
            found = sa.select(operations).where(operations.c.id == name.rpartition("/")[2])
            return connection.execute(found).one()

    def _call(self, verb: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._ports['service']}/v1/{path}",
            data=None if body is None else json.dumps(body).encode(),
            method=verb,
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                answer: dict[str, Any] = json.load(response)
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{verb} {path}: {error.read().decode()}") from error
        return answer


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
