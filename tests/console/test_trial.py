"""A tried image goes into a dataset, with what was found as suggestions."""

from __future__ import annotations

import hashlib
import pathlib

from tests.console.conftest import PARENT, World
from tests.support.clients.console_page import ConsolePage
from tests.support.images import drawn_images

FOUND = "document.querySelectorAll('.picture g').length"


def _try(console: ConsolePage, world: World, image: pathlib.Path) -> None:
    """Gives a file to the page, and shows what is found at any score."""
    console.open(f"models/{world.ids['model']}/test")
    console.until("document.querySelector('input[type=file]')")
    root = console.page.command("DOM.getDocument")["root"]["nodeId"]
    node = console.page.command("DOM.querySelector", nodeId=root, selector="input[type=file]")["nodeId"]
    console.page.command("DOM.setFileInputFiles", nodeId=node, files=[str(image)])
    console.until("document.querySelector('.picture img')?.complete")
    console.page.run("(() => { const one = document.querySelector('main input[type=range]'); one.value = '0.01'; "
                     "one.dispatchEvent(new Event('input', {bubbles: true})); })()")  # fmt: skip
    console.until(f"{FOUND} > 0")


def test_a_tried_image_is_added_once_and_its_labels_are_not_overwritten(
    world: World, console: ConsolePage, tmp_path: pathlib.Path
) -> None:
    image = tmp_path / "new & odd <b>.jpg"
    image.write_bytes(drawn_images.draw(4711).content)
    _try(console, world, image)
    found = int(console.page.run(FOUND))
    console.click("Add the image")
    console.until("document.querySelector('main').innerText.includes('The image is in')")
    name = f"{PARENT}/datasets/{world.ids['dataset']}/examples/{hashlib.sha256(image.read_bytes()).hexdigest()}"
    example = world.get(name)
    assert (example["state"], example["displayName"]) == ("SUGGESTED", image.name)
    assert 0 < len(example["annotations"]) <= found
    assert set(example["sources"]) == {"MODEL"}

    _try(console, world, image)
    console.click("Add the image")
    console.until("document.querySelector('main').innerText.includes('has this image already')")
    assert world.get(name) == example
