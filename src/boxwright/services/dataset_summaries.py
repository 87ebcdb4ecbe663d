"""`boxwright.v1.Curation`: what is in a dataset, and what a training would say of it."""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from boxwright import curation_messages as pb
from boxwright import errors, names, states
from boxwright.callers import Caller
from boxwright.metadata import annotation_specs, summaries
from boxwright.operations import ledger
from boxwright.services import training_rules
from boxwright.services.annotation_spec_changes import AnnotationSpecMethods, spec_message

MAX_LABELS = 1000  # that a finding is made of
TINY_PX = summaries.EDGES_PX[0]
Finding = pb.DatasetSummary.Finding
Level = Finding.Level
State, Use = states.ExampleState, states.MlUse


class SummaryMethods(AnnotationSpecMethods):
    """The method about a dataset as a whole."""

    def summarize_dataset(self, request: pb.SummarizeDatasetRequest, caller: Caller) -> pb.DatasetSummary:
        """Counts what is in a dataset, by set, state, label and size, and says what a training would."""
        name = self._named(names.DatasetName, request.name, "name")
        with self._db.read() as connection:
            dataset = self._dataset(connection, name, f"Dataset {name} was not found.")
            counted = self._kept.get(dataset, "summary", lambda: self._summary(connection, name, dataset))
            running = list(self._under_way(connection, name))
        found = pb.DatasetSummary(counted)
        found.train_minutes_max = self._policy.train_minutes_max or 0.0
        found.findings = sorted([*counted.findings, *running], key=lambda one: one.level)
        return found

    def _summary(self, connection: sa.Connection, name: names.DatasetName, dataset: sa.Row[Any]) -> pb.DatasetSummary:
        counts = annotation_specs.counts(connection, name.dataset)
        labelled = summaries.labelled_by_use(connection, name.dataset)
        edges = summaries.edges(connection, name.dataset)
        totals = summaries.by_use_and_state(connection, name.dataset)
        box_edge_px = [sum(column) for column in zip(*(classes for _, classes in edges.values()), strict=True)]
        labels = [
            pb.DatasetSummary.Label(
                annotation_spec=spec_message(name, row, counts),
                **{f"{use.lower()}_count": labelled.get((row.id, use), 0) for use in Use},
                min_edge_px=edges.get(row.id, (0.0, []))[0],
            )
            for row in annotation_specs.all_of(connection, name.dataset)
        ]
        return pb.DatasetSummary(
            name=str(name),
            counts=[
                pb.DatasetSummary.Count(ml_use=use, state=state, example_count=count) for use, state, count in totals
            ],
            labels=labels,
            box_edge_px=box_edge_px,
            findings=[*self._against(connection, name, dataset), *_remarks(totals, box_edge_px)],
        )

    def _against(
        self, connection: sa.Connection, name: names.DatasetName, dataset: sa.Row[Any]
    ) -> Iterator[pb.DatasetSummary.Finding]:
        """Why CreateModel would refuse, by its very rules."""
        try:
            kind = training_rules.check_kind(dataset)
        except errors.ApiError as error:
            yield Finding(level=Level.BLOCKS, code="KIND_IS_NOT_TRAINED", message=error.message)
            return
        least = self._policy.min_images_per_label
        for refusal in training_rules.refusals(connection, name, kind, least):
            code = "NO_IMAGES" if refusal.code == "NO_LABELS" and not dataset.example_count else refusal.code
            for label, count in refusal.labels[:MAX_LABELS] or ((None, 0),):
                message = refusal.message
                if label is not None and refusal.code == "LABEL_WITH_FEW_IMAGES":
                    message = f"The label '{label}' has {count} images; a training needs {least} of each label."
                yield Finding(level=Level.BLOCKS, code=code, count=count, label=label or "", message=message)

    def _under_way(self, connection: sa.Connection, name: names.DatasetName) -> Iterator[pb.DatasetSummary.Finding]:
        for row in self._ledger.running_on(connection, str(name)):
            is_training = row.kind == states.OperationKind.CREATE_MODEL
            code = "TRAINING_UNDER_WAY" if is_training else "OPERATION_UNDER_WAY"
            message = f"{ledger.name_of(row)} works on the dataset; a training begins after its end."
            yield Finding(level=Level.BLOCKS, code=code, count=1, message=message)


def _remarks(totals: Sequence[tuple[str, str, int]], box_edge_px: Sequence[int]) -> Iterator[pb.DatasetSummary.Finding]:
    """What a training does not refuse, and what its user should know."""
    labelled = {use: count for use, state, count in totals if state == State.LABELED}
    left_out = {state: sum(row[2] for row in totals if row[1] == state) for state in (State.UNLABELED, State.SUGGESTED)}
    if labelled and not labelled.get(Use.TEST) and not labelled.get(Use.UNASSIGNED):
        why = (
            "No labelled image is for TEST or left UNASSIGNED, so a model cannot be evaluated. Put some images in TEST."
        )
        yield Finding(level=Level.WARNS, code="NO_TEST_IMAGES", message=why)
    if box_edge_px and box_edge_px[0]:
        why = (
            f"{box_edge_px[0]} boxes are narrower than {TINY_PX} px. Objects that small are hard to learn and to find."
        )
        yield Finding(level=Level.WARNS, code="TINY_BOXES", count=box_edge_px[0], message=why)
    if count := left_out[State.UNLABELED]:
        why = f"{count} images are not labelled. Nothing is learned from them."
        yield Finding(level=Level.TELLS, code="UNLABELED_LEFT_OUT", count=count, message=why)
    if count := left_out[State.SUGGESTED]:
        why = f"{count} images have labels that a person is still to judge. Nothing is learned from them."
        yield Finding(level=Level.TELLS, code="SUGGESTED_LEFT_OUT", count=count, message=why)
