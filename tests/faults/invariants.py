"""What must hold of every story, whatever struck. Each check says in its name what it promises."""

from __future__ import annotations

import json
import traceback
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException
from airflow.sdk.exceptions import AirflowSensorTimeout

from airflow_provider_dds.api.models import SUCCESS
from airflow_provider_dds.exceptions import DdsApiError, DdsError, DdsResponseError, DdsTransportError
from airflow_provider_dds.waiting.backup.observation import RUNNING
from tests.faults.causes import (
    SKEW,
    ended_by_airflow,
    explained,
    is_told_of_no_instance,
    may_return,
    may_see_sets,
    no_source_could_tell,
    nothing_told_it_from_its_twin,
    of_generation,
    old_jobs,
    set_ids,
    state_of,
)
from tests.faults.elsewhere import SECRETS
from tests.faults.story import STORE_TROUBLES
from tests.faults.wire_invariants import WIRE_PROMISES
from tests.faults.wires import PASSWORD
from tests.support.hostile_answers import FORGED_REQUEST_ID

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Mapping

    from tests.faults.schedule import Schedule
    from tests.faults.story import Call, Story, Try

OPERATOR_SLACK = 450.0
"""Seconds past its deadline that a try of the operator may take: the search for a lost job and the repeated calls."""
FAIL_FAST_SECONDS = 120.0
"""Seconds that the repeated calls of one poll take at the most, and the way of an event to a worker."""
BEGUN_ANEW_SECONDS = 180.0
"""Seconds until a trigger polls that is begun anew: one interval, or where the wait is as young as its first, two."""
STORE_SECONDS = 60.0
"""Longest pause between two attempts to store what is known of a create."""
SENSOR_SLACK = 200.0
"""The same for the sensor: the repeated calls of one poll."""


class BrokenError(AssertionError):
    """A promise is broken.

    :ivar schedule: the schedule that breaks it.
    :ivar promises: all that it breaks.
    """

    def __init__(self, text: str, schedule: Schedule, promises: tuple[str, ...]) -> None:
        super().__init__(text)
        self.schedule, self.promises = schedule, promises


def check(story: Story, tally: Counter[str], excluded: Counter[str]) -> None:
    """Check every promise; counts each check made, and each case that a promise does not cover."""
    broken: dict[str, AssertionError] = {}
    for promise in PROMISES:
        try:
            tally[promise.__name__] += promise(story, excluded)
        except AssertionError as error:
            broken[promise.__name__.replace("_", " ")] = error
    if broken:
        shown = "\n".join(f"{name}: {error}" for name, error in broken.items())
        raise BrokenError(f"{story.schedule!r}\n{shown}\n{story.tell()}", story.schedule, tuple(broken))


# --- never two backups -------------------------------------------------------------------------------------------


def at_most_one_backup_a_run(story: Story, excluded: Counter[str]) -> int:
    """Each generation of a task run makes one backup at most; without a store each try does."""
    groups: dict[Any, list[Call]] = {}
    for number, each in enumerate(story.tries):
        if each.task == "operator":
            group = each.generation if story.schedule.operator.keeps_records else number
            groups.setdefault(group, []).extend(call for call in story.calls_of(each) if call.made)
    for made in groups.values():
        for earlier, later in pairwise(made):
            if any(what == "store emptied" and earlier.time <= time <= later.time for what, time in story.happened):
                excluded["a second backup, because the store was emptied after the first"] += 1
                continue
            told = not no_source_could_tell(story, earlier, later)
            assert not told, f"jobs {earlier.made} and {later.made} were made for one run"
            excluded["a second backup, because the first was over before any source showed it"] += 1
    return len(groups)


def a_cleared_task_adopts_what_still_runs(story: Story, _: Counter[str]) -> int:
    """Once cleared, a task makes no backup if it saw its old one running."""
    checked = 0
    for generation in range(1, story.clears + 1):
        cleared, before = of_generation(story, generation), of_generation(story, generation - 1)[-1]
        known = before.record.get("backup_job_id") if isinstance(before.record, dict) else None
        if not (known and story.schedule.operator.keeps_records) or story.met(*STORE_TROUBLES):
            continue
        checked += 1
        seen = False
        for call in (call for each in cleared for call in each.calls):
            if call.action == "DescribeBackupTasks" and call.body and "BackupJobId" not in call.request.params:
                rows = json.loads(call.body)["BackupJobs"]
                mine = [row for row in rows if str(row["BackupjobId"]).strip() == known and not _is_planned(row)]
                seen = any(row["BackupSetStatus"] in RUNNING for row in mine)
            assert not (call.made and seen), f"job {call.made} was made although job {known} was seen running"
    return checked


