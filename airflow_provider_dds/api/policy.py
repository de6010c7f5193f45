"""What an instance does for its recovery: its backup policy, what it can be restored to, and what that takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_dds.api.models import Model, Wire, flag, happened, number, text
from airflow_provider_dds.exceptions import DdsResponseError

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True)
class BackupPolicy(Model):
    """When and how an instance's schedule makes backups, and how long they are kept (DescribeBackupPolicy).

    :ivar preferred_backup_time: hour in which they begin, such as ``02:00Z-03:00Z``.
    :ivar preferred_backup_period: weekdays, such as ``Monday``.
    :ivar preferred_next_backup_time: when the next one is due.
    :ivar backup_retention_period: days that they are kept.
    :ivar enable_backup_log: whether logs are backed up, too.
    :ivar log_backup_retention_period: days that logs are kept.
    :ivar backup_interval: minutes between backups of high frequency, -1 without them.
    :ivar high_frequency_backup_retention: days that those are kept.
    :ivar snapshot_backup_type: ``Flash`` or ``Standard``.
    """

    preferred_backup_time: str | None = None
    preferred_backup_period: tuple[str, ...] = ()
    preferred_next_backup_time: datetime | None = None
    backup_retention_period: int | None = None
    enable_backup_log: bool | None = None
    log_backup_retention_period: int | None = None
    backup_interval: int | None = None
    high_frequency_backup_retention: int | None = None
    snapshot_backup_type: str | None = None

    @classmethod
    def from_wire(cls, body: Wire) -> BackupPolicy:
        """Read an answer.

        :raises DdsResponseError: it has nothing of a policy.
        """
        policy = cls(
            preferred_backup_time=text(body.get("PreferredBackupTime")) or None,
            preferred_backup_period=tuple(
                filter(None, (day.strip() for day in text(body.get("PreferredBackupPeriod")).split(",")))
            ),
            preferred_next_backup_time=happened(body.get("PreferredNextBackupTime")),
            backup_retention_period=number(body.get("BackupRetentionPeriod")),
            enable_backup_log=flag(body.get("EnableBackupLog")),
            log_backup_retention_period=number(body.get("LogBackupRetentionPeriod")),
            backup_interval=number(body.get("BackupInterval")),
            high_frequency_backup_retention=number(body.get("HighFrequencyBackupRetention")),
            snapshot_backup_type=text(body.get("SnapshotBackupType")) or None,
        )
        if policy == cls():
            raise DdsResponseError("The answer has no field of a backup policy.")
        return policy


@dataclass(frozen=True)
class RecoverRange(Model):
    """A span of time within which an instance can be restored to any point (DescribeInstanceRecoverTime).

    :ivar begin_time: its first point.
    :ivar end_time: its last one. How far the newest of them lies back is what a restore would lose.
    :ivar restore_type: ``PointInTime``; of another type it is no such span.
    """

    begin_time: datetime
    end_time: datetime
    restore_type: str | None = None

    @property
    def is_point_in_time(self) -> bool:
        """Whether any point within it can be restored to, as far as its type tells."""
        return self.restore_type is None or self.restore_type.lower() == "pointintime"

    @classmethod
    def from_wire(cls, row: Wire) -> RecoverRange:
        """Read a row of ``RestoreRanges``.

        :raises DdsResponseError: it does not say from when to when.
        """
        begin, end = happened(row.get("RestoreBeginTime")), happened(row.get("RestoreEndTime"))
        if begin is None or end is None or end < begin:
            raise DdsResponseError("The answer has a range to restore within that does not say from when to when.")
        return cls(begin, end, text(row.get("RestoreType")) or None)


@dataclass(frozen=True)
class BackupStorage(Model):
    """What the backups of an instance take, or those of one of its shards (DescribeBackupStorage).

    :ivar full_bytes: bytes of full backups.
    :ivar log_bytes: bytes of log backups.
    :ivar free_bytes: bytes that cost nothing.
    :ivar node_id: the shard; None for an instance without shards.
    """

    full_bytes: int
    log_bytes: int
    free_bytes: int | None = None
    node_id: str | None = None

    @classmethod
    def from_wire(cls, body: Wire) -> BackupStorage:
        """Read an answer.

        :raises DdsResponseError: it does not say how much there is.
        """
        full, log = number(body.get("FullStorageSize")), number(body.get("LogStorageSize"))
        if full is None or log is None or min(full, log) < 0:
            raise DdsResponseError("The answer does not say how much storage the backups take.")
        free = number(body.get("FreeSize"))
        return cls(full, log, None if free is None or free < 0 else free)
