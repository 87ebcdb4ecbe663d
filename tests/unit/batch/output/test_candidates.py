"""Candidates: a shard's Parquet file holds exactly what is published, and a selection of it is what a direct run writes."""

from __future__ import annotations

import csv
import hashlib
import io
import json

import numpy as np
import pytest
from arro3 import io as arrow_io
from hypothesis import given
from hypothesis import strategies as st
from tests.support.predictions.batch_jobs import Bench

from boxwright import boxes, errors, kinds
from boxwright.batch.output import candidates, json_lines, result_formats, sidecars
from boxwright.batch.output.candidates import CandidatesOrigin, CandidateTable
from boxwright.images import appearance
from boxwright.predictions import ImagePrediction, LabelScores, Selection

LABELS = [["11", "cat"], ["12", 'Käse, "alt"'], ["13", "dog"]]
NAMES = [name for _, name in LABELS]
UNIT = st.floats(0, 1, width=32)


def detections(rows) -> boxes.Detections:
    table = np.array(sorted(rows, key=lambda row: -row[4]), np.float64).reshape(-1, 6)
    return boxes.Detections(
        table[:, :4].astype(np.float32), table[:, 4].astype(np.float32), table[:, 5].astype(np.int64)
    )


def scores_of(rows) -> LabelScores:
    rows = sorted(rows, key=lambda row: -row[0])
    return LabelScores(np.array([row[0] for row in rows], np.float32), np.array([row[1] for row in rows], np.int64))


BOXES = st.lists(st.tuples(*[UNIT] * 5, st.integers(0, 2)), max_size=8).map(detections)
SCORES = st.lists(st.tuples(UNIT, st.integers(0, 2)), max_size=8).map(scores_of)
SHARD = st.one_of(
    st.tuples(st.just(kinds.OBJECT_DETECTION.name), st.lists(BOXES, max_size=5)),
    st.tuples(st.just(kinds.IMAGE_CLASSIFICATION.name), st.lists(SCORES, max_size=5)),
)
THRESHOLD = st.one_of(UNIT, st.sampled_from([0.0, 0.5, 1.0]))
SELECTION = st.builds(
    Selection.of,
    st.just(NAMES),
    THRESHOLD,
    st.dictionaries(st.sampled_from(NAMES), THRESHOLD),
    st.none() | st.sets(st.sampled_from(NAMES)),
    st.none() | st.integers(1, 9),
)


def _table(kind: str, found: list[ImagePrediction], floor: float = 0.0) -> CandidateTable:
    rows = [
        (f"gs://b/ä {number}.jpg", candidates.of_image(b"%d" % number, (30, 40 + number), one, floor))
        for number, one in enumerate(found)
    ]
    return CandidateTable.of(kind, rows)


def _origin(kind: str, floor: float = 0.0) -> CandidatesOrigin:
    return CandidatesOrigin(kind, "projects/p/locations/l/models/m", "d", floor, LABELS)


def _again(table: CandidateTable, kind: str) -> CandidateTable:
    content = candidates.to_parquet(table, _origin(kind))
    assert content == candidates.to_parquet(table, _origin(kind))
    read, origin = candidates.from_parquet(content, "f")
    assert origin == _origin(kind)
    return read


@given(SHARD, SELECTION)
def test_what_is_selected_of_a_file_has_the_bytes_of_the_lines_of_its_images(shard, selection: Selection):
    kind, found = shard
    table = _again(_table(kind, found), kind)
    keys = json_lines.CAMEL_CASE
    expected = b"".join(
        json_lines.success_line(image_id, selection.keep(one), LABELS, keys)
        for image_id, one in zip(table.ids, found, strict=True)
    )
    assert result_formats.json_lines_of(result_formats.selected(table, selection, LABELS), keys) == expected


@given(SHARD, st.sampled_from([0.05, 0.5, 0.9999995]))
def test_a_floor_leaves_out_what_no_selection_at_or_above_it_has(shard, floor: float):
    kind, found = shard
    whole, cut = _table(kind, found), _again(_table(kind, found, floor), kind)
    selection = Selection.of(NAMES, floor, {"cat": 1.0}, None, 3)
    of_whole, of_cut = (result_formats.selected(table, selection, LABELS) for table in (whole, cut))
    assert result_formats.to_csv(of_whole, 1) == result_formats.to_csv(of_cut, 1)
    assert (cut.scores >= floor).all()


