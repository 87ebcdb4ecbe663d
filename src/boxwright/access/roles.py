"""The permissions and roles of the API, as Google's page "AutoML roles and permissions" has them, and few more.

    PERMISSIONS     every permission that there is
    ROLES           what each role gives, and where it may be granted
    level_of(name)  which kind of resource a name is, for `Role.levels`

`roles/owner`, `editor` and `viewer` are the basic roles of projects; `roles/boxwright.admin` is everything, everywhere.
"""

from __future__ import annotations

import dataclasses

INSTALLATION = "installation"  # the resource above all projects
LEVELS = ("installation", "project", "location", "dataset", "model", "serviceAccount")
OWNER = "roles/owner"
ADMIN = "roles/boxwright.admin"


@dataclasses.dataclass(frozen=True)
class Role:
    """What a role gives.

    Attributes:
        permissions: their full names.
        levels: the kinds of resources on which it may be granted.
    """

    permissions: frozenset[str]
    levels: tuple[str, ...]


def _named(service: str, listed: str) -> frozenset[str]:
    """Full names from ``resource.verb.verb`` words."""
    found = set()
    for word in listed.split():
        resource, *verbs = word.split(".")
        found |= {f"{service}.{resource}.{verb}" for verb in verbs}
    return frozenset(found)


_READ = _named(
    "automl",
    "annotationSpecs.get.list datasets.get.list examples.get.list files.list annotations.list tableSpecs.get.list "
    "columnSpecs.get.list humanAnnotationTasks.get.list locations.get.list modelEvaluations.get.list models.get.list "
    "operations.get.list",
)
_PREDICT = _named("automl", "models.predict")
_EDIT = _named(
    "automl",
    "annotationSpecs.create.delete.update datasets.create.delete.export.import.update examples.delete.update files.delete "
    "annotations.approve.create.manipulate.reject tableSpecs.update columnSpecs.update humanAnnotationTasks.create.delete "
    "modelEvaluations.create models.create.delete.deploy.export.undeploy operations.cancel.delete",
)
_POLICIES = _named(
    "automl",
    "datasets.getIamPolicy.setIamPolicy locations.getIamPolicy.setIamPolicy models.getIamPolicy.setIamPolicy",
)
_PRIORITIZE = _named("boxwright", "operations.prioritize")
_EDITOR = _READ | _PREDICT | _EDIT
_AUTOML_ADMIN = _EDITOR | _POLICIES
_SEE_PROJECT = _named("resourcemanager", "projects.get.getIamPolicy")
_OWN_PROJECT = _SEE_PROJECT | _named("resourcemanager", "projects.setIamPolicy")
_CHARGE = _named("serviceusage", "services.use")
_IMPERSONATE = _named("iam", "serviceAccounts.getAccessToken")
_ANYWHERE = ("project", "location", "dataset", "model")

ROLES = {
    "roles/automl.admin": Role(_AUTOML_ADMIN, _ANYWHERE),
    "roles/automl.editor": Role(_EDITOR, _ANYWHERE),
    "roles/automl.predictor": Role(_PREDICT, ("project", "location", "model")),
    "roles/automl.viewer": Role(_READ, _ANYWHERE),
    OWNER: Role(_AUTOML_ADMIN | _OWN_PROJECT | _CHARGE | _PRIORITIZE, ("project",)),
    "roles/editor": Role(_EDITOR | _SEE_PROJECT | _CHARGE, ("project",)),
    "roles/viewer": Role(_READ | _SEE_PROJECT, ("project",)),
    "roles/serviceusage.serviceUsageConsumer": Role(_CHARGE, ("project",)),
    "roles/iam.serviceAccountTokenCreator": Role(_IMPERSONATE, ("project", "serviceAccount")),
    "roles/boxwright.prioritizer": Role(_PRIORITIZE, ("project", "location", "model")),
    ADMIN: Role(_AUTOML_ADMIN | _OWN_PROJECT | _CHARGE | _IMPERSONATE | _PRIORITIZE, ("installation",)),
}
PERMISSIONS = frozenset().union(*(role.permissions for role in ROLES.values()))


def level_of(resource: str) -> str:
    """Which kind of resource a policy's holder is; an empty text for what holds no policy."""
    if resource == INSTALLATION:
        return INSTALLATION
    steps = resource.split("/")
    collections = {
        2: {"projects": "project"},
        4: {"locations": "location", "serviceAccounts": "serviceAccount"},
        6: {"datasets": "dataset", "models": "model"},
    }
    return collections.get(len(steps), {}).get(steps[-2:][0], "")
