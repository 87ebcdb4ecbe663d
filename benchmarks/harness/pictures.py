"""Pictures for benchmarks: photo-like JPEGs of known sizes, and the mixes that they make.

    make(folder, kinds, originals) -> {kind: files}      draws what is missing
    listed(files, count) -> files                        repeated in a fixed order until there are enough

A picture is a sum of smooth and fine noise, weighted so that its file is about as large as a photograph's of the same size:
85 KB at VGA, 480 KB at 1080p, 2.5 MB at 12 megapixels. The mix is 70 % VGA (a tenth of them PNG), 25 % 1080p (a tenth of
them progressive) and 5 % 12 megapixels.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

SIZES_WH = {"vga": (640, 480), "1080p": (1920, 1080), "12mp": (4000, 3000)}
NOISE = {"vga": 5.2, "1080p": 4.4, "12mp": 4.0}  # standard deviation of the finest noise, in grey levels
QUALITY = {"vga": 90, "1080p": 90, "12mp": 90}
KINDS = (*SIZES_WH, "mix")
MIX_CYCLE = 40  # images after which the mix repeats: 28 VGA, 10 of 1080p, 2 of 12 megapixels
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


def draw(kind: str, seed: int) -> Image.Image:
    """One picture of a kind; the same seed gives the same picture."""
    width, height = SIZES_WH[kind]
    rng = np.random.default_rng((sorted(SIZES_WH).index(kind), seed))
    pixels: npt.NDArray[np.float32] = np.full((height, width, 3), 0, np.float32)
    for cells, weight in ((4, 0.55), (16, 0.25), (64, 0.14), (200, 0.06)):
        coarse = rng.integers(0, 256, (max(2, cells * height // width), cells, 3), np.uint8)
        pixels += weight * np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    grain = rng.standard_normal((height, width, 1), np.float32)
    pixels += NOISE[kind] * grain
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def make(folder: pathlib.Path, kinds: Sequence[str], originals: dict[str, int]) -> dict[str, list[pathlib.Path]]:
    """Draws the originals of the kinds and arranges them.

    Args:
        folder: where the files go.
        kinds: of `KINDS`.
        originals: different pictures per size.

    Returns:
        The files of each kind, in the order in which `listed` repeats them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = set(SIZES_WH) if "mix" in kinds else set(kinds)
    files: dict[str, list[pathlib.Path]] = {}
    for kind in wanted:
        files[kind] = []
        for seed in range(originals[kind]):
            picture, path = draw(kind, seed), folder / f"{kind}-{seed}.jpg"
            picture.save(path, quality=QUALITY[kind])
            files[kind].append(path)
            if seed == 0 and kind == "vga":
                picture.save(folder / "vga-0.png")
            if seed == 0 and kind == "1080p":
                picture.save(folder / "1080p-progressive.jpg", quality=QUALITY[kind], progressive=True)
    if "mix" in kinds:
        files["mix"] = _mixed(folder, files)
    return {kind: files[kind] for kind in kinds}


def _mixed(folder: pathlib.Path, files: dict[str, list[pathlib.Path]]) -> list[pathlib.Path]:
    """One cycle of the mix for every original, in an order that spreads the large ones."""
    kinds = ["vga"] * 28 + ["1080p"] * 10 + ["12mp"] * 2
    order = np.random.default_rng(7).permutation(MIX_CYCLE)
    cycles = max(len(one) for one in files.values())
    counts = dict.fromkeys(SIZES_WH, 0)
    found = []
    for place in range(cycles * MIX_CYCLE):
        kind = kinds[order[place % MIX_CYCLE]]
        number = counts[kind] = counts[kind] + 1
        if number % 10 == 0 and kind == "vga":
            found.append(folder / "vga-0.png")
        elif number % 10 == 0 and kind == "1080p":
            found.append(folder / "1080p-progressive.jpg")
        else:
            found.append(files[kind][number % len(files[kind])])
    return found


def given(folder: pathlib.Path) -> list[pathlib.Path]:
    """The images of somebody's own folder, by name."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise SystemExit(f"There are no images in {folder}.")
    return found


def copied(source: pathlib.Path, folder: pathlib.Path) -> list[pathlib.Path]:
    """Copies somebody's images into a folder, where they can be linked; in order of their names."""
    folder.mkdir(parents=True)
    copies = []
    for number, path in enumerate(given(source)):
        copies.append(folder / f"{number:06d}{path.suffix}")
        copies[-1].write_bytes(path.read_bytes())
    return copies


def listed(files: Sequence[pathlib.Path], count: int) -> list[pathlib.Path]:
    """The first `count` of the files, from the start again as often as needed."""
    return [files[number % len(files)] for number in range(count)]
