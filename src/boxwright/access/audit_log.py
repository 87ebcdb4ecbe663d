"""The audit log: files of JSON lines, each with the SHA-256 of the line before it.

    audit-INSTANCE.jsonl                the newest lines; INSTANCE is the machine's host name
    audit-INSTANCE.NUMBER.jsonl         older ones; NUMBER is that of their last line
    audit-INSTANCE.lock, .reserve       who may write, and space for the lines of calls that are under way

All processes of a machine that share a data directory write one log: a lock makes them take turns. How far the log has got
is stored in the database every few seconds, so that an end that is cut off is missed. A line that cannot be written is
an error of the call; the space in reserve lets calls that have changed something write theirs when the disk is full.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import json
import logging
import os
import pathlib
import re
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from boxwright import errors, private
from boxwright.access.redaction import redact
from boxwright.metadata import database
from boxwright.metadata.schema import audit_heads

MAX_FILE_BYTES = 64 << 20
RESERVE_BYTES = 1 << 20  # what the calls under way may still write
HEAD_INTERVAL_S = 10.0
ZEROS = "0" * 64  # before the first line
_TAIL_BYTES = 1 << 16  # longer than any line
_FULL = (errno.ENOSPC, errno.EDQUOT)
UNWRITABLE = "The audit log cannot be written, so nothing is changed; try again later. Reading goes on."

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class AuditHead:
    """The end of a log: the number of its last line, from 1, and that line's SHA-256."""

    sequence: int = 0
    sha256: str = ZEROS


