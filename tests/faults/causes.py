"""What really happened, to hold a task's word against: which jobs it may take, and what explains its errors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSensorTimeout, AirflowTaskTimeout

from airflow_provider_dds import exceptions as errors
from airflow_provider_dds.api.models import SUCCESS, BackupSet
from airflow_provider_dds.emulator import InstanceKind
from tests.faults.faults import FAULTS, PERMANENT
from tests.faults.wire_schedule import meaning_one_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_dds.emulator import JobState
    from tests.faults.story import Call, Story, Try

LOSES_THE_ANSWER = (
    *(name for name in FAULTS if not name.startswith("throttled") and name not in PERMANENT),
    *meaning_one_of("lost"),
)
"""Faults after which the fate of a create is unknown to whoever sent it."""
SKEW = 900.0
"""Seconds by which the two clocks may differ: the service takes no request that is further off."""


def state_of(jobs: list[JobState], named: Any) -> JobState | None:
    """Return the job of an id: its own, one of its shards', or that of a set it makes."""
    return next((state for state in jobs if str(named) in (*state.job.ids, *set_ids(state))), None)


def set_ids(state: JobState) -> list[str]:
    """Return the ids of the sets that a job makes, as its listing has them."""
    cluster = state.job.cluster_backup_id
    return [cluster] if cluster else [ids.backup_id for ids in state.job.sets]


def is_told_of_no_instance(call: Call) -> bool:
    """Whether an answer that came back whole says that there is no such instance."""
    passes = call.fault is None or call.body is not None
    if not passes or (call.request.code or "").endswith("InstanceId.NotFound"):
        return passes
    asked = call.action == "DescribeDBInstanceAttribute" and call.body
    return bool(asked) and not json.loads(call.body).get("DBInstances", True)


def may_see_sets(story: Story) -> bool:
    """Whether sets can be asked for at all: not where shards must be named and do not show."""
    readings = story.schedule.readings
    sharded = story.schedule.kind is InstanceKind.CLOUD_SHARDED
    return not sharded or readings.shard_list or readings.shard_node_id == "optional"


def shows(call: Call, state: JobState) -> bool:
    """Whether an answer that came back whole had a sign of a job."""
    job = state.job
    names = {*job.ids, *set_ids(state), *(ids.backup_id for ids in job.sets), job.history_id}
    return call.body is not None and any(name in call.body for name in names)


def nothing_told_it_from_its_twin(story: Story, this: Try, state: JobState) -> bool:
    """Whether an automatic row of a job's id was all that a wait knew of it: then the job may be that one."""
    plan = story.plan_of(this)
    forgets = story.restarts > 0 or not plan.has_store
    rows = [row for call in this.calls if call.body for row in _rows(json.loads(call.body))]
    own = [
        row
        for row in rows
        if {row.get("BackupId"), row.get("ClusterBackupId")} & {*set_ids(state)}
        or (row.get("JobMode") == "Manual" and str(row["BackupjobId"]).strip().removesuffix(".0") in state.job.ids)
    ]
    return story.schedule.readings.automatic_twin != "none" and (forgets or not own)


def _rows(body: dict[str, Any]) -> list[dict[str, Any]]:
    return [*body.get("BackupJobs", ()), *body.get("Backups", {}).get("Backup", ()), *body.get("ClusterBackups", ())]


def no_source_could_tell(story: Story, earlier: Call, later: Call) -> bool:
    """Whether a job was over before the next request, and no answer in between showed a sign of it.

    The service then says nothing of it and takes the next request: nobody could know of the first. That another
    request was refused because a backup runs would be a sign.
    """
    state = state_of(story.jobs, earlier.made)
    over = state.look.ended is not None and state.look.ended <= later.time
    between = story.calls[story.calls.index(earlier) + 1 : story.calls.index(later)]
    refused = any((call.request.code or "").endswith("BackupJobExists") for call in between)
    return over and not refused and not any(shows(call, state) for call in between)


def of_generation(story: Story, generation: int) -> list[Try]:
    """Return the tries of the operator between two clears."""
    return [each for each in story.tries if each.task == "operator" and each.generation == generation]


def old_jobs(story: Story, generation: int) -> set[str]:
    """Return the jobs that a task had before its last clear and that then still ran."""
    before = [each for number in range(generation) for each in of_generation(story, number)]
    named = {str(each.value) for each in before if each.ending == "returned"}
    named |= {call.made for each in before for call in each.calls if call.made}
    began = of_generation(story, generation)[0].began
    states = [state for name in named if (state := state_of(story.jobs, name))]
    return {state.job.job_id for state in states if state.look.ended is None or state.look.ended >= began}


