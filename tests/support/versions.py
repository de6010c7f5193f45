"""What the tests need of Airflow that differs between its versions, in one place."""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from airflow import __version__
from airflow.providers.common.compat.sdk import DAG, BaseOperator, Connection, TaskDeferred

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

ROOT = Path(__file__).parents[2]
AIRFLOW = tuple(int(part) for part in __version__.split(".")[:2])

exceptions = import_module("airflow.sdk.exceptions" if AIRFLOW >= (3, 2) else "airflow.exceptions")
AirflowRescheduleException = exceptions.AirflowRescheduleException
AirflowSensorTimeout = exceptions.AirflowSensorTimeout
AirflowSkipException = exceptions.AirflowSkipException
TaskDeferralTimeout = getattr(exceptions, "TaskDeferralTimeout", None) or exceptions.TaskDeferralError

airflow_sensor = import_module("airflow.sdk.bases.sensor" if AIRFLOW >= (3, 0) else "airflow.sensors.base")
"""The module of the sensor's base class, whose clock the tests move."""

TRIGGER_FAIL_REPR = "__fail__"
TRIGGER_TIMEOUT = "Trigger timeout" if AIRFLOW >= (3, 0) else "Trigger/execution timeout"
"""What a task is resumed with whose deferral took too long."""


def secrets_masker() -> Any:
    """Return Airflow's own of this process."""
    for name in (
        "airflow.sdk._shared.secrets_masker",
        "airflow.sdk.execution_time.secrets_masker",
        "airflow.utils.log.secrets_masker",
    ):
        with suppress(ImportError):
            return import_module(name)._secrets_masker()
    raise ImportError("this Airflow has no secrets masker")


HAS_TASK_STATE_STORE = AIRFLOW >= (3, 3)
needs_task_state_store = pytest.mark.skipif(
    not HAS_TASK_STATE_STORE, reason="this Airflow has no task state store (3.3 and later)"
)
every_mode_that_remembers = pytest.mark.parametrize(
    "mode", ["poke", pytest.param("reschedule", marks=needs_task_state_store), "deferrable"]
)
"""All modes of a sensor, where it must remember from one poll to the next what it has said or counted."""
needs_supervisor = pytest.mark.skipif(
    AIRFLOW < (3, 0), reason="this Airflow has no supervisor that writes the logs of its tasks (3.0 and later)"
)
needs_timeout_of_none = pytest.mark.skipif(
    AIRFLOW < (3, 3), reason="this Airflow does not take None for its default timeout of sensors (3.3 and later)"
)
needs_rendering_in_the_triggerer = pytest.mark.skipif(
    AIRFLOW < (3, 3), reason="this Airflow renders no templates in the triggerer (3.3 and later)"
)
HAS_RETRY_POLICIES = AIRFLOW >= (3, 3)
needs_retry_policies = pytest.mark.skipif(
    not HAS_RETRY_POLICIES, reason="this Airflow has no retry policies (3.3 and later)"
)


def examples(target: Path) -> Path:
    """Return the folder of the example DAGs; for Airflow 2 a copy with the changes that docs/compatibility.md names."""
    source = ROOT / "example_dags"
    if AIRFLOW >= (3, 0):
        return source
    page = (ROOT / "docs" / "compatibility.md").read_text().partition("## DAG files on Airflow 2.11")[2]
    changes = re.findall(r"^\| `(.+)` \| `(.+)` \|$", page, re.MULTILINE)
    target.mkdir()
    for path in source.glob("*.py"):
        text = path.read_text()
        for before, after in changes:
            text = text.replace(before, after)
        (target / path.name).write_text(text)
    return target


def connection_from_json(text: str, conn_id: str) -> Any:
    """Read the JSON form of a connection, which Airflow 3.0 and 3.1 read in their core alone."""
    source: Any = Connection if hasattr(Connection, "from_json") else import_module("airflow.models").Connection
    return source.from_json(text, conn_id)


def connection_from_uri(uri: str, conn_id: str) -> Any:
    """Read a connection as Airflow reads the environment."""
    if hasattr(Connection, "from_uri"):
        return Connection.from_uri(uri, conn_id)
    return import_module("airflow.models").Connection(conn_id=conn_id, uri=uri)


@contextmanager
def first_rescheduled_at(moment: datetime | None) -> Iterator[None]:
    """Let a sensor find when it was first rescheduled: Airflow 2 reads that from its database, 3 asks the task."""
    if AIRFLOW >= (3, 0):
        yield
        return
    with patch.object(airflow_sensor, "_orig_start_date", lambda *_, **__: moment):
        yield


def retry_policies() -> Any:
    """Return Airflow's module of retry policies; skip the test, or the module that asks, where there is none."""
    if not HAS_RETRY_POLICIES:
        pytest.skip("this Airflow has no retry policies (3.3 and later)", allow_module_level=True)
    return import_module("airflow.sdk.definitions.retry_policy")


__all__ = [
    "AIRFLOW",
    "DAG",
    "HAS_RETRY_POLICIES",
    "HAS_TASK_STATE_STORE",
    "TRIGGER_FAIL_REPR",
    "TRIGGER_TIMEOUT",
    "AirflowRescheduleException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "BaseOperator",
    "Connection",
    "TaskDeferralTimeout",
    "TaskDeferred",
    "airflow_sensor",
    "connection_from_uri",
    "every_mode_that_remembers",
    "examples",
    "first_rescheduled_at",
    "needs_rendering_in_the_triggerer",
    "needs_retry_policies",
    "needs_supervisor",
    "needs_task_state_store",
    "needs_timeout_of_none",
    "retry_policies",
]
