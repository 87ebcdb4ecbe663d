"""The dry run of a batch prediction: an inference child says what the job would read, take and write."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Any

from google.rpc import status_pb2

from boxwright import errors
from boxwright.batch.child_pool import Children, JobChild
from boxwright.batch.job import BatchJob, EstimateCommand
from boxwright.operations.runner import Context
from boxwright.runners.isolation import Isolation, events

ESTIMATE_FILE = "estimate.json"  # below the output prefix
REPORT_INTERVAL_S = 0.5
MAX_TOLD_CHARS = 1000
SECONDS_PER_HOUR = 3600

log = logging.getLogger(__name__)


class DryRuns:
    """Estimates batch predictions.

    Args:
        children: the inference children.
        price_per_core_hour: what an hour of a core costs, in any currency; 0: not known.
    """

    def __init__(self, children: Children, price_per_core_hour: float) -> None:
        self._children = children
        self._price = price_per_core_hour

    def run(
        self, job: BatchJob, context: Context, stop: Callable[[JobChild], None], put: Callable[[str, bytes], str]
    ) -> dict[str, str]:
        """Estimates a job; returns what its response says.

        Args:
            job: the job, of which nothing is done.
            context: of the operation.
            stop: ends what a child is at.
            put: writes a file below the output prefix and returns its address.

        Raises:
            ApiError: with which the job itself would fail.
        """

        def estimated(child: JobChild) -> dict[str, Any]:
            child.send_line(EstimateCommand(job).to_json())
            return self._follow(child, context, stop, job.spec.image_timeout_s)

        event = Isolation(self._children, job).in_child(context, estimated)
        estimate: dict[str, Any] = event["estimate"]
        if self._price:
            answer = estimate["answer"]
            answer["cost"] = round(answer["seconds"] / SECONDS_PER_HOUR * answer["cores"] * self._price, 4)
        content = json.dumps(estimate, indent=2, ensure_ascii=False) + "\n"
        address = put(ESTIMATE_FILE, content.encode("utf-8", "replace"))
        failures = [status_pb2.Status(code=code, message=text) for code, text in event["row_failures"]]
        told = _told(estimate, address)
        context.report(progress={"summary": told["summary"], "estimate": address}, partial_failures=failures)
        log.info("event=dry_run_done operation=%s summary=%r", context.name, told["summary"])
        return told

    def _follow(
        self, child: JobChild, context: Context, stop: Callable[[JobChild], None], image_timeout_s: float
    ) -> dict[str, Any]:
        """Passes on what the child is at until it has the estimate; returns the event ``estimated``."""
        reported_s = 0.0
        heard = events(child, context, stop, image_timeout_s)
        while True:
            event = next(heard)
            match event:
                case {"event": "estimating", "stage": stage, "rows": rows}:
                    if time.monotonic() - reported_s >= REPORT_INTERVAL_S:
                        reported_s = time.monotonic()
                        context.report(progress={"stage": stage, "rows": rows})
                case {"event": "error", "code": code, "message": message, "row_failures": rows}:
                    failures = [status_pb2.Status(code=code, message=text) for code, text in rows]
                    context.report(partial_failures=failures)
                    raise errors.ApiError(code, message)
                case {"event": "estimated"}:
                    return event


def _told(estimate: dict[str, Any], address: str) -> dict[str, str]:
    """The estimate as the flat texts of a response; the file has all of it."""
    listed, seen, sample, answer = (estimate[part] for part in ("lists", "objects", "sample", "answer"))
    told: dict[str, Any] = {
        "validate_only": "true",
        "summary": estimate["summary"],
        "estimate": address,
        "images": answer["images"],
        **{key: listed[key] for key in ("rows", "duplicates", "unusable")},
        **{key: seen[key] for key in ("looked_at", "missing", "missing_share")},
        **{key: seen[key] for key in ("missing_share_low", "missing_share_high", "bytes")},
        "suffixes": ", ".join(f"{suffix} {count}" for suffix, count in listed["suffixes"].items()),
        "sample_images": sample["images"],
        "sample_failed": sample["failed"],
        "results_per_image": sample["results_per_image"],
        "megapixels": sample["megapixels"],
        "images_per_s": sample["images_per_s"],
        **{key: answer[key] for key in answer if key not in ("images", "formats_bytes")},
        "warnings": "\n".join(estimate["warnings"]),
    }
    return {key: str(value)[:MAX_TOLD_CHARS] for key, value in told.items() if value not in ("", None)}
