"""What can go wrong when a credential is fetched, and what to do: by auth type, what was asked, and the fix.

Whatever it is, nothing was sent to ApsaraDB for MongoDB, so that a create may be repeated. The SDK's texts hold
addresses with tokens and whole answers; only the parts of them that are known to be harmless are used.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from airflow_provider_dds.api_errors import api_error
from airflow_provider_dds.exceptions import DdsAccessDeniedError, DdsConfigurationError, DdsError, DdsTransportError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_dds.connection import DdsSettings

METADATA_HOST = "100.100.100.200"
ADVICE = {
    # code of STS, * for any text, tried from the top: what to do
    "NoPermission": (
        "Allow sts:AssumeRole on this role to the user whose AccessKey the connection has, name that user in the "
        "role's trust policy, and give external_id if the trust policy asks for one."
    ),
    "EntityNotExist*": "Check role_arn: the account has no such role.",
    "InvalidSecurityToken*": (
        "The security_token of the connection has expired or is wrong, and cannot renew itself. Put a fresh one in, "
        "or use the AccessKey of a RAM user."
    ),
    "InvalidAccessKeyId*": (
        "Check login and password of the connection: the AccessKey that asks for the role must exist and be active."
    ),
    "SignatureDoesNotMatch": (
        "Check login and password of the connection: the secret does not belong to the AccessKey id."
    ),
    "InvalidTimeStamp*": "The clock of this machine is more than 15 minutes off. Set it right (NTP).",
    "AuthenticationFail.OIDCToken.Expired": (
        "The token in oidc_token_file_path has expired: whatever writes the file must renew it."
    ),
    "AuthenticationFail*": (
        "Check role_arn, oidc_provider_arn and the token in oidc_token_file_path: the OIDC provider must be registered "
        "in RAM, the role must trust it, and issuer and audience must be those it expects."
    ),
    "*DurationSeconds*": "Lower role_session_expiration, or raise the longest session of the role in RAM.",
    "InvalidParameter*": (
        "Correct the field of the connection that the message names (role_arn, role_session_name, policy, ...)."
    ),
    "*": "Check role_arn and the other fields of the credential, and that the role trusts who asks for it.",
}
_STATUS = re.compile(r"http_?code\s*[:=]\s*(\d{3})", re.IGNORECASE)
_PART = re.compile(r"(?=\b\w+CredentialsProvider: )")
_NO_NETWORK = re.compile(r"Max retries exceeded|timed out|Connection (aborted|refused|reset)", re.IGNORECASE)
_SHOWS_SIGNATURE = re.compile(r"[.,;]?\s*(server\s+)?string to sign.*", re.IGNORECASE | re.DOTALL)


def safe(message: str, secrets: Iterable[str]) -> str:
    """Return a service's words without what it says about signatures, and without any secret."""
    message = _SHOWS_SIGNATURE.sub("", message)
    for secret in secrets:
        message = message.replace(secret, "***")
    return message.strip()


def unreadable_file(path: str, error: Exception) -> DdsConfigurationError:
    """Return the error for a file of the connection that cannot be read."""
    why = getattr(error, "strerror", None) or "it is not text"
    return DdsConfigurationError(f"{path} cannot be read here ({why})")


def credential_error(
    error: Exception, call: str, settings: DdsSettings, secrets: Iterable[str], *, sts: str, had_one: bool
) -> DdsError:
    """Return this package's error for what the SDK raised while it fetched a credential.

    :param call: the call that needs the credential.
    :param sts: host of STS.
    :param had_one: whether it could be fetched before: then it is not the configuration that is wrong.
    """
    return _Reading(call, settings, tuple(secrets), sts, had_one=had_one).of(error)


