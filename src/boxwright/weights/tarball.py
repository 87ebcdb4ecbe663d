"""The files of a package's tarball that count, taken out of it while it is read, each checked against its digest."""

from __future__ import annotations

import base64
import hashlib
import pathlib
import tarfile
import zlib
from typing import IO

from boxwright import errors
from boxwright.weights.catalogue import Weights

BLOCK_BYTES = 1 << 20
MOST_BYTES = 32 << 20  # of one member: the largest that counts has 7.6 MB


def take_out(path: pathlib.Path, wanted: Weights) -> dict[str, bytes]:
    """Reads the members of a tarball that the weights need, by name; holds no other in memory.

    Raises:
        ApiError: FAILED_PRECONDITION: the file cannot be read, is not the package, or a member differs from its digest.
    """
    try:
        with path.open("rb") as file:
            _check(path, file, wanted)
            file.seek(0)
            found = _members(file, {*wanted.files, wanted.package_licence})
    except OSError as error:
        raise errors.failed_precondition(f"{path} cannot be read: {error.strerror or error}.") from error
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise errors.failed_precondition(f"{path} is no complete tarball: {error}.") from error
    for name in (*wanted.files, wanted.package_licence):
        if name not in found:
            raise errors.failed_precondition(f"{path} does not hold {name}.")
    for name, digest in wanted.files.items():
        if hashlib.sha256(found[name]).hexdigest() != digest:
            raise errors.failed_precondition(
                f"{name} in {path} is not the file that belongs here: its SHA-256 differs."
            )
    return found


def _check(path: pathlib.Path, file: IO[bytes], wanted: Weights) -> None:
    """Compares the whole file with the registry's digest, before any of it is unpacked."""
    digest = hashlib.sha512()
    while block := file.read(BLOCK_BYTES):
        digest.update(block)
    if f"sha512-{base64.b64encode(digest.digest()).decode()}" != wanted.integrity:
        raise errors.failed_precondition(
            f"{path} is not the tarball of {wanted.spec}: its SHA-512 differs. Get it again with `npm pack {wanted.spec}`."
        )


def _members(file: IO[bytes], names: set[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=file, mode="r|gz") as archive:
        for member in archive:
            if member.name in names and member.isfile() and member.size <= MOST_BYTES:
                content = archive.extractfile(member)
                assert content is not None, "it is a file"
                found[member.name] = content.read()
    return found
