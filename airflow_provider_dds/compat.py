"""What differs between Airflow versions, in one place."""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from airflow.providers.common.compat.sdk import Context

MASK_SECONDS = 10.0
"""How long a thread waits for its event loop to tell the secrets masker."""
_log = logging.getLogger(__name__)


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


def mask_secrets(values: Iterable[str]) -> None:
    """Tell Airflow's secrets masker what no log may show. Not for code that an event loop runs."""
    from airflow.providers.common.compat.sdk import mask_secret

    with _told():
        for value in values:
            mask_secret(value)


async def amask_secrets(values: Iterable[str]) -> None:
    """Like :func:`mask_secrets`, for code that an event loop runs.

    Airflow tells its supervisor of a secret, since that writes the log. In a triggerer this goes through a connection
    of the event loop. Before Airflow 3.3.2 there is only the blocking way, which must then run in a thread that
    asgiref knows to belong to the loop: in any other it may break that connection (3.0, 3.1), and on the loop itself
    it raises or deadlocks.
    """
    with _told():
        try:
            from airflow.sdk.log import amask_secret
        except ImportError:
            from asgiref.sync import sync_to_async

            await sync_to_async(mask_secrets)(values)
        else:
            for value in values:
                await amask_secret(value)


def masker_on(loop: asyncio.AbstractEventLoop) -> Callable[[Iterable[str]], None]:
    """Return a :func:`mask_secrets` for a thread that works for an event loop: the loop does it, the thread waits."""

    def mask(values: Iterable[str]) -> None:
        with _told():
            asyncio.run_coroutine_threadsafe(amask_secrets(tuple(values)), loop).result(MASK_SECONDS)

    return mask


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        _log.warning("Airflow's secrets masker could not be told of a secret: %s.", type(error).__name__)
