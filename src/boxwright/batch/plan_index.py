"""The index of a plan (version 3): where in the lists each shard's images stand, in blocks that are put once.

    plan/header.json         what the lists were, and how many cuts a block has
    plan/index-0000001.json  {"first_shard": 1, "forms": {…}, "cuts": [[images, failed, [part, …]], …], "end": null}
    part                     [list, first byte, bytes, first line, [[row, rows], …]]: the last are rows listed before

A block is put before any of its shards starts. The first has few cuts, so that the first results are there soon. The last
block of a plan says what the whole plan has; until it is there, the lists have to be read again to go on.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from boxwright import faults, objects
from boxwright.batch.image_list import ListForm
from boxwright.batch.inputs.list_pieces import ListPieces, Piece, PieceRows
from boxwright.batch.inputs.sources import changed
from boxwright.batch.segments import Item, Segment

BLOCK_CUTS = (5, 64, 4096)  # of the first blocks; those behind them have as many as the last of these
READ_BYTES = 256 << 10  # at once: shards behind each other share a range


class Part(NamedTuple):
    """Rows of one list that stand behind each other.

    Attributes:
        number: of the list, from 0.
        first_byte: where the rows begin.
        size_bytes: how many bytes they have.
        first_line: the number of their first line, from 1.
        dropped: (first row, rows): rows that were listed before, counted from 0 in this part.
    """

    number: int
    first_byte: int
    size_bytes: int
    first_line: int
    dropped: list[tuple[int, int]]

    @classmethod
    def of_values(cls, values: Sequence[Any]) -> Part:
        """The reverse of JSON."""
        number, first, size, line, dropped = values
        return cls(number, first, size, line, [(row, rows) for row, rows in dropped])


class Cut(NamedTuple):
    """One shard's images.

    Attributes:
        images: how many there are.
        failed: how many of them have unusable rows.
        parts: where they stand, in order.
    """

    images: int
    failed: int
    parts: Sequence[Part]

    @classmethod
    def of_values(cls, values: Sequence[Any]) -> Cut:
        """The reverse of JSON."""
        images, failed, parts = values
        return cls(images, failed, list(map(Part.of_values, parts)))


class PlanTotals(NamedTuple):
    """What a whole plan has.

    Attributes:
        rows: read.
        failed: of those, unusable.
        images: planned.
        row_failures: [code, message] of the first unusable rows.
    """

    rows: int
    failed: int
    images: int
    row_failures: Sequence[tuple[int, str]]


@dataclasses.dataclass(frozen=True)
class PlanPlace:
    """From where on the next turn of a job needs its plan.

    Attributes:
        block: the number of the block to begin with, from 1.
        end: what the whole plan has; None if that is not known.
        is_uncut: whether what is behind the last block cannot be cut.
    """

    block: int
    end: PlanTotals | None = None
    is_uncut: bool = False

    @classmethod
    def of_values(cls, values: Mapping[str, Any]) -> PlanPlace:
        """The reverse of `dataclasses.asdict`, also after JSON."""
        return cls(values["block"], _totals(values["end"]), values["is_uncut"])


@dataclasses.dataclass(frozen=True)
class Block:
    """Some cuts behind each other.

    Attributes:
        first_shard: the number of the first.
        cuts: one a shard.
        forms: of the lists that the cuts are of, by their numbers.
        end: what the plan has; None if it is not the last block.
    """

    first_shard: int
    cuts: list[Cut]
    forms: dict[int, ListForm]
    end: PlanTotals | None = None

    def encoded(self) -> bytes:
        """The block as the bytes of its object."""
        forms = {str(number): list(form) for number, form in self.forms.items()}
        values = {"first_shard": self.first_shard, "forms": forms, "cuts": self.cuts, "end": self.end}
        return json.dumps(values, separators=(",", ":")).encode()

    @classmethod
    def decoded(cls, content: bytes) -> Block:
        """The reverse of `encoded`."""
        values = json.loads(content)
        cuts = list(map(Cut.of_values, values["cuts"]))
        forms = {int(number): ListForm(*form) for number, form in values["forms"].items()}
        return cls(values["first_shard"], cuts, forms, _totals(values["end"]))


class PlanIndex:
    """The blocks of one job.

    Args:
        stores: where they are.
        scratch: the job's scratch.
        inputs: the job's inputs in words, for messages.
    """

    def __init__(self, stores: objects.Stores, scratch: objects.ObjectUri, inputs: str) -> None:
        self._stores = stores
        self._scratch = scratch
        self._inputs = inputs

    def get(self, number: int) -> Block | None:
        """A block, from 1; None if it is not there."""
        try:
            return Block.decoded(self._stores.get(self._uri(number)))
        except objects.ObjectNotFound:
            return None

    def last_end(self, there: int = 1) -> PlanTotals | None:
        """What the last block says of the whole plan; the block with the number `there` must be there."""
        step = 1
        while self._stores.exists(self._uri(there + step)):
            there, step = there + step, 2 * step
        missing = there + step
        while missing - there > 1:
            middle = (there + missing) // 2
            if self._stores.exists(self._uri(middle)):
                there = middle
            else:
                missing = middle
        block = self.get(there)
        return None if block is None else block.end

    def put(self, number: int, block: Block) -> None:
        """Puts a block; one that is there already must say the same, or the job is ABORTED."""
        faults.point("plan.before_block")
        uri, content = self._uri(number), block.encoded()
        if not self._stores.put_once(uri, content) and not _same(Block.decoded(self._stores.get(uri)), block):
            raise changed(self._inputs)
        faults.point("plan.after_block")

    def _uri(self, number: int) -> objects.ObjectUri:
        return self._scratch.child(f"plan/index-{number:07d}.json")


class CutReader:
    """Reads the images of cuts out of the lists. One thread at a time.

    Args:
        lists: the plan's, by their numbers.
        as_items: what rows are, as the plan found them.
    """

    def __init__(self, lists: dict[int, ListPieces], as_items: Callable[[PieceRows], list[Item]]) -> None:
        self._lists = lists
        self._as_items = as_items
        self._number, self._start, self._content = -1, 0, b""

    def segment(self, shard: int, cut: Cut, forms: dict[int, ListForm]) -> Segment:
        """A shard, whose images are read when they are asked for; ABORTED then if a list is not what it was."""
        return Segment(shard, lambda: self._items(cut, forms), image_count=cut.images)

    def _items(self, cut: Cut, forms: dict[int, ListForm]) -> list[Item]:
        found: list[Item] = []
        for part in cut.parts:
            pieces = self._lists[part.number]
            piece = Piece(part.first_byte, part.first_line, self._bytes(part))
            items = [item for rows in pieces.parsed(piece, forms[part.number]) for item in self._as_items(rows)]
            for first, count in reversed(part.dropped):
                del items[first : first + count]
            found += items
        if (len(found), sum(item.failure is not None for item in found)) != (cut.images, cut.failed):
            raise changed(str(self._lists[cut.parts[0].number].info.uri))
        return found

    def _bytes(self, part: Part) -> bytes:
        behind = part.first_byte + part.size_bytes
        if part.number != self._number or not self._start <= part.first_byte <= behind <= self._start + len(
            self._content
        ):
            pieces = self._lists[part.number]
            length = min(max(part.size_bytes, READ_BYTES), pieces.info.size_bytes - part.first_byte)
            self._content = pieces.read(part.first_byte, length)
            self._number, self._start = part.number, part.first_byte
        return self._content[part.first_byte - self._start : behind - self._start]


def _totals(values: Sequence[Any] | None) -> PlanTotals | None:
    """The reverse of JSON."""
    if values is None:
        return None
    rows, failed, images, row_failures = values
    return PlanTotals(rows, failed, images, [(code, message) for code, message in row_failures])


def block_cuts(number: int, sizes: Sequence[int]) -> int:
    """How many cuts a block has, from 1."""
    return sizes[min(number, len(sizes)) - 1]


def _same(first: Block, second: Block) -> bool:
    """Whether two blocks cut alike; a newer version may word its failures otherwise, and no more."""

    def judged(block: Block) -> Any:
        end = None if block.end is None else block.end[:3]
        cuts = [(cut.images, cut.failed, [tuple(part[:4]) for part in cut.parts]) for cut in block.cuts]
        dropped = [[list(map(tuple, part.dropped)) for part in cut.parts] for cut in block.cuts]
        return block.first_shard, cuts, dropped, end

    return bool(judged(first) == judged(second))
