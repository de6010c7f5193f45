"""One look at a backup: which calls to make for which kind of instance, and which rows count as this job's.

A generator over the operations, so that sensor, trigger and operator observe in one way, blocking or not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_dds.exceptions import DdsInvalidRequestError, DdsNotFoundError
from airflow_provider_dds.models import BackupJob, BackupSet, DBInstance, Layout
from airflow_provider_dds.operations import (
    Answer,
    Request,
    Steps,
    collect,
    describe_backup_tasks,
    describe_backups,
    describe_cluster_backups,
    describe_db_instance,
)
from airflow_provider_dds.verdict import FINISHED, Look

if TYPE_CHECKING:
    from collections.abc import Generator

SET_ID_AGE = timedelta(days=7)
"""How long before the wait a set may have started that is known by its own id instead of its job's."""
NO_SUCH_JOB = "0"
"""A job id that no service hands out: asked for where it must be shown that the filter by job id is honoured."""
START_ALLOWANCE = timedelta(minutes=2)
"""How far the start of a cluster backup may lie from the start of the job that made it."""


@dataclass(frozen=True)
class Target:
    """The job to look at, and what earlier looks learned about it.

    :ivar since: start of the wait.
    :ivar instance: kind of the instance, None until the first look.
    :ivar job: the job's row when it was last seen.
    """

    db_instance_id: str
    backup_job_id: str
    since: datetime
    instance: DBInstance | None = None
    job: BackupJob | None = None


def look_at(target: Target, *, confirm_backup_set: bool) -> Steps[tuple[Look, Target]]:
    """Look once; gives what was seen and the target with what was learned.

    The kind of the instance is asked for once. A running job costs one call, DescribeBackupTasks; the sets are looked
    up only when the job is Finished or has no row, and always where no call lists running jobs.
    """
    instance = target.instance or (yield from describe_db_instance(target.db_instance_id))
    target = replace(target, instance=instance)
    layout = instance.layout
    listed = layout not in (Layout.LOCAL, Layout.LOCAL_SHARDED)
    asked: list[str] = []
    job = (yield from _my_job(target, asked)) if listed else None
    target = replace(target, job=job or target.job)
    sets: tuple[BackupSet, ...] = ()
    if job is None or (job.status == FINISHED and confirm_backup_set):
        found = yield from _my_sets(target, layout, asked)
        sets = tuple({each.backup_id or each: each for each in found}.values())  # a row may be listed twice
    per_node = layout in (Layout.SHARDED, Layout.LOCAL_SHARDED)
    expected = max(1, len(instance.shard_node_ids)) if per_node else 1
    return Look(job=job, sets=sets, sets_expected=expected, job_listed=listed, asked=tuple(asked)), target


def _my_job(target: Target, asked: list[str]) -> Steps[BackupJob | None]:
    try:
        answer = yield from describe_backup_tasks(target.db_instance_id, target.backup_job_id)
    except DdsNotFoundError as error:
        if not _knows_no_such_backup(error):
            raise
        asked.append(f"DescribeBackupTasks ({error.request_id})")
        return None
    asked.append(f"DescribeBackupTasks ({answer.request_id})")
    return next((job for job in answer.value if job.backup_job_id == target.backup_job_id), None)


def _my_sets(target: Target, layout: Layout, asked: list[str]) -> Steps[tuple[BackupSet, ...]]:
    if layout is Layout.CLUSTER:
        return (yield from _cluster_sets(target, asked))
    instance_id, job_id = target.db_instance_id, target.backup_job_id
    if layout in (Layout.SHARDED, Layout.LOCAL_SHARDED) and target.instance:
        nodes: tuple[str | None, ...] = target.instance.shard_node_ids
    else:
        nodes = (None,)
    found: list[BackupSet] = []
    for node in nodes:
        listing = describe_backups(instance_id, backup_job_id=job_id, node_id=node)
        sets = yield from _listed(listing, "DescribeBackups", asked)
        found += [each for each in sets if each.backup_job_id == job_id]
    if not found and layout is Layout.LOCAL:
        # CreateBackup may name no job there but only the set, which then stands for the job. An old set whose id
        # happens to be the number of this job is none of it.
        listing = describe_backups(instance_id, backup_id=job_id, start_time=target.since - SET_ID_AGE)
        sets = yield from _listed(listing, "DescribeBackups", asked)
        found += [
            each
            for each in sets
            if each.backup_id == job_id and each.start_time and each.start_time >= target.since - SET_ID_AGE
        ]
    return tuple(found)


def _cluster_sets(target: Target, asked: list[str]) -> Steps[tuple[BackupSet, ...]]:
    """Find the cluster backup of a job. Its row names no job: that it is this job's has to follow from the filter.

    A second question settles whether the service honours the filter: asked for a job that does not exist, it must not
    give the same rows. Where it does, only a set that started with the job, in its mode, is taken for its own.
    """
    sets = yield from _cluster_listing(target.db_instance_id, target.backup_job_id, asked)
    if not sets:
        return ()
    try:
        strange = yield from _cluster_listing(target.db_instance_id, NO_SUCH_JOB, asked)
    except DdsInvalidRequestError:
        strange = []  # it refuses an id that is no job's, so it does look at the id
    others = {each.backup_id for each in strange}
    own = [each for each in sets if each.backup_id not in others]
    return tuple(own or _started_with(target.job, sets))


def _started_with(job: BackupJob | None, sets: list[BackupSet]) -> list[BackupSet]:
    if job is None or job.start_time is None:
        return []
    gaps = [
        (abs(each.start_time - job.start_time), each)
        for each in sets
        if each.start_time and (not each.backup_mode or not job.job_mode or each.backup_mode == job.job_mode)
    ]
    gap, nearest = min(gaps, key=lambda pair: pair[0], default=(None, None))
    return [nearest] if nearest and gap is not None and gap <= START_ALLOWANCE else []


def _cluster_listing(db_instance_id: str, backup_job_id: str, asked: list[str]) -> Steps[list[BackupSet]]:
    listing = describe_cluster_backups(db_instance_id, backup_job_id=backup_job_id)
    return (yield from _listed(listing, "DescribeClusterBackups", asked))


def _listed(
    listing: Generator[Request[Any], Answer[Any], None], action: str, asked: list[str]
) -> Steps[list[BackupSet]]:
    """Collect a listing; a service that answers "no such backup" to the filter has none to list."""
    try:
        found, request_id = yield from collect(listing)
    except DdsNotFoundError as error:
        if not _knows_no_such_backup(error):
            raise
        found, request_id = [], error.request_id or ""
    asked.append(f"{action} ({request_id})")
    return found


def _knows_no_such_backup(error: DdsNotFoundError) -> bool:
    return "Instance" not in (error.code or "Instance")
