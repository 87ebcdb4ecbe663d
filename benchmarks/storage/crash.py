"""Kills processes, at random instants and at named fault points, again and again, while batches run.

    python -m benchmarks.storage.crash --kills 100                              one service with its own worker, on SQLite
    python -m benchmarks.storage.crash --kills 100 --apart --database postgres  service, two workers and object store apart

One undisturbed batch is the reference. Then batches over the same list are disturbed by kill -9 until the asked number of
kills is reached. After each batch its folder, the manifest included, must be byte for byte the reference's and verify by
its manifest; every shard that was whole at a kill must keep its inode and its time. Prints kills per target and outcome,
and ends with one JSON object. With --apart, the object store is a server process that keeps its objects in a folder, and is
killed like the others; what a killed worker leaves another one takes over, and the time from the lease's end is measured.
"""

from __future__ import annotations

import collections
import contextlib
import json
import pathlib
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Any

from tests.support.databases import postgres
from tests.support.images import drawn_images
from tests.support.predictions import tiny_classifier, tiny_model
from tests.support.processes import crashes

from benchmarks.harness import arguments, results
from benchmarks.storage.crash_world import BUCKET, LEASE_TTL_S, World
from boxwright import objects
from boxwright.batch.output import manifest

SHARD_IMAGES = 40
SPOILT_EVERY = 130  # rows: several shards have errors, most have none
FIRST = ("plan.before_header", "plan.before_block", "plan.after_block")
LAST = ("sink.after_errors_file", "sink.before_manifest", "sink.after_manifest")
MIDDLE = ("sink.after_errors", "sink.before_put", "sink.after_put")
MODELS = {"detection": tiny_model.make, "classification": lambda: tiny_classifier.make("MULTICLASS")}
PATIENCE_S = 20.0  # for an armed fault to happen before something else is tried
TAKEOVER_TIMEOUT_S = 60.0
SECOND_US = 1_000_000


