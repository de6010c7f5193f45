"""One look at a backup: which calls to make for which kind of instance.

A generator over the operations, so that sensor, trigger and operator observe in one way, blocking or not. Which rows
count as the job's own is decided in :mod:`airflow_provider_dds.waiting.backup.matching`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

from airflow_provider_dds.api.errors import KIND_REFUSED, NO_SUCH_BACKUP, says
from airflow_provider_dds.api.models import MANUAL, BackupJob, BackupSet, Layout
from airflow_provider_dds.api.requests import (
    ApiCalls,
    describe_backup_tasks,
    describe_backups,
    describe_cluster_backups,
    describe_db_instance,
)
from airflow_provider_dds.exceptions import DdsError, DdsInvalidRequestError, DdsNotFoundError
from airflow_provider_dds.waiting.backup.listings import Listed, Target, complete, read_sets
from airflow_provider_dds.waiting.backup.matching import of_cluster, own_job, own_sets
from airflow_provider_dds.waiting.backup.observation import FINISHED, Observation
from airflow_provider_dds.waiting.backup.shards import of_each_shard, shard_sets

SET_ID_AGE = timedelta(days=7)
"""How long before the wait a set may have started that is known by its own id instead of its job's."""
NO_SUCH_JOB = "0"
"""A job id that no service hands out: asked for where it must be shown that the filter by job id is honoured."""


def observe_job(target: Target, *, confirm_backup_set: bool) -> ApiCalls[tuple[Observation, Target]]:
    """Poll once; gives what was seen and the target with what was learned.

    The kind of the instance is asked for once. A running job costs one call, DescribeBackupTasks; the sets are looked
    up only when the job is Finished or has no row, and always where no call lists running jobs.

    :raises DdsResponseError: a listing has more rows than it shows, and none of those is the job's own.
    """
    instance = target.instance or (yield from describe_db_instance(target.db_instance_id))
    target = replace(target, instance=instance)
    asked: list[str] = []
    job = None
    if _lists_jobs(target):
        job, target = yield from _my_job(target, asked)
    observed = Observation(job=job, job_listed=_lists_jobs(target))
    per_shard = instance.layout in (Layout.SHARDED, Layout.LOCAL_SHARDED)
    if job is not None and not (job.status == FINISHED and confirm_backup_set):
        observed = replace(observed, shards=instance.shard_node_ids if per_shard else ())
    elif instance.layout is Layout.CLUSTER:
        observed, target = yield from _cluster_set(observed, target, asked)
    elif per_shard:
        observed, target = yield from shard_sets(observed, target, asked)
    else:
        observed = yield from _only_set(observed, target, asked)
    if target.almost_given_up and observed.job is None and not observed.sets:
        observed = replace(observed, named_set=(yield from _named_set(target)))
    return replace(observed, asked=tuple(asked)), target


def _lists_jobs(target: Target) -> bool:
    local = target.instance and target.instance.layout in (Layout.LOCAL, Layout.LOCAL_SHARDED)
    return not local and not target.tasks_refused


def _my_job(target: Target, asked: list[str]) -> ApiCalls[tuple[BackupJob | None, Target]]:
    try:
        answer = yield from describe_backup_tasks(target.db_instance_id, target.backup_job_id)
    except (DdsNotFoundError, DdsInvalidRequestError) as error:
        if says(error, KIND_REFUSED):
            target = replace(target, tasks_refused=True)
        elif not says(error, NO_SUCH_BACKUP):
            raise
        asked.append(f"DescribeBackupTasks ({error.request_id})")
        return None, target
    asked.append(f"DescribeBackupTasks ({answer.request_id})")
    job = own_job(answer.value, target.backup_job_id, manual=target.manual)
    if job is not None:
        manual = target.manual or job.job_mode == MANUAL
        target = replace(target, job=job, manual=manual, job_start=job.start_time or target.job_start)
    return job, target


def _only_set(observed: Observation, target: Target, asked: list[str]) -> ApiCalls[Observation]:
    instance_id, job_id = target.db_instance_id, target.backup_job_id
    listed = yield from read_sets(describe_backups(instance_id, backup_job_id=job_id), "DescribeBackups", asked)
    own = own_sets(listed.sets, job_id, manual=target.manual, one_a_shard=False)
    if not own and not observed.job_listed:
        # CreateBackup may name no job there but only the set, which then stands for the job. An old set whose id
        # happens to be the number of this job is none of it.
        since = target.since - SET_ID_AGE
        by_id = yield from read_sets(
            describe_backups(instance_id, backup_id=job_id, start_time=since), "DescribeBackups", asked
        )
        recent = [
            replace(each, backup_job_id=job_id)
            for each in by_id.sets
            if each.backup_id == job_id and each.start_time and each.start_time >= since
        ]
        own = own_sets(recent, job_id, manual=target.manual, one_a_shard=False)
    return replace(observed, sets=complete(own, listed))


def _cluster_set(observed: Observation, target: Target, asked: list[str]) -> ApiCalls[tuple[Observation, Target]]:
    """Find the cluster backup of a job. Its row names no job: that it is this job's has to follow from the filter.

    A second question settles whether the service honours the filter: asked for a job that does not exist, it must not
    give the same rows. The first question is asked once more then, as a backup may have gone between the two.
    """
    job_id = target.backup_job_id
    listed = yield from _cluster_listing(target.db_instance_id, job_id, asked)
    known = [each for each in listed.sets if each.backup_id and each.backup_id == target.cluster_backup_id]
    others: list[BackupSet] = []
    if listed.sets and not known:
        try:
            strange = yield from _cluster_listing(target.db_instance_id, NO_SUCH_JOB, asked)
        except DdsInvalidRequestError:
            strange = Listed([], asked)  # it refuses an id that is no job's, so it does look at the id
        if strange.incomplete:
            raise strange.incomplete
        others = strange.sets
        if ids := {each.backup_id for each in listed.sets} - {each.backup_id for each in others}:
            again = yield from _cluster_listing(target.db_instance_id, job_id, asked)
            ids &= {each.backup_id for each in again.sets}
            listed.sets = [each for each in (*listed.sets, *again.sets) if each.backup_id in ids]
    own = of_cluster(known or listed.sets, target.job_start, manual=target.manual, others=others)
    return (
        replace(observed, sets=complete(own, listed)),
        replace(target, cluster_backup_id=own[0].backup_id if own else target.cluster_backup_id),
    )


def _named_set(target: Target) -> ApiCalls[BackupSet | None]:
    """Find the set whose id was given for that of its job: the console shows sets. It only serves the text."""
    instance_id, backup_id = target.db_instance_id, target.backup_job_id
    nodes = target.instance.shard_node_ids if target.instance and target.instance.layout is Layout.SHARDED else ()
    try:
        if target.instance and target.instance.layout is Layout.CLUSTER:
            listing = describe_cluster_backups(instance_id, backup_id=backup_id)
            listed = yield from read_sets(listing, "DescribeClusterBackups", [], first_page_only=True)
        else:
            of_node = partial(describe_backups, instance_id, backup_id=backup_id)
            listed, _ = yield from of_each_shard(nodes, lambda node: of_node(node_id=node), [])
    except DdsError:
        return None
    return next((each for each in listed.sets if each.backup_id == backup_id), None)


def _cluster_listing(db_instance_id: str, backup_job_id: str, asked: list[str]) -> ApiCalls[Listed]:
    listing = describe_cluster_backups(db_instance_id, backup_job_id=backup_job_id)
    return (yield from read_sets(listing, "DescribeClusterBackups", asked))
