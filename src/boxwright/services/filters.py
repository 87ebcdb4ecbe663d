"""List filters: ``field = value``, ``field != value``, ``field:*``, ``NOT``, ``AND``, quotes, both casings."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from boxwright import errors

MAX_FILTER_CHARS = 4000
_TERM = re.compile(
    r"""\s*(?P<negation>NOT\s+|-)?(?P<field>[A-Za-z][A-Za-z0-9_.]*)\s*
        (?:(?P<exists>:\s*\*)|(?P<operator>!=|=|:)\s*(?P<value>"[^"]*"|'[^']*'|[^\s"']+))\s*""",
    re.VERBOSE,
)
_AND = re.compile(r"AND\s+", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Term:
    """One comparison: ``field:*`` has the value None."""

    field: str  # snake_case, whatever the caller wrote
    value: str | None
    negated: bool


Clause = Callable[[Term], sa.ColumnElement[bool]]


def parse(text: str) -> list[Term]:
    """Parses a filter into terms that must all hold; an empty filter has none.

    Raises:
        ApiError: INVALID_ARGUMENT quoting the part that is not understood.
    """
    text = _without_outer_quotes(text.strip())
    if len(text) > MAX_FILTER_CHARS:
        raise errors.invalid_argument("filter", f"The filter is longer than {MAX_FILTER_CHARS} characters.")
    terms: list[Term] = []
    position = 0
    while position < len(text):
        if terms:
            joined = _AND.match(text, position)
            if joined is None:
                raise _not_understood(text[position:])
            position = joined.end()
        match = _TERM.match(text, position)
        if match is None:
            raise _not_understood(text[position:])
        terms.append(_term(match))
        position = match.end()
    return terms


def apply(query: sa.Select[Any], text: str, clauses: Mapping[str, Clause]) -> sa.Select[Any]:
    """Narrows a query by a filter; `clauses` says what each field means. Unknown fields are INVALID_ARGUMENT."""
    for term in parse(text):
        if term.field not in clauses:
            known = ", ".join(sorted(clauses))
            raise errors.invalid_argument("filter", f"Unknown field '{term.field}'; this list filters by: {known}.")
        clause = clauses[term.field](term)
        query = query.where(sa.not_(clause) if term.negated else clause)
    return query


def equals(column: sa.Column[Any]) -> Clause:
    """The meaning of ``field = value`` (and ``field:*``: not empty) on a text column."""
    return lambda term: column != "" if term.value is None else column == term.value


def existence(test: Callable[[str], sa.ColumnElement[bool]], field: str) -> Clause:
    """The meaning of ``field:*`` for a field that can only be asked for its existence."""

    def clause(term: Term) -> sa.ColumnElement[bool]:
        if term.value is not None:
            raise errors.invalid_argument("filter", f"Field '{field}' can only be tested for existence, as {field}:*.")
        return test(field)

    return clause


def _term(match: re.Match[str]) -> Term:
    value = None if match["exists"] else match["value"].strip("\"'")
    negated = (match["negation"] is not None) != (match["operator"] == "!=")
    return Term(_snake_case(match["field"]), value, negated)


def _snake_case(field: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda letter: "_" + letter[1].lower(), field)


def _without_outer_quotes(text: str) -> str:
    """Documentation pages show whole filters in quotes; one pair around everything is dropped."""
    if len(text) >= 2 and text[0] == text[-1] == '"' and '"' not in text[1:-1]:
        return text[1:-1]
    return text


def _not_understood(rest: str) -> errors.ApiError:
    return errors.invalid_argument(
        "filter",
        f"Cannot understand the filter at '{rest[:80]}'; terms look like field=value, field!=value or field:*, "
        "joined by AND.",
    )
