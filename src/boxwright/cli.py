"""The command line: ``boxwright serve`` and friends."""

from __future__ import annotations

import argparse
import errno
import io
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from google.rpc import error_details_pb2

import boxwright
from boxwright import client_env, errors, processes, secret_files
from boxwright.administration import (
    access_command,
    accounts_command,
    audit_command,
    buckets_command,
    events_command,
    iam_command,
)
from boxwright.commands import batch, datasets, help_text, login, models, operations, predict, results
from boxwright.convert import arguments as convert_arguments
from boxwright.weights import arguments as weights_arguments

if TYPE_CHECKING:
    from boxwright import settings


GROUPS = {  # every command, as the help shows them
    "the service": ("serve", "worker", "migrate", "health", "doctor", "client-env"),
    "who may call, in the service's database": ("access", "accounts", "iam", "buckets", "audit", "events"),
    "work, by the REST API of a running service": ("login", "datasets", "models", "batch", "predict", "operations"),
    "files": ("convert", "results", "verify", "weights"),
}
INTERRUPTED, PIPE_CLOSED = 130, 141  # 128 and the signal's number, as shells have it


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status (2 for a mistake of the caller)."""
    processes.end_quickly()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a console may lack characters that names and messages have
            stream.reconfigure(errors="backslashreplace")
    try:
        status = _run(arguments)
        if sys.stdout is not None:  # None where the shell has closed it
            sys.stdout.flush()
    except BrokenPipeError:  # who reads the output has seen enough; what is left of it goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is not None:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print("boxwright: The output cannot be written: no space is left there.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("boxwright: stopped.", file=sys.stderr)
        return INTERRUPTED
    return status


def _run(arguments: Sequence[str] | None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 2
    try:
        secret_files.read_into(os.environ)
        status: int = options.run(options)
    except errors.ApiError as error:
        for line in _plainly(error):
            print(f"boxwright: {line}", file=sys.stderr)
        return 2
    return status


def _plainly(error: errors.ApiError) -> list[str]:
    """An error's sentences; one for each field if it is about fields."""
    fields = [
        f"{violation.field}: {violation.description}"
        for detail in error.details
        if isinstance(detail, error_details_pb2.BadRequest)
        for violation in detail.field_violations
    ]
    return fields or [error.message.strip()]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="boxwright", description=boxwright.__doc__, formatter_class=help_text.Formatter
    )
    parser.add_argument("--version", action="version", version=f"boxwright {boxwright.__version__}")
    # The groups below list the commands; argparse would list them all in one.
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", help=argparse.SUPPRESS)
    _add_serve_command(commands)
    client_env.add_command(commands)
    verify = commands.add_parser(
        "verify",
        help="prove that a batch prediction's folder is complete",
        description="Prove by its manifest that an output folder accounts for every row and holds what the job wrote and "
        "nothing else. Exit status 0: it is complete; 1: it is not as its manifest says; 2: it cannot be examined; 3: it is "
        "as its manifest says, and the job was cancelled; 4: the same, and the job failed because too many images did.",
    )
    verify.add_argument("folder", help="gs://BUCKET/…/prediction-…, or a path of this machine")
    _add_config(verify)
    verify.add_argument(
        "--buckets", dest="buckets_dir", type=pathlib.Path, metavar="DIR", help="as for serve (default buckets)"
    )
    verify.add_argument("--project", default="", help="project whose credential profile reaches the folder")
    verify.set_defaults(run=_verify)
    _add_database_commands(commands)
    convert = commands.add_parser(
        "convert",
        help="turn COCO, Pascal VOC, YOLO, labelling tools' files and the import CSV into each other",
        description="Turn labelled images from one format into another, and tell what could not be carried over; see "
        "docs/convert.md. Local files only. Nothing is written unless all of it is.",
    )
    convert_arguments.add_arguments(convert)
    convert.set_defaults(run=_convert)
    _add_weights_command(commands)
    _add_health_command(commands)
    _add_doctor_command(commands)
    for module in (
        access_command,
        accounts_command,
        iam_command,
        buckets_command,
        audit_command,
        events_command,
        login,
        datasets,
        models,
        batch,
        predict,
        operations,
        results,
    ):
        module.add_command(commands)
    parser.usage = "boxwright [-h] [--version] COMMAND ..."
    parser.epilog = _overview(commands)
    return parser


