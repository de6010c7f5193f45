"""The service's operations: which action takes which parameters, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from . import wire
from .errors import ServiceError, malformed, unknown_action
from .history import describe_history_tasks
from .instances import describe_db_instances
from .listings import describe_backups, describe_cluster_backups
from .params import Params
from .policy import describe_backup_policy
from .recovery import describe_backup_storage, describe_cluster_recover_time, describe_instance_recover_time

if TYPE_CHECKING:
    from .model import Instance, Job
    from .service import Service

Operation: TypeAlias = Callable[["Service", Params], dict[str, Any]]

BACKUP_METHODS = ("Physical", "Logical", "Snapshot")
DAY = 86_400


def create_backup(service: Service, params: Params) -> dict[str, Any]:
    """Start a manual backup."""
    instance = service.instance(params.require("DBInstanceId"))
    method = _backup_method(service, instance, params.get("BackupMethod"))
    retention_days = _retention(service, instance, params)
    if instance.status != "Running":
        code = service.readings.not_running_code
        status = 403 if code.startswith("OperationDenied.") else 400
        raise ServiceError(status, code, "Current DB instance state does not support this operation.")
    if instance.lock_mode != "Unlock":
        raise ServiceError(
            400,
            "IncorrectDBInstanceLockMode",
            "Current DB instance lock mode does not support this operation.",
        )
    if not instance.has_databases:
        raise ServiceError(403, "OperationDenied.NoDatabase", "The instance has no database.")
    _check_daily_cap(service, instance)
    job = service.create_job(instance, "Manual", method, retention_days)
    return wire.created(service.readings, job)


def describe_backup_tasks(service: Service, params: Params) -> dict[str, Any]:
    """List backup jobs."""
    instance = service.instance(params.require("DBInstanceId"))
    readings = service.readings
    if not instance.kind.in_backup_tasks and readings.uncovered_tasks != "listed":
        if readings.uncovered_tasks == "error":
            raise ServiceError(
                readings.uncovered_tasks_status,
                readings.uncovered_tasks_code,
                "Current DB instance type does not support this operation.",
            )
        return {"BackupJobs": []}
    wanted = params.get("BackupJobId")
    rows: list[dict[str, Any]] = []
    for state in reversed(service.jobs(instance.instance_id)):
        job = state.job
        by_id = wanted is not None and wanted in job.ids
        for job_id in job.ids:
            if wanted is not None and readings.job_filter_in_tasks and job_id != wanted:
                continue
            row = wire.task_row(service, job, job_id)
            if job.mode == "Manual" and readings.automatic_twin != "none":
                rows.append(wire.twin_row(readings, row))
            if _has_row(service, job, by_id=by_id):
                rows.append(row)
    if wanted is not None and readings.job_filter_in_tasks:
        if not rows and readings.unknown_job_in_tasks == "not_matched":
            raise ServiceError(
                404, "InvalidBackupSet.NotMatched", "The specified backup set does not match the instance."
            )
    else:
        rows = wire.upcoming_rows(service) + rows
    return {"BackupJobs": readings.listed(rows)}


def describe_db_instance_attribute(service: Service, params: Params) -> dict[str, Any]:
    """Describe one instance."""
    try:
        instance = service.instance(params.require("DBInstanceId"))
    except ServiceError as error:
        if error.status == 404 and service.readings.unknown_instance_attribute == "empty":
            return {"DBInstances": {"DBInstance": []}}
        raise
    return {"DBInstances": {"DBInstance": [wire.instance_row(service.readings, instance)]}}


def describe_regions(service: Service, _params: Params) -> dict[str, Any]:
    """List the regions of the instances."""
    region_ids = sorted({instance.region_id for instance in service.instances.values()})
    regions = [{"RegionId": region_id, "RegionName": region_id} for region_id in region_ids]
    return {"Regions": {"DdsRegion": regions}}


OPERATIONS: dict[str, Operation] = {
    "CreateBackup": create_backup,
    "DescribeBackupPolicy": describe_backup_policy,
    "DescribeBackupStorage": describe_backup_storage,
    "DescribeBackupTasks": describe_backup_tasks,
    "DescribeBackups": describe_backups,
    "DescribeClusterBackups": describe_cluster_backups,
    "DescribeClusterRecoverTime": describe_cluster_recover_time,
    "DescribeDBInstanceAttribute": describe_db_instance_attribute,
    "DescribeDBInstances": describe_db_instances,
    "DescribeHistoryTasks": describe_history_tasks,
    "DescribeInstanceRecoverTime": describe_instance_recover_time,
    "DescribeRegions": describe_regions,
}


def perform(service: Service, action: str, params: Mapping[str, str]) -> dict[str, Any]:
    """Perform an operation of the service.

    :raises ServiceError: the service refuses
    """
    operation = OPERATIONS.get(action)
    if operation is None:
        raise unknown_action()
    asked = Params(params, service.readings.missing_parameter)
    if service.readings.region_id_needed:
        asked.require("RegionId")
    return operation(service, asked)


def _backup_method(service: Service, instance: Instance, method: str | None) -> str:
    refused = ServiceError(
        400, "InvalidBackupMethod.ValueNotSupport", "The instance does not support the backup method."
    )
    if method is None:
        if instance.kind.in_backup_tasks and service.readings.method_omitted_on_cloud == "error":
            raise refused
        return "Snapshot" if instance.kind.snapshot_only else "Physical"
    if method not in BACKUP_METHODS:
        raise ServiceError(400, "InvalidBackupMethod.Format", "The specified BackupMethod is not valid.")
    if (method == "Snapshot") != instance.kind.snapshot_only:
        raise refused
    return method


def _retention(service: Service, instance: Instance, params: Params) -> int | None:
    days = params.integer("BackupRetentionPeriod")
    if days is None:
        return None
    if days != -1 and not 7 <= days <= 730:
        raise malformed("BackupRetentionPeriod")
    if not instance.kind.in_backup_tasks:
        if service.readings.retention_on_local_disk == "error":
            raise malformed("BackupRetentionPeriod")
        return None
    return days


def _check_daily_cap(service: Service, instance: Instance) -> None:
    cap = service.readings.daily_cap
    if cap is None:
        return
    today = int(service.own_clock() // DAY)
    manual = [state.job for state in service.jobs(instance.instance_id) if state.job.mode == "Manual"]
    if sum(1 for job in manual if int(service.own_clock.shown(job.created) // DAY) == today) >= cap:
        raise ServiceError(400, "BackupTimesExceeded", "The number of backups exceeds the limit of the current day.")


def _has_row(service: Service, job: Job, *, by_id: bool) -> bool:
    readings = service.readings
    now = service.now
    if now < job.created + service.scaled(readings.new_row_delay_seconds):
        return False
    look = job.look(now)
    if look.ended is None:
        return True
    if job.outcome.vanish:
        return False
    if look.phase.value == "Failed" and job.outcome.fail_word is None and readings.failed_job_status is None:
        return False
    if readings.finished_rows == "only_by_id" and not by_id:
        return False
    kept = readings.finished_row_seconds
    return kept is None or now < look.ended + service.scaled(kept)
