"""The whole service on other stores than a folder: lists, images and results in S3, Azure, file:// and the GCS emulator.

The results are those of the same job on a folder, and `boxwright verify` proves them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from tests.support.clients.api import Api, metadata, open_api
from tests.support.images import drawn_images
from tests.support.machine.waiting import PATIENCE_S
from tests.support.predictions.batch_inputs import tar
from tests.support.predictions.tiny_model import TinyModel
from tests.support.stores import object_servers, rough_proxy
from tests.support.stores.object_servers import BUCKET

from boxwright import objects
from boxwright.batch.output import candidates

IMAGES = 45
OTHER_KINDS = ("s3", "gs", "az", "file")


@dataclasses.dataclass
class World:
    """A service that serves every scheme, and stores that see the same objects as it does."""

    service: object
    model: str
    stores: objects.Stores
    environment: dict[str, str]
    bases: dict[str, str]
    rough: rough_proxy.RoughProxy

    def base(self, kind: str) -> str:
        """The bucket of a kind of store; skips the test if its emulator is not here."""
        if kind not in self.bases:
            pytest.skip("azurite is not installed: `make test` installs it where there is npm")
        return self.bases[kind]

    def fill(self, base: str) -> str:
        """Puts images and a list with a few bad rows; returns the list's URI."""
        rows = []
        for number in range(IMAGES):
            uri = f"{base}/images/{number} ä+%20.jpg"
            self.stores.put(objects.ObjectUri.parse(uri), drawn_images.draw(number).content)
            rows.append(uri)
        rows += [f"{base}/images/none.jpg", "nowhere://b/x.jpg", rows[0]]
        self.stores.put(objects.ObjectUri.parse(f"{base}/list.csv"), "".join(row + "\n" for row in rows).encode())
        return f"{base}/list.csv"

    def predict(self, api: Api, list_uri: str, prefix: str) -> str:
        """Runs a batch prediction; returns its output folder."""
        operation = api.finished(api.start_batch(self.model, list_uri, prefix, score_threshold="0.3"), timeout_s=120)
        assert not operation.HasField("error"), operation.error
        return metadata(operation).batch_predict_details.output_info.gcs_output_directory

    def results(self, directory: str, base: str) -> dict[str, bytes]:
        """The files of an output folder but the report, by name, with the bucket's name taken out of the lines."""
        found = {}
        for info in self.stores.list(objects.ObjectUri.parse(directory)):
            folder, _, name = info.uri.key.rpartition("/")
            if folder.endswith("/report"):
                continue
            content = self.stores.get(info.uri)
            if name.endswith(".parquet"):  # the bucket's name is packed in it
                table, _ = candidates.from_parquet(content, name)
                content = json.dumps([table.ids, table.label_indices.tolist(), table.values.tolist()]).encode()
            if name != "manifest.json":
                found[name] = content.replace(base.encode(), b"BASE")
        return found


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object_servers.ObjectServer]]:
    folder = tmp_path_factory.mktemp("azurite")
    with contextlib.ExitStack() as stack:
        found = {
            "s3": stack.enter_context(object_servers.moto()),
            "gs": stack.enter_context(object_servers.fake_gcs()),
        }
        with contextlib.suppress(pytest.skip.Exception):
            found["az"] = stack.enter_context(object_servers.azurite(folder))
        yield found


@pytest.fixture
def world(
    servers, service_factory: Callable[..., object], tiny_model: TinyModel, tmp_path: pathlib.Path
) -> Iterator[World]:
    local = tmp_path / "local"
    local.mkdir()
    with contextlib.ExitStack() as stack:
        rough = stack.enter_context(rough_proxy.before(servers["s3"].address))
        environment = {
            "BOXWRIGHT_SCHEMES": "gs,s3,az",
            "BOXWRIGHT_FILE_ROOTS": str(local),
            "BOXWRIGHT_SHARD_IMAGES": "20",
            "BOXWRIGHT_HOLD_S": "0",
        }
        for kind, server in servers.items():
            environment |= server.environment(rough.address if kind == "s3" else server.address)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in environment.items():
            patch.setenv(name, value)
        choices = objects.StoreConfig(
            schemes=("gs", "s3", "az"), file_roots=(str(local),), gs_emulator=servers["gs"].address
        )
        service = service_factory(environment=environment)
        bases = {kind: f"{kind}://{BUCKET}/{tmp_path.name}" for kind in servers} | {"file": f"file://{local}"}
        stores = objects.Stores(tmp_path / "buckets", tmp_path / "state", choices)
        model = tiny_model.install(service.data_dir)
        yield World(service, model, stores, environment, bases, rough)


