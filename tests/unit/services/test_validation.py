"""Rules for request fields: what passes, what does not, and that the field is named."""

from __future__ import annotations

import re

import pytest
from google.rpc import code_pb2
from hypothesis import given
from hypothesis import strategies as st

from boxwright import errors, kinds, names
from boxwright.services import validation

PARAMS = [
    ({}, (0.5, 100)),  # nothing: the documented defaults
    ({"score_threshold": "0.0"}, (0.0, 100)),  # as on the founding page
    ({"score_threshold": "0"}, (0.0, 100)),
    ({"score_threshold": "1.0"}, (1.0, 100)),
    ({"score_threshold": " 0.8 "}, (0.8, 100)),
    ({"score_threshold": ".5"}, (0.5, 100)),
    ({"score_threshold": "5e-1"}, (0.5, 100)),
    ({"score-threshold": "0.8"}, (0.8, 100)),
    ({"scoreThreshold": "0.8"}, (0.8, 100)),
    ({"max_bounding_box_count": "1"}, (0.5, 1)),
    ({"max_bounding_box_count": "500"}, (0.5, 500)),
    ({"maxBoundingBoxCount": "7"}, (0.5, 7)),
    ({"score_threshold": "0.25", "max_bounding_box_count": "7"}, (0.25, 7)),
    ({"feature_importance": "true"}, (0.5, 100)),  # another problem type's parameter
]


@pytest.mark.parametrize(("params", "expected"), PARAMS)
def test_prediction_params_are_read_in_every_spelling(params, expected):
    assert validation.prediction_params(kinds.OBJECT_DETECTION, params) == expected


BAD_PARAMS = [
    ("score_threshold", "abc"),
    ("score_threshold", ""),
    ("score_threshold", "1.5"),
    ("score_threshold", "-0.1"),
    ("score_threshold", "nan"),
    ("score_threshold", "inf"),
    ("score_threshold", "-inf"),
    ("score_threshold", "0,5"),
    ("score_threshold", "50%"),
    ("score_threshold", "0x1"),
    ("score-threshold", "abc"),
    ("scoreThreshold", "abc"),
    ("max_bounding_box_count", "0"),
    ("max_bounding_box_count", "501"),
    ("max_bounding_box_count", "-1"),
    ("max_bounding_box_count", "1.5"),
    ("max_bounding_box_count", "many"),
    ("max_bounding_box_count", ""),
    ("max_bounding_box_count", "9" * 5000),
    ("score_threshold", "0" * 25_001),
]


@pytest.mark.parametrize(("key", "value"), BAD_PARAMS)
def test_a_bad_param_is_refused_with_its_key_and_its_range(key, value):
    with pytest.raises(errors.ApiError) as raised:
        validation.prediction_params(kinds.OBJECT_DETECTION, {key: value})
    assert raised.value.code == code_pb2.INVALID_ARGUMENT
    assert f"Field: params.{key};" in raised.value.message
    assert len(raised.value.message) < 400


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, {"score_threshold": 0.5, "max_boxes": 100, "ignored_params": []}),
        ({"image_failure_limit": "0.2"}, {"image_failure_limit": 0.2}),
        ({"imageFailureLimit": " 1 "}, {"image_failure_limit": 1.0}),
        ({"image-failure-limit": "0"}, {"image_failure_limit": 0.0}),
        (
            {"score_treshold": "0.9", "zebra": "1", "scoreThreshold": "0.1"},
            {
                "score_threshold": 0.1,
                "ignored_params": [
                    {"key": "score_treshold", "nearest": "score_threshold"},
                    {"key": "zebra", "nearest": None},
                ],
            },
        ),
        ({"threshold": "1"}, {"ignored_params": [{"key": "threshold", "nearest": "score_threshold"}]}),
        (
            {"maxBoundingBoxes": "1"},
            {"ignored_params": [{"key": "maxBoundingBoxes", "nearest": "max_bounding_box_count"}]},
        ),
        ({"Score_Threshold": "1"}, {"ignored_params": [{"key": "Score_Threshold", "nearest": "score_threshold"}]}),
    ],
)
def test_batch_params_and_the_keys_that_mean_nothing(params, expected):
    chosen = validation.batch_params(kinds.OBJECT_DETECTION, params)
    assert {key: chosen.get(key) for key in expected} == expected
    assert ("image_failure_limit" in chosen) == ("image_failure_limit" in expected)


def test_a_number_of_boxes_means_nothing_to_a_classifier():
    params = {"score_threshold": "0.2", "max_bounding_box_count": "many"}
    chosen = validation.batch_params(kinds.IMAGE_CLASSIFICATION, params)
    ignored = [{"key": "max_bounding_box_count", "nearest": None}]
    assert chosen == {"score_threshold": 0.2, "max_boxes": None, "ignored_params": ignored}


