"""What counts as done: a pure function of what was seen, what is remembered, the settings and the time.

No I/O, no clock of its own, no Airflow. :func:`judge` reads like the table in the documentation:

===============================================  ==================================================================
Seen                                             Verdict
===============================================  ==================================================================
my job Scheduled, Checking, Backuping            wait
my job Finished                                  confirm the set: Success = done; Failed = failed; not visible within
                                                 ``confirm_timeout`` = done, with a warning
my job in a word that says fail/error/cancel...  failed
my job in any other word                         wait, warn once a word
no row of mine                                   its set Success = done, Failed = failed; else wait, and failed as
                                                 "not found" once unseen for ``not_found_grace``
failed look, transient                           wait, until the deadline
failed look, permanent                           failed at once, with that error
any of the waits, at the deadline                timed out
===============================================  ==================================================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING

from airflow_provider_dds.api_errors import is_transient
from airflow_provider_dds.models import FAILED, SUCCESS, BackupJob, BackupSet

if TYPE_CHECKING:
    from airflow_provider_dds.exceptions import DdsError

RUNNING = frozenset({"Scheduled", "Checking", "Backuping"})
FINISHED = "Finished"
_SAYS_FAILED = re.compile("fail|error|cancel|abort", re.IGNORECASE)


class Outcome(str, Enum):
    """How a look ends."""

    WAIT = "wait"
    DONE = "done"
    FAILED = "failed"
    NOT_FOUND = "not_found"
    TIMED_OUT = "timed_out"
    ERROR = "error"


class SetState(Enum):
    """What the backup sets of a job, taken together, say."""

    INVISIBLE = "not visible"
    UNSETTLED = "neither Success nor Failed yet"
    SUCCESS = SUCCESS
    FAILED = FAILED


@dataclass(frozen=True)
class Terms:
    """The settings a verdict depends on.

    :ivar deadline: epoch seconds after which a wait has timed out.
    :ivar confirm_backup_set: look up the set after Finished.
    :ivar confirm_timeout: seconds after Finished for the set to become visible.
    :ivar not_found_grace: seconds that a job may be nowhere to be seen.
    """

    deadline: float
    confirm_backup_set: bool = True
    confirm_timeout: float = 600.0
    not_found_grace: float = 300.0


@dataclass(frozen=True)
class Look:
    """What one look saw.

    :ivar job: the row of this job, None when DescribeBackupTasks has none or was not asked.
    :ivar sets: the backup sets of this job, each asked for by its id.
    :ivar sets_expected: how many sets make the backup whole: one, or one a shard.
    :ivar job_listed: whether DescribeBackupTasks covers this kind of instance, so that a missing row means something.
    :ivar error: the error that ended the look; then nothing else counts.
    :ivar asked: the calls made, as ``Action (request id)``, for the text of a failure.
    """

    job: BackupJob | None = None
    sets: tuple[BackupSet, ...] = ()
    sets_expected: int = 1
    job_listed: bool = True
    error: DdsError | None = None
    asked: tuple[str, ...] = ()

    @property
    def set_state(self) -> SetState:
        """What the sets say together: one Failed fails all, and Success needs every one."""
        if any(each.status == FAILED for each in self.sets):
            return SetState.FAILED
        if any(each.status != SUCCESS for each in self.sets):
            return SetState.UNSETTLED
        return SetState.SUCCESS if len(self.sets) >= self.sets_expected else SetState.INVISIBLE


@dataclass(frozen=True)
class Memory:
    """What has to be remembered from look to look; times in epoch seconds.

    :ivar first_asked_at: when the first look ended.
    :ivar last_seen_at: when the job or a set of it was last seen.
    :ivar finished_at: when the job was first seen Finished.
    :ivar misses: looks in a row that answered, but without the job or a set of it.
    :ivar failures: failed looks in a row.
    :ivar words: undocumented status words that were warned about.
    """

    first_asked_at: float | None = None
    last_seen_at: float | None = None
    finished_at: float | None = None
    misses: int = 0
    failures: int = 0
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """The end of a look.

    :ivar reason: what was seen, for people.
    :ivar warning: something the user should know although the wait goes on or the task succeeds.
    :ivar error: for ``Outcome.ERROR`` the error to raise; for a failed look that will be repeated, its error.
    """

    outcome: Outcome
    reason: str
    warning: str | None = None
    error: DdsError | None = field(default=None, compare=False)


def remember(look: Look, memory: Memory, now: float) -> Memory:
    """Return the memory after a look."""
    if look.error is not None:
        return replace(memory, failures=memory.failures + 1)
    seen = look.job is not None or bool(look.sets)
    word = look.job.status if look.job and not _is_known(look.job.status) else None
    finished = look.job is not None and look.job.status == FINISHED
    return replace(
        memory,
        first_asked_at=now if memory.first_asked_at is None else memory.first_asked_at,
        last_seen_at=now if seen else memory.last_seen_at,
        finished_at=now if finished and memory.finished_at is None else memory.finished_at,
        misses=0 if seen else memory.misses + 1,
        failures=0,
        words=memory.words if word is None or word in memory.words else (*memory.words, word),
    )


def judge(look: Look, memory: Memory, terms: Terms, now: float) -> tuple[Verdict, Memory]:
    """Return the verdict on a look and what to remember for the next one.

    :param look: what was seen.
    :param memory: what the look before left; a new ``Memory()`` for the first.
    :param now: epoch seconds at the end of the look.
    """
    after = remember(look, memory, now)
    verdict = _by_the_table(look, memory, after, terms, now)
    if verdict.outcome is Outcome.WAIT and now >= terms.deadline:
        verdict = replace(verdict, outcome=Outcome.TIMED_OUT)
    return verdict, after


def _by_the_table(look: Look, before: Memory, memory: Memory, terms: Terms, now: float) -> Verdict:
    job = look.job
    if look.error is not None:
        return _failed_look(look.error, memory)
    if look.set_state is SetState.FAILED:
        return Verdict(Outcome.FAILED, f"its backup set {_set_ids(look)} is Failed")
    if job is None:
        return _no_row(look, memory, terms, now)
    if job.status in RUNNING:
        return Verdict(Outcome.WAIT, job.status)
    if job.status == FINISHED:
        return _finished(look, memory, terms, now)
    if _SAYS_FAILED.search(job.status):
        return Verdict(Outcome.FAILED, f"its status is {job.status!r}")
    warning = None
    if job.status not in before.words:
        warning = f"The status {job.status!r} is none that the service documents; waiting on."
    return Verdict(Outcome.WAIT, job.status or "a row without a status", warning)


def _failed_look(error: DdsError, memory: Memory) -> Verdict:
    if not is_transient(error):
        return Verdict(Outcome.ERROR, str(error), error=error)
    count = f" ({memory.failures} in a row)" if memory.failures > 1 else ""
    return Verdict(Outcome.WAIT, f"look failed{count}: {str(error).rstrip('.')}", error=error)


def _finished(look: Look, memory: Memory, terms: Terms, now: float) -> Verdict:
    if not terms.confirm_backup_set:
        return Verdict(Outcome.DONE, "Finished")
    state = look.set_state
    if state is SetState.SUCCESS:
        return Verdict(Outcome.DONE, f"Finished, backup set {_set_ids(look)} is Success")
    waited = now - (now if memory.finished_at is None else memory.finished_at)
    if state is SetState.INVISIBLE and waited >= terms.confirm_timeout:
        return Verdict(
            Outcome.DONE,
            "Finished",
            f"The job is Finished, but its backup set has not become visible within confirm_timeout "
            f"({terms.confirm_timeout:g} s); taken as done.",
        )
    return Verdict(Outcome.WAIT, f"Finished, its backup set is {state.value}")


def _no_row(look: Look, memory: Memory, terms: Terms, now: float) -> Verdict:
    state = look.set_state
    if state is SetState.SUCCESS:
        return Verdict(Outcome.DONE, f"backup set {_set_ids(look)} is Success")
    if not look.job_listed or look.sets:
        return Verdict(Outcome.WAIT, f"its backup set is {state.value}")
    since = memory.last_seen_at if memory.last_seen_at is not None else memory.first_asked_at
    unseen = now - (now if since is None else since)
    # One miss after a sight is not enough: it may be the first answer after an outage longer than the grace.
    if unseen >= terms.not_found_grace and (memory.misses > 1 or memory.last_seen_at is None):
        return Verdict(Outcome.NOT_FOUND, f"neither the job nor a backup set of it was found for {unseen:.0f} s")
    return Verdict(Outcome.WAIT, f"not found for {unseen:.0f} s (not_found_grace is {terms.not_found_grace:g} s)")


def _set_ids(look: Look) -> str:
    return ", ".join(each.backup_id for each in look.sets if each.backup_id) or "without an id"


def _is_known(status: str) -> bool:
    return status in RUNNING or status == FINISHED or _SAYS_FAILED.search(status) is not None
