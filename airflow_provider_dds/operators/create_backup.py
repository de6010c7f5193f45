"""Operator that asks ApsaraDB for MongoDB for a backup, exactly one for each task run."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator, conf

from airflow_provider_dds import arguments
from airflow_provider_dds.api.errors import Repeat, is_outcome_unknown, repeat_for
from airflow_provider_dds.compat import ends_of_a_task, pulled_own_xcom
from airflow_provider_dds.creating import texts
from airflow_provider_dds.creating.backup import CreatePolicy, Step, back_off, conclude, failed, final_state, poll, step
from airflow_provider_dds.creating.evidence import RECONCILE_GRACE, observe
from airflow_provider_dds.creating.instance_free import InstanceFreeWait
from airflow_provider_dds.creating.record import CreateRecord
from airflow_provider_dds.creating.states import TABLE, Next, Seen, State
from airflow_provider_dds.exceptions import (
    DdsApiError,
    DdsBackupOutcomeUnknownError,
    DdsBackupRunningError,
    DdsConfigurationError,
    DdsError,
    DdsInstanceBusyError,
    DdsSupersededError,
)
from airflow_provider_dds.hooks.dds import DdsHook
from airflow_provider_dds.links.dds import DdsInstanceLink
from airflow_provider_dds.operators.no_retry import for_good, may_have_asked
from airflow_provider_dds.operators.record_keeper import RecordKeeper, parsed
from airflow_provider_dds.retry_policy import bring_default_retry_policy
from airflow_provider_dds.tasks import DdsTask
from airflow_provider_dds.triggers.backup import DdsBackupTrigger
from airflow_provider_dds.triggers.deferral import (
    LAST_POLL_SECONDS,
    NoEvent,
    as_taken_up,
    end_without_event,
    lateness,
    raise_without_wait,
)
from airflow_provider_dds.triggers.inputs import kept_inputs_in
from airflow_provider_dds.triggers.instance_free import DdsInstanceFreeTrigger
from airflow_provider_dds.waiting import watch
from airflow_provider_dds.waiting.backup_job import BackupJobWait
from airflow_provider_dds.waiting.records import UnreadableError
from airflow_provider_dds.waiting.result import Outcome, Result
from airflow_provider_dds.waiting.texts import brief, duration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from airflow.providers.common.compat.sdk import Context


BACKUP_XCOM = "backup"
WRITE_PAUSES = (1.0, 2.0, 5.0, 10.0, 20.0)
"""Seconds between attempts to write the facts of a backup."""
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
        "A backup that still runs goes on; the service has no call to cancel it. Raise timeout and clear this task: on "
        "Airflow 3.3 and later it goes on with a job that still runs; otherwise it makes a new backup."
    ),
}
_NO_STORE = (
    "This Airflow has no task state store (3.3 and later). Once CreateBackup may have been accepted, whatever fails in "
    "this try ends without a retry. If its worker dies, a retry cannot tell and makes a second backup."
)
_NOT_DURABLE = (
    "durable=False: nothing is kept in the task state store. Once CreateBackup may have been accepted, whatever fails "
    "in this try ends without a retry. If its worker dies, a retry cannot tell and makes a second backup."
)


class DdsCreateBackupOperator(DdsTask, BaseOperator):
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

    template_fields: Sequence[str] = ("db_instance_id", "backup_method", "region_id", "dds_conn_id")
    operator_extra_links = (DdsInstanceLink(),)
    ui_color = "#c7e3f5"

    _late: str | None = None

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
        self._check_connection()
        self._keeper: RecordKeeper | None = None

    def execute(self, context: Context) -> str:
        """Make the backup, or go on with the one this task run has made, and return its job id.

        :param context: Airflow's context.
        """
        db_instance_id = arguments.required_id("db_instance_id", self.db_instance_id)
        arguments.backup_method(self.backup_method)
        keeper = self._begin(context)
        if keeper.store is None:
            self.log.info("%s", _NO_STORE if self.durable else _NOT_DURABLE)
        fresh = CreateRecord(db_instance_id, self.clock.now() + self.timeout, keeper.attempt)
        return self._ended(keeper, lambda: self._create(context, keeper, keeper.recall(fresh)))

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
        return self._ended(keeper, lambda: self._without_event(context, why))

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

        return self._ended(keeper, go_on)

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
            return self._ended(keeper, lambda: self._without_event(context, why))
        return self._ended(keeper, lambda: self._end(context, result))

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

    @property
    def _policy(self) -> CreatePolicy:
        return CreatePolicy(self.poke_interval, self.timeout)

    @property
    def _waiting(self) -> dict[str, Any]:
        names = ("poke_interval", "poll_strategy", "confirm_backup_set")
        return {name: getattr(self, name) for name in names}

    # --- a try ----------------------------------------------------------------------------------------------------

    def _begin(self, context: Context) -> RecordKeeper:
        self._keeper = RecordKeeper(
            context,
            str(self.db_instance_id),
            self.log,
            durable=self.durable,
            clock=self.clock.now,
            sleep=self.clock.sleep,
            jitter=self.clock.random,
        )
        return self._keeper

    def _ended(self, keeper: RecordKeeper, run: Callable[[], str]) -> str:
        """Run what may end this try. Where nothing outlives it, nothing that follows a request is retried."""
        ends: tuple[type[BaseException], ...] = (Exception, *ends_of_a_task())
        try:
            result = run()
        except DdsSupersededError:
            raise
        except ends as failure:
            keeper.end(failed=not isinstance(failure, AirflowFailException))
            error = _with_doubt(failure, keeper.record)
            known = keeper.store is not None or not may_have_asked(keeper.record)
            if known or isinstance(error, AirflowFailException):
                if error is failure:
                    raise
                raise error.with_traceback(failure.__traceback__) from failure.__cause__
            final = for_good(error, self.db_instance_id, keeper.record)
        else:
            keeper.end(failed=False)
            return result
        raise final

    def _create(self, context: Context, keeper: RecordKeeper, record: CreateRecord) -> str:
        hook = self.hook
        while record.backup_job_id is None:
            due = self._next(hook, record)
            if due.next is Next.SEND:
                self._say(due)
                due = self._ask(context, keeper, hook, due.record)
            self._say(due)
            record = keeper.record = due.record
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
        return self._wait(context, hook, record)

    def _say(self, due: Step) -> None:
        if due.line:
            (self.log.warning if due.warning else self.log.info)("%s", due.line)

    def _next(self, hook: DdsHook, record: CreateRecord) -> Step:
        """Return what follows from the poll that is due, if one is."""
        looked = record.before_clear is None or record.before_clear.polled
        if record.state is State.READY and looked and (record.backoff is None or record.backoff.free):
            return Step(Next.SEND, record)
        if record.state is State.IN_DOUBT and record.polled_at is None and not record.silent_seconds:
            self.log.warning(
                "Whether CreateBackup for %s at %s was accepted is not known; looking for its job for up to %s.",
                record.db_instance_id,
                texts.requested_at(record),
                duration(RECONCILE_GRACE),
            )
        try:
            observed = hook.run(poll(record, self.clock.now()), timeout=self._left(record))
        except DdsError as error:
            return failed(record, error, self._policy, self.clock.now(), self.clock.random())
        return conclude(record, observed, self._policy, self.clock.now())

    # --- the request ----------------------------------------------------------------------------------------------

    def _ask(self, context: Context, keeper: RecordKeeper, hook: DdsHook, record: CreateRecord) -> Step:
        """Send one request; gives the job id, or what to do where there is none."""
        now = self.clock.now()
        if now >= record.deadline:
            reason = (self._late or "").rstrip(".") or (record.backoff.reason if record.backoff else "")
            return step(record, Seen.TOO_LATE, error=texts.too_late(record, reason, self.timeout))
        known: tuple[str, ...] = ()
        if not record.in_doubt:
            try:
                evidence = hook.run(observe(record.db_instance_id, now, now), timeout=self._left(record))
            except DdsError as error:
                return failed(record, error, self._policy, self.clock.now(), self.clock.random())
            self._store_link(context, hook, evidence.instance)
            if (word := final_state(evidence.instance)) is not None:
                return step(record, Seen.INSTANCE_GONE, error=texts.gone(evidence.instance, word))
            known = evidence.ids
        asking = keeper.keep(record.asking(self.clock.now(), known))
        try:
            job_id = hook.create_backup(
                record.db_instance_id,
                backup_method=arguments.backup_method(self.backup_method),
                backup_retention_period=self.backup_retention_period,
                before_sending=keeper.confirm,
                timeout=self._left(record),
            )
        except DdsSupersededError:
            raise
        except DdsError as error:
            if not is_outcome_unknown(error):
                return self._refused(keeper, record, keeper.record or asking, error)
            move = TABLE[record.state, Seen.NO_ANSWER]  # kept as in doubt already
            return Step(move.next, keeper.record or asking, line=str(error), warning=True)
        said = f"Backup job {job_id} of {record.db_instance_id} is under way."
        return Step(TABLE[record.state, Seen.ACCEPTED].next, asking, backup_job_id=job_id, line=said)

    def _refused(self, keeper: RecordKeeper, before: CreateRecord, asking: CreateRecord, error: DdsError) -> Step:
        """Return what to do after a request that certainly was not executed."""
        runs = isinstance(error, DdsBackupRunningError)
        is_final = runs and self.if_backup_running == "fail" and not before.in_doubt  # else what runs may be its own
        if is_final or repeat_for(error) is Repeat.NEVER:
            return step(keeper.keep_if_possible(before), Seen.REFUSED_FOR_GOOD, error=error)
        is_occupied = isinstance(error, (DdsBackupRunningError, DdsInstanceBusyError))
        due = step(before, Seen.REFUSED_AS_OCCUPIED if is_occupied else Seen.REFUSED)
        record = due.record
        if before.in_doubt and is_occupied:
            refused_at = self.clock.now() if runs else asking.refused_at
            record = replace(asking, state=record.state, refused_at=refused_at)
        said = brief(error)
        if isinstance(error, DdsApiError):
            said = f"CreateBackup was refused with {error.code}, request id {error.request_id or 'none'}"
        adopt = runs and self.if_backup_running == "adopt"
        record = back_off(record, said, self._policy, self.clock.now(), self.clock.random(), adopt=adopt)
        return replace(due, record=keeper.keep(record))

    def _left(self, record: CreateRecord) -> float:
        """Return the seconds that calls may take; the last poll, made at the deadline, has some beyond it."""
        return max(LAST_POLL_SECONDS, record.deadline - self.clock.now())

    # --- the waits ------------------------------------------------------------------------------------------------

    def _wait(self, context: Context, hook: DdsHook, record: CreateRecord) -> str:
        wait = self._wait_for(record, self.clock.now())
        while True:
            linked = wait.instance is not None
            limit = max(LAST_POLL_SECONDS, wait.deadline - self.clock.now())
            result = watch.poll(wait, hook.run, self.clock, self.log, limit=limit)
            if not linked:
                self._store_link(context, hook, wait.instance)
            if result is not None:
                return self._end(context, result)
            if self.deferrable:
                self._wait_in_triggerer(context, wait, hook, DdsBackupTrigger)
            self.clock.sleep(wait.next_in)

    def _wait_for(self, record: CreateRecord, started_at: float) -> BackupJobWait:
        return BackupJobWait(
            db_instance_id=record.db_instance_id,
            backup_job_id=record.backup_job_id or "",
            started_at=started_at,
            deadline=record.deadline,
            **self._waiting,
        )

    def _without_event(self, context: Context, why: NoEvent) -> str:
        """Poll once after a deferral without an event: a backup that is good by then ends the task well."""
        why.tell(self.log)
        until = self.clock.now() + why.left_of(self.timeout)
        record = self._keeper.recall_this_try(until - self.clock.now()) if self._keeper else None
        until = min(until, record.deadline) if record else until
        if kept := kept_inputs_in(until - self.clock.now(), context["ti"], pulled_own_xcom, self.clock.sleep, self.log):
            hook, wait = DdsHook(kept.dds_conn_id, kept.region_id), kept.wait(**self._waiting)
        elif record is not None and record.backup_job_id and self.wait_for_completion:
            hook, wait = self.hook, self._wait_for(record, record.deadline - self.timeout)
        else:
            raise_without_wait(why, f"the backup of {self.db_instance_id}", self.execution_timeout)
        return self._end(context, end_without_event(why, wait, hook, self.clock, self.execution_timeout))

    def _end(self, context: Context, result: Result) -> str:
        facts = result.facts_or_raise(_ADVICE)
        self.log.info("%s", result.text)
        push = partial(context["ti"].xcom_push, key=BACKUP_XCOM, value=facts)
        self._write_aside(f"XCom {BACKUP_XCOM}", push, WRITE_PAUSES)
        self._tell_outlets(context, facts)
        return str(facts["backup_job_id"])

    def _defer(self, hook: DdsHook, record: CreateRecord, wait: float) -> None:
        now = self.clock.now()
        instance_free = InstanceFreeWait(
            db_instance_id=record.db_instance_id,
            started_at=now,
            deadline=record.deadline,
            poke_interval=self.poke_interval,
            record=record.to_json(),
            wait=wait,
        )
        trigger = DdsInstanceFreeTrigger.for_wait(instance_free, hook, now)
        self.defer(trigger=trigger, method_name="resume_create", timeout=trigger.timeout(self.clock.now()))


def _with_doubt(error: BaseException, record: CreateRecord | None) -> BaseException:
    """Return an error of something else that says that a request is in doubt, too."""
    if not isinstance(error, DdsError) or isinstance(error, DdsBackupOutcomeUnknownError):
        return error
    if record is not None and record.in_doubt:
        request = f"CreateBackup for {record.db_instance_id} at {texts.requested_at(record)}"
        doubt = f"whether {request} was accepted is not known"
        observed = "look under Backup and Recovery of the instance before you clear this task"
        return error.with_text(f"{error} Besides, {doubt}: {observed}.")
    return error
