"""What several commands ask for: addresses in stores, ``--wait``, a yes before something is deleted."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from typing import Any

from boxwright import errors
from boxwright.commands import finding, help_text, output, waiting
from boxwright.commands.connection import RestConnection, add_arguments

Run = Callable[[argparse.Namespace], int]
EXIT_STATUSES = """\
Exit status with --wait: 0 everything succeeded; 1 failed or cancelled; 2 the service could not be asked;
3 succeeded, but some images or rows failed; 130 Ctrl-C, which leaves the operation alone."""


def add_group(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str, description: str, epilog: str
) -> argparse._SubParsersAction[argparse.ArgumentParser]:
    """Adds a noun, such as ``datasets``; its verbs are to be added to what is returned."""
    parser = commands.add_parser(
        name,
        help=text,
        description=description,
        epilog=epilog,
        formatter_class=help_text.Formatter,
    )
    return parser.add_subparsers(dest="action", metavar="ACTION", required=True)


def add_action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, run: Run, text: str, example: str
) -> argparse.ArgumentParser:
    """Adds a verb to a noun, without its arguments; `add_arguments` comes after those."""
    parser = actions.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=f"Example:\n\n  {example}\n"
    )
    parser.set_defaults(run=run)
    return parser


def add_wait(parser: argparse.ArgumentParser) -> None:
    """Adds ``--wait`` and says what the exit status means then."""
    parser.add_argument("--wait", action="store_true", help="show the progress, and end when the operation ends")
    parser.epilog = f"{parser.epilog or ''}\n{EXIT_STATUSES}\n"


def finish(*parsers: argparse.ArgumentParser) -> None:
    """Adds what every command of a client takes, behind a command's own arguments."""
    for parser in parsers:
        add_arguments(parser)


def address(text: str, what: str) -> str:
    """An address as the service sees it.

    Raises:
        ApiError: INVALID_ARGUMENT if it is a path of this machine.
    """
    if "://" not in text:
        raise errors.bad_request(
            f"{what}: '{text}' is a path of this machine. The service reads and writes by addresses: gs://BUCKET/PATH. "
            "Where it runs with `boxwright serve --buckets DIR`, copy or link files to DIR/BUCKET/ and name them "
            "gs://BUCKET/FILE."
        )
    return text


def addresses(texts: Iterable[str], what: str) -> list[str]:
    """Several of them."""
    return [address(text, what) for text in texts]


def delete(options: argparse.Namespace, collection: str) -> int:
    """Deletes a dataset or a model, after a yes; the exit status."""
    connection = RestConnection(options)
    found = finding.find(connection, options.name, collection)
    kind = finding.KINDS[collection]
    shown = f"{kind} {found.get('displayName', '')} ({finding.last_segment(found['name'])})"
    if not options.yes and not _agrees(f"Delete the {shown}? It cannot be undone. [y/N] "):
        output.say("Nothing was deleted.")
        return 1
    operation = connection.call("DELETE", found["name"])
    if options.as_json or "error" in operation:
        return waiting.started(connection, operation, wait=False, as_json=options.as_json)
    print(f"Deleted the {shown}.")
    return 0


def _agrees(question: str) -> bool:
    if not sys.stdin.isatty():
        raise errors.bad_request("Nobody can be asked here; --yes deletes without a question.")
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def labels(pairs: Iterable[str]) -> dict[str, str]:
    """``KEY=VALUE`` texts as a dictionary."""
    found: dict[str, str] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            raise errors.bad_request(f"--label: '{pair}' is not KEY=VALUE.")
        found[key] = value
    return found


def nothing(found: list[Any], connection: RestConnection, collection: str) -> None:
    """Says that a list is empty, and where."""
    if not found:
        output.say(f"There are no {collection} in {connection.parent} at {connection.url}.")
