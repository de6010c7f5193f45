"""What must hold of every story, whatever struck. Each check says in its name what it promises."""

from __future__ import annotations

import json
import traceback
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException
from airflow.sdk.exceptions import AirflowSensorTimeout

from airflow_provider_dds.exceptions import DdsApiError, DdsError, DdsResponseError, DdsTransportError
from airflow_provider_dds.verdict import RUNNING
from tests.faults.causes import explained, may_return, no_source_could_tell, set_ids, state_of
from tests.faults.world import SECRET, TOKEN

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from tests.faults.story import Call, Story

OPERATOR_SLACK = 450.0
"""Seconds past its deadline that a try of the operator may take: the search for a lost job and the repeated calls."""
SENSOR_SLACK = 200.0
"""The same for the sensor: the repeated calls of one look."""


class BrokenError(AssertionError):
    """A promise is broken."""


def check(story: Story, tally: Counter[str], excluded: Counter[str]) -> None:
    """Check every promise; counts each check made, and each case that a promise does not cover."""
    for promise in PROMISES:
        try:
            tally[promise.__name__] += promise(story, excluded)
        except AssertionError as broken:
            raise BrokenError(f"{promise.__name__.replace('_', ' ')}: {broken}\n{story.tell()}") from None


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
            told = not no_source_could_tell(story, earlier, later)
            assert not told, f"jobs {earlier.made} and {later.made} were made for one run"
            excluded["a second backup, because the first was over before any source showed it"] += 1
    return len(groups)


def a_cleared_task_adopts_what_still_runs(story: Story, _: Counter[str]) -> int:
    """Once cleared, a task makes no backup if it saw its old one running."""
    tries = [each for each in story.tries if each.task == "operator"]
    cleared = [each for each in tries if each.generation == 1]
    if not (cleared and story.schedule.operator.keeps_records):
        return 0
    record = tries[-len(cleared) - 1].record
    known = record.get("backup_job_id") if record else None
    seen = False
    for call in (call for each in cleared for call in story.calls_of(each)):
        if call.action == "DescribeBackupTasks" and call.body and "BackupJobId" not in call.request.params:
            rows = json.loads(call.body)["BackupJobs"]
            seen = any(str(row["BackupjobId"]).strip() == known and row["BackupSetStatus"] in RUNNING for row in rows)
        assert not (call.made and seen), f"job {call.made} was made although job {known} was seen running"
    return 1


def a_retry_goes_on_with_the_job_of_the_try_that_died(story: Story, _: Counter[str]) -> int:
    """After a worker died in the create, the next try returns that job."""
    checked = 0
    for each, after in pairwise(story.tries):
        same_run = (each.task, each.generation) == (after.task, after.generation) == ("operator", after.generation)
        made = [call.made for call in story.calls_of(each) if call.made]
        if not (same_run and made and each.ending == "killed" and story.schedule.operator.keeps_records):
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
    for number, each in enumerate(story.tries):
        if each.task == "operator" and each.ending == "returned":
            checked += 1
            assert isinstance(each.value, str), f"{each.value!r} is no text"
            assert each.value == each.value.strip(), f"{each.value!r} is not clean"
            state = state_of(each.jobs, each.value)
            assert state is not None, f"{each.value} is no job of the service"
            assert state.job.job_id in may_return(story, number), f"{each.value} is none of its own"
    return checked


