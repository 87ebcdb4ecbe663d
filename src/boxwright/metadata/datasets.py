"""Rows of datasets: datasets, annotation specs, examples and annotations. Statements only, no rules."""

import dataclasses
from collections.abc import Callable, Collection, Container, Iterable, Iterator
from typing import Any

import sqlalchemy as sa

from boxwright import states
from boxwright.metadata.example_counts import recount, touch
from boxwright.metadata.schema import (
    annotation_specs,
    annotations,
    changes,
    datasets,
    examples,
    former_annotations,
    former_examples,
)

INSERT_BATCH_ROWS = 2000
MAX_DISPLAY_NAME_CHARS = 255
_KEPT: set[tuple[Any, ...]] = {("kept",)}  # in place of annotations: of an example that stays as it is
_ANNOTATION_COLUMNS = ("example_id", "annotation_spec_id", "x_min", "y_min", "x_max", "y_max", "source", "score")
_SOURCES = {
    states.ExampleState.SUGGESTED: states.AnnotationSource.MODEL
}  # of annotations, by the state of their example


def insert(connection: sa.Connection, values: dict[str, Any]) -> None:
    """Adds a dataset row."""
    connection.execute(datasets.insert().values(**values))


def find(connection: sa.Connection, project: str, location: str, dataset_id: str) -> sa.Row[Any] | None:
    """Returns the dataset's row, or None."""
    return connection.execute(
        sa.select(datasets).where(
            datasets.c.project == project, datasets.c.location == location, datasets.c.id == dataset_id
        )
    ).first()


def select_of(project: str, location: str) -> sa.Select[Any]:
    """The query for a location's datasets, to be filtered and paged."""
    return sa.select(datasets).where(datasets.c.project == project, datasets.c.location == location)


def update(connection: sa.Connection, dataset_id: str, values: dict[str, Any]) -> None:
    """Changes columns of one dataset row."""
    connection.execute(datasets.update().where(datasets.c.id == dataset_id).values(**values))


def delete(connection: sa.Connection, dataset_id: str) -> None:
    """Removes the dataset with its specs, examples and annotations."""
    mine = sa.select(examples.c.id).where(examples.c.dataset_id == dataset_id)
    connection.execute(annotations.delete().where(annotations.c.example_id.in_(mine)))
    connection.execute(examples.delete().where(examples.c.dataset_id == dataset_id))
    connection.execute(annotation_specs.delete().where(annotation_specs.c.dataset_id == dataset_id))
    made = sa.select(changes.c.id).where(changes.c.dataset_id == dataset_id)
    for table in (former_annotations, former_examples):
        connection.execute(table.delete().where(table.c.change_id.in_(made)))
    connection.execute(changes.delete().where(changes.c.dataset_id == dataset_id))
    connection.execute(datasets.delete().where(datasets.c.id == dataset_id))


def has_images_below(connection: sa.Connection, folder: str, dataset_id: str | None = None) -> bool:
    """Whether any image of a dataset, or of any at all, is below a folder."""
    wanted = examples.c.uri.startswith(folder, autoescape=True)
    if dataset_id is not None:
        wanted &= examples.c.dataset_id == dataset_id
    return bool(connection.execute(sa.select(sa.exists().where(wanted))).scalar_one())


def specs(connection: sa.Connection, dataset_id: str) -> list[tuple[str, str]]:
    """Returns (id, display name) of the dataset's annotation specs, ordered by display name."""
    rows = connection.execute(
        sa.select(annotation_specs.c.id, annotation_specs.c.display_name)
        .where(annotation_specs.c.dataset_id == dataset_id)
        .order_by(annotation_specs.c.display_name)
    )
    return [(row.id, row.display_name) for row in rows]


def find_spec(connection: sa.Connection, dataset_id: str, spec_id: str) -> sa.Row[Any] | None:
    """Returns the annotation spec's row, or None."""
    return connection.execute(
        sa.select(annotation_specs).where(annotation_specs.c.dataset_id == dataset_id, annotation_specs.c.id == spec_id)
    ).first()


def examples_per_spec(
    connection: sa.Connection, dataset_id: str, uses: Collection[states.MlUse] = tuple(states.MlUse)
) -> dict[str, int]:
    """Counts, per annotation spec id, the examples of these ML uses that carry it; what is only proposed does not count."""
    rows = connection.execute(
        sa.select(annotations.c.annotation_spec_id, sa.func.count(sa.distinct(annotations.c.example_id)))
        .join(examples, examples.c.id == annotations.c.example_id)
        .where(
            examples.c.dataset_id == dataset_id,
            examples.c.ml_use.in_(uses),
            examples.c.state != states.ExampleState.SUGGESTED,
        )
        .group_by(annotations.c.annotation_spec_id)
    )
    return {row[0]: row[1] for row in rows}


