"""Inputs of batch predictions of every kind, and what a plan makes of them."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence

from arro3 import io as arrow_io
from arro3.core import Array, DataType, Table
from tests.support.predictions.batch_jobs import Bench

from boxwright.batch.plan import Plan
from boxwright.batch.segments import Item, Segment


def planned(bench: Bench, *inputs: str, **job: object) -> tuple[Plan, list[Segment]]:
    """A plan of these inputs, and its segments."""
    plan = Plan(bench.spec(lists=inputs, **job), bench.stores)  # type: ignore[arg-type]
    return plan, list(plan.segments())


def items(bench: Bench, *inputs: str, **job: object) -> list[Item]:
    """The planned images."""
    return [item for segment in planned(bench, *inputs, **job)[1] for item in segment.items]


def ids(bench: Bench, *inputs: str, **job: object) -> list[str]:
    """Their IDs."""
    return [item.id for item in items(bench, *inputs, **job)]


def tar(files: Mapping[str, bytes], packing: str = "") -> bytes:
    """An archive; `packing` is empty or ``gz``."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode=f"w:{packing}") as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return target.getvalue()


def json_lines(values: Sequence[object]) -> bytes:
    """A JSON document a line."""
    return "".join(json.dumps(value) + "\n" for value in values).encode()


def parquet(uris: Sequence[str]) -> bytes:
    """A Parquet file with the column ``uri``."""
    target = io.BytesIO()
    arrow_io.write_parquet(Table.from_pydict({"uri": Array(list(uris), DataType.utf8())}), target)
    return target.getvalue()
