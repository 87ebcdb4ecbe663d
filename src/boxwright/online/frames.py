"""What a service and its prediction process say to each other about one image, as bytes on a stream socket.

    request   model number (4 bytes), length (8 bytes), the image as it came
    answer    kind (1 byte), length (4 bytes), then by kind:
                FOUND          of a detector boxes (N, 4) float32; of any model scores (N,) float32, then label indices
                               (N,) int64
                UNUSABLE       why the image cannot be used, UTF-8
                UNKNOWN_MODEL  nothing: the model is not loaded, or not any more
                OVERDUE        nothing: decoding took too long, and the process ends
                FAILED         nothing: a fault of the program; the log has it

All numbers are little-endian. A connection carries one request at a time. The service does not trust what it reads here: an
answer is bounded and made of plain numbers, and what does not fit is a `BrokenAnswerError`.
"""

from __future__ import annotations

import enum
import socket
import struct
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from boxwright import boxes, kinds
from boxwright.predictions import ImagePrediction, LabelScores

REQUEST = struct.Struct("<IQ")
ANSWER = struct.Struct("<BI")
MAX_ANSWER_BYTES = 1 << 20  # 37,000 detections
SEND_BUFFER_BYTES = 1 << 20  # the kernel may give less; more makes large images no faster
_BOX, _SCORE, _LABEL = np.dtype("<f4"), np.dtype("<f4"), np.dtype("<i8")
_LABEL_BYTES = _SCORE.itemsize + _LABEL.itemsize
_DETECTION_BYTES = 4 * _BOX.itemsize + _LABEL_BYTES


class AnswerKind(enum.IntEnum):
    """What an answer means."""

    FOUND = 0
    UNUSABLE = 1
    UNKNOWN_MODEL = 2
    OVERDUE = 3
    FAILED = 4


class BrokenAnswerError(Exception):
    """The other side ended the connection, or said what is no answer."""


def send_request(connection: socket.socket, model: int, image: bytes) -> None:
    """Sends an image; OSError if the other side is gone or takes nothing for the socket's timeout."""
    head = REQUEST.pack(model, len(image))
    sent = connection.sendmsg([head, image]) - len(head)
    if sent < 0:
        connection.sendall(head[sent:])
        sent = 0
    if sent < len(image):
        connection.sendall(memoryview(image)[sent:])


def receive_request(connection: socket.socket) -> tuple[int, bytes] | None:
    """Returns (model number, image); None at the end of the connection. The socket blocks."""
    head = _receive(connection, REQUEST.size)
    if len(head) < REQUEST.size:
        return None
    model, length = REQUEST.unpack(head)
    image = _receive(connection, length)
    return (model, image) if len(image) == length else None


def send_answer(connection: socket.socket, kind: AnswerKind, content: bytes = b"") -> None:
    """Sends an answer; OSError if the other side is gone."""
    connection.sendall(ANSWER.pack(kind, len(content)) + content)


def receive_answer(connection: socket.socket) -> tuple[AnswerKind, bytes]:
    """Returns (kind, content).

    Raises:
        BrokenAnswerError: the connection ended, or this is no answer.
        OSError: the connection failed, or the rest of an answer does not come within the socket's timeout.
    """
    head = _receive(connection, ANSWER.size)
    if len(head) < ANSWER.size:
        raise BrokenAnswerError("the connection ended")
    number, length = ANSWER.unpack(head)
    if number >= len(AnswerKind) or length > MAX_ANSWER_BYTES:
        raise BrokenAnswerError(f"kind {number} with {length} bytes is no answer")
    content = _receive(connection, length)
    if len(content) < length:
        raise BrokenAnswerError("the connection ended")
    return AnswerKind(number), content


def pack_prediction(found: ImagePrediction) -> bytes:
    """The content of an answer of the kind FOUND."""
    corners = found.boxes_norm.astype(_BOX).tobytes() if isinstance(found, boxes.Detections) else b""
    return b"".join((corners, found.scores.astype(_SCORE).tobytes(), found.label_indices.astype(_LABEL).tobytes()))


def unpack_prediction(content: bytes, kind: str, label_count: int) -> ImagePrediction:
    """Reads what `pack_prediction` wrote, to the last bit.

    Args:
        content: of an answer.
        kind: of the model.
        label_count: of the model; every label index is below.

    Raises:
        BrokenAnswerError: this is no prediction of such a model.
    """
    return _READERS[kind](content, label_count)


def _read_detections(content: bytes, label_count: int) -> boxes.Detections:
    corners = np.frombuffer(content, _BOX, 4 * _count(content, _DETECTION_BYTES)).reshape(-1, 4)
    if not np.isfinite(corners).all():
        raise BrokenAnswerError("a box is no number")
    return boxes.Detections(corners, *_labels(content, corners.nbytes, len(corners), label_count))


def _read_label_scores(content: bytes, label_count: int) -> LabelScores:
    return LabelScores(*_labels(content, 0, _count(content, _LABEL_BYTES), label_count))


_READERS: dict[str, Callable[[bytes, int], ImagePrediction]] = {
    kinds.OBJECT_DETECTION.name: _read_detections,
    kinds.IMAGE_CLASSIFICATION.name: _read_label_scores,
}


def _count(content: bytes, size_bytes: int) -> int:
    count, rest = divmod(len(content), size_bytes)
    if rest:
        raise BrokenAnswerError(f"{len(content)} bytes are no prediction")
    return count


def _labels(
    content: bytes, start: int, count: int, label_count: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """So many scores from byte `start` on, (N,) float32, and the label indices behind them, (N,) int64."""
    scores = np.frombuffer(content, _SCORE, count, start)
    labels = np.frombuffer(content, _LABEL, count, start + scores.nbytes)
    if not np.isfinite(scores).all():
        raise BrokenAnswerError("a score is no number")
    if count and not 0 <= int(labels.min()) <= int(labels.max()) < label_count:
        raise BrokenAnswerError(f"a label index is not below {label_count}")
    return scores, labels


def _receive(connection: socket.socket, length: int) -> bytes:
    """Exactly so many bytes; fewer at the end of the connection."""
    content = connection.recv(length, socket.MSG_WAITALL)  # one copy, usually all of it
    if len(content) == length or not content:
        return content
    parts, missing = [content], length - len(content)
    while missing and (part := connection.recv(missing, socket.MSG_WAITALL)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
