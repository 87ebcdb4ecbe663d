"""Sizes of images that nobody has looked at yet, found in processes that have nothing worth stealing.

Images of callers are decoded by native code. It runs in children with the environment of all children and without the
variables of stores: no database, no keys, no credentials. Each has one image at a time, so that who is to blame for the end
of a child is known.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from boxwright import processes
from boxwright.images.decode import MAX_TILE_PIXELS, DecodeError
from boxwright.images.size_main import LENGTH

CHILD_MODULE = "boxwright.images.size_main"
START_TIMEOUT_S = 300.0  # a second at most on a machine that is not overwhelmed
LOOK_INTERVAL_S = 0.2
TRIALS = 2  # of one image: one death proves nothing, somebody else may have ended that child


class DecoderCrashError(Exception):
    """The image ends every process that decodes it."""


class DecoderOverdueError(Exception):
    """The image was not decoded in time."""


class SizeProcesses:
    """A few processes that decode images, started when they are first needed; for several threads.

    Args:
        timeout_s: for one image.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._idle: list[_SizeProcess] = []

    def __enter__(self) -> SizeProcesses:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for process in idle:
            process.close()

    def size_hw(self, image: bytes, raise_if_stopped: Callable[[], None] = lambda: None) -> tuple[int, int]:
        """Decodes an image; returns its upright height and width in pixels.

        Args:
            image: the file's bytes.
            raise_if_stopped: asked while this waits; what it raises ends the waiting.

        Raises:
            DecodeError: the bytes are no usable image.
            DecoderCrashError: it ended two processes.
            DecoderOverdueError: decoding takes too long.
        """
        for _ in range(TRIALS):
            with self._borrowed() as process, contextlib.suppress(processes.ChildExitError):
                return process.size_hw(image, self._timeout_s, raise_if_stopped)
        raise DecoderCrashError

    @contextlib.contextmanager
    def _borrowed(self) -> Iterator[_SizeProcess]:
        with self._lock:
            process = self._idle.pop() if self._idle else None
        process = process or _SizeProcess()
        try:
            yield process
        finally:
            if process.is_usable:
                with self._lock:
                    self._idle.append(process)
            else:
                process.close()


class _SizeProcess:
    """One of them; `is_usable` unless it was left in the middle of an image."""

    def __init__(self) -> None:
        self.is_usable = False
        self._is_ready = False
        self._connection, theirs = socket.socketpair()
        with theirs:
            self._child = processes.Child(
                CHILD_MODULE, [str(theirs.fileno())], processes.FEW_HEAPS, pass_fds=[theirs.fileno()]
            )

    def size_hw(self, image: bytes, timeout_s: float, raise_if_stopped: Callable[[], None]) -> tuple[int, int]:
        self.is_usable = False
        if not self._is_ready and self._next_event(START_TIMEOUT_S, raise_if_stopped) != {"event": "ready"}:
            raise processes.ChildExitError(f"{CHILD_MODULE} did not start in time")
        self._is_ready = True
        try:
            self._connection.settimeout(timeout_s)
            self._connection.sendall(LENGTH.pack(len(image)))
            self._connection.sendall(image)
        except OSError as error:
            raise processes.ChildExitError(self._child.epitaph()) from error
        match self._next_event(timeout_s, raise_if_stopped):
            case None:
                raise DecoderOverdueError
            case {"event": "unusable", "reason": str(reason)}:
                self.is_usable = True
                raise DecodeError(reason)
            case {"event": "size", "height_px": int(height_px), "width_px": int(width_px)} if (
                0 < height_px < MAX_TILE_PIXELS and 0 < width_px < MAX_TILE_PIXELS
            ):
                self.is_usable = True
                return height_px, width_px
            case _:  # not what that program says
                raise processes.ChildExitError(f"{CHILD_MODULE} gave an answer that is none")

    def close(self) -> None:
        self._connection.close()
        self._child.close(grace_s=0)

    def _next_event(self, timeout_s: float, raise_if_stopped: Callable[[], None]) -> dict[str, Any] | None:
        """The next event, None if it does not come in time."""
        deadline_s = time.monotonic() + timeout_s
        while (left_s := deadline_s - time.monotonic()) > 0:
            event = self._child.next_event(min(LOOK_INTERVAL_S, left_s))
            if event is not None:
                return event
            raise_if_stopped()
        return None
