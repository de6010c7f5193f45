"""The service's answers as frozen dataclasses, each with ``from_wire`` for the JSON of the API.

Strict where a value decides (a list must be a list, an id is compared as text without white space), lenient where it
only informs (an unreadable time, size or progress is None). Pre-signed download links are never read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from enum import Enum
from typing import Any, TypeVar

from airflow_provider_dds.exceptions import DdsResponseError
from airflow_provider_dds.masking import escaped

Wire = Mapping[str, Any]
Row = TypeVar("Row")

SUCCESS = "Success"
FAILED = "Failed"
MANUAL = "Manual"


def text(value: Any) -> str:
    """Return a wire value as clean text; the service sends ids as numbers and with trailing newlines.

    It gets into logs, errors and links: what is no plain text of some length is escaped, and so equals no other value.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return escaped(value)


def decisive(row: Wire, *names: str) -> str:
    """Return the first of these fields that a row has, as clean text, where a verdict depends on it.

    :raises DdsResponseError: it is a list, an object or a flag, from which nothing may be concluded.
    """
    name = next((name for name in names if row.get(name) is not None), names[0])
    value = row.get(name)
    if isinstance(value, (bool, list, Mapping)):
        raise DdsResponseError(
            f"The answer's field {name!r} is {escaped(value, limit=100)!r}, neither text nor a number."
        )
    return text(value)


def when(value: Any) -> datetime | None:
    """Return a wire time (``2024-01-16T11:04:56Z``, with or without seconds) as aware UTC, None if unreadable."""
    for layout in ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ"):
        try:
            return datetime.strptime(text(value), layout).replace(tzinfo=timezone.utc)
        except ValueError:
            continue
    return None


def happened(value: Any) -> datetime | None:
    """Return a wire time at which something began or ended; None also for one that stands for none, as of year 1."""
    moment = when(value)
    return moment if moment and 2000 <= moment.year < 9999 else None


def number(value: Any) -> int | None:
    """Return a wire number, which may be text, as int; None if it is not one."""
    try:
        return int(text(value))
    except ValueError:
        try:
            return int(float(text(value)))
        except (ValueError, OverflowError):
            return None


def flag(value: Any) -> bool | None:
    """Return a wire flag, which may be a bool, a number or text; None if it is absent.

    Only what says yes is True: another word may be a new way to say no.
    """
    word = text(value).lower()
    return word in ("true", "1", "yes") if word else None


def percent(value: Any) -> int | None:
    """Return a progress (``18%``, ``50``, 50.0) as a whole number from 0 to 100, None if it is not one."""
    share = number(text(value).rstrip("%"))
    return share if share is not None and 0 <= share <= 100 else None


def rows(body: Wire, key: str, inner: str | None, parse: Callable[[Wire], Row]) -> list[Row]:
    """Return the rows under ``key`` of an answer, whether it holds a plain list or one wrapped under ``inner``.

    A key that is absent from an answer with a request id means no rows.

    :raises DdsResponseError: the answer has another shape.
    """
    found = body.get(key)
    if isinstance(found, Mapping) and (not found or inner in found):
        found = found.get(inner)
    if found is None and text(body.get("RequestId")):
        return []
    if not isinstance(found, list) or not all(isinstance(row, Mapping) for row in found):
        raise DdsResponseError(f"The answer's field {key!r} is not a list of records.")
    return [parse(row) for row in found]


class Model:
    """What all models have."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON, which goes through XCom: times as ISO 8601, models within as dicts."""
        return as_json(vars(self))


