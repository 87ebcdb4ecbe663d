"""What work may use of the stores, and what it says of its use: the half of `Stores` that looks at no store."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from boxwright.objects.bucket_uses import NoteUse
from boxwright.objects.grants import LIST, READ, WRITE, Limits
from boxwright.objects.uris import ObjectUri


class LimitedUse:
    """Limits and a listener, and what both make of a call; see `Stores.limited_to` and `Stores.observed`."""

    _limits: Limits | None
    _note_use: NoteUse | None
    _state_base: ObjectUri

    def check_request(self, lists: Iterable[ObjectUri] = (), output: ObjectUri | None = None) -> None:
        """Judges what a request names by the limits alone, without a look at any store.

        Args:
            lists: objects that are to be read, and folders whose objects are to be listed and read.
            output: folder below which files are to be written.

        Raises:
            ApiError: PERMISSION_DENIED.
        """
        if self._limits is not None:
            limits = self._limits.named()
            for uri in lists:
                limits.check(uri, READ if uri.names_object else LIST)
            if output is not None:
                limits.check(output.folder, WRITE)

    def check_readable(self, uri: ObjectUri) -> None:
        """Raises PERMISSION_DENIED if these stores are limited, and the object is not among what may be read."""
        if self._limits is not None:
            self._check(uri, READ)  # by its name; when it is read, what the name leads to is judged too

    @property
    def notes_each(self) -> bool:
        """Whether `note_readable` wants every object, and not only one of each bucket."""
        return self._note_use is not None and self._limits is not None

    def note_readable(self, uri: ObjectUri) -> None:
        """Says that an object is to be read, by somebody else, and whether it may be; raises nothing."""
        if self._note_use is not None:
            is_allowed = self._limits is None or self._limits.grants.allows(uri, READ)
            self._note_use(uri, READ, is_allowed)

    def _check(self, uri: ObjectUri, permission: str, *resolved: Callable[[ObjectUri], ObjectUri]) -> None:
        """Judges a call by the limits, and says that it is made."""
        is_allowed = False
        try:
            if self._limits is not None:
                self._limits.check(uri, permission, *resolved)
            is_allowed = True
        finally:
            if self._note_use is not None and not str(uri).startswith(str(self._state_base)):
                self._note_use(uri, permission, is_allowed)
