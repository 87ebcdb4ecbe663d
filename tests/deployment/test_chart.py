"""deploy/helm: the chart is rendered by Helm's engine, judged by the schemas of Kubernetes, and held to rules of our own."""

from __future__ import annotations

import json
import pathlib
import re
import sqlite3
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from tests.support.charts import rendering

import boxwright
from boxwright import settings, states
from boxwright.settings.groups import all_settings

KUBERNETES = ("1.29", "1.33")
CUSTOM = json.loads(pathlib.Path(__file__).with_name("custom_resources.json").read_text(encoding="utf-8"))
CUSTOM_VERSIONS = {
    "ServiceMonitor": "monitoring.coreos.com/v1",
    "TriggerAuthentication": "keda.sh/v1alpha1",
    "ScaledObject": "keda.sh/v1alpha1",
    "PrometheusRule": "monitoring.coreos.com/v1",
    "RayCluster": "ray.io/v1",
}


each_values_file = pytest.mark.parametrize("name", rendering.FILES)


def test_there_is_a_values_file_for_each_way_to_deploy() -> None:
    assert [
        *("cluster", "gpu-training", "keda", "laptop", "one-node", "ray", "ray-gpu", "s3-postgresql"),
    ] == rendering.FILES


@each_values_file
@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_knows_every_field(name: str, version: str) -> None:
    objects = rendering.rendered(name)
    assert rendering.of_kind(objects, "Deployment")
    for one in objects:
        if one["kind"] in CUSTOM:
            assert one["apiVersion"] == CUSTOM_VERSIONS[one["kind"]]
            assert one.keys() == {"apiVersion", "kind", "metadata", "spec"}
            jsonschema.validate(one["spec"], CUSTOM[one["kind"]])
        else:
            kubernetes_validate.validate(one, version, strict=True)
    for template in rendering.templates(rendering.of_kind(objects, "RayCluster")):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod", **template["metadata"]}}
        kubernetes_validate.validate({**pod, "spec": template["spec"]}, version, strict=True)


def test_an_unknown_field_is_found() -> None:
    (service, *_) = rendering.of_kind(rendering.rendered("one-node"), "Service")
    broken = {**service, "spec": {**service["spec"], "selektor": {}}}
    with pytest.raises(kubernetes_validate.ValidationError, match="selektor"):
        kubernetes_validate.validate(broken, KUBERNETES[-1], strict=True)


@each_values_file
def test_names_are_unique_and_follow_the_release(name: str) -> None:
    named = [(one["kind"], one["metadata"]["name"]) for one in rendering.rendered(name)]
    assert len(named) == len(set(named))
    assert all(found.startswith("demo-boxwright") for _, found in named)


@each_values_file
def test_every_pod_meets_the_restricted_standard(name: str) -> None:
    for pod in rendering.pods(rendering.rendered(name)):
        context = pod["securityContext"]
        assert (context["runAsNonRoot"], context["runAsUser"]) == (True, 10001)
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        # KubeRay's autoscaler, beside a cluster's head, asks the API server for nodes.
        assert pod["automountServiceAccountToken"] == (pod["containers"][0]["name"] == "ray-head")
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert not [volume for volume in pod["volumes"] if "hostPath" in volume]
    for container in rendering.containers(rendering.rendered(name)):
        context = container["securityContext"]
        assert not context["allowPrivilegeEscalation"] and context["readOnlyRootFilesystem"]
        assert context["capabilities"] == {"drop": ["ALL"]}


@each_values_file
def test_no_image_floats(name: str) -> None:
    for container in rendering.containers(rendering.rendered(name)):
        assert re.fullmatch(r"[^:@]+:\d+\.\d+\.\d+", container["image"]), container["image"]


@each_values_file
def test_secrets_are_named_and_never_written(name: str) -> None:
    objects = rendering.rendered(name)
    assert not rendering.of_kind(objects, "Secret")
    for container in rendering.containers(objects):
        assert not [
            key for key in rendering.environment(container) if re.search(r"(SECRET|PASSWORD|TOKEN|DATABASE_URL)$", key)
        ]


@each_values_file
def test_every_variable_is_a_setting_that_takes_the_value(name: str) -> None:
    for container in rendering.containers(rendering.rendered(name)):
        environment = {
            key: value for key, value in rendering.environment(container).items() if not key.endswith("_URL_FILE")
        }
        settings.read(environment)  # raises for a name or a value that there is not
        assert all(isinstance(value, str) for value in environment.values())


@each_values_file
def test_probes_ask_the_health_port(name: str) -> None:
    for deployment in rendering.of_kind(rendering.rendered(name), "Deployment"):
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        environment = rendering.environment(container)
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
    objects = rendering.rendered(name)
    templates = [template["metadata"]["labels"] for template in rendering.templates(objects)]
    for one in objects:
        spec = one.get("spec", {})
        selector = spec.get("podSelector") or spec.get("selector")
        if one["kind"] == "ServiceMonitor" or selector is None:
            continue
        wanted = selector if one["kind"] == "Service" else selector["matchLabels"]
        assert [labels for labels in templates if wanted.items() <= labels.items()], one["metadata"]["name"]


