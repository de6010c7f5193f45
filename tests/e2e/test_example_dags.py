"""Each example DAG under ``airflow dags test``, as its reader would try it; the service tells what happened."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import pytest

from airflow_provider_dds.emulator.emulator import Emulator
from dev.airflow_box import run_airflow
from dev.airflow_env import airflow_environment

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e


UNLISTED = {"dds-demo-local", "dds-demo-standalone"}
ALL_KINDS = ["dds-demo-replica", "dds-demo-cluster", "dds-demo-sharded", *sorted(UNLISTED)]


class Example(NamedTuple):
    """An example DAG, the instances that it backs up, and how long a backup takes."""

    dag_id: str
    instances: list[str]
    seconds: float


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, example_dags: Path) -> dict[str, str]:
    """An Airflow with a database that knows the example DAGs, and nothing running."""
    home = tmp_path_factory.mktemp("airflow")
    options = airflow_environment(home, AIRFLOW__CORE__DAGS_FOLDER=str(example_dags))
    run_airflow(["db", "migrate"], options, home)
    run_airflow(["dags", "reserialize"], options, home)
    return options


@pytest.mark.parametrize(
    "example",
    [
        Example("dds_quickstart", ["dds-demo-replica"], seconds=0.01),  # polls are far apart: be over at once
        Example("dds_backup_gate", ["dds-demo-replica"], seconds=4),
        Example("dds_backup_gate_deferrable", ["dds-demo-replica"], seconds=10),
        Example("dds_backup_gate_no_worker", ["dds-demo-replica"], seconds=10),
        Example("dds_backup_in_one_task", ["dds-demo-replica"], seconds=10),
        Example("dds_nightly_fleet", ALL_KINDS, seconds=0.01),
    ],
    ids=lambda example: example.dag_id,
)
def test_example_makes_one_backup_of_each_instance_and_ends_well(
    example: Example, environment: dict[str, str], tmp_path: Path
) -> None:
    with Emulator(speed=300 / example.seconds) as emulator:
        connected = {
            **environment,
            "AIRFLOW_CONN_DDS_DEFAULT": emulator.connection_json(),
            "AIRFLOW_VAR_DDS_FLEET": json.dumps(ALL_KINDS),
        }
        run_airflow(["dags", "test", example.dag_id], connected, tmp_path)

        created = emulator.requests("CreateBackup")
        tasks = emulator.requests("DescribeBackupTasks")
        looks = tasks + emulator.requests("DescribeBackups")
        jobs = emulator.service.jobs()

    assert sorted(request.params["DBInstanceId"] for request in created) == sorted(example.instances)
    assert all(request.executed for request in created)
    assert {job.status for job in jobs} == {"Finished"}
    waited_for = {(p["DBInstanceId"], p["BackupJobId"]) for p in (x.params for x in looks) if "BackupJobId" in p}
    assert waited_for == {(job.job.instance_id, job.job_id) for job in jobs}, "each gate waits for its own job"
    if UNLISTED & set(example.instances):
        assert not UNLISTED & {x.params["DBInstanceId"] for x in tasks}, "no call lists their running jobs"


def test_example_that_audits_asks_for_every_instance_and_makes_no_backup(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with Emulator(speed=1000) as emulator:
        emulator.service.start_automatic_backup("dds-demo-replica")
        emulator.service.end_backup("dds-demo-replica")
        connected = {**environment, "AIRFLOW_CONN_DDS_DEFAULT": emulator.connection_json()}
        run_airflow(["dags", "test", "dds_backup_audit"], connected, tmp_path)
        assert not emulator.requests("CreateBackup")
        asked = emulator.requests("DescribeBackupPolicy")
        assert sorted(request.params["DBInstanceId"] for request in asked) == sorted(ALL_KINDS)


def test_example_that_wants_a_fresh_backup_makes_none_and_goes_on_with_one(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with Emulator(speed=1000) as emulator:
        emulator.service.start_automatic_backup("dds-demo-replica")
        emulator.service.end_backup("dds-demo-replica")
        connected = {**environment, "AIRFLOW_CONN_DDS_DEFAULT": emulator.connection_json()}
        run_airflow(["dags", "test", "dds_fresh_backup"], connected, tmp_path)
        assert not emulator.requests("CreateBackup")
        assert emulator.requests("DescribeBackups")
