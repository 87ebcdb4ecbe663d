"""Lists of a dataset's examples: what their filters mean, and their pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from boxwright import curation_messages as pb
from boxwright import errors, states
from boxwright.metadata import database, examples
from boxwright.metadata.schema import examples as table
from boxwright.services import filters, validation

MAX_NUMBER_DIGITS = 18  # of what a database can hold
EVERYTHING = "*"  # a filter of changes that lets all examples pass: an empty one says nothing


def filtered(dataset_id: str, text: str) -> sa.Select[Any]:
    """The query for those examples of a dataset that a filter lets pass.

    Raises:
        ApiError: INVALID_ARGUMENT quoting the part that is not understood.
    """
    clauses = {
        "label": lambda term: examples.carries(dataset_id, term.value),
        "state": filters.one_of(table.c.state, tuple(states.ExampleState)),
        "ml_use": filters.one_of(table.c.ml_use, tuple(states.MlUse)),
        "uri": lambda term: table.c.uri.contains(term.value or "", autoescape=True),
        "author": filters.equals(table.c.author),
        "source": _source,
        "boxes": filters.number(table.c.annotation_count),
        "min_edge_px": filters.number(table.c.min_edge_px),
    }
    return filters.apply(examples.select_of(dataset_id), text, clauses)


class ExampleSelection:
    """Which part of a dataset's examples a request asks for.

    Raises:
        ApiError: INVALID_ARGUMENT naming the field that is not possible.
    """

    def __init__(self, request: pb.ListExamplesRequest, dataset_id: str) -> None:
        self.size = validation.page_size(request.page_size)
        if request.skip < 0:
            raise errors.invalid_argument("skip", f"{request.skip} is negative.")
        self._skip = request.skip
        self._order, self._is_turned = filters.order(request.order_by, tuple(examples.ORDERS))
        self.query = filtered(dataset_id, request.filter)
        self._scope = f"examples {request.parent} {request.filter}"
        if (self._order, self._is_turned) != ("import_order", False):
            self._scope += f" {self._order} {self._is_turned}"
        self._after = database.PageKey.from_token(request.page_token, self._scope)

    def rows(self, connection: sa.Connection) -> tuple[Sequence[sa.Row[Any]], str]:
        """The page's rows, and the token of the next page; empty if there is none."""
        page = examples.page_of(
            self.query,
            after=self._place(),
            order=self._order,
            is_turned=self._is_turned,
            skip=self._skip,
            limit=self.size + 1,
        )
        rows = connection.execute(page).all()
        if len(rows) <= self.size:
            return rows, ""
        last = rows[self.size - 1]
        value = "" if self._order == "import_order" else str(getattr(last, examples.ORDERS[self._order].name))
        return rows[: self.size], database.PageKey(last.id, value).token(self._scope)

    def _place(self) -> tuple[int, Any] | None:
        if self._after is None:
            return None
        text = self._after.id
        if self._order in ("import_order", "display_name"):
            return self._after.create_time_us, text
        if not text.isdecimal() or len(text) > MAX_NUMBER_DIGITS:
            raise errors.invalid_argument("page_token", "This is not a page token of this service.")
        return self._after.create_time_us, int(text)


def _source(term: filters.Term) -> sa.ColumnElement[bool]:
    if term.value not in tuple(states.AnnotationSource):
        raise errors.invalid_argument("filter", f"source is one of: {', '.join(states.AnnotationSource)}.")
    return examples.has_source(term.value)
