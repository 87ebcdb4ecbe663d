"""Finished spans on their way to a collector: a bounded queue and one thread. Who makes spans never waits for it."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

MOST_WAITING = 4096  # spans: about 4 MB
BATCH = 512
EVERY_S = 1.0
CLOSE_S = 1.0

Count = Callable[[int, str], None]  # spans, and whether they were sent, dropped or not_sent

log = logging.getLogger(__name__)


class SpanQueue(SpanProcessor):
    """Takes spans that have ended, and sends them in batches.

    The package's own processor drops spans without telling how many, and may take 30 seconds to end.

    Args:
        exporter: sends a batch.
        count: hears what became of spans.
        reason: why the last batch was not sent, for the log.
        most_waiting: more than so many that wait are dropped.
        every_s: a batch waits for more spans for so long at most.
    """

    def __init__(
        self,
        exporter: SpanExporter,
        count: Count,
        reason: Callable[[], str] = str,
        *,
        most_waiting: int = MOST_WAITING,
        every_s: float = EVERY_S,
    ) -> None:
        self._exporter = exporter
        self._count = count
        self._reason = reason
        self._every_s = every_s
        self._waiting: queue.Queue[ReadableSpan | None] = queue.Queue(most_waiting)
        self._ended = threading.Event()
        self._is_away = False
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing: only what has ended is sent."""

    def on_end(self, span: ReadableSpan) -> None:
        """Takes a span, or drops it: work goes on in any case."""
        if self._ended.is_set():
            self._count(1, "dropped")
            return
        try:
            self._waiting.put_nowait(span)
        except queue.Full:
            self._count(1, "dropped")

    def shutdown(self) -> None:
        """Sends what waits, for `CLOSE_S` at most; what a collector does not take by then is lost."""
        self._ended.set()
        with contextlib.suppress(queue.Full):  # then the thread is awake
            self._waiting.put_nowait(None)
        self._thread.join(CLOSE_S)
        self._exporter.shutdown()  # which ends the waits between attempts
        self._thread.join(0.1)
        lost = sum(span is not None for span in list(self._waiting.queue))
        self._count(lost, "dropped")
        if lost:
            log.warning("event=traces_lost spans=%d", lost)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits for spans."""
        return True

    # ---- inside -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not (self._ended.is_set() and self._waiting.empty()):
            batch = self._batch()
            if batch and not (self._ended.is_set() and self._is_away):
                self._send(batch)
            elif batch:
                self._count(len(batch), "dropped")  # nobody took the one before: the end is not held up

    def _batch(self) -> list[ReadableSpan]:
        """Spans that go together: they are waited for until the first of them is `every_s` old."""
        first = self._waiting.get()
        if first is None:
            return []
        batch, until_s = [first], time.monotonic() + self._every_s
        while len(batch) < BATCH:
            wait_s = 0.0 if self._ended.is_set() else until_s - time.monotonic()
            try:
                span = self._waiting.get(timeout=wait_s) if wait_s > 0 else self._waiting.get_nowait()
            except queue.Empty:
                break
            if span is None:
                break
            batch.append(span)
        return batch

    def _send(self, batch: list[ReadableSpan]) -> None:
        try:
            is_sent = self._exporter.export(batch) is SpanExportResult.SUCCESS
        except Exception as error:  # whatever a collector answers, the next batch is tried
            log.warning("event=traces_not_encoded reason=%r", error)
            is_sent = False
        self._count(len(batch), "sent" if is_sent else "not_sent")
        if self._is_away == is_sent:  # said when it changes, not for each batch
            if is_sent:
                log.info("event=traces_sent_again")
            else:
                log.warning("event=traces_not_sent reason=%s", self._reason())
        self._is_away = not is_sent
