"""Pictures have the decoder's pixels, upright, at the size that was asked for."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from boxwright.images import decode
from boxwright.pictures.rendering import WHOLE, ImageFacts, PictureRequest, look, render

TOLERANCE = 6.0  # mean difference of a sample that a JPEG of quality 80 makes of a smooth image


def _smooth(height_px: int, width_px: int) -> np.ndarray:
    """Three slopes that no symmetry turns into each other."""
    rows, columns = np.mgrid[0:height_px, 0:width_px].astype(float)
    return np.stack(
        [255 * rows / height_px, 255 * columns / width_px, 255 * (rows / height_px) * (columns / width_px)], axis=2
    ).astype(np.uint8)


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return _saved(Image.fromarray(_smooth(60, 90)), "JPEG", exif=exif.tobytes(), quality=95)


_RGB = Image.fromarray(_smooth(60, 90))
KINDS = {
    **{f"EXIF {orientation}": _turned(orientation) for orientation in range(1, 9)},
    "CMYK": _saved(_RGB.convert("CMYK"), "JPEG", quality=95),
    "gray JPEG": _saved(_RGB.convert("L"), "JPEG"),
    "alpha": _saved(Image.merge("RGBA", (*_RGB.split(), _RGB.convert("L"))), "PNG"),
    "16 bits": _saved(Image.fromarray((_smooth(60, 90)[:, :, 0].astype(np.uint16)) * 200), "PNG"),
    "TIFF": _saved(_RGB, "TIFF"),
    "TIFF turned": _saved(_RGB, "TIFF", tiffinfo={274: 6}),
    "GIF": _saved(_RGB, "GIF"),
    "BMP": _saved(_RGB, "BMP"),
    "WebP": _saved(_RGB, "WEBP", quality=95),
}


def _pixels(picture: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(picture)) as image:
        assert (image.format, image.mode, image.info.get("exif")) == ("JPEG", "RGB", None)
        return np.asarray(image).astype(int)


@pytest.mark.parametrize("content", KINDS.values(), ids=KINDS)
def test_a_picture_has_the_pixels_of_the_decoder(content: bytes) -> None:
    decoded = decode.decode(content, (4096, 4096))
    found = _pixels(render(content, PictureRequest(256)))
    assert found.shape == decoded.pixels.shape  # nothing is enlarged
    assert np.abs(found - decoded.pixels).mean() < TOLERANCE
    part = _pixels(render(content, PictureRequest(256, (0.5, 0.25, 0.25, 0.5))))
    height, width = decoded.size_hw
    expected = decoded.pixels[height // 4 : height * 3 // 4, width // 2 : width * 3 // 4]
    assert abs(part.shape[0] - expected.shape[0]) + abs(part.shape[1] - expected.shape[1]) <= 2
    rows, columns = min(part.shape[0], expected.shape[0]), min(part.shape[1], expected.shape[1])
    assert np.abs(part[:rows, :columns] - expected[:rows, :columns]).mean() < 2 * TOLERANCE


@pytest.mark.parametrize("size_hw, edge_px, expected", [
    ((900, 1200), 256, (192, 256)), ((1200, 900), 256, (256, 192)), ((900, 1200), 1280, (900, 1200)),
    ((3, 2000), 640, (1, 640)), ((1, 1), 256, (1, 1)),
])  # fmt: skip
def test_the_longer_side_is_what_was_asked_for_at_most(
    size_hw: tuple[int, int], edge_px: int, expected: tuple[int, int]
) -> None:
    content = _saved(Image.fromarray(_smooth(*size_hw)), "JPEG")
    assert _pixels(render(content, PictureRequest(edge_px))).shape[:2] == expected


def test_a_part_is_as_sharp_as_the_image() -> None:
    pixels = np.zeros((1000, 2000, 3), np.uint8)
    pixels[400:500, 1000:1100] = 255
    content = _saved(Image.fromarray(pixels), "PNG")
    part = _pixels(render(content, PictureRequest(256, (0.5, 0.4, 0.05, 0.1))))
    assert part.shape[:2] == (100, 100)
    assert part.mean() > 250
    wide = _pixels(render(content, PictureRequest(256, (0.25, 0.25, 0.5, 0.5))))
    assert wide.shape[:2] == (128, 256)
    assert wide[40:60, 130:150].mean() > 250
    assert wide[:30].mean() < 5
    sliver = _pixels(render(content, PictureRequest(256, (0.999999, 0.999999, 0.000001, 0.000001))))
    assert sliver.shape[:2] == (1, 1)


def test_a_look_says_size_and_suffix() -> None:
    assert look(KINDS["EXIF 6"]) == ImageFacts(90, 60, ".jpg")
    assert look(KINDS["TIFF"]) == ImageFacts(60, 90, ".tif")
    assert look(KINDS["alpha"]) == ImageFacts(60, 90, ".png")
    for bad in (b"", b"<svg/>", KINDS["EXIF 1"][:400]):
        for ask in (
            look,
            lambda data: render(data, PictureRequest(256)),
            lambda data: render(data, PictureRequest(256, (0, 0, 0.5, 1))),
        ):
            with pytest.raises(decode.DecodeError):
                ask(bad)
    assert WHOLE == (0, 0, 1, 1)
