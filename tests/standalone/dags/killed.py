"""What the kill tests run: one create per way to wait, a gate, and a fleet of sensors.

``dds_patient`` is ``dds_default`` with a long read timeout: a task must be killed, not give up by itself, while the
service hangs.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import dag, task

from airflow_provider_dds.operators.dds import DdsCreateBackupOperator
from airflow_provider_dds.sensors.dds import DdsBackupSensor

WAYS_TO_WAIT = {
    "create_only": {},
    "create_and_wait": {"wait_for_completion": True, "deferrable": False},
    "create_and_defer": {"wait_for_completion": True, "deferrable": True},
}
DAG = {
    "start_date": pendulum.datetime(2026, 1, 1, tz="UTC"),
    "catchup": False,
    "params": {"db_instance_id": "", "jobs": []},
}


def creates(**options):
    return DdsCreateBackupOperator(
        task_id="create",
        db_instance_id="{{ params.db_instance_id }}",
        dds_conn_id="dds_patient",
        poke_interval=1,
        retries=1,
        retry_delay=timedelta(seconds=1),
        **options,
    )


def only_creates(dag_id, options):
    @dag(dag_id=dag_id, schedule=None, **DAG)
    def build():
        creates(**options)

    return build()


for name, options in WAYS_TO_WAIT.items():
    globals()[name] = only_creates(name, options)


@dag(schedule=None, **DAG)
def gate():
    DdsBackupSensor(
        task_id="wait",
        db_instance_id="{{ params.db_instance_id }}",
        backup_job_id=creates().output,
        deferrable=True,
        poke_interval=1,
        retries=1,
        retry_delay=timedelta(seconds=1),
    )


gate()


@dag(schedule=None, max_active_tasks=64, **DAG)
def fleet():
    @task
    def jobs(params):
        return params["jobs"]

    DdsBackupSensor.partial(
        task_id="wait",
        deferrable=True,
        poke_interval=3,
        retries=1,
        retry_delay=timedelta(seconds=1),
    ).expand_kwargs(jobs())


fleet()
