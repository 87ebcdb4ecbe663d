"""The images in a tar archive, as entries; read once from front to back, ahead of those who predict."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import queue
import threading
from collections.abc import Callable, Iterator
from typing import TypeAlias

from boxwright import errors, objects
from boxwright.batch.entry import Entry, HeldBytes
from boxwright.batch.inputs import unpacking
from boxwright.batch.inputs.image_names import ImageNames
from boxwright.batch.inputs.member_files import MemberFiles
from boxwright.batch.inputs.tar_format import FOLDER_KIND, Member, TarError, TarReader
from boxwright.batch.inputs.unpacking import Unpacked
from boxwright.images import decode

READ_BYTES = 8 << 20  # of one request: a store may end one that lasts as long as a job
AHEAD_ENTRIES = 1000
POLL_S = 0.2
_Told: TypeAlias = Entry | Exception | None


@dataclasses.dataclass(frozen=True)
class OpenMember:
    """A member of an archive that is being read.

    Attributes:
        number: its place in the archive, from 1.
        name: its name, without ``./`` at its beginning; what is no UTF-8 is replaced.
        size_bytes: of its content.
        is_folder: whether it is one.
        is_unsafe: whether its name leads out of the archive or has empty parts.
        failure: why it cannot be predicted; None if nothing is known against it.
        content: gives its bytes, until the next member is asked for.
        end_bytes: about how many bytes of the archive had been read before it.
    """

    number: int
    name: str
    size_bytes: int
    is_folder: bool
    is_unsafe: bool
    failure: str | None
    content: Callable[[], Iterator[memoryview]]
    end_bytes: int


def opened(stores: objects.Stores, info: objects.ObjectInfo) -> Iterator[OpenMember]:
    """Yields the members of an archive, packed or not, in its order.

    Raises:
        ApiError: from the store; INVALID_ARGUMENT if the archive is damaged or cut off.
    """
    progress = _Progress()
    pieces = progress.counted(_ranges(stores, info))
    first = next(pieces, b"")
    pieces = itertools.chain((first,), pieces)
    reader = TarReader(iter(Unpacked(info.uri, pieces)) if first.startswith(unpacking.MAGIC) else pieces)

    def content() -> Iterator[memoryview]:
        with _explained(info.uri):
            yield from reader.content()

    with _explained(info.uri):
        for number, member in enumerate(reader.members(), 1):
            name = _name(member)
            is_unsafe = name.startswith("/") or any(part in ("", ".", "..") for part in name.split("/"))
            failure = _failure(member, name, len(str(info.uri)), is_unsafe)
            is_folder = member.kind == FOLDER_KIND
            yield OpenMember(
                number, name, member.size_bytes, is_folder, is_unsafe, failure, content, progress.read_bytes
            )


def members(stores: objects.Stores, info: objects.ObjectInfo, names: ImageNames, files: MemberFiles) -> Iterator[Entry]:
    """Yields an entry for each image of an archive, in its order; the bytes are in `files` by then.

    Args:
        stores: where the archive is.
        info: the archive.
        names: chooses the images.
        files: keeps their bytes.

    Raises:
        ApiError: as `opened`.
    """
    ahead: queue.Queue[_Told] = queue.Queue(AHEAD_ENTRIES)
    ended = threading.Event()

    def tell(what: _Told) -> bool:
        while not ended.is_set():
            try:
                ahead.put(what, timeout=POLL_S)
            except queue.Full:
                continue
            return True
        return False

    def read() -> None:
        try:
            for entry in _entries(stores, info, names, files):
                if not tell(entry):
                    return
            tell(None)
        except Exception as error:  # a store's or the archive's: it belongs to the caller
            tell(error)

    reader = threading.Thread(target=read, name="archive", daemon=True)
    reader.start()
    try:
        while (told := ahead.get()) is not None:
            if isinstance(told, Exception):
                raise told
            yield told
    finally:
        ended.set()


def _entries(
    stores: objects.Stores, info: objects.ObjectInfo, names: ImageNames, files: MemberFiles
) -> Iterator[Entry]:
    count = 0
    for member in opened(stores, info):
        if member.is_folder or not names.takes(member.name.rpartition("/")[2] if member.is_unsafe else member.name):
            continue
        count += 1
        place, text = f"{info.uri}, member {member.number}", f"{info.uri}#{member.name}"
        if len(text) > objects.MAX_URI_CHARS:
            text = place
        if member.failure is not None:
            yield Entry(text, place, member.end_bytes, failure=member.failure, is_name=True)
            continue
        if not files.are_needed(count):
            held = HeldBytes("", 0, member.size_bytes)
            yield Entry(text, place, member.end_bytes, is_name=True, held=held)
            continue
        if not files.wait_for_room():
            return
        held = files.write(text, member.size_bytes, member.content())
        yield Entry(text, place, member.end_bytes, is_name=True, held=held)


@contextlib.contextmanager
def _explained(uri: objects.ObjectUri) -> Iterator[None]:
    try:
        yield
    except TarError as error:
        raise errors.bad_request(
            f"{uri} cannot be read as a tar archive: {error}. Write or upload it again."
        ) from error


def _name(member: Member) -> str:
    name = member.name.decode("utf-8", "replace")
    while name.startswith("./"):
        name = name[2:]
    return name


def _failure(member: Member, name: str, archive_chars: int, is_unsafe: bool) -> str | None:
    """Why a member cannot be predicted; None if nothing is known against it."""
    chars = archive_chars + 1 + len(name)
    if chars > objects.MAX_URI_CHARS:
        return f"its name and the archive's address have {chars} characters; the limit is {objects.MAX_URI_CHARS}"
    if member.kind:
        return f"it is {member.kind}, and only regular files are read"
    if "\ufffd" in name:
        return "its name is no UTF-8 text"
    if is_unsafe:
        return "its name leads out of the archive or has empty parts, which is not safe; pack it with relative names"
    if any(character < " " or character == "\x7f" for character in name):
        return "its name has control characters"
    if member.size_bytes > decode.MAX_IMAGE_BYTES:
        return f"it has {member.size_bytes} bytes; the limit is {decode.MAX_IMAGE_BYTES}"
    return None


class _Progress:
    """How many bytes of an object have been read."""

    def __init__(self) -> None:
        self.read_bytes = 0

    def counted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.read_bytes += len(piece)
            yield piece


def _ranges(stores: objects.Stores, info: objects.ObjectInfo) -> Iterator[bytes]:
    """An object in pieces, each by a request of its own; that it is still the same is seen at its end."""
    start = 0
    while start < info.size_bytes:
        piece = stores.range(info.uri, start, min(READ_BYTES, info.size_bytes - start))
        if not piece:
            return
        start += len(piece)
        yield piece
