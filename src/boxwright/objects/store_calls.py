"""`StoreCalls`: how the parts of `Stores` reach a store."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import TypeVar

from boxwright.objects.backend import Backend
from boxwright.objects.uris import ObjectUri

_T = TypeVar("_T")


class StoreCalls(abc.ABC):
    """What `Stores` has for its parts."""

    @abc.abstractmethod
    def _served(self, uri: ObjectUri) -> Backend:
        """What keeps an object or a folder; FAILED_PRECONDITION if its scheme is not served."""

    @abc.abstractmethod
    def _backend(self, uri: ObjectUri, permission: str, *, is_folder: bool = False) -> Backend:
        """What keeps an object or a folder that is to be used like that; PERMISSION_DENIED beyond the limits."""

    @abc.abstractmethod
    def _patiently(self, backend: Backend, uri: ObjectUri, call: Callable[[], _T], *, is_paced: bool = True) -> _T:
        """Calls a store, again while the trouble may pass.

        Args:
            backend: which is called.
            uri: in the bucket that is called.
            call: may be made again.
            is_paced: whether the call waits for its turn where the bucket is called too often.
        """