def proposed_specs(connection: sa.Connection, dataset_id: str) -> set[str]:
    """Ids of the annotation specs that examples carry at whose labels nobody has looked."""
    rows = connection.execute(
        sa.select(annotations.c.annotation_spec_id)
        .join(examples, examples.c.id == annotations.c.example_id)
        .where(examples.c.dataset_id == dataset_id, examples.c.state == states.ExampleState.SUGGESTED)
        .distinct()
    )
    return {row[0] for row in rows}


def labelled_per_use(connection: sa.Connection, dataset_id: str) -> dict[str, int]:
    """Counts the dataset's labelled examples per ML use."""
    rows = connection.execute(
        sa.select(examples.c.ml_use, sa.func.count())
        .where(examples.c.dataset_id == dataset_id, examples.c.state == states.ExampleState.LABELED)
        .group_by(examples.c.ml_use)
    )
    return {row[0]: row[1] for row in rows}


@dataclasses.dataclass(frozen=True)
class KnownExample:
    """What a dataset has of one content already; `labels` in the order in which they were added."""

    uri: str
    ml_use: str
    labels: tuple[str, ...]
    state: str = states.ExampleState.LABELED.value


def known(connection: sa.Connection, dataset_id: str, sha256s: Collection[str]) -> dict[str, KnownExample]:
    """Returns those of the dataset's examples that have one of these contents, by content."""
    rows = connection.execute(
        sa.select(
            examples.c.sha256, examples.c.ml_use, examples.c.uri, examples.c.state, annotation_specs.c.display_name
        )
        .outerjoin(annotations, annotations.c.example_id == examples.c.id)
        .outerjoin(annotation_specs, annotation_specs.c.id == annotations.c.annotation_spec_id)
        .where(examples.c.dataset_id == dataset_id, examples.c.sha256.in_(sha256s))
        .group_by(examples.c.id, annotation_specs.c.id)  # their keys: all columns of theirs may be read
        .order_by(sa.func.min(annotations.c.id))
    )
    found: dict[str, KnownExample] = {}
    for row in rows:
        had = found.get(row.sha256, KnownExample(row.uri, row.ml_use, (), row.state))
        labels = had.labels if row.display_name is None else (*had.labels, row.display_name)
        found[row.sha256] = dataclasses.replace(had, labels=labels)
    return found


def merge(
    connection: sa.Connection,
    dataset_id: str,
    images: Iterable[dict[str, Any]],
    new_spec_id: Callable[[], str],
    *,
    has_one_label: bool = False,
) -> int:
    """Adds imported images and their annotations to a dataset; returns how many examples are new.

    An image whose content is already in the dataset keeps its row, and its annotations are appended; one that is there
    already, label and all four coordinates, is not added again. What was unlabelled becomes labelled by a labelled image.
    A proposal (state SUGGESTED) changes no labelled image; it takes the place of an earlier proposal, and a labelled image
    takes the place of both.

    Args:
        images: dicts with sha256, uri, ml_use, width_px, height_px, state and annotations: [(label, x_min, y_min, x_max,
            y_max), …], the coordinates None for a label of the image as a whole. They may have is_copy: an earlier one of
            the same import has the same content; display_name, otherwise the last part of uri; source, otherwise MODEL
            for a proposal and IMPORTED for others; scores, one for each annotation.
        new_spec_id: makes ids for labels not seen before.
        has_one_label: an example that has an annotation gets no other.
    """
    known_specs = {name: spec_id for spec_id, name in specs(connection, dataset_id)}
    added = 0
    pending: list[dict[str, Any]] = []
    seen_in: dict[int, set[tuple[Any, ...]]] = {}  # of this batch's examples, those not yet written included
    grown: set[int] = set()  # what was there already and has more now
    for image in images:
        example_id, had = _example(connection, dataset_id, image)
        added += had is None
        if had is _KEPT:
            continue
        seen = seen_in.setdefault(example_id, had or set())
        source = image.get("source") or _SOURCES.get(image["state"], states.AnnotationSource.IMPORTED)
        scores = image.get("scores") or (None,) * len(image["annotations"])
        for (label, *corners), score in zip(image["annotations"], scores, strict=True):
            if has_one_label and seen:
                break
            if label not in known_specs:
                known_specs[label] = new_spec_id()
                connection.execute(
                    annotation_specs.insert().values(id=known_specs[label], dataset_id=dataset_id, display_name=label)
                )
            annotation = (known_specs[label], *corners)
            if annotation not in seen:
                seen.add(annotation)
                if had is not None:
                    grown.add(example_id)
                pending.append(dict(zip(_ANNOTATION_COLUMNS, (example_id, *annotation, source, score), strict=True)))
        if len(pending) >= INSERT_BATCH_ROWS:
            connection.execute(annotations.insert(), pending)
            pending = []
    if pending:
        connection.execute(annotations.insert(), pending)
    _close_merge(connection, dataset_id, list(seen_in), grown)
    connection.execute(
        datasets.update().where(datasets.c.id == dataset_id).values(example_count=datasets.c.example_count + added)
    )
    return added


