"""``boxwright buckets``: which members may read and write which buckets and folders."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from boxwright import errors
from boxwright.administration import iam_command, opening

if TYPE_CHECKING:
    from boxwright import objects


def add_command(commands: Any) -> None:
    """Adds the command to the command line's sub-parsers."""
    parser = commands.add_parser(
        "buckets",
        help="grant buckets and folders to members, and revoke them",
        description="Administer who may read and write which objects, in the service's database. Changes count at the next "
        "call; work under way that loses a grant ends.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    grant = _action(actions, "grant", "let a member read or write a bucket or folder", _grant)
    grant.add_argument("--read", action="store_true", help="lists and images in it may be read")
    grant.add_argument("--write", action="store_true", help="results and exports may be written into it")
    revoke = _action(actions, "revoke", "take a grant away", _revoke)
    revoke.add_argument("--read", action="store_true", help="take reading away; without --read and --write: both")
    revoke.add_argument("--write", action="store_true", help="take writing away")
    listed = actions.add_parser("list", help="list all grants", description="List all grants.")
    listed.add_argument("member", nargs="?", help="only those of this member")
    opening.add_arguments(listed)
    listed.set_defaults(run=_list)


def _action(actions: Any, name: str, text: str, run: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text, description=f"{text.capitalize()}.")
    parser.add_argument("folder", help="such as gs://photos/ or gs://photos/in/")
    parser.add_argument("member", help="serviceAccount:ADDRESS, user:ADDRESS, … or the name of an account")
    opening.add_arguments(parser)
    opening.changes(parser, f"buckets.{name.capitalize()}")
    parser.set_defaults(run=run)
    return parser


def parse(text: str, settings: Any, *, can_read: bool = False, can_write: bool = False) -> objects.Grant:
    """A grant of a folder as it was named.

    Raises:
        ApiError: INVALID_ARGUMENT for what is no folder that callers can name; FAILED_PRECONDITION if the service's own
            files are in it.
    """
    from boxwright import objects, places

    wanted = objects.Grant.parse(text, can_read=can_read, can_write=can_write)
    objects.caller_uri(str(wanted), settings.storage.choices.served, directory=True)
    places.check_grant(settings, wanted)
    return wanted


def _grant(options: argparse.Namespace) -> int:
    from boxwright.access import bucket_grants

    if not (options.read or options.write):
        raise errors.bad_request("Say what is granted: --read, --write or both.")
    wanted = parse(options.folder, opening.read_settings(options), can_read=options.read, can_write=options.write)
    with opening.opened(options) as db, db.write() as connection:
        member = iam_command.member_of(connection, options.member)
        held = bucket_grants.grant(connection, member, wanted)
    print(f"{member} may {held.verbs} {held}")
    return 0


def _revoke(options: argparse.Namespace) -> int:
    from boxwright import objects
    from boxwright.access import bucket_grants, index, members

    both = not (options.read or options.write)
    unwanted = objects.Grant.parse(options.folder, can_read=options.read or both, can_write=options.write or both)
    with opening.opened(options) as db, db.write() as connection:
        member = iam_command.member_of(connection, options.member)
        left = bucket_grants.revoke(connection, member, unwanted)
        found = index.load(connection)
        others = found.grants_of(member, members.counted_as(member, found.groups.get(member, ())))
    print(f"{member} may {left.verbs} {left}" if left.verbs else f"{member} no longer has a grant on {left}")
    folder = objects.ObjectUri(left.scheme, left.bucket, left.prefix)
    for grant in others.given:
        if grant.contains(folder) and str(grant) != str(left):
            print(f"note: {grant} is granted to it too ({grant.verbs}), and contains {left}")
    return 0


def _list(options: argparse.Namespace) -> int:
    from boxwright.access import bucket_grants

    with opening.opened(options) as db, db.read() as connection:
        wanted = None if options.member is None else iam_command.member_of(connection, options.member)
        for member, grant in bucket_grants.listed(connection):
            if wanted in (None, member):
                print(f"{member}  {grant}  {grant.verbs}")
    return 0
