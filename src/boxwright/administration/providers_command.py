"""``boxwright access providers``: identity providers whose tokens are exchanged, and credentials files for their clients."""

from __future__ import annotations

import argparse
import json
import pathlib
from typing import Any

from boxwright import errors
from boxwright.administration import credential_files, opening

JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"
EXECUTABLE_MS = 30_000


def add_actions(actions: Any) -> None:
    """Adds the actions to those of ``boxwright access``."""
    parser = actions.add_parser(
        "providers",
        help="identity providers whose tokens are exchanged for access tokens",
        description="Administer identity providers (OpenID Connect). Changes count at the next call.",
    )
    kinds = parser.add_subparsers(dest="kind", metavar="ACTION", required=True)
    _add_create(kinds)
    listing = kinds.add_parser("list", help="list all providers", description="List all providers.")
    opening.add_arguments(listing)
    listing.set_defaults(run=_list)
    for name, run, text in (
        ("disable", _disable, "take nothing that a provider vouches for, from now on"),
        ("enable", _enable, "take it again"),
        ("delete", _delete, "forget a provider, with what was granted to its subjects and groups"),
    ):
        action = kinds.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        action.add_argument("name", help="of the provider")
        opening.add_arguments(action)
        action.set_defaults(run=run)
        opening.changes(action, f"access.{name.capitalize()}Provider")
    _add_credentials(kinds)


def _add_create(kinds: Any) -> None:
    create = kinds.add_parser(
        "create",
        help="take tokens of an issuer",
        description="Take tokens of an issuer. Without --jwks and --jwks-uri, the issuer is asked where its keys are.",
    )
    create.add_argument("name", help="such as office: small letters, digits, hyphens")
    create.add_argument("--issuer", required=True, metavar="URL", help="who issues the tokens, exactly as they say it")
    create.add_argument("--audience", required=True, metavar="TEXT", help="for whom: the client id at the issuer")
    create.add_argument("--jwks", type=pathlib.Path, metavar="FILE", help="its public keys (JSON Web Key Set)")
    create.add_argument("--jwks-uri", metavar="URL", help="where its public keys are")
    create.add_argument(
        "--email-domain",
        action="append",
        default=[],
        metavar="DOMAIN",
        help="people with a verified address here are user:ADDRESS; may be repeated",
    )
    create.add_argument(
        "--require",
        action="append",
        default=[],
        metavar="CLAIM=TEXT",
        help="take only tokens that say this; may be repeated",
    )
    create.add_argument("--subject-claim", default="sub", metavar="CLAIM", help="who it is (default sub)")
    create.add_argument(
        "--groups-claim", default="", metavar="CLAIM", help="its groups; a name, or a JSON pointer (/a/b)"
    )
    create.add_argument(
        "--sign-in-hours",
        type=float,
        default=12.0,
        metavar="N",
        help="for which `boxwright login` lasts (default 12); 0: it is not for people",
    )
    opening.add_arguments(create)
    create.set_defaults(run=_create)
    opening.changes(create, "access.CreateProvider")


def _add_credentials(kinds: Any) -> None:
    file = kinds.add_parser(
        "credentials",
        help="write a credentials file for Google's client libraries",
        description="Write a file of type external_account, which holds no secret: where a token of the provider is found, "
        "and where it is exchanged.",
    )
    file.add_argument("name", help="of the provider")
    file.add_argument("--out", type=pathlib.Path, required=True, metavar="FILE", help="the file to write")
    source = file.add_mutually_exclusive_group(required=True)
    source.add_argument("--token-file", metavar="FILE", help="a file that always holds a valid token of the provider")
    source.add_argument("--executable", metavar="COMMAND", help="a command that prints one, as Google's libraries ask")
    file.add_argument("--token-field", metavar="NAME", help="the token file is JSON, and this field is the token")
    file.add_argument("--account", metavar="NAME", help="speak for this account, as roles allow")
    file.add_argument("--url", default=credential_files.URL, help=credential_files.URL_HELP)
    opening.add_arguments(file)
    file.set_defaults(run=_credentials)


