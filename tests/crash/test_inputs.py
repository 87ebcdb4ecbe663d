"""Folders and archives as inputs under fire: killed while names are listed or an archive is read, the bytes are the same."""

from __future__ import annotations

import pathlib

import pytest
from tests.support.clients.api import Api, open_api
from tests.support.images import drawn_images
from tests.support.machine.waiting import wait_until
from tests.support.predictions.batch_inputs import tar
from tests.support.predictions.tiny_model import TinyModel
from tests.support.processes import crashes
from tests.support.processes.crashes import ENVIRONMENT, INFERENCE, children_of, contents, wait_until_gone, whole_shards

from boxwright.batch.output.manifest import Manifest

IMAGES = 400
NAMES = [f"in/{number % 7}/{number:04d}.jpg" for number in range(IMAGES)]


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return {name: drawn_images.draw(number % 40).content for number, name in enumerate(NAMES)}


def _fill(bucket: pathlib.Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (bucket / name).parent.mkdir(parents=True, exist_ok=True)
        (bucket / name).write_bytes(content)
    (bucket / "in" / "notes.txt").write_bytes(b"no image")
    (bucket / "all.tar").write_bytes(tar(files))
    (bucket / "all.tar.gz").write_bytes(tar(files, "gz"))


def _undisturbed(api: Api, bucket: pathlib.Path, model: str, address: str) -> dict[str, bytes]:
    name = api.start_batch(model, address, "gs://b/undisturbed/", score_threshold="0.3")
    assert not api.finished(name, timeout_s=120).HasField("error")
    return contents(crashes.result_folder(bucket, "undisturbed"))


@pytest.mark.parametrize("point", ["plan.after_page", pytest.param("plan.before_page", marks=pytest.mark.full)])
def test_a_service_killed_while_names_are_listed_goes_on_with_those_that_it_has_found(
    service_factory, tiny_model: TinyModel, files, point, tmp_path
):
    (tmp_path / "marks").mkdir()
    faults = {"BOXWRIGHT_FAULTS": f"{point}:hang@2", "BOXWRIGHT_FAULTS_ONCE": str(tmp_path / "marks")}
    service = service_factory(environment=ENVIRONMENT)
    bucket = service.bucket("b")
    _fill(bucket, files)
    model = tiny_model.install(service.data_dir)
    with open_api(service) as api:
        calm = _undisturbed(api, bucket, model, "gs://b/in/")
    service.stop()
    service = service_factory(environment=ENVIRONMENT | faults)
    with open_api(service) as api:
        name = api.start_batch(model, "gs://b/in/", "gs://b/out/", score_threshold="0.3")
        wait_until(lambda: list((tmp_path / "marks").iterdir()), "names that are listed", interval_s=0.005)
        crashes.kill(service)
    (bucket / "in" / "0" / "0000-late.jpg").write_bytes(files[NAMES[0]])
    (bucket / "in" / "more.txt").write_bytes(b"no image")
    service = service_factory(environment=ENVIRONMENT)
    with open_api(service) as api:
        assert not api.finished(name, timeout_s=120).HasField("error")
    assert contents(crashes.result_folder(bucket, "out")) == calm
    manifest = Manifest.from_json(calm["manifest.json"])
    assert (manifest.images_predicted, manifest.left_out) == (IMAGES, {"gs://b/in/": {".txt": 1}})
    crashes.assert_tidy(service.data_dir)


@pytest.mark.parametrize("archive", ["all.tar", pytest.param("all.tar.gz", marks=pytest.mark.full)])
def test_a_service_killed_while_an_archive_is_read_finishes_with_the_same_bytes(
    service_factory, tiny_model: TinyModel, files, archive
):
    service = service_factory(environment=ENVIRONMENT)
    bucket = service.bucket("b")
    _fill(bucket, files)
    model = tiny_model.install(service.data_dir)
    with open_api(service) as api:
        calm = _undisturbed(api, bucket, model, f"gs://b/{archive}")
    service.stop()
    slow = {"BOXWRIGHT_FAULTS": f"image gs://b/{archive}#{NAMES[230]}:hang", "BOXWRIGHT_IMAGE_TIMEOUT_S": "600"}
    service = service_factory(environment=ENVIRONMENT | slow)  # it cannot end before it is killed
    with open_api(service) as api:
        name = api.start_batch(model, f"gs://b/{archive}", "gs://b/out/", score_threshold="0.3")
        folder = wait_until(lambda: crashes.result_folder(bucket, "out"), "the folder", interval_s=0.005)
        wait_until(lambda: len(whole_shards(folder)) >= 3, "three shards", interval_s=0.005)
        orphans = children_of(service.process.pid, INFERENCE)
        crashes.kill(service)
    wait_until_gone(orphans)
    service = service_factory(environment=ENVIRONMENT)
    with open_api(service) as api:
        assert not api.finished(name, timeout_s=120).HasField("error")
    assert contents(crashes.result_folder(bucket, "out")) == calm
    crashes.assert_tidy(service.data_dir)


def test_a_member_that_crashes_its_decoder_is_left_out_and_the_others_are_predicted(
    service_factory, tiny_model: TinyModel, files
):
    bad = f"gs://b/all.tar#{NAMES[170]}"
    service = service_factory(environment=ENVIRONMENT | {"BOXWRIGHT_FAULTS": f"image {bad}:kill"})
    bucket = service.bucket("b")
    _fill(bucket, files)
    model = tiny_model.install(service.data_dir)
    with open_api(service) as api:
        operation = api.finished(api.start_batch(model, "gs://b/all.tar", "gs://b/out/"), timeout_s=150)
    assert not operation.HasField("error"), operation.error
    output = contents(crashes.result_folder(bucket, "out"))
    (line,) = output["errors_1.jsonl"].splitlines()
    assert bad.encode() in line and b"crashes the decoder" in line
    assert Manifest.from_json(output["manifest.json"]).images_predicted == IMAGES - 1
