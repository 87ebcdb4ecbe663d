"""The configuration file: every setting through it and back, what wins over what, and mistakes named with their place."""

from __future__ import annotations

import json
import pathlib

import pytest
from google.rpc import code_pb2

from boxwright import errors, settings

SETTINGS = settings.all_settings()
DEFAULTS = settings.Settings()
EACH = pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
PAIR = {"tls_cert", "tls_key"}  # one cannot be set without the other
NEEDS_PAIR = PAIR | {"tls_client_ca"}
# Values to try for each type; the first that a setting takes, and that is not its default, is its sample.
SAMPLES = {
    bool: [True, False],
    int: [7, 4099, 1 << 27],
    float: [0.25, 2.5, 300.0],
    str: [
        "sample",
        "cloud",
        "cpu",
        "DEBUG",
        "s3://bucket/folder",
        "required",
        "none",
        "auto",
        "openid groups",
        "json",
        "http://h:1",
    ],
    pathlib.Path: [pathlib.Path("/srv/sample")],
    tuple: [
        ("one.example", "two.example"),
        ("gs", "az"),
        ("/srv/one", "/srv/two"),
        ("10.0.0.0/8", "::1"),
        ("batch", "export"),
    ],
}


def sample_of(setting: settings.Setting) -> object:
    """A value that the setting may have, and has not by default."""
    default = value_in(DEFAULTS, setting)
    for value in SAMPLES[setting.kind]:
        if value != default and setting.problem(value) is None:
            return value
    raise AssertionError(f"{setting.name} takes none of the samples of its type: add one")


def in_toml(value: object) -> str:
    if value is None:
        return '"none"'
    if isinstance(value, tuple):
        return json.dumps(list(value))
    return json.dumps(str(value) if isinstance(value, pathlib.Path) else value)