def _is_planned(row: Mapping[str, Any]) -> bool:
    """Whether a row is an automatic backup that has not begun, which the service may list under an id in use."""
    return bool(row["BackupSetStatus"] == "Scheduled" and row.get("JobMode") != "Manual")


def a_clear_makes_a_new_backup(story: Story, excluded: Counter[str]) -> int:
    """What a cleared task returns began after the clear, or is its own old job that then still ran."""
    return _begins_with_its_run(story, excluded, cleared=True)


def a_gate_opens_on_a_backup_that_began_after_it(story: Story, excluded: Counter[str]) -> int:
    """With ``if_backup_running="wait"``, what a task returns began after its first try."""
    return _begins_with_its_run(story, excluded, cleared=False)


def _begins_with_its_run(story: Story, excluded: Counter[str], *, cleared: bool) -> int:
    checked = 0
    for each in returned(story, "operator"):
        if story.schedule.operator.if_backup_running == "adopt" or (each.generation > 0) != cleared:
            continue
        checked += 1
        began = of_generation(story, each.generation)[0].began
        state = state_of(each.jobs, each.value)
        if state is None or state.job.created >= began or state.job.job_id in old_jobs(story, each.generation):
            continue
        told = state.job.job_id not in may_return(story, each)
        assert not told, f"job {each.value} began {began - state.job.created:.0f} s before the first try"
        excluded["a backup of others, which nothing tells from the one that was asked for"] += 1
    return checked


def a_retry_goes_on_with_the_job_of_the_try_that_died(story: Story, _: Counter[str]) -> int:
    """After a worker died in the create, the next try returns that job."""
    checked = 0
    for each, after in pairwise(story.tries):
        same_run = (each.task, each.generation) == (after.task, after.generation) == ("operator", after.generation)
        made = [call.made for call in story.calls_of(each) if call.made]
        if not (same_run and made and each.ending == "killed" and story.schedule.operator.keeps_records):
            continue
        if story.met(*STORE_TROUBLES) or each.frozen:
            continue
        if after.ending == "returned":
            checked += 1
            state = state_of(after.jobs, made[-1])
            assert after.value in (*state.job.ids, *set_ids(state)), f"{after.value} instead of job {made[-1]}"
    return checked


# --- never a false green -----------------------------------------------------------------------------------------


def the_job_id_is_one_of_its_own(story: Story, _: Counter[str]) -> int:
    """The operator returns the job it made, or one that it may adopt."""
    checked = 0
    for each in returned(story, "operator"):
        checked += 1
        assert isinstance(each.value, str), f"{each.value!r} is no text"
        assert each.value == each.value.strip(), f"{each.value!r} is not clean"
        state = state_of(each.jobs, each.value)
        assert state is not None, f"{each.value} is no job of the service"
        assert state.job.job_id in may_return(story, each), f"{each.value} is none of its own"
    return checked


def success_means_a_good_backup(story: Story, excluded: Counter[str]) -> int:
    """A wait succeeds only for a job that is Finished, and not while the service shows a Failed set of it."""
    checked = 0
    for each in returned(story, "operator", "sensor"):
        plan = story.schedule.operator if each.task == "operator" else story.schedule.sensor
        if not (each.task == "sensor" or plan.wait_for_completion):
            continue
        checked += 1
        asked = story.asked_for(each)
        state = state_of(each.jobs, asked)
        assert state is not None, f"there is no job {asked}"
        if nothing_told_it_from_its_twin(story, each, state):
            excluded["a backup of which nothing but the row of an automatic one of its id was seen"] += 1
            continue
        assert state.look.phase.value == "Finished", f"job {asked} is {state.look.phase.value}"
        shown = [each.sets[set_id] for set_id in set_ids(state) if set_id in each.sets]
        for found in shown if plan.confirm_backup_set and may_see_sets(story) else ():
            assert not found.status.lower().startswith("fail"), f"a set of job {asked} is Failed"
            assert found.status == SUCCESS, f"a set of job {asked} is {found.status}"
            assert found.available is not False, f"a set of job {asked} is not available"
            of_service, of_workers = each.skews
            expires = found.expire_time.timestamp() if found.expire_time else float("inf")
            too_far = abs(of_service - of_workers) > SKEW  # the service takes no request then
            assert expires > each.ended + of_service or too_far, f"a set of job {asked} has expired"
        if each.task == "operator" and "backup" not in each.xcoms:
            assert story.met("xcom fails"), "the facts were not pushed"
            continue
        facts = each.value if each.task == "sensor" else each.xcoms["backup"]
        told = facts["backup_id"].split(",") if facts["backup_id"] else []
        assert len(told) == len(set(told)), f"a set is told twice: {told}"
        assert set(told) <= set(set_ids(state)), f"set {told} is not of job {asked}"
        whole = set(told) == set(set_ids(state)) or len(state.job.ids) > 1 or not told
        patience = 600 if each.task == "operator" else plan.confirm_timeout
        waited = each.ended - state.look.ended + story.shifts
        assert whole or waited >= patience, f"not all sets of job {asked} are there: {told}"
        named = (facts["db_instance_id"], facts["backup_job_id"], facts["status"] in ("Success", "Finished"))
        assert named == (story.schedule.instance_id, asked, True), f"the facts are of another backup: {facts}"
    return checked


