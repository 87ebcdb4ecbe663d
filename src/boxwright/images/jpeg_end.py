"""Where the pixels of a JPEG end, whatever its end marker says: files that lost it, and files cut in the middle.

    outline(data) -> JpegFile | None         its segments and scans, without a decoder
    closed(outline, warns) -> bytes         the same image with a proper end; or TruncatedError

Readers go by the end marker. People's files have lost it (a camera that was switched off, a copy that stopped a few bytes
early), carry an odd one, or zeros up to the next disk block. So pixels are counted, not markers: the file is cut behind its
last scan, gets an end marker, and is tried by a strict decoder, which complains as soon as one block is missing.

Formats of segments, frames and scans: ITU T.81, annex B; successive approximation: annex G.
"""

from __future__ import annotations

import dataclasses
import math
import re
import struct
from collections.abc import Callable

END = b"\xff\xd9"
_START, _SCAN, _RESTART_INTERVAL = 0xD8, 0xDA, 0xDD
_HUFFMAN_FRAMES, _ARITHMETIC_FRAMES, _PROGRESSIVE_FRAMES = (0xC0, 0xC1, 0xC2), (0xC9, 0xCA), (0xC2, 0xCA)
_COEFFICIENTS = 64  # of a block
_SAMPLE_BITS = 8
# No stuffed byte, no fill, no restart. Fill bytes are left to the caller: looking for runs of them takes quadratic time.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_TOO_MUCH = re.compile(r"extraneous bytes before marker 0xd9", re.IGNORECASE)
MAX_SCANS = 1000  # a progressive JPEG takes ten; one of a hundred thousand wants to keep somebody busy
_RETURNED_BYTES = 3  # of padding that is zeros or ones, so much may belong to the pixels: a last byte, stuffed


class TruncatedError(Exception):
    """The data end before the pixels do."""


@dataclasses.dataclass(frozen=True)
class JpegFile:
    """A JPEG up to the end of its last scan.

    Attributes:
        content: from the start marker to the last coded byte, without the bytes that stray between segments.
        width: in pixels, as stored.
        height: in pixels, as stored.
        components: channels.
        is_arithmetic: whether it is coded arithmetically: then nothing but a marker says where the data end.
        has_all_scans: whether every coefficient of every channel has been sent to its last bit.
        is_followed: whether a marker follows the last scan, and not the end of the data.
        is_ended: whether that is the end marker.
        has_strays: whether there were other bytes between its segments.
        has_all_restarts: whether the last scan has as many restart markers as it takes.
    """

    content: bytes
    width: int
    height: int
    components: int
    is_arithmetic: bool
    has_all_scans: bool
    is_followed: bool
    is_ended: bool
    has_strays: bool
    has_all_restarts: bool


class _Bits:
    """Which bits of which coefficients the scans have brought so far."""

    def __init__(self, components: bytes) -> None:
        self._left = {component: [1 << 8] * _COEFFICIENTS for component in components}  # lowest bit sent; 256: none yet

    def note(self, header: bytes, *, is_progressive: bool) -> bool:
        """Takes a scan header; False if it is unreadable or names a channel that is not there."""
        if len(header) < 4 or not header[0] or len(header) < 4 + 2 * header[0]:
            return False
        count = header[0]
        first, last, approximation = header[1 + 2 * count : 4 + 2 * count]
        if not is_progressive:
            first, last, approximation = 0, _COEFFICIENTS - 1, 0  # whatever it says: decoders take all
        for component in header[1 : 1 + 2 * count : 2]:
            left = self._left.get(component)
            if left is None or last >= _COEFFICIENTS:
                return False
            for place in range(first, last + 1):
                left[place] = approximation & 15
        return True

    def are_all_there(self) -> bool:
        """Whether nothing is missing."""
        return all(not any(left) for left in self._left.values())


