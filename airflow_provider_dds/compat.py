"""What differs between Airflow versions, in one place."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from datetime import datetime

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


def first_look_at(context: Context, retries: int) -> datetime | None:
    """Return when a sensor in reschedule mode first looked since it was last cleared, None if it has not yet.

    Airflow 2 keeps this look-up in a private function, which its own sensors call in the same way.
    """
    ti = context["ti"]
    if hasattr(ti, "get_first_reschedule_date"):
        return ti.get_first_reschedule_date(context)
    find = import_module("airflow.sensors.base")._orig_start_date
    first = find(ti.dag_id, ti.task_id, ti.run_id, ti.map_index, (ti.max_tries or 0) - retries + 1)
    return cast("datetime | None", first)


def generation_of(context: Context) -> int:
    """Return what tells a retry from a clear: ``max_tries`` moves when a task is cleared, not when it is retried."""
    return int(context["ti"].max_tries)
