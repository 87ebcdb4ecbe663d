"""Images decoded in processes that have nothing worth stealing, for callers who wait.

Images of callers are decoded by native code. It runs in children with the environment of all children and without the
variables of stores: no database, no keys, no credentials. Each has one image at a time, so that who is to blame for the end
of a child is known, and there are only so many, which bounds processor and memory.
"""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
from collections.abc import Iterator
from typing import Any

from boxwright import errors, processes
from boxwright.images.decode import DecodeError
from boxwright.pictures.child_main import HEAD
from boxwright.pictures.rendering import ImageFacts, PictureRequest

CHILD_MODULE = "boxwright.pictures.child_main"
START_TIMEOUT_S = 300.0  # a second at most on a machine that is not overwhelmed
TRIALS = 2  # of one image: one death proves nothing, somebody else may have ended that child
MAX_PICTURE_BYTES = 1 << 28  # 4096 x 4096 pixels take 48 MiB before they are compressed

log = logging.getLogger(__name__)


class DecoderProcesses:
    """A few processes that decode images, started when they are first needed; for several threads.

    Args:
        count: images decoded at once.
        timeout_s: for one image.
    """

    def __init__(self, count: int, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._room = threading.BoundedSemaphore(count)
        self._lock = threading.Lock()
        self._idle: list[_Decoder] = []
        self._is_closed = False

    def render(self, image: bytes, wanted: PictureRequest) -> bytes:
        """Makes a picture of an image: a JPEG.

        Raises:
            DecodeError: the bytes are no usable image, crash the decoder or take too long.
        """
        return self._asked({"edge_px": wanted.edge_px, "region": wanted.region}, image)[1]

    def look(self, image: bytes) -> ImageFacts:
        """Decodes an image and says what it is. Raises as `render`."""
        return ImageFacts(**self._asked({}, image)[0])

    def close(self) -> None:
        """Ends the processes; those at work end with their image."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for decoder in idle:
            decoder.close()

    def _asked(self, request: dict[str, Any], image: bytes) -> tuple[dict[str, Any], bytes]:
        for _ in range(TRIALS):
            with self._borrowed() as decoder, contextlib.suppress(processes.ChildExitError):
                said, picture = decoder.ask(request, image, self._timeout_s)
                if "reason" in said:
                    raise DecodeError(str(said["reason"]))
                return said, picture
        log.warning("event=image_crashes_decoder bytes=%d", len(image))
        raise DecodeError("Decoding this image crashes the decoder.")

    @contextlib.contextmanager
    def _borrowed(self) -> Iterator[_Decoder]:
        with self._room:
            with self._lock:
                if self._is_closed:
                    raise errors.unavailable("The service is shutting down; try again shortly.")
                decoder = self._idle.pop() if self._idle else None
            decoder = decoder or _Decoder()
            try:
                yield decoder
            finally:
                with self._lock:
                    is_kept = decoder.is_usable and not self._is_closed
                    if is_kept:
                        self._idle.append(decoder)
                if not is_kept:
                    decoder.close()


class _Decoder:
    """One of them; `is_usable` unless it was left in the middle of an image."""

    def __init__(self) -> None:
        self.is_usable = False
        self._connection, theirs = socket.socketpair()
        with theirs:
            self._child = processes.Child(
                CHILD_MODULE, [str(theirs.fileno())], processes.FEW_HEAPS, is_nice=False, pass_fds=[theirs.fileno()]
            )
        self._answers = self._connection.makefile("rb")
        self._is_started = False

    def ask(self, request: dict[str, Any], image: bytes, timeout_s: float) -> tuple[dict[str, Any], bytes]:
        self.is_usable = False
        text = json.dumps(request).encode()
        try:
            self._connection.settimeout(timeout_s if self._is_started else START_TIMEOUT_S)
            self._connection.sendall(HEAD.pack(len(text), len(image)) + text)
            self._connection.sendall(image)
            said_bytes, picture_bytes = self._head()
            if said_bytes > len(text) + MAX_PICTURE_BYTES or picture_bytes > MAX_PICTURE_BYTES:
                raise processes.ChildExitError(f"{CHILD_MODULE} gave an answer that is none")
            said, picture = self._answers.read(said_bytes), self._answers.read(picture_bytes)
        except TimeoutError as error:
            raise DecodeError(f"Decoding this image takes longer than {timeout_s:g} s.") from error
        except OSError as error:
            raise processes.ChildExitError(self._child.epitaph()) from error
        if len(said) < said_bytes or len(picture) < picture_bytes:
            raise processes.ChildExitError(self._child.epitaph())
        self.is_usable = self._is_started = True
        answer: dict[str, Any] = json.loads(said)
        return answer, picture

    def _head(self) -> tuple[int, int]:
        head = self._answers.read(HEAD.size)
        if len(head) < HEAD.size:
            raise processes.ChildExitError(self._child.epitaph())
        said_bytes, picture_bytes = HEAD.unpack(head)
        return said_bytes, picture_bytes

    def close(self) -> None:
        self._answers.close()
        self._connection.close()
        self._child.close(grace_s=0)
