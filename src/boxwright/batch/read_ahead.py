"""Many objects read at once, in order: a distant store answers in tens of milliseconds."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from typing import TypeVar

READERS = 16  # objects that are read at once
AHEAD_BYTES = 4 << 20  # of what may be large, about so much is read ahead

_Item = TypeVar("_Item")
_Found = TypeVar("_Found")


def in_order(
    read: Callable[[_Item], _Found], items: Iterable[_Item], *, weigh: Callable[[_Item], int] = lambda item: 0
) -> Iterator[_Found]:
    """Yields what is read of every item, in order, with a few threads; `weigh` says about how many bytes an item has.

    Raises:
        Exception: what `read` has raised, in the place of its item.
    """
    under_way: collections.deque[tuple[futures.Future[_Found], int]] = collections.deque()
    ahead_bytes = 0
    pool = futures.ThreadPoolExecutor(READERS, "read-ahead")
    try:
        for item in items:
            under_way.append((pool.submit(read, item), weigh(item)))
            ahead_bytes += under_way[-1][1]
            while len(under_way) >= 2 * READERS or (under_way and ahead_bytes > AHEAD_BYTES):
                first, size_bytes = under_way.popleft()
                ahead_bytes -= size_bytes
                yield first.result()
        while under_way:
            yield under_way.popleft()[0].result()
    finally:
        pool.shutdown(cancel_futures=True)
