"""The official Python client imports images that no list names: those that a pattern finds, without labels."""

from __future__ import annotations

import csv
import itertools
import pathlib

import httpx
import pytest
from google.api_core import exceptions
from google.longrunning import operations_pb2
from google.rpc import code_pb2
from tests.support.clients.api import Api, metadata, open_api
from tests.support.images import drawn_images

_numbers = itertools.count(1)
BOX = ["0.1", "0.1", "", "", "0.6", "0.7", "", ""]


@pytest.fixture(params=["grpc", "rest"])
def api(service, request):
    with open_api(service, request.param) as opened:
        yield opened


@pytest.fixture
def folder(service) -> pathlib.Path:
    """A bucket of a test's own: six images in two folders, and names that are left out."""
    bucket: pathlib.Path = service.bucket(f"listed-{next(_numbers)}")
    images = [bucket / one for one in drawn_images.write_images(bucket, 6)]
    (bucket / "new" / "deep").mkdir(parents=True)
    for image, place in zip(images, ("new", "new", "new", "new/deep", "new/deep", "."), strict=True):
        image.rename(bucket / place / image.name)
    for name in ("notes.txt", "more.txt", ".hidden.jpg"):
        (bucket / "new" / name).write_text("no image")
    return bucket


def _import(api: Api, dataset: str, *uris: str) -> operations_pb2.Operation:
    config = {"gcs_source": {"input_uris": list(uris)}}
    return api.finished(api.automl.import_data(name=dataset, input_config=config).operation.name)


def _states(service, dataset: str) -> dict[str, str]:
    url = f"{service.url}/v1/{dataset}/examples?pageSize=1000"
    found = httpx.get(url, trust_env=False, timeout=60).json().get("examples", [])
    return {one["uri"]: one["state"] for one in found}


def test_all_images_below_a_folder_are_added_without_labels(api: Api, service, folder: pathlib.Path) -> None:
    dataset = api.create_dataset()
    operation = _import(api, dataset, f"gs://{folder.name}/new/**")
    assert not operation.HasField("error"), operation.error
    found = _states(service, dataset)
    assert len(found) == 5
    assert set(found.values()) == {"UNLABELED"}
    assert api.progress(operation.name)["left_out"] == {".txt": 2, "hidden names": 1}
    assert not metadata(operation).partial_failures
    again = _import(api, dataset, f"gs://{folder.name}/**.jpg")
    assert not again.HasField("error"), again.error
    assert len(_states(service, dataset)) == 6


def test_what_a_list_says_of_an_image_counts_and_broken_ones_are_told(api: Api, service, folder: pathlib.Path) -> None:
    first, second, *_ = sorted(path.name for path in (folder / "new").glob("[!.]*.jpg"))
    (folder / "new" / "broken.jpg").write_bytes(b"no image")
    with (folder / "labels.csv").open("w", newline="") as target:
        csv.writer(target).writerows([
            ["TEST", f"gs://{folder.name}/new/{first}", "car", *BOX],
            ["TRAIN", f"gs://{folder.name}/new/{second}", *[""] * 9],
        ])  # fmt: skip
    dataset = api.create_dataset()
    operation = _import(api, dataset, f"gs://{folder.name}/new/*", f"gs://{folder.name}/labels.csv")
    (refused,) = metadata(operation).partial_failures
    assert refused.message.count(f"gs://{folder.name}/new/broken.jpg") == 1
    found = _states(service, dataset)
    labelled = {uri.rpartition("/")[2] for uri, state in found.items() if state == "LABELED"}
    assert (len(found), labelled) == (3, {first, second})
    later = _import(api, dataset, f"gs://{folder.name}/new/**")
    assert not later.HasField("error"), later.error
    assert {uri for uri, state in _states(service, dataset).items() if state == "LABELED"} == {
        uri for uri, state in found.items() if state == "LABELED"
    }


def test_patterns_that_name_nothing_and_folders_say_what_to_do(api: Api, folder: pathlib.Path) -> None:
    dataset = api.create_dataset()
    (folder / "texts").mkdir()
    (folder / "texts" / "a.txt").write_text("no image")
    nothing = _import(api, dataset, f"gs://{folder.name}/texts/**")
    assert (nothing.error.code, "only what is left out (1 .txt)" in nothing.error.message) == (code_pb2.NOT_FOUND, True)
    missing = _import(api, dataset, f"gs://{folder.name}/old/**")
    assert (missing.error.code, "nothing below" in missing.error.message) == (code_pb2.NOT_FOUND, True)
    for uri, said in (("new/", r"new/\*\* names all images below it"), ("lists/*.csv", "address of each CSV in full")):
        with pytest.raises(exceptions.BadRequest, match=said):
            _import(api, dataset, f"gs://{folder.name}/{uri}")
