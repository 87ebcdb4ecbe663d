"""A worker process of a `Rewriter`: ``python -m boxwright.batch.rewrite.worker_main``.

On standard input, one a line: the job, then the shards to make, ``{"shard", "uri", "images", "sha256"}`` each. Events on
standard output: ``{"event": "shard", …ShardReport}`` for each, or ``{"event": "error", "code", "message"}``. The process
ends when its input ends.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import sys

from boxwright import errors, objects, processes
from boxwright.batch.events import Events
from boxwright.batch.job import BatchJob
from boxwright.batch.rewrite.shard_rewriter import ShardRewriter
from boxwright.batch.rewrite.sources import SourceShard


def main() -> None:
    """Makes shards until standard input ends."""
    processes.end_with_parent()  # the thread that started it lives as long as it is needed
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    job = BatchJob.from_json(sys.stdin.readline())
    events = Events()
    uses = objects.BucketUses(lambda use: events.say("bucket", **dataclasses.asdict(use)))
    rewriter = ShardRewriter(job.spec, objects.Stores.from_config(job.folders.stores).observed(uses.note))
    for line in sys.stdin:
        try:
            report = rewriter.rewrite(SourceShard(**json.loads(line)))
        except errors.ApiError as error:
            events.say("error", code=error.code, message=error.message)
            return
        events.say("shard", **dataclasses.asdict(report))


if __name__ == "__main__":
    processes.end_quickly()
    main()
