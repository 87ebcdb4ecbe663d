"""The database that the settings name, opened for a command, and what these commands have in common."""

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what says which database a command works on."""
    parser.add_argument(
        "--config", type=pathlib.Path, metavar="FILE", help="settings, TOML (default: what BOXWRIGHT_CONFIG names)"
    )
    parser.add_argument("--data-dir", type=pathlib.Path, metavar="DIR", help="as for serve")


def read_settings(options: argparse.Namespace) -> Settings:
    """The settings of the service that a command is about."""
    from boxwright import settings

    return settings.read(os.environ, options.config, data_dir=options.data_dir)


@contextlib.contextmanager
def opened(options: argparse.Namespace, *, makes: bool = False) -> Iterator[database.Database]:
    """Opens the service's database.

    Args:
        options: what `add_arguments` has added.
        makes: whether a data directory that is not there is made.

    Raises:
        ApiError: FAILED_PRECONDITION if there is no such data directory, or the database's schema is of another version.
    """
    from boxwright import places

    chosen = read_settings(options)
    if makes:
        places.prepare(chosen.storage)
    with places.opened_database(chosen) as db:
        yield db


def day(time_us: int | None) -> str:
    """A day as people write it, of microseconds since 1970 UTC; a dash for none."""
    import datetime

    return "-" if time_us is None else datetime.datetime.fromtimestamp(time_us / 1e6, datetime.UTC).strftime("%Y-%m-%d")
