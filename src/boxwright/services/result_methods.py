"""The methods about the results of batch predictions."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from google.api import httpbody_pb2
from google.longrunning import operations_pb2
from google.rpc import code_pb2

from boxwright import curation_messages as pb
from boxwright import errors, kinds, names, objects, states
from boxwright.batch.job import MANIFEST_FILE
from boxwright.batch.output import score_counts
from boxwright.batch.results import folder as result_folder
from boxwright.batch.results import listing, members, summary
from boxwright.batch.results.cache import RecentCache
from boxwright.batch.results.folder import ResultFolder
from boxwright.batch.results.listing import Source
from boxwright.batch.results.shard import FailedImage
from boxwright.callers import Caller, Requirement
from boxwright.services import added_results, exclusivity, result_lists
from boxwright.services.added_results import AddedResults
from boxwright.services.image_pictures import ImagePictures, picture_request
from boxwright.services.resources import Resources

ADD_METHOD = "boxwright.v1.Curation.AddResults"
MOST_SUMMARY_BYTES = 64_000_000
MOST_FOLDER_BYTES = 64_000_000
_FILE_BYTES = 300  # about what a file takes in memory


class ResultViews:
    """What is kept of folders between calls; every call is judged by its caller's grants before."""

    def __init__(self) -> None:
        self.lists = result_lists.ResultReader()
        self._folders: RecentCache[ResultFolder] = RecentCache(
            MOST_FOLDER_BYTES, lambda one: _FILE_BYTES * (1 + len(one.shards) + len(one.errors_files))
        )
        self._summaries: RecentCache[summary.FolderSummary] = RecentCache(
            MOST_SUMMARY_BYTES, lambda one: one.weight_bytes
        )

    def opened(self, stores: objects.Stores, uri: objects.ObjectUri, kind: str) -> ResultFolder:
        """See `folder.opened`; one with a manifest is read once."""
        try:
            version = stores.version(uri.child(MANIFEST_FILE))
        except objects.ObjectNotFound:
            return result_folder.opened(stores, uri, kind)
        key = (str(uri), *version, stores.exists(uri.child(result_folder.TOMBSTONE_FILE)))
        found = self._folders.get(key) if version.version else None
        if found is None:
            found = result_folder.opened(stores, uri, kind)
            if found.is_final:
                self._folders.put(key, found)
        return found

    def summary(self, stores: objects.Stores, found: ResultFolder, kind: str) -> summary.FolderSummary:
        """See `summary.summarized`; a folder is counted once."""
        counted = self._summaries.get(found.identity)
        if counted is None:
            listed = found if found.sizes else result_folder.with_sizes(stores, found)
            counted = summary.summarized(stores, listed, kind)
            self._summaries.put(found.identity, counted)
        return counted


