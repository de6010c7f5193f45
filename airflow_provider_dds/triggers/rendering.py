"""Templates of a task that no worker began, rendered in the triggerer with what works there and with nothing else.

In a triggerer a request that its supervisor does not know is never answered (Airflow 3.3): one template that makes
such a request would wait for ever. ``ti.xcom_pull`` without ``map_indexes`` makes one, as do ``prev_*_success``.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from airflow_provider_dds.compat import not_answered
from airflow_provider_dds.exceptions import DdsConfigurationError, DdsError
from airflow_provider_dds.triggers.inputs import NotAnsweredError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.providers.common.compat.sdk import Context

WORKS = (
    *("dag", "dag_run", "task", "run_id", "params", "macros", "conn", "var", "task_instance_key_str", "partition_key"),
    *("logical_date", "ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz"),
    *("data_interval_start", "data_interval_end"),
)
"""Variables of Airflow's context that need no request, or one that a triggerer answers."""
FALL_BACK = "Set start_from_trigger=False to have it rendered on a worker."


class TaskInstanceView:
    """What templates may know of the task instance.

    :param ti: Airflow's.
    """

    def __init__(self, ti: Any) -> None:
        self.dag_id, self.run_id, self.task_id = ti.dag_id, ti.run_id, ti.task_id
        self.map_index, self.try_number = ti.map_index, ti.try_number
        self._pull: Callable[..., Any] = ti.xcom_pull

    def xcom_pull(self, *args: Any, map_indexes: Any = None, **kwargs: Any) -> Any:
        """Pull an XCom as from a task that is not mapped, unless told otherwise."""
        return self._pull(*args, map_indexes=map_indexes, **kwargs)


def rendered(trigger: Any, fields: dict[str, Any], context: Context) -> dict[str, Any]:
    """Return the values of templated fields. It blocks: not for an event loop.

    :param trigger: the trigger, which is one of Airflow's templaters.
    :param fields: the templates by their names.
    :param context: Airflow's context.
    :raises DdsConfigurationError: a template is wrong, or needs what there is only on a worker.
    :raises NotAnsweredError: Airflow did not answer: it can be rendered later.
    :raises DdsError: it could not be rendered this time.
    """
    from jinja2 import StrictUndefined, TemplateError

    environment = trigger.get_template_env()
    environment.undefined, environment.finalize = StrictUndefined, _one_value
    everything: dict[str, Any] = {**context}
    usable = {name: everything[name] for name in WORKS if name in everything}
    usable["ti"] = usable["task_instance"] = TaskInstanceView(everything["ti"])
    values = {}
    for name, template in fields.items():
        try:
            values[name] = trigger.render_template(template, usable, environment, set()) if template else template
        except (TemplateError, TypeError, LookupError, AttributeError) as error:
            raise DdsConfigurationError(
                f"{name} {template!r} cannot be rendered in the triggerer: {type(error).__name__}: {error}. {FALL_BACK}"
            ) from error
        except Exception as error:
            kind = NotAnsweredError if not_answered(error) else DdsError
            raise kind(
                f"{name} {template!r} could not be rendered in the triggerer: {type(error).__name__}: {error}."
            ) from error
    return values


def _one_value(value: Any) -> Any:
    """Refuse what would be text only by way of Python's own notation."""
    from jinja2 import Undefined

    if isinstance(value, Undefined):
        return str(value)  # which raises, and says what is not there
    if isinstance(value, bool) or (isinstance(value, Collection) and not isinstance(value, str)):
        raise TypeError(f"a {type(value).__name__} is not one value")
    return value