def fresh_means_a_good_backup_inside_the_age(story: Story, excluded: Counter[str]) -> int:
    """The gate for a fresh backup opens on one that is complete, good, of a mode asked for, and young enough."""
    fresh = returned(story, "fresh")
    for each in fresh:
        plan, facts = story.schedule.fresh, each.value
        told = set((facts["backup_id"] or "").split(","))
        state = next((state for state in each.jobs if told & set(set_ids(state))), None)
        if state is None and story.schedule.readings.automatic_twin != "none":
            excluded["a fresh backup that is only the automatic twin of another one"] += 1
            continue
        assert state is not None, f"sets {told} are of no job"
        assert told == set(set_ids(state)), f"not all sets of job {state.job.job_id} are there: {told}"
        assert state.look.phase.value == "Finished", f"job {state.job.job_id} is {state.look.phase.value}"
        assert state.job.mode in plan.backup_modes, f"job {state.job.job_id} is {state.job.mode}"
        of_service, of_workers = each.skews
        for found in (each.sets[set_id] for set_id in told if set_id in each.sets):
            assert found.status == SUCCESS, f"a set of job {state.job.job_id} is {found.status}"
            assert found.available is not False, f"a set of job {state.job.job_id} is not available"
            expires = found.expire_time.timestamp() if found.expire_time else float("inf")
            assert expires > each.ended + of_service or abs(of_service - of_workers) > SKEW, "it has expired"
        moment = state.look.ended if plan.age_of == "end" else state.look.started
        age = each.ended - moment
        jumps = [happening.skew for happening in story.schedule.happenings if happening.what == "service clock"]
        stamped = max(abs(skew) for skew in (of_service, story.schedule.skew, *jumps))  # by the clock as it was then
        bound = plan.max_age + stamped + abs(of_workers) + FAIL_FAST_SECONDS
        assert age <= bound + story.restarts * BEGUN_ANEW_SECONDS, f"job {state.job.job_id} is {age:.0f} s old"
        assert 0 <= facts["age_seconds"] <= plan.max_age, f"its age is told as {facts['age_seconds']}"
    return len(fresh)


# --- never silent, never for ever --------------------------------------------------------------------------------


def every_failure_names_what_and_where(story: Story, _: Counter[str]) -> int:
    """An error says which instance and job, and for an error of the API action, code and request id."""
    request_ids = {call.request.request_id for call in story.calls} | {FORGED_REQUEST_ID}
    failed = [each for each in story.tries if each.error and not each.frozen and not ended_by_airflow(each)]
    for each in failed:
        error = real(each.error)
        said = str(error)
        kinds = DdsError if each.task == "operator" else (DdsError, AirflowSensorTimeout)
        assert isinstance(error, kinds), f"{error}\n{''.join(traceback.format_exception(error))}"
        assert story.schedule.instance_id in said, f"no instance in: {said}"
        job_id = story.asked_for(each)
        if each.task == "sensor" or (each.task == "operator" and job_id and "CreateBackup" not in said):
            assert job_id in said or "{{ job }}" in said, f"no job in: {said}"
        if isinstance(error, DdsApiError):
            for name, value in (("action", error.action), ("code", error.code), ("request id", error.request_id)):
                assert (value or "none") in said or name == "code", f"no {name} in: {said}"
            assert error.request_id is None or error.request_id in request_ids, f"no such request: {said}"
            assert error.code is None or error.code in said, f"no code in: {said}"
        elif isinstance(error, (DdsTransportError, DdsResponseError)):
            assert any(call.action in said for call in story.calls_of(each)), f"no action in: {said}"
    return len(failed)


def only_errors_that_the_package_documents_reach_airflow(story: Story, _: Counter[str]) -> int:
    """No TypeError or KeyError, nothing of Airflow's store, and no private class ends a try."""
    failed = [real(each.error) for each in story.tries if each.error and not ended_by_airflow(each)]
    for error in failed:
        public = isinstance(error, (DdsError, AirflowSensorTimeout)) and not type(error).__name__.startswith("_")
        assert public, f"{type(error).__name__}: {error}\n{''.join(traceback.format_exception(error))}"
    return len(failed)