def as_json(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields as plain JSON."""
    return {name: _as_json(value) for name, value in fields.items()}


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Model):
        return value.to_dict()
    return [_as_json(each) for each in value] if isinstance(value, tuple) else value


@dataclass(frozen=True)
class BackupJob(Model):
    """A row of DescribeBackupTasks.

    :ivar status: ``Scheduled``, ``Checking``, ``Backuping``, ``Finished``, or a word the service does not document.
    :ivar progress: percent done, given only while the backup runs.
    :ivar job_mode: ``Manual`` or ``Automated``.
    """

    backup_job_id: str
    status: str
    start_time: datetime | None = None
    progress: int | None = None
    job_mode: str = ""

    @classmethod
    def from_wire(cls, row: Wire) -> BackupJob:
        """Read a row of ``BackupJobs``; the service spells its id with a lower-case j."""
        return cls(
            backup_job_id=decisive(row, "BackupjobId", "BackupJobId"),
            status=decisive(row, "BackupSetStatus"),
            start_time=happened(row.get("BackupStartTime")),
            progress=percent(row.get("Progress")),
            job_mode=text(row.get("JobMode")),
        )


@dataclass(frozen=True)
class BackupSet(Model):
    """A backup set: a row of DescribeBackups, or a cluster backup of DescribeClusterBackups.

    :ivar status: ``Success``, ``Failed``, or a word that is neither (not settled yet).
    :ivar size_bytes: size in bytes.
    :ivar expire_time: when the service deletes it; the year 9999 means never.
    :ivar available: whether a restore can use it (``IsAvail``); None where the service does not say.
    :ivar is_copy: whether it is a copy in another region.
    :ivar node_id: shard that it was listed for; None where it was asked for without one.
    :ivar nodes: of a cluster backup the sets of its nodes, as far as they are listed.
    """

    backup_id: str
    backup_job_id: str
    status: str
    backup_method: str | None = None
    backup_mode: str | None = None
    backup_type: str | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    size_bytes: int | None = None
    expire_time: datetime | None = None
    engine_version: str | None = None
    available: bool | None = None
    is_copy: bool = False
    node_id: str | None = None
    nodes: tuple[BackupSet, ...] = ()

    @property
    def is_full(self) -> bool:
        """Whether it is not said to hold only what changed since another one."""
        return not self.backup_type or self.backup_type.lower().startswith("full")

    @classmethod
    def from_wire(cls, row: Wire) -> BackupSet:
        """Read a row of ``Backups.Backup``."""
        source, destination = text(row.get("SrcRegion")), text(row.get("DestRegion"))
        return cls(
            backup_id=decisive(row, "BackupId"),
            backup_job_id=decisive(row, "BackupJobId"),
            status=decisive(row, "BackupStatus"),
            backup_method=text(row.get("BackupMethod")) or None,
            backup_mode=text(row.get("BackupMode")) or None,
            backup_type=text(row.get("BackupType")) or None,
            start_time=happened(row.get("BackupStartTime")),
            end_time=happened(row.get("BackupEndTime")),
            size_bytes=number(row.get("BackupSize")),
            expire_time=when(row.get("BackupExpireTime")),
            engine_version=text(row.get("EngineVersion")) or None,
            available=flag(row.get("IsAvail")),
            is_copy=bool(source and destination) and source != destination,
        )

    @classmethod
    def from_cluster_wire(cls, row: Wire) -> BackupSet:
        """Read a row of ``ClusterBackups``, which says ``OK`` for a good one and carries no job id.

        ``OK`` says only that the nodes' sets exist. It counts as a success when the set of each node is one, and the
        logs that make the nodes agree on one point in time are attached or not needed. It is available when all are.
        """
        status = decisive(row, "ClusterBackupStatus")
        logs = decisive(row, "AttachLogStatus")
        nodes = rows({"RequestId": "-", **row}, "Backups", None, cls._of_node)
        available = [
            each for each in (flag(row.get("IsAvail")), *(node.available for node in nodes)) if each is not None
        ]
        if status.lower().startswith("fail") or logs == FAILED or any(node.status == FAILED for node in nodes):
            status = FAILED
        elif status == "OK":
            settled = all(node.status in ("", "OK", SUCCESS) for node in nodes) and logs in ("", "Ready", "No_Need")
            status = SUCCESS if settled else "Incomplete"
        return cls(
            backup_id=decisive(row, "ClusterBackupId"),
            backup_job_id="",
            status=status,
            backup_mode=text(row.get("ClusterBackupMode")) or None,
            start_time=happened(row.get("ClusterBackupStartTime")),
            end_time=happened(row.get("ClusterBackupEndTime")),
            size_bytes=number(row.get("ClusterBackupSize")),
            expire_time=when(row.get("BackupExpireTime")),
            engine_version=text(row.get("EngineVersion")) or None,
            available=all(available) if available else None,
            nodes=tuple(nodes),
        )

    @classmethod
    def _of_node(cls, row: Wire) -> BackupSet:
        """Read a row of a cluster backup's ``Backups``."""
        more = row.get("ExtraInfo")
        node_id = more.get("NodeId") if isinstance(more, Mapping) else None
        return replace(cls.from_wire(row), node_id=text(node_id) or text(row.get("InstanceName")) or None)


class Layout(str, Enum):
    """Which calls know about an instance's backups."""

    REPLICA_SET = "replica_set"
    """Cloud disk, one set a backup: DescribeBackupTasks, DescribeBackups."""
    CLUSTER = "cluster"
    """Cloud disk, sharded, one cluster backup for all nodes: DescribeBackupTasks, DescribeClusterBackups."""
    SHARDED = "sharded"
    """Cloud disk, sharded, a set a shard: DescribeBackupTasks, DescribeBackups for each node."""
    LOCAL = "local"
    """Local disk or standalone: DescribeBackups alone; there is no row that shows the running job."""
    LOCAL_SHARDED = "local_sharded"
    """Local disk, sharded: DescribeBackups for each node alone."""


@dataclass(frozen=True)
class DBInstance(Model):
    """What backups depend on of an instance (DescribeDBInstanceAttribute).

    :ivar status: ``Running`` when it can take a backup.
    :ivar shard_node_ids: node ids of the shards; empty for a replica set.
    """

    db_instance_id: str
    status: str
    instance_type: str = ""
    storage_type: str = ""
    kind_code: str = ""
    use_cluster_backup: bool = False
    lock_mode: str = ""
    region_id: str = ""
    engine_version: str = ""
    shard_node_ids: tuple[str, ...] = ()

    @classmethod
    def from_wire(cls, row: Wire) -> DBInstance:
        """Read a row of ``DBInstances.DBInstance``."""
        shards = row.get("ShardList") or {}
        if not isinstance(shards, Mapping):
            raise DdsResponseError("The answer's field 'ShardList' is not a record.")
        nodes = rows({"RequestId": "-", **shards}, "ShardAttribute", None, lambda node: decisive(node, "NodeId"))
        return cls(
            db_instance_id=decisive(row, "DBInstanceId"),
            status=decisive(row, "DBInstanceStatus"),
            instance_type=decisive(row, "DBInstanceType"),
            storage_type=decisive(row, "StorageType"),
            kind_code=decisive(row, "KindCode"),
            use_cluster_backup=text(row.get("UseClusterBackup")).lower() == "true",
            lock_mode=text(row.get("LockMode")),
            region_id=text(row.get("RegionId")),
            engine_version=text(row.get("EngineVersion")),
            shard_node_ids=tuple(filter(None, dict.fromkeys(nodes))),
        )

    @property
    def is_sharded(self) -> bool:
        """Whether it is a sharded cluster."""
        return self.instance_type == "sharding" or bool(self.shard_node_ids)

    @property
    def layout(self) -> Layout:
        """Which calls know about this instance's backups."""
        sharded = self.is_sharded
        local = self.kind_code in ("0", "3") or self.storage_type.startswith("local")
        if sharded and not local:
            return Layout.CLUSTER if self.use_cluster_backup else Layout.SHARDED
        if local:
            return Layout.LOCAL_SHARDED if sharded else Layout.LOCAL
        return Layout.REPLICA_SET


@dataclass(frozen=True)
class HistoryTask(Model):
    """A row of DescribeHistoryTasks.

    :ivar status: ``Scheduled``, ``Running``, ``Succeed``, ``Failed``, ``Cancelling``, ``Canceled`` or ``Waiting``.
    """

    task_id: str
    task_type: str
    status: str
    db_instance_id: str
    start_time: datetime | None = None
    end_time: datetime | None = None
    progress: int | None = None
    current_step: str | None = None
    reason_code: str | None = None

    @classmethod
    def from_wire(cls, row: Wire) -> HistoryTask:
        """Read a row of ``Items``."""
        return cls(
            task_id=text(row.get("TaskId")),
            task_type=text(row.get("TaskType")),
            status=text(row.get("Status")),
            db_instance_id=text(row.get("InstanceId")),
            start_time=happened(row.get("StartTime")),
            end_time=happened(row.get("EndTime")),
            progress=percent(row.get("Progress")),
            current_step=text(row.get("CurrentStepName")) or None,
            reason_code=text(row.get("ReasonCode")) or None,
        )


def backup_facts(
    db_instance_id: str, backup_job_id: str, job: BackupJob | None, sets: tuple[BackupSet, ...]
) -> dict[str, Any]:
    """Return what is known of a finished backup as plain JSON, the value that sensor and operator hand on."""
    return as_json(backup_fields(db_instance_id, backup_job_id, job, sets))


def backup_fields(
    db_instance_id: str, backup_job_id: str | None, job: BackupJob | None, sets: tuple[BackupSet, ...]
) -> dict[str, Any]:
    """Return what is known of a backup.

    Several sets (one for each shard) become one: their ids as the comma-separated list that the API takes,
    the sum of their sizes, the earliest start and the latest end.
    """

    def first(values: list[str | None]) -> str | None:
        return next((value for value in values if value), None)

    starts = [each.start_time for each in sets if each.start_time]
    if not starts and job is not None and job.start_time:
        starts = [job.start_time]
    ends = [each.end_time for each in sets if each.end_time]
    sizes = [each.size_bytes for each in sets if each.size_bytes is not None]
    expiries = [each.expire_time for each in sets if each.expire_time]
    return {
        "db_instance_id": db_instance_id,
        "backup_job_id": backup_job_id,
        "backup_id": ",".join(each.backup_id for each in sets) or None,
        "status": first([each.status for each in sets]) or (job.status if job else None),
        "backup_method": first([each.backup_method for each in sets]),
        "backup_mode": first([*(each.backup_mode for each in sets), job.job_mode if job else None]),
        "backup_type": first([each.backup_type for each in sets]),
        "start_time": min(starts, default=None),
        "end_time": max(ends, default=None),
        "size_bytes": sum(sizes) if sizes else None,
        "expire_time": min(expiries, default=None),
        "engine_version": first([each.engine_version for each in sets]),
    }
