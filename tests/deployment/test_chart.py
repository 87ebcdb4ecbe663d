"""deploy/helm: the chart is rendered by Helm's engine, judged by the schemas of Kubernetes, and held to rules of our own."""

from __future__ import annotations

import functools
import json
import pathlib
import re
import sqlite3
from collections.abc import Iterator
from typing import Any

import helm_python
import jsonschema
import kubernetes_validate
import pytest
import yaml

import boxwright
from boxwright import settings, states
from boxwright.settings.groups import all_settings

HELM = pathlib.Path(__file__).parents[2] / "deploy" / "helm"
VALUES = sorted((HELM / "values").glob("*.yaml"))
KUBERNETES = ("1.29", "1.33")
CUSTOM = json.loads(pathlib.Path(__file__).with_name("custom_resources.json").read_text(encoding="utf-8"))
CUSTOM_VERSIONS = {
    "ServiceMonitor": "monitoring.coreos.com/v1",
    "TriggerAuthentication": "keda.sh/v1alpha1",
    "ScaledObject": "keda.sh/v1alpha1",
}


def _render(values: dict[str, Any], name: str = "demo") -> list[dict[str, Any]]:
    with helm_python.Chart.load(str(HELM / "boxwright")) as chart:
        files = chart.render(values, name=name, namespace="production")
    return [one for path, text in files.items() if path.endswith(".yaml") for one in yaml.safe_load_all(text) if one]


