"""What really happened, to hold a task's word against: which jobs it may take, and what explains its errors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSensorTimeout

from airflow_provider_dds import exceptions as errors
from airflow_provider_dds.creation import SKEW_ALLOWANCE
from airflow_provider_dds.emulator import InstanceKind
from tests.faults.schedule import FAULTS, PERMANENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_dds.emulator import JobState
    from tests.faults.story import Call, Story, Try

LOSES_THE_ANSWER = tuple(name for name in FAULTS if not name.startswith("throttled") and name not in PERMANENT)
"""Faults after which the fate of a create is unknown to whoever sent it."""


def state_of(jobs: list[JobState], named: Any) -> JobState | None:
    """Return the job of an id: its own, one of its shards', or that of a set it makes."""
    return next((state for state in jobs if str(named) in (*state.job.ids, *set_ids(state))), None)


def set_ids(state: JobState) -> list[str]:
    """Return the ids of the sets that a job makes, as its listing has them."""
    cluster = state.job.cluster_backup_id
    return [cluster] if cluster else [ids.backup_id for ids in state.job.sets]


def shows(call: Call, state: JobState) -> bool:
    """Whether an answer that came back whole had a sign of a job."""
    job = state.job
    names = {*job.ids, *set_ids(state), *(ids.backup_id for ids in job.sets), job.history_id}
    return call.body is not None and any(name in call.body for name in names)


def no_source_could_tell(story: Story, earlier: Call, later: Call) -> bool:
    """Whether a job was over before the next request, and no answer in between showed a sign of it.

    The service then says nothing of it and takes the next request: nobody could know of the first. That another
    request was refused because a backup runs would be a sign.
    """
    state = state_of(story.tries[-1].jobs, earlier.made)
    over = state.look.ended is not None and state.look.ended <= later.time
    between = story.calls[story.calls.index(earlier) + 1 : story.calls.index(later)]
    refused = any((call.request.code or "").endswith("BackupJobExists") for call in between)
    return over and not refused and not any(shows(call, state) for call in between)


def may_return(story: Story, number: int) -> set[str]:
    """Return the jobs that a try of the operator may return: those it made, and those it may adopt."""
    this = story.tries[number]
    until = [each for each in story.tries[: number + 1] if each.task == "operator"]
    calls = [(each, call) for each in until for call in story.calls_of(each)]
    own = {call.made for each, call in calls if call.made and each.generation == this.generation}
    old = {call.made for each, call in calls if call.made and each.generation < this.generation}
    doubts = [call.time for _, call in calls if call.action == "CreateBackup" and in_doubt(story, call)]
    doubts += [each.record["asked_since"] for each in until if each.record and each.record.get("asked_since")]
    for state in this.jobs:
        job, look = state.job, state.look
        overlaps = job.created <= this.ended and (look.ended is None or look.ended >= this.began)
        if overlaps and (job.job_id in old or story.schedule.operator.if_backup_running == "adopt"):
            own.add(job.job_id)
        if doubts and job.mode == "Manual" and look.started >= min(doubts) - SKEW_ALLOWANCE:
            own.add(job.job_id)
    return own


def in_doubt(story: Story, call: Call) -> bool:
    """Whether whoever sent a create could not know what became of it."""
    return call.died or call.fault in LOSES_THE_ANSWER or story.schedule.readings.create_returns == "neither"


def explained(story: Story, number: int, kind: type[BaseException]) -> bool:
    """Whether what struck a try, or a reading of the service, explains an error of some kind."""
    return any(issubclass(kind, each) and cause(story, story.tries[number]) for each, cause in CAUSES)


def _met(*faults: str) -> Callable[[Story, Try], bool]:
    return lambda story, this: any(call.fault in faults for call in story.calls_of(this))


def _answered(*codes: str) -> Callable[[Story, Try], bool]:
    return lambda story, this: any(call.request.code in codes for call in story.calls_of(this))


def _late(_: Story, this: Try) -> bool:
    return this.ended >= this.deadline - 1


def _late_and_not_overlooked(story: Story, this: Try) -> bool:
    """Time is up, and the last answer that named the job's set did not say that it is good."""
    state = state_of(this.jobs, story.asked_for(this))
    whole = story.schedule.kind not in (InstanceKind.CLOUD_CLUSTER, InstanceKind.CLOUD_SHARDED)
    answers = [call.body for call in story.calls_of(this) if call.action == "DescribeBackups" and call.body]
    rows = json.loads(answers[-1])["Backups"]["Backup"] if answers and whole and state else []
    good = [row for row in rows if row["BackupId"] in set_ids(state) and row["BackupStatus"] == "Success"]
    return _late(story, this) and not good


def _failed(_: Story, this: Try) -> bool:
    return any(state.look.phase.value == "Failed" or state.job.outcome.backup_set == "Failed" for state in this.jobs)


def _not_to_be_seen(story: Story, this: Try) -> bool:
    """The last looks that were answered showed neither the job nor a set of it."""
    readings = story.schedule.readings
    asked = story.asked_for(this)
    state = state_of(this.jobs, asked)
    late = [call for call in story.calls_of(this)[-4:] if call.action.startswith("DescribeBackup")]
    named_by_its_set = readings.create_returns == "backup_id" and readings.create_backup_id == "set_id"
    return state is None or named_by_its_set or not any(shows(call, state) for call in late)


def _unsettled(story: Story, this: Try) -> bool:
    """Several backups fit a create, or none of them has a name, or the service did not answer, or time is up."""
    tries = story.tries[: story.tries.index(this) + 1]
    creates = [call.time for each in tries for call in story.calls_of(each) if call.action == "CreateBackup"]
    since = min(creates, default=this.began) - SKEW_ALLOWANCE
    fits = [state for state in this.jobs if state.job.mode == "Manual" and state.look.started >= since]
    several = len(fits) > 1 or any(len(state.job.ids) > 1 for state in fits)
    listings = [call for call in story.calls_of(this) if call.action in ("DescribeBackupTasks", "DescribeBackups")]
    nameless = not any(call.body and state.job.job_id in call.body for call in listings for state in fits)
    nameless |= story.schedule.kind is InstanceKind.CLOUD_CLUSTER  # its sets name no job
    calls = story.calls_of(this)
    last = max((number for number, call in enumerate(calls) if call.action == "CreateBackup"), default=-1)
    unanswered = any(call.fault for call in calls[last + 1 :])
    return several or nameless or unanswered or _late(story, this)


CAUSES: tuple[tuple[type[BaseException], Callable[[Story, Try], bool]], ...] = (
    (errors.DdsAccessDeniedError, _met(*PERMANENT)),
    (errors.DdsThrottledError, _met(*(name for name in FAULTS if name.startswith("throttled")))),
    (errors.DdsTransportError, _met(*LOSES_THE_ANSWER)),
    (errors.DdsResponseError, _met(*LOSES_THE_ANSWER)),
    (errors.DdsServiceError, _met(*LOSES_THE_ANSWER)),
    (errors.DdsBackupRunningError, lambda story, _: story.schedule.operator.if_backup_running == "fail"),
    (errors.DdsInvalidRequestError, _answered("BackupTimesExceeded", "InvalidBackupMethod.ValueNotSupport")),
    (errors.DdsTimeoutError, _late_and_not_overlooked),
    (AirflowSensorTimeout, _late_and_not_overlooked),
    (errors.DdsBackupFailedError, _failed),
    (errors.DdsBackupNotFoundError, _not_to_be_seen),
    (errors.DdsBackupOutcomeUnknownError, _unsettled),
)
"""Kinds of error and what has to have happened. A kind that is not here is never right."""
