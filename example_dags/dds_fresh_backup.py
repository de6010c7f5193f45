"""Go on only where a MongoDB instance has a good backup of the last 26 hours, whoever made it.

Nothing is backed up here: the instance's own schedule does that every night, and a person may. The sensor waits for a
backup that is being made, and says at its deadline which the newest good one is and what failed since.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import dag, task

from airflow_provider_dds.sensors.dds import DdsFreshBackupSensor


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    params={"db_instance_id": "dds-demo-replica"},
    tags=["dds", "example"],
    doc_md=__doc__,
)
def dds_fresh_backup():
    # --8<-- [start:howto_dds_fresh_backup]
    fresh_backup = DdsFreshBackupSensor(
        task_id="fresh_backup",
        db_instance_id="{{ params.db_instance_id }}",
        max_age=timedelta(hours=26),
        min_size_ratio=0.5,
        mode="reschedule",
        poke_interval=60,
        timeout=timedelta(hours=2),
    )
    # --8<-- [end:howto_dds_fresh_backup]

    @task
    def purge(backup: dict):
        """Whatever must not happen without a backup."""
        print(f"Backup {backup['backup_id']} is {backup['age_seconds'] / 3600:.1f} hours old: purging")

    purge(fresh_backup.output)


dds_fresh_backup()