def _close_merge(connection: sa.Connection, dataset_id: str, ids: list[int], grown: set[int]) -> None:
    """Counts anew what a merge has changed: examples, and those of them that were there before."""
    for start in range(0, len(ids), INSERT_BATCH_ROWS):
        some = ids[start : start + INSERT_BATCH_ROWS]
        recount(connection, examples.c.id.in_(some))
        changed = examples.c.id.in_(grown.intersection(some))
        connection.execute(examples.update().where(changed).values(change_id=""))
    touch(connection, dataset_id)


def _example(
    connection: sa.Connection, dataset_id: str, image: dict[str, Any]
) -> tuple[int, set[tuple[Any, ...]] | None]:
    """Returns the example's id and its annotations: None if it is new, `_KEPT` if it stays as it is."""
    found = connection.execute(
        sa.select(examples.c.id, examples.c.state).where(
            examples.c.dataset_id == dataset_id, examples.c.sha256 == image["sha256"]
        )
    ).first()
    if found is None:
        values = {key: image[key] for key in ("sha256", "uri", "ml_use", "width_px", "height_px", "state")}
        values["display_name"] = display_name(image.get("display_name") or image["uri"])
        result = connection.execute(examples.insert().values(dataset_id=dataset_id, **values))
        key = result.inserted_primary_key
        assert key is not None
        return int(key[0]), None
    had, given = states.ExampleState(found.state), states.ExampleState(image["state"])
    if given is states.ExampleState.SUGGESTED and had is states.ExampleState.LABELED:
        return found.id, _KEPT
    is_next_proposal = given is states.ExampleState.SUGGESTED and not image.get("is_copy")
    if had is states.ExampleState.SUGGESTED and (given is states.ExampleState.LABELED or is_next_proposal):
        connection.execute(annotations.delete().where(annotations.c.example_id == found.id))
    if had is not states.ExampleState.LABELED and given is not states.ExampleState.UNLABELED:
        connection.execute(examples.update().where(examples.c.id == found.id).values(state=given, change_id=""))
    present = connection.execute(
        sa.select(
            annotations.c.annotation_spec_id,
            annotations.c.x_min,
            annotations.c.y_min,
            annotations.c.x_max,
            annotations.c.y_max,
        ).where(annotations.c.example_id == found.id)
    )
    return found.id, {tuple(annotation) for annotation in present}


def display_name(text: str) -> str:
    """The name of a file by its path or URI, as an example has it."""
    return text.rsplit("/", 1)[-1][:MAX_DISPLAY_NAME_CHARS]


def superseded(connection: sa.Connection, dataset_id: str) -> dict[int, str]:
    """Examples whose image was replaced at its address by one that was imported later: their ids, with the address."""
    newest = (
        sa.select(examples.c.uri, sa.func.max(examples.c.id).label("id"))
        .where(examples.c.dataset_id == dataset_id)
        .group_by(examples.c.uri)
        .having(sa.func.count() > 1)
        .subquery()
    )
    query = (
        sa.select(examples.c.id, examples.c.uri)
        .join(newest, examples.c.uri == newest.c.uri)
        .where(examples.c.dataset_id == dataset_id, examples.c.id != newest.c.id)
        .order_by(examples.c.id)
    )
    return {row.id: row.uri for row in connection.execute(query)}


@dataclasses.dataclass(frozen=True)
class Annotation:
    """A label of an image, in the order of import.

    Attributes:
        spec_id: of its annotation spec.
        label: the spec's display name.
        box: x_min, y_min, x_max, y_max in [0, 1]; None if it is of the image as a whole.
        source: name of `states.AnnotationSource`.
        score: that a model gave it, in [0, 1]; None if none did, or it is not known.
    """

    spec_id: str
    label: str
    box: tuple[float, float, float, float] | None
    source: str = states.AnnotationSource.IMPORTED.value
    score: float | None = None


@dataclasses.dataclass(frozen=True)
class Example:
    """An image of a dataset with its annotations."""

    uri: str
    sha256: str
    ml_use: str
    state: str
    annotations: tuple[Annotation, ...]


def examples_of(connection: sa.Connection, dataset_id: str, without: Container[int] = ()) -> Iterator[Example]:
    """Yields the dataset's examples, ordered by content hash, without those of these ids."""
    label_of = dict(specs(connection, dataset_id))
    rows = connection.execution_options(yield_per=INSERT_BATCH_ROWS).execute(
        sa.select(examples).where(examples.c.dataset_id == dataset_id).order_by(examples.c.sha256)
    )
    for row in rows:
        if row.id in without:
            continue
        found = connection.execute(
            sa.select(annotations).where(annotations.c.example_id == row.id).order_by(annotations.c.id)
        )
        yield Example(
            row.uri,
            row.sha256,
            row.ml_use,
            row.state,
            tuple(
                Annotation(
                    one.annotation_spec_id,
                    label_of[one.annotation_spec_id],
                    None if one.x_min is None else (one.x_min, one.y_min, one.x_max, one.y_max),
                )
                for one in found
            ),
        )
