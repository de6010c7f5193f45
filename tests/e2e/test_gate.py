"""The deferrable gate on a real scheduler and triggerer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dev.demo_checks import all_visits, moment
from dev.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dev.airflow_box import AirflowBox

pytestmark = pytest.mark.e2e

GATE = "dds_backup_gate_deferrable"
CONSOLE = "https://mongodb.console.aliyun.com"


@pytest.fixture
def instance(box: AirflowBox, request: pytest.FixtureRequest) -> Iterator[str]:
    """An instance of the test's own, on which no backup is left running."""
    instance_id = "dds-" + request.node.name.replace("_", "-")[:50]
    box.emulator.add_instance(instance_id)
    yield instance_id
    wait_for(
        lambda: [job["phase"] for job in box.emulator.jobs(instance_id)],
        "the backups to end",
        until=lambda phases: all(phase in ("Finished", "Failed") for phase in phases),
        timeout=60,
    )


def start(box: AirflowBox, instance: str) -> str:
    return box.api.start(GATE, {"db_instance_id": instance})


def finish(box: AirflowBox, run_id: str) -> str:
    return box.api.wait_for_run(GATE, run_id, timeout=120, on_look=box.check)


def links_of(box: AirflowBox, run_id: str, task_id: str) -> list[str | None]:
    return list(box.api.links(GATE, run_id, task_id).values())


def test_downstream_runs_only_after_that_very_backup(box: AirflowBox, instance: str) -> None:
    run_id = start(box, instance)

    assert finish(box, run_id) == "success"

    [job] = box.emulator.jobs(instance)
    [created] = box.emulator.requests("CreateBackup", instance)
    assert created["executed"]
    assert job["phase"] == "Finished"
    assert box.api.xcom(GATE, run_id, "create_backup") == job["job_id"]
    backup = box.api.xcom(GATE, run_id, "wait_for_backup")
    assert backup["db_instance_id"] == instance
    assert backup["backup_job_id"] == job["job_id"]
    assert [backup["backup_id"]] == job["backup_ids"]
    assert backup["size_bytes"] > 0
    assert backup["start_time"] <= backup["end_time"]
    assert not [value for value in backup.values() if str(value).startswith("http")], "a download URL"
    sensor = box.api.task(GATE, run_id, "wait_for_backup")
    assert [visit.state for visit in all_visits(box, sensor)] == ["deferred", "success"]
    for task_id in ("create_backup", "wait_for_backup"):
        assert links_of(box, run_id, task_id) == [f"{CONSOLE}/replicate/cn-hangzhou/instances/{instance}/basicInfo"]
    migrate = box.api.task(GATE, run_id, "migrate")
    assert moment(job["ended"]) <= moment(sensor["end_date"]) <= moment(migrate["start_date"])


def test_failed_backup_fails_the_sensor_and_stops_downstream(box: AirflowBox, instance: str) -> None:
    box.emulator.next_job(instance, fail_at=50)
    run_id = start(box, instance)

    assert finish(box, run_id) == "failed"

    states = {task["task_id"]: task["state"] for task in box.api.tasks(GATE, run_id)}
    assert states == {
        "create_backup": "success",
        "wait_for_backup": "failed",
        "migrate": "upstream_failed",
    }
    assert links_of(box, run_id, "wait_for_backup")[0].endswith(f"/{instance}/basicInfo")
    [job] = box.emulator.jobs(instance)
    log = "\n".join(box.api.log(GATE, run_id, "wait_for_backup"))
    assert job["job_id"] in log
    assert instance in log
    assert "DdsBackupFailedError" in log


def test_killed_triggerer_is_replaced_and_the_wait_goes_on(box: AirflowBox, instance: str) -> None:
    box.emulator.next_job(instance, seconds=900)  # 30 real seconds: longer than it takes to be missed
    run_id = start(box, instance)
    box.api.wait_for_task(GATE, run_id, "wait_for_backup", "deferred", timeout=60)
    looks = len(box.emulator.requests("DescribeBackupTasks", instance))
    wait_for(
        lambda: len(box.emulator.requests("DescribeBackupTasks", instance)),
        "the triggerer to poll",
        until=lambda now: now > looks,
        timeout=30,
    )

    box.kill_component("triggerer")
    looks_before = len(box.emulator.requests("DescribeBackupTasks", instance))
    [job] = box.emulator.jobs(instance)
    assert job["phase"] not in ("Finished", "Failed")
    box.start_component("triggerer")

    assert finish(box, run_id) == "success"
    assert len(box.emulator.requests("DescribeBackupTasks", instance)) > looks_before
    assert len(box.emulator.requests("CreateBackup", instance)) == 1
    sensor = box.api.task(GATE, run_id, "wait_for_backup")
    assert sensor["try_number"] == 1
    assert [visit.state for visit in all_visits(box, sensor)] == ["deferred", "success"]
