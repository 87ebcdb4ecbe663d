"""Resuming: a batch prediction that has failed or was cancelled goes on as a new operation, by the same plan."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from google.cloud.automl_v1 import types
from google.longrunning import operations_pb2

from boxwright import errors, kinds, names, objects, states
from boxwright.batch.inputs import addresses
from boxwright.callers import Caller, Requirement
from boxwright.metadata import database
from boxwright.operations import resumable
from boxwright.operations.ledger import Draft, name_of
from boxwright.services.resources import DAY_US, Resources

METHOD = "google.longrunning.Operations.ResumeOperation"
State = states.OperationState


class ResumeService(Resources):
    """Starts operations that go on where others have ended."""

    def resume(self, name: names.OperationName, caller: Caller) -> operations_pb2.Operation:
        """Starts an operation with the request, the output folder and the plan of one that has ended.

        Raises:
            ApiError: NOT_FOUND if there is no such operation or its model is gone; FAILED_PRECONDITION if it cannot be
                resumed, saying why; PERMISSION_DENIED if the caller may not predict with its model, read its lists or write
                its results.
        """
        with self._db.write() as connection:
            row = self._ledger.find_in(connection, name)
            if row is None:
                raise errors.not_found(f"Operation {name} was not found.")
            self._check_caller(caller, METHOD, [Requirement("automl.models.predict", row.works_on)])
            runs = resumable.runs_of(connection, resumable.plan_id(row))
            self._check(connection, name, row, runs)
            model = names.ModelName.parse(row.works_on)
            self._usable_model(connection, model)
            params = types.BatchPredictRequest.deserialize(row.request).params
            terms = self._terms(caller, params, method=METHOD, model=model)  # its deadline begins anew
            self._check_grants(caller, name.project, row.request)
            draft = Draft(
                location=name.parent,
                id=kinds.prefix_of(row.works_on) + self._new_digits(),
                kind=states.OperationKind(row.kind),
                request=row.request,
                details=row.details,
                works_on=row.works_on,
                caller=caller,
                terms=terms,
                plan_of=resumable.plan_id(row),
                # the latest run may have made the folder that earlier ones had not got to
                output_directory=next((run.output_directory for run in reversed(runs) if run.output_directory), ""),
            )
            started = self._ledger.start(connection, draft)
        return self._announced(started)

    def _check_grants(self, caller: Caller, project: str, request: bytes) -> None:
        """PERMISSION_DENIED unless the caller may read the lists of a batch prediction, and write where its results go."""
        message = types.BatchPredictRequest.deserialize(request)
        lists = addresses.uris(message.input_config.gcs_source.input_uris, self._policy.schemes)
        output = objects.ObjectUri.parse(message.output_config.gcs_destination.output_uri_prefix)
        self._looks.check(caller, lists, output, project=project)

    def _check(self, connection: sa.Connection, name: names.OperationName, row: sa.Row[Any], runs: Any) -> None:
        """FAILED_PRECONDITION unless the operation is a batch prediction that nobody has gone on with to its end."""
        if row.kind != resumable.RESUMABLE_KIND:
            raise errors.failed_precondition(
                f"Operation {name} is of kind {row.kind}; only batch predictions can be resumed."
            )
        if row.state == State.SUCCEEDED:
            raise errors.failed_precondition(f"Operation {name} has succeeded; there is nothing left to resume.")
        if row.state not in states.OPERATION_TERMINAL:
            raise errors.failed_precondition(f"Operation {name} is still {row.state}; it needs no resuming.")
        for run in runs:
            if run.state == State.SUCCEEDED:
                raise errors.failed_precondition(
                    f"Operation {name} has been resumed by {name_of(run)}, which has succeeded; nothing is left to resume."
                )
            if run.state not in states.OPERATION_TERMINAL:
                raise errors.failed_precondition(f"Operation {name} is being resumed already, by {name_of(run)}.")
        kept_since_us = database.now_us(connection) - round(self._policy.resume_days * DAY_US)
        if max(run.done_time_us for run in runs) < kept_since_us:
            raise errors.failed_precondition(
                f"Operation {name} ended more than {self._policy.resume_days:g} days ago, so its plan is not kept any more; "
                "start a new batch prediction."
            )
