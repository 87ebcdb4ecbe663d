"""What the engine asks of a base: the results of a segment's images by their versions, or of one image by its bytes.

Level 1 reads no byte: the address, the version and the size are what they were. Level 2 takes the bytes that were read. A
share of the images, chosen by their addresses, is predicted all the same, and must have the results that it had.
"""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Sequence

from boxwright import errors, objects
from boxwright.batch.job import BatchJob, BatchSpec
from boxwright.batch.output import candidates
from boxwright.batch.output.candidates import ImageCandidates
from boxwright.batch.reuse import base_index
from boxwright.batch.reuse.base_index import BaseIndex
from boxwright.batch.reuse.versions import Versions
from boxwright.batch.segments import Item

_AUDIT_BYTES = 8


class FormerResults:
    """The results of a base. `of_segment` is for one thread at a time, the rest for any number.

    Args:
        spec: of the present job.
        index: of the base.
        stores: where the images are.
    """

    def __init__(self, spec: BatchSpec, index: BaseIndex, stores: objects.Stores) -> None:
        self._spec = spec
        self._index = index
        self.versions = Versions(stores.named())

    @classmethod
    def left_by_leader(cls, job: BatchJob, stores: objects.Stores) -> FormerResults | None:
        """The results whose index the leading process has made in the job's notes; None if it has made none."""
        path = pathlib.Path(job.folders.notes, base_index.FILE)
        if not (job.spec.base and job.folders.notes and path.is_file()):
            return None
        return cls(job.spec, BaseIndex(path, stores.named()), stores)

    def of_segment(self, items: Sequence[Item]) -> list[ImageCandidates | None]:
        """Level 1: the results of each image that is what it was; None for one that has to be read."""
        known = {}
        for item in items:
            if item.failure is None and item.held is None and not self.is_audited(item.id):
                image = self._index.by_id(item.id)
                if image is not None and image.version.version:
                    known[item.id] = image
        now = self.versions.of(list(known))
        return [
            self._index.row(image.file, image.place)
            if (image := known.get(item.id)) is not None and now.get(item.id) == image.version
            else None
            for item in items
        ]

    def of_image(self, image_id: str, content: bytes, version: str) -> ImageCandidates | None:
        """Level 2: the results of an image that was read, with its version now.

        Of an audited image, these are the results that it must have again: if its version and size are what they were, those
        of its address, whatever its bytes are.
        """
        row = None
        image = self._index.by_id(image_id) if version and self.is_audited(image_id) else None
        if image is not None and image.version == objects.ObjectVersion(len(content), version):
            row = self._index.row(image.file, image.place)
        if row is None:
            sha256 = hashlib.sha256(content).digest()[: candidates.SHA256_BYTES]
            row = self._index.by_content(sha256, len(content))
        return None if row is None else row._replace(version=version)

    def is_audited(self, image_id: str) -> bool:
        """Whether an image is predicted although its results are known; the same images each time for one base."""
        text = f"{self._index.sha256} {image_id}".encode("utf-8", "replace")
        drawn = int.from_bytes(hashlib.blake2b(text, digest_size=_AUDIT_BYTES).digest(), "big")
        return drawn < self._spec.reuse_audit * 2 ** (8 * _AUDIT_BYTES)

    def check(self, image_id: str, former: ImageCandidates, now: ImageCandidates) -> None:
        """Compares the results of an audited image with those that it had.

        Raises:
            ApiError: ABORTED: they differ.
        """
        if now == former:
            return
        what = (
            "its bytes changed and its time of change did not"
            if now.sha256 != former.sha256
            else ("the model finds something else in the same bytes now")
        )
        raise errors.aborted(
            f"{image_id}: the results of {self._spec.base} cannot be taken over: {what}. Policy digest "
            f"{self._spec.policy_digest}. Predict the images again, without params.reuse."
        )

    def close(self) -> None:
        """Frees what is held."""
        self.versions.close()
        self._index.close()
