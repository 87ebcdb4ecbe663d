"""A former job's manifest as input: other thresholds, labels and formats without inference, byte for byte a direct run."""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess
import sys

import pytest
from google.api_core import exceptions
from google.cloud import automl_v1
from google.rpc import code_pb2
from tests.support.clients.api import Api, metadata, open_api
from tests.support.images import drawn_images
from tests.support.predictions.tiny_model import TinyModel
from tests.support.processes.crashes import contents

from boxwright import kinds
from boxwright.batch.output import result_formats
from boxwright.batch.output.manifest import Manifest
from boxwright.convert import command

BUCKET = "rewrite"
ENVIRONMENT = {"BOXWRIGHT_SHARD_IMAGES": "4", "BOXWRIGHT_HOLD_S": "0"}
IMAGES = 38  # ten shards: more than one process makes


class Scene:
    """A service with a model, a list of images, two of which fail, and a job that has kept all candidates."""

    def __init__(self, service, model: TinyModel, api: Api) -> None:
        self.service, self.api = service, api
        self.model = model.install(service.data_dir)
        self.other = model.install(service.data_dir, model.kind.prefix + "7" * 18)
        self.bucket: pathlib.Path = service.bucket(BUCKET)
        names = drawn_images.write_images(self.bucket / "images", IMAGES)
        rows = [f"gs://{BUCKET}/images/{name}" for name in names]
        (self.bucket / "images" / "text.jpg").write_bytes(b"no image")
        rows[7:7] = [f"gs://{BUCKET}/none.jpg", f"gs://{BUCKET}/images/text.jpg", rows[0]]
        self.rows = rows
        drawn_images.write_csv(self.bucket, "list.csv", rows)
        self.formats = result_formats.names_for(boxes=model.kind is kinds.OBJECT_DETECTION)
        self.labels = [
            label["display_name"] for label in json.loads((model.folder / "model.json").read_text())["labels"]
        ]
        self.former = self.done("list.csv", "former", score_threshold="0.0")

    def run(self, source: str | list[str], prefix: str, model: str = "", **params: str):
        """Runs a batch; returns the finished operation."""
        sources = [source] if isinstance(source, str) else source
        operation = self.api.prediction.batch_predict(
            name=model or self.model,
            input_config={"gcs_source": {"input_uris": [f"gs://{BUCKET}/{one}" for one in sources]}},
            output_config={"gcs_destination": {"output_uri_prefix": f"gs://{BUCKET}/{prefix}/"}},
            params=params,
        ).operation
        return self.api.finished(operation.name, timeout_s=240)

    def done(self, source: str | list[str], prefix: str, **params: str) -> pathlib.Path:
        """The output folder of a batch that succeeds."""
        operation = self.run(source, prefix, **params)
        assert not operation.HasField("error"), operation.error
        output = metadata(operation).batch_predict_details.output_info.gcs_output_directory
        return self.bucket / output.removeprefix(f"gs://{BUCKET}/")

    @property
    def manifest(self) -> str:
        return str((self.former / "manifest.json").relative_to(self.bucket))

    def spoilt(self, name: str, **changes: object) -> str:
        """A copy of the former folder whose manifest says something else."""
        shutil.copytree(self.former, self.bucket / name)
        file = self.bucket / name / "manifest.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))
        return f"{name}/manifest.json"


@pytest.fixture(scope="module", params=["tiny_model", pytest.param("tiny_classifier", marks=pytest.mark.full)])
def scene(request, tmp_path_factory):
    from tests.conftest import _start

    service = _start(tmp_path_factory.mktemp("rewrite"), {}, ENVIRONMENT)
    with open_api(service) as api:
        yield Scene(service, request.getfixturevalue(request.param), api)
    service.stop()


def _verified(folder: pathlib.Path) -> int:
    return subprocess.run([sys.executable, "-m", "boxwright.cli", "verify", str(folder)], check=False).returncode


