"""Batch prediction under fire: killed anywhere, it ends with the bytes of an undisturbed run."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re

import pytest
from google.rpc import status_pb2
from tests.support.clients.api import Api, metadata, open_api
from tests.support.images import drawn_images
from tests.support.machine.waiting import promptly, wait_until
from tests.support.predictions.tiny_model import TinyModel
from tests.support.processes import crashes
from tests.support.processes.crashes import (
    ENVIRONMENT,
    INFERENCE,
    MEMBER,
    children_of,
    contents,
    stats,
    wait_until_gone,
    whole_shards,
)

from boxwright import kinds
from boxwright.batch import spec_file
from boxwright.batch.output.json_lines import error_line
from boxwright.batch.output.manifest import REPORT_FILES, Manifest

IMAGES = 1600
SHARDS = 33  # 1,600 images and a few that fail, fifty each


@dataclasses.dataclass
class Batch:
    """A service with a tiny model and a list of many small images, a few of them spoilt.

    Attributes:
        kind: of the model.
        calm: the files of an undisturbed run, once there was one.
    """

    start: object
    service: object
    model: str
    kind: kinds.DatasetKind
    calm: dict[str, bytes]

    @property
    def bucket(self) -> pathlib.Path:
        return self.service.bucket("b")

    def restart(self, **environment: str) -> None:
        """Starts the service again on the same files."""
        self.service = self.start(environment=ENVIRONMENT | environment)

    def folder(self, prefix: str) -> pathlib.Path | None:
        return crashes.result_folder(self.bucket, prefix)

    def wait_for_shards(self, prefix: str, count: int) -> pathlib.Path:
        """Waits until some shards are written, and makes sure that the job is not at its end."""

        def look() -> pathlib.Path | None:
            folder = self.folder(prefix)
            return folder if folder and len(whole_shards(folder)) >= count else None

        folder = wait_until(look, f"{count} shards", interval_s=0.005)
        assert len(whole_shards(folder)) < SHARDS - 3, "the job was too quick to be disturbed"
        return folder

    def undisturbed(self, api: Api) -> dict[str, bytes]:
        """What a run that nobody disturbs writes: the same for every test of this file."""
        if not self.calm:
            name = api.start_batch(self.model, "gs://b/list.csv", "gs://b/undisturbed/", score_threshold="0.3")
            assert not api.finished(name, timeout_s=120).HasField("error")
            self.calm |= contents(self.folder("undisturbed"))
        return self.calm


@pytest.fixture(scope="module")
def calm() -> dict[kinds.DatasetKind, dict[str, bytes]]:
    """The files of an undisturbed run with a model of each kind, once there was one."""
    return {kinds.OBJECT_DETECTION: {}, kinds.IMAGE_CLASSIFICATION: {}}


@pytest.fixture
def batch(request, service_factory, calm: dict[kinds.DatasetKind, dict[str, bytes]]) -> Batch:
    """With the model that the test asks for, a detector if it asks for none."""
    model: TinyModel = request.getfixturevalue(getattr(request, "param", "tiny_model"))
    service = service_factory(environment=ENVIRONMENT)
    bucket = service.bucket("b")
    names = drawn_images.write_images(bucket / "images", IMAGES)
    for name in names:  # the same version in every test: it is kept with the candidates
        os.utime(bucket / "images" / name, (1_000_000_000, 1_000_000_000))
    rows = [f"gs://b/images/{name}" for name in names]
    (bucket / "images" / "text.jpg").write_bytes(b"no image")
    for position, row in ((1500, "gs://b/images/text.jpg"), (700, "gs://b/none.jpg"), (20, "gs://b/gone.jpg")):
        rows.insert(position, row)
    drawn_images.write_csv(bucket, "list.csv", rows)
    return Batch(service_factory, service, model.install(service.data_dir), model.kind, calm[model.kind])


def _start(api: Api, batch: Batch) -> str:
    return api.start_batch(batch.model, "gs://b/list.csv", "gs://b/out/", score_threshold="0.3")


def _finish_and_compare(batch: Batch, name: str, before: dict[str, tuple[int, int]]) -> None:
    """The job ends well, with an undisturbed run's bytes, and nothing that was finished is written again."""
    with open_api(batch.service) as api:
        operation = api.finished(name, timeout_s=120)
        assert not operation.HasField("error"), operation.error
        folder = batch.folder("out")
        seen = metadata(operation)
        assert seen.batch_predict_details.output_info.gcs_output_directory == f"gs://b/out/{folder.name}"
        assert seen.progress_percent == 100
        assert len(seen.partial_failures) == 3
        after = stats(folder)
        assert {shard: after[shard] for shard in before} == before
        output = contents(folder)
        beside = len(REPORT_FILES) + 2  # the errors file and the manifest
        assert len(output) == 2 * SHARDS + beside  # with candidates beside them
        assert output == batch.undisturbed(api)
    crashes.assert_tidy(batch.service.data_dir)


