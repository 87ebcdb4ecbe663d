"""Settings: from the environment into typed fields of groups, and errors that name the setting."""

from __future__ import annotations

import dataclasses
import operator
import pathlib

import pytest
from google.rpc import code_pb2

from boxwright import errors, machine, settings

read = settings.read


def test_an_empty_environment_gives_the_documented_defaults():
    found = read({})
    assert (found.server.host, found.server.port, found.server.grpc_port) == ("127.0.0.1", 8470, 8471)
    assert found.server.locations == ("us-central1",)
    assert found.training.model_life_days == 548
    assert found.training.minutes_max is None
    assert found == settings.Settings()


PARSED = [
    ("BOXWRIGHT_PORT", "0", "server.port", 0),
    ("BOXWRIGHT_DATA_DIR", "somewhere/else", "storage.data_dir", pathlib.Path("somewhere/else")),
    ("BOXWRIGHT_LOCATIONS", "us-central1, eu ,", "server.locations", ("us-central1", "eu")),
    ("BOXWRIGHT_TRAIN_MINUTES_MAX", "0.5", "training.minutes_max", 0.5),
    ("BOXWRIGHT_TRAIN_MINUTES_MAX", "none", "training.minutes_max", None),
    ("BOXWRIGHT_TRAIN_MINUTES_MAX", "", "training.minutes_max", None),
    ("BOXWRIGHT_MODEL_LIFE_DAYS", "None", "training.model_life_days", None),
    ("BOXWRIGHT_MODEL_LIFE_DAYS", "30", "training.model_life_days", 30.0),
    ("BOXWRIGHT_LEASE_TTL_S", "2", "operations.lease_ttl_s", 2.0),
    ("BOXWRIGHT_SHARD_IMAGES", "50", "batch.shard_images", 50),
    ("BOXWRIGHT_HOLD_S", "0", "server.hold_s", 0.0),
    ("BOXWRIGHT_WORKER", "no", "operations.worker", False),
    ("BOXWRIGHT_DATABASE_URL", "none", "database.url", None),
]


@pytest.mark.parametrize(("variable", "text", "field", "value"), PARSED)
def test_a_variable_is_read_into_its_fields_type(variable, text, field, value):
    found = operator.attrgetter(field)(read({variable: text}))
    assert found == value
    assert type(found) is type(value) or isinstance(value, pathlib.Path)


REFUSED = [
    ("BOXWRIGHT_PORT", "http", "port"),
    ("BOXWRIGHT_PORT", "70000", "port"),
    ("BOXWRIGHT_PORT", "-1", "port"),
    ("BOXWRIGHT_SHARD_IMAGES", "0", "shard_images"),
    ("BOXWRIGHT_SHARD_IMAGES", "1.5", "shard_images"),
    ("BOXWRIGHT_IMPORT_ROW_FAILURE_LIMIT", "50%", "import_row_failure_limit"),
    ("BOXWRIGHT_IMPORT_ROW_FAILURE_LIMIT", "2", "import_row_failure_limit"),
    ("BOXWRIGHT_BATCH_ROW_FAILURE_LIMIT", "nan", "batch_row_failure_limit"),
    ("BOXWRIGHT_LEASE_TTL_S", "0", "lease_ttl_s"),
    ("BOXWRIGHT_CORES", "0", "cores"),
    ("BOXWRIGHT_CHILD_NICENESS", "20", "child_niceness"),
    ("BOXWRIGHT_TLS_CERT", "cert.pem", "tls_cert"),  # without its key
    ("BOXWRIGHT_TLS_KEY", "key.pem", "tls_cert"),
    ("BOXWRIGHT_TLS_CLIENT_CA", "ca.pem", "tls_client_ca"),  # without TLS
    ("BOXWRIGHT_DATA_DIR", " ", "data_dir"),  # not the working directory
    ("BOXWRIGHT_TRAIN_SEED", "-1", "train_seed"),
    ("BOXWRIGHT_RUNTIME", "tpu", "runtime"),
    ("BOXWRIGHT_STATE_URI", "s3://bucket", "state_uri"),
    ("BOXWRIGHT_STATE_URI", "bucket/folder", "state_uri"),
    ("BOXWRIGHT_TRACES_ENDPOINT", "collector:4318", "traces_endpoint"),
    ("BOXWRIGHT_TRACES_ENDPOINT", "https://user:secret@collector/", "traces_endpoint"),
    ("BOXWRIGHT_TRACES_ENDPOINT", "https://collector/?token=secret", "traces_endpoint"),
    ("BOXWRIGHT_TRACES_ENDPOINT", "http://collector:99999", "traces_endpoint"),
    ("BOXWRIGHT_TRACES_ENDPOINT", "http:///v1/traces", "traces_endpoint"),
    ("BOXWRIGHT_TRACES_SHARE", "1.5", "traces_share"),
]


