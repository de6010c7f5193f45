"""The sensors of this provider: a face. Each is in a module of its own, which is read when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_dds.sensors.backup import DdsBackupSensor
    from airflow_provider_dds.sensors.fresh_backup import DdsFreshBackupSensor

__all__ = ["DdsBackupSensor", "DdsFreshBackupSensor"]
_HOMES = {
    "DdsBackupSensor": "airflow_provider_dds.sensors.backup",
    "DdsFreshBackupSensor": "airflow_provider_dds.sensors.fresh_backup",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
