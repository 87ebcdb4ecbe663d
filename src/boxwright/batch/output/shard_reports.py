"""What a job notes of its finished shards in the scratch prefix.

Each shard leaves a report and, if images failed, its error lines. Once all 64 shards of a block are finished, the block is
put as well: their numbers, digests and error lines in one object. A block only saves requests: who has to know all that a
job of twenty thousand shards has done, to close it when it is cancelled, reads three hundred objects and the shards that
are in no block yet. Blocks, like shards, are functions of the plan and the images: a second attempt finds them or writes the
same bytes again.

A job that has failed because too many of its images did may be resumed: then a further pass tries the failed images again.
Each pass has notes of its own, beside those of earlier ones; what holds of a shard is said by the latest that there is.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from typing import Any, TypeVar

from boxwright import faults, objects
from boxwright.batch.output.finished_shards import FinishedShards
from boxwright.batch.output.shard_index import ShardIndex

BLOCK_SHARDS = 64
READERS = 16  # objects that are read at once: a distant store answers in tens of milliseconds
AHEAD_BYTES = 4 << 20  # of what may be large, about so much is read ahead
LINE_BYTES = 200  # about what an error line has
REPORT, ERRORS, BLOCK = "report.json", "errors.jsonl", "block"

_Item = TypeVar("_Item")
_Found = TypeVar("_Found")


@dataclasses.dataclass(frozen=True)
class ShardReport:
    """What became of one shard.

    Attributes:
        shard: its number, from 1.
        predicted: images with a line in the shard.
        failed: images with an error line.
        errors_by_code: the same, by canonical code name.
        sha256: digest of the shard's bytes.
        failures: (code, message) of the first failed images.
        pass_number: of the pass that worked it out, from 0.
        one_colour: predicted images that have a single colour, in which nothing can be found.
        sidecars: digests of the files beside the shard, by kind.
        reused: images that were taken over from the job's base; without a line if only new images have one.
    """

    shard: int
    predicted: int
    failed: int
    errors_by_code: dict[str, int]
    sha256: str
    failures: list[tuple[int, str]]
    pass_number: int = 0
    one_colour: int = 0
    sidecars: dict[str, str] = dataclasses.field(default_factory=dict)
    reused: int = 0

    def count_in(self, index: ShardIndex) -> None:
        """Adds the shard to an index, once."""
        index.add(
            self.shard,
            self.predicted,
            self.failed,
            self.sha256,
            self.errors_by_code,
            self.one_colour,
            self.sidecars,
            self.reused,
        )


class ShardReportStore:
    """The notes of one job. Safe to use from several threads.

    Args:
        stores: where they are.
        scratch: the job's scratch prefix.
        pass_number: the pass that is under way, from 0.
    """

    def __init__(self, stores: objects.Stores, scratch: objects.ObjectUri, pass_number: int = 0) -> None:
        self._stores = stores
        self._scratch = scratch
        self._pass = pass_number
        self._passes: dict[int, int] = {}  # shard → the pass whose notes hold, unless that is the first
        self._blocks: set[int] = set()  # known to be there

    def keep(self, report: ShardReport, error_lines: bytes) -> None:
        """Puts a shard's notes; the report, which speaks for both, last."""
        self._note_pass(report.shard, self._pass)
        if error_lines:
            self._stores.put(self._part(report.shard, ERRORS), error_lines)
            faults.point("sink.after_errors")
        self._stores.put(self._part(report.shard, REPORT), json.dumps(dataclasses.asdict(report)).encode())

    def note(self, report: ShardReport) -> None:
        """Takes note of a report that this or another process has put."""
        self._note_pass(report.shard, report.pass_number)

    def find(self, shard: int, sha256: str = "") -> ShardReport | None:
        """Returns a shard's report; None if it is not there, or its error lines are not.

        Args:
            shard: its number.
            sha256: digest of the shard as it is, for the latest report that speaks of these bytes; empty: the latest.
        """
        for number in range(self._pass, -1, -1):
            try:
                report = self._report(shard, number)
            except objects.ObjectNotFound:
                continue
            if sha256 in ("", report.sha256):
                self._note_pass(shard, number)
                return report if not report.failed or self._stores.exists(self._part(shard, ERRORS)) else None
        return None

    def failed_before(self, shard: int) -> bool:
        """Whether images of a shard failed in an earlier pass."""
        for number in range(self._pass - 1, -1, -1):
            try:
                return self._report(shard, number).failed > 0
            except objects.ObjectNotFound:
                continue
        return False

    def sum_up(self, shard: int, index: ShardIndex) -> None:
        """Puts the block that a shard belongs to, once the index has all its shards; not again if it is there."""
        block = _block_of(shard)
        shards = _shards_of(block)
        records = index.records(shards)
        if block in self._blocks or records is None:
            return
        uri = self._block(block)
        if not self._stores.exists(uri):
            failed = [shard for shard, (_, failed, _) in zip(shards, records, strict=True) if failed]
            by_code: collections.Counter[str] = collections.Counter()
            for report in _read(self._report, failed):
                by_code.update(report.errors_by_code)
            sums: dict[str, Any] = {"errors_by_code": by_code, "one_colour": index.one_colour_of(shards)}
            if index.reused:
                sums["reused"] = index.reused_of(shards)
            if index.sidecar_kinds:
                sums["sidecars"] = index.sidecars_of(shards)
            head = json.dumps({"shards": records, **sums}, sort_keys=True).encode()
            self._stores.put(uri, b"\n".join((head, b"".join(_read(self._error_lines, failed)))))
        self._blocks.add(block)

    def recall(self, present: set[int], index: ShardIndex, digest_of: Callable[[int], str]) -> None:
        """Counts what is noted of these shards, which are known to be there.

        Args:
            present: their numbers.
            index: counts them.
            digest_of: reads a shard and returns its sha256; asked only where several passes may have written it.
        """
        whole = {block: size for block, size in self._blocks_there() if present.issuperset(_shards_of(block))}
        contents = _read(self._block_content, whole, weigh=whole.__getitem__)
        for block, content in zip(whole, contents, strict=True):
            head = json.loads(content.partition(b"\n")[0])
            by_code, one_colour = head["errors_by_code"], head.get("one_colour", 0)
            beside, reused = head.get("sidecars", [{}] * BLOCK_SHARDS), head.get("reused", [0] * BLOCK_SHARDS)
            for shard, (predicted, failed, sha256), digests, old in zip(
                _shards_of(block), head["shards"], beside, reused, strict=True
            ):
                index.add(shard, predicted, failed, sha256, by_code, one_colour, digests, old)
                by_code, one_colour = {}, 0  # they were the whole block's
        self._blocks.update(whole)

        def find(shard: int) -> ShardReport | None:
            return self.find(shard, digest_of(shard) if self._pass else "")

        for report in _read(find, sorted(shard for shard in present if _block_of(shard) not in self._blocks)):
            if report is not None:
                report.count_in(index)

    def reports_of(self, present: FinishedShards) -> Iterator[tuple[int, ShardReport | None]]:
        """Yields what is noted of shards that are there, in order, some read ahead; None as `find`. For the first pass.

        A block tells what its shards have; the notes of its failed ones are read as well, for their messages. The numbers
        that a block has for all of its shards together are in the report of the first one.
        """
        whole = {
            block: size for block, size in self._blocks_there() if all(one in present for one in _shards_of(block))
        }
        self._blocks.update(whole)

        def sources() -> Iterator[tuple[bool, int]]:
            for shard in present:
                if _block_of(shard) not in whole:
                    yield False, shard
                elif shard == _shards_of(_block_of(shard))[0]:
                    yield True, _block_of(shard)

        def read(source: tuple[bool, int]) -> list[tuple[int, ShardReport | None]]:
            is_block, number = source
            return self._reports_of_block(number) if is_block else [(number, self.find(number))]

        for found in _read(read, sources(), weigh=lambda source: whole[source[1]] if source[0] else 0):
            yield from found

    def _reports_of_block(self, block: int) -> list[tuple[int, ShardReport | None]]:
        head = json.loads(self._block_content(block).partition(b"\n")[0])
        nothing: list[dict[str, str]] = [{}] * BLOCK_SHARDS
        found: list[tuple[int, ShardReport | None]] = []
        one_colour, by_code = head.get("one_colour", 0), head["errors_by_code"]
        for shard, (predicted, failed, sha256), beside, reused in zip(
            _shards_of(block),
            head["shards"],
            head.get("sidecars", nothing),
            head.get("reused", [0] * BLOCK_SHARDS),
            strict=True,
        ):
            noted = self.find(shard) if failed else None
            failures = [] if noted is None else noted.failures
            found.append(
                (shard, ShardReport(shard, predicted, failed, by_code, sha256, failures, 0, one_colour, beside, reused))
            )
            by_code, one_colour = {}, 0  # they were the whole block's
        return found

    def error_lines(self, index: ShardIndex) -> Iterator[bytes]:
        """Yields the error lines of all counted shards, in order, those of one or many shards at a time."""

        def source(failed_shard: tuple[int, int]) -> tuple[bool, int]:
            block = _block_of(failed_shard[0])
            return (True, block) if block in self._blocks else (False, failed_shard[0])

        def lines(source: tuple[bool, int]) -> bytes:
            is_block, number = source
            return self._block_content(number).partition(b"\n")[2] if is_block else self._error_lines(number)

        groups = itertools.groupby(index.failed_shards(), source)
        weighed = ((where, LINE_BYTES * sum(failed for _, failed in shards)) for where, shards in groups)
        return _read(lambda item: lines(item[0]), weighed, weigh=lambda item: item[1])

    # ---- inside -------------------------------------------------------------------------------------------------

    def _note_pass(self, shard: int, number: int) -> None:
        if self._pass:
            self._passes[shard] = number

    def _report(self, shard: int, number: int | None = None) -> ShardReport:
        values = json.loads(self._stores.get(self._part(shard, REPORT, number)))
        return ShardReport(**{**values, "failures": [tuple(failure) for failure in values["failures"]]})

    def _error_lines(self, shard: int) -> bytes:
        return self._stores.get(self._part(shard, ERRORS))

    def _block_content(self, block: int) -> bytes:
        return self._stores.get(self._block(block))

    def _part(self, shard: int, kind: str, number: int | None = None) -> objects.ObjectUri:
        mark = _mark(self._passes.get(shard, 0) if number is None else number)
        return self._scratch.child(f"shards/{shard:07d}-{mark}{kind}")

    def _block(self, block: int) -> objects.ObjectUri:
        return self._scratch.child(f"blocks/{block:07d}-{_mark(self._pass)}{BLOCK}")

    def _blocks_there(self) -> Iterator[tuple[int, int]]:
        """Yields, in order, the number and the size in bytes of every block."""
        for info in self._stores.list(self._scratch.child("blocks")):
            number, _, kind = info.uri.key.rpartition("/")[2].partition("-")
            if kind == _mark(self._pass) + BLOCK:  # and not what a killed writer left half-written
                yield int(number), info.size_bytes


