"""The counting half of the sink: which shards are finished, what failed in them, and the manifest at the end.

One process of a job keeps the account, wherever the shards were put (`shard_writer`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any

from boxwright import faults, objects
from boxwright.batch import read_ahead, spec_file
from boxwright.batch.job import BatchSpec
from boxwright.batch.output import sidecars
from boxwright.batch.output.finished_shards import FinishedShards
from boxwright.batch.output.first_failures import FirstFailures
from boxwright.batch.output.manifest import MANIFEST_FILE, REMOVED_FILE, REPORT_FILES, Manifest
from boxwright.batch.output.shard_index import OutputFile, ShardIndex
from boxwright.batch.output.shard_reports import ShardReport, ShardReportStore
from boxwright.batch.output.sidecars import SidecarFile
from boxwright.batch.turn_file import TurnState

ERRORS_FILE_BYTES = 8 << 20  # an errors file is closed once it is this large; bounds the memory of gathering


@dataclasses.dataclass(frozen=True)
class CarriedOver:
    """What the manifest of a job that predicts nothing takes from the manifests that it reads; see `Manifest`.

    Attributes:
        errors_by_code: of the images that failed then.
        errors_files: copies of theirs, in the output folder already.
        one_colour: predicted images that have a single colour.
        sources: the manifests.
    """

    errors_by_code: dict[str, int] = dataclasses.field(default_factory=dict)
    errors_files: list[OutputFile] = dataclasses.field(default_factory=list)
    one_colour: int = 0
    sources: list[dict[str, str]] = dataclasses.field(default_factory=list)


class OutputAccount:
    """What is known of one job's finished shards. `committed` and `count` may be called from several threads."""

    def __init__(self, spec: BatchSpec, stores: objects.Stores) -> None:
        self._spec = spec
        self._stores = stores
        self._output = objects.ObjectUri.parse(spec.output_directory)
        scratch = objects.ObjectUri.parse(spec.scratch)
        self._notes = ShardReportStore(stores, scratch, spec.pass_number, self._is_true)
        self._index = ShardIndex()
        self._recall_lock = threading.Lock()
        self._there: FinishedShards | None = None  # None: not looked yet, and each shard is asked for
        self._asked = 0  # the last shard that was asked for
        self._asked_before: int | None = None  # by the turn that this one goes on with; None: it goes on with none
        self.failures = FirstFailures()
        self._reports: Iterator[tuple[int, ShardReport | None]] = iter(())

    def prepare(self) -> None:
        """Checks that the output bucket exists and clears what a killed writer left half-written."""
        self._stores.check_bucket(self._output)
        self._sweep()

    def recall(self) -> None:
        """Looks once which shards are there. `committed`, asked in order, reads what is noted of them many at a time.

        Shards that another process puts afterwards are worked out again, to the same bytes.
        """
        present = self._listed()
        with self._recall_lock:
            self._there = present
            self._reports = iter(()) if self._spec.pass_number else self._notes.reports_of(present)

    def state(self) -> TurnState:
        """All that is known; see `go_on`."""
        values, parts = self._index.state()
        kept = {"index": values, "notes": self._notes.state(), "failures": self.failures.values(), "asked": self._asked}
        return TurnState(kept, parts)

    def go_on(self, state: TurnState) -> None:
        """Begins with what the turn before this one knew, in place of `prepare` and `recall`; asks the store nothing.

        Shards that were under way then are looked for when they are asked for: somebody may have put them since.
        """
        self._index.restore(state.values["index"], state.parts)
        self._notes.restore(state.values["notes"])
        self.failures.take(state.values["failures"])
        self._asked = self._asked_before = state.values["asked"]

    def is_counted(self, shard: int) -> bool:
        """Whether a shard is finished, and counted here."""
        return shard in self._index

    def counted(self) -> tuple[int, int, int]:
        """What is counted: (shards, images, images of these that failed)."""
        return len(self._index), self._index.predicted + self._index.failed, self._index.failed

    @property
    def one_colour(self) -> int:
        """Predicted images that have a single colour, of the shards that were counted or found."""
        return self._index.one_colour

    @property
    def first_open(self) -> int:
        """The first shard that is not counted."""
        return self._index.first_absent()

    def end_recall(self) -> None:
        """Reads nothing ahead any more."""
        with self._recall_lock:
            if isinstance(self._reports, Generator):
                self._reports.close()

    def committed(self, shard: int) -> ShardReport | None:
        """Returns the report of a shard that an earlier attempt finished, or None.

        None too if the shard is there and its report or its error lines are not: then it is worked out once more; and if
        images of it failed in an earlier pass.
        """
        self._asked = max(self._asked, shard)
        if self._asked_before is not None and shard > self._asked_before:
            return None
        if self._there is not None and shard not in self._there:
            return None
        report = (
            self._recalled(shard) if self._there is not None and not self._spec.pass_number else self._finished(shard)
        )
        if report is not None:
            self.count(report)
        return report

    def finished(self) -> Iterator[int]:
        """Yields the shards that `committed` would find, in order, some looked at ahead; nothing is counted."""
        there = self._there or FinishedShards()
        if self._asked_before is not None:
            yield from (shard for shard in range(1, self._asked_before + 1) if shard in self._index)
            return
        if self._spec.pass_number:  # each is compared with what is noted of it
            found = read_ahead.in_order(lambda shard: (shard, self._finished(shard)), there)
        else:
            found = self._notes.reports_of(there)
        yield from (shard for shard, report in found if report is not None)

    def count(self, report: ShardReport) -> None:
        """Counts a shard that is finished, by whichever process it was put; once for each shard."""
        self._notes.note(report)
        if report.count_in(self._index):
            self.failures.add(report.shard, report.errors_by_code, report.failures)
        self._notes.sum_up(report.shard, self._index)

    def name_policy(self, digest: str) -> None:
        """Says by which policy images are predicted, if that is known only after the job has begun."""
        self._spec = dataclasses.replace(self._spec, policy_digest=digest)

    def close(
        self,
        state: str,
        *,
        rows_read: int,
        duplicates: int,
        model_digest: str,
        left_out: Mapping[str, Mapping[str, int]] | None = None,
        carried: CarriedOver | None = None,
        report: Callable[[Manifest], list[OutputFile]] | None = None,
        removed: bytes | None = None,
    ) -> Manifest:
        """Gathers the errors of all finished shards and writes the manifest, last of all.

        These are the shards that were counted or found. An account that knows of none asks the store first.

        Args:
            state: see `Manifest`.
            rows_read: rows of the lists, 0 if they were not read to their end.
            duplicates: rows whose image had been listed before.
            model_digest: names the model's exact version.
            left_out: see `Manifest`.
            carried: of a job that predicts nothing.
            report: writes the report of a job whose manifest is this but for the report, and returns its files.
            removed: the content of ``removed.csv``; None if it is not wanted.
        """
        carried = carried or CarriedOver()
        if not (self._index.predicted or self._index.failed or self._index.reused):
            self._notes.recall(set(self._listed()), self._index, self._digest)
        manifest = Manifest(
            state=state,
            rows_read=rows_read,
            duplicates_removed=duplicates,
            images_predicted=self._index.predicted,
            errors_by_code=carried.errors_by_code or dict(self._index.errors_by_code),
            shards=self._index.files(self._spec.shard_pattern),
            errors_files=carried.errors_files or self._gather_errors(self._notes.error_lines(self._index)),
            model={"name": self._spec.model, "digest": model_digest, **_policy(self._spec)},
            settings=_settings(self._spec),
            ignored_params=self._spec.ignored_params,
            images_of_one_colour=carried.one_colour or self._index.one_colour,
            left_out={address: dict(counts) for address, counts in (left_out or {}).items()},
            sources=carried.sources,
            reused=self._index.reused,
            base=self._base(),
            removed=None if removed is None else self._put_file(REMOVED_FILE, removed),
            candidates=self._sidecar_files(sidecars.CANDIDATES),
            formats=self._format_files(),
        )
        if report is not None:
            manifest = dataclasses.replace(manifest, report=report(manifest))
        if self._spec.pass_number:
            self._drop_former_errors({file.name for file in manifest.errors_files})
        if state == "CANCELLED":
            self._drop_lone_files({file.name for file in manifest.sidecars} | {file.name for file in manifest.report})
        faults.point("sink.before_manifest")
        self._stores.put(self._output.child(MANIFEST_FILE), manifest.to_json())
        faults.point("sink.after_manifest")
        self._sweep()
        return manifest

    @property
    def predicted(self) -> int:
        """Images with a result, of the shards that were counted or found."""
        return self._index.predicted

    @property
    def reused(self) -> int:
        """Images that were taken over, of the same shards."""
        return self._index.reused

    @property
    def errors_by_code(self) -> dict[str, int]:
        """Failed images by canonical code name, of the same shards."""
        return dict(self._index.errors_by_code)

    def _recalled(self, shard: int) -> ShardReport | None:
        """What is noted of a shard that is there; all before it are passed over."""
        with self._recall_lock:
            for number, report in self._reports:
                if number == shard:
                    return report
                if number > shard:
                    break
        return self._finished(shard)  # asked out of order

    def _finished(self, shard: int) -> ShardReport | None:
        if not self._stores.exists(self._shard_uri(shard)):
            return None
        report = self._notes.find(shard)
        if report is None or (self._spec.pass_number and not self._holds(report)):
            return None
        return report

    def _holds(self, report: ShardReport) -> bool:
        """Whether a further pass leaves a shard as its report says it is."""
        if report.pass_number < self._spec.pass_number:
            return not report.failed
        return self._digest(report.shard) == report.sha256  # the report is put before the shard that it speaks of

    def _is_true(self, report: ShardReport) -> bool:
        """Whether the files of a shard are those that a report speaks of."""
        try:
            return self._digest(report.shard) == report.sha256 and all(
                hashlib.sha256(self._stores.get(self._sidecar_uri(kind, report.shard))).hexdigest() == digest
                for kind, digest in report.sidecars.items()
            )
        except objects.ObjectNotFound:
            return False

    def _sidecar_uri(self, kind: str, shard: int) -> objects.ObjectUri:
        return self._output.child(sidecars.name_pattern(kind, self._spec.kind).format(shard))

    def _digest(self, shard: int) -> str:
        return hashlib.sha256(self._stores.get(self._shard_uri(shard))).hexdigest()

    def _drop_former_errors(self, written: set[str]) -> None:
        """Deletes the error files of the pass before that this one has not replaced: fewer images may have failed."""
        try:
            former = Manifest.from_json(self._stores.get(self._output.child(MANIFEST_FILE)))
        except objects.ObjectNotFound:
            return
        for file in former.errors_files:
            if file.name not in written:
                self._stores.delete_written(self._output.child(file.name))

    def _drop_lone_files(self, written: set[str]) -> None:
        """Deletes what was put beside shards that were not, or for a report: the cancelled job came no further."""
        base = self._output.folder.key
        names = (key.removeprefix(base) for keys in self._stores.keys(self._output) for key in keys)
        lone = (
            name for name in names if (sidecars.looks_like_one(name) or name in REPORT_FILES) and name not in written
        )
        for _ in read_ahead.in_order(lambda name: self._stores.delete_written(self._output.child(name)), lone):
            pass

    def _sweep(self) -> None:
        """Clears what a killed writer left half-written."""
        for folder in (self._output, *map(self._output.child, sidecars.wanted(self._spec))):
            self._stores.sweep_unfinished(folder)

    def _listed(self) -> FinishedShards:
        """The shards that are in the output folder."""
        return FinishedShards.listed(self._stores, self._output, self._spec.shard_pattern)

    def _gather_errors(self, lines: Iterable[bytes]) -> list[OutputFile]:
        """Writes ``errors_1..M.jsonl`` from error lines in input order."""
        files: list[OutputFile] = []
        pending = bytearray()
        for part in lines:
            pending += part
            if len(pending) >= ERRORS_FILE_BYTES:
                files.append(self._put_errors(len(files) + 1, bytes(pending)))
                pending.clear()
        if pending:
            files.append(self._put_errors(len(files) + 1, bytes(pending)))
        return files

    def _put_errors(self, number: int, content: bytes) -> OutputFile:
        file = self._put_file(f"errors_{number}.jsonl", content)
        faults.point("sink.after_errors_file")
        return file

    def _put_file(self, name: str, content: bytes) -> OutputFile:
        self._stores.put(self._output.child(name), content)
        return OutputFile(name, content.count(b"\n"), hashlib.sha256(content).hexdigest())

    def _base(self) -> dict[str, str] | None:
        """The former job whose results are taken over, as the first attempt has found it."""
        if not self._spec.base:
            return None
        try:
            first = json.loads(self._stores.get(objects.ObjectUri.parse(self._spec.scratch).child(spec_file.BASE_FILE)))
        except objects.ObjectNotFound:
            return None
        return None if first["reason"] else {"manifest": first["manifest"], "sha256": first["sha256"]}

    def _format_files(self) -> dict[str, list[SidecarFile]]:
        kinds = [name for name in self._index.sidecar_kinds if name != sidecars.CANDIDATES]
        return {name: self._sidecar_files(name) for name in kinds}

    def _sidecar_files(self, kind: str) -> list[SidecarFile]:
        pattern = sidecars.name_pattern(kind, self._spec.kind)
        has_all = kind == sidecars.CANDIDATES and self._spec.only_new
        return [
            SidecarFile(
                pattern.format(shard),
                images + (self._index.reused_of(range(shard, shard + 1))[0] if has_all else 0),
                digest,
            )
            for shard, images, digest in self._index.sidecars(kind)
        ]

    def _shard_uri(self, shard: int) -> objects.ObjectUri:
        return self._output.child(self._spec.shard_pattern.format(shard))


def _settings(spec: BatchSpec) -> dict[str, Any]:
    """What the manifest says of the job's choices; nothing of those that were not made."""
    chosen = {
        "score_threshold": spec.score_threshold,
        "score_thresholds": spec.label_thresholds or None,
        "labels": spec.only_labels,
        "max_bounding_box_count": spec.max_boxes,
        "row_failure_limit": spec.row_failure_limit,
        "image_failure_limit": spec.image_failure_limit,
        "camel_case": spec.camel_case,
        "candidate_floor": spec.candidate_floor,
        "only_new": spec.only_new or None,
    }
    return {name: value for name, value in chosen.items() if value is not None}


def _policy(spec: BatchSpec) -> dict[str, str]:
    return {"policy_digest": spec.policy_digest} if spec.policy_digest else {}
