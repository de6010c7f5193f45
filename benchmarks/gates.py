"""What a gate costs the workers in each mode: a hundred sensors that wait for a backup, on a real Airflow.

Scheduler, triggerer, DAG processor, API server and LocalExecutor (SQLite) run for real, with the emulator of the
service. One mode after the other: the backups run, the DAG run starts, each gate looks at its backup at least once, all
wait, the backups end, the run ends. A worker start is a workload that the executor ran, as its log notes each. Worker
CPU is that of all processes that the executor started, with their children; that of the rest of Airflow is beside it,
less what it uses when nothing runs. One gate goes first, alone, so that no mode pays for what is loaded once.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.result import Curve, Plot, Result, Table, Target, run_alone
from dev.airflow_box import AirflowBox
from dev.processes import session_members
from dev.waiting import wait_for
from dev.worker_time import FIELD

GATES = 100
SLOTS = 20
"""Workers: the gates in poke mode are as many, since each holds one for its whole wait."""
POKE_INTERVAL = {"reschedule": 60}
"""Seconds, 20 in the other modes: at 20, a hundred gates that each start a worker would hinder each other."""
HOLD = 10.0
"""Seconds for which all gates wait before the backups end."""
IDLE = 10.0
LONGEST = 400.0
UNENDING = 1_000_000
MODES = {
    "poke": (SLOTS, {"mode": "poke"}),
    "reschedule": (GATES, {"mode": "reschedule"}),
    "deferrable": (GATES, {"deferrable": True}),
    "start_from_trigger": (GATES, {"start_from_trigger": True}),
}
TRIGGERED = "start_from_trigger"
WARM_UP = "warm_up"

DAG_FILE = """
from airflow.sdk import DAG

from airflow_provider_dds.sensors.dds import DdsBackupSensor

with DAG("{dag_id}", schedule=None, max_active_tasks={gates}):
    for number in range({gates}):
        DdsBackupSensor(
            task_id=f"gate_{{number}}",
            db_instance_id=f"{dag_id}-{{number}}",
            backup_job_id=f"{{{{{{{{ dag_run.conf['jobs'][{{number}}] }}}}}}}}",
            poll_strategy="fixed",
            poke_interval={poke_interval},
            timeout=3600,
            **{arguments},
        )
"""


@dataclass(frozen=True)
class Cpu:
    """CPU seconds of Airflow's processes so far."""

    workers: float = 0.0
    scheduler: float = 0.0
    triggerer: float = 0.0
    rest: float = 0.0

    def since(self, before: Cpu, idle: Cpu, seconds: float) -> Cpu:
        """Return what was used since, less what it takes to be idle for so long; all of the workers'."""
        names = ("scheduler", "triggerer", "rest")
        used = {name: getattr(self, name) - getattr(before, name) - getattr(idle, name) * seconds for name in names}
        return Cpu(self.workers - before.workers, **{name: max(0.0, each) for name, each in used.items()})

    def divided_by(self, number: float) -> Cpu:
        """Return it a gate, or a second."""
        return Cpu(*(each / number for each in vars(self).values()))


@dataclass(frozen=True)
class Cost:
    """What the gates of one mode cost."""

    gates: int
    looks: int
    starts: int
    cpu: Cpu
    seconds: float


def measure() -> Result:
    """Run the gates of each mode and return what they cost."""
    runs = {WARM_UP: (1, {"deferrable": True}), **MODES}
    with tempfile.TemporaryDirectory() as directory:
        for mode, (gates, arguments) in runs.items():
            Path(directory, f"{mode}.py").write_text(dag_file(mode, gates, arguments), encoding="utf-8")
        options = {"AIRFLOW__CORE__PARALLELISM": str(SLOTS)}
        with AirflowBox([Path(directory)], speed=1, options=options) as box:
            cost_of(box, WARM_UP, 1)
            before = cpu_of(box)
            time.sleep(IDLE)
            idle = cpu_of(box).since(before, Cpu(), 0).divided_by(IDLE)
            costs = {mode: cost_of(box, mode, gates, idle) for mode, (gates, _) in MODES.items()}
    return result(costs, idle)


def dag_file(mode: str, gates: int, arguments: dict[str, Any]) -> str:
    """Return the DAG file of a mode."""
    interval = POKE_INTERVAL.get(mode, 20)
    return DAG_FILE.format(dag_id=dag_of(mode), gates=gates, poke_interval=interval, arguments=repr(arguments))


def dag_of(mode: str) -> str:
    """Return the id of a mode's DAG, which its instances are called after, too."""
    return f"dds-{mode.replace('_', '-')}"


def cost_of(box: AirflowBox, mode: str, gates: int, idle: Cpu = Cpu()) -> Cost:
    """Run the gates of one mode to their end."""
    dag_id = dag_of(mode)
    instances = [f"{dag_id}-{number}" for number in range(gates)]
    jobs = []
    for instance in instances:
        box.emulator.add_instance(instance)
        box.emulator.next_job(instance, seconds=UNENDING)
        jobs.append(box.emulator.start_backup(instance))
    before, began = cpu_of(box), time.monotonic()
    run_id = box.api.start(dag_id, {"jobs": jobs})
    wait_for(
        lambda: looked_at(box, dag_id) >= set(instances),
        f"every gate to look at its backup ({mode})",
        timeout=LONGEST,
        interval=1,
    )
    time.sleep(HOLD)
    for instance in instances:
        box.emulator.end_backup(instance)
    state = box.api.wait_for_run(dag_id, run_id, timeout=LONGEST)
    tasks = box.api.tasks(dag_id, run_id)
    if state != "success" or len(tasks) != gates:
        raise RuntimeError(f"{mode}: the run is {state} with {len(tasks)} gates\n{box.tails()}")
    time.sleep(2)  # the executor's last notes
    seconds = time.monotonic() - began
    return Cost(
        gates=gates,
        looks=len(looks_of(box, dag_id)),
        starts=starts_of(box, {task["id"] for task in tasks}),
        cpu=cpu_of(box).since(before, idle, seconds),
        seconds=seconds,
    )


