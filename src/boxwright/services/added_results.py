"""Results of a batch prediction that go into a dataset: what a call keeps with its operation, which reads them.

The operation is an import whose list is the batch prediction. No list of a caller has such a name.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

from google.cloud.automl_v1 import types

from boxwright import errors, names, objects
from boxwright.batch.output.candidates import SCALE
from boxwright.batch.results import folder, listing
from boxwright.batch.results.listing import Found, FoundImage, Place, Source
from boxwright.batch.results.ranking import Ranking
from boxwright.batch.results.shard import FailedImage
from boxwright.batch.results.wanted import Threshold
from boxwright.services import filters, result_lists
from boxwright.services.result_lists import BatchJobFacts

PARAM = "results"
MOST_NAMES = 1000
_PAGE = 500  # results that are read at once


@dataclasses.dataclass(frozen=True)
class AddedResults:
    """Which results are added; JSON in, JSON out.

    Attributes:
        operation: name of the batch prediction.
        output_directory: where its results are.
        kind: of its model.
        threshold: fields of `Threshold` that the job has.
        score_threshold: of the request; 0 for that of the job.
        places: names of the results; none: those that the filter lets pass.
        filter: of the request.
        order: of the request, as `filters.order` reads it.
        is_turned: whether the order is turned round.
        limit: at most so many; 0 for all.
        state: of the examples that are made: an example's state by name.
    """

    operation: str
    output_directory: str
    kind: str
    threshold: list[Any]
    score_threshold: float
    places: list[str]
    filter: str
    order: str
    is_turned: bool
    limit: int
    state: str

    def to_import(self, dataset: names.DatasetName) -> types.ImportDataRequest:
        """The request that the operation keeps."""
        config = types.InputConfig(
            gcs_source=types.GcsSource(input_uris=[self.operation]),
            params={
                PARAM: json.dumps(dataclasses.asdict(self)),
                "reviewed": "false" if self.state == "SUGGESTED" else "true",
            },
        )
        return types.ImportDataRequest(name=str(dataset), input_config=config)

    @property
    def job(self) -> BatchJobFacts:
        """The facts of the batch prediction."""
        return BatchJobFacts(self.kind, Threshold(*self.threshold))

    def images(self, stores: objects.Stores) -> Iterator[dict[str, Any]]:
        """Yields the results in their order: ``id``, ``failure`` (None if there is a prediction), and ``found``.

        ``found`` is a list of (label, corners or None, score), the best first. Corners are fractions of the sides.

        Args:
            stores: limited to what the caller may read.

        Raises:
            ApiError: the folder cannot be read, as `folder.opened` and `shard.read`; NOT_FOUND: a result is not there.
        """
        uri = objects.ObjectUri.parse(self.output_directory)
        source = Source(stores, folder.opened(stores, uri, self.kind), self.kind)
        result_lists.check_threshold(self.score_threshold, self.job, source)
        found = _named(self, source) if self.places else _listed(self, source)
        yield from map(_as_row, itertools.islice(found, self.limit or None))


def of_import(request: types.ImportDataRequest) -> AddedResults | None:
    """What an import adds; None if its lists are objects."""
    lists = list(request.input_config.gcs_source.input_uris)
    if len(lists) != 1 or not lists[0].startswith("projects/"):
        return None
    return AddedResults(**json.loads(request.input_config.params[PARAM]))


def _listed(added: AddedResults, source: Source) -> Iterator[Found]:
    asked = result_lists.wanted(added.filter, added.score_threshold, added.job)
    if added.order == "list_order":
        place: Place | None = Place()
        while place is not None:
            found, place = listing.page(source, asked, place, _PAGE)
            yield from (one for one in found if isinstance(one, FoundImage))
            if place is not None and place.is_error:
                return  # what follows has no prediction
        return
    ranked = Ranking(asked, added.order, is_turned=added.is_turned)
    while not ranked.is_complete:
        ranked.extend(source)
    start = 0
    while start < len(ranked):
        some, passed = ranked.page(source, start, _PAGE)
        start += passed
        yield from some


def _named(added: AddedResults, source: Source) -> Iterator[Found]:
    asked = result_lists.wanted("", added.score_threshold, added.job)
    places = sorted({result_lists.place_of(names.ResultName.parse(text)) for text in added.places})
    former: FoundImage | None = None
    for place in places:
        if former is not None and not place.is_error and former.shard.number == place.file:
            found: Found | None = (
                dataclasses.replace(former, row=place.row) if place.row < len(former.shard.table) else None
            )
        else:
            found = listing.image_at(source, asked, place)
        if found is None:
            raise errors.not_found(f"Result {added.operation}/results/{_text(place)} was not found.")
        former = found if isinstance(found, FoundImage) else former
        yield found


def _text(place: Place) -> str:
    return f"{'e' if place.is_error else ''}{place.file}-{place.row}"


def _as_row(found: Found) -> dict[str, Any]:
    if isinstance(found, FailedImage):
        return {"id": found.id, "failure": f"it has no prediction: {found.message}", "found": []}
    start, end = found.results.offsets[found.row : found.row + 2]
    rows = found.results.rows[start:end]
    table = found.shard.table
    numbers = (table.values[:, rows] / SCALE).T.tolist()
    labels = [found.shard.labels[index][1] for index in table.label_indices[rows].tolist()]
    listed = [(label, tuple(corners) or None, score) for label, (score, *corners) in zip(labels, numbers, strict=True)]
    return {"id": table.ids[found.row], "failure": None, "found": listed}


def facts(params: Mapping[str, str]) -> dict[str, Any]:
    """What readers of the operation's progress are told."""
    added = json.loads(params[PARAM])
    told = {"results_of": added["operation"], "state": added["state"]}
    return told | {key: added[key] for key in ("filter", "order", "limit") if added[key]}


def order_of(text: str) -> tuple[str, bool]:
    """Reads the order of a request; raises as `filters.order`."""
    return filters.order(text, result_lists.ORDERS)