def in_environment(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


def value_in(found: settings.Settings, setting: settings.Setting) -> object:
    return getattr(getattr(found, setting.group), setting.key)


def together(setting: settings.Setting) -> list[settings.Setting]:
    """The setting, with what it cannot be set without."""
    return [one for one in SETTINGS if one == setting or (one.name in PAIR and setting.name in NEEDS_PAIR)]


@pytest.fixture
def write(tmp_path):
    """Writes a configuration file."""

    def write(content: str | bytes) -> pathlib.Path:
        path = tmp_path / "boxwright.toml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def refusal(path: pathlib.Path, environment: dict[str, str] | None = None) -> str:
    with pytest.raises(errors.ApiError) as raised:
        settings.read(environment or {}, path)
    assert raised.value.code in (code_pb2.INVALID_ARGUMENT, code_pb2.FAILED_PRECONDITION)
    assert str(path) in raised.value.message
    return raised.value.message


# ---- every setting ------------------------------------------------------------------------------------------------


@EACH
def test_a_setting_means_the_same_in_the_file_and_in_the_environment(setting, write):
    values = {one: sample_of(one) for one in together(setting)}
    by_file = settings.read({}, write("".join(f"{one.group}.{one.key} = {in_toml(values[one])}\n" for one in values)))
    by_environment = settings.read({f"BOXWRIGHT_{one.name.upper()}": in_environment(values[one]) for one in values})
    by_flags = settings.read({}, **{one.name: value for one, value in values.items()})
    assert value_in(by_file, setting) == value_in(by_environment, setting) == sample_of(setting)
    assert type(value_in(by_file, setting)) is type(value_in(by_environment, setting))
    for found in (by_file, by_environment, by_flags):
        changed = {one for one in SETTINGS if value_in(found, one) != value_in(DEFAULTS, one)}
        assert changed == set(values)


@EACH
def test_the_environment_wins_over_the_file_and_a_flag_over_both(setting, write):
    default = value_in(DEFAULTS, setting)
    samples = {one: sample_of(one) for one in together(setting)}
    environment = {f"BOXWRIGHT_{one.name.upper()}": in_environment(value_in(DEFAULTS, one)) for one in samples}
    path = write("".join(f"{one.group}.{one.key} = {in_toml(samples[one])}\n" for one in samples))
    assert value_in(settings.read(environment, path), setting) == default, "also where a variable sets the default"
    flags = {one.name: value for one, value in samples.items()}
    assert value_in(settings.read(environment, path, **flags), setting) == sample_of(setting)
    absent = dict.fromkeys(flags)
    assert value_in(settings.read({}, path, **absent), setting) == sample_of(setting), "a flag that is not given"


def test_all_settings_fit_into_one_file(write):
    values = {one: sample_of(one) for one in SETTINGS}
    groups = dict.fromkeys(one.group for one in SETTINGS)
    text = "".join(
        f"[{group}]\n" + "".join(f"{one.key} = {in_toml(values[one])}\n" for one in SETTINGS if one.group == group)
        for group in groups
    )
    path = write(text)
    environment = {f"BOXWRIGHT_{one.name.upper()}": in_environment(value) for one, value in values.items()}
    assert settings.read({}, path) == settings.Settings.of({one.name: value for one, value in values.items()}, path)
    assert settings.read(environment, path) == settings.read({}, path)


EXPECTED = {
    bool: "true or false is expected",
    int: "A whole number is expected",
    float: "A number is expected",
    str: "A string is expected",
    pathlib.Path: "A path in quotes is expected",
    tuple: "An array of strings, ",
}
WRONG = {
    bool: ['"true"', "1"],
    int: ['"7"', "7.0", "true"],
    float: ['"7"', "false", "1" + "0" * 400],
    str: ["7", '["gs"]', r'"a\u0000b"'],
    pathlib.Path: ["7", '"\\u0000"'],
    tuple: ['"gs"', "[1]", '["gs", 1]', "[[]]"],
}


@EACH
def test_a_value_of_another_type_is_named_with_its_place_and_what_is_expected(setting, write):
    for wrong in (*WRONG[setting.kind], "2024-05-01", "10:00:00", "{ is = true }", "[{ is = true }]"):
        message = refusal(write(f"[{setting.group}]\n{setting.key} = {wrong}\n"))
        assert f"boxwright.toml, [{setting.group}] {setting.key}; " in message
        expected = EXPECTED[setting.kind].removesuffix(" is expected")
        assert f"Message: {expected}" in message and "is expected, not a" in message
        assert ('or "none"' in message) == setting.may_be_unset


@EACH
def test_a_misspelt_key_is_named_with_the_one_that_was_meant(setting, write):
    for key in (f"{setting.key}x", f"{setting.key[:-1]}", setting.key.upper(), f'"{setting.key} "'):
        message = refusal(write(f"[{setting.group}]\n{key} = 1\n"))
        assert f"[{setting.group}] {key.strip(chr(34))}; " in message and "There is no such setting." in message
        assert "Did you mean " in message
        if not any(one.key.startswith(setting.key[:-1]) for one in SETTINGS if one != setting):
            assert f"Did you mean {setting.key}?" in message


@EACH
def test_a_name_from_elsewhere_leads_to_its_key_and_table(setting, write):
    if setting.name != setting.key:
        assert f"Did you mean {setting.key}?" in refusal(write(f"[{setting.group}]\n{setting.name} = 1\n"))
    assert f"Did you mean {setting.key} in [{setting.group}]?" in refusal(write(f"{setting.name} = 1\n"))
    other = "inference" if setting.group != "inference" else "database"
    message = refusal(write(f"[{other}]\n{setting.name} = 1\n"))
    assert f"Did you mean {setting.key} in [{setting.group}]?" in message
    variable = f"BOXWRIGHT_{setting.name.upper()}"
    assert f"Did you mean {setting.key}?" in refusal(write(f"[{setting.group}]\n{variable} = 1\n"))


# ---- the file -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[bach]\njobs = 2\n", "Did you mean [batch]?"),
        ("[Batch]\njobs = 2\n", "Did you mean [batch]?"),
        ("[quality]\njobs = 2\n", "The tables are storage, database, server, quota, operations, training,"),
        ("batch = 2\n", "A table, [batch], is expected, not an integer."),
        ("[[batch]]\njobs = 2\n", "A table, [batch], is expected, not an array."),
        ("quality = 2\n", "The tables are storage, "),
        ("[batch]\nquality = 2\n", "docs/configuration.md lists the settings."),
        ("[server.tls]\nkey = 'k'\n", "Did you mean tls_key?"),
        ("[batch]\njobs = 0\n", "[batch] jobs; Message: 0 is not from 1 to 1000."),
        ("[batch]\nimage_timeout_s = nan\n", "nan is not from 1 to 86400."),
        ("[training]\nminutes_max = -1\n", "[training] minutes_max; Message: -1.0 is not above 0."),
        ("[storage]\ngs = 'cluod'\n", "'cluod' is neither folder nor cloud."),
        ("[storage]\nfile_roots = ['data']\n", "Every folder must be an absolute path."),
        ("[storage]\ndata_dir = ''\n", "A path in quotes is expected"),
        ("[batch\n", "is not TOML: Expected ']'"),
        ("[batch]\njobs = 2\njobs = 3\n", "is not TOML: Cannot overwrite a value (at line 3, column 9)"),
        ("[batch]\njobs = " + "9" * 5000, "is not TOML"),
        ("a = " + "[" * 5000, "is not TOML"),
        (b"\xff\xfe[\x00b\x00", "is not text in UTF-8"),
    ],
    ids=range(19),
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said(write, content, said):
    assert said in refusal(write(content))


