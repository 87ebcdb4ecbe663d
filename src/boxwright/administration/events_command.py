"""``boxwright events``: the secret by which a receiver knows that events are the service's."""

from __future__ import annotations

import argparse
from typing import Any

from boxwright.administration import opening


def add_command(commands: Any) -> None:
    """Adds the command to the command line's sub-parsers."""
    parser = commands.add_parser(
        "events",
        help="show the secret that signs a project's events",
        description="Events of operations, which batch predictions send to web addresses; see docs/events.md.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    secret = actions.add_parser(
        "secret",
        help="print the secret of a project, which its receivers need",
        description="Print the secret that signs the events of a project, whsec_…, for those who run its receivers.",
    )
    secret.add_argument("project", metavar="PROJECT")
    opening.add_arguments(secret)
    secret.set_defaults(run=_secret)


def _secret(options: argparse.Namespace) -> int:
    from boxwright import places
    from boxwright.notifications import signatures

    secret = signatures.read_secret(places.notify_secret(opening.read_settings(options)))
    print(signatures.shown(signatures.project_secret(secret, options.project)))
    return 0
