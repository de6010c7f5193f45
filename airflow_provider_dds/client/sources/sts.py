"""A role that STS lends, to whom holds a key (AssumeRole) or a token of an OIDC provider (AssumeRoleWithOIDC).

.. seealso:: https://www.alibabacloud.com/help/en/ram/developer-reference/api-sts-2015-04-01-assumerole
.. seealso:: https://www.alibabacloud.com/help/en/ram/developer-reference/api-sts-2015-04-01-assumerolewithoidc
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from airflow_provider_dds.client.credential_errors import NoCredentialError, Question, json_object
from airflow_provider_dds.client.signing import signed_headers
from airflow_provider_dds.client.sources.asking import Lent, lent_from
from airflow_provider_dds.exceptions import DdsConfigurationError

if TYPE_CHECKING:
    from airflow_provider_dds.client.outcome import HttpAnswer
    from airflow_provider_dds.client.sources.asking import Attempt

VERSION = "2015-04-01"
SESSION_NAME = "airflow-provider-dds"
"""What the audit log shows where the connection gives no role_session_name."""
SESSION_SECONDS = 3600
CENTRAL = frozenset({"ap-south-1", "ap-southeast-2", "cn-beijing-gov-1"})
"""Regions without an STS of their own, after the SDK's table."""


@dataclass(frozen=True)
class Role:
    """The role to ask for, and on which terms.

    :ivar session_seconds: how long it is wanted for.
    :ivar policy: JSON text that narrows the role.
    """

    arn: str
    session_name: str | None = None
    session_seconds: int | None = None
    policy: str | None = None
    external_id: str | None = None

    def parameters(self) -> dict[str, str]:
        """Return it as parameters of the request."""
        given = {
            "RoleArn": self.arn,
            "RoleSessionName": self.session_name or SESSION_NAME,
            "DurationSeconds": str(self.session_seconds or SESSION_SECONDS),
            "Policy": self.policy,
            "ExternalId": self.external_id,
        }
        return {name: value for name, value in given.items() if value}


def sts_host(region_id: str | None, *, vpc: bool) -> str:
    """Return the STS to ask: that of a region, inside a VPC its entrance there."""
    if not region_id or region_id in CENTRAL:
        return "sts.aliyuncs.com"
    return f"{'sts-vpc' if vpc else 'sts'}.{region_id}.aliyuncs.com"


def assume_role(attempt: Attempt, role: Role, key: Lent, host: str) -> Lent:
    """Return the role, for a key that may assume it.

    :raises NoCredentialError: STS does not lend it.
    """
    question = _question(attempt, "AssumeRole", role, host)
    query = role.parameters()
    headers = signed_headers("AssumeRole", VERSION, host, query, key)
    answer = attempt.ask(question, "POST", f"https://{host}/?{urlencode(query, quote_via=quote)}", headers=headers)
    return _lent(question, answer, f"ram_role_arn/{key.source}")


def assume_role_with_oidc(attempt: Attempt, role: Role, provider_arn: str, token_file: str, host: str) -> Lent:
    """Return the role, for the token that a file holds now.

    The token goes into the body: addresses end up in logs.

    :raises NoCredentialError: the file cannot be read, or STS does not lend the role.
    """
    token = read_token(token_file)
    attempt.mask((token, quote(token, safe="")))
    question = _question(replace(attempt, secrets=(*attempt.secrets, token)), "AssumeRoleWithOIDC", role, host)
    now = datetime.fromtimestamp(time.time(), tz=timezone.utc)
    query = {
        "Action": "AssumeRoleWithOIDC",
        "Version": VERSION,
        "Format": "JSON",
        "Timestamp": f"{now:%Y-%m-%dT%H:%M:%SZ}",
    }
    form = {**role.parameters(), "OIDCProviderArn": provider_arn, "OIDCToken": token}
    answer = attempt.ask(
        question,
        "POST",
        f"https://{host}/?{urlencode(query)}",
        headers={"content-type": "application/x-www-form-urlencoded"},
        body=urlencode(form, quote_via=quote).encode(),
    )
    return _lent(question, answer, "oidc_role_arn")


def read_token(path: str) -> str:
    """Return the token in a file, without what surrounds it.

    :raises NoCredentialError: there is none.
    """
    try:
        token, why = Path(path).read_text(encoding="utf-8").strip(), "it is empty"
    except (OSError, ValueError) as error:
        token, why = "", getattr(error, "strerror", None) or "it is not text"
    if not token:
        raise NoCredentialError(
            f"{path} holds no token that can be read here ({why})",
            "Check oidc_token_file_path, and that the token is mounted where this runs.",
            error=DdsConfigurationError,
        )
    return token


def _question(attempt: Attempt, action: str, role: Role, host: str) -> Question:
    return Question(
        f"{action} of {role.arn} at {host}", action, attempt.secrets, answered_before=attempt.renews, has_codes=True
    )


def _lent(question: Question, answer: HttpAnswer, source: str) -> Lent:
    body = json_object(answer.body)
    if answer.status != 200 or ("Code" in body and "Credentials" not in body):
        raise question.refused(answer)
    lent = lent_from(question, body.get("Credentials"), source)
    if lent is None:
        raise question.unreadable()
    return lent
