"""Samples of more than 8 bits, palettes and transparency, as RGB of 8 bits a channel.

    prepare(image)                           before its pixels are decoded
    Depth.of(image, header) -> Depth         what the file says about its samples, behind that
    rgb(image, depth, again) -> Image        the decoded image as RGB

Cameras, scanners and microscopes put 10 or 12 significant bits into files of 16. Which ones count is decided image by image:
what the file says (sBIT of PNG; BitsPerSample, MaxSampleValue or OME's SignificantBits of TIFF), or else the largest sample,
rounded up to 8, 10, 12, 14 or 16 bits. Of those the upper 8 are used. Pillow gives grey of 16 bits as it is; of several
channels it keeps one byte, so that a second look at the file fetches the other one where it is needed.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, TiffImagePlugin

from boxwright.images.headers import Header

BACKGROUND_RGB = (255, 255, 255)  # what shows through transparent pixels
ROUNDED_BITS = (8, 10, 12, 14, 16)  # what converters and sensors deliver
_WITH_ALPHA = ("RGBA", "LA", "PA", "La", "RGBa")
_MAX_SAMPLE_VALUE, _S_MAX_SAMPLE_VALUE, _WHITE_IS_ZERO, _PLANES = 281, 341, 0, 2  # TIFF 6.0
_IS_PREMULTIPLIED = "boxwright premultiplied"  # a key of Pillow's info
_OME_BITS = re.compile(r'SignificantBits="(\d{1,2})"')
_DESCRIPTION_CHARS = 64 * 1024  # how far a look for OME's attribute goes

Samples = npt.NDArray[np.uint8]


class UnusableSamplesError(ValueError):
    """Samples that are no picture, or not to be had; the text is a sentence for the person whose image it is."""


@dataclasses.dataclass(frozen=True)
class Depth:
    """What a file says about its samples.

    Attributes:
        rawmode: how Pillow unpacks them, empty if that is no matter here.
        bits: significant ones of the colours; 0: not said.
        alpha_bits: the same of alpha.
        is_scaled: samples beyond `bits` mean that they are scaled to 16 bits, as the PNG specification has it.
        is_inverted: white is 0, and the reader does not turn it.
        is_planar: channels are stored one after another.
    """

    rawmode: str = ""
    bits: int = 0
    alpha_bits: int = 0
    is_scaled: bool = False
    is_inverted: bool = False
    is_planar: bool = False

    @classmethod
    def of(cls, image: Image.Image, header: Header) -> Depth:
        """Looks at an opened image, prepared, whose pixels are not decoded yet."""
        if image.format == "PNG":
            return cls(_rawmode(image), header.bits, header.alpha_bits, is_scaled=True)
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            tags = image.tag_v2
            return cls(
                _rawmode(image),
                _tiff_bits(tags),
                is_inverted=image.mode.startswith("I") and tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0,
                is_planar=tags.get(TiffImagePlugin.PLANAR_CONFIGURATION) == _PLANES,
            )
        return cls()

    @property
    def is_deep(self) -> bool:
        """Whether there are several channels of 16 bits."""
        return ";16" in self.rawmode and not self.rawmode.startswith("I")


def prepare(image: Image.Image) -> None:
    """Lets Pillow unpack what it would mistake or drop: planes of 16 bits, premultiplied colours with alpha 0."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile) or not image.tile:
        return
    bits = image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE)
    is_planar = image.tag_v2.get(TiffImagePlugin.PLANAR_CONFIGURATION) == _PLANES
    if (
        is_planar
        and isinstance(bits, tuple)
        and len(bits) > 1
        and set(bits) == {16}
        and image.tile[0].codec_name == "raw"
    ):
        order = "L" if image.tag_v2.prefix == b"II" else "B"
        _unpack(image, lambda rawmode: f"{rawmode};16{order}")
    elif _rawmode(image).startswith("RGBa"):
        _unpack(image, lambda rawmode: rawmode.replace("RGBa", "RGBA"))
        image.info[_IS_PREMULTIPLIED] = True


