"""A task whose ``retries`` were edited is cleared on a real Airflow: what looks like a retry makes a new backup."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from airflow_provider_dds.emulator import Emulator
from dev.airflow_box import run_airflow
from dev.airflow_env import airflow_environment
from dev.processes import Component
from dev.waiting import wait_for
from tests.support.versions import AIRFLOW

if TYPE_CHECKING:
    from pathlib import Path

    from dev.airflow_box import AirflowBox

pytestmark = pytest.mark.e2e

SOON = 120
INSTANCE = "dds-edited"
DAG = """
import pendulum
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_dds.operators.dds import DdsCreateBackupOperator

with DAG("edited", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC"), catchup=False):
    DdsCreateBackupOperator(task_id="create", db_instance_id="{instance}", retries={retries})
"""


@pytest.mark.skipif(AIRFLOW < (3, 0), reason="Airflow 2 has no such box")
def test_clear_after_an_edit_of_retries_makes_a_new_backup(box: AirflowBox) -> None:
    def write(retries: int) -> None:
        (box.settings.dags / "edited.py").write_text(DAG.format(instance=INSTANCE, retries=retries))
        wait_for(known, f"the DAG to have {retries} retries", until=lambda found: found == retries, timeout=SOON)

    def known() -> int | None:
        box.check()
        if not box.api.has_dag("edited"):
            return None
        return int(box.api.request("GET", "/api/v2/dags/edited/tasks/create")["retries"])

    def create() -> tuple[str, int]:
        box.check()
        task = box.api.task("edited", run_id, "create")
        return task["state"], task["try_number"]

    def phases() -> list[str]:
        return [job["phase"] for job in box.emulator.jobs(INSTANCE)]

    box.emulator.add_instance(INSTANCE)
    write(1)
    run_id = box.api.start("edited")
    wait_for(create, "the backup to be asked for", until=lambda seen: seen == ("success", 1), timeout=SOON)
    wait_for(phases, "the backup to end", until=lambda seen: seen == ["Finished"], timeout=SOON)
    first = box.api.xcom("edited", run_id, "create")
    write(0)

    body = {"dag_run_id": run_id, "task_ids": ["create"], "dry_run": False, "only_failed": False}
    if AIRFLOW >= (3, 1):
        body["run_on_latest_version"] = True
    box.api.request("POST", "/api/v2/dags/edited/clearTaskInstances", json=body)
    wait_for(create, "the cleared task to end", until=lambda seen: seen == ("success", 2), timeout=SOON)

    if AIRFLOW >= (3, 1):
        assert box.api.task("edited", run_id, "create")["max_tries"] == 1, "the clear does not look like a retry"
    [old, new] = [job["job_id"] for job in box.emulator.jobs(INSTANCE)]
    assert (old, new) == (first, box.api.xcom("edited", run_id, "create"))


@pytest.mark.skipif(AIRFLOW >= (3, 0), reason="Airflow 3 runs in the box")
def test_clear_after_an_edit_of_retries_makes_a_new_backup_on_airflow_2(tmp_path: Path) -> None:
    def write(retries: int) -> None:
        (tmp_path / "dags").mkdir(exist_ok=True)
        (tmp_path / "dags" / "edited.py").write_text(DAG.format(instance="dds-demo-replica", retries=retries))
        run_airflow(["dags", "reserialize"], environment, tmp_path)

    def state() -> str:
        told = run_airflow(["tasks", "states-for-dag-run", "edited", "run", "-o", "json"], environment, tmp_path)
        return str(json.loads(told[told.index("[{") :])[0]["state"])

    with Emulator(speed=60) as emulator, ExitStack() as components:
        environment = airflow_environment(
            tmp_path,
            AIRFLOW__CORE__DAGS_FOLDER=str(tmp_path / "dags"),
            AIRFLOW__CORE__EXECUTOR="SequentialExecutor",
            AIRFLOW_CONN_DDS_DEFAULT=emulator.connection_json(),
        )
        run_airflow(["db", "migrate"], environment, tmp_path)
        write(1)
        command = [sys.executable, "-m", "airflow", "scheduler", "--skip-serve-logs"]
        scheduler = Component("scheduler", command, env=environment, log=tmp_path / "scheduler.log", cwd=tmp_path)
        components.callback(scheduler.kill)
        run_airflow(["dags", "unpause", "edited"], environment, tmp_path)
        run_airflow(["dags", "trigger", "edited", "--run-id", "run"], environment, tmp_path)
        wait_for(state, "the backup to be asked for", until=lambda seen: seen == "success", timeout=2 * SOON)
        wait_for(
            lambda: [job.status for job in emulator.service.jobs()],
            "the backup to end",
            until=lambda seen: seen == ["Finished"],
            timeout=SOON,
        )
        write(0)
        run_airflow(["tasks", "clear", "edited", "--yes"], environment, tmp_path)
        wait_for(lambda: len(emulator.service.jobs()), "a new backup", until=lambda made: made == 2, timeout=2 * SOON)
        wait_for(state, "the cleared task to end", until=lambda seen: seen == "success", timeout=SOON)
        assert len(emulator.service.jobs()) == 2
