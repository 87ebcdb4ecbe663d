"""What `boxwright doctor --cluster` says: each node is asked what it is and what it reaches. Nothing is changed."""

from __future__ import annotations

import collections
import dataclasses
import json
import os
import pathlib
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import boxwright
from boxwright import errors, objects
from boxwright.cluster import cluster_share, connection, numeric
from boxwright.cluster.cluster_share import ClusterShare

HEAD_S = 10.0  # in which the head has to answer
ANSWER_S = 60.0  # in which all nodes have to: their processes may have to start
SHOWN = 5  # nodes that are named with what is wrong


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that was looked at; as a fact of the doctor."""

    key: str
    is_ok: bool
    text: str


@dataclasses.dataclass(frozen=True)
class NodeAnswer:
    """What a node says of itself.

    Attributes:
        versions: of Boxwright, Python and Ray.
        numeric: see `numeric.class_of_machine`.
        unreached: folders and stores that it does not reach, and why.
    """

    versions: Mapping[str, str]
    numeric: Mapping[str, str]
    unreached: Mapping[str, str]


def findings(
    share: ClusterShare, stores: objects.Stores, uris: Sequence[objects.ObjectUri], folders: Sequence[pathlib.Path]
) -> Iterator[Finding]:
    """Joins a cluster and looks at all of its nodes.

    Args:
        share: what hosts are to have.
        stores: of the service.
        uris: of folders in stores that each node has to reach.
        folders: of this machine that each node has to have under the same path.
    """
    try:
        cluster_share.check(share.address)
        variable, value = cluster_share.TOKEN_MODE
        has_token = os.environ.get(variable) == value
        yield Finding("cluster_token", True, "used" if has_token else "none; only this machine reaches the cluster")
        with connection.joined(share.address, HEAD_S):
            yield from _looked_at(share, stores, uris, folders)
    except errors.ApiError as error:
        yield Finding("cluster", False, error.message.strip())


def _looked_at(
    share: ClusterShare, stores: objects.Stores, uris: Sequence[objects.ObjectUri], folders: Sequence[pathlib.Path]
) -> Iterator[Finding]:
    nodes = [node for node in ray.nodes() if node["Alive"]]
    hosts = sum(_hosts_on(node["Resources"], share) for node in nodes)
    text = f"{share.address} answers: nodes={len(nodes)}, hosts of {share.cores} cores"
    text += f" and {share.gpus:g} GPUs" if share.gpus else ""
    text += f" that fit={hosts}, ray_hosts={share.most_hosts}"
    yield Finding("cluster", hosts > 0, text if hosts else f"{text}: no node has room for one; lower ray_host_cores")
    workers = [node for node in nodes if node["Resources"].get("CPU")]  # the head predicts nothing
    answers, silent = _asked(workers, stores.to_config(), [str(uri) for uri in uris], [str(one) for one in folders])
    yield Finding("cluster_nodes", not silent, _listed(silent) if silent else f"answered={len(answers)}, silent=0")
    if not answers:
        return
    yield _alike("cluster_versions", answers, {"here": versions()} | _of(answers, lambda one: one.versions))
    yield _alike("cluster_numeric", answers, _of(answers, lambda one: one.numeric))
    for what in [*map(str, folders), *map(str, uris)]:
        missing = {node: one.unreached[what] for node, one in answers.items() if what in one.unreached}
        yield Finding("cluster_reach", not missing, f"{what}: {_listed(missing) or 'all nodes reach it'}")


def versions() -> dict[str, str]:
    """Of what has to be the same on all nodes."""
    return {"boxwright": boxwright.__version__, "python": platform.python_version(), "ray": ray.__version__}


def examine_node(config: Mapping[str, Any], uris: Sequence[str], folders: Sequence[str]) -> NodeAnswer:
    """Runs on a node: what it is, and which folders and stores it does not reach."""
    unreached = {folder: "there is no such folder" for folder in folders if not pathlib.Path(folder).is_dir()}
    try:
        stores = objects.Stores.from_config(config)
    except errors.ApiError as error:
        return NodeAnswer(versions(), numeric.class_of_machine(), unreached | dict.fromkeys(uris, error.message))
    for uri in uris:
        try:
            stores.check_bucket(objects.ObjectUri.parse(uri))
        except errors.ApiError as error:
            unreached[uri] = error.message.strip()
    return NodeAnswer(versions(), numeric.class_of_machine(), unreached)


def _asked(
    nodes: Sequence[Mapping[str, Any]], config: Mapping[str, Any], uris: Sequence[str], folders: Sequence[str]
) -> tuple[dict[str, NodeAnswer], dict[str, str]]:
    """Asks each node; returns answers, and why others have not answered, by address and the beginning of the node's id."""
    task = ray.remote(max_retries=0, num_cpus=0)(examine_node)
    asked = {}
    for node in nodes:
        place = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        name = f"{node['NodeManagerAddress']} ({node['NodeID'][:8]})"
        asked[name] = task.options(scheduling_strategy=place).remote(config, uris, folders)
    if asked:
        ray.wait(list(asked.values()), num_returns=len(asked), timeout=ANSWER_S)
    answers, silent = {}, {}
    for name, reference in asked.items():
        try:
            answers[name] = ray.get(reference, timeout=0.1)
        except GetTimeoutError:
            silent[name] = f"no answer in {ANSWER_S:.0f} s"
        except RayError as error:
            silent[name] = str(error).strip().splitlines()[-1]
    return answers, silent


def _hosts_on(resources: Mapping[str, float], share: ClusterShare) -> int:
    """How many hosts a node has room for when it is empty."""
    fits = [int(resources.get("CPU", 0.0) // share.cores)]
    if share.gpus:
        fits.append(int(resources.get("GPU", 0.0) // share.gpus))
    return min(fits)


def _of(
    answers: Mapping[str, NodeAnswer], part: Callable[[NodeAnswer], Mapping[str, str]]
) -> dict[str, Mapping[str, str]]:
    return {node: part(answer) for node, answer in answers.items()}


def _alike(key: str, answers: Mapping[str, NodeAnswer], said: Mapping[str, Mapping[str, str]]) -> Finding:
    """Whether all say the same; if not, who differs from most, and in what."""
    counts = collections.Counter(json.dumps(dict(one), sort_keys=True) for one in said.values())
    usual = json.loads(counts.most_common(1)[0][0])
    differing = {node: differs for node, one in said.items() if (differs := numeric.differences(usual, dict(one)))}
    if differing:
        return Finding(key, False, f"{_listed(differing)}; nodes that differ take no part in a job of the others")
    shown = ", ".join(f"{name} {value}" for name, value in usual.items() if value)
    return Finding(key, True, f"the same on all nodes={len(answers)}: {shown}")


def _listed(wrong: Mapping[str, str]) -> str:
    shown = [f"{node}: {why}" for node, why in list(wrong.items())[:SHOWN]]
    return "; ".join(shown) + (f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else "")
