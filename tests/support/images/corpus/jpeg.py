"""JPEG: every way to store one that people have, and every way to spoil one."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from PIL import Image
from tests.support.images.corpus import exif
from tests.support.images.corpus.samples import (
    NOT_AN_IMAGE,
    Picture,
    Pixels,
    Sample,
    drawing,
    grey,
    lossy,
    saved,
    stored_for,
)

TRUNCATED = "The JPEG is truncated: its data ends before the image is complete."
DAMAGED = "The JPEG is damaged and cannot be decoded."
SUBSAMPLINGS = {"444": 0, "422": 1, "420": 2}
SIZES = ((64, 48), (63, 47), (65, 49), (17, 33), (8, 8))  # whole blocks, one short, one over


def samples() -> Iterator[Sample]:
    """All JPEG files."""
    yield from _ordinary()
    yield from _colours()
    yield from _orientations()
    yield from _sizes()
    yield from _stray_bytes()
    yield from _ends()
    yield from _truncated()
    yield from _damaged()
    yield from _unsupported()


def _ordinary() -> Iterator[Sample]:
    for progressive, kind in ((False, "JPEG, baseline"), (True, "JPEG, progressive")):
        for name, subsampling in SUBSAMPLINGS.items():
            for width, height in SIZES:
                pixels = drawing(width, height)
                options = {"subsampling": subsampling, "quality": 95, "progressive": progressive}
                # halved colour smears the yellow corner over a small picture
                picture = Picture(pixels, 4.0 if subsampling == 0 else 12.0)
                yield Sample(kind, f"{kind[6:]}-{name}-{width}x{height}.jpg", saved(pixels, "JPEG", **options), picture)
    for name, options in {"row": {"restart_marker_rows": 1}, "blocks": {"restart_marker_blocks": 3}}.items():
        for progressive in (False, True):
            content = saved(drawing(), "JPEG", quality=95, subsampling=0, progressive=progressive, **options)
            assert b"\xff\xd0" in content, "there is no restart marker"
            yield Sample("JPEG with restart markers", f"restart-{name}-{progressive}.jpg", content, lossy(drawing()))
    # what an arithmetic coder makes of nothing but zeros in a scan of averages alone: one byte
    coded = b"\xff\xd8" + _table() + _frame(0xCA, 24, 16) + _scan(3, b"L", last=0) + b"\xff\xd9"
    yield Sample("JPEG, arithmetic coding", "arithmetic.jpg", coded, lossy(np.full((16, 24, 3), 128, np.uint8)))


def _colours() -> Iterator[Sample]:
    pixels = drawing()
    for progressive in (False, True):
        options: dict[str, object] = {"quality": 95, "progressive": progressive}
        image = Image.fromarray(pixels)
        yield Sample("JPEG, grey", f"grey-{progressive}.jpg", saved(image.convert("L"), "JPEG", **options),
                     lossy(grey(pixels)))  # fmt: skip
        yield Sample("JPEG in CMYK or YCCK", f"cmyk-{progressive}.jpg",
                     saved(image.convert("CMYK"), "JPEG", **options), lossy(pixels))  # fmt: skip
        yield Sample("JPEG in CMYK or YCCK", f"ycck-{progressive}.jpg", _ycck(pixels, options), lossy(pixels))
        yield Sample("JPEG coded as RGB", f"rgb-{progressive}.jpg",
                     saved(pixels, "JPEG", keep_rgb=True, **options), lossy(pixels))  # fmt: skip
    many = saved(pixels, "MPO", save_all=True, append_images=[Image.fromarray(grey(pixels))], quality=95)
    yield Sample("MPO (several JPEGs in one file)", "stereo.mpo", many, lossy(pixels))
    yield Sample("MPO (several JPEGs in one file)", "stereo.jpg", many, lossy(pixels))


def _ycck(pixels: Pixels, options: dict[str, object]) -> bytes:
    """CMYK whose first three channels were turned into YCbCr, as Adobe's programs write it."""
    cmyk = np.asarray(Image.fromarray(pixels).convert("CMYK"))
    ycc = np.asarray(Image.fromarray(np.ascontiguousarray(cmyk[..., :3])).convert("YCbCr"))
    stored = np.concatenate([255 - ycc, cmyk[..., 3:]], axis=-1)  # what is written is inverted once more
    content = saved(Image.frombytes("CMYK", (pixels.shape[1], pixels.shape[0]), stored.tobytes()), "JPEG", **options)
    marker = content.index(b"Adobe")
    assert content[marker + 11] == 0, "the transform is not 'none'"
    return content[: marker + 11] + b"\2" + content[marker + 12 :]


