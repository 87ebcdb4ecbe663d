"""The recipes of docs/backup.md, run as they are printed."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import sqlalchemy as sa
from tests.support.clients.api import Api, open_api
from tests.support.databases.postgres import PORT, USER, find_programs
from tests.support.images import drawn_images
from tests.support.machine.waiting import PATIENCE_S
from tests.support.operations.ledgers import open_ledger, start
from tests.support.predictions.tiny_model import TinyModel
from tests.support.processes import crashes

from boxwright.metadata.schema import operations
from boxwright.operations.ledger import Ledger

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "backup.md"


def _recipes(section: str) -> list[str]:
    text = PAGE.read_text(encoding="utf-8").split(f"## {section}\n")[1].split("\n## ")[0]
    return re.findall(r"```(?:sh)?\n(.*?)```", text, re.DOTALL)


def _run(recipe: str, folder: pathlib.Path, **environment: str) -> None:
    script = recipe.replace(".venv/bin/python", sys.executable)
    subprocess.run(["bash", "-euc", script], cwd=folder, check=True, timeout=PATIENCE_S, env=os.environ | environment)


def _predicted(api: Api, bucket: pathlib.Path, model: str, name: str) -> dict[str, bytes]:
    """Runs one batch prediction; returns its shards."""
    started = api.start_batch(model, "gs://b/list.csv", f"gs://b/{name}/", score_threshold="0.3")
    assert not api.finished(started).HasField("error")
    folder = crashes.result_folder(bucket, name)
    assert folder is not None
    return {shard: (folder / shard).read_bytes() for shard in crashes.whole_shards(folder)}


@pytest.mark.full
def test_a_running_service_is_copied_and_the_copy_has_everything(service_factory, tiny_model: TinyModel, tmp_path):
    service = service_factory()
    model = tiny_model.install(service.data_dir)
    bucket = service.bucket("b")
    images = drawn_images.write_images(bucket / "images", 6)
    drawn_images.write_csv(bucket, "list.csv", [f"gs://b/images/{image}" for image in images])
    with open_api(service) as api:
        dataset = api.create_dataset("before")
        before = _predicted(api, bucket, model, "before")
        assert any(before.values())
        backup, restore = _recipes("SQLite")
        assert service.data_dir == tmp_path / "data"
        _run(backup, tmp_path)
        later = api.create_dataset("after")
    service.stop()
    shutil.rmtree(service.data_dir)
    _run(restore, tmp_path)
    assert _doctor_finds(tmp_path / "restored", service.buckets) == {"database", "models"}
    restored = service_factory(data_dir=tmp_path / "restored")
    with open_api(restored) as api:
        assert api.automl.get_model(name=model).display_name == "tiny"
        parent = dataset.partition("/datasets/")[0]
        assert [found.name for found in api.automl.list_datasets(parent=parent)] == [dataset]
        assert later != dataset
        api.automl.deploy_model(name=model).result(timeout=60)
        assert _predicted(api, bucket, model, "again") == before


def _doctor_finds(data_dir: pathlib.Path, buckets: pathlib.Path) -> set[str]:
    """What a look at a restored folder says is well, of what a backup has."""
    command = [sys.executable, "-m", "boxwright.cli", "doctor", "--json", "--data-dir", str(data_dir)]
    command += ["--buckets", str(buckets)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BOXWRIGHT_")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    return {fact["key"] for fact in json.loads(done.stdout)["facts"] if fact["ok"]} & {"database", "models"}


def test_a_database_of_postgresql_is_restored_into_an_empty_one(postgres, tmp_path):
    backup, restore = _recipes("PostgreSQL")
    for name in ("models", "state", "audit"):
        (tmp_path / "data" / name).mkdir(parents=True)
    (tmp_path / "backup").mkdir()
    programs = find_programs()
    host = str(postgres.folder)
    for name in ("drill", "restored"):
        subprocess.run([programs / "createdb", "-h", host, "-U", USER, name], check=True, timeout=PATIENCE_S)

    def opened(name: str) -> Ledger:
        return open_ledger(f"postgresql+pg8000://{USER}@/{name}?unix_sock={host}/.s.PGSQL.{PORT}")

    with contextlib.closing(opened("drill")._db) as db:
        start(Ledger(db, lease_ttl_s=10), "IOD1", "IOD2")
        with db.read() as connection:
            before = connection.execute(sa.select(operations).order_by(operations.c.id)).all()
    address = f"postgresql://{USER}@/{{}}?host={host}"
    path = f"{programs}:{os.environ['PATH']}"
    _run(backup, tmp_path, DATABASE=address.format("drill"), PATH=path)
    _run(restore, tmp_path, DATABASE=address.format("restored"), PATH=path)
    with contextlib.closing(opened("restored")._db) as db:
        with db.read() as connection:
            assert connection.execute(sa.select(operations).order_by(operations.c.id)).all() == before
        start(Ledger(db, lease_ttl_s=10), "IOD3")
