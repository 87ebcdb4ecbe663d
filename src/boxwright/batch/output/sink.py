"""The sink: shards committed once, errors gathered at the end.

Shard *k* is ``KIND_k.jsonl`` in the output folder, ``image_object_detection_k.jsonl`` for instance. Before it is put, its
`sidecars` are put, and its report and its error lines in the scratch prefix (see `shard_reports`), so that the shard's
existence alone says that all are there. All are functions of the plan and the images: a second attempt finds them or writes
the same bytes again. The manifest comes last.

It has two halves, which an engine on several machines would hold apart: `ShardWriter` puts a shard, `OutputAccount` knows of
all of them.

Only a further pass replaces shards, and of these only the ones in which images had failed: see `BatchSpec.pass_number`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from google.rpc import status_pb2

from boxwright import objects
from boxwright.batch.job import BatchSpec
from boxwright.batch.output import sidecars
from boxwright.batch.output.account import OutputAccount
from boxwright.batch.output.candidates import ImageCandidates
from boxwright.batch.output.shard_reports import ShardReport
from boxwright.batch.output.shard_writer import ShardWriter


class Sink(OutputAccount):
    """Where one job's results go, in a process that both puts and counts them."""

    def __init__(self, spec: BatchSpec, stores: objects.Stores) -> None:
        super().__init__(spec, stores)
        self._spec = spec
        self._writer = ShardWriter(spec, stores)

    def commit_lines(
        self,
        shard: int,
        lines: list[bytes],
        statuses: Sequence[status_pb2.Status | None],
        one_colour: int,
        ids: Sequence[str],
        candidates: Sequence[ImageCandidates | None],
        reused: Sequence[bool] = (),
    ) -> ShardReport:
        """Puts a finished shard, see `commit`; everything in input order.

        Args:
            shard: its number.
            lines: an image each.
            statuses: why the image failed; None if it was predicted.
            one_colour: predicted images that have a single colour.
            ids: of the images.
            candidates: of the images that were predicted, if the job needs them.
            reused: which images were taken over from the job's base: their lines are not known yet.
        """
        made, beside = sidecars.of_shard(self._spec, shard, ids, candidates, reused or [False] * len(ids))
        return self.commit(
            shard,
            [line for line, status in zip(lines, statuses, strict=True) if status is None] if made is None else [made],
            [line for line, status in zip(lines, statuses, strict=True) if status is not None],
            [status for status in statuses if status is not None],
            one_colour,
            beside,
            sum(reused),
        )

    def commit(
        self,
        shard: int,
        lines: Sequence[bytes],
        error_lines: Sequence[bytes],
        failures: Sequence[status_pb2.Status],
        one_colour: int = 0,
        beside: Mapping[str, bytes] | None = None,
        reused: int = 0,
    ) -> ShardReport:
        """Puts a finished shard, see `ShardWriter.put`, and counts it."""
        report = self._writer.put(shard, lines, error_lines, failures, one_colour, beside, reused)
        self.count(report)
        return report