def every_error_has_a_cause(story: Story, _: Counter[str]) -> int:
    """No try ends with an error that neither the schedule's faults nor its readings explain."""
    failed = [(each, real(each.error)) for each in story.tries if each.error and not each.frozen]
    for each, error in failed:
        assert explained(story, each, type(error)), f"nothing explains {type(error).__name__}: {error}"
    return len(failed)


def a_deferral_without_an_event_is_followed_by_a_poll(story: Story, _: Counter[str]) -> int:
    """Where Airflow ends the deferral of a wait for a backup, or its event says nothing, a worker asks the service."""
    checked = 0
    for each in story.tries:
        for ended_at, how in each.ended_deferrals:
            if each.frozen or each.ending == "killed" or ended_by_airflow(each):
                continue
            checked += 1
            assert any(call.time >= ended_at for call in each.calls), f"no poll after a deferral: {how}"
    return checked


def nothing_waits_for_an_instance_that_is_not_there(story: Story, _: Counter[str]) -> int:
    """A try ends with the first answer that says that there is no such instance."""
    checked = 0
    for each in story.tries:
        said = [call for call in each.calls if is_told_of_no_instance(call)]
        if said and not each.frozen:
            checked += 1
            late = each.ended - said[0].time
            # a triggerer may die between an answer and its event, and a store that is full is waited for
            full = [each.lasts + STORE_SECONDS for each in story.schedule.happenings if each.what == "store full"]
            bound = FAIL_FAST_SECONDS + story.restarts * BEGUN_ANEW_SECONDS + sum(full)
            assert late <= bound, f"{each.task} waited {late:.0f} s for an instance that is not there"
    return checked


def every_try_ends_in_time(story: Story, _: Counter[str]) -> int:
    """A try ends by its deadline, but for the calls and the search that are under way then."""
    tries = [each for each in story.tries if not each.frozen]
    for each in tries:
        slack = story.shifts + (OPERATOR_SLACK if each.task == "operator" else SENSOR_SLACK)
        late = each.ended - max(each.deadline, each.began)
        assert late <= slack, f"the {each.task} ended {late:.0f} s after its deadline"
    return len(tries)


# --- no secret leaves --------------------------------------------------------------------------------------------


def no_secret_leaves(story: Story, _: Counter[str]) -> int:
    """No secret in a log line, in anything handed to Airflow, or in an exception."""
    shown = [*story.log, *story.kept, *(text for each in story.tries if each.error for text in texts_of(each.error))]
    secrets = {*SECRETS, PASSWORD, *(story.wiring.lent if story.wiring else ())}
    for text in shown:
        for secret in secrets:
            assert secret not in text, f"{secret} is in: {text}"
    return len(shown)


def texts_of(error: BaseException) -> list[str]:
    """Return all that Airflow could show of an error and of those it came from."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    shown = [text for each in chain for text in (str(each), repr(each), repr(vars(each)))]
    return [*traceback.format_exception(error), *shown]


def real(error: BaseException) -> BaseException:
    """Return the error behind a skip, which ``soft_fail`` makes of it."""
    return error.__cause__ if isinstance(error, AirflowSkipException) and error.__cause__ else error


def returned(story: Story, *tasks: str) -> list[Try]:
    """Return the tries that ended well, for Airflow too: not those in whose place another had begun."""
    return [each for each in story.tries if each.task in tasks and each.ending == "returned" and not each.frozen]


def same_end(one: Try, other: Try) -> bool:
    """Whether two tries ended alike, as far as a user can tell."""
    return (one.ending, type(one.error)) == (other.ending, type(other.error))


PROMISES: tuple[Callable[[Story, Counter[str]], int], ...] = (
    *WIRE_PROMISES,
    at_most_one_backup_a_run,
    a_cleared_task_adopts_what_still_runs,
    a_clear_makes_a_new_backup,
    a_gate_opens_on_a_backup_that_began_after_it,
    a_retry_goes_on_with_the_job_of_the_try_that_died,
    the_job_id_is_one_of_its_own,
    success_means_a_good_backup,
    fresh_means_a_good_backup_inside_the_age,
    only_errors_that_the_package_documents_reach_airflow,
    every_failure_names_what_and_where,
    every_error_has_a_cause,
    a_deferral_without_an_event_is_followed_by_a_poll,
    nothing_waits_for_an_instance_that_is_not_there,
    every_try_ends_in_time,
    no_secret_leaves,
)