class ResultMethods(Resources):
    """The methods about what batch predictions have found."""

    _views: ResultViews
    _pictures: ImagePictures

    def list_results(self, request: pb.ListResultsRequest, caller: Caller) -> pb.ListResultsResponse:
        """Lists the results of a batch prediction, by default in the order of its files; failed images come last."""
        row, name = self._batch_row(request.parent, "parent")
        job = result_lists.facts(row)
        source = self._source(row, name, job.kind, caller)
        if source is None:
            return pb.ListResultsResponse(total_size=-1)
        page = self._views.lists.page(request, job, source)
        response: pb.ListResultsResponse = result_lists.answer(name, page, is_sure=not source.folder.has_candidates)
        return response

    def summarize_results(self, request: pb.SummarizeResultsRequest, caller: Caller) -> pb.ResultsSummary:
        """Counts the results of a batch prediction, for a slider of the threshold."""
        row, name = self._batch_row(request.name, "name")
        job = result_lists.facts(row)
        source = self._source(row, name, job.kind, caller)
        if source is None:
            return pb.ResultsSummary(
                name=str(name), score_threshold=job.threshold.score_threshold, reason="There are no results yet."
            )
        found = self._views.summary(source.stores, source.folder, job.kind)
        counts = found.counts
        images = source.folder.images
        answer = pb.ResultsSummary.pb(pb.ResultsSummary())
        answer.name, answer.output_directory = str(name), row.output_directory
        answer.image_count = counts.images if images < 0 else images
        answer.error_count, answer.score_threshold = found.failed, job.threshold.score_threshold
        answer.has_candidates, answer.reason = source.folder.has_candidates, found.reason
        answer.images_above.extend(score_counts.at_least(counts.best))
        for label in sorted(counts.found, key=lambda one: (-int(counts.found[one].sum()), one)):
            answer.labels.add(
                display_name=label,
                found_above=score_counts.at_least(counts.found[label]),
                images_above=score_counts.at_least(counts.best_of_label[label]),
            )
        for group in found.failures:
            code = code_pb2.Code.Value(group["code"])
            answer.errors.add(code=code, message=group["message"], image_count=group["images"])
        for path, size_bytes in found.files:
            answer.files.add(path=path.encode("utf-8", "replace").decode(), size_bytes=size_bytes)
        response: pb.ResultsSummary = pb.ResultsSummary.wrap(answer)
        return response

    def get_result_image(self, request: pb.GetResultImageRequest, caller: Caller) -> httpbody_pb2.HttpBody:
        """Returns the picture of a result's image as it is now; the caller needs a grant to read it."""
        name = self._named(names.ResultName, request.name, "name")
        place = result_lists.place_of(name)
        wanted = picture_request(request.edge_px, request.region)
        row, operation = self._batch_row(str(name.parent.operation(name.operation)), "name")
        job = result_lists.facts(row)
        source = self._source(row, operation, job.kind, caller)
        found = source and listing.image_at(source, result_lists.wanted("", 0.0, job), place)
        if found is None or source is None:
            raise errors.not_found(f"Result {name} was not found.")
        text = found.id if isinstance(found, FailedImage) else found.shard.table.ids[found.row]
        parts = members.parts(text)
        try:
            uri = objects.ObjectUri.parse(text if parts is None else parts[0])
        except objects.BadUri as error:
            raise errors.failed_precondition(f"{error.message} There is no picture of it.") from error
        stores = self._looks.check(caller, [uri], project=name.project)
        if parts is None:
            return self._pictures.of_object(uri, wanted, stores)
        info = stores.head(uri)
        identity = f"{text} {info.size_bytes} {stores.version(uri).version}"
        return self._pictures.of_bytes(text, identity, lambda: members.read(stores, info, parts[1]), wanted)

    def add_results(self, request: pb.AddResultsRequest, caller: Caller) -> operations_pb2.Operation:
        """Starts adding images of a batch prediction to a dataset, with what was found in them; in the caller's name."""
        name = self._named(names.DatasetName, request.parent, "parent")
        operation = names.OperationName.parse(request.operation, "operation")
        self._check_caller(caller, ADD_METHOD, [Requirement("automl.operations.get", str(operation), True)])
        with self._db.read() as connection:
            self._dataset(connection, name, errors.DATASET_UNKNOWN_TO_IMPORT)
        row, operation = self._batch_row(request.operation, "operation")
        if operation.project != name.project:
            raise errors.failed_precondition(f"{operation} is of another project than {name}.")
        job = result_lists.facts(row)
        if job.kind != kinds.of_name(name.dataset).name:
            raise errors.failed_precondition(f"The results of {operation} are of another kind than the dataset {name}.")
        added = self._added(request, row, operation, job)
        source = self._source(row, operation, job.kind, caller)
        if source is None:
            raise errors.failed_precondition(f"Operation {operation} has no results yet.")
        result_lists.check_threshold(request.score_threshold, job, source)
        if added.order == "uncertainty" and not source.folder.has_candidates:
            raise errors.failed_precondition(f"The order by uncertainty needs candidates. {source.folder.reason}")
        with self._db.write() as connection:
            self._dataset(connection, name, errors.DATASET_UNKNOWN_TO_IMPORT)
            exclusivity.check(self._ledger, connection, name, states.OperationKind.IMPORT_DATA)
            asked = added.to_import(name)
            draft = self._draft(caller, name.parent, states.OperationKind.IMPORT_DATA, asked, works_on=str(name))
            started = self._ledger.start(connection, draft)
        return self._announced(started)

    @staticmethod
    def _added(
        request: pb.AddResultsRequest, row: sa.Row[Any], operation: names.OperationName, job: result_lists.BatchJobFacts
    ) -> AddedResults:
        """What a request adds.

        Raises:
            ApiError: INVALID_ARGUMENT naming the field that is not possible.
        """
        if len(request.names) > added_results.MOST_NAMES:
            raise errors.invalid_argument(
                "names", f"At most {added_results.MOST_NAMES}; use filter and limit for more."
            )
        if request.names and (request.filter or request.order_by or request.limit):
            raise errors.invalid_argument("names", "Give names, or filter, order_by and limit.")
        for text in request.names:
            one = names.ResultName.parse(text, "names")
            if one.parent.operation(one.operation) != operation:
                raise errors.invalid_argument("names", f"{text} is no result of {operation}.")
            result_lists.place_of(one)
        if request.limit < 0:
            raise errors.invalid_argument("limit", f"{request.limit} is negative.")
        result_lists.wanted(request.filter, request.score_threshold, job)
        order, is_turned = added_results.order_of(request.order_by)
        state = request.state or pb.Example.State.SUGGESTED
        if state not in iter(pb.Example.State):
            raise errors.invalid_argument("state", "Choose one of: LABELED, UNLABELED, SUGGESTED.")
        return AddedResults(
            str(operation),
            row.output_directory,
            job.kind,
            list(job.threshold),
            float(request.score_threshold),
            list(request.names),
            request.filter,
            order,
            is_turned,
            request.limit,
            pb.Example.State(state).name,
        )

    def _batch_row(self, text: str, field: str) -> tuple[sa.Row[Any], names.OperationName]:
        """The row of a batch prediction, and its name.

        Raises:
            ApiError: NOT_FOUND; FAILED_PRECONDITION if it is another operation.
        """
        name = self._named(names.OperationName, text, field)
        row = self._ledger.find(name)
        if row is None:
            raise errors.not_found(f"Operation {name} was not found.")
        if row.kind != states.OperationKind.BATCH_PREDICT:
            raise errors.failed_precondition(f"Operation {name} is no batch prediction: it has no results.")
        return row, name

    def _source(self, row: sa.Row[Any], name: names.OperationName, kind: str, caller: Caller) -> Source | None:
        """Where the results are, for what the caller may read; None if nothing has been written yet.

        Raises:
            ApiError: PERMISSION_DENIED: the caller may not read the folder; as `folder.opened`.
        """
        if not row.output_directory:
            return None
        uri = objects.ObjectUri.parse(row.output_directory)
        stores = self._looks.check(caller, [uri.child(MANIFEST_FILE)], project=name.project)
        return Source(stores, self._views.opened(stores, uri, kind), kind)
