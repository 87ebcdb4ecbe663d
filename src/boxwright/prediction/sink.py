"""The sink: shards committed once, errors gathered at the end.

Shard *k* is ``image_object_detection_k.jsonl`` in the output folder. Before it is put, its report and its error lines are
put in the scratch prefix, so that the shard's existence alone says that all three are there. All are functions of the plan
and the images: a second attempt finds them or writes the same bytes again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json

from google.rpc import status_pb2

from boxwright import objects
from boxwright.prediction.job import BatchJob

ERRORS_FILE_BYTES = 8 << 20  # an errors file is closed once it is this large; bounds the memory of gathering
MAX_LISTED_FAILURES = 20  # operations.proto: partial_failures never has more entries


@dataclasses.dataclass(frozen=True)
class ShardReport:
    """What became of one shard.

    Attributes:
        shard: its number, from 1.
        predicted: images with a line in the shard.
        failed: images with an error line.
        sha256: digest of the shard's bytes.
        failures: (code, message) of the first failed images.
        read_bytes: how much of the input lists had been read when it was planned.
    """

    shard: int
    predicted: int
    failed: int
    sha256: str
    failures: list[tuple[int, str]]
    read_bytes: int


class Sink:
    """Where one job's results go."""

    def __init__(self, job: BatchJob, stores: objects.Stores) -> None:
        self._stores = stores
        self._output = objects.ObjectUri.parse(job.output_directory)
        self._scratch = objects.ObjectUri.parse(job.scratch)

    def prepare(self) -> None:
        """Checks that the output bucket exists and clears what a killed writer left half-written."""
        self._stores.check_bucket(self._output)
        self._stores.sweep_unfinished(self._output)

    def committed(self, shard: int) -> ShardReport | None:
        """Returns the report of a shard that an earlier attempt finished, or None."""
        if not self._stores.exists(self._shard_uri(shard)):
            return None
        values = json.loads(self._stores.get(self._part(shard, "report.json")))
        return ShardReport(**{**values, "failures": [tuple(failure) for failure in values["failures"]]})

    def commit(
        self,
        shard: int,
        lines: list[bytes],
        error_lines: list[bytes],
        failures: list[status_pb2.Status],
        read_bytes: int,
    ) -> ShardReport:
        """Puts a finished shard: error lines, report, then the shard itself."""
        content = b"".join(lines)
        report = ShardReport(
            shard=shard,
            predicted=len(lines),
            failed=len(error_lines),
            sha256=hashlib.sha256(content).hexdigest(),
            failures=[(status.code, status.message) for status in failures[:MAX_LISTED_FAILURES]],
            read_bytes=read_bytes,
        )
        if error_lines:
            self._stores.put(self._part(shard, "errors.jsonl"), b"".join(error_lines))
        self._stores.put(self._part(shard, "report.json"), json.dumps(dataclasses.asdict(report)).encode())
        self._stores.put_once(self._shard_uri(shard), content)
        return report

    def gather_errors(self, shards: int) -> int:
        """Writes ``errors_1..M.jsonl`` from the parts of shards 1 to `shards`, in input order; returns M."""
        files, pending = 0, b""
        for shard in range(1, shards + 1):
            part = self._part(shard, "errors.jsonl")
            if self._stores.exists(part):
                pending += self._stores.get(part)
            if len(pending) >= ERRORS_FILE_BYTES:
                files, pending = files + 1, self._put_errors(files + 1, pending)
        if pending:
            files, pending = files + 1, self._put_errors(files + 1, pending)
        self._stores.sweep_unfinished(self._output)
        return files

    def _put_errors(self, number: int, content: bytes) -> bytes:
        self._stores.put(self._output.child(f"errors_{number}.jsonl"), content)
        return b""

    def _shard_uri(self, shard: int) -> objects.ObjectUri:
        return self._output.child(f"image_object_detection_{shard}.jsonl")

    def _part(self, shard: int, name: str) -> objects.ObjectUri:
        return self._scratch.child(f"shards/{shard:07d}-{name}")
