"""What differs between Airflow versions, in one place."""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime, timedelta

    from airflow.providers.common.compat.sdk import BaseHook, Context

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

    Airflow 2 keeps this look-up in a private function, which its own sensors call in the same way. Under
    ``airflow dags test`` Airflow 3.0 gives it as text.
    """
    ti = context["ti"]
    if hasattr(ti, "get_first_reschedule_date"):
        first = ti.get_first_reschedule_date(context)
        parse = import_module("airflow.providers.common.compat.sdk").timezone.parse
        return parse(first) if isinstance(first, str) else first
    find = import_module("airflow.sensors.base")._orig_start_date
    first = find(ti.dag_id, ti.task_id, ti.run_id, ti.map_index, (ti.max_tries or 0) - retries + 1)
    return cast("datetime | None", first)


def generation_of(context: Context) -> int:
    """Return what tells a retry from a clear: ``max_tries`` moves when a task is cleared, not when it is retried."""
    return int(context["ti"].max_tries)


def deferral_timed_out(next_method: str, next_kwargs: dict[str, Any] | None) -> str | None:
    """Return Airflow 2's words for a deferral that took too long; None otherwise, and on Airflow 3.

    Airflow 3 makes an AirflowSensorTimeout of it by itself, Airflow 2 an error that is retried.
    """
    words = "Trigger/execution timeout"
    return words if next_method == "__fail__" and (next_kwargs or {}).get("error") == words else None


def renders_in_triggerer() -> bool:
    """Return whether Airflow can begin a task in the triggerer and render its templates there (3.3 and later)."""
    from airflow.triggers.base import BaseTrigger

    return hasattr(BaseTrigger, "render_template_fields")


def must_be_given(params: Any) -> list[str]:
    """Return the names of those params that have no default."""
    try:
        from airflow.sdk.definitions._internal.types import ArgNotSet  # of which copies of params hold copies
    except ImportError:
        return list(params)  # nobody can tell
    return [name for name, param in params.items() if isinstance(getattr(param, "value", None), ArgNotSet)]


async def end_with(ti: Any, xcoms: dict[str, Any]) -> Any:
    """Push XComs of a task that the triggerer ends, and return the event that then ends it as a success.

    The event could carry them, but then Airflow 3.3 stores their JSON as text, and another task pulls text.
    """
    from airflow.providers.common.compat.sdk import XCom
    from airflow.triggers.base import TaskSuccessEvent

    of_task = {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id, "map_index": ti.map_index}
    for key, value in xcoms.items():
        await XCom.aset(key, value, **of_task)
    return TaskSuccessEvent()


def start_args(trigger_class: type, kwargs: dict[str, Any], timeout: timedelta) -> Any:
    """Return what Airflow begins a task with in the triggerer, to go on with its ``execute_complete``."""
    from airflow.triggers.base import StartTriggerArgs

    path = f"{trigger_class.__module__}.{trigger_class.__qualname__}"
    return StartTriggerArgs(path, "execute_complete", trigger_kwargs=kwargs, timeout=timeout)


def has_xcom_backend() -> bool:
    """Return whether XComs go through a backend of the user's, which tasks that end in the triggerer pass by."""
    from airflow.providers.common.compat.sdk import XCom
    from airflow.sdk.bases.xcom import BaseXCom

    return XCom is not BaseXCom


def forget_result(context: Context) -> None:
    """Delete what an earlier run of a task returned: Airflow does that where a worker begins a task, but not here."""
    from airflow.providers.common.compat.sdk import XCom

    ti = context["ti"]
    of_task = {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id, "map_index": ti.map_index}
    try:
        XCom.delete(key="return_value", **of_task)
    except Exception as error:
        _log.warning("What an earlier run of this task returned could not be deleted: %s.", error)


async def connection_of(hook: BaseHook, conn_id: str) -> Any:
    """Return a connection, for code that an event loop runs.

    Before Airflow 3.3.2 ``aget_connection`` (3.1) masks the secrets in a way that blocks the loop, and may deadlock on
    it; 3.0 and 2.11 have none. There the blocking call runs in a thread that asgiref knows to belong to the loop.
    ``get_async_connection`` of common-compat does the same since 1.23, and takes no hook before 1.17.
    """
    if hasattr(import_module("airflow.providers.common.compat.sdk").Connection, "aextra_dejson"):
        return await hook.aget_connection(conn_id)
    from asgiref.sync import sync_to_async

    return await sync_to_async(hook.get_connection)(conn_id)


def mask_secrets(values: Iterable[str]) -> None:
    """Tell Airflow's secrets masker what no log may show. Not for code that an event loop runs."""
    with _told():
        mask_secret = _mask_secret()
        for value in values:
            mask_secret(value)


@lru_cache(maxsize=1)
def _mask_secret() -> Callable[[str], None]:
    """Return Airflow's own: from 3.1, from 3.0, from 2.11."""
    for name in (
        "airflow.sdk.log",
        "airflow.sdk.execution_time.secrets_masker",
        "airflow.utils.log.secrets_masker",
    ):
        with suppress(ImportError, AttributeError):
            return cast("Callable[[str], None]", import_module(name).mask_secret)
    raise ImportError("this Airflow has no mask_secret")


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
