"""`boxwright.v1.Curation`: many examples changed or deleted at once, and such a change taken back."""

import dataclasses
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from boxwright import curation_messages as pb
from boxwright import errors, kinds, names, states
from boxwright.callers import Caller
from boxwright.metadata import annotation_specs, changes, database, example_counts, examples
from boxwright.metadata.schema import annotations
from boxwright.metadata.schema import examples as table
from boxwright.services import example_lists, messages
from boxwright.services.example_labels import MAX_ANNOTATIONS
from boxwright.services.resources import DAY_US, Resources

MAX_NAMES = 1000
MAX_EXAMPLES = 100_000  # of one call: other writers wait for its end, and leases of operations last some seconds
SWEPT_ROWS = 20_000  # of one transaction that deletes former rows
State, Source = states.ExampleState, states.AnnotationSource
_Condition = sa.ColumnElement[bool]


@dataclasses.dataclass(frozen=True)
class _Wanted:
    """What a request makes of examples; spec ids, empty where it says nothing."""

    ml_use: str = ""
    state: str = ""
    adds: str = ""
    removes: str = ""
    relabels: tuple[str, str] = ("", "")

    @property
    def keeps_labels(self) -> bool:
        """Whether it leaves labels and states as they are."""
        return dataclasses.replace(self, ml_use="") == _Wanted()


class BulkMethods(Resources):
    """The methods about many examples."""

    def batch_update_examples(
        self, request: pb.BatchUpdateExamplesRequest, caller: Caller
    ) -> pb.BatchUpdateExamplesResponse:
        """Changes many examples in the same way, all or none."""
        name = self._named(names.DatasetName, request.parent, "parent")
        with self._db.write() as connection:
            dataset = self._dataset(connection, name, f"Dataset {name} was not found.")
            wanted = _wanted(connection, dataset, request)
            which = sa.and_(_selected(connection, name, request), _affected(wanted))
            apply = _apply(connection, dataset, wanted)
            count, change = self._change(connection, name, which, caller, apply, keeps_labels=wanted.keeps_labels)
        self._sweep()
        return pb.BatchUpdateExamplesResponse(updated_count=count, change=change)

    def batch_delete_examples(
        self, request: pb.BatchDeleteExamplesRequest, caller: Caller
    ) -> pb.BatchDeleteExamplesResponse:
        """Takes many examples out of a dataset, all or none."""
        name = self._named(names.DatasetName, request.parent, "parent")
        with self._db.write() as connection:
            self._dataset(connection, name, f"Dataset {name} was not found.")
            which = _selected(connection, name, request)
            count, change = self._change(connection, name, which, caller, None)
        self._sweep()
        return pb.BatchDeleteExamplesResponse(deleted_count=count, change=change)

    def revert_change(self, request: pb.RevertChangeRequest, caller: Caller) -> pb.RevertChangeResponse:
        """Takes a change back, as far as nobody has changed its examples since."""
        name = self._named(names.ChangeName, request.name, "name")
        dataset_name = name.parent.dataset(name.dataset)
        unknown = errors.not_found(
            f"Change {name} was not found. It was taken back already, or it is older than what is kept "
            f"({self._policy.undo_days:g} days)."
        )
        with self._db.write() as connection:
            self._dataset(connection, dataset_name, f"Dataset {dataset_name} was not found.")
            row = changes.find(connection, name.dataset, name.change)
            if row is None or row.create_time_us < self._kept_since_us(connection):
                raise unknown
            has_merged = changes.respecify(connection, row)
            count = changes.revert(connection, row, has_merged=has_merged)
            example_counts.touch(connection, name.dataset)
        self._sweep()
        return pb.RevertChangeResponse(reverted_count=count, kept_count=row.example_count - count)

    def _change(
        self,
        connection: sa.Connection,
        name: names.DatasetName,
        which: _Condition,
        caller: Caller,
        apply: Callable[[_Condition], None] | None,
        *,
        keeps_labels: bool = False,
    ) -> tuple[int, str]:
        """Keeps examples as they are, then changes them; returns how many, and the change's name if there are any.

        Args:
            which: condition on rows of `examples`.
            apply: changes the annotations, sets and states of those that a change has kept; None: they are deleted.
            keeps_labels: whether `apply` changes sets alone.
        """
        change_id = self._new_digits()
        change = {"id": change_id, "dataset_id": name.dataset, "create_time_us": database.now_us(connection)}
        specs = [] if keeps_labels else annotation_specs.all_of(connection, name.dataset)
        described = [(spec.id, spec.display_name, spec.colour, spec.hot_key) for spec in specs]
        count = changes.keep(connection, {**change, "has_deleted": apply is None}, which, described)
        if not count:
            changes.forget(connection, [change_id])
            return 0, ""
        kept = changes.kept_by(change_id)
        if apply is None:
            changes.delete_examples(connection, name.dataset, kept)
        else:
            apply(kept)
            values = {"author": caller.member, "update_time_us": change["create_time_us"], "change_id": change_id}
            if keeps_labels:
                connection.execute(table.update().where(kept).values(**values))
            else:
                example_counts.recount(connection, kept, **values)
        example_counts.touch(connection, name.dataset)
        since_us = self._kept_since_us(connection)
        changes.prune(connection, name.dataset, since_us=since_us, most_examples=self._policy.undo_examples)
        return count, str(name.change(change_id))

    def _sweep(self) -> None:
        """Deletes what was kept for changes that are forgotten, in short transactions; a later change ends what is left."""
        more = True
        while more:
            with self._db.write() as connection:
                more = changes.sweep(connection, SWEPT_ROWS)

    def _kept_since_us(self, connection: sa.Connection) -> int:
        return database.now_us(connection) - round(self._policy.undo_days * DAY_US)


