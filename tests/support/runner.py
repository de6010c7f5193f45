"""Run a real operator or sensor to its end in this process, as Airflow would, on a clock that only tests move.

Poke loops, reschedules, deferrals (through JSON, in a trigger built anew), retries and clears all happen; nothing
sleeps.
"""

from __future__ import annotations

import asyncio
import copy
import json
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_dds.triggers import dds as triggers
from tests.support.versions import (
    AIRFLOW,
    HAS_TASK_STATE_STORE,
    TRIGGER_FAIL_REPR,
    TRIGGER_TIMEOUT,
    AirflowRescheduleException,
    first_rescheduled_at,
)

if TYPE_CHECKING:
    from airflow_provider_dds.emulator import ManualClock

SCHEDULER_ROUND = 15.0
"""Seconds between two looks of Airflow's scheduler for deferrals that are past their timeout."""


class Store(dict):
    """Airflow's task state store: JSON values that outlive a try."""

    def set(self, key: str, value: Any) -> None:
        assert json.loads(json.dumps(value, allow_nan=False)) == value
        self[key] = value


@dataclass
class TaskInstance:
    """The part of Airflow's task instance that tasks use."""

    max_tries: int = 0
    try_number: int = 1
    map_index: int = -1
    dag_id: str = "tests"
    task_id: str = "task"
    run_id: str = "run"
    xcoms: dict[str, Any] = field(default_factory=dict)
    first_reschedule: datetime | None = None

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = json.loads(json.dumps(value))

    if AIRFLOW >= (3, 0):

        def get_first_reschedule_date(self, _: Any) -> datetime | None:
            return self.first_reschedule


@dataclass
class Run:
    """One task run: its task instance and store outlive the tries.

    :ivar deferrals: the triggers it deferred to, as the JSON that Airflow would store.
    :ivar events: what the triggers fired.
    :ivar starts: how often a worker began to run it.
    """

    task: Any
    clock: ManualClock
    store: Store | None = field(default_factory=lambda: Store() if HAS_TASK_STATE_STORE else None)
    ti: TaskInstance = field(default_factory=TaskInstance)
    deferrals: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    starts: int = 0
    restart_triggerer_after: int | None = None
    _sleeps: int = 0

    def once(self) -> Any:
        """Run one try to its end; return the result or raise what ends it."""
        while True:
            began = moment(self.clock)
            try:
                return self._work("execute")
            except AirflowRescheduleException:
                if self.ti.first_reschedule is None:
                    self.ti.first_reschedule = began
                self.clock.advance(self.worker._next_wait)

    def retry(self) -> Any:
        """Run the next try, as Airflow does after a failure."""
        self.ti.try_number += 1
        self.ti.xcoms.clear()
        return self.once()

    def clear(self) -> Any:
        """Run again as after a clear, which raises ``max_tries``."""
        self.ti.max_tries = self.ti.try_number + self.ti.max_tries
        self.ti.first_reschedule = None
        return self.retry()

    def context(self) -> dict[str, Any]:
        base: dict[str, Any] = {"ti": self.ti}
        return base if self.store is None else {**base, "task_state_store": self.store}

    def set_up_worker(self, worker: Any) -> None:
        """Put a task that a worker process begins to run on the moved clock."""
        worker._clock = self.clock
        worker._sleep = self.clock.advance
        worker._random = lambda: 0.5

    def set_up_trigger(self, trigger: Any) -> None:
        """Put a trigger that a triggerer process begins to run on the moved clock."""
        trigger._clock, trigger._sleep, trigger._random = self.clock, self.trigger_sleep, lambda: 0.5

    async def trigger_sleep(self, seconds: float) -> None:
        """Let a trigger sleep; ends the triggerer process where the test wants that."""
        self._sleeps += 1
        self.clock.advance(seconds)
        if self._sleeps == self.restart_triggerer_after:
            raise TriggererRestart
        self.past_timeout()

    def past_timeout(self) -> None:
        """End the deferral if Airflow's scheduler would."""
        if self.clock.now > self._timeout_at + SCHEDULER_ROUND:
            raise DeferralTimeout

    def _work(self, method: str, kwargs: dict[str, Any] | None = None) -> Any:
        self.starts += 1
        self.worker = copy.deepcopy(self.task)
        self.set_up_worker(self.worker)
        try:
            with first_rescheduled_at(self.ti.first_reschedule):
                if kwargs is None:
                    return self.worker.execute(self.context())
                return self.worker.resume_execution(method, kwargs, self.context())
        except TaskDeferred as deferral:
            if deferral.kwargs or deferral.timeout is None:
                raise AssertionError("a deferral needs a timeout, and its state belongs to the trigger") from None
            wait = deferral
        self._timeout_at = self.clock.now + wait.timeout.total_seconds()
        try:
            return self._work(wait.method_name, {"event": self._wait(wait.trigger)})
        except DeferralTimeout:
            return self._work(TRIGGER_FAIL_REPR, {"error": TRIGGER_TIMEOUT})

    def _wait(self, trigger: Any) -> dict[str, Any]:
        path, kwargs = trigger.serialize()
        self.deferrals.append((path, kwargs))
        event = asyncio.run(self._fire(path, json.loads(json.dumps(kwargs))))
        self.events.append(event)
        return event

    async def _fire(self, path: str, kwargs: dict[str, Any]) -> dict[str, Any]:
        assert path.startswith(triggers.__name__)
        self._sleeps = 0
        while True:
            trigger = getattr(triggers, path.rpartition(".")[2])(**kwargs)
            self.set_up_trigger(trigger)
            try:
                async for event in trigger.run():
                    return json.loads(json.dumps(event.payload))
            except TriggererRestart:
                continue
            raise AssertionError("the trigger ended without an event")


def moment(clock: ManualClock) -> datetime:
    """Return the present of a moved clock as Airflow writes it."""
    return datetime.fromtimestamp(clock.now, tz=timezone.utc)


class TriggererRestart(BaseException):
    """The triggerer process ends; another one begins the trigger anew."""


class DeferralTimeout(BaseException):
    """Airflow ends a deferral whose trigger has not fired in time."""
