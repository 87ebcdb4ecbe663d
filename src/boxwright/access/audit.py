"""What the audit log says of a call, in the shape of Google's `AuditLog`.

Every call that may change something, every refusal, every request for a token and every command of administration is a
line; calls that only read are lines by the setting `audit_reads`. Nothing of a line is bytes, parameters or a credential.
"""

from __future__ import annotations

import contextlib
import getpass
import pathlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from google.protobuf import descriptor, message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from boxwright import callers, errors, names, objects, states
from boxwright.access import refusals
from boxwright.access.audit_log import AuditLog
from boxwright.metadata import database

JUDGE = (
    "boxwright.surface.JudgeRequest"  # what is refused by its host, origin or connection, before its method is known
)
SERVICE = "automl.googleapis.com"
TYPE = "type.googleapis.com/google.cloud.audit.AuditLog"
MAX_TEXT_CHARS = 400
MAX_ITEMS = 20
WINDOW_S = 60.0
MAX_FLOODING = 4096  # addresses that are remembered
_LEFT_OUT = frozenset({"params", "payload", "etag"})  # images and free parameters; and what nobody asks a log for
_REFUSALS = (code_pb2.UNAUTHENTICATED, code_pb2.PERMISSION_DENIED, code_pb2.RESOURCE_EXHAUSTED)
_WARNED = (code_pb2.INTERNAL, code_pb2.UNAVAILABLE, code_pb2.DATA_LOSS, code_pb2.UNKNOWN)


class CallRecorder:
    """Records calls in the audit log.

    Args:
        audit_log: where lines are written.
        reads: whether calls that only read are lines too.
    """

    def __init__(self, audit_log: AuditLog, *, reads: bool = False) -> None:
        self._log = audit_log
        self._reads = reads
        self._flooding: dict[str, float] = {}  # addresses and accounts, and when each had its last line

    def check(self) -> None:
        """Lets a change begin, or not: UNAVAILABLE if it could not be recorded."""
        self._log.check()

    def record(self, call: callers.CallRecord) -> None:
        """Records a call, if it is one that is recorded.

        Raises:
            ApiError: UNAVAILABLE: a call that changes something cannot be recorded.
        """
        is_refusal = call.error is not None and call.error.code in _REFUSALS
        if (call.is_read and not is_refusal and not self._reads) or self._is_flood(call):
            return
        try:
            self._log.append(entry_of(call))
        except errors.ApiError:
            if call.error is None and not call.is_read:
                raise  # the log has said why; reads and refusals go on

    def _is_flood(self, call: callers.CallRecord) -> bool:
        """Whether this call gets no line of its own, because the minute has one for others like it.

        Such calls come from an address that has failed too often or was refused for its host or origin, or ask for a
        token of an account that has had too many.
        """
        if _is_by(call.error, refusals.TOKENS):
            key = call.caller.member
        elif _is_by(call.error, refusals.FAILURES) or call.method == JUDGE:
            key = f"{call.caller.origin.address} {call.method == JUDGE}"
        else:
            return False
        now_s = time.monotonic()
        if now_s - self._flooding.get(key, -WINDOW_S) < WINDOW_S:
            return True
        if len(self._flooding) >= MAX_FLOODING:
            self._flooding.clear()
        self._flooding[key] = now_s
        return False


class WorkRecorder:
    """Records that the work of operations has begun, and how it has ended.

    Args:
        audit_log: where lines are written. One that cannot be written keeps no operation from ending.
    """

    def __init__(self, audit_log: AuditLog) -> None:
        self._log = audit_log

    def record(self, name: names.OperationName, kind: states.OperationKind, outcome: status_pb2.Status | None) -> None:
        """Records the beginning (`outcome` is None) or the end of an operation."""
        error = errors.from_status(outcome) if outcome is not None and outcome.code else None
        payload: dict[str, Any] = {
            "@type": TYPE,
            "serviceName": SERVICE,
            "methodName": f"boxwright.operations.{'Started' if outcome is None else 'Ended'}",
            "resourceName": str(name),
            "metadata": {"kind": str(kind)},
            "status": {} if error is None else {"code": error.code, "message": _cut(error.message)},
        }
        with contextlib.suppress(errors.ApiError):  # the log has said why
            self._log.append({"severity": _severity(error), "protoPayload": payload})

    def record_use(self, name: names.OperationName, member: str, use: objects.BucketUse) -> None:
        """Records that an operation uses a bucket, for a member; empty for anybody."""
        granted = {"resource": use.bucket, "permission": use.permission, "granted": use.is_allowed}
        payload: dict[str, Any] = {
            "@type": TYPE,
            "serviceName": SERVICE,
            "methodName": "boxwright.operations.BucketUsed",
            "resourceName": str(name),
            "authenticationInfo": _who(callers.Caller(member)),
            "authorizationInfo": [granted],
            "status": {},
        }
        with contextlib.suppress(errors.ApiError):  # the log has said why
            self._log.append({"severity": "NOTICE" if use.is_allowed else "ERROR", "protoPayload": payload})


def _is_by(error: errors.ApiError | None, quota: refusals.QuotaMetric) -> bool:
    """Whether a call was refused because of a quota."""
    infos = [detail for detail in (error.details if error else ()) if isinstance(detail, error_details_pb2.ErrorInfo)]
    return any(info.metadata.get("quota_limit") == quota.limit for info in infos)


