"""Operator that asks ApsaraDB for MongoDB for a backup, exactly one for each task run."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator, conf

from airflow_provider_dds import arguments
from airflow_provider_dds.api_errors import is_outcome_unknown, is_transient
from airflow_provider_dds.compat import generation_of, task_state_store
from airflow_provider_dds.creation import (
    SETTLE_GRACE,
    SETTLE_INTERVAL,
    CreateRecord,
    Signs,
    asked_at,
    candidates,
    look_for_signs,
    outcome_unknown,
    settled,
    still_running,
    what_holds,
)
from airflow_provider_dds.exceptions import (
    DdsBackupOutcomeUnknownError,
    DdsBackupRunningError,
    DdsError,
    DdsInstanceBusyError,
    DdsTimeoutError,
)
from airflow_provider_dds.hooks.dds import DdsHook
from airflow_provider_dds.links.dds import DdsInstanceLink
from airflow_provider_dds.outlets import tell_outlets
from airflow_provider_dds.polling import PollPlan, next_wait
from airflow_provider_dds.retry_policy import bring_default_retry_policy
from airflow_provider_dds.triggers.dds import DdsBackupTrigger, DdsInstanceFreeTrigger, tell_of_no_event
from airflow_provider_dds.verdict import Outcome, Terms
from airflow_provider_dds.watch import BackupWatch, Ending, brief, duration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from airflow.providers.common.compat.sdk import Context

RECORD_KEY = "dds_create_backup"
"""Key of the record in the task state store; part of what a running deployment relies on."""
BACKUP_XCOM = "backup"
_ADVICE = {
    Outcome.FAILED: (
        "Look for the cause under Backup and Recovery of the instance in the console; then clear this task to make a "
        "new backup."
    ),
    Outcome.NOT_FOUND: (
        "Look under Backup and Recovery of the instance in the console: if the backup is there and good, mark this "
        "task as success; if not, clear it to make a new one."
    ),
    Outcome.TIMED_OUT: (
        "The backup may still be running; the service has no call to cancel it. Raise timeout and clear this task: on "
        "Airflow 3.3 and later it goes on with a job that still runs; otherwise it makes a new backup."
    ),
}


class _OutcomeUnknownForGoodError(DdsBackupOutcomeUnknownError, AirflowFailException):
    """Without a record that outlives the try, a retry would not know of the request and make a second backup."""


class DdsCreateBackupOperator(BaseOperator):
    """Ask for a backup (CreateBackup) and return its job id, a clean string that feeds ``DdsBackupSensor``.

    A task run makes at most one backup. The intent is recorded before the request and the job id after it, in
    Airflow's task state store (3.3 and later), so that a retry re-attaches to the job instead of asking again. Where
    the answer to the request is lost, the job is looked for: one that can be its own is adopted, none means that the
    request is sent again, several end in an error. A cleared task makes a new backup, except while its old one still
    runs, which it adopts.

    .. seealso:: https://www.alibabacloud.com/help/en/mongodb/developer-reference/api-dds-2015-12-01-createbackup

    :param db_instance_id: instance id. (templated)
    :param backup_method: ``Snapshot``, ``Physical`` or ``Logical``; None leaves it to the service. (templated)
    :param backup_retention_period: days to keep the backup, 7 to 730, or -1 for ever; None: the instance's policy.
    :param if_backup_running: what to do while another backup of the instance runs, of which the service allows one:
        ``wait`` lets it end and then makes ours, ``adopt`` returns its job id, ``fail`` raises.
    :param wait_for_completion: also wait until the backup is good, as the sensor does, and push its facts as XCom
        ``backup``.
    :param confirm_backup_set: with ``wait_for_completion``, look up the backup set after Finished.
    :param deferrable: make the waits in the triggerer, without a worker. Without ``wait_for_completion`` that is only
        the wait for an instance that another backup or task holds. Default: ``[operators] default_deferrable``.
    :param poke_interval: seconds between two looks, default 60; the finest spacing of ``poll_strategy``.
    :param poll_strategy: with ``wait_for_completion``, how looks at the backup are spaced, as for the sensor:
        ``progress`` (default; the coarsest spacing is 30 times ``poke_interval``), ``exponential`` or ``fixed``.
    :param timeout: seconds or timedelta for the whole task run, retries included where the task state store exists;
        default 6 hours.
    :param durable: keep the record over tries in the task state store. Before Airflow 3.3 there is none: a worker that
        dies between the request and the return of the job id can then lead to a second backup on a retry.
    :param dds_conn_id: Airflow connection. (templated)
    :param region_id: region that overrides the connection's. (templated)
    :return: the job id.
    :raises DdsConfigurationError: an argument or the connection is wrong; nothing was sent.
    :raises DdsBackupRunningError: another backup runs and ``if_backup_running`` is ``fail``.
    :raises DdsBackupOutcomeUnknownError: a request may have been accepted and this could not be settled.
    :raises DdsBackupFailedError: with ``wait_for_completion``, the backup failed. No retry.
    :raises DdsBackupNotFoundError: with ``wait_for_completion``, the backup cannot be found. No retry.
    :raises DdsTimeoutError: ``timeout`` passed. No retry.
    :raises DdsApiError: the API refused.
    """

    template_fields: Sequence[str] = ("db_instance_id", "backup_method", "region_id", "dds_conn_id")
    operator_extra_links = (DdsInstanceLink(),)
    ui_color = "#c7e3f5"

    _clock: Callable[[], float] = staticmethod(time.time)
    _sleep: Callable[[float], None] = staticmethod(time.sleep)
    _random: Callable[[], float] = staticmethod(random.random)

    def __init__(
        self,
        *,
        db_instance_id: str,
        backup_method: str | None = None,
        backup_retention_period: int | None = None,
        if_backup_running: str = "wait",
        wait_for_completion: bool = False,
        confirm_backup_set: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: float | timedelta = 60,
        poll_strategy: str = "progress",
        timeout: float | timedelta = 6 * 3600,
        durable: bool = True,
        dds_conn_id: str = DdsHook.default_conn_name,
        region_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        bring_default_retry_policy(self)
        if arguments.is_literal(backup_method):
            arguments.backup_method(backup_method)
        for name, value in (("dds_conn_id", dds_conn_id), ("region_id", region_id)):
            if arguments.is_literal(value):
                arguments.optional_text(name, value)
        self.db_instance_id = db_instance_id
        self.backup_method = backup_method
        self.backup_retention_period = arguments.backup_retention_period(backup_retention_period)
        self.if_backup_running = arguments.one_of("if_backup_running", if_backup_running, arguments.IF_BACKUP_RUNNING)
        self.wait_for_completion = arguments.flag("wait_for_completion", wait_for_completion)
        self.confirm_backup_set = arguments.flag("confirm_backup_set", confirm_backup_set)
        self.deferrable = arguments.flag("deferrable", deferrable)
        self.poke_interval = arguments.seconds("poke_interval", poke_interval)
        self.poll_strategy = arguments.one_of("poll_strategy", poll_strategy, arguments.POLL_STRATEGIES)
        self.timeout = arguments.seconds("timeout", timeout)
        arguments.interval_within(self.poke_interval, self.timeout)
        self.durable = arguments.flag("durable", durable)
        self.dds_conn_id = dds_conn_id
        self.region_id = region_id
        self._record: CreateRecord | None = None
        self._said_no_store = False

    def execute(self, context: Context) -> str:
        """Make the backup, or go on with the one this task run has made, and return its job id.

        :param context: Airflow's context.
        """
        fresh = CreateRecord(
            generation_of(context),
            arguments.required_id("db_instance_id", self.db_instance_id),
            arguments.optional_text("region_id", self.region_id),
            self._clock() + self.timeout,
        )
        arguments.backup_method(self.backup_method)
        return self._go_on(context, self._recall(context, fresh))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after a deferral, and return what the method gives.

        :param next_method: method that goes on.
        :param next_kwargs: its arguments.
        :param context: Airflow's context.
        """
        tell_of_no_event(self.log, f"the backup of {self.db_instance_id}", next_method, next_kwargs)
        return super().resume_execution(next_method, next_kwargs, context)

    def resume_create(self, context: Context, event: dict[str, Any]) -> str:
        """Go on after the wait for a free instance, and return the job id.

        :param context: Airflow's context.
        :param event: what :class:`DdsInstanceFreeTrigger` fired.
        """
        record = CreateRecord.from_json(event["record"])
        self._in_time(record, event.get("reason"))
        return self._go_on(context, record)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> str:
        """Push the facts that the trigger found and return the job id, or raise what it stands for.

        :param context: Airflow's context.
        :param event: the trigger's :class:`~airflow_provider_dds.watch.Ending` as JSON.
        """
        return self._end(context, Ending.from_json(event))

    def on_kill(self) -> None:
        """Say what becomes of the backup: the service has no call to cancel one."""
        if self._record is None:
            return
        find = "the service cannot cancel it. Find it under Backup and Recovery of the instance."
        if job_id := self._record.backup_job_id:
            self.log.warning("Backup job %s of %s goes on: %s", job_id, self.db_instance_id, find)
        elif self._record.in_doubt:
            self.log.warning("A backup of %s was asked for. If it began, it goes on: %s", self.db_instance_id, find)
        else:
            self.log.info("No backup of %s was asked for yet.", self.db_instance_id)

    @property
    def hook(self) -> DdsHook:
        """The hook for the rendered connection and region."""
        conn_id = arguments.optional_text("dds_conn_id", self.dds_conn_id)
        return DdsHook(conn_id or DdsHook.default_conn_name, arguments.optional_text("region_id", self.region_id))

    def _go_on(self, context: Context, record: CreateRecord) -> str:
        hook = self.hook
        self._record = record
        try:
            while record.backup_job_id is None:
                record = (self._ask if record.may_ask else self._settle)(context, hook, record)
        except DdsBackupOutcomeUnknownError as error:
            if self._store(context) is None:
                raise _OutcomeUnknownForGoodError(str(error)) from None
            raise
        if not self.wait_for_completion:
            facts = {"db_instance_id": record.db_instance_id, "backup_job_id": record.backup_job_id}
            tell_outlets(self, context, facts)
            return record.backup_job_id
        return self._wait(context, hook, record)

    # --- the record -----------------------------------------------------------------------------------------------

    def _recall(self, context: Context, fresh: CreateRecord) -> CreateRecord:
        """Return the record of this task run, or a fresh one for its first try and after a clear."""
        store = self._store(context)
        stored = None if store is None else store.get(RECORD_KEY)
        if not isinstance(stored, dict) or not (found := CreateRecord.from_json(stored)).is_for(fresh):
            return self._keep(context, fresh)
        if found.generation == fresh.generation:
            if found.backup_job_id:
                self.log.info("Going on with backup job %s, which an earlier try made.", found.backup_job_id)
            return found
        return self._keep(context, self._after_clear(found, fresh))

    def _after_clear(self, found: CreateRecord, fresh: CreateRecord) -> CreateRecord:
        """Adopt the old job of a cleared task while it still runs. An old request that is still open stays open."""
        if found.backup_job_id is None:
            return replace(fresh, asked_since=found.asked_since, known=found.known, may_ask=found.may_ask)
        try:
            job = self.hook.run(still_running(found.db_instance_id, found.backup_job_id))
        except DdsError as error:
            old = f"backup job {found.backup_job_id} from before the clear"
            error.args = (f"Whether {old} still runs is not known. {error}",)
            raise
        if job is None:
            self.log.info("The task was cleared; its backup job %s has ended, making a new one.", found.backup_job_id)
            return fresh
        self.log.info("The task was cleared while its backup job %s still runs; going on with it.", job.backup_job_id)
        return fresh.created(job.backup_job_id)

    def _keep(self, context: Context, record: CreateRecord) -> CreateRecord:
        if (store := self._store(context)) is not None:
            store.set(RECORD_KEY, record.to_json())
        self._record = record
        return record

    def _store(self, context: Context) -> Any:
        store = task_state_store(context) if self.durable else None
        if self.durable and store is None and not self._said_no_store:
            self._said_no_store = True
            self.log.info(
                "This Airflow has no task state store (3.3 and later): if the worker dies between the request and the "
                "return of its job id, a retry cannot tell and makes a second backup."
            )
        return store

    # --- the request ----------------------------------------------------------------------------------------------

    def _ask(self, context: Context, hook: DdsHook, record: CreateRecord) -> CreateRecord:
        """Send one request; gives the record with the job id, or still open where its fate is unknown."""
        self._in_time(record, None)
        now = self._clock()
        known = () if record.in_doubt else self._signs(context, hook, record.db_instance_id, now, now).ids
        asking = self._keep(context, record.asking(self._clock(), known))
        try:
            job_id = hook.create_backup(
                record.db_instance_id,
                backup_method=arguments.backup_method(self.backup_method),
                backup_retention_period=self.backup_retention_period,
            )
        except (DdsBackupRunningError, DdsInstanceBusyError) as error:
            refused = asking if record.in_doubt else record
            if record.in_doubt and isinstance(error, DdsBackupRunningError):
                refused = replace(refused, met_at=self._clock())
            self._keep(context, refused)
            return self._wait_until_free(context, hook, refused, error)
        except DdsError as error:
            if not is_outcome_unknown(error):
                self._keep(context, record)
                raise
            self.log.warning("%s", error)
            return asking
        self.log.info("Backup job %s of %s is under way.", job_id, record.db_instance_id)
        return self._keep(context, asking.created(job_id))

    def _signs(self, context: Context, hook: DdsHook, db_instance_id: str, asked_at: float, now: float) -> Signs:
        signs = hook.run(look_for_signs(db_instance_id, asked_at, now))
        DdsInstanceLink.store(context, hook.console_url(signs.instance))
        return signs

    def _settle(self, context: Context, hook: DdsHook, record: CreateRecord) -> CreateRecord:
        """Find out what became of a request whose answer was lost; never sends another."""
        asked_since = record.asked_since or 0.0
        until = self._clock() + SETTLE_GRACE
        self.log.warning(
            "Whether CreateBackup for %s at %s was accepted is not known; looking for its job for up to %s.",
            record.db_instance_id,
            asked_at(record),
            duration(SETTLE_GRACE),
        )
        while True:
            now = self._clock()
            try:
                signs = self._signs(context, hook, record.db_instance_id, asked_since, now)
            except DdsError as error:
                if not is_transient(error):
                    raise
                if now >= until:
                    seen = f"the service could not be asked about it: {str(error).rstrip('.')}"
                    raise outcome_unknown(record, seen, clear_helps=True) from error
                self.log.warning("That look failed: %s.", brief(error))
            else:
                if record.met_at is not None and signs.explain(record.met_at):
                    record = replace(record, met_at=None)
                found = candidates(signs, record)
                if found.under_way:
                    until = now + SETTLE_GRACE
                done, job_id = settled(record, found, grace_over=now >= until, too_late=now >= record.deadline)
                if job_id:
                    self.log.info("Adopting backup job %s: it is the only one that can come from that request.", job_id)
                    return self._keep(context, record.created(job_id))
                if done:
                    self.log.info("Found no job that it made for %s; asking again.", duration(SETTLE_GRACE))
                    return self._keep(context, replace(record, may_ask=True))
            self._sleep(SETTLE_INTERVAL)

    def _wait_until_free(
        self, context: Context, hook: DdsHook, record: CreateRecord, error: DdsBackupRunningError | DdsInstanceBusyError
    ) -> CreateRecord:
        """Wait for what holds the instance, as ``if_backup_running`` says; gives the record to ask again with."""
        running = isinstance(error, DdsBackupRunningError)
        if running and self.if_backup_running == "fail" and not record.in_doubt:
            raise error
        if record.in_doubt:
            return record  # what runs may be what was asked for
        reason, job_id = hook.run(what_holds(record.db_instance_id))
        if running and self.if_backup_running == "adopt" and job_id:
            self.log.info("Adopting backup job %s, which runs already.", job_id)
            return self._keep(context, record.created(job_id))
        refusal = f"CreateBackup was refused with {error.code}, request id {error.request_id or 'none'}"
        self.log.info("Waiting to back up %s: %s.", record.db_instance_id, reason or refusal)
        if self.deferrable:
            self._defer_until_free(hook, record, refusal)
        self._sleep_within(record)
        self._in_time(record, f"{reason} ({refusal})" if reason else refusal)
        return record

    # --- the waits ------------------------------------------------------------------------------------------------

    def _wait(self, context: Context, hook: DdsHook, record: CreateRecord) -> str:
        watch = BackupWatch(
            record.db_instance_id,
            record.backup_job_id or "",
            Terms(record.deadline, self.confirm_backup_set),
            PollPlan(self.poke_interval, self.poll_strategy),
            self._clock(),
        )
        while True:
            linked = watch.instance is not None
            look = watch.look_with(hook.run)
            if watch.instance and not linked:
                DdsInstanceLink.store(context, hook.console_url(watch.instance))
            now = self._clock()
            verdict = watch.conclude(look, now)
            if verdict.outcome is not Outcome.WAIT:
                return self._end(context, watch.ending(verdict, now))
            wait = watch.next_wait(now, self._random())
            watch.report(self.log, verdict, now, wait)
            if self.deferrable:
                trigger = DdsBackupTrigger.for_watch(watch, hook, now)
                self.defer(trigger=trigger, method_name="execute_complete", timeout=trigger.timeout(now))
            self._sleep(wait)

    def _end(self, context: Context, ending: Ending) -> str:
        facts = ending.result(_ADVICE)
        self.log.info("%s", ending.text)
        context["ti"].xcom_push(key=BACKUP_XCOM, value=facts)
        tell_outlets(self, context, facts)
        return str(facts["backup_job_id"])

    def _defer_until_free(self, hook: DdsHook, record: CreateRecord, refusal: str) -> None:
        trigger = DdsInstanceFreeTrigger(
            db_instance_id=record.db_instance_id,
            dds_conn_id=hook.dds_conn_id,
            region_id=hook.region_id,
            deadline=record.deadline,
            poke_interval=self.poke_interval,
            record=record.to_json(),
            refusal=refusal,
        )
        self.defer(trigger=trigger, method_name="resume_create", timeout=trigger.timeout(self._clock()))

    def _sleep_within(self, record: CreateRecord) -> None:
        left = record.deadline - self._clock()
        self._sleep(next_wait(PollPlan(self.poke_interval, "fixed"), elapsed=0, left=left, failures=0, jitter=0))

    def _in_time(self, record: CreateRecord, reason: str | None) -> None:
        if self._clock() < record.deadline:
            return
        if record.in_doubt:
            seen = f"nothing that could come from it showed within timeout ({self.timeout:g} s)"
            raise outcome_unknown(record, seen, clear_helps=True)
        raise DdsTimeoutError(
            f"{record.db_instance_id} could not be backed up within timeout ({self.timeout:g} s for all tries): "
            f"{reason or 'the service accepted no request before that'}. This task made no backup. Clear it once the "
            "instance is Running and no backup runs on it, or raise timeout."
        )
