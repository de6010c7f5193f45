"""The default chain of Alibaba Cloud's SDKs: the first place on this machine that has a credential gives it.

In the documented order: environment, OIDC role of the environment, profile of the aliyun command line, credentials
file, role of the ECS instance, credentials URI of the environment. All of them are read when a credential is asked for,
and what goes over the network goes over the connection's own wire.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_dds.client.credential_errors import NoCredentialError, Question
from airflow_provider_dds.client.settings import is_web_address
from airflow_provider_dds.client.sources import metadata, sts
from airflow_provider_dds.client.sources.asking import Lent
from airflow_provider_dds.client.sources.environment import Environment
from airflow_provider_dds.client.sources.profiles import cli_profile, credentials_file
from airflow_provider_dds.client.sources.uri import credential_from_uri
from airflow_provider_dds.masking import forms_of_all, secrets_of_address

if TYPE_CHECKING:
    from airflow_provider_dds.client.sources.asking import Attempt


def default_chain(attempt: Attempt, sts_host: str) -> Lent:
    """Return what the first source has that is there.

    A source that is there and fails for now, or that somebody on the way does not let it ask, ends the search: the next
    one may stand for somebody else.

    :param sts_host: the STS to ask where neither variable nor profile names one.
    :raises NoCredentialError: none has any, or one fails for now.
    """
    environment = Environment(sts_host)
    failure: NoCredentialError | None = None
    for source in (_variables, _oidc_role, cli_profile, credentials_file, _instance_role, _credentials_uri):
        try:
            lent = source(attempt, environment)
        except NoCredentialError as error:
            if error.passes or error.is_of_others:
                raise
            failure = failure or error
        else:
            if lent is not None:
                return replace(lent, source=f"default/{lent.source}")
    who = "the default chain"
    raise failure or Question(who).wrong(
        f"{who} found none on this machine in the variables ALIBABA_CLOUD_ACCESS_KEY_ID and "
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET, an OIDC role, ~/.aliyun/config.json, ~/.alibabacloud/credentials.ini, the "
        "ECS metadata service and ALIBABA_CLOUD_CREDENTIALS_URI",
        "Provide one there, or fill login and password, or another auth_type with its fields, in the connection.",
    )


def _variables(_: Attempt, environment: Environment) -> Lent | None:
    key, secret = environment.of("ACCESS_KEY_ID"), environment.of("ACCESS_KEY_SECRET")
    return Lent(key, secret, environment.of("SECURITY_TOKEN"), source="env") if key and secret else None


def _oidc_role(attempt: Attempt, environment: Environment) -> Lent | None:
    arn, provider, file = map(environment.of, ("ROLE_ARN", "OIDC_PROVIDER_ARN", "OIDC_TOKEN_FILE"))
    if not (arn and provider and file):
        return None
    return sts.assume_role_with_oidc(attempt, environment.named(sts.Role(arn)), provider, file, environment.sts_host())


def _instance_role(attempt: Attempt, environment: Environment) -> Lent | None:
    try:
        return metadata.instance_role(attempt, environment.of("ECS_METADATA"))
    except NoCredentialError as error:
        if error.passes:
            raise
        return None  # forbidden, no ECS instance, or one without a role, as most machines are


def _credentials_uri(attempt: Attempt, environment: Environment) -> Lent | None:
    uri = environment.of("CREDENTIALS_URI")
    if uri is None:
        return None
    if not is_web_address(uri):
        who = "ALIBABA_CLOUD_CREDENTIALS_URI"
        raise Question(who).wrong(
            f"{who} is not an http:// or https:// address with a host, and without # and backslash", "Correct it."
        )
    secrets = secrets_of_address(uri)
    attempt.mask(forms_of_all(secrets))
    attempt = replace(attempt, secrets=(*attempt.secrets, *secrets))
    return credential_from_uri(attempt, uri, "the address in ALIBABA_CLOUD_CREDENTIALS_URI")
