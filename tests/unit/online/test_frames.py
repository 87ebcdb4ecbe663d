"""What travels between a service and its prediction process: images and detections to the last bit, nothing else."""

from __future__ import annotations

import socket
import threading

import numpy as np
import pytest

from boxwright import boxes, kinds
from boxwright.online import frames
from boxwright.online.frames import AnswerKind, BrokenAnswerError
from boxwright.predictions import LabelScores

DETECTION, CLASSIFICATION = kinds.OBJECT_DETECTION.name, kinds.IMAGE_CLASSIFICATION.name


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.settimeout(60)
    with ours, theirs:
        yield ours, theirs


def detections(count: int, label_count: int = 3) -> boxes.Detections:
    random = np.random.default_rng(count)
    return boxes.Detections(
        random.random((count, 4), np.float32),
        np.sort(random.random(count, np.float32))[::-1],
        random.integers(0, label_count, count),
    )


def label_scores(count: int, label_count: int = 3) -> LabelScores:
    found = detections(count, label_count)
    return LabelScores(found.scores, found.label_indices)


@pytest.mark.parametrize("length", [0, 1, 1000, 5_000_000])
def test_an_image_arrives_as_it_was_sent(pair, length: int):
    image = np.random.default_rng(length).bytes(length)
    sender = threading.Thread(target=frames.send_request, args=(pair[0], 7, image))
    sender.start()
    assert frames.receive_request(pair[1]) == (7, image)
    sender.join()


@pytest.mark.parametrize("sent", [b"", b"1234", frames.REQUEST.pack(1, 100) + b"half of it"])
def test_a_connection_that_ends_before_the_image_does_brings_no_image(pair, sent: bytes):
    pair[0].sendall(sent)
    pair[0].close()
    assert frames.receive_request(pair[1]) is None


@pytest.mark.parametrize("count", [0, 1, 40, 5000])
def test_detections_arrive_to_the_last_bit(pair, count: int):
    found = detections(count)
    frames.send_answer(pair[1], AnswerKind.FOUND, frames.pack_prediction(found))
    kind, content = frames.receive_answer(pair[0])
    assert kind is AnswerKind.FOUND
    read = frames.unpack_prediction(content, DETECTION, 3)
    for name in ("boxes_norm", "scores", "label_indices"):
        before, after = getattr(found, name), getattr(read, name)
        assert (after.dtype, after.shape, after.tobytes()) == (before.dtype, before.shape, before.tobytes())


@pytest.mark.parametrize("count", [0, 1, 5000])
def test_scores_of_labels_arrive_to_the_last_bit(pair, count: int):
    found = label_scores(count, 5000)
    frames.send_answer(pair[1], AnswerKind.FOUND, frames.pack_prediction(found))
    read = frames.unpack_prediction(frames.receive_answer(pair[0])[1], CLASSIFICATION, 5000)
    assert isinstance(read, LabelScores)
    for name in ("scores", "label_indices"):
        before, after = getattr(found, name), getattr(read, name)
        assert (after.dtype, after.shape, after.tobytes()) == (before.dtype, before.shape, before.tobytes())


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        frames.ANSWER.pack(AnswerKind.UNUSABLE, 10) + b"short",
        frames.ANSWER.pack(len(AnswerKind), 0),
        frames.ANSWER.pack(AnswerKind.FOUND, frames.MAX_ANSWER_BYTES + 1),
    ],
    ids=["nothing", "cut", "another kind", "too long"],
)
def test_what_is_no_answer_is_refused(pair, sent: bytes):
    pair[1].sendall(sent)
    pair[1].close()
    with pytest.raises(BrokenAnswerError):
        frames.receive_answer(pair[0])


def broken(name: str, value: float) -> bytes:
    found = detections(2)
    column = getattr(found, name).copy()
    column.flat[0] = value
    return frames.pack_prediction(boxes.Detections(**{**vars(found), name: column}))


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (frames.pack_prediction(detections(3))[:-1], DETECTION),
        (broken("label_indices", 3), DETECTION),
        (broken("label_indices", -1), DETECTION),
        (broken("boxes_norm", float("nan")), DETECTION),
        (broken("scores", float("inf")), DETECTION),
        (frames.pack_prediction(label_scores(3))[:-1], CLASSIFICATION),
        (frames.pack_prediction(LabelScores(np.ones(1, np.float32), np.array([3]))), CLASSIFICATION),
        (frames.pack_prediction(detections(1)), CLASSIFICATION),
        (frames.pack_prediction(label_scores(1)), DETECTION),
    ],
    ids=["cut", "label above", "label below", "no box", "no score", "cut scores", "another label", "boxes", "no boxes"],
)
def test_what_is_no_prediction_of_the_model_is_refused(content: bytes, kind: str):
    with pytest.raises(BrokenAnswerError):
        frames.unpack_prediction(content, kind, 3)
