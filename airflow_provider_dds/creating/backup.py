"""How a create goes on: which poll is due, and what follows from what it has shown. Pure: no I/O and no clock.

A worker and a trigger drive it in the same way; only the worker sends requests and keeps the record::

    observed = hook.run(poll(record, now))              # or: await hook.arun(...)
    step = conclude(record, observed, policy, now)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_dds.api.errors import Repeat, repeat_for
from airflow_provider_dds.api.requests import describe_db_instance
from airflow_provider_dds.creating import texts
from airflow_provider_dds.creating.evidence import (
    RECONCILE_GRACE,
    Evidence,
    candidates,
    jobs_of,
    observe,
    still_running,
    under_way,
    without_explained_refusal,
)
from airflow_provider_dds.creating.record import Backoff
from airflow_provider_dds.creating.states import TABLE, Next, Seen
from airflow_provider_dds.waiting.backup.listings import list_jobs
from airflow_provider_dds.waiting.polling import PollPlan, next_wait
from airflow_provider_dds.waiting.texts import duration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_dds.api.models import BackupJob, DBInstance
    from airflow_provider_dds.api.requests import ApiCalls
    from airflow_provider_dds.creating.record import CreateRecord
    from airflow_provider_dds.exceptions import DdsError

RECONCILE_INTERVAL = 10.0
"""Seconds between two polls for a job that a request may have started."""
MOST_AFTER_REFUSAL = 600.0
"""Longest wait in seconds between two requests that are refused for a reason that no poll shows."""
FINAL_STATES = frozenset({"deleting", "deleted", "releasing", "released", "destroying", "destroyed"})
"""States of an instance that it does not come back from, in lower case."""
FINAL_LOCKS = frozenset({"lockbyexpiration", "released"})
"""Locks of an instance that no waiting opens, in lower case."""


@dataclass(frozen=True)
class CreatePolicy:
    """What the user said of the waits.

    :ivar poke_interval: seconds between two polls.
    :ivar timeout: seconds that the whole task run may take.
    """

    poke_interval: float
    timeout: float


@dataclass(frozen=True)
class Step:
    """What follows from a poll.

    :ivar wait: with ``WAIT``, seconds until the next poll.
    :ivar backup_job_id: with ``LEARN``, the job.
    :ivar error: with ``FAIL``, what to raise.
    :ivar line: what the log has to say, None for nothing new.
    :ivar warning: whether that is a warning.
    """

    next: Next
    record: CreateRecord
    wait: float = 0.0
    backup_job_id: str | None = None
    error: DdsError | None = None
    line: str | None = None
    warning: bool = False


@dataclass(frozen=True)
class InstanceState:
    """What an instance shows of whether it can take a backup.

    :ivar job: the backup that runs on it.
    """

    instance: DBInstance
    job: BackupJob | None

    @property
    def occupied(self) -> str | None:
        """What keeps it from taking one, in words; None if nothing shows."""
        return texts.occupied_by(self.instance, self.job)


@dataclass(frozen=True)
class Jobs:
    """What an instance lists, for the job from before a clear."""

    rows: tuple[BackupJob, ...]


Observation = Evidence | InstanceState | Jobs


def step(record: CreateRecord, seen: Seen, **details: Any) -> Step:
    """Return what the table says; the record moves with it, but to CREATED only together with the job id."""
    move = TABLE[record.state, seen]
    if move.next is not Next.LEARN:
        record = replace(record, state=move.state)
    return Step(move.next, record, **details)


def poll(record: CreateRecord, now: float) -> ApiCalls[Observation]:
    """Return the calls of the poll that is due: for a request in doubt, what a clear left, or a free instance."""
    if record.in_doubt:
        return (yield from observe(record.db_instance_id, record.requested_at or now, now))
    if record.before_clear is not None and not record.before_clear.polled:
        return Jobs((yield from jobs_of(record.db_instance_id)))
    return (yield from observe_instance(record.db_instance_id))


def conclude(record: CreateRecord, observed: Observation, policy: CreatePolicy, now: float) -> Step:
    """Return what follows from a poll that was answered."""
    is_free = isinstance(observed, InstanceState) and observed.occupied is None
    if record.backoff is not None and not is_free:  # else the request that failed is still to be tried again
        record = replace(record, backoff=replace(record.backoff, failures=0))
    if isinstance(observed, InstanceState):
        return _after_instance(record, observed, policy, now)
    if isinstance(observed, Evidence):
        return _after_evidence(record, observed, policy, now)
    return _after_clear(record, observed)


def failed(record: CreateRecord, error: DdsError, policy: CreatePolicy, now: float, jitter: float) -> Step:
    """Return what follows from a poll that failed: what passes is waited out, until the deadline.

    :param jitter: a random number from 0 to 1, which shortens the back-off.
    """
    if repeat_for(error) is Repeat.NEVER:
        if record.before_clear is not None and (old := record.before_clear.backup_job_id):
            error = error.with_text(texts.denied_after_clear(error, old))
        return step(record, Seen.POLL_DENIED, error=error)
    if now >= record.deadline:
        reason = f"the service could not be asked: {str(error).rstrip('.')}"
        return step(record, Seen.TOO_LATE, error=texts.too_late(record, reason, policy.timeout))
    said = texts.said_of(error)
    backoff = record.backoff or Backoff(now, "")
    reason = backoff.reason if backoff.reason.startswith("CreateBackup") else said  # a refusal says more
    backoff = replace(backoff, reason=reason, failures=backoff.failures + 1, free=False)
    plan, left = PollPlan(policy.poke_interval, "fixed"), record.deadline - now
    wait = next_wait(plan, elapsed=0, left=left, failures=backoff.failures, jitter=jitter)
    line = texts.poll_failed(record, said, backoff.failures, wait)
    record = replace(record, backoff=backoff, polled_at=None)
    return step(record, Seen.POLL_FAILED, wait=wait, line=line, warning=True)


def back_off(
    record: CreateRecord, said: str, policy: CreatePolicy, now: float, jitter: float, *, adopt: bool
) -> CreateRecord:
    """Return the record once a request was refused for a state that passes; what holds the instance is polled then.

    :param record: as it was before the request.
    :param said: the refusal, in words.
    :param adopt: whether a backup that runs is to be adopted.
    """
    backoff = record.backoff or Backoff(now, said)
    refusals = backoff.refusals + 1
    pause = min(MOST_AFTER_REFUSAL, policy.poke_interval * 2.0 ** min(refusals - 1, 16))
    pause = max(policy.poke_interval, pause * (1 - jitter / 2) if refusals > 1 else pause)
    backoff = replace(
        backoff, reason=said, refusals=refusals, failures=0, not_before=now + pause, adopt=adopt, free=False
    )
    return replace(record, backoff=backoff)


def running_job(jobs: Iterable[BackupJob]) -> BackupJob | None:
    """Return the job that runs. A planned one, which the service lists as Scheduled and Automated, does not."""
    return next(filter(under_way, jobs), None)


def observe_instance(db_instance_id: str) -> ApiCalls[InstanceState]:
    """Look whether an instance can take a backup."""
    instance = yield from describe_db_instance(db_instance_id)
    if final_state(instance):
        return InstanceState(instance, None)
    return InstanceState(instance, running_job((yield from list_jobs(instance))))


def final_state(instance: DBInstance) -> str | None:
    """Return the word for a state in which an instance will never take a backup again; None for any other."""
    if instance.status.lower() in FINAL_STATES:
        return instance.status
    return instance.lock_mode if instance.lock_mode.lower() in FINAL_LOCKS else None


def _after_instance(record: CreateRecord, observed: InstanceState, policy: CreatePolicy, now: float) -> Step:
    backoff = record.backoff or Backoff(now, "")
    if (word := final_state(observed.instance)) is not None:
        return step(record, Seen.INSTANCE_GONE, error=texts.gone(observed.instance, word, backoff.reason))
    if (job := observed.job) is not None:
        if record.before_clear is not None and still_running(record.before_clear, (job,)):
            return _own_backup_runs(record, job)
        if backoff.adopt:
            adopting = f"Adopting backup job {job.backup_job_id}, which runs already."
            return step(record, Seen.BACKUP_TO_ADOPT, backup_job_id=job.backup_job_id, line=adopting)
    reason = observed.occupied
    if reason is None and now >= backoff.not_before:
        return step(replace(record, backoff=replace(backoff, free=True)), Seen.INSTANCE_FREE)
    if reason is not None:
        backoff = replace(backoff, refusals=0, not_before=0.0)
    said = f"{reason} ({backoff.reason})" if reason and backoff.reason else reason or backoff.reason
    if now >= record.deadline:
        return step(record, Seen.TOO_LATE, error=texts.too_late(record, said, policy.timeout))
    wait = policy.poke_interval if reason is not None else max(backoff.not_before - now, 0.0)
    line = None
    if now - backoff.since >= 2 * (backoff.reported_at - backoff.since):  # each time after twice as long
        backoff = replace(backoff, reported_at=now)
        line = texts.waiting(record, said, now - backoff.since)
    return step(
        replace(record, backoff=backoff),
        Seen.BACKOFF if reason is None else Seen.INSTANCE_OCCUPIED,
        wait=min(wait, record.deadline - now),
        line=line,
        warning=(reason is not None and observed.job is None) or backoff.refusals > 1,
    )


def _after_evidence(record: CreateRecord, evidence: Evidence, policy: CreatePolicy, now: float) -> Step:
    """Return what becomes of a request in doubt. Only seconds between two answered polls count as silent."""
    record = without_explained_refusal(record, evidence, now)
    found = candidates(evidence, record)
    if len(found.job_ids) == 1 and not found.unnamed:
        job_id = found.job_ids[0]
        line = f"Adopting backup job {job_id}: it is the only one that can come from that request."
        return step(record, Seen.ONE_CANDIDATE, backup_job_id=job_id, line=line)
    interval = max(RECONCILE_INTERVAL, policy.poke_interval)
    silent = 0.0
    if not found.under_way:
        since = 0.0 if record.polled_at is None else min(max(0.0, now - record.polled_at), interval)
        silent = record.silent_seconds + since
    record = replace(record, silent_seconds=silent, polled_at=now)
    over, late, left = silent >= RECONCILE_GRACE, now >= record.deadline, record.deadline - now
    if found.job_ids or (found.unnamed and (late or (over and not found.under_way))):
        fits = [*(f"job {job_id}" for job_id in found.job_ids), *found.unnamed]
        error = texts.outcome_unknown(record, f"these could come from it: {'; '.join(fits)}")
        return step(record, Seen.SEVERAL_CANDIDATES, error=error)
    if late:
        return step(record, Seen.TOO_LATE, error=texts.too_late(record, None, policy.timeout))
    if over:
        pause = record.backoff.not_before - now if record.backoff else 0.0
        if pause > 0:
            return step(record, Seen.BACKOFF, wait=min(pause, left))
        line = f"Found no job that it made for {duration(RECONCILE_GRACE)}; asking again."
        return step(record, Seen.NO_CANDIDATE, line=line)
    if found.under_way:
        return step(record, Seen.CANDIDATE_UNDER_WAY, wait=min(interval, left))
    return step(record, Seen.NO_CANDIDATE_YET, wait=min(RECONCILE_INTERVAL, left))


def _after_clear(record: CreateRecord, jobs: Jobs) -> Step:
    before = record.before_clear
    if before is None:
        return step(record, Seen.NO_OWN_BACKUP_RUNS)
    if (job := still_running(before, jobs.rows)) is not None:
        return _own_backup_runs(record, job)
    record = replace(record, before_clear=replace(before, polled=True))
    return step(record, Seen.NO_OWN_BACKUP_RUNS, line=texts.none_runs(before.backup_job_id))


def _own_backup_runs(record: CreateRecord, job: BackupJob) -> Step:
    line = f"The task was cleared while its backup job {job.backup_job_id} still runs; going on with it."
    return step(record, Seen.OWN_BACKUP_RUNS, backup_job_id=job.backup_job_id, line=line)
