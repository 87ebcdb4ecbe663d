"""deploy/compose.yaml: what it names exists, what it sets are settings, and every service is shut in."""

from __future__ import annotations

import pathlib
import re
import shutil
import stat
import subprocess
from typing import Any

import pytest
import yaml

import boxwright
from boxwright import secret_files, settings
from boxwright.notifications import signatures
from boxwright.settings.groups import all_settings

DEPLOY = pathlib.Path(__file__).parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, one in SERVICES.items() if "BOXWRIGHT_DATABASE_URL_FILE" in one.get("environment", {})]
ONE_SHOT = ["migrate", "first-account"]
KNOWN = {  # the keys of the Compose specification that are used here
    *("cap_add", "cap_drop", "command", "depends_on", "deploy", "entrypoint", "environment", "healthcheck", "image"),
    *("ports", "profiles", "read_only", "restart", "secrets", "security_opt", "shm_size", "stop_grace_period"),
    *("tmpfs", "volumes"),
}
IMAGE = re.compile(r"\$\{(?P<variable>[A-Z0-9_]+_IMAGE):-(?P<name>[a-z0-9./-]+):(?P<tag>v?\d+\.\d+[a-z0-9.-]*)\}")

every_service = pytest.mark.parametrize("name", list(SERVICES))
each_of_ours = pytest.mark.parametrize("name", OURS)


def test_the_services_are_those_of_the_document() -> None:
    assert list(SERVICES) == [
        "serve",
        "worker",
        "worker-train",
        "migrate",
        "first-account",
        "postgres",
        "s3",
        "prometheus",
    ]
    assert OURS == ["serve", "worker", "worker-train", "migrate", "first-account"]
    assert {name: one["profiles"] for name, one in SERVICES.items() if "profiles" in one} == {
        "worker-train": ["train"],
        "prometheus": ["observe"],
    }


@every_service
def test_a_service_has_known_keys_and_names_what_there_is(name: str) -> None:
    one = SERVICES[name]
    assert one.keys() <= KNOWN
    assert set(one.get("secrets", ())) <= COMPOSE["secrets"].keys()
    for other, how in one.get("depends_on", {}).items():
        if other in ONE_SHOT:
            assert how == {"condition": "service_completed_successfully"}
        else:
            assert how == {"condition": "service_healthy"} and "test" in SERVICES[other]["healthcheck"]
    for volume in one.get("volumes", ()):
        source = volume.split(":")[0]
        assert (DEPLOY / source).is_file() if source.startswith("./") else source in COMPOSE["volumes"]


@every_service
def test_a_service_is_shut_in_and_ends_in_peace(name: str) -> None:
    one = SERVICES[name]
    assert one["cap_drop"] == ["ALL"] and one["security_opt"] == ["no-new-privileges:true"]
    assert one["stop_grace_period"] == "45s"
    assert one.get("read_only") or name == "postgres"
    assert not {"privileged", "network_mode", "pid"} & one.keys()
    assert name in ONE_SHOT or one["healthcheck"]["test"]
    assert all(port.startswith("127.0.0.1:") for port in one.get("ports", ()))


@every_service
def test_no_image_floats(name: str) -> None:
    match = IMAGE.fullmatch(SERVICES[name]["image"])
    assert match, SERVICES[name]["image"]
    if name in OURS:
        assert match["tag"] == boxwright.__version__


@each_of_ours
def test_every_variable_is_a_setting_that_takes_the_value(name: str) -> None:
    environment = SERVICES[name]["environment"]
    assert all(isinstance(value, str) for value in environment.values())
    settings_of_files = {f"BOXWRIGHT_{one.name.upper()}" for one in all_settings() if one.name.endswith("_file")}
    of_files = {key for key in environment if key.endswith("_FILE")}
    assert {key.removesuffix("_FILE") for key in of_files - settings_of_files} <= set(secret_files.VARIABLES)
    for key in of_files:
        assert pathlib.PurePath(environment[key]).name in SERVICES[name]["secrets"]
    settings.read({key: value for key, value in environment.items() if key not in of_files - settings_of_files})


def test_postgresql_is_asked_where_others_will_ask_it() -> None:
    """While it makes its database it answers at a socket of its container already."""
    assert SERVICES["postgres"]["healthcheck"]["test"][:4] == ["CMD", "pg_isready", "-h", "127.0.0.1"]


def test_no_secret_is_written_down() -> None:
    for name, one in SERVICES.items():
        for key, value in one.get("environment", {}).items():
            if re.search("SECRET|PASSWORD|ACCESS_KEY|DATABASE_URL", key):
                assert value.startswith("/run/secrets/"), (name, key)


def test_who_is_reached_from_elsewhere_asks_for_accounts_and_has_tls() -> None:
    environment = SERVICES["serve"]["environment"]
    assert environment["BOXWRIGHT_ACCESS"] == "required"
    assert {"BOXWRIGHT_TLS_CERT", "BOXWRIGHT_TLS_KEY"} <= environment.keys()
    assert [name for name in OURS if "ports" in SERVICES[name]] == ["serve"]


def test_prometheus_asks_the_health_port_of_every_process_and_has_the_alerts() -> None:
    chosen = yaml.safe_load((DEPLOY / "observe" / "prometheus.yml").read_text(encoding="utf-8"))
    found = [one for job in chosen["scrape_configs"] for one in job["dns_sd_configs"]]
    assert sorted(name for one in found for name in one["names"]) == ["serve", "worker"]
    assert {str(one["port"]) for one in found} == {SERVICES["worker"]["environment"]["BOXWRIGHT_HEALTH_PORT"]}
    for name in chosen["rule_files"]:
        assert any(f"./{name}:/etc/prometheus/{name}:ro" == volume for volume in SERVICES["prometheus"]["volumes"])


@pytest.fixture
def make_secrets(tmp_path: pathlib.Path) -> pathlib.Path:
    """The script in a folder of its own."""
    return pathlib.Path(shutil.copy(DEPLOY / "make-secrets", tmp_path))


def test_secrets_are_made_once_and_fit_each_other(make_secrets: pathlib.Path) -> None:
    subprocess.run([make_secrets], check=True, capture_output=True)
    folder = make_secrets.parent / "secrets"
    made = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    assert made.keys() == COMPOSE["secrets"].keys()
    assert made["postgres_password"].strip() in made["database_url"]
    assert len(set(made.values())) == len(made)
    assert len(signatures.read_secret(folder / "notify_secret")) == signatures.SECRET_BYTES
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    subprocess.run([make_secrets], check=True, capture_output=True)
    assert made == {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def test_secrets_of_two_makings_are_not_mixed(make_secrets: pathlib.Path) -> None:
    subprocess.run([make_secrets], check=True, capture_output=True)
    (make_secrets.parent / "secrets" / "postgres_password").unlink()
    done = subprocess.run([make_secrets], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "postgres_password is missing" in done.stderr
