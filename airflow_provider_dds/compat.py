"""What differs between Airflow versions, in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


def task_state_store(context: Context) -> Any:
    """Return the store that outlives a try of the task (Airflow 3.3 and later), None where there is none."""
    return context.get("task_state_store")


def retry_policies() -> Any:
    """Return the module of retry policies (Airflow 3.3 and later), None where there is none."""
    try:
        from airflow.sdk.definitions import retry_policy
    except ImportError:
        return None
    return retry_policy


def generation_of(context: Context) -> int:
    """Return what tells a retry from a clear: ``max_tries`` moves when a task is cleared, not when it is retried."""
    return int(context["ti"].max_tries)
