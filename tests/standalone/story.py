"""One DAG run on an instance of its own, told by Airflow and by the service, with ways to end its processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from dev.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from dev.airflow_api import Json
    from dev.airflow_box import AirflowBox

SOON = 120.0
"""Seconds for anything that takes a few on an idle machine."""


@dataclass
class Story:
    """A run of a DAG of ``dags/killed.py``; its backups run until the test ends them."""

    box: AirflowBox
    dag_id: str
    instance: str
    run_id: str = ""

    @classmethod
    def prepare(cls, box: AirflowBox, dag_id: str, name: str, *, backups: int = 1) -> Story:
        """Make the instance, on which so many backups run until they are ended."""
        instance = f"dds-{name}".replace("_", "-")
        box.emulator.add_instance(instance)
        for _ in range(backups):
            box.emulator.next_job(instance, stuck_at=50)
        return cls(box, dag_id, instance)

    def start(self) -> Story:
        """Start the run."""
        self.run_id = self.box.api.start(self.dag_id, {"db_instance_id": self.instance})
        return self

    # --- what Airflow says --------------------------------------------------------------------------------------

    def task(self, task_id: str = "create") -> Json:
        return self.box.api.task(self.dag_id, self.run_id, task_id)

    def wait_for(self, task_id: str, state: str, *, try_number: int = 1, timeout: float = SOON) -> Json:
        """Wait until a task is in a state, in its n-th try."""
        return self._until(
            lambda: self.task(task_id),
            f"{self.dag_id}.{task_id} to be {state} in try {try_number}",
            lambda task: (task["state"], task["try_number"]) == (state, try_number),
            timeout,
        )

    def end(self, timeout: float = SOON) -> str:
        """Wait for the end of the run and return its state."""
        return self.box.api.wait_for_run(self.dag_id, self.run_id, timeout=timeout, on_look=self.box.check)

    def log(self, task_id: str = "create", *, try_number: int = 1) -> str:
        return "\n".join(self.box.api.log(self.dag_id, self.run_id, task_id, try_number))

    def wait_for_log(self, task_id: str, text: str, *, try_number: int = 1, timeout: float = SOON) -> str:
        """Wait until the log of a try has a text, and return the log."""

        def log() -> str:
            begun = self.task(task_id)["try_number"] >= try_number
            return self.log(task_id, try_number=try_number) if begun else ""

        return self._until(
            log,
            f"{text!r} in the log of {self.dag_id}.{task_id}",
            lambda log: text in log,
            timeout,
        )

    def xcom(self, task_id: str = "create", key: str = "return_value") -> object:
        return self.box.api.xcom(self.dag_id, self.run_id, task_id, key)

    def clear(self, task_id: str, *, downstream: bool = False) -> None:
        self.box.api.clear(self.dag_id, self.run_id, [task_id], downstream=downstream)

    def mark(self, task_id: str, state: str) -> None:
        self.box.api.mark(self.dag_id, self.run_id, task_id, state)

    # --- what the service says ----------------------------------------------------------------------------------

    def created(self) -> int:
        """Return how many times the service did what CreateBackup asks for."""
        return sum(request["executed"] for request in self.box.emulator.requests("CreateBackup", self.instance))

    def job_ids(self) -> list[str]:
        return [job["job_id"] for job in self.box.emulator.jobs(self.instance)]

    def phases(self) -> list[str]:
        return [job["phase"] for job in self.box.emulator.jobs(self.instance)]

    def looks(self, job_id: str) -> list[Json]:
        """Return the polls at a job."""
        seen = self.box.emulator.requests("DescribeBackupTasks", self.instance)
        return [request for request in seen if request["params"].get("BackupJobId") == job_id]

    def wait_for_looks(self, job_id: str, more: int) -> None:
        """Wait until the job has been looked at some more times."""
        before = len(self.looks(job_id))
        self._until(lambda: len(self.looks(job_id)) - before, f"{more} looks at {job_id}", lambda looks: looks >= more)

    def wait_for_no_more_looks(self, witness: Story) -> None:
        """Wait until the job of a run that goes on has been looked at three times since the last poll at this one."""
        [mine], [others] = self.job_ids(), witness.job_ids()

        def since() -> int:
            last = self.looks(mine)[-1]["time"]
            return sum(look["time"] > last for look in witness.looks(others))

        self._until(since, f"the polls at {mine} to end", lambda looks: looks >= 3)

    def wait_for_create(self, *, executed: bool) -> None:
        """Wait until the service has CreateBackup and hangs, having acted on it or not."""
        self._until(
            lambda: self.box.emulator.requests("CreateBackup", self.instance),
            f"the service to hang over the backup of {self.instance}",
            lambda seen: any(one["fault"] == "hang" and one["executed"] is executed for one in seen),
        )

    def end_backup(self) -> None:
        """Let the backup be over."""
        self.box.emulator.end_backup(self.instance)

    # --- what the tests do --------------------------------------------------------------------------------------

    def kill(self, task_id: str = "create", *, worker: bool = False) -> None:
        """SIGKILL the process that runs the task's code, and before it the worker that would tell Airflow of it."""
        task = self.task(task_id)
        assert task["state"] == "running", task
        process = self._until(lambda: self.box.task_process(task["id"]), f"the process of {self.dag_id}.{task_id}")
        doomed = [process, *process.children(recursive=True)]
        if worker:
            supervisor = process.parent()
            assert supervisor.pid != self.box.components["scheduler"].session
            doomed.insert(0, supervisor)
        for one in doomed:
            one.kill()
        _, alive = psutil.wait_procs(doomed, timeout=10)
        assert not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]

    def _until(
        self, look: Callable, what: str, until: Callable[..., bool] = bool, timeout: float = SOON, interval: float = 0.5
    ):
        def checked():
            self.box.check()
            return look()

        return wait_for(checked, what, until=until, timeout=timeout, interval=interval)
