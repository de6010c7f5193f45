"""Waits that no worker begins, on a real scheduler and triggerer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from dev.demo_checks import all_visits, moment
from dev.waiting import wait_for
from dev.worker_time import visits
from tests.support.versions import needs_rendering_in_the_triggerer

if TYPE_CHECKING:
    from collections.abc import Callable

    from dev.airflow_box import AirflowBox

pytestmark = [pytest.mark.e2e, needs_rendering_in_the_triggerer]

GOOD = "waits_without_a_worker"
BAD = "waits_that_fail_without_a_worker"
LATE = "wait_that_ends_at_its_deadline"
Json = dict[str, Any]


class Run:
    """A run that has ended, and what it left."""

    def __init__(self, box: AirflowBox, dag_id: str, instance: str, **job: Any) -> None:
        self.box, self.dag_id, self.instance = box, dag_id, instance
        box.emulator.add_instance(instance)
        if job:
            box.emulator.next_job(instance, **job)
        self.run_id = box.api.start(dag_id, {"db_instance_id": instance})

    def end(self) -> Run:
        self.state = self.box.api.wait_for_run(self.dag_id, self.run_id, timeout=150, on_look=self.box.check)
        self.tasks = {(t["task_id"], t["map_index"]): t for t in self.box.api.tasks(self.dag_id, self.run_id)}
        return self

    def task(self, task_id: str) -> Json:
        return self.tasks.get((task_id, -1)) or self.tasks[task_id, 0]

    def worker_starts(self, task_id: str) -> list[str]:
        """Return the state at the end of each visit to a worker, as the scheduler's log has them."""
        return [visit.state for visit in visits(self.box.components["scheduler"].log, self.task(task_id)["id"])]

    def xcom(self, task_id: str) -> Any:
        index = self.task(task_id)["map_index"]
        try:
            return self.box.api.xcom(self.dag_id, self.run_id, task_id, map_index=index)
        except httpx.HTTPStatusError as error:
            if error.response.status_code != 404:
                raise
            return None

    def log(self, task_id: str, try_number: int = 1) -> str:
        return "\n".join(self.box.api.log(self.dag_id, self.run_id, task_id, try_number))


@pytest.fixture(scope="module")
def good(box: AirflowBox) -> Run:
    run = Run(box, GOOD, "dds-without-a-worker").end()
    for task_id in ("called_back", "pulled", "mapped"):  # their notes are the log's last
        all_visits(box, run.task(task_id))
    return run


@pytest.fixture(scope="module")
def bad(box: AirflowBox) -> Run:
    run = Run(box, BAD, "dds-fails-without-a-worker", fail_at=50).end()
    all_visits(box, run.task("plain"))
    return run


@pytest.mark.parametrize("task_id", ["plain", "templated", "silent"])
def test_good_backup_needs_no_worker_from_its_first_look_to_its_end(good: Run, task_id: str) -> None:
    assert good.task(task_id)["state"] == "success"
    assert good.worker_starts(task_id) == []
    assert (good.task(task_id)["pid"], good.task(task_id)["hostname"]) == (None, "")
    assert f"of {good.instance} is good after" in good.log(task_id)


def test_xcom_is_what_a_worker_leaves_and_what_the_next_task_can_use(good: Run) -> None:
    assert good.xcom("compared")["db_instance_id"] == good.instance
    for task_id in ("plain", "templated", "called_back", "with_an_outlet", "mapped", "mapped_over_later"):
        assert good.xcom(task_id) == good.xcom("compared"), task_id
    assert good.xcom("silent") is None
    assert good.xcom("pulled") == good.xcom("compared")["backup_id"]


def test_retry_begins_in_the_triggerer_again(good: Run) -> None:
    task = good.task("retried")
    assert (task["state"], task["try_number"]) == ("success", 2)
    assert good.worker_starts("retried") == []
    assert "could not be rendered in the triggerer: ZeroDivisionError" in good.log("retried", try_number=1)
    assert good.xcom("retried") == good.xcom("compared")


def test_link_is_there_without_a_worker(good: Run) -> None:
    links = [good.box.api.links(GOOD, good.run_id, task_id) for task_id in ("plain", "silent", "compared")]
    assert links[0] == links[1] == links[2]
    assert all(links[0].values())


@pytest.mark.parametrize("task_id", ["called_back", "with_an_outlet", "mapped_over_later"])
def test_worker_is_started_once_for_what_only_a_worker_does(good: Run, task_id: str) -> None:
    assert good.worker_starts(task_id) == ["success"]


def test_callback_and_asset_event_are_what_they_are_with_a_worker(good: Run) -> None:
    assert "called back: called_back" in good.log("called_back")
    events = good.box.api.request("GET", "/api/v2/assets/events", params={"source_dag_id": GOOD})["asset_events"]
    assert [event["extra"] for event in events] == [good.xcom("compared")]


def test_mapped_over_facts_are_all_there(good: Run) -> None:
    assert sum(task_id == "mapped_over" for task_id, _ in good.tasks) == len(good.xcom("compared"))


def test_mapped_sensor_begins_on_a_worker_and_says_so(good: Run) -> None:
    assert good.worker_starts("mapped") == ["deferred", "success"]
    log = "\n".join(good.box.api.log(GOOD, good.run_id, "mapped", map_index=0))
    assert log.count("Begun on a worker in spite of start_from_trigger: Airflow does that with mapped tasks") == 1


