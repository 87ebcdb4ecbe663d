"""A batch prediction that failed or was cancelled goes on as a new operation, to the bytes of an undisturbed run."""

from __future__ import annotations

import os
import pathlib
import shutil
import urllib.parse

import grpc
import pytest
from tests.support.clients.api import Api, metadata, open_api
from tests.support.images import drawn_images
from tests.support.machine.waiting import wait_until
from tests.support.predictions.tiny_model import TinyModel
from tests.support.processes import crashes
from tests.support.processes.crashes import (
    ENVIRONMENT,
    INFERENCE,
    children_of,
    contents,
    stats,
    wait_until_gone,
    whole_shards,
)
from tests.support.stores import object_servers, rough_proxy

from boxwright import objects
from boxwright.batch.output.manifest import REPORT_FILES, Manifest

IMAGES, SHARDS = 200, 20
SLOW = ENVIRONMENT | {"BOXWRIGHT_SHARD_IMAGES": "10", "BOXWRIGHT_CORES": "1"}  # two image threads
STOPS = (40, 90, 150)  # images at which a job stops: this one and the next hang, which takes both threads


class Bench:
    """A service with the tiny model and a list of small images, one of them spoilt."""

    def __init__(self, start, tiny_model: TinyModel, marks: pathlib.Path, faults: str, **environment: str) -> None:
        self.start = start
        self.marks = marks
        once = {"BOXWRIGHT_FAULTS": faults, "BOXWRIGHT_FAULTS_ONCE": str(marks)} if faults else {}
        self.environment = SLOW | once | environment
        self.service = start(environment=self.environment)
        images = drawn_images.write_images(self.bucket / "images", IMAGES)
        self.rows = [f"gs://b/images/{name}" for name in images]
        (self.bucket / "images" / images[5]).write_bytes(b"no image")
        drawn_images.write_csv(self.bucket, "list.csv", self.rows)
        self.model = tiny_model.install(self.service.data_dir)

    @property
    def bucket(self) -> pathlib.Path:
        return self.service.bucket("b")

    def restart(self, **environment: str) -> None:
        """Starts the service again on the same files."""
        self.service.stop()
        self.service = self.start(environment=self.environment | environment)

    def folder(self, prefix: str = "out") -> pathlib.Path:
        """The output folder below a prefix."""
        return wait_until(lambda: crashes.result_folder(self.bucket, prefix), "the folder", interval_s=0.005)

    def begin(self, api: Api) -> str:
        """Starts a batch and waits until the fault has stopped it with shards finished."""
        name = api.start_batch(self.model, "gs://b/list.csv", "gs://b/out/", score_threshold="0.3")
        self.wait_until_stuck(STOPS[0])
        return name

    def wait_until_stuck(self, number: int) -> None:
        """Waits until the job has stopped at an image."""
        for point in _points(number):
            mark = self.marks / urllib.parse.quote(point, safe="")
            wait_until(mark.exists, f"the fault at {point}", timeout_s=240)
        assert 1 <= len(self.shards()) < SHARDS  # images are read side by side: one from before may still be waiting

    def cancel(self, api: Api, name: str) -> dict[str, tuple[int, int]]:
        """Cancels an operation; returns which shards are there, with what shows whether they are written again."""
        api.cancel(name)
        assert api.finished(name).error.code == 1
        return self.shards()

    def shards(self) -> dict[str, tuple[int, int]]:
        seen = stats(self.folder())
        return {name: seen[name] for name in whole_shards(self.folder())}

    def ends_as_undisturbed(
        self, api: Api, name: str, before: dict[str, tuple[int, int]], *, timeout_s: float = 240
    ) -> None:
        """The resumed operation ends well; nothing finished was written again, and every byte is as it should be."""
        operation = api.finished(name, timeout_s=timeout_s)
        assert not operation.HasField("error"), operation.error
        output = metadata(operation).batch_predict_details.output_info.gcs_output_directory
        assert output == f"gs://b/out/{self.folder().name}"
        assert [failure.code for failure in metadata(operation).partial_failures] == [3], metadata(operation)
        after = self.shards()
        assert {shard: after[shard] for shard in before} == before
        calm = api.start_batch(self.model, "gs://b/list.csv", "gs://b/calm/", score_threshold="0.3")
        assert not api.finished(calm, timeout_s=240).HasField("error")
        assert contents(self.folder()) == contents(self.folder("calm"))
        assert len(self.shards()) == SHARDS
        numbers = {"total": IMAGES, "done": IMAGES, "failed": 1, "total_is_exact": True, "state": "SUCCEEDED"}
        assert api.progress(name) | numbers == api.progress(name)


