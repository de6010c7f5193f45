"""The wait for a good backup that is fresh enough, whoever made it, without I/O and without a clock."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dds import arguments
from airflow_provider_dds.api.requests import describe_backup_policy
from airflow_provider_dds.exceptions import DdsError
from airflow_provider_dds.waiting.inventory.backup import BACKUP_MODES, Backup, BackupState
from airflow_provider_dds.waiting.inventory.freshness import AGE_OF, Freshness, span
from airflow_provider_dds.waiting.inventory.listing import Inventory, read_inventory
from airflow_provider_dds.waiting.records import read
from airflow_provider_dds.waiting.result import Outcome
from airflow_provider_dds.waiting.wait import Verdict, Wait

if TYPE_CHECKING:
    from airflow_provider_dds.api.models import DBInstance
    from airflow_provider_dds.api.requests import ApiCalls

_DAY = 86_400.0
_FURTHER = 31 * _DAY
"""How much further back the backups are listed whose sizes are compared, and by the last poll, to name the newest."""
_MOST_NAMED = 3


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
        self.listed_seconds = self._looks_back
        self._asked = Freshness(
            self.max_age,
            self.age_of,
            self.backup_modes,
            self.backup_methods,
            self.min_size_ratio,
            self.min_days_left,
        )

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
        listed = yield from self._list(self._looks_back, now)
        if now < self.deadline or self._fresh(listed, now):
            return listed
        # What follows serves the text alone: a call that fails says nothing of the backups.
        try:
            if self._looks_back < self.max_age + _FURTHER:
                listed = yield from self._list(self.max_age + _FURTHER, now)
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
        if (backup := self._fresh(seen, now)) is not None:
            age = self._asked.age(backup, now) or 0.0
            self.found = {**backup.facts(), "age_seconds": round(age)}
            return Verdict(Outcome.DONE, f"{_name(backup)} is {span(age)} old")
        self.shown_last = "; ".join(self._none_yet(seen, now))
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

    def _fresh(self, seen: Inventory, now: float) -> Backup | None:
        """Return the newest backup that is what is asked for."""
        asked = [each for each in seen.backups if self._asked.counts(each)]
        return next((each for each in asked if self._asked.why_not(each, asked, now) is None), None)

    def _none_yet(self, seen: Inventory, now: float) -> list[str]:
        """Return in words the newest good backup, what was made since, what runs, and when the next one is due."""
        asked = [each for each in seen.backups if self._asked.counts(each)]
        newest = next((each for each in asked if each.good), None)
        since = asked if newest is None else asked[: asked.index(newest)]
        if newest is None:
            left_out = next((each for each in seen.backups if each.good and each not in asked), None)
            said = [f"no good backup has begun in the last {span(self.listed_seconds)}"]
            if left_out is not None:
                said = [f"the newest good backup, {_name(left_out)}, is left out by backup_modes or backup_methods"]
        else:
            said = [f"the newest good backup, {_name(newest)}, {self._asked.why_not(newest, asked, now)}"]
        said += [f"running now: {_name(each)}" for each in since if each.state is BackupState.RUNNING][:1]
        bad = [f"{_name(each)} {each.why_not}" for each in since if each.state is not BackupState.RUNNING]
        if bad:
            more = f" and {len(bad) - _MOST_NAMED} more" if len(bad) > _MOST_NAMED else ""
            said.append(f"{'since then' if newest else 'not good'}: {', '.join(bad[:_MOST_NAMED])}{more}")
        if seen.next_due is not None:
            said.append(f"the next automatic one is due at {seen.next_due:%Y-%m-%d %H:%M UTC}")
        return said

    @property
    def _looks_back(self) -> float:
        """For how many seconds before now a poll lists the backups."""
        if self.min_size_ratio is not None:
            return self.max_age + _FURTHER
        return self.max_age + min(max(self.max_age, _DAY), _FURTHER)


def _name(backup: Backup) -> str:
    """Return a backup as the console shows it: ``5664 (Automated, 2026-01-02 03:10 UTC)``."""
    began = backup.start_time.strftime("%Y-%m-%d %H:%M UTC") if backup.start_time else "start unknown"
    name = backup.backup_id or f"job {backup.backup_job_id}"
    return f"{name} ({backup.backup_mode or 'mode unknown'}, {began})"
