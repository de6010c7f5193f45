"""The wait for one backup, without I/O and without a clock: look, conclude, know when to look again.

Whoever waits (sensor, trigger, operator) drives a :class:`BackupWatch`::

    look = watch.look_with(hook.run)       # or: await watch.alook_with(hook.arun)
    verdict = watch.conclude(look, now)    # to wait: sleep watch.next_wait(now, jitter), and look again
"""

from __future__ import annotations

import logging
from copy import copy
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow_provider_dds.exceptions import (
    DdsApiError,
    DdsBackupFailedError,
    DdsBackupNotFoundError,
    DdsError,
    DdsTimeoutError,
    error_from_json,
)
from airflow_provider_dds.look import Target, look_at
from airflow_provider_dds.models import backup_facts
from airflow_provider_dds.polling import PollPlan, Progress, next_wait
from airflow_provider_dds.verdict import FINISHED, Look, Memory, Outcome, Terms, Verdict, judge

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from airflow_provider_dds.models import BackupJob, DBInstance
    from airflow_provider_dds.operations import Steps


@dataclass(frozen=True)
class Ending:
    """How a wait ended, as plain JSON can carry it from the triggerer to a worker.

    :ivar backup: the facts of the good backup, for ``Outcome.DONE``.
    :ivar text: the full story, for people.
    :ivar error: the API error that ended the wait, for ``Outcome.ERROR``.
    """

    outcome: Outcome
    text: str
    backup: dict[str, Any] | None = None
    error: DdsError | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the ending as plain JSON."""
        return {
            "outcome": self.outcome.value,
            "text": self.text,
            "backup": self.backup,
            "error": self.error.to_json() if self.error else None,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Ending:
        """Return the ending that :meth:`to_json` gave."""
        error = data.get("error")
        return cls(
            Outcome(data["outcome"]),
            data["text"],
            data.get("backup"),
            error_from_json(error) if error else None,
        )

    def result(self, advice: Mapping[Outcome, str]) -> dict[str, Any]:
        """Return the facts of the backup, or raise the error that the ending stands for.

        :param advice: what whoever waits says to do about each ending that has no error of its own.
        :raises DdsBackupFailedError: the job or its set failed.
        :raises DdsBackupNotFoundError: neither can be found.
        :raises DdsTimeoutError: the deadline passed.
        :raises DdsError: the API refused a look for good.
        """
        if self.outcome is Outcome.DONE and self.backup is not None:
            return self.backup
        if self.error is not None:
            raise self.error
        kinds = {Outcome.FAILED: DdsBackupFailedError, Outcome.NOT_FOUND: DdsBackupNotFoundError}
        raise kinds.get(self.outcome, DdsTimeoutError)(f"{self.text} {advice[self.outcome]}")


@dataclass
class BackupWatch:
    """The state of a wait for one backup job.

    :ivar started_at: epoch seconds at which the wait began.
    :ivar memory: what has to be remembered from look to look.
    :ivar progress: how the backup gets on, None while it is not known to run; it spaces the looks and never decides.
    :ivar last: the last look.
    """

    db_instance_id: str
    backup_job_id: str
    terms: Terms
    plan: PollPlan
    started_at: float
    memory: Memory = field(default_factory=Memory, init=False)
    progress: Progress | None = field(default=None, init=False)
    last: Look | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        since = datetime.fromtimestamp(self.started_at, tz=timezone.utc)
        self._target = Target(self.db_instance_id, self.backup_job_id, since)

    @property
    def instance(self) -> DBInstance | None:
        """The instance, once a look has asked for it."""
        return self._target.instance

    def look(self) -> Steps[Look]:
        """Return the steps of one look, for the hook to run."""
        look, self._target = yield from look_at(self._target, confirm_backup_set=self.terms.confirm_backup_set)
        return look

    def look_with(self, run: Callable[[Steps[Look]], Look]) -> Look:
        """Look once, by ``hook.run``; an error of the API is something seen, too."""
        try:
            return run(self.look())
        except DdsError as error:
            return Look(error=error)

    async def alook_with(self, arun: Callable[[Steps[Look]], Awaitable[Look]]) -> Look:
        """Look once, by ``hook.arun``."""
        try:
            return await arun(self.look())
        except DdsError as error:
            return Look(error=error)

    def conclude(self, look: Look, now: float) -> Verdict:
        """Take in a look and return what it means."""
        verdict, self.memory = judge(look, self.memory, self.terms, now)
        self.last = look
        if look.error is None:
            self.progress = self._progress_after(look, now)
        return verdict

    def next_wait(self, now: float, jitter: float) -> float:
        """Return the seconds until the next look; ``jitter`` is a random number from 0 to 1."""
        return next_wait(
            self.plan,
            elapsed=now - self.started_at,
            left=self.terms.deadline - now,
            failures=self.memory.failures,
            jitter=jitter,
            progress=self.progress,
        )

    @property
    def remembers(self) -> bool:
        """Whether the next verdict depends on when something was seen, so that the memory must not be lost."""
        return self.memory.finished_at is not None or self.memory.misses > 0

    def report(self, log: Any, verdict: Verdict, now: float, wait: float | None) -> None:
        """Log one line for a look that does not end the wait; at warning where it failed or showed something odd."""
        log.log(logging.WARNING if verdict.error else logging.INFO, "%s", self.line(verdict, now, wait))
        if verdict.warning:
            log.warning("%s", verdict.warning)

    def line(self, verdict: Verdict, now: float, wait: float | None) -> str:
        """Return the log line of a look: ``Backup 17 of dds-x: Backuping 18 %, running 3m10s; next look in 30s``."""
        seen = self._seen(verdict, now)
        if verdict.error is not None and self.memory.failures > 1:
            seen = f"look failed ({self.memory.failures} in a row): {brief(verdict.error)}"
        then = "" if wait is None else f"; next look in {duration(wait)}"
        return f"Backup {self._name}: {seen.rstrip('.')}{then}"

    def ending(self, verdict: Verdict, now: float) -> Ending:
        """Return the ending for a verdict that is not to wait."""
        waited = f"after {duration(now - self.started_at)} of waiting"
        asked = f" Asked (request ids): {', '.join(self.last.asked)}." if self.last and self.last.asked else ""
        name = f"Backup {self._name}"
        if verdict.outcome is Outcome.DONE:
            job = (self.last.job if self.last else None) or self._target.job
            sets = self.last.sets if self.last else ()
            facts = backup_facts(self.db_instance_id, self.backup_job_id, job, sets)
            warning = f" Warning: {verdict.warning}" if verdict.warning else ""
            return Ending(verdict.outcome, f"{name} is good {waited}: {verdict.reason}.{warning}", facts)
        if verdict.outcome is Outcome.ERROR:
            said = f"{name} cannot be watched. {verdict.reason}"
            error = copy(verdict.error) or DdsError()
            error.args = (said,)
            return Ending(verdict.outcome, said, error=error)
        if verdict.outcome is Outcome.FAILED:
            said = f"failed {waited}: {verdict.reason}"
        elif verdict.outcome is Outcome.NOT_FOUND:
            said = f"does not show {waited}: {verdict.reason}"
        elif verdict.error is not None:
            before = self._target.job
            seen = f". Seen before that: {_progress(before)}" if before else ""
            said = f"was not good at its deadline, {waited}. The last {verdict.reason}{seen}"
        else:
            said = f"was not good at its deadline, {waited}. Last look: {self._seen(verdict, now)}"
        return Ending(verdict.outcome, f"{name} {said}.{asked}")

    def remembered(self) -> dict[str, Any]:
        """Return the memory as plain JSON, for a later process that goes on with this wait."""
        progress = asdict(self.progress) if self.progress else None
        return {**asdict(self.memory), "words": list(self.memory.words), "progress": progress}

    def recall(self, memory: dict[str, Any]) -> None:
        """Take over the memory that :meth:`remembered` gave, in this version or an older one."""
        known = {**memory, "words": tuple(memory.get("words", ()))}
        progress = known.pop("progress", None)
        self.memory, self.progress = Memory(**known), Progress(**progress) if progress else None

    def _progress_after(self, look: Look, now: float) -> Progress | None:
        """Return the progress of a backup that runs. Where no call lists it, it runs for all that can be seen."""
        job = look.job
        if job.status == FINISHED if job else look.job_listed:
            return None
        elapsed = max(0.0, now - self.started_at)
        ran = now - job.start_time.timestamp() if job and job.start_time else -1.0
        return (self.progress or Progress()).after(
            job.progress if job else None, elapsed=elapsed, ran=ran if ran >= 0 else elapsed
        )

    def _seen(self, verdict: Verdict, now: float) -> str:
        """Return what a look saw; of a job under way with its progress and the time it runs."""
        job = self.last.job if self.last else None
        if job is None or verdict.reason != job.status:
            return verdict.reason
        ran = now - job.start_time.timestamp() if job.start_time is not None else -1.0
        return _progress(job) + (f", running {duration(ran)}" if ran >= 0 else "")

    @property
    def _name(self) -> str:
        return f"{self.backup_job_id} of {self.db_instance_id}"


def _progress(job: BackupJob) -> str:
    return job.status if job.progress is None else f"{job.status} {job.progress} %"


def brief(error: DdsError) -> str:
    """Return an error without the advice, which the log has already given."""
    if isinstance(error, DdsApiError):
        code = error.code or f"HTTP {error.http_status}"
        return f"{error.action} failed with {code}, request id {error.request_id or 'none'}"
    return str(error).partition(". ")[0]


def duration(seconds: float) -> str:
    """Return a span as people write it: ``45s``, ``3m10s``, ``2h05m``."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
