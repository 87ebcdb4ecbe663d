"""Small pictures of a few images, read once more and decoded as they were for the prediction."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from typing import NamedTuple

from PIL import Image

from boxwright import errors, objects
from boxwright.batch.report.leaders import RankedImage
from boxwright.images import decode

SIZE_HW = (240, 320)
JPEG_QUALITY = 72
READERS = 8  # a distant store answers in tens of milliseconds


class Thumbnail(NamedTuple):
    """A picture: base64 of a JPEG, and its size in pixels."""

    jpeg: str
    width_px: int
    height_px: int


def taken(
    images: Sequence[RankedImage], stores: objects.Stores, should_stop: Callable[[], bool]
) -> Mapping[bytes, Thumbnail]:
    """The pictures of images, by content; those that cannot be read now, members of archives for instance, are not there."""

    def take(image: RankedImage) -> Thumbnail | None:
        if should_stop():
            return None
        try:
            content = stores.get(objects.ObjectUri.parse(image.id), max_bytes=decode.MAX_IMAGE_BYTES)
            return _thumbnail(content)
        except (OSError, LookupError, ValueError, errors.ApiError, objects.StoreLost):
            return None  # a picture is not worth a report

    with futures.ThreadPoolExecutor(READERS, "thumbnails") as pool:
        found = zip(images, pool.map(take, images), strict=True)
        return {image.sha256: one for image, one in found if one is not None}


def _thumbnail(content: bytes) -> Thumbnail:
    image = Image.fromarray(decode.decode(content, SIZE_HW).pixels)
    image.thumbnail((SIZE_HW[1], SIZE_HW[0]))
    target = io.BytesIO()
    image.save(target, "JPEG", quality=JPEG_QUALITY)
    return Thumbnail(base64.b64encode(target.getvalue()).decode("ascii"), *image.size)
