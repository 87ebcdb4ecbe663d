"""Operations of callers: what these may counts when an attempt begins, and is judged at every renewal."""

from __future__ import annotations

import dataclasses
import pathlib
import threading
from collections.abc import Callable

import pytest
from google.rpc import code_pb2, status_pb2
from tests.support.machine.waiting import PATIENCE_S
from tests.support.operations.ledgers import Kind, draft
from tests.support.operations.scripted_runner import Scripted, end_of

from boxwright import callers, errors, objects, states
from boxwright.metadata import database
from boxwright.operations.ledger import Ledger
from boxwright.operations.runner import CallerGrants, Context, no_grants
from boxwright.operations.worker import Worker

MEMBER, TEAM = "serviceAccount:ci@x", "principalSet://boxwright/providers/p/group/team"
READING = objects.Grant("gs", "photos", "in/", can_read=True)
WRITING = objects.Grant("gs", "photos", "out/", can_write=True)
OTHER = objects.Grant("gs", "photos", "other/", can_write=True)
ENDS = tuple(states.OPERATION_TERMINAL)


def _begin(
    ledger: Ledger,
    grants_of: CallerGrants,
    act: Callable[[Context], object],
    caller: str = MEMBER,
    kind: Kind = Kind.IMPORT_DATA,
) -> tuple[Worker, Scripted]:
    with ledger._db.write() as connection:
        groups = (TEAM,) if caller else ()
        ledger.start(connection, dataclasses.replace(draft("IOD1", kind), caller=callers.Caller(caller, groups=groups)))
    runner = Scripted(act)
    worker = Worker(ledger, {kind: runner}, [[kind]], grants_of=grants_of)
    worker.start()
    return worker, runner


def _error(ledger: Ledger) -> status_pb2.Status:
    row = end_of(ledger, "IOD1", *ENDS)
    return status_pb2.Status.FromString(row.error or b"")


def _until_stopped(context: Context) -> None:
    assert context.wait_for_stop(PATIENCE_S)
    context.raise_if_stopped()


def _denied(member: str, groups: tuple[str, ...]) -> objects.Grants:
    raise errors.permission_denied("gone")


@pytest.fixture
def stores(tmp_path: pathlib.Path) -> objects.Stores:
    folder = tmp_path / "buckets" / "photos" / "in"
    folder.mkdir(parents=True)
    (folder / "a.jpg").write_bytes(b"a")
    return objects.Stores(tmp_path / "buckets", tmp_path / "state")


A = objects.ObjectUri.parse("gs://photos/in/a.jpg")


def test_work_is_limited_by_its_caller_and_by_nobody_if_it_has_none(ledger, stores):
    asked: list[tuple[str, tuple[str, ...]]] = []
    read: list[bytes] = []

    def grants_of(member: str, groups: tuple[str, ...]) -> objects.Grants:
        asked.append((member, groups))
        return objects.Grants("ci@x", (READING,))

    worker, _ = _begin(ledger, grants_of, lambda context: read.append(context.limited(stores).get(A)))
    assert _error(ledger).code == code_pb2.OK
    worker.drain()
    assert read == [b"a"]
    assert set(asked) == {(MEMBER, (TEAM,))}


def test_a_worker_that_was_not_told_of_grants_gives_callers_nothing(ledger, stores):
    worker, _ = _begin(ledger, no_grants, lambda context: context.limited(stores).get(A))
    assert _error(ledger).code == code_pb2.PERMISSION_DENIED
    worker.drain()


def test_work_without_a_caller_is_not_limited(ledger, stores):
    worker, _ = _begin(ledger, _denied, lambda context: context.limited(stores).get(A), caller="")
    assert _error(ledger).code == code_pb2.OK
    worker.drain()


def test_who_is_disabled_by_now_has_nothing_begun(ledger):
    worker, runner = _begin(ledger, _denied, _until_stopped)
    assert (_error(ledger).code, _error(ledger).message) == (code_pb2.PERMISSION_DENIED, "gone")
    worker.drain()
    assert runner.runs == 0
    assert runner.tidied == ["IOD1"]


@pytest.mark.parametrize(
    ("left", "kind", "lost"),
    [
        ((WRITING, OTHER), Kind.IMPORT_DATA, "gs://photos/in/"),
        ((READING, OTHER), Kind.IMPORT_DATA, "gs://photos/out/x"),
        ((WRITING, OTHER), Kind.EXPORT_DATA, None),
        ((READING, OTHER), Kind.EXPORT_DATA, "gs://photos/out/x"),
        ((READING, WRITING), Kind.IMPORT_DATA, None),
        ((objects.Grant("gs", "photos", "", can_read=True, can_write=True),), Kind.IMPORT_DATA, None),
    ],
)
def test_what_is_lost_ends_the_work_that_needs_it(ledger, stores, left, kind, lost):
    now = objects.Grants("ci@x", (READING, WRITING, OTHER))
    later = objects.Grants("ci@x", left)
    begun, judged = threading.Event(), threading.Semaphore(0)

    def grants_of(member: str, groups: tuple[str, ...]) -> objects.Grants:
        if not begun.is_set():
            return now
        judged.release()
        return later

    def act(context: Context) -> None:
        context.limited(stores, objects.ObjectUri.parse("gs://photos/out/x"))
        begun.set()
        if lost is not None:
            _until_stopped(context)
        for _ in range(2):
            assert judged.acquire(timeout=PATIENCE_S)
        context.raise_if_stopped()

    worker, _ = _begin(ledger, grants_of, act, kind=kind)
    error = _error(ledger)
    worker.drain()
    assert error.code == (code_pb2.OK if lost is None else code_pb2.PERMISSION_DENIED), error
    assert lost is None or lost in error.message


def test_a_database_that_is_away_ends_no_work(ledger):
    begun, asked = threading.Event(), threading.Semaphore(0)

    def grants_of(member: str, groups: tuple[str, ...]) -> objects.Grants:
        if begun.is_set():
            asked.release()
            raise database.Transient(code_pb2.UNAVAILABLE, "away")
        return objects.Grants("ci@x", (READING,))

    def act(context: Context) -> None:
        begun.set()
        for _ in range(2):
            assert asked.acquire(timeout=PATIENCE_S)
        context.raise_if_stopped()

    worker, _ = _begin(ledger, grants_of, act)
    assert _error(ledger).code == code_pb2.OK
    worker.drain()
