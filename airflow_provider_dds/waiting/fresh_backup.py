"""The wait for a good backup that is fresh enough, whoever made it, without I/O and without a clock."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dds import arguments
from airflow_provider_dds.api.requests import describe_backup_policy
from airflow_provider_dds.exceptions import DdsError
from airflow_provider_dds.waiting.inventory.backup import BACKUP_MODES, Backup
from airflow_provider_dds.waiting.inventory.freshness import AGE_OF, Freshness, span
from airflow_provider_dds.waiting.inventory.listing import Inventory, read_inventory
from airflow_provider_dds.waiting.inventory.newest import name_of, newest_fit, why_none_fits
from airflow_provider_dds.waiting.records import read
from airflow_provider_dds.waiting.result import Outcome
from airflow_provider_dds.waiting.wait import Verdict, Wait

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_dds.api.models import DBInstance
    from airflow_provider_dds.api.requests import ApiCalls


@dataclass(kw_only=True)
class FreshBackupWait(Wait[Inventory]):
    """The state of a wait for a good backup that is fresh enough.

    :ivar max_age: seconds.
    :ivar age_of: what the age counts from: ``data``, the start of the backup, or ``end``.
    :ivar backup_modes: who may have made it.
    :ivar backup_methods: how it may have been made; None: in any way.
    :ivar min_size_ratio: least size, as a share of the median of the good ones before it; None: any size.
    :ivar min_days_left: days that it will be kept at the least.
    """

    kind: ClassVar[str] = "fresh_backup"
    good: ClassVar[str] = "there"
    db_instance_id: str
    max_age: float
    age_of: str = "data"
    backup_modes: tuple[str, ...] = BACKUP_MODES
    backup_methods: tuple[str, ...] | None = None
    min_size_ratio: float | None = None
    min_days_left: float = 0.0
    seen: Inventory | None = field(default=None, init=False)
    shown_last: str = field(default="", init=False)
    found: dict[str, Any] = field(default_factory=dict, init=False)
    listed_seconds: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._asked = Freshness(
            self.max_age,
            self.age_of,
            self.backup_modes,
            self.backup_methods,
            self.min_size_ratio,
            self.min_days_left,
        )
        self.listed_seconds = self._asked.looks_back

    def check(self) -> None:
        """Check what was stored of the wait.

        :raises DdsConfigurationError: an argument has no meaning.
        """
        super().check()
        arguments.seconds("max_age", self.max_age)
        arguments.one_of("age_of", self.age_of, AGE_OF)
        arguments.some_of("backup_modes", self.backup_modes, BACKUP_MODES)
        arguments.some_of("backup_methods", self.backup_methods, arguments.BACKUP_METHODS)
        arguments.share("min_size_ratio", self.min_size_ratio)
        arguments.days("min_days_left", self.min_days_left)

    def is_newest(self, backup: Mapping[str, Any]) -> bool:
        """Return True: it is the newest that is what is asked for."""
        return True

    @property
    def name(self) -> str:
        """What is waited for."""
        return f"A fresh backup of {self.db_instance_id}"

    @property
    def instance(self) -> DBInstance | None:
        """The instance, once a poll has asked for it."""
        return self.seen.instance if self.seen else None

    @property
    def calls_made(self) -> tuple[str, ...]:
        """The calls of the last answered poll."""
        return self.seen.asked if self.seen else ()

    def observe(self, now: float) -> ApiCalls[Inventory]:
        """Return the calls of one poll. A sharded instance is asked for anew, as its shards may change."""
        listed = yield from self._list(self._asked.looks_back, now)
        if now < self.deadline or newest_fit(listed.backups, self._asked, now):
            return listed
        # What follows serves the text alone: a call that fails says nothing of the backups.
        try:
            if self._asked.looks_back < self._asked.looks_back_further:
                listed = yield from self._list(self._asked.looks_back_further, now)
            policy = yield from describe_backup_policy(self.db_instance_id)
        except DdsError:
            return listed
        return replace(listed, next_due=policy.preferred_next_backup_time)

    def _list(self, looks_back: float, now: float) -> ApiCalls[Inventory]:
        known = self.instance
        listed = yield from read_inventory(
            self.db_instance_id,
            since=datetime.fromtimestamp(max(0.0, now - looks_back), tz=timezone.utc),
            now=now,
            instance=known if known and not known.is_sharded else None,
        )
        self.listed_seconds = looks_back
        return listed

    def judge(self, seen: Inventory, now: float) -> Verdict:
        """Return whether one of the backups that are listed is fresh enough."""
        self.seen = seen
        if (backup := newest_fit(seen.backups, self._asked, now)) is not None:
            age = self._asked.age(backup, now) or 0.0
            self.found = {**backup.facts(), "age_seconds": round(age)}
            return Verdict(Outcome.DONE, f"{name_of(backup)} is {span(age)} old")
        self.shown_last = "; ".join(
            why_none_fits(seen.backups, self._asked, now, since=self.listed_seconds, next_due=seen.next_due)
        )
        return Verdict(Outcome.WAIT, self.shown_last)

    def facts(self) -> dict[str, Any]:
        """Return the facts of the backup, with its age."""
        return self.found

    def subject(self) -> dict[str, Any]:
        """Return the instance, and of the newest backup that the last answered poll showed what it is."""
        newest = self._newest()
        return {
            "db_instance_id": self.db_instance_id,
            "backup_job_id": newest.backup_job_id if newest else None,
            "backup_id": newest.backup_id if newest else None,
            "status": newest.status if newest else None,
        }

    def _newest(self) -> Backup | None:
        return next((each for each in self.seen.backups if self._asked.counts(each)), None) if self.seen else None

    @property
    def seen_before(self) -> str:
        """What the last answered poll showed."""
        return self.shown_last

    def remembered(self) -> dict[str, Any]:
        """Return the failures in a row, and what was seen before them."""
        return {"failures": self.failures, "shown_last": self.shown_last}

    def recall(self, memory: Any) -> None:
        """Take over what :meth:`remembered` gave.

        :raises UnreadableError: it is of another version, or nothing that this package stored.
        """
        found = read(memory, {"failures": "count", "shown_last": "text"})
        self.failures, self.shown_last = found["failures"], found["shown_last"]
