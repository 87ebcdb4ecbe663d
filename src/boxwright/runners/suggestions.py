"""Imports of labels at which nobody has looked (``reviewed=false``): they are proposals, and no training learns from them.

An image whose labels are proposed is SUGGESTED. Importing it again without ``reviewed=false`` confirms it, with the labels
of that import instead of the proposed ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from boxwright import states
from boxwright.metadata import datasets


def as_proposal(image: Mapping[str, Any]) -> dict[str, Any]:
    """An image of an import as a proposal; one of which nothing is said stays one of which nothing is known."""
    if image["state"] == states.ExampleState.UNLABELED:
        return dict(image)
    return {**image, "state": states.ExampleState.SUGGESTED}


def kept(images: Sequence[Mapping[str, Any]], known: Mapping[str, datasets.KnownExample]) -> Iterator[str]:
    """Yields what is told of images, about to be merged, whose labels a person has given: proposals do not change them.

    Args:
        images: see `datasets.merge`; with place.
        known: what the dataset had, by content.
    """
    for image in images:
        had = known.get(image["sha256"])
        if (
            had is not None
            and had.state == states.ExampleState.LABELED
            and image["state"] == states.ExampleState.SUGGESTED
        ):
            yield f"{image['place']}: {image['uri']} is labelled in the dataset already, which stays as it is."
