"""By keyboard alone in a real Chromium: from an empty service to the images that are labelled next."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import pytest
from tests.console.conftest import PARENT, World
from tests.support.clients.console_page import ConsolePage, open_console
from tests.support.clients.keyboard import CONTROL, SHIFT, Keyboard
from tests.support.images import drawn_images

IMAGES = 12
SAVED = "document.querySelector('[data-saving]')?.dataset.saving === 'saved'"


def _says(keys: Keyboard, words: str) -> None:
    keys.console.until(f"document.body.innerText.includes({words!r})")


def _make_dataset(keys: Keyboard, folder: pathlib.Path) -> None:
    """Chooses images on the empty page, and takes a dataset for them."""
    drawn_images.write_images(folder, IMAGES, size_hw=(96, 128))
    keys.choose_files("Choose images", sorted(folder.iterdir()))
    keys.console.until("document.querySelector('dialog[open]')")
    keys.holds()
    keys.tab_to("Name")
    keys.type("by_keys")
    keys.enter("Create")
    keys.lands("/import")
    _says(keys, f"Done: {IMAGES} images are new")


def _make_label(keys: Keyboard, name: str) -> None:
    keys.enter("New label")
    keys.console.until("document.querySelector('dialog[open]')")
    keys.type(name)
    keys.enter("Save")
    keys.console.until("!document.querySelector('dialog')")
    keys.holds()


def _label_images(keys: Keyboard) -> None:
    """Draws, moves and resizes a box in each image, and goes to the next one."""
    keys.follow("Images", "/images")
    keys.tab_to("Images: ", "DIV")
    keys.press("Enter")
    keys.console.until("document.querySelector('.editor .field canvas')?.dataset.view")
    for number in range(IMAGES):
        keys.console.until(f"document.querySelector('.bar')?.innerText.includes('{number + 1} of {IMAGES}')")
        keys.console.until("document.activeElement.matches('.field')")
        keys.press("12"[number % 2])  # the label of the next box
        keys.press("w")
        keys.press("ArrowRight", SHIFT)
        keys.press("ArrowDown", CONTROL, 4)
        keys.console.until("document.querySelectorAll('.options-list [role=option]').length === 1")
        keys.press("d")
    _says(keys, "last image")
    keys.console.until(SAVED)
    keys.press("Escape", count=2)  # selects nothing; leaves the picture
    assert keys.holds()["name"] == "All images"
    keys.press("Enter")
    keys.console.until("!document.querySelector('.editor')")
    keys.holds()


def _train(keys: Keyboard) -> None:
    keys.follow("Train", "/train")
    keys.tab_to("Name")
    keys.type("trained_by_keys")
    keys.enter("Start training")
    _says(keys, "The training has started")
    keys.console.until(
        "[...document.querySelectorAll('main td, main th')].some((one) => one.innerText === 'trained_by_keys')"
    )
    keys.holds()


def _evaluate(keys: Keyboard) -> None:
    """Moves the sliders, looks at an image closer, and comes back to it."""
    text = keys.follow("Evaluate", "/evaluate")
    assert "Average precision" in text
    keys.tab_to("Confidence")
    keys.press("ArrowRight")
    keys.press("Home")
    keys.enter("Worst images")
    _look_closer(keys, ".tiles li button")


def _look_closer(keys: Keyboard, tiles: str) -> None:
    """Opens the first image of a list, goes to the next one and closes it: the focus is where it was."""
    keys.console.until(f"document.querySelector({tiles!r})")
    keys.tab_to("", within=tiles)
    before = keys.holds()
    keys.press("Enter")
    keys.console.until("document.querySelector('dialog[open]')")
    keys.holds()
    keys.press("ArrowRight")
    keys.press("Escape")
    keys.console.until("!document.querySelector('dialog')")
    assert keys.holds()["name"] == before["name"]


def _try(keys: Keyboard, image: pathlib.Path) -> None:
    keys.follow("Test & Use", "/test")
    keys.enter("Deploy")
    keys.console.until(
        "[...document.querySelectorAll('button')].some((one) => one.innerText.startsWith('Remove from service'))"
    )
    keys.holds()
    keys.choose_files("Choose an image", [image])
    keys.console.until("document.querySelector('.picture img')?.complete")
    keys.tab_to("Score threshold")
    keys.press("Home")
    keys.holds()


def _predict(keys: Keyboard) -> None:
    """Predicts the dataset's own images in a batch job, and looks at its results."""
    keys.follow("Batch", "/batch")
    keys.enter("Images of a dataset")
    keys.enter("Add its folders")
    _says(keys, "folder is added")
    keys.holds()
    keys.tab_to("Folder for the results")
    keys.type("gs://results/")
    keys.enter("Start")
    keys.lands("#/batches/")
    keys.console.until("[...document.querySelectorAll('main a')].some((one) => one.innerText === 'See the results')")
    keys.follow("See the results", "/results")
    keys.tab_to("Score threshold")
    keys.press("Home")
    keys.console.settled()
    _look_closer(keys, ".tiles li button")


