"""The service's JSON shapes for jobs and instances, field by field as its pages and SDK have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .clock import utc_text
from .model import InstanceKind, Phase

if TYPE_CHECKING:
    from .model import Instance, Job, JobLook
    from .readings import Readings
    from .service import Service

DAY = 86_400
UPCOMING_HOUR = 18 * 3600
"""Second of the UTC day at which automatic backups are planned."""

_STORAGE = {InstanceKind.LOCAL_REPLICA: ("local_ssd", "0"), InstanceKind.STANDALONE: ("cloud_essd1", "3")}


def created(readings: Readings, job: Job) -> dict[str, Any]:
    """Answer of CreateBackup."""
    backup_id = job.job_id
    if readings.create_backup_id == "set_id":
        backup_id = job.cluster_backup_id or job.sets[0].backup_id
    answer: dict[str, Any] = {}
    if readings.create_returns in ("backup_id", "both"):
        answer["BackupId"] = _typed(backup_id, readings.create_id_type)
    if readings.create_returns in ("job_id", "both"):
        answer["BackupJobId"] = _typed(job.job_id, readings.create_id_type)
    return answer


def task_row(service: Service, job: Job, job_id: str) -> dict[str, Any]:
    """Row of DescribeBackupTasks; the ``j`` in its id's name is lower case."""
    readings = service.readings
    look = job.look(service.now)
    row: dict[str, Any] = {
        "BackupjobId": row_job_id(readings, job_id, newline=readings.trailing_newline),
        "BackupSetStatus": _status(readings, job, look),
        "JobMode": job.mode,
    }
    if look.phase is not Phase.SCHEDULED or readings.scheduled_start_time == "planned":
        row["BackupStartTime"] = service.text(look.started)
    elif readings.scheduled_start_time == "requested":
        row["BackupStartTime"] = service.text(job.created)
    progress = _progress(readings, look)
    if progress is not None:
        row["Progress"] = progress
    return row


def twin_row(readings: Readings, row: dict[str, Any]) -> dict[str, Any]:
    """Row of the automatic job that has the id of a manual one."""
    kept = {name: value for name, value in row.items() if name != "Progress"}
    return {**kept, "JobMode": "Automated", "BackupSetStatus": readings.automatic_twin}


def upcoming_rows(service: Service) -> list[dict[str, Any]]:
    """Rows of automatic backups that are yet to come, the next one first."""
    readings = service.readings
    first = (int(service.own_clock()) // DAY + 1) * DAY + UPCOMING_HOUR
    return [
        {
            "BackupjobId": row_job_id(readings, str(900001 + number), newline=readings.trailing_newline),
            "BackupSetStatus": Phase.SCHEDULED.value,
            "BackupStartTime": utc_text(first + number * DAY),
            "JobMode": "Automated",
        }
        for number in range(readings.upcoming_automatic_rows)
    ]


def row_job_id(readings: Readings, job_id: str, *, newline: bool = False) -> str | float:
    """Write a job id as listings do."""
    if readings.row_id_type != "str":
        return _typed(job_id, readings.row_id_type)
    return job_id + "\n" if newline else job_id


def instance_row(readings: Readings, instance: Instance) -> dict[str, Any]:
    """Row of DescribeDBInstanceAttribute."""
    row = _instance_row(instance)
    hidden = set() if readings.kind_shown else {"KindCode", "StorageType"}
    hidden |= set() if readings.shard_list else {"ShardList"}
    return {name: value for name, value in row.items() if name not in hidden}


def _instance_row(instance: Instance) -> dict[str, Any]:
    kind = instance.kind
    storage_type, kind_code = _STORAGE.get(kind, ("cloud_essd1", "18"))
    row: dict[str, Any] = {
        "DBInstanceId": instance.instance_id,
        "DBInstanceDescription": f"emulated {kind.value}",
        "DBInstanceStatus": instance.status,
        "DBInstanceType": "sharding" if kind.sharded else "replicate",
        "Engine": "MongoDB",
        "EngineVersion": instance.engine_version,
        "StorageEngine": "WiredTiger",
        "StorageType": storage_type,
        "KindCode": kind_code,
        "RegionId": instance.region_id,
        "ZoneId": f"{instance.region_id}-b",
        "NetworkType": "VPC",
        "ChargeType": "PostPaid",
        "LockMode": instance.lock_mode,
        "UseClusterBackup": kind is InstanceKind.CLOUD_CLUSTER,
        "CreationTime": "2024-01-01T00:00:00Z",
        "DBInstanceReleaseProtection": False,
        "Encrypted": False,
        "Tags": {"Tag": []},
    }
    if kind.sharded:
        node = {"NodeClass": "mdb.shard.4x.large.d", "NodeStorage": 20, "Status": "Running", "Port": 3717}
        stem = instance.instance_id.removeprefix("dds-")
        row["ShardList"] = {"ShardAttribute": [{"NodeId": node_id, **node} for node_id in instance.node_ids]}
        row["MongosList"] = {
            "MongosAttribute": [
                {"NodeId": f"s-{stem}-{number}", "NodeClass": node["NodeClass"], "Status": "Running"}
                for number in (1, 2)
            ]
        }
        row["ConfigserverList"] = {"ConfigserverAttribute": [{"NodeId": f"d-{stem}-cs", **node}]}
        return row
    members = 1 if kind is InstanceKind.STANDALONE else 3
    row["DBInstanceClass"] = "mdb.shard.4x.large.d"
    row["DBInstanceStorage"] = 20
    row["ReplicationFactor"] = str(members)
    row["ReplicaSetName"] = "mgset-emulated"
    row["ReplicaSets"] = {
        "ReplicaSet": [
            {
                "ReplicaSetRole": "Primary" if number == 1 else "Secondary",
                "ConnectionDomain": f"{instance.instance_id}-{number}.mongodb.invalid",
                "ConnectionPort": "3717",
                "NetworkType": "VPC",
            }
            for number in range(1, min(members, 2) + 1)
        ]
    }
    return row


def _typed(value: str, kind: str) -> str | float:
    if kind == "str" or not value.isdigit():
        return value
    return int(value) if kind == "int" else float(value)


def _status(readings: Readings, job: Job, look: JobLook) -> str:
    outcome = job.outcome
    if look.phase is Phase.FAILED:
        return outcome.fail_word or readings.failed_job_status or Phase.FAILED.value
    progress, unknown_at = look.progress, outcome.unknown_at
    if progress is not None and unknown_at is not None and unknown_at <= progress < outcome.unknown_until:
        return outcome.unknown_word
    return str(look.phase.value)


def _progress(readings: Readings, look: JobLook) -> str | None:
    if look.progress is None or readings.progress == "absent":
        return None
    if readings.progress == "nonsense":
        return "--"
    number = str(int(look.progress))
    return number + "%" if readings.progress == "percent" else number
