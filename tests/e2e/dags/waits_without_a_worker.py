"""Sensors that start in the triggerer, or ask for it in vain, all for one backup."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Asset, Param, task

from airflow_provider_dds.operators.dds import DdsCreateBackupOperator
from airflow_provider_dds.sensors.dds import DdsBackupSensor

INSTANCE = "{{ params.db_instance_id }}"
PARAMS = {"db_instance_id": "dds-demo-replica", "nothing": "", "conn_id": "dds_default"}


def wait(task_id: str, backup_job_id: Any, **arguments: Any) -> DdsBackupSensor:
    return DdsBackupSensor(task_id=task_id, backup_job_id=backup_job_id, **arguments)


@task
def listed(job_id: str) -> list[str]:
    return [job_id]


def call_back(context: Any) -> None:
    print("called back:", context["ti"].task_id)


DEFAULTS = {"db_instance_id": INSTANCE, "start_from_trigger": True, "poke_interval": 1, "timeout": 900}

with DAG("waits_without_a_worker", schedule=None, params=PARAMS, default_args=DEFAULTS):
    job = DdsCreateBackupOperator(task_id="create_backup").output
    plain = wait("plain", job)
    wait(
        "templated",
        "{{ ti.xcom_pull('create_backup') | string | trim }}{{ params.nothing }}",
        dds_conn_id="{{ params.conn_id }}",
        region_id="{{ conn[params.conn_id].extra_dejson.region_id }}",
    )
    wait("silent", job, do_xcom_push=False)
    fails_once = "{{ 1 // (ti.try_number - 1) and ti.xcom_pull('create_backup') }}"
    wait("retried", fails_once, retries=1, retry_delay=timedelta(seconds=1))
    wait("called_back", job, on_success_callback=call_back)
    wait("with_an_outlet", job, outlets=[Asset("good_backup")])
    wait("compared", job, start_from_trigger=False, deferrable=True)

    @task
    def pulled(backup: dict[str, Any]) -> str:
        return backup["backup_id"]

    @task
    def mapped_over(fact: tuple[str, Any]) -> str:
        return fact[0]

    pulled(plain.output)
    mapped_over.expand(fact=wait("mapped_over_later", job).output)

    DdsBackupSensor.partial(task_id="mapped").expand(backup_job_id=listed(job))

with DAG("waits_that_fail_without_a_worker", schedule=None, params=PARAMS, default_args={**DEFAULTS, "retries": 0}):
    job = DdsCreateBackupOperator(task_id="create_backup").output
    wait("plain", job)
    wait("skipped", job, soft_fail=True)
    wait("too_late", job, timeout=2)
    after = [
        wait("empty", "{{ ti.xcom_pull('nothing') }}"),
        wait("blank", " {{ params.nothing }} "),
        wait("undefined", "{{ job_id }}"),
        wait("unanswered", "{{ prev_start_date_success }}"),
        wait("no_connection", "1", dds_conn_id="{{ params.conn_id }}_of_nobody"),
        wait("many", "{{ [1, 2] }}"),
    ]

with DAG("wait_that_ends_at_its_deadline", schedule=None, params=PARAMS, default_args={**DEFAULTS, "retries": 0}):
    wait("wait", DdsCreateBackupOperator(task_id="create_backup").output, timeout=30)

with DAG(
    "waits_with_a_param_that_must_be_given",
    schedule=None,
    params={"db_instance_id": Param(type="string")},
    default_args=DEFAULTS,
):
    job = DdsCreateBackupOperator(task_id="create_backup").output
    wait("plain", job)
    DdsBackupSensor.partial(task_id="mapped", start_from_trigger=True).expand(backup_job_id=listed(job))

with DAG("wait_for_what_a_variable_names", schedule=None, params=PARAMS, default_args={**DEFAULTS, "retries": 0}):
    wait("wait", "{{ var.value.dds_job_to_wait_for }}", timeout=120)
