"""The triggers of this provider: a face. Each is in a module of its own, which is read when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_dds.triggers.backup import DdsBackupTrigger
    from airflow_provider_dds.triggers.fresh_backup import DdsFreshBackupStartTrigger, DdsFreshBackupTrigger
    from airflow_provider_dds.triggers.instance_free import DdsInstanceFreeTrigger
    from airflow_provider_dds.triggers.start import DdsBackupStartTrigger

__all__ = [
    "DdsBackupStartTrigger",
    "DdsBackupTrigger",
    "DdsFreshBackupStartTrigger",
    "DdsFreshBackupTrigger",
    "DdsInstanceFreeTrigger",
]
_HOMES = {
    "DdsBackupStartTrigger": "airflow_provider_dds.triggers.start",
    "DdsBackupTrigger": "airflow_provider_dds.triggers.backup",
    "DdsFreshBackupStartTrigger": "airflow_provider_dds.triggers.fresh_backup",
    "DdsFreshBackupTrigger": "airflow_provider_dds.triggers.fresh_backup",
    "DdsInstanceFreeTrigger": "airflow_provider_dds.triggers.instance_free",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
