"""A dry run under fire: whatever is killed, it is made again and ends, and leaves nothing but its file."""

from __future__ import annotations

import pytest
from google.cloud import automl_v1
from tests.support.clients.api import open_api
from tests.support.images import drawn_images
from tests.support.machine.waiting import wait_until
from tests.support.predictions.tiny_model import TinyModel
from tests.support.processes import crashes
from tests.support.processes.crashes import ENVIRONMENT, INFERENCE, children_of

IMAGES = 20


@pytest.mark.parametrize("victim", ["service", pytest.param("child", marks=pytest.mark.full)])
def test_a_dry_run_that_is_killed_ends_all_the_same(service_factory, tiny_model: TinyModel, tmp_path, victim: str):
    (tmp_path / "marks").mkdir()
    hung = {"BOXWRIGHT_FAULTS": "image gs://b/images/0007.jpg:hang", "BOXWRIGHT_FAULTS_ONCE": str(tmp_path / "marks")}
    environment = {**ENVIRONMENT, "BOXWRIGHT_IMAGE_TIMEOUT_S": "600"}
    service = service_factory(environment=environment | hung)
    bucket = service.bucket("b")
    names = drawn_images.write_images(bucket / "images", IMAGES)
    uri = drawn_images.write_csv(bucket, "list.csv", [f"gs://b/images/{name}" for name in names])
    model = tiny_model.install(service.data_dir)
    with open_api(service) as api:
        name = api.start_batch(model, uri, "gs://b/out/", validate_only="true")
        wait_until(lambda: any((tmp_path / "marks").iterdir()), "the image that hangs")
        if victim == "child":
            for child in children_of(service.process.pid, INFERENCE):
                child.kill()
        else:
            crashes.kill(service, environment)
    if victim == "service":
        service = service_factory(environment=environment)
    with open_api(service) as api:
        operation = api.finished(name, timeout_s=120)
        assert not operation.HasField("error"), operation.error
        result = automl_v1.BatchPredictResult.pb(automl_v1.BatchPredictResult())
        assert operation.response.Unpack(result)
        assert (result.metadata["images"], result.metadata["sample_failed"]) == (str(IMAGES), "0")
    assert [path.name for path in (bucket / "out").iterdir()] == ["estimate.json"]
    crashes.assert_tidy(service.data_dir)
