"""A host: an actor on a node that has models loaded, and predicts one shard at a time, of whichever job.

Its shards and what is beside them are put from here. What goes back is a report. Nothing is retried here: a host that is
lost is replaced by the driver.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import ray

from boxwright.cluster.host_answers import HandedItem, OpenAnswer, ShardAnswer

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

    def open(self, key: str, job: str) -> OpenAnswer:
        """Begins with a job, and loads its model.

        Args:
            key: names the job in later calls.
            job: a `BatchJob` as JSON; its share is that of the host.
        """
        return self._work.open(key, job, ray.get_runtime_context().get_node_id())

    def forget(self, key: str) -> None:
        """Ends with a job. Its model stays loaded as long as there is room."""
        self._work.forget(key)

    def predict(
        self, key: str, shard: int, items: list[HandedItem], convicted: Mapping[str, tuple[int, str]]
    ) -> ShardAnswer:
        """Predicts a shard and puts it.

        Args:
            key: of the job.
            shard: its number.
            items: its images.
            convicted: images that are left out: code and message of each.
        """
        return self._work.predict(key, shard, items, convicted)

    def try_image(self, key: str, item: HandedItem) -> None:
        """Predicts one image and forgets the result: does it do harm?"""
        self._work.try_image(key, item)

    @ray.method(concurrency_group=CONTROL)  # type: ignore[untyped-decorator]
    def stop(self, key: str) -> None:
        """Lets the shards of a job end early."""
        self._work.stop(key)

    @ray.method(concurrency_group=CONTROL)  # type: ignore[untyped-decorator]
    def beat(self) -> None:
        """Answers, unless the process hangs."""
