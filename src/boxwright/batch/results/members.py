"""An image in an archive, read again: the archive is read from its front up to it."""

from __future__ import annotations

import re

from boxwright import errors, objects
from boxwright.batch.inputs import archive_members
from boxwright.images import decode

MOST_BYTES = 256_000_000  # of an archive that are read for one image
_MEMBER = re.compile(r"(.*?\.(?:tar|tar\.gz|tgz))#(.+)", re.IGNORECASE | re.DOTALL)


def parts(image_id: str) -> tuple[str, str] | None:
    """The address of an archive and the name in it; None if an image is no member of one."""
    found = _MEMBER.fullmatch(image_id)
    return None if found is None else (found[1], found[2])


def read(stores: objects.Stores, info: objects.ObjectInfo, name: str) -> bytes:
    """The bytes of a member, of two with one name the first.

    Args:
        stores: where the archive is.
        info: the archive.
        name: in the archive.

    Raises:
        ApiError: NOT_FOUND; FAILED_PRECONDITION if it is too far from the front, or too large; as `archive_members.opened`.
    """
    for member in archive_members.opened(stores, info):
        if member.end_bytes > MOST_BYTES:
            raise errors.failed_precondition(
                f"{info.uri}#{name} is behind the first {MOST_BYTES} bytes of its archive, which are read for a picture."
            )
        if member.name != name or member.is_folder:
            continue
        if member.failure is not None or member.size_bytes > decode.MAX_IMAGE_BYTES:
            raise errors.failed_precondition(f"{info.uri}#{name} cannot be read as an image.")
        return b"".join(bytes(piece) for piece in member.content())
    raise errors.not_found(f"{info.uri}#{name} is not in the archive any more.")
