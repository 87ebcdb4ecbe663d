"""`Stores`: all object stores that this installation reaches, behind one interface."""

from __future__ import annotations

import builtins
import copy
import dataclasses
import itertools
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import obstore

from boxwright import errors
from boxwright.objects import listing, patience, store_errors, streams
from boxwright.objects.backend import Backend, ObjectInfo
from boxwright.objects.bucket_looks import BucketLooks
from boxwright.objects.bucket_uses import NoteUse
from boxwright.objects.clouds import Cloud, GcsEmulator, TenantClouds
from boxwright.objects.entries import Entry
from boxwright.objects.folders import AllowedFolders, BucketFolders, Folders, ObjectVersion
from boxwright.objects.grants import LIST, READ, WRITE, Grants, Limits
from boxwright.objects.limited_use import LimitedUse
from boxwright.objects.own_state import OwnState
from boxwright.objects.patience import Patience
from boxwright.objects.profiles import CredentialProfile, CredentialProfiles
from boxwright.objects.store_config import StoreConfig
from boxwright.objects.uris import CLOUDS, FILE, STATE, ObjectUri

_T = TypeVar("_T")


class Stores(LimitedUse, OwnState, BucketLooks):
    """All object stores this installation reaches.

    Args:
        buckets_dir: the folder whose sub-folders are the buckets, where gs:// is a folder.
        state_dir: the service's own folder, reached as ``state://boxwright/…``.
        choices: what is served beyond that.
    """

    def __init__(self, buckets_dir: pathlib.Path, state_dir: pathlib.Path, choices: StoreConfig | None = None) -> None:
        self._buckets_dir, self._choices = buckets_dir.resolve(), choices or StoreConfig()
        patience_s = self._choices.retry_s
        self._state = BucketFolders(state_dir, is_state=True)
        self._backends: dict[str, Backend] = {STATE: self._state}
        for scheme in CLOUDS:
            if scheme in self._choices.schemes:
                self._backends[scheme] = self._cloud(scheme)
        if self._choices.file_roots:
            self._backends[FILE] = AllowedFolders(self._choices.file_roots)
        self._patience = Patience(patience_s)
        self._raise_if_stopped: Callable[[], None] | None = None
        self._limits: Limits | None = None
        self._note_use: NoteUse | None = None
        self._state_base = ObjectUri.parse(self._choices.state_uri or f"{STATE}://boxwright/")
        if self._state_base.scheme not in self._backends:
            self._backends[self._state_base.scheme] = self._cloud(self._state_base.scheme)
        profiles = CredentialProfiles(self._choices.credentials_dir, self._choices.clouds, self._state_base)
        self._tenants, self._project = TenantClouds(profiles, patience_s), ""

    def _cloud(self, scheme: str) -> Backend:
        patience_s = self._choices.retry_s
        if scheme == "gs" and self._choices.gs_emulator:
            return GcsEmulator(self._choices.gs_emulator, patience_s)
        if scheme == "gs" and self._choices.gs == "folder":
            return BucketFolders(self._buckets_dir)
        return Cloud(scheme, patience_s)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Stores:
        """Opens the stores that `to_config` described, in another process, for work that goes on (`enduring`)."""
        choices: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in config.get("choices", {}).items()
        }
        stores = cls(pathlib.Path(config["buckets_dir"]), pathlib.Path(config["state_dir"]), StoreConfig(**choices))
        if config.get("limits") is not None:
            stores._limits = Limits.from_config(config["limits"], stores._state_base)
        stores._project = config.get("project", "")
        return stores.enduring()

    def to_config(self) -> dict[str, Any]:
        """Describes these stores as JSON data for a child process; secrets stay in the environment (`variables`)."""
        return {
            "buckets_dir": str(self._buckets_dir),
            "state_dir": str(self._state.root),
            "choices": {
                name: list(value) if isinstance(value, tuple) else value
                for name, value in dataclasses.asdict(self._choices).items()
            },
            "limits": None if self._limits is None else self._limits.to_config(),
            "project": self._project,
        }

    def hasty(self, retry_s: float) -> Stores:
        """Returns these stores for questions that are better left open than waited for: trouble is retried for so long."""
        stores = Stores(self._buckets_dir, self._state.root, dataclasses.replace(self._choices, retry_s=retry_s))
        stores._limits, stores._project = self._limits, self._project
        return stores

    def of_project(self, project: str) -> Stores:
        """Returns these stores for the work of a project, which may have credentials of its own (`profiles`)."""
        stores = copy.copy(self)
        stores._project = project
        return stores

    @property
    def profiles(self) -> tuple[CredentialProfile, ...]:
        """The credential profiles that there are."""
        return self._tenants.profiles.all

    def observed(self, note_use: NoteUse) -> Stores:
        """Returns these stores for work that says which buckets it uses: `note_use` hears of every call (`bucket_uses`)."""
        stores = copy.copy(self)
        stores._note_use = note_use
        return stores

    def enduring(self, should_stop: Callable[[], bool] = bool) -> Stores:
        """Returns these stores for work that goes on: a store that is called too often is waited for as long as that lasts.

        Args:
            should_stop: whether nobody waits for the work any more; such a wait then ends with `WaitEndedError`.
        """
        stores = copy.copy(self)
        stores._patience = dataclasses.replace(self._patience, endures=True, should_stop=should_stop)
        return stores

    def stoppable(self, raise_if_stopped: Callable[[], None]) -> Stores:
        """Returns these `enduring` stores for work that may be stopped: a call ends with what `raise_if_stopped` raises.

        What had been asked of a store by then goes on without anybody who waits for it; a write may still happen.
        """
        stores = self.enduring()
        stores._raise_if_stopped = raise_if_stopped
        return stores

    def limited_to(self, grants: Grants | None, output: ObjectUri | None = None) -> Stores:
        """Returns these stores for work that a caller has asked for: what is not granted is PERMISSION_DENIED, unseen.

        Args:
            grants: the caller's; None: the caller may do everything.
            output: the folder that the work makes: who may write there may have it read there.
        """
        if grants is None:
            return self
        stores = copy.copy(self)
        stores._limits = Limits(grants, self._state_base, output)
        return stores

    def named(self) -> Stores:
        """Returns these stores for objects that a caller names; if they are limited, the service's own are refused too."""
        if self._limits is None:
            return self
        stores = copy.copy(self)
        stores._limits = self._limits.named()
        return stores

    def _patiently(self, backend: Backend, uri: ObjectUri, call: Callable[[], _T], *, is_paced: bool = True) -> _T:
        """See `StoreCalls`; where the work may be stopped, in a thread that can be left."""

        def attempts() -> _T:
            pace = backend.pace(uri) if is_paced else None
            return patience.patiently(call, self._patience, pace, lambda: backend.ask_when(uri))

        if self._raise_if_stopped is None:
            return attempts()
        return patience.stoppably(attempts, self._raise_if_stopped)

    @property
    def variables(self) -> tuple[str, ...]:
        """See `StoreConfig.variables`."""
        return self._choices.variables

    @property
    def schemes(self) -> tuple[str, ...]:
        """The schemes that callers may name."""
        return self._choices.served

    def is_folder(self, uri: ObjectUri) -> bool:
        """Whether an object is a file of this machine, which is looked at in microseconds."""
        return isinstance(self._served(uri), Folders)

    def get(self, uri: ObjectUri, *, max_bytes: int | None = None) -> bytes:
        """Reads a whole object.

        Raises:
            ApiError: NOT_FOUND, PERMISSION_DENIED, UNAVAILABLE, or INVALID_ARGUMENT if it is larger than `max_bytes`.
        """
        return self.get_with_version(uri, max_bytes=max_bytes)[0]

    def get_with_version(self, uri: ObjectUri, *, max_bytes: int | None = None) -> tuple[bytes, str]:
        """Reads a whole object; returns (its bytes, the `ObjectVersion.version` that these are). Raises as `get`."""
        backend = self._backend(uri, READ)
        with store_errors.translated(uri):
            return self._patiently(backend, uri, lambda: backend.read(uri, max_bytes))

    def version(self, uri: ObjectUri) -> ObjectVersion:
        """Returns an object's size and version without reading it; NOT_FOUND if there is no such object."""
        backend = self._backend(uri, READ)
        with store_errors.translated(uri):
            return self._patiently(backend, uri, lambda: backend.version(uri))

    def versions(self, prefix: ObjectUri, after: str = "") -> Iterator[builtins.list[tuple[str, ObjectVersion]]] | None:
        """Yields (key, version) of the objects below a prefix folder, from behind a key on, a page at a time.

        None if it is as cheap to ask for each by `version`. Trouble ends the list: who lists asks for the rest one by one.
        """
        backend = self._backend(prefix, LIST, is_folder=True)
        if isinstance(backend, Folders):
            return None
        return self._pages(
            backend, prefix, lambda start: backend.versions(prefix, start) or iter(()), after, lambda one: one[0]
        )

    def _pages(
        self,
        backend: Backend,
        prefix: ObjectUri,
        listed: Callable[[str], Iterator[builtins.list[_T]]],
        after: str,
        key_of: Callable[[_T], str],
    ) -> Iterator[builtins.list[_T]]:
        with store_errors.translated(prefix):
            yield from listing.all_pages(listed, after, lambda look: self._patiently(backend, prefix, look), key_of)

    def stream(self, uri: ObjectUri) -> Iterator[bytes]:
        """Reads an object in chunks of about 1 MiB, never as a whole; ends with an error rather than too early."""
        backend = self._backend(uri, READ)
        with store_errors.translated(uri):
            yield from streams.chunks(lambda: backend.reading(uri), lambda call: self._patiently(backend, uri, call))

    def head(self, uri: ObjectUri) -> ObjectInfo:
        """Returns size and entity tag; NOT_FOUND if there is no such object."""
        backend = self._backend(uri, READ)

        def look() -> ObjectInfo:
            place = backend.reading(uri)
            meta = obstore.head(place.store, place.key)
            return ObjectInfo(uri, meta["size"], meta["e_tag"] or "")

        with store_errors.translated(uri):
            return self._patiently(backend, uri, look)

    def start(self, uri: ObjectUri, max_bytes: int) -> tuple[ObjectInfo, bytes]:
        """Returns what `head` does, and the object's first bytes, at most so many."""
        info = self.head(uri)
        return info, self.range(uri, 0, min(max_bytes, info.size_bytes)) if info.size_bytes else b""

    def range(self, uri: ObjectUri, start: int, length: int, *, e_tag: str = "") -> bytes:
        """Reads so many bytes, at least one, from a place on that is in the object; fewer where it ends before.

        Raises as `get`, and `ObjectChangedError` if the object has not the entity tag that is given.
        """
        backend = self._backend(uri, READ)
        with store_errors.translated(uri):
            return self._patiently(backend, uri, lambda: backend.reading(uri).range(start, length, e_tag))

    def exists(self, uri: ObjectUri) -> bool:
        """Whether the object is there; other trouble raises."""
        try:
            self.head(uri)
        except store_errors.ObjectNotFound:
            return False
        return True

    def put(self, uri: ObjectUri, data: bytes) -> None:
        """Writes an object atomically, replacing what was there."""
        backend = self._backend(uri, WRITE)
        with store_errors.translated(uri):
            self._patiently(backend, uri, lambda: backend.put(uri, data, once=False))

    def put_once(self, uri: ObjectUri, data: bytes) -> bool:
        """Writes an object atomically unless it exists.

        Returns whether this call wrote it. After a lost answer that can be False although it did: the object then has
        these very bytes.
        """
        backend = self._backend(uri, WRITE)
        with store_errors.translated(uri):
            return self._patiently(backend, uri, lambda: backend.put(uri, data, once=True))

    def list(self, prefix: ObjectUri) -> Iterator[ObjectInfo]:
        """Yields the objects below a prefix folder, in order of their keys."""
        backend = self._backend(prefix, LIST, is_folder=True)

        def look() -> list[tuple[str, int, str]]:
            place = backend.long_place(prefix)
            return [
                (place.base + entry["path"], entry["size"], entry["e_tag"] or "")
                for batch in obstore.list(place.store, prefix=place.key.rstrip("/"))
                for entry in batch
            ]

        with store_errors.translated(prefix):
            found = self._patiently(backend, prefix, look)
        for key, size_bytes, e_tag in sorted(found):
            yield ObjectInfo(dataclasses.replace(prefix, key=key), size_bytes, e_tag)

    def keys(
        self, prefix: ObjectUri, after: str = "", bounds: listing.Bounds | None = None
    ) -> Iterator[builtins.list[str]]:
        """Yields the keys below a prefix folder in order of their UTF-8 bytes, some at a time, from behind a key on.

        Memory is that of a page. Symbolic links to folders, which are not followed, end in a slash. Keys that `bounds`
        rules out are left out where that saves calls, and else come too.
        """
        backend = self._backend(prefix, LIST, is_folder=True)
        yield from self._pages(backend, prefix, lambda start: backend.keys(prefix, start, bounds), after, str)

    def entries(self, folder: ObjectUri, after: str, most: int) -> builtins.list[Entry]:
        """What lies directly in a folder, in the order of the names, at most so many from behind a name on."""
        backend = self._backend(folder, LIST, is_folder=True)
        with store_errors.translated(folder):
            return self._patiently(
                backend, folder, lambda: builtins.list(itertools.islice(backend.entries(folder, after), most))
            )

    def readable_folders(self) -> builtins.list[ObjectUri]:
        """The buckets and folders that may be read: as granted, else those of this machine."""
        local = [one for scheme, one in self._backends.items() if scheme != STATE and isinstance(one, Folders)]
        return self._limits.grants.readable if self._limits else [uri for one in local for uri in one.outermost()]

    def sweep_unfinished(self, directory: ObjectUri) -> None:
        """Removes what a killed writer may have left below a folder: files still under their staging name."""
        with store_errors.translated(directory):
            self._backend(directory, WRITE, is_folder=True).sweep_unfinished(directory)

    def delete_written(self, uri: ObjectUri) -> None:
        """Deletes a file that this service wrote itself; none is fine."""
        backend = self._backend(uri, WRITE)
        with store_errors.translated(uri):
            self._patiently(backend, uri, lambda: backend.delete(uri))

    def _backend(self, uri: ObjectUri, permission: str, *, is_folder: bool = False) -> Backend:
        """What keeps an object or a folder that is to be used like that; the one place where limits are heeded."""
        backend = self._served(uri)
        if self._limits is not None or self._note_use is not None:
            self._check(uri.folder if is_folder else uri, permission, backend.resolved)
        return backend

    def _served(self, uri: ObjectUri) -> Backend:
        try:
            return self._tenants.find(uri, self._project) or self._backends[uri.scheme]
        except KeyError:
            raise errors.failed_precondition(
                f"{uri}: this installation does not serve {uri.scheme}://; see the settings schemes and file_roots."
            ) from None
