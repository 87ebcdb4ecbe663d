"""Hostile images in an import: each costs its rows, and the process that decodes them holds no secrets."""

from __future__ import annotations

import hashlib
import pathlib

import psutil
from google.rpc import code_pb2
from tests.support.clients.api import metadata, open_api
from tests.support.images import drawn_images
from tests.support.machine.waiting import wait_until
from tests.support.processes import crashes

IMAGES, CRASHES, HANGS = 6, 1, 4
SECRETS = {"AWS_SECRET_ACCESS_KEY": "hushaws", "GOOGLE_SERVICE_ACCOUNT_KEY": "hushgoogle", "SOME_PASSWORD": "hushmine"}


def test_hostile_images_cost_their_rows_and_nothing_else(service_factory, tmp_path: pathlib.Path) -> None:
    digests = [hashlib.sha256(drawn_images.draw(number).content).hexdigest() for number in range(IMAGES)]
    faults = f"image {digests[CRASHES]}:kill@*,image {digests[HANGS]}:hang@*"
    service = service_factory(
        environment={
            **SECRETS,
            "BOXWRIGHT_FAULTS": faults,
            "BOXWRIGHT_IMAGE_TIMEOUT_S": "5",
            "BOXWRIGHT_SCHEMES": "gs,s3",
        }
    )
    bucket = service.bucket("b")
    names = []
    for number in range(IMAGES):
        names.append(f"{number}.jpg")
        (bucket / names[-1]).write_bytes(drawn_images.draw(number).content)
    csv_uri = drawn_images.write_csv(bucket, "import.csv", [f"TRAIN,gs://b/{name},,,,,,,,," for name in names])
    with open_api(service) as api:
        dataset = api.create_dataset()
        operation = api.start_import(dataset, csv_uri)
        (process, *_) = wait_until(lambda: _decoders(service.process.pid), "a process that decodes")
        told = process.environ()
        assert not any(secret in value for value in told.values() for secret in SECRETS.values())
        done = api.finished(operation)
        assert not done.HasField("error"), done.error
        failed = {failure.code: failure.message for failure in metadata(done).partial_failures}
        assert set(failed) == {code_pb2.INTERNAL, code_pb2.DEADLINE_EXCEEDED}
        assert f"gs://b/{names[CRASHES]}: decoding this image crashes the decoder" in failed[code_pb2.INTERNAL]
        assert f"gs://b/{names[HANGS]}: this image took longer than 5 s" in failed[code_pb2.DEADLINE_EXCEEDED]
        assert api.automl.get_dataset(name=dataset).example_count == IMAGES - 2
    wait_until(lambda: not _decoders(service.process.pid), "the processes to be gone with the import")
    assert service.process.poll() is None


def _decoders(pid: int) -> list[psutil.Process]:
    return crashes.children_of(pid, "boxwright.images.size_main")
