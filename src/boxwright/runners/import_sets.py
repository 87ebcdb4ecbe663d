"""Images that rows, or the dataset, put into different sets: one set stays, and the others are told.

An image is one image by its content. Of the sets that its rows name the first stays; UNASSIGNED names none. An image of the
dataset keeps its set: an import only adds. The boxes of all rows are kept whatever set they name.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from google.rpc import code_pb2, status_pb2

from boxwright import errors, states
from boxwright.metadata import datasets

_UNASSIGNED = states.MlUse.UNASSIGNED.value


class Conflicts:
    """The conflicts of one import, the first twenty in words."""

    def __init__(self) -> None:
        self.count = 0
        self.told: list[status_pb2.Status] = []

    def tell(self, place: str, uri: str, ml_use: str, stays: str, why: str) -> None:
        """Notes one: the row at `place` asks for `ml_use`, and the image stays in `stays`."""
        self.tell_text(f"{place}: {uri} is {ml_use} here and {why}; an image has one set, and {stays} stays.")

    def tell_text(self, text: str) -> None:
        """Notes one in words of its own."""
        self.count += 1
        if len(self.told) < errors.MAX_PARTIAL_FAILURES:
            self.told.append(status_pb2.Status(code=code_pb2.ALREADY_EXISTS, message=text))

    def of_row(self, staging: sqlite3.Connection, image_id: int, uri: str, ml_use: str, place: str) -> None:
        """Compares a row with the first row of the same path, which takes its set if that has none; tells each set once."""
        if ml_use == _UNASSIGNED:
            return
        first, told, first_place = staging.execute(
            "SELECT ml_use, told, COALESCE(set_place, place) FROM images WHERE id = ?", (image_id,)
        ).fetchone()
        if first == _UNASSIGNED:
            staging.execute("UPDATE images SET ml_use = ?, set_place = ? WHERE id = ?", (ml_use, place, image_id))
        elif first != ml_use and ml_use not in told.split():
            self.tell(place, uri, ml_use, first, f"{first} in {first_place}")
            staging.execute("UPDATE images SET told = told || ' ' || ? WHERE id = ?", (ml_use, image_id))

    def of_copies(self, staging: sqlite3.Connection) -> None:
        """Compares the paths that have the same content: the first, in order of the rows, takes the first set named."""
        for sha256 in copied(staging):
            copies = staging.execute(
                "SELECT id, uri, ml_use, COALESCE(set_place, place) FROM images WHERE sha256 = ? ORDER BY id", (sha256,)
            ).fetchall()
            named = [copy for copy in copies if copy[2] != _UNASSIGNED]
            if not named:
                continue
            _, first_uri, stays, first_place = named[0]
            for _, uri, ml_use, place in named[1:]:
                if ml_use != stays:
                    self.tell(place, uri, ml_use, stays, f"has the content of {first_uri}, {stays} in {first_place}")
            staging.execute("UPDATE images SET ml_use = ? WHERE id = ?", (stays, copies[0][0]))

    def of_dataset(self, images: Sequence[Mapping[str, Any]], known: Mapping[str, datasets.KnownExample]) -> None:
        """Compares images that are about to be merged with those that the dataset had.

        Args:
            images: dicts with sha256, uri, ml_use, set_place and is_copy, whether an earlier one has the same content.
            known: the dataset's images by content.
        """
        for image in images:
            had = known.get(image["sha256"])
            if had is None or image["is_copy"] or image["ml_use"] in (_UNASSIGNED, had.ml_use):
                continue
            known_as = "" if had.uri == image["uri"] else f", as {had.uri}"
            why = f"{had.ml_use} in the dataset already{known_as}"
            self.tell(image["set_place"], image["uri"], image["ml_use"], had.ml_use, why)


def copied(staging: sqlite3.Connection) -> Iterator[str]:
    """Yields each content that several paths have, in order, one query at a time so that rows may be changed meanwhile."""
    last = ""
    while row := staging.execute(
        "SELECT sha256 FROM images WHERE sha256 > ? GROUP BY sha256 HAVING count(*) > 1 ORDER BY sha256 LIMIT 1",
        (last,),
    ).fetchone():
        last = row[0]
        yield last
