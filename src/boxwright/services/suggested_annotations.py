"""What a model finds in an example: suggestions for its labels."""

from __future__ import annotations

import math

from google.cloud.automl_v1 import types
from google.rpc import code_pb2

from boxwright import boxes, errors, kinds, names
from boxwright import curation_messages as pb
from boxwright.callers import Caller, Requirement
from boxwright.metadata import datasets, examples
from boxwright.services import messages
from boxwright.services.image_pictures import ImagePictures
from boxwright.services.resources import Resources

METHOD = "boxwright.v1.Curation.SuggestAnnotations"
DEFAULT_SCORE_THRESHOLD = 0.5


class SuggestionMethods(Resources):
    """The method that suggests labels."""

    _pictures: ImagePictures

    def suggest_annotations(
        self, request: pb.SuggestAnnotationsRequest, caller: Caller
    ) -> pb.SuggestAnnotationsResponse:
        """Predicts an example with a model, which need not be deployed; who asks may predict with the model."""
        name = self._named(names.ExampleName, request.name, "name")
        model_name = self._named(names.ModelName, request.model, "model")
        self._check_caller(caller, METHOD, [Requirement("automl.models.predict", str(model_name))])
        threshold = _threshold(request.score_threshold)
        dataset_name = name.parent.dataset(name.dataset)
        with self._db.read() as connection:
            dataset = self._dataset(connection, dataset_name, f"Dataset {dataset_name} was not found.")
            row = examples.find(connection, name.dataset, name.example)
            if row is None:
                raise errors.not_found(f"Example {name} was not found.")
            model = self._usable_model(connection, model_name)
            ids = {label: spec_id for spec_id, label in datasets.specs(connection, name.dataset)}
        kind = kinds.of_member(dataset.metadata_member)
        if kinds.of_member(model.metadata_member) is not kind:
            raise errors.invalid_argument(
                "model", f"The model {model_name} is not of the dataset's kind, {kind.words}."
            )
        data = self._pictures.content(row.uri, row.sha256, project=name.project)
        try:
            found, labels = self._online.predict_loading(model.folder, data)
        except errors.ApiError as error:
            if error.code == code_pb2.INVALID_ARGUMENT:  # about the image, which the request does not have
                raise errors.failed_precondition(f"{row.uri}: it cannot be predicted. {error.message}") from error
            raise
        payloads = messages.annotation_payloads(found.keep(threshold, None), labels)
        return _in_the_datasets_labels(payloads, ids)


def _in_the_datasets_labels(
    payloads: list[types.AnnotationPayload], ids: dict[str, str]
) -> pb.SuggestAnnotationsResponse:
    """The answer: labels of the same name have the dataset's ids, others are left out and named."""
    known = [one for one in payloads if one.display_name in ids]
    for one in known:
        one.annotation_spec_id = ids[one.display_name]
    unknown = sorted({one.display_name for one in payloads} - set(ids))
    return pb.SuggestAnnotationsResponse(annotations=known, unknown_labels=unknown)


def _threshold(given: float) -> float:
    if not math.isfinite(given) or not 0 <= given <= 1:
        raise errors.invalid_argument("score_threshold", f"{given:g} is not from 0 to 1.")
    return round(given, boxes.SCORE_DECIMALS) or DEFAULT_SCORE_THRESHOLD
