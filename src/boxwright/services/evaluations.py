"""A model's evaluation at any thresholds: its confusion matrix, and its images one by one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from boxwright import boxes, errors, names
from boxwright import curation_messages as pb
from boxwright.callers import Caller, Requirement
from boxwright.inference import outcomes
from boxwright.metadata import database, examples
from boxwright.services import evaluation_lists, validation
from boxwright.services.outcome_cache import KeptEvaluation, OutcomeCache
from boxwright.services.resources import Resources

LIST_METHOD = "boxwright.v1.Curation.ListEvaluatedExamples"
DEFAULT_IOU = 0.5
MAX_ANNOTATIONS_OF_PAGE = 20_000  # a page ends early rather than become larger than what clients accept
NOTHING_KEPT = (
    "Nothing is kept of single images: the model was imported, or was trained by a version that did not keep it. Train a "
    "new model to see them."
)


class EvaluationMethods(Resources):
    """The methods about the images of an evaluation."""

    _judged: OutcomeCache

    def summarize_evaluation(self, request: pb.SummarizeEvaluationRequest, caller: Caller) -> pb.EvaluationSummary:
        """Counts what a model's evaluation found at two thresholds."""
        name = self._named(names.ModelName, request.name, "name")
        iou, score = (
            _threshold(request.iou_threshold, "iou_threshold"),
            _threshold(request.score_threshold, "score_threshold"),
        )
        with self._db.read() as connection:
            row = self._model(connection, name)
        kept = self._judged.evaluation(row.folder)
        if kept is None:
            return pb.EvaluationSummary(
                name=str(name), iou_threshold=iou or DEFAULT_IOU, score_threshold=score, reason=NOTHING_KEPT
            )
        found, iou, score = self._outcomes(row.folder, kept, iou, score)
        counts = found.counts()
        rates = outcomes.precision_recall_f1(*counts.T)
        return pb.EvaluationSummary(
            name=str(name),
            iou_threshold=iou,
            score_threshold=score,
            labels=list(found.examples.labels),
            confusion=found.confusion().ravel().tolist(),
            label_counts=[
                pb.EvaluationSummary.LabelCount(
                    display_name=label,
                    true_positive_count=numbers[0],
                    false_positive_count=numbers[1],
                    false_negative_count=numbers[2],
                    precision=precision,
                    recall=recall,
                    f1_score=f1,
                )
                for label, numbers, precision, recall, f1 in zip(
                    found.examples.labels, counts.tolist(), *(one.tolist() for one in rates), strict=True
                )
            ],
        )

    def list_evaluated_examples(
        self, request: pb.ListEvaluatedExamplesRequest, caller: Caller
    ) -> pb.ListEvaluatedExamplesResponse:
        """Lists the images of a model's evaluation, the worst first; who lists them may list the dataset's examples."""
        name = self._named(names.ModelName, request.parent, "parent")
        iou, score = (
            _threshold(request.iou_threshold, "iou_threshold"),
            _threshold(request.score_threshold, "score_threshold"),
        )
        size = validation.page_size(request.page_size)
        if request.skip < 0:
            raise errors.invalid_argument("skip", f"{request.skip} is negative.")
        with self._db.read() as connection:
            row = self._model(connection, name)
        if row.dataset_id:
            dataset = f"{name.parent}/datasets/{row.dataset_id}"
            self._check_caller(caller, LIST_METHOD, [Requirement("automl.examples.list", dataset)])
        kept = self._judged.evaluation(row.folder)
        if kept is None:
            return pb.ListEvaluatedExamplesResponse()
        found, iou, score = self._outcomes(row.folder, kept, iou, score)
        scope = f"evaluated {name} {iou} {score} {request.order_by} {request.filter}"
        after = database.PageKey.from_token(request.page_token, scope)
        first = (after.create_time_us if after else 0) + request.skip
        images = evaluation_lists.selected(request, found)
        page = _Page(found, kept.spec_ids).fitting(images[first : first + size].tolist())
        following = first + len(page)
        answer = pb.ListEvaluatedExamplesResponse(
            next_page_token=database.PageKey(following, "").token(scope) if following < len(images) else "",
            total_size=len(images),
        )
        message = pb.ListEvaluatedExamplesResponse.pb(answer)
        message.evaluated_examples.extend(page)
        if row.dataset_id:
            self._name_examples(name.parent.dataset(row.dataset_id), message, found, images[first:following].tolist())
        return answer

    def _outcomes(
        self, folder: str, kept: KeptEvaluation, iou: float, score: float
    ) -> tuple[outcomes.Outcomes, float, float]:
        """The outcomes at thresholds, and those thresholds: 0.5 and the score with the best F1 where none is given."""
        iou = iou or DEFAULT_IOU
        score = score or outcomes.best_score(kept.table, iou)
        return self._judged.at(folder, kept, iou, score), iou, score

    def _name_examples(
        self, dataset: names.DatasetName, message: Any, found: outcomes.Outcomes, images: Sequence[int]
    ) -> None:
        """Writes the names of examples that are in the dataset still."""
        digests = [found.examples.sha256[image] for image in images]
        with self._db.read() as connection:
            there = examples.present(connection, dataset.dataset, digests)
        for one, sha256 in zip(message.evaluated_examples, digests, strict=True):
            if sha256 in there:
                one.example = str(dataset.example(sha256))


