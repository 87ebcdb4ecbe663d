"""Objects in folders of this machine, and the walls around them.

`BucketFolders` is ``gs://BUCKET/KEY`` (or ``state://…``) as the file KEY below the folder BUCKET; `AllowedFolders` is
``file:///PATH`` below the folders that the operator allowed. A path that leaves its folder through a symbolic link is
refused, for reading and for writing, and so is everything that is no regular file.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import os
import pathlib
import re
import stat
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import obstore
from obstore import exceptions
from obstore.store import LocalStore

from boxwright import errors, private
from boxwright.objects import deletion, entries, listing, store_errors
from boxwright.objects.uris import BadUri, ObjectUri, bad_uri

if TYPE_CHECKING:
    from obstore.store import ObjectStore

STAGING = re.compile(r"#\d+$")  # obstore's name for a file that is being written to a local folder


@dataclasses.dataclass(frozen=True)
class StoreKey:
    """Where an object is.

    Attributes:
        store: the store that has it.
        key: its key there.
        base: what the store's keys lack of the URI's.
    """

    store: ObjectStore
    key: str
    base: str = ""

    def range(self, start: int, length: int, e_tag: str = "") -> bytes:
        """Bytes from a place on; PreconditionError if an entity tag is given and the object has another."""
        if not e_tag:
            return bytes(obstore.get_range(self.store, self.key, start=start, length=length))
        found = obstore.get(self.store, self.key, options={"range": (start, start + length), "if_match": e_tag})
        return bytes(found.bytes())


class ObjectVersion(NamedTuple):
    """What tells an object from what it was: other bytes have another version, or another size.

    Attributes:
        size_bytes: of the object.
        version: entity tag in a cloud, time of the last change in nanoseconds in a folder; empty if the store says none.
    """

    size_bytes: int
    version: str


class Folders(abc.ABC):
    """What both kinds of folders share: a URI is a path below one of some folders."""

    def __init__(self) -> None:
        self._open: dict[pathlib.Path, LocalStore] = {}

    def pace(self, uri: ObjectUri) -> None:
        """None: a folder is used as often as there is something to do."""
        return None

    def ask_when(self, uri: ObjectUri) -> None:
        """None, as there is no `pace`."""
        return None

    @abc.abstractmethod
    def folder(self, uri: ObjectUri) -> tuple[pathlib.Path, str, str]:
        """Returns (existing folder that the URI may not leave, path below it, what the URI's key has before that)."""

    @abc.abstractmethod
    def outermost(self) -> list[ObjectUri]:
        """The folders that there are and that nothing leads out of, in order."""

    def reading(self, uri: ObjectUri) -> StoreKey:
        """Finds an object that is known to be a regular file inside its folder."""
        place = self.place(uri)
        with _explained(uri):
            kind = self.path(uri).stat().st_mode
        if not stat.S_ISREG(kind):
            raise store_errors.no_file(uri, stat.S_ISDIR(kind))
        return place

    def read(self, uri: ObjectUri, max_bytes: int | None) -> tuple[bytes, str]:
        """Reads a whole object: the file itself, at a quarter of what the client library takes for it; and its version."""
        folder, key, _ = self.folder(uri)
        path = f"{folder}{os.sep}{key}"
        self._check_inside(uri, folder, path)
        with _explained(uri):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe does not block the opener
            try:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode):
                    raise store_errors.no_file(uri, stat.S_ISDIR(status.st_mode))
                store_errors.check_size(uri, status.st_size, max_bytes)
                data = os.read(descriptor, status.st_size)
                while len(data) < status.st_size and (more := os.read(descriptor, status.st_size - len(data))):
                    data += more  # one call reads at most 2 GiB
            finally:
                os.close(descriptor)
        return store_errors.check_whole(data, status.st_size), str(status.st_mtime_ns)

    def version(self, uri: ObjectUri) -> ObjectVersion:
        """See `Backend.version`."""
        folder, key, _ = self.folder(uri)
        path = f"{folder}{os.sep}{key}"
        self._check_inside(uri, folder, path)
        with _explained(uri):
            status = pathlib.Path(path).stat()
        if not stat.S_ISREG(status.st_mode):
            raise store_errors.no_file(uri, stat.S_ISDIR(status.st_mode))
        return ObjectVersion(status.st_size, str(status.st_mtime_ns))

    def versions(self, prefix: ObjectUri, after: str) -> None:
        """None: a look at each file costs no more than a list of them."""
        return None

    def place(self, uri: ObjectUri) -> StoreKey:
        """Finds where an object is or would be."""
        folder, key, base = self.folder(uri)
        self._check_inside(uri, folder, folder / key)
        if folder not in self._open:
            self._open[folder] = LocalStore(folder)
        return StoreKey(self._open[folder], key, base)

    def long_place(self, uri: ObjectUri) -> StoreKey:
        """See `Backend.long_place`."""
        return self.place(uri)

    def resolved(self, uri: ObjectUri) -> ObjectUri:
        """The object that a URI leads to within its bucket; the URI itself if it leads out, which is refused elsewhere."""
        folder, key, base = self.folder(uri)
        walls = str(folder).rstrip(os.sep) + os.sep
        try:
            real = os.path.realpath(walls + key)
        except UnicodeError:  # no name of a file, which is said when it is opened
            return uri
        if not real.startswith(walls) or real == walls + key.rstrip("/"):
            return uri
        return dataclasses.replace(uri, key=base + real[len(walls) :] + ("/" if key.endswith("/") else ""))

    def path(self, uri: ObjectUri) -> pathlib.Path:
        """The file behind a URI."""
        folder, key, _ = self.folder(uri)
        return folder / key

    def put(self, uri: ObjectUri, data: bytes, *, once: bool) -> bool:
        """Writes an object; returns False if it is there already and was to be written once only."""
        place = self.place(uri)
        try:
            obstore.put(place.store, place.key, data, mode="create" if once else "overwrite")
        except exceptions.AlreadyExistsError:
            return False
        return True

    def check_bucket(self, uri: ObjectUri) -> None:
        """Raises unless the folder of the URI exists."""
        self.place(uri)

    def check_destination(self, uri: ObjectUri) -> None:
        """Raises unless files can be made below the URI; the folders on the way there need not be there yet."""
        self.place(uri)
        folder, key, base = self.folder(uri)
        path, parts = folder, key.strip("/").split("/")
        for depth, part in enumerate(parts if key else (), 1):
            try:
                kind = (path / part).stat().st_mode
            except FileNotFoundError:
                break
            path = path / part
            if not stat.S_ISDIR(kind):
                obstacle = dataclasses.replace(uri, key=base + "/".join(parts[:depth]))
                raise store_errors.below_an_object(uri, obstacle)
        if not os.access(path, os.W_OK | os.X_OK):
            raise errors.permission_denied(f"Nothing may be written below {uri} by this service.")

    def keys(self, prefix: ObjectUri, after: str, bounds: listing.Bounds | None = None) -> Iterator[list[str]]:
        """Yields the keys below a folder in order, from behind a key on; symbolic links to folders end in a slash.

        Folders that `bounds` rules out are not opened.
        """
        self.place(prefix)
        folder, key, base = self.folder(prefix)
        below = f"{base}{key.rstrip('/')}/" if key.strip("/") else base
        start = after.encode("utf-8", "surrogateescape").removeprefix(os.fsencode(below)) if after else b""

        def is_wanted(path: bytes) -> bool:
            found = below + os.fsdecode(path)
            bound = found if bounds is None else bounds(found)
            return bound is not None and bound.startswith(found)

        paths = listing.walked(os.fsencode(folder / key), start, is_wanted)
        yield from listing.pages(below + os.fsdecode(path) for path in paths)

    def entries(self, prefix: ObjectUri, after: str) -> Iterator[entries.Entry]:
        """See `Backend.entries`."""
        self.place(prefix)
        folder, key, _ = self.folder(prefix)
        return entries.of_folder(os.fsencode(folder / key), after, STAGING.search)

    def delete(self, uri: ObjectUri) -> None:
        """Deletes an object; none is fine."""
        self.place(uri)
        self.path(uri).unlink(missing_ok=True)

    def delete_below(self, folder: ObjectUri) -> None:
        """See `Backend.delete_below`; the folder goes too."""
        self.place(folder)
        deletion.remove_tree(str(self.path(folder)))

    def sweep_unfinished(self, directory: ObjectUri) -> None:
        """Removes what a killed writer may have left: files still under their staging name."""
        self.place(directory)
        folder = self.path(directory)
        if folder.is_dir():
            for path in folder.iterdir():
                if STAGING.search(path.name) and not path.is_dir():
                    path.unlink(missing_ok=True)

    def _check_inside(self, uri: ObjectUri, folder: pathlib.Path, path: pathlib.Path | str) -> None:
        if not (os.path.realpath(path) + os.sep).startswith(str(folder).rstrip(os.sep) + os.sep):
            raise errors.permission_denied(f"{uri} leads out of its bucket through a symbolic link; this is refused.")


