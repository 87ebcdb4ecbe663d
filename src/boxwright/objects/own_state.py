"""The service's own state: a folder of this machine, or a folder in a bucket."""

from __future__ import annotations

import obstore

from boxwright.objects import store_errors
from boxwright.objects.folders import BucketFolders
from boxwright.objects.grants import LIST, WRITE
from boxwright.objects.store_calls import StoreCalls
from boxwright.objects.uris import STATE, ObjectUri


class OwnState(StoreCalls):
    """The part of `Stores` that knows the service's own state."""

    _state: BucketFolders
    _state_base: ObjectUri

    def state(self, key: str) -> ObjectUri:
        """Returns the URI of an object in the service's own state."""
        return self._state_base.child(key)

    @property
    def keeps_state_remotely(self) -> bool:
        """Whether the service's own state is in a bucket rather than in a folder of this machine."""
        return self._state_base.scheme != STATE

    def state_folders(self, key: str) -> list[str]:
        """Names of the folders directly below a folder of the service's own state."""
        uri = self.state(key)
        if uri.scheme == STATE:
            folder = self._state.path(uri)
            return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
        backend = self._backend(uri, LIST)

        def look() -> list[str]:
            place = backend.long_place(uri)
            return list(obstore.list_with_delimiter(place.store, place.key)["common_prefixes"])

        with store_errors.translated(uri):
            found = self._patiently(backend, uri, look)
        return sorted(prefix.rstrip("/").rpartition("/")[2] for prefix in found)

    def delete_prefix(self, uri: ObjectUri) -> None:
        """Deletes every object below a prefix of the service's own state."""
        if not str(uri).startswith(f"{str(self._state_base).rstrip('/')}/"):
            raise ValueError(f"only the service's own state is ever deleted, not {uri}")
        self.delete_below(uri)

    def delete_below(self, folder: ObjectUri) -> None:
        """Deletes every object below a folder that this service has made itself, see `deletion`; none is fine."""
        backend = self._backend(folder, WRITE, is_folder=True)
        with store_errors.translated(folder):
            self._patiently(
                backend, folder, lambda: backend.delete_below(folder)
            )  # what is deleted is not listed again
