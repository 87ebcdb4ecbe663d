"""Jobs that take results over under fire: killed anywhere, the bytes are those of an undisturbed run."""

from __future__ import annotations

import pathlib
import random

import pytest
from tests.support.clients.api import Api, open_api
from tests.support.images import drawn_images
from tests.support.machine.waiting import wait_until
from tests.support.predictions.tiny_model import TinyModel
from tests.support.processes import crashes
from tests.support.processes.crashes import ENVIRONMENT, contents, result_folder, whole_shards

IMAGES = 40
SETTINGS = {**ENVIRONMENT, "BOXWRIGHT_SHARD_IMAGES": "3", "BOXWRIGHT_REUSE_AUDIT": "0.1"}


def _start(api: Api, bucket: pathlib.Path, model: str, prefix: str, **params: str) -> str:
    """Predicts the images again by the folder ``former``; returns the operation's name."""
    base = f"gs://b/former/{result_folder(bucket, 'former').name}"
    return api.start_batch(model, "gs://b/images/", f"gs://b/{prefix}/", reuse=base, only_new="true", **params)


def _prepared(service, tiny_model: TinyModel, api: Api) -> str:
    """Predicts some images, then changes, renames, adds and removes some; returns the model."""
    bucket = service.bucket("b")
    names = drawn_images.write_images(bucket / "images", IMAGES)
    (bucket / "images" / "broken.jpg").write_bytes(b"none")
    model = tiny_model.install(service.data_dir)
    assert not api.finished(api.start_batch(model, "gs://b/images/", "gs://b/former/"), timeout_s=120).HasField("error")
    for number in range(0, IMAGES, 5):
        (bucket / "images" / names[number]).write_bytes(drawn_images.draw(200 + number).content)
    (bucket / "images" / names[1]).rename(bucket / "images" / "renamed.jpg")
    (bucket / "images" / names[2]).unlink()
    assert not api.finished(_start(api, bucket, model, "calm"), timeout_s=120).HasField("error")
    calm = contents(result_folder(bucket, "calm"))
    assert calm["removed.csv"].count(b"\n") == 2
    return model


def _marks(folder: pathlib.Path) -> dict[str, str]:
    (folder / "marks").mkdir(exist_ok=True)
    return {"BOXWRIGHT_FAULTS_ONCE": str(folder / "marks")}


@pytest.mark.parametrize(
    "point",
    [
        "sink.after_sidecar@3",
        *(
            pytest.param(one, marks=pytest.mark.full)
            for one in ("reuse.before_base", "reuse.after_index", "sink.before_put@4", "sink.after_put@2",
                        "sink.before_manifest", "sink.after_manifest")
        ),
    ],
)  # fmt: skip
def test_a_process_that_dies_costs_no_byte(service_factory, tiny_model: TinyModel, tmp_path, point: str):
    service = service_factory(environment=SETTINGS)
    with open_api(service) as api:
        model = _prepared(service, tiny_model, api)
    service.stop()
    name, _, passage = point.partition("@")
    fault = f"{name}:kill@{passage or 1}"
    service = service_factory(environment={**SETTINGS, **_marks(tmp_path), "BOXWRIGHT_FAULTS": fault})
    bucket = service.bucket("b")
    with open_api(service) as api:
        assert not api.finished(_start(api, bucket, model, "killed"), timeout_s=120).HasField("error")
    assert list((tmp_path / "marks").iterdir()), "nobody died"
    assert contents(result_folder(bucket, "killed")) == contents(result_folder(bucket, "calm"))
    crashes.assert_tidy(service.data_dir)


@pytest.mark.full
def test_a_service_that_is_killed_again_and_again_finishes_with_the_same_bytes(
    service_factory, tiny_model: TinyModel, tmp_path
):
    service = service_factory(environment=SETTINGS)
    bucket = service.bucket("b")
    rng = random.Random(20)
    with open_api(service) as api:
        model = _prepared(service, tiny_model, api)
        name = _start(api, bucket, model, "killed")
    for _ in range(4):
        seen = len(whole_shards(result_folder(bucket, "killed"))) if (bucket / "killed").exists() else 0
        wanted = seen + rng.randint(0, 4)

        def has_come_so_far(wanted: int = wanted) -> bool:
            if not (bucket / "killed").exists() or not list((bucket / "killed").iterdir()):
                return wanted == 0
            folder = result_folder(bucket, "killed")
            return len(whole_shards(folder)) >= wanted or (folder / "manifest.json").exists()

        wait_until(has_come_so_far, "some shards")
        crashes.kill(service)
        service = service_factory(environment=SETTINGS)
    with open_api(service) as api:
        assert not api.finished(name, timeout_s=120).HasField("error")
    assert contents(result_folder(bucket, "killed")) == contents(result_folder(bucket, "calm"))
    crashes.assert_tidy(service.data_dir)
