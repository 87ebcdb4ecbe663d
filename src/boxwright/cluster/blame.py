"""Which image of a shard takes hosts down with it: each is tried alone, and who ends two hosts is left out.

Convictions are the job's: they are put once into its scratch, so that every attempt, led from whatever machine, leaves the
same images out with the same words.
"""

from __future__ import annotations

import collections
import hashlib
import json
import logging
from collections.abc import Sequence

from google.rpc import status_pb2

from boxwright import objects
from boxwright.batch.engine import convictions

FOLDER = "convicted"
TRIALS = 2  # of one image; one loss proves nothing: a machine may have gone

log = logging.getLogger(__name__)


class JobConvictions:
    """The convicted images of one job.

    Args:
        stores: where its scratch is.
        scratch: the job's.
    """

    def __init__(self, stores: objects.Stores, scratch: objects.ObjectUri) -> None:
        self._stores = stores
        self._folder = scratch.child(FOLDER)
        self._known: dict[str, tuple[int, str]] = {}
        for info in stores.list(self._folder):
            self._note(stores.get(info.uri))

    def among(self, image_ids: Sequence[str]) -> dict[str, tuple[int, str]]:
        """Code and message of those images that are convicted."""
        return {image_id: self._known[image_id] for image_id in image_ids if image_id in self._known}

    def add(self, image_id: str, status: status_pb2.Status) -> None:
        """Convicts an image; the first conviction holds."""
        name = hashlib.sha256(image_id.encode()).hexdigest()
        uri = self._folder.child(f"{name}.json")
        content = json.dumps([image_id, status.code, status.message]).encode()
        self._note(content if self._stores.put_once(uri, content) else self._stores.get(uri))
        log.warning("event=image_convicted image=%s reason=%s", image_id, status.message)

    def _note(self, content: bytes) -> None:
        image_id, code, text = json.loads(content)
        self._known[image_id] = int(code), str(text)


class Suspicion:
    """A shard that has taken hosts down with it: its images are to be tried alone, one after the other.

    Args:
        image_ids: those that may be to blame.
        timeout_s: of one image.
    """

    def __init__(self, image_ids: Sequence[str], timeout_s: float) -> None:
        self._left = collections.deque(image_ids)
        self._timeout_s = timeout_s
        self._losses: collections.Counter[str] = collections.Counter()
        self.has_convicted = False

    def next_image(self) -> str | None:
        """The image to try next; None if all were tried."""
        return self._left[0] if self._left else None

    def note_harmless(self) -> None:
        """The image did no harm."""
        self._left.popleft()

    def note_loss(self, after_s: float, verdicts: JobConvictions) -> None:
        """A host was lost while the image was tried, after so many seconds."""
        image_id = self._left[0]
        self._losses[image_id] += 1
        if self._losses[image_id] < TRIALS:
            return
        is_hung = after_s >= self._timeout_s
        verdicts.add(
            image_id, convictions.hung(image_id, self._timeout_s) if is_hung else convictions.crashed(image_id)
        )
        self.has_convicted = True
        self._left.popleft()
