"""The service's JSON for backup sets: when they are to be seen, in which state, and what else is listed with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import wire
from .clock import NEVER, utc_text
from .model import Phase

if TYPE_CHECKING:
    from .model import Instance, JobLook, SetIds
    from .readings import Readings
    from .service import JobState, Service

DAY = 86_400
TWIN_SETS = {"Finished": "Success", "Failed": "Failed"}
"""Status of an automatic twin's job -> that of its set; in any other it has none yet."""


def set_rows(service: Service, instance: Instance, state: JobState, ids: SetIds, lag: float) -> list[dict[str, Any]]:
    """Return the rows of DescribeBackups for one set of a job: its own, and what the readings list besides.

    :param lag: how long after its job's end the set becomes visible, in the service's seconds
    """
    readings, look = service.readings, state.look
    rows: list[dict[str, Any]] = []
    status = _set_status(service, state, lag, listed_while_running=readings.running_sets == "listed")
    if status is not None:
        own = _set_row(service, instance, state, ids, status, available=_available(service, state, status, lag))
        if status == "Success" and readings.copies != "none" and not _of_a_twin(state):
            rows.append(_copy_of(own, instance, readings))
        rows.append(own)
    if readings.incremental_sets and look.phase is not Phase.SCHEDULED:
        row = _set_row(service, instance, state, ids, "Success", available=True)
        rows.append({**row, "BackupId": f"7{ids.backup_id}", "BackupType": "IncrementalBackup"})
    if not _of_a_twin(state) and readings.automatic_twin in TWIN_SETS:
        row = _set_row(service, instance, state, ids, TWIN_SETS[readings.automatic_twin], available=True)
        rows.append({**row, "BackupId": f"8{ids.backup_id}", "BackupMode": "Automated"})
    return rows


def cluster_row(service: Service, instance: Instance, state: JobState) -> dict[str, Any] | None:
    """Return the row of DescribeClusterBackups for a job; None while there is none to see."""
    readings = service.readings
    job, look = state.job, state.look
    listed = readings.running_cluster_sets == "listed"
    status = _set_status(service, state, readings.set_lag_seconds, listed_while_running=listed)
    if status is None:
        return None
    good = status == "Success"
    available = _available(service, state, status, readings.set_lag_seconds)
    shown = {"Success": "OK", "Failed": readings.failed_cluster_set_status}.get(status, status)
    return _without_none(
        {
            "ClusterBackupId": job.cluster_backup_id,
            "ClusterBackupStatus": shown,
            "ClusterBackupMode": job.mode,
            "ClusterBackupStartTime": service.text(look.started),
            "ClusterBackupEndTime": None if look.ended is None else service.text(look.ended),
            "ClusterBackupSize": str(instance.data_bytes * instance.shards if good else 0),
            "AttachLogStatus": _attach_log_status(service, look, status),
            "IsAvail": _is_avail(readings, "number", available=available),
            "Progress": None if look.progress is None else str(int(look.progress)),
            "EngineVersion": instance.engine_version,
            "BackupExpireTime": _expiry(service, state),
            "ExtraInfo": {"RegistryFromHistory": "0"},
            "Backups": [_child_row(service, instance, state, ids, status, available) for ids in job.sets],
        }
    )


def _set_status(service: Service, state: JobState, lag: float, *, listed_while_running: bool) -> str | None:
    """Return Success, Failed or the word of a running set; None when there is no set to see."""
    readings = service.readings
    forced = state.job.outcome.backup_set
    look = state.look
    if forced == "none" or (readings.expired_sets == "deleted" and _is_expired(service, state)):
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


def _available(service: Service, state: JobState, status: str, lag: float) -> bool:
    ended = state.look.ended
    late = service.scaled(lag + service.readings.available_lag_seconds)
    return status == "Success" and ended is not None and service.now >= ended + late