def _orientations() -> Iterator[Sample]:
    pixels = drawing()
    for order in exif.ORDERS:
        for orientation in range(1, 9):
            for kind in (3, 4):
                jpeg = saved(stored_for(pixels, orientation), "JPEG", quality=95, subsampling=0)
                content = exif.in_jpeg(jpeg, exif.segment(exif.block(orientation, order, kind=kind)))
                name = f"exif-{order}-{orientation}-{'short' if kind == 3 else 'long'}.jpg"
                yield Sample("JPEG with EXIF orientation 1 to 8", name, content, lossy(pixels))
    jpeg = saved(pixels, "JPEG", quality=95, subsampling=0)
    for name, broken in exif.BROKEN.items():
        content = exif.in_jpeg(jpeg, exif.segment(broken))
        yield Sample("JPEG with broken EXIF", f"exif-broken-{name}.jpg", content, lossy(pixels))


def _sizes() -> Iterator[Sample]:
    for width, height in ((1, 1), (1, 20000), (20000, 1), (65500, 1), (3, 65500)):
        pixels = drawing(width, height)
        yield Sample("one pixel; very long or narrow", f"{width}x{height}.jpg",
                     saved(pixels, "JPEG", quality=95, subsampling=0), lossy(pixels))  # fmt: skip
    for width, height in ((65500, 65500), (10001, 10000), (65535, 1526)):
        sentence = f"The image has too many pixels: {width} x {height}, at most 100000000 are allowed."
        for progressive in (False, True):
            content = bytearray(saved(drawing(), "JPEG", progressive=progressive))
            start = content.index(b"\xff\xc2" if progressive else b"\xff\xc0") + 5
            content[start : start + 4] = struct.pack(">HH", height, width)
            name = f"claims-{width}x{height}-{progressive}.jpg"
            yield Sample("more than 100 million pixels", name, bytes(content), sentence, bomb=True)


def _stray_bytes() -> Iterator[Sample]:
    jpeg = saved(drawing(), "JPEG", quality=95, subsampling=0)
    kind = "JPEG with stray bytes inside or behind"
    behind = {"zeros": bytes(5000), "text": b"\r\n--boundary--\r\n", "jpeg": jpeg, "video": bytes(4) + b"ftypmp42" * 99}
    for name, tail in behind.items():
        yield Sample(kind, f"behind-{name}.jpg", jpeg + tail, lossy(drawing()))
    for name, inside in {"zeros": b"\0\0\0", "letters": b"abc", "fill": b"\xff\xff\xff"}.items():
        yield Sample(kind, f"before-end-{name}.jpg", jpeg[:-2] + inside + b"\xff\xd9", lossy(drawing()))
        table = jpeg.index(b"\xff\xdb")
        yield Sample(kind, f"between-segments-{name}.jpg", jpeg[:table] + inside + jpeg[table:], lossy(drawing()))
    for name, head in {"line": b"\r\n", "mark": b"\xef\xbb\xbf", "zeros": bytes(16)}.items():
        yield Sample("stray bytes before the image", f"before-{name}.jpg", head + jpeg, NOT_AN_IMAGE)


