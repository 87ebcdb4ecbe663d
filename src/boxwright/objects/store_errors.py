"""Trouble with stores: which errors pass by themselves, which say that calls are too many, and what a caller is told."""

from __future__ import annotations

import datetime
import email.utils
import errno
import os
import re

import requests
from google.rpc import code_pb2
from obstore import exceptions

from boxwright import errors
from boxwright.objects import listing
from boxwright.objects.uris import ObjectUri, bad_uri

_TRANSIENT_NAMES = "EIO ENOSPC EDQUOT ESTALE EAGAIN EBUSY ENFILE EMFILE EINTR ETIMEDOUT"
TRANSIENT_ERRNOS = frozenset(getattr(errno, name) for name in _TRANSIENT_NAMES.split())
_DENIED_ERRNOS = frozenset((errno.EACCES, errno.EPERM, errno.EROFS))
_NAME_ERRNOS = frozenset((errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.EILSEQ))
_PASSING_STATUSES = (408, 409, 429)  # S3 answers 409 while another conditional write is under way
THROTTLED_STATUSES = (429, 503)
# in an answer 200 to a request about several objects; keys are in such answers too, but with their < written otherwise
_THROTTLED_CODE = re.compile(
    r"<Code>(SlowDown|ServiceUnavailable|ServerBusy|TooManyRequests|RequestLimitExceeded)</Code>"
)
_OS_ERROR = re.compile(r"\(os error (\d+)\)")
_STATUS = re.compile(r"status code: (\d{3})")
_QUERY = re.compile(r"\?[^\s)]+")  # a signed URL is a secret
_LOCAL = re.compile(r"LocalFileSystem|IO error for operation on ")  # such texts hold paths of this machine


class ObjectNotFound(errors.ApiError):
    """There is no such object (or no such bucket)."""


class ObjectChangedError(errors.ApiError):
    """The object is not the one that was asked for by its entity tag."""


class StatusError(Exception):
    """A store answered with this HTTP status.

    Attributes:
        status: the status.
        retry_after_s: when the store wants to be called again, if it said so.
    """

    def __init__(self, status: int, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(f"status code: {status} {reason}")
        self.status, self.retry_after_s = status, retry_after_s


class StillThrottledError(Exception):
    """A call's time was over before its bucket could be called again."""


class Truncated(Exception):
    """Fewer bytes came than the store had promised."""


def not_found(uri: ObjectUri) -> ObjectNotFound:
    """The error for an object that is not there."""
    return ObjectNotFound(code_pb2.NOT_FOUND, f"{uri} does not exist.")


def no_file(uri: ObjectUri, is_folder: bool) -> ObjectNotFound:
    """The error for a path that is no regular file."""
    why = "; it is a folder: name an object in it" if is_folder else "; what is there is no file"
    return ObjectNotFound(code_pb2.NOT_FOUND, f"{uri} does not exist{why}.")


def no_bucket(uri: ObjectUri, where: str) -> ObjectNotFound:
    """The error for a bucket that is not there."""
    return ObjectNotFound(code_pb2.NOT_FOUND, f"{uri} does not exist: there is no bucket '{uri.bucket}'{where}.")


def check_size(uri: ObjectUri, size_bytes: int, max_bytes: int | None) -> None:
    """Raises INVALID_ARGUMENT if an object is larger than the reader wants."""
    if max_bytes is not None and size_bytes > max_bytes:
        raise errors.bad_request(f"{uri} has {size_bytes} bytes; the limit is {max_bytes}.")


def check_whole(data: bytes, size_bytes: int) -> bytes:
    """Returns the data; raises `Truncated` if fewer bytes came than there are."""
    if len(data) != size_bytes:
        raise Truncated(f"{len(data)} of {size_bytes} bytes came")
    return data


def is_throttled(error: Exception) -> bool:
    """Whether the store says that it is called too often: 429, 503, or such a code in an answer about several objects.

    A look at an object has an answer without a body, so that a 503 of another meaning cannot be told from it.
    """
    match error:
        case StatusError():
            return error.status in THROTTLED_STATUSES
        case exceptions.GenericError():
            status = _status(error)
            return status in THROTTLED_STATUSES or (status is None and _THROTTLED_CODE.search(str(error)) is not None)
    return False


def retry_after_s(value: str | None, now: datetime.datetime) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110, 10.2.3): a number, or a date; None if it says neither."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:6])
    try:
        return max(0.0, (email.utils.parsedate_to_datetime(text) - now).total_seconds())
    except (ValueError, TypeError):  # no date, or one without a zone
        return None


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed a little later."""
    match error:
        case errors.ApiError():
            return False
        case StatusError():
            return error.status in _PASSING_STATUSES or error.status >= 500
        case Truncated() | requests.ConnectionError() | requests.Timeout():
            return True
        case exceptions.GenericError():
            number = _os_errno(error)
            if number is not None and _LOCAL.search(str(error)):
                return number in TRANSIENT_ERRNOS  # other numbers are those of connections
            status = _status(error)
            return status is None or status in _PASSING_STATUSES or status >= 500
        case OSError():
            return error.errno in TRANSIENT_ERRNOS
    return False


class translated:
    """Turns the stores' exceptions into errors that name the URI."""

    def __init__(self, uri: ObjectUri) -> None:
        self._uri = uri

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None and isinstance(error, Exception) and not isinstance(error, errors.ApiError):
            meant = _meaning(self._uri, error)
            if meant is not None:
                raise meant from error


