"""A service with a dataset, a model and batch jobs, as release 0.1.0 has left them: nothing has to be trained here."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.conftest import Service, _start
from tests.support.clients.console_page import ConsolePage, open_console
from tests.support.releases import data_folder
from tests.support.services.command_line import CommandLine

PARENT = "projects/demo/locations/us-central1"


@dataclasses.dataclass
class World:
    """A running service with something of everything.

    Attributes:
        ids: of a dataset, one of its examples, a model and a batch prediction.
    """

    service: Service
    ids: dict[str, str]

    @property
    def root(self) -> str:
        return f"{self.service.url}/console/"

    def get(self, path: str) -> dict[str, Any]:
        return dict(httpx.get(f"{self.service.url}/v1/{path}", trust_env=False, timeout=60).json())

    @property
    def has_result_pictures(self) -> bool:
        """Whether the service makes pictures of results: GetResultImage."""
        return any("/results/{result}:image" in path for path in self.get("openapi.json")["paths"])

    @property
    def pages(self) -> list[str]:
        """Every page of the console, with real ids."""
        dataset, model, batch = self.ids["dataset"], self.ids["model"], self.ids["batch"]
        return [
            "datasets",
            *(
                f"datasets/{dataset}/{tab}"
                for tab in ("import", "images", "labels", "train", "evaluate", "test", "batch")
            ),
            f"datasets/{dataset}/images/{self.ids['example']}",
            "models",
            *(f"models/{model}/{tab}" for tab in ("about", "evaluate", "test", "batch")),
            "batches",
            "batches/new",
            f"batches/{batch}",
            *(f"batches/{batch}/{tab}" for tab in ("next", "failed", "files")),
            *([f"batches/{batch}/results"] if self.has_result_pictures else []),
            "operations",
            f"operations/{batch}",
            "settings",
            "nowhere",
        ]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("console")
    data_folder.unpack(sorted(data_folder.FOLDER.glob("*.zip"))[0], folder / "release")
    CommandLine("").done("migrate", "--data-dir", folder / "release" / "data")
    flags = {"data_dir": folder / "release" / "data", "buckets": folder / "release" / "buckets"}
    service = _start(folder, flags, data_folder.SETTINGS)
    try:
        world = World(service, {})
        operations = world.get(f"{PARENT}/operations")["operations"]
        batch = next(one for one in operations if "batchPredictDetails" in one["metadata"])
        named = {
            "dataset": world.get(f"{PARENT}/datasets")["datasets"][0],
            "model": world.get(f"{PARENT}/models")["model"][0],
            "batch": batch,
        }
        world.ids = {kind: one["name"].rpartition("/")[2] for kind, one in named.items()}
        first = world.get(f"{PARENT}/datasets/{world.ids['dataset']}/examples")["examples"][0]
        world.ids["example"] = first["name"].rpartition("/")[2]
        yield world
    finally:
        service.stop()


@pytest.fixture(scope="session")
def tab(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsolePage]:
    with open_console(tmp_path_factory.mktemp("browser"), world.root) as opened:
        yield opened


@pytest.fixture
def console(tab: ConsolePage) -> ConsolePage:
    """The one tab, without what the test before has left in it: a page goes on to ask for a dataset that is deleted."""
    tab.leave()
    return tab
