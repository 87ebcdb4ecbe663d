"""What people put into lists although it is no image that can be decoded, and names that say the wrong thing."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from tests.support.images.corpus.samples import FORMATS, NOT_AN_IMAGE, Picture, Sample, drawing, exact, lossy, saved


def samples() -> Iterator[Sample]:
    """All files that are not what they seem."""
    yield from _wrong_names()
    yield from _other_images()
    yield from _no_images()


def _wrong_names() -> Iterator[Sample]:
    pixels = drawing()
    contents = {
        "png": (saved(pixels, "JPEG", quality=95, subsampling=0), lossy(pixels)),
        "jpg": (saved(pixels, "PNG"), exact(pixels)),
        "jpeg": (saved(pixels, "WEBP", lossless=True), exact(pixels)),
        "gif": (saved(pixels, "BMP"), exact(pixels)),
        "bmp": (saved(pixels, "TIFF"), exact(pixels)),
        "txt": (saved(pixels, "PNG"), exact(pixels)),
        "JPG": (saved(pixels, "JPEG", quality=95, subsampling=0), lossy(pixels)),
        "webp": (saved(pixels, "GIF"), Picture(pixels, 12.0)),
    }
    for extension, (content, picture) in contents.items():
        yield Sample("wrong extension, or none", f"wrong.{extension}", content, picture)
    yield Sample("wrong extension, or none", "no extension", contents["png"][0], lossy(pixels))


def _other_images() -> Iterator[Sample]:
    """Formats that are images, only not ours: the first bytes of each."""
    pixels = drawing()
    names = {
        "photo.heic": ("HEIC", _boxes(b"heic")),
        "photo-mif1.heic": ("HEIC", _boxes(b"mif1")),
        "photo.avif": ("AVIF", saved(pixels, "AVIF")),
        "photo.jp2": ("JPEG 2000", saved(pixels, "JPEG2000")),
        "photo.jxl": ("JPEG XL", b"\xff\x0a" + bytes(200)),
        "photo-boxed.jxl": ("JPEG XL", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(200)),
        "layers.psd": ("PSD", b"8BPS\0\1" + bytes(200)),
        "drawing.svg": ("SVG", b"<svg xmlns='http://www.w3.org/2000/svg'><rect width='9' height='9'/></svg>"),
        "drawing-2.svg": ("SVG", b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- drawn -->\n<svg width='9' height='9'/>"),
    }
    for name, (format_name, content) in names.items():
        sentence = f"The image is {format_name}, which is not supported; convert it to one of {FORMATS}."
        if format_name == "SVG":
            sentence = f"Not an image: the content is SVG, none of {FORMATS}."
        yield Sample("image of another format", name, content, sentence)


def _boxes(brand: bytes) -> bytes:
    return struct.pack(">I", 24) + b"ftyp" + brand + bytes(4) + brand + b"mif1" + bytes(300)


def _no_images() -> Iterator[Sample]:
    random = np.random.default_rng(7)

    def named(what: str) -> str:
        return f"Not an image: the content is {what}, none of {FORMATS}."

    for name, content, sentence in (
        ("empty.jpg", b"", "The file is empty."),
        ("letter.txt", b"Dear all, the photos are attached.\n", NOT_AN_IMAGE),
        ("one-byte.jpg", b"\xff", NOT_AN_IMAGE),
        ("two-bytes.jpg", b"\xff\xd8", NOT_AN_IMAGE),
        ("zeros.jpg", bytes(10_000), NOT_AN_IMAGE),
        ("random.jpg", b"\x01" + random.bytes(10_000), NOT_AN_IMAGE),
        ("signed-out.jpg", b"<!DOCTYPE html><html><body>Please sign in.</body></html>", named("HTML")),
        ("denied.png", b"\n <html><head><title>403</title></head></html>", named("HTML")),
        ("denied.jpg", b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", named("XML")),
        ("answer.jpg", b'{"error": {"code": 404}}', NOT_AN_IMAGE),
        ("paper.pdf", b"%PDF-1.7\n" + bytes(500), named("PDF")),
        ("film.mp4", struct.pack(">I", 24) + b"ftypisom" + bytes(500), named("a video")),
        ("film.mov", struct.pack(">I", 20) + b"ftypqt  " + bytes(500), named("a video")),
        ("film.webm", b"\x1a\x45\xdf\xa3" + bytes(500), named("a video")),
        ("film.avi", b"RIFF\x00\x10\x00\x00AVI LIST" + bytes(500), NOT_AN_IMAGE),
        ("sound.wav", b"RIFF\x00\x10\x00\x00WAVEfmt " + bytes(500), NOT_AN_IMAGE),
        ("photos.zip", b"PK\3\4" + bytes(500), named("a ZIP archive")),
        ("photos.gz", b"\x1f\x8b\x08" + bytes(500), named("a gzip archive")),
        ("font.ico", b"\0\1\0\0" + bytes(500), NOT_AN_IMAGE),
        ("bmx.bmp", b"BMX is a kind of bicycle." * 5, NOT_AN_IMAGE),
        (
            "pointer.jpg",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
            named("a Git LFS pointer"),
        ),
    ):
        yield Sample("no image: text, HTML, PDF, video, archive, zeros, noise, empty", name, content, sentence)
