"""DescribeBackupPolicy: when the schedule makes backups. Here that is once a day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .clock import utc_text
from .wire import DAY, UPCOMING_HOUR

if TYPE_CHECKING:
    from .params import Params
    from .service import Service

_WEEK = "Monday,Tuesday,Wednesday,Thursday,Friday,Saturday,Sunday"
RETENTION_DAYS = 7


def describe_backup_policy(service: Service, params: Params) -> dict[str, Any]:
    """Describe the backup policy of an instance; numbers are text or not, as the service has them."""
    instance = service.instance(params.require("DBInstanceId"))
    now = service.own_clock()
    today = now // DAY * DAY + UPCOMING_HOUR
    due = utc_text(today if now < today else today + DAY)
    return {
        "PreferredBackupTime": f"{UPCOMING_HOUR // 3600:02d}:00Z-{UPCOMING_HOUR // 3600 + 1:02d}:00Z",
        "PreferredBackupPeriod": _WEEK,
        "PreferredNextBackupTime": f"{due[:16]}Z",
        "BackupRetentionPeriod": str(RETENTION_DAYS),
        "EnableBackupLog": int(instance.log_backup),
        "LogBackupRetentionPeriod": 7,
        "BackupInterval": -1,
        "HighFrequencyBackupRetention": "1",
        "SnapshotBackupType": "Standard",
        "BackupRetentionPolicyOnClusterDeletion": 0,
    }
