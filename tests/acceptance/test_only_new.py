"""Only what is new, through the service: former jobs are found, taken over, and named at the end."""

from __future__ import annotations

import itertools
import json
import pathlib
import re
import shutil
from typing import Any

import pytest
from google.cloud.automl_v1 import types
from tests.support.clients.api import Api, open_api
from tests.support.images import drawn_images
from tests.support.predictions.tiny_model import TinyModel
from tests.support.processes.crashes import contents
from tests.support.services.command_line import CommandLine

IMAGES = 12
_NUMBERS = itertools.count(1)


class Scene:
    """Images in a bucket of a service."""

    def __init__(self, api: Api, service: Any, model: str, bucket: str) -> None:
        self.api = api
        self.model = model
        self.name = bucket
        self.bucket: pathlib.Path = service.bucket(bucket)
        self.images = self.bucket / "images"
        drawn_images.write_images(self.images, IMAGES)
        (self.images / "broken.jpg").write_bytes(b"no image")

    def predict(self, prefix: str = "out", **params: str) -> tuple[pathlib.Path, dict[str, str], dict[str, Any]]:
        """Predicts the folder; returns the results' folder, the response's metadata and the manifest."""
        told = self._told(prefix, **params)
        folder = self.bucket / pathlib.PurePosixPath(told["manifest"]).relative_to(f"gs:/{self.name}").parent
        return folder, told, json.loads((folder / "manifest.json").read_bytes())

    def estimate(self, prefix: str = "out", **params: str) -> dict[str, str]:
        """What a dry run of the folder says."""
        return self._told(prefix, validate_only="true", **params)

    def _told(self, prefix: str, **params: str) -> dict[str, str]:
        operation = self.api.start_batch(
            self.model, f"gs://{self.name}/images/", f"gs://{self.name}/{prefix}/", **params
        )
        done = self.api.finished(operation)
        assert not done.HasField("error"), done.error
        result = types.BatchPredictResult.pb(types.BatchPredictResult())
        done.response.Unpack(result)
        return dict(result.metadata)


@pytest.fixture(scope="module")
def model(service, tiny_model: TinyModel) -> str:
    return tiny_model.install(service.data_dir, "IOD7410000000000000001", display_name="only_new_1")


@pytest.fixture
def scene(service, model: str):
    with open_api(service) as api:
        yield Scene(api, service, model, f"only-new-{next(_NUMBERS)}")


def _files(folder: pathlib.Path) -> dict[str, bytes]:
    return {name: content for name, content in contents(folder).items() if name != "manifest.json"}


def test_a_job_takes_over_what_has_not_changed_and_says_so(scene: Scene):
    first, told, manifest = scene.predict()
    assert "reuse" not in told and manifest["reused"] == 0
    (scene.images / "new.jpg").write_bytes(drawn_images.draw(50).content)
    again, told, manifest = scene.predict(reuse="auto")
    assert (told["reused"], told["images"], told["failed"]) == (str(IMAGES), str(IMAGES + 2), "1")
    assert told["reuse"] == manifest["base"]["manifest"] == f"gs://{scene.name}/out/{first.name}/manifest.json"
    whole, told, _ = scene.predict(reuse="none")
    assert _files(again) == _files(whole)
    assert "reuse" not in told
    lower, told, _ = scene.predict(reuse=f"gs://{scene.name}/out/{again.name}/", score_threshold="0.2", formats="csv")
    assert told["reused"] == str(IMAGES + 1)
    assert _files(lower) == _files(scene.predict(score_threshold="0.2", formats="csv")[0])


def test_a_small_job_is_no_base_of_its_own_accord_and_an_operation_may_be_named(scene: Scene):
    first, _, _ = scene.predict()
    operation = scene.api.start_batch(scene.model, f"gs://{scene.name}/images/*0.jpg", f"gs://{scene.name}/out/")
    assert not scene.api.finished(operation).HasField("error")
    _, told, _ = scene.predict(reuse="auto")
    assert told["reuse"].split("/")[-2] == first.name
    few = scene.predict(reuse=operation)[1]
    by_id = scene.predict(reuse=operation.rpartition("/")[2])[1]
    assert (few["reused"], few["reuse"]) == (by_id["reused"], by_id["reuse"])
    assert 0 < int(few["reused"]) < IMAGES


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ("auto", "no former job below"),
        ("IOD99", "no batch prediction that has ended"),
        ("projects/other/locations/us-central1/operations/IOD1", "belongs to another project"),
        ("gs://nowhere/prediction-x", "nothing was taken over: gs://nowhere/prediction-x/manifest.json cannot be read"),
    ],
)
def test_a_base_that_is_not_there_is_said_and_fails_nothing(scene: Scene, wish: str, why: str):
    _, told, manifest = scene.predict(reuse=wish)
    assert why in told["reuse"] and told["reused"] == "0"
    assert manifest["base"] is None and manifest["images_predicted"] == IMAGES


