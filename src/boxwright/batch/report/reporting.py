"""The report of one job: a pass over its candidates, a look at the errors files, a few pictures, five files.

A report that fails costs no job: what went wrong is logged, and its files are deleted. A process that dies while it reports
is followed by another attempt, which finds every shard finished and writes the same bytes; the third leaves the report out.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import pathlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from boxwright import faults, kinds, objects
from boxwright.batch.job import BatchSpec
from boxwright.batch.output import candidates
from boxwright.batch.output.candidates import CandidateTable
from boxwright.batch.output.manifest import REPORT_FILES, REPORT_FOLDER, Manifest
from boxwright.batch.output.shard_index import OutputFile
from boxwright.batch.report import findings, gathering, listings, page, thumbnails
from boxwright.batch.report.duplicates import Group
from boxwright.batch.report.failures import FailureGroups
from boxwright.batch.report.gathering import Gathering
from boxwright.batch.report.leaders import merged
from boxwright.batch.rewrite.sources import checked
from boxwright.inference import baseline

ATTEMPTS_FILE = "report/attempts"
MOST_ATTEMPTS = 2  # that ended without an answer: the report itself may be what ends the process

log = logging.getLogger("boxwright.batch.report")


class ReportStoppedError(Exception):
    """The job should stop; it has no report, and no manifest."""


@dataclasses.dataclass(frozen=True)
class CandidateFile:
    """A file of candidates: its address and the sha256 of its bytes."""

    uri: str
    sha256: str


class Reporter:
    """Makes the report of one job.

    Args:
        spec: of the job.
        stores: what the job may read and write.
        model_folder: of the model; what its test images looked like is read there.
        files: the candidates, in order; None: those of the manifest, in the output folder.
        should_stop: asked between files.
    """

    def __init__(
        self,
        spec: BatchSpec,
        stores: objects.Stores,
        model_folder: pathlib.Path,
        files: Sequence[CandidateFile] | None,
        should_stop: Callable[[], bool],
    ) -> None:
        self._spec = spec
        self._stores = stores
        self._named = stores.named()
        self._model_folder = model_folder
        self._files = files
        self._should_stop = should_stop
        self._output = objects.ObjectUri.parse(spec.output_directory)

    def report(self, manifest: Manifest) -> list[OutputFile]:
        """Writes the files; returns what the manifest says of them: nothing if there is nothing to report, or it failed.

        Args:
            manifest: of the job, without its report.

        Raises:
            ReportStoppedError: the job should stop.
        """
        listed = self._files
        if listed is None:
            listed = [CandidateFile(str(self._output.child(one.name)), one.sha256) for one in manifest.candidates]
        if not self._spec.report or not (listed or manifest.errors_files) or (not listed and manifest.images_predicted):
            return []
        started_s = time.monotonic()
        try:
            if not self._may_try():
                log.warning("event=report_left_out output=%s reason=attempts", self._output)
                return []
            made = self._made(manifest, listed)
            faults.point("report.before_files")
            files = []
            for name, content in made.items():
                self._stores.put(self._output.child(name), content)
                faults.point("report.after_file")
                files.append(OutputFile(name, content.count(b"\n"), candidates.digest_of(content)))
        except ReportStoppedError:
            self._answered()
            raise
        except Exception:  # a report must never cost a job its results
            log.exception("event=report_failed output=%s", self._output)
            self._drop()
            self._answered()
            return []
        self._answered()
        log.info("event=report_made output=%s seconds=%.3f", self._output, time.monotonic() - started_s)
        return files

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _may_try(self) -> bool:
        uri = objects.ObjectUri.parse(self._spec.scratch).child(ATTEMPTS_FILE)
        try:
            before = int(self._stores.get(uri))
        except (objects.ObjectNotFound, ValueError):
            before = 0
        self._stores.put(uri, str(before + 1).encode())
        return before < MOST_ATTEMPTS

    def _answered(self) -> None:
        """Notes that an attempt has ended as it should, in whatever way."""
        with contextlib.suppress(Exception):  # at worst a later attempt is counted too high
            self._stores.put(objects.ObjectUri.parse(self._spec.scratch).child(ATTEMPTS_FILE), b"0")

    def _drop(self) -> None:
        for name in REPORT_FILES:
            uri = self._output.child(name)
            try:
                self._stores.delete_written(uri)
            except Exception:  # it may not be there, or the store may be what failed
                log.debug("event=report_not_deleted file=%s", uri)

    def _tables(self, files: Iterable[CandidateFile]) -> Iterator[CandidateTable]:
        for file in files:
            if self._should_stop():
                raise ReportStoppedError
            content = checked(self._named, objects.ObjectUri.parse(file.uri), file.sha256)
            yield candidates.from_parquet(content, file.uri)[0]

    def _made(self, manifest: Manifest, files: Sequence[CandidateFile]) -> dict[str, bytes]:
        """The files of the report by their names in the output folder."""
        gathered, first_rows = Gathering(self._spec), [0]
        for table in self._tables(files):
            gathered.add(table)
            first_rows.append(first_rows[-1] + len(table))
        groups = gathered.duplicates.groups()
        counts = findings.DuplicateCounts(
            equal_groups=sum(group.is_equal for group in groups),
            near_groups=sum(not group.is_equal for group in groups),
            spare_images=sum(len(group.rows) - 1 for group in groups if group.is_equal),
            windows=gathered.duplicates.windows,
        )
        reference = baseline.read(self._model_folder)
        told = findings.found(self._spec, manifest, gathered, reference, self._failures(manifest), counts)
        names = [name for _, name in self._spec.labels]
        chosen = [one.image for one in told.uncertain]
        best_threshold = reference.quality.best_threshold if reference else self._spec.score_threshold
        prelabels, left_out = listings.prelabels(chosen, names, best_threshold)
        told.document["prelabels"] = {"threshold": best_threshold, "images_left_out": left_out}
        sheet = self._sheet(gathered, told)
        html = page.made(told, names, self._spec.score_threshold, sheet, self._spec.kind == kinds.OBJECT_DETECTION.name)
        document = json.dumps(told.document, ensure_ascii=False, indent=1).encode("utf-8", "replace") + b"\n"
        made = {
            "duplicates.csv": listings.duplicates(self._duplicate_rows(groups, files, first_rows)),
            "label_next.csv": listings.label_next(told.uncertain, names),
            "prelabels.csv": prelabels,
            "report.html": html,
            "report.json": document,
        }
        return {f"{REPORT_FOLDER}/{name}": content for name, content in made.items()}

    def _failures(self, manifest: Manifest) -> list[dict[str, object]]:
        failures = FailureGroups()
        for file in manifest.errors_files:
            if self._should_stop():
                raise ReportStoppedError
            failures.add(self._stores.get(self._output.child(file.name)).splitlines())
        return failures.listed()

    def _sheet(self, gathered: Gathering, told: findings.Findings) -> page.ContactSheet:
        groups = [
            ("At random", gathered.at_random.ranked()),
            ("The surest", gathered.surest.ranked()),
            (page.LABEL_NEXT_TITLE, [one.image for one in told.uncertain[: gathering.TO_LABEL]]),
            ("The densest", gathered.densest.ranked()),
        ]
        shown = merged([images for _, images in groups])
        return page.ContactSheet(groups, thumbnails.taken(shown, self._named, self._should_stop))

    def _duplicate_rows(
        self, groups: Sequence[Group], files: Sequence[CandidateFile], first_rows: Sequence[int]
    ) -> Iterator[tuple[int, str, str]]:
        """Yields the rows of duplicates.csv; only the files that have one of the images are read once more."""
        wanted: list[tuple[int, str, int]] = []
        for number, group in enumerate(groups, 1):
            if len(wanted) + len(group.rows) > listings.MOST_DUPLICATES:
                break
            wanted += [(number, "equal" if group.is_equal else "near", row) for row in group.rows]
        rows = np.unique([row for _, _, row in wanted]).astype(np.int64)
        places = np.searchsorted(first_rows, rows, "right") - 1
        ids: dict[int, str] = {}
        needed = np.unique(places).tolist()
        for place, table in zip(needed, self._tables([files[place] for place in needed]), strict=True):
            ids |= {row: table.ids[row - first_rows[place]] for row in rows[places == place].tolist()}
        for number, kind, row in wanted:
            yield number, kind, ids[row]
