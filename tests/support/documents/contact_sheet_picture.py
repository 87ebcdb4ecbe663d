"""The README's picture of the contact sheet: `python -m tests.support.documents.contact_sheet_picture`, or `make picture`.

Runs the demo on the images that it draws itself, opens the page that it writes in Chromium, and takes a picture of it.
`--demo FOLDER` takes the page of a demo that has run already.
"""

from __future__ import annotations

import argparse
import base64
import pathlib
import subprocess
import sys
import tempfile

from tests.support.clients import browser

ROOT = pathlib.Path(__file__).parents[3]
PICTURE = ROOT / "docs" / "images" / "contact-sheet.jpg"
WIDTH_PX, ROWS, MARGIN_PX = 1280, 3, 14
QUALITY = 80  # of the JPEG, in percent: letters stay sharp
BAR = "document.querySelector('.bar').getBoundingClientRect().top + scrollY"  # where the images begin
ROW_ENDS = "[...new Set([...document.querySelectorAll('figure')].map(f => f.getBoundingClientRect().bottom + scrollY))]"


def take(page_file: pathlib.Path, picture: pathlib.Path) -> int:
    """Takes a picture of the page from where its images begin; returns its size in bytes."""
    with tempfile.TemporaryDirectory() as folder, browser.open_page(pathlib.Path(folder)) as page:
        page.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
        page.command("Emulation.setScrollbarsHidden", hidden=True)
        _resize(page, WIDTH_PX)
        page.go(page_file.resolve().as_uri())
        top_px = page.run(BAR)
        end_px = sorted(page.run(ROW_ENDS))[ROWS - 1] + MARGIN_PX
        _resize(page, round(end_px - top_px))
        page.run(f"scrollTo(0, {top_px})")
        shot = page.command("Page.captureScreenshot", format="jpeg", quality=QUALITY)
    picture.parent.mkdir(parents=True, exist_ok=True)
    return picture.write_bytes(base64.b64decode(shot["data"]))


def _resize(page: browser.Page, height_px: int) -> None:
    page.command(
        "Emulation.setDeviceMetricsOverride", width=WIDTH_PX, height=height_px, deviceScaleFactor=1, mobile=False
    )


def main() -> None:
    """Runs the demo unless one is named, and takes the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", type=pathlib.Path, metavar="FOLDER", help="a demo that has run already")
    parser.add_argument("--out", type=pathlib.Path, metavar="FILE", default=PICTURE, help="where the picture goes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        demo: pathlib.Path = options.demo or pathlib.Path(folder) / "demo"
        if not options.demo:
            subprocess.run([sys.executable, "-m", "boxwright.demo", "--out", str(demo)], check=True)
        size = take(demo / "index.html", options.out)
    print(f"{options.out}: {size:,} bytes")


if __name__ == "__main__":
    main()