def _add_serve_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    serve = commands.add_parser("serve", help="run the service", description="Run the service until SIGTERM or Ctrl-C.")
    _add_config(serve)
    serve.add_argument("--data-dir", type=pathlib.Path, metavar="DIR", help="the service's own state")
    serve.add_argument(
        "--buckets", dest="buckets_dir", type=pathlib.Path, metavar="DIR", help="each sub-folder NAME is gs://NAME/"
    )
    serve.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    serve.add_argument("--port", type=int, help="REST port (default 8470, 0 picks a free one)")
    serve.add_argument("--grpc-port", type=int, help="gRPC port (default 8471, 0 picks a free one)")
    serve.add_argument("--access", choices=("open", "required"), help="who may call: everybody, or accounts only")
    serve.add_argument("--tls-cert", type=pathlib.Path, metavar="FILE", help="certificate chain, PEM")
    serve.add_argument("--tls-key", type=pathlib.Path, metavar="FILE", help="private key, PEM")
    serve.add_argument(
        "--train-minutes-max", type=float, metavar="N", help="cap the wall time of every training at N minutes"
    )
    serve.add_argument(
        "--no-worker", dest="worker", action="store_const", const=False, help="leave operations to boxwright worker"
    )
    serve.set_defaults(run=_serve)
    serve.epilog = (
        "Every setting can be an environment variable BOXWRIGHT_NAME or a line of a TOML file; flags win over the "
        "environment, and the environment over the file. docs/configuration.md has the list."
    )


def _overview(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> str:
    """The commands in their groups, a line each."""
    texts = {action.dest: action.help for action in commands._choices_actions}
    lines = []
    for group, names in GROUPS.items():
        lines += [f"{group}:", *(f"  {name:12} {texts[name]}" for name in names), ""]
    return "\n".join([*lines, "boxwright COMMAND --help says more about one. docs/commands.md has examples."])


def _add_weights_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    weights = commands.add_parser(
        "weights",
        help="install what trainings on photographs start from",
        description="Install weights that trainings may start from; see docs/training.md. They are no part of Boxwright, "
        "and nothing else downloads them.",
    )
    weights_arguments.add_arguments(weights, _add_config, _weights)


def _add_health_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    health = commands.add_parser(
        "health",
        help="ask a running service or worker whether it is alive",
        description="Ask the process that runs with these settings whether it is alive. Exit status 0: it is; 1: it is not, "
        "or it does not answer. A worker answers where health_port is set.",
    )
    _add_config(health)
    health.add_argument("--ready", dest="is_ready", action="store_true", help="ask whether it can be given work")
    health.add_argument("--url", metavar="URL", help="root of the process that is asked (default: by the settings)")
    health.set_defaults(run=_health)


def _add_doctor_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="look at this machine, the settings and the stores",
        description="Say in plain words what Boxwright finds here. Exit status 0 if all is well, 1 if something is to be "
        "mended. Changes nothing, unless --tune asks for a measurement.",
    )
    _add_config(doctor)
    doctor.add_argument("--data-dir", type=pathlib.Path, metavar="DIR", help="as for serve")
    doctor.add_argument("--buckets", dest="buckets_dir", type=pathlib.Path, metavar="DIR", help="as for serve")
    doctor.add_argument("--host", help="as for serve")
    doctor.add_argument("--port", type=int, help="as for serve")
    doctor.add_argument("--grpc-port", type=int, help="as for serve")
    doctor.add_argument("--tls-cert", type=pathlib.Path, metavar="FILE", help="as for serve")
    doctor.add_argument("--tls-key", type=pathlib.Path, metavar="FILE", help="as for serve")
    doctor.add_argument(
        "--bucket", action="append", default=[], metavar="URI", help="also ask for gs://NAME, s3://NAME, …"
    )
    doctor.add_argument("--json", dest="as_json", action="store_true", help="print JSON instead of lines")
    doctor.add_argument(
        "--tune", action="store_true", help="measure now how many processes suit the newest models, and keep it"
    )
    doctor.add_argument(
        "--cluster", action="store_true", help="also ask the nodes of the Ray cluster what they are and what they reach"
    )
    doctor.set_defaults(run=_doctor)


