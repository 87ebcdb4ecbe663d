"""Which images of an evaluation a list has, and in which order.

selected(request, found) -> (I,) indices of images, in their order
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from boxwright import curation_messages as pb
from boxwright import errors
from boxwright.inference import outcomes
from boxwright.services import filters

ORDERS = ("loss", "uri")
NONE = "none"  # stands for no label at all, where no label has that name
Outcome = pb.EvaluatedExample.Outcome
_CHOICES = ("TRUE_POSITIVE", "FALSE_POSITIVE", "FALSE_NEGATIVE", "CONFUSED")
_UNKNOWN = -2  # a label that the model does not have


@dataclasses.dataclass(frozen=True)
class _Pairs:
    """Everything that is there or was found, N of it.

    Attributes:
        images: (N,) the image of each.
        true: (N,) the label that is there; `outcomes.NOTHING` for a false alarm.
        predicted: (N,) the label that was found; `outcomes.NOTHING` for a miss.
        results: (N,) numbers of `Outcome`.
    """

    images: npt.NDArray[np.int64]
    true: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    results: npt.NDArray[np.int64]


def selected(request: pb.ListEvaluatedExamplesRequest, found: outcomes.Outcomes) -> npt.NDArray[np.int64]:
    """The images that the request's filter lets pass, in its order; equal ones as they were evaluated.

    Terms about labels and outcomes must hold together of one label or finding.

    Raises:
        ApiError: INVALID_ARGUMENT: the filter or the order is not possible.
    """
    order, is_turned = filters.order(request.order_by or "loss desc", ORDERS)
    pairs = _pairs(found)
    holds = np.ones(len(pairs.images), bool)
    passing = np.ones(len(found.examples), bool)
    is_about_pairs = False
    for term in filters.parse(request.filter):
        if term.comparison != "=":
            raise errors.invalid_argument("filter", f"Field '{term.field}' is no number; compare it with = or !=.")
        if term.field == "uri":
            has_it = [(term.value or "") in uri for uri in found.examples.uris]
            passing &= np.array(has_it, bool).reshape(-1) != term.negated
            continue
        if term.field not in _MEANINGS:
            known = ", ".join(sorted([*_MEANINGS, "uri"]))
            raise errors.invalid_argument("filter", f"Unknown field '{term.field}'; this list filters by: {known}.")
        is_about_pairs = True
        holds &= _MEANINGS[term.field](term, pairs, found.examples.labels) != term.negated
    if is_about_pairs:
        chosen = np.zeros(len(passing), bool)
        chosen[pairs.images[holds]] = True
        passing &= chosen
    images = np.flatnonzero(passing)
    if order == "loss":
        key = found.losses[images]
        return images[np.argsort(-key if is_turned else key, kind="stable")]
    in_order = sorted(images.tolist(), key=lambda image: found.examples.uris[image], reverse=is_turned)
    return np.array(in_order, np.int64)


def truth_outcomes(found: outcomes.Outcomes) -> npt.NDArray[np.int64]:
    """(G,) numbers of `Outcome`, one for each label that is there."""
    paired = np.where(found.truth_found_as == found.examples.truth_labels, Outcome.TRUE_POSITIVE, Outcome.CONFUSED)
    return np.where(found.truth_found_as == outcomes.NOTHING, Outcome.FALSE_NEGATIVE, paired)


def finding_outcomes(found: outcomes.Outcomes) -> npt.NDArray[np.int64]:
    """(F,) numbers of `Outcome`, one for each finding; those below the threshold have one too."""
    paired = np.where(found.finding_is == found.examples.finding_labels, Outcome.TRUE_POSITIVE, Outcome.CONFUSED)
    return np.where(found.finding_is == outcomes.NOTHING, Outcome.FALSE_POSITIVE, paired)


def _pairs(found: outcomes.Outcomes) -> _Pairs:
    examples = found.examples
    alarms = np.flatnonzero(found.kept & (found.finding_partners == outcomes.NOTHING))
    return _Pairs(
        np.concatenate([examples.truth_images, examples.finding_images[alarms]]).astype(np.int64),
        np.concatenate([examples.truth_labels, np.full(len(alarms), outcomes.NOTHING)]),
        np.concatenate([found.truth_found_as, examples.finding_labels[alarms]]),
        np.concatenate([truth_outcomes(found), np.full(len(alarms), Outcome.FALSE_POSITIVE)]),
    )


def _has_outcome(term: filters.Term, pairs: _Pairs, labels: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    if term.value not in _CHOICES:
        raise errors.invalid_argument("filter", f"outcome is one of: {', '.join(_CHOICES)}.")
    return np.asarray(pairs.results == getattr(Outcome, term.value))


def _has_label(numbers: npt.NDArray[np.int64], term: filters.Term, labels: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    if term.value is None:  # any label
        return np.asarray(numbers != outcomes.NOTHING)
    if term.value in labels:
        return np.asarray(numbers == labels.index(term.value))
    return np.asarray(numbers == (outcomes.NOTHING if term.value == NONE else _UNKNOWN))


_MEANINGS: dict[str, Callable[[filters.Term, _Pairs, tuple[str, ...]], npt.NDArray[np.bool_]]] = {
    "outcome": _has_outcome,
    "true_label": lambda term, pairs, labels: _has_label(pairs.true, term, labels),
    "predicted_label": lambda term, pairs, labels: _has_label(pairs.predicted, term, labels),
}
