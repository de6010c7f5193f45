"""The settings of a connection: equal or not, and without a secret in sight."""

from __future__ import annotations

import pytest

from airflow_provider_dds.masking import forms_of_all
from tests.support.connections import KEY, settings, with_fields

# --- the settings themselves ------------------------------------------------------------------------------------------

FULL = {
    **KEY,
    "host": "https://dds.example:8443",
    "extra": {
        "auth_type": "ram_role_arn",
        "security_token": "sts-token",
        "role_arn": "acs:ram::1:role/r",
        "policy": {"Version": "1"},
        "proxy": "http://user:proxy-secret@proxy.example:3128",
    },
}


def test_repr_shows_no_secret():
    for shown in (repr(settings(**FULL)), str(settings(**FULL))):
        assert "dds.example:8443" in shown
        for secret in ("top-secret", "sts-token", "proxy-secret", "LTAI-key-id"):
            assert secret not in shown


def test_secrets_are_what_no_text_may_carry():
    assert set(settings(**FULL).secrets) == {"top-secret", "sts-token", "proxy-secret", "user:proxy-secret"}
    escaped = settings(**KEY, extra={"auth_type": "sts", "security_token": "a/b+c=", "proxy": "http://u:p%2Fq@h:1"})
    assert set(escaped.secrets) == {"top-secret", "a/b+c=", "p%2Fq", "p/q", "u:p%2Fq", "u:p/q"}
    assert {"a%2Fb%2Bc%3D", "p/q", "dTpwL3E="} <= set(forms_of_all(escaped.secrets))
    by_uri = with_fields("credentials_uri", ["credentials_uri"])
    assert by_uri.secrets == ("http://127.0.0.1:8080/credential", "/credential")
    assert settings().secrets == ()


def test_equal_connections_are_equal_settings_with_one_hash():
    one, other = settings(**FULL), settings(**FULL)
    assert one is not other
    assert one == other
    assert hash(one) == hash(other)


@pytest.mark.parametrize(
    "change",
    [
        {"password": "other-secret"},
        {"login": "other-id"},
        {"host": "https://other.example:8443"},
        {"region_id": "eu-central-1"},
        {"extra": {**FULL["extra"], "proxy": "http://proxy.example"}},
        {"extra": {**FULL["extra"], "read_timeout": 20}},
        {"extra": {**FULL["extra"], "security_token": "other-token"}},
    ],
    ids=str,
)
def test_other_connections_are_other_settings(change):
    assert settings(**{**FULL, **change}) != settings(**FULL)
