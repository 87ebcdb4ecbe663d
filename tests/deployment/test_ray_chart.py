"""deploy/helm with a Ray cluster: Ray itself reads what KubeRay will be given, and members alone reach each other."""

from __future__ import annotations

import pathlib
import re
from typing import Any

import kubernetes_validate
import pytest
from tests.support.charts import rendering

CONSTRAINTS = pathlib.Path(__file__).parents[2] / "constraints.txt"
MEMBER = {"app.kubernetes.io/part-of": "demo-boxwright-ray"}
ADDED_BY_KUBERAY = {"metrics-export-port": "8080", "block": "true"}
LONGEST_STEM = 50 - len("-head-svc")  # KubeRay cuts longer names of services from the left

each_cluster = pytest.mark.parametrize("name", ["ray", "ray-gpu"])


def _cluster(name: str) -> dict[str, Any]:
    (found,) = rendering.of_kind(rendering.rendered(name), "RayCluster")
    return found


def _leader(objects: rendering.Objects) -> dict[str, Any]:
    """The pod of the worker that leads the cluster."""
    spec: dict[str, Any] = rendering.named(objects, "Deployment", "demo-boxwright-cluster")["spec"]["template"]["spec"]
    return spec


@pytest.fixture(scope="module")
def ray_start() -> Any:
    """Ray's own command, whose options a node is started with."""
    pytest.importorskip("ray")
    from tests.support.clusters import ray_cluster  # a token first: Ray reads it when it is imported

    assert ray_cluster.ENVIRONMENT
    from ray.scripts.scripts import start

    return start


def _parsed(command: Any, arguments: list[str]) -> dict[str, Any]:
    """The options as Ray reads them; raises for one that it does not have."""
    found: dict[str, Any] = command.make_context("ray start", list(arguments)).params
    return found


def _arguments(parameters: dict[str, str]) -> list[str]:
    """As KubeRay writes them: what is `true` is a flag."""
    return [f"--{key}" if value == "true" else f"--{key}={value}" for key, value in parameters.items()]


@each_cluster
def test_ray_takes_the_options_of_every_node(name: str, ray_start: Any) -> None:
    spec = _cluster(name)["spec"]
    head = _parsed(ray_start, ["--head", *_arguments(spec["headGroupSpec"]["rayStartParams"] | ADDED_BY_KUBERAY)])
    assert (head["num_cpus"], head["include_dashboard"], head["disable_usage_stats"]) == (0, False, True)
    values = rendering.values_of(name)["ray"]["groups"]
    for group, wanted in zip(spec["workerGroupSpecs"], values, strict=True):
        parameters = {"address": "head:6379"} | group["rayStartParams"] | ADDED_BY_KUBERAY
        node = _parsed(ray_start, _arguments(parameters))
        assert (node["num_cpus"], node["num_gpus"]) == (wanted["cores"], wanted["gpu"])
        (container,) = group["template"]["spec"]["containers"]
        assert container["livenessProbe"]["grpc"]["port"] == node["node_manager_port"]
    beside = rendering.container(_leader(rendering.rendered(name)), "ray-node")
    assert beside["command"] == ["ray", "start"]
    node = _parsed(ray_start, beside["args"])
    assert (node["num_cpus"], node["num_gpus"], node["block"]) == (0, 0, True)
    assert beside["livenessProbe"]["grpc"]["port"] == node["node_manager_port"]


@each_cluster
def test_the_autoscaler_reads_groups_that_start_from_zero(name: str, ray_start: Any) -> None:
    from ray.autoscaler._private.kuberay import autoscaling_config

    cluster = _cluster(name)
    resource = {**cluster, "metadata": {**cluster["metadata"], "namespace": "production"}}
    found = autoscaling_config._derive_autoscaling_config_from_ray_cr(resource)
    assert found["idle_timeout_minutes"] == 1
    head = found["available_node_types"].pop(found["head_node_type"])
    assert head["resources"]["CPU"] == 0
    for group in rendering.values_of(name)["ray"]["groups"]:
        kind = found["available_node_types"].pop(group["name"])
        assert (kind["min_workers"], kind["max_workers"]) == (0, group["max"])
        assert kind["resources"]["CPU"] == group["cores"]
        assert kind["resources"].get("GPU", 0) == group["gpu"]
    assert not found["available_node_types"]