@pytest.mark.parametrize("value", ["1.01", "-0.1", "nan", "half", "50%", ""])
def test_a_bad_image_failure_limit_is_refused(value):
    with pytest.raises(errors.ApiError, match=r"Field: params\.image_failure_limit;"):
        validation.batch_params(kinds.OBJECT_DETECTION, {"image_failure_limit": value})


@given(st.dictionaries(st.sampled_from(["score_threshold", "max_bounding_box_count"]), st.text(max_size=12)))
def test_no_param_does_more_than_raise_an_api_error(params):
    try:
        threshold, count = validation.prediction_params(kinds.OBJECT_DETECTION, params)
    except errors.ApiError as error:
        assert error.code == code_pb2.INVALID_ARGUMENT
    else:
        assert 0 <= threshold <= 1
        assert 1 <= count <= 500


ALLOWED = [
    (validation.display_name, "salads_1"),
    (validation.display_name, "1"),
    (validation.display_name, "x" * 32),
    (validation.description, ""),
    (validation.description, "x" * 25_000),
    (validation.labels, {}),
    (validation.labels, {"team": ""}),
    (validation.labels, {"a-b_1": "v-1_"}),
    (validation.labels, {"größe": "übel"}),
    (validation.labels, {"k" * 64: "v" * 64}),
    (validation.labels, {f"k{number}": "" for number in range(64)}),
    (validation.input_uris, ["gs://b/in.csv"]),
    (validation.input_uris, ["gs://b/in.csv", "gs://c/d/in2.csv"]),
    (validation.output_uri_prefix, "gs://b"),
    (validation.output_uri_prefix, "gs://b/"),
    (validation.output_uri_prefix, "gs://b/dir"),
    (validation.output_uri_prefix, "gs://b/dir/"),
]


@pytest.mark.parametrize(("rule", "value"), ALLOWED)
def test_a_good_field_passes(rule, value):
    rule(value, "field")


REFUSED = [
    (validation.display_name, "", "Required field not set"),
    (validation.display_name, "x" * 33, "at most 32"),
    (validation.display_name, "a b", "an ASCII letter"),
    (validation.display_name, "a-b", "an ASCII letter"),
    (validation.display_name, "ä", "an ASCII letter"),
    (validation.display_name, "a\n", "an ASCII letter"),
    (validation.description, "x" * 25_001, "25001 characters; the limit is 25000"),
    (validation.labels, {"Team": ""}, "'Team'"),
    (validation.labels, {"1a": ""}, "'1a'"),
    (validation.labels, {"": ""}, "''"),
    (validation.labels, {"k" * 65: ""}, "at most 64"),
    (validation.labels, {"k": "V"}, "label 'k'"),
    (validation.labels, {"k": "v" * 65}, "label 'k'"),
    (validation.labels, {"k": "a b"}, "label 'k'"),
    (validation.labels, {f"k{number}": "" for number in range(65)}, "65 labels; the limit is 64"),
    (validation.input_uris, [], "Required field not set"),
    (validation.input_uris, ["gs://b/in.csv", "in.csv"], "'in.csv'"),
    (validation.input_uris, ["gs://b/"], "'gs://b/' is not a usable gs:// path: it is not the full path"),
    (validation.input_uris, ["gs://b"], "'gs://b'"),
    (validation.input_uris, ["gs://b/../x.csv"], "'gs://b/../x.csv'"),
    (validation.input_uris, ["state://boxwright/x"], "'state://boxwright/x'"),
    (validation.input_uris, ["gs://b/" + "x" * 2000], "longer than 2000"),
    (validation.output_uri_prefix, "", "Required field not set"),
    (validation.output_uri_prefix, "out", "'out'"),
    (validation.output_uri_prefix, "gs://b/../out", "'gs://b/../out'"),
    (validation.output_uri_prefix, "state://boxwright/x", "'state://boxwright/x'"),
    (validation.output_uri_prefix, "file:///tmp", "'file:///tmp'"),
]


@pytest.mark.parametrize(("rule", "value", "reason"), REFUSED)
def test_a_bad_field_is_refused_by_name_with_the_reason(rule, value, reason):
    with pytest.raises(errors.ApiError) as raised:
        rule(value, "some.field")
    assert raised.value.code == code_pb2.INVALID_ARGUMENT
    assert "Field: some.field; Message: " in raised.value.message
    assert reason in raised.value.message


def test_a_models_display_name_starts_with_a_letter():
    validation.display_name("m1", "f", starts_with_letter=True)
    for text in ("1m", "_m"):
        with pytest.raises(errors.ApiError, match="must start with a letter"):
            validation.display_name(text, "f", starts_with_letter=True)


