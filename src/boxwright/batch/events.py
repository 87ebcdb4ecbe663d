"""What a child process says on its standard output: one JSON object a line."""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

_lock = threading.Lock()  # of the one standard output


class Events:
    """Standard output, one JSON object a line. Safe to use from several threads.

    Args:
        channel: the job's, in a process that runs several; it is told with each event.
    """

    def __init__(self, channel: int | None = None) -> None:
        self._tags = {} if channel is None else {"channel": channel}

    def say(self, event: str, **values: Any) -> None:
        """Writes one event."""
        line = json.dumps({"event": event, **self._tags, **values}, ensure_ascii=False)
        with _lock:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
