"""Imports of folders: the names below them are frozen in pages, and page by page the images become examples.

No label is at stake, so images are imported as they come, whatever becomes of others. A note says which pages are done; an
attempt goes on behind them. What it does again changes nothing.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from google.rpc import code_pb2, status_pb2

from boxwright import errors, faults, objects, states
from boxwright.batch.entry import Entry
from boxwright.batch.inputs import addresses, image_names
from boxwright.batch.inputs.frozen_names import FrozenNames

ADVICE = "Name a folder of images, or a pattern such as gs://BUCKET/FOLDER/*.jpg."


@dataclasses.dataclass
class FolderCounts:
    """What has become of the names of the pages that are done; JSON in, JSON out.

    Attributes:
        pages: how many are done, of all addresses.
        images: names that were worked on.
        added: images that are new in the dataset; of a page that is done again, those that the former attempt has added
            count as there already.
        failed: images that could not be imported.
        failures: code and sentence of the first of these.
    """

    pages: int = 0
    images: int = 0
    added: int = 0
    failed: int = 0
    failures: list[tuple[int, str]] = dataclasses.field(default_factory=list)

    def fail(self, place: str, reason: str, *, rows: int = 1, code: int = code_pb2.INVALID_ARGUMENT) -> None:
        """Counts an image that cannot be imported; `reason` names it."""
        self.failed += 1
        if len(self.failures) < errors.MAX_PARTIAL_FAILURES:
            self.failures.append((code, reason))

    def note_added(self, count: int) -> None:
        """Counts images that are new in the dataset."""
        self.added += count


def stage(page: Sequence[Entry], staging: sqlite3.Connection, counts: FolderCounts) -> None:
    """Writes the names of a page to the table `images`; those that cannot be addresses are counted as failed."""
    staging.execute("BEGIN")
    for entry in page:
        if entry.failure:
            counts.fail(entry.place, f"{entry.place}: {entry.failure}")
            continue
        staging.execute(
            "INSERT OR IGNORE INTO images (uri, ml_use, place, rows) VALUES (?, ?, ?, 1)",
            (entry.text, states.MlUse.UNASSIGNED.value, entry.place),
        )
    staging.execute("COMMIT")


class ImportedFolders:
    """The folders of one import, and how far it is.

    Args:
        stores: limited to what the caller may read.
        plan: the operation's folder in the service's own state.
        texts: the addresses of the request.

    Attributes:
        counts: of the pages that are done, and of the page that is being worked on.
    """

    def __init__(self, stores: objects.Stores, plan: objects.ObjectUri, texts: Sequence[str]) -> None:
        self._stores = stores
        self._note = plan.child("imported.json")
        self._folders = [
            (address.text, FrozenNames(stores, plan, number, address, suffixes=(), output=None, advice=ADVICE))
            for number, address in enumerate(addresses.parse_all(texts, stores.schemes), 1)
        ]
        self.counts = FolderCounts()

    def open(self) -> None:
        """Lists what no earlier attempt has listed, and reads how far they have come.

        Raises:
            ApiError: from a store; NOT_FOUND: there is no image below one of the folders.
        """
        for _, names in self._folders:
            names.freeze()
        try:
            self.counts = FolderCounts(**json.loads(self._stores.get(self._note)))
        except objects.ObjectNotFound:
            return

    @property
    def total(self) -> int:
        """How many images there are."""
        return sum(names.count for _, names in self._folders)

    @property
    def left_out(self) -> collections.Counter[str]:
        """How many names were left out as no images, see `ImageNames`."""
        return sum((names.left_out for _, names in self._folders), collections.Counter())

    @property
    def told(self) -> list[status_pb2.Status]:
        """What is told of names that are no images, by folder, and of the first images that failed."""
        told = [
            f"{text}: left out, as their names are none of images: {image_names.in_words(names.left_out)}"
            for text, names in self._folders
            if names.left_out
        ]
        failures = [(code_pb2.INVALID_ARGUMENT, text) for text in told] + self.counts.failures
        return [status_pb2.Status(code=code, message=text) for code, text in failures[: errors.MAX_PARTIAL_FAILURES]]

    def pages(self) -> Iterator[list[Entry]]:
        """Yields the pages that are not done; when the next one is asked for, the one before is noted as done."""
        every = ((names, number) for _, names in self._folders for number in range(1, names.pages + 1))
        for index, (names, number) in enumerate(every, 1):
            if index <= self.counts.pages:
                continue
            found = names.page(number)
            self.counts.images += len(found)
            if found:
                yield found
            self.counts.pages = index
            if not found:
                continue
            faults.point("import.before_note")
            self._stores.put(self._note, json.dumps(dataclasses.asdict(self.counts)).encode())

    def progress(self, done_in_page: float = 1.0, page_images: int = 0) -> dict[str, Any]:
        """The numbers of the operation.

        Args:
            done_in_page: share of the present page that was looked at, 0 to 1.
            page_images: of the present page.
        """
        return {
            "done": self.counts.images - round((1 - done_in_page) * page_images),
            "added": self.counts.added,
            "failed": self.counts.failed,
            "total": self.total,
            "total_is_exact": True,
            "left_out": dict(sorted(self.left_out.items())),
        }

    def percent(self, done_in_page: float, page_images: int) -> int:
        """How far the operation is, 0 to 99."""
        return min(99, int(100 * self.progress(done_in_page, page_images)["done"] / self.total))

    def judge(self) -> None:
        """Raises INVALID_ARGUMENT if no image could be imported."""
        if self.counts.failed == self.counts.images:
            raise errors.bad_request(
                f"None of the {self.counts.images} images could be imported. The first: {self.counts.failures[0][1]}"
            )
