"""Planning goes on where it stopped, after a stop, an error or a kill: the same plan, and the list is not read again."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import sys

import pytest
from tests.support.predictions.batch_jobs import Bench

from boxwright import errors, objects
from boxwright.batch import plan as plan_module
from boxwright.batch import plan_checkpoints
from boxwright.batch.inputs import list_pieces
from boxwright.batch.met_digests import DIGEST_BYTES
from boxwright.batch.plan import Plan

ROWS = 6000
PIECE = 4000
SIZES = {
    (list_pieces, "FIRST_BYTES"): PIECE,
    (list_pieces, "MOST_BYTES"): PIECE,
    (plan_checkpoints, "CHECKPOINT_DIGESTS"): 300,
    (plan_checkpoints, "LEAST_DIGESTS"): 100,
    (plan_module, "BLOCK_CUTS"): (5, 16, 64),
}


@pytest.fixture
def bench(tmp_path: pathlib.Path, monkeypatch) -> Bench:
    for (module, name), value in SIZES.items():
        monkeypatch.setattr(module, name, value)
    return Bench(tmp_path)


def _mixed(rows: int) -> list[str]:
    """Rows of every kind; each seventh was listed before, from far away on."""
    lines = ["image,label"]
    for row in range(rows):
        number = row // 3 if row % 7 == 6 else row
        lines.append(
            {50: "no path", 51: "", 52: f'"gs://b/a b {number}.jpg",cat'}.get(row % 100, f"gs://b/{number}.jpg")
        )
    return lines


class Watched(objects.Stores):
    """Counts what is read of lists, and does something when a range is asked for from a place on."""

    def __init__(self, bench: Bench, place: int | None = None) -> None:
        super().__init__(bench.root / "buckets", bench.root / "state")
        self._place = place
        self.read_bytes = 0
        self.plan: Plan | None = None  # to be stopped; None: there is trouble

    def range(self, uri, start, length, *, e_tag=""):
        if self._place is not None and start >= self._place:
            if self.plan is None:
                raise errors.unavailable("the store is away")
            self.plan.stop()
        self.read_bytes += length
        return super().range(uri, start, length, e_tag=e_tag)


def _planned(bench: Bench, name: str, stores: objects.Stores | None = None, **values: object) -> tuple[object, ...]:
    with contextlib.closing(Plan(bench.spec(name, row_failure_limit=1.0, **values), stores or bench.stores)) as plan:
        if isinstance(stores, Watched) and stores.plan is None:
            stores.plan = plan
        images = [segment.image_count for segment in plan.segments()]
        counts = plan.rows_read, plan.rows_failed, plan.duplicates, plan.images_planned
        return images, counts, [status.message for status in plan.row_failures], plan.is_complete


def _blocks(bench: Bench, name: str) -> dict[str, bytes]:
    folder = bench.root / "state" / "boxwright" / "operations" / name / "plan"
    return {path.name: path.read_bytes() for path in folder.glob("index-*")}


def _checkpoints(bench: Bench, name: str) -> list[pathlib.Path]:
    return sorted((bench.root / "state" / "boxwright" / "operations" / name / "plan").glob("read-*"))


@pytest.mark.parametrize("step", [9_000, 31_000])
def test_a_plan_that_is_stopped_again_and_again_reads_each_byte_about_once(bench, step):
    lists = [bench.write_list(_mixed(ROWS)), bench.write_list(_mixed(ROWS + 900)[3000:], "more.csv")]
    size = sum((bench.bucket / name).stat().st_size for name in ("list.csv", "more.csv"))
    whole = _planned(bench, "whole", lists=lists)
    read, stops = 0, 0
    for place in range(step, (bench.bucket / "list.csv").stat().st_size - 2 * PIECE, step):
        stores = Watched(bench, place)
        found = _planned(bench, "stopped", stores, lists=lists)
        read, stops = read + stores.read_bytes, stops + 1
        assert not found[-1], "it was stopped"
    stores = Watched(bench)
    assert _planned(bench, "stopped", stores, lists=lists) == whole
    assert _blocks(bench, "stopped") == _blocks(bench, "whole")
    assert read + stores.read_bytes <= size + stops * 4 * PIECE
    assert not _checkpoints(bench, "stopped"), "of a plan that is whole nobody needs them"


def test_trouble_costs_what_came_behind_the_last_checkpoint(bench):
    bench.write_list(_mixed(ROWS))
    whole = _planned(bench, "whole")

    class Away(Watched):
        def range(self, uri, start, length, *, e_tag=""):
            if start >= 60_000:
                raise errors.unavailable("the store is away")
            return super().range(uri, start, length, e_tag=e_tag)

    with pytest.raises(errors.ApiError, match="away"):
        _planned(bench, "troubled", Away(bench))
    assert len(_checkpoints(bench, "troubled")) > 5
    stores = Watched(bench)
    assert _planned(bench, "troubled", stores) == whole
    assert _blocks(bench, "troubled") == _blocks(bench, "whole")
    assert stores.read_bytes <= (bench.bucket / "list.csv").stat().st_size - 60_000 + 4 * PIECE


def test_a_planner_that_is_killed_is_followed_by_one_that_goes_on(bench):
    bench.write_list(_mixed(ROWS))
    whole = _planned(bench, "whole")
    code = (
        "import sys, pathlib, importlib\n"
        "from tests.support.predictions.batch_jobs import Bench\n"
        "from boxwright.batch.plan import Plan\n"
        f"for module, name, value in {[(module.__name__, name, value) for (module, name), value in SIZES.items()]}:\n"
        "    setattr(importlib.import_module(module), name, value)\n"
        "bench = Bench(pathlib.Path(sys.argv[1]))\n"
        "list(Plan(bench.spec('killed', row_failure_limit=1.0), bench.stores).segments())\n"
    )
    environment = os.environ | {"BOXWRIGHT_FAULTS": "plan.after_checkpoint:kill@9"}
    died = subprocess.run([sys.executable, "-c", code, str(bench.root)], env=environment, check=False)
    assert died.returncode == -9
    assert len(_checkpoints(bench, "killed")) == 9
    stores = Watched(bench)
    assert _planned(bench, "killed", stores) == whole
    assert _blocks(bench, "killed") == _blocks(bench, "whole")
    assert stores.read_bytes < (bench.bucket / "list.csv").stat().st_size * 0.7


@pytest.mark.parametrize("damage", ["of another planner", "of another version", "cut off", "gone"])
def test_checkpoints_that_do_not_follow_each_other_are_not_read(bench, damage):
    bench.write_list(_mixed(ROWS))
    whole = _planned(bench, "whole")
    _planned(bench, "damaged", Watched(bench, 60_000))
    third = _checkpoints(bench, "damaged")[2]
    content = third.read_bytes()
    match damage:
        case "of another planner":
            third.write_bytes(_checkpoints(bench, "damaged")[1].read_bytes())
        case "of another version":
            third.write_bytes(content.replace(b'"version":1', b'"version":2', 1))
        case "cut off":
            third.write_bytes(content[:-5])
        case "gone":
            third.unlink()
    stores = Watched(bench)
    assert _planned(bench, "damaged", stores) == whole
    assert _blocks(bench, "damaged") == _blocks(bench, "whole")
    assert stores.read_bytes > (bench.bucket / "list.csv").stat().st_size - 60_000 + 4 * PIECE


def test_what_is_kept_is_sixteen_bytes_for_each_image(bench):
    bench.write_list([f"gs://b/{number}.jpg" for number in range(ROWS)])
    _planned(bench, "job", Watched(bench, 60_000))
    found = [path.read_bytes().partition(b"\n") for path in _checkpoints(bench, "job")]
    assert all(len(digests) % DIGEST_BYTES == 0 and len(head) < 4000 for head, _, digests in found)
    assert 3000 < sum(len(digests) for _, _, digests in found) / DIGEST_BYTES < 4200
