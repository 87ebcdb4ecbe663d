"""Processes that do only some kinds of work: what a worker is not for stays for another one."""

from __future__ import annotations

import pathlib

from google.rpc import code_pb2
from tests.support.clients.api import Api, open_api
from tests.support.images import drawn_images
from tests.support.services import worker_process


def _started(api: Api, service: object, verb: str, dataset: str, uri: str) -> str:
    if verb == "import":
        return api.automl.import_data(name=dataset, input_config={"gcs_source": {"input_uris": [uri]}}).operation.name
    config = {"gcs_destination": {"output_uri_prefix": uri}}
    return api.automl.export_data(name=dataset, output_config=config).operation.name


def test_a_worker_leaves_what_it_is_not_for_to_another_one(service_factory, tmp_path: pathlib.Path) -> None:
    service = service_factory(no_worker=True)
    bucket = service.bucket("kinds")
    listed = drawn_images.write_dataset(bucket, 4)
    workers = []
    try:
        with open_api(service) as api:
            dataset, other = api.create_dataset(), api.create_dataset()
            waiting = _started(api, service, "import", dataset, listed)
            workers.append(_start(service, tmp_path / "export.log", "export"))
            exported = api.finished(_started(api, service, "export", other, "gs://kinds/out/"))
            assert exported.error.code in (code_pb2.OK, code_pb2.FAILED_PRECONDITION)
            assert api.progress(waiting)["state"] == "PENDING"
            workers.append(_start(service, tmp_path / "import.log", "import,batch"))
            assert not api.finished(waiting).HasField("error")
            assert api.automl.get_dataset(name=dataset).example_count == 4
    finally:
        for one in workers:
            one.kill()


def _start(service: object, log: pathlib.Path, kinds: str) -> worker_process.WorkerProcess:
    environment = {"BOXWRIGHT_KINDS": kinds}
    return worker_process.start(service.data_dir, service.buckets, log, environment)  # type: ignore[attr-defined]
