"""The same image gives the same boxes: online and in batches, again, and after a restart with other settings."""

from __future__ import annotations

import json
import pathlib
from typing import Any

from tests.support.clients.api import Api, open_api
from tests.support.images import drawn_images
from tests.support.predictions.batch_jobs import in_order
from tests.support.predictions.tiny_model import TinyModel
from tests.support.processes import crashes

IMAGES = 24
PARAMS = {"score_threshold": "0.3", "max_bounding_box_count": "50"}

Found = list[tuple[str, float, list[float]]]


def _batch(api: Api, model: str, bucket: pathlib.Path, prefix: str) -> dict[str, bytes]:
    """Runs the list into a folder of its own; returns its result files."""
    operation = api.finished(api.start_batch(model, "gs://b/list.csv", f"gs://b/{prefix}/", **PARAMS), timeout_s=120)
    assert not operation.HasField("error"), operation.error
    return crashes.contents(crashes.result_folder(bucket, prefix))


def _shards(output: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in output.items() if name.endswith(".jsonl")}


def _of_line(line: bytes) -> Found:
    found = []
    for one in json.loads(line)["annotations"]:
        detail = one["image_object_detection"]
        corners = [corner[axis] for corner in detail["bounding_box"]["normalized_vertices"] for axis in ("x", "y")]
        found.append((one["display_name"], detail["score"], corners))
    return found


def _of_payload(payload: Any) -> Found:
    """Floats of the protocol have 32 bits; six places are what is published."""
    found = []
    for one in payload:
        detail = one.image_object_detection
        corners = [
            round(value, 6) for corner in detail.bounding_box.normalized_vertices for value in (corner.x, corner.y)
        ]
        found.append((one.display_name, round(detail.score, 6), corners))
    return found


def _online(api: Api, model: str, contents: list[bytes]) -> list[Found]:
    return [
        _of_payload(
            api.prediction.predict(name=model, payload={"image": {"image_bytes": content}}, params=PARAMS).payload
        )
        for content in contents
    ]


def test_online_and_batch_agree_before_and_after_a_restart(service_factory, tiny_model: TinyModel):
    first = service_factory(environment={"BOXWRIGHT_SHARD_IMAGES": "7", "BOXWRIGHT_CORES": "2"})
    bucket = first.bucket("b")
    names = drawn_images.write_images(bucket / "images", IMAGES, size_hw=(120, 160))
    drawn_images.write_csv(bucket, "list.csv", [f"gs://b/images/{name}" for name in names])
    contents = [(bucket / "images" / name).read_bytes() for name in names]
    with open_api(first) as api:
        model = tiny_model.install(first.data_dir)
        reference = _batch(api, model, bucket, "one")
        again = _batch(api, model, bucket, "two")
        api.deploy(model)
        online = _online(api, model, contents)
    assert _shards(again) == _shards(reference)
    lines = in_order(reference, "image_object_detection")
    in_batch = [_of_line(line) for line in lines.splitlines()]
    assert min(len(found) for found in in_batch) >= 2, "too few boxes to show anything"
    assert online == in_batch
    assert first.stop() == 0
    second = service_factory(
        environment={"BOXWRIGHT_SHARD_IMAGES": "16", "BOXWRIGHT_CORES": "1"},
        data_dir=first.data_dir,
        buckets=first.buckets,
    )
    with open_api(second) as api:
        after = _batch(api, model, bucket, "three")
        assert in_order(after, "image_object_detection") == lines
        assert len(_shards(after)) == 2 and len(_shards(reference)) == 4
        assert _online(api, model, contents) == in_batch
