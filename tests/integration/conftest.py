"""The service on a clock that tests move, and tasks that run on the same clock."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_dds.emulator import Emulator, ManualClock
from airflow_provider_dds.hooks import dds as hook_module
from airflow_provider_dds.hooks import sending
from airflow_provider_dds.operators.dds import DdsCreateBackupOperator
from airflow_provider_dds.sensors.dds import DdsBackupSensor
from tests.support.runner import Run, moment
from tests.support.versions import airflow_sensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPLICA = "dds-demo-replica"
MODES = {
    "poke": {"mode": "poke", "deferrable": False},
    "reschedule": {"mode": "reschedule", "deferrable": False},
    "deferrable": {"deferrable": True},
}


@pytest.fixture
def clock() -> ManualClock:
    """A moment of no importance, with nothing real to compare it with."""
    return ManualClock(1_800_000_000)


@pytest.fixture
def service(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
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
            self._clock, self._sleep, self._asleep = clock, clock.advance, asleep

        monkeypatch.setattr(hook_module.DdsHook, "__init__", on_moved_time)
        sending.forget_services()
        yield emulator


@pytest.fixture
def sensor(clock: ManualClock, service: Emulator) -> Callable[..., Run]:
    """Make a run of a sensor; ``mode`` is poke, reschedule or deferrable."""

    def make(backup_job_id: Any, mode: str = "poke", db_instance_id: Any = REPLICA, **kwargs: Any) -> Run:
        arguments = {"poke_interval": 30, "timeout": 3600, "retries": 0, **MODES[mode], **kwargs}
        task = DdsBackupSensor(task_id="wait", db_instance_id=db_instance_id, backup_job_id=backup_job_id, **arguments)
        return Run(task, clock)

    return make


@pytest.fixture
def operator(clock: ManualClock, service: Emulator) -> Callable[..., Run]:
    """Make a run of the operator."""

    def make(db_instance_id: Any = REPLICA, **kwargs: Any) -> Run:
        arguments = {"poke_interval": 30, "timeout": 3600, **kwargs}
        return Run(DdsCreateBackupOperator(task_id="create", db_instance_id=db_instance_id, **arguments), clock)

    return make


@pytest.fixture
def hook(service: Emulator) -> hook_module.DdsHook:
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
def _nothing_waits_for_real(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(seconds: float) -> None:
        raise AssertionError(f"a test slept {seconds} s for real")

    monkeypatch.setattr(time, "sleep", refuse)
