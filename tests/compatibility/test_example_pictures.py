"""Pictures of examples, over HTTP and gRPC, against a running service: what is shown, how long it may be kept, refusals."""

from __future__ import annotations

import concurrent.futures
import hashlib
import io
import pathlib
from collections.abc import Callable
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from google.api import httpbody_pb2
from PIL import Image
from tests.support.clients.api import open_api
from tests.support.images import corpus, drawn_images
from tests.support.images.corpus.samples import Picture, Sample
from tests.support.machine.waiting import wait_until
from tests.support.processes import crashes

from boxwright import curation_messages as pb
from boxwright import faults
from boxwright.metadata import database, datasets
from boxwright.pictures import child_main
from boxwright.services import image_pictures

JPEG_NOISE = 4.0  # beside what the sample itself allows; a wrong turn gives more than 40


def _dataset(service: Any, name: str, files: dict[str, bytes], *, size_hw: tuple[int, int] = (96, 128)) -> str:
    """A dataset that has these files, whatever an import would say of them."""
    folder: pathlib.Path = service.bucket(f"pictures-{name}")
    with open_api(service) as api:
        dataset: str = api.create_dataset(name)
    rows = []
    for number, (file_name, content) in enumerate(files.items()):
        (folder / file_name).write_bytes(content)
        row = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "uri": f"gs://{folder.name}/{file_name}",
            "ml_use": "TRAIN",
        }
        rows.append(row | dict(zip(("height_px", "width_px"), size_hw, strict=True)))
        rows[-1] |= {"state": "LABELED", "annotations": [], "is_copy": number < 0}
    db = database.Database(service.data_dir / "metadata.sqlite")
    with db.write() as connection:
        datasets.merge(connection, dataset.rpartition("/")[2], rows, lambda: "1")
    db.close()
    return dataset


def _name(dataset: str, content: bytes) -> str:
    return f"{dataset}/examples/{hashlib.sha256(content).hexdigest()}"


def _decoded(picture: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(picture)) as image:
        assert image.format == "JPEG"
        return np.asarray(image.convert("RGB")).astype(int)


