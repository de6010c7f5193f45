"""The role of the ECS instance, from its metadata service."""

from __future__ import annotations

import socket

import pytest

from airflow_provider_dds.client.credentials import credential_for
from airflow_provider_dds.client.sources import metadata
from airflow_provider_dds.emulator import Metadata
from airflow_provider_dds.exceptions import DdsConfigurationError, DdsTransportError
from tests.integration.credentials.scene import refused
from tests.support.hostile import Trap, http_answer
from tests.support.hostile_answers import redirect
from tests.support.hostile_front import Front, Twist
from tests.support.runner import REPLICA

ASKED = ["MetadataToken", "MetadataRole", "MetadataCredential"]


@pytest.mark.parametrize("tokens", ["optional", "required"])
def test_metadata_service_is_asked_in_hardened_mode(machine, connect, tokens):
    machine.sts.metadata = Metadata(role="backup", tokens=tokens)
    assert connect(machine, "ecs_ram_role").describe_db_instance(REPLICA).status == "Running"
    assert [request.action for request in machine.requests()] == [*ASKED, "DescribeDBInstanceAttribute"]


def test_nothing_is_asked_without_a_token(machine, connect):
    machine.sts.metadata = Metadata(role="backup", tokens="none")
    error = refused(DdsConfigurationError, connect(machine, "ecs_ram_role"))
    assert "answered HTTP 404 when it was asked for a token" in str(error)
    assert "hardened mode" in str(error)
    assert [request.action for request in machine.requests()] == ["MetadataToken"]


def test_name_of_the_ecs_role_may_be_given_and_never_comes_from_the_environment(machine, connect, monkeypatch):
    monkeypatch.setenv("ALIBABA_CLOUD_ECS_METADATA", "role-of-the-environment")
    connect(machine, "ecs_ram_role").describe_db_instance(REPLICA)
    assert machine.calls("MetadataRole") == 1
    connect(machine, "ecs_ram_role", role_name="backup").describe_db_instance(REPLICA)
    assert machine.calls("MetadataRole") == 1


@pytest.fixture
def front(machine, monkeypatch):
    """What stands between the client and the metadata service."""
    with Front(machine.port) as front:
        monkeypatch.setattr(metadata, "ADDRESS", front.url)
        yield front


@pytest.mark.parametrize("name", ["backup\n", "backup\r\n", " backup ", "backup\nanother\n"])
def test_name_of_the_role_may_come_as_a_line(machine, front, connect, name):
    front.then(Twist(), Twist(delivered=False, answer=http_answer(200, name.encode(), "text/plain")))
    assert connect(machine, "ecs_ram_role").describe_db_instance(REPLICA).status == "Running"
    assert front.exchanges[2].head.split(b" ")[1].endswith(b"/backup")


@pytest.mark.parametrize("name", ["", "<html>no</html>", "../../../x", "backup/../x", "a b", "\n"])
def test_name_that_is_none_is_not_asked_for(machine, front, connect, name):
    front.then(*[Twist(), Twist(delivered=False, answer=http_answer(200, name.encode(), "text/html"))] * 5)
    error = refused(DdsTransportError, connect(machine, "ecs_ram_role"))
    assert "something that is no credential" in str(error)
    assert {exchange.head.split(b" ")[1] for exchange in front.exchanges} == {
        b"/latest/api/token",
        b"/latest/meta-data/ram/security-credentials/",
    }


TROUBLE = {
    "500": Twist(delivered=False, answer=http_answer(500, b"oops", "text/plain")),
    "503": Twist(delivered=False, answer=http_answer(503, b"<html>busy</html>", "text/html")),
    "429": Twist(delivered=False, answer=http_answer(429, b"")),
    "408": Twist(delivered=False, answer=http_answer(408, b"")),
    "dropped": Twist(delivered=False, answer=b"", end="close"),
    "reset": Twist(delivered=False, answer=b"", end="reset"),
    "no HTTP": Twist(delivered=False, answer=b"SSH-2.0-OpenSSH_9.6\r\n", end="close"),
}


