"""Which shards of a job are there, found by one listing: a bit a shard."""

from __future__ import annotations

from collections.abc import Iterator

from boxwright import objects

MOST_DIGITS = 8  # no list has more shards; somebody else's file of a larger number costs no memory


class FinishedShards:
    """Numbers of shards, from 1."""

    def __init__(self) -> None:
        self._bits = bytearray()

    @classmethod
    def listed(cls, stores: objects.Stores, folder: objects.ObjectUri, pattern: str) -> FinishedShards:
        """Those that are in an output folder now.

        Args:
            stores: where it is.
            folder: the output folder.
            pattern: makes the name of a shard of its number.
        """
        found = cls()
        base = folder.folder.key
        prefix, suffix = (base + part if not place else part for place, part in enumerate(pattern.split("{}")))
        for keys in stores.keys(folder, after=prefix):
            for key in keys:
                if not key.startswith(prefix):
                    return found
                number = key.removeprefix(prefix).removesuffix(suffix)
                if (
                    key.endswith(suffix)
                    and number.isascii()
                    and number.isdigit()
                    and number[0] != "0"
                    and len(number) <= MOST_DIGITS
                ):
                    found.add(int(number))
        return found

    def add(self, shard: int) -> None:
        """Adds a shard."""
        place, bit = divmod(shard, 8)
        if place >= len(self._bits):
            self._bits.extend(bytes(place + 1 - len(self._bits)))
        self._bits[place] |= 1 << bit

    def __contains__(self, shard: int) -> bool:
        place, bit = divmod(shard, 8)
        return place < len(self._bits) and bool(self._bits[place] >> bit & 1)

    def __iter__(self) -> Iterator[int]:
        for place, bits in enumerate(self._bits):
            if bits:
                yield from (place * 8 + bit for bit in range(8) if bits >> bit & 1)
