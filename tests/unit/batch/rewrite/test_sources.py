"""What a manifest may say before anything is read by it, who may read it, and that it stays the same over attempts."""

from __future__ import annotations

import copy
import json
import pathlib
import re

import numpy as np
import pytest
from tests.support.predictions.batch_jobs import Bench

from boxwright import boxes, errors, objects
from boxwright.batch.output import candidates
from boxwright.batch.output.sink import Sink
from boxwright.batch.rewrite.sources import Sources

MODEL = "projects/p/locations/us-central1/models/m"
LABELS = [["1", "cat"]]
MANIFEST = "gs://b/former/manifest.json"


@pytest.fixture
def bench(tmp_path: pathlib.Path) -> Bench:
    """With a former job of two shards and a failed image."""
    bench = Bench(tmp_path)
    spec = bench.spec("former", model=MODEL, model_digest="d", labels=LABELS, candidate_floor=0.05)
    sink = Sink(spec, bench.stores)
    found = boxes.Detections(np.array([[0, 0, 1, 1]], np.float32), np.array([0.5], np.float32), np.array([0]))
    row = candidates.of_image(b"x", (2, 3), found, 0.05)
    for shard in (1, 2):
        sink.commit_lines(shard, [b"{}\n"], [None], 0, [f"gs://b/{shard}.jpg"], [row])
    sink.close("SUCCEEDED", rows_read=2, duplicates=0, model_digest="d")
    return bench


def _sources(bench: Bench, name: str = "again", stores: objects.Stores | None = None, **values: object) -> Sources:
    spec = bench.spec(name, lists=[MANIFEST], model=MODEL, model_digest="d", labels=LABELS, **values)
    return Sources(spec, stores or bench.stores)


def _document(bench: Bench) -> dict:
    return json.loads((bench.bucket / "former" / "manifest.json").read_text())


def _write(bench: Bench, document: object) -> None:
    (bench.bucket / "former" / "manifest.json").write_text(json.dumps(document))


def test_a_former_job_is_read_shard_by_shard(bench):
    sources = _sources(bench)
    assert [(one.shard, one.uri) for one in sources.shards()] == [
        (shard, f"gs://b/former/candidates/image_object_detection_{shard}.parquet") for shard in (1, 2)
    ]
    assert (sources.images_planned, sources.rows_read, sources.state) == (2, 2, "SUCCEEDED")


HOSTILE = {
    "a way out": lambda said: said["candidates"][0].update(
        name="../../state/candidates/image_object_detection_1.parquet"
    ),
    "another folder": lambda said: said["candidates"][0].update(name="x/image_object_detection_1.parquet"),
    "another kind": lambda said: said["candidates"][0].update(name="candidates/image_classification_1.parquet"),
    "no number": lambda said: said["candidates"][0].update(name="candidates/image_object_detection_.parquet"),
    "a huge number": lambda said: said["candidates"][1].update(
        name=f"candidates/image_object_detection_{10**15}.parquet"
    ),
    "twice": lambda said: said["candidates"].append(copy.deepcopy(said["candidates"][0])),
    "no text": lambda said: said["candidates"][0].update(name=7),
    "negative": lambda said: said["candidates"][0].update(images=-1),
    "a huge shard": lambda said: said["shards"][1].update(name=f"image_object_detection_{10**15}.jsonl"),
    "errors elsewhere": lambda said: said["errors_files"].append(
        {"name": "a/errors_1.jsonl", "lines": 1, "sha256": ""}
    ),
    "no model": lambda said: said.update(model={}),
    "a strange model": lambda said: said.update(model={"name": 1, "digest": []}),
    "a strange floor": lambda said: said["settings"].update(candidate_floor="low"),
    "no settings": lambda said: said.update(settings=None),
    "strange counts": lambda said: said.update(rows_read="many"),
    "strange candidates": lambda said: said.update(candidates=[1]),
}


@pytest.mark.parametrize("change", HOSTILE)
def test_a_manifest_that_no_job_writes_is_refused_by_name(bench, change):
    document = _document(bench)
    HOSTILE[change](document)
    _write(bench, document)
    with pytest.raises(errors.ApiError, match=re.escape(MANIFEST)) as caught:
        _sources(bench)
    assert caught.value.code_name == "INVALID_ARGUMENT"


@pytest.mark.parametrize("content", [b"", b"[]", b"7", b"{}", b"\xff", b'{"format_version": 1}', b"[" * 100_000])
def test_what_is_no_manifest_is_refused_by_name(bench, content):
    (bench.bucket / "former" / "manifest.json").write_bytes(content)
    with pytest.raises(errors.ApiError, match=re.escape(MANIFEST)) as caught:
        _sources(bench)
    assert caught.value.code_name == "INVALID_ARGUMENT"


def test_a_manifest_that_changes_between_attempts_ends_the_job(bench):
    _sources(bench)
    assert list(_sources(bench).shards())
    _write(bench, _document(bench) | {"software": "another"})
    with pytest.raises(errors.ApiError, match="changed while the job was running") as caught:
        _sources(bench)
    assert caught.value.code_name == "ABORTED"


@pytest.mark.parametrize(
    ("folder", "is_allowed"), [("gs://b/former/", True), ("gs://b/again/", False), ("gs://other/", False)]
)
def test_who_may_not_read_the_former_folder_may_not_read_its_manifest(bench, folder, is_allowed):
    grants = objects.Grants(
        "a@b", (objects.Grant.parse(folder, can_read=True), objects.Grant.parse("gs://b/again/", can_write=True))
    )
    stores = bench.stores.limited_to(grants, objects.ObjectUri.parse("gs://b/again/"))
    if is_allowed:
        assert list(_sources(bench, stores=stores).shards())
        return
    with pytest.raises(errors.ApiError) as caught:
        _sources(bench, stores=stores)
    assert caught.value.code_name == "PERMISSION_DENIED"


@pytest.mark.parametrize(("threshold", "is_answered"), [(0.05, True), (0.0499, False), (1.0, True)])
def test_a_threshold_below_the_floor_is_out_of_range(bench, threshold, is_answered):
    if is_answered:
        assert list(_sources(bench, score_threshold=threshold).shards())
        return
    with pytest.raises(errors.ApiError, match=r"scores of at least 0\.05") as caught:
        _sources(bench, score_threshold=threshold)
    assert caught.value.code_name == "OUT_OF_RANGE"
