"""What can go wrong when a credential is fetched, and what to do: by what was asked, and by what came back.

Whatever it is, nothing was sent to ApsaraDB for MongoDB, so that a create may be repeated.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_dds.api.errors import api_error
from airflow_provider_dds.client.outcome import HttpAnswer
from airflow_provider_dds.exceptions import (
    DdsAccessDeniedError,
    DdsConfigurationError,
    DdsError,
    DdsThrottledError,
    DdsTransportError,
)
from airflow_provider_dds.masking import escaped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_dds.client.outcome import WireError

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
PASSING = ("InternalError*", "ServiceUnavailable*", "ServiceTimeout*", "SignatureNonceUsed")
"""Codes of STS for what the same question does not meet again, whatever the HTTP status."""
REFUSALS = (401, 403, 407)
"""Statuses of a refusal; without a code of the source's own somebody on the way may refuse, and in passing."""
_HOST = re.compile(r"[\w.:-]{1,253}", re.ASCII)


class NoCredentialError(Exception):
    """There is no credential now. It never leaves the client: :meth:`for_call` is what a caller gets.

    :param what: what is wrong.
    :param fix: what to do about it.
    :param error: class for the caller.
    :param facts: what STS said, by the names of :class:`DdsApiError`.
    """

    def __init__(self, what: str, fix: str, *, error: type[DdsError], **facts: Any) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix
        self.error = error
        self.facts = facts

    @property
    def passes(self) -> bool:
        """Whether the same question may be answered a little later."""
        return self.error in (DdsTransportError, DdsThrottledError)

    @property
    def is_of_others(self) -> bool:
        """Whether somebody on the way refused: what the source itself would say is not known."""
        return self.error is DdsAccessDeniedError and self.facts["code"] is None

    def for_call(self, call: str, auth_type: str) -> DdsError:
        """Return the error for one of the calls that go without the credential.

        :param call: the call, as errors name it.
        :param auth_type: the connection's.
        """
        if self.error is DdsThrottledError:
            return api_error(db_instance_id=None, **self.facts)
        text = f"{call} was not sent for want of a credential (auth_type {auth_type!r}): {self.what}. {self.fix}"
        if self.error is DdsTransportError:
            return DdsTransportError(text, request_sent=False)
        return self.error(text, **self.facts)


