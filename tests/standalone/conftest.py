"""One real Airflow for all kill tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dev.airflow_box import AirflowBox
from tests.standalone.doomed import ALL, Doom, begin, strike

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.standalone.story import Story

RUNNING: list[AirflowBox] = []
OPTIONS = {
    "AIRFLOW__CORE__PARALLELISM": "8",
    # How soon Airflow gives up a task whose whole worker is gone; by default after 5 minutes.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
}


@pytest.fixture(scope="session")
def box() -> Iterator[AirflowBox]:
    """Scheduler, triggerer, DAG processor, API server and emulator, with a connection that waits long for answers."""
    with AirflowBox([Path(__file__).with_name("dags")], speed=30, options=OPTIONS) as airflow:
        patient = airflow.emulator.connection("dds_patient")
        patient["extra"] = json.dumps({**json.loads(patient["extra"]), "read_timeout": 600})
        airflow.api.create_connection(patient)
        RUNNING.append(airflow)
        try:
            yield airflow
        finally:
            RUNNING.remove(airflow)


@pytest.fixture(scope="session")
def killed(box: AirflowBox) -> dict[Doom, Story]:
    """Runs whose task has been killed in its first try."""
    stories = {doom: begin(box, doom) for doom in ALL}
    for doom, story in stories.items():
        strike(story, doom)
    return stories


def pytest_exception_interact(node: pytest.Item, report: pytest.TestReport | pytest.CollectReport) -> None:
    """Show the ends of Airflow's logs and of its task logs with a failed test."""
    if "box" in getattr(node, "fixturenames", ()):
        report.sections += [("Airflow", airflow.tails()) for airflow in RUNNING]
        report.sections += [("task logs", task_logs(airflow.settings.logs)) for airflow in RUNNING]


def task_logs(folder: Path, files: int = 6, lines: int = 15) -> str:
    """Return the ends of the task logs that were written last, and of those with an error."""
    logs = sorted(folder.rglob("attempt=*.log*"), key=lambda log: log.stat().st_mtime)
    told = {log: events(log) for log in logs}
    shown = [log for log in logs if log in logs[-files:] or any(" error: " in line for line in told[log])]
    return "\n".join(line for log in shown for line in (f"--- {log.relative_to(folder)}", *told[log][-lines:]))


def events(log: Path) -> list[str]:
    """Return the lines of a task log, without the fields that are the same in all of them."""
    entries = (json.loads(line) for line in log.read_text(errors="replace").splitlines() if line.startswith("{"))
    return [
        f"{entry.get('timestamp')} {entry.get('level')}: {entry.get('event')} {entry.get('error_detail') or ''}"[:600]
        for entry in entries
    ]
