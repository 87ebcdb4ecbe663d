"""The probe against scikit-learn's logistic regression, and the temperature against what scores were made from."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from boxwright.classifier.training import calibration, candidates, doubts, probe


def features_of(
    seed: int, images: int, *, labels: int = 3, width: int = 12, multilabel: bool = False
) -> probe.LabelledFeatures:
    """Features that tell the labels apart a little; one of them hardly varies."""
    rng = np.random.default_rng(seed)
    directions = np.random.default_rng(99).normal(size=(labels, width))
    if multilabel:
        targets = (rng.random((images, labels)) < 0.4).astype(np.float32)
    else:
        targets = np.eye(labels, dtype=np.float32)[rng.integers(0, labels, images)]
    x = rng.normal(size=(images, width)) * 1.5 + targets @ directions + 4.0
    x[:, -1] = 2.0
    return probe.LabelledFeatures(x.astype(np.float16), targets, rng.integers(1, 4, images).astype(np.float64))


def test_it_is_the_logistic_regression_of_the_referee() -> None:
    own, l2 = features_of(0, 200), 0.05
    head = probe.solve(own, "MULTICLASS", np.ones(3), l2)
    x = own.features.astype(np.float64)
    share = own.weights / own.weights.sum()
    mean = (share[:, None] * x).sum(axis=0)
    deviation = np.maximum(np.sqrt((share[:, None] * (x - mean) ** 2).sum(axis=0)), probe.LEAST_DEVIATION)
    referee = LogisticRegression(C=1.0 / (l2 * own.weights.sum()), tol=1e-8, max_iter=2000)
    referee.fit((x - mean) / deviation, own.targets.argmax(axis=1), sample_weight=own.weights)
    expected = referee.predict_proba((x - mean) / deviation)
    found = probe.logits(head, own.features)
    scores = np.exp(found - found.max(axis=1, keepdims=True))
    assert scores / scores.sum(axis=1, keepdims=True) == pytest.approx(expected, abs=2e-3)


def test_each_label_by_itself_is_a_regression_of_its_own() -> None:
    own, l2 = features_of(1, 200, multilabel=True), 0.05
    positive = np.array([1.0, 2.0, 3.0])
    found = probe.logits(probe.solve(own, "MULTILABEL", positive, l2), own.features)
    x = own.features.astype(np.float64)
    share = own.weights / own.weights.sum()
    mean = (share[:, None] * x).sum(axis=0)
    deviation = np.maximum(np.sqrt((share[:, None] * (x - mean) ** 2).sum(axis=0)), probe.LEAST_DEVIATION)
    for label in range(3):
        weights = own.weights * np.where(own.targets[:, label] > 0, positive[label], 1.0)
        referee = LogisticRegression(C=1.0 / (l2 * own.weights.sum()), tol=1e-8, max_iter=2000)
        referee.fit((x - mean) / deviation, own.targets[:, label], sample_weight=weights)
        assert found[:, label] == pytest.approx(referee.decision_function((x - mean) / deviation), abs=2e-2)


def test_validation_chooses_the_penalty_and_the_same_features_give_the_same_probe() -> None:
    train, validation = features_of(2, 60), features_of(3, 120)
    found = probe.fit(train, validation, "MULTICLASS", np.ones(3))
    again = probe.fit(train, validation, "MULTICLASS", np.ones(3))
    assert found.losses == again.losses and found.head.weight.tobytes() == again.head.weight.tobytes()
    assert found.l2 == min(found.losses, key=lambda one: one[1])[0] and len(found.losses) >= 3
    rest = [loss for l2, loss in found.losses if l2 < found.l2]
    assert len(rest) == min(probe.PATIENCE, len(probe.L2_PATH) - 1 - probe.L2_PATH.index(found.l2))


def test_with_few_validation_images_the_training_images_choose() -> None:
    train, validation = features_of(4, 100), features_of(5, 4)
    found = probe.fit(train, validation, "MULTICLASS", np.ones(3))
    other = probe.fit(train, features_of(6, 4), "MULTICLASS", np.ones(3))
    assert found.losses == other.losses and found.l2 == other.l2  # those four images decide nothing
    expected = probe.solve(train, "MULTICLASS", np.ones(3), found.l2)
    assert found.head.weight == pytest.approx(expected.weight)


def test_without_time_the_first_penalty_is_taken() -> None:
    found = probe.fit(features_of(7, 40), features_of(8, 40), "MULTICLASS", np.ones(3), lambda: False)
    assert found.l2 == probe.L2_PATH[0] and len(found.losses) == 1


@pytest.mark.parametrize("kind", ["MULTICLASS", "MULTILABEL"])
@pytest.mark.parametrize("true", [0.5, 2.5])
def test_the_temperature_is_what_scores_were_made_with(kind: str, true: float) -> None:
    rng = np.random.default_rng(9)
    logits = rng.normal(size=(4000, 4)) * 2.0
    if kind == "MULTICLASS":
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        targets = np.eye(4, dtype=np.float32)[[rng.choice(4, p=row) for row in shares]]
    else:
        targets = (rng.random(logits.shape) < 1.0 / (1.0 + np.exp(-logits))).astype(np.float32)
    assert calibration.temperature(logits * true, targets, kind) == pytest.approx(true, rel=0.1)


def test_few_images_hardly_move_the_temperature() -> None:
    logits, targets = np.array([[0.1, 0.0]] * 3), np.array([[1, 0]] * 3, np.float32)
    assert 0.6 < calibration.temperature(logits, targets, "MULTICLASS") <= 1.0
    assert calibration.temperature(np.zeros((0, 2)), np.zeros((0, 2), np.float32), "MULTICLASS") == 1.0


def test_validation_prefers_the_smallest_loss_at_its_own_temperature() -> None:
    rng = np.random.default_rng(10)
    targets = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 300)]
    noise = rng.normal(size=(300, 3))
    logits = {
        candidates.PROBE: noise + 1.0 * targets,
        candidates.FINE_TUNED: 20.0 * (noise + 2.0 * targets),  # better, and far too sure of itself
    }
    found = candidates.better(logits, targets, "MULTICLASS")
    assert found.name == candidates.FINE_TUNED and found.temperature == pytest.approx(5.0, abs=6.0)
    assert found.judged[candidates.FINE_TUNED].right > found.judged[candidates.PROBE].right
    assert candidates.better({candidates.PROBE: np.zeros((0, 3))}, targets[:0], "MULTICLASS").name == candidates.PROBE


def test_scores_of_training_images_come_from_models_that_have_not_seen_them() -> None:
    own = features_of(11, 100)
    scores = doubts.out_of_fold(own, 0.1, "MULTICLASS")
    assert scores is not None and scores.sum(axis=1) == pytest.approx(1.0)
    changed = own.targets.copy()
    changed[7] = np.roll(changed[7], 1)
    again = doubts.out_of_fold(probe.LabelledFeatures(own.features, changed, own.weights), 0.1, "MULTICLASS")
    assert again is not None and again[7].argmax() == scores[7].argmax()  # its own label has no say in it
    assert doubts.out_of_fold(features_of(12, 9), 0.1, "MULTICLASS") is None
    assert doubts.out_of_fold(own, 0.1, "MULTICLASS", lambda: False) is None


def test_an_image_and_its_mirror_image_are_never_on_both_sides_of_a_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    one = features_of(13, 21)
    both = probe.LabelledFeatures(
        np.concatenate([one.features] * 2),
        np.concatenate([one.targets] * 2),
        np.concatenate([one.weights] * 2),
        views=2,
    )
    sides: list[tuple[set[bytes], set[bytes]]] = []
    some = probe.LabelledFeatures.some

    def recorded(self: probe.LabelledFeatures, rows: np.ndarray) -> probe.LabelledFeatures:
        sides.append(tuple({row.tobytes() for row in self.features[mask]} for mask in (rows, ~rows)))  # type: ignore[arg-type]
        return some(self, rows)

    monkeypatch.setattr(probe.LabelledFeatures, "some", recorded)
    probe.fit(both, features_of(14, 3), "MULTICLASS", np.ones(3), lambda: False)
    assert len(sides) == 2 * probe.FOLDS and not any(inside & outside for inside, outside in sides)


def test_many_targets_are_fitted_in_single_precision_to_nearly_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    own = features_of(15, 200)
    exact = probe.solve(own, "MULTICLASS", np.ones(3), 0.05)
    monkeypatch.setattr(probe, "MOST_DOUBLE", 100)
    single = probe.solve(own, "MULTICLASS", np.ones(3), 0.05)
    found, expected = (probe.logits(head, own.features) for head in (single, exact))
    assert found == pytest.approx(expected, abs=0.05) and not np.array_equal(found, expected)
