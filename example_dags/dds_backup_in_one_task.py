"""Back up a MongoDB instance in one task: the operator asks for the backup and waits for it itself.

For DAGs where nothing needs the job id. What the backup is like lies in the task's XCom ``backup``.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import Asset
from airflow.sdk import dag, task

from airflow_provider_dds.operators.dds import DdsCreateBackupOperator


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    params={"db_instance_id": "dds-demo-replica"},
    tags=["dds", "example"],
    doc_md=__doc__,
)
def dds_backup_in_one_task():
    # --8<-- [start:howto_dds_backup_in_one_task]
    back_up = DdsCreateBackupOperator(
        task_id="back_up",
        db_instance_id="{{ params.db_instance_id }}",
        backup_retention_period=30,
        if_backup_running="wait",
        wait_for_completion=True,
        deferrable=True,
        poke_interval=5,
        timeout=timedelta(hours=6),
        outlets=[Asset("mongodb_backup")],
        doc_md="XCom `backup` has the facts of the backup. When it fails, the last line of its log says what to do.",
    )

    @task
    def migrate(ti=None):
        backup = ti.xcom_pull(task_ids="back_up", key="backup")
        print(f"Backup set {backup['backup_id']} is kept until {backup['expire_time']}: migrating")

    back_up >> migrate()
    # --8<-- [end:howto_dds_backup_in_one_task]


dds_backup_in_one_task()
