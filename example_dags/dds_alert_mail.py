"""Mail what failed, with Airflow's own notifier: its templates read the fields of the error.

It sends by the Airflow connection ``smtp_default``.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from airflow.sdk import DAG

from airflow_provider_dds.sensors.dds import DdsFreshBackupSensor

with DAG("dds_alert_mail", schedule=None, tags=["dds", "example"], doc_md=__doc__):
    # --8<-- [start:howto_dds_alert_mail]
    DdsFreshBackupSensor(
        task_id="fresh_backup",
        db_instance_id="dds-demo-replica",
        max_age=timedelta(hours=26),
        mode="reschedule",
        timeout=timedelta(hours=2),
        on_failure_callback=SmtpNotifier(
            from_email="airflow@example.com",
            to="dba-on-call@example.com",
            subject="No good backup of {{ exception.db_instance_id }}: {{ exception.outcome }}",
            html_content="<p>{{ exception | e }}</p><p>{{ exception.advice | e }}</p>",
        ),
    )
    # --8<-- [end:howto_dds_alert_mail]
