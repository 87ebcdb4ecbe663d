"""Changes of many examples that can be taken back: what was before is kept in tables. Statements only, no rules.

keep      examples and their annotations as they are before a change
marked    which examples are as a change has left them
revert    what was before, in the place of what is
prune     changes that are too old or too many are forgotten
sweep     former rows of changes that are forgotten

An example's `change_id` names the change that has left it as it is. Whoever else changes an example empties it, so that
`revert` touches nothing that somebody has changed since.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from boxwright.metadata import example_counts
from boxwright.metadata.schema import (
    annotation_specs,
    annotations,
    changes,
    datasets,
    examples,
    former_annotations,
    former_examples,
)

_SHARED = ("sha256", "uri", "ml_use", "width_px", "height_px", "state", "author", "update_time_us", "display_name")
_REVERTED = ("ml_use", "state", "author", "update_time_us")
_ANNOTATION = ("example_id", "annotation_spec_id", "x_min", "y_min", "x_max", "y_max", "source", "score")
_CORNERS = ("x_min", "y_min", "x_max", "y_max")


def find(connection: sa.Connection, dataset_id: str, change_id: str) -> sa.Row[Any] | None:
    """Returns the change's row, or None."""
    return connection.execute(
        sa.select(changes).where(changes.c.dataset_id == dataset_id, changes.c.id == change_id)
    ).first()


def keep(
    connection: sa.Connection,
    change: dict[str, Any],
    which: sa.ColumnElement[bool],
    specs: Sequence[Sequence[str]],
) -> int:
    """Keeps examples with their annotations, before they are changed; returns how many.

    Args:
        change: id, dataset_id, create_time_us and has_deleted.
        which: condition on rows of `examples`.
        specs: [id, display name, colour, hot key] of the dataset's labels; empty: the change leaves all annotations as they
            are, and they are not kept.
    """
    own = sa.literal(change["id"])
    kept = sa.select(own, examples.c.id, *(examples.c[name] for name in _SHARED), examples.c.change_id).where(
        examples.c.dataset_id == change["dataset_id"], which
    )
    columns = ["change_id", "example_id", *_SHARED, "former_change_id"]
    count = connection.execute(former_examples.insert().from_select(columns, kept)).rowcount
    if specs:
        theirs = sa.select(own, annotations.c.id, *(annotations.c[name] for name in _ANNOTATION)).where(
            annotations.c.example_id.in_(_former_ids(change["id"]))
        )
        columns = ["change_id", "annotation_id", *_ANNOTATION]
        connection.execute(former_annotations.insert().from_select(columns, theirs))
    connection.execute(changes.insert().values(**change, example_count=count, specs=[list(spec) for spec in specs]))
    return int(count)


def kept_by(change_id: str) -> sa.ColumnElement[bool]:
    """Condition on rows of `examples`: the change has kept them."""
    return examples.c.id.in_(_former_ids(change_id))


def marked(change_id: str) -> sa.ColumnElement[bool]:
    """Condition on rows of `examples`: the change has kept them, and nobody has changed them since."""
    return sa.and_(kept_by(change_id), examples.c.change_id == change_id)


def delete_examples(connection: sa.Connection, dataset_id: str, which: sa.ColumnElement[bool]) -> int:
    """Takes examples out of a dataset, with their annotations; returns how many."""
    mine = sa.select(examples.c.id).where(examples.c.dataset_id == dataset_id, which)
    connection.execute(annotations.delete().where(annotations.c.example_id.in_(mine)))
    count = int(connection.execute(examples.delete().where(examples.c.dataset_id == dataset_id, which)).rowcount)
    _add_to_count(connection, dataset_id, -count)
    return count


def drop_repeated(connection: sa.Connection, which: sa.ColumnElement[bool]) -> None:
    """Leaves one of annotations of an example that have the same label and box."""
    first = annotations.alias()
    same = [first.c[name].is_not_distinct_from(annotations.c[name]) for name in _CORNERS]
    repeated = sa.exists(
        sa.select(first.c.id).where(
            first.c.example_id == annotations.c.example_id,
            first.c.annotation_spec_id == annotations.c.annotation_spec_id,
            first.c.id < annotations.c.id,
            *same,
        )
    )
    mine = sa.select(examples.c.id).where(which)
    connection.execute(annotations.delete().where(annotations.c.example_id.in_(mine), repeated))


def revert(connection: sa.Connection, change: sa.Row[Any], *, has_merged: bool) -> int:
    """Gives examples back what they were before a change, as far as nobody has changed them since; forgets the change.

    The labels of the former annotations are to be there: see `respecify`.

    Args:
        has_merged: what `respecify` has returned.

    Returns:
        How many examples are as before.
    """
    change_id, former = change.id, former_examples
    restored = _restore_deleted(connection, change) if change.has_deleted else 0
    mine = marked(change_id)
    values = {name: former.c[name] for name in _REVERTED} | {"change_id": former.c.former_change_id}
    if change.specs:
        ids = sa.select(examples.c.id).where(mine)
        connection.execute(annotations.delete().where(annotations.c.example_id.in_(ids)))
        theirs = (
            sa.select(*(former_annotations.c[name] for name in _ANNOTATION))
            .where(former_annotations.c.change_id == change_id, former_annotations.c.example_id.in_(ids))
            .order_by(former_annotations.c.annotation_id)
        )
        connection.execute(annotations.insert().from_select(list(_ANNOTATION), theirs))
        if has_merged:
            drop_repeated(connection, mine)
        values |= example_counts.counted()
    kept = (former.c.change_id == change_id, former.c.example_id == examples.c.id, examples.c.change_id == change_id)
    count = connection.execute(examples.update().where(*kept).values(**values)).rowcount
    _add_to_count(connection, change.dataset_id, restored)
    forget(connection, [change_id])
    return int(count)


