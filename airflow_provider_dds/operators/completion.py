"""What ``wait_for_completion`` adds to an operator: the wait for its backup, and the facts of a good one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_dds import arguments
from airflow_provider_dds.compat import pulled_own_xcom
from airflow_provider_dds.creating.texts import kept_too_short
from airflow_provider_dds.hooks.dds import DdsHook
from airflow_provider_dds.tasks import DdsTask
from airflow_provider_dds.triggers.backup import DdsBackupTrigger
from airflow_provider_dds.triggers.deferral import LAST_POLL_SECONDS, NoEvent, end_without_event, raise_without_wait
from airflow_provider_dds.triggers.inputs import kept_inputs_in
from airflow_provider_dds.waiting import watch
from airflow_provider_dds.waiting.backup_job import BackupJobWait
from airflow_provider_dds.waiting.result import Outcome, Result

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_dds.creating.record import CreateRecord
    from airflow_provider_dds.operators.record_keeper import RecordKeeper

BACKUP_XCOM = "backup"
WRITE_PAUSES = (1.0, 2.0, 5.0, 10.0, 20.0)
"""Seconds between attempts to write the facts of a backup."""
ADVICE = {
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


class CompletionTask(DdsTask):
    """A task that waits for the backup that it made, as the sensor does."""

    db_instance_id: str
    backup_retention_period: int | str | None
    wait_for_completion: bool
    deferrable: bool
    timeout: float
    execution_timeout: timedelta | None

    @property
    def _waiting(self) -> dict[str, Any]:
        names = ("poke_interval", "poll_strategy", "confirm_backup_set")
        return {name: getattr(self, name) for name in names}

    def _complete(self, context: Context, hook: DdsHook, record: CreateRecord) -> str:
        wait = self._wait_for(record, self.clock.now())
        while True:
            linked = wait.instance is not None
            limit = max(LAST_POLL_SECONDS, wait.deadline - self.clock.now())
            result = watch.poll(wait, hook.run, self.clock, self.log, limit=limit)
            if not linked:
                self._store_link(context, hook, wait.instance)
            if result is not None:
                return self._end_completion(context, result)
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

    def _complete_without_event(self, context: Context, why: NoEvent, keeper: RecordKeeper | None) -> str:
        """Poll once after a deferral without an event: a backup that is good by then ends the task well."""
        why.tell(self.log)
        until = self.clock.now() + why.left_of(self.timeout)
        record = keeper.recall_this_try(until - self.clock.now()) if keeper else None
        until = min(until, record.deadline) if record else until
        if kept := kept_inputs_in(until - self.clock.now(), context["ti"], pulled_own_xcom, self.clock.sleep, self.log):
            hook, wait = DdsHook(kept.dds_conn_id, kept.region_id), kept.wait(BackupJobWait, **self._waiting)
        elif record is not None and record.backup_job_id and self.wait_for_completion:
            hook, wait = self.hook, self._wait_for(record, record.deadline - self.timeout)
        else:
            raise_without_wait(why, f"the backup of {self.db_instance_id}", self.execution_timeout)
        return self._end_completion(context, end_without_event(why, wait, hook, self.clock, self.execution_timeout))

    def _end_completion(self, context: Context, result: Result) -> str:
        facts = result.facts_or_raise(ADVICE)
        self.log.info("%s", result.text)
        asked = arguments.backup_retention_period(self.backup_retention_period)
        if warning := kept_too_short(asked, facts):
            self.log.warning("%s", warning)
        push = partial(context["ti"].xcom_push, key=BACKUP_XCOM, value=facts)
        self._write_aside(f"XCom {BACKUP_XCOM}", push, WRITE_PAUSES)
        self._tell_outlets(context, facts)
        return str(facts["backup_job_id"])
