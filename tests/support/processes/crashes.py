"""Killing things: which child processes a service has, what a killed writer may leave, what is written when."""

from __future__ import annotations

import contextlib
import pathlib
import re
from collections.abc import Mapping
from typing import Protocol

import psutil
from tests.support.machine.waiting import wait_until

from boxwright.metadata import database
from boxwright.metadata.schema import operations

INFERENCE, MEMBER, TRAINING, ONLINE = (
    "boxwright.batch.child_main",
    "boxwright.batch.engine.peer_main",
    "boxwright.detector.train_main",
    "boxwright.online.child_main",
)
ENVIRONMENT = {  # small shards; polls are answered at once
    "BOXWRIGHT_LEASE_TTL_S": "20",  # a busy machine may keep a worker from renewing for seconds: see `kill`
    "BOXWRIGHT_SHARD_IMAGES": "50",
    "BOXWRIGHT_HOLD_S": "0",
    "BOXWRIGHT_CHILD_NICENESS": "10",  # what is to be disturbed shall not end before the test gets a core
}


class _Killable(Protocol):
    """What `kill` needs of a service."""

    data_dir: pathlib.Path

    def kill(self) -> None: ...


def kill(service: _Killable, environment: Mapping[str, str] = ENVIRONMENT) -> None:
    """Ends a service as a power cut would that lasts for longer than its leases; no other worker may run."""
    service.kill()
    db = database.Database(environment.get("BOXWRIGHT_DATABASE_URL") or service.data_dir / "metadata.sqlite")
    with contextlib.closing(db), db.write() as connection:
        held = operations.update().where(operations.c.lease_owner.is_not(None))
        connection.execute(held.values(lease_expires_us=0))


def children_of(pid: int, module: str = "") -> list[psutil.Process]:
    """The child processes of a service that run the module (any of ours, if none is named).

    Between fork and exec a process has its parent's command line: it runs nothing of its own yet and does not count.
    """
    found = []
    for child in psutil.Process(pid).children(recursive=True):
        try:
            command, parent = child.cmdline(), psutil.Process(child.ppid()).cmdline()
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        line = " ".join(command)
        if command != parent and module in line and "boxwright" in line:
            found.append(child)
    return found


def wait_until_gone(processes: list[psutil.Process]) -> None:
    """Waits until none of the processes runs any more."""
    assert processes, "there is no process to wait for"
    wait_until(lambda: not any(_runs(process) for process in processes), f"the end of {processes}")


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def stats(folder: pathlib.Path) -> dict[str, tuple[int, int]]:
    """Inode and change time of every file, by its name in the folder: equal if nobody wrote it again."""
    return {name: (path.stat().st_ino, path.stat().st_mtime_ns) for name, path in _files(folder)}


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    """Every file's bytes, by its name in the folder."""
    return {name: path.read_bytes() for name, path in _files(folder)}


def _files(folder: pathlib.Path) -> list[tuple[str, pathlib.Path]]:
    return [(str(path.relative_to(folder)), path) for path in sorted(folder.rglob("*")) if path.is_file()]


def whole_shards(folder: pathlib.Path) -> list[str]:
    """Names of the shards that are there under their final name."""
    if not folder.is_dir():
        return []
    return sorted(
        path.name
        for path in folder.iterdir()
        if re.fullmatch(r"image_(object_detection|classification)_\d+\.jsonl", path.name)
    )


def result_folder(bucket: pathlib.Path, prefix: str) -> pathlib.Path | None:
    """The one prediction folder below a prefix, None while there is none."""
    found = list((bucket / prefix).glob("prediction-*"))
    assert len(found) <= 1, "a second attempt wrote into another folder"
    return found[0] if found else None


def assert_tidy(data_dir: pathlib.Path) -> None:
    """Nothing of a finished operation is left in the service's state."""

    def left() -> list[pathlib.Path]:
        scratch = data_dir / "state" / "boxwright" / "operations"
        return [*(data_dir / "work").iterdir(), *(scratch.iterdir() if scratch.is_dir() else ())]

    wait_until(lambda: not left(), lambda: f"the end of {left()}")
