"""A create and its fate, without I/O: what a task run remembers of it, and which jobs can be the one it asked for.

CreateBackup takes no idempotency token. So the intent is recorded before the request and the job id after it; a
request whose fate is unknown is settled by looking for a job that can be its own.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow_provider_dds.exceptions import (
    DdsAccessDeniedError,
    DdsBackupOutcomeUnknownError,
    DdsInvalidRequestError,
    DdsNotFoundError,
)
from airflow_provider_dds.models import FAILED, SUCCESS, BackupJob, BackupSet, DBInstance, HistoryTask, Layout
from airflow_provider_dds.operations import (
    Steps,
    collect,
    describe_backup_tasks,
    describe_backups,
    describe_cluster_backups,
    describe_db_instance,
    describe_history_tasks,
)
from airflow_provider_dds.verdict import RUNNING

if TYPE_CHECKING:
    from collections.abc import Iterable

SKEW_ALLOWANCE = 60.0
"""Seconds by which the service's clock may lag behind this machine's."""
SETTLE_GRACE = 120.0
"""Seconds to look for a job that a request may have started, before it counts as not executed."""
SETTLE_INTERVAL = 10.0
"""Seconds between two of these looks."""
MANUAL = "Manual"
_ENDED = ("Succeed", "Failed", "Canceled")


@dataclass(frozen=True)
class CreateRecord:
    """What a task run remembers of its create; as plain JSON in the task state store.

    :ivar generation: ``max_tries`` of the task instance: the same over retries, another once the task was cleared.
    :ivar deadline: epoch seconds at which the whole task run ends.
    :ivar asked_since: epoch seconds of the oldest request whose fate is not settled; None when none is in doubt.
    :ivar known: ids of jobs, sets and tasks that were there before that request: never its own.
    :ivar may_ask: whether a request in doubt was looked for long enough without a sign of it, so that another may be
        sent. It stays in doubt until a job is known: it may yet turn out to be the backup that runs.
    :ivar met_at: epoch seconds at which another request was refused because a backup ran, which may be the one from the
        request in doubt; None once another backup explains it.
    :ivar backup_job_id: the job, once it is known.
    """

    generation: int
    db_instance_id: str
    region_id: str | None
    deadline: float
    asked_since: float | None = None
    known: tuple[str, ...] = ()
    may_ask: bool = True
    met_at: float | None = None
    backup_job_id: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain JSON."""
        return {**asdict(self), "known": list(self.known)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> CreateRecord:
        """Return the record that :meth:`to_json` gave."""
        return cls(**{**data, "known": tuple(data.get("known") or ())})

    @property
    def in_doubt(self) -> bool:
        """Whether a request was sent that may have been accepted."""
        return self.asked_since is not None

    def asking(self, now: float, known: tuple[str, ...]) -> CreateRecord:
        """Return the record to keep before a request is sent; one that is in doubt already stays the oldest."""
        if self.in_doubt:
            return replace(self, may_ask=False)
        return replace(self, asked_since=now, known=known, may_ask=False)

    def created(self, backup_job_id: str) -> CreateRecord:
        """Return the record once the job is known."""
        return replace(self, asked_since=None, known=(), may_ask=True, met_at=None, backup_job_id=backup_job_id)

    def is_for(self, other: CreateRecord) -> bool:
        """Whether both are about one instance; a mapped task may find the record of another item under its index."""
        return (self.db_instance_id, self.region_id) == (other.db_instance_id, other.region_id)


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


@dataclass(frozen=True)
class Signs:
    """What an instance shows of manual backups since some time, all three places taken together.

    :ivar others: backups that are not manual or began before.
    """

    instance: DBInstance
    jobs: tuple[BackupJob, ...]
    sets: tuple[BackupSet, ...]
    tasks: tuple[HistoryTask, ...]
    others: tuple[BackupJob | BackupSet, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all of them."""
        found = [job.backup_job_id for job in self.jobs]
        found += [each for every in self.sets for each in (every.backup_job_id, every.backup_id)]
        return tuple(dict.fromkeys(each for each in (*found, *(task.task_id for task in self.tasks)) if each))

    def explain(self, met_at: float) -> bool:
        """Whether one of the others ran at a moment, a short while ago."""
        moment = _moment(met_at)
        return any(
            each.start_time is not None
            and each.start_time <= moment
            and (
                each.status in RUNNING and each.status != "Scheduled"
                if isinstance(each, BackupJob)
                else each.end_time is None or each.end_time >= moment
            )
            for each in self.others
        )


def look_for_signs(db_instance_id: str, asked_at: float, now: float) -> Steps[Signs]:
    """Look for manual backups since a request, less the allowance: among the jobs, the sets and the tasks."""
    since = _moment(asked_at - SKEW_ALLOWANCE)
    instance = yield from describe_db_instance(db_instance_id)
    jobs = yield from listed_jobs(instance)
    sets = yield from _sets_since(instance, since)
    tasks = yield from _tasks_since(db_instance_id, since, _moment(now))
    manual_jobs = [
        job for job in jobs if job.job_mode in ("", MANUAL) and (not job.start_time or job.start_time >= since)
    ]
    manual_sets = [each for each in sets if each.backup_mode in (None, MANUAL) and _began(each.start_time, since)]
    return Signs(
        instance,
        tuple(manual_jobs),
        tuple(manual_sets),
        tuple(each for each in tasks if _began(each.start_time, since)),
        (
            *(job for job in jobs if job not in manual_jobs),
            *(each for each in sets if each not in manual_sets),
        ),
    )


def candidates(signs: Signs, record: CreateRecord) -> Candidates:
    """Return which signs can come from a request in doubt."""
    known = record.known
    strange = [each for each in signs.sets if each.backup_job_id not in known and each.backup_id not in known]
    job_ids = [job.backup_job_id for job in signs.jobs] + [each.backup_job_id for each in strange]
    own = tuple(sorted({each for each in job_ids if each and each not in known}))
    tasks = list({task.task_id: task for task in signs.tasks if task.task_id not in known}.values())
    in_words = [f"task {task.task_id} ({task.status}), started {task.start_time}" for task in tasks]
    if own:
        # Each of them is a task, too. With more tasks than that there was another backup, which shows no job any more.
        return Candidates(own, tuple(in_words) if len(tasks) > len(own) else ())
    unnamed = [f"backup set {each.backup_id}, started {each.start_time}" for each in strange] + in_words
    if record.met_at is not None:
        unnamed.append(f"a backup that ran at {_moment(record.met_at):%H:%M:%S}, so that another request was refused")
    under_way = any(task.status not in _ENDED for task in tasks) or record.met_at is not None
    return Candidates((), tuple(unnamed), under_way or any(each.status not in (SUCCESS, FAILED) for each in strange))


def settled(record: CreateRecord, found: Candidates, *, grace_over: bool, too_late: bool) -> tuple[bool, str | None]:
    """Return whether an unsettled request is settled, and its job id, None if it was not executed.

    :param grace_over: it was looked for long enough.
    :param too_late: the deadline of the task run has passed.
    :raises DdsBackupOutcomeUnknownError: it cannot be settled: several jobs fit, or signs without a job id remain.
    """
    if len(found.job_ids) == 1 and not found.unnamed:
        return True, found.job_ids[0]
    hopeless = grace_over and found.unnamed and not found.under_way
    if found.job_ids or hopeless or (too_late and found.unnamed):
        fits = [*(f"job {each}" for each in found.job_ids), *found.unnamed]
        raise outcome_unknown(record, f"these could come from it: {'; '.join(fits)}", clear_helps=False)
    return grace_over and not found.under_way, None


def outcome_unknown(record: CreateRecord, seen: str, *, clear_helps: bool) -> DdsBackupOutcomeUnknownError:
    """Return the error for a request that may have been accepted, with what was seen and how to settle it by hand.

    :param clear_helps: whether the task finds more than that, or may ask again, once it is cleared.
    """
    otherwise = (
        "If it is not there, clear this task: it asks again unless it finds the backup."
        if clear_helps
        else "If none of them is its own, start a new DAG run to ask for another; this one would find the same again."
    )
    return DdsBackupOutcomeUnknownError(
        f"CreateBackup for {record.db_instance_id} at {asked_at(record)} may have been accepted: its answer was lost, "
        f"and {seen}. So as not to make a second backup, this task stops. Look under Backup and Recovery of the "
        "instance in the console for a manual backup that started then. If it is there, set XCom return_value of this "
        f"task to its job id and mark this task as success. {otherwise}"
    )


def asked_at(record: CreateRecord) -> str:
    """Return the time of the oldest request in doubt, for people."""
    return _moment(record.asked_since or 0.0).strftime("%Y-%m-%d %H:%M:%S UTC")


def listed_jobs(instance: DBInstance) -> Steps[list[BackupJob]]:
    """List the jobs of an instance; none where DescribeBackupTasks does not cover its kind."""
    if instance.layout in (Layout.LOCAL, Layout.LOCAL_SHARDED):
        return []
    answer = yield from describe_backup_tasks(instance.db_instance_id)
    return answer.value


def still_running(db_instance_id: str, backup_job_id: str) -> Steps[BackupJob | None]:
    """Look whether a job still runs; gives its row, None when it does not or where no call lists running jobs."""
    instance = yield from describe_db_instance(db_instance_id)
    jobs = yield from listed_jobs(instance)
    return next((job for job in jobs if job.backup_job_id == backup_job_id and job.status in RUNNING), None)


def running_job(jobs: Iterable[BackupJob]) -> BackupJob | None:
    """Return the job that runs. A planned one, which the service lists as Scheduled and Automated, does not."""
    running = [job for job in jobs if job.status in RUNNING]
    begun = [job for job in running if job.status != "Scheduled" or job.job_mode == MANUAL]
    return begun[0] if begun else None


def what_holds(db_instance_id: str) -> Steps[tuple[str | None, str | None]]:
    """Look whether an instance can take a backup; gives what holds it, in words, and the job that runs on it."""
    instance = yield from describe_db_instance(db_instance_id)
    job = running_job((yield from listed_jobs(instance)))
    if job is not None:
        progress = f" {job.progress} %" if job.progress is not None else ""
        mode = f"{job.job_mode.lower()} " if job.job_mode else ""
        return f"{mode}backup {job.backup_job_id} is {job.status}{progress}", job.backup_job_id
    if instance.status != "Running":
        return f"the instance is {instance.status}", None
    return None, None


def _began(start: datetime | None, since: datetime) -> bool:
    return start is not None and start >= since


def _sets_since(instance: DBInstance, since: datetime) -> Steps[list[BackupSet]]:
    if instance.layout is Layout.CLUSTER:
        found, _ = yield from collect(describe_cluster_backups(instance.db_instance_id, start_time=since))
        return found
    sets: list[BackupSet] = []
    for node in instance.shard_node_ids or (None,):
        found, _ = yield from collect(describe_backups(instance.db_instance_id, node_id=node, start_time=since))
        sets += found
    return sets


def _tasks_since(db_instance_id: str, since: datetime, until: datetime) -> Steps[list[HistoryTask]]:
    """List manual backups of the task centre; that it may be asked, and knows the instance, is optional."""
    listing = describe_history_tasks(
        db_instance_id, from_start_time=since, to_start_time=until + timedelta(seconds=SKEW_ALLOWANCE)
    )
    try:
        found, _ = yield from collect(listing)
    except (DdsAccessDeniedError, DdsInvalidRequestError, DdsNotFoundError):
        return []
    return found


def _moment(epoch: float) -> datetime:
    return datetime.fromtimestamp(epoch, tz=timezone.utc)
