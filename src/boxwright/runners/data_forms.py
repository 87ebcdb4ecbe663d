"""How examples go into a dataset and out of it, by the dataset's kind: a table that import and export read."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence

from boxwright import boxes, kinds, states
from boxwright.metadata import datasets
from boxwright.runners import box_rows, label_rows
from boxwright.runners.import_rows import ImportRow

MAX_BOXES_PER_IMAGE = 500  # io.proto; with wide limits `boxes.MAX_LABELLED`
MAX_LABELS = 5_000  # of a classification dataset, the documented quota


@dataclasses.dataclass(frozen=True)
class DataForm:
    """The form of one kind.

    Attributes:
        parse: the cells of a row of its import CSV, for images of these URI schemes; raises BadRow.
        bare_state: of an image without annotations.
        cells: an example as rows of the import CSV, at least one.
        max_annotations: of an image, with what they are called; None for no limit.
        max_labels: of a dataset; None for no limit.
    """

    parse: Callable[[Sequence[str], Sequence[str]], ImportRow]
    bare_state: states.ExampleState
    cells: Callable[[datasets.Example], Iterator[list[object]]]
    max_annotations: tuple[int, str] | None = None
    max_labels: int | None = None


def _box_cells(example: datasets.Example) -> Iterator[list[object]]:
    for annotation in example.annotations:
        assert annotation.box is not None
        x_min, y_min, x_max, y_max = annotation.box
        yield [example.ml_use, example.uri, annotation.label, x_min, y_min, "", "", x_max, y_max, "", ""]
    if not example.annotations:
        yield [example.ml_use, example.uri, *[""] * 9]


def _label_cells(example: datasets.Example) -> Iterator[list[object]]:
    yield [example.ml_use, example.uri, *(annotation.label for annotation in example.annotations)]


_FORMS = {
    kinds.OBJECT_DETECTION: DataForm(
        parse=box_rows.parse,
        bare_state=states.ExampleState.LABELED,  # it is known that there is nothing in it
        cells=_box_cells,
        max_annotations=(MAX_BOXES_PER_IMAGE, "boxes"),
    ),
    kinds.IMAGE_CLASSIFICATION: DataForm(
        parse=label_rows.parse,
        bare_state=states.ExampleState.UNLABELED,
        cells=_label_cells,
        max_labels=MAX_LABELS,
    ),
}


def of(kind: kinds.DatasetKind, *, has_wide_limits: bool = False) -> DataForm:
    """The form of a served kind; with wide limits it takes all boxes that a dataset may have.

    The size of a box in pixels is not known from a row: `import_images` looks at it.
    """
    form = _FORMS[kind]
    if not has_wide_limits or form.max_annotations is None:
        return form
    parse = functools.partial(box_rows.parse, min_edge_norm=0.0)
    return dataclasses.replace(form, parse=parse, max_annotations=(boxes.MAX_LABELLED, "boxes"))
