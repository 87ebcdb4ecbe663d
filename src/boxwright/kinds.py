"""The kinds of datasets, as data: what the API calls everything that belongs to one, and which training there is for it.

A dataset's kind is the member of `Dataset.dataset_metadata` that is set; a model has the kind of its dataset. A module that
treats kinds differently has a table with a row for each served kind.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class DatasetKind:
    """One kind.

    Attributes:
        name: what the API's names of fields and files begin with.
        prefix: the first three characters of the ids of its datasets, of their models and of the operations on them.
        evaluation_member: of `ModelEvaluation.metrics`; empty for a kind that is not served.
        training_module: runs as the training process; empty if no model can be trained.
    """

    name: str
    prefix: str
    evaluation_member: str = ""
    training_module: str = ""

    @property
    def is_served(self) -> bool:
        """Whether images can be imported; datasets of other kinds are only kept."""
        return bool(self.evaluation_member)

    @property
    def dataset_member(self) -> str:
        """Of `Dataset.dataset_metadata`."""
        return f"{self.name}_dataset_metadata"

    @property
    def model_member(self) -> str:
        """Of `Model.model_metadata`."""
        return f"{self.name}_model_metadata"

    @property
    def deployment_member(self) -> str:
        """Of `DeployModelRequest.model_deployment_metadata`."""
        return f"{self.name}_model_deployment_metadata"

    @property
    def words(self) -> str:
        """The name for people."""
        return self.name.replace("_", " ")


OBJECT_DETECTION = DatasetKind(
    "image_object_detection", "IOD", "image_object_detection_evaluation_metrics", "boxwright.detector.train_main"
)
IMAGE_CLASSIFICATION = DatasetKind(
    "image_classification", "ICN", "classification_evaluation_metrics", "boxwright.classifier.train_main"
)
ALL = (
    OBJECT_DETECTION,
    IMAGE_CLASSIFICATION,
    DatasetKind("text_classification", "TCN"),
    DatasetKind("text_extraction", "TEN"),
    DatasetKind("text_sentiment", "TST"),
    DatasetKind("translation", "TRL"),
)
SERVED = tuple(kind for kind in ALL if kind.is_served)
TRAINED = tuple(kind for kind in ALL if kind.training_module)
_BY_MEMBER = {member: kind for kind in ALL for member in (kind.dataset_member, kind.model_member)}
_PREFIXES = {kind.prefix for kind in ALL}


def of_member(member: str) -> DatasetKind:
    """The kind whose datasets or models have this member of their metadata set.

    Raises:
        KeyError: it is no such member.
    """
    return _BY_MEMBER[member]


def of_name(name: str) -> DatasetKind:
    """The kind of a dataset or model, by its resource name or id; detection if the id has no kind's prefix."""
    prefix = prefix_of(name)
    return next(kind for kind in ALL if kind.prefix == prefix)


def prefix_of(name: str) -> str:
    """The prefix of ids of what belongs to a dataset or model, by its resource name or id; detection's if it has none."""
    prefix = name.rpartition("/")[2][:3]
    return prefix if prefix in _PREFIXES else OBJECT_DETECTION.prefix
