"""A plain reader of baseline JPEG that counts blocks and looks at no pixel: the judge of what is there (ITU T.81, F.2.2)."""

from __future__ import annotations

import math
import struct


class _Bits:
    """The coded bits of a scan; IndexError at their end."""

    def __init__(self, data: bytes) -> None:
        self._bytes = bytearray()
        place = 0
        while place < len(data):
            if data[place] == 0xFF:
                if place + 1 >= len(data) or data[place + 1] != 0:
                    break  # a marker, or half of something
                place += 1
                self._bytes.append(0xFF)
            else:
                self._bytes.append(data[place])
            place += 1
        self._place = 0

    def next(self, count: int = 1) -> int:
        value = 0
        for _ in range(count):
            byte = self._bytes[self._place // 8]
            value = value << 1 | (byte >> (7 - self._place % 8)) & 1
            self._place += 1
        return value

    def symbol(self, codes: dict[tuple[int, int], int]) -> int:
        code = 0
        for length in range(1, 17):
            code = code << 1 | self.next()
            if (length, code) in codes:
                return codes[length, code]
        raise ValueError("no such code")


def has_every_block(data: bytes) -> bool:
    """Whether a baseline JPEG of one scan, without restart markers, holds every block."""
    tables: dict[int, dict[tuple[int, int], int]] = {}
    place, frame = 2, b""
    while place + 4 <= len(data):
        marker, length = data[place + 1], struct.unpack_from(">H", data, place + 2)[0]
        content = data[place + 4 : place + 2 + length]
        place += 2 + length
        if place > len(data):
            return False
        if marker == 0xC4:
            _read_tables(content, tables)
        elif marker == 0xC0:
            frame = content
        elif marker == 0xDA:
            return _has_every_block(_Bits(data[place:]), frame, content, tables)
    return False


def _read_tables(content: bytes, tables: dict[int, dict[tuple[int, int], int]]) -> None:
    while content:
        counts, symbols = content[1:17], content[17:]
        codes: dict[tuple[int, int], int] = {}
        code = 0
        for length, count in enumerate(counts, 1):
            for _ in range(count):
                codes[length, code] = symbols[len(codes)]
                code += 1
            code <<= 1
        tables[content[0]] = codes
        content = symbols[len(codes) :]


def _has_every_block(bits: _Bits, frame: bytes, scan: bytes, tables: dict[int, dict[tuple[int, int], int]]) -> bool:
    height, width = struct.unpack_from(">HH", frame, 1)
    sampling = {frame[6 + 3 * n]: (frame[7 + 3 * n] >> 4, frame[7 + 3 * n] & 15) for n in range(frame[5])}
    if len(sampling) == 1:
        sampling = dict.fromkeys(sampling, (1, 1))
    most_across, most_down = (max(one[side] for one in sampling.values()) for side in (0, 1))
    units = math.ceil(width / (8 * most_across)) * math.ceil(height / (8 * most_down))
    try:
        for _ in range(units):
            for n in range(scan[0]):
                component, chosen = scan[1 + 2 * n], scan[2 + 2 * n]
                across, down = sampling[component]
                for _ in range(across * down):
                    _skip_block(bits, tables[chosen >> 4], tables[0x10 | chosen & 15])
    except IndexError:
        return False
    return True


def _skip_block(bits: _Bits, averages: dict[tuple[int, int], int], others: dict[tuple[int, int], int]) -> None:
    bits.next(bits.symbol(averages))
    place = 1
    while place < 64:
        symbol = bits.symbol(others)
        if symbol == 0:
            return
        place += (symbol >> 4) + 1
        bits.next(symbol & 15)
