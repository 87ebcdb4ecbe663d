"""Pictures of the console for the documents: `python -m tests.support.documents.console_pictures`, or `make picture`.

Runs the demo unless `--demo FOLDER` names one that has run already, starts a service on a copy of its folder, and takes a
picture of the pages that the documents show. `--every FOLDER` takes one of every page in both themes and both languages
instead, for a person to look at.
"""

from __future__ import annotations

import argparse
import base64
import dataclasses
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import httpx
from tests.support.clients.console_page import ConsolePage, open_console

from boxwright.demo import service

ROOT = pathlib.Path(__file__).parents[3]
OUT = ROOT / "docs" / "images"
WIDTH_PX, HEIGHT_PX = 1280, 800
QUALITY = 78  # of the JPEG, in percent: letters stay sharp
PARENT = "projects/demo/locations/us-central1"
SHOWN = {  # file → page, theme; `{dataset}`, `{example}`, `{model}` and `{batch}` are the demo's
    "console-images": ("datasets/{dataset}/images", "light"),
    "console-editor": ("datasets/{dataset}/images/{example}", "dark"),
    "console-evaluate": ("datasets/{dataset}/evaluate", "light"),
    "console-results": ("batches/{batch}/results", "light"),
}
_DATASET_TABS = ("import", "images", "labels", "train", "evaluate", "test", "batch")
_BATCH_TABS = ("", "/results", "/next", "/failed", "/files")
EVERY = (
    "datasets", *(f"datasets/{{dataset}}/{tab}" for tab in _DATASET_TABS), "datasets/{dataset}/images/{example}",
    "models", *(f"models/{{model}}/{tab}" for tab in ("about", "evaluate", "test", "batch")),
    "batches", "batches/new", *(f"batches/{{batch}}{tab}" for tab in _BATCH_TABS),
    "operations", "operations/{batch}", "settings", "nowhere",
)  # fmt: skip


@dataclasses.dataclass
class Demo:
    """A service on the demo's folder, and the ids that its pages have."""

    url: str
    ids: dict[str, str]

    @classmethod
    def of(cls, url: str) -> Demo:
        def found(path: str, field: str, **query: str) -> list[dict[str, Any]]:
            answer = httpx.get(f"{url}/v1/{path}", params=query, trust_env=False, timeout=60).raise_for_status().json()
            return list(answer[field])

        dataset = found(f"{PARENT}/datasets", "datasets")[0]["name"]
        model = found(f"{PARENT}/models", "model")[0]["name"]
        operations = found(f"{PARENT}/operations", "operations")
        (batch, *_) = [one["name"] for one in operations if "batchPredictDetails" in one["metadata"]]
        example = found(f"{dataset}/examples", "examples", pageSize="1", filter="label:*")[0]["name"]
        named = {"dataset": dataset, "model": model, "batch": batch, "example": example}
        return cls(url, {kind: name.rpartition("/")[2] for kind, name in named.items()})


def take(
    console: ConsolePage, path: str, file: pathlib.Path, *, height_px: int = HEIGHT_PX, width_px: int = WIDTH_PX
) -> int:
    """Opens a page and takes a picture of what a window of this size shows; returns its size in bytes."""
    console.page.command(
        "Emulation.setDeviceMetricsOverride", width=width_px, height=height_px, deviceScaleFactor=1, mobile=False
    )
    console.open(path)
    console.page.run("new Promise((done) => setTimeout(done, 1200))")  # pictures and charts come after the words
    form = {"format": "jpeg", "quality": QUALITY} if file.suffix == ".jpg" else {"format": "png"}
    shot = console.page.command("Page.captureScreenshot", **form)
    file.parent.mkdir(parents=True, exist_ok=True)
    return file.write_bytes(base64.b64decode(shot["data"]))


def _taken(console: ConsolePage, demo: Demo, every: pathlib.Path | None) -> Iterator[tuple[pathlib.Path, int]]:
    console.open("datasets")  # an address whose choices can be set
    if every is None:
        for name, (path, theme) in SHOWN.items():
            console.choose(theme=theme, language="en")
            file = OUT / f"{name}.jpg"
            yield file, take(console, path.format(**demo.ids), file)
        return
    for theme in ("light", "dark"):
        for language in ("en", "id"):
            console.choose(theme=theme, language=language)
            for path in EVERY:
                name = path.replace("{", "").replace("}", "").replace("/", "-")
                file = every / f"{name}-{theme}-{language}.png"
                yield file, take(console, path.format(**demo.ids), file)


def main() -> None:
    """Runs the demo unless one is named, and takes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", type=pathlib.Path, metavar="FOLDER", help="a demo that has run already")
    parser.add_argument("--every", type=pathlib.Path, metavar="FOLDER", help="take every page, into this folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        demo = pathlib.Path(folder) / "demo"
        if options.demo:
            shutil.copytree(options.demo, demo)
            migrate = [sys.executable, "-m", "boxwright.cli", "migrate", "--data-dir", str(demo / "data")]
            subprocess.run(migrate, check=True)
        else:
            subprocess.run([sys.executable, "-m", "boxwright.demo", "--out", str(demo)], check=True)
        profile = pathlib.Path(folder) / "browser"
        profile.mkdir()
        with (
            service.running(demo, demo / "buckets", 1.0, keep=False) as running,
            open_console(profile, f"{running.url}/console/") as console,
        ):
            console.page.command("Emulation.setScrollbarsHidden", hidden=True)
            for file, size in _taken(console, Demo.of(running.url), options.every):
                print(f"{file}: {size:,} bytes", flush=True)


if __name__ == "__main__":
    main()