def entry_of(call: callers.CallRecord) -> dict[str, Any]:
    """The entry for a call: severity, and the fields of `AuditLog`."""
    error = call.error
    payload: dict[str, Any] = {
        "@type": TYPE,
        "serviceName": SERVICE,
        "methodName": call.method,
        "resourceName": _cut(call.resource),
        "authenticationInfo": _who(call.caller),
    }
    if call.needs:
        payload["authorizationInfo"] = _permissions(call.needs, error)
    origin = call.caller.origin
    payload["requestMetadata"] = {"callerIp": origin.address, "callerSuppliedUserAgent": origin.user_agent[:200]}
    if call.request is not None:
        payload["request"] = _shown(call.request)
    if call.answer is not None and isinstance(name := getattr(call.answer, "name", None), str) and name:
        payload["response"] = {"name": _cut(name)}
    payload["status"] = {} if error is None else {"code": error.code, "message": _cut(error.message)}
    if call.caller.charged_project:
        payload["metadata"] = {"chargedProject": call.caller.charged_project}
    return {"severity": _severity(error), "protoPayload": payload}


@contextlib.contextmanager
def recorded_change(
    folder: pathlib.Path, db: database.Database, method: str, resource: str, request: Mapping[str, Any]
) -> Iterator[None]:
    """Records what a command changes in its block; by whom, is a user of this machine.

    Args:
        folder: where the log is.
        db: the service's database.
        method: what the log calls the change.
        resource: what it is about.
        request: the command's arguments; those that are not given are left out.

    Raises:
        ApiError: UNAVAILABLE: it could not be recorded, so it is not done; or what the block raises.
    """
    payload: dict[str, Any] = {
        "@type": TYPE,
        "serviceName": SERVICE,
        "methodName": method,
        "resourceName": _cut(resource),
        "authenticationInfo": {"principalSubject": f"localUser:{getpass.getuser()}"},
        "requestMetadata": {"callerIp": "", "callerSuppliedUserAgent": "boxwright"},
        "request": {
            name: _cut(str(value)) for name, value in request.items() if value is not None and value is not False
        },
        "status": {},
    }
    log = AuditLog(folder, db, head_interval_s=0)
    try:
        log.check()
        try:
            yield
        except errors.ApiError as error:
            payload["status"] = {"code": error.code, "message": _cut(error.message)}
            log.append({"severity": _severity(error), "protoPayload": payload})
            raise
        log.append({"severity": _severity(None), "protoPayload": payload})
    finally:
        log.close()


def _who(caller: callers.Caller) -> dict[str, Any]:
    found: dict[str, Any] = {"principalEmail": caller.email}
    if caller.member:
        found["principalSubject"] = caller.member
    if caller.key:
        kind = "serviceAccountKeyName" if caller.key.startswith("keys/") else "credential"
        found[kind] = caller.key
    if caller.actors:  # the nearest first, as Google's logs have it
        found["serviceAccountDelegationInfo"] = [{"principalSubject": actor} for actor in reversed(caller.actors)]
    return found


def _permissions(needs: Sequence[callers.Requirement], error: errors.ApiError | None) -> list[dict[str, Any]]:
    """Each permission with whether it was granted; those after one that was not have not been looked at."""
    denied = next(
        (
            (info.metadata.get("permission"), info.metadata.get("resource"))
            for info in (error.details if error is not None else ())
            if isinstance(info, error_details_pb2.ErrorInfo) and info.reason in ("IAM_PERMISSION_DENIED",)
        ),
        None,
    )
    is_blocked = error is not None and error.code == code_pb2.PERMISSION_DENIED and denied is None
    found: list[dict[str, Any]] = []
    for need in needs:
        is_denied = denied == (need.permission, need.resource) or is_blocked
        found.append({"resource": _cut(need.resource), "permission": need.permission, "granted": not is_denied})
        if is_denied:
            break
    return found


def _severity(error: errors.ApiError | None) -> str:
    if error is None:
        return "NOTICE"
    return "WARNING" if error.code in _WARNED else "ERROR"


def _shown(request: message.Message) -> dict[str, Any]:
    """What a request asks, by field, without bytes and parameters, and cut where it is long."""
    found: dict[str, Any] = {}
    for field, value in request.ListFields():
        if field.name in _LEFT_OUT or field.type == descriptor.FieldDescriptor.TYPE_BYTES:
            continue
        if field.is_repeated:
            if field.message_type is not None and field.message_type.GetOptions().map_entry:
                found[field.json_name] = {
                    _cut(str(key)): _value(value[key]) for key in sorted(value, key=str)[:MAX_ITEMS]
                }
                continue
            found[field.json_name] = [_value(one) for one in value[:MAX_ITEMS]]
            if len(value) > MAX_ITEMS:
                found[field.json_name].append(f"and {len(value) - MAX_ITEMS} more")
        else:
            found[field.json_name] = _value(value)
    return found


def _value(value: Any) -> Any:
    if isinstance(value, message.Message):
        return _shown(value)
    return _cut(value) if isinstance(value, str) else value


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT_CHARS else text[: MAX_TEXT_CHARS - 1] + "…"