def test_a_row_tells_the_image_by_its_bytes_and_its_upright_size():
    table = _again(
        _table(kinds.OBJECT_DETECTION.name, [detections([]), detections([(0, 0, 1, 1, 0.5, 2)])]),
        "image_object_detection",
    )
    assert table.ids == ["gs://b/ä 0.jpg", "gs://b/ä 1.jpg"]
    assert table.sha256 == [hashlib.sha256(content).digest()[:16] for content in (b"0", b"1")]
    assert (table.size_bytes.tolist(), table.width_px.tolist(), table.height_px.tolist()) == (
        [1, 1],
        [40, 41],
        [30, 30],
    )
    assert (table.offsets.tolist(), table.values.tolist()) == (
        [0, 0, 1],
        [[500_000], [0], [0], [1_000_000], [1_000_000]],
    )


@pytest.mark.parametrize("reader", ["pyarrow", "duckdb"])
def test_other_readers_of_parquet_read_the_file(reader: str, tmp_path):
    found = [detections([(0.25, 0.5, 0.75, 1, 0.875, 1), (0, 0, 1, 1, 0.5, 0)]), detections([])]
    file = tmp_path / "c.parquet"
    file.write_bytes(
        candidates.to_parquet(_table("image_object_detection", found), _origin("image_object_detection", 0.05))
    )
    if reader == "pyarrow":
        parquet = pytest.importorskip("pyarrow.parquet")
        table = parquet.read_table(file)
        rows = table.select(["id", "width_px", "label", "score", "x0"]).to_pylist()
        rows = [tuple(row.values()) for row in rows]
        metadata = parquet.read_metadata(file).metadata[b"boxwright"]
    else:
        duckdb = pytest.importorskip("duckdb")
        with duckdb.connect() as connection:
            rows = connection.execute(f"SELECT id, width_px, label, score, x0 FROM '{file}'").fetchall()
            query = f"SELECT value FROM parquet_kv_metadata('{file}') WHERE key::VARCHAR = 'boxwright'"
            ((metadata,),) = connection.execute(query).fetchall()
    assert rows == [
        ("gs://b/ä 0.jpg", 40, [1, 0], [875_000, 500_000], [250_000, 0]),
        ("gs://b/ä 1.jpg", 41, [], [], []),
    ]
    said = json.loads(metadata)
    assert (said["format_version"], said["score_floor"], said["labels"]) == (2, 0.05, LABELS)


@given(SHARD, st.integers(0, 100))
def test_histograms_in_the_metadata_count_candidates_at_any_hundredth(shard, percent: int):
    kind, found = shard
    table = _table(kind, found)
    counts = np.array(_metadata(table, kind)["score_histograms"])
    assert counts.shape == (3, candidates.HISTOGRAM_BINS)
    for label in range(3):
        at_least = np.count_nonzero(table.values[0][table.label_indices == label] >= percent * 10_000)
        full = np.count_nonzero(table.values[0][table.label_indices == label] == 1_000_000)
        assert counts[label, percent:].sum() == at_least if percent < 100 else counts[label, 99] >= full


def _metadata(table: CandidateTable, kind: str):
    content = candidates.to_parquet(table, _origin(kind))
    return json.loads(arrow_io.read_parquet(io.BytesIO(content)).schema.metadata[b"boxwright"])


def test_what_is_no_file_of_candidates_is_refused_by_name(monkeypatch):
    empty = _table("image_classification", [])
    whole = candidates.to_parquet(empty, _origin("image_classification"))
    results = result_formats.selected(empty, Selection.of(NAMES, 0.5, {}, None, None), LABELS)
    for content in (b"", b"PAR1", whole[:-9], whole[:40] + whole[-4:], result_formats.to_parquet(results, 1)):
        with pytest.raises(errors.ApiError, match=r"gs://b/c\.parquet: this is no file of candidates") as caught:
            candidates.from_parquet(content, "gs://b/c.parquet")
        assert caught.value.code_name == "INVALID_ARGUMENT"
    monkeypatch.setattr(candidates, "FORMAT_VERSION", 3)
    whole = candidates.to_parquet(empty, _origin("image_classification"))
    with pytest.raises(errors.ApiError, match="use a newer one") as caught:
        candidates.from_parquet(whole, "gs://b/c.parquet")
    assert caught.value.code_name == "FAILED_PRECONDITION"