def _number(shard: str) -> int:
    return int(re.findall(r"\d+", shard)[0])


def _shard_stats(folder: pathlib.Path) -> dict[str, tuple[int, int]]:
    seen = stats(folder)
    return {name: seen[name] for name in whole_shards(folder)}


BOTH_KINDS = pytest.mark.parametrize(
    "batch", ["tiny_model", pytest.param("tiny_classifier", marks=pytest.mark.full)], indirect=True
)


@BOTH_KINDS
def test_a_service_killed_in_the_middle_leaves_no_orphan_and_finishes_after_its_restart(batch):
    with open_api(batch.service) as api:
        name = _start(api, batch)
        folder = batch.wait_for_shards("out", 4)
        orphans = children_of(batch.service.process.pid, INFERENCE)
        crashes.kill(batch.service)
    wait_until_gone(orphans)
    before = _shard_stats(folder)
    assert 4 <= len(before) < SHARDS
    (folder / f"{batch.kind.name}_33.jsonl#1").write_bytes(b'{"ID":"half a li')  # as a writer killed in a put leaves it
    batch.restart()
    _finish_and_compare(batch, name, before)


@pytest.mark.parametrize(
    "point",
    [
        "sink.after_put",
        "plan.after_block",
        pytest.param("plan.before_block", marks=pytest.mark.full),
        pytest.param("sink.before_manifest", marks=pytest.mark.full),
    ],
)
def test_a_classifiers_process_that_dies_costs_no_byte(service_factory, tiny_classifier: TinyModel, tmp_path, point):
    (tmp_path / "marks").mkdir()
    faults = {"BOXWRIGHT_FAULTS": f"{point}:kill", "BOXWRIGHT_FAULTS_ONCE": str(tmp_path / "marks")}
    service = service_factory(environment={**ENVIRONMENT, **faults, "BOXWRIGHT_SHARD_IMAGES": "15"})
    bucket = service.bucket("b")
    names = drawn_images.write_images(bucket / "images", 60)
    drawn_images.write_csv(bucket, "list.csv", [*(f"gs://b/images/{name}" for name in names), "gs://b/none.jpg"])
    model = tiny_classifier.install(service.data_dir)
    with open_api(service) as api:
        for prefix in ("killed", "undisturbed"):
            name = api.start_batch(model, "gs://b/list.csv", f"gs://b/{prefix}/", score_threshold="0.3")
            assert not api.finished(name, timeout_s=120).HasField("error")
    assert service.tail().count("event=inference_child_died") == 1 and list((tmp_path / "marks").iterdir())
    output = contents(crashes.result_folder(bucket, "killed"))
    assert output == contents(crashes.result_folder(bucket, "undisturbed"))
    assert len(whole_shards(crashes.result_folder(bucket, "killed"))) == 5


def test_a_batch_that_version_0_1_0_has_begun_is_finished_by_what_it_kept(batch):
    without = {"score_threshold": "0.3", "candidates": "none"}  # as that version had none
    with open_api(batch.service) as api:
        name = api.start_batch(batch.model, "gs://b/list.csv", "gs://b/out/", **without)
        folder = batch.wait_for_shards("out", 4)
        crashes.kill(batch.service)
    before = _shard_stats(folder)
    (spec,) = (batch.service.data_dir / "state").glob(f"**/{spec_file.FILE}")
    values = json.loads(spec.read_bytes())
    spec.unlink()
    former = ("shard_images", "row_failure_limit", "image_failure_limit", "camel_case", "precision")
    choices = spec.with_name(pathlib.PurePath(spec_file.FORMER_FILE).name)
    choices.write_text(json.dumps({key: values[key] for key in former}))
    batch.restart(BOXWRIGHT_SHARD_IMAGES="77", BOXWRIGHT_BATCH_CAMEL_CASE="true")
    with open_api(batch.service) as api:
        assert not api.finished(name, timeout_s=120).HasField("error")
    after = stats(folder)
    assert {shard: after[shard] for shard in before} == before
    batch.service.stop()
    batch.restart()
    with open_api(batch.service) as api:
        calm = api.start_batch(batch.model, "gs://b/list.csv", "gs://b/calm/", **without)
        assert not api.finished(calm, timeout_s=120).HasField("error")
    assert contents(folder) == contents(batch.folder("calm"))


@pytest.mark.full
def test_an_errors_file_as_list_is_gone_on_with_after_a_kill(batch):
    rows = (batch.bucket / "list.csv").read_text().splitlines()
    lines = [error_line(row, status_pb2.Status(code=14, message="it was away")) for row in rows]
    (batch.bucket / "errors_1.jsonl").write_bytes(b"".join(lines))
    with open_api(batch.service) as api:
        name = api.start_batch(batch.model, "gs://b/errors_1.jsonl", "gs://b/out/", score_threshold="0.3")
        folder = batch.wait_for_shards("out", 4)
        crashes.kill(batch.service)
    before = _shard_stats(folder)
    batch.restart()
    _finish_and_compare(batch, name, before)


