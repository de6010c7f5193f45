"""Bad arguments: refused when the DAG is parsed where they are literal, else before anything is sent."""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import product

import jinja2
import pytest
from airflow.providers.common.compat.sdk import DAG, BaseOperator

from airflow_provider_dds.exceptions import DdsConfigurationError
from airflow_provider_dds.hooks.dds import DdsHook
from airflow_provider_dds.operators.dds import DdsCreateBackupOperator
from airflow_provider_dds.sensors.dds import DdsBackupSensor
from tests.support.versions import needs_timeout_of_none

NAN, INF = float("nan"), float("inf")
NO_SPAN = [0, 0.0, -1, -0.5, timedelta(0), timedelta(seconds=-1), NAN, INF, -INF, True, False, "60", "", [60], {}]
NO_GRACE = [each for each in NO_SPAN if each is False or each not in (0, timedelta(0))]
NO_FLAG = ["False", "false", "true", "", 0, 1, None, "{{ params.wait }}"]
NO_RETENTION = [6, 731, 0, -2, 1, True, False, 7.5, NAN, INF, "soon", "7 days", [7], {}, timedelta(days=7)]
NO_METHOD = ["snapshot", "SNAPSHOT", "Full", "Snapshot,Physical", "Snap shot", 1, True, 7.0]
NO_CHOICE = ["Wait", "WAIT", "ignore", "", None, True, 0, ["wait"]]


def operator(**kwargs):
    return DdsCreateBackupOperator(task_id="create", db_instance_id="dds-1", **kwargs)


def sensor(**kwargs):
    return DdsBackupSensor(task_id="wait", db_instance_id="dds-1", backup_job_id="1", **kwargs)


def refused(name, value, fix):
    """Expect an error that names argument, value and fix."""
    return pytest.raises(DdsConfigurationError, match=f"^{name} is {re.escape(repr(value))}; it must be {fix}")


def cases(*groups):
    """Return each (make, name, value, fix) of groups, with an id that can be read."""
    return [
        pytest.param(make, name, value, fix, id=f"{make.__name__}-{name}-{value!r}")
        for make, names, values, fix in groups
        for name, value in product(names, values)
    ]


@pytest.mark.parametrize(
    ("make", "name", "value", "fix"),
    cases(
        (operator, ["poke_interval", "timeout"], [*NO_SPAN, None], "more than 0 seconds, as a number or a timedelta"),
        (sensor, ["poke_interval"], [*NO_SPAN, None], "more than 0 seconds, as a number or a timedelta"),
        (sensor, ["timeout", "max_wait"], NO_SPAN, "more than 0 seconds, as a number or a timedelta"),
        (sensor, ["confirm_timeout", "not_found_grace"], [*NO_GRACE, None], "0 or more seconds, as a number"),
        (operator, ["backup_retention_period"], NO_RETENTION, "7 to 730 days, or -1 to keep the backup for ever"),
        (operator, ["if_backup_running"], NO_CHOICE, "one of wait, adopt, fail"),
        (operator, ["poll_strategy"], NO_CHOICE, "one of progress, exponential, fixed"),
        (sensor, ["poll_strategy"], [each for each in NO_CHOICE if each is not None], "one of progress, exponential"),
        (operator, ["wait_for_completion", "confirm_backup_set", "deferrable", "durable"], NO_FLAG, "True or False"),
        (sensor, ["confirm_backup_set", "deferrable", "start_from_trigger"], NO_FLAG, "True or False"),
        (operator, ["backup_method"], [each for each in NO_METHOD if isinstance(each, str)], "one of Snapshot, Ph"),
        (operator, ["backup_method"], [each for each in NO_METHOD if not isinstance(each, str)], "text"),
        (operator, ["region_id", "dds_conn_id"], [5, True, 1.5], "text"),
        (sensor, ["region_id", "dds_conn_id"], [5, True, 1.5], "text"),
    ),
)
def test_literal_is_refused_when_the_dag_is_parsed(make, name, value, fix):
    with refused(name, value, fix):
        make(**{name: value})


