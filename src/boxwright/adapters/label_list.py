"""The labels of a network: from the caller's list, or from what the exporter has written into the file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from boxwright.adapters.source import Refused, literal

MAX_LABELS = 5_000
MAX_LABEL_CHARS = 128
BACKGROUND = "background"  # with it in the list, every label would be the one before it
NAMES_KEY = "names"  # in the metadata that Ultralytics' exporters write: a mapping from class to name


def of_metadata(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The labels that the file says, in the order of its classes; none if it does not say them.

    Raises:
        Refused: it says something else than names of the classes 0, 1, ….
    """
    found = literal(metadata[NAMES_KEY]) if NAMES_KEY in metadata else None
    if isinstance(found, dict):
        if set(found) != set(range(len(found))):
            raise Refused("The file's own names of its classes are not numbered from 0. Send the labels as a list.")
        return tuple(str(found[number]) for number in range(len(found)))
    if isinstance(found, list | tuple):
        return tuple(str(one) for one in found)
    return ()


def checked(labels: Sequence[str]) -> tuple[str, ...]:
    """The labels as they are.

    Raises:
        Refused: there is none, one is no label, or two are the same.
    """
    if not labels:
        raise Refused(
            "The file does not say the names of its classes. Send them: a file with one name a line in the order of the "
            "classes as a second input, or the parameter labels."
        )
    if len(labels) > MAX_LABELS:
        raise Refused(f"There are {len(labels)} labels; at most {MAX_LABELS} are taken.")
    if labels[0].strip("_").lower() == BACKGROUND:
        raise Refused(
            f"The first label is '{labels[0]}'. Leave it out: labels are what can be found, and layouts with a class for "
            "the background know that it is not one of them."
        )
    seen: set[str] = set()
    for number, label in enumerate(labels):
        if not label.strip() or len(label) > MAX_LABEL_CHARS or not label.isprintable():
            raise Refused(f"Label {number + 1}: a label is printable text of 1 to {MAX_LABEL_CHARS} characters.")
        if label in seen:
            raise Refused(f"Label {number + 1}, '{label}', is there twice. Give every class a name of its own.")
        seen.add(label)
    return tuple(labels)


def with_ids(labels: Sequence[str], model_id: str) -> list[dict[str, str]]:
    """Labels as model.json has them; the ids are digits that depend on the model and the label alone."""
    return [{"display_name": label, "annotation_spec_id": digits_of(f"{model_id}/{label}")} for label in labels]


def digits_of(text: str) -> str:
    """Nineteen decimal digits that never start with 0, the same for the same text."""
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")
    return str(10**18 + number % (8 * 10**18))
