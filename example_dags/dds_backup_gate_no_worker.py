"""Back up a MongoDB instance, and go on only when that very backup is good.

The triggerer waits for it from the first poll on, and ends the task: no worker is needed (``start_from_trigger=True``).
Before Airflow 3.3, and under ``airflow dags test``, a worker begins the wait, as with ``deferrable=True``.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import dag, task

from airflow_provider_dds.operators.dds import DdsCreateBackupOperator
from airflow_provider_dds.sensors.dds import DdsBackupSensor


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    params={"db_instance_id": "dds-demo-replica"},
    tags=["dds", "example"],
    doc_md=__doc__,
)
def dds_backup_gate_no_worker():
    # --8<-- [start:howto_dds_backup_gate_no_worker]
    create_backup = DdsCreateBackupOperator(
        task_id="create_backup",
        db_instance_id="{{ params.db_instance_id }}",
    )

    wait_for_backup = DdsBackupSensor(
        task_id="wait_for_backup",
        db_instance_id="{{ params.db_instance_id }}",
        backup_job_id=create_backup.output,
        start_from_trigger=True,
        poke_interval=5,
        timeout=timedelta(hours=6),
        doc_md="Waits for the job of `create_backup`. When it fails, the last line of its log says what to do.",
    )
    # --8<-- [end:howto_dds_backup_gate_no_worker]

    @task
    def migrate(backup: dict):
        """Whatever must not happen without a backup."""
        print(f"Backup set {backup['backup_id']} of {backup['db_instance_id']} is there: migrating")

    migrate(wait_for_backup.output)


dds_backup_gate_no_worker()
