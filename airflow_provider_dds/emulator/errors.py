"""The service's refusals, each with its HTTP status, code and message."""

from __future__ import annotations

from typing import Any


class ServiceError(Exception):
    """An answer that is an error.

    :param status: HTTP status
    :param code: the service's error code, such as ``OperationDenied.BackupJobExists``
    :param message: the service's text
    :param access_denied: ``AccessDeniedDetail`` of the body, for denied actions
    """

    def __init__(self, status: int, code: str, message: str, access_denied: dict[str, str] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.access_denied = access_denied

    def body(self, request_id: str, host: str) -> dict[str, Any]:
        """Return the JSON body of the answer.

        :param request_id: id of the request
        :param host: host that the request was sent to
        """
        body: dict[str, Any] = {
            "RequestId": request_id,
            "HostId": host,
            "Code": self.code,
            "Message": self.message,
            "Recommend": f"https://api.aliyun.com/troubleshoot?q={self.code}&product=Dds&requestId={request_id}",
        }
        if self.access_denied is not None:
            body["AccessDeniedDetail"] = self.access_denied
        return body


def missing_parameter(name: str, style: str = "named") -> ServiceError:
    """Refuse a request that lacks a parameter; ``style`` is a value of ``Readings.missing_parameter``."""
    code = f"Missing{name}" if style == "named" else "MissingParameter"
    return ServiceError(400, code, f"{name} is mandatory for this action.")


def invalid_version(version: str | None) -> ServiceError:
    """Refuse a request of another API version, or of none."""
    shown = f"Specified parameter Version is not valid: {version!r}." if version else "Version is missing."
    return ServiceError(400, "InvalidVersion", shown)


def unknown_action() -> ServiceError:
    """Refuse an action that the service does not have."""
    return ServiceError(404, "InvalidAction.NotFound", "Specified api is not found, please check your url and method.")


def malformed(name: str) -> ServiceError:
    """Refuse a parameter whose value has the wrong form."""
    return ServiceError(400, f"Invalid{name}.Malformed", f"The specified parameter {name} is not valid.")


def denied(action: str, principal: str) -> ServiceError:
    """Refuse an action that the key's policies do not allow."""
    return ServiceError(
        403,
        "Forbidden.RAM",
        "User not authorized to operate on the specified resource, or this API doesn't support RAM.",
        {
            "AuthAction": f"dds:{action}",
            "AuthPrincipalType": "SubUser",
            "AuthPrincipalOwnerId": "1000000000000001",
            "AuthPrincipalDisplayName": principal,
            "NoPermissionType": "ImplicitDeny",
            "PolicyType": "AccountLevelIdentityBasedPolicy",
        },
    )
