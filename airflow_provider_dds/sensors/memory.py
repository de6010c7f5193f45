"""What a sensor in reschedule mode remembers from one process to the next, in the task state store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_dds.compat import not_answered, task_state_store
from airflow_provider_dds.exceptions import DdsConfigurationError, DdsTimeoutError
from airflow_provider_dds.triggers.inputs import INPUTS_SHAPE, WaitInputs, inputs_of
from airflow_provider_dds.waiting.records import UnreadableError, read
from airflow_provider_dds.waiting.texts import duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_dds.hooks.dds import DdsHook
    from airflow_provider_dds.waiting.wait import Wait

MEMORY_KEY = "dds_backup_sensor"
"""Key of the memory in the task state store; part of what a running deployment relies on."""
VERSION = 1
_SHAPE = {"max_tries": "count", "inputs": "record", "memory": "record"}
_STORE_INTERVAL = 5.0
_STORE_INTERVAL_MOST = 60.0


class SensorMemory:
    """The memory of one try: what it waits for, and what its polls have seen.

    :param context: Airflow's context.
    :param log: logger of the task.
    :param about: the backup that the task is about, in words, for errors.
    """

    def __init__(self, context: Context, log: Any, about: str) -> None:
        ti = context["ti"]
        self.store = task_state_store(context)
        self._try = (int(ti.max_tries), int(ti.try_number))
        self._log, self._about = log, about
        self._found: Any = None

    def recall(self, sleep: Callable[[float], None], left: float) -> WaitInputs | None:
        """Return what the try waits for, from its first process; None where this is it, or there is no store.

        A store that does not answer is asked again until the deadline: without it the wait could become another.

        :param sleep: waits for some seconds.
        :param left: seconds until the deadline.
        :raises DdsConfigurationError: what is stored cannot be read.
        :raises DdsTimeoutError: the store does not answer.
        """
        stored = self._get(sleep, left)
        if stored is None:
            return None
        try:
            found = read(stored, _SHAPE, VERSION)
            inputs = WaitInputs(**read(found["inputs"], INPUTS_SHAPE))
        except UnreadableError as error:
            raise self._unreadable(error) from None
        if (found["max_tries"], inputs.try_number) != self._try:
            return None
        self._found = found["memory"]
        return inputs

    def give(self, wait: Wait[Any]) -> None:
        """Give a wait what its polls in earlier processes of the try have seen.

        :raises DdsConfigurationError: what is stored cannot be read.
        """
        if self._found is not None:
            try:
                wait.recall(self._found)
            except UnreadableError as error:
                raise self._unreadable(error) from None

    def keep(self, wait: Wait[Any], hook: DdsHook) -> bool:
        """Store the memory; False where it matters and cannot be stored."""
        if self.store is None:
            return not wait.remembers
        max_tries, try_number = self._try
        inputs = inputs_of(wait, hook, try_number).to_json()
        del inputs["version"]
        record = {"version": VERSION, "max_tries": max_tries, "inputs": inputs, "memory": wait.remembered()}
        try:
            self.store.set(MEMORY_KEY, record)
        except Exception as error:
            self._log.warning(
                "What this wait remembers could not be stored (%s: %s): the next poll is made by this worker.",
                type(error).__name__,
                error,
            )
            return False
        return True

    def _get(self, sleep: Callable[[float], None], left: float) -> Any:
        wait = _STORE_INTERVAL
        while self.store is not None:
            try:
                return self.store.get(MEMORY_KEY)
            except Exception as error:
                if not not_answered(error):
                    raise
                if left <= 0:
                    raise DdsTimeoutError(
                        f"At its deadline, what this wait remembers could not be read from the task's state store "
                        f"({type(error).__name__}: {error}). Look at Airflow's API server; then clear this task."
                    ) from None
                wait, left = min(wait, left), left - wait
                self._log.warning(
                    "What this wait remembers could not be read (%s: %s); next attempt in %s.",
                    type(error).__name__,
                    error,
                    duration(wait),
                )
            sleep(wait)
            wait = min(2 * wait, _STORE_INTERVAL_MOST)
        return None

    def _unreadable(self, error: Exception) -> DdsConfigurationError:
        said = str(error).rstrip(".")
        return DdsConfigurationError(
            f"What is stored under {MEMORY_KEY!r} in this task's state store, which is what the wait for "
            f"{self._about} remembers, cannot be read: {said}. Delete that key (in the UI: the task instance, "
            "Task State Store) and clear this task; if it comes back, install the same release of this package "
            "everywhere."
        )