def settle_states(connection: sa.Connection, dataset: sa.Row[Any], which: _Condition) -> None:
    """Gives examples whose labels were changed a state that fits: labels for who has some, and none for who has none.

    Args:
        dataset: their dataset's row.
        which: condition on rows of `examples`.
    """
    has_labels = sa.exists(sa.select(annotations.c.id).where(annotations.c.example_id == table.c.id))
    unlabelled = sa.and_(which, table.c.state == State.UNLABELED, has_labels)
    connection.execute(table.update().where(unlabelled).values(state=State.LABELED))
    if messages.classification_type(dataset) is states.ClassificationType.MULTICLASS:
        bare = sa.and_(which, table.c.state == State.LABELED, ~has_labels)
        connection.execute(table.update().where(bare).values(state=State.UNLABELED))


def _selected(
    connection: sa.Connection,
    name: names.DatasetName,
    request: pb.BatchUpdateExamplesRequest | pb.BatchDeleteExamplesRequest,
) -> _Condition:
    """The condition on rows of `examples` that a request chooses by names or by a filter.

    Raises:
        ApiError: INVALID_ARGUMENT, NOT_FOUND for a name; FAILED_PRECONDITION if the filter finds another number.
    """
    text = request.filter.strip()
    if bool(request.names) == bool(text):
        raise errors.invalid_argument(
            "names", f"Name examples, or choose them by filter ('{example_lists.EVERYTHING}' for all): one of both."
        )
    if text:
        query = example_lists.filtered(name.dataset, "" if text == example_lists.EVERYTHING else text)
        found = examples.count(connection, query)
        if found != request.expected_count:
            raise errors.failed_precondition(
                f"The filter finds {found} examples, and expected_count is {request.expected_count}; nothing was changed. "
                "List them again, and repeat the call with their number."
            )
        if found > MAX_EXAMPLES:
            raise errors.failed_precondition(
                f"The filter finds {found} examples; one call changes {MAX_EXAMPLES} at most, and nothing was changed. "
                "Narrow the filter, for instance by ml_use or a part of uri."
            )
        return table.c.id.in_(query.with_only_columns(table.c.id))
    if len(request.names) > MAX_NAMES:
        raise errors.invalid_argument("names", f"There are {len(request.names)}; {MAX_NAMES} at most, or use filter.")
    wanted = [names.ExampleName.parse(one, f"names[{index}]") for index, one in enumerate(request.names)]
    for index, one in enumerate(wanted):
        if one.parent.dataset(one.dataset) != name:
            raise errors.invalid_argument(f"names[{index}]", f"{one} is not of {name}.")
    known = examples.present(connection, name.dataset, [one.example for one in wanted])
    for one in wanted:
        if one.example not in known:
            raise errors.not_found(f"Example {one} was not found; nothing was changed.")
    return table.c.sha256.in_(known)


def _wanted(connection: sa.Connection, dataset: sa.Row[Any], request: pb.BatchUpdateExamplesRequest) -> _Wanted:
    """What a request asks for, checked against the dataset's kind and labels."""
    ids = {spec.display_name: spec.id for spec in annotation_specs.all_of(connection, dataset.id)}

    def spec(field: str) -> str:
        label = getattr(request, field)
        if label and label not in ids:
            raise errors.invalid_argument(field, f"The dataset has no label '{label[:80]}'. Choose one of its labels.")
        return ids.get(label, "")

    ml_use, state = (
        _named_value(kind, getattr(request, field), field)
        for kind, field in ((pb.Example.MlUse, "ml_use"), (pb.Example.State, "state"))
    )
    wanted = _Wanted(ml_use, state, spec("add_label"), spec("remove_label"), (spec("relabel_from"), spec("relabel_to")))
    if wanted == _Wanted():
        raise errors.invalid_argument(
            "ml_use", "Say what is to change: ml_use, state, add_label, remove_label, or relabel_from and relabel_to."
        )
    if wanted.adds and kinds.of_member(dataset.metadata_member) is not kinds.IMAGE_CLASSIFICATION:
        raise errors.invalid_argument("add_label", "A label of a whole image is for datasets of image classification.")
    if bool(wanted.relabels[0]) != bool(wanted.relabels[1]):
        raise errors.invalid_argument("relabel_to", "relabel_from and relabel_to go together.")
    if wanted.adds and not state and messages.classification_type(dataset) is states.ClassificationType.MULTICLASS:
        wanted = dataclasses.replace(wanted, state=State.LABELED.value)  # who gives the only label has judged the image
    if state == State.UNLABELED and (wanted.adds or wanted.relabels[0]):
        raise errors.invalid_argument(
            "state", "UNLABELED takes all labels away; it cannot go with a label that is given."
        )
    return wanted


