"""Bytes to upright RGB at network scale: one declared policy for every image format (docs/images.md is its table).

    decode(data, target_hw) -> DecodedImage      the only way an image enters training, evaluation or prediction
    upright_size(data) -> (height, width)        header only
    DecodeError                                  one sentence for the person whose image it is

Content decides the format, never a file name. Limits are checked against the header, before pixels are allocated. JPEG
is decoded at a power-of-two fraction of its size when that is enough. This module keeps no state: any number
of threads may call it at once, and the heavy parts release the interpreter lock.
"""

from __future__ import annotations

import dataclasses
import io
import struct
import zlib

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    IcoImagePlugin,
    Image,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

# Importing a plugin registers its format; a fixed list keeps rarely tested parsers away from untrusted bytes.
_PLUGINS = (BmpImagePlugin, GifImagePlugin, IcoImagePlugin, JpegImagePlugin, MpoImagePlugin, PngImagePlugin,
            TiffImagePlugin, WebPImagePlugin)  # fmt: skip
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "ICO", "WEBP", "TIFF")

DEFAULT_MAX_BYTES = 30 * 1024 * 1024  # the documented limit for one image is 30 MB
DEFAULT_MAX_PIXELS = 100_000_000  # 300 MB as RGB: room for any camera, refuses bombs
BACKGROUND_RGB = (255, 255, 255)  # what shows through transparent pixels
_EXIF_ORIENTATION_TAG = 0x0112
_JPEG_MAGIC = b"\xff\xd8\xff"
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_ICON_MAGIC = b"\0\0\1\0"

# Pillow's own pixel guard warns through process-wide state; the limits below replace it, checked for every image.
Image.MAX_IMAGE_PIXELS = None

# What Pillow's parsers raise on damaged input, collected from its plugins.
_PARSER_ERRORS = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, IndexError, KeyError, TypeError,
                  AttributeError, OverflowError, ZeroDivisionError, RuntimeError, UserWarning)  # fmt: skip


class DecodeError(ValueError):
    """The bytes are no usable image; `reason` is one sentence that says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one image may cost.

    Attributes:
        max_bytes: encoded size.
        max_pixels: width times height of the original.
    """

    max_bytes: int = DEFAULT_MAX_BYTES
    max_pixels: int = DEFAULT_MAX_PIXELS


@dataclasses.dataclass(frozen=True)
class DecodedImage:
    """An upright RGB image, possibly smaller than its original.

    Attributes:
        pixels: (h, w, 3) uint8, contiguous.
        size_hw: height and width of the upright original, in pixels.
    """

    pixels: npt.NDArray[np.uint8]
    size_hw: tuple[int, int]


DEFAULT_LIMITS = Limits()


def decode(data: bytes, target_hw: tuple[int, int], limits: Limits = DEFAULT_LIMITS) -> DecodedImage:
    """Decodes one image, upright, at or just above the size at which it fits into a frame.

    Args:
        data: the encoded image.
        target_hw: frame in pixels; the result, keeping its aspect, is at least as large as the largest image that fits
            into the frame, unless the original is smaller (nothing is enlarged here).
        limits: byte and pixel limits.

    Raises:
        DecodeError: empty, too large, unknown, truncated, damaged or unsupported.
    """
    _check_bytes(data, limits)
    if data[:3] == _JPEG_MAGIC:
        image = _decode_jpeg(data, target_hw, limits)
        if image is not None:
            return image
    return _decode_any(data, target_hw, limits)


def upright_size(data: bytes, limits: Limits = DEFAULT_LIMITS) -> tuple[int, int]:
    """Returns (height, width) of the upright original from the header alone.

    Raises:
        DecodeError: as `decode`, as far as the header shows it.
    """
    _check_bytes(data, limits)
    with _open(data, limits) as image:
        width, height = image.size
        return (width, height) if _orientation_of(image, data) >= 5 else (height, width)


def _check_bytes(data: bytes, limits: Limits) -> None:
    if not data:
        raise DecodeError("The file is empty.")
    if len(data) > limits.max_bytes:
        raise DecodeError(f"The file is too large: {len(data)} bytes, at most {limits.max_bytes} are allowed.")


