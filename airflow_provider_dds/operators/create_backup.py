"""Operator that asks ApsaraDB for MongoDB for a backup, exactly one for each task run."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator, conf

from airflow_provider_dds import arguments
from airflow_provider_dds.creating import texts
from airflow_provider_dds.creating.backup import CreatePolicy
from airflow_provider_dds.creating.instance_free import InstanceFreeWait
from airflow_provider_dds.creating.record import CreateRecord
from airflow_provider_dds.creating.states import Next
from airflow_provider_dds.exceptions import (
    DdsConfigurationError,
    DdsError,
)
from airflow_provider_dds.hooks.dds import DdsHook
from airflow_provider_dds.links.dds import DdsInstanceLink
from airflow_provider_dds.operators.completion import CompletionTask
from airflow_provider_dds.operators.create_steps import CreateSteps
from airflow_provider_dds.operators.end_of_try import end_try
from airflow_provider_dds.operators.record_keeper import RecordKeeper, parsed
from airflow_provider_dds.retry_policy import bring_default_retry_policy
from airflow_provider_dds.triggers.deferral import (
    NoEvent,
    as_taken_up,
    lateness,
)
from airflow_provider_dds.triggers.instance_free import DdsInstanceFreeTrigger
from airflow_provider_dds.waiting.records import UnreadableError
from airflow_provider_dds.waiting.result import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from airflow.providers.common.compat.sdk import Context


class DdsCreateBackupOperator(CompletionTask, BaseOperator):
    """Ask for a backup (CreateBackup) and return its job id, a clean string that feeds ``DdsBackupSensor``.

    A task run makes at most one backup. The intent is recorded before the request and the job id after it, in
    Airflow's task state store (3.3 and later), so that a retry re-attaches to the job instead of asking again. Where
    the answer to the request is lost, the job is looked for: one that can be its own is adopted, none means that the
    request is sent again, several end in an error. A cleared task makes a new backup, except while its old one still
    runs, which it adopts.

    .. seealso:: https://www.alibabacloud.com/help/en/mongodb/developer-reference/api-dds-2015-12-01-createbackup

    :param db_instance_id: instance id. (templated)
    :param backup_method: ``Snapshot``, ``Physical`` or ``Logical``; None leaves it to the service. (templated)
    :param backup_retention_period: days to keep the backup, 7 to 730, or -1 for ever; None: the instance's policy. The
        service honours it for cloud disks only; with ``wait_for_completion`` a warning says where it did not.
        (templated)
    :param if_backup_running: what to do while another backup of the instance runs, of which the service allows one:
        ``wait`` lets it end and then makes ours, ``adopt`` returns its job id, ``fail`` raises.
    :param wait_for_completion: also wait until the backup is good, as the sensor does, and push its facts as XCom
        ``backup``.
    :param confirm_backup_set: with ``wait_for_completion``, look up the backup set after Finished.
    :param deferrable: make the waits in the triggerer, without a worker. Without ``wait_for_completion`` that is only
        the wait for an instance that another backup or task holds. Default: ``[operators] default_deferrable``.
    :param poke_interval: seconds between two polls, default 60; the finest spacing of ``poll_strategy``.
    :param poll_strategy: with ``wait_for_completion``, how polls of the backup are spaced, as for the sensor:
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

    template_fields: Sequence[str] = (
        "db_instance_id",
        "backup_method",
        "backup_retention_period",
        "region_id",
        "dds_conn_id",
    )
    operator_extra_links = (DdsInstanceLink(),)
    ui_color = "#c7e3f5"

    _late: str | None = None

    def __init__(
        self,
        *,
        db_instance_id: str,
        backup_method: str | None = None,
        backup_retention_period: int | str | None = None,
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
        self.db_instance_id = db_instance_id
        self.backup_method = backup_method
        if not arguments.is_rendered_later(backup_retention_period):
            backup_retention_period = arguments.backup_retention_period(backup_retention_period)
        self.backup_retention_period = backup_retention_period
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
        self.check_connection()
        self._keeper: RecordKeeper | None = None

    def execute(self, context: Context) -> str:
        """Make the backup, or go on with the one this task run has made, and return its job id.

        :param context: Airflow's context.
        """
        db_instance_id = arguments.required_id("db_instance_id", self.db_instance_id)
        arguments.backup_method(self.backup_method)
        arguments.backup_retention_period(self.backup_retention_period)
        keeper = self._begin(context)
        if keeper.store is None:
            self.log.info("%s", texts.NO_STORE if self.durable else texts.NOT_DURABLE)
        fresh = CreateRecord(db_instance_id, self.clock.now() + self.timeout, keeper.attempt)
        return self._end_try(context, keeper, lambda: self._create(context, keeper, keeper.recall(fresh)))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after a deferral, and return what the method gives.

        :param next_method: method that goes on.
        :param next_kwargs: its arguments.
        :param context: Airflow's context.
        """
        keeper = self._begin(context)
        why = NoEvent.of(next_method, next_kwargs)
        if why is None:
            return super().resume_execution(next_method, next_kwargs, context)
        return self._end_try(context, keeper, lambda: self._complete_without_event(context, why, keeper))

    def resume_create(self, context: Context, event: dict[str, Any]) -> str:
        """Go on after a wait that leads to a request, and return the job id.

        :param context: Airflow's context.
        :param event: what :class:`DdsInstanceFreeTrigger` fired.
        :raises DdsConfigurationError: the trigger could not read the arguments that Airflow stored for it.
        """
        keeper = self._keeper or self._begin(context)
        self._late = lateness(event.get("fired_at") if isinstance(event, dict) else None, self.clock.now())
        if self._late:
            self.log.warning("%s", self._late)

        def go_on() -> str:
            if isinstance(event, dict) and (refused := event.get("refused")):
                raise DdsConfigurationError(str(refused))
            stored = event.get("record") if isinstance(event, dict) else event
            record = replace(
                parsed(stored, str(self.db_instance_id), "in the event of this task's trigger"), attempt=keeper.attempt
            )
            return self._create(context, keeper, record)

        return self._end_try(context, keeper, go_on)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> str:
        """Push the facts that the trigger found and return the job id, or raise what it stands for.

        :param context: Airflow's context.
        :param event: the trigger's :class:`~airflow_provider_dds.waiting.result.Result` as JSON.
        """
        keeper = self._keeper or self._begin(context)
        keeper.recall_this_try()
        try:
            result = as_taken_up(Result.from_json(event), self.clock.now())
        except UnreadableError as error:
            why = NoEvent.unreadable(error)
            return self._end_try(context, keeper, lambda: self._complete_without_event(context, why, keeper))
        return self._end_try(context, keeper, lambda: self._end_completion(context, result))

    def on_kill(self) -> None:
        """Say what becomes of the backup: the service has no call to cancel one."""
        record = self._keeper.record if self._keeper else None
        if record is None:
            return
        find = "the service cannot cancel it. Find it under Backup and Recovery of the instance."
        if job_id := record.backup_job_id:
            self.log.warning("Backup job %s of %s goes on: %s", job_id, self.db_instance_id, find)
        elif record.in_doubt:
            self.log.warning("A backup of %s was asked for. If it began, it goes on: %s", self.db_instance_id, find)
        else:
            self.log.info("No backup of %s was asked for yet.", self.db_instance_id)

    # --- a try ----------------------------------------------------------------------------------------------------

    def _begin(self, context: Context) -> RecordKeeper:
        self._keeper = RecordKeeper(context, str(self.db_instance_id), self.log, self.clock, durable=self.durable)
        return self._keeper

    def _end_try(self, context: Context, keeper: RecordKeeper, run: Callable[[], str]) -> str:
        def tell(error: DdsError) -> DdsError:
            known: dict[str, Any] = {"db_instance_id": str(self.db_instance_id)}
            if record := keeper.record:
                waited = max(0.0, self.clock.now() - (record.deadline - self.timeout))
                known |= {"backup_job_id": record.backup_job_id, "waited_seconds": round(waited, 3)}
            error = error.with_facts(**known)
            self._tell_failure(context, error)
            return error

        return end_try(keeper, str(self.db_instance_id), run, tell)

    def _create(self, context: Context, keeper: RecordKeeper, record: CreateRecord) -> str:
        hook = self.hook
        steps = CreateSteps(
            hook,
            keeper,
            CreatePolicy(self.poke_interval, self.timeout),
            self.clock,
            self.log,
            backup_method=arguments.backup_method(self.backup_method),
            backup_retention_period=arguments.backup_retention_period(self.backup_retention_period),
            if_backup_running=self.if_backup_running,
            instance_known=partial(self._store_link, context, hook),
            late=self._late,
        )
        while record.backup_job_id is None:
            due = steps.make(record)
            record = due.record
            if due.next is Next.FAIL:
                raise due.error or DdsError()
            if due.next is Next.LEARN:
                record = keeper.keep_if_possible(record.learned(due.backup_job_id or ""))
            elif due.wait > 0 and self.deferrable:
                self._defer(hook, record, due.wait)
            elif due.wait > 0:
                self.clock.sleep(due.wait)
        if not self.wait_for_completion:
            facts = {"db_instance_id": record.db_instance_id, "backup_job_id": record.backup_job_id}
            self._tell_outlets(context, facts)
            return record.backup_job_id
        return self._complete(context, hook, record)

    def _defer(self, hook: DdsHook, record: CreateRecord, wait: float) -> None:
        now = self.clock.now()
        instance_free = InstanceFreeWait.of(record, wait, self.poke_interval, now)
        trigger = DdsInstanceFreeTrigger.for_wait(instance_free, hook, now)
        self.defer(trigger=trigger, method_name="resume_create", timeout=trigger.timeout(self.clock.now()))
