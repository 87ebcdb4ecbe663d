"""``boxwright iam``: roles of members on resources."""

from __future__ import annotations

import argparse
from typing import Any

from boxwright import errors
from boxwright.administration import opening


def add_command(commands: Any) -> None:
    """Adds the command to the command line's sub-parsers."""
    parser = commands.add_parser(
        "iam",
        help="grant roles to members, and revoke them",
        description="Administer policies in the service's database. Changes count at the next call.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, run, text in (("grant", _grant, "give a member a role"), ("revoke", _revoke, "take a role away")):
        action = actions.add_parser(name, help=text, description=f"{text.capitalize()} on a resource.")
        action.add_argument("member", help="serviceAccount:ADDRESS, user:ADDRESS, … or the name of an account")
        action.add_argument("role", help="such as roles/automl.viewer")
        action.add_argument(
            "--on", required=True, metavar="RESOURCE", help="installation, projects/P, a location, dataset or model"
        )
        opening.add_arguments(action)
        action.set_defaults(run=run)
        opening.changes(action, f"iam.{name.capitalize()}")
    show = actions.add_parser("show", help="show who has which role", description="Show the policy of a resource.")
    show.add_argument("resource", help="as after --on; all: every policy")
    opening.add_arguments(show)
    show.set_defaults(run=_show)
    group = actions.add_parser(
        "group", help="who is in which group", description="Put members into groups, or list them."
    )
    kinds = group.add_subparsers(dest="kind", metavar="ACTION", required=True)
    for name, is_in in (("add", True), ("remove", False)):
        change = kinds.add_parser(name, help=f"{name} a member", description=f"{name.capitalize()} a member.")
        change.add_argument("group", help="group:ADDRESS")
        change.add_argument("member", help="user:ADDRESS, serviceAccount:ADDRESS, or the name of an account")
        opening.add_arguments(change)
        opening.changes(change, f"iam.Group{name.capitalize()}")
        change.set_defaults(run=_change_group, is_in=is_in)
    listing = kinds.add_parser("list", help="list all groups", description="List all groups with their members.")
    opening.add_arguments(listing)
    listing.set_defaults(run=_list_groups)
    roles = actions.add_parser("roles", help="list roles, where they may be granted, and their permissions")
    roles.set_defaults(run=_roles)


def member_of(connection: Any, text: str) -> str:
    """A member as it was named: in full, or by the name of an account."""
    from boxwright.access import accounts, members

    if ":" in text or text == members.EVERYBODY_KNOWN:
        members.check(text, "member")
        return members.canonical(text)
    return accounts.find(connection, text).member


def _grant(options: argparse.Namespace) -> int:
    from boxwright.access import policies

    with opening.opened(options) as db, db.write() as connection:
        member = member_of(connection, options.member)
        is_new = policies.grant(connection, options.on, options.role, member)
    print(f"{member} {'has' if is_new else 'had already'} {options.role} on {options.on}")
    return 0


def _revoke(options: argparse.Namespace) -> int:
    from boxwright.access import policies, roles

    with opening.opened(options) as db, db.write() as connection:
        # what was granted to somebody who is gone can be taken away too
        member = options.member if options.member.startswith("deleted:") else member_of(connection, options.member)
        if not policies.revoke(connection, options.on, options.role, member):
            raise errors.not_found(f"{member} does not have {options.role} on {options.on}.")
        is_without = options.role == roles.OWNER and not policies.read(connection, options.on).bindings.get(
            options.role
        )
    print(f"{member} no longer has {options.role} on {options.on}")
    if is_without:
        print(
            f"note: nobody has {roles.OWNER} on {options.on} now. Its policy can be changed by administrators of the "
            "installation and by this command."
        )
    return 0


def _show(options: argparse.Namespace) -> int:
    from boxwright.access import policies

    with opening.opened(options) as db, db.read() as connection:
        if options.resource == "all":
            resources = policies.holders(connection)
        else:
            policies.check_holder(options.resource)
            resources = [options.resource]
        for resource in resources:
            for role, held_by in policies.read(connection, resource).bindings.items():
                for member in held_by:
                    print(f"{resource}  {role}  {member}")
    return 0


def _change_group(options: argparse.Namespace) -> int:
    from boxwright.access import policies

    with opening.opened(options) as db, db.write() as connection:
        member = member_of(connection, options.member)
        changed = policies.set_in_group(connection, options.group, member, options.is_in)
    was = "" if changed else " already"
    print(f"{member} is{was} in {options.group}" if options.is_in else f"{member} is{was} not in {options.group}")
    return 0


def _list_groups(options: argparse.Namespace) -> int:
    from boxwright.access import policies

    with opening.opened(options) as db, db.read() as connection:
        for group, member in policies.groups(connection):
            print(f"{group}  {member}")
    return 0


def _roles(options: argparse.Namespace) -> int:
    from boxwright.access import roles

    for name, role in roles.ROLES.items():
        print(f"{name}  on {', '.join(role.levels)}\n  " + "\n  ".join(sorted(role.permissions)))
    return 0
