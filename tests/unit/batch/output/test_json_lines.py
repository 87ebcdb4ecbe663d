"""Lines of the output files: compact, one object each, exactly the published keys."""

from __future__ import annotations

import json

import numpy as np
import pytest
from google.cloud.automl_v1 import types
from google.protobuf import json_format
from google.rpc import status_pb2
from hypothesis import given
from hypothesis import strategies as st

from boxwright import boxes
from boxwright.batch.output import json_lines
from boxwright.predictions import LabelScores

LABELS = [("3869458495073943552", "Salad"), ("6345783431651917824", 'Käse "extra"')]


def _found(*rows: tuple[float, float, float, float, float, int]) -> boxes.Detections:
    table = np.asarray(rows, np.float64).reshape(-1, 6)
    return boxes.Detections(
        table[:, :4].astype(np.float32), table[:, 4].astype(np.float32), table[:, 5].astype(np.int64)
    )


def test_an_image_with_nothing_in_it_still_has_its_line():
    assert json_lines.success_line("gs://b/2.jpg", boxes.Detections.none(), LABELS) == (
        b'{"ID":"gs://b/2.jpg","annotations":[]}\n'
    )


def test_a_line_has_the_published_keys_in_snake_case_and_two_vertices():
    line = json_lines.success_line("gs://b/1.jpg", _found((0, 0.015, 0.941, 1, 0.99, 0)), LABELS)
    assert line == (
        b'{"ID":"gs://b/1.jpg","annotations":[{"annotation_spec_id":"3869458495073943552",'
        b'"image_object_detection":{"bounding_box":{"normalized_vertices":[{"x":0.0,"y":0.015},{"x":0.941,"y":1.0}]},'
        b'"score":0.99},"display_name":"Salad"}]}\n'
    )


def test_an_annotation_is_read_by_the_official_message_class():
    line = json.loads(json_lines.success_line("i", _found((0.1, 0.2, 0.3, 0.4, 0.5, 1)), LABELS))
    payload = types.AnnotationPayload.pb(types.AnnotationPayload())
    json_format.ParseDict(line["annotations"][0], payload)
    assert payload.display_name == 'Käse "extra"'
    vertices = payload.image_object_detection.bounding_box.normalized_vertices
    assert [(round(v.x, 6), round(v.y, 6)) for v in vertices] == [(0.1, 0.2), (0.3, 0.4)]


def _scored(*rows: tuple[float, int]) -> LabelScores:
    return LabelScores(np.array([row[0] for row in rows], np.float32), np.array([row[1] for row in rows], np.int64))


def test_a_line_of_labels_has_the_published_keys():
    line = json_lines.success_line("gs://b/1.jpg", _scored((0.98, 1), (0.0, 0)), LABELS)
    assert line == (
        b'{"ID":"gs://b/1.jpg","annotations":[{"annotation_spec_id":"6345783431651917824",'
        b'"display_name":"K\xc3\xa4se \\"extra\\"","classification":{"score":0.98}},'
        b'{"annotation_spec_id":"3869458495073943552","display_name":"Salad","classification":{"score":0.0}}]}\n'
    )
    camel = json.loads(json_lines.success_line("i", _scored((0.5, 0)), LABELS, json_lines.CAMEL_CASE))
    for annotation in [*json.loads(line)["annotations"], *camel["annotations"]]:
        payload = types.AnnotationPayload.pb(types.AnnotationPayload())
        json_format.ParseDict(annotation, payload)
        assert (payload.annotation_spec_id, payload.display_name) in LABELS
        assert payload.WhichOneof("detail") == "classification"
    assert list(camel["annotations"][0]) == ["annotationSpecId", "displayName", "classification"]
    assert json_lines.success_line("i", _scored(), LABELS) == b'{"ID":"i","annotations":[]}\n'


@given(st.lists(st.tuples(st.floats(0, 1, width=32), st.integers(0, 1)), max_size=5), st.text(max_size=10))
def test_a_line_of_labels_has_the_bytes_that_a_json_library_writes(rows, display_name: str):
    line = json_lines.success_line("i", _scored(*rows), [("1", display_name), ("2", "b")])
    again = json.dumps(json.loads(line), ensure_ascii=False, separators=(",", ":"))
    assert line == again.encode("utf-8", "replace") + b"\n"


def test_an_error_line_has_the_code_and_the_message_and_no_more():
    line = json_lines.error_line("gs://b/x.jpg", status_pb2.Status(code=5, message="gs://b/x.jpg does not exist."))
    assert line == b'{"ID":"gs://b/x.jpg","status":{"code":5,"message":"gs://b/x.jpg does not exist."}}\n'


@pytest.mark.parametrize("image_id", ["gs://b/ä +%20#?.jpg", 'a"b\\c', "a\nb\u2028c", "\ud800", "😀"])
def test_any_id_makes_one_line_of_utf8_json(image_id):
    for line in (
        json_lines.success_line(image_id, _found((0, 0, 1, 1, 0.5, 0)), LABELS),
        json_lines.error_line(image_id, status_pb2.Status(code=3, message="m")),
    ):
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        assert json.loads(line)["ID"] == image_id.encode("utf-8", "replace").decode()


@given(st.lists(st.tuples(*[st.floats(0, 1, width=32)] * 5, st.integers(0, 1)), max_size=5))
def test_numbers_are_short_and_inside_the_image(rows):
    for annotation in json.loads(json_lines.success_line("i", _found(*rows), LABELS))["annotations"]:
        detection = annotation["image_object_detection"]
        numbers = [value for vertex in detection["bounding_box"]["normalized_vertices"] for value in vertex.values()]
        for number in [*numbers, detection["score"]]:
            assert 0 <= number <= 1
            assert round(number, 6) == number


def test_keys_can_be_spelt_as_rest_bodies_spell_them():
    found = boxes.Detections(
        np.array([[0, 0.25, 0.5, 1]], np.float32), np.array([0.75], np.float32), np.array([0], np.int64)
    )
    line = json.loads(json_lines.success_line("gs://b/a.jpg", found, [("12", "cat")], json_lines.CAMEL_CASE))
    message = json_format.ParseDict(line["annotations"][0], types.AnnotationPayload.pb(types.AnnotationPayload()))
    assert (message.annotation_spec_id, message.display_name) == ("12", "cat")
    assert message.image_object_detection.bounding_box.normalized_vertices[1].y == 1
    assert "annotationSpecId" in line["annotations"][0]


@given(
    st.lists(st.tuples(*[st.floats(0, 1, width=32)] * 5, st.integers(0, 1)), max_size=5),
    st.text(max_size=20),
    st.text(max_size=10),
)
def test_a_line_has_the_bytes_that_a_json_library_writes(rows, image_id: str, display_name: str):
    labels = [("1", display_name), ("2", "b")]
    line = json_lines.success_line(image_id, _found(*rows), labels, json_lines.CAMEL_CASE)
    again = json.dumps(json.loads(line), ensure_ascii=False, separators=(",", ":"))
    assert line == again.encode("utf-8", "replace") + b"\n"
    assert [one["displayName"] for one in json.loads(line)["annotations"]] == [labels[row[5]][1] for row in rows]
