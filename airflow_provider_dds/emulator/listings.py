"""DescribeBackups and DescribeClusterBackups: backup sets, their visibility, filters and pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import wire
from .clock import NEVER, utc_text
from .errors import ServiceError, malformed
from .model import InstanceKind, Phase

if TYPE_CHECKING:
    from .model import Instance, Job, JobLook, SetIds
    from .params import Params
    from .service import JobState, Service

DAY = 86_400
PAGE_SIZES = (30, 50, 100)


def describe_backups(service: Service, params: Params) -> dict[str, Any]:
    """List backup sets, the newest first; of a sharded instance those of one shard."""
    instance = service.instance(params.require("DBInstanceId"))
    node_id = _node(service, instance, params)
    readings = service.readings
    wanted = params.get("BackupJobId") if readings.job_filter_in_sets else None
    wanted_sets = params.listed("BackupId")
    window = _window(params, ignored=wanted_sets is not None)
    number, size = _page(params, "PageNumber")
    rows: list[dict[str, Any]] = []
    for state in reversed(service.jobs(instance.instance_id)):
        if not _inside(window, state.look.started):
            continue
        for number_of_shard, ids in enumerate(state.job.sets):
            lag = readings.set_lag_seconds + number_of_shard * readings.shard_set_lag_seconds
            status = _set_status(service, state, lag, listed_while_running=readings.running_sets == "listed")
            if status is None or (node_id is not None and ids.node_id != node_id):
                continue
            if wanted is not None and ids.job_id != wanted:
                continue
            if wanted_sets is None or ids.backup_id in wanted_sets:
                rows.append(_set_row(service, instance, state, ids, status))
    _refuse_unmatched(service, rows, wanted, wanted_sets)
    rows = readings.listed(rows)
    return {
        "Backups": {"Backup": rows[(number - 1) * size : number * size]},
        "PageNumber": number,
        "PageSize": size,
        "TotalCount": len(rows),
    }


def describe_cluster_backups(service: Service, params: Params) -> dict[str, Any]:
    """List the backup sets of a cluster in cluster backup mode, the newest first."""
    instance = service.instance(params.require("DBInstanceId"))
    if instance.kind is not InstanceKind.CLOUD_CLUSTER:
        raise ServiceError(400, "IncorrectDBInstanceType", "Current DB instance type does not support this operation.")
    readings = service.readings
    wanted = params.get("BackupJobId") if readings.job_filter_in_sets else None
    wanted_sets = params.listed("BackupId")
    window = _window(params, ignored=wanted_sets is not None)
    number, size = _page(params, "PageNo")
    without_children = params.boolean("IsOnlyGetClusterBackUp")
    rows: list[dict[str, Any]] = []
    for state in reversed(service.jobs(instance.instance_id)):
        listed = readings.running_cluster_sets == "listed"
        status = _set_status(service, state, readings.set_lag_seconds, listed_while_running=listed)
        if status is None or not _inside(window, state.look.started):
            continue
        if wanted is not None and wanted not in state.job.ids:
            continue
        if wanted_sets is None or state.job.cluster_backup_id in wanted_sets:
            row = _cluster_row(service, instance, state, status)
            if without_children:
                del row["Backups"]
            rows.append(row)
    _refuse_unmatched(service, rows, wanted, wanted_sets)
    rows = readings.listed(rows)
    page = rows[(number - 1) * size : number * size]
    return {"ClusterBackups": page, "MaxResults": len(page), "PageNumber": number, "PageSize": size}


def _set_status(service: Service, state: JobState, lag: float, *, listed_while_running: bool) -> str | None:
    """Return Success, Failed or the word of a running set; None when there is no set to see."""
    readings = service.readings
    forced = state.job.outcome.backup_set
    look = state.look
    if forced == "none":
        return None
    if look.ended is not None and service.now >= look.ended + service.scaled(lag):
        if forced is not None:
            return forced
        if look.phase is Phase.FAILED:
            return "Failed" if readings.failed_job_set == "listed" else None
        return "Success"
    if listed_while_running and look.phase is not Phase.SCHEDULED:
        return readings.running_set_status
    return None


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


def _page(params: Params, number_name: str) -> tuple[int, int]:
    number = params.integer(number_name)
    size = params.integer("PageSize")
    if number is not None and number < 1:
        raise malformed(number_name)
    if size is not None and size not in PAGE_SIZES:
        raise malformed("PageSize")
    return 1 if number is None else number, PAGE_SIZES[0] if size is None else size


def _refuse_unmatched(
    service: Service, rows: list[dict[str, Any]], job_id: str | None, backup_ids: set[str] | None
) -> None:
    filtered = job_id is not None or backup_ids is not None
    if filtered and not rows and service.readings.unknown_job_in_sets == "not_matched":
        raise ServiceError(404, "InvalidBackupSet.NotMatched", "The specified backup set does not match the instance.")


def _expiry(job: Job, look: JobLook) -> str | None:
    if job.retention_days == -1:
        return NEVER
    return None if look.ended is None else utc_text(look.ended + job.retention_days * DAY)


def _without_none(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}


def _set_row(service: Service, instance: Instance, state: JobState, ids: SetIds, status: str) -> dict[str, Any]:
    job, look = state.job, state.look
    downloadable = status == "Success" and not instance.kind.in_backup_tasks
    link = f"https://backups.mongodb.invalid/{ids.backup_id}?Expires=1&Signature=emulated-signed-link"
    return _without_none(
        {
            "BackupId": ids.backup_id,
            "BackupJobId": wire.row_job_id(service.readings, ids.job_id),
            "BackupStatus": status,
            "BackupType": "FullBackup",
            "BackupMethod": job.method,
            "BackupMode": job.mode,
            "BackupStartTime": utc_text(look.started),
            "BackupEndTime": None if look.ended is None else utc_text(look.ended),
            "BackupSize": instance.data_bytes if status == "Success" else 0,
            "BackupDBNames": "admin,app",
            "BackupDownloadURL": link if downloadable else "",
            "BackupIntranetDownloadURL": link if downloadable else "",
            "BackupName": "",
            "BackupScale": "",
            "IsAvail": status == "Success",
            "EngineVersion": instance.engine_version,
            "BackupExpireTime": _expiry(job, look),
        }
    )


def _cluster_row(service: Service, instance: Instance, state: JobState, status: str) -> dict[str, Any]:
    readings = service.readings
    job, look = state.job, state.look
    good = status == "Success"
    shown = {"Success": "OK", "Failed": readings.failed_cluster_set_status}.get(status, status)
    return _without_none(
        {
            "ClusterBackupId": job.cluster_backup_id,
            "ClusterBackupStatus": shown,
            "ClusterBackupMode": job.mode,
            "ClusterBackupStartTime": utc_text(look.started),
            "ClusterBackupEndTime": None if look.ended is None else utc_text(look.ended),
            "ClusterBackupSize": str(instance.data_bytes * instance.shards if good else 0),
            "AttachLogStatus": _attach_log_status(service, look, status),
            "IsAvail": 1 if good else 0,
            "Progress": None if look.progress is None else str(int(look.progress)),
            "EngineVersion": instance.engine_version,
            "BackupExpireTime": _expiry(job, look),
            "ExtraInfo": {"RegistryFromHistory": "0"},
            "Backups": [_child_row(service, instance, state, ids, status) for ids in job.sets],
        }
    )


def _attach_log_status(service: Service, look: JobLook, status: str) -> str:
    if status == "Failed":
        return "Failed"
    if status != "Success" or look.ended is None:
        return "Init"
    ready_at = look.ended + service.scaled(service.readings.attach_log_seconds)
    return "Ready" if service.now >= ready_at else "Running"


def _child_row(service: Service, instance: Instance, state: JobState, ids: SetIds, status: str) -> dict[str, Any]:
    look = state.look
    good = status == "Success"
    name = str(ids.node_id)
    return _without_none(
        {
            "BackupId": ids.backup_id,
            "InstanceName": name + "\n" if service.readings.trailing_newline else name,
            "BackupName": "",
            "BackupStatus": status,
            "BackupStartTime": utc_text(look.started),
            "BackupEndTime": None if look.ended is None else utc_text(look.ended),
            "BackupSize": str(instance.data_bytes if good else 0),
            "BackupDownloadURL": "",
            "BackupIntranetDownloadURL": "",
            "IsAvail": "1" if good else "0",
            "ExtraInfo": {
                "NodeId": name,
                "NodeType": "db",
                "InstanceClass": "mdb.shard.4x.large.d",
                "StorageSize": "20480",
            },
        }
    )