def _named_value(kind: Any, value: int, field: str) -> str:
    if value and value not in iter(kind):
        raise errors.invalid_argument(field, f"Choose one of: {', '.join(one.name for one in kind if one)}.")
    return kind(value).name if value else ""


def _affected(wanted: _Wanted) -> _Condition:
    """Condition on rows of `examples`: they are not yet as wanted."""
    conditions: list[_Condition] = []
    if wanted.ml_use:
        conditions.append(table.c.ml_use != wanted.ml_use)
    if wanted.state:
        conditions.append(table.c.state != wanted.state)
    if wanted.adds:
        conditions.append(~examples.carries_spec(wanted.adds))
    conditions += [examples.carries_spec(spec) for spec in (wanted.removes, wanted.relabels[0]) if spec]
    return sa.or_(*conditions)


def _apply(connection: sa.Connection, dataset: sa.Row[Any], wanted: _Wanted) -> Callable[[_Condition], None]:
    """Makes examples as wanted: labels first, then set and state."""
    multiclass = messages.classification_type(dataset) is states.ClassificationType.MULTICLASS

    def change(which: _Condition) -> None:
        mine = annotations.c.example_id.in_(sa.select(table.c.id).where(which))
        if wanted.removes:
            connection.execute(annotations.delete().where(mine, annotations.c.annotation_spec_id == wanted.removes))
        source, target = wanted.relabels
        if source:
            given = {"annotation_spec_id": target, "source": Source.HUMAN, "score": None}
            connection.execute(
                annotations.update().where(mine, annotations.c.annotation_spec_id == source).values(**given)
            )
            changes.drop_repeated(connection, which)
        if wanted.adds:
            if multiclass:
                others = annotations.c.annotation_spec_id != wanted.adds
                connection.execute(annotations.delete().where(mine, others))
            _add(connection, wanted.adds, which)
        if wanted.state == State.UNLABELED:
            connection.execute(annotations.delete().where(mine))
        values = {key: value for key, value in (("ml_use", wanted.ml_use), ("state", wanted.state)) if value}
        if values:
            connection.execute(table.update().where(which).values(**values))
        if wanted.keeps_labels:
            return
        labelled = sa.select(table.c.id).where(which, table.c.state == State.LABELED)
        accepted = sa.and_(annotations.c.example_id.in_(labelled), annotations.c.source == Source.MODEL)
        connection.execute(annotations.update().where(accepted).values(source=Source.ACCEPTED))
        if multiclass and wanted.state == State.LABELED:
            _refuse_bare(connection, which)
        settle_states(connection, dataset, which)

    return change


def _add(connection: sa.Connection, spec_id: str, which: _Condition) -> None:
    """Gives a label to the examples that do not have it."""
    lacking = sa.and_(which, ~examples.carries_spec(spec_id))
    full = sa.select(sa.func.count()).select_from(table).where(lacking, table.c.annotation_count >= MAX_ANNOTATIONS)
    if count := connection.execute(full).scalar_one():
        raise errors.failed_precondition(
            f"{count} of the examples have {MAX_ANNOTATIONS} labels, the most that an image may have; nothing was changed."
        )
    rows = (
        sa.select(table.c.id, sa.literal(spec_id), sa.literal(Source.HUMAN.value)).where(lacking).order_by(table.c.id)
    )
    connection.execute(annotations.insert().from_select(["example_id", "annotation_spec_id", "source"], rows))


def _refuse_bare(connection: sa.Connection, which: _Condition) -> None:
    has_labels = sa.exists(sa.select(annotations.c.id).where(annotations.c.example_id == table.c.id))
    bare = sa.select(sa.func.count()).select_from(table).where(which, ~has_labels)
    if count := connection.execute(bare).scalar_one():
        raise errors.failed_precondition(
            f"{count} of the examples have no label, and an image of a MULTICLASS dataset that is LABELED has one; nothing "
            "was changed. Give them a label with add_label."
        )
