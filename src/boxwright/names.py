"""Resource names: parse and print them, nothing else.

    projects/{project}/locations/{location}                                    LocationName
    …/datasets/{dataset}                                                       DatasetName
    …/datasets/{dataset}/annotationSpecs/{annotation_spec}                     AnnotationSpecName
    …/datasets/{dataset}/examples/{example}                                    ExampleName
    …/datasets/{dataset}/changes/{change}                                      ChangeName
    …/models/{model}                                                           ModelName
    …/models/{model}/modelEvaluations/{model_evaluation}                       ModelEvaluationName
    …/operations/{operation}                                                   OperationName
    …/operations/{operation}/results/{result}                                  ResultName
    projects/{project}/serviceAccounts/{email}                                 AccountName

`parse(text, field)` raises INVALID_ARGUMENT naming the request field; whether the thing exists, or the location is
served here, is not this module's business. `hierarchy(text)` names the resources whose policies count for a name.
"""

from __future__ import annotations

import dataclasses
import re
from typing import ClassVar, Self

from boxwright import errors

_SEGMENT = r"[A-Za-z0-9][A-Za-z0-9._:~-]*"  # project ids may hold dots and colons (domain-scoped projects)
MAX_NAME_CHARS = 1024  # guards the regular expression against absurd input; real names stay below 200
KEEP_BEST_LABEL = (
    "boxwright-keep-best"  # of a model: "true" or "false", whether a cancelled training delivers what it has
)


@dataclasses.dataclass(frozen=True)
class ResourceName:
    """A parsed resource name; subclasses declare their pattern and fields."""

    PATTERN: ClassVar[str]
    project: str
    location: str

    @classmethod
    def parse(cls, text: str, field: str = "name") -> Self:
        """Parses a full resource name.

        Raises:
            ApiError: INVALID_ARGUMENT naming `field`, with the form that was expected.
        """
        # there is no list over projects: `-` is none
        pattern = cls.PATTERN.replace("{project}", f"(?P<project>{_SEGMENT})")
        expression = re.sub(r"\{(\w+)\}", rf"(?P<\1>{_SEGMENT}|-)", pattern)
        match = re.fullmatch(expression, text) if len(text) <= MAX_NAME_CHARS else None
        if match is None:
            shown = text if len(text) <= 200 else text[:200] + "…"
            why = (
                f"Required field not set. Expected: {cls.PATTERN}"
                if not text
                else (f"Malformed resource name '{shown}'. Expected: {cls.PATTERN}")
            )
            raise errors.invalid_argument(field, why)
        return cls(**match.groupdict())

    def __str__(self) -> str:
        return self.PATTERN.format(**dataclasses.asdict(self))

    @property
    def parent(self) -> LocationName:
        """The location that this name lives in."""
        return LocationName(self.project, self.location)


@dataclasses.dataclass(frozen=True)
class LocationName(ResourceName):
    """``projects/{project}/locations/{location}``."""

    PATTERN = "projects/{project}/locations/{location}"

    def dataset(self, dataset: str) -> DatasetName:
        """A dataset in this location."""
        return DatasetName(self.project, self.location, dataset)

    def model(self, model: str) -> ModelName:
        """A model in this location."""
        return ModelName(self.project, self.location, model)

    def operation(self, operation: str) -> OperationName:
        """An operation in this location."""
        return OperationName(self.project, self.location, operation)


@dataclasses.dataclass(frozen=True)
class DatasetName(ResourceName):
    """``…/datasets/{dataset}``."""

    PATTERN = LocationName.PATTERN + "/datasets/{dataset}"
    dataset: str

    def annotation_spec(self, annotation_spec: str) -> AnnotationSpecName:
        """A label of this dataset."""
        return AnnotationSpecName(self.project, self.location, self.dataset, annotation_spec)

    def example(self, example: str) -> ExampleName:
        """An image of this dataset."""
        return ExampleName(self.project, self.location, self.dataset, example)

    def change(self, change: str) -> ChangeName:
        """A change of many images of this dataset."""
        return ChangeName(self.project, self.location, self.dataset, change)


@dataclasses.dataclass(frozen=True)
class AnnotationSpecName(ResourceName):
    """``…/datasets/{dataset}/annotationSpecs/{annotation_spec}``."""

    PATTERN = DatasetName.PATTERN + "/annotationSpecs/{annotation_spec}"
    dataset: str
    annotation_spec: str