@pytest.mark.parametrize(
    ("make", "name"),
    [
        *((operator, name) for name in ("poke_interval", "timeout")),
        *((sensor, name) for name in ("poke_interval", "timeout", "max_wait", "confirm_timeout", "not_found_grace")),
    ],
)
@pytest.mark.parametrize("value", [366 * 86400 + 1, 1e18, 1e300, 10**400, timedelta.max], ids=range(5))
@pytest.mark.parametrize("where", ["task", "defaults"])
def test_span_that_no_date_can_hold_is_refused_when_the_dag_is_parsed(make, name, value, where):
    with pytest.raises(DdsConfigurationError, match=rf"^{name} is .* seconds, which is more than a year; the most is"):
        make(**({name: value} if where == "task" else {"default_args": {name: value}}))


@pytest.mark.parametrize("make", [operator, sensor])
@pytest.mark.parametrize("timeout", [59, timedelta(seconds=59), 0.5])
def test_interval_above_the_timeout(make, timeout):
    with pytest.raises(
        DdsConfigurationError,
        match=r"^poke_interval \(60 s\) is longer than timeout \([\d.]+ s\); make it shorter, or timeout longer\.$",
    ):
        make(timeout=timeout)


def test_interval_above_the_longest_interval():
    with pytest.raises(
        DdsConfigurationError,
        match=r"^max_wait \(59 s\) is shorter than poke_interval \(60 s\); make it longer, or leave it out\.$",
    ):
        sensor(max_wait=59)


@pytest.mark.parametrize("where", ["task", "defaults"])
@pytest.mark.parametrize("strategy", ["fixed", "progress"])
def test_strategy_that_contradicts_airflows_own_argument(strategy, where):
    backoff = {"exponential_backoff": True} if where == "task" else {"default_args": {"exponential_backoff": True}}
    with pytest.raises(DdsConfigurationError, match=rf"^poll_strategy is '{strategy}', but exponential_"):
        sensor(poll_strategy=strategy, **backoff)


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (operator, "timeout", "{{ params.hours }}"),
        (operator, "durable", "{% if params.durable %}True{% endif %}"),
        (sensor, "timeout", "{{ params.hours }}"),
        (sensor, "not_found_grace", "{{ params.grace }}"),
    ],
)
def test_template_where_none_is_rendered_is_called_one(make, name, value):
    with pytest.raises(DdsConfigurationError, match=rf"^{name} is '.*It is not templated\.$"):
        make(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("poke_interval", -1), ("timeout", 0), ("timeout", "3600"), ("max_wait", NAN), ("timeout", True)],
)
@pytest.mark.parametrize("where", ["task", "dag"])
def test_bad_default_argument_is_refused_like_one_of_the_task(name, value, where):
    defaults = {name: value}
    with refused(name, value, "more than 0 seconds"):
        if where == "task":
            sensor(default_args=defaults)
        else:
            with DAG("dag", schedule=None, default_args=defaults):
                sensor()


def test_mapped_task_is_checked_once_its_values_are_known():
    with DAG("dag", schedule=None):
        mapped = DdsCreateBackupOperator.partial(task_id="create", timeout=-1).expand(db_instance_id=["dds-1", "dds-2"])
    with refused("timeout", -1, "more than 0 seconds"):
        mapped.unmap({"db_instance_id": "dds-1"})


@pytest.mark.parametrize(
    "arguments",
    [{"backup_retention_period": days} for days in (7, 730, -1, "7", " 30\n", None)]
    + [{"backup_method": method} for method in ("Snapshot", "Physical", "Logical", None, "", "{{ params.method }}")]
    + [
        {"timeout": timedelta(hours=2)},
        {"timeout": 60},
        {"poke_interval": 0.5},
        {"poke_interval": timedelta(seconds=5)},
    ]
    # no contradictions: without a wait there is nothing to confirm, and deferring still serves a busy instance
    + [{"confirm_backup_set": False}, {"deferrable": True, "wait_for_completion": False}]
    + [{"if_backup_running": "adopt", "backup_method": "Snapshot"}, {"durable": False, "retries": 3}],
    ids=str,
)
def test_operator_takes_all_that_has_a_meaning(arguments):
    operator(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"confirm_timeout": 0},
        {"not_found_grace": 0},
        {"not_found_grace": timedelta(minutes=5)},
        pytest.param({"timeout": None}, marks=needs_timeout_of_none),
        {"max_wait": None},
        {"max_wait": 60},
        {"poll_strategy": None, "exponential_backoff": True},
        {"poll_strategy": "exponential", "exponential_backoff": True},
        {"poll_strategy": "fixed", "exponential_backoff": False},
        {"max_wait": timedelta(minutes=5), "exponential_backoff": True},
        # no contradictions: the deadline simply comes first, deferring wins over a mode, and graces need no confirming
        {"timeout": 60, "confirm_timeout": 600, "not_found_grace": 300},
        {"confirm_backup_set": False, "confirm_timeout": 30},
        {"deferrable": True, "mode": "reschedule"},
        {"start_from_trigger": True, "deferrable": True},
        {"start_from_trigger": True, "default_args": {"deferrable": False}},
        {"start_from_trigger": False, "deferrable": False},
    ],
    ids=str,
)
def test_sensor_takes_all_that_has_a_meaning(arguments):
    sensor(**arguments)


