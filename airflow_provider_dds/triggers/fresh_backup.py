"""Trigger that waits for a good backup that is fresh enough, begun by a worker."""

from __future__ import annotations

from airflow_provider_dds.triggers.base import WaitTrigger
from airflow_provider_dds.waiting.fresh_backup import FreshBackupWait


class DdsFreshBackupTrigger(WaitTrigger):
    """Wait until an instance has a good backup that is fresh enough, or the deadline passes.

    Its arguments are those of :class:`~airflow_provider_dds.triggers.base.WaitTrigger` and of
    :class:`~airflow_provider_dds.waiting.fresh_backup.FreshBackupWait`. It fires once, with the
    :class:`~airflow_provider_dds.waiting.result.Result` as JSON.
    """

    wait_class = FreshBackupWait
    wait: FreshBackupWait
