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
from google.rpc import code_pb2

from boxwright import errors
from boxwright.objects import listing, store_errors
from boxwright.objects.backend import Backend, ObjectInfo
from boxwright.objects.bucket_uses import NoteUse
from boxwright.objects.clouds import Cloud, GcsEmulator, TenantClouds
from boxwright.objects.entries import Entry
from boxwright.objects.folders import AllowedFolders, BucketFolders, Folders, ObjectVersion
from boxwright.objects.grants import LIST, READ, WRITE, Grants, Limits
from boxwright.objects.limited_use import LimitedUse
from boxwright.objects.profiles import CredentialProfile, CredentialProfiles
from boxwright.objects.store_config import StoreConfig
from boxwright.objects.uris import CLOUDS, FILE, STATE, ObjectUri

STREAM_CHUNK_BYTES = 1 << 20
_T = TypeVar("_T")


class Stores(LimitedUse):
    """All object stores this installation reaches.

    Args:
        buckets_dir: the folder whose sub-folders are the buckets, where gs:// is a folder.
        state_dir: the service's own folder, reached as ``state://boxwright/…``.
        choices: what is served beyond that.
    """

    def __init__(self, buckets_dir: pathlib.Path, state_dir: pathlib.Path, choices: StoreConfig | None = None) -> None:
        self._buckets_dir, self._choices = buckets_dir.resolve(), choices or StoreConfig()
        patience_s = self._choices.retry_s
        self._state = BucketFolders(state_dir, patience_s, is_state=True)
        self._backends: dict[str, Backend] = {STATE: self._state}
        for scheme in CLOUDS:
            if scheme in self._choices.schemes:
                self._backends[scheme] = self._cloud(scheme)
        if self._choices.file_roots:
            self._backends[FILE] = AllowedFolders(self._choices.file_roots, patience_s)
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
            return BucketFolders(self._buckets_dir, patience_s)
        return Cloud(scheme, patience_s)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Stores:
        """Opens the stores that `to_config` described, in another process."""
        choices: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in config.get("choices", {}).items()
        }
        stores = cls(pathlib.Path(config["buckets_dir"]), pathlib.Path(config["state_dir"]), StoreConfig(**choices))
        if config.get("limits") is not None:
            stores._limits = Limits.from_config(config["limits"], stores._state_base)
        stores._project = config.get("project", "")
        return stores

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

    def stoppable(self, raise_if_stopped: Callable[[], None]) -> Stores:
        """Returns these stores for work that may be stopped: a call that waits ends with what `raise_if_stopped` raises.

        What had been asked of a store by then goes on without anybody who waits for it; a write may still happen.
        """
        stores = copy.copy(self)
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

    def _waiting(self, call: Callable[[], _T]) -> _T:
        """Calls a store; where the work may be stopped, in a thread that can be left behind."""
        return call() if self._raise_if_stopped is None else store_errors.stoppably(call, self._raise_if_stopped)

    def _patiently(self, call: Callable[[], _T]) -> _T:
        """As `_waiting`, again while the trouble may pass; the client library does not ask again for a list cut off."""
        return self._waiting(lambda: store_errors.patiently(call, self._choices.retry_s))

    @property
    def variables(self) -> tuple[str, ...]:
        """See `StoreConfig.variables`."""
        return self._choices.variables

    @property
    def schemes(self) -> tuple[str, ...]:
        """The schemes that callers may name."""
        return self._choices.served

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
        with store_errors.translated(uri):
            place = self._backend(uri, LIST).place(uri)
            found = obstore.list_with_delimiter(place.store, place.key)["common_prefixes"]
        return sorted(prefix.rstrip("/").rpartition("/")[2] for prefix in found)

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
            return self._patiently(lambda: backend.read(uri, max_bytes))

    def version(self, uri: ObjectUri) -> ObjectVersion:
        """Returns an object's size and version without reading it; NOT_FOUND if there is no such object."""
        backend = self._backend(uri, READ)
        with store_errors.translated(uri):
            return self._patiently(lambda: backend.version(uri))

    def versions(self, prefix: ObjectUri, after: str = "") -> Iterator[builtins.list[tuple[str, ObjectVersion]]] | None:
        """Yields (key, version) of the objects below a prefix folder, from behind a key on, a page at a time.

        None if it is as cheap to ask for each by `version`. Trouble ends the list: who lists asks for the rest one by one.
        """
        backend = self._backend(prefix, LIST, is_folder=True)
        pages = backend.versions(prefix, after)
        return None if pages is None else self._translated(prefix, pages)

    @staticmethod
    def _translated(uri: ObjectUri, found: Iterator[_T]) -> Iterator[_T]:
        with store_errors.translated(uri):
            yield from found

    def stream(self, uri: ObjectUri) -> Iterator[bytes]:
        """Reads an object in chunks of about 1 MiB, never as a whole; ends with an error rather than too early."""
        backend = self._backend(uri, READ)
        with store_errors.translated(uri):
            place = backend.reading(uri)
            result = self._patiently(lambda: obstore.get(place.store, place.key))
            left = result.meta["size"]
            chunks = iter(result.stream(min_chunk_size=STREAM_CHUNK_BYTES))
            while chunk := self._waiting(lambda: next(chunks, None)):
                left -= len(chunk)
                yield bytes(chunk)
            if left:
                raise store_errors.Truncated(f"the last {left} bytes did not come")

    def head(self, uri: ObjectUri) -> ObjectInfo:
        """Returns size and entity tag; NOT_FOUND if there is no such object."""
        backend = self._backend(uri, READ)

        def look() -> ObjectInfo:
            place = backend.reading(uri)
            meta = obstore.head(place.store, place.key)
            return ObjectInfo(uri, meta["size"], meta["e_tag"] or "")

        with store_errors.translated(uri):
            return self._patiently(look)

    def start(self, uri: ObjectUri, max_bytes: int) -> tuple[ObjectInfo, bytes]:
        """Returns what `head` does, and the object's first bytes, at most so many."""
        info = self.head(uri)
        return info, self.range(uri, 0, min(max_bytes, info.size_bytes)) if info.size_bytes else b""

    def range(self, uri: ObjectUri, start: int, length: int, *, e_tag: str = "") -> bytes:
        """Reads so many bytes, at least one, from a place on that is in the object; fewer where it ends before.

        Raises as `get`, and `ObjectChangedError` if the object has not the entity tag that is given.
        """
        with store_errors.translated(uri):
            return self._patiently(lambda: self._backend(uri, READ).reading(uri).range(start, length, e_tag))

    def exists(self, uri: ObjectUri) -> bool:
        """Whether the object is there; other trouble raises."""
        try:
            self.head(uri)
        except store_errors.ObjectNotFound:
            return False
        return True

    def put(self, uri: ObjectUri, data: bytes) -> None:
        """Writes an object atomically, replacing what was there."""
        with store_errors.translated(uri):
            self._waiting(lambda: self._backend(uri, WRITE).put(uri, data, once=False))

    def put_once(self, uri: ObjectUri, data: bytes) -> bool:
        """Writes an object atomically unless it exists.

        Returns whether this call wrote it. After a lost answer that can be False although it did: the object then has
        these very bytes.
        """
        with store_errors.translated(uri):
            return self._waiting(lambda: self._backend(uri, WRITE).put(uri, data, once=True))

    def list(self, prefix: ObjectUri) -> Iterator[ObjectInfo]:
        """Yields the objects below a prefix folder, in order of their keys."""

        def look() -> list[tuple[str, int, str]]:
            place = self._backend(prefix, LIST, is_folder=True).place(prefix)
            return [
                (place.base + entry["path"], entry["size"], entry["e_tag"] or "")
                for batch in obstore.list(place.store, prefix=place.key.rstrip("/"))
                for entry in batch
            ]

        with store_errors.translated(prefix):
            found = self._patiently(look)
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
        with store_errors.translated(prefix):
            yield from listing.all_pages(lambda start: backend.keys(prefix, start, bounds), after, self._patiently)

    def entries(self, folder: ObjectUri, after: str, most: int) -> builtins.list[Entry]:
        """What lies directly in a folder, in the order of the names, at most so many from behind a name on."""
        backend = self._backend(folder, LIST, is_folder=True)
        with store_errors.translated(folder):
            return self._patiently(lambda: builtins.list(itertools.islice(backend.entries(folder, after), most)))

    def readable_folders(self) -> builtins.list[ObjectUri]:
        """The buckets and folders that may be read: as granted, else those of this machine."""
        local = [one for scheme, one in self._backends.items() if scheme != STATE and isinstance(one, Folders)]
        return self._limits.grants.readable if self._limits else [uri for one in local for uri in one.outermost()]

    def delete_prefix(self, uri: ObjectUri) -> None:
        """Deletes every object below a prefix of the service's own state."""
        if not str(uri).startswith(f"{str(self._state_base).rstrip('/')}/"):
            raise ValueError(f"only the service's own state is ever deleted, not {uri}")
        self.delete_below(uri)

    def delete_below(self, folder: ObjectUri) -> None:
        """Deletes every object below a folder that this service has made itself, see `deletion`; none is fine."""
        backend = self._backend(folder, WRITE, is_folder=True)
        with store_errors.translated(folder):
            self._patiently(lambda: backend.delete_below(folder))  # what is deleted is not listed again

    def sweep_unfinished(self, directory: ObjectUri) -> None:
        """Removes what a killed writer may have left below a folder: files still under their staging name."""
        with store_errors.translated(directory):
            self._backend(directory, WRITE, is_folder=True).sweep_unfinished(directory)

    def check_bucket(self, uri: ObjectUri) -> None:
        """Raises NOT_FOUND unless the URI's bucket exists, for a folder that is to be written."""
        backend = self._backend(uri, WRITE, is_folder=True)
        with store_errors.translated(uri):
            self._patiently(lambda: backend.check_bucket(uri))

    def answers(self, uri: ObjectUri) -> bool:
        """Whether the bucket of a URI can be reached at all, whatever it says and whatever these stores are limited to."""
        bucket = ObjectUri(uri.scheme, uri.bucket, "")
        try:
            with store_errors.translated(bucket):
                self._patiently(lambda: self._served(bucket).check_bucket(bucket))
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
            self._patiently(lambda: backend.check_destination(uri))

    def holds_anything(self, prefix: ObjectUri) -> bool:
        """Whether there is any object below a prefix folder."""

        def look() -> bool:
            place = self._backend(prefix, LIST, is_folder=True).place(prefix)
            found = obstore.list(place.store, prefix=place.key.rstrip("/"), chunk_size=1)
            return any(len(batch) for batch in found)

        with store_errors.translated(prefix):
            return self._patiently(look)

    def delete_written(self, uri: ObjectUri) -> None:
        """Deletes a file that this service wrote itself; none is fine."""
        with store_errors.translated(uri):
            self._waiting(lambda: self._backend(uri, WRITE).delete(uri))

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
