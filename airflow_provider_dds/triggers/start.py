"""Trigger that waits for one backup job from the first poll on, for a sensor that no worker began."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timezone
from typing import TYPE_CHECKING, Any, ClassVar, cast

from airflow.triggers.base import TriggerEvent

from airflow_provider_dds import arguments
from airflow_provider_dds.compat import end_with, keep_own_xcom, own_xcom
from airflow_provider_dds.exceptions import DdsConfigurationError, DdsError
from airflow_provider_dds.hooks.dds import DdsHook
from airflow_provider_dds.links.dds import INSTANCE_XCOM, DdsInstanceLink
from airflow_provider_dds.triggers.base import FRESH_SECONDS, DdsTrigger, unreadable_arguments
from airflow_provider_dds.triggers.inputs import INPUTS_XCOM, NotAnsweredError, WaitInputs, kept_inputs
from airflow_provider_dds.triggers.rendering import rendered
from airflow_provider_dds.waiting.backup_job import BackupJobWait
from airflow_provider_dds.waiting.polling import PollPlan, next_wait
from airflow_provider_dds.waiting.records import UnreadableError, read
from airflow_provider_dds.waiting.result import Outcome, Result
from airflow_provider_dds.waiting.texts import duration
from airflow_provider_dds.waiting.watch import LAST_POLL_SECONDS, watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_dds.waiting.wait import Wait

LAST_POLL_SHARE = 0.75
"""How much of the time between the deadline and Airflow's own end of the deferral the last poll may take."""
_IDS = ("db_instance_id", "backup_job_id")
_OWN = {
    "dds_conn_id": "text", "region_id": "text?",
    "timeout": "seconds", "ends_after": "seconds", "ends_task": "flag", "do_xcom_push": "flag",
}  # fmt: skip
_TIMES = ("started_at", "deadline")
_DEFAULTS = {"ends_task": False, "do_xcom_push": True}


class _TooLateError(Exception):
    """Airflow did not say until the deadline what to wait for."""

    def __init__(self, error: DdsError) -> None:
        super().__init__(str(error))
        text = f"The wait did not begin before its deadline. {error}"
        self.result = Result(Outcome.TIMED_OUT, text, error=DdsError(str(error)))


