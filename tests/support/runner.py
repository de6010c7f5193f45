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
from airflow.sdk.exceptions import AirflowRescheduleException
from pydantic import JsonValue, TypeAdapter

from airflow_provider_dds.triggers import dds as triggers

if TYPE_CHECKING:
    from airflow_provider_dds.emulator import ManualClock


class Store(dict):
    """Airflow's task state store: JSON values that outlive a try."""

    def set(self, key: str, value: Any) -> None:
        self[key] = TypeAdapter(JsonValue).validate_python(value)


@dataclass
class TaskInstance:
    """The part of Airflow's task instance that tasks use."""

    max_tries: int = 0
    try_number: int = 1
    map_index: int = -1
    xcoms: dict[str, Any] = field(default_factory=dict)
    first_reschedule: datetime | None = None

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = json.loads(json.dumps(value))

    def get_first_reschedule_date(self, _: Any) -> datetime | None:
        return self.first_reschedule


@dataclass
class Run:
    """One task run: its task instance and store outlive the tries.

    :ivar deferrals: the triggers it deferred to, as the JSON that Airflow would store.
    :ivar starts: how often a worker began to run it.
    """

    task: Any
    clock: ManualClock
    store: Store | None = field(default_factory=Store)
    ti: TaskInstance = field(default_factory=TaskInstance)
    deferrals: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    starts: int = 0
    restart_triggerer_after: int | None = None

    def once(self) -> Any:
        """Run one try to its end; return the result or raise what ends it."""
        while True:
            try:
                return self._work("execute")
            except AirflowRescheduleException:
                if self.ti.first_reschedule is None:
                    self.ti.first_reschedule = datetime.fromtimestamp(self.clock.now, tz=timezone.utc)
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

    def _work(self, method: str, event: dict[str, Any] | None = None) -> Any:
        self.starts += 1
        self.worker = self._worker()
        try:
            if event is None:
                return self.worker.execute(self.context())
            return self.worker.resume_execution(method, {"event": event}, self.context())
        except TaskDeferred as deferral:
            if deferral.kwargs or deferral.timeout is None:
                raise AssertionError("a deferral needs a timeout, and its state belongs to the trigger") from None
            return self._work(deferral.method_name, self._wait(deferral.trigger))

    def _worker(self) -> Any:
        """Return the task as a new worker process gets it, on the moved clock."""
        worker = copy.deepcopy(self.task)
        worker._clock = self.clock
        worker._sleep = self.clock.advance
        worker._random = lambda: 0.5
        return worker

    def _wait(self, trigger: Any) -> dict[str, Any]:
        path, kwargs = trigger.serialize()
        self.deferrals.append((path, kwargs))
        return asyncio.run(self._fire(path, json.loads(json.dumps(kwargs))))

    async def _fire(self, path: str, kwargs: dict[str, Any]) -> dict[str, Any]:
        assert path.startswith(triggers.__name__)
        looks = 0

        async def sleep(seconds: float) -> None:
            nonlocal looks
            looks += 1
            self.clock.advance(seconds)
            if looks == self.restart_triggerer_after:
                raise _TriggererRestartError

        while True:
            trigger = getattr(triggers, path.rpartition(".")[2])(**kwargs)
            trigger._clock, trigger._sleep, trigger._random = self.clock, sleep, lambda: 0.5
            try:
                async for event in trigger.run():
                    return json.loads(json.dumps(event.payload))
            except _TriggererRestartError:
                continue
            raise AssertionError("the trigger ended without an event")


class _TriggererRestartError(Exception):
    """The triggerer process ends between two looks."""