class _Reading:
    def __init__(self, call: str, settings: DdsSettings, secrets: tuple[str, ...], sts: str, *, had_one: bool) -> None:
        self.settings = settings
        self.secrets = secrets
        self.had_one = had_one
        self.action = {"ram_role_arn": "AssumeRole", "oidc_role_arn": "AssumeRoleWithOIDC"}.get(
            settings.auth_type, "Fetching a credential"
        )
        role = dict(settings.credential).get("role_arn")
        self.asked = {
            "ram_role_arn": f"AssumeRole of {role} at {sts}",
            "oidc_role_arn": f"AssumeRoleWithOIDC of {role} at {sts}",
            "ecs_ram_role": f"the ECS metadata service at {METADATA_HOST}",
            "credentials_uri": "the address in credentials_uri",
            "default": "the SDK's default chain",
        }.get(settings.auth_type, "the connection")
        self.lead = f"{call} was not sent for want of a credential (auth_type {settings.auth_type!r})"

    def of(self, error: Exception) -> DdsError:
        from alibabacloud_credentials.exceptions import CredentialException
        from Tea.exceptions import RetryError

        if isinstance(error, DdsConfigurationError):
            return DdsConfigurationError(
                f"{self.lead}: {error}. Check oidc_token_file_path, and that the token is mounted where this runs."
            )
        if isinstance(error, RetryError):
            return self.no_answer(error.__context__)
        if isinstance(error, CredentialException):
            return self.refused(str(error.message))
        if isinstance(error, ValueError) and "IMDS credentials is disabled" in str(error):
            return self.wrong(
                "ALIBABA_CLOUD_ECS_METADATA_DISABLED forbids it to ask the metadata service here",
                "Unset the variable, or choose another auth_type.",
            )
        return self.unreadable()

    def no_answer(self, cause: BaseException | None) -> DdsError:
        from requests import exceptions as http

        kind = type(cause).__name__
        if isinstance(cause, http.SSLError):
            return self.passing(
                f"the TLS certificate that {self.asked} showed was not accepted",
                "If a proxy opens TLS here, name its authority in extra ca_file.",
            )
        if self.settings.auth_type == "ecs_ram_role" and not self.had_one:
            return self.wrong(
                f"nothing answers as {self.asked} ({kind})",
                "Run on an ECS instance that may reach it and has a RAM role, or choose another auth_type.",
            )
        return self.passing(
            f"{self.asked} gave no answer ({kind})",
            "Check that this machine reaches it: network (public or vpc), region, proxy, firewall.",
        )

    def refused(self, message: str) -> DdsError:
        if self.settings.auth_type == "default":
            return self.nothing_found(message)
        status = _STATUS.search(message)
        return self.unreadable() if status is None else self.answered(int(status.group(1)), message)

    def answered(self, status: int, message: str) -> DdsError:
        code, said, request_id = (self.field(message, name) for name in ("Code", "Message", "RequestId"))
        if status == 429 or (code or "").startswith("Throttling"):
            return api_error(
                action=self.action, code=code, http_status=status, request_id=request_id, message=said or "",
                db_instance_id=None,
            )  # fmt: skip
        words = f"{code or 'an error without a code'} (HTTP {status}){f': {said}' if said else ''}".rstrip(". ")
        if status >= 500:
            return self.passing(f"{self.asked} failed with {words}", f"Request id: {request_id or 'none'}.")
        if self.settings.auth_type == "ecs_ram_role":
            return self.wrong(
                f"{self.asked} answered HTTP {status}",
                "Attach a RAM role to the instance, and let role_name be empty or that role's name.",
            )
        if self.settings.auth_type == "credentials_uri":
            return self.wrong(f"{self.asked} answered HTTP {status}", "Check the address.")
        advice = next(advice for pattern, advice in ADVICE.items() if fnmatchcase(code or "", pattern))
        return DdsAccessDeniedError(
            f"{self.lead}: {self.asked} failed with {words}. {advice} Request id: {request_id or 'none'}.",
            action=self.action,
            code=code,
            http_status=status,
            request_id=request_id,
            message=said or "",
        )

    def nothing_found(self, message: str) -> DdsError:
        """Return the error for a chain that came to its end, unless a source is there that failed."""
        for part in _PART.split(message):
            if not part.startswith("EcsRamRole"):  # at its end, and absent on most machines
                if (status := _STATUS.search(part)) is not None:
                    return self.answered(int(status.group(1)), part)
                if _NO_NETWORK.search(part):
                    name = part.partition(":")[0]
                    return self.passing(f"{name} of {self.asked} got no answer", "Check that its host can be reached.")
        return self.wrong(
            f"{self.asked} found none on this machine in the variables ALIBABA_CLOUD_ACCESS_KEY_ID and "
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET, an OIDC role, ~/.aliyun/config.json, ~/.alibabacloud/credentials.ini, "
            "the ECS metadata service and ALIBABA_CLOUD_CREDENTIALS_URI",
            "Provide one there, or fill login and password, or another auth_type with its fields, in the connection.",
        )

    def unreadable(self) -> DdsError:
        if self.settings.auth_type == "credentials_uri" and not self.had_one:
            return self.wrong(
                f"{self.asked} answered with something that is no credential",
                "It must answer a JSON object with Code (Success), AccessKeyId, AccessKeySecret, SecurityToken and "
                "Expiration. Check the address.",
            )
        return self.passing(
            f"{self.asked} answered with something that is no credential",
            "If it goes on, look for a proxy that answers in its place.",
        )

    def wrong(self, what: str, fix: str) -> DdsConfigurationError:
        return DdsConfigurationError(f"{self.lead}: {what}. {fix}")

    def passing(self, what: str, fix: str) -> DdsTransportError:
        return DdsTransportError(f"{self.lead}: {what}. {fix}", request_sent=False)

    def field(self, message: str, name: str) -> str | None:
        match = re.search(rf'"{name}"\s*:\s*"([^"]*)"', message)
        return safe(match.group(1), self.secrets) or None if match else None
