"""What a job's turn knew at its end, in a file of this machine: the next turn begins with it, if nobody had the job between.

The file is taken once: an attempt whose child dies finds everything anew, and so does one on another machine. It begins with
a digest of all that follows, then come a line of JSON and the parts whose sizes this line says.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import pathlib
from typing import Any

from boxwright import private
from boxwright.batch.job import BatchJob

FILE = "turn"
MAX_BYTES = 256 << 20  # about 44 bytes a shard, and 32 for each file beside it
_DIGEST_CHARS = 64


@dataclasses.dataclass(frozen=True)
class TurnState:
    """What is kept of a turn.

    Attributes:
        values: JSON data.
        parts: what is better kept as bytes, by name.
    """

    values: dict[str, Any]
    parts: dict[str, bytes]


def taken(job: BatchJob) -> TurnState | None:
    """What the turn just before this attempt has kept here; it is gone then. None if there is none."""
    if not _may_keep(job):
        return None
    path = _path(job)
    try:
        content = path.read_bytes() if path.stat().st_size <= MAX_BYTES else b""
        path.unlink()
    except OSError:  # none, as a rule
        return None
    digest, body = content[:_DIGEST_CHARS], memoryview(content)[_DIGEST_CHARS:]
    if hashlib.sha256(body).hexdigest().encode() != digest:  # a power cut
        return None
    end = content.index(b"\n", _DIGEST_CHARS) + 1
    head = json.loads(content[_DIGEST_CHARS:end])
    if head["of"] != _of(job, before=1):
        return None
    parts = {}
    for name, size in head["sizes"].items():
        parts[name], end = content[end : end + size], end + size
    return TurnState(head["values"], parts)


def keep(job: BatchJob, state: TurnState) -> None:
    """Keeps what the turn knows, for the attempt just behind this one; not at all if it is large or the disk refuses."""
    if not _may_keep(job) or sum(map(len, state.parts.values())) > MAX_BYTES // 2:
        return
    sizes = {name: len(part) for name, part in state.parts.items()}
    head = json.dumps({"of": _of(job), "sizes": sizes, "values": state.values}).encode() + b"\n"
    body = b"".join((head, *state.parts.values()))
    path = _path(job)
    with contextlib.suppress(OSError):  # then the next turn finds everything anew
        private.make_folder(path.parent)
        private.replace_file(path, hashlib.sha256(body).hexdigest().encode() + body)


def _may_keep(job: BatchJob) -> bool:
    """Whether turns of a job can go on with what the last one knew.

    One that takes results over from another job has to see each image that is listed; one that reads candidates is short.
    """
    return bool(job.attempt and job.folders.notes and not job.spec.base and not job.spec.reads_manifests)


def _of(job: BatchJob, *, before: int = 0) -> list[Any]:
    """Which attempt at which work, or the one so many before it."""
    assert job.attempt is not None
    return [job.attempt.operation, job.attempt.epoch - before, job.spec.scratch, job.spec.pass_number]


def _path(job: BatchJob) -> pathlib.Path:
    return pathlib.Path(job.folders.notes, FILE)
