"""The one error of the house: `google.rpc.Status` as an exception.

    ApiError                     a google.rpc.Status that is raised; every API server knows how to show it
    LeaseLost                    another worker owns this operation now; the loser stops quietly

One constructor per code that we raise: `invalid_argument(field, why)`, `not_found(message)` and so on. The texts that
official tests match are constants here. Mapping to HTTP belongs to the REST server; this module knows only google.rpc.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from google.protobuf import any_pb2, message
from google.rpc import code_pb2, error_details_pb2, status_pb2

DATASET_UNKNOWN_TO_IMPORT = "The Dataset doesn't exist or is inaccessible for use with AutoMl."
DATASET_UNKNOWN_TO_TRAINING = "Dataset does not exist."
MODEL_UNKNOWN = "The model does not exist."
MODEL_ID_INVALID = "Model ID is invalid. It should start with 3 letters."
MAX_PARTIAL_FAILURES = 20  # operations.proto: partial_failures never has more entries
EMPTY_BATCH_CSV = "BatchPredict could not start due to empty input CSV file."


class ApiError(Exception):
    """A `google.rpc.Status` as an exception.

    Args:
        code: a `google.rpc.Code` number, never OK.
        message: one sentence that names the thing and says what to do.
        details: protobuf messages packed into `Status.details`.
    """

    def __init__(self, code: int, message: str, details: Sequence[message.Message] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = tuple(details)

    @property
    def status(self) -> status_pb2.Status:
        """This error as the protobuf message that travels."""
        packed = []
        for detail in self.details:
            wrapped = any_pb2.Any()
            wrapped.Pack(detail)
            packed.append(wrapped)
        return status_pb2.Status(code=self.code, message=self.message, details=packed)

    @property
    def code_name(self) -> str:
        """The enum name of the code, such as ``NOT_FOUND``."""
        return code_pb2.Code.Name(self.code)

    def __repr__(self) -> str:
        return f"ApiError({self.code_name}: {self.message})"


class LeaseLost(Exception):
    """Another worker owns this operation now: stop and write nothing more."""


def is_lasting(error: ApiError) -> bool:
    """Whether trying again would fail in the same way: the thing itself is wrong, not the way to it."""
    return error.code in (code_pb2.INVALID_ARGUMENT, code_pb2.NOT_FOUND, code_pb2.OUT_OF_RANGE, code_pb2.DATA_LOSS)


def from_status(status: status_pb2.Status) -> ApiError:
    """Returns the error that a stored Status describes (details are not unpacked)."""
    return ApiError(status.code, status.message)


def invalid_fields(problems: Iterable[tuple[str, str]]) -> ApiError:
    """INVALID_ARGUMENT in the service's own numbered, tab-separated list form."""
    problems = list(problems)
    lines = [f"{number}.Field: {field}; Message: {why}\t" for number, (field, why) in enumerate(problems, 1)]
    violations = error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(field=field, description=why) for field, why in problems
        ]
    )
    return ApiError(code_pb2.INVALID_ARGUMENT, "List of found errors:\t" + "".join(lines), [violations])


def invalid_argument(field: str, why: str) -> ApiError:
    """INVALID_ARGUMENT about one request field."""
    return invalid_fields([(field, why)])


def bad_request(message: str) -> ApiError:
    """INVALID_ARGUMENT that is not about a single request field (an unreadable body, an unusable image)."""
    return ApiError(code_pb2.INVALID_ARGUMENT, message)


def not_found(message: str = "Requested entity was not found.") -> ApiError:
    """NOT_FOUND."""
    return ApiError(code_pb2.NOT_FOUND, message)


def already_exists(message: str) -> ApiError:
    """ALREADY_EXISTS: what should be new is there."""
    return ApiError(code_pb2.ALREADY_EXISTS, message)


def failed_precondition(message: str) -> ApiError:
    """FAILED_PRECONDITION: the request is fine, the state of the thing is not."""
    return ApiError(code_pb2.FAILED_PRECONDITION, message)


def out_of_range(message: str) -> ApiError:
    """OUT_OF_RANGE: a value is beyond what there is."""
    return ApiError(code_pb2.OUT_OF_RANGE, message)


def data_loss(message: str) -> ApiError:
    """DATA_LOSS: stored bytes are gone or are not those that were written."""
    return ApiError(code_pb2.DATA_LOSS, message)


def aborted(message: str) -> ApiError:
    """ABORTED: a concurrent change won, read again and retry."""
    return ApiError(code_pb2.ABORTED, message)


def unimplemented(message: str) -> ApiError:
    """UNIMPLEMENTED."""
    return ApiError(code_pb2.UNIMPLEMENTED, message)


def unauthenticated(message: str) -> ApiError:
    """UNAUTHENTICATED."""
    return ApiError(code_pb2.UNAUTHENTICATED, message)


def permission_denied(message: str) -> ApiError:
    """PERMISSION_DENIED."""
    return ApiError(code_pb2.PERMISSION_DENIED, message)


def resource_exhausted(message: str) -> ApiError:
    """RESOURCE_EXHAUSTED: a limit of this installation was met."""
    return ApiError(code_pb2.RESOURCE_EXHAUSTED, message)


def quota_exceeded(message: str, project: str, quota: str, limit: int) -> ApiError:
    """RESOURCE_EXHAUSTED: a project has as many of something as it may have; `quota` is the setting that says so."""
    metadata = {
        "service": "automl.googleapis.com",
        "consumer": f"projects/{project}",
        "quota_limit": quota,
        "quota_limit_value": str(limit),
    }
    info = error_details_pb2.ErrorInfo(reason="RESOURCE_QUOTA_EXCEEDED", domain="googleapis.com", metadata=metadata)
    violation = error_details_pb2.QuotaFailure.Violation(subject=f"project:{project}", description=message)
    failure = error_details_pb2.QuotaFailure(violations=[violation])
    return ApiError(code_pb2.RESOURCE_EXHAUSTED, message, [info, failure])


def unavailable(message: str) -> ApiError:
    """UNAVAILABLE: try again later."""
    return ApiError(code_pb2.UNAVAILABLE, message)


def deadline_exceeded(message: str) -> ApiError:
    """DEADLINE_EXCEEDED: it took longer than this installation allows."""
    return ApiError(code_pb2.DEADLINE_EXCEEDED, message)


def cancelled(message: str = "The operation was cancelled.") -> ApiError:
    """CANCELLED: the end of an operation whose cancellation was asked for."""
    return ApiError(code_pb2.CANCELLED, message)


def internal(incident_id: str) -> ApiError:
    """INTERNAL with the id under which the log holds the traceback."""
    return ApiError(
        code_pb2.INTERNAL,
        f"Internal error encountered. Incident {incident_id}: the service's log has the details under this id.",
    )
