"""Triggers that wait in the triggerer: for one backup, and for an instance that can take a backup."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import timedelta, timezone
from typing import TYPE_CHECKING, Any, cast

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_dds import arguments
from airflow_provider_dds.api_errors import is_transient
from airflow_provider_dds.compat import end_with
from airflow_provider_dds.creation import what_holds
from airflow_provider_dds.exceptions import DdsConfigurationError, DdsError, DdsTransportError
from airflow_provider_dds.hooks.dds import DdsHook
from airflow_provider_dds.links.dds import INSTANCE_XCOM, DdsInstanceLink
from airflow_provider_dds.polling import PollPlan, next_wait
from airflow_provider_dds.triggers.rendering import rendered
from airflow_provider_dds.verdict import Look, Outcome, Terms
from airflow_provider_dds.watch import BackupWatch, Ending, brief

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from airflow.providers.common.compat.sdk import Context

TRIGGER_MARGIN = timedelta(seconds=60)
"""How much later than the trigger's own deadline Airflow ends a deferral whose triggerer is gone."""


LAST_LOOK_SECONDS = 45.0
"""How long after its deadline a trigger waits for a look, so that it ends before Airflow ends the deferral."""

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
        ending, last_look = await self.wait()
        self.log.info("%s; a worker ends the task.", last_look)
        yield TriggerEvent(ending.to_json())

    async def wait(self) -> tuple[Ending, str]:
        """Look, now and again, until the wait has an ending; return that, and the last look in words."""
        while True:
            look = await self._look()
            now = self._clock()
            verdict = self.watch.conclude(look, now)
            if verdict.outcome is not Outcome.WAIT:
                return self.watch.ending(verdict, now), self.watch.line(verdict, now, None)
            wait = self.watch.next_wait(now, self._random())
            self.watch.report(self.log, verdict, now, wait)
            await self._sleep(wait)

    async def _look(self) -> Look:
        """Look once. A look that is still not over when Airflow is about to end the deferral has failed."""
        left = self.deadline - self._clock()
        try:
            return await asyncio.wait_for(self.watch.alook_with(self.hook.arun), max(0.0, left) + LAST_LOOK_SECONDS)
        except asyncio.TimeoutError:
            said = (
                f"The look was not over {LAST_LOOK_SECONDS:g} s after the deadline. If many triggers wait, its calls "
                "stood in line: raise calls_per_second of the connection, or poke_interval."
            )
            return Look(error=DdsTransportError(said, request_sent=None))

    async def on_kill(self) -> None:
        """Say that the backup goes on: the service has no call to cancel one. Called by Airflow 3.3 and later."""
        self.log.warning(
            "Backup job %s of %s goes on: the service cannot cancel it. Find it under Backup and Recovery of the "
            "instance.",
            self.watch.backup_job_id,
            self.watch.db_instance_id,
        )


