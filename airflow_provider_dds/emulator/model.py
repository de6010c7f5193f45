"""Instances, backup jobs, and what a job looks like at a moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

JobMode = Literal["Manual", "Automated"]

_ROUNDING = 1e-6
"""Seconds that sums of epoch seconds and durations may be off by."""


class InstanceKind(str, Enum):
    """The kinds of instance that the service's backup operations treat differently."""

    CLOUD_REPLICA = "cloud_replica"
    """Replica set on cloud disks."""
    CLOUD_CLUSTER = "cloud_cluster"
    """Sharded cluster on cloud disks, in cluster backup mode: one set for the whole cluster."""
    CLOUD_SHARDED = "cloud_sharded"
    """Sharded cluster on cloud disks, in shard mode: one set per shard."""
    LOCAL_REPLICA = "local_replica"
    """Replica set on local disks."""
    STANDALONE = "standalone"
    """A single node."""

    @property
    def sharded(self) -> bool:
        """Whether the instance consists of shards."""
        return self in (InstanceKind.CLOUD_CLUSTER, InstanceKind.CLOUD_SHARDED)

    @property
    def snapshot_only(self) -> bool:
        """Whether the only possible backup method is Snapshot."""
        return self is not InstanceKind.LOCAL_REPLICA

    @property
    def in_backup_tasks(self) -> bool:
        """Whether DescribeBackupTasks documents that it covers this kind."""
        return self not in (InstanceKind.LOCAL_REPLICA, InstanceKind.STANDALONE)


@dataclass
class Instance:
    """A database instance; sizes in bytes."""

    instance_id: str
    kind: InstanceKind = InstanceKind.CLOUD_REPLICA
    status: str = "Running"
    region_id: str = "cn-hangzhou"
    engine_version: str = "7.0"
    has_databases: bool = True
    shards: int = 2
    data_bytes: int = 1_503_238_553
    lock_mode: str = "Unlock"
    tags: dict[str, str] = field(default_factory=dict)
    log_backup: bool = False

    def __post_init__(self) -> None:
        self.kind = InstanceKind(self.kind)
        if not self.instance_id:
            raise ValueError("instance_id: must not be empty")
        if self.shards < 1:
            raise ValueError("shards: must be at least 1")

    @property
    def node_ids(self) -> list[str]:
        """Ids of the shard nodes; empty for instances without shards."""
        if not self.kind.sharded:
            return []
        stem = self.instance_id.removeprefix("dds-")
        return [f"d-{stem}-{number}" for number in range(1, self.shards + 1)]


@dataclass(frozen=True)
class JobOutcome:
    """How a backup job goes. Percentages are of the backup phase; the default is a job that ends well."""

    fail_at: float | None = None
    """The job fails at this percentage."""
    fail_word: str | None = None
    """Status word of the failed job; None: as ``Readings.failed_job_status`` says."""
    stuck_at: float | None = None
    """The job stays at this percentage for ever."""
    unknown_at: float | None = None
    """From this percentage on, the status is ``unknown_word`` instead of Backuping."""
    unknown_until: float = 100.0
    """Up to this percentage."""
    unknown_word: str = "Pausing"
    """A status word that no page documents."""
    vanish: bool = False
    """The row vanishes the moment the job is over."""
    backup_set: Literal["Success", "Failed", "none"] | None = None
    """The set the job leaves; None: as the job's end and the readings say."""
    seconds: float | None = None
    """Length of the backup phase in service seconds; None: the service's usual."""

    def __post_init__(self) -> None:
        for name in ("fail_at", "stuck_at", "unknown_at", "unknown_until"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 100:
                raise ValueError(f"{name}: must be a percentage, 0 to 100")
        if self.fail_at is not None and self.stuck_at is not None:
            raise ValueError("stuck_at: a job that is stuck never reaches fail_at")
        if self.fail_word is not None and self.fail_at is None:
            raise ValueError("fail_word: needs fail_at")
        if self.seconds is not None and self.seconds <= 0:
            raise ValueError("seconds: must be more than 0")


@dataclass(frozen=True)
class Timing:
    """How long each phase of a job takes, in service seconds."""

    scheduled: float = 10.0
    checking: float = 20.0
    backup: float = 270.0

    def __post_init__(self) -> None:
        if self.scheduled < 0 or self.checking < 0:
            raise ValueError("scheduled, checking: must not be negative")
        if self.backup <= 0:
            raise ValueError("backup: must be more than 0")


class Phase(str, Enum):
    """The phases of a job, by the service's words."""

    SCHEDULED = "Scheduled"
    CHECKING = "Checking"
    RUNNING = "Backuping"
    FINISHED = "Finished"
    FAILED = "Failed"

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self in (Phase.FINISHED, Phase.FAILED)


@dataclass(frozen=True)
class JobLook:
    """A job at a moment: its phase, percentage (backup phase only), and, in epoch seconds, begin and end."""

    phase: Phase
    progress: float | None
    started: float
    ended: float | None


@dataclass(frozen=True)
class SetIds:
    """The ids of one backup set that a job makes; ``node_id`` is None for instances without shards."""

    backup_id: str
    job_id: str
    node_id: str | None = None


@dataclass
class Job:
    """A backup job; its state is a function of the moment. Durations in seconds of the injected clock."""

    job_id: str
    instance_id: str
    mode: JobMode
    method: str
    created: float
    scheduled: float
    checking: float
    backup: float
    outcome: JobOutcome
    retention_days: int
    history_id: str
    """``TaskId`` in the history under the reading that it is unrelated to the job id."""
    sets: list[SetIds] = field(default_factory=list)
    cluster_backup_id: str | None = None
    told_to_end: float | None = None
    """When it was told to be over, in epoch seconds."""

    @property
    def ids(self) -> list[str]:
        """All job ids of this job: more than one only under the reading of one job per shard."""
        return list(dict.fromkeys([self.job_id, *(ids.job_id for ids in self.sets)]))

    def look(self, now: float) -> JobLook:
        """Return what the job looks like at a moment."""
        started = self.created + self.scheduled
        last = Phase.FINISHED if self.outcome.fail_at is None else Phase.FAILED
        if self.told_to_end is not None:
            return JobLook(last, None, min(started, self.told_to_end), self.told_to_end)
        now += _ROUNDING
        if now < started:
            return JobLook(Phase.SCHEDULED, None, started, None)
        running_since = started + self.checking
        if now < running_since:
            return JobLook(Phase.CHECKING, None, started, None)
        progress = (now - running_since) / self.backup * 100
        ends_at = 100.0 if self.outcome.fail_at is None else self.outcome.fail_at
        stuck_at = self.outcome.stuck_at
        if stuck_at is not None:
            return JobLook(Phase.RUNNING, min(progress, stuck_at), started, None)
        if progress >= ends_at:
            return JobLook(last, None, started, running_since + self.backup * ends_at / 100)
        return JobLook(Phase.RUNNING, progress, started, None)
