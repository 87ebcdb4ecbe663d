"""The server of images inside the prediction process: how many it decodes at once."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest
from tests.support.images import drawn_images
from tests.support.machine.waiting import PATIENCE_S
from tests.support.predictions.tiny_model import TinyModel

from boxwright.inference.predictor import Predictor
from boxwright.online import child_main, frames
from boxwright.online.frames import AnswerKind

CALLERS = 6


class _CountingPredictor(Predictor):
    """Counts how many images are at their decoder, and lets each wait there until as many are as may be."""

    def prepare(self, data):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        with contextlib.suppress(threading.BrokenBarrierError):
            self.meeting.wait(PATIENCE_S)
        try:
            return super().prepare(data)
        finally:
            with self.lock:
                self.now -= 1


@pytest.mark.parametrize("decodes", [1, 3])
def test_so_many_images_are_decoded_at_once_and_no_more(decodes: int, tiny_model: TinyModel):
    predictor = _CountingPredictor.open(tiny_model.folder, streams=2)
    predictor.lock, predictor.now, predictor.most = threading.Lock(), 0, 0
    predictor.meeting = threading.Barrier(decodes)
    predictors = child_main.LoadedPredictors()
    predictors._predictors[1] = predictor
    server = child_main.ImageServer(predictors, timeout_s=PATIENCE_S, decodes=decodes)
    with contextlib.ExitStack() as stack:
        pairs = [socket.socketpair() for _ in range(CALLERS)]
        threads = [threading.Thread(target=server.serve, args=(theirs,)) for _, theirs in pairs]
        for thread in threads:
            thread.start()
        for ours, _ in pairs:
            stack.enter_context(ours).settimeout(PATIENCE_S)
            frames.send_request(ours, 1, drawn_images.draw(0).content)
        answers = [frames.receive_answer(ours) for ours, _ in pairs]
    for thread in threads:
        thread.join(PATIENCE_S)
    assert len(set(answers)) == 1
    assert answers[0][0] is AnswerKind.FOUND
    assert predictor.most == decodes
