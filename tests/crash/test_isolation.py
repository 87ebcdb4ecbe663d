"""An image that crashes or hangs its decoder costs one error line, not the job."""

from __future__ import annotations

import pytest
from tests.support.clients.api import open_api
from tests.support.images import drawn_images
from tests.support.machine.waiting import wait_until
from tests.support.predictions.tiny_model import TinyModel
from tests.support.processes import crashes
from tests.support.processes.crashes import ENVIRONMENT, contents

from boxwright.batch.output.manifest import Manifest

FAULTS = {  # what befalls the image, and the code and words that its error line has
    "crash": ("image gs://b/images/{name}:kill", b'"code":13,', b"crashes the decoder"),
    "hang": ("image gs://b/images/{name}:hang", b'"code":4,', b"took longer than 2 s"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_an_image_that_takes_the_process_down_is_left_out_and_the_others_are_predicted(
    kind, service_factory, environment, tiny_model: TinyModel
):
    fault, code, words = FAULTS[kind]
    names = sorted(f"{number:04d}.jpg" for number in range(40))
    environment = {**environment, "BOXWRIGHT_IMAGE_TIMEOUT_S": "2", "BOXWRIGHT_FAULTS": fault.format(name=names[17])}
    service = service_factory(environment=environment)
    bucket = service.bucket("b")
    written = drawn_images.write_images(bucket / "images", 40)
    assert sorted(written) == names
    drawn_images.write_csv(bucket, "list.csv", [f"gs://b/images/{name}" for name in names])
    with open_api(service) as api:
        model = tiny_model.install(service.data_dir, database_url=environment.get("BOXWRIGHT_DATABASE_URL"))
        operation = api.finished(api.start_batch(model, "gs://b/list.csv", "gs://b/out/"), timeout_s=150)
    assert not operation.HasField("error"), operation.error
    output = contents(crashes.result_folder(bucket, "out"))
    (line,) = output["errors_1.jsonl"].splitlines()
    assert names[17].encode() in line and code in line and words in line
    manifest = Manifest.from_json(output["manifest.json"])
    assert (manifest.rows_read, manifest.images_predicted) == (40, 39)
    crashes.assert_tidy(service.data_dir)


@pytest.mark.full
def test_an_image_whose_trial_somebody_else_ended_is_tried_again_and_predicted(
    service_factory, tiny_model: TinyModel, tmp_path
):
    marks = tmp_path / "marks"
    marks.mkdir()
    faults = {"BOXWRIGHT_FAULTS": "image gs://b/images/0017.jpg:kill@*", "BOXWRIGHT_FAULTS_ONCE": str(marks)}
    service = service_factory(environment=ENVIRONMENT | faults)
    bucket = service.bucket("b")
    names = drawn_images.write_images(bucket / "images", 40)
    drawn_images.write_csv(bucket, "list.csv", [f"gs://b/images/{name}" for name in names])
    with open_api(service) as api:
        model = tiny_model.install(service.data_dir)
        name = api.start_batch(model, "gs://b/list.csv", "gs://b/out/")
        (mark,) = wait_until(lambda: list(marks.iterdir()), "the death of the job's child", interval_s=0.005)
        mark.unlink()
        wait_until(mark.exists, "the death of the child of the trial", timeout_s=150)
        operation = api.finished(name, timeout_s=150)
    assert not operation.HasField("error"), operation.error
    manifest = Manifest.from_json(contents(crashes.result_folder(bucket, "out"))["manifest.json"])
    assert (manifest.images_predicted, manifest.errors_by_code) == (40, {})