def _mark(number: int) -> str:
    """What tells the notes of a pass from those of the others."""
    return f"pass{number}-" if number else ""


def _block_of(shard: int) -> int:
    return (shard - 1) // BLOCK_SHARDS + 1


def _shards_of(block: int) -> range:
    return range((block - 1) * BLOCK_SHARDS + 1, block * BLOCK_SHARDS + 1)


def _read(
    read: Callable[[_Item], _Found], items: Iterable[_Item], *, weigh: Callable[[_Item], int] = lambda item: 0
) -> Iterator[_Found]:
    """Yields what is read of every item, in order, with a few threads; `weigh` says about how many bytes an item has."""
    under_way: collections.deque[tuple[futures.Future[_Found], int]] = collections.deque()
    ahead_bytes = 0
    pool = futures.ThreadPoolExecutor(READERS, "notes")
    try:
        for item in items:
            under_way.append((pool.submit(read, item), weigh(item)))
            ahead_bytes += under_way[-1][1]
            while len(under_way) >= 2 * READERS or (under_way and ahead_bytes > AHEAD_BYTES):
                first, size_bytes = under_way.popleft()
                ahead_bytes -= size_bytes
                yield first.result()
        while under_way:
            yield under_way.popleft()[0].result()
    finally:
        pool.shutdown(cancel_futures=True)
