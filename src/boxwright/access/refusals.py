"""Every refusal of access control, with the code, the text and the details that Google's services have.

Clients tell refusals apart by `ErrorInfo.reason`; the names are those of `google.api.ErrorReason`. What was wrong with
credentials is in the log alone: whoever tries forged ones learns one thing, that they are not valid.
"""

from __future__ import annotations

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
