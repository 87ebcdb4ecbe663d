"""`Item` and `Segment`: the images of a plan, one by one and a shard at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from boxwright.batch.entry import HeldBytes
from boxwright.batch.inputs.member_files import MemberFiles


@dataclasses.dataclass(frozen=True)
class Item:
    """One image of the plan.

    Attributes:
        id: its address, or what stands in the place of one.
        failure: why its row is unusable; None if it is fine.
        held: where the bytes of an archive's member are; None if it is no member.
    """

    id: str
    failure: str | None = None
    held: HeldBytes | None = dataclasses.field(default=None, compare=False)

    @property
    def held_bytes(self) -> int:
        """How many bytes of it wait on this machine's disk."""
        return 0 if self.held is None else self.held.length


class Segment:
    """One shard's images, in input order. Two with the same number and the same images are equal.

    Args:
        shard: the shard's number, from 1.
        items: its images, or what reads them when they are first asked for.
        files: keeps those that are members of archives; None if there are none.
        image_count: how many images there are; needed where they are read later.

    Attributes:
        shard: as the argument.
        files: as the argument.
        image_count: how many images there are, known without reading them.
    """

    def __init__(
        self,
        shard: int,
        items: list[Item] | Callable[[], list[Item]],
        files: MemberFiles | None = None,
        *,
        image_count: int | None = None,
    ) -> None:
        self.shard = shard
        self.files = files
        self._read = None if isinstance(items, list) else items
        self._items = items if isinstance(items, list) else []
        self.image_count = len(self._items) if image_count is None else image_count

    @property
    def items(self) -> list[Item]:
        """The images; raises ApiError if they have to be read and their list is not what it was."""
        if self._read is not None:
            self._items, self._read = self._read(), None
        return self._items

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Segment) and (self.shard, self.items) == (other.shard, other.items)

    def __hash__(self) -> int:
        return hash(self.shard)

    def release(self, first: int = 0, count: int | None = None) -> None:
        """Says that images, from an index on, are predicted or need not be: what was kept of them is removed."""
        if self.files is not None:
            for item in self.items[first : None if count is None else first + count]:
                if item.held is not None:
                    self.files.drop(item.held)
