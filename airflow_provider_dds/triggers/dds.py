"""Triggers that wait in the triggerer: for one backup, and for an instance that can take a backup."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_dds.api_errors import is_transient
from airflow_provider_dds.creation import what_holds
from airflow_provider_dds.exceptions import DdsError
from airflow_provider_dds.hooks.dds import DdsHook
from airflow_provider_dds.polling import PollPlan, next_wait
from airflow_provider_dds.verdict import Outcome, Terms
from airflow_provider_dds.watch import BackupWatch, brief

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TRIGGER_MARGIN = timedelta(seconds=60)
"""How much later than the trigger's own deadline Airflow ends a deferral whose triggerer is gone."""


FRESH_SECONDS = 60.0
"""How soon after the worker's look a trigger still takes over its memory."""

TRIGGER_FAILED = "__fail__"
"""The method that Airflow resumes a task with when its trigger ended without an event."""


class _DdsTrigger(BaseTrigger):
    """What both triggers share: plain JSON arguments, a clock and a random number that tests replace."""

    deadline: float

    _clock = staticmethod(time.time)
    _random = staticmethod(random.random)
    _sleep = staticmethod(asyncio.sleep)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow leaves it untyped
        self._kwargs = kwargs

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments to build this trigger anew: plain JSON, no secret."""
        return f"{type(self).__module__}.{type(self).__qualname__}", dict(self._kwargs)

    def timeout(self, now: float) -> timedelta:
        """Return the timeout for ``defer``: the trigger's own deadline fires first.

        :param now: epoch seconds.
        """
        return timedelta(seconds=max(0.0, self.deadline - now)) + TRIGGER_MARGIN


def tell_of_no_event(log: Any, about: str, next_method: str, next_kwargs: dict[str, Any] | None) -> None:
    """Log what a task waited for in vain when its trigger ended without an event: Airflow's own error names nothing."""
    if next_method == TRIGGER_FAILED:
        log.error(
            "No answer from the triggerer about %s (%s). Check that a triggerer runs and has this package; then clear "
            "this task.",
            about,
            (next_kwargs or {}).get("error", "no reason given"),
        )


