"""The prediction process, seen from the service: started, told which models to load, asked about images, ended.

Every call of `PredictionProcess.predict` has a connection to the process for itself, so that images travel side by side and
an answer wakes nobody but its caller. The end of the process ends all of them at once.
"""

from __future__ import annotations

import contextlib
import logging
import pathlib
import select
import socket
import threading
import time
from collections.abc import Callable

from boxwright import processes
from boxwright.images.decode import DecodeError
from boxwright.inference.model_folder import ModelError
from boxwright.online import frames
from boxwright.online.frames import AnswerKind
from boxwright.predictions import ImagePrediction

CHILD_MODULE = "boxwright.online.child_main"
LOAD_TIMEOUT_S = 600.0  # a large network is compiled in seconds
LOOK_INTERVAL_S = 1.0  # how often a waiting call looks whether the process still answers anybody
SILENCE_MARGIN_S = 5.0

log = logging.getLogger(__name__)


class ProcessEndedError(Exception):
    """The process ended before it answered.

    Attributes:
        had_image: whether it had the whole image, so that this image may have been the reason.
    """

    def __init__(self, why: str, *, had_image: bool = False) -> None:
        super().__init__(why)
        self.had_image = had_image


class UnknownModelError(Exception):
    """The process has no model of that number, or not any more."""


class OverdueImageError(Exception):
    """Decoding the image took too long; the process ends."""