def test_start_from_trigger_beside_an_explicit_no_to_deferring_is_refused():
    class OfItsOwn(DdsBackupSensor):
        def __init__(self, **kwargs):
            super().__init__(start_from_trigger=True, **kwargs)

    refusal = pytest.raises(DdsConfigurationError, match="deferrable is False and start_from_trigger is True")
    with refusal:
        sensor(start_from_trigger=True, deferrable=False)
    with refusal:
        OfItsOwn(task_id="wait", db_instance_id="dds-1", backup_job_id="1", deferrable=False)
    with refusal:
        DdsBackupSensor.partial(task_id="wait", db_instance_id="dds-1", start_from_trigger=True, deferrable=False)


# --- templates ----------------------------------------------------------------------------------------------------


@pytest.fixture
def nothing_sent(monkeypatch):
    def refuse(*_):
        raise AssertionError("something was sent")

    monkeypatch.setattr(DdsHook, "run", refuse)
    monkeypatch.setattr(DdsHook, "get_connection", refuse)


def rendered(task, **params):
    """Return the task as it is when it runs, with its templates filled in."""
    assert isinstance(task, BaseOperator)
    context = {"params": params, "ti": type("TI", (), {"max_tries": 0, "try_number": 1})()}
    task.render_template_fields(context, jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False))
    return task, context


@pytest.mark.usefixtures("nothing_sent")
@pytest.mark.parametrize("value", ["snapshot", "Full", "Snapshot,Physical", 7])
@pytest.mark.parametrize("template", ["{{ params.method }}", "{% if True %}{{ params.method }}{% endif %}"])
def test_method_that_a_template_renders_is_refused_before_anything_is_sent(template, value):
    task, context = rendered(operator(backup_method=template), method=value)
    with refused("backup_method", str(value), "one of Snapshot, Physical, Logical, or None"):
        task.execute(context)


@pytest.mark.usefixtures("nothing_sent")
@pytest.mark.parametrize("value", [["Snapshot"], ("Snapshot",)])
def test_method_that_is_a_list_is_refused_before_anything_is_sent(value):
    task, context = rendered(operator(backup_method=value))
    with refused("backup_method", value, "text"):
        task.execute(context)


@pytest.mark.usefixtures("nothing_sent")
@pytest.mark.parametrize(("make", "name"), [(operator, "db_instance_id"), (sensor, "db_instance_id")])
@pytest.mark.parametrize("value", ["", " \n", None, "None"])
def test_id_that_a_template_renders_to_nothing_is_refused_before_anything_is_sent(make, name, value):
    task = make()
    setattr(task, name, "{{ params.id }}")
    task, context = rendered(task, id=value)
    with pytest.raises(
        DdsConfigurationError, match=rf"^{name} is '.*' after rendering; it must be an id\. It is the id"
    ):
        task.execute(context)


@pytest.mark.usefixtures("nothing_sent")
def test_job_id_that_a_template_renders_to_nothing_is_refused_before_anything_is_sent():
    task = sensor()
    task.backup_job_id = "{{ params.id }}"
    task, context = rendered(task, id=None)
    with pytest.raises(
        DdsConfigurationError, match=r"^backup_job_id is 'None' after rendering; it must be an id\. Pass"
    ):
        task.execute(context)
