"""The database that the settings name, opened for a command, and what these commands have in common.

A command that changes something says so by `changes`: what it does is then a line of the audit log, or is not done.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from boxwright.metadata import database
    from boxwright.settings import Settings

_UNRECORDED = ("command", "action", "kind", "change", "run", "config", "data_dir", "is_in")
_ABOUT = ("on", "folder", "group", "account", "name")  # the first of these arguments that there is names the resource


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what says which database a command works on."""
    parser.add_argument(
        "--config", type=pathlib.Path, metavar="FILE", help="settings, TOML (default: what BOXWRIGHT_CONFIG names)"
    )
    parser.add_argument("--data-dir", type=pathlib.Path, metavar="DIR", help="as for serve")


def changes(parser: argparse.ArgumentParser, method: str) -> None:
    """Says that a command changes something; `method` is what the audit log calls it."""
    parser.set_defaults(change=f"boxwright.{method}")


def read_settings(options: argparse.Namespace) -> Settings:
    """The settings of the service that a command is about."""
    from boxwright import settings

    return settings.read(os.environ, options.config, data_dir=options.data_dir)


@contextlib.contextmanager
def opened(options: argparse.Namespace, *, makes: bool = False) -> Iterator[database.Database]:
    """Opens the service's database; records what a command does that changes something.

    Args:
        options: what `add_arguments` has added.
        makes: whether a data directory that is not there is made.

    Raises:
        ApiError: FAILED_PRECONDITION if there is no such data directory, or the database's schema is of another version;
            UNAVAILABLE if what the command does could not be recorded.
    """
    from boxwright import places

    chosen = read_settings(options)
    if makes:
        places.prepare(chosen.storage)
    with places.opened_database(chosen) as db:
        if not getattr(options, "change", ""):
            yield db
            return
        from boxwright.access import audit

        shown = {
            name: value for name, value in vars(options).items() if name not in _UNRECORDED and not callable(value)
        }
        about = next((value for name in _ABOUT if (value := getattr(options, name, None))), "")
        with audit.recorded_change(audit_folder(chosen), db, options.change, str(about), shown):
            yield db


def audit_folder(chosen: Settings) -> pathlib.Path:
    """Where the audit log is."""
    return chosen.storage.data_dir / "audit"


def day(time_us: int | None) -> str:
    """A day as people write it, of microseconds since 1970 UTC; a dash for none."""
    import datetime

    return "-" if time_us is None else datetime.datetime.fromtimestamp(time_us / 1e6, datetime.UTC).strftime("%Y-%m-%d")
