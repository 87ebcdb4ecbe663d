"""Every refusal of access control, with the code, the text and the details that Google's services have.

Clients tell refusals apart by `ErrorInfo.reason`; the names are those of `google.api.ErrorReason`. What was wrong with
credentials is in the log alone: whoever tries forged ones learns one thing, that they are not valid.
"""

from __future__ import annotations

import dataclasses
import math

from google.protobuf import duration_pb2
from google.rpc import code_pb2, error_details_pb2

from boxwright import errors

SERVICE = "automl.googleapis.com"  # what clients match on
_PAGE = "docs/access.md"
_WANTED = "Expected OAuth 2 access token, login cookie or other valid authentication credential."
_MISSING = f"Request is missing required authentication credential. {_WANTED} See {_PAGE}."
_INVALID = f"Request had invalid authentication credentials. {_WANTED} See {_PAGE}."


def _info(reason: str, domain: str = "googleapis.com", **metadata: str) -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo(reason=reason, domain=domain, metadata=metadata)


def credentials_missing(method: str) -> errors.ApiError:
    """UNAUTHENTICATED: nothing was sent; `method` is the method's name with dots."""
    info = _info("CREDENTIALS_MISSING", service=SERVICE, method=method)
    return errors.ApiError(code_pb2.UNAUTHENTICATED, _MISSING, [info])


def credentials_invalid(method: str) -> errors.ApiError:
    """UNAUTHENTICATED: what was sent is forged, unknown, or not for this service."""
    return _unusable("ACCESS_TOKEN_TYPE_UNSUPPORTED", method)


def token_expired(method: str) -> errors.ApiError:
    """UNAUTHENTICATED: an access token of this installation whose time is over."""
    return _unusable("ACCESS_TOKEN_EXPIRED", method)


def account_disabled(method: str) -> errors.ApiError:
    """UNAUTHENTICATED: the credentials are right, and their account is disabled."""
    return _unusable("ACCOUNT_STATE_INVALID", method)


def _unusable(reason: str, method: str) -> errors.ApiError:
    return errors.ApiError(code_pb2.UNAUTHENTICATED, _INVALID, [_info(reason, service=SERVICE, method=method)])


def work_denied(email: str) -> errors.ApiError:
    """PERMISSION_DENIED: who has asked for work may ask for nothing any more, so it ends."""
    return errors.permission_denied(
        f"The account {email}, which started this work, is disabled or deleted. What is finished stays."
    )


def api_key_invalid() -> errors.ApiError:
    """INVALID_ARGUMENT, as Google answers to an API key that it does not know."""
    text = "API key not valid. Please pass a valid API key."
    return errors.ApiError(code_pb2.INVALID_ARGUMENT, text, [_info("API_KEY_INVALID", service=SERVICE)])


def method_blocked(method: str, project: str) -> errors.ApiError:
    """PERMISSION_DENIED: the API key was made for other permissions."""
    info = _info("API_KEY_SERVICE_BLOCKED", service=SERVICE, consumer=f"projects/{project}")
    return errors.ApiError(code_pb2.PERMISSION_DENIED, f"Requests to this API method {method} are blocked.", [info])


def permission_denied(permission: str, resource: str) -> errors.ApiError:
    """PERMISSION_DENIED: the caller lacks a permission on a resource, whether that exists or not."""
    text = f"Permission '{permission}' denied on resource '//{SERVICE}/{resource}' (or it may not exist)."
    info = _info("IAM_PERMISSION_DENIED", domain=SERVICE, resource=resource, permission=permission)
    return errors.ApiError(code_pb2.PERMISSION_DENIED, text, [info])


def project_denied(project: str) -> errors.ApiError:
    """PERMISSION_DENIED: the caller may not let this project be charged."""
    text = (
        f"Caller does not have required permission to use project {project}. Grant the caller the "
        "roles/serviceusage.serviceUsageConsumer role, or a custom role with the serviceusage.services.use permission."
    )
    info = _info("USER_PROJECT_DENIED", service=SERVICE, consumer=f"projects/{project}")
    return errors.ApiError(code_pb2.PERMISSION_DENIED, text, [info])


@dataclasses.dataclass(frozen=True)
class QuotaMetric:
    """What a quota counts: its name in texts, as a metric, and as the name of the limit."""

    title: str
    metric: str
    limit: str


TOKENS = QuotaMetric("Access tokens", "access_tokens", "AccessTokensPerMinutePerAccount")
FAILURES = QuotaMetric("Failed authentications", "failed_authentications", "FailedAuthenticationsPerMinutePerAddress")


def rate_exceeded(quota: QuotaMetric, limit: int, project: str, wait_s: float) -> errors.ApiError:
    """RESOURCE_EXHAUSTED: a project has asked for more than `limit` in a minute; it may ask again after `wait_s`."""
    text = (
        f"Quota exceeded for quota metric '{quota.title}' and limit '{quota.title} per minute' of service '{SERVICE}' for "
        f"consumer 'project_number:{project}'."
    )
    consumer = f"projects/{project}"
    return _exhausted(text, quota, limit, wait_s, subject=f"project:{project}", unit="project", consumer=consumer)


def failures_exceeded(limit: int, wait_s: float) -> errors.ApiError:
    """RESOURCE_EXHAUSTED: more than `limit` calls with wrong credentials, or none, came from an address in a minute."""
    text = (
        f"Quota exceeded for quota metric '{FAILURES.title}' and limit '{FAILURES.title} per minute' of service "
        f"'{SERVICE}': more than {limit} calls from this address had no valid credentials."
    )
    return _exhausted(text, FAILURES, limit, wait_s, subject="clientip", unit="address")


def tokens_exceeded(limit: int, member: str, wait_s: float) -> errors.ApiError:
    """RESOURCE_EXHAUSTED: a member has asked for more than `limit` access tokens in a minute."""
    text = (
        f"Quota exceeded for quota metric '{TOKENS.title}' and limit '{TOKENS.title} per minute' of service '{SERVICE}': "
        f"more than {limit} for {member}. Keep an access token until it ends, as client libraries do."
    )
    return _exhausted(text, TOKENS, limit, wait_s, subject=member, unit="account")


def _exhausted(
    text: str, quota: QuotaMetric, limit: int, wait_s: float, *, subject: str, unit: str, **metadata: str
) -> errors.ApiError:
    info = _info(
        "RATE_LIMIT_EXCEEDED",
        service=SERVICE,
        quota_metric=f"{SERVICE}/{quota.metric}",
        quota_limit=quota.limit,
        quota_limit_value=str(limit),
        quota_location="global",
        quota_unit=f"1/min/{{{unit}}}",
        **metadata,
    )
    violation = error_details_pb2.QuotaFailure.Violation(subject=subject, description=text)
    retry = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=max(1, math.ceil(wait_s))))
    details = [info, error_details_pb2.QuotaFailure(violations=[violation]), retry]
    return errors.ApiError(code_pb2.RESOURCE_EXHAUSTED, text, details)
