"""The IAM mixin: while there is no access control, everybody may do everything, and policies cannot be read or written."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from google.iam.v1 import iam_policy_pb2, policy_pb2

from boxwright import errors, names
from boxwright.callers import Caller
from boxwright.services import validation

_KINDS: tuple[type[names.ResourceName], ...] = (
    names.LocationName,
    names.DatasetName,
    names.AnnotationSpecName,
    names.ModelName,
    names.ModelEvaluationName,
    names.OperationName,
)
_NO_POLICIES = (
    "This installation has no access control, so there are no IAM policies: every caller may do everything. Limit who "
    "reaches the service with a proxy that authenticates."
)


class IamPolicy:
    """`google.iam.v1.IAMPolicy`."""

    def __init__(self, locations: Sequence[str]) -> None:
        self._locations = locations

    def set_iam_policy(self, request: iam_policy_pb2.SetIamPolicyRequest, caller: Caller) -> policy_pb2.Policy:
        """Refused: UNIMPLEMENTED."""
        self._check_resource(request.resource)
        raise errors.unimplemented(_NO_POLICIES)

    def get_iam_policy(self, request: iam_policy_pb2.GetIamPolicyRequest, caller: Caller) -> policy_pb2.Policy:
        """Refused: UNIMPLEMENTED."""
        self._check_resource(request.resource)
        raise errors.unimplemented(_NO_POLICIES)

    def test_iam_permissions(
        self, request: iam_policy_pb2.TestIamPermissionsRequest, caller: Caller
    ) -> iam_policy_pb2.TestIamPermissionsResponse:
        """Answers with the permissions that were asked for: everybody has them all."""
        self._check_resource(request.resource)
        for permission in request.permissions:
            if not permission or "*" in permission:
                raise errors.invalid_argument(
                    "permissions",
                    f"'{permission[:80]}' is not the full name of a permission; wildcards are not allowed.",
                )
        return iam_policy_pb2.TestIamPermissionsResponse(permissions=request.permissions)

    def _check_resource(self, text: str) -> None:
        for kind in _KINDS:
            with contextlib.suppress(errors.ApiError):
                name = kind.parse(text, "resource")
                break
        else:
            raise errors.invalid_argument(
                "resource",
                f"Malformed resource name '{text[:200]}'. Expected: {names.LocationName.PATTERN}, or something below it",
            )
        validation.location(name, self._locations, "resource")
