"""What metrics and traces cost: a call, an image, a scrape and a span.

    python -m benchmarks.serving.metrics [--quick] [--calls 200000]

Measures processor time in this process: what is counted for each call of the API, for each event of a shard of 500 images,
and a scrape of a process in which each method has answered at both doors with three codes. Of a span, the time to make it,
and to encode and send it to a server of this process that throws it away; `span_off_us` is its time where nobody traces.
"""

from __future__ import annotations

import http.server
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from tests.support.operations.scraped import samples

from benchmarks.harness import arguments, results
from boxwright.batch.engine import stages
from boxwright.runners.batch_counts import BatchCounts
from boxwright.surface import methods
from boxwright.telemetry import otlp_traces, spans
from boxwright.telemetry.metrics import Metrics

METHODS = [row.rpc for row in methods.TABLE]
SHARD_IMAGES = 500
BATCH = 500  # spans at once
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


class _Sink(http.server.BaseHTTPRequestHandler):
    """Throws away what is sent."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


def measure_spans(count: int) -> dict[str, Any]:
    """What a span costs, likewise; `spans_sent` says how many of those that were made have reached the server."""
    metrics = Metrics()

    def call(traces: spans.Traces) -> None:
        with spans.entered(traces.begin("service/Method", is_request=True)) as span:
            span.set(door="grpc", code="OK")

    off_us = cost_us(lambda: call(spans.Traces()), count)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Sink) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        traces = otlp_traces.OtlpTraces(f"http://127.0.0.1:{server.server_address[1]}", metrics=metrics)
        started_s = time.process_time()
        made_s = 0.0
        for _ in range(max(1, count // BATCH)):
            began_s = time.thread_time()
            for _ in range(BATCH):
                call(traces)
            made_s += time.thread_time() - began_s
            time.sleep(0.05)  # or the queue is full, and what is dropped costs little
        traces.close()
        all_s = time.process_time() - started_s
        server.shutdown()
    made = max(1, count // BATCH) * BATCH
    sent = int(samples(metrics)["boxwright_spans_total", "sent"])
    return {
        "span_off_us": round(off_us, 2),
        "span_make_us": round(made_s / made * 1e6, 1),
        "span_all_us": round(all_s / made * 1e6, 1),
        "spans_sent": sent,
    }


def main() -> int:
    parser = arguments.parser(__doc__, quick="few calls")
    parser.add_argument("--calls", type=int, default=200_000, help="of each kind (default 200000)")
    options = parser.parse_args()
    if options.quick:
        options.calls = 20_000
    found = measure(options.calls) | measure_spans(options.calls // 10)
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
