"""Back up a whole fleet every night. Each instance has a task of its own; one that fails stops no other.

The fleet is the Airflow Variable ``dds_fleet``, a JSON list of instance ids. One task an instance asks for the backup
and waits for it: to clear one that failed makes a new backup.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import Variable, dag, task

from airflow_provider_dds.operators.dds import DdsCreateBackupOperator

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
    instances = fleet()
    back_up = DdsCreateBackupOperator.partial(
        task_id="back_up",
        wait_for_completion=True,
        deferrable=True,
        poke_interval=30,
        timeout=timedelta(hours=6),
    ).expand(db_instance_id=instances)

    @task(trigger_rule="all_done")
    def report(wanted, ti=None):
        """Say what is there. It raises where one is missing: a run is as green as its last task."""
        backups = ti.xcom_pull(task_ids="back_up", key="backup", map_indexes=list(range(len(wanted))))
        good = {backup["db_instance_id"]: backup for backup in backups if backup}
        for instance, backup in good.items():
            print(f"{instance}: backup set {backup['backup_id']}, {backup['size_bytes']} bytes")
        if missing := sorted(set(wanted) - set(good)):
            raise RuntimeError(f"no good backup of {', '.join(missing)}")

    back_up >> report(instances)
    # --8<-- [end:howto_dds_nightly_fleet]


dds_nightly_fleet()
