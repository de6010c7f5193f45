"""The role of the ECS instance that this runs on, from the metadata service there, in hardened mode (IMDSv2) only.

.. seealso:: https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from airflow_provider_dds.client.credential_errors import Question, json_object
from airflow_provider_dds.client.sources.asking import lent_from

if TYPE_CHECKING:
    from airflow_provider_dds.client.credential_errors import NoCredentialError
    from airflow_provider_dds.client.outcome import HttpAnswer
    from airflow_provider_dds.client.sources.asking import Attempt, Lent

ADDRESS = "http://100.100.100.200"
DISABLED = "ALIBABA_CLOUD_ECS_METADATA_DISABLED"
TOKEN_SECONDS = 60
"""How long the token is good for: a fetch takes less."""
_TOKEN_PATH = "/latest/api/token"  # noqa: S105 - a path
_ROLES_PATH = "/latest/meta-data/ram/security-credentials/"
_HEADER = re.compile(r"[\x21-\x7e]{1,4096}")
_NAME = re.compile(r"[\w.@-]{1,128}", re.ASCII)


def instance_role(attempt: Attempt, role_name: str | None) -> Lent:
    """Return the credential of the instance's role.

    :param role_name: the role's name; None: the service says.
    :raises NoCredentialError: there is none.
    """
    question = Question(
        f"the ECS metadata service at {urlsplit(ADDRESS).netloc}",
        secrets=attempt.secrets,
        answered_before=attempt.renews,
        may_be_absent=True,
    )
    if os.environ.get(DISABLED, "").strip().lower() == "true":
        raise question.wrong(
            f"{DISABLED} forbids it to ask the metadata service here",
            "Unset the variable, or choose another auth_type.",
        )
    answer = attempt.ask(
        question,
        "PUT",
        ADDRESS + _TOKEN_PATH,
        headers={"x-aliyun-ecs-metadata-token-ttl-seconds": str(TOKEN_SECONDS)},
        direct=True,
    )
    token = answer.body.decode("latin-1").strip()
    if answer.status != 200:
        raise question.wrong(
            f"{question.who} answered HTTP {answer.status} when it was asked for a token, without which this package "
            "does not go on (hardened mode)",
            "Run on an ECS instance whose metadata service may be reached, or choose another auth_type.",
        )
    if not _HEADER.fullmatch(token):
        raise question.unreadable()
    headers = {"x-aliyun-ecs-metadata-token": token}
    name = role_name or _role_name(
        question, attempt.ask(question, "GET", ADDRESS + _ROLES_PATH, headers=headers, direct=True)
    )
    address = f"{ADDRESS}{_ROLES_PATH}{quote(name, safe='')}"
    answer = attempt.ask(question, "GET", address, headers=headers, direct=True)
    if answer.status != 200:
        raise _no_role(question, answer)
    body = json_object(answer.body)
    lent = lent_from(question, body, "ecs_ram_role") if body.get("Code") == "Success" else None
    if lent is None:
        raise question.unreadable()
    return lent


def _role_name(question: Question, answer: HttpAnswer) -> str:
    if answer.status != 200:
        raise _no_role(question, answer)
    name = answer.body.decode("utf-8", "replace").strip().partition("\n")[0].strip()
    if not _NAME.fullmatch(name):
        raise question.unreadable()
    return name


def _no_role(question: Question, answer: HttpAnswer) -> NoCredentialError:
    return question.wrong_at_first(
        f"{question.who} answered HTTP {answer.status}",
        "Attach a RAM role to the instance, and let role_name be empty or that role's name.",
    )
