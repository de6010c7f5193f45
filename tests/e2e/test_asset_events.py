"""A DAG that is scheduled by the asset of a backup gets the facts of that backup from Airflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dev.waiting import wait_for
from tests.support.versions import AIRFLOW

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dev.airflow_box import AirflowBox

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(AIRFLOW < (3, 0), reason="Airflow 3 runs in the box")]

PRODUCER = "dds_backup_in_one_task"
CONSUMER = "dds_after_backup"
INSTANCE = "dds-with-an-asset"


@pytest.fixture
def consumer(box: AirflowBox) -> Iterator[None]:
    """The consumer is on while the test runs: a DAG that is paused gets no events."""
    wait_for(lambda: box.api.has_dag(CONSUMER), "the consumer to be read", timeout=60)
    path = f"/api/v2/dags/{CONSUMER}"
    box.api.request("PATCH", path, json={"is_paused": False})
    yield
    box.api.request("PATCH", path, json={"is_paused": True})


@pytest.mark.usefixtures("consumer")
def test_dag_that_is_scheduled_by_backups_reads_which_one_it_is_about(box: AirflowBox) -> None:
    box.emulator.add_instance(INSTANCE)
    run_id = box.api.start(PRODUCER, {"db_instance_id": INSTANCE})
    assert box.api.wait_for_run(PRODUCER, run_id, timeout=120, on_look=box.check) == "success"
    backup = box.api.xcom(PRODUCER, run_id, "back_up", key="backup")

    def runs() -> list[Any]:
        return [run["dag_run_id"] for run in box.api.request("GET", f"/api/v2/dags/{CONSUMER}/dagRuns")["dag_runs"]]

    [begun] = wait_for(runs, "a run of the consumer", until=bool, timeout=120)
    assert box.api.wait_for_run(CONSUMER, begun, timeout=120, on_look=box.check) == "success"
    assert box.api.xcom(CONSUMER, begun, "copy") == [backup["backup_id"]]
    assert f"Backup set {backup['backup_id']} of {INSTANCE}" in "\n".join(box.api.log(CONSUMER, begun, "copy"))
