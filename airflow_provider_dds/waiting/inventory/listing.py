"""The calls that list the backups of an instance, for each layout."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow_provider_dds.api.errors import KIND_REFUSED, NO_SUCH_BACKUP, says
from airflow_provider_dds.api.models import Layout
from airflow_provider_dds.api.requests import (
    ApiCalls,
    describe_backup_tasks,
    describe_backups,
    describe_cluster_backups,
    describe_db_instance,
)
from airflow_provider_dds.exceptions import DdsInvalidRequestError, DdsNotFoundError, DdsResponseError
from airflow_provider_dds.waiting.backup.listings import read_sets
from airflow_provider_dds.waiting.backup.shards import of_each_shard, wants_a_node
from airflow_provider_dds.waiting.inventory.rows import SHARD_LAYOUTS, inventory

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow_provider_dds.api.models import BackupJob, BackupSet, DBInstance
    from airflow_provider_dds.waiting.inventory.backup import Backup

_EPOCH = datetime(1970, 1, 2, tzinfo=timezone.utc)
"""No backup is older."""
_AROUND = timedelta(hours=1)
"""How much is listed around the time asked for: the sets of a backup need not begin together."""


@dataclass(frozen=True)
class Inventory:
    """What was listed.

    :ivar backups: one row a backup, the newest first.
    :ivar next_due: when the schedule makes the next backup, where that was asked for.
    :ivar asked: the calls made, as ``Action (request id)``.
    """

    instance: DBInstance
    backups: list[Backup]
    asked: tuple[str, ...] = ()
    next_due: datetime | None = None


def read_inventory(
    db_instance_id: str,
    *,
    since: datetime,
    until: datetime | None = None,
    backup_modes: Collection[str] | None = None,
    now: float,
    instance: DBInstance | None = None,
) -> ApiCalls[Inventory]:
    """List the backups that began in a span of time.

    :param since: start of the span (aware).
    :param until: its end (aware); None: no end.
    :param backup_modes: only those made so.
    :param now: epoch seconds.
    :param instance: the instance, where it is known.
    :raises DdsResponseError: a listing may have more rows than it shows.
    """
    asked: list[str] = []
    instance = instance or (yield from describe_db_instance(db_instance_id))
    jobs = yield from _jobs(instance, asked)
    span: dict[str, Any] = {"start_time": max(since, _EPOCH) - _AROUND}
    if until is not None and until < datetime.fromtimestamp(now, tz=timezone.utc) - _AROUND:
        span["end_time"] = until + _AROUND
    instance, sets = yield from _sets(instance, span, asked)
    backups = [
        each
        for each in inventory(instance, sets, jobs, now=now)
        if each.is_of(backup_modes)
        and (not each.start_time or (since <= each.start_time and (until is None or each.start_time <= until)))
    ]
    return Inventory(instance, backups, tuple(asked))


def _jobs(instance: DBInstance, asked: list[str]) -> ApiCalls[list[BackupJob]]:
    if instance.layout in (Layout.LOCAL, Layout.LOCAL_SHARDED):
        return []
    try:
        answer = yield from describe_backup_tasks(instance.db_instance_id)
    except (DdsNotFoundError, DdsInvalidRequestError) as error:
        if not (says(error, KIND_REFUSED) or says(error, NO_SUCH_BACKUP)):
            raise
        asked.append(f"DescribeBackupTasks ({error.request_id})")
        return []
    asked.append(f"DescribeBackupTasks ({answer.request_id})")
    return answer.value


def _sets(instance: DBInstance, span: dict[str, Any], asked: list[str]) -> ApiCalls[tuple[DBInstance, list[BackupSet]]]:
    db_instance_id = instance.db_instance_id
    if instance.layout in SHARD_LAYOUTS:
        try:
            listed, gone = yield from of_each_shard(db_instance_id, instance.shard_node_ids, asked, **span)
        except DdsInvalidRequestError as error:
            if instance.shard_node_ids or not wants_a_node(error):
                raise
            raise DdsResponseError(
                f"{db_instance_id} shows no shards, and DescribeBackups lists nothing without naming one. If it goes "
                f"on, ask the support of Alibaba Cloud with the request id. Request id: {error.request_id or 'none'}."
            ) from error
        if gone:
            instance = yield from describe_db_instance(db_instance_id)
            if still_listed := [error for node, error in gone.items() if node in instance.shard_node_ids]:
                raise still_listed[0]
    elif instance.layout is Layout.CLUSTER:
        listing = describe_cluster_backups(db_instance_id, **span)
        listed = yield from read_sets(listing, "DescribeClusterBackups", asked)
    else:
        listed = yield from read_sets(describe_backups(db_instance_id, **span), "DescribeBackups", asked)
    if listed.incomplete:
        raise listed.incomplete
    return instance, listed.sets
