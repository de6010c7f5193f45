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
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import requests
import tenacity
from airflow.sdk.bases import sensor as airflow_sensor
from urllib3.connection import HTTPConnection

from airflow_provider_dds.emulator import Credential, Emulator, Scenario
from airflow_provider_dds.hooks import dds as hook_module
from airflow_provider_dds.hooks import sending
from airflow_provider_dds.operators.dds import DdsCreateBackupOperator
from tests.faults.clock import BEGIN, Clock
from tests.faults.ears import LOG, heard, quiet
from tests.faults.scene import PATIENCE, Scene
from tests.support.runner import moment

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from tests.faults.schedule import Schedule
    from tests.faults.story import Story

SECRET, TOKEN = "search-access-key-secret", "search-security-token"
HANG_SECONDS = 0.03
"""Read timeout of a call that hangs; real time."""


class World:
    """Serves while entered; :meth:`play` plays one schedule."""

    def __enter__(self) -> Self:
        self.clock = Clock()
        credential = Credential("search-access-key-id", SECRET, TOKEN)
        self.emulator = Emulator(scenario=Scenario(credentials=[credential], speed=1.0), clock=self.clock)
        self.scene: Scene | None = None
        with ExitStack() as stack:
            stack.enter_context(quiet())
            stack.enter_context(self.emulator)
            connection = self.emulator.connection_dict()
            connection["extra"]["read_timeout"] = PATIENCE
            stack.enter_context(patch.dict(os.environ, {"AIRFLOW_CONN_DDS_DEFAULT": json.dumps(connection)}))
            moved = SimpleNamespace(sleep=lambda seconds: self.scene.worker_sleep(seconds), monotonic=self.clock)
            now = SimpleNamespace(utcnow=lambda: moment(self.clock))
            stack.enter_context(patch.object(airflow_sensor, "time", moved))
            stack.enter_context(patch.object(airflow_sensor, "timezone", now))
            stack.enter_context(patch.object(tenacity, "time", moved))
            for owner, name, wrapped in (
                (hook_module.DdsHook, "__init__", self._hooked),
                (requests.Session, "send", self._sent),
                (HTTPConnection, "getresponse", self._hanging),
            ):
                stack.enter_context(patch.object(owner, name, wrapped(getattr(owner, name))))
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
        self.clock.limit, self.clock.agenda = float("inf"), []
        self.clock.now = BEGIN + schedule.second
        self.scene = Scene(self.emulator, self.clock, schedule)
        with heard(self.scene.story.log.append):
            return self.scene.play()

    def _hooked(self, original: Callable[..., None]) -> Callable[..., None]:
        def init(hook: Any, *args: Any, **kwargs: Any) -> None:
            original(hook, *args, **kwargs)
            hook._log = LOG
            hook._clock = self.clock
            hook._sleep = lambda seconds: self.scene.worker_sleep(seconds)
            hook._asleep = lambda seconds: self.scene.run.trigger_sleep(seconds)

        return init

    def _sent(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def send(session: Any, request: Any, **options: Any) -> Any:
            action = request.headers["x-acs-action"]
            call = self.scene.before_call(action if isinstance(action, str) else action.decode())
            if call.fault and call.fault.startswith("hang"):
                options["timeout"] = (PATIENCE, HANG_SECONDS)
            response = None
            try:
                response = original(session, request, **options)
            finally:
                self.scene.after_call(call, response)
            return response

        return send

    def _hanging(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def getresponse(connection: Any) -> Any:
            if connection.timeout == HANG_SECONDS:
                self.scene.wait_until_it_hangs()
            return original(connection)

        return getresponse
