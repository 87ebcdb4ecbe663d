"""The first usable model: logistic regression on frozen features, with the regularisation that validation prefers.

    fit(examples, validation, …) -> Probe

Features are standardised; the penalty is half the squared norm of the weights times `l2`, the loss a weighted mean over
images: cross entropy for MULTICLASS, the sum of the labels' binary ones for MULTILABEL. The optimum is found by L-BFGS with
exact gradients, so that equal features give equal weights.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from boxwright.classifier.network import network
from boxwright.inference import model_folder

L2_PATH = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)  # from strong to weak; each starts from the one before
PATIENCE = 2  # values of the path that may be worse than the best before the rest is left out
ITERATIONS = 100
MOST_DOUBLE = 4_000_000  # images times labels: beyond that, in single precision, with
LARGE_ITERATIONS = 40
HISTORY = 10  # pairs that L-BFGS remembers
GRADIENT_TOLERANCE = 1e-5
FEW_VALIDATION_IMAGES = 30  # with fewer, the penalty is chosen by cross-validation on TRAIN
FOLDS = 5
LEAST_DEVIATION = 1e-4  # of a feature that hardly varies

Array16 = npt.NDArray[np.float16]


@dataclasses.dataclass(frozen=True)
class LabelledFeatures:
    """Features with their targets.

    Attributes:
        features: (N, 1280) float16.
        targets: (N, C) float32.
        weights: (N,) float64, how much each image counts.
        views: of each image; all images' first views come first.
    """

    features: Array16
    targets: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float64]
    views: int = 1

    def some(self, rows: npt.NDArray[np.bool_]) -> LabelledFeatures:
        """Those of some rows."""
        return LabelledFeatures(self.features[rows], self.targets[rows], self.weights[rows])


@dataclasses.dataclass(frozen=True)
class Probe:
    """The last layer that was found.

    Attributes:
        head: for features as they are.
        l2: the penalty that was chosen.
        losses: on validation by penalty, in the order of the path.
    """

    head: network.Head
    l2: float
    losses: tuple[tuple[float, float], ...]

    def logits(self, features: Array16) -> npt.NDArray[np.float64]:
        """(N, C) of features (N, 1280)."""
        return logits(self.head, features)


def logits(head: network.Head, features: Array16) -> npt.NDArray[np.float64]:
    """(N, C) of features (N, 1280), a part at a time."""
    parts = [
        features[first : first + 4096].astype(np.float64) @ head.weight.T for first in range(0, len(features), 4096)
    ]
    return np.concatenate([np.zeros((0, len(head.bias))), *parts]) + head.bias


def fit(
    train: LabelledFeatures,
    validation: LabelledFeatures,
    classification_type: str,
    label_weights: npt.NDArray[np.float64],
    has_time: Callable[[], bool] = lambda: True,
    drawn_to: network.Head | None = None,
) -> Probe:
    """Fits the probe.

    Args:
        train: what it learns from; rows that repeat an image (its mirror image) count as images of their own.
        validation: what chooses the penalty.
        classification_type: MULTICLASS or MULTILABEL.
        label_weights: (C,) of the positive terms of MULTILABEL.
        has_time: asked again and again; once it says no, the best so far is taken.
        drawn_to: the last layer whose weights cost nothing; None for zeros.
    """
    if len(validation.targets) >= FEW_VALIDATION_IMAGES or len(train.targets) < FOLDS:
        pairs = [(train, validation)]
    else:
        fold = (
            np.arange(len(train.targets)) % (len(train.targets) // train.views) % FOLDS
        )  # all views of an image in one
        pairs = [(train.some(fold != number), train.some(fold == number)) for number in range(FOLDS)]
    solvers = [_Solver(own, classification_type, label_weights, drawn_to, has_time) for own, _ in pairs]
    correction = np.log(label_weights)  # what counting the positive terms more has added
    losses: list[tuple[float, float]] = []
    best: tuple[float, network.Head] = (math.inf, solvers[0].head())
    for l2 in L2_PATH:
        heads = [solver.solve(l2) for solver in solvers]
        judged = [
            loss_of(logits(head, other.features) - correction, other.targets, classification_type)
            for head, (_, other) in zip(heads, pairs, strict=True)
        ]
        losses.append((l2, float(np.mean(judged)) if not math.isnan(judged[0]) else math.inf))
        if losses[-1][1] < best[0] or len(losses) == 1:
            best = losses[-1][1], heads[0]
        position = min(range(len(losses)), key=lambda number: losses[number][1])
        if len(losses) - 1 - position >= PATIENCE or not has_time():
            break
    chosen = min(losses, key=lambda one: one[1])[0]
    head = best[1] if len(pairs) == 1 else solve(train, classification_type, label_weights, chosen, drawn_to)
    return Probe(head, chosen, tuple(losses))


def solve(
    train: LabelledFeatures,
    classification_type: str,
    label_weights: npt.NDArray[np.float64],
    l2: float,
    drawn_to: network.Head | None = None,
) -> network.Head:
    """The last layer for one penalty; see `fit`."""
    return _Solver(train, classification_type, label_weights, drawn_to).solve(l2)


def loss_of(found: npt.NDArray[np.float64], targets: npt.NDArray[np.float32], classification_type: str) -> float:
    """Mean over images of the cross entropy, or of the labels' mean binary one; NaN without images."""
    if not len(found):
        return math.nan
    if classification_type == model_folder.MULTICLASS:
        shifted = found - found.max(axis=1, keepdims=True)
        normalised = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return float(-(targets * normalised).sum(axis=1).mean())
    return float((np.logaddexp(0.0, found) - targets * found).mean())


