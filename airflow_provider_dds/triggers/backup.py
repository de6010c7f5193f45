"""Trigger that waits for one backup job, begun by a worker."""

from __future__ import annotations

from airflow_provider_dds.triggers.base import WaitTrigger
from airflow_provider_dds.waiting.backup_job import BackupJobWait


class DdsBackupTrigger(WaitTrigger):
    """Wait for one backup job until it is good, has failed, or the deadline passes.

    Its arguments are those of :class:`~airflow_provider_dds.triggers.base.WaitTrigger` and of
    :class:`~airflow_provider_dds.waiting.backup_job.BackupJobWait`. It fires once, with the
    :class:`~airflow_provider_dds.waiting.result.Result` as JSON.
    """

    wait_class = BackupJobWait
    wait: BackupJobWait
