"""gzip as a stream: pieces of bounded size, however much a file unpacks to."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from boxwright import errors, objects

PIECE_BYTES = 1 << 20
MAX_RATIO = 200  # lists unpack to about ten times their size; a bomb to a thousand times
JUDGED_FROM_BYTES = 64 << 20  # unpacked
MAGIC = b"\x1f\x8b"
_GZIP = 31  # zlib's windowBits for it


class Unpacked:
    """The content of a gzip object, one or several of its streams behind each other. Iterate it once.

    Args:
        uri: the object, for messages.
        chunks: its bytes.

    Attributes:
        read_bytes: how many bytes of the object have been used so far.
    """

    def __init__(self, uri: objects.ObjectUri, chunks: Iterator[bytes]) -> None:
        self._uri = uri
        self._chunks = chunks
        self._unpacked_bytes = 0
        self.read_bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        """Yields pieces of at most `PIECE_BYTES`.

        Raises:
            ApiError: INVALID_ARGUMENT if it is damaged, cut off, or unpacks to far too much.
        """
        decoder = zlib.decompressobj(_GZIP)
        is_begun = False  # whether a stream has begun and not ended
        for chunk in self._chunks:
            self.read_bytes += len(chunk)
            rest = chunk
            while rest:
                if not is_begun:
                    rest = rest.lstrip(b"\0")  # tapes and some tools pad
                    if not rest:
                        break
                    decoder, is_begun = zlib.decompressobj(_GZIP), True
                try:
                    piece = decoder.decompress(rest, PIECE_BYTES)
                except zlib.error as error:
                    raise self._unusable("it is damaged") from error
                if piece:
                    self._count(len(piece))
                    yield piece
                is_begun = not decoder.eof
                rest = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
        if is_begun:
            raise self._unusable("it is cut off")

    def _count(self, length: int) -> None:
        self._unpacked_bytes += length
        if self._unpacked_bytes > max(JUDGED_FROM_BYTES, MAX_RATIO * self.read_bytes):
            raise errors.bad_request(
                f"{self._uri} unpacks to more than {MAX_RATIO} times its size, so it is not read any further. "
                "If it is meant, unpack it and name what was in it."
            )

    def _unusable(self, why: str) -> errors.ApiError:
        return errors.bad_request(f"{self._uri} cannot be unpacked as gzip: {why}. Write or upload it again.")


def start(content: bytes, length: int) -> bytes:
    """What the first bytes of a gzip object unpack to, at most so many; nothing if they are damaged."""
    try:
        return zlib.decompressobj(_GZIP).decompress(content, length)
    except zlib.error:
        return b""
