"""``boxwright accounts``: accounts, their keys and tokens. A secret is printed once, or written to a file of mode 0600."""

from __future__ import annotations

import argparse
import os
import pathlib
import time
from collections.abc import Callable
from typing import Any

from boxwright import errors
from boxwright.administration import credential_files, opening

TOKEN_URI = "https://localhost:8470/token"  # noqa: S105 — an address, no secret
Run = Callable[[argparse.Namespace], int]


def add_command(commands: Any) -> None:
    """Adds the command to the command line's sub-parsers."""
    parser = commands.add_parser(
        "accounts",
        help="make, list and disable accounts, keys and tokens",
        description="Administer who may call, in the service's database. Changes count at the next call.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = _action(actions, "create", "make an account", _create, account=False, change="Create")
    create.add_argument("name", help="such as ci: small letters, digits, hyphens")
    create.add_argument("--project", required=True, help="the account's home project")
    create.add_argument("--display-name", default="", metavar="TEXT", help="for people")
    create.add_argument("--email", metavar="ADDRESS", help="make the account of a person, user:ADDRESS")
    _action(actions, "list", "list all accounts", _list, account=False)
    _action(actions, "disable", "refuse all credentials of an account from now on", _disable, change="Disable")
    _action(actions, "enable", "take them again", _enable, change="Enable")
    _action(actions, "delete", "delete an account with its keys and tokens", _delete, change="Delete")
    token = _action(actions, "token", "print an access token, for curl", _token, change="Token")
    token.add_argument("--revoke-all", action="store_true", help="instead, end all tokens that the account has")
    person = _action(actions, "user-file", "write a credentials file for a person", _user_file, change="UserFile")
    person.add_argument("--out", type=pathlib.Path, required=True, metavar="FILE", help="the file to write")
    person.add_argument("--token-url", default=TOKEN_URI, metavar="URL", help=f"where tokens are given ({TOKEN_URI})")
    other = _action(
        actions, "impersonation-file", "write a file by which another's holder speaks for an account", _other
    )
    other.add_argument(
        "--source", type=pathlib.Path, required=True, metavar="FILE", help="the other's credentials file"
    )
    other.add_argument("--out", type=pathlib.Path, required=True, metavar="FILE", help="the file to write")
    other.add_argument("--url", default=credential_files.URL, help=credential_files.URL_HELP)
    key = _action(actions, "api-key", "make an API key", _api_key, change="CreateApiKey")
    key.add_argument("--permission", action="append", metavar="NAME", help="give no other one; may be repeated")
    key.add_argument("--days", type=int, metavar="N", help="life of the key (default: without end)")
    _add_keys(actions)


def _add_keys(actions: Any) -> None:
    keys = actions.add_parser("keys", help="public keys of an account")
    kinds = keys.add_subparsers(dest="kind", metavar="ACTION", required=True)
    create = _action(kinds, "create", "make a key pair, or store a public key", _create_key, change="CreateKey")
    create.add_argument("--out", type=pathlib.Path, metavar="FILE", help="the file for clients, with the private key")
    create.add_argument("--public-key", type=pathlib.Path, metavar="FILE", help="instead, store this public key (PEM)")
    create.add_argument("--days", type=int, default=365, metavar="N", help="life of the key (default 365)")
    create.add_argument("--token-uri", default=TOKEN_URI, metavar="URL", help=f"where tokens are given ({TOKEN_URI})")
    _action(kinds, "list", "list public keys and API keys", _list_keys)
    for name, text, run in (
        ("disable", "refuse what is signed with a key", _disable_key),
        ("enable", "take it again", _enable_key),
        ("delete", "forget a key", _delete_key),
    ):
        change = f"{name.capitalize()}Key"
        _action(kinds, name, text, run, change=change).add_argument("key", help="its id")


def _action(
    actions: Any, name: str, text: str, run: Run, *, account: bool = True, change: str = ""
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    if account:
        parser.add_argument("account", help="its name, address or member")
    opening.add_arguments(parser)
    parser.set_defaults(run=run)
    if change:
        opening.changes(parser, f"accounts.{change}")
    return parser


def _create(options: argparse.Namespace) -> int:
    from boxwright.access import accounts

    with opening.opened(options) as db, db.write() as connection:
        account = accounts.create(
            connection, options.name, options.project, display_name=options.display_name, email=options.email
        )
    print(account.member)
    return 0


def _list(options: argparse.Namespace) -> int:
    from boxwright.access import accounts

    with opening.opened(options) as db, db.read() as connection:
        for account in accounts.listed(connection):
            state = "disabled" if account.is_disabled else "enabled"
            print(f"{account.member}  {account.project}  {state}  {account.display_name}".rstrip())
    return 0


def _changed(options: argparse.Namespace, change: Callable[[Any, Any], object], what: str) -> int:
    """Changes the account that the options name, and says what has changed."""
    from boxwright.access import accounts

    with opening.opened(options) as db, db.write() as connection:
        account = accounts.find(connection, options.account)
        change(connection, account)
    print(f"{account.member} {what}")
    return 0


def _disable(options: argparse.Namespace) -> int:
    from boxwright.access import accounts

    return _changed(
        options, lambda connection, account: accounts.set_disabled(connection, account, True), "is disabled"
    )


def _enable(options: argparse.Namespace) -> int:
    from boxwright.access import accounts

    return _changed(
        options, lambda connection, account: accounts.set_disabled(connection, account, False), "is enabled"
    )


def _delete(options: argparse.Namespace) -> int:
    from boxwright.access import accounts

    return _changed(options, accounts.delete, "is deleted")


def _disable_key(options: argparse.Namespace) -> int:
    from boxwright.access import accounts

    return _changed(
        options,
        lambda connection, account: accounts.set_key_disabled(connection, account, options.key, True),
        f"can no longer use the key {options.key}",
    )


def _enable_key(options: argparse.Namespace) -> int:
    from boxwright.access import accounts

    return _changed(
        options,
        lambda connection, account: accounts.set_key_disabled(connection, account, options.key, False),
        f"can use the key {options.key} again",
    )


def _delete_key(options: argparse.Namespace) -> int:
    from boxwright.access import accounts

    return _changed(
        options,
        lambda connection, account: accounts.delete_key(connection, account, options.key),
        f"has no key {options.key} any more",
    )


def _create_key(options: argparse.Namespace) -> int:
    from boxwright.access import accounts, key_files

    if (options.out is None) == (options.public_key is None):
        raise errors.bad_request("Name either the file to write (--out) or a public key of yours (--public-key).")
    if options.days < 1:
        raise errors.invalid_argument("--days", f"{options.days} is not above 0.")
    with opening.opened(options) as db:
        with db.read() as connection:
            account = accounts.find(connection, options.account)
        if options.public_key is not None:
            content, public_jwk = (
                {"private_key_id": os.urandom(20).hex()},
                key_files.read_public_key(options.public_key),
            )
        else:
            content, public_jwk = key_files.new_key(account, options.token_uri)
            credential_files.write_new(options.out, content)
        with db.write() as connection:
            not_after_us = accounts.add_key(connection, account, content["private_key_id"], public_jwk, options.days)
    print(f"key      {content['private_key_id']}\naccount  {account.member}\nends     {opening.day(not_after_us)}")
    return 0


def _list_keys(options: argparse.Namespace) -> int:
    from boxwright.access import accounts

    with opening.opened(options) as db, db.read() as connection:
        account = accounts.find(connection, options.account)
        for row in accounts.keys_of(connection, account):
            used = f"last used {opening.day(row.last_used_us)}"
            print(f"{row.kid}  {row.public_jwk['kty']}  ends {opening.day(row.not_after_us)}  {used}{_state(row)}")
        for row in accounts.api_keys_of(connection, account):
            what = "all permissions" if row.permissions is None else ", ".join(row.permissions)
            print(f"{row.id}  API key …{row.hint}  ends {opening.day(row.not_after_us)}  {what}{_state(row)}")
    return 0


def _state(row: Any) -> str:
    return "" if row.disabled_us is None else "  disabled"


def _api_key(options: argparse.Namespace) -> int:
    from boxwright.access import accounts

    with opening.opened(options) as db, db.write() as connection:
        account = accounts.find(connection, options.account)
        _, text = accounts.add_api_key(connection, account, options.permission, options.days)
    print(text)
    return 0


def _token(options: argparse.Namespace) -> int:
    from boxwright.access import accounts, token_store

    life_s = opening.read_settings(options).server.token_life_s
    with opening.opened(options) as db, db.write() as connection:
        account = accounts.find(connection, options.account)
        if options.revoke_all:
            count = token_store.revoke_all(connection, account.member)
            print(f"{count} token{'' if count == 1 else 's'} of {account.member} ended")
            return 0
        if account.is_disabled:
            raise errors.failed_precondition(f"{account.member} is disabled, so no token of it would be taken.")
        holder = token_store.TokenHolder(account.member, "tokens/command")
        print(token_store.issue(connection, token_store.ACCESS, holder, life_s, round(time.time() * 1e6)))
    return 0


def _user_file(options: argparse.Namespace) -> int:
    """Writes a file of type external_account_authorized_user, which clients read and whose address they heed."""
    from boxwright.access import accounts, token_store

    with opening.opened(options) as db, db.write() as connection:
        account = accounts.find(connection, options.account)
        holder = token_store.TokenHolder(account.member, "tokens/refresh")
        life_s, now_us = token_store.REFRESH_LIFE_S, round(time.time() * 1e6)
        content = {
            "type": "external_account_authorized_user",
            "audience": "//boxwright/accounts",
            "refresh_token": token_store.issue(connection, token_store.REFRESH, holder, life_s, now_us),
            "token_url": options.token_url,
            "token_info_url": options.token_url.removesuffix("/token") + "/introspect",
            "revoke_url": options.token_url.removesuffix("/token") + "/revoke",
            "client_id": "boxwright",
            "client_secret": "boxwright",
            "quota_project_id": account.project,
        }
        credential_files.write_new(options.out, content)
    print(f"account  {account.member}\nends     {opening.day(now_us + life_s * 1_000_000)}")
    return 0


def _other(options: argparse.Namespace) -> int:
    from boxwright.access import accounts

    url = credential_files.checked_url(options.url)
    with opening.opened(options) as db, db.read() as connection:
        account = accounts.find(connection, options.account)
    credential_files.write_new(options.out, credential_files.impersonating(options.source, url, account.email))
    print(f"file     {options.out}")
    return 0