def _ends() -> Iterator[Sample]:
    """All pixels, and an end that is not as it should be; the same with half of the pixels."""
    video = struct.pack(">I", 24) + b"ftypmp42" + bytes(range(256)) * 20
    ends = {
        "none": b"",
        "half": b"\xff",
        "odd": b"\xff\xd8",
        "wrong": b"\xff\x00\x12",
        "zeros": bytes(4096),
        "ones": b"\xff" * 700,
        "zeros-end": bytes(512) + b"\xff\xd9",
        "text": b"\r\n--boundary--\r\n",
        "video": b"\0\0" + video,
        "segment": exif.segment(exif.block(6)),
    }
    for name, options in {
        "baseline": {"subsampling": 0},
        "halved": {"subsampling": 2},
        "progressive": {"progressive": True, "subsampling": 0},
        "restarts": {"restart_marker_blocks": 3, "subsampling": 0},
        "cmyk": {},
        "grey": {},
    }.items():
        image = Image.fromarray(drawing()).convert({"cmyk": "CMYK", "grey": "L"}.get(name, "RGB"))
        jpeg = saved(image, "JPEG", quality=95, **options)
        shown = grey(drawing()) if name == "grey" else drawing()
        for end, tail in ends.items():
            yield Sample("JPEG with all pixels, and no end marker, or an odd one", f"end-{end}-{name}.jpg",
                         jpeg[:-2] + tail, Picture(shown, 12.0 if name == "halved" else 4.0))  # fmt: skip
            if end not in ("text", "video"):  # which read like pixels
                half = jpeg[: len(jpeg) * 7 // 8]
                yield Sample("JPEG, truncated and padded", f"half-{end}-{name}.jpg", half + tail, TRUNCATED)
    first, second = drawing(), Image.fromarray(grey(drawing()))
    many = saved(first, "MPO", save_all=True, append_images=[second], quality=95, subsampling=0)
    cut = many.index(b"\xff\xd9\xff\xd8")
    yield Sample("MPO (several JPEGs in one file)", "stereo-no-end.mpo", many[:cut] + many[cut + 2 :], lossy(first))
    thumbnail = saved(Image.fromarray(grey(first)).resize((16, 12)), "JPEG")
    jpeg = exif.in_jpeg(saved(first, "JPEG", quality=95, subsampling=0), exif.segment(exif.block(1) + thumbnail))
    kind = "JPEG with all pixels, and no end marker, or an odd one"
    yield Sample(kind, "end-none-thumbnail.jpg", jpeg[:-2], lossy(first))


def _truncated() -> Iterator[Sample]:
    for progressive in (False, True):
        for mode in ("RGB", "L", "CMYK"):
            jpeg = saved(Image.fromarray(drawing()).convert(mode), "JPEG", quality=95, progressive=progressive)
            lengths = {3, 4, 30, len(jpeg) // 8, len(jpeg) // 3, len(jpeg) // 2, len(jpeg) - 40, len(jpeg) - 4}
            for length in sorted(lengths):
                name = f"cut-{mode}-{progressive}-{length}.jpg"
                yield Sample("JPEG, truncated anywhere", name, jpeg[:length], TRUNCATED)


def _damaged() -> Iterator[Sample]:
    jpeg = saved(drawing(), "JPEG", quality=95)
    start = jpeg.index(b"\xff\xc0")
    spoilt = {
        "zeros-only": jpeg[:3] + bytes(500),
        "no-frame": jpeg[:start] + jpeg[jpeg.index(b"\xff\xda") :],
        "no-tables": jpeg[: jpeg.index(b"\xff\xdb")] + jpeg[start:],
        "nine-components": jpeg[: start + 9] + b"\x09" + jpeg[start + 10 :],
    }
    for name, content in spoilt.items():
        yield Sample("JPEG, damaged", f"damaged-{name}.jpg", content, DAMAGED)
    for width, height in ((0, 48), (64, 0)):
        content = jpeg[: start + 5] + struct.pack(">HH", height, width) + jpeg[start + 9 :]
        yield Sample("JPEG, damaged", f"damaged-{width}x{height}.jpg", content, DAMAGED)


def _unsupported() -> Iterator[Sample]:
    codings = {0xC3: "lossless", 0xC5: "hierarchical", 0xC7: "lossless", 0xCB: "lossless", 0xCD: "hierarchical",
               0xF7: "JPEG-LS"}  # fmt: skip
    for code, name in codings.items():
        content = b"\xff\xd8" + _table() + _frame(code, 24, 16) + _scan(1, bytes(40)) + b"\xff\xd9"
        sentence = f"The JPEG is coded as {name}, which is not supported; save it as an ordinary JPEG."
        yield Sample("JPEG of 12 bits, lossless, hierarchical or JPEG-LS", f"coding-{code:x}.jpg", content, sentence)
    for code in (0xC1, 0xC2):
        content = b"\xff\xd8" + _table() + _frame(code, 24, 16, bits=12) + _scan(1, bytes(40)) + b"\xff\xd9"
        sentence = "The JPEG has 12 bits a channel, which is not supported; save it with 8."
        yield Sample("JPEG of 12 bits, lossless, hierarchical or JPEG-LS", f"bits-{code:x}.jpg", content, sentence)


def _table() -> bytes:
    return b"\xff\xdb\0\x43\0" + bytes([8] * 64)


def _frame(code: int, width: int, height: int, *, bits: int = 8) -> bytes:
    components = b"\1\x11\0\2\x11\0\3\x11\0"
    return struct.pack(">BBHBHHB", 0xFF, code, 8 + len(components), bits, height, width, 3) + components


def _scan(components: int, data: bytes, *, last: int = 63) -> bytes:
    listed = b"".join(bytes([number, 0]) for number in range(1, components + 1))
    return b"\xff\xda" + struct.pack(">HB", 6 + len(listed), components) + listed + bytes([0, last, 0]) + data
