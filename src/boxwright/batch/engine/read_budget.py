"""ReadBudget: how many images, and how many of their bytes, may be in memory before they are predicted."""

from __future__ import annotations

import threading


class ReadBudget:
    """A budget of images and bytes that readers draw from and predictors give back to.

    An image's size is known only when it has been read, so a reader reserves as much as the largest image so far had; before
    there is one, as much as an image may have. An image that is larger than all before it can push the bytes over the limit,
    by its own size at most; nothing more is then admitted until they are below it again.

    Args:
        max_images: admitted and not given back.
        max_bytes: likewise; a single image is always admitted.
        largest_bytes: what an image may have.
    """

    def __init__(self, max_images: int, max_bytes: int, largest_bytes: int) -> None:
        self._max_images = max_images
        self._max_bytes = max_bytes
        self._may_have_bytes = largest_bytes
        self._largest_bytes = 0  # that has been seen
        self._changed = threading.Condition()
        self._closed = False
        self.images = 0
        self.bytes = 0

    def widen(self, images: int) -> None:
        """Admits more images from now on, within the same bytes."""
        with self._changed:
            self._max_images += images
            self._changed.notify_all()

    def enter(self) -> int | None:
        """Waits for room for one more image; returns the bytes that are reserved for it, None once closed."""
        with self._changed:
            self._changed.wait_for(self._has_room_or_ends)
            if self._closed:
                return None
            reserved = self._expected_bytes()
            self.images += 1
            self.bytes += reserved
            return reserved

    def settle(self, reserved: int, size_bytes: int) -> None:
        """Replaces a reservation by the image's size."""
        with self._changed:
            self._largest_bytes = max(self._largest_bytes, size_bytes)
            self.bytes += size_bytes - reserved
            if size_bytes < reserved:
                self._changed.notify()

    def leave(self, held_bytes: int) -> None:
        """Gives back an image and the bytes that it held."""
        with self._changed:
            self.images -= 1
            self.bytes -= held_bytes
            self._changed.notify()

    def close(self) -> None:
        """Admits no more; waiting threads return."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _expected_bytes(self) -> int:
        return self._largest_bytes or self._may_have_bytes

    def _has_room_or_ends(self) -> bool:
        if self._closed or self.images == 0:
            return True
        return self.images < self._max_images and self.bytes + self._expected_bytes() <= self._max_bytes
