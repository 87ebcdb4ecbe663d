"""What every AutoMl method needs: names checked, rows found, pages cut, operations drafted."""

from __future__ import annotations

import dataclasses
import json
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from google.longrunning import operations_pb2

from boxwright import errors, kinds, names, objects, states
from boxwright.callers import Caller, Requirement
from boxwright.metadata import database, datasets, models
from boxwright.notifications.destinations import AllowedHosts
from boxwright.operations.ledger import Draft, Ledger, name_of
from boxwright.operations.records import Terms
from boxwright.predictions import ImagePrediction
from boxwright.services import job_params, messages, requested, store_checks, validation

MIN_IMAGES_PER_LABEL = 10  # the documented requirement for training
DAY_US = 86_400_000_000

log = logging.getLogger(__name__)
Kind = states.OperationKind
Check = Callable[[Caller, str, Sequence[Requirement]], None]  # raises PERMISSION_DENIED
_Name = TypeVar("_Name", bound=names.ResourceName)


@dataclasses.dataclass(frozen=True)
class Policy:
    """The installation's choices that the services enforce.

    Attributes:
        locations: location ids served here.
        min_images_per_label: how many images each label needs before training starts.
        model_life_days: age at which a model stops predicting; None for never.
        schemes: URI schemes that callers may name.
        resume_days: how long after its end a batch prediction can be resumed.
        trains: whether this installation can train models.
        notify_hosts: the hosts that events may be sent to.
        undo_days: for how long a change of many examples can be taken back.
        undo_examples: former examples that are kept for that in a dataset, those of the newest change aside.
        train_minutes_max: after which a training ends whatever its budget; None for no limit.
    """

    locations: Sequence[str] = ("us-central1",)
    min_images_per_label: int = MIN_IMAGES_PER_LABEL
    model_life_days: float | None = None
    schemes: Sequence[str] = objects.DEFAULT_SCHEMES
    resume_days: float = 7.0
    trains: bool = True
    notify_hosts: AllowedHosts = dataclasses.field(default_factory=AllowedHosts)
    undo_days: float = 30.0
    undo_examples: int = 1_000_000
    train_minutes_max: float | None = None


def random_digits() -> str:
    """Nineteen random decimal digits, the form of the service's ids (never starting with 0)."""
    return str(10**18 + secrets.randbelow(8 * 10**18))


class OnlineModels(Protocol):
    """The models in memory, as the services see them."""

    def predict(self, folder: str, image_bytes: bytes) -> tuple[ImagePrediction, list[tuple[str, str]]]:
        """Returns what was found and the model's (annotation spec id, display name) by label index."""

    def predict_loading(self, folder: str, image_bytes: bytes) -> tuple[ImagePrediction, list[tuple[str, str]]]:
        """As `predict`; a model that is not deployed is loaded for it."""

    def describe(self, folder: str) -> dict[str, Any]:
        """Returns what the model's own document says beyond its labels: input, precision, provenance, digests."""

    def deploy(self, folder: str, node_count: int) -> None:
        """Loads a model in the background, or changes how many images it answers at once."""

    def ensure(self, folder: str, node_count: int) -> None:
        """As `deploy`, for a model that is not known here: another process has deployed it."""

    def undeploy(self, folder: str) -> None:
        """Frees a model's memory."""

    def delete(self, folder: str) -> None:
        """Frees a model's memory and its disk."""


class Resources:
    """The ground that the methods of datasets and models share.

    Args:
        db: the metadata database.
        ledger: where operations are started.
        policy: the installation's choices.
        online: the models that answer online predictions.
        looks: takes a first look at what requests name.
        check_caller: raises PERMISSION_DENIED unless a caller may do what a method needs.
        new_digits: makes ids; random digits unless a test says otherwise.
    """

    def __init__(
        self,
        db: database.Database,
        ledger: Ledger,
        policy: Policy,
        online: OnlineModels,
        looks: store_checks.StoreChecks,
        check_caller: Check = lambda caller, method, requirements: None,
        new_digits: Callable[[], str] = random_digits,
    ) -> None:
        self._db = db
        self._ledger = ledger
        self._policy = policy
        self._online = online
        self._looks = looks
        self._check_caller = check_caller
        self._new_digits = new_digits

    def _location(self, text: str, field: str) -> names.LocationName:
        return self._named(names.LocationName, text, field)

    def _named(self, kind: type[_Name], text: str, field: str) -> _Name:
        name = kind.parse(text, field)
        validation.location(name, self._policy.locations, field)
        return name

    def _dataset(self, connection: sa.Connection, name: names.DatasetName, unknown: str) -> sa.Row[Any]:
        row = datasets.find(connection, name.project, name.location, name.dataset)
        if row is None:
            raise errors.not_found(unknown)
        return row

    def _model(self, connection: sa.Connection, name: names.ModelName) -> sa.Row[Any]:
        row = models.find(connection, name.project, name.location, name.model)
        if row is None:
            raise errors.not_found(errors.MODEL_UNKNOWN)
        return row

    def _usable_model(self, connection: sa.Connection, name: names.ModelName) -> sa.Row[Any]:
        """The model's row; NOT_FOUND if there is none, FAILED_PRECONDITION if its life has ended."""
        row = self._model(connection, name)
        life_days = self._policy.model_life_days
        if life_days is not None and database.now_us(connection) - row.create_time_us > life_days * DAY_US:
            raise errors.failed_precondition(
                f"The model {name} has expired: models predict for {life_days:g} days after their training. "
                "Train a new model, or change the model life in the service's settings."
            )
        return row

    def _draft(
        self,
        caller: Caller,
        parent: names.LocationName,
        kind: Kind,
        request: Any,
        *,
        works_on: str,
    ) -> Draft:
        return Draft(
            location=parent,
            id=kinds.prefix_of(works_on) + self._new_digits(),
            kind=kind,
            request=type(request).serialize(request),
            details=messages.operation_details(kind),
            works_on=works_on,
            caller=caller,
        )

    def _terms(self, caller: Caller, params: Mapping[str, str], *, method: str, model: names.ModelName) -> Terms:
        """The terms of a batch prediction, which the caller may have.

        Raises:
            ApiError: INVALID_ARGUMENT naming the key whose value is not possible; PERMISSION_DENIED.
        """
        receivers = job_params.Receivers(self._policy.notify_hosts, self._policy.schemes)
        terms = job_params.terms(params, receivers)
        self._check_caller(caller, method, job_params.requirements(terms, str(model)))
        for folder in job_params.folders(terms):
            self._looks.check(caller, output=folder, project=model.project)
        return terms

    def _page(
        self, query: sa.Select[Any], table: sa.Table, request: Any, *, scope: str, default_size: int = 100
    ) -> tuple[Sequence[sa.Row[Any]], str]:
        size = validation.page_size(request.page_size, default=default_size)
        after = database.PageKey.from_token(request.page_token, scope)
        with self._db.read() as connection:
            rows, following = database.newest_first(connection, query, table, page_size=size, after=after)
        return rows, following.token(scope) if following else ""

    def _announced(self, row: sa.Row[Any]) -> operations_pb2.Operation:
        """Tells the worker of a started operation, once its transaction has ended, and answers with it."""
        if ignored := requested.facts(row).get("ignored_params"):
            log.warning("event=ignored_params operation=%s params=%s", name_of(row), json.dumps(ignored))
        self._ledger.announce(row)
        return messages.operation(row)
