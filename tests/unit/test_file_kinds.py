"""What a file that should be a CSV is instead: made by the programs that make them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from boxwright import file_kinds

ROW = "TRAIN,gs://b/ä.jpg,car,0.1,0.1,,,0.5,0.5,,\n"


def _zip(*names: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, ROW)
    return target.getvalue()


def _image(file_format: str) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (8, 8)).save(target, file_format)
    return target.getvalue()


KINDS = [
    (gzip.compress(ROW.encode(), mtime=0), "gzip"),
    (bz2.compress(ROW.encode()), "bzip2"),
    (lzma.compress(ROW.encode()), "xz"),
    (_zip("list.csv"), "ZIP archive"),
    (_zip("[Content_Types].xml", "xl/workbook.xml"), "workbook"),
    (_image("JPEG"), "JPEG"),
    (_image("PNG"), "PNG"),
    (_image("GIF"), "GIF"),
    (_image("TIFF"), "TIFF"),
    (_image("WEBP"), "WebP"),
    (ROW.encode("utf-16"), "UTF-16"),
    (ROW.encode("utf-16-le"), "UTF-16"),
    (ROW.encode("utf-16-be"), "UTF-16"),
    (ROW.encode("utf-32"), "UTF-32"),
    (b"<!DOCTYPE html><html>", "HTML"),
    (b'<?xml version="1.0"?><annotation>', "XML"),
]


@pytest.mark.parametrize(("content", "what"), KINDS, ids=[f"{number} {what}" for number, (_, what) in enumerate(KINDS)])
def test_a_file_is_named_by_what_it_is_with_what_to_do(content, what):
    found = file_kinds.refusal(content[: file_kinds.LOOKED_AT_BYTES])
    assert found is not None
    assert what in found[0]
    assert found[1].endswith(".")


@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=300))
def test_no_text_with_an_address_is_taken_for_something_else(text):
    for start in ("gs://", "TRAIN,gs://", "\ufeffgs://"):
        assert file_kinds.refusal((start + text).encode()) is None


@given(st.binary(max_size=600))
def test_any_bytes_have_an_answer(content):
    found = file_kinds.refusal(content)
    assert found is None or (found[0] and found[1])
