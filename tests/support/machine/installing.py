"""What tests install on the machine they install one after the other, also when several test processes want to."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Waits until no other test process of this user installs anything; look again then whether it is there."""
    place = pathlib.Path(tempfile.gettempdir(), f"boxwright-test-install-{os.getuid()}.lock")
    with place.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # given back when the file is closed, and when the process dies
        yield
