"""Images that were imported, read again: the bytes must be those that were imported."""

from __future__ import annotations

import hashlib
import json
import pathlib
from collections.abc import Mapping

from boxwright import errors
from boxwright.objects.stores import Stores
from boxwright.objects.uris import ObjectUri


class ImportedImages:
    """Reads images of a dataset, and none that somebody has replaced since.

    Args:
        stores: where they are.
        digests: by their addresses, the SHA-256 that was found when they were imported, hexadecimal.
    """

    def __init__(self, stores: Stores, digests: Mapping[str, str]) -> None:
        self._stores = stores
        self._digests = digests

    @classmethod
    def of_examples(cls, stores: Stores, path: pathlib.Path) -> ImportedImages:
        """For the images of a job, JSON lines with ``uri`` and ``sha256``; lines that are none are left to their reader."""
        digests = {}
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                try:
                    row = json.loads(line)
                    digests[row["uri"]] = row["sha256"]
                except (ValueError, KeyError, TypeError):
                    continue
        return cls(stores, digests)

    def get(self, uri: str) -> bytes:
        """Reads an image.

        Raises:
            ApiError: as `Stores.get`; FAILED_PRECONDITION if its bytes are other ones than those that were imported.
        """
        data = self._stores.get(ObjectUri.parse(uri))
        imported = self._digests.get(uri)
        if imported is not None and hashlib.sha256(data).hexdigest() != imported:
            raise errors.failed_precondition(
                "its bytes are not those that were imported (SHA-256). Put the imported file back, or import this one."
            )
        return data