@each_cluster
def test_the_autoscaler_is_a_container_of_the_head(name: str) -> None:
    """KubeRay makes it of these options."""
    options = _cluster(name)["spec"]["autoscalerOptions"]
    made = {
        key: value for key, value in options.items() if key in ("env", "securityContext", "resources", "volumeMounts")
    }
    head = _cluster(name)["spec"]["headGroupSpec"]["template"]["spec"]
    pod = {**head, "containers": [*head["containers"], {"name": "autoscaler", "image": "ray", **made}]}
    kubernetes_validate.validate(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "head"}, "spec": pod}, "1.33", strict=True
    )
    assert {mount["name"] for mount in made["volumeMounts"]} <= {volume["name"] for volume in head["volumes"]}
    assert made["securityContext"]["readOnlyRootFilesystem"]


@each_cluster
def test_every_member_has_the_token_from_its_secret(name: str) -> None:
    objects = rendering.rendered(name)
    secret = rendering.values_of(name)["ray"]["tokenSecret"]
    options = _cluster(name)["spec"]["autoscalerOptions"]
    members = [
        container
        for template in rendering.templates(objects)
        if template["metadata"]["labels"].items() >= MEMBER.items()
        for container in template["spec"]["containers"]
    ]
    assert len(members) == 2 + 1 + len(rendering.values_of(name)["ray"]["groups"])  # the leader's two, the head, nodes
    for one in [*members, options]:
        assert rendering.environment(one)["RAY_AUTH_MODE"] == "token"
        (token,) = [variable for variable in one["env"] if variable["name"] == "RAY_AUTH_TOKEN"]
        assert token["valueFrom"]["secretKeyRef"] == {"name": secret, "key": "auth_token"}


@each_cluster
def test_members_alone_reach_each_other(name: str) -> None:
    objects = rendering.rendered(name)
    policy = rendering.named(objects, "NetworkPolicy", "demo-boxwright-ray")["spec"]
    assert policy["podSelector"] == {"matchLabels": MEMBER}
    assert policy["ingress"] == [{"from": [{"podSelector": {"matchLabels": MEMBER}}]}]
    labels = [template["metadata"]["labels"] for template in rendering.templates(objects)]
    inside = {one["app.kubernetes.io/component"] for one in labels if one.items() >= MEMBER.items()}
    groups = {f"ray-{group['name']}" for group in rendering.values_of(name)["ray"]["groups"]}
    assert inside == {"cluster", "ray-head", *groups}
    service = rendering.named(objects, "NetworkPolicy", "demo-boxwright")["spec"]["podSelector"]["matchLabels"]
    nodes = [one for one in labels if one["app.kubernetes.io/component"].startswith("ray-")]
    assert nodes and not [one for one in nodes if service.items() <= one.items()]  # they have no health port


