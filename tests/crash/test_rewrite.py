"""Results made again from candidates under fire: killed anywhere, the bytes are those of an undisturbed run."""

from __future__ import annotations

import pathlib

import pytest
from tests.support.clients.api import Api, open_api
from tests.support.images import drawn_images
from tests.support.machine.waiting import wait_until
from tests.support.predictions.tiny_model import TinyModel
from tests.support.processes import crashes
from tests.support.processes.crashes import (
    ENVIRONMENT,
    INFERENCE,
    children_of,
    contents,
    result_folder,
    stats,
    wait_until_gone,
    whole_shards,
)

IMAGES, SHARDS = 60, 20
WORKER = "boxwright.batch.rewrite.worker_main"
SETTINGS = {**ENVIRONMENT, "BOXWRIGHT_SHARD_IMAGES": "3"}


def _start(api: Api, bucket: pathlib.Path, model: str, prefix: str) -> str:
    """Makes the results of the folder ``former`` again; returns the operation's name."""
    former = result_folder(bucket, "former")
    return api.start_batch(
        model, f"gs://b/former/{former.name}/manifest.json", f"gs://b/{prefix}/", score_threshold="0.4", formats="csv"
    )


def _prepared(service, tiny_model: TinyModel, api: Api) -> str:
    """Predicts some images; returns the model."""
    bucket = service.bucket("b")
    names = drawn_images.write_images(bucket / "images", IMAGES)
    drawn_images.write_csv(bucket, "list.csv", [*(f"gs://b/images/{name}" for name in names), "gs://b/none.jpg"])
    model = tiny_model.install(service.data_dir)
    name = api.start_batch(model, "gs://b/list.csv", "gs://b/former/")
    assert not api.finished(name, timeout_s=120).HasField("error")
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
            for one in ("rewrite.before_header", "sink.before_put@4", "sink.after_put@2", "sink.before_manifest")
        ),
    ],
)
def test_a_process_that_dies_costs_no_byte(service_factory, tiny_model: TinyModel, tmp_path, point: str):
    service = service_factory(environment=SETTINGS)
    with open_api(service) as api:
        model = _prepared(service, tiny_model, api)
        assert not api.finished(_start(api, service.bucket("b"), model, "calm"), timeout_s=120).HasField("error")
    service.stop()
    name, _, passage = point.partition("@")
    fault = f"{name}:kill@{passage or 1}"
    service = service_factory(environment={**SETTINGS, **_marks(tmp_path), "BOXWRIGHT_FAULTS": fault})
    bucket = service.bucket("b")
    with open_api(service) as api:
        assert not api.finished(_start(api, bucket, model, "killed"), timeout_s=120).HasField("error")
    assert list((tmp_path / "marks").iterdir()), "nobody died"
    assert contents(result_folder(bucket, "killed")) == contents(result_folder(bucket, "calm"))
    assert len(whole_shards(result_folder(bucket, "killed"))) == SHARDS + 1
    crashes.assert_tidy(service.data_dir)


def test_a_service_killed_in_the_middle_leaves_no_orphan_and_finishes_after_its_restart(
    service_factory, tiny_model: TinyModel, tmp_path
):
    service = service_factory(environment=SETTINGS)
    bucket = service.bucket("b")
    with open_api(service) as api:
        model = _prepared(service, tiny_model, api)
        assert not api.finished(_start(api, bucket, model, "calm"), timeout_s=120).HasField("error")
    service.stop()
    service = service_factory(
        environment={**SETTINGS, **_marks(tmp_path), "BOXWRIGHT_FAULTS": "sink.before_put:hang@5"}
    )
    with open_api(service) as api:
        name = _start(api, bucket, model, "killed")
        wait_until(lambda: list((tmp_path / "marks").iterdir()), "a worker that hangs")
        folder = wait_until(lambda: result_folder(bucket, "killed"), "the folder")
        orphans = [*children_of(service.process.pid, INFERENCE), *children_of(service.process.pid, WORKER)]
        crashes.kill(service)
    wait_until_gone(orphans)
    before = {shard: stats(folder)[shard] for shard in whole_shards(folder)}
    assert 1 <= len(before) <= SHARDS
    service = service_factory(environment=SETTINGS)
    with open_api(service) as api:
        assert not api.finished(name, timeout_s=120).HasField("error")
    after = stats(folder)
    assert {shard: after[shard] for shard in before} == before
    assert contents(folder) == contents(result_folder(bucket, "calm"))
    crashes.assert_tidy(service.data_dir)