class Harness:
    """Batches, kills, and what came of them."""

    def __init__(self, world: World, images: int, seed: int) -> None:
        self.world = world
        self.random = random.Random(seed)
        self.images = images
        self.image_point = f"image gs://{BUCKET}/images/{images * 6 // 10:04d}.jpg"
        self.kills: collections.Counter[str] = collections.Counter()
        self.table: collections.Counter[tuple[str, str]] = collections.Counter()
        self.lost = self.doubled = self.redone = self.batches = 0
        self.resumed_s: list[float] = []
        self.reference: dict[str, bytes] = {}
        self._whole: dict[str, tuple[int, int]] = {}

    # ---- one batch ----------------------------------------------------------------------------------------------

    def batch(self, prefix: str, wanted: int) -> None:
        """Runs one batch, disturbs it, and judges it."""
        before = self.kills.copy()
        self._whole = {}
        self.world.arm("plan.before_header")
        name = self.world.start_batch(prefix)
        for target in self._targets():
            if sum(self.kills.values()) >= wanted or not self._kill(target, name, prefix):
                break
        self.world.disarm()
        operation = self.world.finished(name)
        self.batches += 1
        outcome = "failed" if "error" in operation else self._judged(prefix)
        for target, count in (self.kills - before).items():
            self.table[target, outcome] += count
        print(f"{prefix}: {sum(self.kills.values())} kills so far; {outcome} {operation.get('error', '')}", flush=True)

    def _targets(self) -> list[str]:
        """What is killed in one batch, in this order: beginning, middle by turns, end."""
        middle = [*MIDDLE, self.image_point, *self.world.processes]
        self.random.shuffle(middle)
        middle.sort(key=lambda target: self.kills[_label(target)])
        return [*FIRST, *middle[:6], *LAST]

    def _kill(self, target: str, name: str, prefix: str) -> bool:
        """Kills one target while the batch runs; returns whether the batch still runs."""
        if target in self.world.processes:
            threading.Event().wait(self.random.uniform(0.05, 1.5))
            if self.world.is_done(name):
                return False
            if target in ("child", "member"):
                happened = self.world.kill_child(crashes.INFERENCE if target == "child" else crashes.MEMBER)
            else:
                self._kill_process(target, name)
                happened = True
        else:
            self.world.arm(target)
            happened = self._happens(target, name)
            self.world.disarm()
        self.kills[_label(target)] += happened
        self._note_whole_shards(prefix)
        return happened or not self.world.is_done(name)

    def _happens(self, point: str, name: str) -> bool:
        """Waits for an armed fault; returns whether it happened."""
        deadline_s = time.monotonic() + PATIENCE_S
        while self.world.is_armed(point):
            if time.monotonic() > deadline_s or self.world.is_done(name):
                return not self.world.is_armed(point)
            threading.Event().wait(0.01)
        return True

    def _kill_process(self, target: str, name: str) -> None:
        """Kills and starts again a process; where that loses a lease, waits until somebody has taken over."""
        outage_s = self.random.uniform(0, 2)
        if not self.world.loses_lease(target):
            self.world.kill_and_restart(target, name, outage_s)
            return
        seen: list[tuple[float, float]] = []
        watcher = threading.Thread(target=self._watch_takeover, args=(name, seen))
        watcher.start()
        ready_s = self.world.kill_and_restart(target, name, outage_s)
        watcher.join()
        for expired_s, taken_s in seen:
            # nobody but a process that is there can take over: with workers apart another one is there all the time
            since_s = expired_s if self.world.is_apart else max(expired_s, ready_s)
            self.resumed_s.append(max(0.0, taken_s - since_s))

    def _watch_takeover(self, name: str, seen: list[tuple[float, float]]) -> None:
        """Waits until an operation is claimed again; notes (end of the lost lease, the claim), both Unix seconds."""
        epoch, expires_us = self.world.lease(name)
        deadline_s = time.monotonic() + TAKEOVER_TIMEOUT_S
        while time.monotonic() < deadline_s and not self.world.is_done(name):
            now, now_expires_us = self.world.lease(name)
            if now > epoch:
                seen.append((expires_us / SECOND_US, time.time()))
                return
            expires_us = now_expires_us or expires_us
            threading.Event().wait(0.01)

    def _note_whole_shards(self, prefix: str) -> None:
        folder = crashes.result_folder(self.world.bucket, prefix)
        if folder is not None:
            for shard in crashes.whole_shards(folder):
                status = (folder / shard).stat()
                self._whole.setdefault(shard, (status.st_ino, status.st_mtime_ns))

    # ---- judgement ----------------------------------------------------------------------------------------------

    def _judged(self, prefix: str) -> str:
        """Compares a finished batch with the reference; counts lines lost and doubled and shards written again."""
        folder = crashes.result_folder(self.world.bucket, prefix)
        assert folder is not None
        output, after = crashes.contents(folder), crashes.stats(folder)
        redone = sum(after.get(shard) != before for shard, before in self._whole.items())
        ids = [_id(line) for name, data in output.items() if name.endswith(".jsonl") for line in data.splitlines()]
        self.redone += redone
        self.doubled += len(ids) - len(set(ids))
        self.lost += self.images - len(set(ids))
        stores = objects.Stores(self.world.bucket.parent, self.world.folder / "unused")
        found = manifest.examine(stores, objects.ObjectUri("gs", BUCKET, f"{prefix}/{folder.name}"))
        proven = found == manifest.ManifestCheck("SUCCEEDED", [])
        if output != self.reference or not proven:
            for file in sorted(output.keys() | self.reference.keys()):
                was, now = (files.get(file, b"").splitlines() for files in (self.reference, output))
                print(f"  {file}:", [line[:200] for line in now if line not in was][:5], flush=True)
            return "different"
        return "redone" if redone else "same bytes"

    def prepare(self) -> None:
        """Makes the images, a list with spoilt rows among them, and the reference."""
        names = drawn_images.write_images(self.world.bucket / "images", self.images, size_hw=(240, 320))
        rows = [f"gs://{BUCKET}/images/{name}" for name in names]
        for number in range(SPOILT_EVERY, self.images, SPOILT_EVERY):
            rows[number] = "no path at all" + str(number) if number % 2 else f"gs://{BUCKET}/none-{number}.jpg"
        drawn_images.write_csv(self.world.bucket, "list.csv", rows)
        operation = self.world.finished(self.world.start_batch("reference"))
        assert "error" not in operation, operation
        folder = crashes.result_folder(self.world.bucket, "reference")
        assert folder is not None
        self.reference = crashes.contents(folder)

    def result(self) -> dict[str, Any]:
        """What the last line says."""
        for target in sorted(self.kills):
            outcomes = ", ".join(f"{count} {what}" for (whose, what), count in self.table.items() if whose == target)
            print(f"{target:24} {self.kills[target]:5}   {outcomes}")
        return {
            "kills": sum(self.kills.values()),
            "batches": self.batches,
            "lost": self.lost,
            "doubled": self.doubled,
            "shards_redone": self.redone,
            "outcomes": dict(_sums(self.table)),
            "kills_by_target": dict(self.kills),
            "takeovers": len(self.resumed_s),
            "resumed_max_s": round(max(self.resumed_s, default=0.0), 3),
            "resumed_median_s": round(sorted(self.resumed_s)[len(self.resumed_s) // 2], 3) if self.resumed_s else None,
        }


def _label(target: str) -> str:
    return "image URI" if target.startswith("image ") else target


def _id(line: bytes) -> str:
    found: str = json.loads(line)["ID"]
    return found


def _sums(table: collections.Counter[tuple[str, str]]) -> collections.Counter[str]:
    sums: collections.Counter[str] = collections.Counter()
    for (_, outcome), count in table.items():
        sums[outcome] += count
    return sums


@contextlib.contextmanager
def _database(kind: str) -> Iterator[str | None]:
    """Yields the URL of an empty database, None for SQLite in the data directory."""
    if kind == "sqlite":
        yield None
        return
    with postgres.running() as cluster:
        yield cluster.new_database()


def main() -> None:
    """Parses the command line and runs."""
    parser = arguments.parser(__doc__, quick="12 kills on 400 images")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--images", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--kind", choices=tuple(MODELS), default="detection", help="of the model")
    parser.add_argument("--apart", action="store_true", help="workers and object store as processes of their own")
    options = parser.parse_args()
    if options.quick:
        options.kills, options.images = 12, 400
    with tempfile.TemporaryDirectory() as folder, _database(options.database) as url:
        points = (*FIRST, *MIDDLE, *LAST)
        with contextlib.closing(World(pathlib.Path(folder), url, options.apart, SHARD_IMAGES)) as world:
            harness = Harness(world, options.images, options.seed)
            world.start((*points, harness.image_point), MODELS[options.kind]())
            harness.prepare()
            while sum(harness.kills.values()) < options.kills:
                harness.batch(f"run{harness.batches + 1}", options.kills)
            result = harness.result()
    results.close(
        __file__,
        options,
        {"kind": options.kind, "apart": options.apart, "database": options.database, **result},
        source="docs/crash-safety.md",
        conditions=f"{options.images} tiny images a batch, {options.kind}; leases of {LEASE_TTL_S} seconds; "
        + options.database
        + (", workers and object store apart" if options.apart else ""),
        figures={name: result[name] for name in ("kills", "batches", "lost", "doubled", "shards_redone")},
    )


if __name__ == "__main__":
    main()
