"""``boxwright results``: a page that shows the images of a batch prediction's folder with what was found."""

from __future__ import annotations

import argparse
import collections
import dataclasses
import os
import pathlib
import urllib.parse
from collections.abc import Iterator

from boxwright import errors
from boxwright.commands import asking, help_text, output
from boxwright.contact_sheet import page, results

EXAMPLES = """\
Example:

  boxwright results show buckets/photos/results/prediction-cars_1-2026-01-01T12:00:00.000Z --out page.html
  boxwright results show gs://photos/results/prediction-cars_1-2026-01-01T12:00:00.000Z --buckets buckets
"""
DEFAULT_THRESHOLD = 0.5
MAX_FAILURES = 1000
ALL_LABELS = "all labels"
NOTE = "{} are shown from a score of {:.2f} on at first; the counts below the images are taken there too."


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds ``results`` and its command ``show``."""
    text = "look at the results of a batch prediction"
    description = "Look at files of a batch prediction on this machine; needs no running service."
    actions = asking.add_group(commands, "results", text, description, EXAMPLES)
    show = asking.add_action(actions, "show", _show, "write a page with the images and what was found in them", "")
    show.epilog, show.formatter_class = EXAMPLES, help_text.Formatter
    show.add_argument(
        "folder",
        metavar="FOLDER",
        help="a folder with the files of a batch prediction, or its gs:// address with --buckets",
    )
    show.add_argument(
        "--buckets",
        "--images",
        dest="buckets",
        type=pathlib.Path,
        metavar="DIR",
        help="each sub-folder NAME is gs://NAME/, as for boxwright serve; by default the folder around FOLDER that has the "
        "images, if there is one",
    )
    show.add_argument(
        "--out",
        type=pathlib.Path,
        default=pathlib.Path("results.html"),
        metavar="FILE",
        help="the page (default results.html)",
    )
    show.add_argument(
        "--threshold",
        type=float,
        metavar="SCORE",
        help="score from which boxes or labels are shown at first (default the job's own)",
    )
    show.add_argument(
        "--limit",
        type=int,
        default=page.MAX_FIGURES,
        metavar="N",
        help=f"images on the page, about 50 kB each (default {page.MAX_FIGURES})",
    )


@dataclasses.dataclass
class _Counts:
    """What the whole folder holds, counted from the threshold on.

    Attributes:
        has_boxes: whether what was found are boxes, and not labels of whole images.
    """

    has_boxes: bool
    images: int = 0
    failed: int = 0
    boxes: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    images_with: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    scores: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    labels: set[str] = dataclasses.field(default_factory=set)

    @property
    def noun(self) -> str:
        """What was found, in the plural."""
        return "boxes" if self.has_boxes else "labels"

    @property
    def one(self) -> str:
        """What was found, in the singular."""
        return "box" if self.has_boxes else "label"

    @property
    def headings(self) -> tuple[str, ...]:
        """Of the page's table."""
        return ("label", "images", "boxes", "mean score") if self.has_boxes else ("label", "images", "mean score")

    def add(self, image: results.Predicted, threshold: float) -> None:
        """Counts one image."""
        self.images += 1
        kept = [one for one in image.predictions if one.score >= threshold]
        self.labels |= {one.label for one in image.predictions}
        for one in kept:
            self.boxes[one.label] += 1
            self.scores[one.label] += one.score  # type: ignore[assignment]
        self.images_with.update({one.label for one in kept})
        self.images_with[ALL_LABELS] += bool(kept)

    def rows(self) -> list[tuple[str, ...]]:
        """The page's table."""
        found = [
            (label, self.images_with[label], self.boxes[label], self.scores[label]) for label in sorted(self.labels)
        ]
        found.append((ALL_LABELS, self.images_with[ALL_LABELS], self.boxes.total(), sum(self.scores.values())))
        return [
            (label, f"{images:,}", *([f"{boxes:,}"] * self.has_boxes), f"{score / boxes:.3f}" if boxes else "")
            for label, images, boxes, score in found
        ]


