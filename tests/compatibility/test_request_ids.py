"""A batch prediction with a request id, by the official client: sent twice, at once, changed, after a kill, by mistake."""

from __future__ import annotations

import itertools
import pathlib
from concurrent import futures
from typing import Any

import pytest
from google.api_core import exceptions
from tests.support.clients.api import open_api
from tests.support.images import drawn_images
from tests.support.predictions.tiny_model import TinyModel

BUCKET = "repeated"
_numbers = itertools.count(7_200_000_000_000_000_001)


@pytest.fixture(params=["grpc", "rest"])
def api(service, request):
    with open_api(service, request.param) as opened:
        yield opened


@pytest.fixture(scope="module")
def model(service, tiny_classifier: TinyModel) -> str:
    return tiny_classifier.install(service.data_dir, f"ICN{next(_numbers)}")


@pytest.fixture(scope="module")
def bucket(service) -> pathlib.Path:
    folder: pathlib.Path = service.bucket(BUCKET)
    (folder / "1.jpg").write_bytes(drawn_images.draw(1, boxes=1).content)
    drawn_images.write_csv(folder, "list.csv", [f"gs://{BUCKET}/1.jpg"])
    return folder


def start(api: Any, model: str, output: str, request_id: str, source: str = "list.csv", **params: str) -> str:
    return api.start_batch(
        model, f"gs://{BUCKET}/{source}", f"gs://{BUCKET}/{output}/", request_id=request_id, **params
    )


def folders(bucket: pathlib.Path, output: str) -> list[str]:
    return [path.name for path in (bucket / output).glob("prediction-*")]


def test_a_request_that_is_sent_again_is_answered_with_its_first_operation(api, model, bucket, request):
    output = request.node.callspec.id
    name = start(api, model, output, f"again-{output}")
    assert start(api, model, output, f"again-{output}") == name
    assert not api.finished(name).HasField("error")
    assert start(api, model, output, f"again-{output}") == name  # though it has ended
    assert len(folders(bucket, output)) == 1
    assert start(api, model, output, f"another-{output}") != name
    with pytest.raises(exceptions.Conflict, match=r"belongs to another request.*operations/"):
        start(api, model, output, f"again-{output}", score_threshold="0.1")


def test_of_many_that_are_sent_at_once_one_starts(api, model, bucket, request):
    output = f"once-{request.node.callspec.id}"
    with futures.ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda _: start(api, model, output, output), range(16)))
    assert len(set(names)) == 1
    assert not api.finished(names[0]).HasField("error")
    assert len(folders(bucket, output)) == 1


def test_a_request_that_fails_at_once_may_be_mended_and_sent_again(api, model, bucket, request):
    output = f"mended-{request.node.callspec.id}"
    failed = start(api, model, output, output, f"{output}.csv")
    assert api.finished(failed).HasField("error")
    drawn_images.write_csv(bucket, f"{output}.csv", [f"gs://{BUCKET}/1.jpg"])
    name = start(api, model, output, output, f"{output}.csv")
    assert name != failed
    assert not api.finished(name).HasField("error")


def test_the_first_operation_is_known_although_it_was_deleted(api, model, bucket, request):
    output = f"deleted-{request.node.callspec.id}"
    name = start(api, model, output, output)
    api.finished(name)
    api.operations.delete_operation(name)
    with pytest.raises(exceptions.Conflict, match="was deleted"):
        start(api, model, output, output)


@pytest.mark.parametrize("text", ["a b", "ä", "x" * 101, "a/b"])
def test_an_id_that_is_none_is_refused(api, model, bucket, text):
    with pytest.raises(exceptions.BadRequest, match="request_id"):
        start(api, model, "refused", text)
