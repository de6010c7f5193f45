"""The operators of this provider: a face. Each is in a module of its own, which is read when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_dds.operators.audit import DdsBackupAuditOperator
    from airflow_provider_dds.operators.create_backup import DdsCreateBackupOperator

__all__ = ["DdsBackupAuditOperator", "DdsCreateBackupOperator"]
_HOMES = {
    "DdsBackupAuditOperator": "airflow_provider_dds.operators.audit",
    "DdsCreateBackupOperator": "airflow_provider_dds.operators.create_backup",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
