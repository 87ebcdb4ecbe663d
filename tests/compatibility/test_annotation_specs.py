"""A dataset's labels, and its summary, over HTTP and gRPC, against a running service."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.support.clients import case_world
from tests.support.clients.api import open_api

from boxwright import curation_messages as pb
from boxwright.surface import methods


def _ok(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def _said(answer: httpx.Response) -> str:
    assert answer.status_code >= 400, answer.text
    return f"{answer.json()['error']['status']} {answer.json()['error']['message']}"


def _specs(http: httpx.Client, dataset: str, **query: Any) -> dict[str, dict[str, Any]]:
    listed = _ok(http.get(f"{dataset}/annotationSpecs", params=query)).get("annotationSpecs", [])
    return {one["displayName"]: one for one in listed}


def _all(http: httpx.Client, dataset: str, **query: Any) -> list[dict[str, Any]]:
    return _ok(http.get(f"{dataset}/examples", params=query)).get("examples", [])


def _labels(example: dict[str, Any]) -> list[str]:
    return [one["displayName"] for one in example.get("annotations", [])]


def test_a_label_is_made_renamed_coloured_and_given(world: case_world.World, http: httpx.Client) -> None:
    dataset = world.imported("specs-made", 10)
    labels = [label for one in _all(http, dataset) for label in _labels(one)]
    listed = _specs(http, dataset)
    assert {name: one["annotationCount"] for name, one in listed.items()} == {
        label: labels.count(label) for label in set(labels)
    }
    given = {"displayName": "l\u00f6rry 'big' \"one\"", "colour": "#AABB00", "hotKey": "L"}
    made = _ok(http.post(f"{dataset}/annotationSpecs", json=given))
    assert {**made, "name": ""} == {"name": "", "displayName": given["displayName"], "colour": "#aabb00", "hotKey": "l"}
    again = http.post(f"{dataset}/annotationSpecs", json={"displayName": given["displayName"]})
    assert _said(again).startswith("ALREADY_EXISTS")
    changed = {**made, "displayName": "lorry", "hotKey": ""}
    answer = _ok(http.patch(made["name"], params={"updateMask": "display_name,hotKey"}, json=changed))
    assert answer == {"name": made["name"], "displayName": "lorry", "colour": "#aabb00"}
    red = listed["red"]
    renamed = _ok(http.patch(red["name"], params={"updateMask": "displayName"}, json={**red, "displayName": "crimson"}))
    assert (renamed["name"], renamed["annotationCount"]) == (red["name"], red["annotationCount"])
    assert [label for one in _all(http, dataset) for label in _labels(one)] == [
        {"red": "crimson"}.get(label, label) for label in labels
    ]
    pages = []
    token = ""
    while True:
        page = _ok(http.get(f"{dataset}/annotationSpecs", params={"pageSize": 1, "pageToken": token}))
        pages += [one["displayName"] for one in page["annotationSpecs"]]
        token = page.get("nextPageToken", "")
        if not token:
            break
    assert pages == sorted(_specs(http, dataset))
    assert page["totalSize"] == len(pages)


BAD = {
    "no name": ({}, "annotation_spec.display_name"),
    "blanks around it": ({"displayName": " a"}, "printable text"),
    "a line break": ({"displayName": "a\nb"}, "printable text"),
    "too long": ({"displayName": "a" * 129}, "printable text"),
    "the import's word": ({"displayName": "negative_image"}, "nothing is in an image"),
    "no colour": ({"displayName": "a", "colour": "red"}, "no colour like"),
    "no key": ({"displayName": "a", "hotKey": "ab"}, "none of 0 to 9"),
    "a taken key": ({"displayName": "a", "hotKey": "K"}, "key of the label 'kept'"),
}


def test_labels_that_cannot_be_are_refused(world: case_world.World, http: httpx.Client) -> None:
    dataset = world.imported("specs-bad", 2)
    _ok(http.post(f"{dataset}/annotationSpecs", json={"displayName": "kept", "hotKey": "k"}))
    before = _specs(http, dataset)
    for what, (given, said) in BAD.items():
        found = _said(http.post(f"{dataset}/annotationSpecs", json=given))
        assert found.startswith("INVALID_ARGUMENT"), what
        assert said in found, (what, found)
    taken = http.patch(
        before["red"]["name"], params={"updateMask": "displayName"}, json={**before["red"], "displayName": "blue"}
    )
    assert "merge them" in _said(taken)
    for wrong in ("name", "exampleCount"):
        assert "cannot be changed" in _said(
            http.patch(before["red"]["name"], params={"updateMask": wrong}, json=before["red"])
        )
    assert "NOT_FOUND" in _said(http.patch(f"{dataset}/annotationSpecs/404", params={"updateMask": "colour"}, json={}))
    assert _specs(http, dataset) == before


def test_a_label_is_deleted_and_comes_back(world: case_world.World, http: httpx.Client) -> None:
    dataset = world.imported("specs-deleted", 10)
    before, specs = _all(http, dataset), _specs(http, dataset)
    red = specs["red"]
    _ok(
        http.patch(
            red["name"], params={"updateMask": "colour,hotKey"}, json={**red, "colour": "#ff0000", "hotKey": "r"}
        )
    )
    refused = http.delete(red["name"], params={"expectedCount": red["annotationCount"] + 1})
    assert f"is given {red['annotationCount']} times" in _said(refused)
    done = _ok(http.delete(red["name"], params={"expectedCount": red["annotationCount"]}))
    assert done["updatedCount"] == red["exampleCount"]
    assert set(_specs(http, dataset)) == set(specs) - {"red"}
    assert "red" not in {label for one in _all(http, dataset) for label in _labels(one)}
    _ok(http.post(f"{dataset}/annotationSpecs", json={"displayName": "rot", "hotKey": "r"}))
    assert _ok(http.post(f"{done['change']}:revert", json={})) == {"revertedCount": red["exampleCount"]}
    assert _all(http, dataset) == before
    back = _specs(http, dataset)["red"]
    assert back == {**red, "colour": "#ff0000"}  # its key belongs to another label now


def test_labels_are_merged_and_one_of_two_same_boxes_stays(world: case_world.World, http: httpx.Client) -> None:
    dataset = world.imported("specs-merged", 10)
    first = _all(http, dataset)[0]
    box = {"boundingBox": {"normalizedVertices": [{"x": 0.25, "y": 0.25}, {"x": 0.5, "y": 0.5}]}}
    both = [{"displayName": label, "imageObjectDetection": box} for label in ("red", "blue")]
    _ok(http.patch(first["name"], params={"updateMask": "annotations"}, json={**first, "annotations": both}))
    before, specs = _all(http, dataset), _specs(http, dataset)
    red, blue = specs["red"], specs["blue"]
    body = {"into": blue["name"], "expectedCount": red["annotationCount"]}
    assert "another label" in _said(http.post(f"{red['name']}:merge", json={**body, "into": red["name"]}))
    row = next(row for row in methods.TABLE if row.rpc == "MergeAnnotationSpecs")
    call = world.channel.unary_unary(
        row.full_name, request_serializer=pb.MergeAnnotationSpecsRequest.serialize,
        response_deserializer=pb.BatchUpdateExamplesResponse.deserialize,
    )  # fmt: skip
    request = pb.MergeAnnotationSpecsRequest(name=red["name"], into=blue["name"], expected_count=red["annotationCount"])
    done = call(request, timeout=60)
    assert done.updated_count == red["exampleCount"]
    merged = _all(http, dataset)
    assert _labels(merged[0]) == ["blue"]
    assert {label for one in merged for label in _labels(one)} == {"blue"}
    assert _specs(http, dataset)["blue"]["annotationCount"] == red["annotationCount"] + blue["annotationCount"] - 1
    _ok(http.post(f"{done.change}:revert", json={}))
    assert _all(http, dataset) == before
    assert _specs(http, dataset) == specs


def test_a_merged_label_leaves_one_label_an_image(world: case_world.World, http: httpx.Client) -> None:
    dataset = world.for_one_test()("D_labels")
    assert dataset is not None
    before, specs = _all(http, dataset), _specs(http, dataset)
    red = specs["red"]
    done = _ok(
        http.post(f"{red['name']}:merge", json={"into": specs["blue"]["name"], "expectedCount": red["annotationCount"]})
    )
    assert all(
        len(_labels(one)) == len(had.get("annotations", []))
        for one, had in zip(_all(http, dataset), before, strict=True)
    )
    _ok(http.post(f"{done['change']}:revert", json={}))
    gone = _ok(http.delete(red["name"], params={"expectedCount": red["annotationCount"]}))
    states = {one["name"]: one["state"] for one in _all(http, dataset)}
    assert {states[one["name"]] for one in before if _labels(one) == ["red"]} == {"UNLABELED"}
    _ok(http.post(f"{gone['change']}:revert", json={}))
    assert _all(http, dataset) == before


def _summary(http: httpx.Client, dataset: str) -> dict[str, Any]:
    found: dict[str, Any] = _ok(http.get(f"{dataset}:summarize"))
    return found


def test_a_summary_counts_what_is_there_now(world: case_world.World, http: httpx.Client) -> None:
    dataset = world.imported("specs-counted", 10)
    examples = _all(http, dataset)
    found = _summary(http, dataset)
    counts = {(one["mlUse"], one["state"]): one["exampleCount"] for one in found["counts"]}
    assert counts == {("TRAIN", "LABELED"): 8, ("VALIDATION", "LABELED"): 1, ("TEST", "LABELED"): 1}
    boxes = [one for example in examples for one in example["annotations"]]
    assert sum(found["boxEdgePx"]) == len(boxes)
    shortest: dict[str, float] = {}
    classes = [0] * 7
    for one in boxes:
        low, high = one["imageObjectDetection"]["boundingBox"]["normalizedVertices"]
        edge_px = min((high["x"] - low.get("x", 0)) * 128, (high["y"] - low.get("y", 0)) * 96)
        shortest[one["displayName"]] = min(edge_px, shortest.get(one["displayName"], edge_px))
        classes[sum(edge_px >= bound for bound in (8, 16, 32, 64, 128, 256))] += 1
    assert found["boxEdgePx"] == classes
    for label in found["labels"]:
        name = label["annotationSpec"]["displayName"]
        assert label["minEdgePx"] == pytest.approx(shortest[name], abs=1e-3)
        carry = [one["mlUse"] for one in examples if name in _labels(one)]
        assert [label.get(f"{use}Count", 0) for use in ("train", "validation", "test", "unassigned")] == [
            carry.count(use) for use in ("TRAIN", "VALIDATION", "TEST", "UNASSIGNED")
        ]
    hide = {"names": [one["name"] for one in examples[:3]], "state": "UNLABELED"}
    change = _ok(http.post(f"{dataset}/examples:batchUpdate", json=hide))["change"]
    later = _summary(http, dataset)
    assert {"mlUse": "TRAIN", "state": "UNLABELED", "exampleCount": 3} in later["counts"]
    assert [
        (one["code"], one["level"], one["count"]) for one in later["findings"] if one["code"] == "UNLABELED_LEFT_OUT"
    ] == [("UNLABELED_LEFT_OUT", "TELLS", 3)]
    _ok(http.post(f"{change}:revert", json={}))
    assert _summary(http, dataset) == found


def test_findings_are_what_a_training_is_refused_by(world: case_world.World, http: httpx.Client) -> None:
    with open_api(world.service) as api:
        empty = api.create_dataset("findings_empty")
    dataset = world.imported("specs-few", 3)
    _ok(http.post(f"{dataset}/annotationSpecs", json={"displayName": "unused"}))
    for name, codes in ((empty, ["NO_IMAGES"]), (dataset, ["LABEL_WITH_FEW_IMAGES"])):
        found = [one for one in _summary(http, name)["findings"] if one["level"] == "BLOCKS"]
        assert sorted({one["code"] for one in found}) == codes
        model = {"displayName": "m", "datasetId": name.rpartition("/")[2], "imageObjectDetectionModelMetadata": {}}
        refused = _said(http.post(f"{name.partition('/datasets')[0]}/models", json=model))
        assert refused.startswith("FAILED_PRECONDITION")
        for one in found:
            said = f"'{one['label']}' has {one.get('count', 0)}" if "label" in one else one["message"]
            assert said in refused