@pytest.mark.full
@BOTH_KINDS
def test_a_service_killed_again_and_again_still_finishes(batch):
    with open_api(batch.service) as api:
        name = _start(api, batch)
        folder = batch.wait_for_shards("out", 2)
    for _ in range(2):
        crashes.kill(batch.service)
        count = len(whole_shards(folder))
        batch.restart()
        wait_until(lambda count=count: len(whole_shards(folder)) > count, "one shard more", interval_s=0.005)
    before = _shard_stats(folder)
    _finish_and_compare(batch, name, before)


@pytest.mark.parametrize("module", [pytest.param(INFERENCE, marks=pytest.mark.full), MEMBER])
def test_a_killed_inference_process_costs_nothing_but_unfinished_shards(batch, module):
    with open_api(batch.service) as api:
        name = _start(api, batch)
        folder = batch.wait_for_shards("out", 3)
        all_of_them = [
            *children_of(batch.service.process.pid, INFERENCE),
            *children_of(batch.service.process.pid, MEMBER),
        ]
        (child,) = children_of(batch.service.process.pid, module)
        before = _shard_stats(folder)
        child.kill()
        wait_until_gone(all_of_them)  # none goes on without the others
        assert 3 <= len(before) < SHARDS
        assert batch.service.process.poll() is None
    _finish_and_compare(batch, name, before)
    assert "event=inference_child_died" in batch.service.tail()


@pytest.mark.full
@BOTH_KINDS
def test_a_service_that_is_asked_to_end_stops_between_shards_and_a_restart_goes_on(batch):
    with open_api(batch.service) as api:
        name = _start(api, batch)
        folder = batch.wait_for_shards("out", 3)
    children = children_of(batch.service.process.pid)
    assert batch.service.stop() == 0
    wait_until_gone(children)
    before = _shard_stats(folder)
    assert 3 <= len(before) < SHARDS
    candidates = {shard.replace(".jsonl", ".parquet") for shard in before}
    assert set(stats(folder)) == {*before, *(f"candidates/{name}" for name in candidates)}, (
        "a half-written file was left"
    )
    batch.restart()
    _finish_and_compare(batch, name, before)


@BOTH_KINDS
def test_a_cancelled_batch_ends_within_five_seconds_with_whole_shards_only(batch):
    with open_api(batch.service) as api:
        name = _start(api, batch)
        folder = batch.wait_for_shards("out", 3)
        with promptly(5):
            api.cancel(name)
            operation = api.finished(name)
        assert (operation.error.code, operation.HasField("response")) == (1, False)
        kept = contents(folder)
        manifest = Manifest.from_json(kept["manifest.json"])
        assert manifest.state == "CANCELLED"
        assert [file.name for file in manifest.shards] == sorted(whole_shards(folder), key=_number)
        assert 3 <= len(manifest.shards) < SHARDS
        whole = batch.undisturbed(api)
        assert all(whole[shard] == kept[shard] for shard in whole_shards(folder))
        candidates = {f"candidates/{shard.removesuffix('.jsonl')}.parquet" for shard in whole_shards(folder)}
        assert set(kept) - set(whole_shards(folder)) == {"errors_1.jsonl", "manifest.json", *candidates}
        assert all(whole[file] == kept[file] for file in candidates)
        assert whole["errors_1.jsonl"].startswith(kept["errors_1.jsonl"])
        assert contents(folder) == kept, "a cancelled job went on writing"
        assert api.get(name).error.code == 1
    batch.service.stop()
    batch.restart()
    with open_api(batch.service) as api:
        assert api.get(name).error.code == 1
        api.delete(name)
    crashes.assert_tidy(batch.service.data_dir)
    assert contents(folder) == kept


def test_a_cancel_that_nobody_heard_is_obeyed_after_the_restart(batch):
    with open_api(batch.service) as api:
        name = _start(api, batch)
        folder = batch.wait_for_shards("out", 2)
        (child,) = children_of(batch.service.process.pid, INFERENCE)
        child.suspend()  # whoever hangs cannot hear a stop
        api.cancel(name)
        crashes.kill(batch.service)
    child.resume()
    wait_until_gone([child])
    before = _shard_stats(folder)
    batch.restart()
    with open_api(batch.service) as api:
        assert api.finished(name).error.code == 1
        manifest = Manifest.from_json(contents(folder)["manifest.json"])
        assert (manifest.state, len(manifest.shards)) == ("CANCELLED", len(before))
        api.delete(name)
    assert _shard_stats(folder) == before
    crashes.assert_tidy(batch.service.data_dir)


def test_a_child_that_hangs_is_killed_when_its_job_is_cancelled(batch):
    with open_api(batch.service) as api:
        name = _start(api, batch)
        batch.wait_for_shards("out", 2)
        (child,) = children_of(batch.service.process.pid, INFERENCE)
        child.suspend()
        with promptly(5):
            api.cancel(name)
            assert api.finished(name).error.code == 1
        wait_until_gone([child])
        batch.undisturbed(api)
