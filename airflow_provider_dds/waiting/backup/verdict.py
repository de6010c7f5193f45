"""What counts as done: a pure function of what was seen, what is remembered, the settings and the time.

No I/O, no clock of its own, no Airflow. :func:`judge` reads like the table in the documentation:

===============================================  ==================================================================
Seen                                             Verdict
===============================================  ==================================================================
my job Scheduled, Checking, Backuping            wait
my job Finished                                  confirm the set: Success, available and not expired = done; Failed =
                                                 failed; not visible for ``confirm_timeout`` = done, with a warning
my job in a word that says fail/error/cancel...  failed
my job in any other word                         wait, warn once a word
no row of mine                                   its set good = done, Failed = failed; else wait, and failed as
                                                 "not found" once unseen for ``not_found_grace``
failed poll, transient                           wait, until the deadline
failed poll, permanent                           failed at once, with that error
any of the waits, at the deadline                timed out
===============================================  ==================================================================

With a set for each shard, the set is good when that of each shard is. ``confirm_timeout`` and ``not_found_grace`` are
seconds in which the service answered and showed nothing, over two polls at least.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_provider_dds.api.errors import is_transient
from airflow_provider_dds.api.models import FAILED, SUCCESS
from airflow_provider_dds.waiting.backup.memory import Memory, remember
from airflow_provider_dds.waiting.backup.observation import FINISHED, RUNNING, Observation, SetState, says_failed
from airflow_provider_dds.waiting.result import Outcome
from airflow_provider_dds.waiting.wait import Verdict

if TYPE_CHECKING:
    from airflow_provider_dds.exceptions import DdsError


@dataclass(frozen=True)
class WaitPolicy:
    """The settings a verdict depends on.

    :ivar deadline: epoch seconds after which a wait has timed out.
    :ivar confirm_backup_set: look up the set after Finished.
    :ivar confirm_timeout: answered seconds after Finished for the set to become visible.
    :ivar not_found_grace: answered seconds that a job may be nowhere to be seen.
    """

    deadline: float
    confirm_backup_set: bool = True
    confirm_timeout: float = 600.0
    not_found_grace: float = 300.0


def judge(observed: Observation, memory: Memory, policy: WaitPolicy, now: float) -> tuple[Verdict, Memory]:
    """Return the verdict on a poll and what to remember for the next one.

    :param observed: what was seen.
    :param memory: what the poll before left; a new ``Memory()`` for the first.
    :param now: epoch seconds at the end of the poll.
    """
    after = remember(observed, memory, now)
    verdict = _by_the_table(observed, memory, after, policy, now)
    if verdict.outcome is Outcome.WAIT and now >= policy.deadline:
        verdict = replace(verdict, outcome=Outcome.TIMED_OUT)
    return verdict, after


def _by_the_table(observed: Observation, before: Memory, memory: Memory, policy: WaitPolicy, now: float) -> Verdict:
    job = observed.job
    if observed.error is not None:
        return _failed_poll(observed.error, memory)
    state = observed.set_state(now)
    if state is SetState.FAILED:
        return Verdict(Outcome.FAILED, f"its backup set {_set_ids(observed)} is Failed")
    if job is None:
        return _no_row(observed, state, memory, policy)
    if job.status in RUNNING:
        return Verdict(Outcome.WAIT, job.status)
    if job.status == FINISHED:
        return _finished(observed, state, memory, policy)
    if says_failed(job.status):
        return Verdict(Outcome.FAILED, f"its status is {job.status!r}")
    warning = None
    if job.status not in before.words:
        warning = f"The status {job.status!r} is none that the service documents; waiting on."
    return Verdict(Outcome.WAIT, job.status or "a row without a status", warning)


def _failed_poll(error: DdsError, memory: Memory) -> Verdict:
    if not is_transient(error):
        return Verdict(Outcome.ERROR, str(error), error=error)
    count = f" ({memory.failures} in a row)" if memory.failures > 1 else ""
    return Verdict(Outcome.WAIT, f"poll failed{count}: {str(error).rstrip('.')}", error=error)


def _finished(observed: Observation, state: SetState, memory: Memory, policy: WaitPolicy) -> Verdict:
    if not policy.confirm_backup_set:
        return Verdict(Outcome.DONE, "Finished")
    if state is SetState.SUCCESS:
        return Verdict(Outcome.DONE, f"Finished, backup set {_set_ids(observed)} is Success")
    if state is SetState.INVISIBLE and not memory.set_seen and _lasts(memory, policy.confirm_timeout):
        return Verdict(
            Outcome.DONE,
            "Finished",
            f"The job is Finished, but its backup set has not become visible within confirm_timeout "
            f"({policy.confirm_timeout:g} s); taken as done.",
        )
    if state is SetState.PARTIAL:
        return _not_of_each_shard(observed, memory, policy, "Finished, ")
    seen = ", though a set of it was visible before" if state is SetState.INVISIBLE and memory.set_seen else ""
    return Verdict(Outcome.WAIT, f"Finished, {_about_sets(observed, state)}{seen}")


def _no_row(observed: Observation, state: SetState, memory: Memory, policy: WaitPolicy) -> Verdict:
    if state is SetState.SUCCESS:
        return Verdict(Outcome.DONE, f"backup set {_set_ids(observed)} is Success")
    if state is SetState.PARTIAL:
        return _not_of_each_shard(observed, memory, policy, "")
    if not observed.job_listed or observed.sets:
        return Verdict(Outcome.WAIT, _about_sets(observed, state))
    unseen = f"{memory.lacked_for:.0f} s in which the service answered"
    if _lasts(memory, policy.not_found_grace):
        reason = f"neither the job nor a backup set of it was found for {unseen}"
        return Verdict(Outcome.NOT_FOUND, f"{reason}{_about_named_set(observed)}")
    return Verdict(Outcome.WAIT, f"not found for {unseen} (not_found_grace is {policy.not_found_grace:g} s)")


def _about_named_set(observed: Observation) -> str:
    named = observed.named_set
    if named is None:
        return ""
    job = f"its job is {named.backup_job_id}" if named.backup_job_id else "pass the id of the job that made it"
    return f". {named.backup_id} is the id of a backup set, not of a job: {job}"


def _not_of_each_shard(observed: Observation, memory: Memory, policy: WaitPolicy, begin: str) -> Verdict:
    """Judge sets that are good, but not there for each shard that the instance lists now.

    A shard that was there when the backup was made is waited for. One of which nothing says so may have been added
    later: then its set never comes. Where earlier polls are forgotten, they may have said so.
    """
    there = [shard for shard in observed.missing if memory.lost or shard in memory.shards or shard in observed.older]
    if there:
        return Verdict(Outcome.WAIT, f"{begin}no full backup set of shard {', '.join(there)} is visible")
    known = set(observed.shards) if memory.lost else set(memory.shards) & set(observed.shards)
    if not observed.shards_shown and len(observed.sets) < len(known):
        return Verdict(
            Outcome.WAIT, f"{begin}{len(observed.sets)} backup sets are visible for {len(observed.shards)} shards"
        )
    added = "which shards it is of is not shown"
    if observed.missing:
        added = f"none of shard {', '.join(observed.missing)}, which nothing shows to have been part of the backup"
    # Where no call lists jobs, other shards may still be at work, unless theirs are those that had sets before.
    over = observed.job_listed or bool(
        observed.missing and observed.older.issuperset(set(observed.shards) - set(observed.missing))
    )
    if over and _lasts(memory, policy.confirm_timeout):
        return Verdict(
            Outcome.DONE,
            f"{begin}backup set {_set_ids(observed)} is Success",
            f"The backup has good sets, but {added}, and that has not changed within confirm_timeout "
            f"({policy.confirm_timeout:g} s); taken as done.",
        )
    return Verdict(Outcome.WAIT, f"{begin}backup set {_set_ids(observed)} is Success, but {added}")


def _lasts(memory: Memory, seconds: float) -> bool:
    """Whether what is lacking has been so for some answered seconds, over two polls at least."""
    return memory.misses > 1 and memory.lacked_for >= seconds


def _about_sets(observed: Observation, state: SetState) -> str:
    if not observed.sets:
        return f"its backup set is {state.value}"
    said = state.value
    if state is SetState.UNSETTLED:
        words = sorted({each.status for each in observed.sets} - {SUCCESS, FAILED})
        said = f"{' and '.join(map(repr, words))}, which is {said}"
    return f"its backup set {_set_ids(observed)} is {said}"


def _set_ids(observed: Observation) -> str:
    return ", ".join(each.backup_id for each in observed.sets if each.backup_id) or "without an id"
