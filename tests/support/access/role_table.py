"""Which role has which permission, as the published page of the API says it; written by hand, compared with the code."""

from __future__ import annotations

# v: automl.viewer, p: automl.predictor, e: automl.editor, a: automl.admin
TABLE = """
annotationSpecs.get annotationSpecs.list                                        v e a
annotationSpecs.create annotationSpecs.delete annotationSpecs.update            e a
datasets.get datasets.list                                                      v e a
datasets.create datasets.delete datasets.export datasets.import datasets.update e a
datasets.getIamPolicy datasets.setIamPolicy                                     a
examples.get examples.list files.list annotations.list                          v e a
tableSpecs.get tableSpecs.list columnSpecs.get columnSpecs.list                 v e a
humanAnnotationTasks.get humanAnnotationTasks.list                              v e a
examples.delete examples.update files.delete                                    e a
annotations.approve annotations.create annotations.manipulate annotations.reject e a
tableSpecs.update columnSpecs.update                                            e a
humanAnnotationTasks.create humanAnnotationTasks.delete                         e a
locations.get locations.list                                                    v e a
locations.getIamPolicy locations.setIamPolicy                                   a
modelEvaluations.get modelEvaluations.list                                      v e a
modelEvaluations.create                                                         e a
models.get models.list                                                          v e a
models.predict                                                                  p e a
models.create models.delete models.deploy models.export models.undeploy         e a
models.getIamPolicy models.setIamPolicy                                         a
operations.get operations.list                                                  v e a
operations.cancel operations.delete                                             e a
"""
ROLES = {
    "v": "roles/automl.viewer",
    "p": "roles/automl.predictor",
    "e": "roles/automl.editor",
    "a": "roles/automl.admin",
}


def permissions() -> dict[str, set[str]]:
    """Role to the full names of its permissions."""
    found: dict[str, set[str]] = {role: set() for role in ROLES.values()}
    for line in TABLE.strip().splitlines():
        words = line.split()
        for letter in (word for word in words if word in ROLES):
            found[ROLES[letter]] |= {f"automl.{word}" for word in words if word not in ROLES}
    return found