def _points(number: int) -> list[str]:
    return [f"image gs://b/images/{at:04d}.jpg" for at in (number, number + 1)]


def _hanging_at(*numbers: int) -> str:
    return ",".join(f"{point}:hang" for number in numbers for point in _points(number))


@pytest.fixture
def bench(service_factory, tiny_model: TinyModel, tmp_path) -> Bench:
    return Bench(service_factory, tiny_model, tmp_path, _hanging_at(STOPS[0]))


def _refusal(api: Api, name: str) -> str:
    with pytest.raises(grpc.RpcError) as refused:
        api.resume(name)
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    return refused.value.details()


def test_what_was_cancelled_is_resumed_with_the_bytes_of_an_undisturbed_run(bench):
    with open_api(bench.service) as api:
        first = bench.begin(api)
        assert "still RUNNING" in _refusal(api, first)
        before = bench.cancel(api, first)
        manifest = Manifest.from_json(contents(bench.folder())["manifest.json"])
        assert (manifest.state, len(manifest.shards)) == ("CANCELLED", len(before))
        second = api.resume(first)
        assert second != first
        assert second in _refusal(api, first)  # being resumed, or resumed by now
        bench.ends_as_undisturbed(api, second, before)
        assert api.get(first).error.code == 1, "what has ended has changed"
        assert f"has been resumed by {second}" in _refusal(api, first)
        assert "has succeeded" in _refusal(api, second)
    crashes.assert_tidy(bench.service.data_dir)


@pytest.mark.full
def test_other_settings_a_second_cancel_and_a_kill_change_nothing(service_factory, tiny_model, tmp_path):
    faults = _hanging_at(*STOPS)  # one for each attempt
    bench = Bench(service_factory, tiny_model, tmp_path, faults)
    with open_api(bench.service) as api:
        first = bench.begin(api)
        bench.cancel(api, first)
    bench.restart(BOXWRIGHT_SHARD_IMAGES="7", BOXWRIGHT_BATCH_CAMEL_CASE="true")
    with open_api(bench.service) as api:
        second = api.resume(first)
        bench.wait_until_stuck(STOPS[1])
        assert f"is being resumed already, by {second}" in _refusal(api, first)
        bench.cancel(api, second)
        third = api.resume(first)  # any of the chain may be named
        bench.wait_until_stuck(STOPS[2])
        before = bench.shards()
    children = children_of(bench.service.process.pid, INFERENCE)
    crashes.kill(bench.service)
    wait_until_gone(children)
    bench.restart()
    with open_api(bench.service) as api:
        bench.ends_as_undisturbed(api, third, before)


def test_a_list_that_has_changed_is_refused_until_it_is_as_it_was(bench):
    with open_api(bench.service) as api:
        first = bench.begin(api)
        before = bench.cancel(api, first)
        path = bench.bucket / "list.csv"
        kept, times = path.read_bytes(), path.stat()
        with path.open("ab") as file:
            file.write(b"gs://b/images/one-more.jpg\n")
        second = api.resume(first)
        assert api.finished(second, timeout_s=240).error.code == grpc.StatusCode.ABORTED.value[0]
        with path.open("r+b") as file:  # the same file, so that its identity is the same too
            file.truncate(len(kept))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        bench.ends_as_undisturbed(api, api.resume(second), before)


@pytest.mark.full
def test_a_plan_that_is_gone_is_said_to_be_gone_and_outlives_the_operation_that_made_it(bench):
    scratch = bench.service.data_dir / "state" / "boxwright" / "operations"
    with open_api(bench.service) as api:
        first = bench.begin(api)
        bench.cancel(api, first)
        plan = scratch / first.rpartition("/")[2]
        shutil.move(plan, bench.bucket / "taken")
        second = api.resume(first)
        error = api.finished(second, timeout_s=240).error
        assert error.code == grpc.StatusCode.FAILED_PRECONDITION.value[0]
        assert "is gone" in error.message
        shutil.move(bench.bucket / "taken", plan)
        api.delete(first)
        third = api.resume(second)
        assert not api.finished(third, timeout_s=240).HasField("error")
    crashes.assert_tidy(bench.service.data_dir)


