"""Nothing that is edited is lost: no service, no line, no tab, no sign-in, or another person on the same image."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
from collections.abc import Iterator

import pytest
from tests.conftest import Service, _start
from tests.console.conftest import PARENT
from tests.support.access.guarded_service import run_guarded_service
from tests.support.clients.console_page import ConsolePage, open_console
from tests.support.clients.editor_page import Editor
from tests.support.releases import data_folder
from tests.support.services.command_line import CommandLine

from boxwright.access import accounts


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


@pytest.mark.full
def test_who_is_signed_out_while_editing_signs_in_again_and_loses_nothing(tmp_path: pathlib.Path) -> None:
    release = _unpack(tmp_path)
    folder = tmp_path / "service"
    folder.mkdir()
    for name in ("data", "buckets"):
        shutil.move(str(release / name), folder / name)
    with run_guarded_service(folder) as guarded, open_console(tmp_path, f"{guarded.url}/console/") as console:
        key = guarded.registry.api_key(guarded.owner)
        headers = {"x-goog-api-key": key}
        dataset = guarded.http.get(f"/v1/{PARENT}/datasets", headers=headers).json()["datasets"][0]["name"]
        example = guarded.http.get(f"/v1/{dataset}/examples", headers=headers).json()["examples"][0]
        had = len(example.get("annotations", []))
        editor = Editor(console, guarded.url, dataset)
        console.page.go(
            f"{guarded.url}/console/#/datasets/{dataset.split('/')[-1]}/images/{example['name'].split('/')[-1]}"
        )
        console.type_into("input[type=password]", key)
        console.click("Sign in")
        editor.ready()
        with guarded.registry.db.write() as connection:
            accounts.delete_key(
                connection, guarded.owner.record, accounts.api_keys_of(connection, guarded.owner.record)[0].id
            )
        editor.drag((40, 4), (50, 14))
        console.until("document.querySelector('input[type=password]')")
        key = guarded.registry.api_key(guarded.owner)
        headers = {"x-goog-api-key": key}
        console.type_into("input[type=password]", key)
        console.click("Sign in")
        editor.ready()
        editor.saved()
        after = guarded.http.get(f"/v1/{example['name']}", headers=headers).json()
        assert len(after["annotations"]) == had + 1
        editor.key("z", 2)  # the history is still there
        editor.saved()
        after = guarded.http.get(f"/v1/{example['name']}", headers=headers).json()
        assert len(after["annotations"]) == had
