from airflow.sdk import DAG, task

from airflow_provider_dds.operators.dds import DdsCreateBackupOperator
from airflow_provider_dds.sensors.dds import DdsBackupSensor

with DAG("dds_quickstart", schedule=None):
    instance = "dds-demo-replica"
    create = DdsCreateBackupOperator(task_id="create_backup", db_instance_id=instance, deferrable=True)
    wait = DdsBackupSensor(
        task_id="wait_for_backup", db_instance_id=instance, backup_job_id=create.output, deferrable=True
    )

    @task
    def migrate(backup):
        print(f"backup set {backup['backup_id']} is good, {backup['size_bytes']} bytes: going on")

    migrate(wait.output)
