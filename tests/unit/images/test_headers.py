"""What an image file says of itself before a decoder has seen it."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image
from tests.support.images import corpus
from tests.support.images.corpus.samples import Sample

from boxwright.images import decode, headers
from boxwright.images.headers import Header


def _saved(file_format: str, **options) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (40, 24), (9, 80, 200)).save(target, file_format, **options)
    return target.getvalue()


def _exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


@pytest.mark.parametrize("file_format", decode.FORMATS)
def test_the_format_is_that_of_the_content(file_format):
    assert headers.inspect(_saved(file_format)).format == file_format


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_that_of_the_exif_data_wherever_a_format_has_it(file_format, orientation):
    header = headers.inspect(_saved(file_format, exif=_exif(orientation)))
    assert header.orientation == orientation
    assert header.upright((24, 40)) == ((40, 24) if orientation >= 5 else (24, 40))


def test_a_reader_turns_tiff_itself():
    assert headers.inspect(_saved("TIFF", exif=_exif(6))).orientation == 1


@pytest.mark.parametrize(
    "spoil", ["no flag", "behind the end", "a chunk before it that lies", "not extended", "no chunk"]
)
def test_exif_data_of_a_webp_count_only_where_its_reader_sees_them(spoil):
    data = bytearray(_saved("WEBP", exif=_exif(6)))
    place = data.index(b"EXIF")
    if spoil == "no flag":
        data[20] &= ~8
    elif spoil == "behind the end":
        data[4:8] = struct.pack("<I", place - 8)
    elif spoil == "a chunk before it that lies":
        data[34:38] = struct.pack("<I", len(data))
    elif spoil == "not extended":
        data = data[:12] + data[30:place]
    else:
        data[place : place + 4] = b"EXIV"
    assert headers.inspect(bytes(data)).orientation == 1


@pytest.mark.parametrize("sample", corpus.all_samples(), ids=lambda sample: sample.name)
def test_every_beginning_of_every_file_has_a_header(sample: Sample) -> None:
    for length in {0, *range(0, min(len(sample.content), 80), 7), len(sample.content) // 2, len(sample.content)}:
        header = headers.inspect(sample.content[:length])
        assert isinstance(header, Header)
        assert header.format in ("", *decode.FORMATS)
        assert 1 <= header.orientation <= 8
        assert isinstance(header.content, bytes) and isinstance(header.is_cut, bool)
        assert isinstance(header.other_format, str) and isinstance(header.other_content, str)
        assert header.jpeg_complaint("").startswith("The JPEG ")


def test_a_file_is_inspected_once(monkeypatch):
    seen = []
    inspect = headers.inspect
    monkeypatch.setattr(headers, "inspect", lambda data: seen.append(inspect(data)) or seen[-1])
    for file_format in decode.FORMATS:
        seen.clear()
        decode.decode(_saved(file_format), (10, 10))
        assert len(seen) == 1
