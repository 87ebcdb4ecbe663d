"""Examples read and changed one by one, over HTTP and gRPC, against a running service."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from tests.support.clients import case_world
from tests.support.images import drawn_images

from boxwright import curation_messages as pb
from boxwright.surface import methods

OTHER = {"boundingBox": {"normalizedVertices": [{"x": 0.1, "y": 0.1}, {"x": 0.4, "y": 0.3}]}}
BOX = {"boundingBox": {"normalizedVertices": [{"x": 0.5, "y": 0.75}, {"x": 0.25, "y": 0.5}]}}


def _list(http: httpx.Client, dataset: str, **query: Any) -> dict[str, Any]:
    answer = http.get(f"{dataset}/examples", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def _update(http: httpx.Client, example: dict[str, Any], mask: str) -> httpx.Response:
    return http.patch(example["name"], params={"updateMask": mask}, json=example)


def _grpc(world: case_world.World, rpc: str, request: Any) -> Any:
    row = next(row for row in methods.TABLE if row.rpc == rpc)
    call = world.channel.unary_unary(
        row.full_name, request_serializer=type(request).serialize, response_deserializer=row.response.deserialize
    )
    return call(request, timeout=60)


def test_examples_are_listed_read_and_changed(world: case_world.World, http: httpx.Client) -> None:
    dataset = world.imported("curation-read_and_changed", 10)
    listed = _list(http, dataset)["examples"]
    first = listed[0]
    drawn = drawn_images.draw(0, size_hw=(96, 128)).boxes
    assert len(listed) == 10
    assert first["uri"].endswith("/images/0000.jpg")
    assert [one["displayName"] for one in first["annotations"]] == [box[0] for box in drawn]
    corner = first["annotations"][0]["imageObjectDetection"]["boundingBox"]["normalizedVertices"][0]
    assert (corner["x"], corner["y"]) == pytest.approx(drawn[0][1:3], abs=1e-6)
    assert http.get(first["name"]).json() == first

    wanted = {"name": first["name"], "etag": first["etag"], "mlUse": "TEST"}
    wanted["annotations"] = [{"displayName": "blue", "imageObjectDetection": BOX}] * 2
    answer = _update(http, wanted, "annotations,mlUse")
    assert answer.status_code == 200, answer.text
    changed = answer.json()
    vertices = changed["annotations"][0]["imageObjectDetection"]["boundingBox"]["normalizedVertices"]
    assert vertices == [{"x": 0.25, "y": 0.5}, {"x": 0.5, "y": 0.75}]
    assert (len(changed["annotations"]), changed["mlUse"], changed["state"]) == (1, "TEST", "LABELED")
    assert changed["updateTime"]
    assert changed["etag"] != first["etag"]
    got = _grpc(world, "GetExample", pb.GetExampleRequest(name=first["name"]))
    assert pb.Example.to_dict(got)["etag"] == changed["etag"]

    late = _update(http, wanted, "annotations")  # with the etag from before
    assert (late.status_code, late.json()["error"]["status"]) == (409, "ABORTED")
    assert http.get(first["name"]).json() == changed
    assert _list(http, dataset, filter="mlUse=TEST")["totalSize"] == 2


def test_pages_and_skips_lead_through_all_examples_once(world: case_world.World, http: httpx.Client) -> None:
    dataset = world.imported("curation-pages", 10)
    everything = [one["name"] for one in _list(http, dataset)["examples"]]
    found, token = [], ""
    while True:
        page = _list(http, dataset, pageSize=4, pageToken=token)
        found += [one["name"] for one in page["examples"]]
        token = page.get("nextPageToken", "")
        if not token:
            break
    assert found == everything
    assert len(set(found)) == 10
    skipped = _list(http, dataset, pageSize=3, skip=5)
    assert [one["name"] for one in skipped["examples"]] == everything[5:8]
    assert "examples" not in _list(http, dataset, skip=10)
    with_red = _list(http, dataset, filter='label="red"')
    assert {one["name"] for one in with_red["examples"]} == {
        one["name"]
        for one in _list(http, dataset)["examples"]
        if "red" in [label["displayName"] for label in one["annotations"]]
    }
    assert _list(http, dataset, filter="NOT label=red").get("totalSize", 0) == 10 - with_red["totalSize"]
    assert _list(http, dataset, filter='uri="/0003."')["totalSize"] == 1
    assert _list(http, dataset, filter='uri="%"').get("totalSize", 0) == 0
    wrong = http.get(f"{dataset}/examples", params={"pageToken": _list(http, dataset, pageSize=1)["nextPageToken"],
                                                    "filter": "state=LABELED"})  # fmt: skip
    assert (wrong.status_code, wrong.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


BAD = {
    "an unknown label": ([{"displayName": "odd", "imageObjectDetection": BOX}], "no label 'odd'"),
    "no box": ([{"displayName": "red"}], "set image_object_detection"),
    "a label of the image": ([{"displayName": "red", "classification": {"score": 1}}], "set image_object_detection"),
    "one corner": (
        [{"displayName": "red", "imageObjectDetection": {"boundingBox": {"normalizedVertices": [{"x": 1}]}}}],
        "two opposite normalized_vertices",
    ),
    "outside": (
        [{"displayName": "red", "imageObjectDetection": {"boundingBox": {"normalizedVertices": [{"x": 2}, {}]}}}],
        "from 0 to 1",
    ),
    "no area": (
        [{"displayName": "red", "imageObjectDetection": {"boundingBox": {"normalizedVertices": [{"x": 1}, {}]}}}],
        "at least 2 pixels",
    ),
    "too many": ([{"displayName": "red", "imageObjectDetection": BOX}] * 5001, "5000 at most"),
}


def test_labels_that_are_not_the_datasets_change_nothing(world: case_world.World, http: httpx.Client) -> None:
    first = _list(http, world.imported("curation-bad_labels", 2), pageSize=1)["examples"][0]
    for what, (given, said) in BAD.items():
        answer = _update(http, {**first, "annotations": given}, "annotations")
        assert (answer.status_code, said in answer.text) == (400, True), (what, answer.text)
    unlabelled = _update(http, {**first, "state": "UNLABELED"}, "state")
    assert (unlabelled.status_code, "is not UNLABELED" in unlabelled.text) == (400, True)
    assert http.get(first["name"]).json() == first
    emptied = _update(http, {"name": first["name"], "etag": first["etag"]}, "annotations").json()
    assert "annotations" not in emptied  # nothing is in it, and that is known
    assert emptied["state"] == "LABELED"


def test_an_image_of_classification_keeps_the_rules_of_its_dataset(world: case_world.World, http: httpx.Client) -> None:
    dataset = world.for_one_test()("D_labels")
    assert dataset is not None
    bare = _list(http, dataset, filter="state=UNLABELED")["examples"][0]
    red, blue = ({"displayName": label, "classification": {"score": 1}} for label in drawn_images.LABELS)
    for given, state in (([red, blue], "LABELED"), ([], "LABELED"), ([red], "UNLABELED")):
        answer = _update(http, {**bare, "annotations": given, "state": state}, "annotations,state")
        assert answer.status_code == 400, (given, state)
    boxed = _update(http, {**bare, "annotations": [{"displayName": "red", "imageObjectDetection": BOX}]}, "annotations")
    assert (boxed.status_code, "set classification" in boxed.text) == (400, True)
    labelled = _update(http, {**bare, "annotations": [red], "state": "LABELED"}, "annotations,state").json()
    assert [one["displayName"] for one in labelled["annotations"]] == ["red"]
    back = _update(http, {**labelled, "annotations": [], "state": "UNLABELED"}, "annotations,state")
    assert back.json()["etag"] == bare["etag"]


def test_an_example_says_its_name_and_where_its_labels_come_from(world: case_world.World, http: httpx.Client) -> None:
    first = _list(http, world.imported("curation-sources", 2))["examples"][0]
    assert first["displayName"] == "0000.jpg"
    assert set(first["sources"]) == {"IMPORTED"}
    detected = {"displayName": "red", "imageObjectDetection": {**BOX, "score": 0.75}}
    wanted = {**first, "state": "SUGGESTED", "annotations": [*first["annotations"], detected]}
    suggested = _update(http, wanted, "annotations,state").json()
    assert suggested["sources"] == [*first["sources"], "MODEL"]
    assert suggested["annotations"][-1]["imageObjectDetection"]["score"] == 0.75
    drawn = {"displayName": "blue", "imageObjectDetection": BOX}
    kept = [suggested["annotations"][0], suggested["annotations"][-1], drawn]
    accepted = _update(http, {**suggested, "state": "LABELED", "annotations": kept}, "annotations,state").json()
    assert accepted["sources"] == ["IMPORTED", "ACCEPTED", "HUMAN"]
    assert accepted["annotations"][:2] == kept[:2]
    again = _update(http, {**accepted, "mlUse": "TEST"}, "mlUse,annotations").json()
    assert again["sources"] == accepted["sources"]
    assert again["annotations"] == accepted["annotations"]
    odd = {"displayName": "red", "imageObjectDetection": {**BOX, "score": 2}}
    assert "scores are from 0 to 1" in _update(http, {**again, "annotations": [odd]}, "annotations").text


def test_a_suggestion_that_is_accepted_early_stays_a_models(world: case_world.World, http: httpx.Client) -> None:
    first = _list(http, world.imported("curation-early", 2))["examples"][0]
    sure, unsure = (
        {"displayName": "red", "imageObjectDetection": {**one, "score": score}}
        for one, score in ((BOX, 1), (OTHER, 0.5))
    )
    drawn = {"displayName": "blue", "imageObjectDetection": BOX}
    given = {
        **first,
        "state": "SUGGESTED",
        "annotations": [sure, unsure, drawn],
        "sources": ["ACCEPTED", "MODEL", "HUMAN"],
    }
    early = _update(http, given, "annotations,sources,state").json()
    assert early["sources"] == ["ACCEPTED", "MODEL", "HUMAN"]
    assert [one["imageObjectDetection"]["score"] for one in early["annotations"]] == [1, 0.5, 1]
    back = _update(http, {**early, "sources": ["MODEL", "ACCEPTED", "HUMAN"]}, "annotations,sources").json()
    assert back["sources"] == ["MODEL", "ACCEPTED", "HUMAN"]
    unsaid = _update(http, {**back, "sources": []}, "annotations").json()
    assert unsaid["sources"] == back["sources"], "a score of 1 is no acceptance"
    done = _update(http, {**unsaid, "state": "LABELED"}, "state").json()
    assert done["sources"] == ["ACCEPTED", "ACCEPTED", "HUMAN"]
    for sources, said in ((["MODEL"], "one for each"), ([9, 1, 1], "Choose one of")):
        answer = _update(http, {**done, "sources": sources}, "annotations,sources")
        assert (answer.status_code, said in answer.text) == (400, True), answer.text
    alone = _update(http, done, "sources")
    assert (alone.status_code, "sources goes with annotations" in alone.text) == (400, True)


def test_boxes_of_two_pixels_and_thousands_of_them_are_labels(world: case_world.World, http: httpx.Client) -> None:
    first = _list(http, world.imported("curation-small", 2))["examples"][0]
    width_px, height_px = first["widthPx"], first["heightPx"]

    def box(left_px: float, top_px: float, edge_px: float) -> dict[str, Any]:
        corners = [(left_px, top_px), (left_px + edge_px, top_px + edge_px)]
        vertices = [{"x": x / width_px, "y": y / height_px} for x, y in corners]
        return {"displayName": "red", "imageObjectDetection": {"boundingBox": {"normalizedVertices": vertices}}}

    side = 71  # places in a row and in a column, of which 5,000 are taken
    many = [
        box(column * (width_px - 2) / side, row * (height_px - 2) / side, 2)
        for row in range(side)
        for column in range(side)
    ][:5000]
    saved = _update(http, {**first, "annotations": many}, "annotations").json()
    assert len(saved["annotations"]) == 5000
    answer = _update(http, {**saved, "annotations": [box(10, 10, 0.9)]}, "annotations")
    assert (answer.status_code, "at least 2 pixels" in answer.text) == (400, True), answer.text


def test_what_is_accepted_as_it_is_needs_no_labels_again(world: case_world.World, http: httpx.Client) -> None:
    first = _list(http, world.imported("curation-accepted", 1))["examples"][0]
    detected = [{"displayName": "red", "imageObjectDetection": {**BOX, "score": 0.5}}]
    wanted = {**first, "state": "SUGGESTED", "annotations": detected}
    suggested = _update(http, wanted, "annotations,state").json()
    accepted = _update(http, {**suggested, "annotations": [], "state": "LABELED"}, "state").json()
    assert (suggested["sources"], accepted["sources"]) == (["MODEL"], ["ACCEPTED"])
    assert accepted["annotations"] == suggested["annotations"]


def _names(listed: dict[str, Any]) -> list[str]:
    return [one["displayName"] for one in listed.get("examples", [])]


@pytest.mark.parametrize(
    "order", ["display_name", "displayName desc", "boxes", "boxes desc", "update_time desc", "import_order desc"]
)
def test_a_list_in_another_order_has_every_example_once(
    world: case_world.World, http: httpx.Client, order: str
) -> None:
    dataset = world.imported(f"curation-by-{order.replace(' ', '-')}", 8)
    for one in _list(http, dataset)["examples"][2:6:3]:
        assert (
            _update(
                http, {**one, "annotations": one["annotations"][:1], "mlUse": "TEST"}, "annotations,mlUse"
            ).status_code
            == 200
        )
    everything = _list(http, dataset, orderBy=order)["examples"]
    assert len({one["name"] for one in everything}) == 8
    sorted_by = {
        "display": lambda one: one["displayName"],
        "boxes": lambda one: len(one["annotations"]),
        "update": lambda one: one.get("updateTime", ""),
        "import": lambda one: one["uri"],
    }[re.split("[_ N]", order)[0]]
    values = [sorted_by(one) for one in everything]
    assert values == sorted(values, reverse=order.endswith("desc"))
    found, token = [], ""
    while True:
        page = _list(http, dataset, pageSize=3, pageToken=token, orderBy=order)
        found += page["examples"]
        token = page.get("nextPageToken", "")
        if not token:
            break
    assert found == everything
    assert _list(http, dataset, pageSize=2, skip=3, orderBy=order)["examples"] == everything[3:5]
    stale = http.get(
        f"{dataset}/examples", params={"pageToken": _list(http, dataset, pageSize=1)["nextPageToken"], "orderBy": order}
    )
    assert stale.status_code == 400


def test_a_list_is_filtered_by_counts_sizes_and_sources(world: case_world.World, http: httpx.Client) -> None:
    dataset = world.imported("curation-by_counts", 6)
    listed = _list(http, dataset)["examples"]
    emptied = _update(http, {**listed[0], "annotations": []}, "annotations").json()
    small = {
        "displayName": "red",
        "imageObjectDetection": {"boundingBox": {"normalizedVertices": [{}, {"x": 0.03, "y": 0.5}]}},
    }
    _update(http, {**listed[1], "annotations": [small]}, "annotations")
    detected = {"displayName": "red", "imageObjectDetection": {**BOX, "score": 0.75}}
    _update(http, {**listed[2], "annotations": [detected], "state": "SUGGESTED"}, "annotations,state")
    counts = {one["displayName"]: len(one["annotations"]) for one in listed[3:]} | dict(
        zip(_names({"examples": listed[:3]}), (0, 1, 1), strict=True)
    )
    meant = {"boxes=0": {0}, "boxes>=2": set(range(2, 20)), "boxes<2": {0, 1}, "NOT boxes>1": {0, 1}}
    for text, allowed in meant.items():
        assert _names(_list(http, dataset, filter=text)) == [
            name for name in sorted(counts) if counts[name] in allowed
        ], text
    assert _names(_list(http, dataset, filter="min_edge_px<4")) == ["0001.jpg"]
    assert _names(_list(http, dataset, filter="min_edge_px<4 AND boxes>1")) == []
    assert emptied["displayName"] not in _names(_list(http, dataset, filter="minEdgePx>=0"))
    assert _names(_list(http, dataset, filter="source=MODEL")) == ["0002.jpg"]
    assert _names(_list(http, dataset, filter="source=HUMAN")) == ["0001.jpg"]
    assert _list(http, dataset, filter="NOT source=IMPORTED")["totalSize"] == 3
    assert _list(http, dataset, filter="author=user:a@b.c").get("totalSize", 0) == 0
    for wrong in ("boxes>many", "label>1", "source=odd"):
        answer = http.get(f"{dataset}/examples", params={"filter": wrong})
        assert (answer.status_code, "filter" in answer.text) == (400, True)
    basic = _list(http, dataset, view="BASIC")["examples"][3]
    assert ("annotations" not in basic, "sources" not in basic, basic["etag"]) == (True, True, listed[3]["etag"])
