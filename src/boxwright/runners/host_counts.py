"""Hosts of a cluster, as the jobs of this process tell: all of them share the hosts of one driver."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from boxwright.telemetry.metrics import Metrics

Gauges = dict[str, dict[tuple[str, ...], float]]


class HostCounts:
    """Takes what jobs tell. Safe to use from several threads.

    Args:
        metrics: counts hosts that were lost or refused; asks for the others at each scrape.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._lock = threading.Lock()
        self._told: dict[object, tuple[int, int]] = {}  # by job: hosts that are there, and that are wanted
        metrics.follow(self._gauges)

    def note(self, job: object, event: Mapping[str, int | str]) -> None:
        """Takes an event ``hosts`` of a job: `there` and `wanted` are of the driver, `lost` and `refused` new ones."""
        with self._lock:
            self._told[job] = int(event["there"]), int(event["wanted"])
        for name in ("lost", "refused"):
            self._metrics.add("boxwright_host_losses_total", int(event[name]), name)

    def forget(self, job: object) -> None:
        """The job has ended here."""
        with self._lock:
            self._told.pop(job, None)

    def _gauges(self) -> Gauges:
        with self._lock:
            told = list(self._told.values())
        there = max((there for there, _ in told), default=0)
        wanted = max((wanted for _, wanted in told), default=0)
        return {"boxwright_hosts": {(): there}, "boxwright_hosts_wanted": {(): wanted}}
