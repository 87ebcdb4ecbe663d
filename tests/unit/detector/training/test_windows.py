"""A whole training that learns in windows of a larger input."""

from __future__ import annotations

import json
import pathlib

import pytest
from tests.unit.detector import conftest
from tests.unit.detector.conftest import Watcher, elapsed

from boxwright.detector import session
from boxwright.detector.evaluation import evaluate, orientation
from boxwright.detector.planning import input_size
from boxwright.images import letterbox
from boxwright.learning import listener, trainer
from boxwright.learning.job import TrainingJob


@pytest.fixture(autouse=True)
def every_step_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "PROGRESS_EVERY_S", 0.0)


def test_a_training_in_windows_delivers_the_whole_input_and_a_stop_changes_nothing(
    drawn: conftest.Drawn, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice = input_size.InputSize((192, 256), 0.7, "objects are small", window_hw=(96, 128))
    monkeypatch.setattr(input_size, "choose", lambda *evidence: choice)
    turned: set[tuple[int, ...]] = set()
    upside_down = orientation.upside_down

    def noted(
        image: letterbox.Prepared, truth: evaluate.GroundTruth
    ) -> tuple[letterbox.Prepared, evaluate.GroundTruth]:
        turned.add(image.pixels.shape[1:3])
        return upside_down(image, truth)

    monkeypatch.setattr(orientation, "upside_down", noted)
    provenances = []
    for name in ("whole", "stopped"):
        folder = conftest.write_job(tmp_path / name, drawn.rows)
        if name == "stopped":
            with pytest.raises(listener.TrainingStopped):
                session.run(TrainingJob.read(folder), drawn.read, Watcher(60.0), elapsed())
            monkeypatch.setattr(input_size, "choose", None)  # the checkpoint knows
        session.run(TrainingJob.read(folder), drawn.read, Watcher(), elapsed())
        document = json.loads((folder / "model" / "model.json").read_text())
        assert document["input_hw"] == [192, 256]
        assert document["provenance"]["input"]["window_hw"] == [96, 128]
        assert turned == {(192, 256)}, "which way is up is measured at the size at which the network has seen objects"
        provenances.append(document["provenance"])
    assert provenances[0]["weights_sha256"] == provenances[1]["weights_sha256"]