def _verify(world: World, directory: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "boxwright.cli", "verify", directory]
    environment = {**os.environ, **world.environment}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE_S)


def test_lists_images_and_results_may_be_in_any_store(world):
    seen = {}
    with open_api(world.service) as api:
        for kind in (kind for kind in OTHER_KINDS if kind in world.bases):
            base = world.base(kind)
            directory = world.predict(api, world.fill(base), f"{base}/out/")
            assert directory.startswith(f"{base}/out/prediction-tiny-")
            seen[kind] = world.results(directory, base)
            manifest = json.loads(world.stores.get(objects.ObjectUri.parse(f"{directory}/manifest.json")))
            assert manifest["images_predicted"] == IMAGES
            assert manifest["duplicates_removed"] == 1
            done = _verify(world, directory)
            assert done.returncode == 0, done.stdout + done.stderr
    first = seen["file"]
    suffixes = ("jsonl", "parquet")
    assert sorted(first) == [
        "errors_1.jsonl",
        *(f"image_object_detection_{n}.{one}" for n in (1, 2, 3) for one in suffixes),
    ]
    assert first["image_object_detection_1.jsonl"].count(b"\n") == 20
    for kind, results in seen.items():
        assert {name: results[name] for name in results if not name.startswith("errors")} == {
            name: first[name] for name in first if not name.startswith("errors")
        }, kind
        assert results["errors_1.jsonl"].count(b"\n") == 2, kind


def test_folders_patterns_and_archives_may_be_in_any_store(world):
    seen = {}
    with open_api(world.service) as api:
        for kind in (kind for kind in OTHER_KINDS if kind in world.bases):
            base = world.base(kind)
            list_uri = world.fill(base)
            files = {f"{n}.jpg": drawn_images.draw(n).content for n in range(IMAGES)}
            world.stores.put(objects.ObjectUri.parse(f"{base}/all.tar"), tar(files))
            if kind == "s3":
                world.rough.every(5, 503, "truncate", 429)
            for address in ("images/", "images", "**/*.jpg", "all.tar"):
                results = world.results(world.predict(api, f"{base}/{address}", f"{base}/out/"), base)
                seen[kind, address] = {name: results[name] for name in results if not name.startswith("errors")}
            world.rough.then()
            assert list_uri == f"{base}/list.csv"
    for (kind, address), results in seen.items():
        names = [f"image_object_detection_{n}.{suffix}" for n in (1, 2, 3) for suffix in ("jsonl", "parquet")]
        assert sorted(results) == names, (kind, address)
        assert results == seen["file", address], (kind, address)
    assert seen["file", "images/"] == seen["file", "images"] == seen["file", "**/*.jpg"]


def _listed(world: World, prefix: str, size: int) -> list[dict[str, Any]]:
    """All that ListObjects says of a folder, page by page."""
    found: list[dict[str, Any]] = []
    asked = {"prefix": prefix, "pageSize": size}
    while True:
        url = f"http://127.0.0.1:{world.service.port}/v1/projects/p/locations/us-central1/objects"
        answer = httpx.get(url, params=asked, timeout=PATIENCE_S, trust_env=False)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page.get("objects", [])) <= size
        found += page.get("objects", [])
        if not page.get("nextPageToken"):
            return found
        asked["pageToken"] = page["nextPageToken"]


