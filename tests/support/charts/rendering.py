"""The chart as Helm's engine makes it from values, and what is in it."""

from __future__ import annotations

import atexit
import functools
import json
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import yaml

HELM = pathlib.Path(__file__).parents[3] / "deploy" / "helm"
FILES = sorted(path.stem for path in (HELM / "values").glob("*.yaml"))
Objects = list[dict[str, Any]]


class ChartError(Exception):
    """The chart refuses the values."""


def render(values: dict[str, Any], name: str = "demo") -> Objects:
    """The objects that the chart makes, for a release of this name.

    Raises:
        ChartError: see there.
    """
    files: dict[str, str] = _asked({"values": values, "name": name})["files"]
    return [one for path, text in files.items() if path.endswith(".yaml") for one in yaml.safe_load_all(text) if one]


def findings(values: dict[str, Any]) -> dict[str, Any]:
    """What Helm says of the chart with these values."""
    found: dict[str, Any] = _asked({"values": values})["findings"]
    return found


def _asked(question: dict[str, Any]) -> dict[str, Any]:
    engine = _engine()
    assert engine.stdin is not None
    assert engine.stdout is not None
    engine.stdin.write(json.dumps({"chart": str(HELM / "boxwright"), **question}) + "\n")
    engine.stdin.flush()
    answer: dict[str, Any] = json.loads(engine.stdout.readline())
    if "error" in answer:
        raise ChartError(answer["error"])
    return answer


@functools.cache
def _engine() -> subprocess.Popen[str]:
    """Helm's engine for all tests of this process; see `helm_main`."""
    command = [sys.executable, "-m", "tests.support.charts.helm_main"]
    engine = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HELM.parents[1])
    atexit.register(engine.communicate)  # its input ends, and it with it
    return engine


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
