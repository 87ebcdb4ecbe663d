"""Where the service keeps its own files, and that no caller can name them.

check_grant(settings, grant)  refuses to grant a folder in which the service's own files are
check(settings)      refuses settings under which a caller could read or replace the service's own files
prepare(storage)     creates the data directory, for its owner alone
open_database(…)     the metadata database that the settings name; opened_database(…) for a command
"""

from __future__ import annotations

import contextlib
import logging
import pathlib
from collections.abc import Iterator

import sqlalchemy as sa

from boxwright import errors, objects, private
from boxwright.metadata import database
from boxwright.settings import Settings, StorageSettings
from boxwright.telemetry.metrics import Metrics

STATE_FOLDERS = ("state", "models", "work", "audit", "pictures")  # in data_dir
STATE_FILES = ("metadata.sqlite*", "tuning.json*", "notify.secret*")  # patterns; likewise
CLIENT_FILES = ("ca-key.pem", "account.json")  # what `boxwright client-env` writes beside the server's key

log = logging.getLogger(__name__)


def check(settings: Settings) -> None:
    """Looks at the folders that callers can name, and creates nothing.

    Raises:
        ApiError: FAILED_PRECONDITION: see `check_overlaps`; or the buckets folder is missing.
    """
    check_overlaps(settings)
    if settings.storage.serves_buckets_dir:
        _check_buckets(settings.storage.buckets_dir)


def check_overlaps(settings: Settings) -> None:
    """Compares the service's own folders with those that callers can name.

    Raises:
        ApiError: FAILED_PRECONDITION: the service's own files lie where callers read and write.
    """
    for name, root in _nameable(settings):
        for what, path in _own(settings):
            if _is_inside(path, root):
                raise errors.failed_precondition(
                    f"{what} is {path}, inside {root}, which callers can read and write by {name}. "
                    "Choose folders that do not contain each other."
                )
        data_dir = settings.storage.data_dir.resolve()
        if root == data_dir or any(_is_inside(root, data_dir / folder) for folder in STATE_FOLDERS):
            raise errors.failed_precondition(
                f"Callers can read and write {root} by {name}, and it belongs to the service's own data_dir, "
                f"{settings.storage.data_dir}. Choose another folder."
            )


def check_grant(settings: Settings, grant: objects.Grant) -> None:
    """Looks whether a folder that is to be granted has to do with the service's own files.

    Raises:
        ApiError: FAILED_PRECONDITION: they are in it, or it is among them.
    """
    folder = str(grant)
    state = (settings.storage.state_uri or "").rstrip("/") + "/"
    if state != "/" and (state.startswith(folder) or folder.startswith(state)):
        raise errors.failed_precondition(
            f"{grant} cannot be granted: the service's own state is in {state} (state_uri). Grant another folder."
        )
    path = _folder_of(settings, grant)
    if path is None:
        return
    data_dir = settings.storage.data_dir.resolve()
    around = [(what, own) for what, own in _own(settings) if _is_inside(own, path)]
    around += [("data_dir", data_dir) for folder in STATE_FOLDERS if _is_inside(path, data_dir / folder)]
    for what, own in around[:1]:
        raise errors.failed_precondition(f"{grant} cannot be granted: {what} is {own}. Grant another folder.")


def prepare(storage: StorageSettings) -> None:
    """Creates the data directory, or takes one that others could read away from them; creates the default buckets folder.

    Raises:
        ApiError: FAILED_PRECONDITION: a folder cannot be created, or the data directory belongs to somebody else.
    """
    folder = storage.data_dir
    try:
        for folder in (storage.data_dir, *(storage.data_dir / name for name in STATE_FOLDERS)):
            private.make_folder(folder)
        if storage.serves_buckets_dir and not storage.buckets_dir.exists():
            folder = storage.buckets_dir
            folder.mkdir(parents=True)
        folder = storage.data_dir
        if private.restrict(folder, (*STATE_FOLDERS, *STATE_FILES)):
            log.info("event=data_dir_restricted path=%s", folder)
    except OSError as error:
        raise errors.failed_precondition(
            f"The folder {folder} cannot be created, or made readable for its owner alone: {error.strerror}."
        ) from error


def notify_secret(settings: Settings) -> pathlib.Path:
    """The file of the secret behind the signatures of events."""
    return settings.notify.secret_file or settings.storage.data_dir / "notify.secret"


