"""Back up a whole fleet every night. Each instance has a gate of its own; one that fails stops no other.

The fleet is the Airflow Variable ``dds_fleet``, a JSON list of instance ids.
"""

from __future__ import annotations

import pendulum
from airflow.sdk import Variable, dag, task, task_group

from airflow_provider_dds.operators.dds import DdsCreateBackupOperator
from airflow_provider_dds.sensors.dds import DdsBackupSensor

DEMO_FLEET = ["dds-demo-replica", "dds-demo-cluster", "dds-demo-sharded"]


@dag(
    schedule="30 2 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Shanghai"),
    catchup=False,
    max_active_tasks=16,
    tags=["dds", "example"],
    doc_md=__doc__,
)
def dds_nightly_fleet():
    @task
    def fleet() -> list[str]:
        return Variable.get("dds_fleet", default=DEMO_FLEET, deserialize_json=True)

    # --8<-- [start:howto_dds_nightly_fleet]
    @task_group
    def back_up(db_instance_id):
        create_backup = DdsCreateBackupOperator(task_id="create_backup", db_instance_id=db_instance_id)
        wait_for_backup = DdsBackupSensor(
            task_id="wait_for_backup",
            db_instance_id=db_instance_id,
            backup_job_id=create_backup.output,
            deferrable=True,
            poke_interval=30,
        )
        return wait_for_backup.output

    @task(trigger_rule="all_done")
    def report(wanted, backups):
        """Say what is there, and fail the night if one is missing."""
        done = {backup["db_instance_id"]: backup for backup in backups}
        for instance, backup in done.items():
            print(f"{instance}: backup set {backup['backup_id']}, {backup['size_bytes']} bytes")
        if missing := sorted(set(wanted) - set(done)):
            raise RuntimeError(f"no good backup of {', '.join(missing)}")

    instances = fleet()
    report(instances, back_up.expand(db_instance_id=instances))
    # --8<-- [end:howto_dds_nightly_fleet]


dds_nightly_fleet()