@pytest.mark.parametrize(("variable", "text", "field"), REFUSED)
def test_a_variable_that_cannot_be_used_is_refused_by_name(variable, text, field):
    with pytest.raises(errors.ApiError) as raised:
        read({variable: text})
    assert raised.value.code == code_pb2.INVALID_ARGUMENT
    assert f"Field: {field}; " in raised.value.message


def test_other_variables_are_left_alone():
    assert read({"PORT": "9", "BOXWRIGHT_TEST_STRICT": "1", "boxwright_port": "9", "BOXWRIGHT_CONFIG": ""}) == read({})


@pytest.mark.parametrize("setting", settings.all_settings(), ids=lambda setting: setting.name)
def test_a_setting_says_what_it_is_for_and_has_a_name_of_its_own(setting):
    assert setting.text.endswith(".")
    assert [other for other in settings.all_settings() if other.name == setting.name] == [setting]
    assert not setting.key.startswith(f"{setting.group}_"), "the key repeats its group"
    assert setting.name.endswith(setting.key)


def test_settings_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        read({}).server.port = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        read({}).server = settings.ServerSettings()


@pytest.mark.parametrize("name", ["train_minutes_max", "model_life_days", "min_images_per_label", "train_cache_bytes"])
def test_a_negative_amount_is_refused(name):
    with pytest.raises(errors.ApiError, match=name):
        read({f"BOXWRIGHT_{name.upper()}": "-1"})


def test_an_empty_list_of_locations_is_refused():
    with pytest.raises(errors.ApiError, match="locations"):
        read({"BOXWRIGHT_LOCATIONS": " , "})


def test_an_unknown_log_level_is_refused():
    with pytest.raises(errors.ApiError, match="log_level"):
        read({"BOXWRIGHT_LOG_LEVEL": "chatty"})


@pytest.mark.parametrize(
    ("membership", "files", "allowed"),
    [
        ("", {}, 99),  # no groups
        ("0::/a/b\n", {}, 99),  # groups that are not visible here
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000"}, 99),
        ("0::/a/b\n", {"a/b/cpu.max": "100000 100000"}, 1),
        ("0::/a/b\n", {"a/b/cpu.max": "50000 100000"}, 1),  # half a core is one thread
        ("0::/a/b\n", {"a/b/cpu.max": "150000 100000"}, 2),  # rounded up
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "100000 100000"}, 1),  # a limit above binds too
        ("0::/a/b\n", {"cpu.max": "100000 100000"}, 1),  # in a container the root is the group
        ("0::/a\n", {"a/cpu.max": "nonsense"}, 99),
        ("4:memory:/m\n3:cpu,cpuacct:/a\n", {"cpu,cpuacct/a/cpu.cfs_quota_us": "-1"}, 99),  # version 1, no limit
        (
            "3:cpu,cpuacct:/a\n",
            {"cpu,cpuacct/a/cpu.cfs_quota_us": "100000", "cpu,cpuacct/a/cpu.cfs_period_us": "100000"},
            1,
        ),
        ("3:cpu:/a\n", {"cpu/cpu.cfs_quota_us": "20000", "cpu/cpu.cfs_period_us": "100000"}, 1),
    ],
)
def test_the_cores_of_a_control_group_are_not_exceeded(tmp_path, monkeypatch, membership, files, allowed):
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda process: set(range(99)), raising=False)
    (tmp_path / "membership").write_text(membership)
    for name, content in files.items():
        path = tmp_path / "mount" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    assert machine.usable_cores(tmp_path / "membership", tmp_path / "mount") == allowed


@pytest.mark.parametrize(("usable", "in_flight"), [(16_000_000_000, 256_000_000), (800_000_000, 100_000_000)])
def test_images_read_ahead_take_an_eighth_of_the_memory_at_most(monkeypatch, usable, in_flight):
    monkeypatch.setattr(machine, "usable_memory_bytes", lambda: usable)
    assert read({}).batch.usable_in_flight_bytes == in_flight
