"""What came of the demo, told for people and checked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dev.waiting import wait_for
from dev.worker_time import Visit, visits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dev.airflow_api import Json
    from dev.airflow_box import AirflowBox

TASKS = ("create_backup", "wait_for_backup", "migrate")


@dataclass(frozen=True)
class Outcome:
    """Facts about one run of the gate, from Airflow and from the service."""

    tasks: dict[str, Json]
    job_id: Any
    """What the operator returned."""
    backup: Json
    """What the sensor returned."""
    jobs: list[Json]
    """The backup jobs that the service has."""
    requests: list[Json]
    """The requests that the service saw."""
    visits: list[Visit]
    """The sensor's visits to a worker."""

    @property
    def waited(self) -> float:
        """Seconds from the sensor's start to its end."""
        sensor = self.tasks["wait_for_backup"]
        return (moment(sensor["end_date"]) - moment(sensor["start_date"])).total_seconds()

    @property
    def held(self) -> float:
        """Seconds that the sensor spent on a worker."""
        return sum(visit.seconds for visit in self.visits)

    def count(self, action: str) -> int:
        """Return how many requests of an action the service saw."""
        return sum(request["action"] == action for request in self.requests)

    def summary(self) -> str:
        """Return the facts as a table for people."""
        size = self.backup.get("size_bytes")
        rows = [
            *((task_id, self.tasks[task_id]["state"]) for task_id in TASKS),
            ("backup job", self.job_id),
            ("backup set", self.backup.get("backup_id")),
            ("size", f"{size / 1024**3:.2f} GiB" if size else "unknown"),
            ("CreateBackup calls", self.count("CreateBackup")),
            ("DescribeBackupTasks", f"{self.count('DescribeBackupTasks')} polls"),
            ("gate was shut for", f"{self.waited:.1f} s"),
            ("a worker was held", f"{self.held:.1f} s of these ({self._visits()})"),
        ]
        return "\n".join(f"    {name:<22}{value}" for name, value in rows)

    def _visits(self) -> str:
        return ", ".join(f"{visit.seconds:.1f} s until {visit.state}" for visit in self.visits)

    def wrong(self) -> list[str]:
        """Return what is not as it should be."""
        return list(self._wrong())

    def _wrong(self) -> Iterator[str]:
        for task_id, task in self.tasks.items():
            if task["state"] != "success":
                yield f"{task_id} is {task['state']}, not success"
        if (calls := self.count("CreateBackup")) != 1:
            yield f"the service saw {calls} CreateBackup calls, not 1"
        if [job["job_id"] for job in self.jobs] != [self.job_id]:
            yield f"the service has the jobs {[job['job_id'] for job in self.jobs]}, the operator says {self.job_id!r}"
        if self.backup.get("backup_job_id") != self.job_id:
            yield f"the sensor waited for {self.backup.get('backup_job_id')!r}, not for {self.job_id!r}"
        if self.backup.get("backup_id") not in [s for job in self.jobs for s in job["backup_ids"]]:
            yield f"the service has no backup set {self.backup.get('backup_id')!r}"
        if [visit.state for visit in self.visits] != ["deferred", "success"]:
            yield f"the sensor's visits to a worker ended as {[visit.state for visit in self.visits]}"
        if not self._migrated_after_backup():
            yield "migrate did not start after the end of the backup"

    def _migrated_after_backup(self) -> bool:
        ends = [job["ended"] for job in self.jobs]
        start = self.tasks["migrate"]["start_date"]
        return None not in (*ends, start) and all(moment(end) <= moment(start) for end in ends)


def gather(box: AirflowBox, dag_id: str, run_id: str, instance: str) -> Outcome:
    """Collect the facts after the end of a run."""
    tasks = {task["task_id"]: task for task in box.api.tasks(dag_id, run_id)}
    succeeded = {task_id for task_id, task in tasks.items() if task["state"] == "success"}
    return Outcome(
        tasks={task_id: tasks[task_id] for task_id in TASKS},
        job_id=box.api.xcom(dag_id, run_id, "create_backup") if "create_backup" in succeeded else None,
        backup=box.api.xcom(dag_id, run_id, "wait_for_backup") if "wait_for_backup" in succeeded else {},
        jobs=box.emulator.jobs(instance),
        requests=box.emulator.requests(),
        visits=all_visits(box, tasks["wait_for_backup"]),
    )


def all_visits(box: AirflowBox, task: Json) -> list[Visit]:
    """Return a task's visits to a worker; the last is logged a moment after the task's end."""
    if task["start_date"] is None:
        return []
    return wait_for(
        lambda: visits(box.components["scheduler"].log, task["id"]),
        f"the worker's note on {task['task_id']}",
        until=lambda found: any(visit.last for visit in found),
        timeout=15,
    )


def moment(text: str) -> datetime:
    """Read a time as the APIs write it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
