"""What a job notes of its finished shards in the scratch prefix.

Each shard leaves a report and, if images failed, its error lines. Once all 64 shards of a block are finished, the block is
put as well: their numbers, digests and error lines in one object. A block only saves requests: who has to know all that a
job of twenty thousand shards has done, to close it when it is cancelled, reads three hundred objects and the shards that
are in no block yet. Blocks, like shards, are functions of the plan and the images: a second attempt finds them or writes the
same bytes again.

Nothing of a shard's notes is replaced: two workers may be at one shard, one of which is slow and has lost the job, and find
other results, because a store has failed one of them, say. The notes that come second and say something else are put in the
folder ``disputed``, named by what they say, before that worker puts the shard. One listing tells which shards these are; of
these, the files that are there decide whose notes hold.

A job that has failed because too many of its images did may be resumed: then a further pass tries the failed images again.
Each pass has notes of its own, beside those of earlier ones; what holds of a shard is said by the latest that there is.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import itertools
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from boxwright import errors, faults, objects
from boxwright.batch import read_ahead
from boxwright.batch.output.finished_shards import FinishedShards
from boxwright.batch.output.shard_index import ShardIndex

BLOCK_SHARDS = 64
LINE_BYTES = 200  # about what an error line has
VARIANT_DIGITS = 16  # of the digest that names notes which say something else
REPORT, ERRORS, BLOCK = "report.json", "errors.jsonl", "block"
SHARDS, DISPUTED = "shards", "disputed"
_DISPUTED_NAME = re.compile(r"(\d{7,})-(?:pass(\d+)-)?([0-9a-f]{16})-(report\.json|errors\.jsonl)")


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
        errors_sha256: digest of the error lines; empty if there are none, or an older version has noted it.
        variant: names these notes if others were there before them that say something else; empty if not.
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
    errors_sha256: str = ""
    variant: str = ""

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> ShardReport:
        """The reverse of `dataclasses.asdict`, also after JSON."""
        return cls(**{**values, "failures": [tuple(failure) for failure in values["failures"]]})

    def says_the_same(self, former: ShardReport) -> bool:
        """Whether a report that is there says what this one does."""
        if former.failed and not former.errors_sha256:
            former = dataclasses.replace(former, errors_sha256=self.errors_sha256)
        return self == former

    def count_in(self, index: ShardIndex) -> bool:
        """Adds the shard to an index, once; returns whether it is new there."""
        return index.add(
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
        is_true: whether a report speaks of the files that are there; asked of disputed shards.
    """

    def __init__(
        self,
        stores: objects.Stores,
        scratch: objects.ObjectUri,
        pass_number: int = 0,
        is_true: Callable[[ShardReport], bool] = lambda report: True,
    ) -> None:
        self._stores = stores
        self._scratch = scratch
        self._pass = pass_number
        self._is_true = is_true
        self._places: dict[int, tuple[int, str]] = {}  # shard → pass and variant of the notes that hold, unless (0, "")
        self._blocks: set[int] = set()  # known to be there
        self._listing = threading.Lock()
        self._disputed: dict[int, list[tuple[int, str]]] | None = None  # shard → pass and variant of its other notes

    def keep(self, report: ShardReport, error_lines: bytes) -> ShardReport:
        """Puts a shard's notes, the report, which speaks for both, last; returns it as it was put.

        Notes that are there and say something else stay; then the report has a `variant`.
        """
        if error_lines:
            report = dataclasses.replace(report, errors_sha256=hashlib.sha256(error_lines).hexdigest())
        if not self._put(report, error_lines):
            says = hashlib.sha256(json.dumps(dataclasses.asdict(report)).encode()).hexdigest()
            report = dataclasses.replace(report, variant=says[:VARIANT_DIGITS])
            self._put(report, error_lines)
        self.note(report)
        return report

    def _put(self, report: ShardReport, error_lines: bytes) -> bool:
        """Puts what is not there; returns whether what is there says this."""
        place = report.pass_number, report.variant
        uri = self._part(report.shard, ERRORS, place)
        if error_lines:
            if not self._stores.put_once(uri, error_lines) and self._stores.get(uri) != error_lines:
                return False
            faults.point("sink.after_errors")
        uri = self._part(report.shard, REPORT, place)
        return self._stores.put_once(uri, json.dumps(dataclasses.asdict(report)).encode()) or report.says_the_same(
            self._report(report.shard, place)
        )

    def note(self, report: ShardReport) -> None:
        """Takes note of a report that this or another process has put."""
        place = report.pass_number, report.variant
        if place != (0, "") or report.shard in self._places:
            self._places[report.shard] = place

    def find(self, shard: int, sha256: str = "") -> ShardReport | None:
        """Returns a shard's report; None if it is not there, or its error lines are not.

        Args:
            shard: its number.
            sha256: digest of the shard as it is, for the latest report that speaks of these bytes; empty: the latest.
        """
        others = self._disputed_shards().get(shard, [])
        for number in range(self._pass, -1, -1):
            is_told = False
            for place in [(number, ""), *(other for other in others if other[0] == number)]:
                try:
                    report = self._report(shard, place)
                except objects.ObjectNotFound:
                    continue
                if sha256 in ("", report.sha256) and (not others or self._is_true(report)):
                    is_told = True
                    if self._has_error_lines(report):
                        self.note(report)
                        return report
            if is_told:
                break
        return None

    def failed_before(self, shard: int) -> bool:
        """Whether images of a shard failed in an earlier pass."""
        others = self._disputed_shards().get(shard, [])
        for number in range(self._pass - 1, -1, -1):
            for place in [(number, ""), *(other for other in others if other[0] == number)]:
                try:
                    return self._report(shard, place).failed > 0
                except objects.ObjectNotFound:
                    continue
        return False

    def state(self) -> dict[str, Any]:
        """What is known of the notes, as JSON data; see `restore`."""
        return {"blocks": sorted(self._blocks), "places": [[shard, *place] for shard, place in self._places.items()]}

    def restore(self, values: Mapping[str, Any]) -> None:
        """Takes what `state` has given."""
        self._blocks = set(values["blocks"])
        self._places = {shard: (number, variant) for shard, number, variant in values["places"]}

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
            for report in read_ahead.in_order(self._report_that_holds, failed):
                by_code.update(report.errors_by_code)
            sums: dict[str, Any] = {"errors_by_code": by_code, "one_colour": index.one_colour_of(shards)}
            if index.reused:
                sums["reused"] = index.reused_of(shards)
            if index.sidecar_kinds:
                sums["sidecars"] = index.sidecars_of(shards)
            head = json.dumps({"shards": records, **sums}, sort_keys=True).encode()
            self._stores.put(uri, b"\n".join((head, b"".join(read_ahead.in_order(self._error_lines, failed)))))
        self._blocks.add(block)

    def recall(self, present: set[int], index: ShardIndex, digest_of: Callable[[int], str]) -> None:
        """Counts what is noted of these shards, which are known to be there.

        Args:
            present: their numbers.
            index: counts them.
            digest_of: reads a shard and returns its sha256; asked only where several passes may have written it.
        """
        disputed = self._disputed_shards(anew=True)
        good = present - disputed.keys()
        whole = {block: size for block, size in self._blocks_there() if good.issuperset(_shards_of(block))}
        contents = read_ahead.in_order(self._block_content, whole, weigh=whole.__getitem__)
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

        for report in read_ahead.in_order(
            find, sorted(shard for shard in present if _block_of(shard) not in self._blocks)
        ):
            if report is not None:
                report.count_in(index)

    def reports_of(self, present: FinishedShards) -> Iterator[tuple[int, ShardReport | None]]:
        """Yields what is noted of shards that are there, in order, some read ahead; None as `find`. For the first pass.

        A block tells what its shards have, and the messages of failed images by its error lines. The numbers that it has
        for all of its shards together are in the report of the first one.
        """
        disputed = self._disputed_shards(anew=True)
        whole = {
            block: size
            for block, size in self._blocks_there()
            if all(one in present and one not in disputed for one in _shards_of(block))
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

        for found in read_ahead.in_order(read, sources(), weigh=lambda source: whole[source[1]] if source[0] else 0):
            yield from found

    def _reports_of_block(self, block: int) -> list[tuple[int, ShardReport | None]]:
        first, _, lines = self._block_content(block).partition(b"\n")
        head, left = json.loads(first), iter(lines.splitlines())
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
            failures = list(map(_failure, itertools.islice(left, min(failed, errors.MAX_PARTIAL_FAILURES))))
            collections.deque(itertools.islice(left, failed - len(failures)), 0)  # passes the others over
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
        return read_ahead.in_order(lambda item: lines(item[0]), weighed, weigh=lambda item: item[1])

    # ---- inside -------------------------------------------------------------------------------------------------

    def _disputed_shards(self, *, anew: bool = False) -> dict[int, list[tuple[int, str]]]:
        """The shards with notes in the folder of those that came second, as it was when it was listed last."""
        with self._listing:
            if self._disputed is None or anew:
                found: dict[int, list[tuple[int, str]]] = {}
                for keys in self._stores.keys(self._scratch.child(DISPUTED)):
                    for key in keys:
                        shard, mark, variant, kind = _told(key.rpartition("/")[2])
                        if kind == REPORT:
                            found.setdefault(shard, []).append((mark, variant))
                self._disputed = found
            return self._disputed

    def _has_error_lines(self, report: ShardReport) -> bool:
        """Whether the error lines that a report speaks of are there."""
        if not report.failed:
            return True
        uri = self._part(report.shard, ERRORS, (report.pass_number, report.variant))
        if not report.errors_sha256:
            return self._stores.exists(uri)
        try:
            return hashlib.sha256(self._stores.get(uri)).hexdigest() == report.errors_sha256
        except objects.ObjectNotFound:
            return False

    def _report(self, shard: int, place: tuple[int, str]) -> ShardReport:
        return ShardReport.from_values(json.loads(self._stores.get(self._part(shard, REPORT, place))))

    def _report_that_holds(self, shard: int) -> ShardReport:
        return self._report(shard, self._places.get(shard, (0, "")))

    def _error_lines(self, shard: int) -> bytes:
        return self._stores.get(self._part(shard, ERRORS, self._places.get(shard, (0, ""))))

    def _block_content(self, block: int) -> bytes:
        return self._stores.get(self._block(block))

    def _part(self, shard: int, kind: str, place: tuple[int, str]) -> objects.ObjectUri:
        number, variant = place
        folder, name = (DISPUTED, f"{variant}-{kind}") if variant else (SHARDS, kind)
        return self._scratch.child(f"{folder}/{shard:07d}-{_mark(number)}{name}")

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


def _told(name: str) -> tuple[int, int, str, str]:
    """What the name of disputed notes says: (shard, pass, variant, kind); another kind for a name that says nothing."""
    found = _DISPUTED_NAME.fullmatch(name)
    return (0, 0, "", "") if found is None else (int(found[1]), int(found[2] or 0), found[3], found[4])


def _failure(line: bytes) -> tuple[int, str]:
    """The code and the message of an error line."""
    status = json.loads(line)["status"]
    return status["code"], status["message"]