def _is_avail(readings: Readings, documented: str, *, available: bool) -> Any:
    """Write ``IsAvail``; its documented type differs from listing to listing."""
    kind = documented if readings.is_avail == "documented" else readings.is_avail
    values: dict[str, Any] = {
        "flag": available,
        "number": int(available),
        "text": str(int(available)),
        "words": str(available).lower(),
    }
    return values.get(kind)


def _expires_at(service: Service, state: JobState) -> float | None:
    """Return when a set expires, by the service's clock; None when it never does, or is not made yet."""
    job, look = state.job, state.look
    if look.ended is None or (service.readings.expiry_seconds is None and job.retention_days == -1):
        return None
    ended = service.own_clock.shown(look.ended)
    if service.readings.expiry_seconds is not None:
        return ended + service.scaled(service.readings.expiry_seconds)
    return ended + job.retention_days * DAY


def _is_expired(service: Service, state: JobState) -> bool:
    expires_at = _expires_at(service, state)
    return expires_at is not None and service.own_clock() >= expires_at


def _expiry(service: Service, state: JobState) -> str | None:
    expires_at = _expires_at(service, state)
    if expires_at is not None:
        return utc_text(expires_at)
    return NEVER if state.job.retention_days == -1 and service.readings.expiry_seconds is None else None


def _of_a_twin(state: JobState) -> bool:
    """Whether a job is an automatic one itself, which has no twin, and no copy here."""
    return state.job.mode != "Manual"


def _copy_of(row: dict[str, Any], instance: Instance, readings: Readings) -> dict[str, Any]:
    """Return the row of a set's copy in another region, which begins when the set is done."""
    done = readings.copies != "Running"
    copy = {
        **row,
        "BackupId": f"9{row['BackupId']}",
        "BackupStatus": readings.copies,
        "BackupStartTime": row["BackupEndTime"],
        "BackupEndTime": row["BackupEndTime"] if done else None,
    }
    if readings.copy_regions:
        copy |= {"SrcRegion": instance.region_id, "DestRegion": "cn-another"}
    return _without_none(copy)


def _without_none(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}


def _set_row(
    service: Service, instance: Instance, state: JobState, ids: SetIds, status: str, *, available: bool
) -> dict[str, Any]:
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
            "BackupStartTime": service.text(look.started),
            "BackupEndTime": None if look.ended is None else service.text(look.ended),
            "BackupSize": instance.data_bytes if status == "Success" else 0,
            "BackupDBNames": "admin,app",
            "BackupDownloadURL": link if downloadable else "",
            "BackupIntranetDownloadURL": link if downloadable else "",
            "BackupName": "",
            "BackupScale": "",
            "IsAvail": _is_avail(service.readings, "flag", available=available),
            "EngineVersion": instance.engine_version,
            "BackupExpireTime": _expiry(service, state),
        }
    )


def _attach_log_status(service: Service, look: JobLook, status: str) -> str:
    if status == "Failed":
        return "Failed"
    if status != "Success" or look.ended is None:
        return "Init"
    ready_at = look.ended + service.scaled(service.readings.attach_log_seconds)
    return "Ready" if service.now >= ready_at else "Running"


def _child_row(
    service: Service, instance: Instance, state: JobState, ids: SetIds, status: str, available: bool
) -> dict[str, Any]:
    look = state.look
    name = str(ids.node_id)
    return _without_none(
        {
            "BackupId": ids.backup_id,
            "InstanceName": name + "\n" if service.readings.trailing_newline else name,
            "BackupName": "",
            "BackupStatus": status,
            "BackupStartTime": service.text(look.started),
            "BackupEndTime": None if look.ended is None else service.text(look.ended),
            "BackupSize": str(instance.data_bytes if status == "Success" else 0),
            "BackupDownloadURL": "",
            "BackupIntranetDownloadURL": "",
            "IsAvail": _is_avail(service.readings, "text", available=available),
            "ExtraInfo": {
                "NodeId": name,
                "NodeType": "db",
                "InstanceClass": "mdb.shard.4x.large.d",
                "StorageSize": "20480",
            },
        }
    )