@pytest.mark.parametrize("step", range(3), ids=ASKED)
@pytest.mark.parametrize("trouble", TROUBLE)
@pytest.mark.parametrize("before", ["at first", "later"])
def test_trouble_of_the_metadata_service_passes(machine, front, connect, clock, step, trouble, before):
    hook = connect(machine, "ecs_ram_role")
    if before == "later":
        hook.describe_backup_tasks(REPLICA)
        clock.advance(6 * 3600 + 60)
    front.then(*[Twist()] * step, TROUBLE[trouble])
    assert hook.create_backup(REPLICA)
    assert machine.calls("CreateBackup") == 1


def test_slow_metadata_service_is_waited_out(machine, front, connect):
    hook = connect(machine, "ecs_ram_role", connect_timeout=0.05, read_timeout=0.15)
    front.then(Twist(delivered=False, answer=b"", end="hang"), Twist(drip=0.05, drip_head=True))
    assert hook.create_backup(REPLICA)


@pytest.mark.parametrize("trouble", ["500", "503"])
def test_metadata_service_that_stays_in_trouble_is_no_matter_of_configuration(machine, front, connect, trouble):
    front.then(*[TROUBLE[trouble]] * 10)
    error = refused(DdsTransportError, connect(machine, "ecs_ram_role"))
    assert f"(HTTP {trouble})" in str(error)
    assert error.request_sent is False


@pytest.mark.parametrize("step", range(3), ids=ASKED)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_of_the_metadata_service_is_not_followed(machine, front, connect, step, status):
    with Trap() as trap:
        front.then(*([*[Twist()] * step, redirect(status, f"{trap.url}/latest/x")] * 5))
        error = refused(DdsTransportError, connect(machine, "ecs_ram_role"))
        assert f"answered HTTP {status}, a redirect to 127.0.0.1" in str(error)
        assert trap.caught == []


@pytest.mark.parametrize("by", ["extra", "environment"])
def test_metadata_service_is_not_asked_by_proxy(machine, connect, monkeypatch, by):
    """Not even where its address is no loopback one."""
    asked = []
    monkeypatch.setattr(metadata, "ADDRESS", "http://100.100.100.200")
    original = socket.socket.connect

    def noted(self, address):
        asked.append(address)
        return original(self, ("127.0.0.1", machine.port) if address[0] == "100.100.100.200" else address)

    monkeypatch.setattr(socket.socket, "connect", noted)
    extra = {}
    if by == "extra":
        extra["proxy"] = "http://user:proxy-secret@127.0.0.1:9"
    else:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    hook = connect(machine, "ecs_ram_role", **extra)
    credential_for(hook._service().settings).ready()
    assert machine.calls("MetadataCredential") == 1
    assert {address[0] for address in asked} == {"100.100.100.200"}


class TestMetadataService:
    """An ECS instance without what it needs, or no ECS instance at all."""

    def test_absent(self, cloud, connect):
        error = refused(DdsConfigurationError, connect(cloud, "ecs_ram_role"))
        assert "nothing answers as the ECS metadata service at 100.100.100.200" in str(error)
        assert "choose another auth_type" in str(error)

    def test_forbidden(self, cloud, connect, monkeypatch):
        """As the variable says when a credential is asked for, not when the SDK was imported."""
        monkeypatch.setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "True")
        error = refused(DdsConfigurationError, connect(cloud, "ecs_ram_role"))
        assert "ALIBABA_CLOUD_ECS_METADATA_DISABLED" in str(error)

    def test_without_a_role(self, machine, connect):
        machine.sts.metadata = Metadata(role=None)
        error = refused(DdsConfigurationError, connect(machine, "ecs_ram_role"))
        assert "Attach a RAM role to the instance" in str(error)

    def test_with_another_role(self, machine, connect):
        error = refused(DdsConfigurationError, connect(machine, "ecs_ram_role", role_name="other"))
        assert "answered HTTP 404" in str(error)

    def test_gone_for_a_while(self, machine, connect, clock):
        hook = connect(machine, "ecs_ram_role")
        hook.describe_backup_tasks(REPLICA)
        clock.advance(5.9 * 3600)
        machine.add_fault("reset_before", action="MetadataCredential", times=None)
        hook.describe_backup_tasks(REPLICA)
