"""Tell a chat what failed. The callback reads the fields of the error: they are the same in every way to wait.

The address of the chat's webhook is the Airflow Variable ``dds_chat_webhook``.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Variable

from airflow_provider_dds.operators.dds import DdsCreateBackupOperator


# --8<-- [start:howto_dds_alert]
def tell_chat(context):
    import requests  # not while Airflow reads the file

    error = context.get("exception")  # none where the worker was killed or lost
    text = str(error or "The task ended without an error of its own: its worker was killed, or lost.")
    facts = getattr(error, "facts", {"text": text})  # an error of something else has no facts
    lines = [
        f"No good backup of {facts.get('db_instance_id') or context['ti'].task_id}: {facts.get('outcome', 'error')}",
        facts.get("advice") or facts["text"],
        f"Job {facts.get('backup_job_id', 'unknown')}, request ids {', '.join(facts.get('request_ids', [])) or 'none'}",
    ]
    requests.post(Variable.get("dds_chat_webhook"), json={"text": "\n".join(lines)}, timeout=10)


with DAG("dds_alert", schedule=None, tags=["dds", "example"], doc_md=__doc__):
    DdsCreateBackupOperator(
        task_id="back_up",
        db_instance_id="dds-demo-replica",
        wait_for_completion=True,
        deferrable=True,
        timeout=timedelta(hours=6),
        on_failure_callback=tell_chat,
    )
# --8<-- [end:howto_dds_alert]