def success_means_a_good_backup(story: Story, _: Counter[str]) -> int:
    """A wait succeeds only for a job that is Finished, and not while the service shows a Failed set of it."""
    checked = 0
    for each in story.tries:
        plan = story.schedule.operator if each.task == "operator" else story.schedule.sensor
        if each.ending != "returned" or not (each.task == "sensor" or plan.wait_for_completion):
            continue
        checked += 1
        facts = each.value if each.task == "sensor" else each.xcoms["backup"]
        asked = story.asked_for(each)
        state = state_of(each.jobs, asked)
        assert state is not None, f"there is no job {asked}"
        assert state.look.phase.value == "Finished", f"job {asked} is {state.look.phase.value}"
        shown = [each.sets[set_id].lower() for set_id in set_ids(state) if set_id in each.sets]
        failed = plan.confirm_backup_set and any(status.startswith("fail") for status in shown)
        assert not failed, f"a set of job {asked} is Failed"
        told = facts["backup_id"].split(",") if facts["backup_id"] else []
        assert len(told) == len(set(told)), f"a set is told twice: {told}"
        assert set(told) <= set(set_ids(state)), f"set {told} is not of job {asked}"
        whole = set(told) == set(set_ids(state)) or len(state.job.ids) > 1 or not told
        patience = 600 if each.task == "operator" else plan.confirm_timeout
        assert whole or each.ended - state.look.ended >= patience, f"not all sets of job {asked} are there: {told}"
        named = (facts["db_instance_id"], facts["backup_job_id"], facts["status"] in ("Success", "Finished"))
        assert named == (story.schedule.instance_id, asked, True), f"the facts are of another backup: {facts}"
    return checked


# --- never silent, never for ever --------------------------------------------------------------------------------


def every_failure_names_what_and_where(story: Story, _: Counter[str]) -> int:
    """An error says which instance and job, and for an error of the API action, code and request id."""
    request_ids = {call.request.request_id for call in story.calls}
    failed = [each for each in story.tries if each.error]
    for each in failed:
        error = real(each.error)
        said = str(error)
        kinds = (DdsError, AirflowSensorTimeout) if each.task == "sensor" else DdsError
        assert isinstance(error, kinds), f"{error}\n{''.join(traceback.format_exception(error))}"
        assert story.schedule.instance_id in said, f"no instance in: {said}"
        job_id = story.asked_for(each)
        if each.task == "sensor" or (job_id and "CreateBackup" not in said):
            assert job_id in said, f"no job in: {said}"
        if isinstance(error, DdsApiError):
            for name, value in (("action", error.action), ("code", error.code), ("request id", error.request_id)):
                assert (value or "none") in said or name == "code", f"no {name} in: {said}"
            assert error.request_id is None or error.request_id in request_ids, f"no such request: {said}"
            assert error.code is None or error.code in said, f"no code in: {said}"
        elif isinstance(error, (DdsTransportError, DdsResponseError)):
            assert any(call.action in said for call in story.calls_of(each)), f"no action in: {said}"
    return len(failed)


def every_error_has_a_cause(story: Story, _: Counter[str]) -> int:
    """No try ends with an error that neither the schedule's faults nor its readings explain."""
    failed = [(number, real(each.error)) for number, each in enumerate(story.tries) if each.error]
    for number, error in failed:
        assert explained(story, number, type(error)), f"nothing explains {type(error).__name__}: {error}"
    return len(failed)


def every_try_ends_in_time(story: Story, _: Counter[str]) -> int:
    """A try ends by its deadline, but for the calls and the search that are under way then."""
    for each in story.tries:
        slack = OPERATOR_SLACK if each.task == "operator" else SENSOR_SLACK
        late = each.ended - max(each.deadline, each.began)
        assert late <= slack, f"the {each.task} ended {late:.0f} s after its deadline"
    return len(story.tries)


# --- no secret leaves --------------------------------------------------------------------------------------------


def no_secret_leaves(story: Story, _: Counter[str]) -> int:
    """No secret in a log line, in anything handed to Airflow, or in an exception."""
    shown = [*story.log, *story.kept, *(text for each in story.tries if each.error for text in texts_of(each.error))]
    for text in shown:
        assert SECRET not in text, f"the secret is in: {text}"
        assert TOKEN not in text, f"the token is in: {text}"
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


PROMISES: tuple[Callable[[Story, Counter[str]], int], ...] = (
    at_most_one_backup_a_run,
    a_cleared_task_adopts_what_still_runs,
    a_retry_goes_on_with_the_job_of_the_try_that_died,
    the_job_id_is_one_of_its_own,
    success_means_a_good_backup,
    every_failure_names_what_and_where,
    every_error_has_a_cause,
    every_try_ends_in_time,
    no_secret_leaves,
)
