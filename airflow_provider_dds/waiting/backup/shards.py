"""The sets of a sharded instance that has one for each shard: which shards to ask, and which are of one backup."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from airflow_provider_dds.api.errors import NO_SUCH_NODE, says
from airflow_provider_dds.api.requests import ApiCalls, describe_backups, describe_db_instance
from airflow_provider_dds.exceptions import DdsInvalidRequestError, DdsNotFoundError
from airflow_provider_dds.waiting.backup.listings import Listed, Target, complete, read_sets
from airflow_provider_dds.waiting.backup.matching import START_ALLOWANCE, of_other_jobs, own_sets

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from airflow_provider_dds.api.models import BackupSet
    from airflow_provider_dds.api.requests import Listing
    from airflow_provider_dds.waiting.backup.observation import Observation


def shard_sets(observed: Observation, target: Target, asked: list[str]) -> ApiCalls[tuple[Observation, Target]]:
    """Ask each shard for its set; an instance that shows no shards is asked for all sets at once."""
    nodes = target.instance.shard_node_ids if target.instance else ()
    found, gone = yield from _of_the_job(target, nodes, asked)
    if gone:
        instance = yield from describe_db_instance(target.db_instance_id)
        target = replace(target, instance=instance)
        nodes = instance.shard_node_ids
        if still_listed := [error for node, error in gone.items() if node in nodes]:
            raise still_listed[0]
    own = own_sets(found.sets, target.backup_job_id, manual=target.manual, one_a_shard=True)
    sets = complete(own, found)
    shown = bool(nodes) and all(each.node_id for each in sets)
    observed = replace(observed, sets=sets, shards=nodes, shards_shown=shown)
    if observed.missing and found.incomplete:
        raise found.incomplete
    start = min((each.start_time for each in sets if each.start_time), default=None)
    if observed.missing and start:
        around = yield from _around(target, nodes, start, asked)
        observed = replace(observed, sets=(*sets, *of_other_jobs(sets, around, observed.missing)))
    if observed.missing and start:
        observed = replace(observed, older=(yield from _older(observed, target, start, asked)))
    return observed, target


def _of_the_job(
    target: Target, nodes: tuple[str, ...], asked: list[str]
) -> ApiCalls[tuple[Listed, dict[str, DdsNotFoundError]]]:
    """Ask each shard for the sets of the job; gives them, and the shards that the service does not know."""
    try:
        listing = partial(describe_backups, target.db_instance_id, backup_job_id=target.backup_job_id)
        return (yield from of_each_shard(nodes, lambda node: listing(node_id=node), asked))
    except DdsInvalidRequestError as error:
        if nodes or not wants_a_node(error):
            raise
        return Listed([], asked), {}


def of_each_shard(
    nodes: tuple[str, ...], sets_of: Callable[[str | None], Listing[BackupSet]], asked: list[str]
) -> ApiCalls[tuple[Listed, dict[str, DdsNotFoundError]]]:
    """Ask each shard for its sets; gives them, and the shards that the service does not know.

    :param nodes: the shards; without any all sets are asked for at once.
    :param sets_of: the listing of a shard, or with None of all.
    :param asked: takes the calls made.
    """
    found = Listed([], asked)
    gone: dict[str, DdsNotFoundError] = {}
    for node in nodes or (None,):
        try:
            of_node = yield from read_sets(sets_of(node), "DescribeBackups", asked)
        except DdsNotFoundError as error:
            if not (node and says(error, NO_SUCH_NODE)):
                raise
            gone[node] = error
        else:
            found.sets += [replace(each, node_id=node) for each in of_node.sets]
            found.incomplete = found.incomplete or of_node.incomplete
    return found, gone


def _around(target: Target, nodes: tuple[str, ...], start: datetime, asked: list[str]) -> ApiCalls[list[BackupSet]]:
    """Ask each shard for the sets of any job that started when this backup did."""
    found: list[BackupSet] = []
    for node in nodes:
        listing = describe_backups(
            target.db_instance_id,
            node_id=node,
            start_time=start - START_ALLOWANCE,
            end_time=start + 2 * START_ALLOWANCE,
        )
        of_node = yield from read_sets(listing, "DescribeBackups", asked)
        if of_node.incomplete:
            raise of_node.incomplete
        found += [replace(each, node_id=node) for each in of_node.sets]
    return found


def _older(observed: Observation, target: Target, start: datetime, asked: list[str]) -> ApiCalls[frozenset[str]]:
    """Ask which shards have sets from before this backup: those were part of the instance when it was made."""
    found = set()
    for node in observed.missing if observed.job_listed else observed.shards:
        # One page tells: the rows of the time before are all that is asked for.
        listing = describe_backups(target.db_instance_id, node_id=node, end_time=start)
        before = yield from read_sets(listing, "DescribeBackups", asked, first_page_only=True)
        if any(each.start_time and each.start_time < start for each in before.sets):
            found.add(node)
    return frozenset(found)


def wants_a_node(error: DdsInvalidRequestError) -> bool:
    """Whether a listing is refused to whoever cannot name a shard."""
    code = (error.code or "").lower()
    return "nodeid" in code or code == "missingparameter"