def _results(folder: pathlib.Path) -> dict[str, bytes]:
    return {
        name: made
        for name, made in contents(folder).items()
        if not name.startswith(("manifest", "candidates", "report"))
    }


@pytest.mark.parametrize("choice", [0, 1, 2])
def test_results_made_again_have_the_bytes_of_a_direct_run_and_a_manifest_of_their_own(scene: Scene, choice):
    params: dict[str, str] = [
        {"score_threshold": "0.4"},
        {"score_threshold": "0.3", f"score_threshold.{scene.labels[0]}": "0.55", "max_bounding_box_count": "2"},
        {
            "score_threshold": "0.0",
            "labels": scene.labels[1],
            "formats": ",".join(reversed(scene.formats)),
            "max_bounding_box_count": "500",
        },
    ][choice]
    direct = scene.done("list.csv", f"direct-{choice}", candidates="none", **params)
    again = scene.done(scene.manifest, f"again-{choice}", **params)
    assert _results(again) == _results(direct)
    assert len(_results(direct)) >= 11
    said = Manifest.from_json((again / "manifest.json").read_bytes())
    former = Manifest.from_json((scene.former / "manifest.json").read_bytes())
    assert [(one["manifest"], one["state"]) for one in said.sources] == [
        (f"gs://{BUCKET}/{scene.manifest}", "SUCCEEDED")
    ]
    assert (said.state, said.rows_read, said.errors_by_code) == ("SUCCEEDED", former.rows_read, former.errors_by_code)
    assert (said.candidates, len(former.candidates)) == ([], 10)
    assert _verified(again) == 0
    if "formats" in params:
        assert list(said.formats) == sorted(scene.formats)
        assert command.detect(again) == "results"  # whatever lies below it
        _unnamed(again)


def _unnamed(folder: pathlib.Path) -> None:
    """A file of another format that the manifest does not name is no file of the job."""
    file = next((folder / "labelme").iterdir())
    file.with_name(file.name.replace("_1.", "_9999.")).write_bytes(b"?")
    assert _verified(folder) == 1


def test_the_response_and_the_numbers_are_those_of_a_batch_prediction(scene: Scene):
    operation = scene.run(scene.manifest, "numbers", score_threshold="0.9")
    result = automl_v1.BatchPredictResult.pb(automl_v1.BatchPredictResult())
    assert operation.response.Unpack(result)
    assert (result.metadata["images"], result.metadata["failed"]) == (str(IMAGES + 2), "2")
    numbers = scene.api.progress(operation.name)
    assert (numbers["done"], numbers["failed"], numbers["errors_files"]) == (IMAGES + 2, 2, 1)


def test_several_manifests_make_one_folder(scene: Scene):
    drawn_images.write_csv(scene.bucket, "few.csv", scene.rows[20:25])
    few = scene.done("few.csv", "few", score_threshold="0.2")
    both = scene.done(
        [scene.manifest, str((few / "manifest.json").relative_to(scene.bucket))], "both", score_threshold="0.4"
    )
    first = scene.done(scene.manifest, "first", score_threshold="0.4")
    kind = first.glob("image_*_1.jsonl").__next__().name.removesuffix("_1.jsonl")
    lines = [(both / f"{kind}_{shard}.jsonl").read_bytes() for shard in range(1, 13)]
    assert lines[:10] == [(first / f"{kind}_{shard}.jsonl").read_bytes() for shard in range(1, 11)]
    assert [json.loads(line)["ID"] for line in b"".join(lines[10:]).splitlines()] == scene.rows[20:25]
    assert _verified(both) == 0
    mixed = [scene.manifest, "list.csv"]
    with pytest.raises(exceptions.InvalidArgument, match="cannot be mixed"):
        scene.run(mixed, "mixed")


