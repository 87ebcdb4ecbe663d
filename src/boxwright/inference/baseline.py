"""What a model's test images and its results on them look like, as histograms: what later images are compared with.

    Profile(labels).add(table)              counts images and results
    to_document(…), read(folder)            baseline.json in a model's folder; a model may have none
    drifts(profile, baseline, floor)        in what two profiles differ

Two measures tell a difference: the population stability index (Siddiqi, "Credit Risk Scorecards", 2006), the sum of
(p - q) ln(p / q) over the bins, and Kolmogorov and Smirnov's, the largest difference of the two cumulated shares. Few images
differ by chance: the index of two samples of n and m of the same kind is about (B - 1)(1/n + 1/m) (Yurdakul, 2018).
"""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from boxwright import boxes
from boxwright.images import appearance
from boxwright.predictions import ImagePrediction

BASELINE_FILE = "baseline.json"
FORMAT_VERSION = 1
SCALE = 10**boxes.SCORE_DECIMALS
SCORE_BINS = 20
FLOOR = 0.05  # lower scores are in no profile
CONFIDENT = 0.5  # the score from which boxes are counted and measured
LEAST_IMAGES = 20  # of either side; fewer say nothing
SMALL, LARGE = 0.1, 0.25  # of the stability index: below the first nothing has changed, above the second much has
_PSEUDO_COUNT = 0.5  # in each bin, so that an empty one has no infinite weight
_CHANCE_DEVIATIONS = 3.0  # of the index: ten features, and none should differ by chance


class ResultTable(Protocol):
    """Images and what was found in them, as candidates have it: N images with M results."""

    @property
    def width_px(self) -> npt.NDArray[np.int32]: ...
    @property
    def height_px(self) -> npt.NDArray[np.int32]: ...
    @property
    def looks(self) -> npt.NDArray[np.void]: ...
    @property
    def offsets(self) -> npt.NDArray[np.int32]: ...
    @property
    def label_indices(self) -> npt.NDArray[np.uint16]: ...
    @property
    def values(self) -> npt.NDArray[np.int32]: ...


@dataclasses.dataclass(frozen=True)
class PlainTable:
    """A `ResultTable` of predictions that are at hand."""

    width_px: npt.NDArray[np.int32]
    height_px: npt.NDArray[np.int32]
    looks: npt.NDArray[np.void]
    offsets: npt.NDArray[np.int32]
    label_indices: npt.NDArray[np.uint16]
    values: npt.NDArray[np.int32]

    @classmethod
    def of(
        cls, sizes_hw: Sequence[tuple[int, int]], looks: Sequence[bytes], found: Sequence[ImagePrediction]
    ) -> PlainTable:
        """The table of some images: their upright sizes in pixels, records of `appearance.RECORD`, and results."""
        kept = [one.keep(FLOOR, None) for one in found]
        columns = [
            np.concatenate([one.scores[:, None], one.boxes_norm], axis=1)
            if isinstance(one, boxes.Detections)
            else one.scores[:, None]
            for one in kept
        ]
        values = np.concatenate(columns) if columns else np.zeros((0, 1))
        labels = np.concatenate([one.label_indices for one in kept]) if kept else np.zeros(0)
        return cls(
            width_px=np.array([width for _, width in sizes_hw], np.int32),
            height_px=np.array([height for height, _ in sizes_hw], np.int32),
            looks=np.frombuffer(b"".join(looks), appearance.RECORD),
            offsets=np.cumsum([0, *map(len, kept)], dtype=np.int32),
            label_indices=labels.astype(np.uint16),
            values=np.rint(values.T.astype(np.float64) * SCALE).astype(np.int32),
        )


@dataclasses.dataclass(frozen=True)
class Feature:
    """A number of each image or box.

    Attributes:
        words: what it is called.
        edges: between its bins, which are one more.
        more, less: what is said of images in which it is higher, and lower.
    """

    words: str
    edges: tuple[float, ...]
    more: str
    less: str


def _steps(first: float, last: float, count: int) -> tuple[float, ...]:
    return tuple(float(edge) for edge in np.round(np.linspace(first, last, count), 6))


FEATURES = {
    "confidence": Feature("confidence", _steps(0.05, 0.95, 19), "surer results", "less sure results"),
    "boxes": Feature(
        "boxes an image", (0.5, 1.5, 2.5, 3.5, 5.5, 9.5, 19.5, 49.5), "more boxes an image", "fewer boxes an image"
    ),
    "box_size": Feature(
        "side of a box, as a share of the image's", _steps(0.1, 0.9, 9), "larger boxes", "smaller boxes"
    ),
    "size": Feature("side of an image, px", (64, 128, 256, 512, 768, 1024, 1536, 2048, 4096), "larger", "smaller"),
    "aspect": Feature("width to height", (0.4, 0.6, 0.7, 0.8, 0.95, 1.05, 1.25, 1.4, 1.6, 2.0), "wider", "narrower"),
    "luma": Feature("brightness, 0 to 255", _steps(16, 240, 15), "brighter", "darker"),
    "sharpness": Feature("sharpness, grey levels", (1, 2, 3, 4, 6, 8, 11, 15, 20, 30), "sharper or noisier", "softer"),
}


