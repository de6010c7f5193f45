"""What the triggers share: plain JSON arguments that are checked, a clock that tests replace, and the engine."""

from __future__ import annotations

from abc import abstractmethod
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_dds.clock import CLOCK, Clock
from airflow_provider_dds.exceptions import DdsConfigurationError
from airflow_provider_dds.hooks.dds import DdsHook
from airflow_provider_dds.masking import escaped
from airflow_provider_dds.waiting.records import UnreadableError, read
from airflow_provider_dds.waiting.result import Outcome, Result
from airflow_provider_dds.waiting.watch import LAST_POLL_SECONDS, watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from airflow_provider_dds.waiting.wait import Wait

TRIGGER_MARGIN = timedelta(seconds=60)
"""How much later than the trigger's own deadline Airflow ends a deferral whose triggerer is gone."""
FRESH_SECONDS = 60.0
"""How soon after the worker's poll a trigger still takes over its memory."""
_SHAPE = {"dds_conn_id": "text", "region_id": "text?", "memory": "record?", "remembered_at": "seconds"}


class DdsTrigger(BaseTrigger):
    """A trigger whose arguments Airflow stored, perhaps for another release: it takes all, and fires what is wrong.

    :ivar refused: what is wrong with the arguments that it was built with.
    """

    clock: Clock = CLOCK
    deadline: float
    refused: DdsConfigurationError | None = None

    @classmethod
    @abstractmethod
    def shape(cls) -> dict[str, str]:
        """Return the kind of each argument, as :func:`airflow_provider_dds.waiting.records.read` takes them."""

    @classmethod
    @abstractmethod
    def optional(cls) -> frozenset[str]:
        """Return the names of the arguments that may be left out."""

    def __init__(self, **stored: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow leaves it untyped
        self._stored = stored

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments to build this trigger anew: plain JSON, no secret."""
        return f"{type(self).__module__}.{type(self).__qualname__}", dict(self._stored)

    def timeout(self, now: float) -> timedelta:
        """Return the timeout for ``defer``: the trigger's own deadline fires first.

        :param now: epoch seconds.
        """
        return timedelta(seconds=max(0.0, self.deadline - now)) + TRIGGER_MARGIN

    def event_of(self, result: Result) -> TriggerEvent:
        """Return the event that ends a deferral with a result.

        :param result: how the wait ended.
        """
        return TriggerEvent(result.fired(self.clock.now()).to_json())

    def refused_event(self) -> TriggerEvent | None:
        """Return the event of a trigger that cannot begin with the arguments it has, None where it can."""
        return None if self.refused is None else self.event_of(refusal(self.refused))


class WaitTrigger(DdsTrigger):
    """Make a wait to its end, and fire its :class:`~airflow_provider_dds.waiting.result.Result` as JSON, once.

    Begun anew after a restart of the triggerer it simply goes on: the deadline is absolute, and the graces for what is
    not visible begin again.

    :param dds_conn_id: Airflow connection.
    :param region_id: region that overrides the connection's.
    :param memory: what the worker's poll left to remember.
    :param remembered_at: epoch seconds of that poll. Later than ``FRESH_SECONDS`` after it this is a trigger begun
        anew, which cannot know what was seen in between: it forgets, and the graces begin again.
    :param stored: the arguments of the wait.
    """

    wait_class: ClassVar[type[Wait[Any]]]
    last_poll: float = LAST_POLL_SECONDS

    def __init__(self, **stored: Any) -> None:
        super().__init__(**stored)
        try:
            found = read(stored, self.shape(), optional=self.optional())
            self.wait = self.wait_class(**{name: found[name] for name in self.wait_class.shape() if name in found})
            self.wait.check()
        except (UnreadableError, DdsConfigurationError) as error:
            self.refused = unreadable_arguments(type(self).__name__, error, stored)
            return
        self.memory: dict[str, Any] | None = found.get("memory")
        self.remembered_at: float = found.get("remembered_at", 0.0)
        self.hook = DdsHook(found["dds_conn_id"], found["region_id"])
        self.deadline = self.wait.deadline

    @classmethod
    def shape(cls) -> dict[str, str]:
        """Return the kind of each argument, as :func:`airflow_provider_dds.waiting.records.read` takes them."""
        return {**_SHAPE, **cls.wait_class.shape()}

    @classmethod
    def optional(cls) -> frozenset[str]:
        """Return the names of the arguments that may be left out."""
        return frozenset({"memory", "remembered_at"}) | cls.wait_class.optional()

    @classmethod
    def for_wait(cls, wait: Wait[Any], hook: DdsHook, now: float) -> WaitTrigger:
        """Return the trigger that goes on with a wait in which a worker has just polled.

        :param wait: the wait, its times in epoch seconds.
        :param hook: the worker's hook, whose connection and region it takes over.
        :param now: epoch seconds of that poll.
        """
        connection = {"dds_conn_id": hook.dds_conn_id, "region_id": hook.region_id}
        return cls(**connection, **wait.to_json(), memory=wait.remembered(), remembered_at=now)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until the wait is over, and yield the result. A worker has just polled: the first poll is due later.

        A trigger begun anew does not know when the last poll was, and polls within one ``poke_interval``: what it has
        waited may be hours, and so may be the next interval of an ``exponential`` wait.
        """
        if self.refused is None:
            self._recall(now := self.clock.now())
        if (event := self.refused_event()) is None:
            pause = self.wait.next_wait(now, self.clock.random())
            if self._is_begun_anew(now):
                pause = min(pause, self.wait.poke_interval * self.clock.random())
            await self.clock.asleep(pause)
            result = await watch(self.wait, self.hook.arun, self.clock, self.log, last_poll=self.last_poll)
            self.log.info("%s; a worker ends the task.", self.wait.last_line)
            event = self.event_of(result)
        yield event

    async def on_kill(self) -> None:
        """Say what goes on without anybody who waits. Called by Airflow 3.3 and later."""
        if self.refused is None and self.wait.goes_on:
            self.log.warning("%s", self.wait.goes_on)

    def _is_begun_anew(self, now: float) -> bool:
        return now - self.remembered_at > FRESH_SECONDS

    def _recall(self, now: float) -> None:
        if not self.memory:
            return
        if self._is_begun_anew(now):
            self.wait.forget()
            return
        try:
            self.wait.recall(self.memory)
        except UnreadableError as error:
            self.refused = unreadable_arguments(type(self).__name__, error, self._stored)


def refusal(error: DdsConfigurationError) -> Result:
    """Return the result of a wait that cannot begin."""
    return Result(Outcome.ERROR, str(error), error=error)


def unreadable_arguments(name: str, error: Exception, stored: Mapping[str, Any]) -> DdsConfigurationError:
    """Return the error for stored arguments that cannot be read."""
    said = str(error).rstrip(".")
    job_id, instance_id = (
        escaped(stored.get(key) or "unknown", limit=100) for key in ("backup_job_id", "db_instance_id")
    )
    backup = f"backup {job_id} of {instance_id}" if "backup_job_id" in stored else f"a backup of {instance_id}"
    return DdsConfigurationError(
        f"The arguments that Airflow stored for {name} cannot be read: {said}. It was to wait for {backup}. Another "
        "release of this package stored them. Install the same release everywhere, and clear this task: that stores "
        "them anew."
    )
