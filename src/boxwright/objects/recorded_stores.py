"""Stores that say what is asked of them: how long calls take, how they end, and how often they are made again.

For parents of processes, which tell metrics; calls of their children are not told.
"""

from __future__ import annotations

import builtins
import contextlib
import dataclasses
import functools
import pathlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

from boxwright import errors
from boxwright.objects import store_errors
from boxwright.objects.backend import Backend
from boxwright.objects.folders import ObjectVersion
from boxwright.objects.store_config import StoreConfig
from boxwright.objects.stores import Stores
from boxwright.objects.uris import ObjectUri
from boxwright.telemetry import spans
from boxwright.telemetry.metric_table import OTHER
from boxwright.telemetry.metrics import Metrics

_P = ParamSpec("_P")
_T = TypeVar("_T")
_asked = threading.local()


def _named(call: str, method: Callable[_P, _T]) -> Callable[_P, _T]:
    """A method whose calls have a name, a value of the label ``call``."""

    @functools.wraps(method)
    def named(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with _naming(call):
            return method(*args, **kwargs)

    return named


def _named_each(call: str, method: Callable[_P, Iterator[_T]]) -> Callable[_P, Iterator[_T]]:
    """As `_named`, for a method that calls while it is iterated."""

    @functools.wraps(method)
    def named(*args: _P.args, **kwargs: _P.kwargs) -> Iterator[_T]:
        return _each(call, method(*args, **kwargs))

    return named


def _each(call: str, found: Iterator[_T]) -> Iterator[_T]:
    while True:
        with _naming(call):
            try:
                one = next(found)
            except StopIteration:
                return
        yield one


@contextlib.contextmanager
def _naming(call: str) -> Iterator[None]:
    before = getattr(_asked, "call", OTHER)
    _asked.call = call
    try:
        yield
    finally:
        _asked.call = before


class RecordedStores(Stores):
    """See `Stores`; what is derived from these tells, too.

    Args:
        metrics: counts calls, and those that are made again.
    """

    def __init__(
        self, metrics: Metrics, buckets_dir: pathlib.Path, state_dir: pathlib.Path, choices: StoreConfig | None = None
    ) -> None:
        self._metrics = metrics
        super().__init__(buckets_dir, state_dir, choices)

    def hasty(self, retry_s: float) -> Stores:
        """See `Stores`."""
        choices = dataclasses.replace(self._choices, retry_s=retry_s)
        stores = RecordedStores(self._metrics, self._buckets_dir, self._state.root, choices)
        stores._limits, stores._project = self._limits, self._project
        return stores

    get_with_version = _named("read", Stores.get_with_version)
    range = _named("read", Stores.range)
    stream = _named_each("read", Stores.stream)
    head = _named("look", Stores.head)
    version = _named("look", Stores.version)
    check_bucket = _named("look", Stores.check_bucket)
    check_destination = _named("look", Stores.check_destination)
    answers = _named("look", Stores.answers)
    list = _named_each("list", Stores.list)
    keys = _named_each("list", Stores.keys)
    entries = _named("list", Stores.entries)
    holds_anything = _named("list", Stores.holds_anything)
    state_folders = _named("list", Stores.state_folders)
    put = _named("write", Stores.put)
    put_once = _named("write", Stores.put_once)
    delete_written = _named("delete", Stores.delete_written)
    delete_prefix = _named("delete", Stores.delete_prefix)
    delete_below = _named("delete", Stores.delete_below)

    def versions(self, prefix: ObjectUri, after: str = "") -> Iterator[builtins.list[tuple[str, ObjectVersion]]] | None:
        """See `Stores`."""
        pages = super().versions(prefix, after)
        return None if pages is None else _each("list", pages)

    def _patiently(self, backend: Backend, uri: ObjectUri, call: Callable[[], _T], *, is_paced: bool = True) -> _T:
        made = 0

        def counted() -> _T:
            nonlocal made
            made += 1
            return call()

        name, code, began_s = getattr(_asked, "call", OTHER), "OK", time.perf_counter()
        span = spans.current().child(f"store {name}", is_frequent=True)
        span.set(scheme=uri.scheme)
        try:
            with store_errors.translated(uri):
                return super()._patiently(backend, uri, counted, is_paced=is_paced)
        except errors.ApiError as error:
            code = error.code_name
            if error.code in spans.FAULTS:
                span.fail(code)
            raise
        except BaseException:
            code = "UNKNOWN"
            raise
        finally:
            span.set(code=code)
            span.end()
            self._metrics.observe("boxwright_store_seconds", time.perf_counter() - began_s, uri.scheme, name, code)
            if made > 1:
                self._metrics.add("boxwright_store_retries_total", made - 1, uri.scheme, name)
