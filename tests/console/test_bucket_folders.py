"""A folder of a bucket as unlabelled images of a dataset, in a real Chromium."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import httpx
from tests.console.conftest import PARENT
from tests.support.clients.console_page import open_console
from tests.support.images import drawn_images

IMAGES = 7


def test_a_folder_that_is_picked_becomes_unlabelled_images(
    service_factory: Callable[..., Any], tmp_path: pathlib.Path
) -> None:
    service = service_factory()
    folder = service.bucket("summer") / "day 1"
    folder.mkdir(parents=True)
    drawn_images.write_images(folder, IMAGES)
    (folder / "notes.txt").write_text("no image", encoding="utf-8")
    body = {"displayName": "pool", "imageObjectDetectionDatasetMetadata": {}}
    made = httpx.post(f"{service.url}/v1/{PARENT}/datasets", json=body, trust_env=False).json()["response"]["name"]
    (tmp_path / "browser").mkdir()
    with open_console(tmp_path / "browser", f"{service.url}/console/") as console:
        console.open(f"datasets/{made.rpartition('/')[2]}/import")
        console.click("Browse buckets")
        for name in ("summer/", "day 1/"):
            console.until(
                f"[...document.querySelectorAll('.entries button')].some((one) => one.innerText.endsWith('{name}'))"
            )
            console.page.run(
                f"[...document.querySelectorAll('.entries button')].find((one) => one.innerText.endsWith('{name}')).click()"
            )
        console.click("Take this folder")
        console.until("document.querySelector('main textarea').value === 'gs://summer/day 1/**'")
        console.page.run(
            "document.querySelector('main textarea').closest('section').querySelector('.row .first').click()"
        )
        listed = f"{service.url}/v1/{made}/examples?filter=state=UNLABELED"
        console.until("document.querySelector('main').innerText.includes('Succeeded')")
        console.open(f"datasets/{made.rpartition('/')[2]}/images?state=UNLABELED")
        console.until(f"document.querySelectorAll('[id^=tile-]').length === {IMAGES}")
        assert httpx.get(listed, trust_env=False).json()["totalSize"] == IMAGES
        assert console.complaints() == []