def test_a_file_has_what_its_images_look_like_and_one_of_version_1_says_that_it_is_not_known(monkeypatch):
    looks = np.array([(1 << 63, 127.5, 3.25), (0, 0.0, 0.0)], appearance.RECORD)
    found = detections([(0, 0, 1, 1, 0.5, 2)])
    rows = [
        (f"gs://b/{n}", candidates.of_image(b"x", (1, 1), found, 0.0, one.tobytes())) for n, one in enumerate(looks)
    ]
    kind = "image_object_detection"
    table = CandidateTable.of(kind, rows)
    assert _again(table, kind).looks.tolist() == looks.tolist()
    monkeypatch.setattr(candidates, "FORMAT_VERSION", 1)
    monkeypatch.setattr(appearance, "RECORD", np.dtype([]))
    older = candidates.to_parquet(table, _origin(kind))
    monkeypatch.undo()
    read, _ = candidates.from_parquet(older, "f")
    assert read.ids == table.ids
    assert np.isnan(read.looks["luma"]).all()
    assert np.isnan(read.looks["sharpness"]).all()


def test_a_row_a_box_in_csv_and_parquet_and_pixels_in_coco():
    found = [detections([(0.25, 0.5, 0.75, 1, 0.875, 1), (0, 0, 1, 1, 0.25, 0)]), detections([])]
    table = _table("image_object_detection", found)
    results = result_formats.selected(table, Selection.of(NAMES, 0.5, {}, None, None), LABELS)
    rows = list(csv.reader(io.StringIO(result_formats.to_csv(results, 3).decode())))
    assert rows == [
        ["id", "label", "score", "x_min", "y_min", "x_max", "y_max"],
        ["gs://b/ä 0.jpg", 'Käse, "alt"', "0.875", "0.25", "0.5", "0.75", "1.0"],
    ]
    coco = json.loads(result_formats.to_coco(results, 3))
    assert coco["images"] == [
        {"id": 2_000_001, "file_name": "gs://b/ä 0.jpg", "width": 40, "height": 30},
        {"id": 2_000_002, "file_name": "gs://b/ä 1.jpg", "width": 41, "height": 30},
    ]
    assert coco["annotations"] == [
        {"id": 2_000_001_000_001, "image_id": 2_000_001, "category_id": 2, "score": 0.875, "bbox": [10.0, 15.0, 20.0, 15.0],
         "area": 300.0, "iscrowd": 0}
    ]  # fmt: skip
    assert coco["categories"][1] == {"id": 2, "name": 'Käse, "alt"'}
    of_labels = _table("image_classification", [scores_of([(0.75, 2)])])
    labelled = result_formats.selected(of_labels, Selection.of(NAMES, 0.5, {}, None, None), LABELS)
    assert result_formats.to_csv(labelled, 1) == b"id,label,score\ngs://b/\xc3\xa4 0.jpg,dog,0.75\n"
    assert json.loads(result_formats.to_coco(labelled, 1))["annotations"] == [
        {"id": 1_000_001, "image_id": 1, "category_id": 3, "score": 0.75}
    ]


def test_a_shard_has_beside_it_what_its_spec_asks_for(tmp_path):
    spec = Bench(tmp_path).spec(labels=LABELS, formats=["csv"])
    row = candidates.of_image(b"x", (1, 1), detections([(0, 0, 1, 1, 0.75, 0)]), 0.0)
    assert sidecars.of_shard(Bench(tmp_path).spec(), 1, ["a"], [None], [False]) == (None, {})
    assert list(sidecars.of_shard(spec, 1, ["a", "b"], [None, row], [False, False])[1]) == ["csv"]
    keeping = Bench(tmp_path).spec(labels=LABELS, candidate_floor=0.0)
    (content,) = sidecars.of_shard(keeping, 1, ["a", "b"], [None, row], [False, False])[1].values()
    assert candidates.from_parquet(content, "f")[0].ids == ["b"]
    assert sidecars.looks_like_one("candidates/image_object_detection_1.parquet")
    assert not sidecars.looks_like_one("other/image_object_detection_1.parquet")