def _check_pixels(width: int, height: int, limits: Limits) -> None:
    if width <= 0 or height <= 0:
        raise DecodeError(f"The image has no pixels: {width} x {height}.")
    if width * height > limits.max_pixels:
        raise DecodeError(
            f"The image has too many pixels: {width} x {height}, at most {limits.max_pixels} are allowed."
        )


def _shrink_factor(size_hw: tuple[int, int], target_hw: tuple[int, int]) -> float:
    """How many times smaller the image may become and still fill the frame; at least 1."""
    return max(1.0, size_hw[0] / target_hw[0], size_hw[1] / target_hw[1])


def _decode_jpeg(data: bytes, target_hw: tuple[int, int], limits: Limits) -> DecodedImage | None:
    """The fast path for ordinary JPEG; None hands odd ones (CMYK, arithmetic coding, stray bytes) to Pillow."""
    try:
        height, width, colour_space, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return None
    _check_pixels(width, height, limits)
    if colour_space not in ("YCbCr", "Gray", "RGB"):
        return None
    orientation = _jpeg_orientation(data)
    stored_target_hw = target_hw if orientation < 5 else target_hw[::-1]
    factor = _shrink_factor((height, width), stored_target_hw)
    eighths = 8 if factor >= 8 else 4 if factor >= 4 else 2 if factor >= 2 else 1  # powers of two have fast transforms
    try:
        pixels = simplejpeg.decode_jpeg(data, "RGB", min_height=height // eighths, min_width=width // eighths)
    except ValueError as error:
        if "premature end" in str(error).lower():
            raise DecodeError("The JPEG is truncated: its data ends before the image is complete.") from error
        return None  # libjpeg only warned, about stray bytes for instance: Pillow is lenient there
    upright = _turn(pixels, orientation)
    return DecodedImage(upright, (width, height) if orientation >= 5 else (height, width))


def _decode_any(data: bytes, target_hw: tuple[int, int], limits: Limits) -> DecodedImage:
    with _open(data, limits) as image:
        orientation = _orientation_of(image, data)
        size_hw = image.size[::-1] if orientation < 5 else image.size
        try:
            if image.format in ("JPEG", "MPO"):
                stored_target_hw = target_hw if orientation < 5 else target_hw[::-1]
                image.draft(None, (stored_target_hw[1], stored_target_hw[0]))
            image.load()
        except _PARSER_ERRORS as error:
            raise _damaged(image.format or "image", error) from error
        except MemoryError as error:
            raise DecodeError("The image needs more memory than there is.") from error
        flat = _flatten(image)
    stored_target_hw = target_hw if orientation < 5 else target_hw[::-1]
    reduction = int(_shrink_factor((flat.size[1], flat.size[0]), stored_target_hw))
    if reduction >= 2:
        flat = flat.reduce(reduction)  # a box filter: exact average of reduction x reduction pixels
    return DecodedImage(_turn(np.asarray(flat, np.uint8), orientation), (size_hw[0], size_hw[1]))


def _open(data: bytes, limits: Limits) -> Image.Image:
    """Reads the header with Pillow and applies the pixel limit."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        _check_pixels(*_webp_size(data), limits)  # Pillow's reader allocates the canvas while opening
    elif data[:4] == _ICON_MAGIC:
        for width, height in _icon_sizes(data):  # Pillow's reader decodes an icon while opening
            _check_pixels(width, height, limits)
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        name = _claimed_format(data)
        if name:
            raise _damaged(name, error) from error
        raise DecodeError(f"Not an image: the content is none of {', '.join(FORMATS)}.") from error
    except _PARSER_ERRORS as error:
        raise _damaged(_claimed_format(data) or "image", error) from error
    _check_pixels(*image.size, limits)
    return image


def _claimed_format(data: bytes) -> str:
    """The format that the first bytes promise, empty when they promise none."""
    starts = {_JPEG_MAGIC: "JPEG", _PNG_MAGIC: "PNG", b"GIF8": "GIF", b"RIFF": "WEBP", _ICON_MAGIC: "ICO"}
    return next((name for start, name in starts.items() if data.startswith(start)), "")


def _icon_sizes(data: bytes) -> list[tuple[int, int]]:
    """(width, height) in the header of every picture inside an icon; its directory may understate them."""
    (count,) = struct.unpack_from("<H", data, 4) if len(data) >= 6 else (0,)
    sizes = []
    for index in range(count):
        if len(data) < 22 + 16 * index:
            break
        (offset,) = struct.unpack_from("<I", data, 18 + 16 * index)
        payload = data[offset : offset + 24]
        if payload[:8] == _PNG_MAGIC and len(payload) == 24:
            sizes.append(struct.unpack_from(">II", payload, 16))
        elif len(payload) >= 12:
            width, height = struct.unpack_from("<ii", payload, 4)
            sizes.append((abs(width), abs(height)))
    return [(width, height) for width, height in sizes if width and height]


def _webp_size(data: bytes) -> tuple[int, int]:
    """(width, height) in a WebP header; (1, 1) when it is too damaged to say, so that the reader gets to explain."""
    kind = data[12:16]
    if kind == b"VP8X" and len(data) >= 30:
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    if kind == b"VP8 " and len(data) >= 30:
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return 1, 1


def _damaged(format_name: str, error: BaseException) -> DecodeError:
    text = str(error).lower()
    if "truncat" in text or "premature" in text or isinstance(error, EOFError) or format_name == "JPEG":
        word = "truncated" if "damaged" not in text else "damaged"
        return DecodeError(f"The {format_name} is {word}: its data ends before the image is complete.")
    return DecodeError(f"The {format_name} is damaged and cannot be decoded.")


def _flatten(image: Image.Image) -> Image.Image:
    """Any Pillow mode as RGB: 16 bits scaled to 8, palettes resolved, transparency on white."""
    if image.mode.startswith("I;16"):
        samples = np.asarray(image)  # (h, w) uint16
        return Image.fromarray((samples >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise DecodeError("The image has 32-bit samples; only 1 to 16 bits a channel are supported.")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        foreground = image.convert("RGBA")
        background = Image.new("RGBA", foreground.size, (*BACKGROUND_RGB, 255))
        return Image.alpha_composite(background, foreground).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _orientation_of(image: Image.Image, data: bytes) -> int:
    if image.format == "TIFF":
        return 1  # Pillow turns TIFF itself, while loading
    if data[:3] == _JPEG_MAGIC:
        return _jpeg_orientation(data)
    exif = image.info.get("exif")
    return _tiff_orientation(exif.removeprefix(b"Exif\0\0")) if isinstance(exif, bytes) else 1


def _jpeg_orientation(data: bytes) -> int:
    """EXIF orientation of a JPEG, 1 when absent or unreadable; walks the segments before the first scan."""
    offset = 2
    while offset + 4 <= len(data) and data[offset] == 0xFF:
        marker = data[offset + 1]
        if marker == 0xFF:  # fill byte
            offset += 1
            continue
        if marker == 0xDA or marker == 0xD9:  # start of scan, end of image
            break
        length = int.from_bytes(data[offset + 2 : offset + 4], "big")
        if marker == 0xE1 and data[offset + 4 : offset + 10] == b"Exif\0\0":
            return _tiff_orientation(data[offset + 10 : offset + 2 + length])
        offset += 2 + length
    return 1


def _tiff_orientation(exif: bytes) -> int:
    """Orientation tag in the first directory of a TIFF structure; 1 when absent or out of range."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None or len(exif) < 10:
        return 1
    (directory,) = struct.unpack_from(order + "I", exif, 4)
    if directory + 2 > len(exif):
        return 1
    (count,) = struct.unpack_from(order + "H", exif, directory)
    for index in range(count):
        entry = directory + 2 + 12 * index
        if entry + 12 > len(exif):
            break
        tag, kind = struct.unpack_from(order + "HH", exif, entry)
        if tag == _EXIF_ORIENTATION_TAG:
            (value,) = struct.unpack_from(order + ("H" if kind == 3 else "I"), exif, entry + 8)
            return value if 1 <= value <= 8 else 1
    return 1


def _turn(pixels: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """Applies an EXIF orientation to (h, w, 3) pixels and returns a contiguous array."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)  # 5 is the transpose itself; 6, 7, 8 add flips
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