def _label_next(keys: Keyboard) -> None:
    """Adds the images that the model is least certain of, and opens the first of them in the editor."""
    keys.follow("Label next", "/next")
    keys.enter("Add ")
    keys.console.until("[...document.querySelectorAll('main a')].some((one) => one.innerText === 'Label them now')")
    keys.holds()
    keys.follow("Label them now", "/images?state=SUGGESTED")


def _has_thrown(console: ConsolePage) -> list[str]:
    return [one for one in console.complaints() if "exceptionId" in one]


@pytest.mark.slow
def test_from_a_dataset_to_the_next_labels(world: World, console: ConsolePage) -> None:
    """The way of the long test where nothing has to be trained or predicted: a dataset, a model and a job are there."""
    before = len(_has_thrown(console))
    console.open("datasets")
    keys = Keyboard(console)
    keys.tab_to("Skip to the content")
    keys.press("Enter")
    assert keys.holds()["tag"] == "MAIN"
    keys.enter("New dataset")
    console.until("document.querySelector('dialog[open]')")
    keys.holds()
    keys.press("Escape")
    console.until("!document.querySelector('dialog')")
    assert keys.holds()["name"].startswith("New dataset")
    keys.follow(world.get(f"{PARENT}/datasets")["datasets"][0]["displayName"], "#/datasets/")
    keys.follow("Labels", "/labels")
    _make_label(keys, "made by keys")
    keys.enter("Delete made by keys")
    keys.enter("Delete")
    console.until(
        "!document.querySelector('dialog') && !document.querySelector('main table')?.innerText.includes('made by keys')"
    )
    keys.holds()  # the button that has opened the dialog is gone
    keys.follow("Images", "/images")
    keys.tab_to("Images: ", "DIV")
    keys.press("ArrowRight")
    keys.press("Enter")
    console.until(
        "document.activeElement.matches('.editor .field') && document.activeElement.querySelector('canvas').dataset.view"
    )
    console.settled()
    keys.press("Escape", count=2)
    assert keys.holds()["name"] == "All images"
    keys.press("Enter")
    console.until("!document.querySelector('.editor')")
    keys.holds()
    keys.follow("Batch jobs", "#/batches")
    keys.tab_to("", "A", within="main table")
    keys.press("Enter")
    keys.lands("#/batches/")
    keys.follow("Results", "/results")
    _look_closer(keys, ".tiles li button")
    keys.follow("Label next", "/next")
    keys.follow("Files", "/files")
    keys.enter("Show as API call")
    console.until("document.querySelector('dialog[open]')")
    console.page.run("history.back()")
    keys.lands("/next")
    console.until("!document.querySelector('dialog')")  # it was the page's before
    assert keys.holds()["tag"] == "MAIN"
    assert _has_thrown(console)[before:] == []


@pytest.mark.full
def test_from_an_empty_service_to_the_next_labels(service_factory: Callable[..., Any], tmp_path: pathlib.Path) -> None:
    service = service_factory({"BOXWRIGHT_MIN_IMAGES_PER_LABEL": "3"}, train_minutes_max=0.1)
    service.bucket("results")
    (tmp_path / "browser").mkdir()
    with open_console(tmp_path / "browser", f"{service.url}/console/") as console:
        console.open("datasets")
        keys = Keyboard(console)
        _make_dataset(keys, tmp_path / "photos")
        keys.follow("Labels", "/labels")
        _make_label(keys, "red")
        _make_label(keys, "blue")
        _label_images(keys)
        _train(keys)
        _evaluate(keys)
        _try(keys, tmp_path / "photos" / "0000.jpg")
        _predict(keys)
        _label_next(keys)
        assert _has_thrown(console) == []
