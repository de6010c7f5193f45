"""Task runs whose workers and triggerers may die: at any access to the store, any call, any sleep."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from airflow.sdk.exceptions import AirflowSensorTimeout

from airflow_provider_dds.retry_policy import AT_ONCE
from tests.faults.ears import LOG
from tests.support.runner import Run, Store

if TYPE_CHECKING:
    from tests.faults.scene import Scene


class Killed(BaseException):
    """The worker process ends here."""


class MortalStore(Store):
    """The task state store, with points before and after each access."""

    def __init__(self, scene: Scene) -> None:
        super().__init__()
        self._scene = scene

    def get(self, key: str, default: Any = None) -> Any:
        self._scene.point("store")
        kept = json.loads(json.dumps(super().get(key, default)))
        self._scene.point("store")
        return kept

    def set(self, key: str, value: Any) -> None:
        self._scene.point("store")
        super().set(key, value)
        self._scene.point("store")


class MortalRun(Run):
    """A task run whose workers and triggerers may die."""

    def __init__(self, *args: Any, scene: Scene, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scene = scene
        self.in_trigger = False

    def set_up_worker(self, worker: Any) -> None:
        super().set_up_worker(worker)
        worker._sleep = self.scene.worker_sleep
        worker._cached_logger = worker._log = LOG

    def set_up_trigger(self, trigger: Any) -> None:
        super().set_up_trigger(trigger)
        trigger._log = LOG

    async def trigger_sleep(self, seconds: float) -> None:
        self.scene.trigger_point()
        self.clock.advance(seconds)
        self.past_timeout()

    def _wait(self, trigger: Any) -> dict[str, Any]:
        self.in_trigger = True
        try:
            return super()._wait(trigger)
        finally:
            self.in_trigger = False


def retried(error: BaseException) -> bool:
    """Whether Airflow retries after an error, by its rules and by the default retry policy."""
    return not isinstance(error, (AirflowFailException, AirflowSkipException, AirflowSensorTimeout, *AT_ONCE))
