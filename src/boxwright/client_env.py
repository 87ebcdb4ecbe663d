"""``boxwright client-env``: what unmodified client code needs to find and to trust this service.

Into one folder, keeping what is there already: a private certificate authority, a certificate for the service, and a
service account for Google's client libraries, which sign their own tokens with it and ask nobody else. Printed: shell
lines that set the environment of such code, fit for ``eval``. A folder for another account has no keys of the service: only
the account, and the certificate of the authority that is there already.
"""

from __future__ import annotations

import argparse
import datetime
import os
import pathlib
import shlex
from typing import Any

from boxwright import client_files, errors

FOLDER = pathlib.Path("boxwright-client")


def add_command(commands: Any) -> None:
    """Adds the command to the command line's sub-parsers."""
    text = "Write certificates and a service account for client code, and print the environment it needs."
    parser: argparse.ArgumentParser = commands.add_parser(
        "client-env", help="let unmodified client code reach the service", description=text
    )
    add_arguments(parser)
    parser.add_argument(
        "--account", metavar="NAME", help="an account of the service, which gets a key; for --access required"
    )
    parser.add_argument(
        "--ca",
        type=pathlib.Path,
        metavar="FILE",
        help="with --account: the certificate of the service's authority, for a folder that is handed over to the account's "
        f"user (default: {FOLDER / 'ca.pem'} if --out is another folder)",
    )
    parser.add_argument("--data-dir", type=pathlib.Path, metavar="DIR", help="the service's, where the account is")
    parser.add_argument("--config", type=pathlib.Path, metavar="FILE", help="the service's settings, TOML")
    parser.set_defaults(run=run)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what says where client code finds the service, and where its files are written."""
    parser.add_argument("--out", type=pathlib.Path, metavar="DIR", default=FOLDER, help=f"folder (default {FOLDER})")
    parser.add_argument("--port", type=int, default=8470, help="REST port of the service (default 8470)")
    parser.add_argument("--grpc-port", type=int, default=8471, help="gRPC port of the service (default 8471)")
    parser.add_argument(
        "--host", action="append", default=[], metavar="NAME", help="one more name or address in the certificate"
    )
    parser.add_argument(
        "--universe",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="address the service as a universe domain of its own (default); off for Node, which refuses that",
    )


def run(options: argparse.Namespace) -> int:
    """Runs the command; returns the exit status."""
    now, hosts = datetime.datetime.now(datetime.UTC), [*client_files.HOSTS, *options.host]
    if options.account is None:
        if options.ca is not None:
            raise errors.bad_request("--ca is for the files of an account; name it with --account.")
        kit, authority = client_files.prepare(options.out, hosts, options.grpc_port, now), None
    else:
        from boxwright import places, settings
        from boxwright.access import audit

        chosen = settings.read(os.environ, options.config, data_dir=options.data_dir)
        made = {"account": options.account, "out": options.out}
        with (
            places.opened_database(chosen) as db,
            audit.recorded_change(
                chosen.storage.data_dir / "audit", db, "boxwright.accounts.CreateKey", options.account, made
            ),
        ):
            keys = client_files.AccountKeys(db, options.account, options.port)
            keys.check()
            authority = _authority_elsewhere(options)
            if authority is None:
                kit = client_files.prepare(options.out, hosts, options.grpc_port, now, keys)
            else:
                kit = client_files.prepare_account(options.out, authority, options.grpc_port, keys)
    print(exports(kit, options, is_required=options.account is not None, is_handed_over=authority is not None))
    return 0


def _authority_elsewhere(options: argparse.Namespace) -> pathlib.Path | None:
    """The certificate of the service's authority if the folder is to have no keys of the service; None if it may."""
    if options.ca is not None:
        return pathlib.Path(options.ca)
    usual = client_files.ClientFiles(FOLDER.absolute())
    own = client_files.ClientFiles(options.out.absolute())
    return None if own == usual or own.authority_key.exists() or not usual.authority.exists() else usual.authority


def exports(
    kit: client_files.ClientFiles,
    options: argparse.Namespace,
    *,
    is_required: bool = False,
    is_handed_over: bool = False,
) -> str:
    """The shell lines: variables to export, and as comments what else to know.

    Args:
        options: what `add_arguments` has added.
        is_required: whether the service is to ask for accounts.
        is_handed_over: whether the folder is for a user who does not run the service.
    """
    port, grpc_port, with_universe = options.port, options.grpc_port, options.universe
    serve = [
        "boxwright", "serve", "--port", str(port), "--grpc-port", str(grpc_port),
        "--tls-cert", str(kit.server), "--tls-key", str(kit.server_key),
        *(("--access", "required") if is_required else ()),
        *(("--data-dir", str(options.data_dir.absolute())) if is_required and options.data_dir else ()),
    ]  # fmt: skip
    variables = {
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(kit.authority),
        "REQUESTS_CA_BUNDLE": str(kit.authority),
        "NODE_EXTRA_CA_CERTS": str(kit.authority),
        "GOOGLE_APPLICATION_CREDENTIALS": str(kit.account(with_universe=with_universe)),
        "BOXWRIGHT_URL": f"https://localhost:{port}",
        "BOXWRIGHT_CA": str(kit.authority),
    }
    head = ["# Start the service with:", f"#   {shlex.join(serve)}"]
    if is_handed_over:
        head = [
            f"# Hand over account.json (for Node account-no-universe.json) and ca.pem of {kit.folder}, over a channel that",
            "# nobody else reads. The user sets this environment, with the places where the two files are then:",
        ]
    if with_universe:
        universe = f"export GOOGLE_CLOUD_UNIVERSE_DOMAIN=localhost:{grpc_port}"
    else:
        universe = "unset GOOGLE_CLOUD_UNIVERSE_DOMAIN"
    lines = [
        *head,
        "# Client code needs this environment; it applies to every Google client of that process, storage included:",
        universe,
        *(f"export {name}={shlex.quote(value)}" for name, value in variables.items()),
    ]
    return "\n".join(lines)
