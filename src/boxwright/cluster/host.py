"""A host: an actor on a node that has a model loaded, and predicts one shard of one job at a time.

Its shards and what is beside them are put from here. What goes back is a report. Nothing is retried here: a host that is
lost is replaced by the driver.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import ray

from boxwright.cluster.host_answers import OpenAnswer, ShardAnswer

CONTROL = "control"  # calls that wait behind no shard


class Host:
    """See the module.

    Args:
        cache_dir: a folder of the node for models; empty: the job names one that is there.
        cache_bytes: how much models may take in it.
        environment: variables that are added to those of the node.
    """

    def __init__(self, cache_dir: str, cache_bytes: int, environment: Mapping[str, str]) -> None:
        os.environ.update(environment)
        from boxwright.cluster.host_work import HostWork  # after the environment, which modules read

        self._work = HostWork(cache_dir, cache_bytes)

    def open(self, job: str) -> OpenAnswer:
        """Begins with a job, and loads its model.

        Args:
            job: a `BatchJob` as JSON; its share is that of the host.
        """
        return self._work.open(job, ray.get_runtime_context().get_node_id())

    def predict(
        self, shard: int, items: list[tuple[str, str | None]], convicted: Mapping[str, tuple[int, str]]
    ) -> ShardAnswer:
        """Predicts a shard and puts it.

        Args:
            shard: its number.
            items: its images: address, and why its row is unusable or None.
            convicted: images that are left out: code and message of each.
        """
        return self._work.predict(shard, items, convicted)

    def try_image(self, image_id: str) -> None:
        """Predicts one image and forgets the result: does it do harm?"""
        self._work.try_image(image_id)

    @ray.method(concurrency_group=CONTROL)  # type: ignore[untyped-decorator]
    def stop(self) -> None:
        """Lets the shard under way end early."""
        self._work.stop()

    @ray.method(concurrency_group=CONTROL)  # type: ignore[untyped-decorator]
    def beat(self) -> None:
        """Answers, unless the process hangs."""
