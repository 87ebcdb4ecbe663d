"""The work of importData: read rows, look at the images, then merge — in memory that does not grow with the job.

Three phases: *rows* are parsed into a staging file; each distinct *image* is fetched, hashed, as its identity is its
content, and decoded in a process without secrets; then the good images are *merged* into the dataset in small
transactions. Nothing is merged unless few enough rows failed. Merging adds only what is not there, so it can be run again
after a crash; it is not interrupted by a cancel. The images of folders (`import_folders`) go through the last two phases
page by page.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import logging
import pathlib
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from google.cloud.automl_v1 import types
from google.protobuf import empty_pb2

from boxwright import boxes, errors, kinds, names, objects, private, rows, states
from boxwright.metadata import database, datasets, messages
from boxwright.operations.runner import Context, Runner, Success
from boxwright.runners import (
    data_forms,
    import_folders,
    import_images,
    import_labels,
    import_results,
    import_rows,
    import_staging,
    suggestions,
)
from boxwright.runners.import_staging import RowCounts
from boxwright.telemetry import spans

MERGE_IMAGES = 200  # per transaction: tens of milliseconds, so that other writers never wait long
REPORT_INTERVAL_S = 0.5
ROWS_PERCENT, IMAGES_PERCENT = 10, 90  # where the phases end on the progress scale
NO_BOX = (None,) * 4

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Target:
    """The dataset that is imported into."""

    name: names.DatasetName
    form: data_forms.DataForm
    has_one_label: bool
    is_reviewed: bool = True  # whether a person has looked at the labels
    has_wide_limits: bool = False  # of boxes
    added: import_results.AddedResults | None = None  # of a batch prediction, in the place of lists
    is_unlabelled: bool = False  # whether folders of images are in the place of lists

    @property
    def bare_state(self) -> states.ExampleState:
        """Of an image without annotations."""
        return states.ExampleState.UNLABELED if self.is_unlabelled else self.form.bare_state

    @property
    def box_limit(self) -> import_images.BoxLimit:
        """What happens to boxes that are too small for a dataset."""
        if self.added is not None:
            return import_images.BoxLimit.DROPS
        return import_images.BoxLimit.TELLS if self.has_wide_limits else import_images.BoxLimit.OF_ROWS


class ImportData(Runner):
    """Imports CSVs into datasets.

    Args:
        db: the metadata database.
        stores: where CSVs and images are.
        work_dir: a folder for staging files on this machine.
        row_failure_limit: share of failed rows above which nothing is imported, [0, 1].
        threads: images fetched, and decoded, at the same time.
        image_timeout_s: for decoding one image.
        new_digits: makes annotation spec ids.
        is_reviewed: whether a request's params say that a person has looked at the labels.
        has_wide_box_limits: whether a request's params ask for all boxes that a dataset may have.
        is_unlabelled: whether a request's params say that it names folders of images in the place of lists.
        added: what a request adds of a batch prediction; None if it names lists.
    """

    def __init__(
        self,
        db: database.Database,
        stores: objects.Stores,
        work_dir: pathlib.Path,
        *,
        row_failure_limit: float,
        threads: int,
        image_timeout_s: float,
        new_digits: Callable[[], str],
        is_reviewed: Callable[[Mapping[str, str]], bool],
        has_wide_box_limits: Callable[[Mapping[str, str]], bool] = lambda params: False,
        is_unlabelled: Callable[[Mapping[str, str]], bool] = lambda params: False,
        added: Callable[[types.ImportDataRequest], import_results.AddedResults | None] = lambda request: None,
    ) -> None:
        self._is_unlabelled = is_unlabelled
        self._added = added
        self._db = db
        self._stores = stores
        self._work_dir = work_dir
        self._row_failure_limit = row_failure_limit
        self._threads = threads
        self._image_timeout_s = image_timeout_s
        self._new_digits = new_digits
        self._is_reviewed = is_reviewed
        self._has_wide_box_limits = has_wide_box_limits

    def run(self, request: bytes, context: Context) -> Success:
        """See `operations.runner.Runner`."""
        message = types.ImportDataRequest.deserialize(request)
        target = self._target(message)
        folder = self._work_dir / context.name.operation
        private.make_folder(folder)
        # a file of its own: another process may not know yet that it has lost its lease
        path = folder / f"staging-{context.lease.epoch}.sqlite"
        private.make_file(path)
        try:
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as staging:
                staging.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;" + import_staging.TABLES)
                tally = RowCounts()
                stores = context.limited(self._stores).stoppable(context.raise_if_stopped)
                if target.is_unlabelled:
                    self._import_folders(stores, message, staging, target, context)
                else:
                    self._import_rows(stores.named(), message, staging, tally, target, context)
        except objects.StoreLost as lost:
            raise lost.error from lost
        finally:
            path.unlink(missing_ok=True)
        return Success(respond=lambda connection: empty_pb2.Empty())

    def _import_rows(
        self,
        stores: objects.Stores,
        message: types.ImportDataRequest,
        staging: sqlite3.Connection,
        tally: RowCounts,
        target: _Target,
        context: Context,
    ) -> None:
        with spans.part("rows"):
            if target.added is None:
                self._stage_rows(stores, message.input_config.gcs_source.input_uris, staging, tally, target, context)
            else:
                self._stage_results(stores, target.added, staging, tally, target, context)
        with (
            spans.part("images"),
            import_images.ImageLook(stores, context, self._threads, self._image_timeout_s) as look,
        ):
            for done in look.over(staging, tally.fail, target.box_limit):
                context.report(progress_percent=int(ROWS_PERCENT + done * (IMAGES_PERCENT - ROWS_PERCENT)))
        tally.conflicts.of_copies(staging)
        if target.has_one_label:
            import_labels.of_copies(staging, tally.fail)
        context.report(progress_percent=IMAGES_PERCENT, partial_failures=tally.listed)
        self._judge(tally)
        self._check_label_count(target, staging)
        with spans.part("merging"):
            for share in self._merge(target, staging, tally):
                context.report(progress_percent=min(99, int(IMAGES_PERCENT + share * (100 - IMAGES_PERCENT))))
        context.report(partial_failures=tally.listed)
        log.info(
            "event=imported operation=%s rows=%d failed=%d other_set=%d",
            context.name, tally.rows, tally.failed, tally.conflicts.count,
        )  # fmt: skip

    def _import_folders(
        self,
        stores: objects.Stores,
        message: types.ImportDataRequest,
        staging: sqlite3.Connection,
        target: _Target,
        context: Context,
    ) -> None:
        folders = import_folders.ImportedFolders(
            stores, self._plan(context.name), message.input_config.gcs_source.input_uris
        )
        folders.open()
        counts = folders.counts
        with import_images.ImageLook(stores.named(), context, self._threads, self._image_timeout_s) as look:
            for page in folders.pages():
                staging.executescript("DELETE FROM images")
                import_folders.stage(page, staging, counts)
                for done in look.over(staging, counts.fail, target.box_limit):
                    context.report(
                        progress_percent=folders.percent(done, len(page)), progress=folders.progress(done, len(page))
                    )
                for _ in self._merge(target, staging, RowCounts(), counts.note_added):
                    context.raise_if_lost()
                context.report(progress=folders.progress(), partial_failures=folders.told)
        folders.judge()
        context.report(progress=folders.progress(), partial_failures=folders.told)
        log.info(
            "event=folders_imported operation=%s images=%d added=%d failed=%d",
            context.name, counts.images, counts.added, counts.failed,
        )  # fmt: skip

    def _plan(self, operation: names.OperationName) -> objects.ObjectUri:
        """The folder of an operation in the service's own state."""
        return self._stores.state(f"operations/{operation.operation}")

    def tidy(self, operation: names.OperationName) -> None:
        """Deletes the folders, with the staging files of attempts that were killed, and the names that were listed."""
        shutil.rmtree(self._work_dir / operation.operation, ignore_errors=True)
        try:
            self._stores.delete_prefix(self._plan(operation))
        except errors.ApiError as error:  # the next start of a service deletes it
            log.warning("event=plan_not_deleted operation=%s reason=%s", operation, error.message)

    def _target(self, request: types.ImportDataRequest) -> _Target:
        name, params = names.DatasetName.parse(request.name), request.input_config.params
        is_wide = self._has_wide_box_limits(params)
        with self._db.read() as connection:
            row = datasets.find(connection, name.project, name.location, name.dataset)
        if row is None:
            raise errors.not_found(errors.DATASET_UNKNOWN_TO_IMPORT)
        form = data_forms.of(kinds.of_member(row.metadata_member), has_wide_limits=is_wide)
        has_one_label = messages.classification_type(row) is states.ClassificationType.MULTICLASS
        is_reviewed, is_unlabelled = self._is_reviewed(params), self._is_unlabelled(params)
        return _Target(name, form, has_one_label, is_reviewed, is_wide, self._added(request), is_unlabelled)

    # ---- rows ---------------------------------------------------------------------------------------------------

    def _stage_rows(
        self,
        stores: objects.Stores,
        uris: Any,
        staging: sqlite3.Connection,
        tally: RowCounts,
        target: _Target,
        context: Context,
    ) -> None:
        lists = [objects.ObjectUri.parse(uri) for uri in uris]
        total_bytes = sum(_head(stores, uri).size_bytes for uri in lists) or 1
        finished_bytes, reported_s = 0, time.monotonic()
        staging.execute("BEGIN")
        for uri in lists:
            for row in rows.read(stores, uri):
                tally.rows += 1
                place = f"{row.uri}, line {row.line}"
                try:
                    self._stage(staging, target.form.parse(row.cells, self._stores.schemes), place, tally, target)
                except import_rows.BadRow as error:
                    tally.fail(place, import_rows.with_header_hint(str(error), row))
                if time.monotonic() - reported_s > REPORT_INTERVAL_S:
                    reported_s = time.monotonic()
                    context.raise_if_stopped()
                    share = (finished_bytes + row.end_bytes) / total_bytes
                    context.report(progress_percent=int(ROWS_PERCENT * min(1.0, share)))
            finished_bytes += stores.head(uri).size_bytes
        staging.execute("COMMIT")
        if tally.rows == 0:
            raise rows.none_to_import(lists)

    def _stage_results(
        self,
        stores: objects.Stores,
        added: import_results.AddedResults,
        staging: sqlite3.Connection,
        tally: RowCounts,
        target: _Target,
        context: Context,
    ) -> None:
        staging.execute("BEGIN")
        for image in added.images(stores):
            context.raise_if_stopped()
            tally.rows += 1
            place = f"{added.operation}, {image['id']}"
            try:
                row, scores = import_results.as_row(image, added.state, has_one_label=target.has_one_label)
                self._stage(staging, row, place, tally, target)
                import_results.stage_scores(staging, row, scores)
            except (import_rows.BadRow, ValueError) as error:
                tally.fail(place, str(error))
        staging.execute("COMMIT")
        if tally.rows == 0:
            raise errors.bad_request(f"No result of {added.operation} is as asked for; nothing was added.")
        context.report(progress_percent=ROWS_PERCENT)

    def _stage(
        self,
        staging: sqlite3.Connection,
        row: import_rows.ImportRow,
        place: str,
        tally: RowCounts,
        target: _Target,
    ) -> None:
        staging.execute(
            "INSERT OR IGNORE INTO images (uri, ml_use, place) VALUES (?, ?, ?)", (row.uri, row.ml_use.value, place)
        )
        (image_id,) = staging.execute("SELECT id FROM images WHERE uri = ?", (row.uri,)).fetchone()
        if target.has_one_label:
            import_labels.of_row(staging, image_id, row)
        else:
            self._stage_annotations(staging, image_id, row, target.form)
        staging.execute("UPDATE images SET rows = rows + 1 WHERE id = ?", (image_id,))
        tally.conflicts.of_row(staging, image_id, row.uri, row.ml_use.value, place)

    def _stage_annotations(
        self, staging: sqlite3.Connection, image_id: int, row: import_rows.ImportRow, form: data_forms.DataForm
    ) -> None:
        if form.max_annotations is not None and row.annotations:
            most, what = form.max_annotations
            (count,) = staging.execute("SELECT count(*) FROM annotations WHERE image_id = ?", (image_id,)).fetchone()
            if count + len(row.annotations) > most:
                wider = "" if most == boxes.MAX_LABELLED else f"; wide_box_limits=true allows {boxes.MAX_LABELLED}"
                raise import_rows.BadRow(f"{row.uri} has more than {most} {what}{wider}")
        staging.executemany(
            "INSERT INTO annotations (image_id, label, x_min, y_min, x_max, y_max) VALUES (?, ?, ?, ?, ?, ?)",
            [(image_id, label, *(box or NO_BOX)) for label, box in row.annotations],
        )

    def _judge(self, tally: RowCounts) -> None:
        share = tally.failed / tally.rows
        if share > self._row_failure_limit:
            raise errors.bad_request(
                f"{tally.failed} of {tally.rows} rows failed, more than the limit of {self._row_failure_limit:.0%}; nothing "
                f"was imported. The first: {tally.failures[0].message}"
            )

    def _check_label_count(self, target: _Target, staging: sqlite3.Connection) -> None:
        """FAILED_PRECONDITION if the dataset would have more labels than one of its kind may have."""
        most = target.form.max_labels
        if most is None:
            return
        with self._db.read() as connection:
            labels = {label for _, label in datasets.specs(connection, target.name.dataset)}
        counted = "SELECT DISTINCT label FROM annotations JOIN images ON images.id = image_id WHERE sha256 IS NOT NULL"
        for (label,) in staging.execute(counted):
            labels.add(label)
            if len(labels) > most:
                raise errors.failed_precondition(
                    f"The dataset would have more than {most} labels, the most that a dataset of its kind may have; "
                    "nothing was imported. Look whether a column of the CSV holds something else than labels."
                )

    # ---- merge --------------------------------------------------------------------------------------------------

    def _merge(
        self,
        target: _Target,
        staging: sqlite3.Connection,
        tally: RowCounts,
        note_added: Callable[[int], None] = lambda count: None,
    ) -> Iterator[float]:
        """Adds what is staged to the dataset; yields the share that is there, and notes how many images are new."""
        dataset = target.name
        (total,) = staging.execute("SELECT count(*) FROM images WHERE sha256 IS NOT NULL").fetchone()
        done = 0
        images = import_staging.staged_images(staging, target.bare_state)
        if target.added is not None:
            is_bare = target.added.state == states.ExampleState.UNLABELED
            images = map(functools.partial(import_results.of_model, is_bare=is_bare), images)
        if not target.is_reviewed:
            images = map(suggestions.as_proposal, images)
        while batch := list(itertools.islice(images, MERGE_IMAGES)):
            with self._db.write() as connection:
                if datasets.find(connection, dataset.project, dataset.location, dataset.dataset) is None:
                    raise errors.not_found(errors.DATASET_UNKNOWN_TO_IMPORT)
                known = datasets.known(connection, dataset.dataset, [image["sha256"] for image in batch])
                new = datasets.merge(
                    connection, dataset.dataset, batch, self._new_digits, has_one_label=target.has_one_label
                )
            note_added(new)
            tally.conflicts.of_dataset(batch, known)
            told = import_labels.of_dataset(batch, known) if target.has_one_label else ()
            for text in told if target.is_reviewed else suggestions.kept(batch, known):
                tally.conflicts.tell_text(text)
            done += len(batch)
            yield done / total


def _head(stores: objects.Stores, uri: objects.ObjectUri) -> objects.ObjectInfo:
    try:
        return stores.head(uri)
    except objects.ObjectNotFound as error:
        raise objects.explained(stores, uri, error, asks_for_folder=True) from error