def test_all_mistakes_of_a_file_are_named_at_once(write):
    message = refusal(write("[bach]\njobs = 2\n[server]\nport = 'x'\nhots = 'h'\n[batch]\njobs = 0\n"))
    for part in ("1.Field: ", "bach", "[server] port", "Did you mean host?", "4.Field: ", "0 is not from 1 to 1000"):
        assert part in message


def test_a_mistake_is_one_also_where_a_variable_wins(write):
    assert "[batch] jobs" in refusal(write("[batch]\njobs = 0\n"), {"BOXWRIGHT_BATCH_JOBS": "2"})


def test_no_error_repeats_a_value_of_another_type(write):
    for content in ("[database]\nurl = ['secret']\n", "[database]\nurll = 'secret'\n", "database = 'secret'\n"):
        assert "secret" not in refusal(write(content))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    assert "No such file or directory" in refusal(tmp_path / "none.toml")
    assert "Is a directory" in refusal(tmp_path)


def test_a_file_may_be_empty_and_may_come_from_windows(write):
    assert settings.read({}, write("")).batch == settings.BatchSettings()
    found = settings.read({}, write(b"\xef\xbb\xbf[batch]\r\njobs = 3\r\n"))
    assert found.batch.jobs == 3


def test_a_path_starts_at_the_folder_of_the_file(write, tmp_path, monkeypatch):
    path = write("[storage]\ndata_dir = 'data'\nbuckets_dir = '/srv/photos'\n[server]\ntls_cert='c'\ntls_key='../k'\n")
    found = settings.read({"BOXWRIGHT_DATABASE_CA": "ca.pem"}, path)
    assert found.storage.data_dir == tmp_path / "data"
    assert found.storage.buckets_dir == pathlib.Path("/srv/photos")
    assert found.server.tls_key == tmp_path / "../k"
    assert found.database.ca == pathlib.Path("ca.pem"), "a variable's path starts at the working directory"
    monkeypatch.chdir(tmp_path)
    assert settings.read({}, pathlib.Path("boxwright.toml")).storage.data_dir == pathlib.Path("data")


@pytest.mark.parametrize(
    ("text", "value"), [("0.5", 0.5), ("2", 2.0), ("1_000", 1000.0), ("'none'", None), ("'None'", None), ("''", None)]
)
def test_a_setting_that_may_be_unset_takes_its_type_or_none(write, text, value):
    found = settings.read({}, write(f"[training]\nmodel_life_days = {text}\n")).training.model_life_days
    assert (found, type(found)) == (value, type(value))


def test_the_variable_of_googles_clients_wins_over_the_file_and_our_own_over_it(write):
    path = write("[storage]\ngs_emulator = 'file:1'\n")
    theirs = {"STORAGE_EMULATOR_HOST": "theirs:2"}
    ours = {"BOXWRIGHT_GS_EMULATOR": "ours:3"}
    found = [settings.read(environment, path).storage.gs_emulator for environment in ({}, theirs, theirs | ours)]
    assert found == ["file:1", "theirs:2", "ours:3"]


# ---- which file ---------------------------------------------------------------------------------------------------


def test_a_variable_names_the_file_and_the_flag_wins_over_it(write, tmp_path):
    path = write("[batch]\njobs = 3\n")
    other = tmp_path / "other.toml"
    other.write_text("[batch]\njobs = 4\n")
    environment = {"BOXWRIGHT_CONFIG": str(path)}
    assert settings.read(environment).batch.jobs == 3
    assert settings.read(environment).config_file == path
    assert settings.read(environment, other).batch.jobs == 4
    assert settings.read({"BOXWRIGHT_CONFIG": ""}).config_file is None


def test_a_misspelt_variable_of_the_file_is_told():
    with pytest.raises(errors.ApiError, match=r"Did you mean BOXWRIGHT_CONFIG\?"):
        settings.read({"BOXWRIGHT_CONFG": "x"})
