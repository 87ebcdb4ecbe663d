"""What a service and its prediction process say to each other about one image, as bytes on a stream socket.

    request   model number (4 bytes), length (8 bytes), the image as it came
    answer    kind (1 byte), length (4 bytes), then by kind:
                FOUND          boxes (N, 4) float32, then scores (N,) float32, then label indices (N,) int64
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

import numpy as np

from boxwright import boxes

REQUEST = struct.Struct("<IQ")
ANSWER = struct.Struct("<BI")
MAX_ANSWER_BYTES = 1 << 20  # 37,000 detections
SEND_BUFFER_BYTES = 1 << 20  # the kernel may give less; more makes large images no faster
_BOX, _SCORE, _LABEL = np.dtype("<f4"), np.dtype("<f4"), np.dtype("<i8")
_DETECTION_BYTES = 4 * _BOX.itemsize + _SCORE.itemsize + _LABEL.itemsize


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


def pack_detections(found: boxes.Detections) -> bytes:
    """The content of an answer of the kind FOUND."""
    columns = ((found.boxes_norm, _BOX), (found.scores, _SCORE), (found.label_indices, _LABEL))
    return b"".join(np.ascontiguousarray(column, kind).tobytes() for column, kind in columns)


def unpack_detections(content: bytes, label_count: int) -> boxes.Detections:
    """Reads what `pack_detections` wrote, to the last bit.

    Args:
        content: of an answer.
        label_count: of the model; every label index is below.

    Raises:
        BrokenAnswerError: these are no detections of such a model.
    """
    count, rest = divmod(len(content), _DETECTION_BYTES)
    if rest:
        raise BrokenAnswerError(f"{len(content)} bytes are no detections")
    if not count:
        return boxes.Detections.none()
    corners = np.frombuffer(content, _BOX, 4 * count).reshape(count, 4)
    scores = np.frombuffer(content, _SCORE, count, corners.nbytes)
    labels = np.frombuffer(content, _LABEL, count, corners.nbytes + scores.nbytes)
    if not np.isfinite(corners).all() or not np.isfinite(scores).all():
        raise BrokenAnswerError("a box or a score is no number")
    if not 0 <= int(labels.min()) <= int(labels.max()) < label_count:
        raise BrokenAnswerError(f"a label index is not below {label_count}")
    return boxes.Detections(corners, scores, labels)


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
