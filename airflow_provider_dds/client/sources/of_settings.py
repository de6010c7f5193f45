"""Which source the settings of a connection name, and what it is asked with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_dds.client.sources import sts
from airflow_provider_dds.client.sources.asking import Lent
from airflow_provider_dds.client.sources.chain import default_chain
from airflow_provider_dds.client.sources.metadata import instance_role
from airflow_provider_dds.client.sources.uri import credential_from_uri

if TYPE_CHECKING:
    from airflow_provider_dds.client.settings import DdsSettings
    from airflow_provider_dds.client.sources.asking import Attempt

FIXED = ("access_key", "sts")
"""The auth types whose credential is in the connection itself, and stays as it is."""


def lent_for(settings: DdsSettings, attempt: Attempt) -> Lent:
    """Return the credential of a connection. Its fields were checked: none is filled from the environment.

    :raises NoCredentialError: there is none.
    """
    fields = dict(settings.credential)
    auth_type = settings.auth_type
    if auth_type == "ecs_ram_role":
        return instance_role(attempt, fields.get("role_name"))
    if auth_type == "credentials_uri":
        return credential_from_uri(attempt, fields["credentials_uri"])
    if auth_type == "default":
        return default_chain(attempt, sts_endpoint_for(settings))
    if auth_type == "oidc_role_arn":
        provider, token_file = fields["oidc_provider_arn"], fields["oidc_token_file_path"]
        return sts.assume_role_with_oidc(attempt, _role(settings), provider, token_file, sts_endpoint_for(settings))
    key = Lent(fields["access_key_id"], fields["access_key_secret"], fields.get("security_token"))
    if key.security_token:
        key = replace(key, source="static_sts")
    if auth_type in FIXED:
        return key
    return sts.assume_role(attempt, _role(settings), key, sts_endpoint_for(settings))


def sts_endpoint_for(settings: DdsSettings) -> str:
    """Return the STS to ask: that of the connection's region, inside a VPC its entrance there."""
    return sts.sts_host(settings.sts_region_id, vpc=settings.network == "vpc")


def _role(settings: DdsSettings) -> sts.Role:
    fields = dict(settings.credential)
    return sts.Role(
        fields["role_arn"],
        fields.get("role_session_name"),
        fields.get("role_session_expiration"),
        fields.get("policy"),
        fields.get("external_id"),
    )
