"""The inputs of a batch, opened: what each address is, its identity, and the entries in it.

A file is told by its content: a list of text, packed by gzip or not, a Parquet file, a tar archive, packed or not.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
from collections.abc import Generator, Iterator

from boxwright import errors, file_kinds, objects, rows
from boxwright.batch import image_list
from boxwright.batch.entry import Entry
from boxwright.batch.inputs import archive_members, json_array, parquet_rows, tar_format, unpacking
from boxwright.batch.inputs.image_names import ImageNames
from boxwright.batch.inputs.listed_members import ListedMembers
from boxwright.batch.inputs.member_files import MemberFiles
from boxwright.batch.job import BatchSpec

FOLDER_ADVICE = "A batch prediction also takes the folder of the images itself, with a slash at its end."


class FileKind(enum.Enum):
    """What a file is."""

    TEXT = enum.auto()
    GZIP_TEXT = enum.auto()
    PARQUET = enum.auto()
    TAR = enum.auto()
    GZIP_TAR = enum.auto()


def kind_of(start: bytes) -> tuple[FileKind, bytes]:
    """Returns (what a file is, the first bytes of its text if it is one) by its first bytes, 4 KiB or all there are."""
    if start.startswith(parquet_rows.MAGIC):
        return FileKind.PARQUET, b""
    if tar_format.is_tar(start):
        return FileKind.TAR, b""
    if start.startswith(unpacking.MAGIC):
        unpacked = unpacking.start(start, file_kinds.LOOKED_AT_BYTES)
        return (FileKind.GZIP_TAR, b"") if tar_format.is_tar(unpacked) else (FileKind.GZIP_TEXT, unpacked)
    return FileKind.TEXT, start


def check_start(info: objects.ObjectInfo, start: bytes, column: str = "") -> bool:
    """Judges a file by its first bytes; returns whether it may hold an entry.

    Args:
        info: the file.
        start: its first bytes, `file_kinds.LOOKED_AT_BYTES` or all there are.
        column: see `image_list.read`.

    Raises:
        ApiError: INVALID_ARGUMENT: it is no input of a batch prediction.
    """
    kind, text = kind_of(start)
    if kind not in (FileKind.TEXT, FileKind.GZIP_TEXT):
        return True
    _check_text(info.uri, text)
    if json_array.is_array(text):
        return True
    is_whole = kind == FileKind.TEXT and len(start) == info.size_bytes
    line = rows.first_line(info.uri, text, is_whole=is_whole)
    if line is not None:
        image_list.check_first_line(line, column)
    return line is not None or not is_whole


def is_plain_list(uri: objects.ObjectUri, start: bytes) -> bool:
    """Whether a file is a list that can be read piece by piece: text, neither packed nor one JSON array.

    Args:
        uri: the file.
        start: its first bytes, `file_kinds.LOOKED_AT_BYTES` or all there are.

    Raises:
        ApiError: INVALID_ARGUMENT: it is no input of a batch prediction.
    """
    kind, text = kind_of(start)
    if kind != FileKind.TEXT:
        return False
    _check_text(uri, text)
    return not json_array.is_array(text)


class FileSource:
    """A list or an archive.

    Args:
        stores: where it is, with what the caller may.
        info: the file, as it was when the job began.
        spec: the job's.
        files: keeps the bytes of members.

    Attributes:
        left_out: what was left out of an archive that has been read, see `ImageNames`.
    """

    def __init__(self, stores: objects.Stores, info: objects.ObjectInfo, spec: BatchSpec, files: MemberFiles) -> None:
        self.info = info
        self._stores = stores
        self._spec = spec
        self._files = files
        self.left_out: collections.Counter[str] = collections.Counter()

    @property
    def total_bytes(self) -> int:
        """Of the file."""
        return self.info.size_bytes

    def entries(self) -> Generator[Entry, None, None]:
        """Yields what the file names.

        Raises:
            ApiError: from the store; INVALID_ARGUMENT if it is no input; ABORTED if it changed since the job began.
        """
        before, start = self._stores.start(self.info.uri, file_kinds.LOOKED_AT_BYTES)
        kind, text = kind_of(start)
        match kind:
            case FileKind.TAR | FileKind.GZIP_TAR:
                names = ImageNames(self._spec.input_suffixes)
                yield from archive_members.members(self._stores, before, names, self._files)
                self.left_out = names.left_out
            case _:
                listed = ListedMembers(self._stores, self._files)
                yield from map(listed.resolved, self._rows(before, text, kind))
        if self._stores.head(self.info.uri) != before:
            raise changed(str(self.info.uri))

    def _rows(self, info: objects.ObjectInfo, start: bytes, kind: FileKind) -> Iterator[Entry]:
        """Yields what a list names; `start` is the beginning of its text."""
        if kind == FileKind.PARQUET:
            yield from parquet_rows.entries(self._stores, info, self._spec.input_column)
            return
        _check_text(info.uri, start)
        chunks = self._stores.stream(info.uri)
        unpacked = unpacking.Unpacked(info.uri, chunks) if kind == FileKind.GZIP_TEXT else None
        text = chunks if unpacked is None else iter(unpacked)
        column = self._spec.input_column
        if json_array.is_array(start):
            found = json_array.entries(info.uri, text, column)
        else:
            found = image_list.read(self._stores, info.uri, chunks=text, column=column)
        for entry in found:
            yield entry if unpacked is None else dataclasses.replace(entry, end_bytes=unpacked.read_bytes)


def changed(uri: str) -> errors.ApiError:
    """The error for an input that is not what it was."""
    return errors.aborted(f"{uri} changed while the job was running; start a new job to predict the list as it is now.")


def _check_text(uri: objects.ObjectUri, start: bytes) -> None:
    found = file_kinds.refusal(start)
    if found is not None and found[0].endswith("image"):
        raise errors.bad_request(f"{uri}: this is {found[0]}; a CSV is expected. {found[1]} {FOLDER_ADVICE}")
    rows.check_start(uri, start)
