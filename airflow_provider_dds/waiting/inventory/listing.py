"""The calls that list the backups of an instance, for each layout."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING

from airflow_provider_dds.api.models import Layout
from airflow_provider_dds.api.requests import (
    ApiCalls,
    describe_backups,
    describe_cluster_backups,
    describe_db_instance,
)
from airflow_provider_dds.exceptions import DdsInvalidRequestError, DdsResponseError
from airflow_provider_dds.waiting.backup.listings import list_jobs, read_sets
from airflow_provider_dds.waiting.backup.shards import of_each_shard, wants_a_node
from airflow_provider_dds.waiting.inventory.rows import SHARD_LAYOUTS, inventory

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow_provider_dds.api.models import BackupSet, DBInstance
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
    jobs = yield from list_jobs(instance, asked)
    past = until is not None and until < datetime.fromtimestamp(now, tz=timezone.utc) - _AROUND
    span = max(since, _EPOCH) - _AROUND, until + _AROUND if until is not None and past else None
    instance, sets = yield from _sets(instance, span, asked)
    backups = [
        each
        for each in inventory(instance, sets, jobs, now=now)
        if each.is_of(backup_modes)
        and (not each.start_time or (since <= each.start_time and (until is None or each.start_time <= until)))
    ]
    return Inventory(instance, backups, tuple(asked))


def _sets(
    instance: DBInstance, span: tuple[datetime, datetime | None], asked: list[str]
) -> ApiCalls[tuple[DBInstance, list[BackupSet]]]:
    db_instance_id, (start, end) = instance.db_instance_id, span
    sets_of = partial(describe_backups, db_instance_id, start_time=start, end_time=end)
    if instance.layout in SHARD_LAYOUTS:
        try:
            listed, gone = yield from of_each_shard(instance.shard_node_ids, lambda node: sets_of(node_id=node), asked)
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
        listing = describe_cluster_backups(db_instance_id, start_time=start, end_time=end)
        listed = yield from read_sets(listing, "DescribeClusterBackups", asked)
    else:
        listed = yield from read_sets(sets_of(), "DescribeBackups", asked)
    if listed.incomplete:
        raise listed.incomplete
    return instance, listed.sets