@contextlib.contextmanager
def _explained(uri: ObjectUri) -> Iterator[None]:
    """What the file system says about a path that is to be read, as an error that names the URI."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise store_errors.not_found(uri) from error
    except PermissionError as error:
        raise errors.permission_denied(f"{uri} may not be read by this service.") from error
    except OSError as error:
        if error.errno in store_errors.TRANSIENT_ERRNOS:
            raise
        raise bad_uri(str(uri), error.strerror or "the file system refuses it") from error


def _is_no_bucket(name: str) -> bool:
    """Whether a name in the folder of the buckets is that of no bucket."""
    try:
        return not name.endswith("/") or ObjectUri.parse(f"gs://{name}").bucket != name.rstrip("/")
    except BadUri:
        return True


class BucketFolders(Folders):
    """Buckets that are the sub-folders of one folder.

    Args:
        root: the folder whose sub-folders are the buckets.
        is_state: whether these are the service's own: a bucket that is not there is made, and everything is private.
    """

    def __init__(self, root: pathlib.Path, *, is_state: bool = False) -> None:
        super().__init__()
        self.root = root.resolve()
        self._is_state = is_state
        self._known: dict[str, pathlib.Path] = {}

    def folder(self, uri: ObjectUri) -> tuple[pathlib.Path, str, str]:
        """See `Folders.folder`."""
        if uri.bucket not in self._known:
            folder = self.root / uri.bucket
            if self._is_state:
                private.make_folder(folder)
            if not folder.is_dir() or folder.resolve() != folder:
                raise store_errors.no_bucket(uri, ", a folder below the buckets folder")
            self._known[uri.bucket] = folder
        return self._known[uri.bucket], uri.key, ""

    def outermost(self) -> list[ObjectUri]:
        """See `Folders.outermost`."""
        found = entries.of_folder(os.fsencode(self.root), "", _is_no_bucket)
        return [ObjectUri("gs", entry.name.rstrip("/"), "") for entry in found]

    def put(self, uri: ObjectUri, data: bytes, *, once: bool) -> bool:
        """See `Folders.put`."""
        if not self._is_state:
            return super().put(uri, data, once=once)
        path = self.path(uri)
        private.make_folder(path.parent)
        is_written = super().put(uri, data, once=once)
        if is_written:
            path.chmod(private.FILE_MODE)  # the client library has no mode; the folder has kept others out until now
        return is_written


class AllowedFolders(Folders):
    """Paths of this machine below the folders that the operator allowed."""

    def __init__(self, roots: Sequence[str]) -> None:
        super().__init__()
        self._roots = sorted((os.path.normpath(root) for root in roots), key=len, reverse=True)  # the innermost first

    def folder(self, uri: ObjectUri) -> tuple[pathlib.Path, str, str]:
        """See `Folders.folder`."""
        path = "/" + uri.key
        for root in self._roots:
            prefix = root.rstrip("/") + "/"
            if (path.rstrip("/") + "/").startswith(prefix):
                folder = pathlib.Path(root).resolve()
                if not folder.is_dir():
                    raise store_errors.not_found(uri)
                return folder, path[len(prefix) :], prefix[1:]
        raise errors.permission_denied(
            f"{uri} is not below a folder that this installation allows; the setting file_roots names them."
        )

    def outermost(self) -> list[ObjectUri]:
        """See `Folders.outermost`."""
        return [ObjectUri("file", "", f"{root.strip('/')}/") for root in sorted(self._roots)]
