"""How a sensor begins in the triggerer: what Airflow stores of it when it reads the DAG file, and when it must not."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_dds.compat import has_xcom_backend, must_be_given, renders_in_triggerer, start_args
from airflow_provider_dds.triggers.dds import TRIGGER_MARGIN, DdsBackupStartTrigger

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_dds.sensors.dds import DdsBackupSensor

RUNS_BEFORE = ("execute", "poke", "pre_execute", "render_template_fields")
RUNS_AFTER = ("execute_complete", "post_execute", "resume_execution")


class OfTask:
    """A value that Airflow asks a task for when it stores the DAG, and the class for a mapped one.

    What a policy or a later line of the DAG file changes of the task thus counts, too.

    :param of_class: the value for the class.
    :param of_task: returns the value for a task.
    """

    def __init__(self, of_class: Any, of_task: Callable[[Any], Any]) -> None:
        self.of_class = of_class
        self.of_task = of_task

    def __get__(self, task: Any, owner: type) -> Any:
        """Return the value."""
        return self.of_class if task is None else self.of_task(task)


def starts_in_triggerer(sensor: DdsBackupSensor) -> bool:
    """Return whether the triggerer begins a sensor; False also while its constructor runs."""
    return "asks_for_trigger" in vars(sensor) and sensor.asks_for_trigger and not why_on_a_worker(sensor)


def why_on_a_worker(sensor: DdsBackupSensor) -> str | None:
    """Return why a worker has to begin a sensor that asks for the triggerer, None where it need not."""
    if not renders_in_triggerer():
        return "this Airflow renders no templates in the triggerer (3.3 and later do)"
    if sensor._pre_execute_hook or sensor.on_execute_callback or _overrides(sensor, RUNS_BEFORE):
        return "the task has code of its own that a worker runs first"
    if sensor.get_closest_mapped_task_group() is not None:
        return "the task is in a mapped task group"
    values = {name: _text(getattr(sensor, name)) for name in sensor.template_fields}
    for name, value in values.items():
        if value is not None and not isinstance(value, str):
            return f"{name} is a {type(value).__name__}, which only a worker can resolve"
    dag: Any = sensor.dag if sensor.has_dag() else None  # type: ignore[no-untyped-call]  # Airflow leaves it untyped
    if dag and (dag.user_defined_macros or dag.user_defined_filters or dag.jinja_environment_kwargs):
        return "the DAG has macros, filters or Jinja settings of its own, which only a worker knows"
    if missing := [*must_be_given(sensor.params), *(must_be_given(dag.params) if dag else ())]:
        return f"param {missing[0]} has no default, with which Airflow's triggerer ends when it is to render templates"
    return None


def ends_in_triggerer(sensor: DdsBackupSensor) -> bool:
    """Return whether a worker has nothing to do after a good backup."""
    return not (
        sensor.outlets
        or sensor.on_success_callback
        or sensor._post_execute_hook
        or sensor.multiple_outputs
        or sensor.returns_dag_result
        or _overrides(sensor, RUNS_AFTER)
        or has_xcom_backend()
    )


def start_trigger_args(sensor: DdsBackupSensor) -> Any:
    """Return Airflow's ``StartTriggerArgs``, None where a worker begins the sensor."""
    if not starts_in_triggerer(sensor):
        return None
    timeout = timedelta(seconds=sensor.timeout) + TRIGGER_MARGIN
    allowed = min(timeout, sensor.execution_timeout or timeout)
    kwargs = {
        **{name: _text(getattr(sensor, name)) for name in sensor.template_fields},
        "timeout": float(sensor.timeout),
        "ends_after": allowed.total_seconds(),
        "ends_task": ends_in_triggerer(sensor),
        "do_xcom_push": bool(sensor.do_xcom_push),
        "poke_interval": float(sensor.poke_interval),
        "max_wait": sensor.max_wait.total_seconds() if sensor.max_wait else None,
        "poll_strategy": sensor.poll_strategy,
        "confirm_backup_set": sensor.confirm_backup_set,
        "confirm_timeout": sensor.confirm_timeout,
        "not_found_grace": sensor.not_found_grace,
    }
    return start_args(DdsBackupStartTrigger, kwargs, timeout)


def _text(value: Any) -> Any:
    """Return a field's value as text where that means the same: the output of a task as the template that pulls it."""
    from airflow.providers.common.compat.sdk import XComArg

    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    operator = getattr(value, "operator", None) if isinstance(value, XComArg) else None
    if operator is not None and not operator.is_mapped:
        return str(value)
    return value


def _overrides(sensor: Any, names: tuple[str, ...]) -> bool:
    from airflow_provider_dds.sensors.dds import DdsBackupSensor

    return any(getattr(type(sensor), name) is not getattr(DdsBackupSensor, name) for name in names)
