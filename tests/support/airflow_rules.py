"""What Airflow does with a task instance, as far as tests play it.

``tests/integration/test_airflow_rules.py`` holds every rule of this file against Airflow's own code.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def max_tries_after_clear(max_tries: int, try_number: int, retries: int | None) -> int:
    """Return ``max_tries`` of a task instance that is cleared.

    :param max_tries: before
    :param try_number: its last try
    :param retries: what the DAG says now, which may have been edited; None: the task is not in it any more
    """
    return max(max_tries, try_number) if retries is None else try_number + retries


def is_retried(max_tries: int, try_number: int) -> bool:
    """Return whether another try follows one that failed, for a reason that allows it."""
    return max_tries != 0 and try_number <= max_tries


class StoreOfTry:
    """The task state store as one try sees it: once another try has taken over, it finds nothing and writes nothing.

    Airflow gives the task instance a new id for each try, and refuses requests in the name of an old one: 404. Its
    client takes that for a missing key when it reads.

    :param store: what all tries share
    :param superseded: tells whether another try has taken over
    """

    def __init__(self, store: Any, superseded: Callable[[], bool]) -> None:
        self._store = store
        self._superseded = superseded

    def get(self, key: str, default: Any = None) -> Any:
        return default if self._superseded() else self._store.get(key, default)

    def set(self, key: str, value: Any) -> None:
        if self._superseded():
            raise no_such_task_instance()
        self._store.set(key, value)


def no_such_task_instance() -> Exception:
    """Return what a write to the store of a superseded try raises."""
    return api_server_error(404, {"reason": "not_found", "message": "Task instance not found"})


def api_server_error(status: int, detail: Any = None) -> Exception:
    """Return what a write to the store raises when the API server refuses it."""
    comms, exceptions = (import_module(f"airflow.sdk.{name}") for name in ("execution_time.comms", "exceptions"))
    said = {"status_code": status, "message": "Server returned error", "detail": detail}
    return exceptions.AirflowRuntimeError(comms.ErrorResponse(error=exceptions.ErrorType.API_SERVER_ERROR, detail=said))
