"""``boxwright audit``: whether the audit log is as it was written."""

from __future__ import annotations

import argparse
from typing import Any

from boxwright.administration import opening


def add_command(commands: Any) -> None:
    """Adds the command to the command line's sub-parsers."""
    parser = commands.add_parser(
        "audit",
        help="look for changes in the audit log",
        description="Look at the log of who has done what, in DATA_DIR/audit.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    verify = actions.add_parser(
        "verify",
        help="find lines that were edited, taken out or cut off",
        description="Find lines of the audit log that were edited, taken out or cut off since they were written. Exit "
        "status 0: there are none; 1: there are some.",
    )
    verify.add_argument(
        "--first-line",
        type=int,
        default=1,
        metavar="N",
        help="the number of the line with which a log may begin, where older files were put away",
    )
    opening.add_arguments(verify)
    verify.set_defaults(run=_verify)


def _verify(options: argparse.Namespace) -> int:
    from boxwright.access import audit_verification

    folder = opening.audit_folder(opening.read_settings(options))
    with opening.opened(options) as db:
        found = audit_verification.verify(folder, db, options.first_line)
    if not found:
        print(f"There is no audit log in {folder}.")
    for log in found:
        if log.last:
            lines = f"lines {log.first:,} to {log.last:,}"
        else:
            lines = "no lines"
        known = f"the database knows line {log.stored.sequence:,}" if log.stored else "the database knows none of them"
        print(f"{log.instance}: {lines}, {known}: {'as written' if not log.findings else 'changed'}")
        for finding in log.findings:
            print(f"  {finding}")
    return 1 if any(log.findings for log in found) else 0