def test_a_picture_is_a_jpeg_that_may_be_kept_for_ever(service: Any, http: httpx.Client) -> None:
    content = drawn_images.draw(3, size_hw=(900, 1200), file_format="PNG").content
    name = _name(_dataset(service, "kept", {"a.svg": content}), content)  # a name that lies
    found = http.get(f"{name}:image", params={"edgePx": 256})
    assert found.status_code == 200, found.text
    assert found.headers["content-type"] == "image/jpeg"
    assert found.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert found.headers["x-content-type-options"] == "nosniff"
    assert _decoded(found.content).shape == (192, 256, 3)
    again = http.get(f"{name}:image", params={"edgePx": 256}, headers={"If-None-Match": found.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert _decoded(http.get(f"{name}:image").content).shape == (900, 1200, 3)  # 1280 is asked for, nothing is enlarged
    region = {"region.left": 0.5, "region.top": 0, "region.width": 0.1, "region.height": 0.1}
    assert _decoded(http.get(f"{name}:image", params=region).content).shape == (90, 120, 3)
    with grpc.insecure_channel(service.grpc_target) as channel:
        call = channel.unary_unary(
            "/boxwright.v1.Curation/GetExampleImage",
            request_serializer=pb.GetExampleImageRequest.serialize,
            response_deserializer=httpbody_pb2.HttpBody.FromString,
        )
        answer = call(pb.GetExampleImageRequest(name=name, edge_px=256), timeout=60)
    assert (answer.content_type, answer.data) == ("image/jpeg", found.content)
    kept = list((service.data_dir / "pictures").rglob("*.jpg"))
    assert found.content in [path.read_bytes() for path in kept]


def test_requests_that_mean_no_picture_are_refused(service: Any, http: httpx.Client) -> None:
    content = drawn_images.draw(4).content
    dataset = _dataset(service, "refused", {"a.jpg": content})
    name = _name(dataset, content)
    whole = {"region.left": 0, "region.top": 0, "region.width": 1, "region.height": 1}
    assert http.get(f"{name}:image", params=whole).status_code == 200
    for wrong in (
        {"edgePx": 255}, {"edgePx": -1}, {"edgePx": "big"}, {"region.left": 0.5}, {**whole, "region.left": 0.5},
        {**whole, "region.top": "NaN"}, {**whole, "region.width": "Infinity"}, {**whole, "region.height": -1},
    ):  # fmt: skip
        answer = http.get(f"{name}:image", params=wrong)
        assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT"), wrong
    absent = http.get(f"{dataset}/examples/{'0' * 64}:image")
    assert (absent.status_code, absent.headers["content-type"]) == (404, "application/json; charset=UTF-8")
    assert http.get(f"{dataset}1/examples/{'0' * 64}:image").status_code == 404


def test_only_what_is_in_the_dataset_is_shown(service: Any, http: httpx.Client) -> None:
    first, second = drawn_images.draw(5).content, drawn_images.draw(6).content
    name = _name(_dataset(service, "replaced", {"a.jpg": first}), first)
    file: pathlib.Path = service.bucket("pictures-replaced") / "a.jpg"
    file.write_bytes(second)
    replaced = http.get(f"{name}:image")
    assert (replaced.status_code, replaced.json()["error"]["status"]) == (400, "FAILED_PRECONDITION")
    assert image_pictures.REPLACED in replaced.text
    file.unlink()
    assert http.get(f"{name}:image").status_code == 404
    file.write_bytes(first)
    assert http.get(f"{name}:image").status_code == 200
    file.unlink()
    assert http.get(f"{name}:image").status_code == 200  # it is kept: the name is the content


def test_other_calls_are_answered_while_images_hang_their_decoders(service_factory: Callable[..., Any]) -> None:
    content = drawn_images.draw(7).content
    service = service_factory(
        environment={
            faults.VARIABLE: f"image {hashlib.sha256(content).hexdigest()}:hang@*",
            "BOXWRIGHT_REQUEST_THREADS": "2",
            "BOXWRIGHT_IMAGE_TIMEOUT_S": "3000",
        }
    )
    dataset = _dataset(service, "hanging", {"a.jpg": content})
    with httpx.Client(base_url=f"{service.url}/v1/", timeout=300, trust_env=False) as http:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            url = f"{_name(dataset, content)}:image"
            asked = [pool.submit(http.get, url, params={"edgePx": edge}) for edge in (256, 640, 1280, 2560) * 2]
            wait_until(lambda: crashes.children_of(service.process.pid, child_main.__name__), "a decoder")
            assert http.get(dataset).status_code == 200
            assert not [one for one in asked if one.done()]
            service.kill()
        assert all(one.exception() for one in asked)


def _checked(http: httpx.Client, dataset: str, sample: Sample) -> None:
    answer = http.get(f"{_name(dataset, sample.content)}:image", params={"edgePx": 4096})
    if not isinstance(sample.outcome, Picture):
        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/json; charset=UTF-8")
        assert answer.json()["error"]["message"].endswith(sample.outcome), sample.name
        return
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg"), (sample.name, answer.text)
    found, expected = _decoded(answer.content), sample.outcome.pixels
    if found.shape == expected.shape:
        buffer = io.BytesIO()
        Image.fromarray(expected).save(
            buffer, "JPEG", quality=80
        )  # by another encoder: what no JPEG keeps counts for both
        difference = np.abs(found - _decoded(buffer.getvalue())).mean()
        assert difference <= 2 * sample.outcome.tolerance + JPEG_NOISE, sample.name
    else:  # larger than a picture may be
        assert max(found.shape) <= 4096 < max(expected.shape), sample.name


def _samples(step: int) -> list[Sample]:
    by_content = {sample.content: sample for sample in corpus.all_samples() if sample.content}
    return list(by_content.values())[::step]


def test_pictures_of_odd_files_have_the_decoders_pixels_or_its_sentence(service: Any, http: httpx.Client) -> None:
    samples = _samples(10)
    dataset = _dataset(service, "odd", {f"{number}.bin": one.content for number, one in enumerate(samples)})
    for sample in samples:
        _checked(http, dataset, sample)


@pytest.mark.full
def test_pictures_of_all_odd_files(service: Any, http: httpx.Client) -> None:
    samples = _samples(1)
    dataset = _dataset(service, "all_odd", {f"{number}.bin": one.content for number, one in enumerate(samples)})
    for sample in samples:
        _checked(http, dataset, sample)
