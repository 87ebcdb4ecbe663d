"""The metrics of one process: rooms add to them, a scrape reads them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import prometheus_client
from prometheus_client import exposition, registry

from boxwright.telemetry import metric_table
from boxwright.telemetry.metric_table import COUNTER, GAUGE, HISTOGRAM, METRICS, OTHER, TABLE, VALUES, Metric

prometheus_client.disable_created_metrics()  # gauges of the same name that say when each series began

Numbers = Mapping[tuple[str, ...], float]  # by the values of a metric's labels, in their order

log = logging.getLogger(__name__)


class Metrics:
    """Counts for one process. Safe to use from several threads; about a microsecond a call.

    A value of a label that no list has is counted as ``other``, so that no input makes the metrics grow.

    Args:
        methods: the values of the label ``method``.
        about: the values of ``boxwright_build_info``: version and schema.
    """

    def __init__(self, methods: Collection[str] = (), about: Mapping[str, str] | None = None) -> None:
        self._registry = registry.CollectorRegistry()
        self._known = {label: frozenset(values) for label, values in VALUES.items()}
        self._known[metric_table.METHODS] = frozenset(methods)
        self._made: dict[str, Any] = {metric.name: self._make(metric) for metric in TABLE}
        self._bound: dict[tuple[str, ...], Any] = {}
        self._sources: list[Callable[[], Mapping[str, Numbers]]] = []
        if about is not None:
            self._made["boxwright_build_info"].labels(**about).set(1)
        prometheus_client.ProcessCollector(registry=self._registry)
        for metric in TABLE:  # an increase from nothing to one is no increase to Prometheus
            if metric.type == COUNTER and len(metric.labels) == 1:
                for value in VALUES[metric.labels[0]]:
                    self.add(metric.name, 0, value)

    def add(self, name: str, amount: float = 1, *values: str) -> None:
        """Adds to a counter or a gauge.

        Args:
            name: of the metric.
            amount: what is added; of a counter never below 0.
            values: of its labels, in the order of the table.
        """
        self._child(name, values).inc(amount)

    def set(self, name: str, value: float, *values: str) -> None:
        """Sets a gauge; arguments as of `add`."""
        self._child(name, values).set(value)

    def observe(self, name: str, seconds: float, *values: str) -> None:
        """Adds a duration to a histogram; arguments as of `add`."""
        self._child(name, values).observe(max(0.0, seconds))

    @contextmanager
    def timed(self, name: str, *values: str) -> Iterator[None]:
        """Observes how long a block takes, also one that raises."""
        started_s = time.perf_counter()
        try:
            yield
        finally:
            self.observe(name, time.perf_counter() - started_s, *values)

    def follow(self, source: Callable[[], Mapping[str, Numbers]]) -> None:
        """Sets gauges at each scrape to what a source says then; one that raises leaves its gauges out of that scrape."""
        self._sources.append(source)

    def page(self) -> tuple[str, bytes]:
        """What a scrape gets: its content type, and the text."""
        for source in self._sources:
            try:
                told = source()
            except Exception as error:  # a scrape must not fail for what is away, which other metrics tell
                log.warning("event=scrape_incomplete reason=%s", type(error).__name__)
                continue
            for name, numbers in told.items():
                for values, value in numbers.items():
                    self.set(name, value, *values)
        return exposition.CONTENT_TYPE_PLAIN_0_0_4, exposition.generate_latest(self._registry)

    def _child(self, name: str, values: tuple[str, ...]) -> Any:
        key = (name, *values)
        child = self._bound.get(key)
        if child is not None:
            return child
        metric = METRICS[name]
        known = [
            value if value in self._known[label] else OTHER for label, value in zip(metric.labels, values, strict=True)
        ]
        child = self._made[name].labels(*known) if metric.labels else self._made[name]
        if tuple(known) == values:  # others would fill the table with what callers send
            self._bound[key] = child
        return child

    def _make(self, metric: Metric) -> Any:
        arguments: dict[str, Any] = {"labelnames": metric.labels, "registry": self._registry}
        if metric.type == HISTOGRAM:
            return prometheus_client.Histogram(metric.name, metric.text, buckets=metric.buckets, **arguments)
        make = {COUNTER: prometheus_client.Counter, GAUGE: prometheus_client.Gauge}[metric.type]
        return make(metric.name, metric.text, **arguments)
