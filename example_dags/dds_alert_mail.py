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
            subject="{% set error = exception | default({}, true) %}No good backup of "
            "{{ error.db_instance_id | default(ti.task_id, true) }}: {{ error.outcome | default('error', true) }}",
            html_content="<p>{{ exception | default('The worker was killed, or lost.', true) | e }}</p>"
            "<p>{{ (exception | default({}, true)).advice | default('The log of the task says more.', true) | e }}</p>",
        ),
    )
    # --8<-- [end:howto_dds_alert_mail]
