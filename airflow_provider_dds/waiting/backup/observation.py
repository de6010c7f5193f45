"""What one poll of a backup saw: the row of its job, its backup sets, and what they say together. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import TYPE_CHECKING

from airflow_provider_dds.api.models import FAILED, SUCCESS, BackupJob, BackupSet

if TYPE_CHECKING:
    from airflow_provider_dds.exceptions import DdsError

RUNNING = frozenset({"Scheduled", "Checking", "Backuping"})
FINISHED = "Finished"
CLOCK_SKEW = timedelta(minutes=15)
"""How far the clock of the service may be from ours: beyond that it refuses each request."""
_SAYS_FAILED = re.compile("fail|error|cancel|abort", re.IGNORECASE)


class SetState(Enum):
    """What the backup sets of a job, taken together, say."""

    INVISIBLE = "not visible"
    UNSETTLED = "neither Success nor Failed yet"
    UNAVAILABLE = "Success, but not available (IsAvail)"
    EXPIRED = "Success, but its expiry is past or within 15 minutes"
    PARTIAL = "Success, but not visible for each shard"
    SUCCESS = SUCCESS
    FAILED = FAILED


@dataclass(frozen=True)
class Observation:
    """What one poll saw.

    :ivar job: the row of this job, None when DescribeBackupTasks has none or was not asked.
    :ivar sets: the backup sets of this job: the original, full one of each shard, or one in all.
    :ivar shards: shards that the instance lists, whose sets are asked for one by one; none where one set is all.
    :ivar shards_shown: whether the service shows which shards there are, and whose set is whose.
    :ivar older: shards that have sets from before this backup, as far as that was asked.
    :ivar job_listed: whether DescribeBackupTasks covers this kind of instance, so that a missing row means something.
    :ivar named_set: the backup set whose own id was given for that of a job, where one is.
    :ivar error: the error that ended the poll; then nothing else counts.
    :ivar asked: the calls made, as ``Action (request id)``, for the text of a failure.
    """

    job: BackupJob | None = None
    sets: tuple[BackupSet, ...] = ()
    shards: tuple[str, ...] = ()
    shards_shown: bool = True
    older: frozenset[str] = frozenset()
    job_listed: bool = True
    named_set: BackupSet | None = None
    error: DdsError | None = None
    asked: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """The shards without a set, where it is shown whose set is whose."""
        if not self.shards_shown:
            return ()
        return tuple(shard for shard in self.shards if all(each.node_id != shard for each in self.sets))

    def set_state(self, now: float) -> SetState:
        """Return what the sets say together: one Failed fails all, and Success needs a good one of each shard.

        :param now: epoch seconds.
        """
        soon = datetime.fromtimestamp(now, tz=timezone.utc) + CLOCK_SKEW
        if not self.sets:
            return SetState.INVISIBLE
        if any(each.status == FAILED for each in self.sets):
            return SetState.FAILED
        if any(each.status != SUCCESS for each in self.sets):
            return SetState.UNSETTLED
        if any(each.available is False for each in self.sets):
            return SetState.UNAVAILABLE
        if any(each.expire_time is not None and each.expire_time <= soon for each in self.sets):
            return SetState.EXPIRED
        return SetState.PARTIAL if self.missing or not self.shards_shown else SetState.SUCCESS


def says_failed(status: str) -> bool:
    """Whether the status of a job says that it failed."""
    return _SAYS_FAILED.search(status) is not None


def is_known(status: str) -> bool:
    """Whether the status of a job is one whose meaning is clear."""
    return status in RUNNING or status == FINISHED or says_failed(status)
