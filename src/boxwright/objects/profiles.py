"""Credential profiles: a tenant's own cloud credentials, for folders of that tenant.

A profile is a file ``NAME.env`` in a folder that only the operator writes, lines ``NAME=VALUE``: credentials and endpoint as
in the environment of each cloud, `FOLDERS` for which they are used, and `PROJECTS` whose work alone may use them. Files are
read by each process that needs them; nothing of them is in jobs, messages or the database.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import pathlib
import stat
import threading
import time
from collections.abc import Callable, Collection, Mapping

from boxwright import errors
from boxwright.objects.grants import Grant
from boxwright.objects.uris import BadUri, ObjectUri

SUFFIX = ".env"
LOOK_INTERVAL_S = 1.0  # how soon a changed file counts
MAX_FILE_BYTES = 64 << 10
VARIABLES = {
    "s3": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL"),
    "az": (
        "AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_ENDPOINT",
    ),
    "gs": ("GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_BASE_URL"),
}  # fmt: skip
_NEEDED = {  # one of each of these groups
    "s3": (("AWS_ACCESS_KEY_ID",), ("AWS_SECRET_ACCESS_KEY",)),
    "az": (("AZURE_STORAGE_ACCOUNT_NAME",), ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN")),
    "gs": (("GOOGLE_SERVICE_ACCOUNT_KEY",),),
}
_FOLDERS, _PROJECTS = "FOLDERS", "PROJECTS"
_KNOWN = frozenset((_FOLDERS, _PROJECTS, *(name for names in VARIABLES.values() for name in names)))

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class CredentialProfile:
    """One tenant's credentials; `repr` shows none of them.

    Attributes:
        name: of the file, without its ending.
        folders: buckets and folders for which they are used.
        projects: whose work may use them; none: everybody's.
        variables: by their names in the environment of a cloud.
    """

    name: str
    folders: tuple[Grant, ...]
    projects: frozenset[str]
    variables: Mapping[str, str] = dataclasses.field(repr=False)

    def rank(self, uri: ObjectUri, project: str) -> tuple[int, bool] | None:
        """How well it fits to an object of a project's work; None: not at all."""
        if self.projects and project not in self.projects:
            return None
        lengths = [len(folder.prefix) for folder in self.folders if folder.contains(uri)]
        return (max(lengths), bool(self.projects)) if lengths else None


class _UnusableProfile(Exception):
    """What is wrong with a file, without anything of what is in it."""


