"""Nothing that is edited is lost: without a service, without a tab, with another person on the same image."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator

import httpx
import pytest
from tests.conftest import Service, _start
from tests.console.conftest import PARENT
from tests.support.access.guarded_service import run_guarded_service
from tests.support.clients.console_page import ConsolePage, open_console
from tests.support.clients.editor_page import CONTROL, Editor
from tests.support.releases import data_folder
from tests.support.services.command_line import CommandLine


def _unpack(folder: pathlib.Path) -> pathlib.Path:
    """A dataset with labelled images, as release 0.1.0 has left it."""
    data_folder.unpack(sorted(data_folder.FOLDER.glob("*.zip"))[0], folder / "release")
    CommandLine("").done("migrate", "--data-dir", folder / "release" / "data")
    return folder / "release"


@dataclasses.dataclass
class Place:
    """A service that can be ended and started again at its address."""

    folder: pathlib.Path
    service: Service

    def again(self) -> None:
        flags = {"data_dir": self.service.data_dir, "buckets": self.service.buckets, "port": self.service.port}
        self.service = _start(self.folder, flags, data_folder.SETTINGS)


@pytest.fixture
def place(tmp_path: pathlib.Path) -> Iterator[Place]:
    release = _unpack(tmp_path)
    service = _start(tmp_path, {"data_dir": release / "data", "buckets": release / "buckets"}, data_folder.SETTINGS)
    place = Place(tmp_path, service)
    try:
        yield place
    finally:
        place.service.stop()


@pytest.fixture
def editor(place: Place) -> Iterator[Editor]:
    with open_console(place.folder, f"{place.service.url}/console/") as console:
        yield _editor(console, place.service.url)


def _editor(console: ConsolePage, url: str) -> Editor:
    editor = Editor(console, url, "")
    if url:
        editor.dataset = str(editor.get(f"{PARENT}/datasets")["datasets"][0]["name"])
    return editor


def test_changes_of_two_people_are_both_kept_or_asked_about(place: Place, editor: Editor) -> None:
    example = editor.examples()[0]
    editor.put(example, [("red", 2, 2, 12, 12), ("blue", 30, 20, 50, 40)])
    editor.open(example)
    editor.put(example, [("red", 2, 2, 12, 12), ("blue", 32, 22, 50, 40)])  # another person moves one box
    editor.drag((16, 4), (26, 14))  # this one draws another
    editor.saved()
    boxes = [tuple(round(one) for one in box[1:]) for box in editor.boxes_px(example)]
    assert sorted(boxes) == [(2, 2, 12, 12), (16, 4, 26, 14), (32, 22, 50, 40)]
    editor.console.until("document.querySelector('.said').innerText.includes('Both changes are kept')")
    editor.put(example, [("red", 2, 2, 12, 12)])
    editor.click((40, 30))  # the box that the other has deleted
    editor.drag((40, 30), (42, 32))
    editor.shows("conflict")
    editor.console.until("document.querySelector('.trouble')?.innerText.includes('Somebody else')")
    editor.console.click("Keep both")
    editor.saved()
    boxes = [tuple(round(one) for one in box[1:]) for box in editor.boxes_px(example)]
    assert sorted(boxes) == [(2, 2, 12, 12), (16, 4, 26, 14), (34, 24, 52, 42)]


def test_what_is_edited_without_a_service_is_saved_when_it_is_back(place: Place, editor: Editor) -> None:
    first, second = editor.examples()[:2]
    for one in (first, second):
        editor.put(one, [])
    editor.open(first)
    place.service.kill()
    editor.drag((10, 8), (30, 28))
    editor.shows("away")
    editor.drag((36, 8), (50, 28))
    place.again()
    editor.saved()
    assert len(editor.boxes_px(first)) == 2


@pytest.mark.full
def test_a_tab_that_is_reloaded_or_closed_without_a_line_leaves_its_changes(place: Place, editor: Editor) -> None:
    first, second = editor.examples()[:2]
    for one in (first, second):
        editor.put(one, [])
    editor.open(first)
    editor.drag((10, 8), (30, 28))
    editor.console.page.follow("location.reload()")  # within the pause before saving
    editor.ready()
    if editor.console.page.run("document.body.innerText.includes('A closed tab has left')"):
        editor.console.click("Save them")
    editor.saved()
    assert len(editor.boxes_px(first)) == 1
    editor.open(second)
    place.service.kill()
    editor.drag((10, 8), (30, 28))
    editor.shows("away")
    editor.console.page.go("about:blank")
    place.again()
    assert editor.boxes_px(second) == []
    editor.open(first)
    editor.console.until("document.body.innerText.includes('A closed tab has left changes of 1 image')")
    editor.console.click("Save them")
    editor.saved()
    assert len(editor.boxes_px(second)) == 1
    editor.open(second)
    assert not editor.console.page.run("document.body.innerText.includes('A closed tab has left')")


# a box and its copy, and no moment for the page to ask anything before its token has ended
EDIT_AND_END = """import(new URL('app/store.js', document.baseURI)).then((store) => {
  const field = document.querySelector('.field');
  for (const key of [{key: 'w'}, {key: 'd', ctrlKey: true}]) {
    field.dispatchEvent(new KeyboardEvent('keydown', {...key, bubbles: true, cancelable: true}));
  }
  store.credential.value = 'ENDED';
})"""


@pytest.mark.full
def test_what_is_edited_when_the_sign_in_has_ended_is_saved_after_the_next_one(tmp_path: pathlib.Path) -> None:
    release = _unpack(tmp_path)
    with run_guarded_service(release) as guarded, open_console(tmp_path, f"{guarded.url}/console/") as console:
        headers = {"x-goog-api-key": guarded.registry.api_key(guarded.owner)}
        with httpx.Client(base_url=f"{guarded.url}/v1/", headers=headers, trust_env=False, timeout=60) as http:
            dataset = http.get(f"{PARENT}/datasets").json()["datasets"][0]["name"]
            first, second = http.get(f"{dataset}/examples").json()["examples"][:2]
            editor = Editor(console, guarded.url, dataset)
            console.page.go(f"{guarded.url}/console/")
            _sign_in(console, guarded.registry.token(guarded.owner))
            console.until("document.body.innerText.includes('shapes')")
            editor.follow(first)
            editor.key("a", CONTROL)
            editor.key("Delete")
            editor.saved()
            assert "annotations" not in http.get(first["name"]).json()
            ended = guarded.registry.token(guarded.owner, life_s=-1)
            console.page.run(EDIT_AND_END.replace("ENDED", ended))
            console.until("document.querySelector('input[type=password]')")
            assert "annotations" not in http.get(first["name"]).json()
            _sign_in(console, ended)
            console.until("document.querySelector('[role=alert]')")
            console.page.run("document.querySelector('input').select()")
            _sign_in(console, guarded.registry.token(guarded.owner))
            editor.ready()
            editor.saved()
            assert len(http.get(first["name"]).json()["annotations"]) == 2
            editor.key("z", CONTROL)  # the page that is back has the history
            editor.saved()
            assert len(http.get(first["name"]).json()["annotations"]) == 1
            editor.follow(second)
            assert not console.page.run("document.body.innerText.includes('A closed tab has left')")


def _sign_in(console: ConsolePage, credential: str) -> None:
    console.type_into("input[type=password]", credential)
    console.click("Sign in")


def test_nothing_changes_an_image_while_the_next_one_is_on_its_way(place: Place, editor: Editor) -> None:
    first, second = editor.examples()[:2]
    before = editor.put(first, [("red", 2, 2, 12, 12)])
    editor.put(second, [])
    size = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}  # the field beside two sentences
    editor.console.page.command("Emulation.setDeviceMetricsOverride", **size)
    editor.open(first)
    network = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    editor.console.page.command("Network.emulateNetworkConditions", offline=True, **network)
    editor.key("d")
    editor.console.until("document.querySelector('.coming') && document.querySelector('.trouble')")
    editor.ready()  # the sentence about the line has moved the field
    editor.drag((20, 20), (40, 40))  # the first image is still what is seen
    editor.console.until("document.querySelector('.said').innerText.includes('on its way')")
    editor.console.page.run("document.querySelectorAll('.pick')[0].click()")
    editor.key("Delete")
    editor.console.page.command("Network.emulateNetworkConditions", offline=False, **network)
    editor.console.until("!document.querySelector('.coming')")  # it comes by itself
    editor.console.until("!document.querySelector('.trouble') && document.activeElement.matches('.field')")
    editor.drag((20, 20), (40, 40))
    editor.saved()
    assert editor.get(first["name"])["etag"] == before["etag"]
    assert len(editor.boxes_px(second)) == 1
