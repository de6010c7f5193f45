"""What the service shows of a create whose answer was lost, and what follows from that."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_provider_dds.api.models import FAILED, SUCCESS, BackupJob, BackupSet, DBInstance, HistoryTask, Layout
from airflow_provider_dds.api.requests import (
    ApiCalls,
    collect,
    describe_backups,
    describe_cluster_backups,
    describe_db_instance,
    describe_history_tasks,
)
from airflow_provider_dds.creating.texts import moment
from airflow_provider_dds.exceptions import (
    DdsAccessDeniedError,
    DdsInvalidRequestError,
    DdsNotFoundError,
)
from airflow_provider_dds.waiting.backup.listings import list_jobs
from airflow_provider_dds.waiting.backup.matching import own_job
from airflow_provider_dds.waiting.backup.observation import RUNNING
from airflow_provider_dds.waiting.backup.shards import wants_a_node

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_dds.creating.record import BeforeClear, CreateRecord

SKEW_ALLOWANCE = 900.0
"""Seconds by which the service's clock may differ from this machine's: it refuses requests that differ by more."""
RECONCILE_GRACE = 120.0
"""Seconds in which the service has to show nothing of a request, before that counts as not executed."""
REFUSAL_WINDOW = 15.0
"""Seconds within which a poll after a refusal shows what was there when it was made."""
MANUAL = "Manual"
_TASK_ENDED = ("Succeed", "Failed", "Canceled")


@dataclass(frozen=True)
class Evidence:
    """What an instance shows of its backups, all three places taken together.

    :ivar jobs: all jobs that are listed.
    :ivar sets: backup sets that began since some time.
    :ivar tasks: manual backups of the task centre that began since then.
    """

    instance: DBInstance
    jobs: tuple[BackupJob, ...]
    sets: tuple[BackupSet, ...]
    tasks: tuple[HistoryTask, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all of them."""
        found = [job.backup_job_id for job in self.jobs]
        found += [name for each in self.sets for name in (each.backup_job_id, each.backup_id)]
        return tuple(dict.fromkeys(name for name in (*found, *(task.task_id for task in self.tasks)) if name))


@dataclass(frozen=True)
class Candidates:
    """What may come from a request whose fate is unknown.

    :ivar job_ids: jobs that can be its own.
    :ivar unnamed: signs of a backup without a job id, in words; they forbid another request.
    :ivar under_way: whether one of them may still run, so that its set may yet name the job.
    """

    job_ids: tuple[str, ...] = ()
    unnamed: tuple[str, ...] = ()
    under_way: bool = False


def observe(db_instance_id: str, requested_at: float, now: float) -> ApiCalls[Evidence]:
    """Look for backups since a request, less the allowance: among the jobs, the sets and the tasks."""
    since = moment(requested_at - SKEW_ALLOWANCE)
    instance = yield from describe_db_instance(db_instance_id)
    jobs = yield from list_jobs(instance)
    sets = yield from _sets_since(instance, since)
    tasks = yield from _tasks_since(db_instance_id, since, moment(now + SKEW_ALLOWANCE))
    return Evidence(instance, tuple(jobs), tuple(sets), tuple(tasks))


def candidates(evidence: Evidence, record: CreateRecord) -> Candidates:
    """Return what can come from a request in doubt: what was not there before, and is manual for all that is known.

    Its time says little, as the two clocks may differ.
    """
    since, known = moment((record.requested_at or 0.0) - SKEW_ALLOWANCE), record.known
    jobs = [job for job in evidence.jobs if job.job_mode in ("", MANUAL) and _not_before(job.start_time, since)]
    sets = [
        each
        for each in evidence.sets
        if each.backup_mode in (None, MANUAL)
        and _not_before(each.start_time, since)
        and each.backup_job_id not in known
        and each.backup_id not in known
    ]
    tasks = list(
        {
            task.task_id: task
            for task in evidence.tasks
            if _not_before(task.start_time, since) and task.task_id not in known
        }.values()
    )
    in_words = [f"task {task.task_id} ({task.status}), started {task.start_time}" for task in tasks]
    named = [job.backup_job_id for job in jobs] + [each.backup_job_id for each in sets]
    own = tuple(sorted({name for name in named if name and name not in known}))
    if own:
        # Each of them is a task, too. With more tasks than that there was another backup, which shows no job any more.
        return Candidates(own, tuple(in_words) if len(tasks) > len(own) else ())
    unnamed = [f"backup set {each.backup_id}, started {each.start_time}" for each in sets] + in_words
    if record.refused_at is not None:
        unnamed.append(
            f"a backup that ran at {moment(record.refused_at):%H:%M:%S}, so that another request was refused"
        )
    under_way = any(task.status not in _TASK_ENDED for task in tasks) or record.refused_at is not None
    return Candidates((), tuple(unnamed), under_way or any(each.status not in (SUCCESS, FAILED) for each in sets))


