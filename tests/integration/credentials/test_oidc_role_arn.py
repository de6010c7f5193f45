"""A role for the token of an OIDC provider, from a file."""

from __future__ import annotations

import ssl
from dataclasses import replace

import pytest

from airflow_provider_dds.client.sources import of_settings
from airflow_provider_dds.emulator import Role
from airflow_provider_dds.exceptions import DdsAccessDeniedError, DdsConfigurationError
from tests.integration.credentials.scene import ARN, OIDC_ARN, TOKEN, lent, refused
from tests.support.hostile_front import Front
from tests.support.runner import REPLICA


def test_rotated_token_file_is_read_again(cloud, connect, clock, token_file):
    hook = connect(cloud, "oidc_role_arn")
    hook.describe_backup_tasks(REPLICA)
    cloud.sts.put(replace(cloud.sts.roles[ARN], oidc_tokens=["second-token-of-the-pod"]))
    token_file.write_text("second-token-of-the-pod")
    clock.advance(3500)
    hook.describe_backup_tasks(REPLICA)
    assert [request.status for request in cloud.requests("AssumeRoleWithOIDC")] == [200, 200]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.unlink(), "No such file or directory"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "it is not text"),
        (lambda path: (path.unlink(), path.mkdir()), "Is a directory"),
        (lambda path: path.write_text(""), "it is empty"),
        (lambda path: path.write_text(" \n\t\n"), "it is empty"),
    ],
)
def test_token_file_that_cannot_be_read(cloud, connect, token_file, spoil, said):
    hook = connect(cloud, "oidc_role_arn")
    spoil(token_file)
    error = refused(DdsConfigurationError, hook)
    assert f"(auth_type 'oidc_role_arn'): {token_file} holds no token that can be read here ({said})" in str(error)
    assert "oidc_token_file_path" in str(error)
    assert cloud.requests() == []


def test_token_file_that_was_not_renewed(cloud, connect, token_file):
    token_file.write_text("token-of-yesterday")
    error = refused(DdsAccessDeniedError, connect(cloud, "oidc_role_arn"))
    assert error.code == "AuthenticationFail.OIDCToken.Expired"
    assert "whatever writes the file must renew it" in str(error)


def test_oidc_provider_that_is_not_registered(cloud, connect):
    error = refused(DdsAccessDeniedError, connect(cloud, "oidc_role_arn", oidc_provider_arn=OIDC_ARN + "-not"))
    assert "must be registered in RAM" in str(error)


@pytest.mark.parametrize("text", [f"{TOKEN}\n", f"\n  {TOKEN}\r\n"])
def test_what_surrounds_the_token_is_not_sent(cloud, connect, token_file, text):
    token_file.write_text(text)
    assert connect(cloud, "oidc_role_arn").describe_db_instance(REPLICA).status == "Running"


def test_token_is_in_no_address(machine, connect, certificate, monkeypatch):
    """Proxies and servers write addresses into their logs."""
    machine.sts.put(Role(ARN, oidc_provider_arn=OIDC_ARN, oidc_tokens=[TOKEN]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with Front(machine.port, tls=context) as front:
        monkeypatch.setattr(of_settings, "sts_endpoint_for", lambda _: front.address)
        hook = connect(machine, "oidc_role_arn", ca_file=str(certificate[0]))
        hook.describe_backup_tasks(REPLICA)
        [exchange] = front.exchanges
        assert TOKEN.encode() not in exchange.head
        assert TOKEN.encode() in exchange.request


def test_file_that_is_away_for_a_moment_is_borne_with_while_the_credential_is_good(
    cloud, connect, clock, token_file, logged
):
    hook = connect(cloud, "oidc_role_arn")
    hook.describe_backup_tasks(REPLICA)
    clock.advance(2800)
    token_file.write_text("")
    hook.describe_backup_tasks(REPLICA)
    assert "could not be renewed yet" in logged()
    token_file.write_text(TOKEN)
    clock.advance(31)
    hook.describe_backup_tasks(REPLICA)
    assert len(lent(cloud)) == 2
