"""What metrics cost: a call, an image and a scrape.

    python -m benchmarks.serving.metrics [--quick] [--calls 200000]

Measures processor time in this process: what is counted for each call of the API, for each event of a shard of 500 images,
and a scrape of a process in which each method has answered at both doors with three codes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.harness import arguments, results
from boxwright.batch.engine import stages
from boxwright.runners.batch_counts import BatchCounts
from boxwright.surface import methods
from boxwright.telemetry.metrics import Metrics

METHODS = [row.rpc for row in methods.TABLE]
SHARD_IMAGES = 500
CODES = ("OK", "NOT_FOUND", "INVALID_ARGUMENT")


def cost_us(work: Callable[[], None], calls: int) -> float:
    """Processor time of a piece of work, in microseconds."""
    for _ in range(calls // 10):
        work()
    started_s = time.process_time()
    for _ in range(calls):
        work()
    return (time.process_time() - started_s) / calls * 1e6


def measure(calls: int) -> dict[str, Any]:
    """What was measured → its value, with the unit in its name."""
    metrics = Metrics(METHODS, {"version": "0", "schema": "0"})
    counts = BatchCounts(metrics)
    spent_s = dict.fromkeys(stages.STAGES, 0.0)
    failed = {"NOT_FOUND": 2, "INVALID_ARGUMENT": 1}
    shard = {"event": "shard", "is_found": False, "predicted": SHARD_IMAGES - 3, "errors_by_code": failed}

    def call() -> None:
        metrics.add("boxwright_rpc_in_flight", 1, "grpc")
        metrics.observe("boxwright_rpc_seconds", 0.003, "GetOperation", "grpc", "OK")
        metrics.add("boxwright_rpc_in_flight", -1, "grpc")

    def finish_shard() -> None:
        for stage in spent_s:
            spent_s[stage] += 0.001
        counts.note(shard)
        counts.note({"event": "progress", "stages": spent_s})

    def transact() -> None:
        with metrics.timed("boxwright_db_seconds", "read"):
            pass

    found: dict[str, Any] = {
        "call_us": round(cost_us(call, calls), 2),
        "transaction_us": round(cost_us(transact, calls), 2),
        "image_us": round(cost_us(finish_shard, calls // 10) / SHARD_IMAGES, 4),
    }
    for method in METHODS:
        for door in ("rest", "grpc"):
            for code in CODES:
                metrics.observe("boxwright_rpc_seconds", 0.003, method, door, code)
    found["scrape_ms"] = round(cost_us(lambda: metrics.page() and None, max(10, calls // 2000)) / 1000, 2)
    found["scrape_bytes"] = len(metrics.page()[1])
    return found


def main() -> int:
    parser = arguments.parser(__doc__, quick="few calls")
    parser.add_argument("--calls", type=int, default=200_000, help="of each kind (default 200000)")
    options = parser.parse_args()
    if options.quick:
        options.calls = 20_000
    found = measure(options.calls)
    for name, value in found.items():
        print(f"{name:20} {value:>12}")
    results.close(
        __file__,
        options,
        {**found, "calls": options.calls, "quick": options.quick},
        source="docs/metrics.md",
        conditions=f"{options.calls} calls of each kind",
        figures=found,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