def _create(options: argparse.Namespace) -> int:
    from boxwright.access import key_sets, oidc_tokens, providers

    if options.jwks is not None and options.jwks_uri is not None:
        raise errors.bad_request("Name either a file with keys (--jwks) or their address (--jwks-uri).")
    jwks_uri, jwks = options.jwks_uri, None
    if options.jwks is not None:
        jwks = _key_set(options.jwks)
    else:
        if jwks_uri is None:
            jwks_uri = key_sets.discover(options.issuer)
        key_sets.check_address(jwks_uri, "--jwks-uri")
        if not oidc_tokens.usable_keys(key_sets.fetch(jwks_uri)):
            raise errors.failed_precondition(f"{jwks_uri} has no key that is taken.")
    provider = oidc_tokens.ProviderRecord(
        options.name,
        options.issuer,
        options.audience,
        jwks_uri,
        jwks,
        tuple(domain.lower() for domain in options.email_domain),
        options.subject_claim,
        options.groups_claim,
        _required(options.require),
        round(options.sign_in_hours * 3600),
    )
    with opening.opened(options) as db, db.write() as connection:
        providers.add(connection, provider)
    print(
        f"provider  {provider.name}\naudience  {oidc_tokens.PROVIDERS}{provider.name}\nkeys      {jwks_uri or options.jwks}"
    )
    if not provider.required_claims:
        print(
            f"note      everybody with a token for {provider.audience} from this issuer counts as allAuthenticatedUsers; "
            "--require narrows that"
        )
    return 0


def _required(texts: list[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name or name in found:
            raise errors.invalid_argument(
                "--require", f"'{text[:100]}' is not of the form CLAIM=TEXT, or is there twice."
            )
        found[name] = value
    return found


def _key_set(path: pathlib.Path) -> dict[str, Any]:
    """The public keys of a file. A private key is refused: with it, a reader of the file could sign for anybody."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        keys = found["keys"]
        secret = [key for key in keys if "d" in key or "k" in key]
    except OSError as error:
        raise errors.failed_precondition(f"The file {path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise errors.bad_request(f"The file {path} holds no JSON Web Key Set.") from error
    if secret:
        raise errors.bad_request(f"The file {path} holds a private key; give the public keys alone.")
    return {"keys": keys}


def _list(options: argparse.Namespace) -> int:
    from boxwright.access import providers

    with opening.opened(options) as db, db.read() as connection:
        for one in providers.listed(connection):
            state = "disabled" if one.is_disabled else "enabled"
            people = f"  people of {', '.join(one.email_domains)}" if one.email_domains else ""
            needs = "".join(f"  {name}={value}" for name, value in one.required_claims.items())
            print(f"{one.name}  {state}  {one.issuer}  for {one.audience}{people}{needs}")
    return 0


def _disable(options: argparse.Namespace) -> int:
    return _set_disabled(options, True)


def _enable(options: argparse.Namespace) -> int:
    return _set_disabled(options, False)


def _set_disabled(options: argparse.Namespace, is_disabled: bool) -> int:
    from boxwright.access import providers

    with opening.opened(options) as db, db.write() as connection:
        providers.set_disabled(connection, options.name, is_disabled)
    print(options.name)
    return 0


def _delete(options: argparse.Namespace) -> int:
    from boxwright.access import providers

    with opening.opened(options) as db, db.write() as connection:
        providers.delete(connection, options.name)
    print(options.name)
    return 0


def _credentials(options: argparse.Namespace) -> int:
    from boxwright.access import accounts, oidc_tokens, providers

    url = credential_files.checked_url(options.url)
    with opening.opened(options) as db, db.read() as connection:
        provider = providers.find(connection, options.name)
        account = accounts.find(connection, options.account) if options.account else None
    content: dict[str, Any] = {
        "type": "external_account",
        "audience": f"{oidc_tokens.PROVIDERS}{provider.name}",
        "subject_token_type": JWT_TYPE,
        "token_url": f"{url}/token",
        "token_info_url": f"{url}/introspect",
        "credential_source": _source(options),
    }
    if account is not None:
        content["service_account_impersonation_url"] = credential_files.impersonation_url(url, account.email)
    credential_files.write_new(options.out, content)
    print(f"file      {options.out}")
    return 0


def _source(options: argparse.Namespace) -> dict[str, Any]:
    if options.executable is not None:
        if options.token_field is not None:
            raise errors.bad_request("--token-field is for --token-file.")
        return {"executable": {"command": options.executable, "timeout_millis": EXECUTABLE_MS}}
    source: dict[str, Any] = {"file": options.token_file}
    if options.token_field is not None:
        source["format"] = {"type": "json", "subject_token_field_name": options.token_field}
    return source
