"""What crashes left behind goes at the next start; what an unfinished operation still needs stays."""

from __future__ import annotations

import pathlib
from concurrent import futures

import pytest
from google.rpc import status_pb2
from tests.support.operations.ledgers import Kind, open_ledger, start
from tests.support.predictions.tiny_model import MODEL_ID, TinyModel

from boxwright import objects
from boxwright.metadata import periodic_work, schema
from boxwright.runners import sweep
from boxwright.runners.plan_folders import PlanFolders


@pytest.fixture
def ledger(tmp_path: pathlib.Path):
    for name in ("work", "models"):
        (tmp_path / name).mkdir()
    opened = open_ledger(tmp_path / "metadata.sqlite")
    yield opened
    opened._db.close()


def _sweep(ledger, root: pathlib.Path) -> None:
    stores = objects.Stores(root / "buckets", root / "state")
    sweep.sweep_here(ledger._db, stores, PlanFolders(ledger._db, stores, root / "work", 0), root / "models")


def _folders(root: pathlib.Path, *names: str) -> None:
    for name in names:
        (root / name / "deep").mkdir(parents=True)
        (root / name / "deep" / "file").write_bytes(b"x")


def _left(root: pathlib.Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def test_only_the_folders_of_unfinished_operations_stay(ledger, tmp_path):
    start(ledger, "IOD1", "IOD2", "IOD3")
    ledger.finish(ledger.claim([Kind.IMPORT_DATA], "w").lease, status_pb2.Status(code=3, message="no"))
    ledger.claim([Kind.IMPORT_DATA], "w")  # IOD2 runs, IOD3 waits
    for root in (tmp_path / "work", tmp_path / "state/boxwright/operations"):
        _folders(root, "IOD1", "IOD2", "IOD3", "IOD4")
    _sweep(ledger, tmp_path)
    assert _left(tmp_path / "work") == _left(tmp_path / "state/boxwright/operations") == ["IOD2", "IOD3"]


def test_a_folder_that_no_model_knows_goes_unless_a_training_may_be_about_to_know_it(
    ledger, tmp_path, tiny_model: TinyModel
):
    tiny_model.install(tmp_path)
    _folders(tmp_path / "models", "IOD5")
    start(ledger, "IOD1", kind=Kind.CREATE_MODEL)
    _sweep(ledger, tmp_path)
    assert _left(tmp_path / "models") == [MODEL_ID, "IOD5"]
    ledger.finish(ledger.claim([Kind.CREATE_MODEL], "w").lease, status_pb2.Status(code=3, message="no"))
    _sweep(ledger, tmp_path)
    assert _left(tmp_path / "models") == [MODEL_ID]


def test_a_scratch_folder_that_was_never_made_is_no_trouble(ledger, tmp_path):
    _sweep(ledger, tmp_path)


def test_of_all_processes_one_sweeps_and_not_again_before_a_day_is_over(ledger, tmp_path):
    stores = objects.Stores(tmp_path / "buckets", tmp_path / "state")
    plans = PlanFolders(ledger._db, stores, tmp_path / "work", 0)
    daily = [sweep.DailySweep(ledger._db, stores, plans) for _ in range(4)]
    with futures.ThreadPoolExecutor(len(daily)) as pool:
        assert sum(pool.map(sweep.DailySweep.sweep, daily)) == 1
    _folders(tmp_path / "state/boxwright/operations", "IOD4")
    assert [one.sweep() for one in daily] == [False] * 4
    _let_time_pass(ledger, sweep.DAY_S)
    assert [one.sweep() for one in daily] == [True, False, False, False]
    assert _left(tmp_path / "state/boxwright/operations") == []


def test_who_is_killed_while_it_sweeps_leaves_that_to_another_an_hour_later(ledger, tmp_path):
    assert periodic_work.claim(ledger._db, sweep.WORK, "killed", sweep.CLAIM_S)
    stores = objects.Stores(tmp_path / "buckets", tmp_path / "state")
    other = sweep.DailySweep(ledger._db, stores, PlanFolders(ledger._db, stores, tmp_path / "work", 0))
    assert not other.sweep()
    _let_time_pass(ledger, sweep.CLAIM_S)
    assert other.sweep()
    periodic_work.end(ledger._db, sweep.WORK, "killed", 0)  # it was slow, and is not believed any more
    assert not other.sweep()


def _let_time_pass(ledger, elapsed_s: float) -> None:
    table = schema.periodic_work
    with ledger._db.write() as connection:
        connection.execute(table.update().values(next_us=table.c.next_us - round(elapsed_s * 1_000_000)))
