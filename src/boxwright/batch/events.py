"""What a child process says on its standard output: one JSON object a line."""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

_lock = threading.Lock()  # of the one standard output


class Events:
    """Standard output, one JSON object a line. Safe to use from several threads."""

    def say(self, event: str, **values: Any) -> None:
        """Writes one event."""
        line = json.dumps({"event": event, **values}, ensure_ascii=False)
        with _lock:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
