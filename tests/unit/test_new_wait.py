"""A wait for another thing: one pure class, and it can be waited for in poke, reschedule and deferrable mode."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar
from unittest.mock import patch

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout

from airflow_provider_dds.clock import Clock
from airflow_provider_dds.emulator import ManualClock
from airflow_provider_dds.exceptions import DdsBackupFailedError
from airflow_provider_dds.sensors.base import DdsWaitSensor
from airflow_provider_dds.triggers.base import WaitTrigger
from airflow_provider_dds.waiting.result import Outcome
from airflow_provider_dds.waiting.wait import Verdict, Wait
from tests.support.runner import Run, Store, moment
from tests.support.versions import airflow_sensor

if TYPE_CHECKING:
    from airflow_provider_dds.api.requests import ApiCalls

TIDE: list[float] = []
"""Seconds after the beginning at which the tide is high; empty for never."""


@dataclass(kw_only=True)
class TideWait(Wait[float]):
    """Wait until the water of a harbour stands high enough.

    :ivar harbour: its name.
    :ivar least: metres.
    """

    harbour: str
    least: float = 3.0

    @property
    def name(self) -> str:
        """The harbour."""
        return f"Water of {self.harbour}"

    def observe(self, now: float) -> ApiCalls[float]:
        """Return the calls of one poll."""
        yield from ()
        return 4.0 if TIDE and now >= TIDE[0] else 1.0

    def judge(self, seen: float, now: float) -> Verdict:
        """Return what the level means."""
        if seen < 0:
            return Verdict(Outcome.FAILED, "the harbour is dry")
        self.level = seen
        return Verdict(Outcome.DONE if seen >= self.least else Outcome.WAIT, f"{seen:g} m")

    def facts(self) -> dict[str, Any]:
        """Return the level."""
        return {"harbour": self.harbour, "metres": self.level}


class TideTrigger(WaitTrigger):
    wait_class = TideWait


class TideSensor(DdsWaitSensor):
    trigger_class: ClassVar[type[WaitTrigger]] = TideTrigger
    advice: ClassVar[dict[Outcome, str]] = {Outcome.TIMED_OUT: "Ask the moon.", Outcome.FAILED: "Sail on."}

    def __init__(self, *, harbour: str, deferrable: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.harbour, self.deferrable, self.dds_conn_id, self.region_id = harbour, deferrable, "dds_default", None

    def _make_wait(self, started_at: float) -> TideWait:
        times = {"started_at": started_at, "deadline": started_at + self.timeout}
        return TideWait(**times, poke_interval=self.poke_interval, poll_strategy="fixed", harbour=self.harbour)


class TideRun(Run):
    async def _fire(self, path: str, kwargs: dict[str, Any]) -> dict[str, Any]:
        self._sleeps = 0
        trigger = TideTrigger(**kwargs)
        self.set_up_trigger(trigger)
        [payload] = [event.payload async for event in trigger.run()]
        return payload


@pytest.fixture(params=["poke", "reschedule", "deferrable"])
def run(request: pytest.FixtureRequest) -> Any:
    clock = ManualClock(1_800_000_000.0)
    arguments = {"deferrable": True} if request.param == "deferrable" else {"mode": request.param}
    task = TideSensor(task_id="tide", harbour="Ningbo", poke_interval=60, timeout=3600, **arguments)
    stand_in = SimpleNamespace(sleep=clock.advance, monotonic=clock)
    now = SimpleNamespace(utcnow=lambda: moment(clock))
    with patch.object(airflow_sensor, "time", stand_in), patch.object(airflow_sensor, "timezone", now):
        yield TideRun(task, clock, Store())


def test_class_is_short() -> None:
    assert len(inspect.getsource(TideWait).splitlines()) <= 40


def test_it_is_waited_for_in_each_mode(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    began = run.clock.now
    monkeypatch.setattr(f"{__name__}.TIDE", [began + 590])
    assert run.once() == {"harbour": "Ningbo", "metres": 4.0}
    assert run.clock.now == began + 600


def test_it_has_a_deadline_in_each_mode(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    began = run.clock.now
    with pytest.raises(AirflowSensorTimeout) as caught:
        run.once()
    assert str(caught.value) == (
        "Water of Ningbo was not good at its deadline, after 1h00m of waiting. Last poll: 1 m. Ask the moon."
    )
    assert began + 3600 <= run.clock.now <= began + 3660


def test_its_failure_is_an_error_in_each_mode(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def dry(*_: Any) -> Any:
        yield from ()
        return -1.0

    monkeypatch.setattr(TideWait, "observe", dry)
    with pytest.raises(DdsBackupFailedError, match=r"Water of Ningbo failed .*: the harbour is dry.*Sail on\."):
        run.once()


def test_its_trigger_refuses_what_it_does_not_know() -> None:
    wait = TideWait(started_at=0.0, deadline=9.0, harbour="Ningbo")
    assert TideWait(**wait.to_json()) == wait
    trigger = TideTrigger(dds_conn_id="dds_default", region_id=None, **wait.to_json(), least_=4)
    trigger.clock = Clock(now=lambda: 5.0)
    assert "'least_' is not known" in str(trigger.refused)
