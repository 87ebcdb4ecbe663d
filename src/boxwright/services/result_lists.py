"""Lists of a batch prediction's results: what requests ask for, page tokens, and results as messages."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa
from google.cloud.automl_v1 import types

from boxwright import curation_messages as pb
from boxwright import errors, kinds, names
from boxwright.batch.output.candidates import SCALE
from boxwright.batch.results import listing, ranking
from boxwright.batch.results.cache import RecentCache
from boxwright.batch.results.listing import Found, FoundImage, Place, Source
from boxwright.batch.results.ranking import Ranking
from boxwright.batch.results.shard import FailedImage
from boxwright.batch.results.wanted import FIELDS, ResultSelection, Threshold
from boxwright.metadata.database import PageKey
from boxwright.services import filters, validation

ORDERS = ("list_order", *ranking.ORDERS)
MOST_RANKING_BYTES = 64_000_000
_NUMBERS = ("score", "boxes")
_MILLIONTHS = 6  # digits: a threshold comes as a float of 32 bits
_PLACE = re.compile(r"(e?)([1-9]\d{0,8})-(\d{1,9})")
_NOT_OURS = "This is not a page token of this service."


class BatchJobFacts(NamedTuple):
    """What is known of a batch prediction by its row.

    Attributes:
        kind: of the model, as `kinds` names it.
        threshold: what it publishes.
    """

    kind: str
    threshold: Threshold


class ListedResults(NamedTuple):
    """A page of results.

    Attributes:
        found: its results.
        token: of the next page; empty if there is none.
        total: how many results there are; -1 if that is not known.
        files_read: see `pb.ListResultsResponse.read_file_count`.
        file_count: of all.
    """

    found: list[Found]
    token: str
    total: int
    files_read: int
    file_count: int


def facts(row: sa.Row[Any]) -> BatchJobFacts:
    """Reads the request of a batch prediction."""
    request = types.BatchPredictRequest.deserialize(row.request)
    kind = kinds.of_name(request.name)
    try:
        chosen: Mapping[str, Any] = validation.batch_params(kind, request.params)
    except errors.ApiError:  # an older version took them
        chosen = validation.batch_params(kind, {})
    labels = {str(name): float(least) for name, least in (chosen.get("label_thresholds") or {}).items()}
    threshold = Threshold(chosen["score_threshold"], labels, chosen.get("only_labels"), chosen["max_boxes"])
    return BatchJobFacts(kind.name, threshold)


def wanted(filter_text: str, score_threshold: float, job: BatchJobFacts) -> ResultSelection:
    """What a request asks for.

    Raises:
        ApiError: INVALID_ARGUMENT quoting the part that is not understood.
    """
    terms = filters.parse(filter_text)
    for term in terms:
        if term.field not in FIELDS:
            known = ", ".join(sorted(FIELDS))
            raise errors.invalid_argument("filter", f"Unknown field '{term.field}'; this list filters by: {known}.")
        if term.field in _NUMBERS:
            _ = term.number
        elif term.comparison != "=":
            raise errors.invalid_argument("filter", f"Field '{term.field}' is no number; compare it with = or !=.")
        if term.field == "has_error" and term.value not in ("true", "false"):
            raise errors.invalid_argument("filter", "has_error is one of: true, false.")
    least = round(float(score_threshold), _MILLIONTHS)
    if not math.isfinite(least) or not 0 <= least <= 1:
        raise errors.invalid_argument("score_threshold", "Give a number from 0 to 1; 0 means the threshold of the job.")
    threshold = Threshold(least, {}, job.threshold.only_labels, None) if least else job.threshold
    return ResultSelection(terms, threshold)


def check_threshold(request_threshold: float, job: BatchJobFacts, source: Source) -> None:
    """OUT_OF_RANGE for a threshold that is lower than what a folder without candidates has."""
    least = min(job.threshold.score_threshold, *job.threshold.label_thresholds.values(), 1.0)
    if source.folder.has_candidates or not request_threshold or round(request_threshold, _MILLIONTHS) >= least:
        return
    raise errors.out_of_range(
        f"score_threshold is {request_threshold:g}, and the results have scores of {least:g} or more. {source.folder.reason}"
    )


class ResultReader:
    """Answers lists of results; keeps rankings between calls."""

    def __init__(self) -> None:
        self._rankings: RecentCache[Ranking] = RecentCache(MOST_RANKING_BYTES, lambda one: one.weight_bytes)

    def page(self, request: pb.ListResultsRequest, job: BatchJobFacts, source: Source) -> ListedResults:
        """Returns a page of results.

        Raises:
            ApiError: INVALID_ARGUMENT naming the field that is not possible; FAILED_PRECONDITION: the order needs
                candidates; as `shard.read`.
        """
        asked = wanted(request.filter, request.score_threshold, job)
        check_threshold(request.score_threshold, job, source)
        size = validation.page_size(request.page_size)
        if request.skip < 0:
            raise errors.invalid_argument("skip", f"{request.skip} is negative.")
        order, is_turned = filters.order(request.order_by, ORDERS)
        scope = f"results {request.parent} {request.filter} {order} {is_turned} {_threshold_key(asked.threshold)}"
        after = PageKey.from_token(request.page_token, scope)
        if order == "list_order":
            if is_turned:
                raise errors.invalid_argument("order_by", "list_order has no other direction.")
            start = _place(after)
            found, following = listing.page(source, asked, start._replace(skip=start.skip + request.skip), size)
            token = "" if following is None else _key(following).token(scope)
            return ListedResults(found, token, _total(source, asked), *listing.files_before(source, asked, following))
        ranked = self.ranking(source, asked, order, is_turned=is_turned, filter_text=request.filter)
        offset = (0 if after is None else after.create_time_us) + request.skip * (
            after is None or not _is_waiting(after)
        )
        return self._ranked_page(ranked, source, scope, min(offset, 1 << 40), size)

    def ranking(
        self, source: Source, asked: ResultSelection, order: str, *, is_turned: bool, filter_text: str
    ) -> Ranking:
        """A ranking, made some way further if it is not complete.

        Raises:
            ApiError: FAILED_PRECONDITION: the order needs candidates; as `shard.read`.
        """
        if order == "uncertainty" and not source.folder.has_candidates:
            raise errors.failed_precondition(f"The order by uncertainty needs candidates. {source.folder.reason}")
        key = (source.folder.identity, filter_text, order, is_turned, _threshold_key(asked.threshold))
        found = self._rankings.get(key)
        if found is None:
            found = Ranking(asked, order, is_turned=is_turned)
            self._rankings.put(key, found)
        found.extend(source)
        return found

    @staticmethod
    def _ranked_page(ranked: Ranking, source: Source, scope: str, offset: int, size: int) -> ListedResults:
        files = ranked.files(source)
        if not ranked.is_complete:
            return ListedResults([], PageKey(offset, f"w {ranked.shards_read}").token(scope), -1, *files)
        found, passed = ranked.page(source, offset, size)
        token = PageKey(offset + passed, "r").token(scope) if offset + passed < len(ranked) else ""
        total = -1 if len(ranked) >= ranking.MOST_RANKED else len(ranked)
        return ListedResults(list(found), token, total, *files)


def _threshold_key(threshold: Threshold) -> str:
    """What tells thresholds apart, those of single labels too."""
    only = None if threshold.only_labels is None else sorted(threshold.only_labels)
    return repr((threshold.score_threshold, sorted(threshold.label_thresholds.items()), only, threshold.max_boxes))


def place_of(name: names.ResultName) -> Place:
    """The place that a result's name says; NOT_FOUND if it says none."""
    match = _PLACE.fullmatch(name.result)
    if match is None:
        raise errors.not_found(f"Result {name} was not found.")
    return Place(bool(match[1]), int(match[2]), int(match[3]))


