"""The wait for one backup job, without I/O and without a clock. What decides is in :mod:`..waiting.backup`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dds.api.models import backup_facts
from airflow_provider_dds.waiting.backup.listings import Target
from airflow_provider_dds.waiting.backup.memory import Memory
from airflow_provider_dds.waiting.backup.observation import FINISHED, Observation
from airflow_provider_dds.waiting.backup.observe import observe_job
from airflow_provider_dds.waiting.backup.verdict import WaitPolicy, judge
from airflow_provider_dds.waiting.polling import Progress
from airflow_provider_dds.waiting.records import read_dataclass
from airflow_provider_dds.waiting.texts import duration
from airflow_provider_dds.waiting.wait import Wait

if TYPE_CHECKING:
    from airflow_provider_dds.api.models import BackupJob as Job
    from airflow_provider_dds.api.models import DBInstance
    from airflow_provider_dds.api.requests import ApiCalls
    from airflow_provider_dds.exceptions import DdsError
    from airflow_provider_dds.waiting.wait import Verdict


@dataclass(kw_only=True)
class BackupJobWait(Wait[Observation]):
    """The state of a wait for one backup job.

    :ivar confirm_backup_set: after Finished, look up the backup set.
    :ivar confirm_timeout: answered seconds for the set to become visible.
    :ivar not_found_grace: answered seconds that the job may be nowhere to be seen.
    :ivar memory: what has to be remembered from poll to poll.
    :ivar last: the last poll.
    """

    kind: ClassVar[str] = "backup_job"
    db_instance_id: str
    backup_job_id: str
    confirm_backup_set: bool = True
    confirm_timeout: float = 600.0
    not_found_grace: float = 300.0
    memory: Memory = field(default_factory=Memory, init=False)
    last: Observation | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        since = datetime.fromtimestamp(self.started_at, tz=timezone.utc)
        self._target = Target(self.db_instance_id, self.backup_job_id, since)

    @property
    def name(self) -> str:
        """The backup."""
        return f"Backup {self.backup_job_id} of {self.db_instance_id}"

    @property
    def instance(self) -> DBInstance | None:
        """The instance, once a poll has asked for it."""
        return self._target.instance

    @property
    def goes_on(self) -> str:
        """What becomes of the job: the service has no call to cancel one."""
        return (
            f"Backup job {self.backup_job_id} of {self.db_instance_id} goes on: the service cannot cancel it. Find it "
            "under Backup and Recovery of the instance."
        )

    def observe(self, now: float) -> ApiCalls[Observation]:
        """Return the calls of one poll."""
        start = self.memory.job_start
        target = replace(
            self._target,
            manual=self.memory.manual,
            almost_given_up=self._almost_given_up,
            job_start=None if start is None else datetime.fromtimestamp(start, tz=timezone.utc),
        )
        seen, self._target = yield from observe_job(target, confirm_backup_set=self.confirm_backup_set)
        return seen

    @property
    def _almost_given_up(self) -> bool:
        kept = self.memory
        return kept.lacking == "job" and kept.lacked_for + kept.planned_wait >= self.not_found_grace

    def judge(self, seen: Observation, now: float) -> Verdict:
        """Take in a poll, and return what the table of the verdict says of it."""
        policy = WaitPolicy(self.deadline, self.confirm_backup_set, self.confirm_timeout, self.not_found_grace)
        verdict, self.memory = judge(seen, self.memory, policy, now)
        self.last, self.failures = seen, self.memory.failures
        if seen.error is None:
            self.progress = self._progress_after(seen, now)
        return verdict

    def failed(self, error: DdsError, now: float, jitter: float) -> Verdict:
        """Take in a poll that failed, which is something seen, too."""
        return self.judge(Observation(error=error), now)

    def next_wait(self, now: float, jitter: float) -> float:
        """Return the seconds until the next poll, and remember them."""
        wait = super().next_wait(now, jitter)
        self.memory = replace(self.memory, planned_wait=wait)
        return wait

    def facts(self) -> dict[str, Any]:
        """Return the facts of the good backup."""
        job = (self.last.job if self.last else None) or self._target.job
        return backup_facts(self.db_instance_id, self.backup_job_id, job, self.last.sets if self.last else ())

    def subject(self) -> dict[str, Any]:
        """Return the backup as it was last seen."""
        facts = self.facts()
        return {name: facts[name] for name in ("db_instance_id", "backup_job_id", "backup_id", "status")}

    @property
    def calls_made(self) -> tuple[str, ...]:
        """The calls of the last poll."""
        return self.last.asked if self.last else ()

    @property
    def seen_before(self) -> str:
        """The job as it was last seen."""
        return _progress(self._target.job) if self._target.job else ""

    def shown(self, verdict: Verdict, now: float) -> str:
        """Return what a poll saw; of a job under way with its progress and the time it runs."""
        job = self.last.job if self.last else None
        if job is None or verdict.reason != job.status:
            return verdict.reason
        ran = now - job.start_time.timestamp() if job.start_time is not None else -1.0
        return _progress(job) + (f", running {duration(ran)}" if ran >= 0 else "")

    @property
    def remembers(self) -> bool:
        """Whether the next verdict depends on what was seen or not seen before."""
        return self.memory.misses > 0 or self.memory.set_seen

    def remembered(self) -> dict[str, Any]:
        """Return the memory as plain JSON."""
        return {**self.memory.to_json(), "progress": asdict(self.progress) if self.progress else None}

    def recall(self, memory: Any) -> None:
        """Take over the memory that :meth:`remembered` gave.

        :raises UnreadableError: it is of another version, or nothing that this package stored.
        """
        progress = memory.get("progress") if isinstance(memory, Mapping) else None
        kept = {name: memory[name] for name in memory if name != "progress"} if isinstance(memory, Mapping) else memory
        known = Memory.from_json(kept)
        shown = None if progress is None else read_dataclass(Progress, progress)
        self.memory, self.progress, self.failures = known, shown, known.failures

    def forget(self) -> None:
        """Go on with a wait whose earlier polls are forgotten: no shard counts as added since then."""
        self.memory = replace(self.memory, lost=True)

    def _progress_after(self, seen: Observation, now: float) -> Progress | None:
        """Return the progress of a backup that runs. Where no call lists it, it runs for all that can be seen."""
        job = seen.job
        if job.status == FINISHED if job else seen.job_listed:
            return None
        elapsed = max(0.0, now - self.started_at)
        ran = now - job.start_time.timestamp() if job and job.start_time else -1.0
        return (self.progress or Progress()).after(
            job.progress if job else None, elapsed=elapsed, ran=ran if ran >= 0 else elapsed
        )


def _progress(job: Job) -> str:
    return job.status if job.progress is None else f"{job.status} {job.progress} %"
