"""Datasets, models and operations by what people call them: full name, id or display name."""

from __future__ import annotations

from typing import Any

from google.rpc import code_pb2

from boxwright import errors
from boxwright.commands.connection import RestConnection

LIST_KEYS = {"datasets": "datasets", "models": "model"}
KINDS = {"datasets": "dataset", "models": "model", "operations": "operation"}
MAX_LISTED = 10  # of the ids in an error about a name that several things have


def find(connection: RestConnection, text: str, collection: str) -> dict[str, Any]:
    """Returns the dataset or model that is meant, or the ``name`` and some more of the operation.

    Args:
        text: its full resource name, its id or its display name. An operation is also found by the name of its results
            folder, and by the dataset or model that it works on; of several, by that one which has not ended.
        collection: ``datasets``, ``models`` or ``operations``.

    Raises:
        ApiError: NOT_FOUND if there is none, FAILED_PRECONDITION with their ids if there are several.
    """
    if "/" in text and not text.startswith("projects/"):
        raise errors.bad_request(
            f"'{text}' is no {KINDS[collection]}: name it by its id, its display name or its full name, "
            f"projects/…/locations/…/{collection}/ID."
        )
    # GetOperation of one that runs is held for seconds; its numbers are not.
    suffix = ":progress" if collection == "operations" else ""
    if "/" in text:
        return connection.call("GET", text + suffix)
    if not text:
        raise errors.bad_request(f"The name of the {KINDS[collection]} is empty.")
    try:
        if _may_be_id(text):
            return connection.call("GET", f"{connection.parent}/{collection}/{text}{suffix}")
    except errors.ApiError as error:
        if error.code not in (code_pb2.NOT_FOUND, code_pb2.INVALID_ARGUMENT):
            raise
    if collection == "operations":
        return _only(_operations_of(connection, text), text, collection, connection)
    found = connection.pages(f"{connection.parent}/{collection}", LIST_KEYS[collection])
    return _only([one for one in found if one.get("displayName") == text], text, collection, connection)


def last_segment(name: str) -> str:
    """The id at the end of a resource name."""
    return name.rpartition("/")[2]


def _operations_of(connection: RestConnection, text: str) -> list[dict[str, Any]]:
    """The operations that a results folder or the display name of a dataset or model stands for."""
    found: list[dict[str, Any]] = []
    for collection, key in LIST_KEYS.items():
        for one in connection.pages(f"{connection.parent}/{collection}", key):
            if one.get("displayName") == text:
                found += _working_on(connection, one["name"])
    if text.startswith("prediction-"):
        listed = connection.pages(f"{connection.parent}/operations", "operations")
        found += [one for one in listed if last_segment(output_folder(one.get("metadata", {}))) == text]
    unfinished = [one for one in found if not one.get("done")]
    return unfinished if len(unfinished) == 1 else found


def output_folder(metadata: dict[str, Any]) -> str:
    """The address of the folder that an operation writes; empty if it writes none."""
    found = (value.get("outputInfo", {}) for key, value in metadata.items() if key.endswith("Details"))
    return next((info["gcsOutputDirectory"] for info in found if "gcsOutputDirectory" in info), "")


def _working_on(connection: RestConnection, name: str) -> list[dict[str, Any]]:
    return connection.pages(f"{connection.parent}/operations", "operations", filter=f'works_on="{name}"')


def _may_be_id(text: str) -> bool:
    return (
        text.isascii() and all(character.isalnum() or character in "._:~-" for character in text) and text[0].isalnum()
    )


def _only(found: list[dict[str, Any]], text: str, collection: str, connection: RestConnection) -> dict[str, Any]:
    kind = KINDS[collection]
    if not found:
        raise errors.not_found(
            f"There is no {kind} '{text}' in {connection.parent} at {connection.url}, neither by its id nor by "
            f"its display name. What there is: boxwright {collection} list."
        )
    if len(found) > 1:
        ids = [last_segment(one["name"]) for one in found]
        more = f" and {len(ids) - MAX_LISTED} more" if len(ids) > MAX_LISTED else ""
        raise errors.failed_precondition(
            f"'{text}' stands for {len(ids)} {kind}s; name one by its id: {', '.join(ids[:MAX_LISTED])}{more}."
        )
    return found[0]