class DdsBackupStartTrigger(DdsTrigger):
    """Wait for one backup job from the first poll on, for a sensor with ``start_from_trigger`` that no worker began.

    Airflow (3.3 and later) stores the arguments when it schedules the task, the same for each run: ids come as
    templates, which are rendered here, once a try: a trigger begun anew takes what the first one has kept in an XCom of
    the task. The deadline comes as a span, which begins when Airflow deferred the task; that follows from the moment at
    which it would end the deferral. So a restart of the triggerer moves nothing.

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
    :param stored: besides, the arguments of :class:`~airflow_provider_dds.waiting.backup_job.BackupJobWait` but
        its times.
    """

    wait_class: ClassVar[type[Wait[Any]]] = BackupJobWait
    timeout_after: datetime | None = None
    """When Airflow ends the deferral; the triggerer sets it."""
    _context: Context | None = None
    _wait: Wait[Any] | None = None
    _to_keep: WaitInputs | None = None
    _said_not_kept = False

    @classmethod
    def shape(cls) -> dict[str, str]:
        """Return the kind of each argument, as :func:`airflow_provider_dds.waiting.records.read` takes them."""
        return {**_OWN, **{name: kind for name, kind in cls.wait_class.shape().items() if name not in _TIMES}}

    @classmethod
    def optional(cls) -> frozenset[str]:
        """Return the names of the arguments that may be left out."""
        return frozenset(_DEFAULTS) | cls.wait_class.optional()

    @classmethod
    def fields(cls) -> tuple[str, ...]:
        """Return the names of the arguments that may be templates."""
        return (*(name for name in _IDS if name in cls.shape()), "region_id", "dds_conn_id")

    def __init__(self, **stored: Any) -> None:
        super().__init__(**stored)
        try:
            found = {**_DEFAULTS, **read(stored, self.shape(), optional=self.optional())}
        except UnreadableError as error:
            self.refused = unreadable_arguments(type(self).__name__, error, stored)
            return
        self.templates: dict[str, Any] = {name: found[name] for name in self.fields()}
        self.dds_conn_id: str = found["dds_conn_id"]
        self.region_id: str | None = found["region_id"]
        self.span: float = found["timeout"]
        self.ends_after: float = found["ends_after"]
        self.ends_task: bool = found["ends_task"]
        self.do_xcom_push: bool = found["do_xcom_push"]
        given = {*_OWN, *self.fields()}
        self.policy = {name: value for name, value in found.items() if name not in given}

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
        """Render, poll until the wait is over, and yield what ends the task: by itself, or on a worker."""
        if refused := self.refused_event():
            yield TriggerEvent({**refused.payload, "link": None})
            return
        link = None
        try:
            wait, hook = await self._begin()
            self._wait = wait
            name = f"{wait.name[0].lower()}{wait.name[1:]}"
            self.log.info("Waiting for %s from the first poll on, without a worker.", name)
            result = await watch(
                wait, hook.arun, self.clock, self.log, last_poll=self._last_poll(), before_poll=self._keep
            )
            link, last_poll = self._link(wait, hook), wait.last_line
        except _TooLateError as late:
            result, last_poll = late.result, late.result.text
        except DdsError as error:
            result, last_poll = Result(Outcome.ERROR, str(error), error=error), str(error).rstrip(".")
        event = await self._success(result, link) if result.outcome is Outcome.DONE and self.ends_task else None
        if event is None:
            self.log.info("%s; a worker ends the task.", last_poll)
            event = TriggerEvent({**self.event_of(result).payload, "link": link})
        else:
            self.log.info("%s", result.text)
        yield event

    async def on_kill(self) -> None:
        """Say what goes on without anybody who waits."""
        if self._wait and self._wait.goes_on:
            self.log.warning("%s", self._wait.goes_on)

    def _last_poll(self) -> float:
        return min(LAST_POLL_SECONDS, max(0.0, self.ends_after - self.span) * LAST_POLL_SHARE)

    async def _begin(self) -> tuple[Wait[Any], DdsHook]:
        """Return the wait and its hook. What cannot be asked of Airflow for a while is asked again."""
        started_at = self._started_at()
        plan, failures = PollPlan(float(self.policy.get("poke_interval", 60.0)), "fixed"), 0
        while True:
            try:
                inputs, is_kept = await asyncio.to_thread(self._inputs, started_at)
                break
            except NotAnsweredError as error:
                now, failures = self.clock.now(), failures + 1
                left = started_at + self.span - now
                if left <= 0:
                    raise _TooLateError(error) from None
                pause = next_wait(plan, elapsed=0, left=left, failures=failures, jitter=self.clock.random())
                self.log.warning("%s Next attempt in %s.", error, duration(pause))
                await self.clock.asleep(pause)
        times = replace(inputs, started_at=started_at, deadline=started_at + self.span)
        wait = times.wait(self.wait_class, **self.policy)
        if self.clock.now() - started_at > FRESH_SECONDS:  # most likely a trigger begun anew
            wait.forget()
        self._to_keep = None if is_kept else inputs
        return wait, DdsHook(inputs.dds_conn_id, inputs.region_id)

    def _started_at(self) -> float:
        if ends := self.timeout_after:
            return (ends if ends.tzinfo else ends.replace(tzinfo=timezone.utc)).timestamp() - self.ends_after
        return self.clock.now()

    def _inputs(self, started_at: float) -> tuple[WaitInputs, bool]:
        """Return what to wait for, and whether it needs no keeping. It blocks: not for an event loop."""
        fields = dict(self.templates)
        moves = self._context is not None and not all(arguments.is_literal(value) for value in fields.values())
        if moves and (kept := kept_inputs(self.task_instance, own_xcom)):
            return kept, True
        if self._context is not None:
            fields = rendered(self, fields, self._context)
        for name, value in fields.items():
            if isinstance(value, str) and not arguments.is_literal(value):
                raise DdsConfigurationError(
                    f"{name} is {value!r}: Airflow did not render it in the triggerer. Clear this task if its DAG was "
                    "changed meanwhile; else set start_from_trigger=False."
                )
        job_id = arguments.required_id("backup_job_id", fields["backup_job_id"]) if "backup_job_id" in fields else None
        inputs = WaitInputs(
            try_number=getattr(self.task_instance, "try_number", 0),
            db_instance_id=arguments.required_id("db_instance_id", fields["db_instance_id"]),
            backup_job_id=job_id,
            dds_conn_id=arguments.optional_text("dds_conn_id", fields["dds_conn_id"]) or DdsHook.default_conn_name,
            region_id=arguments.optional_text("region_id", fields["region_id"]),
            started_at=started_at,
            deadline=started_at + self.span,
        )
        return inputs, not moves

    async def _keep(self) -> None:
        """Keep what was rendered for a trigger that is begun anew; tried before each poll until it works."""
        if self._to_keep is None:
            return
        try:
            await asyncio.to_thread(keep_own_xcom, self.task_instance, INPUTS_XCOM, self._to_keep.to_json())
        except Exception as error:  # whatever it is, the wait itself goes on
            if not self._said_not_kept:
                self.log.warning(
                    "What this wait is for could not be kept (%s: %s). It is tried again with each poll; a triggerer "
                    "that begins before that renders it anew.",
                    type(error).__name__,
                    error,
                )
            self._said_not_kept = True
        else:
            self._to_keep = None

    def _link(self, wait: Wait[Any], hook: DdsHook) -> str | None:
        """Return the address of the instance's page; None where there is none, which ends no wait."""
        try:
            return hook.console_url(wait.instance) if wait.instance else None
        except Exception as error:
            self.log.warning("There is no link to the console: %s: %s.", type(error).__name__, error)
            return None

    async def _success(self, result: Result, link: str | None) -> TriggerEvent | None:
        """Push what a worker would push, and return the event that ends the task; None to have a worker do so."""
        if self.task is None or any(True for _ in self.task.iter_mapped_dependants()):
            return None  # only a worker can say over how much a mapped task then maps
        xcoms: dict[str, Any] = {"return_value": result.backup} if self.do_xcom_push else {}
        if link:
            xcoms.update({INSTANCE_XCOM: link, DdsInstanceLink().xcom_key: link})
        try:
            return cast("TriggerEvent", await end_with(self.task_instance, xcoms))
        except Exception as error:  # whatever it is, a worker has other means
            self.log.warning("The XComs could not be pushed in the triggerer: %s: %s.", type(error).__name__, error)
            return None
