"""An estimate in sentences: what it says in one line, and what its reader should mend first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from boxwright.batch.inputs import frozen_names

ROOM_MARGIN = 1.1


def summary(document: Mapping[str, Any]) -> str:
    """The estimate as one line, such as ``120,000 images, 14 to 19 min on 2 cores, limited by decoding.``."""
    answer = document["answer"]
    parts = [_count(answer["images"], "image")]
    if answer["seconds_high"]:
        cores = _count(answer["cores"], "core")
        parts.append(f"{_between(answer['seconds_low'], answer['seconds_high'])} on {cores}")
    if answer["limited_by"]:
        parts.append(f"limited by {answer['limited_by']}")
    about = "" if document["lists"]["read_share"] == 1 else "about "
    return f"{about}{', '.join(parts)}."


def warnings(document: Mapping[str, Any], image_failure_limit: float) -> list[str]:
    """What the reader should know before the job is started, the worst first.

    Args:
        document: the estimate.
        image_failure_limit: of the job.
    """
    listed, seen, sample, answer = (document[part] for part in ("lists", "objects", "sample", "answer"))
    found: list[str] = []
    share, first = sample["failed_share"], sample["first_failure"]
    if sample["images"] and (share == 1 or share > image_failure_limit):
        limit = "no image" if share == 1 else f"more than the limit of {image_failure_limit:.0%}"
        what = "could be predicted" if share == 1 else "failed"
        found.append(f"The job would fail: of the sample, {limit} {what}; the first: {first}")
    if seen["missing"]:
        found.append(_missing(seen))
    for code, count in seen["trouble"].items():
        found.append(f"{_count(count, 'image')} of the sample cannot be read: {code}; {first or 'see the store.'}")
    for reason in listed["reasons"]:
        are = "is" if reason["rows"] == 1 else "are"
        found.append(f"{_count(reason['rows'], 'row')} {are} unusable; the first: {reason['first'][0]}")
    if listed["duplicates"]:
        found.append(f"{_count(listed['duplicates'], 'row')} named an image again; each image is predicted once.")
    for text, counts in listed["left_out"].items():
        if results := counts.get(frozen_names.RESULT_FOLDERS):
            files = _count(results, "file")
            found.append(f"{text} holds results of batch predictions: {files} in their folders are left out.")
    needed = answer["jsonl_bytes"] + answer["candidates_bytes"] + sum(answer.get("formats_bytes", {}).values())
    if "free_bytes" in answer and needed * ROOM_MARGIN > answer["free_bytes"]:
        found.append(
            f"The results need about {_size(needed)}, and {_size(answer['free_bytes'])} are free there; make room, or write "
            "them elsewhere."
        )
    if listed["read_share"] < 1:
        found.append(
            f"The first {listed['read_share']:.1%} of the inputs were read; numbers of the whole are estimated."
        )
    return found


def _missing(seen: Mapping[str, Any]) -> str:
    first = f" The first: {seen['first_missing'][0]}" if seen["first_missing"] else ""
    if seen["method"] == "all":
        are = "is" if seen["missing"] == 1 else "are"
        return f"{seen['missing']:,} of {_count(seen['looked_at'], 'image')} {are} not there.{first}"
    low, high = seen["missing_share_low"], seen["missing_share_high"]
    return f"{low:.1%} to {high:.1%} of the images are not there ({seen['looked_at']:,} were looked for).{first}"


def _between(low_s: float, high_s: float) -> str:
    """Two times in the larger one's unit, such as ``14 to 19 min``."""
    unit, seconds = next(
        (unit, seconds)
        for unit, seconds in (("h", 3600.0), ("min", 60.0), ("s", 1.0))
        if high_s >= 2 * seconds or unit == "s"
    )
    low, high = low_s / seconds, high_s / seconds
    places = 0 if high >= 10 else 1
    return f"{low:.{places}f} to {high:.{places}f} {unit}"


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _size(size_bytes: float) -> str:
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"
