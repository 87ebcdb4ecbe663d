"""A hundred batch predictions at once, one of them huge: none is lost, the small ones do not wait for the huge one."""

from __future__ import annotations

import os
import threading

import psutil
import pytest
from tests.support.clients.api import metadata, open_api
from tests.support.images import drawn_images
from tests.support.machine.waiting import wait_until
from tests.support.predictions.tiny_model import TinyModel
from tests.support.processes import crashes

from boxwright import objects
from boxwright.batch.output import manifest

SMALL_IMAGES = 3
HUGE_IMAGES = 6000
LIMIT_BYTES = 1 << 30


class _Watch(threading.Thread):
    """The most inference children, and the most resident memory of service and children, seen while it looks."""

    def __init__(self, pid: int) -> None:
        super().__init__(name="watch")
        self._pid = pid
        self.most_children = self.most_bytes = 0
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.2):
            children = crashes.children_of(self._pid, crashes.INFERENCE)
            self.most_children = max(self.most_children, len(children))
            self.most_bytes = max(self.most_bytes, sum(map(_resident, [psutil.Process(self._pid), *children])))


def _resident(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize(("lanes", "small_jobs"), [(1, 25), (2, 99)])
def test_small_jobs_end_before_the_huge_one_that_was_there_first(
    service_factory, tiny_model: TinyModel, lanes: int, small_jobs: int
):
    environment = {"BOXWRIGHT_BATCH_JOBS": str(lanes), "BOXWRIGHT_BATCH_SLICE_S": "0", "BOXWRIGHT_SHARD_IMAGES": "50"}
    environment["BOXWRIGHT_CHILD_NICENESS"] = "10"  # the huge job shall not end before the small ones are there
    service = service_factory(environment=environment)
    model = tiny_model.install(service.data_dir)
    bucket = service.bucket("b")
    (picture,) = drawn_images.write_images(bucket, 1)
    for number in range(HUGE_IMAGES):
        os.link(bucket / picture, bucket / f"{number}.jpg")
    rows = [f"gs://b/{number}.jpg" for number in range(HUGE_IMAGES)]
    drawn_images.write_csv(bucket, "huge.csv", rows)
    drawn_images.write_csv(bucket, "small.csv", rows[:SMALL_IMAGES])
    watch = _Watch(service.process.pid)
    with open_api(service) as api:
        watch.start()
        try:
            huge = api.start_batch(model, "gs://b/huge.csv", "gs://b/huge/")
            wait_until(lambda: list((bucket / "huge").glob("*/*.jsonl")), "the huge job's first file")
            small = [
                api.start_batch(model, "gs://b/small.csv", f"gs://b/small/{number}/") for number in range(small_jobs)
            ]
            assert not api.get(huge).done, "the huge job was too quick to be in anybody's way"
            ended = [api.finished(name, timeout_s=300) for name in [*small, huge]]
        finally:
            watch.ended.set()
            watch.join()
    assert not [operation.error for operation in ended if operation.HasField("error")]
    *small_ends, huge_end = [metadata(operation).update_time for operation in ended]
    assert max(small_ends) < huge_end
    stores = objects.Stores(service.buckets, service.data_dir / "state")
    folders = [crashes.result_folder(bucket, prefix) for prefix in ("huge", *(f"small/{n}" for n in range(small_jobs)))]
    for folder, images in zip(folders, [HUGE_IMAGES] + [SMALL_IMAGES] * small_jobs, strict=True):
        assert folder is not None
        directory = objects.ObjectUri("gs", "b", str(folder.relative_to(bucket)))
        assert manifest.examine(stores, directory) == manifest.ManifestCheck("SUCCEEDED", [])
        assert manifest.Manifest.from_json((folder / "manifest.json").read_bytes()).images_predicted == images
    assert watch.most_children <= lanes
    assert 0 < watch.most_bytes < LIMIT_BYTES