def result_id(found: Found) -> str:
    """The last part of a result's name."""
    if isinstance(found, FailedImage):
        return f"e{found.file}-{found.row}"
    return f"{found.shard.number}-{found.row}"


def answer(operation: names.OperationName, page: ListedResults, *, is_sure: bool) -> Any:
    """The response of ListResults; `is_sure`: uncertainty is left out, as there are no candidates."""
    response = pb.ListResultsResponse.pb(
        pb.ListResultsResponse(
            next_page_token=page.token,
            total_size=page.total,
            read_file_count=page.files_read,
            file_count=page.file_count,
        )
    )
    for one in page.found:
        result = response.results.add(name=str(operation.result(result_id(one))))
        if isinstance(one, FailedImage):
            result.image_id = one.id.encode("utf-8", "replace").decode()
            result.error.code, result.error.message = one.code, one.message
            continue
        table = one.shard.table
        result.image_id = table.ids[one.row].encode("utf-8", "replace").decode()
        result.width_px, result.height_px = int(table.width_px[one.row]), int(table.height_px[one.row])
        _add_annotations(result, one)
        if not is_sure:
            result.uncertainty, result.reason = ranking.reason_of(one)
    return pb.ListResultsResponse.wrap(response)


def _add_annotations(result: Any, image: FoundImage) -> None:
    start, end = image.results.offsets[image.row : image.row + 2]
    rows = image.results.rows[start:end]
    numbers = (image.shard.table.values[:, rows] / SCALE).T.tolist()
    for index, (score, *corners) in zip(image.shard.table.label_indices[rows].tolist(), numbers, strict=True):
        spec_id, name = image.shard.labels[index]
        payload = result.annotations.add(annotation_spec_id=spec_id, display_name=name)
        if not corners:
            payload.classification.score = score
            continue
        found = payload.image_object_detection
        found.score = score
        found.bounding_box.normalized_vertices.add(x=corners[0], y=corners[1])
        found.bounding_box.normalized_vertices.add(x=corners[2], y=corners[3])


def _total(source: Source, asked: ResultSelection) -> int:
    """How many results a list in the order of the files has; -1 if that is not known."""
    if not source.folder.is_final or any(term.field != "has_error" for term in asked.terms):
        return -1
    predicted = source.folder.images if asked.takes_results else 0
    return -1 if predicted < 0 else predicted + (source.folder.failed if asked.takes_errors else 0)


def _key(place: Place) -> PageKey:
    return PageKey(place.file, f"{'e' if place.is_error else 'p'} {place.row} {place.skip}")


def _place(after: PageKey | None) -> Place:
    if after is None:
        return Place()
    match = re.fullmatch(r"([ep]) (\d{1,9}) (\d{1,10})", after.id)
    if match is None:
        raise errors.invalid_argument("page_token", _NOT_OURS)
    return Place(match[1] == "e", after.create_time_us, int(match[2]), int(match[3]))


def _is_waiting(after: PageKey) -> bool:
    """Whether the place is that of a page that was not ready: its skip is counted already."""
    return after.id.startswith("w")
