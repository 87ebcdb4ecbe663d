"""Reading of settings: a TOML file, the environment over it, flags over both. Errors name the place of each mistake."""

from __future__ import annotations

import difflib
import pathlib
import sys
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from boxwright import errors
from boxwright.settings.fields import Setting
from boxwright.settings.groups import Settings, all_settings

PREFIX = "BOXWRIGHT_"
CONFIG_VARIABLE = "BOXWRIGHT_CONFIG"
# Variables with that prefix that are no settings: of client commands, of fault injection, and of the test suite.
OTHER_VARIABLES = (
    *("CONFIG", "URL", "TOKEN", "PROJECT", "LOCATION", "CA", "CLIENT_CERT", "CLIENT_KEY"),
    *("FAULTS", "FAULTS_ONCE", "FUZZ_EXAMPLES"),
)
TEST_PREFIX = "BOXWRIGHT_TEST_"
EMULATOR_VARIABLE = "STORAGE_EMULATOR_HOST"  # as in Google's own clients
LIST = "docs/configuration.md lists the settings."
KINDS = {int: "a whole number", float: "a number"}
TRUTHS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
UNSET = ("", "none")  # what a setting that may be unset is set to, to be unset
EXPECTED = {
    int: "A whole number",
    float: "A number",
    bool: "true or false",
    str: "A string",
    pathlib.Path: "A path in quotes",
    tuple: 'An array of strings, ["one", "another"],',
}
TOML_TYPES = {
    bool: "a boolean",
    int: "an integer",
    float: "a float",
    str: "a string",
    list: "an array",
    dict: "a table",
}


def read(environment: Mapping[str, str], config_file: pathlib.Path | None = None, **flags: Any) -> Settings:
    """Reads the settings: flags win over the environment, the environment over the file, the file over the defaults.

    Args:
        environment: variables, of which ``BOXWRIGHT_*`` are read.
        config_file: a TOML file; None: the one that ``BOXWRIGHT_CONFIG`` names, if any.
        flags: values by the settings' names; None is a flag that was not given.

    Raises:
        ApiError: INVALID_ARGUMENT naming each setting that is unknown or whose value is not possible, and the file that
            has it; FAILED_PRECONDITION if the file cannot be read.
    """
    if config_file is None and environment.get(CONFIG_VARIABLE):
        config_file = pathlib.Path(environment[CONFIG_VARIABLE])
    values = {} if config_file is None else _from_file(config_file)
    values |= _from_environment(environment)
    values |= {name: value for name, value in flags.items() if value is not None}
    return Settings.of(values, config_file)


# ---- the environment ----------------------------------------------------------------------------------------------


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    settings = {one.name: one for one in all_settings()}
    values: dict[str, Any] = {}
    for variable, text in environment.items():
        name = variable.removeprefix(PREFIX).lower()
        if not variable.startswith(PREFIX) or variable.startswith(TEST_PREFIX):
            continue
        if name in settings:
            values[name] = _parsed(settings[name], text)
        elif name.upper() not in OTHER_VARIABLES:
            near = _near(variable.upper(), [PREFIX + known.upper() for known in (*settings, *OTHER_VARIABLES)])
            hint = f"Did you mean {near}?" if near else LIST
            raise errors.invalid_argument(variable, f"There is no such setting. {hint}")
    if environment.get(EMULATOR_VARIABLE):
        values.setdefault("gs_emulator", environment[EMULATOR_VARIABLE])
    return values


def _parsed(one: Setting, text: str) -> Any:
    """Parses one variable into the setting's type."""
    if one.may_be_unset and text.strip().lower() in UNSET:
        return None
    if one.kind is tuple:
        return _parts(text.split(","))
    if one.kind is bool:
        if text.strip().lower() not in TRUTHS:
            raise _unusable(one, text, "neither true nor false")
        return TRUTHS[text.strip().lower()]
    if one.kind is pathlib.Path and not text.strip():
        raise _unusable(one, text, "no path")
    try:
        return one.kind(text)
    except ValueError:
        raise _unusable(one, text, f"not {KINDS[one.kind]}") from None


def _unusable(one: Setting, text: str, what: str) -> errors.ApiError:
    return errors.invalid_argument(one.name, f"{PREFIX}{one.name.upper()}='{text}' is {what}.")


# ---- the file -----------------------------------------------------------------------------------------------------


class _Mistake(Exception):
    """What is wrong with one key or table of the file."""


