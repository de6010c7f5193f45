"""The scheduler and triggerer of an older Airflow; on the newest the other files of this folder have more."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from airflow_provider_dds.emulator import Emulator, Role
from dev.airflow_box import run_airflow
from dev.airflow_env import airflow_environment
from dev.processes import Component
from dev.waiting import wait_for
from tests.support.versions import AIRFLOW

if TYPE_CHECKING:
    from pathlib import Path

    from dev.airflow_box import AirflowBox

pytestmark = pytest.mark.e2e

GATE = "dds_backup_gate_deferrable"
LOUD = "shows_what_is_fetched"
REPLICA = "dds-demo-replica"
ALL_WELL = dict.fromkeys(("create_backup", "wait_for_backup", "migrate"), "success")


@pytest.mark.skipif(AIRFLOW >= (3, 0), reason="Airflow 3 runs in the box")
def test_gate_waits_in_the_triggerer_of_airflow_2(tmp_path: Path, example_dags: Path) -> None:
    def states() -> dict[str, str]:
        told = run_airflow(["tasks", "states-for-dag-run", GATE, "gate", "-o", "json"], environment, tmp_path)
        return {task["task_id"]: task["state"] for task in json.loads(told[told.index("[{") :])}

    with Emulator(speed=20) as emulator, ExitStack() as components:
        environment = airflow_environment(
            tmp_path,
            AIRFLOW__CORE__DAGS_FOLDER=str(example_dags),
            AIRFLOW__CORE__EXECUTOR="SequentialExecutor",
            AIRFLOW_CONN_DDS_DEFAULT=emulator.connection_json(),
        )
        run_airflow(["db", "migrate"], environment, tmp_path)
        run_airflow(["dags", "reserialize"], environment, tmp_path)
        for role in ("scheduler", "triggerer"):
            command = [sys.executable, "-m", "airflow", role, "--skip-serve-logs"]
            component = Component(role, command, env=environment, log=tmp_path / f"{role}.log", cwd=tmp_path)
            components.callback(component.kill)
        run_airflow(["dags", "unpause", GATE], environment, tmp_path)
        run_airflow(["dags", "trigger", GATE, "--run-id", "gate"], environment, tmp_path)
        ended = wait_for(
            states,
            "the gate to end",
            until=lambda seen: seen["migrate"] in ("success", "failed", "upstream_failed"),
            timeout=240,
        )
        looks = len(emulator.requests("DescribeBackupTasks"))
        jobs = emulator.service.jobs()

    assert ended == ALL_WELL
    assert [job.status for job in jobs] == ["Finished"]
    assert looks > 2
    assert f"trigger {GATE}/gate/wait_for_backup/" in (tmp_path / "triggerer.log").read_text()


@pytest.mark.skipif(not (3, 0) <= AIRFLOW < (3, 3), reason="test_gate.py has it on the newest Airflow")
def test_gate_waits_in_the_triggerer_of_airflow_3(box: AirflowBox) -> None:
    box.emulator.add_instance("dds-older-airflow")
    run_id = box.api.start(GATE, {"db_instance_id": "dds-older-airflow"})
    box.api.wait_for_task(GATE, run_id, "wait_for_backup", "deferred", timeout=90)
    looks = len(box.emulator.requests("DescribeBackupTasks", "dds-older-airflow"))

    assert box.api.wait_for_run(GATE, run_id, timeout=120, on_look=box.check) == "success"

    [job] = box.emulator.jobs("dds-older-airflow")
    assert job["phase"] == "Finished"
    assert len(box.emulator.requests("DescribeBackupTasks", "dds-older-airflow")) > looks
    assert {task["task_id"]: task["state"] for task in box.api.tasks(GATE, run_id)} == ALL_WELL
    assert box.api.xcom(GATE, run_id, "wait_for_backup")["backup_job_id"] == job["job_id"]


@pytest.mark.skipif(AIRFLOW < (3, 0), reason="Airflow 3 runs in the box")
def test_triggerer_masks_a_credential_that_it_fetches(box: AirflowBox) -> None:
    with Emulator() as cloud:
        cloud.sts.put(Role("acs:ram::1000000000000001:role/backup"))
        uri = f"{cloud.url}/credentials/backup"
        extra = {"region_id": "cn-hangzhou", "auth_type": "credentials_uri", "credentials_uri": uri}
        connection = {"connection_id": "dds_lent", "conn_type": "dds", "host": "http://127.0.0.1", "port": cloud.port}
        box.api.create_connection({**connection, "extra": json.dumps(extra)})
        run_id = box.api.start(LOUD, {"conn_id": "dds_lent", "uri": uri})

        assert box.api.wait_for_run(LOUD, run_id, timeout=120, on_look=box.check) == "success"

        lent = cloud.sts.lent("backup")
    log = wait_for(
        lambda: "\n".join(box.api.log(LOUD, run_id, "loud")),
        "the trigger's log to be written",
        until=lambda text: "Lent are" in text,
        timeout=30,
    )
    assert "Lent are <***> and <***>." in log
    logs = [*box.directory.glob("*.log"), *box.settings.logs.rglob("*.log")]
    for secret in (lent["AccessKeySecret"], lent["SecurityToken"]):
        assert [log.name for log in logs if secret in log.read_text()] == []
