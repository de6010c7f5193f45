"""Task runs whose workers and triggerers may die or stand still: at any access to the store, any call, any sleep."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import greenlet
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from airflow.sdk.exceptions import AirflowSensorTimeout

from airflow_provider_dds.retry_policy import PERMANENT_ERRORS
from airflow_provider_dds.triggers import dds as triggers
from tests.faults.ears import LOG
from tests.support.airflow_rules import StoreOfTry, api_server_error
from tests.support.runner import SCHEDULER_ROUND, DeferralTimeout, Run, TaskInstance, TriggerFailure
from tests.support.versions import TRIGGER_FAIL_REPR

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.scene import Scene


class Killed(BaseException):
    """The worker process ends here."""


class Worker:
    """A worker process, which may stand still and be woken.

    :param work: what it does
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self._process = greenlet.greenlet(work)

    def go_on(self) -> bool:
        """Work until all is done, or until it stands still; return whether all is done."""
        self._process.switch()
        return bool(self._process.dead)

    def die(self) -> None:
        """End where it stands still."""
        self._process.throw(Killed)

    @staticmethod
    def stand_still() -> None:
        """Let the worker that is at work stand still here until it is woken."""
        greenlet.getcurrent().parent.switch()


class MortalStore(StoreOfTry):
    """The task state store of a try, with points before and after each access."""

    def __init__(self, store: Any, superseded: Callable[[], bool], scene: Scene) -> None:
        super().__init__(store, superseded)
        self._scene = scene

    def get(self, key: str, default: Any = None) -> Any:
        self._scene.point("store")
        kept = json.loads(json.dumps(super().get(key, default)))
        self._scene.point("store")
        return kept

    def set(self, key: str, value: Any) -> None:
        self._scene.point("store")
        if self._scene.clock.now < self._scene.elsewhere.full_until:
            raise api_server_error(500)
        super().set(key, value)
        self._scene.stored()
        self._scene.point("store")


@dataclass
class MortalTaskInstance(TaskInstance):
    """A task instance whose XComs may not get through."""

    scene: Scene | None = None

    def xcom_push(self, key: str, value: Any) -> None:
        if self.scene.clock.now < self.scene.elsewhere.xcom_fails_until:
            raise api_server_error(500)
        super().xcom_push(key, value)


class MortalRun(Run):
    """A task run whose workers and triggerers may die.

    :ivar thawing: a worker is at work in whose place another try has begun.
    :ivar has_begun: a process has rendered what the try waits for.
    :ivar work_until: when the process that is at work is over its ``execution_timeout``.
    """

    def __init__(self, *args: Any, scene: Scene, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scene = scene
        self.in_trigger = self.thawing = False
        self.work_until = math.inf
        self.has_begun = True

    def once(self) -> Any:
        """Run one try to its end; one that the triggerer begins, too."""
        args = getattr(self.task, "start_trigger_args", None)
        if args is None:
            return super().once()
        self.has_begun = False
        allowed = min(args.timeout, self.task.execution_timeout or args.timeout)
        self._timeout_at = self.clock.now + allowed.total_seconds()
        begun = SimpleNamespace(serialize=lambda: (args.trigger_cls, args.trigger_kwargs))
        try:
            return self._work("execute_complete", {"event": self._wait(begun)})
        except DeferralTimeout as end:
            return self._work(TRIGGER_FAIL_REPR, {"error": end.said})

    def retry(self) -> Any:
        self.ti = replace(self.ti, xcoms={})  # a worker that stands still keeps what it knew
        return super().retry()

    def context(self) -> dict[str, Any]:
        context = super().context()
        if self.store is not None:
            this = self.ti.try_number
            superseded = lambda: self.ti.try_number != this  # noqa: E731
            context["task_state_store"] = MortalStore(self.store, superseded, self.scene)
        return context

    def set_up_worker(self, worker: Any) -> None:
        super().set_up_worker(worker)
        clock = self.scene.clock.of_workers
        worker.clock = replace(worker.clock, now=clock, monotonic=self.clock, sleep=self.scene.worker_sleep)
        worker._cached_logger = worker._log = LOG
        if self.scene.current.task == "sensor":
            worker.backup_job_id = self.scene.rendered
            if not self.has_begun:  # nothing was rendered before
                self.scene.current.asked = self.scene.rendered
        self.has_begun = True
        limit = self.task.execution_timeout
        self.work_until = self.clock.now + limit.total_seconds() if limit else math.inf

    def set_up_trigger(self, trigger: Any) -> None:
        super().set_up_trigger(trigger)
        trigger.clock = replace(trigger.clock, now=self.scene.clock.of_workers)
        trigger._log = LOG
        if isinstance(trigger, triggers.DdsBackupStartTrigger):
            trigger.timeout_after = datetime.fromtimestamp(self._timeout_at + self.clock.ahead, tz=timezone.utc)
            trigger.task_instance = self.ti
            self.has_begun = True
            trigger.render_template_fields({"ti": self.ti})

    async def trigger_sleep(self, seconds: float) -> None:
        self.scene.trigger_point()
        self.clock.advance(seconds)
        self.past_timeout()

    def _wait(self, trigger: Any) -> dict[str, Any]:
        if self.thawing:
            raise Killed  # Airflow takes no deferral from a try that another has taken over from
        how = self.scene.next_deferral(is_of_backup=not isinstance(trigger, triggers.DdsInstanceFreeTrigger))
        if how == "times out":
            self.clock.advance(self._timeout_at + SCHEDULER_ROUND - self.clock.now)
            raise DeferralTimeout
        if how == "fails":
            raise TriggerFailure
        if how == "arguments garbled":
            path, kwargs = trigger.serialize()
            trigger = SimpleNamespace(serialize=lambda: (path, {**kwargs, "of_another_version": 1}))
        self.in_trigger = True
        try:
            event = super()._wait(trigger)
        finally:
            self.in_trigger = False
        return {"of_another_version": event} if how == "event garbled" else event


def retried(error: BaseException) -> bool:
    """Whether Airflow retries after an error, by its rules and by the default retry policy."""
    return not isinstance(error, (AirflowFailException, AirflowSkipException, AirflowSensorTimeout, *PERMANENT_ERRORS))