def confidences(table: ResultTable) -> npt.NDArray[np.float64]:
    """(N,) how sure a model is of each image, 0 to 1: the mean of its best score and of its mean score, weighted by score.

    In images like those that it has learned from, a model finds few things and is sure of them; in others it finds nothing,
    or many things of which it is sure of none.
    """
    scores = table.values[0] / SCALE
    image = np.repeat(np.arange(len(table.width_px)), np.diff(table.offsets))
    total = np.bincount(image, scores, len(table.width_px))
    squares = np.bincount(image, scores * scores, len(table.width_px))
    share = np.divide(squares, total, out=np.zeros_like(total), where=total > 0)
    return (best_scores(table) + share) / 2


def best_scores(table: ResultTable) -> npt.NDArray[np.float64]:
    """(N,) the best score of each image; 0 where there is no result."""
    has_any = np.diff(table.offsets) > 0
    best = np.zeros(len(table.width_px))
    best[has_any] = table.values[0][table.offsets[:-1][has_any]] / SCALE
    return best


class Profile:
    """Histograms of images and results.

    Attributes:
        images: counted.
        histograms: a feature's counts, and the sum of its values, by the feature's name.
        scores: (C, `SCORE_BINS`) results by label and score.
    """

    def __init__(self, label_count: int) -> None:
        self.images = 0
        self.histograms = {name: np.zeros(len(one.edges) + 1, np.int64) for name, one in FEATURES.items()}
        self.sums = dict.fromkeys(FEATURES, 0.0)
        self.scores = np.zeros((label_count, SCORE_BINS), np.int64)

    def add(self, table: ResultTable) -> None:
        """Counts the images of a table."""
        self.images += len(table.width_px)
        score = table.values[0]
        bins = np.minimum(score // (SCALE // SCORE_BINS), SCORE_BINS - 1)
        places = table.label_indices.astype(np.int64) * SCORE_BINS + bins
        counts = np.bincount(places[score >= FLOOR * SCALE], minlength=self.scores.size)
        self.scores += counts.reshape(self.scores.shape)
        width, height = table.width_px.astype(np.float64), table.height_px.astype(np.float64)
        is_known = ~np.isnan(table.looks["luma"])
        self._count("confidence", confidences(table))
        self._count("size", np.sqrt(width * height))
        self._count("aspect", width / np.maximum(height, 1))
        self._count("luma", table.looks["luma"][is_known].astype(np.float64))
        self._count("sharpness", table.looks["sharpness"][is_known].astype(np.float64))
        if len(table.values) > 1:
            is_sure = score >= CONFIDENT * SCALE
            image = np.repeat(np.arange(len(width)), np.diff(table.offsets))
            self._count("boxes", np.bincount(image[is_sure], minlength=len(width)).astype(np.float64))
            x_min, y_min, x_max, y_max = (column[is_sure] / SCALE for column in table.values[1:])
            self._count("box_size", np.sqrt((x_max - x_min) * (y_max - y_min)))

    def _count(self, name: str, values: npt.NDArray[np.float64]) -> None:
        edges = FEATURES[name].edges
        self.histograms[name] += np.bincount(np.searchsorted(edges, values, "right"), minlength=len(edges) + 1)
        self.sums[name] += float(values.sum())

    def mean(self, name: str) -> float:
        """Of a feature's values; 0 without any."""
        return self.sums[name] / max(1, int(self.histograms[name].sum()))

    def to_document(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "images": self.images,
            "features": {
                name: {"counts": counts.tolist(), "mean": round(self.mean(name), 4)}
                for name, counts in self.histograms.items()
            },
            "scores": self.scores.tolist(),
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Profile:
        """The reverse of `to_document`; raises ValueError, KeyError or TypeError for anything else."""
        found = cls(len(document["scores"]))
        found.images = int(document["images"])
        found.scores = np.array(document["scores"], np.int64).reshape(found.scores.shape)
        for name, counts in found.histograms.items():
            said = document["features"][name]
            counts += np.array(said["counts"], np.int64)
            found.sums[name] = float(said["mean"]) * int(counts.sum())
        return found


@dataclasses.dataclass(frozen=True)
class Quality:
    """How good a model's results on its test images are, by their score.

    Attributes:
        found: (`SCORE_BINS`,) results, all labels together.
        right: (`SCORE_BINS`,) those that are right: of a box, that it overlaps a labelled one by half.
        truth: labels or boxes that there are.
        best_threshold: where F1 is best, [0, 1].
    """

    found: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    truth: int
    best_threshold: float

    @classmethod
    def of(
        cls, scores: npt.NDArray[np.float64], is_right: npt.NDArray[np.bool_], truth: int, best_threshold: float
    ) -> Quality:
        """Counts results: their scores, (N,), and whether each is right, (N,)."""
        bins = np.minimum((scores * SCORE_BINS + 1e-9).astype(np.int64), SCORE_BINS - 1)
        found = np.bincount(bins, minlength=SCORE_BINS)
        right = np.bincount(bins[is_right], minlength=SCORE_BINS)
        return cls(found, right, truth, best_threshold)


@dataclasses.dataclass(frozen=True)
class Baseline:
    """What baseline.json says: the profile of the test images, and the quality there."""

    profile: Profile
    quality: Quality


def write(folder: pathlib.Path, profile: Profile, quality: Quality) -> None:
    """Writes baseline.json into the folder of a model that is being made."""
    document = {
        "format_version": FORMAT_VERSION,
        **profile.to_document(),
        "quality": {
            "found": quality.found.tolist(),
            "right": quality.right.tolist(),
            "truth": quality.truth,
            "best_threshold": quality.best_threshold,
        },
    }
    (folder / BASELINE_FILE).write_text(json.dumps(document) + "\n", encoding="utf-8")


def read(folder: pathlib.Path) -> Baseline | None:
    """What a model's folder says; None if it says nothing, or nothing that this program reads."""
    try:
        document = json.loads((folder / BASELINE_FILE).read_bytes())
        if document["format_version"] != FORMAT_VERSION:
            return None
        said = document["quality"]
        found, right = (np.array(said[name], np.int64).reshape(SCORE_BINS) for name in ("found", "right"))
        quality = Quality(found, right, int(said["truth"]), float(said["best_threshold"]))
        return Baseline(Profile.from_document(document), quality)
    except (OSError, ValueError, KeyError, TypeError):
        return None


@dataclasses.dataclass(frozen=True)
class Drift:
    """In what the images of a job differ from the test images.

    Attributes:
        name: of a feature, or ``scores`` with a label's index.
        label: that index; None for a feature.
        stability_index: see the module.
        distance: Kolmogorov's and Smirnov's, 0 to 1.
        level: ``none``, ``some`` or ``much``; chance alone is none.
    """

    name: str
    label: int | None
    stability_index: float
    distance: float
    level: str


def drifts(profile: Profile, reference: Profile, floor: float) -> list[Drift]:
    """The differences of two profiles, feature by feature and label by label; those that cannot be told are left out.

    Args:
        profile: of a job.
        reference: of the test images of its model.
        floor: the least score that the job has kept.
    """
    found = [
        _drift(name, None, profile.histograms[name], reference.histograms[name])
        for name in FEATURES
        if floor <= CONFIDENT or name not in ("confidence", "boxes", "box_size")
    ]
    first = math.ceil(max(floor, FLOOR) * SCORE_BINS - 1e-9)
    if len(profile.scores) == len(reference.scores):
        pairs = zip(profile.scores[:, first:], reference.scores[:, first:], strict=True)
        found += [_drift("scores", label, mine, theirs) for label, (mine, theirs) in enumerate(pairs)]
    return [one for one in found if one is not None]


def _drift(
    name: str, label: int | None, counts: npt.NDArray[np.int64], reference: npt.NDArray[np.int64]
) -> Drift | None:
    n, m = int(counts.sum()), int(reference.sum())
    if min(n, m) < LEAST_IMAGES:
        return None
    used = (counts + reference) > 0
    bins = int(used.sum())
    p = (counts[used] + _PSEUDO_COUNT) / (n + _PSEUDO_COUNT * bins)
    q = (reference[used] + _PSEUDO_COUNT) / (m + _PSEUDO_COUNT * bins)
    index = float(((p - q) * np.log(p / q)).sum())
    distance = float(np.abs(np.cumsum(counts / n) - np.cumsum(reference / m)).max())
    chance = (1 / n + 1 / m) * (bins - 1 + _CHANCE_DEVIATIONS * math.sqrt(2 * max(1, bins - 1)))
    level = "much" if index > max(LARGE, chance) else "some" if index > max(SMALL, chance) else "none"
    return Drift(name, label, round(index, 4), round(distance, 4), level)
