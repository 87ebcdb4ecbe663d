"""Images as people see them: upright, on white, with boxes where they belong."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from boxwright.contact_sheet import pictures
from boxwright.contact_sheet.boxes import Box, Prediction

RED, BLUE = (220, 20, 20), (20, 20, 220)


def _saved(image: Image.Image, file_format: str = "PNG", **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, file_format, **options)
    return target.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_as_its_exif_says(orientation):
    upright = Image.new("RGB", (40, 20), BLUE)
    upright.paste(RED, (0, 0, 20, 10))  # the top left quarter, as viewers show it
    back = {
        2: (Image.Transpose.FLIP_LEFT_RIGHT,),
        3: (Image.Transpose.ROTATE_180,),
        4: (Image.Transpose.FLIP_TOP_BOTTOM,),
        5: (Image.Transpose.TRANSPOSE,),
        6: (Image.Transpose.ROTATE_90,),
        7: (Image.Transpose.TRANSVERSE,),
        8: (Image.Transpose.ROTATE_270,),
    }
    stored = upright
    for step in back.get(orientation, ()):
        stored = stored.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    opened = pictures.open_upright(_saved(stored, exif=exif))
    assert np.array_equal(np.asarray(opened), np.asarray(upright))


def test_transparency_is_shown_on_white_and_alpha_of_nothing_is_ignored():
    half = Image.new("RGBA", (2, 1), (*RED, 255))
    half.putpixel((1, 0), (*RED, 0))
    assert [pictures.open_upright(_saved(half)).getpixel((x, 0)) for x in (0, 1)] == [RED, (255, 255, 255)]
    assert pictures.open_upright(_saved(Image.new("RGBA", (2, 1), (*RED, 0)))).getpixel((0, 0)) == RED


def test_more_than_eight_bits_are_scaled_instead_of_cut_off():
    values = np.array([[0, 1000], [2000, 4000]], np.uint16)
    shown = pictures.open_upright(_saved(Image.fromarray(values)))
    assert [shown.getpixel((x, y))[0] for y in (0, 1) for x in (0, 1)] == [0, 63, 127, 255]
    flat = pictures.open_upright(_saved(Image.fromarray(np.full((2, 2), 700, np.uint16))))
    assert flat.mode == "RGB"


@pytest.mark.parametrize("content", [b"", b"text", _saved(Image.new("RGB", (8, 8)))[:40]])
def test_what_is_no_image_says_so(content):
    with pytest.raises(pictures.PictureError):
        pictures.thumbnail(content)


def test_a_thumbnail_keeps_the_shape():
    encoded, size = pictures.thumbnail(_saved(Image.new("RGB", (1920, 960), RED)))
    assert size == (480, 240)
    assert Image.open(io.BytesIO(base64.b64decode(encoded))).size == size


def test_boxes_are_drawn_where_they_are_the_best_on_top():
    image = Image.new("RGB", (400, 200), "black")
    boxes = (Box("cat", 0.25, 0.5, 0.75, 1.0), Box("dog", 0.25, 0.5, 0.75, 1.0))
    colour_of = {"bird": "#000001"}
    pictures.draw(image, [Prediction.of_box(boxes[0], 0.9), Prediction.of_box(boxes[1], 0.5)], colour_of)
    assert len(set(colour_of.values())) == 3
    cat = tuple(int(colour_of["cat"][start : start + 2], 16) for start in (1, 3, 5))
    assert image.getpixel((100, 150)) == cat
    assert image.getpixel((300, 150)) == cat
    assert image.getpixel((200, 150)) == (0, 0, 0)
    assert image.getpixel((50, 150)) == (0, 0, 0)


@pytest.mark.parametrize("corners", [(0, 0, 0, 0), (1, 1, 0, 0), (0, 0, 1, 1)])
def test_odd_boxes_and_tiny_images_can_be_drawn(corners):
    image = Image.new("RGB", (3, 2), "black")
    pictures.draw(image, [Prediction.of_box(Box("a label that is wider than the image", *corners), 1.0)], {})
    assert image.size == (3, 2)


def test_labels_of_the_whole_image_are_written_in_its_corner_the_best_at_the_top():
    image = Image.new("RGB", (200, 400), "black")
    colour_of = {"cat": "#ff0000", "dog": "#00ff00"}
    pictures.draw(image, [Prediction("dog", 0.4), Prediction("cat", 0.9)], colour_of)
    column = [image.getpixel((3, y)) for y in range(400)]
    assert column.index((255, 0, 0)) < column.index((0, 255, 0)) < 60
    assert column[100:] == [(0, 0, 0)] * 300, "no frame"


def test_as_many_labels_as_there_is_room_for_are_written():
    image = Image.new("RGB", (30, 20), "black")
    pictures.draw(image, [Prediction(f"label {number}", number / 5000) for number in range(5000)], {})
    assert image.size == (30, 20)
