"""Backup sets and jobs in, one row a backup out: the same for any order of rows and pages. Pure.

Which sets are of one backup and whether they are good is decided where the wait for a backup decides it
(:mod:`airflow_provider_dds.waiting.backup`); the table here is the one of its verdict.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow_provider_dds.api.models import SUCCESS, Layout, backup_fields
from airflow_provider_dds.waiting.backup.matching import START_ALLOWANCE, of_other_jobs, own_job, own_sets
from airflow_provider_dds.waiting.backup.observation import (
    CLOCK_SKEW,
    FINISHED,
    RUNNING,
    Observation,
    SetState,
    is_known,
    says_failed,
)
from airflow_provider_dds.waiting.inventory.backup import Backup, BackupState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_dds.api.models import BackupJob, BackupSet, DBInstance

SHARD_LAYOUTS = (Layout.SHARDED, Layout.LOCAL_SHARDED)
"""Layouts in which a backup has a set for each shard."""
_NOW = datetime.max.replace(tzinfo=timezone.utc)
_NEVER = datetime.min.replace(tzinfo=timezone.utc)
_OF_EACH = ("start_time", "end_time", "size_bytes", "expire_time")
_NO_JOB = "without a job id: "
_STATES = {
    SetState.SUCCESS: BackupState.GOOD,
    SetState.FAILED: BackupState.FAILED,
    SetState.UNSETTLED: BackupState.RUNNING,
    SetState.UNAVAILABLE: BackupState.NOT_AVAILABLE,
    SetState.EXPIRED: BackupState.EXPIRED,
    SetState.PARTIAL: BackupState.INCOMPLETE,
    SetState.INVISIBLE: BackupState.NOT_VISIBLE,
}
Sets = tuple["BackupSet", ...]


def inventory(
    instance: DBInstance, sets: Iterable[BackupSet], jobs: Iterable[BackupJob] = (), *, now: float
) -> list[Backup]:
    """Return the backups of an instance, the newest first.

    :param sets: what the listings show; in shard mode with the ``node_id`` that they were listed for.
    :param jobs: what DescribeBackupTasks shows; nothing where it does not cover the instance.
    :param now: epoch seconds.
    """
    jobs = list(jobs)
    backups: list[Backup] = []
    seen: set[str] = set()
    for own in _groups(instance, list(sets)):
        job = _job_of(own, jobs)
        backups.append(_backup(instance, own, job, now))
        seen |= {each.backup_job_id for each in own} | ({job.backup_job_id} if job else set())
    soon = datetime.fromtimestamp(now, tz=timezone.utc) + CLOCK_SKEW
    for job_id in sorted({job.backup_job_id for job in jobs} - seen):
        job = own_job(jobs, job_id, manual=False)
        if job and not (job.status == "Scheduled" and job.start_time and job.start_time > soon):
            backups.append(_backup(instance, (), job, now))
    return sorted(backups, key=_recency, reverse=True)


def _recency(backup: Backup) -> tuple[Any, ...]:
    running = backup.state in (BackupState.RUNNING, BackupState.NOT_VISIBLE)
    return (
        backup.start_time or (_NOW if running else _NEVER),
        backup.backup_id or "",
        backup.backup_job_id or "",
        str(backup),
    )


def _modes(sets: list[BackupSet]) -> dict[str, str]:
    """Return the mode of the backup of each job whose sets are of one: that of its sets that say none, too."""
    modes: defaultdict[str, set[str]] = defaultdict(set)
    for each in sets:
        if each.backup_mode and not each.is_copy:
            modes[each.backup_job_id].add(each.backup_mode)
    return {job_id: found.pop() for job_id, found in modes.items() if job_id and len(found) == 1}


def _groups(instance: DBInstance, sets: list[BackupSet]) -> list[Sets]:
    """Return the sets of each backup: those of a job, of one mode; without a job id each set is a backup."""
    per_shard = instance.layout in SHARD_LAYOUTS
    groups: defaultdict[Any, list[BackupSet]] = defaultdict(list)
    modes = _modes(sets)
    for each in sets:
        if not each.is_copy:
            job_id = each.backup_job_id or f"{_NO_JOB}{each.backup_id or each}"
            groups[job_id, each.backup_mode or modes.get(job_id, "")].append(replace(each, backup_job_id=job_id))
    found = {
        key: own_sets(group, key[0], manual=False, one_a_shard=per_shard) or _incremental(group)
        for key, group in groups.items()
    }
    return _over_all_shards(found, instance.shard_node_ids) if per_shard else list(found.values())


def _incremental(sets: list[BackupSet]) -> Sets:
    return tuple({(each.backup_id, each.node_id): each for each in sorted(sets, key=str)}.values())


def _over_all_shards(groups: dict[Any, Sets], shards: tuple[str, ...]) -> list[Sets]:
    """Put together what each shard shows under a job id of its own, or without one, and what began together."""
    merged: list[Sets] = []
    taken: set[Any] = set()
    for key, own in sorted(groups.items(), key=lambda item: (_start(item[1]), item[0])):
        if key in taken:
            continue
        alone = [
            each
            for other, group in groups.items()
            if other != key
            and other not in taken
            and _of_one_mode(key[1], other[1])
            and len({each.node_id for each in group}) == 1
            for each in group
            if all(_ran_together(each, of_own) and each.backup_id != of_own.backup_id for of_own in own)
        ]
        missing = [shard for shard in shards if all(each.node_id != shard for each in own)]
        more = of_other_jobs(own, alone, missing) if all(each.is_full and each.node_id for each in own) else ()
        taken |= {key, *(other for other in groups for each in more if each in groups[other])}
        merged.append(tuple(sorted((*own, *more), key=lambda each: each.node_id or "")))
    return merged


def _of_one_mode(one: str, other: str) -> bool:
    """Whether two modes can be those of one backup: a set need not say its mode."""
    return one == other or "" in (one, other)


def _ran_together(one: BackupSet, other: BackupSet) -> bool:
    """Whether two sets can be of one backup: an instance has one made at a time, so those of two never overlap."""
    first, second = sorted((one, other), key=lambda each: each.start_time or _NEVER)
    if first.end_time is None or second.start_time is None:
        return SUCCESS not in (first.status, second.status)
    return second.start_time <= first.end_time


def _start(sets: Sets) -> datetime:
    return min((each.start_time for each in sets if each.start_time), default=_NEVER)


def _job_of(sets: Sets, jobs: list[BackupJob]) -> BackupJob | None:
    """Return the job of a backup: by its id, or where its sets name none, by its start."""
    mode = next((each.backup_mode for each in sets if each.backup_mode), "")
    fits = [job for job in jobs if not mode or job.job_mode in (mode, "")]
    named = [each.backup_job_id for each in sets if not each.backup_job_id.startswith(_NO_JOB)]
    found = [job for job_id in named if (job := own_job(fits, job_id, manual=False))]
    if named:  # of several the one that says less good than another decides
        return min(found, key=_goodness, default=None)
    start = _start(sets)
    near = [job for job in fits if job.start_time and abs(job.start_time - start) <= START_ALLOWANCE]
    return own_job(near, min(job.backup_job_id for job in near), manual=False) if near else None


def _goodness(job: BackupJob) -> tuple[Any, ...]:
    return not says_failed(job.status), job.status == FINISHED, job.backup_job_id


def _backup(instance: DBInstance, sets: Sets, job: BackupJob | None, now: float) -> Backup:
    per_shard = instance.layout in SHARD_LAYOUTS
    shown = not per_shard or (bool(instance.shard_node_ids) and all(each.node_id for each in sets))
    seen = Observation(job, sets, instance.shard_node_ids if per_shard else (), shards_shown=shown)
    state, why = _state(seen, now)
    missing = _missing_of_cluster(instance, sets) if instance.layout is Layout.CLUSTER else seen.missing if sets else ()
    if state is BackupState.GOOD and missing:
        state = BackupState.INCOMPLETE
    if state is BackupState.INCOMPLETE:
        why = f"no set of shard {', '.join(missing)}" if missing else "which shards its sets are of is not shown"
    named = [each.backup_job_id for each in sets if not each.backup_job_id.startswith(_NO_JOB)]
    job_id = next(iter(named), job.backup_job_id if job else None)
    return Backup(
        **{**backup_fields(instance.db_instance_id, job_id, job, sets), **_unknown(sets)},
        state=state,
        why_not=None if state is BackupState.GOOD else f"{state.value}: {why}" if why else state.value,
        missing_shards=missing,
        nodes=sets if per_shard else tuple(node for each in sets for node in each.nodes),
    )


def _missing_of_cluster(instance: DBInstance, sets: Sets) -> tuple[str, ...]:
    """Return the shards that a cluster backup has no set of, where it names its nodes as the instance does."""
    named = {node.node_id for each in sets for node in each.nodes}
    shards = instance.shard_node_ids
    return tuple(shard for shard in shards if shard not in named) if named & {*shards} else ()


def _unknown(sets: Sets) -> dict[str, None]:
    """Return what is not known of a backup because one of its sets does not say it."""
    return {name: None for name in _OF_EACH if any(getattr(each, name) is None for each in sets)}


def _state(seen: Observation, now: float) -> tuple[BackupState, str]:
    """Return whether a backup is good, and why not, as the table of the verdict has it."""
    job, of_sets = seen.job, seen.set_state(now)
    if of_sets is SetState.FAILED:
        return BackupState.FAILED, ""
    if job is not None and (job.status in RUNNING or not is_known(job.status)):
        return BackupState.RUNNING, job.status if job.progress is None else f"{job.status} {job.progress} %"
    if job is not None and says_failed(job.status):
        return BackupState.FAILED, f"its job is {job.status!r}"
    if any(not each.is_full for each in seen.sets):
        return BackupState.INCREMENTAL, ""
    return _STATES[of_sets], ""
