"""DescribeBackups and DescribeClusterBackups: backup sets, their visibility, filters and pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import ServiceError, malformed
from .model import InstanceKind
from .pages import page_asked, page_of
from .set_rows import cluster_row, set_rows

if TYPE_CHECKING:
    from .model import Instance
    from .params import Params
    from .service import Service

PAGE_SIZES = (30, 50, 100)


def describe_backups(service: Service, params: Params) -> dict[str, Any]:
    """List backup sets, the newest first; of a sharded instance those of one shard."""
    instance = service.instance(params.require("DBInstanceId"))
    node_id = _node(service, instance, params)
    readings = service.readings
    wanted = params.get("BackupJobId") if readings.job_filter_in_sets else None
    wanted_sets = params.listed("BackupId")
    window = _window(params, ignored=wanted_sets is not None)
    asked = page_asked(params, "PageNumber", PAGE_SIZES, PAGE_SIZES[0])
    rows: list[dict[str, Any]] = []
    for state in reversed(service.jobs(instance.instance_id)):
        if not _inside(window, service.own_clock.shown(state.look.started)):
            continue
        for number_of_shard, ids in enumerate(state.job.sets):
            lag = readings.set_lag_seconds + number_of_shard * readings.shard_set_lag_seconds
            if node_id is not None and readings.node_filter and ids.node_id != node_id:
                continue
            if wanted is not None and ids.job_id != wanted:
                continue
            found = set_rows(service, instance, state, ids, lag)
            rows += [row for row in found if wanted_sets is None or row["BackupId"] in wanted_sets]
    _refuse_unmatched(service, rows, wanted, wanted_sets)
    page, said = page_of(readings, rows, asked)
    return {"Backups": {"Backup": page}, **said}


def describe_cluster_backups(service: Service, params: Params) -> dict[str, Any]:
    """List the backup sets of a cluster in cluster backup mode, the newest first."""
    instance = service.instance(params.require("DBInstanceId"))
    if instance.kind is not InstanceKind.CLOUD_CLUSTER:
        raise ServiceError(400, "IncorrectDBInstanceType", "Current DB instance type does not support this operation.")
    readings = service.readings
    wanted = params.get("BackupJobId") if readings.job_filter_in_sets else None
    wanted_sets = params.listed("BackupId")
    window = _window(params, ignored=wanted_sets is not None)
    asked = page_asked(params, "PageNo", PAGE_SIZES, PAGE_SIZES[0])
    without_children = params.boolean("IsOnlyGetClusterBackUp")
    rows: list[dict[str, Any]] = []
    for state in reversed(service.jobs(instance.instance_id)):
        if not _inside(window, service.own_clock.shown(state.look.started)):
            continue
        if wanted is not None and wanted not in state.job.ids:
            continue
        row = cluster_row(service, instance, state)
        if row is not None and (wanted_sets is None or state.job.cluster_backup_id in wanted_sets):
            if without_children:
                del row["Backups"]
            rows.append(row)
    _refuse_unmatched(service, rows, wanted, wanted_sets)
    page, said = page_of(readings, rows, asked)
    said.pop("TotalCount", None)
    return {"ClusterBackups": page, "MaxResults": len(page), **said}


def _node(service: Service, instance: Instance, params: Params) -> str | None:
    node_id = params.get("NodeId")
    if not instance.kind.sharded:
        return None
    if node_id is None:
        if service.readings.shard_node_id == "required":
            params.require("NodeId")
        return None
    if node_id not in instance.node_ids:
        raise ServiceError(404, "InvalidNodeId.NotFound", "The specified NodeId is not found.")
    return node_id


def _window(params: Params, *, ignored: bool) -> tuple[float | None, float | None]:
    start, end = params.minute("StartTime"), params.minute("EndTime")
    if ignored:
        return None, None
    if start is not None and end is not None and end < start:
        raise malformed("StartTimeAndEndTime")
    return start, end


def _inside(window: tuple[float | None, float | None], moment: float) -> bool:
    start, end = window
    return (start is None or int(moment) >= start) and (end is None or int(moment) <= end)


def _refuse_unmatched(
    service: Service, rows: list[dict[str, Any]], job_id: str | None, backup_ids: set[str] | None
) -> None:
    filtered = job_id is not None or backup_ids is not None
    if filtered and not rows and service.readings.unknown_job_in_sets == "not_matched":
        raise ServiceError(404, "InvalidBackupSet.NotMatched", "The specified backup set does not match the instance.")
