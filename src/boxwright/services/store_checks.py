"""A first look at the stores during a call: is the list there, is it a list, is there room for the results.

Work that must fail should fail at once, not behind other jobs. A look never holds a call for long (the setting
`storage_look_s`): what it has not learnt by then, or what the store did not want to say, the work finds out. What it does
learn is what the work would find. Buckets that did not answer in time are not asked again for a while.
"""

from __future__ import annotations

import collections
import logging
import threading
import time
from collections.abc import Callable, Sequence

from google.rpc import code_pb2

from boxwright import errors, file_kinds, objects, rows
from boxwright.batch.inputs import sources
from boxwright.batch.inputs.addresses import InputAddress, Meaning
from boxwright.batch.job import is_manifest
from boxwright.callers import Caller

LEFT_ALONE_S = 30.0  # a bucket that was too slow
MAX_LISTS = 32  # of one request that are looked at
MAX_THREADS = 16  # of all requests, those that wait for a store that hangs included
THREADS = 4  # of one request
_PASSING = (code_pb2.UNAVAILABLE, code_pb2.DEADLINE_EXCEEDED, code_pb2.ABORTED, code_pb2.RESOURCE_EXHAUSTED)

log = logging.getLogger(__name__)
_Look = Callable[[], None]
CallerGrants = Callable[[Caller], objects.Grants | None]


class StoreChecks:
    """Looks at the objects that requests name.

    Args:
        stores: where they are.
        look_s: the longest that one call is held, in seconds; 0 for no looks.
        grants_of: what a caller may read and write, None for everything.
    """

    def __init__(self, stores: objects.Stores, look_s: float, grants_of: CallerGrants = lambda caller: None) -> None:
        self._stores = stores.hasty(look_s)
        self._grants_of = grants_of
        self._look_s = look_s
        self._threads = threading.BoundedSemaphore(MAX_THREADS)
        self._lock = threading.Lock()
        self._left_alone_until_s: dict[tuple[str, str], float] = {}

    def check(
        self,
        caller: Caller,
        lists: Sequence[objects.ObjectUri] = (),
        output: objects.ObjectUri | None = None,
        *,
        project: str,
    ) -> objects.Stores:
        """Judges what a request names by the caller's grants, without a look at any store.

        Returns:
            The stores for what the caller names, with the credentials of the project.

        Raises:
            ApiError: PERMISSION_DENIED: a list may not be read, or nothing may be written below the output folder.
        """
        stores = self._stores.of_project(project).limited_to(self._grants_of(caller))
        stores.check_request(lists, output)
        return stores.named()

    def at_import_lists(
        self, caller: Caller, lists: Sequence[objects.ObjectUri], *, project: str
    ) -> errors.ApiError | None:
        """What the import of these CSVs must fail with, as far as a look can tell; None if nothing. Raises as `check`."""
        stores = self.check(caller, lists, project=project)
        full: set[objects.ObjectUri] = set()
        looks = [(uri, _list_look(stores, uri, _check_import, full)) for uri in lists[:MAX_LISTS]]
        error, all_seen = self._first(looks)
        return error if error or full or not all_seen or len(lists) > MAX_LISTS else rows.none_to_import(lists)

    def at_image_folders(
        self, caller: Caller, folders: Sequence[InputAddress], *, project: str
    ) -> errors.ApiError | None:
        """What the import of the images of folders must fail with, as far as a look can tell. Raises as `check`."""
        stores = self.check(caller, [address.uri for address in folders], project=project)
        looks = [(address.uri, _input_look(stores, address, "", set())) for address in folders[:MAX_LISTS]]
        return self._first(looks)[0]

    def at_batch(
        self,
        caller: Caller,
        inputs: Sequence[InputAddress],
        destination: objects.ObjectUri,
        *,
        project: str,
        column: str = "",
    ) -> errors.ApiError | None:
        """What a batch prediction with these inputs must fail with, as far as a look can tell; None if nothing.

        Raises as `check`.
        """
        stores = self.check(caller, [address.uri for address in inputs], destination, project=project)
        full: set[objects.ObjectUri] = set()
        looks = [(address.uri, _batch_look(stores, address, column, full)) for address in inputs[:MAX_LISTS]]
        error, all_seen = self._first([*looks, (destination, lambda: stores.check_destination(destination))])
        is_empty = error is None and not full and all_seen and len(inputs) <= MAX_LISTS
        return errors.bad_request(errors.EMPTY_BATCH_CSV) if is_empty else error

    def at_destination(self, caller: Caller, prefix: objects.ObjectUri, *, project: str) -> errors.ApiError | None:
        """What writing below this prefix must fail with, as far as a look can tell; None if nothing. Raises as `check`."""
        stores = self.check(caller, output=prefix, project=project)
        error, _ = self._first([(prefix, lambda: stores.check_destination(prefix))])
        return error

    def _first(self, looks: Sequence[tuple[objects.ObjectUri, _Look]]) -> tuple[errors.ApiError | None, bool]:
        """Returns the first definite error, in the order of the looks, and whether all stores have answered."""
        if self._look_s == 0:
            return None, False
        left_alone = self._left_alone()
        found = _Found([(uri, look) for uri, look in looks if (uri.scheme, uri.bucket) not in left_alone])
        started = 0
        while started < min(THREADS, found.count) and self._threads.acquire(blocking=False):
            threading.Thread(target=self._run, args=(found,), name="look", daemon=True).start()
            started += 1
        if started:  # else all threads wait for stores
            found.done.wait(self._look_s)
        seen, unanswered = found.close()
        with self._lock:
            for uri in unanswered:
                self._left_alone_until_s[uri.scheme, uri.bucket] = time.monotonic() + LEFT_ALONE_S
        all_seen = found.count == len(looks) and found.done.is_set() and not found.passing
        return next((seen[index] for index in sorted(seen)), None), all_seen

    def _left_alone(self) -> set[tuple[str, str]]:
        """The buckets that are not asked now."""
        now_s = time.monotonic()
        with self._lock:
            for bucket in [bucket for bucket, until_s in self._left_alone_until_s.items() if until_s <= now_s]:
                del self._left_alone_until_s[bucket]
            return set(self._left_alone_until_s)

    def _run(self, found: _Found) -> None:
        try:
            found.work()
        finally:
            self._threads.release()