@each_values_file
def test_every_mount_has_its_volume(name: str) -> None:
    for pod in rendering.pods(rendering.rendered(name)):
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            assert {"/data", "/tmp"} <= {mount["mountPath"] for mount in container["volumeMounts"]}


@each_values_file
def test_who_trains_has_the_image_that_can(name: str) -> None:
    for container in rendering.containers(rendering.rendered(name)):
        if container["name"] == "migrate":
            continue
        kinds = rendering.environment(container).get("BOXWRIGHT_KINDS", "").split(",")
        assert ("boxwright-train:" in container["image"]) == ("train" in kinds)
        if "nvidia.com/gpu" in container["resources"]["limits"]:
            assert kinds == ["train"] or container["name"] == "ray-node"


@each_values_file
def test_a_worker_has_all_its_memory_and_no_limit_of_cores(name: str) -> None:
    for container in rendering.containers(rendering.rendered(name)):
        resources = container["resources"]
        assert resources["requests"]["memory"] == resources["limits"]["memory"]
        if container["name"] == "worker":
            assert "cpu" not in resources["limits"]
            assert resources["requests"]["cpu"] == rendering.environment(container)["BOXWRIGHT_CORES"]


@each_values_file
def test_pods_can_be_moved_but_not_all_at_once(name: str) -> None:
    objects = rendering.rendered(name)
    guarded = {one["metadata"]["name"] for one in rendering.of_kind(objects, "PodDisruptionBudget")}
    for deployment in rendering.of_kind(objects, "Deployment"):
        is_alone = deployment["spec"].get("replicas") == 1 and "serve" in str(deployment["metadata"]["labels"])
        assert (deployment["metadata"]["name"] in guarded) != is_alone


@each_values_file
def test_the_schema_is_brought_up_before_the_pods(name: str) -> None:
    objects = rendering.rendered(name)
    jobs = rendering.of_kind(objects, "Job")
    has_database = "database" in rendering.values_of(name)
    assert len(jobs) == int(has_database)
    for job in jobs:
        assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
        assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["migrate", "--expand"]
    (serve,) = [one for one in rendering.of_kind(objects, "Deployment") if one["metadata"]["name"] == "demo-boxwright"]
    first = serve["spec"]["template"]["spec"].get("initContainers", [])
    assert [container["args"] for container in first] == ([] if has_database else [["migrate"]])


def test_a_migration_takes_arguments() -> None:
    values = {**rendering.values_of("keda"), "migrations": {"args": []}}
    (job,) = rendering.of_kind(rendering.render(values), "Job")
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["migrate"]


def test_the_query_of_keda_counts_what_waits_and_what_is_worked_on() -> None:
    values = rendering.values_of("keda")
    values["workers"][0]["kinds"] = list(states.WORK)
    (scaled,) = rendering.of_kind(rendering.render(values), "ScaledObject")
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
        one
        for one in rendering.of_kind(rendering.render(values), "Deployment")
        if one["metadata"]["name"] == "demo-boxwright-batch"
    ]
    assert "replicas" not in deployment["spec"]  # KEDA's to say


def test_open_access_listens_to_nobody_and_is_no_service() -> None:
    objects = rendering.rendered("laptop")
    assert not rendering.of_kind(objects, "Service") and not rendering.of_kind(objects, "Ingress")
    (serve,) = rendering.of_kind(objects, "Deployment")
    assert rendering.environment(serve["spec"]["template"]["spec"]["containers"][0])["BOXWRIGHT_HOST"] == "127.0.0.1"


def test_a_setting_keeps_its_value() -> None:
    given = {"shard_images": 1_000_000, "price_per_core_hour": 0.035, "audit_reads": True, "locations": ["a", "b"]}
    (serve, *_) = rendering.of_kind(
        rendering.render({**rendering.values_of("one-node"), "settings": given}), "Deployment"
    )
    environment = rendering.environment(serve["spec"]["template"]["spec"]["containers"][0])
    found = {key: environment[f"BOXWRIGHT_{key.upper()}"] for key in given}
    assert found == {
        "shard_images": "1000000",
        "price_per_core_hour": "0.035",
        "audit_reads": "true",
        "locations": "a,b",
    }


