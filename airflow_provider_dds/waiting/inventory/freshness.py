"""What makes a good backup fresh enough: its age, who made it and how, its size, and how long it will be kept. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from airflow_provider_dds.waiting.backup.observation import CLOCK_SKEW
from airflow_provider_dds.waiting.inventory.backup import BACKUP_MODES, BackupState
from airflow_provider_dds.waiting.texts import duration

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from airflow_provider_dds.waiting.inventory.backup import Backup

AGE_OF = ("data", "end")
"""What an age counts from: the start of the backup, as its data is of then, or its end."""
MOST_COMPARED = 7
"""How many backups a size is compared with at most."""
_DAY = 86_400.0
FURTHER = 31 * _DAY
"""How much further back the backups are listed whose sizes are compared, and to name the newest one."""


@dataclass(frozen=True)
class Freshness:
    """What is asked of a good backup.

    :ivar max_age: seconds.
    :ivar age_of: what the age counts from, ``data`` or ``end``.
    :ivar backup_modes: who may have made it.
    :ivar backup_methods: how it may have been made; None: in any way.
    :ivar min_size_ratio: least size, as a share of the median of the good ones before it; None: any size.
    :ivar min_days_left: days that it will be kept at the least.
    """

    max_age: float
    age_of: str = "data"
    backup_modes: Collection[str] = BACKUP_MODES
    backup_methods: Collection[str] | None = None
    min_size_ratio: float | None = None
    min_days_left: float = 0.0

    @property
    def looks_back(self) -> float:
        """For how many seconds before now backups have to be listed to tell."""
        if self.min_size_ratio is not None:
            return self.max_age + FURTHER
        return self.max_age + min(max(self.max_age, _DAY), FURTHER)

    @property
    def looks_back_further(self) -> float:
        """For how many seconds before now they are listed to name the newest one, where none is what is asked for."""
        return self.max_age + FURTHER

    def counts(self, backup: Backup) -> bool:
        """Whether a backup is one of those that are asked for, good or not. A job without a set has no method yet."""
        methods = self.backup_methods
        named = backup.backup_method in methods if methods is not None and (backup.backup_id or backup.good) else True
        return backup.is_of(self.backup_modes) and named

    def age(self, backup: Backup, now: float) -> float | None:
        """Return the age of a backup in seconds; None where the service does not say when it was made.

        Its clock may be ahead of this one; what is further ahead than that says nothing of an age.
        """
        moment = backup.end_time if self.age_of == "end" else backup.start_time
        if moment is None or moment.timestamp() - now > CLOCK_SKEW.total_seconds():
            return None
        return max(0.0, now - moment.timestamp())

    def why_not(self, backup: Backup, backups: Iterable[Backup], now: float) -> str | None:
        """Return in words why a backup is not what is asked for, None where it is.

        :param backups: all that are known, to compare its size with.
        :param now: epoch seconds.
        """
        if not backup.good:
            return f"is not good ({backup.why_not})"
        age = self.age(backup, now)
        if age is None:
            return "is of unknown age"
        if age > self.max_age:
            return f"is {span(age)} old, more than max_age ({span(self.max_age)})"
        return self._too_small(backup, backups) or self._too_short(backup, now)

    def _too_small(self, backup: Backup, backups: Iterable[Backup]) -> str | None:
        if self.min_size_ratio is None:
            return None
        if backup.size_bytes is None:
            return "is of unknown size, which min_size_ratio asks for"
        sizes = [
            each.size_bytes
            for each in backups
            if (each.good or each.state is BackupState.EXPIRED)
            and self.counts(each)
            and each.backup_method == backup.backup_method
            if each.size_bytes is not None
            if each.start_time and backup.start_time and each.start_time < backup.start_time
        ][:MOST_COMPARED]
        usual = median(sizes) if sizes else 0
        if backup.size_bytes and backup.size_bytes >= self.min_size_ratio * usual:
            return None
        return (
            f"has {backup.size_bytes} bytes, less than min_size_ratio ({self.min_size_ratio:g}) of {usual:.0f}, the "
            f"median of the {len(sizes)} before it"
        )

    def _too_short(self, backup: Backup, now: float) -> str | None:
        if not self.min_days_left:
            return None
        if backup.expire_time is None:
            return "does not say when it expires, which min_days_left asks for"
        left = (backup.expire_time.timestamp() - now) / _DAY
        if left >= self.min_days_left:
            return None
        return f"is kept for {left:.1f} days more, less than min_days_left ({self.min_days_left:g})"


def span(seconds: float) -> str:
    """Return a span as people write it, a long one in days: ``45s``, ``2h05m``, ``3d 02h``."""
    if seconds < 2 * _DAY:
        return duration(seconds)
    days, rest = divmod(round(seconds / 3600), 24)
    return f"{days}d {rest:02d}h"