class PredictionProcess:
    """A running prediction process.

    The thread that makes it must live as long as the process shall: Linux ends the process with that thread.

    Args:
        timeout_s: for decoding one image.
        decodes: images decoded at once.
        on_end: called once when the process has ended, in a thread of its own.
    """

    def __init__(self, timeout_s: float, decodes: int, on_end: Callable[[PredictionProcess], None]) -> None:
        self._longest_silence_s = 2 * timeout_s + SILENCE_MARGIN_S  # the process itself ends an overdue image before
        self._control, theirs = socket.socketpair()
        with theirs:
            self._child = processes.Child(
                CHILD_MODULE,
                [str(theirs.fileno()), str(timeout_s), str(decodes)],
                processes.FEW_HEAPS,
                is_nice=False,
                pass_fds=[theirs.fileno()],
            )
        self._on_end = on_end
        self._commanding = threading.Lock()
        self._lock = threading.Lock()
        self._idle: list[socket.socket] = []
        self._has_ended = self._is_closing = False
        self._heard_s = self.started_s = time.monotonic()
        threading.Thread(target=self._await_end, name="prediction-process", daemon=True).start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    def load(self, model: int, folder: pathlib.Path, *, streams: int, precision: str | None, runtime: str) -> str:
        """Loads a model and returns its runtime in words. For one thread at a time.

        Args:
            model: the number by which it is asked for.
            folder: the model's; see `LoadedModel.open` for the rest.
            streams: images predicted at once on the CPU.
            precision: of the network.
            runtime: "cpu", "gpu" or "auto".

        Raises:
            ModelError: the process refuses it, or does not get done.
            ProcessEndedError: the process ended meanwhile.
        """
        deadline_s = time.monotonic() + LOAD_TIMEOUT_S
        try:
            self._command(
                {
                    "do": "load",
                    "model": model,
                    "folder": str(folder),
                    "streams": streams,
                    "precision": precision,
                    "runtime": runtime,
                }
            )
            while time.monotonic() < deadline_s:
                match self._child.next_event(timeout_s=LOOK_INTERVAL_S):
                    case {"event": "loaded", "model": number, "runtime": label} if number == model:
                        return str(label)
                    case {"event": "refused", "model": number, "message": message} if number == model:
                        raise ModelError(str(message))
                    case {"event": "failed", "model": number} if number == model:
                        raise ModelError(f"{folder.name}: loading failed; the service's log has the reason.")
        except processes.ChildExitError as error:
            raise ProcessEndedError(str(error)) from error
        self.kill()
        raise ModelError(f"{folder.name}: the network was not loaded within {LOAD_TIMEOUT_S:g} s.")

    def unload(self, model: int) -> None:
        """Frees a model once the calls under way are answered."""
        with contextlib.suppress(processes.ChildExitError):
            self._command({"do": "unload", "model": model})

    def predict(self, model: int, image: bytes, kind: str, label_count: int) -> ImagePrediction:
        """Asks about one image; for any number of threads.

        Args:
            model: its number.
            image: the file's bytes.
            kind: of the model, as model.json names it.
            label_count: of the model.

        Raises:
            DecodeError: the bytes are no usable image.
            OverdueImageError: decoding them took too long.
            UnknownModelError: see there.
            ProcessEndedError: see there.
        """
        connection = self._borrow()
        try:
            answer, content = self._ask(connection, model, image)
            found = frames.unpack_prediction(content, kind, label_count) if answer is AnswerKind.FOUND else None
        except (OSError, frames.BrokenAnswerError) as error:
            connection.close()
            self.kill()  # if it has not ended already, it is of no use any more
            # a broken pipe, or a reset, means that the image, or its end, was not read
            had_image = not isinstance(error, BrokenPipeError | ConnectionResetError)
            raise ProcessEndedError(f"the prediction process gave no answer: {error}", had_image=had_image) from error
        self._heard_s = time.monotonic()
        self._give_back(connection)
        if found is not None:
            return found
        if answer is AnswerKind.UNUSABLE:
            raise DecodeError(content.decode("utf-8", "replace"))
        if answer is AnswerKind.UNKNOWN_MODEL:
            raise UnknownModelError
        if answer is AnswerKind.OVERDUE:
            raise OverdueImageError
        raise RuntimeError("the prediction process has failed; the log has its traceback")

    def kill(self) -> None:
        """Ends the process; every call under way ends with it."""
        self._child.close(grace_s=0)

    def close(self) -> None:
        """Ends the process because it is not needed any more."""
        self._is_closing = True
        self.kill()

    def _command(self, command: dict[str, object]) -> None:
        with self._commanding:
            self._child.send(command)

    def _borrow(self) -> socket.socket:
        """An idle connection, or one more."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        connection, theirs = socket.socketpair()
        with theirs:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, frames.SEND_BUFFER_BYTES)
            connection.settimeout(self._longest_silence_s)
            try:
                with self._commanding:
                    socket.send_fds(self._control, [b"c"], [theirs.fileno()])
            except OSError as error:
                connection.close()
                raise ProcessEndedError(f"the prediction process takes no connection: {error}") from error
        return connection

    def _give_back(self, connection: socket.socket) -> None:
        with self._lock:
            if not self._has_ended:
                self._idle.append(connection)
                return
        connection.close()

    def _ask(self, connection: socket.socket, model: int, image: bytes) -> tuple[AnswerKind, bytes]:
        frames.send_request(connection, model, image)
        sent_s = time.monotonic()
        readable = select.poll()
        readable.register(connection, select.POLLIN)
        while not readable.poll(LOOK_INTERVAL_S * 1000):
            silent_s = time.monotonic() - max(sent_s, self._heard_s)
            if silent_s > self._longest_silence_s:
                raise TimeoutError(f"no image was answered for {silent_s:.0f} s")
        return frames.receive_answer(connection)

    def _await_end(self) -> None:
        with contextlib.suppress(OSError):
            self._control.recv(1)  # the process says nothing here: this is its end
        self._child.close(grace_s=processes.STOP_GRACE_S)  # it is about to be gone, or hangs on its way out
        with self._lock:
            self._has_ended, idle = True, list(self._idle)
            self._idle.clear()
        for connection in (*idle, self._control):
            connection.close()
        if not self._is_closing:
            log.error("event=prediction_process_ended how=%r", self._child.epitaph())
        self._on_end(self)