def test_a_base_that_vanished_is_said(scene: Scene):
    first, _, _ = scene.predict()
    shutil.rmtree(first)
    assert "cannot be read" in scene.predict(reuse=f"gs://{scene.name}/out/{first.name}")[1]["reuse"]


def test_only_new_lines_are_written(scene: Scene):
    scene.predict()
    (scene.images / "new.jpg").write_bytes(drawn_images.draw(51).content)
    gone = sorted(path.name for path in scene.images.glob("*.jpg"))[0]
    (scene.images / gone).unlink()
    folder, told, manifest = scene.predict(reuse="auto", only_new="true")
    (shard,) = [name for name in contents(folder) if name.startswith("image_object_detection")]
    assert [json.loads(line)["ID"] for line in (folder / shard).read_bytes().splitlines()] == [
        f"gs://{scene.name}/images/new.jpg"
    ]
    assert (folder / "removed.csv").read_text() == f"gs://{scene.name}/images/{gone}\n"
    assert (told["images"], told["reused"]) == (str(IMAGES + 1), str(IMAGES - 1))
    assert manifest["settings"]["only_new"] is True
    # made again, it is whole
    operation = scene.api.start_batch(
        scene.model, f"gs://{scene.name}/out/{folder.name}/manifest.json", f"gs://{scene.name}/r/"
    )
    assert not scene.api.finished(operation).HasField("error")
    (made,) = (scene.bucket / "r").iterdir()
    whole = scene.predict()[0]
    assert (made / shard).read_bytes() == (whole / shard).read_bytes()


@pytest.mark.parametrize(("key", "value"), [("reuse", "a b"), ("reuse", "gs://"), ("only_new", "maybe")])
def test_what_cannot_be_meant_is_refused_by_name(scene: Scene, key: str, value: str):
    with pytest.raises(Exception, match=f"params.{key}"):
        scene.predict(**{key: value})


def test_the_commands_take_over_too(service, scene: Scene):
    boxwright = CommandLine(service.url)
    images, out = f"gs://{scene.name}/images/", f"gs://{scene.name}/out/"
    first = boxwright("batch", "predict", "only_new_1", images, out, "--wait")
    assert first.returncode == 3, first.stderr
    (scene.images / "broken.jpg").write_bytes(drawn_images.draw(52).content)
    operation = re.search(r"boxwright batch retry (IOD\d+)\n", first.stderr)
    assert operation is not None, first.stderr
    whole = boxwright("batch", "retry", operation[1], "--whole", "--wait")
    assert whole.returncode == 0, whole.stderr
    folder = scene.bucket / "out" / whole.stdout.split()[-1].rstrip("/").rpartition("/")[2]
    manifest = json.loads((folder / "manifest.json").read_bytes())
    assert (manifest["images_predicted"], manifest["reused"]) == (IMAGES + 1, IMAGES)
    again = boxwright("batch", "predict", "only_new_1", images, out, "--reuse", "auto", "--only-new", "--wait")
    assert again.returncode == 0, again.stderr
    folder = scene.bucket / "out" / again.stdout.split()[-1].rstrip("/").rpartition("/")[2]
    manifest = json.loads((folder / "manifest.json").read_bytes())
    assert (manifest["images_predicted"], manifest["reused"]) == (0, IMAGES + 1)


def test_a_dry_run_says_what_share_would_be_taken_over(scene: Scene):
    scene.predict()
    (scene.images / "new.jpg").write_bytes(drawn_images.draw(53).content)
    told = scene.estimate(reuse="auto")
    assert float(told["reused_share"]) == pytest.approx(
        IMAGES / (IMAGES + 2), abs=1e-6
    )  # broken.jpg and new.jpg are tried
    assert "reuse" not in told
    assert "no former job" in scene.estimate("elsewhere", reuse="auto")["reuse"]
    assert not {"reuse", "reused_share"} & set(scene.estimate())
    _, told, _ = scene.predict(reuse="auto")
    assert told["reused"] == str(IMAGES), "a dry run is no base, and leaves none behind"
