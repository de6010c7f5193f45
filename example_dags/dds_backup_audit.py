"""Ask every morning whether each instance has a good backup of the last 26 hours, and name all that have not.

One task asks for all of them, at the pace of the account. Its failure names every instance that does not hold, with the
reasons; the table is in its log, and the rows are XCom ``audit``.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import dag, task

from airflow_provider_dds.operators.dds import DdsBackupAuditOperator


@dag(
    schedule="0 7 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    tags=["dds", "example"],
    doc_md=__doc__,
)
def dds_backup_audit():
    # --8<-- [start:howto_dds_backup_audit]
    audit = DdsBackupAuditOperator(
        task_id="audit",
        max_age=timedelta(hours=26),
        min_retention_days=7,
        on_violation="report",
    )
    # --8<-- [end:howto_dds_backup_audit]

    @task
    def morning_mail(rows: list[dict]):
        """Say it in the words of the house."""
        for row in rows:
            if not row["ok"]:
                print(f"{row['db_instance_id']}: {'; '.join(row['reasons'])}")
        print(f"{sum(row['ok'] is True for row in rows)} of {len(rows)} instances have a fresh backup")

    morning_mail(audit.output)


dds_backup_audit()
