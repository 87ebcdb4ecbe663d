"""A child process that does what its arguments say: for tests of those who speak to children."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading


def _say(**event: object) -> None:
    print(json.dumps(event), flush=True)


def _echo() -> None:
    for line in sys.stdin:
        if line.strip() == "stop":
            _say(event="stopping")
            return
        _say(event="heard", line=line.strip())
    _say(event="input ended")


if __name__ == "__main__":
    behaviour = sys.argv[1]
    if behaviour == "echo":
        _echo()
    elif behaviour == "noise":
        print("a library prints something")
        print("warning: {not json")
        print("[1, 2", file=sys.stderr)
        _say(event="clear")
    elif behaviour == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _say(event="deaf")
        threading.Event().wait(60)
    elif behaviour == "dies":
        _say(event="last words")
        sys.exit(7)
    elif behaviour == "environment":
        _say(
            event="environment",
            value=os.environ.get("TALKING"),
            niceness=os.nice(0),
            session=os.getsid(0) == os.getpid(),
        )