def _values(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((HELM / "values" / f"{name}.yaml").read_text(encoding="utf-8"))
    return found


@functools.cache
def _rendered(name: str) -> list[dict[str, Any]]:
    return _render(_values(name))


def _of_kind(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [one for one in objects if one["kind"] == kind]


def _pods(objects: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for one in objects:
        if one["kind"] in ("Deployment", "Job"):
            yield one["spec"]["template"]["spec"]


def _containers(objects: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for pod in _pods(objects):
        yield from (*pod.get("initContainers", ()), *pod["containers"])


def _environment(container: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container["env"]}


each_values_file = pytest.mark.parametrize("name", [path.stem for path in VALUES])


def test_there_is_a_values_file_for_each_way_to_deploy() -> None:
    assert [path.stem for path in VALUES] == ["cluster", "gpu-training", "keda", "laptop", "one-node", "s3-postgresql"]


@each_values_file
@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_knows_every_field(name: str, version: str) -> None:
    objects = _rendered(name)
    assert _of_kind(objects, "Deployment")
    for one in objects:
        if one["kind"] in CUSTOM:
            assert one["apiVersion"] == CUSTOM_VERSIONS[one["kind"]]
            assert one.keys() == {"apiVersion", "kind", "metadata", "spec"}
            jsonschema.validate(one["spec"], CUSTOM[one["kind"]])
        else:
            kubernetes_validate.validate(one, version, strict=True)


def test_an_unknown_field_is_found() -> None:
    (service, *_) = _of_kind(_rendered("one-node"), "Service")
    broken = {**service, "spec": {**service["spec"], "selektor": {}}}
    with pytest.raises(kubernetes_validate.ValidationError, match="selektor"):
        kubernetes_validate.validate(broken, KUBERNETES[-1], strict=True)


@each_values_file
def test_names_are_unique_and_follow_the_release(name: str) -> None:
    named = [(one["kind"], one["metadata"]["name"]) for one in _rendered(name)]
    assert len(named) == len(set(named))
    assert all(found.startswith("demo-boxwright") for _, found in named)


@each_values_file
def test_every_pod_meets_the_restricted_standard(name: str) -> None:
    for pod in _pods(_rendered(name)):
        context = pod["securityContext"]
        assert (context["runAsNonRoot"], context["runAsUser"]) == (True, 10001)
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not pod["automountServiceAccountToken"]
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert not [volume for volume in pod["volumes"] if "hostPath" in volume]
    for container in _containers(_rendered(name)):
        context = container["securityContext"]
        assert not context["allowPrivilegeEscalation"] and context["readOnlyRootFilesystem"]
        assert context["capabilities"] == {"drop": ["ALL"]}


@each_values_file
def test_no_image_floats(name: str) -> None:
    for container in _containers(_rendered(name)):
        assert re.fullmatch(r"[^:@]+:\d+\.\d+\.\d+", container["image"]), container["image"]


@each_values_file
def test_secrets_are_named_and_never_written(name: str) -> None:
    objects = _rendered(name)
    assert not _of_kind(objects, "Secret")
    for container in _containers(objects):
        assert not [key for key in _environment(container) if re.search(r"SECRET|PASSWORD|DATABASE_URL$", key)]


@each_values_file
def test_every_variable_is_a_setting_that_takes_the_value(name: str) -> None:
    for container in _containers(_rendered(name)):
        environment = {key: value for key, value in _environment(container).items() if not key.endswith("_URL_FILE")}
        settings.read(environment)  # raises for a name or a value that there is not
        assert all(isinstance(value, str) for value in environment.values())


@each_values_file
def test_probes_ask_the_health_port(name: str) -> None:
    for deployment in _of_kind(_rendered(name), "Deployment"):
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        environment = _environment(container)
        assert ports["health"] == int(environment["BOXWRIGHT_HEALTH_PORT"])
        assert environment["BOXWRIGHT_HEALTH_HOST"] == "0.0.0.0"
        probes = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
        assert {kind: probe["path"] for kind, probe in probes.items()} == {
            "startup": "/healthz",
            "liveness": "/healthz",
            "readiness": "/readyz",
        }
        assert {probe["port"] for probe in probes.values()} == {"health"}


@each_values_file
def test_every_selector_finds_its_pods(name: str) -> None:
    objects = _rendered(name)
    templates = [
        one["spec"]["template"]["metadata"]["labels"] for one in objects if one["kind"] in ("Deployment", "Job")
    ]
    for one in objects:
        spec = one.get("spec", {})
        selector = spec.get("podSelector") or spec.get("selector")
        if one["kind"] == "ServiceMonitor" or selector is None:
            continue
        wanted = selector if one["kind"] == "Service" else selector["matchLabels"]
        assert [labels for labels in templates if wanted.items() <= labels.items()], one["metadata"]["name"]


@each_values_file
def test_every_mount_has_its_volume(name: str) -> None:
    for pod in _pods(_rendered(name)):
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            assert {"/data", "/tmp"} <= {mount["mountPath"] for mount in container["volumeMounts"]}


@each_values_file
def test_who_trains_has_the_image_that_can(name: str) -> None:
    for container in _containers(_rendered(name)):
        if container["name"] == "migrate":
            continue
        kinds = _environment(container).get("BOXWRIGHT_KINDS", "").split(",")
        assert ("boxwright-train:" in container["image"]) == ("train" in kinds)
        if "nvidia.com/gpu" in container["resources"]["limits"]:
            assert kinds == ["train"]


@each_values_file
def test_a_worker_has_all_its_memory_and_no_limit_of_cores(name: str) -> None:
    for container in _containers(_rendered(name)):
        resources = container["resources"]
        assert resources["requests"]["memory"] == resources["limits"]["memory"]
        if container["name"] == "worker":
            assert "cpu" not in resources["limits"]
            assert resources["requests"]["cpu"] == _environment(container)["BOXWRIGHT_CORES"]


@each_values_file
def test_pods_can_be_moved_but_not_all_at_once(name: str) -> None:
    objects = _rendered(name)
    guarded = {one["metadata"]["name"] for one in _of_kind(objects, "PodDisruptionBudget")}
    for deployment in _of_kind(objects, "Deployment"):
        is_alone = deployment["spec"].get("replicas") == 1 and "serve" in str(deployment["metadata"]["labels"])
        assert (deployment["metadata"]["name"] in guarded) != is_alone


@each_values_file
def test_the_schema_is_brought_up_before_the_pods(name: str) -> None:
    objects = _rendered(name)
    jobs = _of_kind(objects, "Job")
    has_database = "database" in _values(name)
    assert len(jobs) == int(has_database)
    for job in jobs:
        assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
        assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["migrate", "--expand"]
    (serve,) = [one for one in _of_kind(objects, "Deployment") if one["metadata"]["name"] == "demo-boxwright"]
    first = serve["spec"]["template"]["spec"].get("initContainers", [])
    assert [container["args"] for container in first] == ([] if has_database else [["migrate"]])


def test_a_migration_takes_arguments() -> None:
    values = {**_values("keda"), "migrations": {"args": []}}
    (job,) = _of_kind(_render(values), "Job")
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["migrate"]


def test_the_query_of_keda_counts_what_waits_and_what_is_worked_on() -> None:
    values = _values("keda")
    values["workers"][0]["kinds"] = list(states.WORK)
    (scaled,) = _of_kind(_render(values), "ScaledObject")
    query = scaled["spec"]["triggers"][0]["metadata"]["query"]
    with sqlite3.connect(":memory:") as db:
        db.execute("CREATE TABLE operations (kind TEXT, state TEXT)")
        rows = [(kind, state) for kind in states.OperationKind for state in states.OperationState]
        db.executemany("INSERT INTO operations VALUES (?, ?)", rows)
        (count,) = db.execute(query).fetchone()
    known = {kind for kinds in states.WORK.values() for kind in kinds}
    assert count == len(known) * 2
    assert scaled["spec"]["scaleTargetRef"]["name"] == "demo-boxwright-batch"
    (deployment,) = [
        one for one in _of_kind(_render(values), "Deployment") if one["metadata"]["name"] == "demo-boxwright-batch"
    ]
    assert "replicas" not in deployment["spec"]  # KEDA's to say


def test_open_access_listens_to_nobody_and_is_no_service() -> None:
    objects = _rendered("laptop")
    assert not _of_kind(objects, "Service") and not _of_kind(objects, "Ingress")
    (serve,) = _of_kind(objects, "Deployment")
    assert _environment(serve["spec"]["template"]["spec"]["containers"][0])["BOXWRIGHT_HOST"] == "127.0.0.1"


def test_a_setting_keeps_its_value() -> None:
    given = {"shard_images": 1_000_000, "price_per_core_hour": 0.035, "audit_reads": True, "locations": ["a", "b"]}
    (serve, *_) = _of_kind(_render({**_values("one-node"), "settings": given}), "Deployment")
    environment = _environment(serve["spec"]["template"]["spec"]["containers"][0])
    found = {key: environment[f"BOXWRIGHT_{key.upper()}"] for key in given}
    assert found == {
        "shard_images": "1000000",
        "price_per_core_hour": "0.035",
        "audit_reads": "true",
        "locations": "a,b",
    }


def test_a_digest_wins_over_the_tag() -> None:
    digest = "sha256:" + "0123456789abcdef" * 4
    (serve, *_) = _of_kind(_render({**_values("laptop"), "image": {"digest": digest, "tag": "9.9.9"}}), "Deployment")
    assert serve["spec"]["template"]["spec"]["containers"][0]["image"].endswith(f"/boxwright@{digest}")


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("laptop", {"imgae": {}}, "imgae"),
    ("laptop", {"image": {"tag": "latest"}}, "tag"),
    ("laptop", {"settings": {"database_url": "postgresql+pg8000://me:secret@db/boxwright"}}, "database_url"),
    ("laptop", {"access": "required"}, "tls.existingSecret"),
    ("laptop", {"serve": {"worker": True, "replicas": 2}}, "SQLite is for one pod"),
    ("laptop", {"workers": _values("keda")["workers"]}, "SQLite is for one pod"),
    ("laptop", {"storage": {"persistence": {"enabled": False}}}, "lost with the pod"),
    ("laptop", {"serve": {"worker": True, "ingress": {"enabled": True}}}, "port-forward"),
    ("cluster", {"storage": {"persistence": {"accessModes": ["ReadWriteOnce"]}}}, "ReadWriteMany"),
    ("keda", {"workers": [{"name": "serve"}]}, "workers"),
]


@pytest.mark.parametrize(("name", "change", "why"), REFUSED)
def test_values_that_cannot_work_are_refused(name: str, change: dict[str, Any], why: str) -> None:
    with pytest.raises(helm_python.HelmError, match=re.escape(why)):
        _render({**_values(name), **change})


def test_helm_itself_finds_no_mistake() -> None:
    findings = helm_python.lint(str(HELM / "boxwright"), values=_values("cluster"))
    assert not [one for one in _messages(findings) if "ERROR" in one or "WARNING" in one], findings


def _messages(findings: Any) -> list[str]:
    return [str(one) for one in (findings if isinstance(findings, list) else getattr(findings, "messages", [findings]))]


def test_the_chart_is_of_this_version() -> None:
    chart = yaml.safe_load((HELM / "boxwright" / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["version"] == chart["appVersion"] == boxwright.__version__
    assert "dependencies" not in chart


def test_the_schema_names_settings_that_exist() -> None:
    schema = json.loads((HELM / "boxwright" / "values.schema.json").read_text(encoding="utf-8"))
    reserved = schema["properties"]["settings"]["propertyNames"]["not"]["enum"]
    assert set(reserved) <= {one.name for one in all_settings()}
