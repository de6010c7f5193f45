"""The steps of a create, made: the poll that is due, and the request, which is sent once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_dds.api.errors import Repeat, is_outcome_unknown, repeat_for
from airflow_provider_dds.creating import texts
from airflow_provider_dds.creating.backup import CreatePolicy, Step, back_off, conclude, failed, final_state, poll, step
from airflow_provider_dds.creating.evidence import RECONCILE_GRACE, observe
from airflow_provider_dds.creating.states import TABLE, Next, Seen, State
from airflow_provider_dds.exceptions import (
    DdsApiError,
    DdsBackupRunningError,
    DdsError,
    DdsInstanceBusyError,
    DdsSupersededError,
)
from airflow_provider_dds.triggers.deferral import LAST_POLL_SECONDS
from airflow_provider_dds.waiting.texts import brief, duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_dds.api.models import DBInstance
    from airflow_provider_dds.clock import Clock
    from airflow_provider_dds.creating.record import CreateRecord
    from airflow_provider_dds.hooks.dds import DdsHook
    from airflow_provider_dds.operators.record_keeper import RecordKeeper


@dataclass
class CreateSteps:
    """Makes the steps that the table of :mod:`airflow_provider_dds.creating.states` tells, one after the other.

    :ivar keeper: keeps the record; what it holds is stored before a request is sent.
    :ivar backup_method: as for CreateBackup.
    :ivar backup_retention_period: as for CreateBackup.
    :ivar if_backup_running: what to do about a backup that runs: ``wait``, ``adopt`` or ``fail``.
    :ivar instance_known: called with the instance once it is known.
    :ivar late: why a worker comes late after a deferral, in words; None where it does not.
    """

    hook: DdsHook
    keeper: RecordKeeper
    policy: CreatePolicy
    clock: Clock
    log: Any
    backup_method: str | None
    backup_retention_period: int | None
    if_backup_running: str
    instance_known: Callable[[DBInstance], None]
    late: str | None = None

    def make(self, record: CreateRecord) -> Step:
        """Poll or send, as is due, and return what follows; the record is that of the step."""
        due = self._poll(record)
        if due.next is Next.SEND:
            self._report(due)
            due = self._send(due.record)
        self._report(due)
        self.keeper.record = due.record
        return due

    def _report(self, due: Step) -> None:
        if due.line:
            (self.log.warning if due.warning else self.log.info)("%s", due.line)

    def _poll(self, record: CreateRecord) -> Step:
        """Return what follows from the poll that is due, if one is."""
        polled = record.before_clear is None or record.before_clear.polled
        if record.state is State.READY and polled and (record.backoff is None or record.backoff.free):
            return Step(Next.SEND, record)
        if record.state is State.IN_DOUBT and record.polled_at is None and not record.silent_seconds:
            self.log.warning(
                "Whether CreateBackup for %s at %s was accepted is not known; looking for its job for up to %s.",
                record.db_instance_id,
                texts.requested_at(record),
                duration(RECONCILE_GRACE),
            )
        try:
            observed = self.hook.run(poll(record, self.clock.now()), timeout=self._time_left(record))
        except DdsError as error:
            return failed(record, error, self.policy, self.clock.now(), self.clock.random())
        return conclude(record, observed, self.policy, self.clock.now())

    def _send(self, record: CreateRecord) -> Step:
        """Send one request; gives the job id, or what to do where there is none."""
        now = self.clock.now()
        if now >= record.deadline:
            reason = (self.late or "").rstrip(".") or (record.backoff.reason if record.backoff else "")
            return step(record, Seen.TOO_LATE, error=texts.too_late(record, reason, self.policy.timeout))
        known: tuple[str, ...] = ()
        if not record.in_doubt:
            try:
                evidence = self.hook.run(observe(record.db_instance_id, now, now), timeout=self._time_left(record))
            except DdsError as error:
                return failed(record, error, self.policy, self.clock.now(), self.clock.random())
            self.instance_known(evidence.instance)
            if (word := final_state(evidence.instance)) is not None:
                return step(record, Seen.INSTANCE_GONE, error=texts.gone(evidence.instance, word))
            known = evidence.ids
        intent = self.keeper.keep(record.intending(self.clock.now(), known))
        try:
            job_id = self.hook.create_backup(
                record.db_instance_id,
                backup_method=self.backup_method,
                backup_retention_period=self.backup_retention_period,
                before_sending=self.keeper.confirm,
                timeout=self._time_left(record),
            )
        except DdsSupersededError:
            raise
        except DdsError as error:
            if not is_outcome_unknown(error):
                return self._refused(record, self.keeper.record or intent, error)
            move = TABLE[record.state, Seen.NO_ANSWER]  # kept as in doubt already
            return Step(move.next, self.keeper.record or intent, line=str(error), warning=True)
        line = f"Backup job {job_id} of {record.db_instance_id} is under way."
        return Step(TABLE[record.state, Seen.ACCEPTED].next, intent, backup_job_id=job_id, line=line)

    def _refused(self, before: CreateRecord, intent: CreateRecord, error: DdsError) -> Step:
        """Return what to do after a request that certainly was not executed.

        :param before: the record before the request.
        :param intent: the record as it was stored for the request.
        """
        runs = isinstance(error, DdsBackupRunningError)
        is_final = runs and self.if_backup_running == "fail" and not before.in_doubt  # else what runs may be its own
        if is_final or repeat_for(error) is Repeat.NEVER:
            return step(self.keeper.keep_if_possible(before), Seen.REFUSED_FOR_GOOD, error=error)
        is_occupied = isinstance(error, (DdsBackupRunningError, DdsInstanceBusyError))
        due = step(before, Seen.REFUSED_AS_OCCUPIED if is_occupied else Seen.REFUSED)
        record = due.record
        if before.in_doubt and is_occupied:
            refused_at = self.clock.now() if runs else intent.refused_at
            record = replace(intent, state=record.state, refused_at=refused_at)
        said = brief(error)
        if isinstance(error, DdsApiError):
            said = f"CreateBackup was refused with {error.code}, request id {error.request_id or 'none'}"
        adopt = runs and self.if_backup_running == "adopt"
        record = back_off(record, said, self.policy, self.clock.now(), self.clock.random(), adopt=adopt)
        return replace(due, record=self.keeper.keep(record))

    def _time_left(self, record: CreateRecord) -> float:
        """Return the seconds that calls may take; the last poll, made at the deadline, has some beyond it."""
        return max(LAST_POLL_SECONDS, record.deadline - self.clock.now())