def test_a_page_size_has_a_default_and_a_cap():
    assert validation.page_size(0) == 100
    assert validation.page_size(0, default=50) == 50
    assert validation.page_size(7) == 7
    assert validation.page_size(2**31 - 1) == 1000
    with pytest.raises(errors.ApiError, match="page_size; Message: -1 is negative"):
        validation.page_size(-1)


def test_a_location_that_is_not_served_is_refused_with_those_that_are():
    validation.location(names.LocationName("p", "us-central1"), ["us-central1"], "parent")
    with pytest.raises(
        errors.ApiError, match="parent; Message: Location 'eu' is not served here; allowed: us-central1"
    ):
        validation.location(names.LocationName("p", "eu"), ["us-central1"], "parent")


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"input_column": " photo uri "}, {"input_column": "photo uri"}),
        ({"inputSuffixes": ".JPG, png,*.tiff,.jpg"}, {"input_suffixes": [".jpg", ".png", ".tiff"]}),
        ({"input-suffixes": "*"}, {"input_suffixes": ["*"]}),
    ],
)
def test_params_say_where_addresses_are_and_what_images_are_called(params, expected):
    for kind in kinds.SERVED:
        chosen = validation.batch_params(kind, params)
        assert {key: chosen[key] for key in expected} == expected
        assert chosen["ignored_params"] == []


@pytest.mark.parametrize(
    ("key", "value"),
    [("input_column", " "), ("input_column", "x" * 201), ("input_suffixes", ""), ("input_suffixes", ".jpg,,"),
     ("input_suffixes", ".j/g"), ("input_suffixes", "*,.jpg"), ("input_suffixes", ",".join([".a"] * 51))],
)  # fmt: skip
def test_columns_and_suffixes_that_are_none_are_refused(key, value):
    with pytest.raises(errors.ApiError, match=f"params.{key}"):
        validation.batch_params(kinds.OBJECT_DETECTION, {key: value})


def test_inputs_of_a_batch_are_files_folders_and_patterns():
    uris = ["gs://b/list.csv", "gs://b/dir/", "gs://b", "gs://b/*.tar", "gs://b/{1..3}.csv"]
    found = validation.batch_inputs(uris, "f")
    assert [address.meaning.value for address in found] == ["file", "images", "images", "files", *["file"] * 3]
    for uris in ([], ["b/list.csv"], ["gs://b/**/**/**/**"], ["gs://b/{1..99999}.csv"]):
        with pytest.raises(errors.ApiError, match="Field: f; Message: "):
            validation.batch_inputs(uris, "f")


@pytest.mark.parametrize("kind", kinds.TRAINED)
def test_params_choose_thresholds_of_labels_and_which_results_are_written(kind):
    params = {
        "score_threshold.cat": "0.7", "scoreThreshold.a.b-C": "0", "labels": " cat, a.b-C,cat", "candidates": "none",
        "formats": "coco, jsonl,csv", "labls": "x",
    }  # fmt: skip
    chosen = validation.batch_params(kind, params)
    assert chosen["label_thresholds"] == {"cat": 0.7, "a.b-C": 0.0}
    assert chosen["only_labels"] == ["cat", "a.b-C"]
    assert (chosen["keeps_candidates"], chosen["formats"]) == (False, ["csv", "coco"])
    assert chosen["ignored_params"] == [{"key": "labls", "nearest": "labels"}]
    assert "label_thresholds" not in validation.batch_params(kind, {})
    ignored = validation.ignored_params({"score_threshold.cat": "1"}, validation.PREDICT_PARAMS[kind])
    assert [(param.key, param.nearest) for param in ignored] == [("score_threshold.cat", "score_threshold")]


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("score_threshold.cat", "1.5", "from 0.0 to 1.0"),
        ("score_threshold.cat", "", "not a number"),
        ("labels", "cat,,dog", "empty between commas"),
        ("labels", "", "empty between commas"),
        ("candidates", "yes", "neither keep nor none"),
        ("formats", "csv,xlsx", "'xlsx' is no format of results; formats: jsonl, csv, parquet, coco, yolo, voc, cvat"),
    ],
)
def test_params_of_results_that_mean_nothing_are_refused_by_name(key, value, why):
    with pytest.raises(errors.ApiError, match=re.escape(why)) as caught:
        validation.batch_params(kinds.OBJECT_DETECTION, {key: value})
    assert key in caught.value.message


def test_a_format_of_boxes_is_refused_for_a_model_that_finds_labels_of_images():
    kind = kinds.IMAGE_CLASSIFICATION
    assert validation.batch_params(kind, {"formats": "labelme,cvat"})["formats"] == ["cvat", "labelme"]
    why = "'voc' has no place for labels of images; formats: jsonl, csv, parquet, coco, cvat, labelstudio, labelme, vertex"
    with pytest.raises(errors.ApiError, match=why):
        validation.batch_params(kind, {"formats": "csv,voc"})
