"""What stays of candidates that were deleted: a file that says which and when, written before the first of them goes.

The manifest is not rewritten: it still names the candidates with their digests. ``candidates-deleted.json`` names the
manifest by its digest, so that it excuses nothing in another folder or after another job.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from typing import Self

from boxwright import errors, objects

TOMBSTONE_FILE = "candidates-deleted.json"
FORMAT_VERSION = 1
MAX_BYTES = 200_000_000  # names of a million files


@dataclasses.dataclass(frozen=True)
class Tombstone:
    """What ``candidates-deleted.json`` says.

    Attributes:
        manifest_sha256: of the manifest that names the files, hexadecimal.
        delete_time: when their deletion began, RFC 3339.
        files: their names in the output folder.
    """

    manifest_sha256: str
    delete_time: str
    files: Sequence[str]

    def to_json(self) -> bytes:
        """The file's bytes."""
        document = {"format_version": FORMAT_VERSION, **dataclasses.asdict(self)}
        return json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n"

    @classmethod
    def from_json(cls, content: bytes) -> Self:
        """Parses the file. Raises ApiError INVALID_ARGUMENT if it is none of a version that this program reads."""
        try:
            document = json.loads(content)
            found = cls(*(document[field.name] for field in dataclasses.fields(cls)))
            texts = [found.manifest_sha256, found.delete_time, *found.files]
            if document["format_version"] != FORMAT_VERSION or not all(isinstance(text, str) for text in texts):
                raise ValueError("another format")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise errors.bad_request(
                f"{TOMBSTONE_FILE} does not say which candidates were deleted: {error}."
            ) from error
        return found


def read(stores: objects.Stores, folder: objects.ObjectUri, manifest: bytes) -> Tombstone | None:
    """What is said of a folder's candidates; None if nothing is.

    Args:
        stores: that have the folder.
        folder: the output folder.
        manifest: the bytes of its manifest.

    Raises:
        ApiError: INVALID_ARGUMENT: the file cannot be understood, or is about another manifest.
    """
    try:
        found = Tombstone.from_json(stores.get(folder.child(TOMBSTONE_FILE), max_bytes=MAX_BYTES))
    except objects.ObjectNotFound:
        return None
    if found.manifest_sha256 != hashlib.sha256(manifest).hexdigest():
        raise errors.bad_request(f"{TOMBSTONE_FILE} is about another manifest.")
    return found
