"""The service's own state in a bucket: models and plans outlive the machine, and another machine goes on with them."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from tests.support.clients.api import open_api
from tests.support.images import drawn_images
from tests.support.machine.waiting import PATIENCE_S, wait_until
from tests.support.predictions.tiny_model import MODEL_ID, TinyModel
from tests.support.processes import crashes
from tests.support.processes.crashes import ENVIRONMENT, contents, stats, wait_until_gone, whole_shards
from tests.support.stores import object_servers
from tests.support.stores.object_servers import BUCKET

from boxwright import errors, objects, settings
from boxwright.inference import compiled_cache
from boxwright.inference.model_folder import ModelError
from boxwright.inference.model_store import ModelFolders

STATE = f"s3://{BUCKET}/state"
IMAGES = 400


@pytest.fixture
def environment(monkeypatch):
    with object_servers.moto() as server:
        found = server.environment(server.address) | {"BOXWRIGHT_STATE_URI": STATE}
        for name, value in found.items():
            monkeypatch.setenv(name, value)
        yield found


@pytest.fixture
def stores(environment, tmp_path) -> objects.Stores:
    return objects.Stores(tmp_path / "none", tmp_path / "none-state", objects.StoreConfig(state_uri=STATE))


def _keys(stores: objects.Stores, folder: str) -> list[str]:
    return [info.uri.key for info in stores.list(stores.state(folder))]


def _published(tiny_model: TinyModel, stores: objects.Stores, place: pathlib.Path) -> ModelFolders:
    """Publishes the tiny model from a machine whose models are in `place`."""
    place.mkdir(parents=True)
    folders = ModelFolders(place, stores)
    draft = shutil.copytree(
        tiny_model.folder, place.parent / "draft", ignore=shutil.ignore_patterns(compiled_cache.FOLDER)
    )
    folders.publish(draft, MODEL_ID)
    return folders


def test_a_model_is_fetched_whole_where_it_is_missing_and_deleted_everywhere(tiny_model, stores, tmp_path):
    here = _published(tiny_model, stores, tmp_path / "here" / "models")
    (tmp_path / "there").mkdir()
    there = ModelFolders(tmp_path / "there", stores)
    fetched = there.local(MODEL_ID)
    original = {path.name: path.read_bytes() for path in tiny_model.folder.iterdir() if path.is_file()}
    assert contents(fetched) == contents(here.local(MODEL_ID)) == original
    assert [path.name for path in (tmp_path / "there").iterdir()] == [MODEL_ID]
    there.delete_here(MODEL_ID)
    there.delete_there(MODEL_ID)
    assert _keys(stores, "models") == []
    shutil.rmtree(here.local(MODEL_ID))
    with pytest.raises(ModelError, match="no complete model"):
        here.local(MODEL_ID)


def test_half_a_model_in_the_bucket_is_none(tiny_model, stores, tmp_path):
    stores.put(stores.state(f"models/{MODEL_ID}/model.onnx"), b"half")
    with pytest.raises(ModelError, match="no complete model"):
        ModelFolders(tmp_path, stores).local(MODEL_ID)
    assert list(tmp_path.glob(f"{MODEL_ID}*")) == []


def test_only_state_may_be_deleted(stores):
    for uri in (f"s3://{BUCKET}/statement/x", f"s3://{BUCKET}/other", "s3://elsewhere/state/x"):
        with pytest.raises(ValueError, match="only the service's own state"):
            stores.delete_prefix(objects.ObjectUri.parse(uri))


def test_a_state_address_must_name_a_folder_of_a_bucket():
    for text in ("file:///tmp", f"s3://{BUCKET}", "nonsense"):
        with pytest.raises(errors.ApiError):
            settings.read({"BOXWRIGHT_STATE_URI": text})


def test_a_batch_uses_the_bucket_and_leaves_nothing_of_the_plan(
    service_factory, environment, tiny_model: TinyModel, stores, tmp_path
):
    service = service_factory(environment=environment)
    bucket = service.bucket("b")
    images = drawn_images.write_images(bucket / "images", 30)
    drawn_images.write_csv(bucket, "list.csv", [f"gs://b/images/{image}" for image in images])
    model = tiny_model.install(service.data_dir)
    shutil.rmtree(service.data_dir / "models" / MODEL_ID)  # this machine has never seen it
    _published(tiny_model, stores, tmp_path / "trainer" / "models")
    with open_api(service) as api:
        operation = api.finished(api.start_batch(model, "gs://b/list.csv", "gs://b/out/", score_threshold="0.3"))
        assert not operation.HasField("error"), operation.error
        wait_until(lambda: _keys(stores, "operations") == [], "the plan to be gone")
        assert list((service.data_dir / "state").rglob("*.json")) == []
        api.automl.delete_model(name=model).result()
        wait_until(lambda: _keys(stores, "models") == [], "the model to be gone")


@pytest.mark.full
def test_another_machine_finishes_what_a_killed_worker_left(
    service_factory, environment, tiny_model: TinyModel, stores, postgres, tmp_path
):
    """Two workers that share a database and a bucket, and no folder but the one of the images."""
    url = postgres.new_database()
    environment = {**ENVIRONMENT, **environment, "BOXWRIGHT_DATABASE_URL": url, "BOXWRIGHT_LEASE_TTL_S": "4"}
    service = service_factory(environment=environment, no_worker=True)
    bucket = service.bucket("b")
    images = drawn_images.write_images(bucket / "images", IMAGES)
    drawn_images.write_csv(bucket, "list.csv", [f"gs://b/images/{image}" for image in images])
    model = tiny_model.install(service.data_dir, database_url=url)
    _published(tiny_model, stores, tmp_path / "trainer" / "models")
    with open_api(service) as api:
        first = _worker(tmp_path / "first", service, environment)
        name = api.start_batch(model, "gs://b/list.csv", "gs://b/out/", score_threshold="0.3")
        folder = wait_until(lambda: crashes.result_folder(bucket, "out"), "the folder", timeout_s=60, interval_s=0.005)
        wait_until(lambda: len(whole_shards(folder)) >= 2, "two shards", timeout_s=60, interval_s=0.005)
        orphans = crashes.children_of(first.pid)
        first.kill()
        first.wait()
        wait_until_gone(orphans)
        found = stats(folder)
        before = {shard: found[shard] for shard in whole_shards(folder)}
        assert 2 <= len(before) < IMAGES // 50
        second = _worker(tmp_path / "second", service, environment)
        try:
            assert not api.finished(name, timeout_s=120).HasField("error")
            after = stats(folder)
            assert {shard: after[shard] for shard in before} == before
            calm = api.start_batch(model, "gs://b/list.csv", "gs://b/calm/", score_threshold="0.3")
            assert not api.finished(calm, timeout_s=120).HasField("error")
            wait_until(lambda: _keys(stores, "operations") == [], "the plans to be gone")
        finally:
            second.terminate()
            second.wait(PATIENCE_S)
    assert contents(folder) == contents(crashes.result_folder(bucket, "calm"))


def _worker(data_dir: pathlib.Path, service, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """A worker with a data directory of its own."""
    command = [sys.executable, "-m", "boxwright.cli", "worker", "--data-dir", str(data_dir)]
    command += ["--buckets", str(service.buckets)]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BOXWRIGHT_")}
    inherited["BOXWRIGHT_TUNE"] = "false"
    log = data_dir.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=inherited | environment
        )
    wait_until(lambda: b"worker is ready" in log.read_bytes(), "the worker to be ready")
    return process
