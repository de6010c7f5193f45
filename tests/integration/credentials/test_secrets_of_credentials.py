"""Nothing that was fetched, or asked with, is shown: by a log at DEBUG, an error, a trigger or an XCom."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import threading
from importlib import import_module
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import redact

from airflow_provider_dds.client.driver import adrive
from airflow_provider_dds.exceptions import DdsError, DdsTransportError
from airflow_provider_dds.sensors.dds import DdsBackupSensor
from tests.integration.credentials.scene import ARN, FETCH, FETCHED, TOKEN, FakeTime, lent, refused
from tests.support.frames import secrets_in_frames
from tests.support.runner import REPLICA, Run
from tests.support.versions import airflow_sensor, needs_supervisor


@pytest.mark.parametrize("auth_type", FETCHED)
@pytest.mark.parametrize("way", ["blocking", "async"])
def test_what_is_fetched_is_masked(given, auth_type, way, logged):
    emulator, hook = given(auth_type)
    if way == "blocking":
        hook.describe_backup_tasks(REPLICA)
    else:
        asyncio.run(hook.adescribe_backup_tasks(REPLICA))
    [credential] = lent(emulator)
    for secret in (credential.access_key_secret, credential.security_token):
        assert redact(f"here it is: {secret}") == "here it is: ***"
        assert secret not in redact(logged())
    if auth_type == "oidc_role_arn":
        assert TOKEN not in redact(logged())


@needs_supervisor
@pytest.mark.parametrize("auth_type", FETCHED)
def test_supervisor_is_told_by_the_event_loop_alone(given, auth_type, monkeypatch):
    """In a triggerer the supervisor is reached through a connection of the loop: no thread of the pool may use it."""
    emulator, hook = given(auth_type)
    told: dict[str, str] = {}

    class Comms:
        def send(self, message: Any) -> None:
            told[message.value] = threading.current_thread().name

        async def asend(self, message: Any) -> None:  # codespell:ignore asend
            await asyncio.sleep(0)
            told[message.value] = threading.current_thread().name

    monkeypatch.setattr(
        import_module("airflow.sdk.execution_time.task_runner"), "SUPERVISOR_COMMS", Comms(), raising=False
    )

    async def at_once() -> None:
        await asyncio.gather(*(hook.adescribe_backup_tasks(REPLICA) for _ in range(20)))

    asyncio.run(at_once())
    [credential] = lent(emulator)
    assert {credential.access_key_secret, credential.security_token} <= told.keys()
    assert not [thread for thread in told.values() if thread.startswith("dds")]


@pytest.mark.parametrize("way", ["blocking", "async"])
def test_secrets_of_the_connection_are_masked(machine, connect, way):
    extra = {
        "security_token": f"token/of+{way}==",
        "proxy": f"http://user:pro%2Fxy-{way}@127.0.0.1:9",
        "role_arn": ARN,
    }
    hook = connect(machine, "ram_role_arn", ("LTAI-of-mine", f"secret-{way}"), **extra)
    if way == "blocking":
        hook.get_conn()
    else:
        asyncio.run(adrive(hook._calls.service()))
    for secret in (
        f"secret-{way}",
        f"token/of+{way}==",
        f"pro%2Fxy-{way}",
        f"pro/xy-{way}",
        f"token%2Fof%2B{way}%3D%3D",
    ):
        assert redact(f"<{secret}>") == "<***>"
    uri = f"http://127.0.0.1:9/{way}-token-in-the-path"
    hook = connect(machine, "credentials_uri", credentials_uri=uri)
    hook.get_conn() if way == "blocking" else asyncio.run(adrive(hook._calls.service()))
    assert redact(f"<{uri}>") == "<***>"


@pytest.mark.parametrize(
    "variable", ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
)
@pytest.mark.parametrize("scheme", ["http://", ""])
@pytest.mark.parametrize("way", ["blocking", "async"])
def test_password_of_a_proxy_of_the_environment_is_masked(machine, connect, monkeypatch, variable, scheme, way):
    monkeypatch.setenv(variable, f"{scheme}user:pro%2Fxy-of-all@proxy.test:3128")
    hook = connect(machine, "credentials_uri")
    hook._service() if way == "blocking" else asyncio.run(adrive(hook._calls.service()))
    basic = base64.b64encode(b"user:pro/xy-of-all").decode()
    for shown in ("pro%2Fxy-of-all", "pro/xy-of-all", basic):
        assert redact(f"Proxy-Authorization: Basic {shown}") == "Proxy-Authorization: Basic ***"


@pytest.mark.parametrize("said_by", ["extra", "environment"])
def test_password_of_a_proxy_that_somebody_repeats_is_in_no_error(machine, connect, monkeypatch, said_by):
    address = "http://user:pro%2Fxy-of-all@proxy.test:3128"
    if said_by == "environment":
        monkeypatch.setenv("HTTPS_PROXY", address)
    basic = base64.b64encode(b"user:pro/xy-of-all").decode()
    message = f"Basic {basic}, pro/xy-of-all and pro%2Fxy-of-all"
    machine.add_fault("error", code="InvalidParameter", message=message, status=400, action="DescribeBackupTasks")
    hook = connect(
        machine, "credentials_uri", **({"proxy": "none"} if said_by == "environment" else {"proxy": address})
    )
    monkeypatch.setattr("airflow_provider_dds.client.proxy._is_here", lambda _: True)
    with pytest.raises(DdsError) as caught:
        hook.describe_backup_tasks(REPLICA)
    assert "Basic ***, *** and ***" in str(caught.value)
    assert "***, *** and ***" in caught.value.message


@pytest.mark.parametrize("auth_type", FETCHED)
@pytest.mark.parametrize("kind", ["error", "html", "reset_before", "wrong_shape"])
def test_sdk_writes_nothing_about_a_failed_fetch(given, auth_type, kind, logged):
    emulator, hook = given(auth_type)
    emulator.add_fault(kind, action=FETCH[auth_type], times=None)
    with pytest.raises(DdsError):
        hook.describe_backup_tasks(REPLICA)
    text = redact(logged())
    for secret in (TOKEN, "Refresh credentials failed", "secret-of-the-user"):
        assert secret not in text


@pytest.mark.parametrize("auth_type", FETCHED)
def test_trigger_and_xcom_carry_no_credential(given, auth_type, clock, monkeypatch):
    emulator, hook = given(auth_type)
    monkeypatch.setattr(airflow_sensor, "time", FakeTime(clock))
    job = hook.create_backup(REPLICA)
    sensor = DdsBackupSensor(task_id="wait", db_instance_id=REPLICA, backup_job_id=job, timeout=3600, deferrable=True)
    run = Run(sensor, clock)
    result = run.once()
    shown = json.dumps([result, run.deferrals, run.events, run.ti.xcoms, run.store])
    for credential in lent(emulator):
        for secret in (credential.access_key_id, credential.access_key_secret, credential.security_token):
            assert secret not in shown


@pytest.mark.parametrize("way", ["blocking", "async"])
@pytest.mark.parametrize("kind", [None, "error", "html", "reset_before", "wrong_shape", "truncated_body"])
def test_token_of_an_address_is_in_no_log_at_debug(machine, connect, caplog, way, kind):
    """Not even before Airflow's masker has seen it: no library below writes request lines."""
    caplog.set_level("DEBUG")
    if kind:
        machine.add_fault(kind, action="CredentialsURI", times=None)
    address = f"{machine.url}/credentials/backup?token=token%2Fof-the-sidecar&token=the-second-one"
    hook = connect(machine, "credentials_uri", credentials_uri=address.replace("//", "//me:password-1@"))
    with contextlib.suppress(DdsError):
        hook.describe_backup_tasks(REPLICA) if way == "blocking" else asyncio.run(hook.adescribe_backup_tasks(REPLICA))
    text = "".join(f"{record.getMessage()}{record.args}" for record in caplog.records if "emulator" not in record.name)
    for secret in ("token%2Fof", "token/of", "the-second-one", "password-1", "CAIS"):
        assert secret not in text
    for shown in ("token%2Fof-the-sidecar", "token/of-the-sidecar", "the-second-one", "password-1"):
        assert redact(f"GET /x?token={shown} HTTP/1.1") == "GET /x?token=*** HTTP/1.1"


