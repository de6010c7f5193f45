"""Triggers that wait for a good backup that is fresh enough."""

from __future__ import annotations

from airflow_provider_dds.triggers.base import WaitTrigger
from airflow_provider_dds.triggers.start import DdsBackupStartTrigger
from airflow_provider_dds.waiting.fresh_backup import FreshBackupWait


class DdsFreshBackupTrigger(WaitTrigger):
    """Wait until an instance has a good backup that is fresh enough, or the deadline passes.

    Its arguments are those of :class:`~airflow_provider_dds.triggers.base.WaitTrigger` and of
    :class:`~airflow_provider_dds.waiting.fresh_backup.FreshBackupWait`. It fires once, with the
    :class:`~airflow_provider_dds.waiting.result.Result` as JSON.
    """

    wait_class = FreshBackupWait
    wait: FreshBackupWait


class DdsFreshBackupStartTrigger(DdsBackupStartTrigger):
    """Wait for a good backup that is fresh enough from the first poll on, for a sensor that no worker began.

    It is like :class:`~airflow_provider_dds.triggers.start.DdsBackupStartTrigger`, with the arguments of
    :class:`~airflow_provider_dds.waiting.fresh_backup.FreshBackupWait` in place of those of a wait for one job.
    """

    wait_class = FreshBackupWait
