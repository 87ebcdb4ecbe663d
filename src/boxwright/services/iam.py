"""The IAM mixin: policies of projects, locations, datasets and models, and which permissions a caller has.

Where everybody may do everything (``access = open``), there are no policies: whoever wrote one could make themselves the
owner of what is to be protected later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import sqlalchemy as sa
from google.iam.v1 import iam_policy_pb2, policy_pb2

from boxwright import errors, names
from boxwright.access import policies, roles
from boxwright.callers import Caller
from boxwright.metadata import database, datasets, models
from boxwright.services import validation

VERSIONS = (0, 1, 3)  # 3 is what clients ask for that know conditions; there are none here
_NO_POLICIES = (
    "This installation has no access control, so there are no IAM policies: every caller may do everything. Limit who "
    "reaches the service with `boxwright serve --access required`; see docs/access.md."
)


class PermissionHolder(Protocol):
    """Says what callers may do."""

    @property
    def has_policies(self) -> bool:
        """Whether policies decide."""

    def held(self, caller: Caller, resource: str, asked: Sequence[str]) -> list[str]:
        """Which of these permissions the caller has on a resource, in their order."""


class IamPolicy:
    """`google.iam.v1.IAMPolicy`.

    Args:
        db: the metadata database.
        holder: says what callers may do.
        locations: location ids served here.
    """

    def __init__(self, db: database.Database, holder: PermissionHolder, locations: Sequence[str]) -> None:
        self._db = db
        self._holder = holder
        self._locations = locations

    def set_iam_policy(self, request: iam_policy_pb2.SetIamPolicyRequest, caller: Caller) -> policy_pb2.Policy:
        """Replaces a policy; with an etag, only if it is still the one that was read."""
        self._check_resource(request.resource)
        self._check_there_are_policies()
        wanted = _bindings(request.policy)
        with self._db.write() as connection:
            self._check_exists(connection, request.resource)
            if request.update_mask.paths and "bindings" not in request.update_mask.paths:
                wanted = {
                    role: list(held) for role, held in policies.read(connection, request.resource).bindings.items()
                }
            return _message(policies.write(connection, request.resource, wanted, request.policy.etag))

    def get_iam_policy(self, request: iam_policy_pb2.GetIamPolicyRequest, caller: Caller) -> policy_pb2.Policy:
        """Returns a policy: what is granted on the resource itself."""
        self._check_resource(request.resource)
        self._check_there_are_policies()
        if request.options.requested_policy_version not in VERSIONS:
            raise errors.invalid_argument("options.requested_policy_version", f"It is none of {VERSIONS}.")
        with self._db.read() as connection:
            self._check_exists(connection, request.resource)
            return _message(policies.read(connection, request.resource))

    def test_iam_permissions(
        self, request: iam_policy_pb2.TestIamPermissionsRequest, caller: Caller
    ) -> iam_policy_pb2.TestIamPermissionsResponse:
        """Answers with those of the permissions that the caller has, whether the resource exists or not."""
        self._check_resource(request.resource, holds_policy=False)
        for permission in request.permissions:
            if not permission or "*" in permission:
                raise errors.invalid_argument(
                    "permissions",
                    f"'{permission[:80]}' is not the full name of a permission; wildcards are not allowed.",
                )
        held = self._holder.held(caller, request.resource, request.permissions)
        return iam_policy_pb2.TestIamPermissionsResponse(permissions=held)

    def _check_there_are_policies(self) -> None:
        if not self._holder.has_policies:
            raise errors.unimplemented(_NO_POLICIES)

    def _check_resource(self, text: str, *, holds_policy: bool = True) -> None:
        """INVALID_ARGUMENT unless this is a name in a location served here, or a project's, that holds a policy."""
        if not names.is_name(text) or (holds_policy and not roles.level_of(text)):
            raise errors.invalid_argument(
                "resource",
                f"Malformed resource name '{text[:200]}'. Expected: {names.LocationName.PATTERN}, or something below it",
            )
        resources = names.hierarchy(text)
        if len(resources) > 1:
            validation.location(names.LocationName.parse(resources[1]), self._locations, "resource")

    def _check_exists(self, connection: sa.Connection, text: str) -> None:
        """NOT_FOUND for a dataset or model that is not there."""
        found: object = text
        if roles.level_of(text) == "dataset":
            dataset = names.DatasetName.parse(text, "resource")
            found = datasets.find(connection, dataset.project, dataset.location, dataset.dataset)
        elif roles.level_of(text) == "model":
            model = names.ModelName.parse(text, "resource")
            found = models.find(connection, model.project, model.location, model.model)
        if found is None:
            raise errors.not_found(f"{text} was not found.")


def _bindings(policy: policy_pb2.Policy) -> dict[str, list[str]]:
    """Members by role; INVALID_ARGUMENT for what policies here do not have."""
    if policy.version not in VERSIONS:
        raise errors.invalid_argument("policy.version", f"{policy.version} is none of {VERSIONS}.")
    if policy.audit_configs:
        raise errors.invalid_argument("policy.audit_configs", "There are none here.")
    wanted: dict[str, list[str]] = {}
    for binding in policy.bindings:
        if binding.HasField("condition"):
            raise errors.invalid_argument("policy.bindings.condition", "Conditions are not supported.")
        wanted.setdefault(binding.role, []).extend(binding.members)
    return wanted


def _message(stored: policies.StoredPolicy) -> policy_pb2.Policy:
    bindings = [policy_pb2.Binding(role=role, members=of_role) for role, of_role in stored.bindings.items()]
    return policy_pb2.Policy(version=1, bindings=bindings, etag=stored.etag)