@pytest.mark.parametrize("auth_type", FETCHED)
@pytest.mark.parametrize("kind", ["error", "html", "reset_before", "wrong_shape", "truncated_body", "throttle"])
@pytest.mark.parametrize("fetched_before", [False, True])
def test_no_frame_that_an_error_keeps_holds_a_secret(given, clock, auth_type, kind, fetched_before):
    emulator, hook = given(auth_type)
    secrets = [TOKEN, "secret-of-the-user", "Signature=", "token-of-the-sidecar"]
    if auth_type == "credentials_uri":
        emulator, hook = given(auth_type, credentials_uri=f"{emulator.url}/credentials/backup?t=token-of-the-sidecar")
    if fetched_before:
        hook.describe_backup_tasks(REPLICA)
        secrets += [secret for each in lent(emulator) for secret in (each.access_key_secret, each.security_token)]
        clock.advance(7 * 3600)
    emulator.add_fault(kind, action=FETCH[auth_type], times=None)
    for ask in (hook.describe_backup_tasks, lambda instance: asyncio.run(hook.adescribe_backup_tasks(instance))):
        with pytest.raises(DdsError) as caught:
            ask(REPLICA)
        assert secrets_in_frames(caught.value, *secrets) == []


def test_mistake_of_our_own_shows_nothing_either(machine, connect, monkeypatch):
    def mistaken(*_: Any) -> Any:
        secret = "CAIS-of-a-frame"
        raise KeyError(secret)

    monkeypatch.setattr("airflow_provider_dds.client.sources.metadata.lent_from", mistaken)
    hook = connect(machine, "ecs_ram_role")
    error = refused(DdsTransportError, hook)
    assert "KeyError in test_secrets_of_credentials.py, line" in str(error)
    assert secrets_in_frames(error, "CAIS-of-a-frame") == []