def _add_database_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    worker = commands.add_parser(
        "worker",
        help="run background operations only",
        description="Claim and run operations until SIGTERM or Ctrl-C, then hand back what is unfinished. Several may share "
        "one database, one data directory and the same buckets; see docs/operations.md.",
    )
    migrate = commands.add_parser(
        "migrate",
        help="bring the database's schema to this version's",
        description="Bring the database's schema to what this version needs. Stop every process that uses the database, and "
        "make a backup, first; or expand, replace the processes one by one, and contract; see docs/backup.md.",
    )
    steps = migrate.add_mutually_exclusive_group()
    for step, text in (
        ("check", "change nothing; exit status 0: this version can work, 1: a step is to be run, which is said"),
        ("expand", "add what this version needs; the processes of the former version go on"),
        ("contract", "take away what only the former version needed, once none of its processes runs"),
    ):
        steps.add_argument(f"--{step}", dest="step", action="store_const", const=step, help=text)
    for command, run in ((worker, _worker), (migrate, _migrate)):
        _add_config(command)
        command.add_argument("--data-dir", type=pathlib.Path, metavar="DIR", help="the service's own state")
        command.set_defaults(run=run)
    worker.add_argument("--buckets", dest="buckets_dir", type=pathlib.Path, metavar="DIR", help="as for serve")


def _add_config(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--config", type=pathlib.Path, metavar="FILE", help="settings, TOML (default: what BOXWRIGHT_CONFIG names)"
    )


def _verify(options: argparse.Namespace) -> int:
    from boxwright import settings, verify  # not needed by every command

    chosen = settings.read(os.environ, options.config, buckets_dir=options.buckets_dir)
    return verify.run(options.folder, chosen.storage, options.project)


def _convert(options: argparse.Namespace) -> int:
    from boxwright.convert import command  # its formats' parsers are not needed by every command

    return command.run(options)


def _weights(options: argparse.Namespace) -> int:
    from boxwright import settings
    from boxwright.weights import command  # numpy and more, which other commands need not load

    chosen = settings.read(os.environ, options.config)
    return command.run(options, chosen.training.weights_dir)


def _doctor(options: argparse.Namespace) -> int:
    from boxwright import doctor, settings  # looks into every room

    flags = ("data_dir", "buckets_dir", "host", "port", "grpc_port", "tls_cert", "tls_key")
    chosen = settings.read(os.environ, options.config, **{name: getattr(options, name) for name in flags})
    return doctor.run(
        chosen, buckets=options.bucket, as_json=options.as_json, tune=options.tune, cluster=options.cluster
    )


def _health(options: argparse.Namespace) -> int:
    from boxwright import health_command, settings

    chosen = settings.read(os.environ, options.config)
    return health_command.run(chosen, options.url, is_ready=options.is_ready)


def _serve(options: argparse.Namespace) -> int:
    with processes.importing():
        from boxwright import server  # heavy, and not needed by every command

    server.serve(_chosen(options))
    return 0


def _worker(options: argparse.Namespace) -> int:
    with processes.importing():
        from boxwright import server

    server.serve_worker(_chosen(options))
    return 0


def _migrate(options: argparse.Namespace) -> int:
    from boxwright import places
    from boxwright.metadata import migrations

    step = vars(options).pop("step")
    with places.opened_database(_chosen(options), prepare=False) as db:
        if step == "check":
            with db.named(), db.read() as connection:
                found = migrations.revision_of(connection)
            is_usable, words = migrations.check(db.label, found)
            print(f"{db.label}: schema {found or 'none'}: {words}")
            return 0 if is_usable else 1
        before, now = db.migrate(migrations.Step(step or "both"))
    print(f"{db.label}: schema {before or 'none'} → {now}{' (nothing to do)' if before == now else ''}")
    return 0


def _chosen(options: argparse.Namespace) -> settings.Settings:
    """The settings that flags, environment and configuration file give; also starts the log."""
    from boxwright import logs, settings

    flags = {name: value for name, value in vars(options).items() if name not in ("command", "run", "config")}
    chosen = settings.read(os.environ, options.config, **flags)
    logs.start(chosen.server.log_level, chosen.server.log_format)
    return chosen


if __name__ == "__main__":
    sys.exit(main())
