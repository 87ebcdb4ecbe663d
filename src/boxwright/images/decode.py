"""Bytes to upright RGB at network scale: one declared policy for every image format (docs/images.md is its table).

    decode(data, target_hw) -> DecodedImage      the only way an image enters training, evaluation or prediction
    upright_size(data) -> (height, width)        header only
    is_one_colour(pixels) -> bool                nothing to be seen
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
from typing import NoReturn

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

from boxwright.images import depth, headers, jpeg_end
from boxwright.images.headers import Header

# Importing a plugin registers its format; a fixed list keeps rarely tested parsers away from untrusted bytes.
_PLUGINS = (BmpImagePlugin, GifImagePlugin, IcoImagePlugin, JpegImagePlugin, MpoImagePlugin, PngImagePlugin,
            TiffImagePlugin, WebPImagePlugin)  # fmt: skip
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "ICO", "WEBP", "TIFF")

# The image policy: what becomes of the bytes. A model names the one it was trained with; docs/images.md says what differs.
POLICY, FIRST_POLICY = 2, 1
RESULTS_VERSION = 1  # raised when the same bytes decode to other pixels: former results are not taken over then
TRUNCATED_JPEG = "The JPEG is truncated: its data ends before the image is complete."

MAX_IMAGE_BYTES = 30_000_000  # prediction_service.proto and image.proto: 30 MB an image
DEFAULT_MAX_PIXELS = 100_000_000  # 300 MB as RGB: room for any camera, refuses bombs
MAX_TILE_PIXELS = 4096 * 4096  # a tile may be larger than its TIFF; the reader allocates the whole tile

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
class ImageLimits:
    """What one image may cost.

    Attributes:
        max_bytes: encoded size.
        max_pixels: width times height of the original.
    """

    max_bytes: int = MAX_IMAGE_BYTES
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


DEFAULT_LIMITS = ImageLimits()


def decode(
    data: bytes, target_hw: tuple[int, int], limits: ImageLimits = DEFAULT_LIMITS, policy: int = POLICY
) -> DecodedImage:
    """Decodes one image, upright, at or just above the size at which it fits into a frame.

    Args:
        data: the encoded image.
        target_hw: frame in pixels; the result, keeping its aspect, is at least as large as the largest image that fits
            into the frame, unless the original is smaller (nothing is enlarged here).
        limits: byte and pixel limits.
        policy: the image policy, `FIRST_POLICY` to `POLICY`.

    Raises:
        DecodeError: empty, too large, unknown, truncated, damaged or unsupported.
    """
    _check_bytes(data, limits)
    try:
        header = headers.inspect(data)
        image = _decode_jpeg(header, target_hw, limits, policy) if header.format == "JPEG" else None
        return _decode_any(header, target_hw, limits, policy) if image is None else image
    except MemoryError as error:
        raise DecodeError("The image needs more memory than there is.") from error


def upright_size(data: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> tuple[int, int]:
    """Returns (height, width) of the upright original from the header alone.

    Raises:
        DecodeError: as `decode`, as far as the header shows it.
    """
    _check_bytes(data, limits)
    header = headers.inspect(data)
    with _open(header, limits) as image:
        width, height = image.size
        return header.upright((height, width))


def exif_orientation(data: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> int:
    """Returns the EXIF orientation that `decode` applies, 1 to 8, from the header alone; 1 if nothing is turned.

    Raises:
        DecodeError: as `decode`, as far as the header shows it.
    """
    _check_bytes(data, limits)
    header = headers.inspect(data)
    with _open(header, limits):
        return header.orientation


def is_one_colour(pixels: npt.NDArray[np.uint8]) -> bool:
    """Whether (h, w, 3) pixels are all the same, so that nothing can be found in them."""
    first, step = pixels[0, 0], max(1, min(pixels.shape[:2]) // 8)
    if (pixels[::step, ::step] != first).any():  # almost every image ends here
        return False
    return bool((pixels[0] == first).all() and (pixels == pixels[:1]).all())


def _check_bytes(data: bytes, limits: ImageLimits) -> None:
    if not data:
        raise DecodeError("The file is empty.")
    if len(data) > limits.max_bytes:
        raise DecodeError(f"The file is too large: {len(data)} bytes, at most {limits.max_bytes} are allowed.")


def _check_pixels(width: int, height: int, limits: ImageLimits) -> None:
    if width <= 0 or height <= 0:
        raise DecodeError(f"The image has no pixels: {width} x {height}.")
    if width * height > limits.max_pixels:
        raise DecodeError(
            f"The image has too many pixels: {width} x {height}, at most {limits.max_pixels} are allowed."
        )


def _shrink_factor(size_hw: tuple[int, int], target_hw: tuple[int, int]) -> float:
    """How many times smaller the image may become and still fill the frame; at least 1."""
    return max(1.0, size_hw[0] / target_hw[0], size_hw[1] / target_hw[1])


def _decode_jpeg(header: Header, target_hw: tuple[int, int], limits: ImageLimits, policy: int) -> DecodedImage | None:
    """JPEG whose pixels are all there, whatever follows them; None hands what is damaged otherwise to Pillow."""
    try:
        image = _decode_ordinary(header, target_hw, limits)
    except _StrictDecoderError as error:
        image = None
        if policy == FIRST_POLICY and "premature end" in str(error).lower():
            raise DecodeError(TRUNCATED_JPEG) from error
    if image is not None or policy == FIRST_POLICY:
        return image
    found = jpeg_end.outline(header.data)
    if found is None or not found.width or not found.height:
        return None
    _check_pixels(found.width, found.height, limits)
    colour_space = "CMYK" if found.components == 4 else "GRAY"  # what costs least: blocks are counted, not looked at
    try:
        closed = jpeg_end.closed(found, lambda content: _warning(content, colour_space))
    except jpeg_end.TruncatedError as error:
        raise DecodeError(TRUNCATED_JPEG) from error
    if closed is None:
        return None
    whole = headers.inspect(closed)
    try:
        image = _decode_ordinary(whole, target_hw, limits, strict=False)
    except _StrictDecoderError:
        image = None
    return _decode_any(whole, target_hw, limits, policy) if image is None else image


class _StrictDecoderError(Exception):
    """What the fast decoder has to say about a JPEG that it does not take."""


def _warning(content: bytes, colour_space: str) -> str:
    """The first warning of the fast decoder, empty if it has none."""
    try:
        simplejpeg.decode_jpeg(content, colour_space, min_height=1, min_width=1)
    except ValueError as error:
        return str(error)
    return ""


def _decode_ordinary(
    header: Header, target_hw: tuple[int, int], limits: ImageLimits, *, strict: bool = True
) -> DecodedImage | None:
    """The fast path for ordinary JPEG; None for other colours (CMYK, YCCK). Raises _StrictDecoderError."""
    try:
        height, width, colour_space, _ = simplejpeg.decode_jpeg_header(header.data)
    except ValueError as error:
        raise _StrictDecoderError(f"header: {error}") from error
    _check_pixels(width, height, limits)
    if colour_space not in ("YCbCr", "Gray", "RGB"):
        return None
    factor = _shrink_factor((height, width), header.upright(target_hw))
    eighths = 8 if factor >= 8 else 4 if factor >= 4 else 2 if factor >= 2 else 1  # powers of two have fast transforms
    try:
        pixels = simplejpeg.decode_jpeg(
            header.data, "RGB", min_height=height // eighths, min_width=width // eighths, strict=strict
        )
    except ValueError as error:
        raise _StrictDecoderError(str(error)) from error
    return DecodedImage(_turn(pixels, header.orientation), header.upright((height, width)))


def _decode_any(header: Header, target_hw: tuple[int, int], limits: ImageLimits, policy: int) -> DecodedImage:
    stored_target_hw = header.upright(target_hw)

    def again() -> Image.Image:
        reopened = _open(header, limits)
        depth.prepare(reopened)
        return reopened

    with _open(header, limits) as image:
        stated = depth.Depth()
        if policy != FIRST_POLICY:
            depth.prepare(image)
            stated = depth.Depth.of(image, header)
        size_hw = header.upright((image.height, image.width))
        try:
            if image.format in ("JPEG", "MPO"):
                image.draft(None, (stored_target_hw[1], stored_target_hw[0]))
            image.load()
            flat = depth.rgb_before(image) if policy == FIRST_POLICY else depth.rgb(image, stated, again)
        except depth.UnusableSamplesError as error:
            raise DecodeError(str(error)) from error
        except _PARSER_ERRORS as error:
            raise _damaged(image.format or "image", header, error) from error
    reduction = int(_shrink_factor((flat.size[1], flat.size[0]), stored_target_hw))
    if reduction >= 2:
        flat = flat.reduce(reduction)  # a box filter: exact average of reduction x reduction pixels
    return DecodedImage(_turn(np.asarray(flat, np.uint8), header.orientation), size_hw)


def _open(header: Header, limits: ImageLimits) -> Image.Image:
    """Opens a file with Pillow, within the pixel limit; its pixels are not decoded yet."""
    for width, height in header.sizes:
        _check_pixels(width, height, limits)
    try:
        image = Image.open(io.BytesIO(header.content), formats=FORMATS)
    except _PARSER_ERRORS as error:  # UnidentifiedImageError is an OSError
        if header.format:
            raise _damaged(header.format, header, error) from error
        _refuse_unknown(header, error)
    _check_pixels(*image.size, limits)
    if header.format == "TIFF":
        _check_tiles(image)
    return image


def _check_tiles(image: Image.Image) -> None:
    assert isinstance(image, TiffImagePlugin.TiffImageFile)
    width, height = (image.tag_v2.get(tag) for tag in (TiffImagePlugin.TILEWIDTH, TiffImagePlugin.TILELENGTH))
    if (
        isinstance(width, int)
        and isinstance(height, int)
        and width * height > max(MAX_TILE_PIXELS, image.width * image.height)
    ):
        raise DecodeError(f"The TIFF has tiles of {width} x {height} pixels; at most {MAX_TILE_PIXELS} are allowed.")


def _refuse_unknown(header: Header, error: Exception) -> NoReturn:
    """Names what the content is if its first bytes say so."""
    known = ", ".join(FORMATS)
    if name := header.other_format:
        raise DecodeError(f"The image is {name}, which is not supported; convert it to one of {known}.") from error
    if name := header.other_content:
        raise DecodeError(f"Not an image: the content is {name}, none of {known}.") from error
    raise DecodeError(f"Not an image: the content is none of {known}.") from error


def _damaged(format_name: str, header: Header, error: BaseException) -> DecodeError:
    text = str(error).lower()
    if header.format == "JPEG":
        return DecodeError(header.jpeg_complaint(text))
    if "truncat" in text or "premature" in text or isinstance(error, EOFError) or header.is_cut:
        return DecodeError(f"The {format_name} is truncated: its data ends before the image is complete.")
    if isinstance(error, UnidentifiedImageError):  # not even the header was understood
        return DecodeError(f"The {format_name} is damaged, or of a kind that is not supported.")
    return DecodeError(f"The {format_name} is damaged and cannot be decoded.")


def _turn(pixels: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """Applies an EXIF orientation to (h, w, 3) pixels and returns a contiguous array."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)  # 5 is the transpose itself; 6, 7, 8 add flips
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
