"""Fields of a connection -> its settings, or what is said of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_dds.client.settings import DdsSettings, settings_from
from airflow_provider_dds.exceptions import DdsConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

VALUES: dict[str, Any] = {
    "access_key_id": "LTAI-key-id",
    "access_key_secret": "top-secret",
    "security_token": "sts-token",
    "role_arn": "acs:ram::1234:role/backup",
    "role_session_name": "nightly",
    "role_session_expiration": 1800,
    "external_id": "ext-1",
    "policy": '{"Version": "1"}',
    "oidc_provider_arn": "acs:ram::1234:oidc-provider/ack",
    "oidc_token_file_path": "/var/run/token",
    "role_name": "ecs-role",
    "credentials_uri": "http://127.0.0.1:8080/credential",
}
STANDARD: dict[str, Any] = {"login": None, "password": None, "host": None, "port": None, "schema": None}
KEY = {"login": "LTAI-key-id", "password": "top-secret"}


def settings(*, extra: Any = None, region_id: str | None = None, **standard: Any) -> DdsSettings:
    """Return the settings of a connection; ``extra`` is a dict (a region is added) or the raw text."""
    if extra is None or isinstance(extra, dict):
        extra = json.dumps({"region_id": "cn-hangzhou", **(extra or {})})
    return settings_from(conn_id="backups", extra=extra, region_id=region_id, **{**STANDARD, **standard})


def with_fields(auth_type: str, names: Iterable[str]) -> DdsSettings:
    """Return the settings of a connection with some fields of a credential."""
    return settings(extra={"auth_type": auth_type, **{name: VALUES[name] for name in names}})


def refused(match: str, **fields: Any) -> str:
    """Return the text with which a connection is refused; it names the connection and a field."""
    with pytest.raises(DdsConfigurationError, match=match) as caught:
        settings(**fields)
    text = str(caught.value)
    assert text.startswith("Connection 'backups', field '")
    return text