def test_what_lies_in_a_folder_is_listed_alike_in_any_store(world):
    contents = {"a.csv": b"a", "b ä+%20.jpg": b"bbb", "z.txt": b""} | {f"deep/{n}/x.jpg": b"x" for n in range(5)}
    seen = {}
    for kind in (kind for kind in OTHER_KINDS if kind in world.bases):
        base = f"{world.base(kind)}/looked at"
        for name, content in contents.items():
            world.stores.put(objects.ObjectUri.parse(f"{base}/{name}"), content)
        for size in (1, 2, 100):
            listed = _listed(world, f"{base}/", size)
            assert all(one.get("isFolder") or one["updateTime"] for one in listed), kind
            seen[kind, size] = [
                (one["uri"].removeprefix(base), int(one.get("sizeBytes", 0)), one.get("isFolder", False))
                for one in listed
            ]
            seen[kind, "deep", size] = [
                (one["uri"].removeprefix(base), 0, one["isFolder"]) for one in _listed(world, f"{base}/deep", size)
            ]
    for (kind, *what), listed in seen.items():
        if what[0] == "deep":
            assert listed == [(f"/deep/{n}/", 0, True) for n in range(5)], kind
        else:
            files = [("/a.csv", 1, False), ("/b ä+%20.jpg", 3, False), ("/deep/", 0, True), ("/z.txt", 0, False)]
            assert listed == files, kind


def test_an_import_reads_one_store_and_an_export_writes_another(world):
    base = world.base("s3")
    rows = []
    for number in range(12):
        drawing = drawn_images.draw(number)
        uri = f"{base}/train/{number}.jpg"
        world.stores.put(objects.ObjectUri.parse(uri), drawing.content)
        rows += [f"TRAIN,{uri},{label},{box[0]},{box[1]},,,{box[2]},{box[3]},," for label, *box in drawing.boxes]
    csv_uri = objects.ObjectUri.parse(f"{world.base('gs')}/import.csv")
    world.stores.put(csv_uri, "".join(row + "\n" for row in rows).encode())
    with open_api(world.service) as api:
        dataset = api.create_dataset()
        operation = api.finished(api.start_import(dataset, str(csv_uri)))
        assert not operation.HasField("error"), operation.error
        assert not metadata(operation).partial_failures
        target = f"{world.base('file')}/export/"
        config = {"gcs_destination": {"output_uri_prefix": target}}
        name = api.automl.export_data(name=dataset, output_config=config).operation.name
        assert not api.finished(name).HasField("error")
    (exported,) = world.stores.list(objects.ObjectUri.parse(target))
    assert world.stores.get(exported.uri).count(base.encode()) == len(rows)


def test_a_store_that_answers_badly_for_a_while_costs_nothing(world):
    base = world.base("s3")
    list_uri = world.fill(base)
    with open_api(world.service) as api:
        calm = world.results(world.predict(api, list_uri, f"{base}/calm/"), base)
        world.rough.every(4, 503, "truncate", 429, 500)
        stormy = world.predict(api, list_uri, f"{base}/stormy/")
        world.rough.then()
        assert world.results(stormy, base) == calm
    assert _verify(world, stormy).returncode == 0


def test_a_store_that_refuses_writes_fails_the_job_with_the_reason(world):
    base = world.base("s3")
    list_uri = world.fill(base)
    world.rough.trouble = lambda method: 403 if method == "PUT" else None
    with open_api(world.service) as api:
        operation = api.finished(api.start_batch(world.model, list_uri, f"{base}/refused/"))
    assert operation.error.code == 7
    assert f"{base}/refused/prediction-tiny-" in operation.error.message
    assert "may not be accessed by this service" in operation.error.message


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("s3://bucket/list.csv", "is not served by this installation, only gs://"),
        ("file:///etc/passwd", "does not start with gs://"),
    ],
)
def test_a_scheme_that_is_not_served_is_refused_at_once(service, uri, why):
    with open_api(service) as api:
        dataset = api.create_dataset("refused")
        with pytest.raises(Exception, match=why):
            api.start_import(dataset, uri)
