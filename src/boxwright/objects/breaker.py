"""The breaker: a store that is down is waited for once, not once for every object.

One object that cannot be read is that object's trouble as long as its bucket answers otherwise. A bucket that answers
nothing, or whose objects fail one after another, is lost, and everybody who reads from it learns so at once.
"""

from __future__ import annotations

import threading

from google.rpc import code_pb2

from boxwright import errors
from boxwright.objects import missing
from boxwright.objects.store_errors import ObjectNotFound
from boxwright.objects.stores import Stores
from boxwright.objects.uris import ObjectUri

FAILURES_IN_A_ROW = 8  # a bucket may answer to lists and yet give out no object


class StoreLost(Exception):
    """A store cannot be reached, and the work as a whole should not go on without.

    Attributes:
        error: UNAVAILABLE, for the whole of the work.
    """

    def __init__(self, error: errors.ApiError) -> None:
        super().__init__(error.message)
        self.error = error


class Breaker:
    """Reads objects of callers. Safe for several threads.

    Args:
        stores: where the objects are.
    """

    def __init__(self, stores: Stores) -> None:
        self._stores = stores.named()
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._successes: dict[tuple[str, str], int] = {}
        self._failures: dict[tuple[str, str], int] = {}
        self._lost: dict[tuple[str, str], errors.ApiError] = {}

    def get(self, uri: ObjectUri, *, max_bytes: int) -> bytes:
        """Reads a whole object; see `get_with_version`."""
        return self.get_with_version(uri, max_bytes=max_bytes)[0]

    def get_with_version(self, uri: ObjectUri, *, max_bytes: int) -> tuple[bytes, str]:
        """Reads a whole object; returns (its bytes, its version).

        Raises:
            ApiError: as `Stores.get` does; UNAVAILABLE only while the rest of the bucket answers; NOT_FOUND names an
                object of another spelling that is there.
            StoreLost: the bucket is down.
        """
        self._stores.check_readable(uri)  # first: a refusal of ours is no answer of the bucket
        bucket = (uri.scheme, uri.bucket)
        self._raise_if_lost(bucket)
        with self._lock:
            seen = self._successes.get(bucket, 0)
        try:
            found = self._stores.get_with_version(uri, max_bytes=max_bytes)
        except ObjectNotFound as error:
            self._note_answer(bucket)
            raise missing.explained(self._stores, uri, error) from error
        except errors.ApiError as error:
            if error.code != code_pb2.UNAVAILABLE:
                self._note_answer(bucket)
                raise
            self._judge(uri, error, seen)
            raise
        self._note_answer(bucket)
        return found

    def _note_answer(self, bucket: tuple[str, str]) -> None:
        with self._lock:
            self._successes[bucket] = self._successes.get(bucket, 0) + 1
            self._failures[bucket] = 0

    def _judge(self, uri: ObjectUri, error: errors.ApiError, seen: int) -> None:
        """Raises StoreLost if nothing of the bucket answers, or too many of its objects failed in a row."""
        bucket = (uri.scheme, uri.bucket)
        with self._looking:  # one thread looks; the others then know
            self._raise_if_lost(bucket)
            with self._lock:
                if self._successes.get(bucket, 0) > seen:
                    return
                self._failures[bucket] = self._failures.get(bucket, 0) + 1
                too_many = self._failures[bucket] >= FAILURES_IN_A_ROW
            if too_many or not self._stores.answers(uri):
                self._lost[bucket] = errors.unavailable(
                    f"{uri.scheme}://{uri.bucket} cannot be read now, so this work was given up; what is finished stays. "
                    f"The last: {error.message}"
                )
                raise StoreLost(self._lost[bucket]) from error

    def _raise_if_lost(self, bucket: tuple[str, str]) -> None:
        if (error := self._lost.get(bucket)) is not None:
            raise StoreLost(error)
