"""A row of the inventory: one backup, of whatever sets it is made."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from airflow_provider_dds.api.models import as_json

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from airflow_provider_dds.api.models import BackupSet

BACKUP_MODES = ("Automated", "Manual")
"""Who made a backup, in the service's words: the instance's schedule, or somebody who asked for it."""
_OF_SET = ("node_id", "backup_id", "status", "available", "start_time", "end_time", "size_bytes", "expire_time")
_FACTS = (
    *("db_instance_id", "backup_job_id", "backup_id", "status", "backup_method", "backup_mode", "backup_type"),
    *("start_time", "end_time", "size_bytes", "expire_time", "engine_version"),
)


class BackupState(str, Enum):
    """Whether a backup is good, and if not, why not."""

    GOOD = "good"
    RUNNING = "running"
    FAILED = "failed"
    NOT_AVAILABLE = "not available"
    INCOMPLETE = "incomplete"
    EXPIRED = "expired"
    INCREMENTAL = "incremental only"
    NOT_VISIBLE = "no backup set visible"


@dataclass(frozen=True)
class Backup:
    """A backup of an instance.

    :ivar backup_job_id: its job; None where the service does not say, as for the backup of a cluster.
    :ivar backup_id: its backup set; those of the shards separated by commas, None where there is none to see.
    :ivar start_time: its data is as of then, or later.
    :ivar size_bytes: size in bytes, of all its sets.
    :ivar expire_time: when the service deletes the first of its sets; the year 9999 means never.
    :ivar why_not: in words why it is not good; None for a good one.
    :ivar missing_shards: shards of the instance without a set in it. One that was added later counts as missing, too.
    :ivar nodes: the sets of the shards, or of the nodes of a cluster.
    """

    db_instance_id: str
    backup_job_id: str | None
    backup_id: str | None
    status: str | None
    backup_method: str | None
    backup_mode: str | None
    backup_type: str | None
    start_time: datetime | None
    end_time: datetime | None
    size_bytes: int | None
    expire_time: datetime | None
    engine_version: str | None
    state: BackupState
    why_not: str | None = None
    missing_shards: tuple[str, ...] = ()
    nodes: tuple[BackupSet, ...] = ()

    @property
    def good(self) -> bool:
        """Whether it is complete, Success, available and not expired."""
        return self.state is BackupState.GOOD

    def facts(self) -> dict[str, Any]:
        """Return the facts that :class:`~airflow_provider_dds.sensors.dds.DdsBackupSensor` returns, as plain JSON."""
        return as_json({name: getattr(self, name) for name in _FACTS})

    def to_dict(self) -> dict[str, Any]:
        """Return the backup as plain JSON."""
        return {
            **self.facts(),
            "good": self.good,
            "state": self.state.value,
            "why_not": self.why_not,
            "missing_shards": list(self.missing_shards),
            "nodes": [as_json({name: getattr(each, name) for name in _OF_SET}) for each in self.nodes],
        }

    def is_of(self, modes: Collection[str] | None) -> bool:
        """Whether it was made in one of these modes. Of all of them is also one that does not say its mode."""
        if modes is None or (self.backup_mode is None and set(BACKUP_MODES) <= set(modes)):
            return True
        return self.backup_mode in modes