def looks_of(box: AirflowBox, dag_id: str) -> list[str]:
    """Return the instances of a mode's gates that were looked at, one for each poll."""
    requests = box.emulator.requests("DescribeBackupTasks")
    asked = (request["params"]["DBInstanceId"] for request in requests)
    return [instance for instance in asked if instance.startswith(f"{dag_id}-")]


def looked_at(box: AirflowBox, dag_id: str) -> set[str]:
    """Return the instances of a mode's gates that were looked at."""
    box.check()
    return set(looks_of(box, dag_id))


def starts_of(box: AirflowBox, task_instance_ids: set[str]) -> int:
    """Return how often a worker ran one of these tasks, as the executor notes it in the scheduler's log."""
    lines = box.components["scheduler"].log.read_text(errors="replace").splitlines()
    ended = (dict(FIELD.findall(line)) for line in lines if "Workload finished" in line)
    return sum(fields.get("workload_id") in task_instance_ids for fields in ended)


def cpu_of(box: AirflowBox) -> Cpu:
    """Return the CPU time of Airflow's processes, living and dead."""
    workers, scheduler = 0.0, 0.0
    main = box.components["scheduler"].session
    for process in session_members([main]):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            of_children = times.children_user + times.children_system
            own = times.user + times.system
            scheduler += own if process.pid == main else 0.0
            workers += of_children if process.pid == main else own + of_children
    rest = sum(cpu_of_session(box, role) for role in ("api-server", "dag-processor"))
    return Cpu(workers, scheduler, cpu_of_session(box, "triggerer"), rest)


def cpu_of_session(box: AirflowBox, role: str) -> float:
    """Return the CPU time of a component with all that it started."""
    total = 0.0
    for process in session_members([box.components[role].session]):
        with suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])
    return total


def result(costs: dict[str, Cost], idle: Cpu) -> Result:
    """Return the costs as tables, targets and a plot."""
    rows: list[list[Any]] = [
        [
            mode,
            cost.gates,
            f"{cost.looks / cost.gates:.1f}",
            cost.starts,
            f"{cost.starts / cost.gates:.2f}",
            f"{cost.cpu.workers / cost.gates:.2f}",
        ]
        for mode, cost in costs.items()
    ]
    others: list[list[Any]] = []
    for mode, cost in costs.items():
        parts = vars(cost.cpu.divided_by(cost.gates)).values()
        others.append([mode, *(f"{each:.2f}" for each in (*parts, sum(parts))), f"{cost.seconds:.0f}"])
    triggered, deferred = costs[TRIGGERED], costs["deferrable"]
    return Result(
        "gates",
        "What a gate costs in each mode",
        tables=[
            Table(
                "Workers",
                ["Mode", "Gates", "Looks a gate", "Worker starts", "Starts a gate", "Worker CPU s a gate"],
                rows,
            ),
            Table(
                "CPU seconds a gate, of all of Airflow",
                ["Mode", "Workers", "Scheduler", "Triggerer", "API server and DAG processor", "All", "Seconds in all"],
                others,
            ),
        ],
        targets=[
            Target(
                f"Worker starts of {triggered.gates} waits with start_from_trigger: 0",
                str(triggered.starts),
                triggered.starts == 0,
            )
        ],
        plots=[
            Plot(
                "gates",
                "Worker CPU of a gate",
                "",
                "CPU seconds a gate",
                [Curve(mode, [0.0], [cost.cpu.workers / cost.gates]) for mode, cost in costs.items()],
                kind="bars",
            )
        ],
        notes=[
            (
                f"poke has {SLOTS} gates for {SLOTS} workers, since each holds one for its whole wait; the others have "
                f"{GATES} for the same {SLOTS}. The backups end {HOLD:g} s after the last gate has looked. Polls "
                "are 20 s apart, 60 s in reschedule (poll_strategy=fixed). The LocalExecutor forks its workers from a "
                "process that has loaded Airflow: elsewhere a start costs as much or more, up to a pod."
            ),
            (
                "A longer wait costs more in poke, which holds its worker, and in reschedule, which starts one for "
                "each poll: 60 in an hour at an interval of a minute. It costs workers nothing more in deferrable, "
                f"which starts one for the first poll and one to end the task ({deferred.starts / deferred.gates:.2f} "
                "a gate here), nor in start_from_trigger, which starts none."
            ),
            (
                "A task that the triggerer ends has the DAG processor look for callbacks, and the triggerer reads the "
                "stored DAG once for each gate to render it: the second table has it. Idle, Airflow used "
                f"{idle.scheduler + idle.triggerer + idle.rest:.2f} CPU s a second, which is subtracted there."
            ),
        ],
    )


if __name__ == "__main__":
    run_alone(measure)