def _from_file(path: pathlib.Path) -> dict[str, Any]:
    """Reads the whole file, and names all of its mistakes at once."""
    tables = {one.group for one in all_settings()}
    values: dict[str, Any] = {}
    problems = []
    for table, content in _document(path).items():
        if table not in tables:
            shown = f"[{table}]" if isinstance(content, dict) else table
            problems.append((f"{path}, {shown}", _no_such_table(table, content)))
        elif not isinstance(content, dict):
            problems.append((f"{path}, {table}", f"A table, [{table}], is expected, not {_toml_type(content)}."))
        else:
            for key, value in content.items():
                try:
                    values |= _read_key(table, key, value, path.parent)
                except _Mistake as mistake:
                    problems.append((f"{path}, [{table}] {key}", str(mistake)))
    if problems:
        raise errors.invalid_fields(problems)
    return values


def _document(path: pathlib.Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise errors.failed_precondition(
            f"The configuration file {path} cannot be read: {error.strerror}. Name another with --config or "
            f"{CONFIG_VARIABLE}."
        ) from error
    except UnicodeDecodeError as error:
        raise errors.bad_request(f"The configuration file {path} is not text in UTF-8.") from error
    except (ValueError, RecursionError) as error:
        raise errors.bad_request(f"The configuration file {path} is not TOML: {error}.") from error


def _read_key(table: str, key: str, value: Any, folder: pathlib.Path) -> dict[str, Any]:
    """Value of the setting that a key means, by the setting's name; raises _Mistake."""
    for one in all_settings():
        if (one.group, one.key) == (table, key):
            converted = _converted(one, value, folder)
            problem = one.problem(converted)
            if problem is not None:
                raise _Mistake(problem)
            return {one.name: converted}
    raise _Mistake(f"There is no such setting. {_meant(key, table) or LIST}")


def _converted(one: Setting, value: Any, folder: pathlib.Path) -> Any:
    """Turns a TOML value into the setting's type.

    Args:
        folder: the file's, from which a relative path leads.

    Raises:
        _Mistake: the value has another type; the text says which one is expected.
    """
    if one.may_be_unset and isinstance(value, str) and value.strip().lower() in UNSET:
        return None
    if one.kind is tuple and isinstance(value, list) and all(map(_is_text, value)):
        return _parts(value)
    if one.kind is pathlib.Path and _is_text(value) and value.strip():
        return folder / value
    if one.kind is float and (type(value) is float or (type(value) is int and abs(value) <= sys.float_info.max)):
        return float(value)
    if type(value) is one.kind and (one.kind in (int, bool) or _is_text(value)):
        return value
    expected = EXPECTED[one.kind] + (', or "none",' if one.may_be_unset else "")
    raise _Mistake(f"{expected} is expected, not {_toml_type(value)}.")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value


def _toml_type(value: Any) -> str:
    found = TOML_TYPES.get(type(value), "a date or time")
    return found if not isinstance(value, str) or _is_text(value) else f"{found} with a null character"


def _meant(key: str, table: str = "") -> str:
    """Names the setting that a key may have been meant for, whichever table that is in; an empty text: none is like it."""
    own = {name: one for one in all_settings() if one.group == table for name in (one.name, one.key)}
    anywhere = {one.key: one for one in all_settings()} | {one.name: one for one in all_settings()} | own
    word = key.lower().replace("-", "_").removeprefix(PREFIX.lower())
    meant = anywhere.get(word) or own.get(_near(word, own)) or anywhere.get(_near(word, anywhere))
    if meant is None:
        return ""
    return f"Did you mean {meant.key}?" if meant.group == table else f"Did you mean {meant.key} in [{meant.group}]?"


def _no_such_table(name: str, content: Any) -> str:
    tables = list(dict.fromkeys(one.group for one in all_settings()))
    meant = "" if isinstance(content, dict) else _meant(name)
    if meant:
        return f"A setting is in the table of its group. {meant}"
    near = _near(name.lower(), tables)
    return "There is no such table. " + (f"Did you mean [{near}]?" if near else f"The tables are {', '.join(tables)}.")


# ---- both ---------------------------------------------------------------------------------------------------------


def _parts(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(text.strip() for text in texts if text.strip())


def _near(word: str, names: Iterable[str]) -> str:
    """The name that is most like the word, or an empty text."""
    return next(iter(difflib.get_close_matches(word, names, n=1)), "")
