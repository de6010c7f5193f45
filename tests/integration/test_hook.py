"""The hook against the service over HTTP: connection, calls, retries, errors, the form's test button."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from weakref import ref

import pytest

import airflow_provider_dds
from airflow_provider_dds.api import requests as operations
from airflow_provider_dds.client import calls, sdk
from airflow_provider_dds.client.driver import adrive
from airflow_provider_dds.client.pace import MOST_PAUSE
from airflow_provider_dds.client.retries import ATTEMPTS, Retries
from airflow_provider_dds.client.threads import MOST_OF_ONE
from airflow_provider_dds.client.wire import Wire
from airflow_provider_dds.clock import Clock
from airflow_provider_dds.emulator import Credential, Emulator, Readings
from airflow_provider_dds.exceptions import (
    DdsAccessDeniedError,
    DdsBackupRunningError,
    DdsConfigurationError,
    DdsNotFoundError,
    DdsResponseError,
    DdsServiceError,
    DdsThrottledError,
    DdsTransportError,
)
from airflow_provider_dds.hooks.dds import DdsHook
from airflow_provider_dds.triggers import dds as triggers
from airflow_provider_dds.waiting.backup.listings import Target
from airflow_provider_dds.waiting.backup.observe import observe_job
from tests.support.runner import REPLICA


@pytest.fixture
def connect(emulator, monkeypatch):
    """Change fields of the connection and return a hook for it."""

    def change(extra=None, **fields):
        connection = emulator.connection_dict()
        connection = {**connection, **fields, "extra": {**connection["extra"], **(extra or {})}}
        monkeypatch.setenv("AIRFLOW_CONN_DDS_DEFAULT", json.dumps(connection))
        return DdsHook()

    return change


def test_constructor_does_nothing_but_remember():
    hook = DdsHook("no_such_connection", "cn-nowhere")
    assert (hook.dds_conn_id, hook.region_id) == ("no_such_connection", "cn-nowhere")


def test_get_conn_is_the_sdks_client_and_shared(emulator):
    from alibabacloud_dds20151201.client import Client

    client = DdsHook().get_conn()
    assert isinstance(client, Client)
    assert DdsHook().get_conn() is client


class TestShared:
    """Client, credential and connections of a process: one for all hooks with equal settings, gone with the last."""

    @staticmethod
    def channels(hook):
        return [channel for channels in hook._service().wire._idle._channels.values() for channel in channels]

    def test_hooks_with_equal_settings_share_all(self, emulator):
        one, another = DdsHook(), DdsHook()
        assert one._service() is another._service()
        assert one.get_conn() is another.get_conn()

    def test_all_goes_with_the_last_hook_and_its_connections_are_closed(self, emulator):
        one, another = DdsHook(), DdsHook()
        for hook in (one, another):
            hook.describe_backup_tasks(REPLICA)
        shared = one._service()
        gone = [ref(each) for each in (shared, one.get_conn(), shared.credential, shared.limiter, shared.wire)]
        [channel] = self.channels(one)
        del shared, hook, one
        gc.collect()
        assert all(each() is not None for each in gone)
        assert channel._socket.fileno() > 0
        del another
        gc.collect()
        assert [each() for each in gone] == [None] * 5
        assert channel._socket.fileno() == -1

    def test_another_account_has_connections_of_its_own(self, emulator, connect):
        emulator.service.add_credential(Credential("LTAI-another", "its-secret"))
        one = DdsHook()
        one.describe_backup_tasks(REPLICA)
        another = connect(login="LTAI-another", password="its-secret")
        another.describe_backup_tasks(REPLICA)
        assert one.get_conn() is not another.get_conn()
        [its], [others] = self.channels(one), self.channels(another)
        assert its is not others
        del one
        gc.collect()
        assert its._socket.fileno() == -1
        assert self.channels(another) == [others]

    def test_changed_connection_is_read_by_the_next_hook_and_the_old_client_ends(self, emulator, connect):
        old = DdsHook()
        client = ref(old.get_conn())
        new = connect({"read_timeout": 3})
        assert old._service().settings.read_timeout == 10
        assert new._service().settings.read_timeout == 3
        assert new.get_conn() is not client()
        assert new._service().limiter is old._service().limiter
        del old
        gc.collect()
        assert client() is None

    def test_a_thousand_hooks_mask_the_secrets_once(self, emulator, monkeypatch):
        told = []

        async def mask(values):
            told.append(values)

        monkeypatch.setattr(calls, "amask_secrets", mask)

        async def ask():
            hooks = [DdsHook() for _ in range(1000)]
            for hook in hooks:
                await adrive(hook._calls.service())

        asyncio.run(ask())
        assert len(told) == 1


def test_client_can_be_used_by_itself(emulator, hook):
    from alibabacloud_dds20151201.models import DescribeBackupTasksRequest

    job_id = hook.create_backup(REPLICA)
    answer = hook.get_conn().describe_backup_tasks(DescribeBackupTasksRequest(dbinstance_id=REPLICA))
    assert answer.body.backup_jobs[0].backupjob_id == job_id


def test_every_request_names_package_version_and_region(emulator, hook):
    hook.describe_backup_tasks(REPLICA)
    [request] = emulator.requests()
    assert f"airflow-provider-dds/{airflow_provider_dds.__version__}" in request.user_agent
    assert request.params["RegionId"] == "cn-hangzhou"


def test_region_of_the_hook_overrides_the_connections(emulator):
    DdsHook(region_id="eu-central-1").describe_backup_tasks(REPLICA)
    assert emulator.requests()[0].params["RegionId"] == "eu-central-1"


def test_missing_connection_is_a_clear_error(emulator):
    with pytest.raises(DdsConfigurationError, match="Connection 'no_such_connection' is not defined"):
        DdsHook("no_such_connection").get_conn()


def test_connection_of_the_official_alibaba_type_works_unchanged(emulator, monkeypatch):
    connection = emulator.connection_dict()
    extra = {
        "access_key_id": connection["login"],
        "access_key_secret": connection["password"],
        "region": "cn-hangzhou",
    }
    official = {"conn_type": "alibaba_cloud", "host": connection["host"], "port": connection["port"], "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_ALIBABACLOUD_DEFAULT", json.dumps(official))
    assert DdsHook("alibabacloud_default").describe_db_instance(REPLICA).status == "Running"


def test_connection_as_a_uri_works(emulator, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_DDS_DEFAULT", emulator.connection_uri())
    assert DdsHook().describe_db_instance(REPLICA).status == "Running"


def test_unread_field_of_the_connection_is_pointed_out(connect, logged):
    connect({"regionid": "cn-beijing"}).get_conn()
    assert "'regionid' (did you mean 'region_id'?)" in logged()


UNREAD = "Connection 'dds_default': fields of extra not read: 'regionid' (did you mean 'region_id'?)."


class TestMisspeltField:
    """It is named where somebody looks: by the test button, and by the error that may come of it."""

    def test_is_named_by_the_test_button_though_the_call_went_through(self, connect):
        ok, message = connect({"regionid": "cn-beijing"}).test_connection()
        assert not ok
        assert message.startswith("A signed call to ")
        assert message.endswith(f". {UNREAD}")

    def test_is_named_by_the_test_button_when_the_call_is_refused(self, connect):
        ok, message = connect({"regionid": "cn-beijing"}, password="wrong").test_connection()
        assert not ok
        assert "SignatureDoesNotMatch" in message
        assert message.count(UNREAD) == 1

    def test_is_named_by_the_error_of_the_configuration(self, connect):
        ok, message = connect({"regionid": "cn-beijing", "network": "VPC"}).test_connection()
        assert not ok
        assert message == f"Connection 'dds_default', field 'network': 'VPC' is none of public, vpc. {UNREAD}"
        with pytest.raises(DdsConfigurationError, match="did you mean 'region_id'"):
            connect({"regionid": "cn-beijing", "network": "VPC"}).get_conn()

    @pytest.mark.parametrize("blocking", [True, False])
    def test_is_named_by_the_error_of_a_call(self, emulator, connect, blocking):
        hook = connect({"regionid": "cn-beijing"})
        emulator.add_fault("error", action="DescribeBackups", status=403, code="Forbidden.RAM", times=None)
        emulator.add_fault("error", action="DescribeDBInstanceAttribute", status=403, code="Forbidden.RAM", times=None)

        async def listing():
            return [each async for each in hook.adescribe_backups(REPLICA)]

        calls = (
            (lambda: hook.describe_db_instance(REPLICA), lambda: list(hook.describe_backups(REPLICA)))
            if blocking
            else (lambda: asyncio.run(hook.adescribe_db_instance(REPLICA)), lambda: asyncio.run(listing()))
        )
        for call in calls:
            with pytest.raises(DdsAccessDeniedError) as caught:
                call()
            assert str(caught.value).count(UNREAD) == 1
            assert caught.value.to_json()["message"] == str(caught.value)

    def test_is_no_matter_of_connections_that_have_none(self, connect):
        ok, message = connect().test_connection()
        assert ok
        assert "not read" not in message

    def test_of_another_name_altogether_is_named_and_harmless(self, connect):
        ok, message = connect({"owner": "team of the database"}).test_connection()
        assert ok
        assert message.endswith("Connection 'dds_default': fields of extra not read: 'owner'.")

    def test_is_named_in_one_short_line(self, connect):
        fields = {f"\x1b[2J\n::group::{number}" + "x" * 2_000: 1 for number in range(50)}
        _, message = connect(fields).test_connection()
        assert message.endswith(" and 45 more.")
        assert len(message) < 1000
        assert message.isprintable()


def test_port_that_the_form_sends_along_is_no_mistake(connect):
    hook = connect(host=None, port=443)
    assert sdk.endpoint_of(hook.get_conn()) == "mongodb.aliyuncs.com"


@pytest.mark.parametrize(
    ("region", "network", "host"),
    [
        ("cn-hangzhou", "public", "mongodb.aliyuncs.com"),
        ("cn-shenzhen", "public", "mongodb.cn-shenzhen.aliyuncs.com"),
        ("cn-zhongwei", "public", "mongodb.cn-zhongwei.aliyuncs.com"),
        ("cn-hangzhou", "vpc", "mongodb-vpc.cn-hangzhou.aliyuncs.com"),
    ],
)
def test_endpoint_follows_from_region_and_network(connect, region, network, host):
    hook = connect({"region_id": region, "network": network}, host=None, port=None)
    assert sdk.endpoint_of(hook.get_conn()) == host


def test_job_and_set_of_a_backup(emulator, hook, clock):
    job_id = hook.create_backup(REPLICA)
    assert hook.get_backup_job(REPLICA, f"{job_id}\n").status == "Scheduled"
    assert hook.get_backup_job(REPLICA, "1") is None
    clock.advance(400)
    [made] = hook.describe_backups(REPLICA, backup_job_id=job_id)
    assert made.status == "Success"
    assert list(hook.describe_backups(REPLICA, backup_id=made.backup_id)) == [made]


def test_all_pages_are_read_as_they_are_consumed(emulator, hook, clock):
    for _ in range(203):
        hook.create_backup(REPLICA)
        clock.advance(400)
    sets = hook.describe_backups(REPLICA)
    assert emulator.calls("DescribeBackups") == 0
    next(sets)
    assert emulator.calls("DescribeBackups") == 1
    assert len({each.backup_id for each in [*hook.describe_backups(REPLICA)]}) == 203
    assert emulator.calls("DescribeBackups") == 1 + 3


def test_time_window_of_a_listing(emulator, hook, clock):
    hook.create_backup(REPLICA)
    clock.advance(3600)
    second = hook.create_backup(REPLICA)
    clock.advance(400)
    since = datetime.fromtimestamp(clock.now, tz=timezone.utc) - timedelta(minutes=30)
    assert [each.backup_job_id for each in hook.describe_backups(REPLICA, start_time=since)] == [second]


@pytest.mark.parametrize("moment", [datetime(2026, 1, 1), "2026-01-01T00:00:00Z"], ids=["naive", "text"])
@pytest.mark.parametrize(
    "call",
    [
        lambda hook, moment: hook.describe_backups(REPLICA, start_time=moment),
        lambda hook, moment: hook.describe_cluster_backups(REPLICA, end_time=moment),
        lambda hook, moment: hook.describe_history_tasks(REPLICA, from_start_time=moment, to_start_time=moment),
        lambda hook, moment: hook.adescribe_backups(REPLICA, end_time=moment),
    ],
)
def test_time_without_a_zone_is_refused_before_anything_is_sent(emulator, hook, call, moment):
    with pytest.raises(DdsConfigurationError, match=r"^(from_)?(start|end)_time is .*(time zone|timezone)"):
        call(hook, moment)
    assert emulator.requests() == []


def test_models_go_through_xcom(emulator, hook, clock):
    hook.create_backup("dds-demo-cluster")
    job = hook.describe_backup_tasks("dds-demo-cluster")[0]
    clock.advance(400)
    [found] = hook.describe_cluster_backups("dds-demo-cluster")
    models = [job, found, hook.describe_db_instance("dds-demo-cluster"), hook.describe_backup_policy(REPLICA)]
    for model in models:
        assert json.loads(json.dumps(model.to_dict())) == model.to_dict()
        assert model.to_dict().keys() == vars(model).keys()
    assert found.to_dict()["nodes"][0] == found.nodes[0].to_dict()
    assert found.to_dict()["start_time"] == found.start_time.isoformat()


def test_cluster_backups_and_history(emulator, hook, clock):
    job_id = hook.create_backup("dds-demo-cluster")
    clock.advance(400)
    [made] = hook.describe_cluster_backups("dds-demo-cluster", backup_job_id=job_id)
    assert made.status == "Success"
    now = datetime.fromtimestamp(clock.now, tz=timezone.utc)
    [task] = hook.describe_history_tasks(
        "dds-demo-cluster", from_start_time=now - timedelta(hours=1), to_start_time=now
    )
    assert (task.status, task.db_instance_id) == ("Succeed", "dds-demo-cluster")


def test_async_twins_give_the_same(emulator, hook, clock):
    job_id = hook.create_backup(REPLICA)
    clock.advance(400)
    now = datetime.fromtimestamp(clock.now, tz=timezone.utc)
    span = {"from_start_time": now - timedelta(hours=1), "to_start_time": now}

    async def ask():
        twin = DdsHook()
        return (
            await twin.adescribe_backup_tasks(REPLICA),
            await twin.aget_backup_job(REPLICA, job_id),
            await twin.adescribe_db_instance(REPLICA),
            [each async for each in twin.adescribe_backups(REPLICA)],
            [each async for each in twin.adescribe_cluster_backups("dds-demo-cluster")],
            [each async for each in twin.adescribe_history_tasks(REPLICA, **span)],
        )

    assert asyncio.run(ask()) == (
        hook.describe_backup_tasks(REPLICA),
        hook.get_backup_job(REPLICA, job_id),
        hook.describe_db_instance(REPLICA),
        list(hook.describe_backups(REPLICA)),
        list(hook.describe_cluster_backups("dds-demo-cluster")),
        list(hook.describe_history_tasks(REPLICA, **span)),
    )


def test_async_calls_leave_the_event_loop_free_and_share_a_bounded_pool(emulator, monkeypatch):
    """While calls hang in the service the loop goes on; no more of them run at once than the pool has threads."""
    release, under_way, most = threading.Event(), [0], [0]
    lock, original = threading.Lock(), Wire.send

    def held(*args, **kwargs):
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        release.wait(30)
        with lock:
            under_way[0] -= 1
        return original(*args, **kwargs)

    monkeypatch.setattr(Wire, "send", held)

    async def ask():
        hook = DdsHook()
        calls = [asyncio.ensure_future(hook.adescribe_backup_tasks(REPLICA)) for _ in range(40)]
        turns = 0
        while under_way[0] < MOST_OF_ONE:
            await asyncio.sleep(0)
            turns += 1
        assert not any(call.done() for call in calls)
        release.set()
        await asyncio.gather(*calls)
        return turns

    assert asyncio.run(ask()) > 0
    assert most[0] == MOST_OF_ONE


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "throttle"}, DdsThrottledError),
        ({"kind": "error", "status": 503, "code": "ServiceUnavailable"}, DdsServiceError),
        ({"kind": "error", "status": 500, "code": "Surprise"}, DdsServiceError),
        ({"kind": "html", "status": 502}, DdsServiceError),
        ({"kind": "html", "status": 200}, DdsResponseError),
        ({"kind": "empty_body"}, DdsResponseError),
        ({"kind": "null_body"}, DdsResponseError),
        ({"kind": "null_body", "status": 400}, DdsResponseError),
        ({"kind": "truncated_body"}, DdsResponseError),
        ({"kind": "wrong_shape", "body": {"BackupJobs": []}}, None),  # a list without rows needs no request id
        ({"kind": "wrong_shape", "body": {"BackupJobs": 3}}, DdsResponseError),
        ({"kind": "wrong_shape", "body": {}}, DdsResponseError),
        ({"kind": "reset_before"}, DdsTransportError),
        ({"kind": "reset_after"}, DdsTransportError),
        ({"kind": "cut_body"}, DdsTransportError),
    ],
    ids=lambda value: str(value)[:60],
)
@pytest.mark.parametrize("way", ["sync", "async"])
def test_read_is_repeated_on_what_passes(emulator, hook, fault, error, way):
    def read():
        if way == "sync":
            return hook.describe_backup_tasks(REPLICA)
        return asyncio.run(DdsHook().adescribe_backup_tasks(REPLICA))

    emulator.add_fault(**fault, action="DescribeBackupTasks", times=ATTEMPTS - 1)
    assert read() == []
    assert emulator.calls("DescribeBackupTasks") == (ATTEMPTS if error else 1)
    if error:
        emulator.clear_faults()
        emulator.add_fault(**fault, action="DescribeBackupTasks", times=None)
        with pytest.raises(error):
            read()
        assert emulator.calls("DescribeBackupTasks") == 2 * ATTEMPTS


def test_waits_between_attempts_grow_and_are_jittered(emulator, hook):
    waits = []
    hook.clock = replace(hook.clock, sleep=waits.append)
    emulator.add_fault("error", status=503, action="DescribeBackupTasks", times=None)
    with pytest.raises(DdsServiceError):
        hook.describe_backup_tasks(REPLICA)
    assert len(waits) == ATTEMPTS - 1
    assert all(0 <= wait <= 0.5 * 2**number for number, wait in enumerate(waits))


def test_wait_the_service_asks_for_is_kept(emulator, hook):
    waits = []
    hook.clock = replace(hook.clock, sleep=waits.append)
    emulator.add_fault("throttle", action="DescribeBackupTasks", retry_after_ms=7000)
    hook.describe_backup_tasks(REPLICA)
    assert waits[0] >= 7


class TestPace:
    """All hooks of a process that call the same account and region share one pace."""

    def test_many_calls_follow_each_other_at_the_pace_of_the_connection(self, emulator, connect, clock):
        begin = clock.now
        hook, another = connect({"calls_per_second": 10}), connect({"calls_per_second": 10})
        for _ in range(50):
            hook.describe_backup_tasks(REPLICA)
            another.describe_backup_tasks(REPLICA)
        times = [request.time - begin for request in emulator.requests()]
        assert times == pytest.approx([max(0, number - 4) / 10 for number in range(100)], abs=1e-4)

    def test_the_most_cautious_of_two_connections_counts(self, emulator, connect, clock):
        begin = clock.now
        fast = connect({"calls_per_second": 1000})
        fast.describe_backup_tasks(REPLICA)
        connect({"calls_per_second": 1}).describe_backup_tasks(REPLICA)
        for _ in range(10):
            fast.describe_backup_tasks(REPLICA)
        assert clock.now - begin == pytest.approx(6, abs=0.01)

    def test_another_region_has_a_pace_of_its_own(self, emulator, clock):
        begin = clock.now
        hooks = [DdsHook(region_id=region) for region in ("cn-hangzhou", "cn-beijing")]
        for hook in hooks:
            for _ in range(5):
                hook.describe_backup_tasks(REPLICA)
        assert clock.now == begin

    @pytest.mark.parametrize("way", ["sync", "async"])
    def test_throttled_call_slows_the_others_down_until_they_have_recovered(self, emulator, clock, way):
        def calls(hook, count):
            began = clock.now

            async def together():
                await asyncio.gather(*[hook.adescribe_backup_tasks(REPLICA) for _ in range(count)])

            if way == "async":
                asyncio.run(together())
            else:
                for _ in range(count):
                    hook.describe_backup_tasks(REPLICA)
            return clock.now - began

        one, another = DdsHook(), DdsHook()
        assert calls(another, 205) == pytest.approx(10, abs=0.01)
        emulator.add_fault("throttle")
        calls(one, 1)
        assert calls(another, 100) == pytest.approx(10, rel=0.1)
        clock.advance(60)
        assert calls(another, 205) == pytest.approx(10, abs=0.01)

    @pytest.mark.parametrize(("asked", "seconds"), [(45_000, 45), (3_600_000, MOST_PAUSE)])
    def test_pause_that_the_service_asks_for_holds_for_all_but_not_for_ever(self, emulator, clock, asked, seconds):
        one, another = DdsHook(), DdsHook()
        another.describe_db_instance(REPLICA)
        emulator.add_fault("throttle", action="DescribeBackupTasks", times=None, retry_after_ms=asked)
        began = clock.now
        with pytest.raises(DdsThrottledError):
            one.describe_backup_tasks(REPLICA)
        assert clock.now == began
        another.describe_db_instance(REPLICA)
        assert clock.now - began == pytest.approx(seconds, abs=0.01)

    def test_sts_that_is_throttled_slows_no_call_of_the_service(self, emulator, hook):
        limiter, clock = hook._service().limiter, hook.clock.monotonic
        for action, paused in (("AssumeRole", False), ("DescribeRegions", True)):
            error = DdsThrottledError("", action=action)
            Retries(next(operations.describe_regions()), limiter, clock, clock()).pause_after(error)
            assert (limiter.pace.resumes_at > clock()) is paused

    def test_look_stands_in_line_once(self, emulator, clock, monkeypatch):
        async def at_once(_, work):
            return work()

        monkeypatch.setattr(calls, "in_thread", at_once)
        job_id = DdsHook().create_backup(REPLICA)
        clock.advance(400)

        async def together():
            async def asleep(seconds):
                clock.advance(seconds)
                await asyncio.sleep(0)

            async def look():
                hook = DdsHook()
                hook.clock = replace(hook.clock, asleep=asleep)
                target = Target(REPLICA, job_id, datetime.fromtimestamp(clock.now, tz=timezone.utc))
                await hook.arun(observe_job(target, confirm_backup_set=True))

            await asyncio.gather(*[look() for _ in range(100)])

        asyncio.run(together())
        actions = [request.action for request in emulator.requests()]
        assert len(actions) == 1 + 3 * 100
        assert actions.index("DescribeBackups") < 50

    def test_look_that_stands_in_line_past_the_deadline_ends_the_wait_and_says_so(self, emulator, clock):
        async def at_once(_):
            pass

        async def never(_):
            await asyncio.Event().wait()

        async def fire(trigger):
            return [event.payload async for event in trigger.run()]

        wait = {"dds_conn_id": "dds_default", "region_id": None, "started_at": clock.now - 60, "deadline": clock.now}
        trigger = triggers.DdsBackupTrigger(db_instance_id=REPLICA, backup_job_id="1", **wait)
        trigger.clock, trigger.last_poll = Clock(now=clock, asleep=at_once), 0.0
        trigger.hook.clock = replace(trigger.hook.clock, asleep=never)
        trigger.hook._service().limiter.throttled(clock.now)
        [ending] = asyncio.run(fire(trigger))
        assert ending["outcome"] == "timed_out"
        assert "was not good at its deadline" in ending["text"]
        assert "raise calls_per_second" in ending["text"]
        assert emulator.requests() == []

    def test_create_does_not_stand_in_line_behind_reads(self, emulator, clock, monkeypatch):
        order = []
        original = Wire.send

        def noted(*args, headers, **options):
            order.append(headers["x-acs-action"])
            return original(*args, headers=headers, **options)

        monkeypatch.setattr(Wire, "send", noted)

        async def together():
            async def asleep(seconds):
                clock.advance(seconds)
                await asyncio.sleep(0)

            hook = DdsHook()
            hook.clock = replace(hook.clock, asleep=asleep)
            await hook.adescribe_db_instance(REPLICA)  # so that no look-up of the connection is in the create's way
            order.clear()
            reads = [asyncio.ensure_future(hook.adescribe_db_instance(REPLICA)) for _ in range(50)]
            await asyncio.sleep(0)
            await hook.arun(operations.create_backup(REPLICA))
            await asyncio.gather(*reads)

        asyncio.run(together())
        assert order.index("CreateBackup") < 15


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "error", "status": 503, "code": "ServiceUnavailable"},
        {"kind": "html", "status": 502},
        {"kind": "reset_after"},
        {"kind": "drop_job_id"},
    ],
    ids=lambda fault: fault["kind"],
)
def test_create_is_never_repeated_when_it_may_have_been_executed(emulator, hook, fault):
    emulator.add_fault(**fault, action="CreateBackup", times=None)
    with pytest.raises((DdsServiceError, DdsResponseError, DdsTransportError)):
        hook.create_backup(REPLICA)
    assert emulator.calls("CreateBackup") == 1


def test_read_timeout_says_that_the_request_was_sent(emulator, connect):
    hook = connect({"read_timeout": 0.2})
    emulator.add_fault("hang", action="CreateBackup", seconds=None)
    with pytest.raises(DdsTransportError, match=r"not answered within read_timeout \(0.2 s\)") as caught:
        hook.create_backup(REPLICA)
    assert caught.value.request_sent is True


@pytest.mark.parametrize(
    ("code", "status", "error", "advice"),
    [
        ("Forbidden.RAM", 403, DdsAccessDeniedError, "Allow the action dds:DescribeBackupTasks"),
        ("InvalidDBInstanceId.NotFound", 404, DdsNotFoundError, "Check the instance id"),
        ("InvalidTimeStamp.Expired", 400, DdsAccessDeniedError, "more than 15 minutes off"),
        ("InvalidSecurityToken.Expired", 400, DdsAccessDeniedError, "has expired"),
    ],
)
def test_error_carries_its_facts_and_the_fix(emulator, hook, code, status, error, advice):
    emulator.add_fault("error", code=code, status=status, message="Said so.", action="DescribeBackupTasks", times=None)
    with pytest.raises(error, match=advice) as caught:
        hook.describe_backup_tasks(REPLICA)
    raised = caught.value
    assert (raised.action, raised.code, raised.http_status) == ("DescribeBackupTasks", code, status)
    assert (raised.db_instance_id, raised.message) == (REPLICA, "Said so.")
    assert raised.request_id == emulator.requests()[-1].request_id
    assert raised.request_id in str(raised)
    assert emulator.calls("DescribeBackupTasks") == 1


def test_second_backup_is_refused_by_the_service(emulator, hook):
    hook.create_backup(REPLICA)
    with pytest.raises(DdsBackupRunningError):
        hook.create_backup(REPLICA)


@pytest.mark.parametrize("reading", ["error", "empty"])
def test_unknown_instance_is_not_found_however_the_service_says_it(emulator, hook, reading):
    emulator.service.readings = Readings(unknown_instance_attribute=reading)
    with pytest.raises(DdsNotFoundError, match="dds-nowhere"):
        hook.describe_db_instance("dds-nowhere")


def test_tls_with_an_authority_of_ones_own(tls_service, tmp_path, monkeypatch, emulator):
    emulator, authority = tls_service

    def hook_with(**extra):
        connection = emulator.connection_dict()
        connection["extra"].update(extra)
        monkeypatch.setenv("AIRFLOW_CONN_TLS", json.dumps(connection))
        return DdsHook("tls")

    with pytest.raises(DdsTransportError, match=r"certificate of .* was not accepted") as caught:
        hook_with().create_backup(REPLICA)
    assert caught.value.request_sent is False
    assert hook_with(ca_file=str(authority)).describe_db_instance(REPLICA).status == "Running"
    with pytest.raises(DdsConfigurationError, match=r"'ca_file'.*cannot be read"):
        hook_with(ca_file=str(tmp_path / "missing.pem")).get_conn()


@pytest.fixture
def tls_service(clock, tmp_path):
    """A second service behind TLS, with a certificate that only its own authority vouches for."""
    from tests.support.tls import make_certificate

    certificate, key = make_certificate(tmp_path)
    with Emulator(speed=1.0, clock=clock, ssl_certfile=str(certificate), ssl_keyfile=str(key)) as emulator:
        yield emulator, certificate


class TestTestConnection:
    """The test button: facts, or the reason and the fix; never a secret."""

    def test_says_where_and_how_it_got_through(self, emulator, hook):
        ok, message = hook.test_connection()
        assert ok
        assert f"127.0.0.1:{emulator.port} (region cn-hangzhou)" in message
        assert "authenticated by access_key" in message
        assert emulator.requests()[-1].request_id in message
        assert emulator.access_key_secret not in message

    def test_key_without_permission_to_list_regions_has_proved_itself(self, emulator, hook):
        emulator.add_fault("error", code="Forbidden.RAM", status=403, action="DescribeRegions")
        ok, message = hook.test_connection()
        assert ok
        assert "may not call DescribeRegions" in message

    def test_wrong_secret(self, emulator, connect):
        ok, message = connect(password="wrong-secret-of-mine").test_connection()
        assert not ok
        assert "Enter the pair again" in message
        assert "wrong-secret-of-mine" not in message

    def test_unknown_key(self, emulator, connect):
        ok, message = connect(login="LTAI-nobody").test_connection()
        assert not ok
        assert "InvalidAccessKeyId.NotFound" in message

    def test_half_a_pair(self, emulator, connect):
        ok, message = connect(password="").test_connection()
        assert not ok
        assert "password (access_key_secret)" in message
        assert emulator.requests() == []

    def test_nobody_answers(self, emulator, connect):
        emulator.stop()
        ok, message = connect().test_connection()
        assert not ok
        assert "no connection to 127.0.0.1" in message

    def test_no_such_connection(self, emulator):
        ok, message = DdsHook("no_such_connection").test_connection()
        assert not ok
        assert "no_such_connection" in message