@dataclasses.dataclass(frozen=True)
class ExampleName(ResourceName):
    """``…/datasets/{dataset}/examples/{example}``; the example is the SHA-256 of the image's bytes."""

    PATTERN = DatasetName.PATTERN + "/examples/{example}"
    dataset: str
    example: str


@dataclasses.dataclass(frozen=True)
class ChangeName(ResourceName):
    """``…/datasets/{dataset}/changes/{change}``."""

    PATTERN = DatasetName.PATTERN + "/changes/{change}"
    dataset: str
    change: str


@dataclasses.dataclass(frozen=True)
class ModelName(ResourceName):
    """``…/models/{model}``; the model may be ``-`` where a method allows the wildcard."""

    PATTERN = LocationName.PATTERN + "/models/{model}"
    model: str

    def evaluation(self, model_evaluation: str) -> ModelEvaluationName:
        """An evaluation of this model."""
        return ModelEvaluationName(self.project, self.location, self.model, model_evaluation)


@dataclasses.dataclass(frozen=True)
class ModelEvaluationName(ResourceName):
    """``…/models/{model}/modelEvaluations/{model_evaluation}``."""

    PATTERN = ModelName.PATTERN + "/modelEvaluations/{model_evaluation}"
    model: str
    model_evaluation: str


@dataclasses.dataclass(frozen=True)
class OperationName(ResourceName):
    """``…/operations/{operation}``."""

    PATTERN = LocationName.PATTERN + "/operations/{operation}"
    operation: str

    def result(self, result: str) -> ResultName:
        """A result of this batch prediction."""
        return ResultName(self.project, self.location, self.operation, result)


@dataclasses.dataclass(frozen=True)
class ResultName(ResourceName):
    """``…/operations/{operation}/results/{result}``; the result is the image's place in the files."""

    PATTERN = OperationName.PATTERN + "/results/{result}"
    operation: str
    result: str


@dataclasses.dataclass(frozen=True)
class AccountName:
    """``projects/{project}/serviceAccounts/{email}``; the project may be ``-``, as an address is enough."""

    project: str
    email: str

    @classmethod
    def parse(cls, text: str, field: str = "name") -> Self:
        """Parses the name of a service account; raises INVALID_ARGUMENT naming `field`."""
        match = _ACCOUNT.fullmatch(text) if len(text) <= MAX_NAME_CHARS else None
        if match is None:
            expected = "projects/-/serviceAccounts/{email}"
            raise errors.invalid_argument(field, f"Malformed resource name '{text[:200]}'. Expected: {expected}")
        return cls(**match.groupdict())


_ACCOUNT = re.compile(
    rf"projects/(?P<project>{_SEGMENT}|-)/serviceAccounts/(?P<email>[A-Za-z0-9._%+'-]+@[A-Za-z0-9.-]+)"
)
_PART = rf"(?:{_SEGMENT}|-)"
_NAME = re.compile(
    rf"(?P<project>projects/{_SEGMENT})"
    rf"(?:(?P<location>/locations/{_PART})"
    rf"(?:(?P<holder>/(?:datasets|models)/{_PART})(?:/(?:annotationSpecs|changes|examples|modelEvaluations)/{_PART})?"
    rf"|/operations/{_PART}(?:/results/{_PART})?)?)?"
)


def is_name(text: str) -> bool:
    """Whether this is the name of a project or of something in one."""
    return len(text) <= MAX_NAME_CHARS and _NAME.fullmatch(text) is not None


def is_account(text: str) -> bool:
    """Whether this is the name of a service account."""
    return len(text) <= MAX_NAME_CHARS and _ACCOUNT.fullmatch(text) is not None


def project_of(text: str) -> str:
    """The project's id in a resource name; empty for what is no name."""
    return text.split("/")[1] if is_name(text) else ""


def hierarchy(text: str) -> tuple[str, ...]:
    """The resources whose policies count for a name: its project, location, and dataset or model, as far as it goes.

    Raises:
        ApiError: INVALID_ARGUMENT for what is no name.
    """
    match = _NAME.fullmatch(text) if len(text) <= MAX_NAME_CHARS else None
    if match is None:
        raise errors.bad_request(f"Malformed resource name '{text[:200]}'.")
    found = [match["project"]]
    for part in (match["location"], match["holder"]):
        if part:
            found.append(found[-1] + part)
    return tuple(found)
