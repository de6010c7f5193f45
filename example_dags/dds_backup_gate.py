"""Back up a MongoDB instance, and go on only when that very backup is good.

One DAG for each way to wait. They differ in what the sensor is given, and end alike.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, task

from airflow_provider_dds.operators.dds import DdsCreateBackupOperator
from airflow_provider_dds.sensors.dds import DdsBackupSensor

# --8<-- [start:howto_dds_ways_to_wait]
WAYS_TO_WAIT = {
    # The triggerer polls: no worker is held.
    "dds_backup_gate_deferrable": {"deferrable": True},
    # The triggerer begins and ends the task, too (Airflow 3.3; before that a worker begins it, as above).
    "dds_backup_gate_no_worker": {"start_from_trigger": True},
    # A worker polls, and is given back between two polls: there needs to be no triggerer.
    "dds_backup_gate": {"mode": "reschedule", "deferrable": False},
}
# --8<-- [end:howto_dds_ways_to_wait]


def backup_gate(way_to_wait: dict) -> None:
    # --8<-- [start:howto_dds_backup_gate]
    create_backup = DdsCreateBackupOperator(
        task_id="create_backup",
        db_instance_id="{{ params.db_instance_id }}",
        deferrable=way_to_wait.get("deferrable", True),  # it waits only while another backup runs
    )

    wait_for_backup = DdsBackupSensor(
        task_id="wait_for_backup",
        db_instance_id="{{ params.db_instance_id }}",
        backup_job_id=create_backup.output,
        poke_interval=5,
        timeout=timedelta(hours=6),
        doc_md="Waits for the job of `create_backup`. When it fails, the last line of its log says what to do.",
        **way_to_wait,
    )
    # --8<-- [end:howto_dds_backup_gate]

    @task
    def migrate(backup: dict):
        """Whatever must not happen without a backup."""
        print(f"Backup set {backup['backup_id']} of {backup['db_instance_id']} is there: migrating")

    migrate(wait_for_backup.output)


for dag_id, way_to_wait in WAYS_TO_WAIT.items():
    with DAG(
        dag_id, schedule=None, params={"db_instance_id": "dds-demo-replica"}, tags=["dds", "example"], doc_md=__doc__
    ):
        backup_gate(way_to_wait)
