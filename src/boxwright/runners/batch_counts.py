"""Counts what the inference child of a batch prediction says."""

from __future__ import annotations

from typing import Any

from boxwright.batch.engine import stages
from boxwright.runners.host_counts import HostCounts
from boxwright.telemetry.metric_table import PREDICTED, STAGES
from boxwright.telemetry.metrics import Metrics


class BatchCounts:
    """Takes the events of one child at one job.

    Args:
        metrics: where they are counted.
        hosts: counts those of a cluster; None for an engine of this machine.
    """

    def __init__(self, metrics: Metrics, hosts: HostCounts | None = None) -> None:
        self._metrics = metrics
        self._hosts = hosts
        self._counted_s = dict.fromkeys(stages.STAGES, 0.0)

    def note(self, event: dict[str, Any]) -> None:
        """Takes an event; those that say nothing new count nothing."""
        match event:
            case {"event": "shard", "is_found": True}:
                self._metrics.add("boxwright_shards_total", 1, "found")
            case {"event": "shard", "predicted": predicted, "errors_by_code": failed}:
                self._metrics.add("boxwright_shards_total", 1, "committed")
                self._metrics.add("boxwright_images_total", predicted, PREDICTED)
                for code, images in failed.items():
                    self._metrics.add("boxwright_images_total", images, code)
            case {"event": "hosts"} if self._hosts is not None:
                self._hosts.note(self, event)
            case {"event": "throttled", "throttled": throttled}:
                self._metrics.add("boxwright_store_throttled_total", throttled)
            case {"event": "progress", "stages": spent_s}:
                self._note_stages(spent_s)
            case {
                "event": "done",
                "stages": spent_s,
                "rows_read": rows,
                "duplicates": duplicates,
                "unusable": unusable,
            }:
                self._note_stages(spent_s)
                self._metrics.add("boxwright_plan_rows_total", max(0, rows - duplicates - unusable), "planned")
                self._metrics.add("boxwright_plan_rows_total", duplicates, "duplicate")
                self._metrics.add("boxwright_plan_rows_total", unusable, "unusable")

    def end(self) -> None:
        """The child says no more."""
        if self._hosts is not None:
            self._hosts.forget(self)

    def _note_stages(self, spent_s: dict[str, float]) -> None:
        """Counts what was spent since the last event: a child tells sums."""
        for stage, name in zip(stages.STAGES, STAGES, strict=True):
            more_s = max(0.0, spent_s.get(stage, 0.0) - self._counted_s[stage])
            self._counted_s[stage] += more_s
            self._metrics.add("boxwright_image_stage_seconds_total", more_s, name)