def outline(data: bytes) -> JpegFile | None:
    """Walks a JPEG; None if it has no readable frame and scan, or a coding that ordinary decoders leave out."""
    parts: list[bytes] = [data[:2]]
    frame = coding = None
    bits: _Bits | None = None
    is_followed = is_ended = False
    has_strays, has_all_restarts = False, True
    interval = scans = 0
    offset = 2
    while not is_ended and not (scans and bits is not None and bits.are_all_there()):
        found = _MARKER.search(data, offset)
        between = data[offset : len(data) if found is None else found.start()]
        has_strays = has_strays or bool(between.strip(b"\xff"))
        if found is None or found.end() + 2 > len(data):
            is_ended = found is not None and data[found.end() - 1] == END[1]
            break
        start, marker = found.end(), data[found.end() - 1]
        is_ended = marker == END[1]
        if is_ended or marker == _START:
            break
        if marker <= 0x01:  # without content
            offset = start
            continue
        end = start + max(2, int.from_bytes(data[start : start + 2], "big"))
        content = data[start + 2 : end]
        if end > len(data):
            break
        parts.append(b"\xff" + data[start - 1 : end])
        offset = end
        if marker in _HUFFMAN_FRAMES + _ARITHMETIC_FRAMES:
            if len(content) < 9 or len(content) < 6 + 3 * content[5] or content[0] != _SAMPLE_BITS:
                return None
            frame, coding = content[: 6 + 3 * content[5]], marker
            bits = _Bits(content[6 : 6 + 3 * content[5] : 3])
        elif marker == _RESTART_INTERVAL:
            interval = int.from_bytes(content[:2], "big")
        elif marker == _SCAN:
            scans += 1
            if (
                frame is None
                or bits is None
                or scans > MAX_SCANS
                or not bits.note(content, is_progressive=coding in _PROGRESSIVE_FRAMES)
            ):
                return None
            behind = _MARKER.search(data, offset)
            is_followed = behind is not None
            coded_end = behind.start() if behind is not None else len(data)
            parts.append(data[offset:coded_end].rstrip(b"\xff") if is_followed else data[offset:])
            has_all_restarts = not interval or len(_RESTART.findall(parts[-1])) + 1 >= _units(frame, content) / interval
            offset = coded_end
            is_ended = behind is not None and data[behind.end() - 1] == END[1]
    if frame is None or coding is None or bits is None or not scans:
        return None
    height, width, components = struct.unpack_from(">HHB", frame, 1)
    return JpegFile(
        b"".join(parts), width, height, components, coding in _ARITHMETIC_FRAMES, bits.are_all_there(), is_followed,
        is_ended, has_strays, has_all_restarts,
    )  # fmt: skip


def _units(frame: bytes, scan: bytes) -> int:
    """How many minimum coded units a scan has (ITU T.81, A.2)."""
    height, width = struct.unpack_from(">HH", frame, 1)
    sampling = {kind: (both >> 4, both & 15) for kind, both in zip(frame[6::3], frame[7::3], strict=False)}
    most_across = max(across for across, _ in sampling.values()) or 1
    most_down = max(down for _, down in sampling.values()) or 1
    if scan[0] > 1:
        return math.ceil(width / (8 * most_across)) * math.ceil(height / (8 * most_down))
    across, down = sampling[scan[1]]
    return math.ceil(math.ceil(width * across / most_across) / 8) * math.ceil(math.ceil(height * down / most_down) / 8)


def closed(found: JpegFile, warns: Callable[[bytes], str]) -> bytes | None:
    """The JPEG with an end marker right behind its pixels; None if it is damaged otherwise, for a lenient decoder to judge.

    Args:
        found: the file.
        warns: the first warning of a strict decoder about a JPEG, as libjpeg words it; empty if it has none.

    Raises:
        TruncatedError: blocks or scans are missing.
    """
    if not found.has_all_scans and (found.has_strays or not found.is_ended):
        raise TruncatedError  # one that is sound and has its end may leave scans out
    if found.is_arithmetic:
        if not found.is_followed:
            raise TruncatedError  # its decoder takes what is missing for zeros
        return found.content + END
    coded = found.content
    said = warns(coded + END)
    if "premature" in said.lower() and coded.endswith(b"\xff") and not coded.endswith(b"\xff\xff"):
        coded += b"\0"  # cut between a byte of ones and the zero that is stuffed behind it
        said = warns(coded + END)
    if not said:
        return coded + END
    if "premature" in said.lower():
        raise TruncatedError
    if not _TOO_MUCH.search(said):
        return None
    if not found.has_all_restarts or not found.has_all_scans:
        raise TruncatedError  # something else stands where a restart marker, or the next scan, should be
    # Padding of zeros reads like blocks of pixels: what is left without it must do.
    bare = len(coded.rstrip(b"\0\xff"))
    for length in range(bare, min(len(coded), bare + _RETURNED_BYTES) + 1):
        said = warns(coded[:length] + END)
        if not said or _TOO_MUCH.search(said):
            return coded[:length] + END
    raise TruncatedError
