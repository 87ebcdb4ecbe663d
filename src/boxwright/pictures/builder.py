"""What is asked for pictures: from the cache, or made once however many ask at the same time."""

from __future__ import annotations

import concurrent.futures
import hashlib
import threading
from collections.abc import Callable

from boxwright.images import decode
from boxwright.pictures.cache import PictureCache
from boxwright.pictures.decoders import DecoderProcesses
from boxwright.pictures.rendering import JPEG_QUALITY, ImageFacts, PictureRequest

RENDERING_VERSION = 1  # raised when the same pixels become another picture


class PictureBuilder:
    """Makes pictures of images and keeps them; for several threads.

    Args:
        decoders: decode images.
        cache: keeps pictures.
    """

    def __init__(self, decoders: DecoderProcesses, cache: PictureCache) -> None:
        self._decoders = decoders
        self._cache = cache
        self._lock = threading.Lock()
        self._under_way: dict[str, concurrent.futures.Future[bytes]] = {}

    def picture(self, identity: str, read: Callable[[], bytes], wanted: PictureRequest) -> bytes:
        """A picture of an image, as a JPEG.

        Args:
            identity: of the image's bytes: their digest, or their address and version. Other bytes have another one.
            read: reads the bytes; not called if the picture is there. What it raises is raised here.
            wanted: what is wanted.

        Raises:
            DecodeError: the bytes are no usable image.
        """
        key = _key(identity, wanted)
        if (kept := self._cache.get(key)) is not None:
            return kept
        with self._lock:
            made = self._under_way.get(key)
            is_mine = made is None
            if made is None:
                made = self._under_way[key] = concurrent.futures.Future()
        if not is_mine:
            return made.result()
        try:
            picture = self._cache.get(key)  # who was at it may have ended between the two looks
            if picture is None:
                picture = self._decoders.render(read(), wanted)
                self._cache.put(key, picture)
            made.set_result(picture)
        except BaseException as error:
            made.set_exception(error)
            raise
        finally:
            with self._lock:
                del self._under_way[key]
        return picture

    def look(self, image: bytes) -> ImageFacts:
        """Decodes an image and says what it is; raises DecodeError."""
        return self._decoders.look(image)

    def close(self) -> None:
        """Ends the processes that decode."""
        self._decoders.close()


def _key(identity: str, wanted: PictureRequest) -> str:
    """The digest under which a picture is kept; what changes pixels is part of it."""
    made_by = (decode.POLICY, decode.RESULTS_VERSION, RENDERING_VERSION, JPEG_QUALITY)
    return hashlib.sha256(repr((identity, wanted.edge_px, wanted.region, made_by)).encode()).hexdigest()