def test_a_digest_wins_over_the_tag() -> None:
    digest = "sha256:" + "0123456789abcdef" * 4
    (serve, *_) = rendering.of_kind(
        rendering.render({**rendering.values_of("laptop"), "image": {"digest": digest, "tag": "9.9.9"}}), "Deployment"
    )
    assert serve["spec"]["template"]["spec"]["containers"][0]["image"].endswith(f"/boxwright@{digest}")


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("laptop", {"imgae": {}}, "imgae"),
    ("laptop", {"image": {"tag": "latest"}}, "tag"),
    ("laptop", {"settings": {"database_url": "postgresql+pg8000://me:secret@db/boxwright"}}, "database_url"),
    ("laptop", {"access": "required"}, "tls.existingSecret"),
    ("laptop", {"serve": {"worker": True, "replicas": 2}}, "SQLite is for one pod"),
    ("laptop", {"workers": rendering.values_of("keda")["workers"]}, "SQLite is for one pod"),
    ("laptop", {"storage": {"persistence": {"enabled": False}}}, "lost with the pod"),
    ("laptop", {"serve": {"worker": True, "ingress": {"enabled": True}}}, "port-forward"),
    ("cluster", {"storage": {"persistence": {"accessModes": ["ReadWriteOnce"]}}}, "ReadWriteMany"),
    ("keda", {"workers": [{"name": "serve"}]}, "workers"),
    ("keda", {"settings": {"notify_hosts": ["hooks.example.com"]}}, "notify.existingSecret"),
    ("keda", {"settings": {"notify_secret_file": "/data/notify.secret"}}, "notify_secret_file"),
    ("keda", {"metrics": {"rules": {"enable": True}}}, "enable"),
]


@pytest.mark.parametrize(("name", "change", "why"), REFUSED)
def test_values_that_cannot_work_are_refused(name: str, change: dict[str, Any], why: str) -> None:
    with pytest.raises(rendering.ChartError, match=re.escape(why)):
        rendering.render({**rendering.values_of(name), **change})


@pytest.mark.parametrize("name", ["cluster", "ray"])
def test_helm_itself_finds_no_mistake(name: str) -> None:
    findings = rendering.findings(rendering.values_of(name))
    assert findings["total_charts_linted"] == 1
    assert not findings["errors"]
    assert [one["error"] for one in findings["messages"]] == ["icon is recommended"]


def test_the_chart_has_the_alerts_and_the_dashboard_of_the_repository() -> None:
    """Copies, because a chart reads only files of its own folder: deploy/chart-files makes them."""
    deploy = rendering.HELM.parent
    for name in ("alerts.yml", "dashboard.json"):
        copy = rendering.HELM / "boxwright" / "files" / name
        assert copy.read_bytes() == (deploy / name).read_bytes(), "run deploy/chart-files"
    objects = rendering.rendered("ray")
    (rule,) = rendering.of_kind(objects, "PrometheusRule")
    assert rule["spec"] == yaml.safe_load((deploy / "alerts.yml").read_text(encoding="utf-8"))
    (dashboard,) = rendering.of_kind(objects, "ConfigMap")
    assert json.loads(dashboard["data"]["boxwright.json"]) == json.loads((deploy / "dashboard.json").read_bytes())
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert not rendering.of_kind(rendering.rendered("cluster"), "PrometheusRule")


def test_a_scrape_is_of_a_job_for_each_kind_of_process() -> None:
    """The alert about readiness goes by job, as with the configuration of Compose."""
    (monitor,) = rendering.of_kind(rendering.rendered("cluster"), "ServiceMonitor")
    ((relabeling,),) = [endpoint["relabelings"] for endpoint in monitor["spec"]["endpoints"]]
    assert relabeling["sourceLabels"] == ["__meta_kubernetes_pod_label_app_kubernetes_io_component"]
    assert (relabeling["targetLabel"], relabeling["replacement"]) == ("job", "boxwright-$1")


@pytest.mark.parametrize("name", ["ray", "one-node"])
def test_all_that_send_events_sign_with_one_secret(name: str) -> None:
    objects = rendering.render({**rendering.values_of(name), "notify": {"existingSecret": "events"}})
    ours = [one for one in rendering.containers(objects) if not one["name"].startswith("ray-")]
    assert len(ours) == (4 if name == "ray" else 2)
    for container in ours:
        path = pathlib.PurePath(rendering.environment(container)["BOXWRIGHT_NOTIFY_SECRET_FILE"])
        assert {"name": "notify", "mountPath": str(path.parent), "readOnly": True} in container["volumeMounts"]
    for pod in rendering.pods(objects):
        for volume in pod["volumes"]:
            if volume["name"] == "notify":
                assert volume["secret"]["secretName"] == "events"
                assert volume["secret"]["items"] == [{"key": "secret", "path": path.name}]


def test_the_chart_is_of_this_version() -> None:
    chart = yaml.safe_load((rendering.HELM / "boxwright" / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["version"] == chart["appVersion"] == boxwright.__version__
    assert "dependencies" not in chart


def test_the_schema_names_settings_that_exist() -> None:
    schema = json.loads((rendering.HELM / "boxwright" / "values.schema.json").read_text(encoding="utf-8"))
    reserved = schema["properties"]["settings"]["propertyNames"]["not"]["enum"]
    assert set(reserved) <= {one.name for one in all_settings()}
