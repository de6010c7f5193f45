"""Go on with a backup that another DAG made: the event of its asset has the facts of the backup.

Backups that end close to each other may start one run together, so that it reads all events.
"""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import Asset
from airflow.sdk import dag, task


@dag(
    schedule=[Asset("mongodb_backup")],  # an outlet of dds_backup_in_one_task
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    tags=["dds", "example"],
    doc_md=__doc__,
)
def dds_after_backup():
    # --8<-- [start:howto_dds_after_backup]
    @task
    def copy(triggering_asset_events=None):
        facts = [event.extra for events in triggering_asset_events.values() for event in events]
        for backup in facts:
            print(
                f"Backup set {backup['backup_id']} of {backup['db_instance_id']}, {backup['size_bytes']} bytes: copying"
            )
        return [backup["backup_id"] for backup in facts]

    copy()
    # --8<-- [end:howto_dds_after_backup]


dds_after_backup()
