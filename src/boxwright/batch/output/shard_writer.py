"""The putting half of the sink: one finished shard into the output folder, with its notes before it.

It knows of no shard but the one at hand, so that any process on any machine may put any shard of a job.
"""

from __future__ import annotations

import collections
import hashlib
from collections.abc import Mapping, Sequence

from google.rpc import status_pb2

from boxwright import errors, faults, objects
from boxwright.batch.job import BatchSpec
from boxwright.batch.output import sidecars
from boxwright.batch.output.manifest import code_name
from boxwright.batch.output.shard_reports import ShardReport, ShardReportStore


class ShardWriter:
    """Puts the shards of one job. Safe to use from several threads, for different shards."""

    def __init__(self, spec: BatchSpec, stores: objects.Stores) -> None:
        self._pass_number = spec.pass_number
        self._stores = stores
        self._shard_pattern = spec.shard_pattern
        self._output = objects.ObjectUri.parse(spec.output_directory)
        self._kind = spec.kind
        self._notes = ShardReportStore(stores, objects.ObjectUri.parse(spec.scratch), spec.pass_number)

    def put(
        self,
        shard: int,
        lines: Sequence[bytes],
        error_lines: Sequence[bytes],
        failures: Sequence[status_pb2.Status],
        one_colour: int = 0,
        beside: Mapping[str, bytes] | None = None,
        reused: int = 0,
    ) -> ShardReport:
        """Puts a finished shard: error lines, report, what is beside it, then the shard itself.

        Args:
            shard: its number.
            lines: of its predicted images.
            error_lines: of the others.
            failures: why these failed.
            one_colour: predicted images that have a single colour.
            beside: the shard's `sidecars`, by kind.
            reused: images that were taken over from the job's base.

        Raises:
            ApiError: ABORTED if the shard is there already with other content.
        """
        content = b"".join(lines)
        predicted = content.count(b"\n")
        report = ShardReport(
            shard=shard,
            predicted=predicted,
            failed=len(error_lines),
            errors_by_code=dict(sorted(collections.Counter(code_name(status.code) for status in failures).items())),
            sha256=hashlib.sha256(content).hexdigest(),
            failures=[(status.code, status.message) for status in failures[: errors.MAX_PARTIAL_FAILURES]],
            pass_number=self._pass_number,
            one_colour=one_colour,
            reused=reused,
            sidecars={kind: hashlib.sha256(made).hexdigest() for kind, made in sorted((beside or {}).items())},
        )
        uri = self._output.child(self._shard_pattern.format(shard))
        report = self._notes.keep(report, b"".join(error_lines))
        if report.variant:
            self._check(uri, content, shard)  # before what is beside another's shard is replaced
        for kind, made in sorted((beside or {}).items()):
            self._stores.put(self._output.child(sidecars.name_pattern(kind, self._kind).format(shard)), made)
            faults.point("sink.after_sidecar")
        faults.point("sink.before_put")
        if not self._stores.put_once(uri, content) and not self._check(uri, content, shard):
            self._stores.put(uri, content)
        faults.point("sink.after_put")
        return report

    def _check(self, uri: objects.ObjectUri, content: bytes, shard: int) -> bool:
        """Whether a shard is there as it was found now; raises ABORTED if another is that no further pass replaces."""
        try:
            is_same = self._stores.get(uri) == content
        except objects.ObjectNotFound:
            return False
        if not is_same and not self._notes.failed_before(shard):
            raise errors.aborted(f"{uri} is there already with other results than were found now; start a new job.")
        return is_same