def test_a_way_out_that_is_closed_lets_members_through() -> None:
    values = rendering.values_of("ray")
    values["networkPolicy"] = {"egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]}
    policy = rendering.named(rendering.render(values), "NetworkPolicy", "demo-boxwright-ray")
    kubernetes_validate.validate(policy, "1.33", strict=True)
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert {"to": [{"podSelector": {"matchLabels": MEMBER}}]} in policy["spec"]["egress"]


@each_cluster
def test_the_worker_leads_the_cluster_of_its_own_image(name: str) -> None:
    objects, cluster = rendering.rendered(name), _cluster(name)
    pod = _leader(objects)
    worker, node = rendering.container(pod, "worker"), rendering.container(pod, "ray-node")
    host, port = rendering.environment(worker)["BOXWRIGHT_RAY_ADDRESS"].split(":")
    service = rendering.named(objects, "Service", host)["spec"]
    assert f"--address={host}:{port}" in node["args"]
    assert service["selector"] == {"ray.io/cluster": cluster["metadata"]["name"], "ray.io/node-type": "head"}
    assert [one["port"] for one in service["ports"]] == [int(port)]
    images = {container["image"] for container in rendering.containers(objects) if "ray" in container["name"]}
    assert images == {worker["image"]}
    wanted = rendering.values_of(name)["workers"][0]["ray"]
    environment = rendering.environment(worker)
    assert environment["BOXWRIGHT_RAY_HOST_CORES"] == str(wanted["hostCores"])
    assert float(environment["BOXWRIGHT_RAY_HOST_GPUS"]) == wanted["hostGpus"]
    nodes = [group["template"]["spec"]["containers"][0] for group in cluster["spec"]["workerGroupSpecs"]]
    for one in nodes:
        assert environment["BOXWRIGHT_RAY_CACHE_DIR"] in {mount["mountPath"] for mount in one["volumeMounts"]}
        assert one["envFrom"] == worker["envFrom"]  # the store's credentials
        assert not [key for key in rendering.environment(one) if "DATABASE" in key]


@each_cluster
def test_the_driver_finds_the_node_beside_the_worker(name: str) -> None:
    """It looks for a raylet among the processes of its machine, and for its sockets in /tmp/ray."""
    pod = _leader(rendering.rendered(name))
    assert pod["shareProcessNamespace"]
    mounted = [
        {mount["mountPath"]: mount["name"] for mount in rendering.container(pod, one)["volumeMounts"]}
        for one in ("worker", "ray-node")
    ]
    assert mounted[0]["/tmp"] == mounted[1]["/tmp"]


@each_cluster
def test_a_node_leaves_the_cluster_before_its_time_is_over(name: str) -> None:
    pods = [one for one in rendering.pods(rendering.rendered(name)) if one["containers"][0]["name"].startswith("ray-")]
    assert len(pods) == 1 + len(rendering.values_of(name)["ray"]["groups"])
    for pod in pods:
        command = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
        assert command[:2] == ["ray", "stop"]
        assert int(command[-1]) < pod["terminationGracePeriodSeconds"]


def test_another_image_is_another_cluster() -> None:
    names = set()
    for image in ({}, {"tag": "9.9.9"}, {"rayDigest": "sha256:" + "0123456789abcdef" * 4}):
        objects = rendering.render({**rendering.values_of("ray"), "image": image})
        (cluster,) = rendering.of_kind(objects, "RayCluster")
        names.add(cluster["metadata"]["name"])
    assert len(names) == 3


@pytest.mark.parametrize("release", ["x", "boxwright", "a-release-with-a-name-of-fifty-three-characters-long-1"])
def test_names_fit_what_kuberay_makes_of_them(release: str) -> None:
    objects = rendering.render(rendering.values_of("ray"), name=release[:53])
    (cluster,) = rendering.of_kind(objects, "RayCluster")
    assert len(cluster["metadata"]["name"]) <= LONGEST_STEM
    for one in objects:
        assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", one["metadata"]["name"]), one["metadata"]["name"]


def test_the_version_is_that_of_the_image() -> None:
    (version,) = re.findall(r"^ray==(.+)$", CONSTRAINTS.read_text(encoding="utf-8"), re.MULTILINE)
    assert _cluster("ray")["spec"]["rayVersion"] == version


def _changed(**ray: Any) -> dict[str, Any]:
    values = rendering.values_of("ray")
    return {**values, "ray": {**values["ray"], **ray}}


def _led_by(**worker: Any) -> dict[str, Any]:
    values = rendering.values_of("ray")
    values["workers"][0] |= worker
    return values


GROUP = rendering.values_of("ray")["ray"]["groups"][0]
HOST = {"hosts": 1, "hostCores": 1, "hostGpus": 0}
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("no token", _changed(tokenSecret=""), "tokenSecret"),
    ("not enabled", _changed(enabled=False), "workers[].ray needs ray.enabled"),
    ("no leader", {**_changed(), "workers": rendering.values_of("keda")["workers"]}, "a worker that leads"),
    ("a leader that trains", _led_by(kinds=["batch", "train"]), "not train"),
    ("a leader without batches", _led_by(kinds=["import"]), "have batch"),
    ("a host that is too large", _led_by(ray={**HOST, "hostCores": 17}), "room for a host"),
    ("a host whose GPU is nowhere", _led_by(ray={**HOST, "hostGpus": 0.5}), "room for a host"),
    ("a group twice", _changed(groups=[GROUP, GROUP]), "cpu twice"),
    ("more at least than at most", _changed(groups=[{**GROUP, "min": 61}]), "above its max"),
    ("no group", _changed(groups=[]), "groups"),
    ("a head that computes", _changed(groups=[{**GROUP, "name": "head"}]), "name"),
    ("a floating version", _changed(version="latest"), "version"),
    ("a setting twice", {**_changed(), "settings": {"ray_address": "10.0.0.1:6379"}}, "ray_address"),
]


@pytest.mark.parametrize(("values", "why"), [one[1:] for one in REFUSED], ids=[one[0] for one in REFUSED])
def test_a_cluster_that_cannot_work_is_refused(values: dict[str, Any], why: str) -> None:
    with pytest.raises(rendering.ChartError, match=re.escape(why)):
        rendering.render(values)
