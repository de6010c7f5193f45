"""No path of a trigger blocks the event loop: blockbuster watches its thread while triggers are built, poll and end.

The service and STS speak TLS, in another thread. Airflow finds the connection in a way that blocks.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import time_machine
from airflow.secrets.environment_variables import EnvironmentVariablesBackend
from blockbuster import BlockBuster, BlockBusterFunction, BlockingError

from airflow_provider_dds.client import sending
from airflow_provider_dds.client.sources import of_settings
from airflow_provider_dds.clock import Clock
from airflow_provider_dds.creating.attempt import Attempt
from airflow_provider_dds.creating.record import Backoff, CreateRecord
from airflow_provider_dds.emulator import Emulator, Role
from airflow_provider_dds.triggers.dds import (
    DdsBackupStartTrigger,
    DdsBackupTrigger,
    DdsFreshBackupStartTrigger,
    DdsFreshBackupTrigger,
    DdsInstanceFreeTrigger,
)
from tests.integration.credentials.scene import Moved
from tests.support.package import TRIGGERS
from tests.support.runner import REPLICA
from tests.support.tls import make_certificate
from tests.support.versions import needs_rendering_in_the_triggerer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

ARN = "acs:ram::1000000000000001:role/backup"
SESSION = 900
BACKUP = 300
HOUR = 3600.0


class Watch:
    """Keeps what blocked the event loop, also where something else caught the error.

    :ivar blocked: where it did, as stack traces.
    """

    def __init__(self) -> None:
        self.blocked: list[str] = []
        self._thread: int | None = None
        self._task: asyncio.Task[Any] | None = None
        self._buster = BlockBuster()
        for owner, name in (
            (ssl.SSLContext, "load_verify_locations"),
            (ssl.SSLContext, "set_default_verify_paths"),
            (ssl.SSLSocket, "do_handshake"),
            (socket, "getaddrinfo"),
        ):
            self._buster.functions[f"{owner.__name__}.{name}"] = BlockBusterFunction(owner, name)
        for name in ("io.TextIOWrapper.write", "io.BufferedWriter.write"):  # Airflow's log, on any Airflow
            self._buster.functions[name].can_block_in("logging/__init__.py", {"emit", "flush"})
        result = BlockBusterFunction(concurrent.futures.Future, "result", can_block_predicate=lambda it, *_: it.done())
        self._buster.functions["Future.result"] = result
        for function in self._buster.functions.values():
            function.can_block_predicate = self._elsewhere_or(function.can_block_predicate)

    def run(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Run on an event loop that is watched from the first step to the last; what blocks it ends it."""

        async def watched() -> Any:
            self._thread, self._task = threading.get_ident(), asyncio.current_task()
            try:
                return await work()
            finally:
                self._thread = None

        original = BlockingError.__init__

        def noted(error: BlockingError, function: str) -> None:
            self.blocked.append(f"{function}\n{''.join(traceback.format_stack(limit=25))}")
            if self._task:
                self._task.cancel()
            original(error, function)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(BlockingError, "__init__", noted)
            self._buster.activate()
            try:
                return asyncio.run(watched())
            except asyncio.CancelledError:
                if not self.blocked:
                    raise
            finally:
                self._buster.deactivate()

    def _elsewhere_or(self, may_block: Callable[..., bool]) -> Callable[..., bool]:
        return lambda *args, **kwargs: threading.get_ident() != self._thread or may_block(*args, **kwargs)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def never_blocking(watch: Watch) -> Callable[[Callable[[], Awaitable[Any]]], Any]:
    """Run on an event loop; fails if anything blocks it, even where the error is caught."""

    def run(work: Callable[[], Awaitable[Any]]) -> Any:
        result = watch.run(work)
        assert not watch.blocked, watch.blocked[0]
        return result

    return run


@pytest.fixture
def clock() -> Iterator[Moved]:
    with time_machine.travel(float(int(time.time())), tick=False) as traveller:
        yield Moved(traveller)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    return make_certificate(tmp_path)