@dataclass(frozen=True)
class Question:
    """What is asked for a credential: the subject of what is said when none comes of it.

    :ivar who: what and whom, such as ``the ECS metadata service at 100.100.100.200``.
    :ivar action: the API action, for the caller's error.
    :ivar secrets: what no text may hold.
    :ivar answered_before: whether it has led to a credential before: then it is not the configuration that is wrong.
    :ivar may_be_absent: whether there are machines that have none of this kind.
    :ivar has_codes: whether its own refusals have codes: one without is somebody else's, on the way.
    :ivar is_named: whether somebody wrote the address into the connection or a variable, and may have erred.
    """

    who: str
    action: str = "Fetching a credential"
    secrets: tuple[str, ...] = ()
    answered_before: bool = False
    may_be_absent: bool = False
    has_codes: bool = False
    is_named: bool = False

    def wrong(self, what: str, fix: str) -> NoCredentialError:
        """Return the error for what somebody has to put right."""
        return NoCredentialError(what, fix, error=DdsConfigurationError)

    def passing(self, what: str, fix: str) -> NoCredentialError:
        """Return the error for what may be over a little later."""
        return NoCredentialError(what, fix, error=DdsTransportError)

    def wrong_at_first(self, what: str, fix: str) -> NoCredentialError:
        """Return the error for what somebody has to put right, unless it went well before."""
        return self.passing(what, fix) if self.answered_before else self.wrong(what, fix)

    def refused_at_first(self, what: str, fix: str, status: int) -> NoCredentialError:
        """Return the error for a refusal by somebody on the way, after a second look."""
        if self.answered_before:
            return self.passing(what, fix)
        return NoCredentialError(
            what,
            fix,
            error=DdsAccessDeniedError,
            action=self.action,
            code=None,
            http_status=status,
            request_id=None,
            message=what,
        )

    def deserves_second_look(self, outcome: HttpAnswer | WireError) -> bool:
        """Whether it was refused in a way that may pass: by a code of its own it is not."""
        if outcome.status not in REFUSALS:
            return False
        by_code = self.has_codes and isinstance(outcome, HttpAnswer) and json_object(outcome.body).get("Code")
        return not by_code

    def no_answer(self, error: WireError) -> NoCredentialError:
        """Return the error for an exchange that failed."""
        if self.may_be_absent and error.phase == "connect" and not self.answered_before:
            return self.wrong(
                f"nothing answers as {self.who} ({error.reason})",
                "Run on an ECS instance that may reach it and has a RAM role, or choose another auth_type.",
            )
        if error.certificate:
            return self.passing(
                f"the TLS certificate that {self.who} showed was not accepted ({error.reason})",
                "If a proxy opens TLS here, name its authority in extra ca_file.",
            )
        if error.by_proxy:
            what = f"the proxy {error.proxy} let nothing through to {self.who} ({error.reason})"
            fix = "Check the connection's extra proxy, HTTPS_PROXY and NO_PROXY, and what the proxy allows."
            is_refusal = error.status in REFUSALS
            return self.refused_at_first(what, fix, error.status or 0) if is_refusal else self.passing(what, fix)
        return self.passing(
            f"{self.who} gave no answer ({error.reason})",
            "Check that this machine reaches it: network (public or vpc), region, proxy, firewall.",
        )

    def not_followed(self, answer: HttpAnswer) -> NoCredentialError:
        """Return the error for a redirect."""
        return (self.wrong_at_first if self.is_named else self.passing)(
            f"{self.who} answered HTTP {answer.status}, a redirect to {_host_of(answer.headers.get('location', ''))}, "
            "which is not followed: a credential is asked of nobody whom the connection does not name",
            "Correct the address, or look for a proxy or portal that answers in its place.",
        )

    def passing_answer(self, answer: HttpAnswer) -> NoCredentialError | None:
        """Return the error for an answer that says to ask again later, None if it does not."""
        said = Said.of(answer, self.secrets)
        if answer.status == 429 or (said.code or "").startswith("Throttling"):
            return NoCredentialError(said.words, "", error=DdsThrottledError, **said.facts(self.action))
        if answer.status == 407:
            return self.refused_at_first(
                f"the proxy {answer.proxy or 'in between'} wants user and password before it asks {self.who} "
                f"(HTTP {answer.status})",
                "Put them into the connection's extra proxy.",
                answer.status,
            )
        if answer.status in (408, 499) or answer.status >= 500 or _matches(said.code, PASSING):
            return self.passing(f"{self.who} failed with {said.words}", f"Request id: {said.request_id or 'none'}.")
        return None

    def refused(self, answer: HttpAnswer) -> NoCredentialError:
        """Return the error for a refusal of STS."""
        said = Said.of(answer, self.secrets)
        if said.code is None:
            what = f"{self.who} failed with {said.words}"
            fix = "STS names a code in JSON. If it goes on, look for a proxy that answers in its place."
            is_refusal = answer.status in REFUSALS
            return self.refused_at_first(what, fix, answer.status) if is_refusal else self.passing(what, fix)
        advice = next(advice for pattern, advice in ADVICE.items() if fnmatchcase(said.code, pattern))
        return NoCredentialError(
            f"{self.who} failed with {said.words}",
            f"{advice} Request id: {said.request_id or 'none'}.",
            error=DdsAccessDeniedError,
            **said.facts(self.action),
        )

    def unreadable(self) -> NoCredentialError:
        """Return the error for an answer that is no credential."""
        return self.passing(
            f"{self.who} answered with something that is no credential",
            "If it goes on, look for a proxy that answers in its place.",
        )

    def expired(self, at: float) -> NoCredentialError:
        """Return the error for a credential that had expired when it came.

        :param at: epoch seconds.
        """
        moment = datetime.fromtimestamp(at, tz=timezone.utc)
        return self.passing(
            f"{self.who} handed out a credential that expired at {moment:%Y-%m-%dT%H:%M:%SZ}",
            "Set the clock of this machine right (NTP), or look at what renews the credential there.",
        )


@dataclass(frozen=True)
class Said:
    """What an answer says went wrong."""

    status: int
    code: str | None
    message: str
    request_id: str | None
    kind: str

    @classmethod
    def of(cls, answer: HttpAnswer, secrets: Iterable[str]) -> Said:
        """Read an answer, whatever it is."""
        body = json_object(answer.body)
        code, request_id = (_text(body.get(name)) for name in ("Code", "RequestId"))
        return cls(
            answer.status,
            None if code is None else escaped(code, secrets, limit=100),
            escaped(_text(body.get("Message")), secrets),
            escaped(request_id or answer.headers.get("x-acs-request-id"), secrets) or None,
            "" if body or not answer.body else _kind(answer),
        )

    @property
    def words(self) -> str:
        """The whole in a line."""
        what = f"{self.code or 'an error without a code'} (HTTP {self.status})"
        return f"{what}: {self.message or self.kind}".rstrip(".: ")

    def facts(self, action: str) -> dict[str, Any]:
        """Return it as an error's fields."""
        return {
            "action": action,
            "code": self.code,
            "http_status": self.status,
            "request_id": self.request_id,
            "message": self.message,
        }


def unexpected(error: Exception) -> NoCredentialError:
    """Return the error for what nobody foresaw, with the place where it happened: a mistake of this package."""
    place = error.__traceback__
    while place and place.tb_next:
        place = place.tb_next
    where = f" in {Path(place.tb_frame.f_code.co_filename).name}, line {place.tb_lineno}" if place else ""
    return NoCredentialError(
        f"{type(error).__name__}{where}", "Report it with the version of this package.", error=DdsTransportError
    )


def json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body is, or an empty one."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _matches(code: str | None, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(code or "", pattern) for pattern in patterns)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _kind(answer: HttpAnswer) -> str:
    start = answer.body[:200].lstrip().lower()
    return "HTML instead of JSON" if start.startswith((b"<!doctype", b"<html")) else "no JSON"


def _host_of(location: str) -> str:
    try:
        host = urlsplit(location).hostname or ""
    except ValueError:
        host = "?"
    if not host:
        return "another path there"
    return host if _HOST.fullmatch(host) else "an address that is none"