def respecify(connection: sa.Connection, change: sa.Row[Any]) -> bool:
    """Makes sure that the labels of a change's former annotations are there.

    One that is gone is made again as it was, without its hot key if that is taken; where a label has its name by now, that
    one takes its place. Returns whether one has: then annotations may be there twice.
    """
    has_merged = False
    rows = connection.execute(
        sa.select(annotation_specs).where(annotation_specs.c.dataset_id == change.dataset_id)
    ).all()
    ids, by_name, keys = (
        {row.id for row in rows},
        {row.display_name: row.id for row in rows},
        {row.hot_key for row in rows},
    )
    used = set(
        connection.execute(
            sa.select(former_annotations.c.annotation_spec_id)
            .where(former_annotations.c.change_id == change.id)
            .distinct()
        ).scalars()
    )
    for spec_id, name, colour, hot_key in change.specs:
        if spec_id in ids or spec_id not in used:
            continue
        if name in by_name:
            connection.execute(
                former_annotations.update()
                .where(former_annotations.c.change_id == change.id, former_annotations.c.annotation_spec_id == spec_id)
                .values(annotation_spec_id=by_name[name])
            )
            has_merged = True
            continue
        values = {"id": spec_id, "dataset_id": change.dataset_id, "display_name": name, "colour": colour}
        values["hot_key"] = "" if hot_key in keys else hot_key
        connection.execute(annotation_specs.insert().values(**values))
    return has_merged


def forget(connection: sa.Connection, change_ids: Sequence[str]) -> None:
    """Changes cannot be taken back any more; what was kept for them goes with `sweep`."""
    connection.execute(changes.delete().where(changes.c.id.in_(change_ids)))


def sweep(connection: sa.Connection, most_rows: int) -> bool:
    """Deletes former rows of changes that are forgotten, some at a time: others wait for a transaction's end.

    Returns:
        Whether there may be more.
    """
    known = set(connection.execute(sa.select(changes.c.id)).scalars())
    for table, key in ((former_annotations, "annotation_id"), (former_examples, "example_id")):
        last = ""
        while (
            last := connection.scalar(sa.select(sa.func.min(table.c.change_id)).where(table.c.change_id > last))
        ) is not None:
            if last in known:
                continue
            mine = sa.select(table.c[key]).where(table.c.change_id == last).limit(most_rows)
            connection.execute(table.delete().where(table.c.change_id == last, table.c[key].in_(mine)))
            return True
    return False


def prune(connection: sa.Connection, dataset_id: str, *, since_us: int, most_examples: int) -> None:
    """Forgets old changes of any dataset, and those of this one beyond a number of examples.

    The newest change of a dataset stays, however many examples it has.
    """
    old = list(connection.execute(sa.select(changes.c.id).where(changes.c.create_time_us < since_us)).scalars())
    total = 0
    mine = connection.execute(
        sa.select(changes.c.id, changes.c.example_count)
        .where(changes.c.dataset_id == dataset_id, changes.c.create_time_us >= since_us)
        .order_by(changes.c.create_time_us.desc(), changes.c.id)
    )
    for index, row in enumerate(mine.all()):
        total += row.example_count
        if index and total > most_examples:
            old.append(row.id)
    if old:
        forget(connection, old)


def _former_ids(change_id: str) -> sa.Select[Any]:
    return sa.select(former_examples.c.example_id).where(former_examples.c.change_id == change_id)


def _restore_deleted(connection: sa.Connection, change: sa.Row[Any]) -> int:
    """Puts examples that a change has deleted back in, without annotations; returns how many.

    They get the places that they had, so the order of the import is as before; where another example has the place by now,
    a new one at the end.
    """
    former, other = former_examples, examples.alias()
    mine = sa.and_(
        former.c.change_id == change.id,
        ~sa.exists(
            sa.select(other.c.id).where(other.c.dataset_id == change.dataset_id, other.c.sha256 == former.c.sha256)
        ),
    )
    taken = sa.exists(sa.select(other.c.id).where(other.c.id == former.c.example_id))
    shared = [former.c[name] for name in _SHARED]
    fixed = {"dataset_id": change.dataset_id, "change_id": change.id}
    moved = connection.execute(sa.select(former.c.example_id, *shared).where(mine, taken)).all()
    rows = sa.select(former.c.example_id, *shared, *(sa.literal(value) for value in fixed.values())).where(mine, ~taken)
    insert = examples.insert().from_select(["id", *_SHARED, *fixed], rows)
    count = int(connection.execute(insert).rowcount)
    for row in moved:
        values = dict(zip(_SHARED, row[1:], strict=True))
        key = connection.execute(examples.insert().values(**values, **fixed)).inserted_primary_key
        assert key is not None
        for table in (former_examples, former_annotations):
            kept = sa.and_(table.c.change_id == change.id, table.c.example_id == row.example_id)
            connection.execute(table.update().where(kept).values(example_id=key[0]))
    return count + len(moved)


def _add_to_count(connection: sa.Connection, dataset_id: str, number: int) -> None:
    """Changes how many examples a dataset says that it has."""
    count = datasets.c.example_count + number
    connection.execute(datasets.update().where(datasets.c.id == dataset_id).values(example_count=count))
