"""Deletes all that is below a folder, however much: page by page, some pages at the same time.

Memory is that of a few pages. Who is killed has deleted a part; the next time goes on with what is left.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Callable, Iterable
from concurrent import futures

PAGES_AT_ONCE = 4  # of 1,000 keys each: S3 deletes a page in one call
LOOKS = 3  # at a folder that fills while it is emptied


def delete_pages(pages: Iterable[list[str]], delete: Callable[[list[str]], None]) -> None:
    """Deletes keys as they are listed; the next page is listed while some are deleted.

    Args:
        pages: the keys, a page at a time.
        delete: deletes a page; called by several threads.

    Raises:
        Exception: what listing or deleting has raised; no page is begun behind it.
    """
    under_way: set[futures.Future[None]] = set()
    with futures.ThreadPoolExecutor(PAGES_AT_ONCE, "delete") as pool:
        for page in pages:
            if len(under_way) >= PAGES_AT_ONCE:
                ended, under_way = futures.wait(under_way, return_when=futures.FIRST_COMPLETED)
                for one in ended:
                    one.result()
            if page:
                under_way.add(pool.submit(delete, page))
        for one in under_way:
            one.result()


def remove_tree(folder: str) -> None:
    """Removes a folder of this machine with all that is in it, a name at a time; trouble leaves something behind.

    Symbolic links are removed, and what they lead to is not.
    """
    for _ in range(LOOKS):  # a file system may pass names over while others are removed
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    remove_tree(entry.path)
                else:
                    with contextlib.suppress(OSError):
                        pathlib.Path(entry.path).unlink()
        try:
            pathlib.Path(folder).rmdir()
        except FileNotFoundError:
            return
        except OSError:
            continue
        return
