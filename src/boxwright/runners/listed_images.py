"""Images of an import that a pattern names: nobody has said yet what is in them."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterator, Mapping

from boxwright import errors, objects
from boxwright.batch.inputs import image_names
from boxwright.batch.inputs.addresses import InputAddress


def keys(stores: objects.Stores, address: InputAddress, left_out: collections.Counter[str]) -> Iterator[str]:
    """Yields the keys of the images that a pattern names, in the order of their UTF-8 bytes; memory is that of a page.

    Args:
        stores: limited to what the caller may read.
        address: the pattern.
        left_out: counts the names that are no images, by suffix, see `ImageNames`.

    Raises:
        ApiError: from the store.
    """
    found = image_names.ImageNames()
    folder = address.uri.folder
    for key in itertools.chain.from_iterable(stores.keys(folder, "", address.bounds)):
        if address.pattern is not None and not address.pattern.fullmatch(key):
            continue
        if found.takes(key[len(folder.key) :]):
            yield key
    left_out.update(found.left_out)


def none(address: InputAddress, left_out: Mapping[str, int]) -> errors.ApiError:
    """The error where a pattern names no image."""
    why = f"only what is left out ({image_names.in_words(left_out)})" if left_out else "look for it in the bucket"
    return errors.not_found(f"{address.text}: there is no image; {why}.")
