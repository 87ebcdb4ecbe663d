"""Object storage: one small interface over obstore, and the walls around it.

`Stores` maps URIs to objects: ``gs://BUCKET/KEY`` is the file KEY below the folder BUCKET of the buckets folder, and
``state://KEY`` is the service's own state (plans, scratch), which no caller can name. Reading, writing once, writing and
listing; never renaming, never locking. Every error is an `ApiError` whose message names the URI.

Walls: a key with ``..``, an empty segment or a leading slash is refused, and so is every path that leaves its bucket
through a symbolic link, for reading and for writing.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from typing import Any

import obstore
from google.rpc import code_pb2
from obstore import exceptions
from obstore.store import LocalStore

from boxwright import errors

MAX_URI_CHARS = 2000  # io.proto: each URI is at most 2000 characters long
STREAM_CHUNK_BYTES = 1 << 20
STATE = "state"
_BUCKET = re.compile(r"[a-z0-9A-Z][a-z0-9A-Z._-]{0,221}")
_STAGING = re.compile(r"#\d+$")  # obstore's name for a file that is being written to a local folder


class ObjectNotFound(errors.ApiError):
    """There is no such object (or no such bucket)."""


class BadUri(errors.ApiError):
    """This text is no usable object URI."""


@dataclasses.dataclass(frozen=True)
class ObjectUri:
    """A parsed object URI: scheme, bucket, key without a leading slash."""

    scheme: str
    bucket: str
    key: str

    @classmethod
    def parse(cls, text: str) -> ObjectUri:
        """Parses ``gs://bucket/key``.

        Raises:
            BadUri: INVALID_ARGUMENT saying what is wrong with the text.
        """
        scheme, separator, rest = text.partition("://")
        bucket, _, key = rest.partition("/")
        if not separator or scheme not in ("gs", STATE):
            raise bad_uri(text, "it does not start with gs://")
        if len(text) > MAX_URI_CHARS:
            raise bad_uri(text, f"it is longer than {MAX_URI_CHARS} characters")
        if not _BUCKET.fullmatch(bucket):
            raise bad_uri(text, "its bucket name is empty or has characters that bucket names cannot have")
        segments = key.removesuffix("/").split("/") if key else []
        if any(segment in ("", ".", "..") for segment in segments):
            raise bad_uri(text, "a path segment is empty, '.' or '..'")
        if any(ord(character) < 32 or ord(character) == 127 for character in text):
            raise bad_uri(text, "it has control characters")
        return cls(scheme, bucket, key)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}"

    def child(self, name: str) -> ObjectUri:
        """Returns the object `name` below this prefix."""
        prefix = self.key.rstrip("/")
        return dataclasses.replace(self, key=f"{prefix}/{name}" if prefix else name)


def bad_uri(text: str, why: str) -> BadUri:
    """The error for a text that is no usable URI."""
    shown = text if len(text) <= 200 else text[:200] + "…"
    return BadUri(code_pb2.INVALID_ARGUMENT, f"'{shown}' is not a usable gs:// path: {why}.")


@dataclasses.dataclass(frozen=True)
class ObjectInfo:
    """What a store says of an object: its size and its entity tag."""

    uri: ObjectUri
    size_bytes: int
    e_tag: str


class Stores:
    """All object stores this installation reaches.

    Args:
        buckets_dir: the folder whose sub-folders are the buckets.
        state_dir: the service's own folder, reached as ``state://boxwright/…``.
    """

    def __init__(self, buckets_dir: pathlib.Path, state_dir: pathlib.Path) -> None:
        self._roots = {"gs": buckets_dir.resolve(), STATE: state_dir.resolve()}
        self._open: dict[tuple[str, str], LocalStore] = {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Stores:
        """Opens the stores that `to_config` described, in another process."""
        return cls(pathlib.Path(config["buckets_dir"]), pathlib.Path(config["state_dir"]))

    def to_config(self) -> dict[str, Any]:
        """Describes these stores as JSON data for a child process."""
        return {"buckets_dir": str(self._roots["gs"]), "state_dir": str(self._roots[STATE])}

    def state(self, key: str) -> ObjectUri:
        """Returns the URI of an object in the service's own state."""
        return ObjectUri(STATE, "boxwright", key)

    def get(self, uri: ObjectUri, *, max_bytes: int | None = None) -> bytes:
        """Reads a whole object.

        Raises:
            ApiError: NOT_FOUND, PERMISSION_DENIED, UNAVAILABLE, or INVALID_ARGUMENT if it is larger than `max_bytes`.
        """
        store = self._readable(uri)
        with _translated(uri):
            result = obstore.get(store, uri.key)
            size_bytes = result.meta["size"]
            if max_bytes is not None and size_bytes > max_bytes:
                raise errors.bad_request(f"{uri} has {size_bytes} bytes; the limit is {max_bytes}.")
            return bytes(result.bytes())

    def stream(self, uri: ObjectUri) -> Iterator[bytes]:
        """Reads an object in chunks of about 1 MiB, never as a whole."""
        store = self._readable(uri)
        with _translated(uri):
            for chunk in obstore.get(store, uri.key).stream(min_chunk_size=STREAM_CHUNK_BYTES):
                yield bytes(chunk)

    def head(self, uri: ObjectUri) -> ObjectInfo:
        """Returns size and entity tag; NOT_FOUND if there is no such object."""
        store = self._readable(uri)
        with _translated(uri):
            meta = obstore.head(store, uri.key)
            return ObjectInfo(uri, meta["size"], meta["e_tag"] or "")

    def exists(self, uri: ObjectUri) -> bool:
        """Whether the object is there; other trouble raises."""
        try:
            self.head(uri)
        except ObjectNotFound:
            return False
        return True

    def put(self, uri: ObjectUri, data: bytes) -> None:
        """Writes an object atomically, replacing what was there."""
        store = self._writable(uri)
        with _translated(uri):
            obstore.put(store, uri.key, data)

    def put_once(self, uri: ObjectUri, data: bytes) -> bool:
        """Writes an object atomically unless it exists; returns whether this call wrote it."""
        store = self._writable(uri)
        with _translated(uri):
            try:
                obstore.put(store, uri.key, data, mode="create")
            except exceptions.AlreadyExistsError:
                return False
        return True

    def list(self, prefix: ObjectUri) -> Iterator[ObjectInfo]:
        """Yields the objects below a prefix folder, in order of their keys."""
        store = self._store(prefix)
        with _translated(prefix):
            entries = [entry for batch in obstore.list(store, prefix=prefix.key.rstrip("/")) for entry in batch]
        for entry in sorted(entries, key=lambda entry: entry["path"]):
            uri = dataclasses.replace(prefix, key=entry["path"])
            yield ObjectInfo(uri, entry["size"], entry["e_tag"] or "")

    def delete_prefix(self, uri: ObjectUri) -> None:
        """Deletes every object below a prefix of the service's own state."""
        if uri.scheme != STATE:
            raise ValueError(f"only the service's own state is ever deleted, not {uri}")
        shutil.rmtree(self._path(uri), ignore_errors=True)

    def sweep_unfinished(self, directory: ObjectUri) -> None:
        """Removes what a killed writer may have left below a local folder: files still under their staging name."""
        folder = self._path(directory)
        self._check_inside(directory, folder)
        if folder.is_dir():
            for path in folder.iterdir():
                if _STAGING.search(path.name) and not path.is_dir():
                    path.unlink(missing_ok=True)

    def check_bucket(self, uri: ObjectUri) -> None:
        """Raises NOT_FOUND unless the URI's bucket exists."""
        self._store(uri)

    def _store(self, uri: ObjectUri) -> LocalStore:
        key = (uri.scheme, uri.bucket)
        if key not in self._open:
            root = self._roots[uri.scheme]
            folder = root / uri.bucket
            if uri.scheme == STATE:
                folder.mkdir(parents=True, exist_ok=True)
            if not folder.is_dir() or folder.resolve() != folder:
                raise ObjectNotFound(
                    code_pb2.NOT_FOUND,
                    f"{uri} does not exist: there is no bucket '{uri.bucket}', a folder below the buckets folder.",
                )
            self._open[key] = LocalStore(folder)
        return self._open[key]

    def _path(self, uri: ObjectUri) -> pathlib.Path:
        return self._roots[uri.scheme] / uri.bucket / uri.key

    def _readable(self, uri: ObjectUri) -> LocalStore:
        """Returns the store once the object is known to be a regular file inside its bucket."""
        store = self._store(uri)
        path = self._path(uri)
        self._check_inside(uri, path)
        try:
            kind = path.stat().st_mode
        except (FileNotFoundError, NotADirectoryError) as error:
            raise _not_found(uri) from error
        except PermissionError as error:
            raise errors.permission_denied(f"{uri} may not be read by this service.") from error
        except OSError as error:
            raise bad_uri(str(uri), error.strerror or "the file system refuses it") from error
        if not stat.S_ISREG(kind):
            raise _not_found(uri)
        return store

    def _writable(self, uri: ObjectUri) -> LocalStore:
        store = self._store(uri)
        self._check_inside(uri, self._path(uri))
        return store

    def _check_inside(self, uri: ObjectUri, path: pathlib.Path) -> None:
        bucket = str(self._roots[uri.scheme] / uri.bucket)
        if not (os.path.realpath(path) + os.sep).startswith(bucket + os.sep):
            raise errors.permission_denied(f"{uri} leads out of its bucket through a symbolic link; this is refused.")


def _not_found(uri: ObjectUri) -> ObjectNotFound:
    return ObjectNotFound(code_pb2.NOT_FOUND, f"{uri} does not exist.")


class _translated:
    """Turns the object store's exceptions into errors that name the URI."""

    def __init__(self, uri: ObjectUri) -> None:
        self._uri = uri

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        match error:
            case None | errors.ApiError():
                return
            case FileNotFoundError():
                raise _not_found(self._uri) from error
            case PermissionError() | exceptions.PermissionDeniedError() | exceptions.UnauthenticatedError():
                raise errors.permission_denied(f"{self._uri} may not be accessed by this service.") from error
            case exceptions.InvalidPathError() | ValueError():
                raise bad_uri(str(self._uri), "the object store refuses it") from error
            case exceptions.BaseError() | OSError():
                reason = str(error).split("\n", 1)[0]
                raise errors.unavailable(f"{self._uri} cannot be reached now: {reason}") from error
