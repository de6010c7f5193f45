"""A credential from an address that hands one out to whoever asks (credentials_uri)."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from airflow_provider_dds.client.credential_errors import Question, json_object
from airflow_provider_dds.client.sources.asking import lent_from
from airflow_provider_dds.masking import as_sent

if TYPE_CHECKING:
    from airflow_provider_dds.client.sources.asking import Attempt, Lent


def credential_from_uri(attempt: Attempt, uri: str, who: str = "the address in credentials_uri") -> Lent:
    """Return what the address hands out now.

    :param uri: the address, which may itself be a secret; user and password in it are sent as HTTP's Basic scheme says.
    :param who: the address, as errors name it.
    :raises NoCredentialError: it is no credential.
    """
    question = Question(who, secrets=attempt.secrets, answered_before=attempt.renews, is_named=True)
    parts = urlsplit(uri)
    pair, _, host = parts.netloc.rpartition("@")
    headers = {}
    if pair:
        headers["authorization"] = f"Basic {b64encode(unquote(pair).encode()).decode()}"
    address = urlunsplit((parts.scheme, host, as_sent(parts.path), as_sent(parts.query), ""))
    answer = attempt.ask(question, "GET", address, headers=headers)
    if answer.status != 200:
        raise question.wrong_at_first(f"{who} answered HTTP {answer.status}", "Check the address.")
    body = json_object(answer.body)
    lent = lent_from(question, body, "credential_uri") if body.get("Code") == "Success" else None
    if lent is None:
        raise question.wrong_at_first(
            f"{who} answered with something that is no credential",
            "It must answer a JSON object with Code (Success), AccessKeyId, AccessKeySecret, SecurityToken and "
            "Expiration. Check the address.",
        )
    return lent
