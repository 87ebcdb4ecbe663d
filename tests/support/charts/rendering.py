"""The chart as Helm's engine makes it from values, and what is in it."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Iterator
from typing import Any

import helm_python
import yaml

HELM = pathlib.Path(__file__).parents[3] / "deploy" / "helm"
FILES = sorted(path.stem for path in (HELM / "values").glob("*.yaml"))
Objects = list[dict[str, Any]]


def render(values: dict[str, Any], name: str = "demo") -> Objects:
    """The objects that the chart makes, for a release of this name."""
    with helm_python.Chart.load(str(HELM / "boxwright")) as chart:
        files = chart.render(values, name=name, namespace="production")
    return [one for path, text in files.items() if path.endswith(".yaml") for one in yaml.safe_load_all(text) if one]


def values_of(name: str) -> dict[str, Any]:
    """A file of values, read anew."""
    found: dict[str, Any] = yaml.safe_load((HELM / "values" / f"{name}.yaml").read_text(encoding="utf-8"))
    return found


@functools.cache
def rendered(name: str) -> Objects:
    """The objects for a file of values; nobody changes them."""
    return render(values_of(name))


def of_kind(objects: Objects, kind: str) -> Objects:
    """Those of a kind."""
    return [one for one in objects if one["kind"] == kind]


def named(objects: Objects, kind: str, name: str) -> dict[str, Any]:
    """The one of this kind and name."""
    (found,) = [one for one in of_kind(objects, kind) if one["metadata"]["name"] == name]
    return found


def templates(objects: Objects) -> Iterator[dict[str, Any]]:
    """The templates of all pods, with the labels that KubeRay adds to those of a RayCluster."""
    for one in objects:
        if one["kind"] in ("Deployment", "Job"):
            yield one["spec"]["template"]
        elif one["kind"] == "RayCluster":
            groups = [(one["spec"]["headGroupSpec"], "head")]
            groups += [(group, "worker") for group in one["spec"]["workerGroupSpecs"]]
            for group, role in groups:
                template = group["template"]
                added = {"ray.io/cluster": one["metadata"]["name"], "ray.io/node-type": role}
                metadata = template["metadata"]
                yield {**template, "metadata": {**metadata, "labels": {**metadata["labels"], **added}}}


def pods(objects: Objects) -> Iterator[dict[str, Any]]:
    """The specification of each pod."""
    for template in templates(objects):
        yield template["spec"]


def containers(objects: Objects) -> Iterator[dict[str, Any]]:
    """The containers of all pods, those that run first included."""
    for pod in pods(objects):
        yield from (*pod.get("initContainers", ()), *pod["containers"])


def container(pod: dict[str, Any], name: str) -> dict[str, Any]:
    """The container of this name."""
    (found,) = [one for one in pod["containers"] if one["name"] == name]
    return dict(found)


def environment(one: dict[str, Any]) -> dict[str, str]:
    """The variables of a container whose values are written down."""
    return {variable["name"]: variable["value"] for variable in one["env"] if "value" in variable}
