"""Probe, fine-tuned network and the network between them: which becomes the model, and its temperature.

    better(candidates, targets, type) -> CandidateChoice

The network between the two has the mean of their weights (Wortsman et al., Robust fine-tuning of zero-shot models, 2022):
it costs no time in prediction, as the mean of two networks' answers would. VALIDATION decides by the loss, each candidate at
the temperature that suits it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from boxwright.classifier.training import calibration, probe
from boxwright.inference import model_folder

PROBE, FINE_TUNED, BETWEEN = "probe", "fine-tuned", "mean of both"
FEW_IMAGES = 20  # of VALIDATION: with fewer the choice is uncertain


@dataclasses.dataclass(frozen=True)
class CandidateResult:
    """A candidate on VALIDATION.

    Attributes:
        loss: at its temperature.
        right: share of right answers, in [0, 1].
        temperature: that suits it.
    """

    loss: float
    right: float
    temperature: float


@dataclasses.dataclass(frozen=True)
class CandidateChoice:
    """The candidate that becomes the model.

    Attributes:
        name: of it.
        judged: all candidates by name.
        reason: in words.
    """

    name: str
    judged: dict[str, CandidateResult]
    reason: str

    @property
    def temperature(self) -> float:
        """Of the chosen one."""
        return self.judged[self.name].temperature


def better(
    logits: Mapping[str, npt.NDArray[np.float64]], targets: npt.NDArray[np.float32], classification_type: str
) -> CandidateChoice:
    """Judges candidates by their logits (N, C) on VALIDATION; of equals the first."""
    judged = {name: _judged(found, targets, classification_type) for name, found in logits.items()}
    if not len(targets):
        name = next(iter(judged))
        return CandidateChoice(name, judged, f"{name}: there was no validation to choose by")
    name = min(judged, key=lambda one: judged[one].loss)
    words = ", ".join(f"{one} {judged[one].loss:.3f} ({judged[one].right:.1%} right)" for one in judged)
    reason = f"{name}: loss on validation {words}" if len(judged) > 1 else f"{name} alone"
    return CandidateChoice(name, judged, reason)


def _judged(
    found: npt.NDArray[np.float64], targets: npt.NDArray[np.float32], classification_type: str
) -> CandidateResult:
    if not len(targets):
        return CandidateResult(0.0, 0.0, 1.0)
    temperature = calibration.temperature(found, targets, classification_type)
    if classification_type == model_folder.MULTICLASS:
        right = float((found.argmax(axis=1) == targets.argmax(axis=1)).mean())
    else:
        right = float(((found > 0.0) == (targets > 0.5)).mean())
    return CandidateResult(probe.loss_of(found / temperature, targets, classification_type), right, temperature)