def rgb(image: Image.Image, depth: Depth, again: Callable[[], Image.Image]) -> Image.Image:
    """A decoded image of any Pillow mode as RGB.

    Args:
        image: with its pixels.
        depth: what the file says about them.
        again: opens the same file once more, prepared as this one was.

    Raises:
        UnusableSamplesError: 32 bits, negative samples, or planes of which Pillow gives one byte only.
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and depth.rawmode.startswith("I;16")):
        return _grey(image, depth)
    if image.mode in ("I", "F"):
        raise UnusableSamplesError("The image has 32-bit samples; only 1 to 16 bits a channel are supported.")
    shallow = _deep(image, depth, again) if depth.is_deep else image
    is_premultiplied = image.info.get(_IS_PREMULTIPLIED, False)
    return _on_white(Image.fromarray(np.asarray(shallow), "RGBa") if is_premultiplied else shallow)


def rounded_bits(largest: int) -> int:
    """How many bits a largest sample takes, rounded up to what sensors deliver: 8, 10, 12, 14 or 16."""
    return next(bits for bits in ROUNDED_BITS if largest < 1 << bits)


def _rawmode(image: Image.Image) -> str:
    arguments = image.tile[0].args if image.tile else ""  # type: ignore[attr-defined]  # image files have it
    return arguments if isinstance(arguments, str) else str(arguments[0]) if arguments else ""


def _tiff_bits(tags: Any) -> int:
    """Significant bits by the tags of a TIFF; 0 if they say nothing."""
    stored = tags.get(TiffImagePlugin.BITSPERSAMPLE)
    if isinstance(stored, tuple) and stored and stored[0] not in (8, 16):
        return int(stored[0])  # 12 bits, packed
    for tag in (_MAX_SAMPLE_VALUE, _S_MAX_SAMPLE_VALUE):
        values = tags.get(tag)
        numbers = values if isinstance(values, tuple) else (values,)
        if all(isinstance(number, int) and 0 < number < 1 << 16 for number in numbers):
            return max(numbers).bit_length()
    text = tags.get(TiffImagePlugin.IMAGEDESCRIPTION)
    found = _OME_BITS.search(text[:_DESCRIPTION_CHARS]) if isinstance(text, str) else None
    return int(found[1]) if found and 0 < int(found[1]) <= 16 else 0


def _counted(largest: int, stated: int, depth: Depth) -> int:
    """How many bits count, by what the file says and by its largest sample."""
    if stated and largest < 1 << stated:
        return stated
    return 16 if stated and depth.is_scaled else rounded_bits(largest)


def _grey(image: Image.Image, depth: Depth) -> Image.Image:
    samples = np.asarray(image)  # (h, w) uint16, or int32 from signed ones
    if samples.dtype.kind == "i" and samples.min() < 0:
        raise UnusableSamplesError("The image has samples below 0, which is not supported; save it with unsigned ones.")
    bits = _counted(int(samples.max()), depth.bits, depth)
    if bits >= 8:
        shown = (samples >> (bits - 8)).astype(np.uint8)
    else:
        shown = (samples.astype(np.uint32) * 255 // ((1 << bits) - 1)).astype(np.uint8)
    if depth.is_inverted:
        shown = 255 - shown
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        hidden = samples == clear
        if not hidden.all():
            shown[hidden] = BACKGROUND_RGB[0]
    return Image.fromarray(shown).convert("RGB")


def _deep(image: Image.Image, depth: Depth, again: Callable[[], Image.Image]) -> Image.Image:
    """Several channels of 16 bits, of which Pillow has decoded the upper byte, as channels of 8."""
    clear = image.info.get("transparency")
    upper = np.asarray(image)  # (h, w, channels)
    colours = 3 if image.mode in ("RGB", "RGBA") else upper.shape[2]
    groups = [(slice(0, colours), depth.bits)]
    if image.mode == "RGBA":
        groups.append((slice(3, 4), depth.alpha_bits))
    # 16 bits count whatever the lower byte is, where the upper one says so.
    if clear is None and all(_upper_will_do(upper[..., part], stated) for part, stated in groups):
        return image
    if depth.is_planar and not depth.rawmode.startswith(("R;", "C;")):
        raise UnusableSamplesError(
            "The TIFF holds fewer than 15 significant bits in compressed planes of 16, which is not supported; save it with "
            "interleaved channels."
        )
    lower = _lower_bytes(again(), depth)
    shown = np.empty_like(upper)
    for part, stated in groups:
        high, low = upper[..., part], lower[..., part]
        largest_high = int(high.max())
        largest = largest_high << 8 | int(low.max(where=high == largest_high, initial=0))
        shown[..., part] = _joined(high, low, _counted(largest, stated, depth))
    result = Image.fromarray(shown, image.mode)
    if isinstance(clear, tuple) and len(clear) == 3:
        wanted = np.asarray(clear)
        hidden = ((upper == wanted >> 8) & (lower == wanted & 255)).all(axis=-1)
        result.putalpha(Image.fromarray(np.where(hidden, 0, 255).astype(np.uint8)))
    return result


def _upper_will_do(upper: Samples, stated: int) -> bool:
    return stated == 16 or int(upper.max()) >= 1 << (max(stated, ROUNDED_BITS[-2]) - 8)


def _joined(high: Samples, low: Samples, bits: int) -> Samples:
    """The upper 8 of so many significant bits, from both bytes of samples that have no others."""
    if bits < 8:
        return (low.astype(np.uint16) * 255 // ((1 << bits) - 1)).astype(np.uint8)
    if bits == 16:
        return high
    return np.bitwise_or(high << np.uint8(16 - bits), low >> np.uint8(bits - 8), dtype=np.uint8)


def _lower_bytes(image: Image.Image, depth: Depth) -> Samples:
    """(h, w, channels) uint8: what the first look has dropped."""
    with image:
        if depth.rawmode == "LA;16B":  # as if it were four channels of 8: grey and alpha, upper and lower
            _unpack(image, lambda rawmode: "RGBA")
            image.load()
            return np.asarray(image)[..., [1, 1, 1, 3]]
        _unpack(image, _other_byte)
        image.load()
        return np.asarray(image)


def _other_byte(rawmode: str) -> str:
    """Unpacking by the other order of bytes takes the other byte."""
    little = np.little_endian
    order = {"B": "L", "L": "B", "N": "B" if little else "L"}[rawmode[-1]]
    return rawmode[:-1] + order


def _unpack(image: Image.Image, change: Callable[[str], str]) -> None:
    """Changes how every part of an opened image is unpacked."""
    tiles = []
    for tile in image.tile:  # type: ignore[attr-defined]  # image files have it
        arguments = tile.args
        changed = change(arguments) if isinstance(arguments, str) else (change(arguments[0]), *arguments[1:])
        tiles.append(tile._replace(args=changed))
    image.tile = tiles  # type: ignore[attr-defined]


def _on_white(image: Image.Image, *, is_alpha_ignored: bool = True) -> Image.Image:
    """Palettes resolved, transparency on white; alpha that is 0 everywhere says nothing and is ignored."""
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        foreground = image.convert("RGBA")
        if is_alpha_ignored and foreground.getchannel("A").getextrema()[1] == 0:
            return foreground.convert("RGB")
        background = Image.new("RGBA", foreground.size, (*BACKGROUND_RGB, 255))
        return Image.alpha_composite(background, foreground).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def rgb_before(image: Image.Image) -> Image.Image:
    """As `rgb` was up to image policy 1: always the upper 8 of 16 bits, alpha always counts."""
    if image.mode.startswith("I;16"):
        samples = np.asarray(image)  # (h, w) uint16
        shown = (samples >> 8).astype(np.uint8)
        if isinstance(clear := image.info.get("transparency"), int):
            shown[samples == clear] = BACKGROUND_RGB[0]
        return Image.fromarray(shown).convert("RGB")
    if image.mode in ("I", "F"):
        raise UnusableSamplesError("The image has 32-bit samples; only 1 to 16 bits a channel are supported.")
    return _on_white(image, is_alpha_ignored=False)
