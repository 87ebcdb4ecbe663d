"""Profiles of images and results: what is of the same kind does not drift, what is not does, and few images say nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.support.predictions.tables import detections, table_of

from boxwright.images import appearance
from boxwright.inference import baseline
from boxwright.inference.baseline import PlainTable, Profile, Quality


def _profile(seed: int, images: int, *, luma: float = 120.0, sure: float = 0.9) -> Profile:
    rng = np.random.default_rng(seed)
    looks = [np.array([(0, rng.normal(luma, 20), rng.gamma(4, 2))], appearance.RECORD).tobytes() for _ in range(images)]
    found = [
        detections([(0.1, 0.1, 0.4, 0.5, float(score), 0) for score in rng.normal(sure, 0.08, count).clip(0, 1)])
        for count in rng.integers(1, 4, images)
    ]
    profile = Profile(2)
    profile.add(table_of(looks, found))
    return profile


@pytest.mark.parametrize("images", [30, 300, 3000])
def test_other_images_of_the_same_kind_do_not_drift_however_few_they_are(images: int):
    for seed in range(5):
        found = baseline.drifts(_profile(seed, images), _profile(seed + 100, 60), 0.05)
        assert sum(one.level != "none" for one in found) <= 1, found


def test_darker_images_and_less_sure_results_drift_in_just_that():
    reference = _profile(0, 400)
    dark = {
        one.name: one.level for one in baseline.drifts(_profile(1, 400, luma=70), reference, 0.05) if one.label is None
    }
    assert dark["luma"] == "much"
    assert {dark[name] for name in ("sharpness", "size", "boxes")} == {"none"}
    unsure = baseline.drifts(_profile(2, 400, sure=0.4), reference, 0.05)
    assert {one.name for one in unsure if one.level == "much"} >= {"confidence", "scores"}
    assert next(one for one in unsure if one.name == "scores" and one.label == 0).distance > 0.9


def test_few_images_and_scores_below_the_floor_say_nothing():
    few = baseline.drifts(_profile(0, 19), _profile(1, 400), 0.05)
    assert {one.name for one in few} <= {"box_size", "scores"}, "only of boxes there are enough"
    names = {one.name for one in baseline.drifts(_profile(0, 50), _profile(1, 50), 0.7)}
    assert not names & {"confidence", "boxes", "box_size"}
    assert "scores" in names


def test_a_profile_is_read_as_it_was_written_and_anything_else_is_none(tmp_path):
    profile, quality = _profile(0, 40), Quality.of(np.array([0.5, 0.99, 1.0]), np.array([True, False, True]), 4, 0.55)
    baseline.write(tmp_path, profile, quality)
    read = baseline.read(tmp_path)
    assert read is not None
    assert read.profile.to_document() == profile.to_document()
    assert (read.quality.found[10], read.quality.found[19], read.quality.right[19]) == (1, 2, 1)
    assert (read.quality.truth, read.quality.best_threshold) == (4, 0.55)
    assert baseline.drifts(read.profile, profile, 0.05) == baseline.drifts(profile, profile, 0.05)
    path = tmp_path / baseline.BASELINE_FILE
    said = json.loads(path.read_text())
    for spoilt in ("", "[]", json.dumps({**said, "format_version": 2}), json.dumps({**said, "features": {}})):
        path.write_text(spoilt)
        assert baseline.read(tmp_path) is None
    path.unlink()
    assert baseline.read(tmp_path) is None


def test_the_table_of_predictions_is_that_of_candidates():
    found = [detections([(0.25, 0.5, 0.75, 1, 0.875, 1), (0, 0, 1, 1, 0.03, 0)]), detections([])]
    plain = PlainTable.of([(48, 64)] * 2, [appearance.UNKNOWN] * 2, found)
    first, second = Profile(2), Profile(2)
    first.add(plain)
    second.add(table_of(found=found))
    assert first.to_document()["scores"] == second.to_document()["scores"]
    assert first.histograms["boxes"].tolist() == second.histograms["boxes"].tolist() == [1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert first.images == 2


def test_confidence_is_high_for_few_sure_results_and_low_for_many_unsure_ones_or_none():
    sure = detections([(0, 0, 1, 1, 0.95, 0)])
    unsure = detections([(0, 0, 1, 1, 0.2 + 0.01 * number, 0) for number in range(20)])
    one, many, none = baseline.confidences(table_of(found=[sure, unsure, detections([])])).tolist()
    assert one > 0.9 > 0.45 > many > none == 0
