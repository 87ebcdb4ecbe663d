"""Secrets in files: a variable ``NAME_FILE`` names the file with the value of ``NAME``, as container platforms mount it."""

from __future__ import annotations

import pathlib
from collections.abc import MutableMapping

from boxwright import errors

SUFFIX = "_FILE"
MAX_BYTES = 65_536
# The variables that hold secrets. Others with this ending have a meaning of their own, AWS_WEB_IDENTITY_TOKEN_FILE for one.
VARIABLES = (
    *("BOXWRIGHT_DATABASE_URL", "BOXWRIGHT_TOKEN"),
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN", "AZURE_CLIENT_SECRET"),
    "GOOGLE_SERVICE_ACCOUNT_KEY",
)


def read_into(environment: MutableMapping[str, str]) -> None:
    """Puts the content of each file in place of the variable that names it; line ends at its end do not count.

    Args:
        environment: of this process; what it starts later inherits the values.

    Raises:
        ApiError: FAILED_PRECONDITION if a file cannot be read, INVALID_ARGUMENT if its content is no secret or if the
            secret is given both ways. The message never has the content. Then nothing has changed.
    """
    found = {name: environment[name + SUFFIX] for name in VARIABLES if environment.get(name + SUFFIX)}
    contents = {name: _content(name, pathlib.Path(path), environment) for name, path in found.items()}
    environment.update(contents)
    for name in found:
        del environment[name + SUFFIX]


def _content(name: str, path: pathlib.Path, environment: MutableMapping[str, str]) -> str:
    variable = name + SUFFIX
    if environment.get(name):
        raise errors.invalid_argument(variable, f"{name} is set too. Unset one of them.")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise errors.failed_precondition(f"The file {path} that {variable} names cannot be read: {reason}.") from error
    try:
        text = content.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise errors.invalid_argument(variable, f"The file {path} is not text in UTF-8.") from None
    if len(content) > MAX_BYTES:
        raise errors.invalid_argument(variable, f"The file {path} is longer than {MAX_BYTES} bytes.")
    if not text.strip():
        raise errors.invalid_argument(variable, f"The file {path} is empty.")
    if "\0" in text:
        raise errors.invalid_argument(variable, f"The file {path} holds a null character.")
    return text
