"""Roles are those of the published page, and what is granted where."""

from __future__ import annotations

import pytest
from tests.support.access import role_table

from boxwright.access import roles
from boxwright.surface import methods


@pytest.mark.parametrize("role", role_table.ROLES.values())
def test_a_role_has_the_permissions_of_the_published_page(role: str) -> None:
    assert roles.ROLES[role].permissions == role_table.permissions()[role]


def test_the_two_gaps_of_the_published_page_are_there() -> None:
    assert "automl.models.predict" not in roles.ROLES["roles/automl.viewer"].permissions
    assert roles.ROLES["roles/automl.predictor"].permissions == {"automl.models.predict"}


def test_basic_roles_contain_the_role_that_they_are_like() -> None:
    for basic, like in (("owner", "admin"), ("editor", "editor"), ("viewer", "viewer")):
        assert roles.ROLES[f"roles/{basic}"].permissions > roles.ROLES[f"roles/automl.{like}"].permissions
    assert roles.ROLES[roles.ADMIN].permissions == roles.PERMISSIONS


@pytest.mark.parametrize("row", methods.TABLE, ids=lambda row: row.rpc)
def test_somebody_can_have_the_permission_of_every_method(row: methods.Method) -> None:
    needed = {found.permission for found in methods.requirements(row, row.request_pb())} if row.resource else set()
    if "*" in row.permission:
        verb = row.permission.removeprefix("*")
        needed = {f"automl.{kind}{verb}" for kind in ("locations", "datasets", "models")}
        needed.add(f"resourcemanager.projects{verb}")
    assert needed <= roles.PERMISSIONS


LEVELS = {
    "installation": "installation",
    "projects/p": "project",
    "projects/p/locations/l": "location",
    "projects/p/locations/l/datasets/d": "dataset",
    "projects/p/locations/l/models/m": "model",
    "projects/p/locations/l/operations/o": "",
    "projects/p/locations/l/models/m/modelEvaluations/e": "",
    "projects": "",
    "projects/p/serviceAccounts/ci@p.boxwright.localhost": "serviceAccount",
    "projects/p/others/x": "",
}


@pytest.mark.parametrize("name", LEVELS)
def test_a_resource_has_a_level(name: str) -> None:
    assert roles.level_of(name) == LEVELS[name]


def test_a_predictor_is_for_models_and_projects_and_an_owner_for_projects() -> None:
    assert "dataset" not in roles.ROLES["roles/automl.predictor"].levels
    assert roles.ROLES[roles.OWNER].levels == ("project",)
    assert all(set(role.levels) <= set(roles.LEVELS) for role in roles.ROLES.values())