class _OutOfTime(Exception):
    """The search has to end."""


class _Solver:
    """One set's regression along a path of penalties; each solution is the next one's start."""

    def __init__(
        self,
        own: LabelledFeatures,
        classification_type: str,
        label_weights: npt.NDArray[np.float64],
        drawn_to: network.Head | None,
        has_time: Callable[[], bool] = lambda: True,
    ) -> None:
        self._has_time = has_time
        is_large = own.targets.size > MOST_DOUBLE
        self._iterations = LARGE_ITERATIONS if is_large else ITERATIONS
        self._kind = torch.float32 if is_large else torch.float64
        x = torch.from_numpy(own.features).to(self._kind)
        self._weights = torch.from_numpy(own.weights / own.weights.sum()).to(self._kind)
        self._mean = self._weights @ x
        x -= self._mean
        self._deviation = (
            torch.stack([(self._weights * part**2).sum() for part in x.T]).sqrt().clamp(min=LEAST_DEVIATION)
        )
        x /= self._deviation
        self._x = x
        self._y = torch.from_numpy(own.targets).to(self._kind)
        self._is_multiclass = classification_type == model_folder.MULTICLASS
        self._label_weights = torch.from_numpy(label_weights).to(self._kind)
        columns = own.features.shape[1]
        shape = (columns + 1, own.targets.shape[1])  # the bias is the last row
        self._parameters = torch.zeros(shape, dtype=self._kind)
        if drawn_to is not None:
            weight = torch.from_numpy(drawn_to.weight).T.to(self._kind)  # (1280, C)
            self._parameters[:-1] = weight * self._deviation[:, None]
            self._parameters[-1] = torch.from_numpy(drawn_to.bias) + self._mean @ weight
        self._origin = self._parameters.clone()

    def head(self) -> network.Head:
        """The present solution, for features as they are."""
        weight = self._parameters[:-1] / self._deviation[:, None]
        bias = self._parameters[-1] - self._mean @ weight
        return network.Head(weight.T.contiguous().double().numpy(), bias.double().numpy())

    def solve(self, l2: float) -> network.Head:
        """Goes on from the present solution."""
        parameters = self._parameters.clone()
        optimizer = torch.optim.LBFGS(
            [parameters],
            max_iter=self._iterations,
            history_size=HISTORY,
            tolerance_grad=GRADIENT_TOLERANCE,
            line_search_fn="strong_wolfe",
        )

        def closure() -> Tensor:
            if evaluated and not self._has_time():
                raise _OutOfTime
            value, gradient = self._value(parameters, l2)
            parameters.grad = gradient
            evaluated.append(float(value))
            return value

        evaluated: list[float] = []
        with contextlib.suppress(_OutOfTime):  # what there is, is a solution of a stronger penalty, or near it
            optimizer.step(closure)
        self._parameters = parameters
        return self.head()

    def _value(self, parameters: Tensor, l2: float) -> tuple[Tensor, Tensor]:
        found = self._x @ parameters[:-1] + parameters[-1]  # (N, C)
        if self._is_multiclass:
            normalised = functional.log_softmax(found, dim=1)
            losses = -(self._y * normalised).sum(dim=1)
            slopes = normalised.exp() - self._y
        else:
            positive = self._y * self._label_weights
            losses = (positive * functional.softplus(-found) + (1.0 - self._y) * functional.softplus(found)).sum(dim=1)
            scores = torch.sigmoid(found)
            slopes = (1.0 - self._y) * scores - positive * (1.0 - scores)
        slopes = slopes * self._weights[:, None]
        gradient = torch.cat(
            [self._x.T @ slopes + l2 * (parameters - self._origin)[:-1], slopes.sum(dim=0, keepdim=True)]
        )
        value = (self._weights * losses).sum() + 0.5 * l2 * ((parameters - self._origin)[:-1] ** 2).sum()
        return value, gradient