def test_param_that_must_be_given_leaves_the_triggerer_alive(box: AirflowBox) -> None:
    run = Run(box, "waits_with_a_param_that_must_be_given", "dds-given-as-a-param").end()
    box.check()
    assert run.state == "success"
    for task_id in ("plain", "mapped"):
        assert [visit.state for visit in all_visits(box, run.task(task_id))] == ["deferred", "success"]
    assert "param db_instance_id has no default, with which Airflow's triggerer ends" in run.log("plain")


def test_failed_backup_fails_the_task_on_a_worker_with_the_whole_reason(bad: Run) -> None:
    assert bad.state == "failed"
    assert bad.task("plain")["state"] == "failed"
    assert bad.worker_starts("plain") == ["failed"]
    [job] = bad.box.emulator.jobs(bad.instance)
    log = bad.log("plain")
    assert f"DdsBackupFailedError: Backup {job['job_id']} of {bad.instance} failed after" in log
    assert "then clear the task that makes the backup, and those after it, to make a new one." in log
    assert bad.xcom("plain") is None
    assert all(bad.box.api.links(BAD, bad.run_id, "plain").values())


def test_failed_backup_skips_a_task_that_is_soft(bad: Run) -> None:
    assert bad.task("skipped")["state"] == "skipped"


@pytest.mark.parametrize(
    ("task_id", "error"),
    [
        ("too_late", "DdsSensorTimeoutError: Backup"),
        ("empty", "DdsConfigurationError: backup_job_id is 'None' after rendering; it must be an id. Pass the output"),
        ("blank", "DdsConfigurationError: backup_job_id is '  ' after rendering; it must be an id. Pass the output"),
        ("undefined", "cannot be rendered in the triggerer: UndefinedError: 'job_id' is undefined."),
        ("unanswered", "cannot be rendered in the triggerer: UndefinedError: 'prev_start_date_success' is undefined."),
        ("no_connection", "Connection 'dds_default_of_nobody' is not defined."),
        ("many", "cannot be rendered in the triggerer: TypeError: a list is not one value."),
    ],
)
def test_what_cannot_be_waited_for_fails_with_the_whole_reason(bad: Run, task_id: str, error: str) -> None:
    assert bad.task(task_id)["state"] == "failed"
    assert error in bad.log(task_id)


def test_cleared_task_that_fails_leaves_nothing_of_its_first_run(box: AirflowBox) -> None:
    run = Run(box, LATE, "dds-cleared-without-a-worker").end()
    assert run.xcom("wait")["status"] == "Success"
    box.emulator.add_fault("error", status=403, code="Forbidden.RAM", action="DescribeBackupTasks")
    box.api.clear(LATE, run.run_id, ["wait"])
    wait_for(lambda: run.end().state, "the cleared task to fail", until="failed".__eq__, timeout=60)
    assert "Forbidden.RAM" in run.log("wait", try_number=2)
    assert run.xcom("wait") is None


def test_deadline_stays_where_it_was_when_the_triggerer_is_replaced(box: AirflowBox) -> None:
    run = Run(box, LATE, "dds-late-without-a-worker", seconds=6000)
    looks = looks_at(box, run.instance)
    wait_for(looks, "the triggerer to poll", until=lambda seen: seen > 1, timeout=60)
    box.kill_component("triggerer")
    seen = looks()
    box.start_component("triggerer")
    run.end()
    task = run.task("wait")
    assert looks() > seen
    assert task["state"] == "failed"
    assert "DdsSensorTimeoutError: Backup" in run.log("wait")
    lasted = (moment(task["end_date"]) - moment(task["start_date"])).total_seconds()
    assert 30 <= lasted < 45, "the deadline of 30 s began anew"


def looks_at(box: AirflowBox, instance: str) -> Callable[[], int]:
    return lambda: len(box.emulator.requests("DescribeBackupTasks", instance))


def test_ids_that_move_under_a_triggerer_that_is_replaced_do_not_move_the_wait(box: AirflowBox) -> None:
    first = "dds-named-by-a-variable"
    box.emulator.add_instance(first)
    box.emulator.next_job(first, stuck_at=50)
    job = box.emulator.start_backup(first)
    variable = {"key": "dds_job_to_wait_for", "value": job}
    box.api.request("POST", "/api/v2/variables", json=variable)
    run = Run(box, "wait_for_what_a_variable_names", first)
    looks = looks_at(box, first)
    wait_for(looks, "the triggerer to poll", until=lambda seen: seen > 1, timeout=60)
    box.api.request("PATCH", "/api/v2/variables/dds_job_to_wait_for", json={**variable, "value": "999999"})
    box.kill_component("triggerer")
    seen = looks()
    box.start_component("triggerer")
    wait_for(looks, "the new triggerer to poll", until=lambda now: now > seen + 1, timeout=60)
    box.emulator.end_backup(first)
    run.end()
    assert run.state == "success"
    assert run.xcom("wait")["backup_job_id"] == job
    kept = box.api.xcom("wait_for_what_a_variable_names", run.run_id, "wait", "dds_wait")
    assert (kept["backup_job_id"], kept["try_number"]) == (job, 1)