def open_database(
    settings: Settings, metrics: Metrics | None = None, *, prepare: bool = True, connections: int | None = None
) -> database.Database:
    """Opens the metadata database that the settings name.

    Args:
        settings: those of this process.
        metrics: count its transactions.
        prepare: as for `Database`.
        connections: to a PostgreSQL server at most, where no setting says how many.
    """
    return database.Database(
        settings.database.url or settings.storage.data_dir / "metadata.sqlite",
        connections=settings.database.connections or connections or database.DEFAULT_CONNECTIONS,
        ca_file=settings.database.ca,
        prepare=prepare,
        metrics=metrics,
    )


@contextlib.contextmanager
def opened_database(settings: Settings, *, prepare: bool = True) -> Iterator[database.Database]:
    """Opens the database of a service that is there, for a command.

    Raises:
        ApiError: FAILED_PRECONDITION if there is no such data directory, or the database's schema is of another version.
    """
    data_dir = settings.storage.data_dir
    if settings.database.url is None and not data_dir.is_dir():
        raise errors.failed_precondition(f"There is no folder {data_dir}; name the service's with --data-dir.")
    db = open_database(settings, prepare=prepare)
    try:
        yield db
    finally:
        db.close()


def _nameable(settings: Settings) -> Iterator[tuple[str, pathlib.Path]]:
    """The folders whose files callers can name: (how, folder)."""
    if settings.storage.serves_buckets_dir:
        yield "gs:// (buckets_dir)", settings.storage.buckets_dir.resolve()
    for root in settings.storage.file_roots:
        yield "file:// (file_roots)", pathlib.Path(root).resolve()


def _own(settings: Settings) -> Iterator[tuple[str, pathlib.Path]]:
    """The service's own files and folders: (what, path)."""
    yield "data_dir", settings.storage.data_dir.resolve()
    if settings.database.url is not None and settings.database.url.startswith("sqlite"):
        path = sa.make_url(settings.database.url).database
        if path:
            yield "The database", pathlib.Path(path).resolve()
    if settings.storage.credentials_dir is not None:
        yield "credentials_dir", settings.storage.credentials_dir.resolve()
    if settings.server.tls_key is not None:
        yield "tls_key", settings.server.tls_key.resolve()
        folder = settings.server.tls_key.parent.resolve()
        if any((folder / name).exists() for name in CLIENT_FILES):
            yield "The client folder", folder
    if settings.server.tls_client_ca is not None:  # who replaces it lets others in
        yield "tls_client_ca", settings.server.tls_client_ca.resolve()
    if settings.config_file is not None:
        yield "The configuration file", settings.config_file.resolve()


def _folder_of(settings: Settings, grant: objects.Grant) -> pathlib.Path | None:
    """The folder of this machine that a grant is about; None if it is in a cloud."""
    if grant.scheme == "file":
        return pathlib.Path(f"/{grant.prefix}").resolve()
    if grant.scheme == "gs" and settings.storage.serves_buckets_dir:
        return (settings.storage.buckets_dir / grant.bucket / grant.prefix).resolve()
    return None


def _check_buckets(folder: pathlib.Path) -> None:
    if folder.is_dir() or folder == StorageSettings.buckets_dir:
        return
    if folder.exists():
        raise errors.failed_precondition(f"The buckets folder {folder} is not a folder; name another with --buckets.")
    raise errors.failed_precondition(
        f"There is no buckets folder {folder}. Create it (mkdir -p {folder}), or name another with --buckets; each folder "
        "in it is a bucket."
    )


def _is_inside(path: pathlib.Path, root: pathlib.Path) -> bool:
    return path == root or root in path.parents


def connections(settings: Settings, needed: int) -> tuple[bool, str]:
    """Whether a service and a worker find room on the PostgreSQL server, and how many do, in words.

    Args:
        needed: by a worker, where no setting says how many.

    Raises:
        ApiError: the server does not answer, or the schema is of another version.
    """
    from boxwright.metadata import postgresql  # SQLite needs no driver

    with opened_database(settings, prepare=False) as db, db.read() as connection:
        limit, held = postgresql.room(connection)
    chosen = settings.database.connections
    serve = chosen or database.DEFAULT_CONNECTIONS
    worker = chosen or needed
    text = f"PostgreSQL gives {limit}, others hold {held} now; a serve holds up to {serve}, a worker up to {worker}"
    if serve + worker > limit:
        return False, f"{text}: raise max_connections, or lower database_connections"
    return True, f"{text}: room for a serve and {(limit - serve) // worker} such workers in all"
