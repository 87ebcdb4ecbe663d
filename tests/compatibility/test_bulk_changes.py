"""Many examples changed or deleted at once, over HTTP and gRPC, and such changes taken back."""

from __future__ import annotations

from typing import Any

import httpx
from tests.support.clients import case_world
from tests.support.clients.api import open_api
from tests.support.images import drawn_images

from boxwright import curation_messages as pb
from boxwright.surface import methods


def _all(http: httpx.Client, dataset: str, **query: Any) -> list[dict[str, Any]]:
    answer = http.get(f"{dataset}/examples", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json().get("examples", [])


def _post(http: httpx.Client, path: str, body: dict[str, Any] | None = None) -> Any:
    answer = http.post(path, json=body or {})
    assert answer.status_code == 200, answer.text
    return answer.json()


def _refused(http: httpx.Client, path: str, body: dict[str, Any]) -> str:
    answer = http.post(path, json=body)
    assert answer.status_code >= 400, answer.text
    return f"{answer.json()['error']['status']} {answer.json()['error']['message']}"


def _labels(example: dict[str, Any]) -> list[str]:
    return [one["displayName"] for one in example.get("annotations", [])]


def test_many_examples_are_changed_at_once_and_back(world: case_world.World, http: httpx.Client) -> None:
    dataset = world.imported("bulk-changed", 8)
    before = _all(http, dataset)
    some = [one["name"] for one in before[1:4]]
    done = _post(http, f"{dataset}/examples:batchUpdate", {"names": some, "mlUse": "TEST"})
    tests = {one["name"] for one in before if one["mlUse"] == "TEST"}
    assert done["updatedCount"] == len(set(some) - tests)
    after = _all(http, dataset)
    assert [one["mlUse"] == "TEST" for one in after] == [one["name"] in tests | set(some) for one in before]
    changed = [one for one in after if one["name"] in set(some) - tests]
    assert all(one["updateTime"] for one in changed)
    assert not {one["etag"] for one in changed} & {one["etag"] for one in before}
    again = _post(http, f"{dataset}/examples:batchUpdate", {"names": some, "mlUse": "TEST"})
    assert again == {}  # nothing was to be changed

    assert _post(http, f"{done['change']}:revert") == {"revertedCount": done["updatedCount"]}
    assert _all(http, dataset) == before
    assert "NOT_FOUND" in _refused(http, f"{done['change']}:revert", {})


def test_labels_of_all_that_a_filter_finds_are_changed(world: case_world.World, http: httpx.Client) -> None:
    dataset = world.imported("bulk-relabelled", 8)
    before = _all(http, dataset)
    red = [one for one in before if "red" in _labels(one)]
    body = {"filter": "label=red", "expectedCount": len(red), "relabelFrom": "red", "relabelTo": "blue"}
    wrong = _refused(http, f"{dataset}/examples:batchUpdate", {**body, "expectedCount": 1})
    assert f"FAILED_PRECONDITION The filter finds {len(red)} examples" in wrong
    assert _all(http, dataset) == before
    done = _post(http, f"{dataset}/examples:batchUpdate", body)
    assert done["updatedCount"] == len(red)
    assert {label for one in _all(http, dataset) for label in _labels(one)} == {"blue"}
    sources = {source for one in _all(http, dataset) for source in one["sources"]}
    assert sources == (
        {"HUMAN", "IMPORTED"} if len(red) < len(before) or any("blue" in _labels(one) for one in red) else {"HUMAN"}
    )

    taken = _post(http, f"{dataset}/examples:batchUpdate", {"filter": "*", "expectedCount": 8, "removeLabel": "blue"})
    assert taken["updatedCount"] == 8
    emptied = _all(http, dataset)
    assert {len(_labels(one)) for one in emptied} == {0}
    assert {one["state"] for one in emptied} == {"LABELED"}  # there is nothing in them
    hidden = _post(http, f"{dataset}/examples:batchUpdate", {"filter": "*", "expectedCount": 8, "state": "UNLABELED"})

    for change, count in ((hidden, 8), (taken, 8), (done, len(red))):  # one after the other, the last one first
        assert _post(http, f"{change['change']}:revert") == {"revertedCount": count}
    assert _all(http, dataset) == before


def test_what_was_changed_since_stays(world: case_world.World, http: httpx.Client) -> None:
    dataset = world.imported("bulk-since", 8)
    before = _all(http, dataset)
    done = _post(http, f"{dataset}/examples:batchUpdate", {"filter": "*", "expectedCount": 8, "state": "UNLABELED"})
    second = _all(http, dataset)[1]
    answer = http.patch(second["name"], params={"updateMask": "state"}, json={**second, "state": "LABELED"})
    assert answer.status_code == 200, answer.text
    _post(http, f"{dataset}/examples:batchDelete", {"names": [before[2]["name"]]})
    with open_api(world.service) as api:  # brings the deleted one back, and labels
        csv_uri = drawn_images.write_dataset(world.service.bucket("bulk-since"), 8)
        assert not api.finished(api.start_import(dataset, csv_uri)).HasField("error")
    late = {one["name"]: one for one in _all(http, dataset)}
    reverted = _post(http, f"{done['change']}:revert")
    assert reverted == {"keptCount": 8}  # the import has changed all the others
    assert {one["name"]: one for one in _all(http, dataset)} == late


def test_deleted_examples_come_back_with_their_labels(world: case_world.World, http: httpx.Client) -> None:
    dataset = world.imported("bulk-deleted", 8)
    before = _all(http, dataset)
    row = next(row for row in methods.TABLE if row.rpc == "BatchDeleteExamples")
    call = world.channel.unary_unary(
        row.full_name, request_serializer=pb.BatchDeleteExamplesRequest.serialize,
        response_deserializer=pb.BatchDeleteExamplesResponse.deserialize,
    )  # fmt: skip
    gone = [one["name"] for one in before[::2]]
    done = call(pb.BatchDeleteExamplesRequest(parent=dataset, names=gone), timeout=60)
    assert done.deleted_count == 4
    assert _all(http, dataset) == before[1::2]
    assert http.get(dataset).json()["exampleCount"] == 4
    assert http.get(gone[0]).status_code == 404
    assert "NOT_FOUND" in _refused(http, f"{dataset}/examples:batchDelete", {"names": [before[1]["name"], gone[0]]})
    assert _all(http, dataset) == before[1::2]
    assert _post(http, f"{done.change}:revert") == {"revertedCount": 4}
    assert _all(http, dataset) == before
    assert http.get(dataset).json()["exampleCount"] == 8

    everything = _post(http, f"{dataset}/examples:batchDelete", {"filter": "*", "expectedCount": 8})
    assert everything["deletedCount"] == 8
    with open_api(world.service) as api:  # takes the places of the deleted ones
        csv_uri = drawn_images.write_dataset(world.service.bucket("bulk-other"), 3, size_hw=(100, 120))
        assert not api.finished(api.start_import(dataset, csv_uri)).HasField("error")
    assert _post(http, f"{everything['change']}:revert") == {"revertedCount": 8}
    found = {one["name"]: (_labels(one), one["etag"]) for one in _all(http, dataset)}
    assert found.items() >= {one["name"]: (_labels(one), one["etag"]) for one in before}.items()
    assert len(found) == 11


def test_labels_of_whole_images_are_given_and_taken(world: case_world.World, http: httpx.Client) -> None:
    dataset = world.for_one_test()("D_labels")
    assert dataset is not None
    first = next(one for one in _all(http, dataset) if _labels(one) == ["red"])
    _post(http, f"{dataset}/examples:batchUpdate", {"names": [first["name"]], "state": "SUGGESTED"})
    before = _all(http, dataset)
    done = _post(
        http, f"{dataset}/examples:batchUpdate", {"filter": "*", "expectedCount": len(before), "addLabel": "red"}
    )
    assert done["updatedCount"] == 1 + sum(_labels(one) != ["red"] for one in before)  # a person has judged it, too
    labelled = _all(http, dataset)
    assert {(tuple(_labels(one)), one["state"]) for one in labelled} == {(("red",), "LABELED")}
    bare = _post(
        http, f"{dataset}/examples:batchUpdate", {"filter": "*", "expectedCount": len(before), "removeLabel": "red"}
    )
    assert {one["state"] for one in _all(http, dataset)} == {"UNLABELED"}  # of a MULTICLASS dataset
    said = _refused(
        http, f"{dataset}/examples:batchUpdate", {"filter": "*", "expectedCount": len(before), "state": "LABELED"}
    )
    assert f"FAILED_PRECONDITION {len(before)} of the examples have no label" in said
    for change in (bare, done):
        _post(http, f"{change['change']}:revert")
    assert _all(http, dataset) == before


BAD = {
    "nothing chosen": ({"mlUse": "TEST"}, "Name examples, or choose them by filter"),
    "both": ({"filter": "*", "names": ["x"], "mlUse": "TEST"}, "one of both"),
    "nothing to do": ({"filter": "*"}, "Say what is to change"),
    "an unknown label": ({"filter": "*", "removeLabel": "odd"}, "no label 'odd'"),
    "half a relabelling": ({"filter": "*", "relabelFrom": "red"}, "go together"),
    "a label without a box": ({"filter": "*", "addLabel": "red"}, "image classification"),
    "labels and none": ({"filter": "*", "relabelFrom": "red", "relabelTo": "blue", "state": "UNLABELED"}, "cannot go with"),
    "a bad filter": ({"filter": "size>1", "mlUse": "TEST"}, "Unknown field 'size'"),
    "no name": ({"names": ["x"], "mlUse": "TEST"}, "Malformed resource name"),
    "another dataset's": (
        {"names": ["projects/demo/locations/us-central1/datasets/IOD1/examples/00"], "mlUse": "TEST"},
        "is not of",
    ),
    "too many": ({"names": ["x"] * 1001, "mlUse": "TEST"}, "1000 at most"),
}  # fmt: skip


def test_requests_that_say_too_little_or_too_much_change_nothing(world: case_world.World, http: httpx.Client) -> None:
    dataset = world.imported("bulk-bad", 2)
    before = _all(http, dataset)
    for what, (body, said) in BAD.items():
        found = _refused(http, f"{dataset}/examples:batchUpdate", body)
        assert found.startswith("INVALID_ARGUMENT"), what
        assert said in found, (what, found)
    assert _all(http, dataset) == before
    assert "NOT_FOUND" in _refused(http, f"{dataset}/changes/123:revert", {})
