"""Trouble with stores: which errors pass by themselves, how long they are waited for, and what a caller is told.

Remote reads and replacing writes are retried inside the client library; `patiently` is for what the library does not retry:
local disks, conditional writes whose answer got lost, and the writer for the emulator.
"""

from __future__ import annotations

import errno
import os
import queue
import re
import threading
import time
from collections.abc import Callable
from typing import TypeVar, cast

import requests
from google.api_core import exceptions as api_exceptions
from google.api_core import retry
from google.rpc import code_pb2
from obstore import exceptions

from boxwright import errors
from boxwright.objects import listing
from boxwright.objects.uris import ObjectUri, bad_uri

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0
STOP_POLL_S = 0.1
_TRANSIENT_NAMES = "EIO ENOSPC EDQUOT ESTALE EAGAIN EBUSY ENFILE EMFILE EINTR ETIMEDOUT"
TRANSIENT_ERRNOS = frozenset(getattr(errno, name) for name in _TRANSIENT_NAMES.split())
_DENIED_ERRNOS = frozenset((errno.EACCES, errno.EPERM, errno.EROFS))
_NAME_ERRNOS = frozenset((errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.EILSEQ))
_PASSING_STATUSES = (408, 409, 429)  # S3 answers 409 while another conditional write is under way
_OS_ERROR = re.compile(r"\(os error (\d+)\)")
_STATUS = re.compile(r"status code: (\d{3})")
_QUERY = re.compile(r"\?[^\s)]+")  # a signed URL is a secret
_LOCAL = re.compile(r"LocalFileSystem|IO error for operation on ")  # such texts hold paths of this machine

_T = TypeVar("_T")


class ObjectNotFound(errors.ApiError):
    """There is no such object (or no such bucket)."""


class ObjectChangedError(errors.ApiError):
    """The object is not the one that was asked for by its entity tag."""


class StatusError(Exception):
    """A store answered with this HTTP status."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"status code: {status} {reason}")
        self.status = status


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


def patiently(call: Callable[[], _T], patience_s: float) -> _T:
    """Calls until there is no transient trouble: exponential backoff with jitter, at most `patience_s` in all."""
    started_s = time.monotonic()
    try:
        return call()  # the usual case, without the cost of the machinery
    except Exception as error:
        if not is_transient(error):
            raise
        failures: list[Exception] = [error]

    def first_fail_then_call() -> _T:
        if failures:
            raise failures.pop()
        return call()

    policy = retry.Retry(
        predicate=is_transient,
        initial=FIRST_WAIT_S,
        maximum=LONGEST_WAIT_S,
        multiplier=2,
        timeout=max(0.0, patience_s - (time.monotonic() - started_s)),
    )
    try:
        return policy(first_fail_then_call)()
    except api_exceptions.RetryError as error:
        raise (error.cause or error) from None


def stoppably(call: Callable[[], _T], raise_if_stopped: Callable[[], None]) -> _T:
    """Calls in a thread of its own, which is left behind as soon as `raise_if_stopped` raises."""
    answer: queue.SimpleQueue[tuple[_T | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            answer.put((call(), None))
        except BaseException as error:
            answer.put((None, error))

    threading.Thread(target=run, name="store-call", daemon=True).start()
    while True:
        try:
            result, error = answer.get(timeout=STOP_POLL_S)
        except queue.Empty:
            raise_if_stopped()
            continue
        if error is not None:
            raise error
        return cast(_T, result)


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed a little later, and nobody below has waited for that already."""
    match error:
        case errors.ApiError():
            return False
        case StatusError():
            return error.status in _PASSING_STATUSES or error.status >= 500
        case Truncated() | requests.ConnectionError() | requests.Timeout():
            return True
        case exceptions.GenericError():
            number = _os_errno(error)
            return number in TRANSIENT_ERRNOS if number is not None else _status(error) is None
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
