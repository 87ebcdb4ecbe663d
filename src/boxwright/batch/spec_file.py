"""The spec of a batch prediction, kept in its scratch: whatever settings are by now, later attempts work by the first's."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection

from boxwright import objects
from boxwright.batch.job import BatchSpec

FILE = "plan/spec.json"
BASE_FILE = "plan/base.json"  # what the first attempt has found of the base: `reuse.opening`
FORMER_FILE = "plan/choices.json"  # of version 0.1.0: the fields that settings choose, and no others
_NOT_KEPT = ("scratch", "pass_number")  # where the file lies, and which run reads it
_OF_OLDER = {"candidate_floor": None}  # what an older version began has no candidates in its first shards
_KEPT = frozenset(field.name for field in dataclasses.fields(BatchSpec)).difference(_NOT_KEPT)


def kept(
    stores: objects.Stores, spec: BatchSpec, *, is_begun: bool, must_exist: bool, requested: Collection[str]
) -> BatchSpec:
    """Puts a spec once, and returns the one that was put first.

    Args:
        stores: where the scratch is.
        spec: by the request and the settings of today.
        is_begun: whether an earlier attempt may have put it already, perhaps one of version 0.1.0 with its own file.
        must_exist: whether it must have.
        requested: names of the fields that the request chooses, and no setting.

    Raises:
        ObjectNotFound: it must exist and does not.
    """
    scratch = objects.ObjectUri.parse(spec.scratch)
    if is_begun:
        try:
            return _read(stores, scratch.child(FILE), spec)
        except objects.ObjectNotFound:
            try:
                spec = _read(stores, scratch.child(FORMER_FILE), spec, requested)
            except objects.ObjectNotFound:
                if must_exist:
                    raise
    values = {name: value for name, value in dataclasses.asdict(spec).items() if name in _KEPT}
    is_first = stores.put_once(scratch.child(FILE), json.dumps(values).encode())
    return spec if is_first else _read(stores, scratch.child(FILE), spec)


def _read(stores: objects.Stores, uri: objects.ObjectUri, spec: BatchSpec, without: Collection[str] = ()) -> BatchSpec:
    """The spec with the fields that a file names."""
    values = json.loads(stores.get(uri))
    kept = {name: value for name, value in values.items() if name in _KEPT and name not in without}
    return dataclasses.replace(spec, **(_OF_OLDER | kept))
