"""``boxwright access``: the first account in one command, and why a member may or may not."""

from __future__ import annotations

import argparse
import datetime
from typing import Any

from google.rpc import code_pb2

from boxwright import client_env, client_files, errors
from boxwright.administration import buckets_command, iam_command, opening, providers_command


def add_command(commands: Any) -> None:
    """Adds the command to the command line's sub-parsers."""
    parser = commands.add_parser(
        "access",
        help="make the first account; say why a member may or may not",
        description="Begin with access control; name identity providers.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    start = actions.add_parser(
        "start",
        help="make the first account, its key file, its role, its grants and certificates",
        description="Make an account that owns a project, the files that clients need, and a certificate for the service; "
        "print how to start the service, and the environment of client code.",
    )
    start.add_argument("--project", required=True, help="the project that the account owns")
    start.add_argument("--account", default="owner", metavar="NAME", help="the account's name (default owner)")
    start.add_argument(
        "--bucket",
        action="append",
        metavar="NAME",
        help="a bucket or folder that the account may read and write, NAME or gs://NAME/FOLDER/; may be repeated (default: "
        "the bucket that is named as the project)",
    )
    client_env.add_arguments(start)
    opening.add_arguments(start)
    start.set_defaults(run=_start)
    opening.changes(start, "access.Start")
    why = actions.add_parser(
        "why",
        help="say which binding allows something, or which would",
        description="Say which binding gives a member a permission on a resource. Exit status 0: it has it; 1: it has not.",
    )
    why.add_argument("member", help="serviceAccount:ADDRESS, user:ADDRESS, … or the name of an account")
    why.add_argument("permission", help="such as automl.models.predict, or storage.objects.get, .list or .create")
    why.add_argument(
        "resource", help="projects/P, or something in it; an address such as gs://BUCKET/NAME for storage.…"
    )
    opening.add_arguments(why)
    why.set_defaults(run=_why)
    providers_command.add_actions(actions)


def _start(options: argparse.Namespace) -> int:
    from boxwright.access import accounts, bucket_grants, policies, roles

    resource, settings = f"projects/{options.project}", opening.read_settings(options)
    folders = [name if "://" in name else f"gs://{name}/" for name in options.bucket or [options.project]]
    grants = [buckets_command.parse(folder, settings, can_read=True, can_write=True) for folder in folders]
    with opening.opened(options, makes=True) as db:
        with db.write() as connection:
            try:
                account = accounts.create(connection, options.account, options.project)
            except errors.ApiError as error:
                if error.code != code_pb2.FAILED_PRECONDITION:
                    raise
                raise errors.failed_precondition(
                    f"{error.message} For its files again: `boxwright client-env --account {options.account}`; for another "
                    f"account: `boxwright accounts create NAME --project {options.project}`."
                ) from error
            policies.grant(connection, resource, roles.OWNER, account.member)
            for grant in grants:
                bucket_grants.grant(connection, account.member, grant)
        files = client_files.prepare(
            options.out,
            [*client_files.HOSTS, *options.host],
            options.grpc_port,
            datetime.datetime.now(datetime.UTC),
            client_files.AccountKeys(db, account.member, options.port),
        )
    print(f"# {account.member} has {roles.OWNER} on {resource}, and may read and write {', '.join(map(str, grants))}.")
    print(client_env.exports(files, options, is_required=True))
    return 0


def _why(options: argparse.Namespace) -> int:
    from boxwright.access import index, members, roles
    from boxwright.objects import grants

    if options.permission in grants.PERMISSIONS:
        return _why_object(options)
    if options.permission not in roles.PERMISSIONS:
        raise errors.bad_request(f"There is no permission {options.permission}; `boxwright iam roles` lists all.")
    with opening.opened(options) as db, db.read() as connection:
        member = iam_command.member_of(connection, options.member)
        found = index.load(connection)
    below = found.resources_of(options.resource) if options.resource != roles.INSTALLATION else ()
    resources = (roles.INSTALLATION, *below)
    giving = [name for name, role in roles.ROLES.items() if options.permission in role.permissions]
    is_allowed = False
    for resource in resources:
        for who in members.counted_as(member, found.groups.get(member, ())):
            for role in sorted(found.granted.get(resource, {}).get(who, ())):
                if role in giving:
                    is_allowed = True
                    print(f"yes: {who} has {role} on {resource}")
    if _is_disabled(found, member):
        return 1
    if is_allowed:
        return 0
    holder = resources[-1]
    possible = [name for name in giving if roles.level_of(holder) in roles.ROLES[name].levels]
    print(f"no: nothing gives {member} {options.permission} on {options.resource}. Of these, each would:")
    for name in possible:
        print(f"  boxwright iam grant {member} {name} --on {holder}")
    return 1


def _is_disabled(found: Any, member: str) -> bool:
    """Whether a member's account or provider is disabled, or its provider is gone, which is said."""
    from boxwright.access import members

    account, name = found.accounts.get(member), members.provider_of(member)
    if name and found.has_ended(member):
        print(f"but the provider {name} is disabled or gone: nothing that it vouches for is taken")
        return True
    if account is None or not account.is_disabled:
        return False
    print(f"but {member} is disabled: nothing that it sends is taken (`boxwright accounts enable`)")
    return True


def _why_object(options: argparse.Namespace) -> int:
    """Says which grant gives a permission on an object or folder."""
    from boxwright import objects
    from boxwright.access import index, members
    from boxwright.objects import grants

    served = opening.read_settings(options).storage.choices.served
    uri = objects.caller_uri(options.resource, served, directory=True)
    meant = (
        uri if options.permission == grants.READ else uri.folder
    )  # lists are of folders, output prefixes are folders
    with opening.opened(options) as db, db.read() as connection:
        member = iam_command.member_of(connection, options.member)
        found = index.load(connection)
    giving = [
        (who, grant)
        for who in members.counted_as(member, found.groups.get(member, ()))
        for grant in found.bucket_grants.get(who, ())
        if objects.Grants(member, (grant,)).allows(meant, options.permission)
    ]
    for who, grant in giving:
        print(f"yes: {who} may {grant.verbs} {grant}")
    if _is_disabled(found, member):
        return 1
    if not giving:
        flag = "--write" if options.permission == grants.WRITE else "--read"
        folder = f"{uri.scheme}://{uri.bucket}/{uri.key[: uri.key.rfind('/') + 1]}"
        print(f"no: nothing gives {member} {options.permission} on {uri}. This would:")
        print(f"  boxwright buckets grant {folder} {member} {flag}")
    return 0 if giving else 1
