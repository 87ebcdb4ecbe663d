"""What was found, as the data of report.json and in sentences.

The precision and recall that a job probably has: each result counts as right with the share that was right among the test
images' results of about its score; what is missed at any score has the share that it had there. That holds only where the
images are of the kind of the test images, so it is said only where they do not differ.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from boxwright.batch.job import BatchSpec
from boxwright.batch.output.candidates import HISTOGRAM_BINS
from boxwright.batch.output.manifest import Manifest
from boxwright.batch.report.gathering import Gathering
from boxwright.batch.report.label_next import UncertainImage
from boxwright.inference import baseline
from boxwright.inference.baseline import Baseline, Drift

FORMAT_VERSION = 1
THRESHOLDS = (0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9)
UNFAMILIAR_SHARE = 0.05  # of the test images are less sure than what counts as foreign
CANNOT_SAY_BASELINE = "It cannot be said: the model keeps no figures of its test images. Models trained from now on do."
CANNOT_SAY_FEW = f"It cannot be said: that takes {baseline.LEAST_IMAGES} images of the job and of the test."


@dataclasses.dataclass(frozen=True)
class DuplicateCounts:
    """Groups of equal and of nearly equal images, the images in them beyond the first of each, and the windows compared."""

    equal_groups: int
    near_groups: int
    spare_images: int
    windows: int


@dataclasses.dataclass(frozen=True)
class Findings:
    """All that the report says.

    Attributes:
        document: report.json.
        drifts: see `baseline.drifts`; empty if nothing can be said.
        reference: of the model; None if it has none.
        uncertain: to label next.
    """

    document: dict[str, Any]
    drifts: Sequence[Drift]
    reference: Baseline | None
    uncertain: Sequence[UncertainImage]


def found(
    spec: BatchSpec,
    manifest: Manifest,
    gathered: Gathering,
    reference: Baseline | None,
    failures: Sequence[Mapping[str, Any]],
    duplicates: DuplicateCounts,
) -> Findings:
    """Puts together what a job's candidates say.

    Args:
        spec: of the job.
        manifest: of the job, without the report.
        gathered: of all its candidates.
        reference: of the model.
        failures: see `FailureGroups.listed`.
        duplicates: counted.
    """
    names = [name for _, name in spec.labels]
    if reference is not None and len(reference.profile.scores) != len(names):
        reference = None
    floor = manifest.settings.get("candidate_floor", spec.candidate_floor) or 0.0
    drifts = baseline.drifts(gathered.profile, reference.profile, floor) if reference else []
    uncertain = gathered.pool.chosen(gathered.scores.sum(axis=1))
    document = {
        "format_version": FORMAT_VERSION,
        "model": manifest.model,
        "settings": manifest.settings,
        "images": gathered.images,
        "failed": sum(manifest.errors_by_code.values()),
        "images_with_result": gathered.images_with_result,
        "candidate_floor": floor,
        "labels": [
            {"display_name": name, "at": _at_thresholds(row)} for name, row in zip(names, gathered.scores, strict=True)
        ],
        "thresholds": list(THRESHOLDS),
        "score_histograms": gathered.scores.tolist(),
        "images_by_best_score": gathered.best.tolist(),
        "score_counts": gathered.counts.to_values(),
        "drift": _drift(names, gathered, reference, drifts),
        "quality": _quality(spec, gathered, reference, drifts, floor),
        "foreign": _foreign(gathered, reference),
        "label_next": [
            {
                "id": one.image.id,
                "uncertainty": round(one.uncertainty, 6),
                "label": names[one.rarest] if one.rarest >= 0 else None,
            }
            for one in uncertain
        ],
        "duplicates": dataclasses.asdict(duplicates) | {"is_known": gathered.has_looks},
        "oddities": {name: dataclasses.asdict(one) for name, one in gathered.oddities.kinds.items()},
        "same_boxes": gathered.oddities.same_boxes(names),
        "failures": list(failures),
    }
    return Findings(document, drifts, reference, uncertain)


def _at_thresholds(row: Any) -> list[int]:
    return [int(row[round(threshold * HISTOGRAM_BINS) :].sum()) for threshold in THRESHOLDS]


def _drift(
    names: Sequence[str], gathered: Gathering, reference: Baseline | None, drifts: Sequence[Drift]
) -> dict[str, Any]:
    if reference is None or not drifts:
        return {"level": None, "sentence": CANNOT_SAY_BASELINE if reference is None else CANNOT_SAY_FEW, "features": []}
    levels = {one.level for one in drifts}
    level = next(one for one in ("much", "some", "none") if one in levels)
    listed = []
    for one in drifts:
        entry: dict[str, Any] = {"name": one.name if one.label is None else f"scores of {names[one.label]}"}
        entry |= {"stability_index": one.stability_index, "distance": one.distance, "level": one.level}
        if one.label is None:
            entry |= {
                "mean": round(gathered.profile.mean(one.name), 4),
                "test_mean": round(reference.profile.mean(one.name), 4),
                "counts": gathered.profile.histograms[one.name].tolist(),
                "test_counts": reference.profile.histograms[one.name].tolist(),
            }
        listed.append(entry)
    return {"level": level, "sentence": _drift_sentence(names, gathered, reference, drifts, level), "features": listed}


def _drift_sentence(
    names: Sequence[str], gathered: Gathering, reference: Baseline, drifts: Sequence[Drift], level: str
) -> str:
    if level == "none":
        return "The images and results look like the test images of the model and the results on them."
    differing = sorted((one for one in drifts if one.level != "none"), key=lambda one: -one.stability_index)
    said = []
    for one in differing[:4]:
        if one.label is not None:
            said.append(f"other scores of {names[one.label]}")
            continue
        feature, mine, theirs = (
            baseline.FEATURES[one.name],
            gathered.profile.mean(one.name),
            reference.profile.mean(one.name),
        )
        word = feature.more if mine > theirs else feature.less
        said.append(f"{word} ({feature.words} on average {mine:.3g} instead of {theirs:.3g})")
    how = "much" if level == "much" else "somewhat"
    return f"The images or results differ {how} from the test images of the model: {'; '.join(said)}."


def _quality(
    spec: BatchSpec, gathered: Gathering, reference: Baseline | None, drifts: Sequence[Drift], floor: float
) -> dict[str, Any]:
    nothing: dict[str, Any] = {"precision": None, "recall": None}
    if reference is None:
        return nothing | {"sentence": CANNOT_SAY_BASELINE}
    if not drifts:
        return nothing | {"sentence": CANNOT_SAY_FEW}
    if any(one.level != "none" for one in drifts if one.label is None):
        return nothing | {"sentence": "It cannot be said: the images differ from the test images of the model."}
    if spec.label_thresholds or spec.only_labels is not None:
        return nothing | {"sentence": "It cannot be said for thresholds of single labels."}
    quality, found_now = reference.quality, gathered.profile.scores.sum(axis=0)
    known = quality.found > 0
    share = np.divide(quality.right, quality.found, out=np.zeros(len(known)), where=known)
    right = found_now * share
    first = round(max(floor, baseline.FLOOR) * baseline.SCORE_BINS)
    at = round(spec.score_threshold * baseline.SCORE_BINS)
    kept, test_right = int(found_now[at:].sum()), int(quality.right[first:].sum())
    if at < first or not kept or not test_right or not quality.truth or not right[first:].sum():
        return nothing | {"sentence": "It cannot be said: there are too few results."}
    precision = float(right[at:].sum()) / kept
    recall = min(1.0, float(right[at:].sum()) / (float(right[first:].sum()) * quality.truth / test_right))
    sentence = (
        f"At {spec.score_threshold:g}, probably {precision:.0%} of the results are right, and of what there is, "
        f"{recall:.0%} is found. It is an estimate from the test images of the model, which the images of the job resemble."
    )
    return {"precision": round(precision, 4), "recall": round(recall, 4), "sentence": sentence}


def _foreign(gathered: Gathering, reference: Baseline | None) -> dict[str, Any]:
    listed = [{"id": one.id, "confidence": round(1 - one.key, 4)} for one in gathered.foreign.ranked()]
    found: dict[str, Any] = {"below": None, "images": None, "first": listed}
    if reference is None or reference.profile.images < baseline.LEAST_IMAGES:
        return found
    counts = reference.profile.histograms["confidence"]
    last = int(np.searchsorted(np.cumsum(counts), UNFAMILIAR_SHARE * counts.sum(), "right"))
    if last == 0:  # even the first bin has too many of the test images
        return found
    below = baseline.FEATURES["confidence"].edges[last - 1]
    return found | {"below": below, "images": int(gathered.profile.histograms["confidence"][:last].sum())}
