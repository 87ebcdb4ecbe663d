"""One file of candidates to one shard: read, checked, selected, formatted, put."""

from __future__ import annotations

from boxwright import errors, objects
from boxwright.batch.job import BatchSpec
from boxwright.batch.output import candidates, sidecars
from boxwright.batch.output.shard_reports import ShardReport
from boxwright.batch.output.shard_writer import ShardWriter
from boxwright.batch.rewrite.sources import SourceShard, checked


class ShardRewriter:
    """Makes the shards of one job. Safe to use from several threads, for different shards.

    Args:
        spec: what is wanted.
        stores: where candidates are and shards go.
    """

    def __init__(self, spec: BatchSpec, stores: objects.Stores) -> None:
        self._spec = spec
        self._named = stores.named()
        self._writer = ShardWriter(spec, stores)

    def rewrite(self, source: SourceShard) -> ShardReport:
        """Puts the shard that a file of candidates makes.

        Raises:
            ApiError: DATA_LOSS: the file is not as its manifest says; FAILED_PRECONDITION: it is of a later version.
        """
        content = checked(self._named, objects.ObjectUri.parse(source.uri), source.sha256)
        table, origin = candidates.from_parquet(content, source.uri)
        if len(table) != source.images or origin.model_digest != self._spec.model_digest:
            raise errors.data_loss(f"{source.uri} is not about what its manifest says; predict the images again.")
        lines, beside = sidecars.results(self._spec, source.shard, table)
        return self._writer.put(source.shard, [lines], [], [], beside=beside)