class DdsBackupStartTrigger(_DdsTrigger):
    """Wait for one backup job from the first look on, for a sensor with ``start_from_trigger`` that no worker began.

    Airflow (3.3 and later) stores the arguments when it schedules the task, the same for each run: ids come as
    templates, which are rendered here, and the deadline as a span. The span begins when Airflow deferred the task,
    which follows from the moment at which it would end the deferral; so a restart of the triggerer moves nothing.

    A good backup ends the task here, with its XComs, where ``ends_task`` says that no worker has anything to do.
    Everything else fires an event like that of :class:`DdsBackupTrigger`, with a ``link``: a worker ends the task.

    :param db_instance_id: instance id. (templated)
    :param backup_job_id: job id. (templated)
    :param dds_conn_id: Airflow connection. (templated)
    :param region_id: region that overrides the connection's. (templated)
    :param timeout: seconds until the deadline.
    :param ends_after: seconds after which Airflow ends the deferral by itself, both from when it deferred the task.
    :param ends_task: whether a good backup ends the task without a worker.
    :param do_xcom_push: whether the task then returns the facts of the backup.
    :param poke_interval: seconds between two looks, the finest spacing.
    :param max_wait: longest interval in seconds.
    :param poll_strategy: how looks are spaced, as for the sensor.
    :param confirm_backup_set: after Finished, look up the backup set.
    :param confirm_timeout: seconds for the set to become visible.
    :param not_found_grace: seconds that the job may be nowhere to be seen.
    """

    timeout_after: datetime | None = None
    """When Airflow ends the deferral; the triggerer sets it."""

    def __init__(
        self,
        *,
        db_instance_id: str,
        backup_job_id: str,
        dds_conn_id: str,
        region_id: str | None,
        timeout: float,
        ends_after: float,
        ends_task: bool = False,
        do_xcom_push: bool = True,
        poke_interval: float = 60.0,
        max_wait: float | None = None,
        poll_strategy: str = "progress",
        confirm_backup_set: bool = True,
        confirm_timeout: float = 600.0,
        not_found_grace: float = 300.0,
    ) -> None:
        self.settings: dict[str, Any] = {
            "poke_interval": poke_interval,
            "max_wait": max_wait,
            "poll_strategy": poll_strategy,
            "confirm_backup_set": confirm_backup_set,
            "confirm_timeout": confirm_timeout,
            "not_found_grace": not_found_grace,
        }
        super().__init__(
            db_instance_id=db_instance_id,
            backup_job_id=backup_job_id,
            dds_conn_id=dds_conn_id,
            region_id=region_id,
            timeout=timeout,
            ends_after=ends_after,
            ends_task=ends_task,
            do_xcom_push=do_xcom_push,
            **self.settings,
        )
        self.db_instance_id = db_instance_id
        self.backup_job_id = backup_job_id
        self.dds_conn_id = dds_conn_id
        self.region_id = region_id
        self.span = timeout
        self.ends_after = ends_after
        self.ends_task = ends_task
        self.do_xcom_push = do_xcom_push
        self._context: Context | None = None
        self._waiting: DdsBackupTrigger | None = None

    @property
    def hook(self) -> DdsHook:
        """The hook of the wait."""
        return DdsHook(self.dds_conn_id, self.region_id)

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """Keep the context for :meth:`run`, which renders in a thread: Airflow calls this on the event loop.

        :param context: Airflow's context.
        :param jinja_env: not used.
        """
        self._context = context

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Render, look until the wait has an ending, and yield what ends the task: by itself, or on a worker."""
        link = None
        try:
            self._waiting = waiting = self._begin(await asyncio.to_thread(self._rendered))
            self.log.info(
                "Waiting for backup %s of %s from the first look on, without a worker.",
                waiting.watch.backup_job_id,
                waiting.watch.db_instance_id,
            )
            ending, last_look = await waiting.wait()
            if waiting.watch.instance:
                link = waiting.hook.console_url(waiting.watch.instance)
        except DdsError as error:
            ending, last_look = Ending(Outcome.ERROR, str(error), error=error), str(error).rstrip(".")
        event = await self._success(ending, link) if ending.outcome is Outcome.DONE and self.ends_task else None
        if event is None:
            self.log.info("%s; a worker ends the task.", last_look)
            event = TriggerEvent({**ending.to_json(), "link": link})
        else:
            self.log.info("%s", ending.text)
        yield event

    async def on_kill(self) -> None:
        """Say that the backup goes on: the service has no call to cancel one."""
        if self._waiting:
            await self._waiting.on_kill()

    def _rendered(self) -> dict[str, Any]:
        names = ("db_instance_id", "backup_job_id", "dds_conn_id", "region_id")
        fields = {name: getattr(self, name) for name in names}
        if self._context is not None:
            fields = rendered(self, fields, self._context)
        for name, value in fields.items():
            if isinstance(value, str) and not arguments.is_literal(value):
                raise DdsConfigurationError(
                    f"{name} is {value!r}: Airflow did not render it in the triggerer. Clear this task if its DAG was "
                    "changed meanwhile; else set start_from_trigger=False."
                )
        return {
            "db_instance_id": arguments.required_id("db_instance_id", fields["db_instance_id"]),
            "backup_job_id": arguments.required_id("backup_job_id", fields["backup_job_id"]),
            "dds_conn_id": arguments.optional_text("dds_conn_id", fields["dds_conn_id"]) or DdsHook.default_conn_name,
            "region_id": arguments.optional_text("region_id", fields["region_id"]),
        }

    def _begin(self, fields: dict[str, Any]) -> DdsBackupTrigger:
        started_at = self._clock()
        if ends := self.timeout_after:
            started_at = (ends if ends.tzinfo else ends.replace(tzinfo=timezone.utc)).timestamp() - self.ends_after
        waiting = DdsBackupTrigger(**fields, started_at=started_at, deadline=started_at + self.span, **self.settings)
        waiting._clock, waiting._sleep, waiting._random = self._clock, self._sleep, self._random
        return waiting

    async def _success(self, ending: Ending, link: str | None) -> TriggerEvent | None:
        """Push what a worker would push, and return the event that ends the task; None to have a worker do so."""
        if self.task is None or any(True for _ in self.task.iter_mapped_dependants()):
            return None  # only a worker can say over how much a mapped task then maps
        xcoms: dict[str, Any] = {"return_value": ending.backup} if self.do_xcom_push else {}
        if link:
            xcoms.update({INSTANCE_XCOM: link, DdsInstanceLink().xcom_key: link})
        try:
            return cast("TriggerEvent", await end_with(self.task_instance, xcoms))
        except Exception as error:  # whatever it is, a worker has other means
            self.log.warning("The XComs could not be pushed in the triggerer: %s: %s.", type(error).__name__, error)
            return None


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
