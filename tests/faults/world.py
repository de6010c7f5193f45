"""The world that schedules are played in: the emulator over HTTP, and everything real put on moved time.

One emulator serves all schedules of a process. Nothing waits for real, but for a call that hangs: that one meets a read
timeout of a few hundredths of a second, and only after the service is seen to hang.
"""

from __future__ import annotations

import copy
import json
import os
import random
from contextlib import ExitStack
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import tenacity
from airflow.sdk.bases import sensor as airflow_sensor

from airflow_provider_dds.client import sending
from airflow_provider_dds.clock import Clock
from airflow_provider_dds.emulator import Emulator, Role, Scenario
from airflow_provider_dds.hooks import dds as hook_module
from airflow_provider_dds.operators.dds import DdsCreateBackupOperator
from airflow_provider_dds.sensors import base
from airflow_provider_dds.triggers import start
from tests.faults.clock import BEGIN, WorldClock
from tests.faults.ears import LOG, heard, quiet
from tests.faults.elsewhere import CONNECTION, KEYS
from tests.faults.scene import Scene
from tests.faults.seam import take_hold
from tests.faults.wires import PATIENCE, Wires

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from tests.faults.schedule import Schedule
    from tests.faults.story import Story


ROLE = "acs:ram::1000000000000001:role/backup"
"""The role whose credential the source has."""


class World:
    """Serves while entered; :meth:`play` plays one schedule."""

    def __enter__(self) -> Self:
        self.clock = WorldClock()
        roles = [Role(ROLE)]
        self.emulator = Emulator(scenario=Scenario(credentials=[KEYS[0]], roles=roles, speed=1.0), clock=self.clock)
        self.scene: Scene | None = None
        with ExitStack() as stack:
            stack.enter_context(quiet())
            stack.enter_context(self.emulator)
            connection = self.emulator.connection_dict()
            connection["extra"]["read_timeout"] = PATIENCE
            stack.enter_context(patch.dict(os.environ, {CONNECTION: json.dumps(connection)}))
            moved = SimpleNamespace(sleep=lambda seconds: self.scene.worker_sleep(seconds), monotonic=self.clock)
            now = SimpleNamespace(utcnow=self._now_of_workers)
            stack.enter_context(patch.object(airflow_sensor, "time", moved))
            stack.enter_context(patch.object(airflow_sensor, "timezone", now))
            stack.enter_context(patch.object(tenacity, "time", moved))
            hooked = self._hooked(hook_module.DdsHook.__init__)
            stack.enter_context(patch.object(hook_module.DdsHook, "__init__", hooked))
            take_hold(stack, self)
            stack.enter_context(patch.object(base, "forget_result", lambda _: None))  # which asks a database
            for name, played in self._triggerer().items():
                stack.enter_context(patch.object(start, name, played))
            self.wires = stack.enter_context(Wires(self.emulator, ROLE))
            sending.forget_services()
            # Airflow raises the recursion limit when it copies a task; hypothesis warns if that happens under way.
            copy.deepcopy(DdsCreateBackupOperator(task_id="first", db_instance_id="none"))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()
        sending.forget_services()

    def play(self, schedule: Schedule) -> Story:
        """Play a schedule and return what happened."""
        random.seed(0)
        sending.forget_services()
        self.emulator.reset()
        self.clock.limit, self.clock.agenda, self.clock.ahead = float("inf"), [], 0.0
        self.clock.now = BEGIN + schedule.second
        surroundings = self.wires.lay(schedule.wire) if schedule.wire else {}
        with patch.dict(os.environ, surroundings):
            self.scene = Scene(self.emulator, self.clock, schedule, self.wires)
            with heard(self.scene.story.log.append):
                return self.scene.play()

    def _now_of_workers(self) -> datetime:
        """Return the present as Airflow's own sensor reads it, which runs in a worker."""
        return datetime.fromtimestamp(self.clock.of_workers(), tz=timezone.utc)

    def _triggerer(self) -> dict[str, Any]:
        """Return what a triggerer has instead of a worker: templates that it renders, XComs that it asks for."""

        def rendered(_trigger: Any, fields: dict[str, Any], _context: Any) -> dict[str, Any]:
            return {**fields, "backup_job_id": self.scene.rendered} if "backup_job_id" in fields else fields

        return {
            "rendered": rendered,
            "own_xcom": lambda ti, key: ti.xcoms.get(key),
            "keep_own_xcom": lambda ti, key, value: ti.xcom_push(key, value),
        }

    def _hooked(self, original: Callable[..., None]) -> Callable[..., None]:
        def init(hook: Any, *args: Any, **kwargs: Any) -> None:
            original(hook, *args, **kwargs)
            hook._log = hook._connection._log = LOG
            if self.scene.wire and self.scene.wire.is_outside():
                self.scene.wire.set_up_outsider(hook)
                return
            hook.clock = Clock(
                monotonic=self.clock,
                sleep=lambda seconds: self.scene.worker_sleep(seconds),
                asleep=lambda seconds: self.scene.run.trigger_sleep(seconds),
            )

        return init
