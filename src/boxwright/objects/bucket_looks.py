"""Looks at buckets and folders: whether they are there, answer, and can be written to."""

from __future__ import annotations

import obstore
from google.rpc import code_pb2

from boxwright import errors
from boxwright.objects import store_errors
from boxwright.objects.grants import LIST, WRITE
from boxwright.objects.store_calls import StoreCalls
from boxwright.objects.uris import ObjectUri


class BucketLooks(StoreCalls):
    """The part of `Stores` that looks before something is done."""

    def check_bucket(self, uri: ObjectUri) -> None:
        """Raises NOT_FOUND unless the URI's bucket exists, for a folder that is to be written."""
        backend = self._backend(uri, WRITE, is_folder=True)
        with store_errors.translated(uri):
            self._patiently(backend, uri, lambda: backend.check_bucket(uri))

    def answers(self, uri: ObjectUri) -> bool:
        """Whether the bucket of a URI can be reached at all, whatever it says and whatever these stores are limited to.

        That it is called too often is an answer, too.
        """
        bucket = ObjectUri(uri.scheme, uri.bucket, "")
        backend = self._served(bucket)
        pace = backend.pace(bucket)
        if pace is not None and pace.has_throttled_lately:
            return True

        def look() -> None:
            try:
                backend.check_bucket(bucket)
            except Exception as error:
                if not store_errors.is_throttled(error):
                    raise

        try:
            with store_errors.translated(bucket):
                self._patiently(backend, bucket, look, is_paced=False)
        except errors.ApiError as error:
            return error.code != code_pb2.UNAVAILABLE
        return True

    def check_destination(self, uri: ObjectUri) -> None:
        """Raises unless files can be made below a prefix, as far as can be told without making one.

        Raises:
            ApiError: NOT_FOUND without the bucket; FAILED_PRECONDITION if a part of the path is an object;
                PERMISSION_DENIED.
        """
        backend = self._backend(uri, WRITE, is_folder=True)
        with store_errors.translated(uri):
            self._patiently(backend, uri, lambda: backend.check_destination(uri))

    def holds_anything(self, prefix: ObjectUri) -> bool:
        """Whether there is any object below a prefix folder."""
        backend = self._backend(prefix, LIST, is_folder=True)

        def look() -> bool:
            place = backend.place(prefix)
            found = obstore.list(place.store, prefix=place.key.rstrip("/"), chunk_size=1)
            return any(len(batch) for batch in found)

        with store_errors.translated(prefix):
            return self._patiently(backend, prefix, look)
