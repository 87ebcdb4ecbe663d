"""Output folders of operations: whether anything has come to be in one."""

from __future__ import annotations

import time

from boxwright import errors, objects

PATIENCE_S = 2.0  # at an operation's end, which must not wait for a store


class _TooLong(Exception):
    """The store does not answer in time."""


def holds_anything(stores: objects.Stores, directory: str) -> bool:
    """Whether there is a file in an output folder; taken for true where the store does not say so in time.

    Args:
        stores: where it is.
        directory: its address.
    """
    deadline_s = time.monotonic() + PATIENCE_S

    def raise_if_late() -> None:
        if time.monotonic() > deadline_s:
            raise _TooLong

    try:
        return stores.stoppable(raise_if_late).holds_anything(objects.ObjectUri.parse(directory))
    except (_TooLong, errors.ApiError):
        return True
