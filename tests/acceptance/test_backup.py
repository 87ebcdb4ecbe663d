"""The recipes of docs/backup.md, run as they are printed."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from tests.support.clients.api import open_api
from tests.support.machine.waiting import PATIENCE_S
from tests.support.predictions.tiny_model import TinyModel

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "backup.md"


def _recipes(section: str) -> list[str]:
    text = PAGE.read_text(encoding="utf-8").split(f"## {section}\n")[1].split("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


def _run(recipe: str, folder: pathlib.Path) -> None:
    script = recipe.replace(".venv/bin/python", sys.executable)
    subprocess.run(["bash", "-euc", script], cwd=folder, check=True, timeout=PATIENCE_S, env=os.environ)


@pytest.mark.full
def test_a_running_service_is_copied_and_the_copy_has_everything(service_factory, tiny_model: TinyModel, tmp_path):
    service = service_factory()
    model = tiny_model.install(service.data_dir)
    with open_api(service) as api:
        dataset = api.create_dataset("before")
        backup, restore = _recipes("SQLite")
        assert service.data_dir == tmp_path / "data"
        _run(backup, tmp_path)
        later = api.create_dataset("after")
    service.stop()
    shutil.rmtree(service.data_dir)
    _run(restore, tmp_path)
    restored = service_factory(data_dir=tmp_path / "restored")
    with open_api(restored) as api:
        assert api.automl.get_model(name=model).display_name == "tiny"
        parent = dataset.partition("/datasets/")[0]
        assert [found.name for found in api.automl.list_datasets(parent=parent)] == [dataset]
        assert later != dataset
        api.automl.deploy_model(name=model).result(timeout=60)