def host_instance() -> str:
    """The name of this machine's log."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname())[:100] or "host"


class AuditLog:
    """Writes the audit log of a data directory; for several threads.

    Args:
        folder: where its files are; made if missing.
        db: where its head is stored.
        instance: its name.
        max_bytes: above which a file is put aside.
        head_interval_s: seconds after which the head is stored at the latest; 0: when it is closed.

    Raises:
        ApiError: FAILED_PRECONDITION: the files cannot be opened.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        db: database.Database,
        *,
        instance: str = "",
        max_bytes: int = MAX_FILE_BYTES,
        head_interval_s: float = HEAD_INTERVAL_S,
    ) -> None:
        self._folder = folder
        self._db = db
        self._instance = instance or host_instance()
        self._max_bytes = max_bytes
        self._head_interval_s = head_interval_s
        self._path = folder / f"audit-{self._instance}.jsonl"
        self._reserve = folder / f"audit-{self._instance}.reserve"
        self._lock = threading.Lock()
        self._file = -1
        self._known = (-1, -1)  # inode and size of the file as this process has left it
        self._head = self._stored = self._read_stored()
        self._trouble = False
        self._missed = 0
        self._closing, self._changed = threading.Event(), threading.Event()
        try:
            private.make_folder(folder)
            self._lock_file = private.open_file(folder / f"audit-{self._instance}.lock", "ab")
            with self._alone():
                self._follow()
                self._keep_reserve()
        except OSError as error:
            raise errors.failed_precondition(
                f"The audit log in {folder} cannot be written: {error.strerror}. Nothing could be recorded."
            ) from error
        self._storing = threading.Thread(target=self._store_heads, name="audit-head", daemon=True)
        if head_interval_s:
            self._storing.start()

    @property
    def head(self) -> AuditHead:
        """The end of the log as this process knows it."""
        return self._head

    def check(self) -> None:
        """Lets a change begin, or not.

        Raises:
            ApiError: UNAVAILABLE: what it does could not be recorded.
        """
        if not self._trouble and self._reserve.exists():
            return
        with self._lock:
            try:
                with self._alone():
                    self._keep_reserve()
                    if self._trouble:
                        self._write({"severity": "WARNING", "protoPayload": _resumed(self._missed)})
            except OSError as error:
                raise self._unwritable(error) from error
            self._trouble, self._missed = False, 0

    def append(self, entry: Mapping[str, Any]) -> None:
        """Writes a line.

        Args:
            entry: what is in it beside its place in the log and the time.

        Raises:
            ApiError: UNAVAILABLE: it cannot be written.
        """
        with self._lock:
            try:
                with self._alone():
                    self._write(entry)
            except OSError as error:
                self._missed += 1
                self._trouble = True
                raise self._unwritable(error) from error
        self._changed.set()

    def store_head(self) -> None:
        """Stores in the database how far the log has got, once the lines themselves are safe."""
        with self._lock:
            head = self._head
            if head == self._stored or self._file < 0:
                return
            os.fsync(self._file)
        values = {"sequence": head.sequence, "sha256": head.sha256}
        with self._db.write() as connection:
            values["update_time_us"] = database.now_us(connection)
            mine = audit_heads.c.instance == self._instance
            if connection.execute(sa.select(audit_heads.c.sequence).where(mine)).first() is None:
                connection.execute(audit_heads.insert().values(instance=self._instance, **values))
            else:  # another process may have got further
                further = mine & (audit_heads.c.sequence < head.sequence)
                connection.execute(audit_heads.update().where(further).values(**values))
        self._stored = head

    def close(self) -> None:
        """Stores the head and closes the files."""
        self._closing.set()
        self._changed.set()
        if self._storing.is_alive():
            self._storing.join()
        self._try_to_store()
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
            self._file = -1
            self._lock_file.close()

    # ---- inside -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keeps the other processes that write this log waiting."""
        fcntl.flock(self._lock_file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock_file, fcntl.LOCK_UN)

    def _write(self, entry: Mapping[str, Any]) -> None:
        self._follow()
        head = self._head
        line = _line(entry, head)
        try:
            self._put(line)
        except OSError as error:
            if error.errno not in _FULL or not self._reserve.exists():
                raise
            self._reserve.unlink()
            log.error("event=audit_disk_full folder=%s", self._folder)
            self._put(line)
        self._head = AuditHead(head.sequence + 1, sha256_of(line))
        self._known = (self._known[0], self._known[1] + len(line))
        if self._known[1] >= self._max_bytes:
            os.fsync(self._file)
            self._path.rename(self._path.with_name(f"audit-{self._instance}.{self._head.sequence:012}.jsonl"))
            self._open()

    def _put(self, line: bytes) -> None:
        """Writes a whole line, or nothing of it."""
        written = 0
        try:
            while written < len(line):
                written += os.write(self._file, line[written:])
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._known[1])
            raise

    def _open(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._file = os.open(self._path, flags, private.FILE_MODE)
        found = os.fstat(self._file)
        self._known = (found.st_ino, found.st_size)

    def _follow(self) -> None:
        """Takes over what other processes have written; goes on from what is known where the file has lost that."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            found = None
        if found is not None and self._file >= 0 and (found.st_ino, found.st_size) == self._known:
            return
        self._open()
        lines = self._last_lines()
        if lines and not lines[-1].endswith(b"\n") and self._known[1]:  # its writer was killed: its call got no answer
            os.ftruncate(self._file, self._known[1] - len(lines[-1]))
            self._known = (self._known[0], self._known[1] - len(lines[-1]))
            del lines[-1]
        heads = [head for head in map(head_of, lines) if head is not None]
        last = heads[-1] if heads else AuditHead()
        if self._head.sequence == 0 or self._head in heads or (heads and self._is_further_up(heads[0])):
            self._head = last
        else:  # what is missed stays visible: the next line follows the one that is known, and not the one that is there
            log.error("event=audit_log_changed file=%s line=%d", self._path, self._head.sequence)
            self._head = AuditHead(max(self._head.sequence, last.sequence), self._head.sha256)

    def _is_further_up(self, first: AuditHead) -> bool:
        """Whether the known line is in the log, before this one; a search through all of it, which is rarely needed."""
        if first.sequence <= self._head.sequence:
            return False
        for path in reversed(files_of(self._folder, self._instance)):
            with path.open("rb") as file:
                for line in file:
                    head = head_of(line)
                    if head is not None and head.sequence == self._head.sequence:
                        return head == self._head
        return False

    def _last_lines(self) -> list[bytes]:
        """The last lines of the log, of the file before if this one is empty."""
        size = self._known[1]
        if size:
            start = max(0, size - _TAIL_BYTES)
            lines = os.pread(self._file, _TAIL_BYTES, start).splitlines(keepends=True)
            return lines if start == 0 else lines[1:]
        older = files_of(self._folder, self._instance)[:-1]
        if not older:
            return []
        with older[-1].open("rb") as file:
            file.seek(max(0, older[-1].stat().st_size - _TAIL_BYTES))
            return file.read().splitlines(keepends=True)

    def _keep_reserve(self) -> None:
        """Makes the reserve, unless it is there."""
        if not self._reserve.exists():  # random, so that no file system can store it in less
            private.replace_file(self._reserve, secrets.token_bytes(RESERVE_BYTES), is_durable=True)

    def _unwritable(self, error: OSError) -> errors.ApiError:
        log.error("event=audit_not_written file=%s reason=%r", self._path, error.strerror)
        return errors.unavailable(UNWRITABLE)

    def _read_stored(self) -> AuditHead:
        with self._db.read() as connection:
            query = sa.select(audit_heads.c.sequence, audit_heads.c.sha256)
            row = connection.execute(query.where(audit_heads.c.instance == self._instance)).first()
        return AuditHead(row.sequence, row.sha256) if row else AuditHead()

    def _store_heads(self) -> None:
        while not self._closing.is_set():
            self._changed.wait()
            self._closing.wait(self._head_interval_s)
            self._changed.clear()
            self._try_to_store()

    def _try_to_store(self) -> None:
        try:
            self.store_head()
        except (errors.ApiError, OSError) as error:  # the next one covers this one too
            log.warning("event=audit_head_not_stored reason=%s", error)
            self._changed.set()


def _line(entry: Mapping[str, Any], head: AuditHead) -> bytes:
    now_s = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now_s))
    placed = {
        "timestamp": f"{stamp}.{int(now_s % 1 * 1e6):06}Z",
        "insertId": secrets.token_hex(8),
        "sequence": head.sequence + 1,
        **entry,
        "previousSha256": head.sha256,
    }
    return redact(json.dumps(placed, ensure_ascii=True, separators=(",", ":"))).encode() + b"\n"


def _resumed(missed: int) -> dict[str, Any]:
    return {
        "serviceName": "automl.googleapis.com",
        "methodName": "boxwright.audit.Resumed",
        "status": {
            "code": 14,
            "message": f"The log could not be written for a while; lines that are missing: {missed}.",
        },
    }


def files_of(folder: pathlib.Path, instance: str) -> list[pathlib.Path]:
    """The files of a log, oldest lines first; the last one is that to which lines are added, also if it is missing."""
    return [*sorted(folder.glob(f"audit-{instance}.*.jsonl")), folder / f"audit-{instance}.jsonl"]


def head_of(line: bytes) -> AuditHead | None:
    """The number and the SHA-256 of a line; None for what is no line of a log."""
    try:
        sequence = json.loads(line)["sequence"]
    except (ValueError, KeyError, TypeError):
        return None
    return AuditHead(sequence, sha256_of(line)) if isinstance(sequence, int) else None


def sha256_of(line: bytes) -> str:
    """The SHA-256 of a line without its end."""
    return hashlib.sha256(line.removesuffix(b"\n")).hexdigest()
