"""What differs between Airflow versions, in one place."""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime, timedelta

    from airflow.providers.common.compat.sdk import BaseHook, Context

try:
    from airflow.sdk.exceptions import TaskDeferralError
except ImportError:  # before Airflow 3.2
    from airflow.exceptions import TaskDeferralError  # type: ignore[no-redef]  # its place before that

__all__ = ["TaskDeferralError"]

MASK_SECONDS = 10.0
"""How long a thread waits for its event loop to tell the secrets masker."""
_log = logging.getLogger(__name__)


def task_state_store(context: Context) -> Any:
    """Return the store that outlives a try of the task (Airflow 3.3 and later), None where there is none."""
    return context.get("task_state_store")


def stats() -> Any:
    """Return Airflow's metrics: for a trigger those of the triggerer, elsewhere those of the task's process.

    Airflow 3.2 and later has two, of which each process sets up its own; before that there is one.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _stats("airflow.sdk.observability.stats")
    if "airflow.jobs.triggerer_job_runner" not in sys.modules:  # a coroutine of a task, on its worker
        return _stats("airflow.sdk.observability.stats")
    return _stats("airflow.observability.stats")


@lru_cache
def _stats(place: str) -> Any:
    try:
        return import_module(place)
    except ImportError:
        return import_module("airflow.stats").Stats


def retry_policies() -> Any:
    """Return the module of retry policies (Airflow 3.3 and later), None where there is none."""
    try:
        from airflow.sdk.definitions import retry_policy
    except ImportError:
        return None
    return retry_policy


def first_poll_at(context: Context, retries: int) -> datetime | None:
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


def try_of(context: Context) -> dict[str, Any]:
    """Return what a try can see of itself, as the fields of :class:`airflow_provider_dds.creating.attempt.Attempt`.

    Airflow 3 gives each try a task instance id of its own, which holds the time at which it was made (UUID version 7).
    """
    ti = context["ti"]
    made_id: Any = getattr(ti, "id", None)
    made_at = (made_id.int >> 80) / 1000 if getattr(made_id, "version", None) == 7 else None
    return {
        "try_number": int(ti.try_number),
        "max_tries": int(ti.max_tries or 0),
        "clear_number": getattr(context.get("dag_run"), "clear_number", None),
        "made_at": made_at,
    }


def api_status_of(error: BaseException) -> int | None:
    """Return the HTTP status with which Airflow's API server refused a task's request; None for any other error."""
    detail = getattr(getattr(error, "error", None), "detail", None)
    status = detail.get("status_code") if isinstance(detail, dict) else None
    return status if isinstance(status, int) else None


def ends_of_a_task() -> tuple[type[BaseException], ...]:
    """Return what Airflow raises in a task to end it: when its ``execution_timeout`` has passed, or it is killed."""
    return tuple(_exception(name) for name in ("AirflowTaskTimeout", "AirflowTaskTerminated"))


def _exception(name: str) -> type[BaseException]:
    for module in ("airflow.sdk.exceptions", "airflow.exceptions"):
        with suppress(ImportError, AttributeError):
            return cast("type[BaseException]", getattr(import_module(module), name))
    raise ImportError(f"this Airflow has no {name}")


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


def own_xcom(ti: Any, key: str) -> Any:
    """Return what a task instance has pushed under a key in this run, None for nothing; for a triggerer (3.3)."""
    from airflow.providers.common.compat.sdk import XCom

    of_task = {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id, "map_index": ti.map_index}
    return XCom.get_one(key=key, **of_task)


def keep_own_xcom(ti: Any, key: str, value: Any) -> None:
    """Push an XCom of a task instance from a triggerer (3.3), where its own ``xcom_push`` fails. It blocks."""
    from airflow.providers.common.compat.sdk import XCom

    of_task = {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id, "map_index": ti.map_index}
    XCom.set(key=key, value=value, **of_task)


def pulled_own_xcom(ti: Any, key: str) -> Any:
    """Like :func:`own_xcom`, for a worker."""
    return ti.xcom_pull(task_ids=ti.task_id, key=key, map_indexes=ti.map_index)


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


async def connection_of(hook: type[BaseHook], conn_id: str) -> Any:
    """Return a connection, for code that an event loop runs.

    Before Airflow 3.3.2 ``aget_connection`` (3.1) masks the secrets in a way that blocks the loop, and may deadlock on
    it; 3.0 and 2.11 have none. There the blocking call runs in a thread that asgiref knows to belong to the loop.
    ``get_async_connection`` of common-compat does the same since 1.23, and takes no hook before 1.17.
    """
    if hasattr(import_module("airflow.providers.common.compat.sdk").Connection, "aextra_dejson"):
        return await hook.aget_connection(conn_id)
    from asgiref.sync import sync_to_async

    return await sync_to_async(hook.get_connection)(conn_id)


def failed_look_up(conn_id: str) -> Exception | None:
    """Return what failed where Airflow says that a connection is not defined; None where it certainly is not.

    Airflow skips a source of connections that fails, and also its own API server (3.2 and later) or database (2.11).
    So each is asked once more. Not for code that an event loop runs.
    """
    try:
        for source in _sources():
            if source.get_connection(conn_id=conn_id) is not None:
                return LookupError("it was not there a moment ago")
    except Exception as error:
        return error
    try:
        _ask_supervisor(conn_id)
    except Exception as error:
        return error if not_answered(error) else None
    return None


async def afailed_look_up(conn_id: str) -> Exception | None:
    """Like :func:`failed_look_up`, for code that an event loop runs."""
    from asgiref.sync import sync_to_async

    return await sync_to_async(failed_look_up)(conn_id)


def _sources() -> list[Any]:
    """Return Airflow's secrets backends, of the kind of process that this is."""
    try:
        from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded
    except ImportError:
        return cast("list[Any]", import_module("airflow.configuration").ensure_secrets_loaded())
    return cast("list[Any]", ensure_secrets_backend_loaded())


def _ask_supervisor(conn_id: str) -> None:
    """Ask Airflow's API server by way of the supervisor, and raise unless it says that there is no such connection."""
    try:
        from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
        from airflow.sdk.execution_time import task_runner
        from airflow.sdk.execution_time.comms import ErrorResponse, GetConnection
    except ImportError:
        return  # before Airflow 3 there is none
    supervisor: Any = getattr(task_runner, "SUPERVISOR_COMMS", None)
    if supervisor is None:
        return
    answer = supervisor.send(GetConnection(conn_id=conn_id))
    if isinstance(answer, ErrorResponse) and answer.error is not ErrorType.CONNECTION_NOT_FOUND:
        raise AirflowRuntimeError(answer)


def not_answered(error: BaseException) -> bool:
    """Return whether an error means that Airflow's API server, or its database, did not answer a request."""
    kind = getattr(getattr(getattr(error, "error", None), "error", None), "value", "")  # of an AirflowRuntimeError
    return isinstance(error, (OSError, asyncio.TimeoutError)) or kind in ("API_SERVER_ERROR", "GENERIC_ERROR")


def says_no_secret(error: BaseException) -> bool:
    """Return whether an error is what Airflow's API server said, whose text holds no secret of a connection."""
    return type(error).__name__ == "AirflowRuntimeError" and type(error).__module__.startswith("airflow.sdk.")


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
