"""How a sensor begins in the triggerer: what Airflow stores of it when it reads the DAG file, and when it must not."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_dds.compat import has_xcom_backend, must_be_given, renders_in_triggerer, start_args
from airflow_provider_dds.exceptions import DdsConfigurationError
from airflow_provider_dds.triggers.base import TRIGGER_MARGIN
from airflow_provider_dds.waiting.texts import duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_dds.sensors.base import DdsWaitSensor

RUNS_BEFORE = (
    *("execute", "poke", "pre_execute", "prepare_template", "resolve_template_files", "get_template_env"),
    *("render_template_fields", "render_template", "_do_render_template_fields"),
)
RUNS_AFTER = ("execute_complete", "execute_without_event", "post_execute", "resume_execution")
MARGIN_OF_EXECUTION = 0.25
"""How much of a short execution_timeout is left for the last poll, before Airflow ends the deferral."""


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


def starts_in_triggerer(sensor: DdsWaitSensor) -> bool:
    """Return whether the triggerer begins a sensor; False also while its constructor runs."""
    return "asks_for_trigger" in vars(sensor) and sensor.asks_for_trigger and not why_on_a_worker(sensor)


def why_on_a_worker(sensor: DdsWaitSensor) -> str | None:
    """Return why a worker has to begin a sensor that asks for the triggerer, None where it need not."""
    if not renders_in_triggerer():
        return "this Airflow renders no templates in the triggerer (3.3 and later do)"
    if sensor._pre_execute_hook or sensor.on_execute_callback or _overrides(sensor, RUNS_BEFORE):
        return "the task has code of its own that a worker runs first"
    if sensor.get_closest_mapped_task_group() is not None:
        return "the task is in a mapped task group"
    fields = sensor.start_trigger_class.fields()
    if others := sorted({*sensor.template_fields} ^ {*fields}):
        return f"{type(sensor).__name__} has template fields of its own: {', '.join(others)}"
    values = {name: _text(getattr(sensor, name, None)) for name in fields}
    for name, value in values.items():
        if value is not None and not isinstance(value, str):
            return f"{name} is a {type(value).__name__}, which only a worker can resolve"
    dag: Any = sensor.dag if sensor.has_dag() else None  # type: ignore[no-untyped-call]  # Airflow leaves it untyped
    if dag and (dag.user_defined_macros or dag.user_defined_filters or dag.jinja_environment_kwargs):
        return "the DAG has macros, filters or Jinja settings of its own, which only a worker knows"
    if missing := [*must_be_given(sensor.params), *(must_be_given(dag.params) if dag else ())]:
        return f"param {missing[0]} has no default, with which Airflow's triggerer ends when it is to render templates"
    return None


def ends_in_triggerer(sensor: DdsWaitSensor) -> bool:
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


def waits_for(sensor: DdsWaitSensor) -> float:
    """Return the seconds until the deadline of a wait that begins in the triggerer.

    Airflow ends it after ``execution_timeout``, from the deferral on: the deadline comes before that, so that the task
    ends with what was seen.
    """
    timeout = float(sensor.timeout)
    if sensor.execution_timeout is None:
        return timeout
    limit = float(sensor.execution_timeout.total_seconds())
    return min(timeout, limit - min(TRIGGER_MARGIN.total_seconds(), limit * MARGIN_OF_EXECUTION))


def limited_by_execution_timeout(sensor: DdsWaitSensor) -> str:
    """Return in words that ``execution_timeout`` has moved the deadline of a wait that began in the triggerer."""
    limit = sensor.execution_timeout.total_seconds() if sensor.execution_timeout else 0.0
    return (
        f"Its deadline was set by execution_timeout ({duration(limit)}), which counts from the deferral here and is "
        f"shorter than timeout ({duration(sensor.timeout)})."
    )


def refuse_contradiction(given: dict[str, Any], default_args: dict[str, Any]) -> None:
    """Refuse ``start_from_trigger=True`` beside ``deferrable=False``.

    :param given: the arguments of the sensor, with those of ``default_args``.
    :param default_args: what the DAG gives all its tasks.
    :raises DdsConfigurationError: they contradict each other.
    """
    asked = given.get("start_from_trigger") is True
    if asked and given.get("deferrable") is False and "deferrable" not in default_args:
        raise DdsConfigurationError(
            "deferrable is False and start_from_trigger is True, which waits in the triggerer, too; leave one of them "
            "out."
        )


def start_trigger_args(sensor: DdsWaitSensor) -> Any:
    """Return Airflow's ``StartTriggerArgs``, None where a worker begins the sensor."""
    if not starts_in_triggerer(sensor):
        return None
    timeout = timedelta(seconds=sensor.timeout) + TRIGGER_MARGIN
    allowed = min(timeout, sensor.execution_timeout or timeout)
    kwargs = {
        **{name: _text(getattr(sensor, name)) for name in sensor.start_trigger_class.fields()},
        "timeout": waits_for(sensor),
        "ends_after": allowed.total_seconds(),
        "ends_task": ends_in_triggerer(sensor),
        "do_xcom_push": bool(sensor.do_xcom_push),
        **sensor.policy(),
    }
    return start_args(sensor.start_trigger_class, kwargs, timeout)


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
    ours = next(cls for cls in type(sensor).__mro__ if cls.__module__.startswith("airflow_provider_dds."))
    of_class = (getattr(type(sensor), name, None) is not getattr(ours, name, None) for name in names)
    return any(of_class) or any(name in vars(sensor) for name in names)
