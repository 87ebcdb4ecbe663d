"""The hosts that a driver keeps for its next job, for a minute: a small batch does not wait for processes to start."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from typing import Any

import ray
from ray.exceptions import RayError

from boxwright.cluster.cluster_share import ClusterShare
from boxwright.cluster.host import CONTROL, Host

IDLE_S = 60.0  # then the room is for others, and machines that are empty may go


class HostPool:
    """Hosts without work. Safe to use from several threads.

    Args:
        share: what each of them has.
        environment: variables that are added to those of their nodes.
        idle_s: how long they are kept.
    """

    def __init__(self, share: ClusterShare, environment: Mapping[str, str], idle_s: float = IDLE_S) -> None:
        self.share = share
        self._environment = dict(environment)
        self._idle_s = idle_s
        self._actor = ray.remote(max_restarts=0, max_task_retries=0, concurrency_groups={CONTROL: 2})(Host)
        self._lock = threading.Lock()
        self._kept: list[Any] = []
        self._timer: threading.Timer | None = None

    @property
    def idle(self) -> int:
        """How many are kept."""
        with self._lock:
            return len(self._kept)

    def take(self) -> Any:
        """The handle of a host: one that was kept, or a new one, which Ray starts where there is room."""
        with self._lock:
            self._stop_timer()
            if self._kept:
                return self._kept.pop()
        options = self._actor.options(num_cpus=self.share.cores, num_gpus=self.share.gpus)
        return options.remote(self.share.cache_dir, self.share.cache_bytes, self._environment)

    def give(self, handle: Any) -> None:
        """Takes a host back that has nothing to do."""
        with self._lock:
            self._kept.append(handle)
            self._stop_timer()
            self._timer = threading.Timer(self._idle_s, self.close)
            self._timer.daemon = True
            self._timer.start()

    def end(self, handle: Any) -> None:
        """Ends a host, whatever it is at."""
        with contextlib.suppress(RayError):
            ray.kill(handle)

    def close(self) -> None:
        """Ends all that are kept."""
        with self._lock:
            self._stop_timer()
            kept, self._kept = self._kept, []
        for handle in kept:
            self.end(handle)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
