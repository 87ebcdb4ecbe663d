"""Update masks and etags: which fields a patch may change, and whether somebody else was faster."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from google.protobuf import field_mask_pb2

from boxwright import errors, names


def paths(mask: field_mask_pb2.FieldMask, checks: Mapping[str, Callable[[], None]]) -> list[str]:
    """Returns the mask's paths in snake_case after running the check of each field.

    Raises:
        ApiError: INVALID_ARGUMENT if the mask is empty or names a field that cannot be changed.
    """
    if not mask.paths:
        raise errors.invalid_argument("update_mask", "Required field not set.")
    wanted = [re.sub(r"(?<=[a-z0-9])([A-Z])", lambda letter: "_" + letter[1].lower(), path) for path in mask.paths]
    for path in wanted:
        if path not in checks:
            known = ", ".join(checks)
            raise errors.invalid_argument("update_mask", f"'{path[:80]}' cannot be changed; these can: {known}.")
        checks[path]()
    return list(dict.fromkeys(wanted))


def check_etag(given: str, current: str, name: names.ResourceName) -> None:
    """ABORTED if the caller edited an older version; an empty etag overwrites blindly."""
    if given and given != current:
        raise errors.aborted(
            f"etag mismatch: {name} was changed since you read it; read it again and repeat your change."
        )
