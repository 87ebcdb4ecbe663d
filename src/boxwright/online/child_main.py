"""The prediction process: ``python -m boxwright.online.child_main FD TIMEOUT_S DECODES`` answers one image after another.

Commands on standard input, one JSON object a line:

    {"do": "load", "model", "folder", "streams", "precision", "runtime"}     model: a number that requests name it by
    {"do": "unload", "model"}                                                calls under way are still answered

Events on standard output:

    {"event": "loaded", "model", "runtime"}      runtime: in words, for the log
    {"event": "refused", "model", "message"}     the folder is damaged, or the network does not run here
    {"event": "failed", "model"}                 a fault of the program; the log has it

The socket FD brings connections, one a thread, each with one image at a time (`frames`). At most DECODES images are decoded
at once, which bounds memory. One that takes longer than TIMEOUT_S ends the process, since native code cannot be interrupted.
The process also ends when FD does, with the service.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pathlib
import signal
import socket
import sys
import threading
import time
from typing import Any, NoReturn

from boxwright import faults, processes
from boxwright.images.decode import DecodeError
from boxwright.inference.loaded_model import LoadedModel
from boxwright.inference.model_folder import ModelError
from boxwright.inference.model_opening import open_model
from boxwright.online import frames
from boxwright.online.frames import AnswerKind
from boxwright.predictions import ImagePrediction

OVERDUE_STATUS = 3  # exit status of a process that ends because an image takes too long
WATCH_INTERVAL_S = 0.25
OOM_SCORE = "500"  # of 1000, added to the share of memory: the kernel ends this process before the service

log = logging.getLogger("boxwright.online.child_main")


class LoadedPredictors:
    """The loaded models by number; commands come on standard input."""

    def __init__(self) -> None:
        self._predictors: dict[int, LoadedModel] = {}

    def get(self, model: int) -> LoadedModel | None:
        """The model of that number, if it is loaded."""
        return self._predictors.get(model)

    def obey(self) -> None:
        """Obeys commands until standard input ends."""
        for line in sys.stdin:
            command = json.loads(line)
            if command["do"] == "load":
                self._load(command)
            else:
                self._predictors.pop(command["model"], None)

    def _load(self, command: dict[str, Any]) -> None:
        model = command["model"]
        try:
            predictor = open_model(
                pathlib.Path(command["folder"]),
                streams=command["streams"],
                precision=command["precision"],
                runtime=command["runtime"],
                keep_compiled=True,
            )
        except ModelError as error:
            _say("refused", model=model, message=str(error))
        except Exception:
            log.exception("event=load_failed model=%d", model)
            _say("failed", model=model)
        else:
            self._predictors[model] = predictor
            _say("loaded", model=model, runtime=predictor.runtime.label)


class ImageServer:
    """Answers the images of every connection; bounds how many are decoded at once, and for how long.

    Args:
        predictors: the loaded models.
        timeout_s: for decoding one image.
        decodes: at once.
    """

    def __init__(self, predictors: LoadedPredictors, timeout_s: float, decodes: int) -> None:
        self._predictors = predictors
        self._timeout_s = timeout_s
        self._room = threading.BoundedSemaphore(decodes)
        self._begun_s: dict[socket.socket, float] = {}  # images that are being decoded

    def serve(self, connection: socket.socket) -> None:
        """Answers one image after another until the connection ends."""
        with connection, contextlib.suppress(OSError):
            while (request := frames.receive_request(connection)) is not None:
                kind, content = self._answer(connection, *request)
                del request  # the next one may be long in coming
                frames.send_answer(connection, kind, content)

    def watch(self) -> NoReturn:
        """Ends the process when an image takes too long; its caller learns why, the others see the end."""
        pause = threading.Event()
        while True:
            pause.wait(WATCH_INTERVAL_S)
            latest_s = time.monotonic() - self._timeout_s
            overdue = [connection for connection, begun_s in list(self._begun_s.items()) if begun_s < latest_s]
            if overdue:
                log.error("event=decode_overdue images=%d timeout_s=%g", len(overdue), self._timeout_s)
                for connection in overdue:
                    with contextlib.suppress(OSError):
                        frames.send_answer(connection, AnswerKind.OVERDUE)
                os._exit(OVERDUE_STATUS)

    def _answer(self, connection: socket.socket, model: int, image: bytes) -> tuple[AnswerKind, bytes]:
        predictor = self._predictors.get(model)
        if predictor is None:
            return AnswerKind.UNKNOWN_MODEL, b""
        try:
            return AnswerKind.FOUND, frames.pack_prediction(self._predict(connection, predictor, image))
        except DecodeError as error:
            return AnswerKind.UNUSABLE, str(error).encode("utf-8", "replace")
        except Exception:
            log.exception("event=prediction_failed model=%d", model)
            return AnswerKind.FAILED, b""

    def _predict(self, connection: socket.socket, predictor: LoadedModel, image: bytes) -> ImagePrediction:
        with self._room:
            self._begun_s[connection] = time.monotonic()
            try:
                faults.point("online.before_decode")
                prepared = predictor.prepare(image)
            finally:
                del self._begun_s[connection]
        return predictor.postprocess(predictor.infer(prepared), prepared)


def _say(event: str, **values: Any) -> None:
    sys.stdout.write(json.dumps({"event": event, **values}) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Answers until the service is gone."""
    processes.end_with_parent()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # sent to all processes of a service; what is under way is still answered
    with contextlib.suppress(OSError):
        pathlib.Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    control = socket.socket(fileno=int(sys.argv[1]))
    predictors = LoadedPredictors()
    server = ImageServer(predictors, float(sys.argv[2]), int(sys.argv[3]))
    for target in (predictors.obey, server.watch):
        threading.Thread(target=target, name=target.__name__, daemon=True).start()
    while True:
        said, descriptors, *_ = socket.recv_fds(control, 1, 1)
        if not said:
            os._exit(0)  # the service is gone; nothing here needs tidying
        for descriptor in descriptors:
            connection = socket.socket(fileno=descriptor)
            threading.Thread(target=server.serve, args=(connection,), name="images", daemon=True).start()


if __name__ == "__main__":
    processes.end_quickly()
    main()
