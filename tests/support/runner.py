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
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_dds.clock import Clock
from tests.support.airflow_rules import StoreOfTry, max_tries_after_clear
from tests.support.versions import (
    AIRFLOW,
    HAS_TASK_STATE_STORE,
    TRIGGER_FAIL_REPR,
    TRIGGER_TIMEOUT,
    AirflowRescheduleException,
    first_rescheduled_at,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_dds.emulator import ManualClock

SCHEDULER_ROUND = 15.0
"""Seconds between two polls of Airflow's scheduler for deferrals that are past their timeout."""

REPLICA = "dds-demo-replica"
MODES = {
    "poke": {"mode": "poke", "deferrable": False},
    "reschedule": {"mode": "reschedule", "deferrable": False},
    "deferrable": {"deferrable": True},
}


class Store(dict):
    """Airflow's task state store: JSON values that outlive a try."""

    def set(self, key: str, value: Any) -> None:
        assert json.loads(json.dumps(value, allow_nan=False)) == value
        self[key] = value


@dataclass(frozen=True)
class MadeId:
    """The id that Airflow 3 gives each try, a UUID of version 7, by what it tells: when that try was made."""

    made_at: float
    version: int = 7

    @property
    def int(self) -> int:
        """The id as a number."""
        return int(self.made_at * 1000) << 80


@dataclass
class TaskInstance:
    """The part of Airflow's task instance that tasks use."""

    max_tries: int = 0
    try_number: int = 1
    map_index: int = -1
    dag_id: str = "tests"
    task_id: str = "task"
    run_id: str = "run"
    id: MadeId | None = None
    xcoms: dict[str, Any] = field(default_factory=dict)
    first_reschedule: datetime | None = None

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = json.loads(json.dumps(value))

    def xcom_pull(self, task_ids: str, key: str, map_indexes: int) -> Any:
        assert (task_ids, map_indexes) == (self.task_id, self.map_index), "a task of these tests pulls only its own"
        return self.xcoms.get(key)

    if AIRFLOW >= (3, 0):

        def get_first_reschedule_date(self, _: Any) -> datetime | None:
            return self.first_reschedule


@dataclass
class Run:
    """One task run: its task instance and store outlive the tries.

    :ivar deferrals: the triggers it deferred to, as the JSON that Airflow would store.
    :ivar events: what the triggers fired.
    :ivar starts: how often a worker began to run it.
    :ivar retries: what the DAG gives the task now; None: what the task instance began with.
    """

    task: Any
    clock: ManualClock
    store: Store | None = field(default_factory=lambda: Store() if HAS_TASK_STATE_STORE else None)
    ti: TaskInstance = field(default_factory=TaskInstance)
    clear_number: int = 0
    deferrals: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    starts: int = 0
    retries: int | None = None
    restart_triggerer_after: int | None = None
    monotonic: Callable[[], float] | None = None
    _sleeps: int = 0
    ended_at: float = 0.0

    def __post_init__(self) -> None:
        if self.retries is None:
            self.retries = self.ti.max_tries

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
        self.ti.id = MadeId(self.ended_at)
        self.ti.try_number += 1
        self.ti.xcoms.clear()
        return self.once()

    def clear(self, retries: int | None = None, *, task_gone: bool = False) -> Any:
        """Run again as after a clear.

        :param retries: what they were edited to in the DAG before the clear.
        :param task_gone: the clear did not find the task in the DAG, which has it again by now.
        """
        if retries is not None:
            self.retries = retries
        now = None if task_gone else self.retries
        self.ti.max_tries = max_tries_after_clear(self.ti.max_tries, self.ti.try_number, now)
        return self._run_after_clear()

    def clear_while_it_runs(self) -> Any:
        """Run again as after a clear that ended a try: that leaves the number of tries as it is."""
        return self._run_after_clear()

    def _run_after_clear(self) -> Any:
        self.ti.first_reschedule = None
        self.clear_number += 1
        self.ended_at = self.clock.now
        return self.retry()

    def context(self) -> dict[str, Any]:
        base: dict[str, Any] = {"ti": self.ti, "dag_run": SimpleNamespace(clear_number=self.clear_number)}
        if self.store is None:
            return base
        this = self.ti.try_number
        return {**base, "task_state_store": StoreOfTry(self.store, lambda: self.ti.try_number != this)}

    def set_up_worker(self, worker: Any) -> None:
        """Put a task that a worker process begins to run on the moved clock."""
        worker.clock = Clock(
            now=self.clock, monotonic=self.monotonic or self.clock, sleep=self.clock.advance, random=lambda: 0.5
        )

    def set_up_trigger(self, trigger: Any) -> None:
        """Put a trigger that a triggerer process begins to run on the moved clock."""
        trigger.clock = Clock(now=self.clock, asleep=self.trigger_sleep, random=lambda: 0.5)

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
        try:
            return self._run(method, kwargs)
        finally:
            self.ended_at = self.clock.now

    def _run(self, method: str, kwargs: dict[str, Any] | None) -> Any:
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
        except DeferralTimeout as end:
            return self._work(TRIGGER_FAIL_REPR, {"error": end.said})

    def _wait(self, trigger: Any) -> dict[str, Any]:
        path, kwargs = trigger.serialize()
        self.deferrals.append((path, kwargs))
        event = asyncio.run(self._fire(path, json.loads(json.dumps(kwargs))))
        self.events.append(event)
        return event

    async def _fire(self, path: str, kwargs: dict[str, Any]) -> dict[str, Any]:
        module, _, name = path.rpartition(".")
        assert module.startswith("airflow_provider_dds.triggers.")
        self._sleeps = 0
        while True:
            trigger = getattr(import_module(module), name)(**kwargs)
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
    """Airflow ends a deferral whose trigger has not fired in time.

    :cvar said: what the task is resumed with.
    """

    said = TRIGGER_TIMEOUT


class TriggerFailure(DeferralTimeout):
    """Airflow ends a deferral whose trigger has failed."""

    said = "Trigger failure"
