"""What people do in the UI while a backup runs, or after it: mark a task, clear it, clear it with what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.standalone.doomed import Doom, begin
from tests.standalone.story import Story

if TYPE_CHECKING:
    from dev.airflow_box import AirflowBox

pytestmark = pytest.mark.standalone


def test_clearing_makes_one_more_backup_only_once_the_old_one_has_ended(box: AirflowBox) -> None:
    story = Story.prepare(box, "gate", "cleared", backups=3).start()
    story.wait_for("wait", "deferred")
    [first] = story.job_ids()

    story.clear("create")  # its backup runs
    story.wait_for("create", "success", try_number=2)
    assert story.xcom() == first
    assert f"The task was cleared while its backup job {first} still runs; going on with it." in story.log(try_number=2)
    assert story.task("wait")["state"] == "deferred"
    story.end_backup()
    assert story.end() == "success"
    assert story.job_ids() == [first]

    story.clear("wait")  # the sensor alone: it finds its backup good at once
    story.wait_for("wait", "success", try_number=2)
    assert story.end() == "success"
    assert story.xcom("wait")["backup_job_id"] == first
    assert story.job_ids() == [first]

    story.clear("create")  # its backup has ended
    story.wait_for("create", "success", try_number=3)
    [_, second] = story.job_ids()
    log = story.log(try_number=3)
    assert f"The task was cleared; its backup job {first} has ended, making a new one." in log
    assert f"Backup job {second} of {story.instance} is under way." in log
    assert story.xcom() == second
    assert story.end() == "success"
    assert story.xcom("wait")["backup_job_id"] == first, "the sensor was not cleared"
    story.end_backup()

    story.clear("create", downstream=True)
    story.wait_for("wait", "deferred", try_number=3)
    [*_, third] = story.job_ids()
    assert story.xcom() == third
    story.wait_for_looks(third, 2)
    story.end_backup()
    assert story.end() == "success"
    assert story.xcom("wait")["backup_job_id"] == third
    assert story.job_ids() == [first, second, third]
    assert story.created() == 3


def test_cleared_sensor_waits_on_for_the_same_job(box: AirflowBox) -> None:
    story = Story.prepare(box, "gate", "cleared-sensor").start()
    story.wait_for("wait", "deferred")
    [job_id] = story.job_ids()

    story.clear("wait")
    story.wait_for("wait", "deferred", try_number=2)
    story.wait_for_looks(job_id, 2)
    story.end_backup()

    assert story.end() == "success"
    assert story.xcom("wait")["backup_job_id"] == job_id == story.xcom()
    assert story.created() == 1
    assert story.task()["try_number"] == 1


def test_cleared_while_a_worker_runs_it_goes_on_with_the_same_job(box: AirflowBox) -> None:
    story = Story.prepare(box, "create_and_wait", "cleared-running").start()
    story.wait_for_log("create", "Backuping")
    [job_id] = story.job_ids()

    story.clear("create")
    story.wait_for("create", "running", try_number=2)
    story.wait_for_log("create", "oing on with", try_number=2)
    story.end_backup()

    assert story.end() == "success"
    assert story.created() == 1
    assert story.job_ids() == [job_id] == [story.xcom()]
    assert f"Backup job {job_id} of {story.instance} goes on: the service cannot cancel it." in story.log()


def test_marked_failed_while_it_asks_and_cleared_adopts_the_backup_of_that_request(box: AirflowBox) -> None:
    story = begin(box, Doom("create_only", "accepted"), "marked-asking")
    story.wait_for_create(executed=True)

    story.mark("create", "failed")
    assert story.end() == "failed"
    story.wait_for_log("create", f"A backup of {story.instance} was asked for. If it began, it goes on")
    story.clear("create")

    assert story.end() == "success"
    assert story.created() == 1
    assert story.job_ids() == [story.xcom()]
    log = story.log(try_number=2)
    assert f"The task was cleared while its backup job {story.xcom()} still runs; going on with it." in log


def test_marked_failed_stays_failed_and_says_that_the_backup_goes_on(box: AirflowBox) -> None:
    operator = Story.prepare(box, "create_and_defer", "marked-operator").start()
    sensor = Story.prepare(box, "gate", "marked-sensor").start()
    worker = Story.prepare(box, "create_and_wait", "marked-worker").start()
    witness = Story.prepare(box, "gate", "not-marked").start()
    marked = {"operator": (operator, "create"), "sensor": (sensor, "wait"), "worker": (worker, "create")}
    operator.wait_for("create", "deferred")
    worker.wait_for_log("create", "Backuping")
    for story in (sensor, witness):
        story.wait_for("wait", "deferred")
    for story in (operator, sensor, witness):
        story.wait_for_looks(story.job_ids()[0], 1)

    for story, task_id in marked.values():
        story.mark(task_id, "failed")

    for story, task_id in marked.values():
        assert story.end() == "failed"
        story.wait_for_no_more_looks(witness)
        assert story.task(task_id)["state"] == "failed"
        assert story.phases() == ["Backuping"]
        goes_on = f"{story.job_ids()[0]} of {story.instance} goes on: the service cannot cancel it."
        story.wait_for_log(task_id, goes_on)
    assert sensor.task()["state"] == "success"

    operator.clear("create")
    operator.wait_for("create", "deferred", try_number=2)
    for story in (operator, sensor, worker, witness):
        story.end_backup()
    assert operator.end() == witness.end() == "success"
    [job_id] = operator.job_ids()
    assert operator.xcom() == operator.xcom(key="backup")["backup_job_id"] == job_id
    assert f"while its backup job {job_id} still runs; going on with it." in operator.log(try_number=2)
    assert sensor.task("wait")["state"] == worker.task()["state"] == "failed"
    assert [story.created() for story in (operator, sensor, worker, witness)] == [1] * 4
