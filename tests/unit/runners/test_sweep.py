"""What crashes left behind goes at the next start; what an unfinished operation still needs stays."""

from __future__ import annotations

import pathlib

import pytest
from google.rpc import status_pb2
from tests.support.operations.ledgers import Kind, open_ledger, start
from tests.support.predictions.tiny_model import MODEL_ID, TinyModel

from boxwright import objects
from boxwright.runners.sweep import sweep


@pytest.fixture
def ledger(tmp_path: pathlib.Path):
    for name in ("work", "models"):
        (tmp_path / name).mkdir()
    opened = open_ledger(tmp_path / "metadata.sqlite")
    yield opened
    opened._db.close()


def _sweep(ledger, root: pathlib.Path) -> None:
    sweep(ledger._db, objects.Stores(root / "buckets", root / "state"), root / "work", root / "models")


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
