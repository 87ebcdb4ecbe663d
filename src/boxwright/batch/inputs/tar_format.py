"""The tar format as a stream: members in their order, each read or skipped before the next.

Sources: POSIX.1-2017, pax (ustar and the extended headers ``x`` and ``g``), and the GNU tar manual (long names ``L`` and
``K``, numbers in base 256). Python's own `tarfile` takes a damaged header for the end of an archive, and reads an extended
header of any length into memory.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

BLOCK_BYTES = 512
MAX_HEADER_BYTES = 1 << 20  # of one extended header or long name
MAX_HEADERS = 64  # before one member
MAGIC_AT, MAGIC = 257, b"ustar"
_FILES = (b"0", b"\0", b"7")
FOLDER_KIND = "a folder"
_KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"5": FOLDER_KIND,
    b"6": "a pipe",
    b"S": "a sparse file",
}
_SPARSE = b"GNU.sparse."


class TarError(Exception):
    """This is no tar, or a damaged one; the text says what is wrong, without a full stop."""


@dataclasses.dataclass(frozen=True)
class Member:
    """One member's header.

    Attributes:
        name: its name, as bytes.
        size_bytes: of its content.
        kind: empty for a regular file, else what it is, such as ``a symbolic link``.
    """

    name: bytes
    size_bytes: int
    kind: str = ""


class TarReader:
    """Reads an archive from front to back.

    Args:
        pieces: its bytes.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = memoryview(b"")
        self._left = 0  # of the present member's content
        self._padding = 0  # behind it
        self._position = 0

    def members(self) -> Iterator[Member]:
        """Yields the members; what `content` has not read of one is skipped.

        Raises:
            TarError: the archive is damaged or cut off.
        """
        while True:
            self._skip(self._left + self._padding)
            self._left = self._padding = 0
            member = self._header()
            if member is None:
                return
            yield member

    def content(self) -> Iterator[memoryview]:
        """Yields the pieces of the present member's content."""
        while self._left:
            piece = self._take(self._left)
            self._left -= len(piece)
            yield piece

    def _header(self) -> Member | None:
        """The next member; None at the end mark."""
        extended: dict[bytes, bytes] = {}
        for _ in range(MAX_HEADERS):
            at = self._position
            block = self._exactly(BLOCK_BYTES, "it has no end mark")
            if not any(block):
                return None
            _check_sum(block, at)
            size_bytes, kind = _number(block[124:136], at), block[156:157]
            if kind in (b"x", b"X", b"g", b"L", b"K"):
                text = self._extension(size_bytes, at)
                if kind in (b"x", b"X"):
                    extended |= _records(text, at)
                elif kind == b"L":
                    extended[b"path"] = text.split(b"\0", 1)[0]
                continue
            size_bytes = _decimal(extended[b"size"], at) if b"size" in extended else size_bytes
            if kind in (b"1", b"2", b"3", b"4", b"5", b"6"):
                size_bytes = 0  # whatever is written there
            self._left, self._padding = size_bytes, -size_bytes % BLOCK_BYTES
            is_sparse = any(key.startswith(_SPARSE) for key in extended)
            what = _KINDS[b"S"] if is_sparse else "" if kind in _FILES else _KINDS.get(kind, "no regular file")
            name = extended.get(b"path") or _name(block)
            is_folder = not what and name.endswith(b"/")  # before POSIX, a folder was a file whose name ends in a slash
            return Member(name, size_bytes, FOLDER_KIND if is_folder else what)
        raise TarError(f"there are more than {MAX_HEADERS} headers for one member at byte {at}")

    def _extension(self, size_bytes: int, at: int) -> bytes:
        if size_bytes > MAX_HEADER_BYTES:
            raise TarError(f"the header at byte {at} has {size_bytes} bytes; the limit is {MAX_HEADER_BYTES}")
        text = self._exactly(size_bytes, "it is cut off")
        self._skip(-size_bytes % BLOCK_BYTES)
        return text

    def _take(self, most: int) -> memoryview:
        """The next bytes, at least one and at most so many."""
        while not self._held:
            piece = next(self._pieces, None)
            if piece is None:
                raise TarError("it is cut off")
            self._held = memoryview(piece)
        taken, self._held = self._held[:most], self._held[most:]
        self._position += len(taken)
        return taken

    def _exactly(self, count: int, why: str) -> bytes:
        parts: list[memoryview] = []
        while count:
            try:
                parts.append(self._take(count))
            except TarError as error:
                raise TarError(why if not parts else str(error)) from error
            count -= len(parts[-1])
        return b"".join(parts)

    def _skip(self, count: int) -> None:
        while count:
            count -= len(self._take(count))


def is_tar(start: bytes) -> bool:
    """Whether a file that begins with these bytes, `BLOCK_BYTES` or more if it has so many, can be an archive."""
    block = start[:BLOCK_BYTES]
    if len(block) < BLOCK_BYTES:
        return False
    if not any(block):
        return True  # an archive of nothing is its end mark
    try:
        _check_sum(block, 0)
    except TarError:
        return block[MAGIC_AT:].startswith(MAGIC)
    return True


def _check_sum(block: bytes, at: int) -> None:
    """Raises unless the header's sum is right: its bytes, signed or not, with blanks in place of the sum."""
    blanked = block[:148] + b" " * 8 + block[156:]
    written, unsigned = _number(block[148:156], at), sum(blanked)
    if written != unsigned and written != unsigned - 256 * sum(byte > 127 for byte in blanked):
        raise TarError(f"the header at byte {at} is damaged")


def _number(field: bytes, at: int) -> int:
    if field[0] & 0x80:  # base 256
        number = int.from_bytes(field[1:], "big") if field[0] == 0x80 else -1
    else:
        try:
            number = int(field.split(b"\0", 1)[0].strip() or b"0", 8)
        except ValueError:
            number = -1
    if number < 0:
        raise TarError(f"the header at byte {at} is damaged")
    return number


def _decimal(text: bytes, at: int) -> int:
    if not text.isdigit() or len(text) > 20:
        raise TarError(f"the extended header before byte {at} is damaged")
    return int(text)


def _name(block: bytes) -> bytes:
    name, prefix = (field.split(b"\0", 1)[0] for field in (block[:100], block[345:500]))
    is_posix = block[MAGIC_AT : MAGIC_AT + 6] == MAGIC + b"\0"  # others have something else in the place of the prefix
    return prefix + b"/" + name if is_posix and prefix else name


def _records(text: bytes, at: int) -> dict[bytes, bytes]:
    """The records of an extended header: ``LENGTH KEY=VALUE`` and a line break, each."""
    found: dict[bytes, bytes] = {}
    start = 0
    while start < len(text) and text[start]:
        digits, blank, _ = text[start : start + 21].partition(b" ")
        length = int(digits) if blank and digits.isdigit() else 0
        record = text[start + len(digits) + 1 : start + length]
        key, equals, value = record.partition(b"=")
        if not equals or not value.endswith(b"\n") or start + length > len(text):
            raise TarError(f"the extended header at byte {at} is damaged")
        found[key] = value[:-1]
        start += length
    return found