def without_explained_refusal(record: CreateRecord, evidence: Evidence, now: float) -> CreateRecord:
    """Return the record with a refusal forgotten that a backup explains which certainly is not the one in doubt."""
    refused_at = record.refused_at
    if refused_at is None:
        return record
    then = moment(refused_at)

    def ran_then(job: BackupJob) -> bool:
        runs = job.status in RUNNING and job.status != "Scheduled"
        return runs and (now - refused_at <= REFUSAL_WINDOW or (job.start_time is not None and job.start_time <= then))

    others = [job for job in evidence.jobs if job.job_mode not in ("", MANUAL) or job.backup_job_id in record.known]
    ended = [
        each
        for each in evidence.sets
        if each.backup_mode not in (None, MANUAL)
        or each.backup_job_id in record.known
        or each.backup_id in record.known
    ]
    explains = any(ran_then(job) for job in others) or any(
        each.start_time is not None and each.start_time <= then and (each.end_time is None or each.end_time >= then)
        for each in ended
    )
    return replace(record, refused_at=None) if explains else record


def jobs_of(db_instance_id: str) -> ApiCalls[tuple[BackupJob, ...]]:
    """List the jobs of an instance; none where no call lists them."""
    instance = yield from describe_db_instance(db_instance_id)
    return tuple((yield from list_jobs(instance)))


def under_way(job: BackupJob) -> bool:
    """Whether a job runs. A planned one, which the service lists as Scheduled and Automated, does not."""
    return job.status in RUNNING and (job.status != "Scheduled" or job.job_mode == MANUAL)


def still_running(before_clear: BeforeClear, jobs: tuple[BackupJob, ...]) -> BackupJob | None:
    """Return the job that a task run has from before it was cleared, if it still runs.

    Of a request in doubt that is the only one that began when it was sent, as far as the two clocks tell.
    """
    if before_clear.backup_job_id is not None:
        own = own_job(jobs, before_clear.backup_job_id, manual=False)
        return own if own and under_way(own) else None
    first, last = (
        moment(before_clear.requested_from - SKEW_ALLOWANCE),
        moment(before_clear.requested_until + SKEW_ALLOWANCE),
    )
    fits = [
        job
        for job in jobs
        if job.status in RUNNING
        and job.job_mode == MANUAL
        and job.backup_job_id not in before_clear.known
        and job.start_time is not None
        and first <= job.start_time <= last
    ]
    return fits[0] if len(fits) == 1 else None


def _not_before(start: datetime | None, since: datetime) -> bool:
    return start is None or start >= since


def _sets_since(instance: DBInstance, since: datetime) -> ApiCalls[list[BackupSet]]:
    if instance.layout is Layout.CLUSTER:
        found, _ = yield from collect(describe_cluster_backups(instance.db_instance_id, start_time=since))
        return found
    sets: list[BackupSet] = []
    for node in instance.shard_node_ids or (None,):
        try:
            found, _ = yield from collect(describe_backups(instance.db_instance_id, node_id=node, start_time=since))
        except DdsInvalidRequestError as error:
            if node or not wants_a_node(error):
                raise
            found = []  # which shards there are is not shown: jobs and tasks have to tell
        sets += found
    return sets


def _tasks_since(db_instance_id: str, since: datetime, until: datetime) -> ApiCalls[list[HistoryTask]]:
    """List manual backups of the task centre; that it may be asked, and knows the instance, is optional."""
    listing = describe_history_tasks(db_instance_id, from_start_time=since, to_start_time=until)
    try:
        found, _ = yield from collect(listing)
    except (DdsAccessDeniedError, DdsInvalidRequestError, DdsNotFoundError):
        return []
    return found
