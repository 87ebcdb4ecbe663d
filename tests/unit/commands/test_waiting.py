"""What the end of an operation means for the exit status, and how long somebody waits for a service that is away."""

from __future__ import annotations

import pytest
from google.rpc import code_pb2

from boxwright.commands import waiting
from boxwright.commands.connection import Unreachable

FAILURE = {"partialFailures": [{"code": 5, "message": "gs://b/none.jpg does not exist."}]}


@pytest.mark.parametrize(
    "operation, numbers, status",
    [
        ({"done": True, "response": {}}, {"kind": "batch_predict", "failed": 0}, 0),
        ({"done": True, "response": {}}, {"kind": "batch_predict", "failed": 1.0}, 3),
        ({"done": True, "response": {}, "metadata": FAILURE}, {"kind": "import_data"}, 3),
        ({"done": True, "response": {}, "metadata": FAILURE}, {"kind": "create_model"}, 0),  # remarks about the data
        ({"done": True, "error": {"code": 9}}, {"kind": "batch_predict", "failed": 2.0}, 1),
        ({"done": True, "error": {"code": 1}}, {"kind": "import_data"}, 1),
    ],
)
def test_the_exit_status_says_how_it_ended(operation, numbers, status):
    assert waiting.status_of(operation, numbers) == status


def _away() -> Unreachable:
    return Unreachable(code_pb2.UNAVAILABLE, "Nothing answers.")


def test_a_service_that_is_away_is_asked_again_and_that_is_said_once(monkeypatch, capsys):
    monkeypatch.setattr(waiting, "RETRY_S", 0)
    answers = [_away(), _away(), "here"]

    def ask():
        answer = answers.pop(0)
        if isinstance(answer, Unreachable):
            raise answer
        return answer

    assert waiting.patiently(ask) == "here"
    assert capsys.readouterr().err == "Nothing answers. Trying again for up to 60 s.\n"


def test_patience_ends(monkeypatch):
    monkeypatch.setattr(waiting, "RETRY_S", 0)
    monkeypatch.setattr(waiting, "PATIENCE_S", 0)

    def ask():
        raise _away()

    with pytest.raises(Unreachable):
        waiting.patiently(ask)