def reason(error: BaseException) -> str:
    """What is wrong, in one line: no path of this machine, which is no caller's business, and no parameters of a URL."""
    text = str(error).split("\n", 1)[0]
    number = _os_errno(error)
    if isinstance(error, OSError) and not isinstance(error, exceptions.BaseError | requests.RequestException):
        return error.strerror or (os.strerror(number) if number else "the file system refuses it")
    if _LOCAL.search(text):
        return os.strerror(number) if number is not None else "the file system refuses it"
    return _QUERY.sub("?…", text)


def below_an_object(uri: ObjectUri, obstacle: ObjectUri) -> errors.ApiError:
    """The error for a folder that cannot be there, because a part of its path is an object."""
    return errors.failed_precondition(
        f"Nothing can be written below {uri}: {obstacle} is an object, not a folder. Choose another prefix."
    )


def _meaning(uri: ObjectUri, error: Exception) -> errors.ApiError | None:
    """The error that a caller sees; None for what is no trouble of a store."""
    match error:
        case FileNotFoundError():
            return not_found(uri)
        case exceptions.PreconditionError():
            return ObjectChangedError(
                code_pb2.ABORTED, f"{uri} changed while it was read; read it again from its beginning."
            )
        case PermissionError() | exceptions.PermissionDeniedError() | exceptions.UnauthenticatedError():
            return errors.permission_denied(f"{uri} may not be accessed by this service.")
        case listing.DisorderError():
            return errors.failed_precondition(
                f"{uri} is listed by its store in no order, so a folder or pattern there cannot be read; name a list of the "
                "images instead."
            )
        case exceptions.InvalidPathError() | UnicodeError():
            return bad_uri(str(uri), "the object store refuses it")
        case StillThrottledError():
            return errors.unavailable(f"{uri} cannot be reached now: {error}.")
        case exceptions.BaseError() | OSError() | StatusError() | Truncated():
            return _by_number(uri, error)
        case ValueError():
            return bad_uri(str(uri), "the object store refuses it")
    return None


def _by_number(uri: ObjectUri, error: Exception) -> errors.ApiError:
    """What a general error means, judged by the number in it: of the operating system or of HTTP."""
    status, number = _status(error), _os_errno(error)
    if status == 404:
        return not_found(uri)
    if status in (401, 403) or number in _DENIED_ERRNOS:
        return errors.permission_denied(f"{uri} may not be accessed by this service: {reason(error)}")
    if number == errno.ENOTDIR:
        return errors.failed_precondition(
            f"{uri} cannot be there: a part of its path is an object, not a folder. Choose another path."
        )
    if number == errno.EISDIR:
        return errors.failed_precondition(f"{uri} cannot be written: it is a folder. Choose another path.")
    if number in _NAME_ERRNOS:
        return bad_uri(str(uri), reason(error))
    if status is not None and 300 <= status < 500 and status not in _PASSING_STATUSES:
        return errors.failed_precondition(f"{uri}: the object store refuses the request: {reason(error)}")
    if is_throttled(error):
        return errors.unavailable(f"{uri} cannot be reached now: it is called too often: {reason(error)}")
    return errors.unavailable(f"{uri} cannot be reached now: {reason(error)}")


def _status(error: Exception) -> int | None:
    if isinstance(error, StatusError):
        return error.status
    found = _STATUS.search(str(error).split("\n", 1)[0])
    return int(found.group(1)) if found else None


def _os_errno(error: BaseException) -> int | None:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = _OS_ERROR.search(str(error).split("\n", 1)[0])
    return int(found.group(1)) if found else None
