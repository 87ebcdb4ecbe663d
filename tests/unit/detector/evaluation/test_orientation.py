"""Whether objects have an "up": the images that are compared, and what is concluded."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pytest
from tests.unit.detector import conftest
from tests.unit.detector.conftest import Watcher, elapsed

from boxwright.detector import session
from boxwright.detector.evaluation import evaluate, orientation
from boxwright.images import decode, letterbox
from boxwright.learning import checkpoint, listener, views
from boxwright.learning import trainer as learning_trainer
from boxwright.learning.job import TrainingJob


def one_bright_object() -> tuple[letterbox.Prepared, evaluate.GroundTruth]:
    """An image of 101 x 80 in a frame of 128 x 96, with a white rectangle."""
    pixels = np.zeros((80, 101, 3), np.uint8)
    pixels[10:20, 30:70] = 255
    box_norm = np.asarray([[30 / 101, 10 / 80, 70 / 101, 20 / 80]], np.float32)
    image = letterbox.letterbox(decode.DecodedImage(pixels, (80, 101)), (96, 128))
    return image, evaluate.GroundTruth(box_norm, np.zeros(1, np.int64))


def in_frame_px(image: letterbox.Prepared, truth: evaluate.GroundTruth) -> np.ndarray:
    return truth.boxes_norm[0] * np.asarray(image.scaled_wh * 2) + np.asarray(image.offset_xy * 2)


@pytest.mark.parametrize(("upside_down", "flips"), [(0.70, True), (0.667, True), (0.64, False)])
def test_what_chance_takes_from_the_score_does_not_decide(upside_down: float, flips: bool) -> None:
    measured = orientation.Orientation(100, upright=0.69, upside_down=upside_down, boxes=541)  # blood cells have no up
    assert measured.flips is flips


def test_boxes_go_with_the_flipped_image() -> None:
    image, truth = orientation.upside_down(*one_bright_object())
    inside = np.argwhere(image.pixels[0, ..., 0] > 200)
    found = [inside[:, 1].min(), inside[:, 0].min(), inside[:, 1].max() + 1, inside[:, 0].max() + 1]
    assert np.abs(np.asarray(found) - in_frame_px(image, truth)).max() < 1.6


def test_twice_is_not_at_all() -> None:
    image, truth = one_bright_object()
    again, truth_again = orientation.upside_down(*orientation.upside_down(image, truth))
    assert np.array_equal(again.pixels, image.pixels) and truth_again.boxes_norm == pytest.approx(truth.boxes_norm)
    assert (again.offset_xy, again.scaled_wh, again.size_hw) == (image.offset_xy, image.scaled_wh, image.size_hw)


@pytest.mark.parametrize(
    ("upright", "upside_down", "boxes", "flips"),
    [
        (0.60, 0.59, 500, True),
        (0.60, 0.65, 500, True),
        (0.60, 0.55, 500, False),
        (0.10, 0.10, 500, False),  # it has learnt too little to say
        (0.60, 0.60, 5, False),  # chance
    ],
)
def test_what_is_found_as_well_upside_down_has_no_up(upright, upside_down, boxes, flips) -> None:
    known = orientation.Orientation(0, upright, upside_down, boxes)
    assert known.flips is flips and known.in_words.startswith("either way up (" if flips else "upright (")


@pytest.mark.full
def test_objects_without_an_up_are_flipped_and_a_resumed_training_remembers_it(
    drawn: conftest.Drawn, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(name: str, stop_at: float = 1e9) -> str:
        folder = tmp_path / name
        return session.run(TrainingJob.read(folder), drawn.read, Watcher(stop_at), elapsed()).weights_sha256

    monkeypatch.setattr(learning_trainer, "PROGRESS_EVERY_S", 0.0)
    folders = [conftest.write_job(tmp_path / name, drawn.rows) for name in ("upright", "whole", "before", "after")]
    upright = train("upright")
    for limit in ("AGREEMENT", "LEAST_SCORE", "LEAST_BOXES"):  # forty steps of a tiny network would say nothing
        monkeypatch.setattr(orientation, limit, 0.0)
    for name, point in (("before", 25.0), ("after", 36.0)):
        with pytest.raises(listener.TrainingStopped):
            train(name, point)
    stopped = [checkpoint.load(folder) for folder in folders[2:]]
    assert stopped[0].schedule["orientation"] is None
    assert stopped[1].schedule["orientation"]["from_step"] == 14 + views.AHEAD
    assert stopped[1].step < 14 + views.AHEAD  # known, and not yet followed: both must survive the stop
    digests = {train(name) for name in ("whole", "before", "after")}
    assert len(digests) == 1 and upright not in digests
    for folder in folders[1:]:
        said = json.loads((folder / "model" / "model.json").read_text())["provenance"]["orientation"]
        assert said["flips"] and said["from_step"] == 14 + views.AHEAD
        assert "either way up" in (folder / "model" / "report.html").read_text()
