"""How far a planner has read the lists, kept in the scratch: one that comes after it goes on there.

    plan/read-0000001.bin   a line of JSON {"version": 1, "from_rows": 0, "state": {…}}, then the digests of the images that
                            are new since the one before, 16 bytes each

One is put after every 524,288 new images, and when the planner is stopped. Together they have all digests that were met, so
that rows which were listed before are found; the state of the last one has everything else. Each says at which row it
begins: one that does not begin where the one before it ends, because two planners were at work, is not read. They are
deleted when the plan is whole.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

from boxwright import errors, faults, objects
from boxwright.batch import read_ahead
from boxwright.batch.image_list import ListForm
from boxwright.batch.met_digests import DIGEST_BYTES

VERSION = 1
CHECKPOINT_DIGESTS = 1 << 19  # 8 MiB, which are some seconds of planning
LEAST_DIGESTS = 1 << 15  # that are worth it when the planner is stopped


@dataclasses.dataclass
class PlannerState:
    """Everything that a planner has besides the digests, at the end of a piece of a list.

    Attributes:
        number: of the list, from 0.
        row: how many rows of it are read.
        first_byte: where the next piece of it begins.
        first_line: the number of that piece's first line, from 1.
        judge: see `RowJudge.state`.
        builder: see `CutBuilder.state`.
        forms: of the lists, by number.
        put: blocks that are stored.
        shards: that are in them.
        duplicates: rows that were listed before.
        met: different images.
        met_bytes: see `IndexPlanner`.
    """

    number: int
    row: int
    first_byte: int
    first_line: int
    judge: dict[str, Any]
    builder: dict[str, Any]
    forms: dict[int, ListForm]
    put: int
    shards: int
    duplicates: int
    met: int
    met_bytes: int

    @classmethod
    def of_values(cls, values: Mapping[str, Any]) -> PlannerState:
        """The reverse of `dataclasses.asdict`, also after JSON."""
        forms = {int(number): ListForm(*form) for number, form in values["forms"].items()}
        return cls(**{**values, "forms": forms})

    @property
    def rows(self) -> int:
        """How many rows of all lists are read."""
        found: int = self.judge["rows_read"]
        return found


class PlanCheckpoints:
    """The checkpoints of one job's planner.

    Args:
        stores: where they are.
        scratch: the job's scratch.
    """

    def __init__(self, stores: objects.Stores, scratch: objects.ObjectUri) -> None:
        self._stores = stores
        self._scratch = scratch
        self._count = 0  # that are there, as far as known
        self._rows = 0  # at which the last one ends

    def read(self) -> Iterator[tuple[PlannerState, bytes]]:
        """Yields the state and the digests of each checkpoint that goes on where the one before it ended."""
        found = read_ahead.in_order(self._read, itertools.count(1), weigh=lambda number: read_ahead.AHEAD_BYTES // 2)
        with contextlib.suppress(objects.ObjectNotFound):
            for head, digests in found:
                if (head["version"], head["from_rows"]) != (VERSION, self._rows) or len(digests) % DIGEST_BYTES:
                    return
                state = PlannerState.of_values(head["state"])
                self._count, self._rows = self._count + 1, state.rows
                yield state, digests

    def put(self, state: PlannerState, digests: bytes) -> None:
        """Puts the next checkpoint.

        Args:
            state: at its end.
            digests: of the images that are new since the last one.
        """
        values = {**dataclasses.asdict(state), "forms": {number: list(form) for number, form in state.forms.items()}}
        head = json.dumps({"version": VERSION, "from_rows": self._rows, "state": values}, separators=(",", ":"))
        self._stores.put(self._uri(self._count + 1), head.encode() + b"\n" + digests)
        self._count, self._rows = self._count + 1, state.rows
        faults.point("plan.after_checkpoint")

    def drop(self) -> None:
        """Deletes them; trouble leaves them to the end of the job."""
        uris = map(self._uri, range(1, self._count + 1))
        with contextlib.suppress(errors.ApiError):
            for _ in read_ahead.in_order(self._stores.delete_written, uris):
                pass
        self._count = 0

    def _read(self, number: int) -> tuple[dict[str, Any], bytes]:
        head, _, digests = self._stores.get(self._uri(number)).partition(b"\n")
        return json.loads(head), digests

    def _uri(self, number: int) -> objects.ObjectUri:
        return self._scratch.child(f"plan/read-{number:07d}.bin")
