"""Pictures of images in buckets, as answers of the API: of contents that are known, and of objects as they are now."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable

from google.api import httpbody_pb2

from boxwright import curation_messages as pb
from boxwright import errors, objects
from boxwright.images import decode
from boxwright.pictures.builder import PictureBuilder
from boxwright.pictures.rendering import WHOLE, PictureRequest

EDGES_PX = (256, 640, 1280, 2560, 4096)
DEFAULT_EDGE_PX = 1280
CONTENT_TYPE = "image/jpeg"
PATIENCE_S = 5.0  # with a store in trouble: somebody waits for the picture
REGION_DIGITS = 6  # of a fraction: less than a pixel of any image
REPLACED = "its bytes are not those that are in the dataset (SHA-256). Put the file back, or import this one."


def picture_request(edge_px: int, region: pb.Region) -> PictureRequest:
    """What a request wants of an image.

    Raises:
        ApiError: INVALID_ARGUMENT: there are no pictures of that size, or the region is none.
    """
    if edge_px not in (0, *EDGES_PX):
        listed = ", ".join(map(str, EDGES_PX))
        raise errors.invalid_argument("edge_px", f"{edge_px} is not one of {listed}.")
    given = (region.left, region.top, region.width, region.height)
    part = WHOLE if not any(given) else tuple(round(value, REGION_DIGITS) for value in given)
    left, top, width, height = part
    if not all(math.isfinite(value) for value in part) or not (
        0 <= left < 1 and 0 <= top < 1 and 0 < width <= 1.0001 - left and 0 < height <= 1.0001 - top
    ):
        raise errors.invalid_argument(
            "region", "Give left, top, width and height as fractions of the upright image's sides, inside the image."
        )
    return PictureRequest(edge_px or DEFAULT_EDGE_PX, (left, top, width, height))


class ImagePictures:
    """Makes pictures of images in buckets.

    Args:
        builder: makes and keeps them.
        stores: where the images are.
    """

    def __init__(self, builder: PictureBuilder, stores: objects.Stores) -> None:
        self.builder = builder
        self._stores = stores.hasty(PATIENCE_S)

    def of_content(self, uri: str, sha256: str, wanted: PictureRequest, *, project: str) -> httpbody_pb2.HttpBody:
        """The picture of an image whose bytes are known by their digest; read with the credentials of the project.

        No grant of a caller is looked at: who may see the picture is the service's business that asks for it.

        Raises:
            ApiError: FAILED_PRECONDITION: it is no usable image, or was replaced; as `Stores.get`.
        """
        return self.of_bytes(uri, sha256, lambda: self.content(uri, sha256, project=project), wanted)

    def content(self, uri: str, sha256: str, *, project: str) -> bytes:
        """The bytes of an image that are known by their digest; as `of_content`.

        Raises:
            ApiError: FAILED_PRECONDITION: the image was replaced; as `Stores.get`.
        """
        data = self._stores.of_project(project).get(objects.ObjectUri.parse(uri), max_bytes=decode.MAX_IMAGE_BYTES)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise errors.failed_precondition(f"{uri}: {REPLACED}")
        return data

    def of_object(
        self, uri: objects.ObjectUri, wanted: PictureRequest, stores: objects.Stores
    ) -> httpbody_pb2.HttpBody:
        """The picture of an object as it is now; `stores` are those for what the caller may read.

        Raises:
            ApiError: as `of_content`; PERMISSION_DENIED, before anything is looked at.
        """
        found = stores.version(uri)

        def read() -> bytes:
            return stores.get(uri, max_bytes=decode.MAX_IMAGE_BYTES)

        if found.version:
            return self.of_bytes(str(uri), f"{uri} {found.size_bytes} {found.version}", read, wanted)
        data = read()  # the store has no versions: only the bytes tell
        return self.of_bytes(str(uri), hashlib.sha256(data).hexdigest(), lambda: data, wanted)

    def of_bytes(
        self, uri: str, identity: str, read: Callable[[], bytes], wanted: PictureRequest
    ) -> httpbody_pb2.HttpBody:
        """The picture of bytes, which are read if there is none yet; `identity` names the bytes, `uri` is for messages.

        Raises:
            ApiError: FAILED_PRECONDITION: it is no usable image; as `read`.
        """
        try:
            picture = self.builder.picture(identity, read, wanted)
        except decode.DecodeError as error:
            raise errors.failed_precondition(f"{uri}: {error.reason}") from error
        return httpbody_pb2.HttpBody(content_type=CONTENT_TYPE, data=picture)
