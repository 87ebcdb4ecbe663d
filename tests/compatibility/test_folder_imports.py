"""Imports of folders, over HTTP and gRPC, against a running service: all images below, without labels, each once."""

from __future__ import annotations

import pathlib
from typing import Any

import httpx
import pytest
from google.rpc import code_pb2
from tests.support.clients.api import metadata, open_api
from tests.support.images import drawn_images

IMAGES = 6
MEMBERS: dict[str, dict[str, Any]] = {
    "detection": {"imageObjectDetectionDatasetMetadata": {}},
    "classification": {"imageClassificationDatasetMetadata": {"classificationType": "MULTICLASS"}},
}


def _fill(bucket: pathlib.Path) -> list[str]:
    """Six images in two folders, and what is none: by its name, by its bytes, hidden, or in a folder of results."""
    names = drawn_images.write_images(bucket / "in", IMAGES)
    (bucket / "in" / "deep ü").mkdir()
    for name in names[:2]:
        (bucket / "in" / name).rename(bucket / "in" / "deep ü" / name)
    (bucket / "in" / "copy.jpg").write_bytes((bucket / "in" / names[-1]).read_bytes())
    (bucket / "in" / "broken.jpg").write_bytes(b"no image")
    (bucket / "in" / "<img src=x>.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    for name in (
        "a.txt",
        "b.TXT",
        "list.csv",
        "none",
        ".hidden.jpg",
        "prediction-1/manifest.json",
        "prediction-1/a.jpg",
    ):
        (bucket / "in" / name).parent.mkdir(exist_ok=True)
        (bucket / "in" / name).write_bytes(b"x")
    return names


def _created(http: httpx.Client, kind: str) -> str:
    body = {"displayName": "folder", **MEMBERS[kind]}
    created = http.post("projects/demo/locations/us-central1/datasets", json=body).json()
    name: str = created["response"]["name"]
    return name


def _examples(http: httpx.Client, dataset: str, **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = http.get(f"{dataset}/examples", params=query).json().get("examples", [])
    return found


@pytest.mark.parametrize("kind", MEMBERS)
@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_all_images_below_a_folder_become_examples_without_labels_once(
    service: Any, http: httpx.Client, kind: str, transport: str
) -> None:
    bucket = service.bucket(f"folders-{kind}-{transport}")
    names = _fill(bucket)
    base = f"gs://{bucket.name}/in/"
    dataset = _created(http, kind)
    with open_api(service, transport) as api:
        name = api.start_import(dataset, base, unlabelled="true")
    with open_api(service) as api:
        operation = api.finished(name)
        progress = api.progress(name)
    assert not operation.HasField("error"), operation.error
    left_out = {".csv": 1, ".txt": 2, "hidden names": 1, "names without a suffix": 1, "in folders of results": 2}
    assert progress["left_out"] == left_out
    assert {key: progress[key] for key in ("done", "failed", "total", "added", "input_uri_count", "unlabelled")} == {
        "done": IMAGES + 3, "failed": 2, "total": IMAGES + 3, "added": IMAGES, "input_uri_count": 1, "unlabelled": True,
    }  # fmt: skip
    assert list(progress["input_uris"]) == [base]
    told, *failures = metadata(operation).partial_failures
    assert (
        told.message.startswith(f"{base}: left out, as their names are none of images: ") and "2 .txt" in told.message
    )
    assert {one.message.partition(": ")[0] for one in failures} == {f"{base}broken.jpg", f"{base}<img src=x>.png"}
    found = _examples(http, dataset)
    in_folders = {f"{base}{'deep ü/' if name in names[:2] else ''}{name}" for name in names}
    assert {one["uri"] for one in found} == in_folders, "of two with the same content the first"
    assert {one["state"] for one in found} == {"UNLABELED"}
    assert not any(one.get("annotations") for one in found)


def test_a_second_import_of_a_folder_adds_what_is_new_and_keeps_what_people_have_said(
    service: Any, http: httpx.Client
) -> None:
    bucket = service.bucket("folders-again")
    names = drawn_images.write_images(bucket / "in", IMAGES)
    dataset = _created(http, "detection")
    drawn_images.write_csv(bucket, "one.csv", [f"TEST,gs://folders-again/in/{names[0]},car,0.1,0.1,,,0.9,0.9,,"])
    with open_api(service) as api:
        assert not api.finished(api.start_import(dataset, "gs://folders-again/one.csv")).HasField("error")
        before = _examples(http, dataset)
        added = []
        for _ in range(2):
            name = api.start_import(dataset, "gs://folders-again/in/*.jpg", unlabelled="true")
            assert not api.finished(name).HasField("error")
            added.append(api.progress(name)["added"])
        (bucket / "in" / "new.jpg").write_bytes(drawn_images.draw(99).content)
        name = api.start_import(dataset, "gs://folders-again/{in,in}/", unlabelled="true")
        assert not api.finished(name).HasField("error")
        progress = api.progress(name)
    assert added == [IMAGES - 1, 0]
    assert (progress["added"], progress["done"]) == (1, 2 * (IMAGES + 1)), "the folder was named twice"
    after = _examples(http, dataset)
    assert len(after) == IMAGES + 1
    assert [one for one in after if one["state"] == "LABELED"] == before


@pytest.mark.parametrize(
    ("address", "code", "texts"),
    [
        ("gs://folders-odd/empty/", code_pb2.NOT_FOUND, ["gs://folders-odd/empty/"]),
        ("gs://folders-odd/texts/", code_pb2.NOT_FOUND, ["2 .txt", "gs://BUCKET/FOLDER/*.jpg"]),
        ("gs://folders-odd/broken/", code_pb2.INVALID_ARGUMENT, ["None of the 1 images", "broken/a.jpg"]),
        ("gs://folders-none/", code_pb2.NOT_FOUND, ["folders-none"]),
    ],
)
def test_a_folder_without_images_is_an_error_that_says_what_is_there(
    service: Any, http: httpx.Client, address: str, code: int, texts: list[str]
) -> None:
    bucket = service.bucket("folders-odd")
    for path in ("texts/a.txt", "texts/b.txt", "broken/a.jpg", "empty/.keep/x"):
        (bucket / path).parent.mkdir(parents=True, exist_ok=True)
        (bucket / path).write_bytes(b"x")
    dataset = _created(http, "detection")
    with open_api(service) as api:
        operation = api.finished(api.start_import(dataset, address, unlabelled="true"))
    assert operation.error.code == code
    assert all(text in operation.error.message for text in texts), operation.error.message
    assert _examples(http, dataset) == []
