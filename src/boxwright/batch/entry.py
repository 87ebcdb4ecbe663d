"""`Entry`: one image that an input names, or what stands there instead of one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple


class HeldBytes(NamedTuple):
    """Where the bytes of an archive's member lie on this machine until they are predicted.

    Attributes:
        path: of a file; empty if they are not kept, because the image's shard is finished.
        start: of the first byte in it.
        length: how many there are.
    """

    path: str
    start: int
    length: int


@dataclasses.dataclass(frozen=True)
class Entry:
    """One row, line, name or member of an input.

    Attributes:
        text: the image's address, or what stands in its place; that of a member is ``ARCHIVE#NAME``.
        place: names the entry in messages, such as ``gs://b/list.csv, line 3``.
        end_bytes: about how many bytes of the input had been read when this entry came.
        cells: those of a CSV's row; empty otherwise.
        is_first: whether it is the first line of its file.
        failure: why it is unusable, a sentence without a full stop; None if nothing is known against it.
        is_name: whether `text` is the name of an object or member, and not a text out of a file.
        held: where the bytes of an archive's member are; None if it is no member.
    """

    text: str
    place: str
    end_bytes: int
    cells: Sequence[str] = ()
    is_first: bool = False
    failure: str | None = None
    is_name: bool = False
    held: HeldBytes | None = None
