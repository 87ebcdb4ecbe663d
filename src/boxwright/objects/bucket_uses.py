"""Which buckets work uses: each is told once, when it is used first."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable

from boxwright.objects.uris import STATE, ObjectUri

MAX_USES = 100  # told of one piece of work: a list may name a bucket in every row

NoteUse = Callable[[ObjectUri, str, bool], None]  # an object or folder, one of `grants.PERMISSIONS`, whether it may be


@dataclasses.dataclass(frozen=True)
class BucketUse:
    """A bucket that work uses.

    Attributes:
        bucket: its address.
        permission: what is done with its objects, one of `grants.PERMISSIONS`.
        is_allowed: whether that may be done with the first object; each answer is a use of its own.
    """

    bucket: str
    permission: str
    is_allowed: bool


class BucketUses:
    """The buckets that a piece of work has used; for several threads.

    Args:
        tell: hears of each use that is new.
    """

    def __init__(self, tell: Callable[[BucketUse], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._known: set[tuple[str, str, str, bool]] = set()

    def note(self, uri: ObjectUri, permission: str, is_allowed: bool) -> None:
        """Tells of a use if it is new; a `NoteUse`."""
        key = (uri.scheme, uri.bucket, permission, is_allowed)
        if key in self._known or uri.scheme == STATE:
            return
        with self._lock:
            if key in self._known or len(self._known) >= MAX_USES:
                return
            self._known.add(key)
        self._tell(BucketUse(f"{uri.scheme}://{uri.bucket}/", permission, is_allowed))
