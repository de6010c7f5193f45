"""Which rows of an answer are those of one job: the same for any order of rows and pages. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_dds.api.models import FAILED, MANUAL, SUCCESS, BackupJob, BackupSet
from airflow_provider_dds.waiting.backup.observation import FINISHED, says_failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

START_ALLOWANCE = timedelta(minutes=2)
"""How far the start of a cluster backup may lie from the start of the job that made it."""
_LAST = datetime.max.replace(tzinfo=timezone.utc)

Row = TypeVar("Row")


def own_job(jobs: Iterable[BackupJob], backup_job_id: str, *, manual: bool) -> BackupJob | None:
    """Return the row of a job. Of several rows of its id, one that says less good than another decides.

    :param manual: whether the job is known to be a manual one.
    """

    def goodness(job: BackupJob) -> tuple[Any, ...]:
        order = 0 if says_failed(job.status) else 2 if job.status == FINISHED else 1
        return order, job.status, -1 if job.progress is None else job.progress, job.start_time or _LAST, job.job_mode

    own = [job for job in jobs if job.backup_job_id == backup_job_id]
    return min(_manual_first(own, lambda job: job.job_mode, manual=manual), key=goodness, default=None)


def own_sets(
    sets: Iterable[BackupSet], backup_job_id: str, *, manual: bool, one_a_shard: bool
) -> tuple[BackupSet, ...]:
    """Return the sets of a job: full ones, the original rather than a copy, one of each shard or one in all.

    :param sets: all that the listings show; those of a shard with its ``node_id``.
    :param manual: whether the job is known to be a manual one.
    :param one_a_shard: whether each shard has a set of its own.
    """
    own = [each for each in sets if each.backup_job_id == backup_job_id and each.is_full and not each.is_copy]
    own = _once(_manual_first(own, lambda each: each.backup_mode or "", manual=manual))
    if one_a_shard:
        own = _with_their_shard(own)
    groups: defaultdict[Any, list[BackupSet]] = defaultdict(list)
    for number, each in enumerate(own):
        groups[each.node_id or number if one_a_shard else None].append(each)
    originals = [min(group, key=_originality) for group in groups.values()]
    return tuple(sorted(originals, key=lambda each: (each.node_id or "", _number(each.backup_id), str(each))))


def of_other_jobs(
    own: tuple[BackupSet, ...], around: Iterable[BackupSet], missing: Iterable[str]
) -> tuple[BackupSet, ...]:
    """Return the sets of shards that have none of the job, where each shard's set is of a job of its own.

    An instance has one backup made at a time. So a set that began with the job's own, under a job id that no other
    shard shows, is of the same backup.

    :param own: the sets that name the job.
    :param around: what all shards show of about that time, whatever job it is of.
    :param missing: shards that have none of the job.
    """
    starts = [each.start_time for each in own if each.start_time]
    manual = any(each.backup_mode == MANUAL for each in own)
    near = [
        each
        for each in around
        if each.start_time and any(abs(each.start_time - start) <= START_ALLOWANCE for start in starts)
    ]
    shards: defaultdict[str, set[str | None]] = defaultdict(set)
    for each in near:
        shards[each.backup_job_id].add(each.node_id)
    found: list[BackupSet] = []
    for shard in missing:
        of_shard = [each for each in near if each.node_id == shard]
        jobs = {each.backup_job_id for each in of_shard if shards[each.backup_job_id] == {shard}} - {""}
        fits = [own_sets(of_shard, job_id, manual=manual, one_a_shard=True) for job_id in sorted(jobs)]
        found += [each for sets in fits for each in sets] if len(fits) == 1 else []
    return tuple(found)


def of_cluster(
    sets: Iterable[BackupSet], job_start: datetime | None, *, manual: bool, others: Iterable[BackupSet] = ()
) -> tuple[BackupSet, ...]:
    """Return the cluster backup of a job among those listed for it. Its row names no job.

    :param job_start: when the job started: what began before, less an allowance, is never its own.
    :param others: what is listed for a job that does not exist: where it is the same, the filter says nothing, and only
        the set that began with the job is its own.
    """
    possible = [
        each
        for each in _once(_manual_first(list(sets), lambda each: each.backup_mode or "", manual=manual))
        if not job_start or not each.start_time or each.start_time >= job_start - START_ALLOWANCE
    ]
    foreign = {each.backup_id for each in others}
    own = [each for each in possible if each.backup_id not in foreign]
    if not own and job_start:
        gaps = [(abs(each.start_time - job_start), each) for each in possible if each.start_time]
        nearest = min((gap for gap, _ in gaps), default=None)
        own = [each for gap, each in gaps if gap == nearest and gap <= START_ALLOWANCE]
    return (min(own, key=_originality),) if own else ()


def _manual_first(rows: list[Row], mode_of: Callable[[Row], str], *, manual: bool) -> list[Row]:
    """Leave automatic rows out, where the job is known to be manual, or a manual row is there."""
    if manual or any(mode_of(row) == MANUAL for row in rows):
        return [row for row in rows if mode_of(row) in (MANUAL, "")]
    return rows


def _once(sets: list[BackupSet]) -> list[BackupSet]:
    """Leave each set once, in the worst state that it is shown in: pages are read one after the other."""
    found: dict[Any, BackupSet] = {}
    for each in sets:
        key = (each.backup_id or each, each.node_id)
        found[key] = max(found.get(key, each), each, key=_badness)
    return list(found.values())


def _badness(each: BackupSet) -> tuple[Any, ...]:
    order = {FAILED: 3, SUCCESS: int(each.available is False)}.get(each.status, 2)
    return order, -(each.expire_time or _LAST).timestamp(), str(each)


def _with_their_shard(sets: list[BackupSet]) -> list[BackupSet]:
    """Forget the shard of sets that are listed for several: there the filter by node says nothing."""
    shards: defaultdict[str, set[str | None]] = defaultdict(set)
    for each in sets:
        shards[each.backup_id].add(each.node_id)
    return _once([each if len(shards[each.backup_id]) == 1 else replace(each, node_id=None) for each in sets])


def _originality(each: BackupSet) -> tuple[Any, ...]:
    """Order sets of one job and shard: a copy is made of a good original, and after it."""
    order = {SUCCESS: 0, FAILED: 2}.get(each.status, 1)
    return order, each.start_time or _LAST, each.end_time or _LAST, _number(each.backup_id), str(each)


def _number(backup_id: str) -> tuple[int, str]:
    return len(backup_id), backup_id
