"""The audit of an instance: what is read of it, and what of that does not hold. The judging is pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from airflow_provider_dds.api.errors import is_transient
from airflow_provider_dds.api.models import Layout, Model
from airflow_provider_dds.api.policy import RecoverRange
from airflow_provider_dds.api.requests import (
    collect,
    describe_backup_policy,
    describe_backup_storage,
    describe_db_instances,
    describe_recover_ranges,
)
from airflow_provider_dds.exceptions import DdsAccessDeniedError, DdsConfigurationError, DdsError
from airflow_provider_dds.waiting.inventory.backup import BackupState
from airflow_provider_dds.waiting.inventory.freshness import span
from airflow_provider_dds.waiting.inventory.listing import read_inventory
from airflow_provider_dds.waiting.inventory.newest import (
    name_of,
    newest_fit,
    newest_good,
    not_good_since,
    why_none_fits,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from airflow_provider_dds.api.models import DBInstance
    from airflow_provider_dds.api.policy import BackupPolicy, BackupStorage
    from airflow_provider_dds.api.requests import ApiCalls
    from airflow_provider_dds.waiting.inventory.freshness import Freshness
    from airflow_provider_dds.waiting.inventory.listing import Inventory

T = TypeVar("T")
Run: TypeAlias = "Callable[[ApiCalls[Any]], Any]"
MOST_UNANSWERED = 5
"""After so many instances in a row without an answer no further one is asked: each would wait for its retries, too."""
FOR_EVER = -1
"""Days of a retention that never ends."""


@dataclass(frozen=True)
class Audit:
    """What is asked of each instance.

    :ivar freshness: what its newest backup has to be.
    :ivar max_recovery_lag: seconds that a restore may lose at most; None: not asked.
    :ivar require_log_backup: whether logs have to be backed up.
    :ivar min_retention_days: days that backups have to be kept at the least; None: not asked.
    """

    freshness: Freshness
    max_recovery_lag: float | None = None
    require_log_backup: bool = False
    min_retention_days: float | None = None


@dataclass(frozen=True)
class Findings:
    """What was read of an instance. Of what could not be read there is the error, of what was not asked for None.

    :ivar listed_seconds: for how many seconds back its backups were listed.
    """

    inventory: Inventory
    listed_seconds: float
    policy: BackupPolicy | DdsError | None = None
    ranges: list[RecoverRange] | DdsError | None = None
    storage: list[BackupStorage] | DdsError | None = None


@dataclass(frozen=True)
class AuditRow(Model):
    """What an audit says of an instance; what is not known is None.

    :ivar ok: whether all holds that is asked for; None where that could not be found out.
    :ivar reasons: what does not hold, or could not be read.
    :ivar region_id: its region.
    :ivar age_seconds: age of the newest good backup.
    :ivar newest_good: its facts, as :class:`~airflow_provider_dds.sensors.dds.DdsBackupSensor` returns them.
    :ivar failed_since: backups after it that failed, or are not whole.
    :ivar recovery_lag_seconds: what a restore to the newest point in time would lose.
    :ivar recovery_gaps: spans before that to which the instance cannot be restored.
    :ivar log_backup: whether logs are backed up.
    :ivar retention_days: days that backups are kept; -1: for ever.
    :ivar full_bytes: bytes that full backups take.
    :ivar log_bytes: bytes that log backups take.
    :ivar free_bytes: bytes that cost nothing.
    :ivar next_due: when the schedule makes the next backup.
    """

    db_instance_id: str
    ok: bool | None
    reasons: tuple[str, ...] = ()
    region_id: str | None = None
    age_seconds: float | None = None
    newest_good: dict[str, Any] | None = None
    failed_since: tuple[str, ...] = ()
    recovery_lag_seconds: float | None = None
    recovery_gaps: tuple[RecoverRange, ...] = ()
    log_backup: bool | None = None
    retention_days: int | None = None
    full_bytes: int | None = None
    log_bytes: int | None = None
    free_bytes: int | None = None
    next_due: datetime | None = None


def instances_to_audit(
    run: Run, db_instance_ids: Iterable[str] | None, tags: Mapping[str, str] | None
) -> dict[str, DBInstance | None]:
    """Return the instances by their ids; a row of a listing tells all that is needed of one without shards.

    :param run: ``hook.run``.
    :param db_instance_ids: the instances; None: those with the tags, or without tags all of the region.
    :raises DdsConfigurationError: there are none.
    """
    if db_instance_ids is not None:
        return dict.fromkeys(db_instance_ids)
    listed, _ = run(collect(describe_db_instances(tags=tags)))
    if not listed:
        which = f"has the tags {dict(tags)}" if tags else "is in the region"
        raise DdsConfigurationError(
            f"There is nothing to audit: no instance {which}. Check tags, the region and the account of the connection."
        )
    return {each.db_instance_id: None if each.is_sharded else each for each in listed}


def audit_all(
    run: Run, instances: Mapping[str, DBInstance | None], asked: Audit, clock: Callable[[], float]
) -> Iterator[AuditRow]:
    """Audit instances one after the other, and give a row for each.

    :param run: ``hook.run``.
    :param instances: by their ids; None where nothing is known of one.
    :param clock: gives epoch seconds.
    :raises DdsConfigurationError: the connection is wrong.
    """
    denied: set[str] = set()
    unanswered = 0
    for db_instance_id, instance in instances.items():
        if unanswered >= MOST_UNANSWERED:
            yield unread(db_instance_id, f"not asked, as the {unanswered} before it gave no answer")
            continue
        now = clock()
        try:
            found = run(observe(db_instance_id, asked, now, denied, instance))
        except DdsConfigurationError:
            raise
        except DdsError as error:
            unanswered = unanswered + 1 if is_transient(error) else 0
            yield unread(db_instance_id, str(error))
        else:
            unanswered = 0
            yield judge(found, asked, now)


def observe(
    db_instance_id: str, asked: Audit, now: float, denied: set[str], instance: DBInstance | None = None
) -> ApiCalls[Findings]:
    """Read what an audit needs of an instance. Only its backups have to be readable; an error there ends it.

    :param now: epoch seconds.
    :param denied: what the account may not read, by name: it is not asked for again.
    :param instance: the instance, where it is known.
    """
    seconds = asked.freshness.looks_back
    inventory = yield from read_inventory(db_instance_id, since=_before(now, seconds), now=now, instance=instance)
    further = asked.freshness.looks_back_further
    if newest_good(inventory.backups, asked.freshness) is None and seconds < further:
        listing = read_inventory(db_instance_id, since=_before(now, further), now=now, instance=inventory.instance)
        longer = yield from _optional(listing, "", denied)
        inventory, seconds = (longer, further) if not isinstance(longer, DdsError) else (inventory, seconds)
    instance = inventory.instance
    policy = yield from _optional(describe_backup_policy(db_instance_id), "policy", denied)
    ranges: list[RecoverRange] | DdsError | None = None
    if asked.max_recovery_lag is not None or (not isinstance(policy, DdsError) and policy.enable_backup_log):
        ranges = yield from _optional(describe_recover_ranges(instance), "ranges", denied)
    storage: list[BackupStorage] | DdsError | None = None
    if instance.layout not in (Layout.LOCAL, Layout.LOCAL_SHARDED):
        storage = yield from _optional(describe_backup_storage(instance), "storage", denied)
    return Findings(inventory, seconds, policy, ranges, storage)


def judge(found: Findings, asked: Audit, now: float) -> AuditRow:
    """Return what an audit says of an instance.

    :param now: epoch seconds.
    """
    backups, freshness = found.inventory.backups, asked.freshness
    policy, ranges, storage = _known(found.policy), _known(found.ranges), _known(found.storage)
    if ranges is not None:
        ranges = [each for each in ranges if each.is_point_in_time]
    newest = newest_good(backups, freshness)
    lag = max(0.0, now - max(each.end_time for each in ranges).timestamp()) if ranges else None
    next_due = policy.preferred_next_backup_time if policy else None
    wrong: list[str] = []
    unknown: list[str] = []
    if newest_fit(backups, freshness, now) is None:
        wrong.append("; ".join(why_none_fits(backups, freshness, now, since=found.listed_seconds, next_due=next_due)))
    if asked.require_log_backup and policy is not None and policy.enable_backup_log is False:
        wrong.append("logs are not backed up, which require_log_backup asks for")
    elif asked.require_log_backup and (policy is None or policy.enable_backup_log is None):
        unknown.append(_not_known("whether logs are backed up", found.policy))
    days, least = policy.backup_retention_period if policy else None, asked.min_retention_days
    if least is not None and days is None:
        unknown.append(_not_known("how long backups are kept", found.policy))
    elif least is not None and days is not None and days != FOR_EVER and days < least:
        wrong.append(f"backups are kept for {days} days, less than min_retention_days ({least:g})")
    if asked.max_recovery_lag is not None and ranges is None:
        unknown.append(_not_known("to which points in time it can be restored", found.ranges))
    elif asked.max_recovery_lag is not None and lag is None:
        wrong.append("it cannot be restored to any point in time, which max_recovery_lag asks for")
    elif asked.max_recovery_lag is not None and lag is not None and lag > asked.max_recovery_lag:
        wrong.append(f"a restore would lose {span(lag)}, more than max_recovery_lag ({span(asked.max_recovery_lag)})")
    age = freshness.age(newest, now) if newest else None
    bad = [each for each in not_good_since(backups, freshness) if each.state is not BackupState.RUNNING]
    return AuditRow(
        found.inventory.instance.db_instance_id,
        ok=False if wrong else None if unknown else True,
        reasons=(*wrong, *unknown),
        region_id=found.inventory.instance.region_id or None,
        age_seconds=None if age is None else float(round(age)),
        newest_good=newest.facts() if newest else None,
        failed_since=tuple(f"{name_of(each)} {each.why_not}" for each in bad),
        recovery_lag_seconds=None if lag is None else float(round(lag)),
        recovery_gaps=gaps(ranges or ()),
        log_backup=policy.enable_backup_log if policy else None,
        retention_days=days,
        full_bytes=sum(each.full_bytes for each in storage) if storage else None,
        log_bytes=sum(each.log_bytes for each in storage) if storage else None,
        free_bytes=_free_bytes(storage or ()),
        next_due=next_due,
    )


def unread(db_instance_id: str, why: str) -> AuditRow:
    """Return what an audit says of an instance whose backups could not be read."""
    return AuditRow(db_instance_id, ok=None, reasons=(why,))


def gaps(ranges: Sequence[RecoverRange]) -> tuple[RecoverRange, ...]:
    """Return the spans between ranges.

    :param ranges: the earliest first; they may overlap.
    """
    joined: list[RecoverRange] = []
    for each in ranges:
        if joined and each.begin_time <= joined[-1].end_time:
            joined[-1] = RecoverRange(joined[-1].begin_time, max(joined[-1].end_time, each.end_time))
        else:
            joined.append(each)
    return tuple(RecoverRange(one.end_time, other.begin_time) for one, other in pairwise(joined))


def _free_bytes(storage: Sequence[BackupStorage]) -> int | None:
    free = [each.free_bytes for each in storage if each.free_bytes is not None]
    return sum(free) if free and len(free) == len(storage) else None


def _optional(calls: ApiCalls[T], name: str, denied: set[str]) -> ApiCalls[T | DdsError]:
    if name in denied:
        return DdsError("the connection's key may not read it")
    try:
        return (yield from calls)
    except DdsError as error:
        if isinstance(error, DdsAccessDeniedError) and name:
            denied.add(name)
        return error


def _known(found: T | DdsError | None) -> T | None:
    return None if isinstance(found, DdsError) else found


def _not_known(what: str, error: object) -> str:
    return f"not known {what}{f': {error}' if isinstance(error, DdsError) else ''}"


def _before(now: float, seconds: float) -> datetime:
    return datetime.fromtimestamp(max(0.0, now - seconds), tz=timezone.utc)
