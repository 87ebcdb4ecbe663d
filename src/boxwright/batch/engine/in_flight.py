"""The guard: which images are being worked on, and which may never be worked on again.

A native decoder may crash or hang; neither can be caught in the process that it happens to. So every thread notes the image
that it is about to decode in a small file that survives the process, and gives the note back afterwards. When a child dies,
the notes name the suspects; each is then tried alone, and the one that kills its child, or takes too long, is convicted: it
becomes one error line, and the job goes on without it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import mmap
import os
import pathlib
import threading
import time
from collections.abc import Iterator

from boxwright import private
from boxwright.batch.engine import convictions
from boxwright.batch.engine.convictions import Convictions

SLOT_BYTES = 4096  # longer than any id: a URI has at most 2000 characters
NOTES_FILE = "in-flight"
WATCH_INTERVAL_S = 0.25
HUNG_EXIT_STATUS = 75

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class StartedImage:
    """An image under way and when its work began, on the monotonic clock."""

    id: str
    started_s: float


class Journal:
    """The notes and convictions of one job, in a folder on this machine.

    Args:
        folder: where they are kept; made if missing.
        threads: how many images this process may have under way at once.
        process_index: which of the job's processes this is. The first one, 0, starts before all others and clears older
            notes.
    """

    def __init__(self, folder: pathlib.Path, threads: int, process_index: int = 0) -> None:
        private.make_folder(folder)
        self.folder = folder
        if process_index == 0:
            for older in folder.glob(f"{NOTES_FILE}-*"):
                older.unlink(missing_ok=True)
        fresh = folder / f"part-{process_index}"  # a new file: one that an older process has mapped must not shrink
        with private.open_file(fresh, "w+b") as file:
            file.truncate(threads * SLOT_BYTES)
            self._notes = mmap.mmap(file.fileno(), threads * SLOT_BYTES)  # shared: what is in it survives this process
        os.replace(fresh, folder / f"{NOTES_FILE}-{process_index}")
        self._lock = threading.Lock()
        self._free = list(range(threads))
        self._work: dict[int, StartedImage] = {}
        self.convictions = Convictions(folder)
        self.convicted = self.convictions.read()

    @contextlib.contextmanager
    def watched(self, image_id: str) -> Iterator[None]:
        """Notes an image while it is decoded and predicted."""
        encoded = image_id.encode("utf-8", "replace")[: SLOT_BYTES - 2]
        with self._lock:
            slot = self._free.pop()
            self._work[slot] = StartedImage(image_id, time.monotonic())
        start = slot * SLOT_BYTES
        self._notes[start + 2 : start + 2 + len(encoded)] = encoded
        self._notes[start : start + 2] = len(encoded).to_bytes(2, "little")  # last: it makes the note one
        try:
            yield
        finally:
            self._notes[start : start + 2] = b"\0\0"
            with self._lock:
                del self._work[slot]
                self._free.append(slot)

    def overdue(self, timeout_s: float) -> list[str]:
        """The images under way for longer than `timeout_s`."""
        now_s = time.monotonic()
        with self._lock:
            return [work.id for work in self._work.values() if now_s - work.started_s > timeout_s]

    def close(self) -> None:
        """Closes the notes."""
        self._notes.close()


class Watchdog:
    """Ends this process when an image takes too long; the image is convicted first, so that the next process leaves it out.

    Args:
        timeout_s: how long an image may take.
        guard: knows the images under way; None: nothing is watched.
    """

    def __init__(self, timeout_s: float, guard: Journal | None) -> None:
        self._timeout_s = timeout_s
        self._guard = guard
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        if guard is not None:
            self._thread.start()

    def close(self) -> None:
        """Ends the watch, and closes the notes."""
        if self._guard is not None:
            self._closed.set()
            self._thread.join()
            self._guard.close()

    def _watch(self) -> None:
        assert self._guard is not None
        while not self._closed.wait(WATCH_INTERVAL_S):
            overdue = self._guard.overdue(self._timeout_s)
            for image_id in overdue:
                log.error("event=image_overdue image=%s timeout_s=%g", image_id, self._timeout_s)
                self._guard.convictions.add(image_id, convictions.hung(image_id, self._timeout_s))
            if overdue:
                os._exit(HUNG_EXIT_STATUS)


@contextlib.contextmanager
def watching(folder: str, threads: int, timeout_s: float, process_index: int = 0) -> Iterator[Journal | None]:
    """As long as this lasts, images in flight are noted, and one that takes longer than `timeout_s` ends this process.

    Args:
        folder: where the notes are kept; empty: nothing is noted or watched, and the journal is None.
        threads: see `Journal`.
        timeout_s: see `Watchdog`.
        process_index: see `Journal`.
    """
    journal = Journal(pathlib.Path(folder), threads, process_index) if folder else None
    watchdog = Watchdog(timeout_s, journal)
    try:
        yield journal
    finally:
        watchdog.close()


def suspects(folder: pathlib.Path) -> list[str]:
    """The images that were under way when the processes that noted them died, without those convicted already."""
    notes = b"".join(path.read_bytes() for path in sorted(folder.glob(f"{NOTES_FILE}-*")))
    known = Convictions(folder).read()
    found = []
    for start in range(0, len(notes), SLOT_BYTES):
        length = int.from_bytes(notes[start : start + 2], "little")
        image_id = notes[start + 2 : start + 2 + length].decode("utf-8", "replace")
        if image_id and image_id not in known:
            found.append(image_id)
    return found
