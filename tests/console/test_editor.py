"""The label editor in a real Chromium over a real service: what is drawn is what the service has."""

from __future__ import annotations

import httpx
import pytest
from tests.console.conftest import PARENT, World
from tests.support.clients.console_page import ConsolePage
from tests.support.clients.editor_page import ALT, CONTROL, SHIFT, Editor

Box = tuple[str, float, float, float, float]


@pytest.fixture
def editor(world: World, console: ConsolePage) -> Editor:
    console.page.command(
        "Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False
    )
    return Editor(console, world.service.url, f"{PARENT}/datasets/{world.ids['dataset']}")


def _near(found: list[Box], wanted: list[Box]) -> None:
    assert [one[0] for one in found] == [one[0] for one in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert all(abs(a - b) <= 1 for a, b in zip(one[1:], other[1:], strict=True)), (found, wanted)


def test_boxes_are_drawn_moved_and_resized_by_mouse(editor: Editor) -> None:
    example = editor.examples()[0]
    editor.put(example, [])
    editor.open(example)
    editor.drag((10, 8), (30, 28))
    editor.saved()
    _near(editor.boxes_px(example), [("blue", 10, 8, 30, 28)])
    editor.drag((20, 18), (25, 24))  # inside the selected one: moves it
    editor.drag((35, 34), (45, 40))  # its corner: resizes it
    editor.saved()
    _near(editor.boxes_px(example), [("blue", 15, 14, 45, 40)])
    editor.drag((15, 27), (12, 27))  # its left edge
    editor.drag((28, 30), (36, 36), ALT)  # Alt draws inside
    editor.key("2")
    editor.saved()
    _near(editor.boxes_px(example), [("blue", 12, 14, 45, 40), ("red", 28, 30, 36, 36)])
    for _ in range(3):
        editor.key("z", CONTROL)
    editor.saved()
    _near(editor.boxes_px(example), [("blue", 15, 14, 45, 40)])
    editor.key("y", CONTROL, 3)
    editor.saved()
    _near(editor.boxes_px(example), [("blue", 12, 14, 45, 40), ("red", 28, 30, 36, 36)])
    assert editor.console.complaints() == []


def test_covered_boxes_are_reached_by_clicking_again_and_many_by_shift(editor: Editor) -> None:
    example = editor.examples()[1]
    editor.put(example, [("red", 5, 5, 60, 45), ("blue", 15, 12, 40, 36), ("red", 20, 16, 30, 26)])
    editor.open(example)
    chosen = "[...document.querySelectorAll('[role=option]')].map((e) => e.ariaSelected === 'true')"
    for wanted in ([False, False, True], [False, True, False], [True, False, False], [False, False, True]):
        editor.click((25, 20))
        editor.console.until(f"JSON.stringify({chosen}) === '{str(wanted).lower().replace(' ', '')}'")
    editor.key("Escape")
    editor.drag((12, 10), (44, 40), SHIFT)
    editor.console.until(f"JSON.stringify({chosen}) === '[false,true,true]'")
    editor.key("Delete")
    editor.saved()
    _near(editor.boxes_px(example), [("red", 5, 5, 60, 45)])


def test_a_box_is_drawn_by_two_clicks_and_by_a_finger(editor: Editor) -> None:
    example = editor.examples()[2]
    editor.put(example, [])
    editor.open(example)
    editor.click((6, 6))
    editor.console.until("document.querySelector('.corner')")
    editor.click((26, 20))
    editor.saved()
    editor.key("Escape")
    editor.touch((34, 10), (54, 30))
    editor.saved()
    _near(editor.boxes_px(example), [("blue", 6, 6, 26, 20), ("blue", 34, 10, 54, 30)])


def test_boxes_are_drawn_moved_resized_and_labelled_by_keyboard_alone(editor: Editor) -> None:
    example = editor.examples()[3]
    editor.put(example, [])
    editor.open(example)
    editor.console.until("document.activeElement.classList.contains('field')")
    editor.key("w")
    editor.saved()
    [(_, left, top, right, bottom)] = editor.boxes_px(example)
    editor.key("ArrowRight", count=3)
    editor.key("ArrowUp", SHIFT)
    editor.key("ArrowRight", CONTROL, 4)
    editor.key("ArrowDown", CONTROL | ALT, 2)
    editor.key("2")
    editor.saved()
    _near(editor.boxes_px(example), [("red", left + 3, top - 10 + 2, right + 7, bottom - 10)])
    editor.key("c", CONTROL)
    editor.key("v", CONTROL)
    editor.saved()
    assert len(editor.boxes_px(example)) == 2
    editor.key("Tab", SHIFT)
    editor.key("Delete")
    editor.saved()
    _near(editor.boxes_px(example), [("red", left + 13, top + 2, right + 17, bottom)])


def test_completing_labels_an_image_and_looking_does_not(editor: Editor) -> None:
    first, second, third = editor.examples()[:3]
    for one in (first, second, third):
        editor.put(one, [], "UNLABELED")
    editor.open(first)
    editor.key("d")
    editor.console.until(f"location.hash.includes('{second['name'].rpartition('/')[2]}')")
    editor.ready()
    editor.drag((10, 8), (30, 28))
    editor.saved()
    assert editor.get(second["name"])["state"] == "SUGGESTED"
    editor.key("d")
    editor.console.until(f"location.hash.includes('{third['name'].rpartition('/')[2]}')")
    editor.ready()
    editor.key("r")  # the labels of the image before
    editor.saved()
    editor.key("e")  # nothing here after all
    editor.saved()
    editor.console.until(f"!location.hash.includes('{third['name'].rpartition('/')[2]}')")
    states = [editor.get(one["name"])["state"] for one in (first, second, third)]
    assert states == ["UNLABELED", "LABELED", "LABELED"]
    assert editor.boxes_px(third) == []
    editor.put(first, [("red", 10, 10, 30, 30)])


def test_suggestions_are_accepted_and_rejected_by_key(editor: Editor) -> None:
    example = editor.examples()[4]
    found = editor.put(example, [], "UNLABELED")
    vertices = [[{"x": x, "y": 0.2}, {"x": x + 0.2, "y": 0.6}] for x in (0.1, 0.4, 0.7)]
    annotations = [
        {"displayName": "red", "imageObjectDetection": {"score": score, "boundingBox": {"normalizedVertices": one}}}
        for one, score in zip(vertices, (0.9, 0.8, 0.4), strict=True)
    ]

    body = {"name": example["name"], "etag": found["etag"], "state": "SUGGESTED", "annotations": annotations}
    url = f"{editor.url}/v1/{example['name']}?updateMask=annotations,state"
    assert httpx.patch(url, json=body, trust_env=False).status_code == 200
    editor.open(example)
    editor.key("Tab")
    editor.key("Enter")  # the first is right, the second is next
    editor.key("x")
    editor.saved()
    assert editor.get(example["name"])["sources"] == ["ACCEPTED", "MODEL"]
    editor.key("d")
    editor.saved()
    after = editor.get(example["name"])
    assert (after["state"], after["sources"]) == ("LABELED", ["ACCEPTED"])
    assert after["annotations"][0]["imageObjectDetection"]["score"] == pytest.approx(0.9)


def test_what_a_model_suggests_is_accepted_one_by_one_and_all_at_once(world: World, editor: Editor) -> None:
    example = editor.examples()[4]
    editor.put(example, [])
    model = f"{PARENT}/models/{world.ids['model']}"
    asked = httpx.post(
        f"{editor.url}/v1/{example['name']}:suggest",
        json={"model": model, "scoreThreshold": 0.05},
        trust_env=False,
        timeout=60,
    ).json()["annotations"]
    corners = [one["imageObjectDetection"]["boundingBox"]["normalizedVertices"] for one in asked]
    count = len({(one["displayName"], str(box)) for one, box in zip(asked, corners, strict=True)})
    assert count >= 3
    editor.open(example)
    editor.console.page.run(
        "(() => { const one = document.querySelector('.side input[type=range]'); one.value = '0.05'; "
        "one.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )
    editor.console.until("document.activeElement.classList.contains('field')")
    editor.key("s")
    options = "document.querySelectorAll('[role=option]').length"
    editor.console.until(f"{options} === {count}")
    assert editor.boxes_px(example) == []
    editor.key("Tab")
    editor.key("Enter")
    editor.saved()
    assert len(editor.boxes_px(example)) == 1
    editor.key("x")  # the next one is not right
    editor.key("Enter", SHIFT)
    editor.saved()
    after = editor.get(example["name"])
    assert after["sources"] == ["ACCEPTED"] * (count - 1)
    given = sorted(round(one["imageObjectDetection"]["score"], 4) for one in asked)
    kept = [round(one["imageObjectDetection"]["score"], 4) for one in after["annotations"]]
    assert all(one in given for one in kept)
    editor.key("z", CONTROL)  # what was accepted at once is one step
    editor.saved()
    assert len(editor.boxes_px(example)) == 1


SMALL = """(async () => {
  const at = (path) => import(new URL(path, document.baseURI));
  const {suggestionsFor, exampleOf} = await at('editor/wire.js');
  const {get, send} = await at('app/api.js');
  const {name, etag} = await get(NAME);
  const corners = [[0, 0, 0.001, 0.5], [0, 0, 0.001, 0.5],
    [0.9995, 0.2, 1, 0.2004], [0.3, 0.99999, 0.9, 1], [0.7, 0.7, 0.7, 0.7],
    [-0.01, 0.4, 0.004, 1.02]];
  const findings = corners.map(([left, top, right, bottom]) => ({displayName: 'red', annotationSpecId: SPEC,
    imageObjectDetection: {score: 0.6, boundingBox: {normalizedVertices: [{x: left, y: top}, {x: right, y: bottom}]}}}));
  const items = suggestionsFor(findings, [], [0.01, 0.01])
    .map((one, index) => ({...one, key: index + 1, source: 'ACCEPTED'}));
  const content = {items, state: 'LABELED', mlUse: 'TRAIN'};
  const answer = await send('PATCH', `${name}?updateMask=annotations,state`, exampleOf(name, etag, content));
  return answer.annotations.length;
})()"""


def test_small_findings_get_edges_that_the_service_takes(editor: Editor) -> None:
    example = editor.examples()[5]
    spec = editor.put(example, [("red", 5, 5, 20, 20)])["annotations"][0]["annotationSpecId"]
    editor.console.open("settings")
    program = SMALL.replace("NAME", repr(example["name"])).replace("SPEC", repr(spec))
    assert editor.console.page.run(program) == 5


def test_dragging_among_five_hundred_boxes_draws_no_box_again(editor: Editor) -> None:
    example = editor.examples()[5]
    boxes = [
        (("red", "blue")[(row + column) % 2], column * 2.5, row * 2.0, column * 2.5 + 2, row * 2.0 + 1.5)
        for row in range(20)
        for column in range(25)
    ]
    editor.put(example, boxes)
    editor.open(example)
    assert editor.console.page.run("document.querySelectorAll('[role=option]').length") <= 100
    editor.click((1, 0.7))
    editor.console.until("!document.querySelector('.edited').hidden")
    editor.ready()  # the click is drawn, and the field has its size
    draws = "Number(document.querySelectorAll('.field canvas')[1].dataset.draws)"
    (x, y), before = editor.at(1, 0.7), editor.console.page.run(draws)
    editor.mouse("mousePressed", (x, y))
    for step in range(1, 41):
        editor.mouse("mouseMoved", (x + step, y + step))
    moved = "new DOMMatrix(getComputedStyle(document.querySelector('.edited')).transform).e"
    editor.console.until(f"{moved} > 30")
    assert editor.console.page.run(draws) == before
    editor.mouse("mouseReleased", (x + 40, y + 40))
    editor.saved()
    assert len(editor.boxes_px(example)) == 500
    editor.put(example, boxes[:2])


def test_five_thousand_boxes_are_as_many_as_an_image_has(editor: Editor) -> None:
    example = editor.examples()[5]
    boxes = [
        ("red", column * 0.6, row * 0.6, column * 0.6 + 2, row * 0.6 + 2) for row in range(50) for column in range(100)
    ]
    editor.put(example, boxes)
    editor.open(example)
    editor.drag((64, 42), (67, 45))
    editor.console.until("document.querySelector('.said').innerText.includes('5,000')")
    editor.console.open("settings")
    editor.put(example, boxes[:2])


def test_a_suggestion_that_is_accepted_and_not_yet_done_stays_a_models(editor: Editor) -> None:
    example = editor.examples()[4]
    editor.put(example, [], "UNLABELED")
    vertices = [{"x": 0.1, "y": 0.2}, {"x": 0.3, "y": 0.6}]
    found = {
        "displayName": "red",
        "imageObjectDetection": {"score": 1, "boundingBox": {"normalizedVertices": vertices}},
    }
    body = {"name": example["name"], "etag": editor.get(example["name"])["etag"], "state": "SUGGESTED"}
    url = f"{editor.url}/v1/{example['name']}?updateMask=annotations,sources,state"
    sent = httpx.patch(url, json={**body, "annotations": [found], "sources": ["MODEL"]}, trust_env=False)
    assert sent.json()["sources"] == ["MODEL"]
    editor.open(example)
    editor.drag((40, 10), (55, 30))  # a person's, beside it
    editor.saved()
    assert editor.get(example["name"])["sources"] == ["MODEL", "HUMAN"]
    editor.click((12, 20))
    editor.key("Enter")
    editor.saved()
    after = editor.get(example["name"])
    assert (after["state"], after["sources"]) == ("SUGGESTED", ["ACCEPTED", "HUMAN"])
    editor.key("z", CONTROL)
    editor.saved()
    assert editor.get(example["name"])["sources"] == ["MODEL", "HUMAN"]


@pytest.mark.parametrize("kind", ["MULTICLASS", "MULTILABEL"])
def test_labels_of_whole_images_are_given_by_key(world: World, editor: Editor, kind: str) -> None:
    with httpx.Client(base_url=f"{world.service.url}/v1/", trust_env=False, timeout=60) as http:
        body = {
            "displayName": f"keys_{kind.lower()}",
            "imageClassificationDatasetMetadata": {"classificationType": kind},
        }
        dataset = http.post(f"{PARENT}/datasets", json=body).json()
        dataset = http.post(f"{dataset['name']}:wait", json={"timeout": "60s"}).json()
        name = dataset["response"]["name"]
        for picture in sorted((world.service.buckets / "photos").rglob("*.jpg"))[:2]:
            content, headers = picture.read_bytes(), {"content-type": "application/octet-stream"}
            sent = http.post(f"{name}/examples:upload?displayName={picture.name}", content=content, headers=headers)
            assert sent.status_code == 200, sent.text
    editor.dataset = name
    first, second = editor.examples()
    named = {"MULTICLASS": "Classification, one label", "MULTILABEL": "Classification, many labels"}[kind]
    assert f"{named} · 2 images" in editor.console.open(f"datasets/{name.rpartition('/')[2]}/train")
    editor.console.open(f"datasets/{name.rpartition('/')[2]}/images/{first['name'].rpartition('/')[2]}")
    for label in ("cat", "dog"):  # the first labels of the dataset are made here
        editor.console.type_into(".side input", label)
        editor.console.click(f"Add “{label}”")
        editor.console.until(f"[...document.querySelectorAll('.pick')].some((e) => e.innerText.startsWith('{label}'))")
    editor.key("z", CONTROL)
    editor.key("z", CONTROL)
    editor.key("1")
    editor.key("2")
    editor.key("d")
    editor.console.until(f"location.hash.includes('{second['name'].rpartition('/')[2]}')")
    editor.saved()
    found = editor.get(first["name"])
    given = sorted(one["displayName"] for one in found["annotations"])
    assert (found["state"], given) == ("LABELED", ["dog"] if kind == "MULTICLASS" else ["cat", "dog"])
    http_delete = httpx.delete(f"{world.service.url}/v1/{name}", trust_env=False, timeout=60)
    assert http_delete.status_code == 200