class _Found:
    """What the looks of one call have found; safe to use from several threads."""

    def __init__(self, looks: Sequence[tuple[objects.ObjectUri, _Look]]) -> None:
        self.done = threading.Event()
        self.count = len(looks)
        self.passing = False  # whether there was trouble that may pass
        self._lock = threading.Lock()
        self._waiting = collections.deque(enumerate(looks))
        self._under_way: dict[int, objects.ObjectUri] = {}
        self._errors: dict[int, errors.ApiError] = {}

    def work(self) -> None:
        """Takes one look after another until there are none left."""
        while True:
            with self._lock:
                if not self._waiting:
                    return
                index, (uri, look) = self._waiting.popleft()
                self._under_way[index] = uri
            error = _error_of(look)
            with self._lock:
                if error is not None and error.code in _PASSING:
                    self.passing, error = True, None
                self._under_way.pop(index, None)
                if error is not None:
                    self._errors[index] = error
                if not self._waiting and not self._under_way:
                    self.done.set()

    def close(self) -> tuple[dict[int, errors.ApiError], list[objects.ObjectUri]]:
        """Ends the looking; returns the errors by the places of their looks, and whose store has not answered."""
        with self._lock:
            self._waiting.clear()
            return dict(self._errors), list(self._under_way.values())


def _list_look(
    stores: objects.Stores, uri: objects.ObjectUri, check: Callable[[rows.TextLine], None], full: set[objects.ObjectUri]
) -> _Look:
    """Looks at a list, and notes it among the full ones unless it is seen to have no rows."""

    def look() -> None:
        try:
            info, start = stores.start(uri, file_kinds.LOOKED_AT_BYTES)
        except objects.ObjectNotFound as error:
            raise objects.explained(stores, uri, error, asks_for_folder=True) from error
        rows.check_start(uri, start)
        is_whole = len(start) == info.size_bytes
        line = rows.first_line(uri, start, is_whole=is_whole)
        if line is not None or not is_whole:
            full.add(uri)
        if line is not None:
            check(line)

    return look


def _batch_look(stores: objects.Stores, address: InputAddress, column: str, full: set[objects.ObjectUri]) -> _Look:
    """Looks at an input of a batch prediction, or at a manifest in the place of one."""
    if is_manifest(address.text):
        return _list_look(stores, address.uri, _check_manifest, full)
    return _input_look(stores, address, column, full)


def _input_look(stores: objects.Stores, address: InputAddress, column: str, full: set[objects.ObjectUri]) -> _Look:
    """Looks at an input of a batch prediction, and notes it among the full ones unless it is seen to name nothing."""

    def look() -> None:
        uri = address.uri
        if address.meaning != Meaning.FILE:
            if not stores.holds_anything(uri):
                stores.check_bucket(uri)
                raise errors.not_found(
                    f"{address.text}: there is nothing below {uri.folder}; look for it in the bucket."
                )
            full.add(uri)
            return
        try:
            info, start = stores.start(uri, file_kinds.LOOKED_AT_BYTES)
        except objects.ObjectNotFound as error:
            if not stores.holds_anything(uri):
                raise objects.explained(stores, uri, error) from error
            full.add(uri)  # a folder whose slash was left out
            return
        if sources.check_start(info, start, column):
            full.add(uri)

    return look


def _error_of(look: _Look) -> errors.ApiError | None:
    try:
        look()
    except errors.ApiError as error:
        return error
    except Exception:  # the work finds out and says
        log.exception("event=look_failed")
        return errors.unavailable("The look failed.")
    return None


def _check_manifest(line: rows.TextLine) -> None:
    if not line.text.lstrip().startswith("{"):
        raise errors.bad_request(f"{line.uri}: this is not a manifest of a batch prediction.")


def _check_import(line: rows.TextLine) -> None:
    if line.is_json:
        raise rows.json_refused(line.uri)
