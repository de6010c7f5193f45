"""The facts of a backup in the events of the assets that its task updates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import Asset

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


def tell_outlets(task: Any, context: Context, facts: dict[str, Any]) -> None:
    """Put the facts of a backup into the extra of the event of each asset in a task's ``outlets``.

    :param task: the operator or sensor.
    :param context: Airflow's context.
    :param facts: the facts, plain JSON.
    """
    events = context.get("outlet_events")
    for outlet in task.outlets or ():
        if events is not None and isinstance(outlet, Asset):
            events[outlet].extra.update(facts)
