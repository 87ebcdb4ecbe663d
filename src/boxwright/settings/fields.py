"""How a setting is declared: a field of a group, with its name, its meaning and a check of its value."""

from __future__ import annotations

import dataclasses
import ipaddress
import logging
import re
import types
import typing
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

from boxwright import errors, objects, states
from boxwright.notifications import destinations

_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,200}")
Check = Callable[[Any], str | None]  # what is wrong with a value of the right type, as a sentence; None if nothing is


@dataclasses.dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        name: in errors and documents, and in capitals after ``BOXWRIGHT_`` in the environment; no two have the same.
        group: the attribute of `Settings`, and the table of the configuration file, that it is in.
        key: its attribute in the group, and its key in the table.
        kind: the type of its values that are not None: bool, int, float, str, pathlib.Path, or tuple for texts in a row.
        may_be_unset: whether None is one of its values.
        default: None also where the default depends on the machine.
        depends_on_machine: whether the default does.
        text: what it is for, as docs/configuration.md has it.
        problem: its check.
    """

    name: str
    group: str
    key: str
    kind: type
    may_be_unset: bool
    default: Any
    depends_on_machine: bool
    text: str
    problem: Check


class Group:
    """Settings that belong together; checks them when it is made, and raises INVALID_ARGUMENT naming the setting."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]  # every group is a dataclass
            problem = field.metadata["check"](getattr(self, field.name))
            if problem is not None:
                raise errors.invalid_argument(_name_of(field), problem)


def setting(default: Any, text: str, *, name: str | None = None, check: Check | None = None) -> Any:
    """Makes a field of a group.

    Args:
        default: its value, or a function that finds it.
        text: what it is for.
        name: the setting's name where the field's says too little without its group, as ``url`` does.
        check: finds out what is wrong with a value.
    """
    metadata = {"text": text, "name": name, "check": check or (lambda _: None)}
    if callable(default):
        return dataclasses.field(default_factory=default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def _name_of(field: dataclasses.Field[Any]) -> str:
    return field.metadata["name"] or field.name


def settings_of(group: type[Group], name: str) -> Iterator[Setting]:
    """Yields what a group holds, in its order; `name` is the group's."""
    hints = typing.get_type_hints(group)
    for field in dataclasses.fields(group):  # type: ignore[arg-type]  # as above
        kinds = typing.get_args(hints[field.name]) if isinstance(hints[field.name], types.UnionType) else ()
        wanted = kinds[0] if kinds else hints[field.name]
        yield Setting(
            name=_name_of(field),
            group=name,
            key=field.name,
            kind=typing.get_origin(wanted) or wanted,
            may_be_unset=type(None) in kinds,
            default=None if field.default is dataclasses.MISSING else field.default,
            depends_on_machine=field.default_factory is not dataclasses.MISSING,
            text=field.metadata["text"],
            problem=field.metadata["check"],
        )


# ---- checks -------------------------------------------------------------------------------------------------------


def between(least: float, most: float) -> Check:
    """A number from `least` to `most`."""
    return lambda value: None if least <= value <= most else f"{value} is not from {least} to {most}."


def is_port(value: int | None) -> str | None:
    """A port, or nothing."""
    return None if value is None or 0 <= value <= 65535 else f"{value} is not from 0 to 65535."


def is_ray_address(value: str | None) -> str | None:
    """``auto``, a host with a port, or nothing."""
    if value is None or value == "auto" or re.fullmatch(r"(\[[0-9A-Fa-f:]+\]|[\w.-]+):\d{1,5}", value):
        return None
    return f"'{value}' is neither HOST:PORT nor auto."


def is_collector(value: str | None) -> str | None:
    """The URL of a collector without credentials, or nothing."""
    if value is None:
        return None
    try:
        parts = urllib.parse.urlsplit(value)
        is_usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        is_usable = False
    if not is_usable or re.search(
        r"[\s@?#]", value
    ):  # what is in a URL is in logs: headers have a variable of their own
        return "This is no URL of a collector, such as http://127.0.0.1:4318, without credentials and parameters."
    return None


def one_of(*names: str) -> Check:
    """One of two or more words."""
    *most, last = names
    known = f"neither {most[0]} nor {last}" if len(names) == 2 else f"none of {', '.join(most)} and {last}"
    return lambda value: None if value in names else f"'{value}' is {known}."


def above_zero(value: float | None) -> str | None:
    """A positive number, or nothing."""
    return None if value is None or value > 0 else f"{value} is not above 0."


def has_schemes(value: tuple[str, ...]) -> str | None:
    """Schemes of object stores, at least one."""
    is_usable = value and set(value) <= set(objects.CLOUDS)
    return None if is_usable else f"'{','.join(value)}' is no list of gs, s3 and az."


def has_work(value: tuple[str, ...]) -> str | None:
    """Words of `states.WORK`, at least one, each once."""
    is_usable = value and set(value) <= set(states.WORK) and len(set(value)) == len(value)
    return None if is_usable else f"'{','.join(value)}' is no list of {', '.join(states.WORK)}, each once."


def has_absolute_paths(value: tuple[str, ...]) -> str | None:
    """Absolute paths, or none."""
    return None if all(path.startswith("/") for path in value) else "Every folder must be an absolute path."


def has_locations(value: tuple[str, ...]) -> str | None:
    """At least one location."""
    return None if value else "At least one location must be served."


def has_networks(value: tuple[str, ...]) -> str | None:
    """Networks or addresses of IP, or none."""
    for text in value:
        try:
            ipaddress.ip_network(text)
        except ValueError:
            return f"'{text}' is no network, such as 10.0.0.0/8, and no address."
    return None


def has_receivers(value: tuple[str, ...]) -> str | None:
    """Hosts, addresses and networks, or none."""
    try:
        destinations.AllowedHosts.of(value)
    except ValueError as error:
        return f"{error}."
    return None


def asks_for_openid(value: str) -> str | None:
    """Scopes of OpenID Connect (RFC 6749, section 3.3), `openid` among them."""
    if not all(_SCOPE.fullmatch(scope) for scope in value.split(" ")):
        return f"'{value}' is no list of scopes, separated by one space each."
    return None if "openid" in value.split(" ") else f"'{value}' lacks the scope openid, without which nobody is named."


def names_folder(value: str | None) -> str | None:
    """The address of a folder in an object store, or nothing."""
    try:
        is_folder = value is None or objects.caller_uri(value, objects.CLOUDS, directory=True).key != ""
    except errors.ApiError as error:
        return error.message
    return None if is_folder else f"'{value}' names no folder in its bucket."


def is_log_level(value: str) -> str | None:
    """A level of the logging package, in capitals or not."""
    known = logging.getLevelNamesMapping()
    return None if value.upper() in known else f"'{value}' is none of {', '.join(known)}."