def test_what_cannot_be_answered_is_refused_with_the_reason_and_writes_nothing(scene: Scene):
    none = scene.done("list.csv", "none", candidates="none")
    floor = scene.done("list.csv", "floor", score_threshold="0.5")
    without = str((none / "manifest.json").relative_to(scene.bucket))
    floored = str((floor / "manifest.json").relative_to(scene.bucket))
    again = scene.done(scene.manifest, "source", score_threshold="0.6")
    of_again = str((again / "manifest.json").relative_to(scene.bucket))
    changed = scene.spoilt("changed")
    first = sorted((scene.bucket / "changed" / "candidates").iterdir())[0]
    first.write_bytes(first.read_bytes()[:-1] + b"?")
    missing = scene.spoilt("missing")
    sorted((scene.bucket / "missing" / "candidates").iterdir())[-1].unlink()
    former = json.loads((scene.former / "manifest.json").read_text())
    foreign = former["model"] | {"name": former["model"]["name"].replace("projects/", "projects/x-", 1)}
    (scene.bucket / "text").mkdir()
    (scene.bucket / "text" / "manifest.json").write_text("gs://b/a.jpg\n")
    cases = [
        (without, {}, "FAILED_PRECONDITION", "this job kept no candidates; predict its images again"),
        (of_again, {}, "FAILED_PRECONDITION", f"name its source instead: gs://{BUCKET}/{scene.manifest}"),
        (floored, {"score_threshold": "0.04"}, "OUT_OF_RANGE", "scores of at least 0.05, and a score threshold is 0.04"),
        (floored, {f"score_threshold.{scene.labels[0]}": "0"}, "OUT_OF_RANGE", "a score threshold is 0"),
        (changed, {}, "DATA_LOSS", f"{first.name} has other bytes than its manifest says"),
        (missing, {}, "DATA_LOSS", "is missing, and its manifest names it"),
        (scene.spoilt("foreign", model=foreign), {}, "FAILED_PRECONDITION", "is of another project"),
        (
            scene.spoilt("model", model=former["model"] | {"digest": "0" * 64}), {},
            "FAILED_PRECONDITION", "was predicted with another model",
        ),
        (scene.spoilt("later", format_version=99), {}, "FAILED_PRECONDITION", "does not read"),
        ("nowhere/manifest.json", {}, "NOT_FOUND", "does not exist"),
        ("text/manifest.json", {}, "INVALID_ARGUMENT", "this is not a manifest of a batch prediction"),
        (scene.manifest, {"labels": "no such label"}, "INVALID_ARGUMENT", "The model has no label 'no such label'"),
    ]  # fmt: skip
    for number, (source, params, code, text) in enumerate(cases):
        operation = scene.run(source, f"refused-{number}", **params)
        assert (code_pb2.Code.Name(operation.error.code), text in operation.error.message) == (code, True), (
            operation.error
        )
        assert not list((scene.bucket / f"refused-{number}").rglob("manifest.json"))


def test_a_cancelled_job_gives_its_finished_shards_and_the_new_manifest_says_so(scene: Scene):
    former = json.loads((scene.former / "manifest.json").read_text())
    kept = former["shards"][2:4], former["candidates"][2:4]
    source = scene.spoilt(
        "cancelled", state="CANCELLED", rows_read=0, duplicates_removed=0, shards=kept[0], candidates=kept[1],
        images_predicted=sum(one["lines"] for one in kept[0]), errors_by_code={}, errors_files=[],
    )  # fmt: skip
    folder = scene.done(source, "of-cancelled", score_threshold="0.4")
    said = Manifest.from_json((folder / "manifest.json").read_bytes())
    assert (said.state, said.sources[0]["state"]) == ("CANCELLED", "CANCELLED")
    assert [file.name for file in said.shards] == [one["name"] for one in kept[0]]
    assert _verified(folder) == 3


def test_the_same_request_gives_the_same_bytes(scene: Scene):
    first, second = (
        contents(scene.done(scene.manifest, f"twice-{turn}", score_threshold="0.35", formats="csv")) for turn in (1, 2)
    )
    assert first == second