class CredentialProfiles:
    """The profiles of a folder, read again when a file changes; for several threads.

    A file that cannot be used any more is logged, and what it said before still counts. One that is gone is gone.

    Args:
        folder: where the files are; an empty text: there are no profiles.
        clouds: schemes that callers reach over the network: a profile is for these only.
        state: the folder of the service's own state, for which no profile is used.
        clock: seconds that never go back.

    Raises:
        ApiError: FAILED_PRECONDITION: a file cannot be used.
    """

    def __init__(
        self,
        folder: str,
        clouds: Collection[str],
        state: ObjectUri,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = pathlib.Path(folder) if folder else None
        self._clouds = clouds
        self._state = Grant(state.scheme, state.bucket, state.folder.key)
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[int, ...]] = {}
        self._profiles: tuple[CredentialProfile, ...] = ()
        self._looked_s = clock()
        if self._folder is not None:
            self._seen = self._signatures()
            self._profiles = self._read(self._seen)

    @property
    def all(self) -> tuple[CredentialProfile, ...]:
        """The profiles as they are now."""
        if self._folder is not None and self._clock() - self._looked_s >= LOOK_INTERVAL_S:
            with self._lock:
                self._look()
        return self._profiles

    def find(self, uri: ObjectUri, project: str) -> CredentialProfile | None:
        """The profile for an object or folder in the work of a project; None: the service's own credentials are used.

        Of several, that with the longest folder counts, and of two with the same one that which names the project.
        """
        if self._folder is None:
            return None
        ranked = [(rank, profile) for profile in self.all if (rank := profile.rank(uri, project)) is not None]
        return max(ranked, key=lambda one: one[0])[1] if ranked else None

    def _look(self) -> None:
        if self._clock() - self._looked_s < LOOK_INTERVAL_S:
            return  # another thread has just looked
        self._looked_s = self._clock()
        try:
            seen = self._signatures()
            if seen != self._seen:
                self._seen = seen
                self._profiles = self._read(seen)
                log.info("event=credential_profiles_read count=%d", len(self._profiles))
        except errors.ApiError as error:
            log.error("event=credential_profiles_unusable reason=%s", error.message)
            gone = {profile.name for profile in self._profiles} - {name.removesuffix(SUFFIX) for name in self._seen}
            self._profiles = tuple(profile for profile in self._profiles if profile.name not in gone)

    def _signatures(self) -> dict[str, tuple[int, ...]]:
        """What tells that a file has changed, by its name."""
        assert self._folder is not None
        try:
            paths = sorted(self._folder.glob(f"*{SUFFIX}")) if self._folder.is_dir() else None
            found = {path.name: path.stat() for path in paths or ()}
        except OSError as error:
            raise errors.failed_precondition(f"The folder credentials_dir cannot be read: {error.strerror}.") from error
        if paths is None:
            raise errors.failed_precondition(
                "The folder credentials_dir is not there. Create it, or unset the setting."
            )
        return {
            name: (one.st_ino, one.st_mtime_ns, one.st_ctime_ns, one.st_size, one.st_mode)
            for name, one in found.items()
        }

    def _read(self, names: Collection[str]) -> tuple[CredentialProfile, ...]:
        assert self._folder is not None
        profiles: list[CredentialProfile] = []
        for name in names:
            try:
                profile = _parse(name.removesuffix(SUFFIX), _content(self._folder / name))
                self._check(profile, profiles)
            except _UnusableProfile as error:
                raise errors.failed_precondition(f"The credential profile {name} cannot be used: {error}.") from error
            profiles.append(profile)
        return tuple(profiles)

    def _check(self, profile: CredentialProfile, others: Collection[CredentialProfile]) -> None:
        for folder in profile.folders:
            if folder.scheme not in self._clouds:
                raise _UnusableProfile(
                    f"{folder} is in no cloud that this installation serves (settings schemes and gs)"
                )
            inner, outer = sorted((folder, self._state), key=lambda one: len(one.prefix), reverse=True)
            if outer.contains(ObjectUri(inner.scheme, inner.bucket, inner.prefix)):
                raise _UnusableProfile(f"the service's own state is in {self._state} (state_uri)")
            for other in others:
                is_same = folder in other.folders
                if is_same and (profile.projects & other.projects or not (profile.projects or other.projects)):
                    raise _UnusableProfile(f"{folder} is in {other.name}{SUFFIX} too, for the same projects")


def _content(path: pathlib.Path) -> str:
    """The text of a file that only its owner reads."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise _UnusableProfile("it is no file")
            if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise _UnusableProfile("group or others may read or write it (chmod 600)")
            if status.st_uid not in (0, os.geteuid()):
                raise _UnusableProfile("it belongs to another user")
            if status.st_size > MAX_FILE_BYTES:
                raise _UnusableProfile(f"it is longer than {MAX_FILE_BYTES} bytes")
            return file.read(MAX_FILE_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise _UnusableProfile(error.strerror or "it cannot be read") from error
    except UnicodeDecodeError as error:
        raise _UnusableProfile("it is not text in UTF-8") from error


def _parse(profile: str, text: str) -> CredentialProfile:
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        name, value = name.strip().removeprefix("export ").strip(), value.strip()
        if not equals or name not in _KNOWN:  # the line itself may be a secret
            raise _UnusableProfile(f"line {number} does not begin with a name that is read here and =")
        if name in values:
            raise _UnusableProfile(f"it has {name} twice")
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        if value:
            values[name] = value
    folders = tuple(map(_folder, _listed(values.pop(_FOLDERS, ""))))
    if not folders:
        raise _UnusableProfile(f"{_FOLDERS} names no folder, such as s3://photos/in/")
    projects = frozenset(_listed(values.pop(_PROJECTS, "")))
    for scheme in {folder.scheme for folder in folders}:
        for group in _NEEDED.get(scheme, ()):
            if not any(name in values for name in group):
                raise _UnusableProfile(f"for {scheme}:// it needs {' or '.join(group)}")
    return CredentialProfile(profile, folders, projects, values)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _folder(text: str) -> Grant:
    try:
        return Grant.parse(text)
    except BadUri as error:
        raise _UnusableProfile(f"{_FOLDERS}: {error.message.rstrip('.')}") from error
