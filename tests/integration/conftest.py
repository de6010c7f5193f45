"""The service on a clock that tests move, and tasks that run on the same clock."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_dds.client import sending
from airflow_provider_dds.client.wire import Wire
from airflow_provider_dds.clock import Clock
from airflow_provider_dds.emulator import Emulator, ManualClock
from airflow_provider_dds.hooks import dds as hook_module
from airflow_provider_dds.operators.dds import DdsCreateBackupOperator
from airflow_provider_dds.sensors.dds import DdsBackupSensor
from tests.support.runner import MODES, REPLICA, Run, moment
from tests.support.versions import AIRFLOW, airflow_sensor, secrets_masker
from tests.support.words import Lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def clock() -> ManualClock:
    """A moment of no importance, with nothing real to compare it with."""
    return ManualClock(1_800_000_000)


@pytest.fixture
def emulator(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """The emulator, in which a backup takes 300 seconds of the moved clock; ``dds_default`` leads to it."""
    with Emulator(speed=1.0, clock=clock) as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_DDS_DEFAULT", emulator.connection_json())
        monkeypatch.setattr(airflow_sensor, "time", SimpleNamespace(sleep=clock.advance, monotonic=clock))
        monkeypatch.setattr(airflow_sensor, "timezone", SimpleNamespace(utcnow=lambda: moment(clock)))
        original = hook_module.DdsHook.__init__

        def on_moved_time(self: Any, *args: Any, **kwargs: Any) -> None:
            async def asleep(seconds: float) -> None:
                clock.advance(seconds)

            original(self, *args, **kwargs)
            self.clock = Clock(now=clock, monotonic=clock, sleep=clock.advance, asleep=asleep)

        monkeypatch.setattr(hook_module.DdsHook, "__init__", on_moved_time)
        sending.forget_services()
        yield emulator


@pytest.fixture
def sensor(clock: ManualClock, emulator: Emulator) -> Callable[..., Run]:
    """Make a run of a sensor; ``mode`` is poke, reschedule or deferrable."""

    def make(backup_job_id: Any, mode: str = "poke", db_instance_id: Any = REPLICA, **kwargs: Any) -> Run:
        arguments = {"poke_interval": 30, "timeout": 3600, "retries": 0, **MODES[mode], **kwargs}
        task = DdsBackupSensor(task_id="wait", db_instance_id=db_instance_id, backup_job_id=backup_job_id, **arguments)
        return Run(task, clock)

    return make


@pytest.fixture
def operator(clock: ManualClock, emulator: Emulator) -> Callable[..., Run]:
    """Make a run of the operator."""

    def make(db_instance_id: Any = REPLICA, **kwargs: Any) -> Run:
        arguments = {"poke_interval": 30, "timeout": 3600, **kwargs}
        return Run(DdsCreateBackupOperator(task_id="create", db_instance_id=db_instance_id, **arguments), clock)

    return make


@pytest.fixture
def hook(emulator: Emulator) -> hook_module.DdsHook:
    return hook_module.DdsHook()


@pytest.fixture
def logged(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """Return all that was logged, by whatever way Airflow's loggers took it."""
    caplog.set_level("DEBUG")
    kept: list[str] = []

    def read() -> str:
        kept.extend(capfd.readouterr())
        return "".join(kept)

    return read


@pytest.fixture(autouse=True)
def _masks_of_other_tests_are_gone() -> None:
    """Begin with an empty secrets masker: each secret it knows makes the next one dearer."""
    with contextlib.suppress(RuntimeError):  # before 3.1 there is none where no logging is set up
        masker = secrets_masker()
        masker.patterns.clear()
        masker.replacer = None


@pytest.fixture(autouse=True)
def _database_without_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Airflow 2 find no connection in its database, which the tests do without."""
    if AIRFLOW < (3, 0):
        monkeypatch.setattr("airflow.secrets.metastore.MetastoreBackend.get_connection", lambda *_, **__: None)


@pytest.fixture(autouse=True)
def _nothing_waits_for_real(monkeypatch: pytest.MonkeyPatch) -> None:
    sleep = time.sleep

    def refuse(seconds: float) -> None:
        if sys._getframe(1).f_globals["__name__"] != "subprocess":  # which so waits for a process with a time limit
            raise AssertionError(f"a test slept {seconds} s for real")
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", refuse)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """Note the seconds that each call is given, besides what the connection allows."""
    noted: list[float | None] = []
    send = Wire.send

    def noting(wire: Wire, method: str, url: str, **options: Any) -> Any:
        noted.append(options.get("timeout"))
        return send(wire, method, url, **options)

    monkeypatch.setattr(Wire, "send", noting)
    return noted


@pytest.fixture
def lines(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, logged: Callable[[], str]
) -> Callable[[], list[str]]:
    """Return the lines that are logged from now on, at any level, through Python's loggers or Airflow's own."""
    caplog.set_level("CRITICAL", logger="airflow_provider_dds.emulator")  # it is another process elsewhere
    handler = Lines()
    for name in ("", "airflow.task", "airflow_provider_dds"):  # some have handlers of their own, and pass nothing up
        logger = logging.getLogger(name)
        monkeypatch.setattr(logger, "handlers", [*logger.handlers, handler])
    return lambda: [*handler.said, *logged().split("\n")]