def may_return(story: Story, this: Try) -> set[str]:
    """Return the jobs that a try of the operator may return: those it made, and those it may adopt."""
    tries = of_generation(story, this.generation)
    until = tries[: tries.index(this) + 1]
    own = {call.made for each in until for call in each.calls if call.made} | old_jobs(story, this.generation)
    doubt = first_doubt(story, until)
    began = tries[0].began
    before = [each for number in range(this.generation) for each in of_generation(story, number)]
    old_doubt = first_doubt(story, before)
    for state in this.jobs:
        job, look = state.job, state.look
        overlaps = job.created <= this.ended and (look.ended is None or look.ended >= this.began)
        if overlaps and story.schedule.operator.if_backup_running == "adopt":
            own.add(job.job_id)
        if doubt is not None and job.mode == "Manual" and job.created >= doubt - 2 * SKEW:
            seen_before = any(shows(call, state) for each in until for call in each.calls if call.time < doubt)
            if job.created >= doubt or not seen_before:
                own.add(job.job_id)
        ran_on = job.created <= began and (look.ended is None or look.ended >= began)
        if old_doubt is not None and job.mode == "Manual" and ran_on and job.created >= old_doubt - 2 * SKEW:
            own.add(job.job_id)  # nothing tells it from the one that was asked for
    return own


def first_doubt(story: Story, tries: list[Try]) -> float | None:
    """Return when a request was first sent, or meant to be, of which whoever goes on cannot know what became of it."""
    doubts = [call.time for each in tries for call in each.calls if in_doubt(story, call)]
    cut_off = [each for each in tries if each.ending == "killed" or each.frozen or ended_by_airflow(each)]
    doubts += [time for each in cut_off for time in each.stored]
    return min(doubts, default=None)


def ended_by_airflow(each: Try) -> bool:
    """Whether a process of a try was over its ``execution_timeout``."""
    return isinstance(each.error, AirflowTaskTimeout)


def in_doubt(story: Story, call: Call) -> bool:
    """Whether whoever sent a create could not know what became of it."""
    lost = call.died or call.fault in LOSES_THE_ANSWER or story.schedule.readings.create_returns == "neither"
    return call.action == "CreateBackup" and lost


def explained(story: Story, this: Try, kind: type[BaseException]) -> bool:
    """Whether what struck a try, or a reading of the service, explains an error of some kind."""
    if kind is errors.DdsError:
        return story.met("store full")  # Airflow itself is in trouble
    return any(issubclass(kind, each) and cause(story, this) for each, cause in CAUSES)


def _met(*faults: str) -> Callable[[Story, Try], bool]:
    return lambda _, this: any(call.fault in faults for call in this.calls)


def _answered(*codes: str) -> Callable[[Story, Try], bool]:
    return lambda _, this: any(call.request.code in codes for call in this.calls)


def _late(story: Story, this: Try) -> bool:
    return this.ended >= this.deadline - 1 - story.shifts


SETTLING = ("DescribeHistoryTasks", "CreateBackup")
"""Calls that only a create makes, before its task waits."""


def _late_and_not_overlooked(story: Story, this: Try) -> bool:
    """Time is up, and the last answer that named the job's set did not say that it is good."""
    state = state_of(this.jobs, story.asked_for(this))
    whole = story.schedule.kind not in (InstanceKind.CLOUD_CLUSTER, InstanceKind.CLOUD_SHARDED)
    # what a create looks at to settle a request says of no set that it is waited for
    begun = max((at for at, call in enumerate(this.calls) if call.action in SETTLING), default=-1) + 1
    answers = [call for call in this.calls[begun:] if call.action == "DescribeBackups" and call.body]
    if not (answers and whole and state):
        return _late(story, this)
    rows = json.loads(answers[-1].body)["Backups"]["Backup"]
    sets = [BackupSet.from_wire(row) for row in rows if row["BackupId"] in set_ids(state)]
    soon = answers[-1].time + story.shifts + SKEW
    good = [
        each
        for each in sets
        if each.status == SUCCESS
        and each.available is not False
        and (each.expire_time is None or each.expire_time.timestamp() > soon)
    ]
    return _late(story, this) and not good


def _failed(story: Story, this: Try) -> bool:
    if any(nothing_told_it_from_its_twin(story, this, state) for state in this.jobs):
        return story.schedule.readings.automatic_twin == "Failed" or _has_failed(this)
    return _has_failed(this)


def _has_failed(this: Try) -> bool:
    return any(state.look.phase.value == "Failed" or state.job.outcome.backup_set == "Failed" for state in this.jobs)


def _not_to_be_seen(story: Story, this: Try) -> bool:
    """The last polls that were answered showed neither the job nor a set of it."""
    readings = story.schedule.readings
    asked = story.asked_for(this)
    state = state_of(this.jobs, asked)
    late = [call for call in this.calls[-4:] if call.action.startswith("DescribeBackup")]
    named_by_its_set = readings.create_returns == "backup_id" and readings.create_backup_id == "set_id"
    return state is None or named_by_its_set or not any(shows(call, state) and _has_own_kind(call) for call in late)


