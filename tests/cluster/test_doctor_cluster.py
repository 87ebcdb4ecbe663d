"""`boxwright doctor --cluster`: what the nodes of a cluster are, and what they reach."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from tests.support.predictions import engines

import boxwright
from boxwright.cluster import examination
from boxwright.cluster.cluster_share import ClusterShare


@pytest.fixture
def doctor(tmp_path):
    """Runs the command; returns the facts about the cluster."""
    for folder in ("data", "buckets/photos"):
        (tmp_path / folder).mkdir(parents=True)
    places = {"BOXWRIGHT_DATA_DIR": str(tmp_path / "data"), "BOXWRIGHT_BUCKETS_DIR": str(tmp_path / "buckets")}
    places |= {"BOXWRIGHT_PORT": "0", "BOXWRIGHT_GRPC_PORT": "0"}

    def run(*arguments: str, **environment: str) -> list[dict]:
        done = subprocess.run(
            [sys.executable, "-m", "boxwright.cli", "doctor", "--json", "--cluster", *arguments],
            env={**os.environ, **places, **environment}, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        facts = json.loads(done.stdout)["facts"]
        return [fact for fact in facts if fact["key"].startswith("cluster")]

    return run


def test_the_nodes_of_a_cluster_are_asked_what_they_are_and_what_they_reach(doctor, tmp_path):
    cluster = engines.cluster()
    facts = doctor("--bucket", "gs://photos", "--bucket", "gs://none", BOXWRIGHT_RAY_ADDRESS=cluster.address)
    said = {fact["key"]: fact for fact in facts if fact["key"] != "cluster_reach"}
    assert [key for key, fact in said.items() if not fact["ok"]] == []
    assert list(said) == ["cluster_token", "cluster", "cluster_nodes", "cluster_versions", "cluster_numeric"]
    assert said["cluster_token"]["text"] == "used"
    assert f"boxwright {boxwright.__version__}" in said["cluster_versions"]["text"]
    assert "instructions" in said["cluster_numeric"]["text"]
    reach = {fact["text"].partition(": ")[0]: fact["ok"] for fact in facts if fact["key"] == "cluster_reach"}
    assert list(reach.values()) == [True, True, True, False]
    assert list(reach)[:2] == [str(tmp_path / "buckets"), str(tmp_path / "data")]


def test_a_cluster_that_takes_anybody_is_not_joined(bench, monkeypatch):
    monkeypatch.delenv("RAY_AUTH_MODE")
    (found,) = examination.findings(ClusterShare("ray.example:6379"), bench.stores, [], [])
    assert not found.is_ok
    assert "RAY_AUTH_MODE=token" in found.text