def _show(options: argparse.Namespace) -> int:
    folder = _folder(options.folder, options.buckets)
    if options.limit < 0:
        raise errors.bad_request(f"--limit: {options.limit} is less than 0.")
    threshold = options.threshold if options.threshold is not None else results.score_threshold(folder)
    threshold = DEFAULT_THRESHOLD if threshold is None else threshold
    if not 0 <= threshold <= 1:
        raise errors.bad_request(f"--threshold: {threshold:g} is not from 0 to 1.")
    try:
        counts, shown = _read(folder, threshold, options.limit)
        failures: list[tuple[str, str]] = []
        for failure in results.failed(folder):
            counts.failed += 1
            if len(failures) < MAX_FAILURES:
                failures.append((failure.uri, failure.why))
        blank = page.write(
            options.out,
            _sheet(folder, counts, failures, threshold, len(shown)),
            _figures(folder, shown, threshold, options.buckets, counts),
        )
    except results.ResultsError as error:
        raise errors.failed_precondition(str(error)) from error
    except OSError as error:
        raise errors.failed_precondition(f"{error.filename or options.out}: {error.strerror or error}.") from error
    if blank:
        output.say(
            f"{blank:,} of the {len(shown):,} images shown are not on this machine or cannot be shown; with --buckets DIR, "
            "gs://NAME/… is read from DIR/NAME."
        )
    print(
        f"{options.out}: {counts.images:,} images, {counts.failed:,} failed, {counts.boxes.total():,} {counts.noun}; "
        f"{len(shown):,} shown"
    )
    return 0


def _folder(text: str, buckets: pathlib.Path | None) -> pathlib.Path:
    """The folder on this machine.

    Raises:
        ApiError: NOT_FOUND or INVALID_ARGUMENT if it is not there or holds no results.
    """
    folder = pathlib.Path(text)
    if "://" in text:
        if buckets is None:
            raise errors.bad_request(
                f"{text} is an address; say with --buckets DIR which folder has the buckets as sub-folders."
            )
        located = _located(text, buckets)
        if located is None:
            raise errors.bad_request(f"{text} is no address of a folder.")
        folder = located
    if not folder.is_dir():
        raise errors.not_found(f"There is no folder {folder} on this machine.")
    if not results.files(folder, results.RESULTS) and not results.files(folder, results.ERRORS):
        raise errors.not_found(
            f"{folder} has no results: no file image_object_detection_1.jsonl, image_classification_1.jsonl or "
            "errors_1.jsonl."
        )
    return folder


def _read(folder: pathlib.Path, threshold: float, limit: int) -> tuple[_Counts, list[results.Predicted]]:
    counts = _Counts(has_boxes=not results.files(folder, (results.CLASSIFICATION,)))
    shown: list[results.Predicted] = []
    for image in results.predicted(folder):
        counts.add(image, threshold)
        if len(shown) < limit:
            shown.append(image)
    return counts, shown


def _sheet(
    folder: pathlib.Path, counts: _Counts, failures: list[tuple[str, str]], threshold: float, shown: int
) -> page.PageInfo:
    summary = [
        ("images predicted", f"{counts.images:,}"),
        ("images failed", f"{counts.failed:,}"),
        ("boxes" if counts.has_boxes else "labels of images", f"{counts.boxes.total():,}"),
        ("labels", f"{len(counts.labels):,}"),
    ]
    note = f"{counts.noun.capitalize()} with a score of at least {threshold:.2f}, over all images of the folder."
    return page.PageInfo(
        title=folder.resolve().name,
        summary=summary,
        table=page.Table("What was found", counts.headings, counts.rows(), note, ALL_LABELS),
        labels=counts.labels,
        threshold=threshold,
        note=NOTE.format(counts.noun.capitalize(), threshold),
        has_truth=False,
        failures=failures,
        hidden=page.shown_first(counts.images - shown, "images"),
        failures_note=page.shown_first(counts.failed - len(failures), "failed images"),
    )


def _figures(
    folder: pathlib.Path,
    shown: list[results.Predicted],
    threshold: float,
    buckets: pathlib.Path | None,
    counts: _Counts,
) -> Iterator[page.Figure]:
    root = buckets
    for image in shown:
        if root is None:
            root = _root_around(folder, image.uri)
        kept = sum(one.score >= threshold for one in image.predictions)
        yield page.Figure(
            name=image.uri.rpartition("/")[2] or image.uri,
            title=image.uri,
            path=_located(image.uri, root),
            predictions=image.predictions,
            verdict=f"{kept} {counts.one if kept == 1 else counts.noun}",
        )


def _root_around(folder: pathlib.Path, uri: str) -> pathlib.Path | None:
    """The folder around the results below which an image is found as its address says; None if there is none."""
    for root in folder.resolve().parents:
        path = _located(uri, root)
        if path is not None and path.is_file():
            return root
    return None


def _located(uri: str, root: pathlib.Path | None) -> pathlib.Path | None:
    """Where an address is on this machine; None if that is not known, or if it would lead out of the root."""
    scheme, separator, rest = uri.partition("://")
    if scheme == "file" and separator:
        return pathlib.Path(urllib.parse.urlsplit(uri).path)
    if root is None or not separator or "\0" in rest:
        return None
    path = pathlib.Path(os.path.normpath(root / rest.lstrip("/")))
    return path if path.is_relative_to(os.path.normpath(root)) else None
