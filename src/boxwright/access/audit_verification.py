"""Finds what was changed in an audit log since it was written: lines that were edited, taken out, added or cut off.

Each line holds the SHA-256 of the line before it, so that no line can be changed without the next one. The end is held
by the database, which knows how far the log had got a few seconds ago.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import pathlib
import re
from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from boxwright import errors
from boxwright.access import audit_log
from boxwright.access.audit_log import AuditHead
from boxwright.metadata import database
from boxwright.metadata.schema import audit_heads

MAX_FINDINGS = 20  # of one log that are named; what follows an edit is rarely of use
_NAME = re.compile(r"audit-([A-Za-z0-9_-]+)(\.[0-9]+)?\.jsonl")


@dataclasses.dataclass
class LogCheck:
    """What was found in one log.

    Attributes:
        instance: its name.
        first: the number of its first line, 0 if there is none.
        last: the number of its last line.
        findings: what is wrong, a sentence each; none: the log is as it was written.
        stored: how far it had got, as the database has it; None if that is not known.
    """

    instance: str
    first: int = 0
    last: int = 0
    findings: list[str] = dataclasses.field(default_factory=list)
    stored: AuditHead | None = None

    def note(self, finding: str) -> None:
        """Adds what is wrong, unless enough is."""
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(finding)


def verify(folder: pathlib.Path, db: database.Database, first_line: int = 1) -> list[LogCheck]:
    """Looks at every log of a folder, and at those of the database that it lacks.

    Args:
        folder: where the logs are.
        db: the database that knows their heads.
        first_line: the number of the line with which a log may begin, if older files were put away.

    Raises:
        ApiError: FAILED_PRECONDITION: a file cannot be read.
    """
    with db.read() as connection:
        stored = {
            row.instance: AuditHead(row.sequence, row.sha256) for row in connection.execute(sa.select(audit_heads))
        }
    found = {match[1] for path in folder.glob("audit-*.jsonl") if (match := _NAME.fullmatch(path.name))}
    try:
        return [_verify(folder, instance, stored.get(instance), first_line) for instance in sorted(found | set(stored))]
    except OSError as error:
        raise errors.failed_precondition(f"The file {error.filename} cannot be read: {error.strerror}.") from error


def _verify(folder: pathlib.Path, instance: str, stored: AuditHead | None, first_line: int) -> LogCheck:
    result = LogCheck(instance, stored=stored)
    before: AuditHead | None = None
    has_stored = stored is None
    for where, line in _lines(_snapshot(folder, instance)):
        claimed = _claimed(line)
        if claimed is None:
            result.note(f"{where}: this is no line of the log; it was changed")
            before = AuditHead(before.sequence + 1 if before else 0, "changed")
            continue
        now = AuditHead(claimed.sequence, audit_log.sha256_of(line))
        if before is None:
            result.first = now.sequence
            if now.sequence > max(1, first_line):
                result.note(f"{where}: the log begins with line {now.sequence}; what was before is missing")
            elif now.sequence == 1 and claimed.sha256 != audit_log.ZEROS:
                result.note(f"{where}: the first line names a line before it")
        else:
            _compare(result, where, before, claimed)
        if stored is not None and now.sequence == stored.sequence:
            has_stored = True
            if now.sha256 != stored.sha256:
                result.note(f"{where}: line {now.sequence} is not the one that the database knows; it was changed")
        before, result.last = now, max(result.last, now.sequence)
    if stored is not None and not has_stored:
        if result.last < stored.sequence:
            result.note(
                f"the log ends with line {result.last}; the database knows line {stored.sequence}: its end was cut"
            )
        elif stored.sequence >= result.first:
            result.note(f"line {stored.sequence}, which the database knows, is missing")
    return result


def _compare(result: LogCheck, where: str, before: AuditHead, claimed: AuditHead) -> None:
    """Compares a line with the one before it; `claimed` is its number, and what it says of the one before."""
    if claimed.sequence != before.sequence + 1:
        result.note(f"{where}: line {claimed.sequence} follows line {before.sequence}; lines are missing or were moved")
    elif claimed.sha256 != before.sha256 and before.sha256 != "changed":
        result.note(f"{where}: line {claimed.sequence} follows another line {before.sequence}; that one was changed")


def _snapshot(folder: pathlib.Path, instance: str) -> list[tuple[pathlib.Path, int]]:
    """The files of a log and their sizes at a moment at which nobody writes."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(FileNotFoundError):
            lock = stack.enter_context((folder / f"audit-{instance}.lock").open("rb"))
            fcntl.flock(lock, fcntl.LOCK_SH)
        return [(path, path.stat().st_size) for path in audit_log.files_of(folder, instance) if path.exists()]


def _lines(files: Sequence[tuple[pathlib.Path, int]]) -> Iterator[tuple[str, bytes]]:
    for path, size in files:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                size -= len(line)
                if size < 0:
                    break
                yield f"{path.name}, line {number}", line


def _claimed(line: bytes) -> AuditHead | None:
    """The number of a line, and the SHA-256 that it gives of the line before."""
    try:
        found = json.loads(line)
        number, sha256 = found["sequence"], found["previousSha256"]
    except (ValueError, KeyError, TypeError):
        return None
    is_one = line.endswith(b"\n") and type(number) is int and isinstance(sha256, str)
    return AuditHead(number, sha256) if is_one else None