class DdsBackupTrigger(_DdsTrigger):
    """Wait for one backup job until it is good, has failed, or the deadline passes.

    Fires once, with :class:`airflow_provider_dds.watch.Ending` as JSON. Begun anew after a restart of the triggerer it
    simply goes on: the deadline is absolute, and the graces for what is not visible begin again.

    :param db_instance_id: instance id.
    :param backup_job_id: job id.
    :param dds_conn_id: Airflow connection.
    :param region_id: region that overrides the connection's.
    :param started_at: epoch seconds at which the wait began.
    :param deadline: epoch seconds at which it ends.
    :param poke_interval: seconds between two looks, the finest spacing.
    :param exponential_backoff: the same as ``poll_strategy="exponential"``, in triggers stored by an older version.
    :param max_wait: longest interval in seconds.
    :param poll_strategy: how looks are spaced, as for the sensor.
    :param confirm_backup_set: after Finished, look up the backup set.
    :param confirm_timeout: seconds for the set to become visible.
    :param not_found_grace: seconds that the job may be nowhere to be seen.
    :param memory: what the worker's look left to remember.
    :param remembered_at: epoch seconds of that look. Later than ``FRESH_SECONDS`` after it this is a trigger begun
        anew, which cannot know what was seen in between: it forgets, and the graces begin again.
    """

    def __init__(
        self,
        *,
        db_instance_id: str,
        backup_job_id: str,
        dds_conn_id: str,
        region_id: str | None,
        started_at: float,
        deadline: float,
        poke_interval: float = 60.0,
        exponential_backoff: bool = False,
        max_wait: float | None = None,
        poll_strategy: str = "progress",
        confirm_backup_set: bool = True,
        confirm_timeout: float = 600.0,
        not_found_grace: float = 300.0,
        memory: dict[str, Any] | None = None,
        remembered_at: float = 0.0,
    ) -> None:
        super().__init__(
            db_instance_id=db_instance_id,
            backup_job_id=backup_job_id,
            dds_conn_id=dds_conn_id,
            region_id=region_id,
            started_at=started_at,
            deadline=deadline,
            poke_interval=poke_interval,
            exponential_backoff=exponential_backoff,
            max_wait=max_wait,
            poll_strategy=poll_strategy,
            confirm_backup_set=confirm_backup_set,
            confirm_timeout=confirm_timeout,
            not_found_grace=not_found_grace,
            memory=memory,
            remembered_at=remembered_at,
        )
        self.memory = memory
        self.remembered_at = remembered_at
        self.deadline = deadline
        self.hook = DdsHook(dds_conn_id, region_id)
        self.watch = BackupWatch(
            db_instance_id,
            backup_job_id,
            Terms(deadline, confirm_backup_set, confirm_timeout, not_found_grace),
            PollPlan(poke_interval, "exponential" if exponential_backoff else poll_strategy, max_wait),
            started_at,
        )

    @classmethod
    def for_watch(cls, watch: BackupWatch, hook: DdsHook, now: float) -> DdsBackupTrigger:
        """Return the trigger that goes on with a wait in which a worker has just looked.

        :param watch: the wait.
        :param hook: the worker's hook, whose connection and region it takes over.
        :param now: epoch seconds of that look.
        """
        return cls(
            db_instance_id=watch.db_instance_id,
            backup_job_id=watch.backup_job_id,
            dds_conn_id=hook.dds_conn_id,
            region_id=hook.region_id,
            started_at=watch.started_at,
            deadline=watch.terms.deadline,
            poke_interval=watch.plan.poke_interval,
            max_wait=watch.plan.max_wait,
            poll_strategy=watch.plan.strategy,
            confirm_backup_set=watch.terms.confirm_backup_set,
            confirm_timeout=watch.terms.confirm_timeout,
            not_found_grace=watch.terms.not_found_grace,
            memory=watch.remembered(),
            remembered_at=now,
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until the wait has an ending, and yield it. The worker has just looked: the first look is due later."""
        now = self._clock()
        if self.memory and now - self.remembered_at <= FRESH_SECONDS:
            self.watch.recall(self.memory)
        await self._sleep(self.watch.next_wait(now, self._random()))
        while True:
            look = await self.watch.alook_with(self.hook.arun)
            now = self._clock()
            verdict = self.watch.conclude(look, now)
            if verdict.outcome is not Outcome.WAIT:
                ending = self.watch.ending(verdict, now)
                self.log.info("%s; a worker ends the task.", self.watch.line(verdict, now, None))
                yield TriggerEvent(ending.to_json())
                return
            wait = self.watch.next_wait(now, self._random())
            self.watch.report(self.log, verdict, now, wait)
            await self._sleep(wait)

    async def on_kill(self) -> None:
        """Say that the backup goes on: the service has no call to cancel one. Called by Airflow 3.3 and later."""
        self.log.warning(
            "Backup job %s of %s goes on: the service cannot cancel it. Find it under Backup and Recovery of the "
            "instance.",
            self.watch.backup_job_id,
            self.watch.db_instance_id,
        )


class DdsInstanceFreeTrigger(_DdsTrigger):
    """Wait until an instance can take a backup: it is Running and no other backup runs on it, or the deadline passes.

    Fires once, with ``{"reason": what still holds it and the refusal, or None, "record": the record it was given}``.

    :param db_instance_id: instance id.
    :param dds_conn_id: Airflow connection.
    :param region_id: region that overrides the connection's.
    :param deadline: epoch seconds at which the wait ends.
    :param poke_interval: seconds between two looks.
    :param record: what the operator remembers of its create, handed back to it.
    :param refusal: in words, what the service answered to the request.
    """

    def __init__(
        self,
        *,
        db_instance_id: str,
        dds_conn_id: str,
        region_id: str | None,
        deadline: float,
        poke_interval: float,
        record: dict[str, Any],
        refusal: str = "",
    ) -> None:
        super().__init__(
            db_instance_id=db_instance_id,
            dds_conn_id=dds_conn_id,
            region_id=region_id,
            deadline=deadline,
            poke_interval=poke_interval,
            record=record,
            refusal=refusal,
        )
        self.db_instance_id = db_instance_id
        self.deadline = deadline
        self.plan = PollPlan(poke_interval, "fixed")
        self.record = record
        self.refusal = refusal
        self.hook = DdsHook(dds_conn_id, region_id)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until the instance is free or the deadline passes, and yield what holds it.

        A look that fails for good is left to the worker.
        """
        failures = 0
        while True:
            left = self.deadline - self._clock()
            await self._sleep(next_wait(self.plan, elapsed=0, left=left, failures=failures, jitter=self._random()))
            try:
                reason, _ = await self.hook.arun(what_holds(self.db_instance_id))
                failures = 0
            except DdsError as error:
                reason, failures = f"a look at it failed: {brief(error)}", failures + 1
                if not is_transient(error):
                    reason = None
            if reason is None or self._clock() >= self.deadline:
                held = f"{reason} ({self.refusal})" if reason and self.refusal else reason
                yield TriggerEvent({"reason": held, "record": self.record})
                return
            self.log.info("Waiting to back up %s: %s.", self.db_instance_id, reason)
