"""A source's refusal that nobody signs with a code (HTTP 401, 403, 407) is final, but only after a second look."""

from __future__ import annotations

import json

import pytest

from airflow_provider_dds.api.errors import is_transient
from airflow_provider_dds.client.sources import metadata
from airflow_provider_dds.exceptions import DdsAccessDeniedError, DdsConfigurationError, DdsTransportError
from tests.integration.credentials.scene import ARN, OIDC_ARN, STS_CALL, refused
from tests.support.hostile import http_answer
from tests.support.hostile_front import Front, Twist
from tests.support.hostile_proxy import Proxy
from tests.support.runner import REPLICA

STATUSES = [401, 403, 407]
STEPS = {"token": 0, "role": 1, "credential": 2}
METADATA = [f"ecs_ram_role, {step}" for step in STEPS]
CHAIN = ["default, metadata", "default, credentials URI", "default, OIDC role", "default, profile with a role"]
SOURCES = [*STS_CALL, "credentials_uri", *METADATA, *CHAIN]
FINAL = (DdsAccessDeniedError, DdsConfigurationError)


def answers(status, body=b"<html><h1>Blocked</h1></html>", kind="text/html"):
    return Twist(delivered=False, answer=http_answer(status, body, kind))


@pytest.fixture
def front(machine, monkeypatch):
    """What stands between the client, metadata service and credentials URI."""
    with Front(machine.port) as front:
        monkeypatch.setattr(metadata, "ADDRESS", front.url)
        yield front


@pytest.fixture
def source(machine, sts, front, connect, certificate, token_file, tmp_path, monkeypatch):
    """Return a hook whose credential comes from a source, what stands before that, and what passes before it asks."""

    def make(name):
        auth_type, _, place = name.partition(", ")
        extra = {"ca_file": str(certificate[0])}
        variables = {}
        asked, before = front, 0
        if auth_type in STS_CALL:
            asked = sts
        elif auth_type == "credentials_uri":
            extra["credentials_uri"] = f"{front.url}/credentials/backup"
        elif auth_type == "ecs_ram_role":
            before = STEPS[place]
        elif place == "credentials URI":
            variables = {"ECS_METADATA_DISABLED": "true", "CREDENTIALS_URI": f"{front.url}/credentials/backup"}
        elif place == "OIDC role":
            variables = {"ROLE_ARN": ARN, "OIDC_PROVIDER_ARN": OIDC_ARN, "OIDC_TOKEN_FILE": str(token_file)}
            asked = sts
        elif place == "profile with a role":
            key = machine.connection_dict()
            profile = {"name": "default", "mode": "RamRoleArn", "ram_role_arn": ARN, "ram_session_name": "nightly"}
            profile |= {"access_key_id": key["login"], "access_key_secret": key["password"]}
            (tmp_path / ".aliyun").mkdir()
            (tmp_path / ".aliyun" / "config.json").write_text(json.dumps({"current": "default", "profiles": [profile]}))
            asked = sts
        for variable, value in variables.items():
            monkeypatch.setenv(f"ALIBABA_CLOUD_{variable}", value)
        return connect(machine, auth_type, **extra), asked, [Twist()] * before

    return make


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("status", STATUSES)
def test_refusal_that_is_over_at_the_second_look(machine, source, name, status):
    hook, asked, before = source(name)
    asked.then(*before, answers(status))
    assert hook.create_backup(REPLICA)
    assert machine.calls("CreateBackup") == 1


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("way", ["read", "create"])
def test_refusal_that_stays_is_final_after_the_second_look(machine, source, name, status, way):
    hook, asked, before = source(name)
    asked.then(*before, *[answers(status)] * 20)
    if way == "create":
        error = refused(FINAL, hook)
    else:
        with pytest.raises(FINAL) as caught:
            hook.describe_backup_tasks(REPLICA)
        error = caught.value
    assert not is_transient(error)
    if name == "default, metadata":  # most machines are no ECS instance: the chain goes on
        assert "the default chain found none" in str(error)
    else:
        assert f"HTTP {status}" in str(error)
    assert len(asked.exchanges) == len(before) + 2
    assert machine.calls("CreateBackup") == machine.calls("DescribeBackupTasks") == 0


@pytest.mark.parametrize("auth_type", STS_CALL)
@pytest.mark.parametrize(
    ("twist", "said"),
    [
        (answers(403), "an error without a code (HTTP 403): HTML instead of JSON. STS names a code in JSON"),
        (answers(407, b""), "wants user and password"),
    ],
    ids=["403", "407"],
)
def test_refusal_says_whose_it_may_be(source, auth_type, twist, said):
    hook, sts, _ = source(auth_type)
    sts.then(*[twist] * 20)
    error = refused(DdsAccessDeniedError, hook)
    assert said in str(error)
    assert (error.code, error.action) == (None, STS_CALL[auth_type])


@pytest.mark.parametrize("auth_type", STS_CALL)
@pytest.mark.parametrize("status", STATUSES[:2])
def test_refusal_with_a_code_of_sts_needs_no_second_look(source, auth_type, status):
    hook, sts, _ = source(auth_type)
    sts.then(*[answers(status, b'{"Code": "NoPermission", "Message": "No."}', "application/json")] * 20)
    assert refused(DdsAccessDeniedError, hook).code == "NoPermission"
    assert len(sts.exchanges) == 1


@pytest.mark.parametrize("name", [*STS_CALL, "credentials_uri"])
@pytest.mark.parametrize("status", STATUSES)
def test_source_that_gave_one_before_is_waited_for(source, clock, name, status):
    hook, asked, _ = source(name)
    hook.describe_backup_tasks(REPLICA)
    clock.advance(7 * 3600)
    asked.then(*[answers(status)] * 4)
    assert hook.create_backup(REPLICA)
    clock.advance(7 * 3600)
    asked.then(*[answers(status)] * 20)
    assert refused(DdsTransportError, hook).request_sent is False


@pytest.mark.parametrize("status", STATUSES)
def test_tunnel_to_sts_that_a_proxy_refuses(machine, connect, certificate, monkeypatch, status):
    monkeypatch.setattr("airflow_provider_dds.client.sources.of_settings.sts_endpoint_for", lambda _: "sts.test")
    with Proxy({"sts.test": 9}) as proxy:
        proxy.tunnels(*[status] * 20)
        hook = connect(machine, "ram_role_arn", ca_file=str(certificate[0]), proxy=proxy.url)
        error = refused(DdsAccessDeniedError, hook)
        assert f"the proxy {proxy.address} let nothing through" in str(error)
        assert (error.http_status, error.action) == (status, "AssumeRole")
        assert len(proxy.tunnelled) == 2
