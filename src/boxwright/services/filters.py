"""List filters: ``field = value``, ``!=``, ``field:*``, ``NOT``, ``AND``, quotes, both casings; ``<``, ``>`` for numbers.

parse, Term    what a filter says, for lists that are no table; `Term.holds` compares a number
apply          a filter as conditions of a query, by what each field means: `equals`, `number`, `one_of`, …
order          a list's order by the request
"""

from __future__ import annotations

import dataclasses
import math
import operator
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from boxwright import errors

MAX_FILTER_CHARS = 4000
_TERM = re.compile(
    r"""\s*(?P<negation>NOT\s+|-)?(?P<field>[A-Za-z][A-Za-z0-9_.]*)\s*
        (?:(?P<exists>:\s*\*)|(?P<operator>!=|<=|>=|<|>|=|:)\s*
        (?P<value>"(?:[^"\\]|\\["\\]|\\(?!["\\]))*"|'(?:[^'\\]|\\['\\]|\\(?!['\\]))*'|[^\s"'<>=][^\s"']*))\s*""",
    re.VERBOSE,
)
_ESCAPED = re.compile(r"""\\(["'\\])""")
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_AND = re.compile(r"AND\s+", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Term:
    """One comparison: ``field:*`` has the value None.

    Attributes:
        field: in snake_case, whatever the caller wrote.
        value: without its quotes.
        negated: whether it must not hold.
        comparison: ``=``, ``<``, ``<=``, ``>`` or ``>=``.
    """

    field: str
    value: str | None
    negated: bool
    comparison: str = "="

    @property
    def number(self) -> float:
        """The value as a finite number; INVALID_ARGUMENT if it is none."""
        try:
            found = float(self.value or "")
        except ValueError:
            found = math.nan
        if not math.isfinite(found):
            raise errors.invalid_argument("filter", f"{self.field} is compared with a number, as in {self.field}>=2.")
        return found

    def holds(self, number: float | None) -> bool:
        """Whether a number is as the term says, negation included; None, where there is no number, is so of none."""
        return (number is not None and bool(_COMPARISONS[self.comparison](number, self.number))) != self.negated


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
        meaning = clauses[term.field]
        if term.comparison != "=" and not isinstance(meaning, _Number):
            raise errors.invalid_argument("filter", f"Field '{term.field}' is no number; compare it with = or !=.")
        clause = meaning(term)
        query = query.where(sa.not_(clause) if term.negated else clause)
    return query


def equals(column: sa.Column[Any]) -> Clause:
    """The meaning of ``field = value`` (and ``field:*``: not empty) on a text column."""
    return lambda term: column != "" if term.value is None else column == term.value


def one_of(column: sa.Column[Any], values: Sequence[str]) -> Clause:
    """The meaning of ``field = value`` on a column that has one of these values."""

    def clause(term: Term) -> sa.ColumnElement[bool]:
        if term.value not in values:
            raise errors.invalid_argument("filter", f"{term.field} is one of: {', '.join(values)}.")
        return column == term.value

    return clause


@dataclasses.dataclass(frozen=True)
class _Number:
    column: sa.ColumnElement[Any]

    def __call__(self, term: Term) -> sa.ColumnElement[bool]:
        compared: sa.ColumnElement[bool] = _COMPARISONS[term.comparison](self.column, term.number)
        return sa.and_(self.column.is_not(None), compared)  # so that what has no number is in the negation


def number(column: sa.ColumnElement[Any]) -> Clause:
    """The meaning of ``field < value`` and the other comparisons; NULL is like no number."""
    return _Number(column)


def order(text: str, known: Collection[str]) -> tuple[str, bool]:
    """Reads ``field``, ``field asc`` or ``field desc``; returns the field in snake_case and whether it is turned round.

    Args:
        text: of a request; empty: the first of `known`.
        known: the fields that the list can be ordered by.

    Raises:
        ApiError: INVALID_ARGUMENT with the fields that there are.
    """
    field, _, direction = " ".join(text.split()).partition(" ")
    field = _snake_case(field) or next(iter(known))
    if field not in known or direction not in ("", "asc", "desc"):
        raise errors.invalid_argument(
            "order_by", f"'{text[:80]}' is no order of this list: {', '.join(known)}, each with or without ' desc'."
        )
    return field, direction == "desc"


def existence(test: Callable[[str], sa.ColumnElement[bool]], field: str) -> Clause:
    """The meaning of ``field:*`` for a field that can only be asked for its existence."""

    def clause(term: Term) -> sa.ColumnElement[bool]:
        if term.value is not None:
            raise errors.invalid_argument("filter", f"Field '{field}' can only be tested for existence, as {field}:*.")
        return test(field)

    return clause


def _term(match: re.Match[str]) -> Term:
    value = None if match["exists"] else _unquoted(match["value"])
    negated = (match["negation"] is not None) != (match["operator"] == "!=")
    comparison = match["operator"] if match["operator"] in _COMPARISONS else "="
    return Term(_snake_case(match["field"]), value, negated, comparison)


def _unquoted(value: str) -> str:
    """A value without the quotes around it; in quotes, a backslash is before a quote or another backslash."""
    return _ESCAPED.sub(r"\1", value[1:-1]) if value[0] in "\"'" else value


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
        f"Cannot understand the filter at '{rest[:80]}'; terms look like field=value, field!=value, field:* or "
        "number>=1, joined by AND.",
    )