@pytest.mark.full
def test_what_is_cancelled_while_it_waits_for_its_turn_ends_at_once_with_a_manifest(
    service_factory, tiny_model: TinyModel, tmp_path
):
    faults = f"{_hanging_at(STOPS[0])},image gs://b/other.jpg:hang"
    bench = Bench(service_factory, tiny_model, tmp_path, faults, BOXWRIGHT_BATCH_JOBS="1")
    drawn_images.write_csv(bench.bucket, "other.csv", ["gs://b/other.jpg"])
    (bench.bucket / "other.jpg").write_bytes((bench.bucket / "images" / "0000.jpg").read_bytes())
    with open_api(bench.service) as api:
        first = bench.begin(api)
        hog = api.start_batch(bench.model, "gs://b/other.csv", "gs://b/hog/")
    bench.restart()  # the first one is behind the other now, which takes the only lane and hangs
    with open_api(bench.service) as api:
        wait_until(lambda: api.progress(hog)["state"] == "RUNNING", "the other to have the lane", timeout_s=240)
        assert api.progress(first)["state"] == "PENDING"
        before = bench.cancel(api, first)
        manifest = Manifest.from_json(contents(bench.folder())["manifest.json"])
        assert (manifest.state, len(manifest.shards)) == ("CANCELLED", len(before))
        api.cancel(hog)
        bench.ends_as_undisturbed(api, api.resume(first), before)


@pytest.mark.full
@pytest.mark.parametrize("status, code", [(403, "PERMISSION_DENIED"), (500, "UNAVAILABLE")])
def test_permission_lost_and_a_store_that_is_down_for_long_fail_a_batch_that_can_be_resumed(
    service_factory, tiny_model: TinyModel, tmp_path, monkeypatch, status, code
):
    with object_servers.moto() as server, rough_proxy.before(server.address) as proxy:
        choices = {"BOXWRIGHT_SCHEMES": "gs,s3", "BOXWRIGHT_STORAGE_RETRY_S": "2"}
        bench = Bench(service_factory, tiny_model, tmp_path, "", **choices, **server.environment(proxy.address))
        output = f"s3://{object_servers.BUCKET}/out/"
        proxy.trouble = lambda method: status if method == "PUT" and proxy.seen.count("PUT") >= 6 else None
        with open_api(bench.service) as api:
            first = api.start_batch(bench.model, "gs://b/list.csv", output, score_threshold="0.3")
            assert api.finished(first, timeout_s=240).error.code == grpc.StatusCode[code].value[0]
            proxy.always(None)
            operation = api.finished(api.resume(first), timeout_s=240)
            assert not operation.HasField("error"), operation.error
            # a shard's candidates and the shard itself; the errors, the report and the manifest
            beside = len(REPORT_FILES) + 2
            assert proxy.seen.count("PUT") in {2 * (SHARDS - done) + beside for done in (1, 2, 3)}
            calm = api.start_batch(bench.model, "gs://b/list.csv", "gs://b/calm/", score_threshold="0.3")
            assert not api.finished(calm, timeout_s=240).HasField("error")
        found = metadata(operation).batch_predict_details.output_info.gcs_output_directory
        for name, value in server.environment(server.address).items():
            monkeypatch.setenv(name, value)
        stores = objects.Stores(tmp_path / "none", tmp_path / "none", objects.StoreConfig(schemes=("s3",)))
        folder = found.rstrip("/") + "/"
        there = {str(info.uri).removeprefix(folder): info.uri for info in stores.list(objects.ObjectUri.parse(found))}
        assert {name: stores.get(uri) for name, uri in there.items()} == contents(bench.folder("calm"))


@pytest.mark.full
def test_failed_images_are_tried_again_through_kills_to_the_bytes_of_an_undisturbed_run(
    service_factory, tiny_model: TinyModel, tmp_path
):
    faults = "sink.before_put:kill@2,sink.after_put:kill@3,sink.after_errors_file:kill,sink.after_manifest:kill"
    bench = Bench(service_factory, tiny_model, tmp_path, "")
    images = bench.bucket / "images"
    images.rename(bench.bucket / "away")
    with open_api(bench.service) as api:
        first = api.start_batch(bench.model, "gs://b/list.csv", "gs://b/out/", score_threshold="0.3")
        failed = api.finished(first, timeout_s=240)
        assert failed.error.code == 9 and f"all {IMAGES} images failed: {IMAGES} NOT_FOUND" in failed.error.message
        assert len(bench.shards()) == SHARDS
    (bench.bucket / "away").rename(images)
    bench.restart(BOXWRIGHT_FAULTS=faults, BOXWRIGHT_FAULTS_ONCE=str(tmp_path))
    with open_api(bench.service) as api:
        bench.ends_as_undisturbed(
            api, api.resume(first), {}, timeout_s=900
        )  # every child starts at the lowest priority
    assert len(list(tmp_path.glob("sink.*"))) == faults.count(":kill")