@pytest.fixture
def cloud(clock: Moved, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """The service and STS behind TLS, as a triggerer that has just begun finds them: no client, no credential."""
    tls = {"ssl_certfile": str(certificate[0]), "ssl_keyfile": str(certificate[1])}
    with Emulator(speed=1.0, clock=clock, **tls) as emulator:
        emulator.sts.put(Role(ARN))
        monkeypatch.setattr(of_settings, "sts_endpoint_for", lambda _: f"127.0.0.1:{emulator.port}")
        sending.forget_services()
        yield emulator


@pytest.fixture
def connect(cloud: Emulator, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Define the connection, with a pace that nobody waits for."""

    def define(auth_type: str, **extra: Any) -> None:
        connection = cloud.connection_dict()
        role = {"role_arn": ARN, "role_session_expiration": SESSION} if auth_type == "ram_role_arn" else {}
        common = {"auth_type": auth_type, "ca_file": str(certificate[0]), "calls_per_second": 10_000}
        connection["extra"] = {**connection["extra"], **common, **role, **extra}
        monkeypatch.setenv("AIRFLOW_CONN_DDS_DEFAULT", json.dumps(connection))

    define("access_key")
    return define


@pytest.fixture(autouse=True)
def _connections_come_from_a_backend_that_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    original = EnvironmentVariablesBackend.get_conn_value

    def after_a_look_at_the_disk(self: Any, *args: Any, **kwargs: Any) -> Any:
        read_a_file()
        return original(self, *args, **kwargs)

    monkeypatch.setattr(EnvironmentVariablesBackend, "get_conn_value", after_a_look_at_the_disk)


@pytest.fixture
def wait(clock: Moved, connect: Callable[..., None]) -> Callable[..., Any]:
    """Make the work of a triggerer: a trigger is built and runs until it fires."""

    def make(trigger_class: type = DdsBackupTrigger, **changes: Any) -> Callable[[], Awaitable[Any]]:
        async def run() -> Any:
            trigger = on_moved_time(built(trigger_class, clock.now, **changes), clock)
            events = [event async for event in trigger.run()]
            await trigger.cleanup()
            return events[0].payload

        return run

    return make


def built(trigger_class: type, now: float, **changes: Any) -> Any:
    """Return a trigger as a triggerer makes it, from what another one has written down."""
    common = {"db_instance_id": REPLICA, "dds_conn_id": "dds_default", "region_id": None}
    own: dict[str, Any] = {
        DdsBackupTrigger: {"backup_job_id": "1", "started_at": now, "deadline": now + 6 * HOUR},
        DdsBackupStartTrigger: {"backup_job_id": "1", "timeout": 6 * HOUR, "ends_after": 6 * HOUR},
        DdsFreshBackupTrigger: {"max_age": HOUR, "started_at": now, "deadline": now + 6 * HOUR},
        DdsFreshBackupStartTrigger: {"max_age": HOUR, "timeout": 6 * HOUR, "ends_after": 6 * HOUR},
        DdsInstanceFreeTrigger: {"started_at": now, "record": held(now), "deadline": now + 6 * HOUR},
    }[trigger_class]
    _, kwargs = trigger_class(**{**common, **own, **changes}).serialize()
    return trigger_class(**json.loads(json.dumps(kwargs)))


def held(now: float) -> dict[str, Any]:
    """Return the record of a create whose request was refused because a backup ran."""
    record = CreateRecord(REPLICA, now + 6 * HOUR, Attempt(1, 0, 0))
    return replace(record, backoff=Backoff(now, "refused", refusals=1)).to_json()


def on_moved_time(trigger: Any, clock: Moved) -> Any:
    """Let all waits of a trigger move the clock instead."""

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)
        await asyncio.sleep(0)

    trigger.clock = trigger.hook.clock = Clock(now=clock, monotonic=clock, asleep=sleep)
    return trigger


def read_a_file(_: Any = None) -> None:
    with Path(__file__).open("rb") as file:
        file.read()


# --- what blockbuster finds -------------------------------------------------------------------------------------------


def call_the_service(trigger: Any) -> None:
    trigger.hook.describe_db_instance(REPLICA)


def look_up_the_connection(trigger: Any) -> None:
    trigger.hook.get_connection("dds_default")


def make_a_tls_context(_: Any) -> None:
    ssl.create_default_context()


def wait_for_a_thread(_: Any) -> None:
    concurrent.futures.Future().result(0.001)


def sleep_a_little(_: Any) -> None:
    time.sleep(0.001)


@pytest.mark.parametrize(
    "bad",
    [call_the_service, look_up_the_connection, make_a_tls_context, wait_for_a_thread, sleep_a_little, read_a_file],
)
def test_bad_trigger_is_caught_even_if_it_swallows_the_error(cloud, connect, clock, watch, bad):
    async def run() -> None:
        trigger = built(DdsBackupTrigger, clock.now)
        with contextlib.suppress(Exception):
            bad(trigger)

    watch.run(run)
    assert watch.blocked


def test_what_a_thread_does_is_none_of_the_loop_s_business(cloud, connect, clock, watch):
    async def run() -> None:
        trigger = built(DdsBackupTrigger, clock.now)
        await asyncio.get_running_loop().run_in_executor(None, call_the_service, trigger)

    watch.run(run)
    assert not watch.blocked
    assert cloud.requests("DescribeDBInstanceAttribute")


# --- the triggers -----------------------------------------------------------------------------------------------------


def test_every_trigger_is_tried_here():
    assert set(TRIGGERS) == {
        DdsBackupTrigger,
        DdsBackupStartTrigger,
        DdsFreshBackupTrigger,
        DdsFreshBackupStartTrigger,
        DdsInstanceFreeTrigger,
    }


@pytest.mark.parametrize("auth_type", ["access_key", "ram_role_arn"])
def test_wait_from_construction_to_event(cloud, connect, wait, never_blocking, auth_type):
    connect(auth_type)
    job_id = cloud.service.start_automatic_backup(REPLICA)
    ending = never_blocking(wait(backup_job_id=job_id))
    assert (ending["outcome"], ending["backup"]["status"]) == ("done", "Success")
    assert cloud.calls("AssumeRole") == (auth_type == "ram_role_arn")


def test_twenty_triggers_begin_at_once(cloud, connect, wait, never_blocking):
    """All need the client, its TLS context and a role at the same moment."""
    connect("ram_role_arn")
    job_id = cloud.service.start_automatic_backup(REPLICA)

    async def run() -> list[Any]:
        return await asyncio.gather(*(wait(backup_job_id=job_id)() for _ in range(20)))

    assert {ending["outcome"] for ending in never_blocking(run)} == {"done"}


def test_role_is_renewed_again_and_again(cloud, connect, wait, never_blocking):
    connect("ram_role_arn")
    cloud.service.speed = 0.1
    job_id = cloud.service.start_automatic_backup(REPLICA)
    assert never_blocking(wait(backup_job_id=job_id))["outcome"] == "done"
    assert cloud.calls("AssumeRole") > 2


def test_token_that_is_refused_is_replaced(cloud, connect, wait, never_blocking):
    connect("ram_role_arn")
    job_id = cloud.service.start_automatic_backup(REPLICA)
    cloud.add_fault("error", action="DescribeBackupTasks", status=400, code="InvalidSecurityToken.Expired")
    assert never_blocking(wait(backup_job_id=job_id))["outcome"] == "done"
    assert cloud.calls("AssumeRole") == 2


def test_throttled_calls_are_repeated(cloud, wait, never_blocking):
    job_id = cloud.service.start_automatic_backup(REPLICA)
    cloud.add_fault("throttle", times=3, retry_after_ms=2000)
    assert never_blocking(wait(backup_job_id=job_id))["outcome"] == "done"


def test_connection_that_is_not_there(cloud, wait, never_blocking):
    ending = never_blocking(wait(dds_conn_id="nobody_defined_it"))
    assert ending["outcome"] == "error"
    assert "'nobody_defined_it' is not defined" in ending["text"]


def test_wait_for_an_instance_that_is_free(cloud, clock, wait, never_blocking):
    cloud.service.start_automatic_backup(REPLICA)
    event = never_blocking(wait(DdsInstanceFreeTrigger, wait=60.0))
    assert event["record"]["backoff"]["free"] is True
    assert len(cloud.requests("DescribeBackupTasks")) == BACKUP // 60


class TaskInstance:
    """What a trigger that begins a task knows of it. Its supervisor is asked in a way that blocks."""

    dag_id, run_id, task_id, map_index, try_number = "gates", "run", "wait", -1, 1

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.task = SimpleNamespace(iter_mapped_dependants=lambda: iter(()), template_ext=())

    def xcom_pull(self, *_: Any, **__: Any) -> str:
        read_a_file()
        return self.job_id


class Supervisor:
    """Blocks if it is asked in the way that is not meant for an event loop."""

    def __init__(self) -> None:
        self.pushed: dict[str, Any] = {}

    def send(self, message: Any) -> None:
        read_a_file()

    async def asend(self, message: Any) -> None:
        await asyncio.sleep(0)
        if hasattr(message, "key"):
            self.pushed[message.key] = message.value


@needs_rendering_in_the_triggerer
def test_task_that_begins_and_ends_in_the_triggerer(cloud, clock, connect, monkeypatch, never_blocking):
    runner = import_module("airflow.sdk.execution_time.task_runner")
    monkeypatch.setattr(runner, "SUPERVISOR_COMMS", supervisor := Supervisor(), raising=False)
    job_id = cloud.service.start_automatic_backup(REPLICA)

    async def run() -> list[Any]:
        template = "{{ ti.xcom_pull(task_ids='make') }}"
        trigger = on_moved_time(built(DdsBackupStartTrigger, clock.now, backup_job_id=template, ends_task=True), clock)
        ti = TaskInstance(job_id)
        trigger.task_instance = ti
        trigger.render_template_fields({"ti": ti})
        return [event.payload async for event in trigger.run()]

    assert never_blocking(run) == ["success"]
    assert supervisor.pushed["return_value"]["backup_job_id"] == job_id


def test_begin_without_templates(cloud, wait, never_blocking):
    job_id = cloud.service.start_automatic_backup(REPLICA)
    assert never_blocking(wait(DdsBackupStartTrigger, backup_job_id=job_id))["outcome"] == "done"


@pytest.mark.parametrize("trigger_class", [DdsFreshBackupTrigger, DdsFreshBackupStartTrigger])
def test_wait_for_a_fresh_backup(cloud, wait, never_blocking, trigger_class):
    cloud.service.start_automatic_backup(REPLICA)
    ending = never_blocking(wait(trigger_class))
    assert (ending["outcome"], ending["backup"]["backup_mode"]) == ("done", "Automated")


@pytest.mark.parametrize("trigger_class", [DdsBackupTrigger, DdsBackupStartTrigger, DdsFreshBackupTrigger])
def test_kill(clock, never_blocking, trigger_class):
    async def run() -> None:
        await built(trigger_class, clock.now).on_kill()

    never_blocking(run)


@pytest.mark.parametrize("trigger_class", [DdsBackupTrigger, DdsInstanceFreeTrigger])
def test_cancelled_between_two_looks(clock, connect, never_blocking, trigger_class):
    async def run() -> None:
        trigger = built(trigger_class, clock.now, poke_interval=HOUR)
        await cancelled(trigger, asyncio.sleep(0.01))

    never_blocking(run)


@pytest.mark.parametrize("trigger_class", [DdsBackupTrigger, DdsBackupStartTrigger, DdsInstanceFreeTrigger])
def test_cancelled_while_a_call_is_under_way(cloud, clock, connect, never_blocking, trigger_class):
    """The thread that waits for the answer goes on; the loop and its end do not wait for it."""
    cloud.add_fault("hang", seconds=None)

    async def arrived() -> None:
        for _ in range(1000):
            if cloud.requests():
                return
            await asyncio.sleep(0.01)
        raise AssertionError("no call was made")

    async def run() -> None:
        await cancelled(on_moved_time(built(trigger_class, clock.now), clock), arrived())
        assert [each.status for each in cloud.requests()] == [None]

    never_blocking(run)


async def cancelled(trigger: Any, until: Awaitable[None]) -> None:
    """Run a trigger until something has happened, and end it as a triggerer does."""

    async def fire() -> None:
        async for _ in trigger.run():
            raise AssertionError("it has fired")

    task = asyncio.ensure_future(fire())
    await until
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await trigger.cleanup()


# --- the first call of a process --------------------------------------------------------------------------------------

FIRST_CALL = """
import asyncio, json, sys, threading, time
from airflow_provider_dds.triggers.dds import DdsBackupTrigger

names = {True: [], False: []}  # by whether the event loop's thread imported it

class Finder:
    def find_spec(self, name, path=None, target=None):
        names[threading.current_thread() is threading.main_thread()].append(name)

async def run():
    now = time.time()
    trigger = DdsBackupTrigger(db_instance_id=sys.argv[1], backup_job_id="1", dds_conn_id="dds_default", region_id=None,
                               started_at=now, deadline=now + 60, not_found_grace=0.01, poke_interval=0.01)
    sys.meta_path.insert(0, Finder())
    async for event in trigger.run():
        print(json.dumps([event.payload["outcome"], names[True], names[False]]))

asyncio.run(run())
"""


def test_sdk_is_imported_beside_the_event_loop(cloud, connect):
    command = [sys.executable, "-c", FIRST_CALL, REPLICA]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    outcome, on_the_loop, beside_it = json.loads(done.stdout.splitlines()[-1])
    assert outcome == "not_found"
    ours = "airflow_provider_dds.client.channel"
    assert {"alibabacloud_tea_openapi", "darabonba", ours} <= set(beside_it)
    heavy = ("alibabacloud", "Tea", "darabonba", "aiohttp", "requests", "urllib3", ours)
    assert not [name for name in on_the_loop if name.startswith(heavy)]
