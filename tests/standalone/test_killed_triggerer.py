"""The triggerer is killed, or ended, while sensors wait: each still ends with its own backup, and not before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dev.demo_checks import all_visits, moment
from dev.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dev.airflow_api import Json
    from dev.airflow_box import AirflowBox

pytestmark = pytest.mark.standalone

POKE_INTERVAL = 3
"""That of the sensors in the DAG ``fleet``."""


class Fleet:
    """A run of sensors that each wait for a backup of an instance of its own."""

    def __init__(self, box: AirflowBox, name: str, size: int) -> None:
        self.box = box
        self.jobs = {}
        for number in range(size):
            instance = f"dds-{name}-{number}"
            box.emulator.add_instance(instance)
            box.emulator.next_job(instance, stuck_at=50)
            self.jobs[instance] = box.emulator.start_backup(instance)
        pairs = [{"db_instance_id": instance, "backup_job_id": job_id} for instance, job_id in self.jobs.items()]
        self.run_id = box.api.start("fleet", {"jobs": pairs})

    def sensors(self) -> list[Json]:
        """Return the task instances of the sensors, in the order of the instances."""
        self.box.check()
        found = [task for task in self.box.api.tasks("fleet", self.run_id) if task["task_id"] == "wait"]
        return sorted(found, key=lambda task: task["map_index"])

    def looks(self) -> dict[str, list[float]]:
        """Return when each job was looked at."""
        times: dict[str, list[float]] = {job_id: [] for job_id in self.jobs.values()}
        for request in self.box.emulator.requests("DescribeBackupTasks"):
            if request["params"].get("BackupJobId") in times:
                times[request["params"]["BackupJobId"]].append(request["time"])
        return times

    def wait_until_deferred(self) -> None:
        wait_for(
            lambda: [sensor["state"] for sensor in self.sensors()],
            "all sensors to wait in the triggerer",
            until=lambda states: states == ["deferred"] * len(self.jobs),
            timeout=300,
            interval=1,
        )
        self.wait_until_looked_at(list(self.jobs))

    def wait_until_looked_at(self, instances: list[str]) -> None:
        """Wait until the jobs have been looked at again: by the triggerer, since no worker is left."""
        before = self.looks()

        def untouched() -> list[str]:
            self.box.check()
            looks = self.looks()
            jobs = [self.jobs[instance] for instance in instances]
            return [job_id for job_id in jobs if len(looks[job_id]) == len(before[job_id])]

        wait_for(untouched, "a poll at each job", until=lambda left: not left, timeout=120, interval=1)

    def end_backups(self, instances: list[str]) -> None:
        for instance in instances:
            self.box.emulator.end_backup(instance)

    def finish(self) -> None:
        """See each sensor succeed with its own job, not before its end, in one try, with few polls."""
        assert self.box.api.wait_for_run("fleet", self.run_id, timeout=300, on_look=self.box.check) == "success"
        looks = self.looks()
        for sensor, (instance, job_id) in zip(self.sensors(), self.jobs.items(), strict=True):
            [job] = self.box.emulator.jobs(instance)
            assert (sensor["state"], sensor["try_number"], job["phase"]) == ("success", 1, "Finished")
            assert moment(job["ended"]) <= moment(sensor["end_date"])
            backup = self.box.api.xcom("fleet", self.run_id, "wait", map_index=sensor["map_index"])
            assert (backup["db_instance_id"], backup["backup_job_id"]) == (instance, job_id)
            assert [backup["backup_id"]] == job["backup_ids"]
            assert [visit.state for visit in all_visits(self.box, sensor)] == ["deferred", "success"]
            times = looks[job_id]
            assert len(times) <= (times[-1] - times[0]) / POKE_INTERVAL + 3, times


@pytest.fixture
def triggerer(box: AirflowBox) -> Iterator[None]:
    """See to it that the next test has a triggerer."""
    yield
    if "triggerer" not in box.components:
        box.start_component("triggerer")


@pytest.mark.usefixtures("triggerer")
@pytest.mark.parametrize(("killed", "size"), [(True, 50), (False, 3)], ids=["50-killed", "3-terminated"])
def test_each_sensor_outlives_the_triggerer(box: AirflowBox, killed: bool, size: int) -> None:
    fleet = Fleet(box, f"killed-{killed}".lower(), size)
    fleet.wait_until_deferred()

    (box.kill_component if killed else box.stop_component)("triggerer")
    early, late = list(fleet.jobs)[: size // 3], list(fleet.jobs)[size // 3 :]
    fleet.end_backups(early)  # these end while nobody polls
    assert {sensor["state"] for sensor in fleet.sensors()} == {"deferred"}
    box.start_component("triggerer")
    wait_for(
        lambda: [sensor["state"] for sensor in fleet.sensors()],
        "those whose backup has ended to succeed",
        until=lambda states: states[: len(early)] == ["success"] * len(early),
        timeout=120,
        interval=1,
    )
    assert {sensor["state"] for sensor in fleet.sensors()[len(early) :]} == {"deferred"}
    fleet.wait_until_looked_at(late)
    fleet.end_backups(late)

    fleet.finish()
