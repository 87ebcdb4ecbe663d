"""Results of batch predictions as rows of an import."""

from __future__ import annotations

from typing import Any

import pytest

from boxwright import states
from boxwright.runners import import_results

BOX = (0.1, 0.2, 0.5, 0.6)
SUGGESTED = states.ExampleState.SUGGESTED


def _image(*found: Any, image_id: str = "gs://b/1.jpg", failure: str | None = None) -> dict[str, Any]:
    return {"id": image_id, "failure": failure, "found": list(found)}


def test_a_row_has_what_was_found_with_its_scores() -> None:
    found = [("car", BOX, 0.9), ("bus", BOX, 0.7)]
    row, scores = import_results.as_row(_image(*found), SUGGESTED, has_one_label=False)
    assert [(one.label, one.box) for one in row.annotations] == [("car", BOX), ("bus", BOX)]
    assert scores == [0.9, 0.7]
    assert (
        import_results.as_row(_image(*found), states.ExampleState.UNLABELED, has_one_label=False)[0].annotations == ()
    )
    labels = [("cat", None, 0.6), ("dog", None, 0.3)]
    row, scores = import_results.as_row(_image(*labels), SUGGESTED, has_one_label=True)
    assert [one.label for one in row.annotations] == ["cat"]
    assert scores == [0.6]


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (_image(failure="it has no prediction: no such file"), "no such file"),
        (_image(image_id="gs://b/all.tar#1.jpg"), "in an archive"),
        (_image(image_id="1.jpg"), "1.jpg"),
        (_image(("c\u0000ar", BOX, 0.9)), "a label is printable text"),
        (_image(("cat\nTRAIN,gs://b/2.jpg", None, 0.9)), "a label is printable text"),
        (_image(("x" * 129, BOX, 0.9)), "at most 128 characters"),
    ],
)
def test_what_cannot_be_imported_is_told(image: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        import_results.as_row(image, SUGGESTED, has_one_label=False)