def _has_own_kind(call: Call) -> bool:
    """Whether an answer has rows that can be a task's own: none of them is incremental, or an automatic backup's."""
    rows = _rows(json.loads(call.body or "{}"))
    return any(
        row.get("BackupType") != "IncrementalBackup" and "Automated" not in (row.get("JobMode"), row.get("BackupMode"))
        for row in rows
    )


def _unsettled(story: Story, this: Try) -> bool:
    """Several backups fit a create, or none of them has a name, or the service did not answer, or time is up."""
    tries = story.tries[: story.tries.index(this) + 1]
    creates = [call.time for each in tries for call in each.calls if call.action == "CreateBackup"]
    since = min(creates, default=this.began) - 2 * SKEW
    fits = [state for state in this.jobs if state.job.mode == "Manual" and state.look.started >= since]
    several = len(fits) > 1 or any(len(state.job.ids) > 1 for state in fits)
    listings = [call for call in this.calls if call.action in ("DescribeBackupTasks", "DescribeBackups")]
    rows = [row for call in listings if call.body for row in _rows(json.loads(call.body))]
    named = [json.dumps(row) for row in rows if "Automated" not in (row.get("JobMode"), row.get("BackupMode"))]
    nameless = not any(state.job.job_id in row for row in named for state in fits)
    nameless |= story.schedule.kind is InstanceKind.CLOUD_CLUSTER  # its sets name no job
    last = max((number for number, call in enumerate(this.calls) if call.action == "CreateBackup"), default=-1)
    unanswered = any(call.fault for call in this.calls[last + 1 :])
    return several or nameless or unanswered or _late(story, this)


def _limited(story: Story, this: Try) -> bool:
    return story.plan_of(this).execution_timeout is not None


def _garbled_memory(story: Story, this: Try) -> bool:
    """Whether what a rescheduled sensor remembers was garbled."""
    return this.task != "operator" and story.plan_of(this).mode == "reschedule" and story.met("store garbled")


def _deferral(*how: str) -> Callable[[Story, Try], bool]:
    return lambda story, this: any(
        what.removeprefix("deferral: ") in how and this.began <= time <= this.ended for what, time in story.happened
    )


def _key_is_dead(story: Story, _: Try) -> bool:
    """The old key was disabled some time before the connection had the new one."""
    return any(what.what == "key rotated" and what.lasts for what in story.schedule.happenings)


def _not_fetched(story: Story, this: Try) -> bool:
    """The credential source was struck."""
    fetches = story.wiring.fetches if story.wiring else []
    return any(fetch.fault and this.began <= fetch.time <= this.ended for fetch in fetches)


def _source_led_elsewhere(story: Story, this: Try) -> bool:
    fetches = story.wiring.fetches if story.wiring else []
    struck = [fetch.fault or "" for fetch in fetches if this.began <= fetch.time <= this.ended]
    return any(fault.startswith("redirect") for fault in struck)


CAUSES: tuple[tuple[type[BaseException], Callable[[Story, Try], bool]], ...] = (
    (errors.DdsAccessDeniedError, _met(*PERMANENT, *meaning_one_of("denied"), "tunnel_403", "tunnel_407")),
    (errors.DdsAccessDeniedError, _key_is_dead),
    (errors.DdsThrottledError, _met(*meaning_one_of("throttled"))),
    (errors.DdsTransportError, _met(*meaning_one_of("unsent"))),
    (errors.DdsTransportError, _not_fetched),
    (errors.DdsBackupRunningError, lambda story, _: story.schedule.operator.if_backup_running == "fail"),
    (errors.DdsInvalidRequestError, _answered("BackupTimesExceeded", "InvalidBackupMethod.ValueNotSupport")),
    (errors.DdsTimeoutError, _late_and_not_overlooked),
    (AirflowSensorTimeout, _late_and_not_overlooked),
    (errors.DdsBackupFailedError, _failed),
    (errors.DdsBackupNotFoundError, _not_to_be_seen),
    (errors.DdsBackupOutcomeUnknownError, _unsettled),
    (errors.DdsConfigurationError, _source_led_elsewhere),
    (errors.DdsNotFoundError, lambda story, _: story.met("released")),
    (errors.DdsConfigurationError, _deferral("arguments garbled")),
    (errors.DdsDeferralError, _deferral("fails", "event garbled")),
    (errors.DdsRecordError, _deferral("event garbled")),
    (errors.DdsTimeoutError, _deferral("times out")),
    (AirflowTaskTimeout, _limited),
    (errors.DdsEndedInDoubtError, _limited),
    (errors.DdsRecordError, lambda story, _: story.met("store garbled")),
    (errors.DdsConfigurationError, _garbled_memory),
)
"""Kinds of error and what has to have happened. A kind that is not here is never right: what passes (throttling, 5xx,
lost connections) ends no task, only the deadline does."""