class _Page:
    """Images of an evaluation as messages of protobuf itself: those of proto-plus take ten times as long to make."""

    def __init__(self, found: outcomes.Outcomes, spec_ids: Sequence[str]) -> None:
        self._found = found
        self._spec_ids = spec_ids
        self._results = evaluation_lists.truth_outcomes(found), evaluation_lists.finding_outcomes(found)

    def fitting(self, images: Sequence[int]) -> list[Any]:
        """The images from the first on, one at least, until there are `MAX_ANNOTATIONS_OF_PAGE` annotations."""
        page: list[Any] = []
        count = 0
        for image in images:
            one = self._message(image)
            count += len(one.annotations)
            if page and count > MAX_ANNOTATIONS_OF_PAGE:
                break
            page.append(one)
        return page

    def _message(self, image: int) -> Any:
        found, examples_of = self._found, self._found.examples
        truths = _rows_of(examples_of.truth_images, image)
        findings = _rows_of(examples_of.finding_images, image)
        findings = findings[found.kept[findings]]
        place = {int(row): len(truths) + index for index, row in enumerate(findings)}
        height, width = examples_of.sizes_hw[image].tolist()
        message = pb.EvaluatedExample.pb()(
            uri=examples_of.uris[image], width_px=width, height_px=height, loss=float(found.losses[image])
        )
        for row in truths.tolist():
            one = message.annotations.add(is_truth=True, outcome=int(self._results[0][row]))
            one.partner = place.get(int(found.truth_partners[row]), outcomes.NOTHING)
            one.iou = float(found.truth_ious[row])
            self._fill(one.annotation, int(examples_of.truth_labels[row]), examples_of.truth_boxes_norm[row], 1.0)
        for row in findings.tolist():
            partner = int(found.finding_partners[row])
            one = message.annotations.add(outcome=int(self._results[1][row]), partner=outcomes.NOTHING)
            if partner != outcomes.NOTHING:
                one.partner, one.iou = partner - int(truths[0]), float(found.truth_ious[partner])
            score = float(examples_of.finding_scores[row])
            self._fill(one.annotation, int(examples_of.finding_labels[row]), examples_of.finding_boxes_norm[row], score)
        return message

    def _fill(self, payload: Any, label: int, box: npt.NDArray[np.float32], score: float) -> None:
        payload.annotation_spec_id, payload.display_name = self._spec_ids[label], self._found.examples.labels[label]
        if not self._found.examples.has_boxes:
            payload.classification.score = score
            return
        payload.image_object_detection.score = score
        x_min, y_min, x_max, y_max = boxes.rounded_boxes(box[None])[0].tolist()
        vertices = payload.image_object_detection.bounding_box.normalized_vertices
        vertices.add(x=x_min, y=y_min)
        vertices.add(x=x_max, y=y_max)


def _rows_of(images: npt.NDArray[np.int32], image: int) -> npt.NDArray[np.int64]:
    return np.arange(np.searchsorted(images, image), np.searchsorted(images, image, side="right"))


def _threshold(given: float, field: str) -> float:
    """A threshold as a caller writes it: the messages' numbers have seven digits. 0 means none.

    Raises:
        ApiError: INVALID_ARGUMENT.
    """
    least = outcomes.LEAST_IOU if field == "iou_threshold" else 0.0
    found = round(given, boxes.SCORE_DECIMALS) if math.isfinite(given) else math.nan
    if found != 0 and not least <= found <= 1:  # also refuses NaN
        raise errors.invalid_argument(
            field, f"{given:g} is not from {least:g} to 1; 0 leaves the choice to the service."
        )
    return found
