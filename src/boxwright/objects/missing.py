"""Objects that are not there: whether a folder or an object of another spelling is."""

from __future__ import annotations

import dataclasses

from boxwright import errors
from boxwright.objects import addresses
from boxwright.objects.store_errors import ObjectNotFound
from boxwright.objects.stores import Stores
from boxwright.objects.uris import MAX_URI_CHARS, ObjectUri


def explained(
    stores: Stores, uri: ObjectUri, error: ObjectNotFound, *, asks_for_folder: bool = False
) -> ObjectNotFound:
    """Returns the error, with what is there instead if that can be told.

    Args:
        stores: where to look.
        uri: what is not there.
        error: what the store says.
        asks_for_folder: whether a further question, is it a folder, may be put to the store.
    """
    try:
        hint = _hint(stores, uri, asks_for_folder)
    except errors.ApiError:  # the store has other trouble by now
        return error
    return error if hint is None else ObjectNotFound(error.code, f"{error.message.removesuffix('.')}; {hint}.")


def _hint(stores: Stores, uri: ObjectUri, asks_for_folder: bool) -> str | None:
    for key, what_to_do in addresses.other_keys(uri.key):
        other = _checked(dataclasses.replace(uri, key=key))
        if other is not None and stores.exists(other):
            return f"{other} does: {what_to_do}"
    if asks_for_folder and stores.holds_anything(uri):
        return "it is a folder: name an object in it"
    return None


def _checked(uri: ObjectUri) -> ObjectUri | None:
    """The URI, if a caller may name it: another spelling must lead nowhere that the caller's own could not."""
    try:
        parsed = ObjectUri.parse(str(uri))
    except errors.ApiError:
        return None
    return parsed if parsed == uri and parsed.names_object and len(str(uri)) <= MAX_URI_CHARS else None
