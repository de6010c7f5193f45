"""A credential is fetched once for all, kept, renewed in time, and replaced when the service refuses it."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_dds.client import sending
from airflow_provider_dds.emulator import Role
from airflow_provider_dds.exceptions import DdsAccessDeniedError, DdsTransportError
from airflow_provider_dds.hooks.dds import DdsHook
from airflow_provider_dds.sensors.dds import DdsBackupSensor
from airflow_provider_dds.triggers.dds import DdsBackupTrigger
from tests.integration.credentials.scene import ARN, FETCH, FETCHED, STS_CALL, FakeTime, expire, lent
from tests.support.runner import MODES, REPLICA, Run
from tests.support.versions import airflow_sensor


@pytest.mark.parametrize("auth_type", FETCHED)
def test_credential_is_fetched_and_used(given, auth_type):
    emulator, hook = given(auth_type)
    assert hook.describe_db_instance(REPLICA).status == "Running"
    assert hook.create_backup(REPLICA)
    [credential] = lent(emulator)
    for action in ("DescribeDBInstanceAttribute", "CreateBackup"):
        [request] = emulator.requests(action)
        assert (request.access_key_id, request.status) == (credential.access_key_id, 200)
    assert emulator.calls(FETCH[auth_type]) == 1


@pytest.mark.parametrize("auth_type", FETCHED)
def test_hooks_of_all_threads_share_one_credential(given, auth_type):
    emulator, _ = given(auth_type)
    gate = threading.Barrier(16)

    def work(_: int) -> str:
        gate.wait()
        return DdsHook().describe_db_instance(REPLICA).status

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(work, range(16))) == {"Running"}
    assert emulator.calls(FETCH[auth_type]) == 1


@pytest.mark.parametrize("auth_type", FETCHED)
def test_many_triggers_assume_the_role_once(given, auth_type, clock):
    emulator, hook = given(auth_type)
    sensor = DdsBackupSensor(
        task_id="wait", db_instance_id=REPLICA, backup_job_id=hook.create_backup(REPLICA), timeout=3600, deferrable=True
    )
    run = Run(sensor, clock)
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute(run.context())
    _, kwargs = deferred.value.trigger.serialize()
    sending.forget_services()
    before = emulator.calls(FETCH[auth_type])
    clock.advance(400)
    run._timeout_at = clock.now + 3600

    async def fire(trigger: DdsBackupTrigger) -> Any:
        run.set_up_trigger(trigger)
        async for event in trigger.run():
            return event
        raise AssertionError("the trigger ended without an event")

    async def all_at_once() -> list[Any]:
        return await asyncio.gather(*(fire(DdsBackupTrigger(**kwargs)) for _ in range(40)))

    assert len(asyncio.run(all_at_once())) == 40
    assert emulator.calls(FETCH[auth_type]) - before == 1


def test_tasks_of_all_regions_share_the_credential_of_the_connection(cloud, connect):
    connect(cloud, "ram_role_arn")
    hooks = [DdsHook(region_id=region) for region in (None, "cn-beijing", "eu-central-1")]
    for hook in hooks:
        hook.describe_backup_tasks(REPLICA)
    assert cloud.calls("AssumeRole") == 1


def test_another_connection_has_another_credential(cloud, connect):
    connect(cloud, "ram_role_arn").describe_backup_tasks(REPLICA)
    connect(cloud, "ram_role_arn", role_session_name="other").describe_backup_tasks(REPLICA)
    assert cloud.calls("AssumeRole") == 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("auth_type", FETCHED)
def test_token_is_renewed_before_it_expires_during_a_long_wait(given, clock, auth_type, mode, monkeypatch):
    emulator, _ = given(auth_type)
    if auth_type not in STS_CALL:
        emulator.sts.put(Role(ARN, session_seconds=3600))
    monkeypatch.setattr(airflow_sensor, "time", FakeTime(clock))
    emulator.service.next_job(REPLICA, seconds=3 * 3600)
    kept = DdsHook()  # and with it the first credential
    job = kept.create_backup(REPLICA)
    sensor = DdsBackupSensor(
        task_id="wait", db_instance_id=REPLICA, backup_job_id=job, poke_interval=300, timeout=12 * 3600, **MODES[mode]
    )
    assert Run(sensor, clock).once()["status"] == "Success"
    assert [request.code for request in emulator.requests() if request.code] == []
    used = {request.access_key_id for request in emulator.requests("DescribeBackupTasks")}
    assert used == {credential.access_key_id for credential in lent(emulator)}
    assert 4 <= len(used) <= 6  # three hours and a half, of which each token serves 45 minutes


@pytest.mark.parametrize("auth_type", list(STS_CALL))
def test_token_that_is_still_good_bears_with_an_sts_that_is_down(cloud, connect, clock, auth_type, logged):
    hook = connect(cloud, auth_type)
    hook.describe_backup_tasks(REPLICA)
    clock.advance(2800)
    cloud.add_fault("error", action=STS_CALL[auth_type], times=None)
    hook.describe_backup_tasks(REPLICA)
    hook.describe_backup_tasks(REPLICA)
    assert cloud.calls(STS_CALL[auth_type]) == 2  # not asked at each call
    assert "The credential is good for another 800 s, but could not be renewed yet" in logged()
    cloud.clear_faults()
    clock.advance(31)
    hook.describe_backup_tasks(REPLICA)
    assert len(lent(cloud)) == 2


def test_token_that_has_expired_meanwhile_does_not_bear_with_it(cloud, connect, clock):
    hook = connect(cloud, "ram_role_arn")
    hook.describe_backup_tasks(REPLICA)
    clock.advance(3700)
    cloud.add_fault("error", action="AssumeRole", times=None)
    with pytest.raises(DdsTransportError, match="InternalError"):
        hook.describe_backup_tasks(REPLICA)


@pytest.mark.parametrize("auth_type", FETCHED)
@pytest.mark.parametrize("kind", ["error", "html", "reset_before", "empty_body", "null_body", "wrong_shape"])
def test_create_goes_out_once_the_credential_can_be_had(given, auth_type, kind, clock):
    emulator, hook = given(auth_type)
    hook.describe_backup_tasks(REPLICA)
    clock.advance(6 * 3600 + 60)
    emulator.add_fault(kind, action=FETCH[auth_type], times=1)
    hook.create_backup(REPLICA)
    assert len([request for request in emulator.requests("CreateBackup") if request.executed]) == 1


@pytest.mark.parametrize("auth_type", FETCHED)
def test_read_and_create_are_repeated_once_with_a_fresh_token(given, auth_type, logged):
    emulator, hook = given(auth_type)
    hook.describe_backup_tasks(REPLICA)
    expire(emulator)
    hook.describe_backup_tasks(REPLICA)
    expire(emulator)
    hook.create_backup(REPLICA)
    for action, codes in (
        ("DescribeBackupTasks", [None, "InvalidSecurityToken.Expired", None]),
        ("CreateBackup", ["InvalidSecurityToken.Expired", None]),
    ):
        assert [request.code for request in emulator.requests(action)] == codes
    assert [request.executed for request in emulator.requests("CreateBackup")] == [False, True]
    assert len(lent(emulator)) == 3
    assert "repeating it with a fresh one" in logged()


def test_many_refused_calls_ask_for_one_fresh_token(cloud, connect):
    connect(cloud, "ram_role_arn").describe_backup_tasks(REPLICA)
    expire(cloud)
    gate = threading.Barrier(16)

    def work(_: int) -> None:
        gate.wait()
        DdsHook().describe_backup_tasks(REPLICA)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))
    assert cloud.calls("AssumeRole") == 2


def test_second_refusal_is_final(cloud, connect):
    cloud.add_fault("error", action="CreateBackup", times=None, status=400, code="InvalidSecurityToken.Expired")
    with pytest.raises(DdsAccessDeniedError, match=r"InvalidSecurityToken\.Expired"):
        connect(cloud, "ram_role_arn").create_backup(REPLICA)
    assert (cloud.calls("CreateBackup"), cloud.calls("AssumeRole")) == (2, 2)


@pytest.mark.parametrize("auth_type", [*FETCHED, "default"])
def test_no_thread_stays_behind(given, auth_type):
    emulator, hook = given(auth_type)
    before = threading.active_count()
    hook.describe_backup_tasks(REPLICA)
    expire(emulator)
    hook.describe_backup_tasks(REPLICA)
    assert threading.active_count() == before
