"""A wait that the triggerer begins: what Airflow stores of it, how it is rendered, how it ends.

The DAG goes through Airflow's own serialisation and the context is the triggerer's own; only its supervisor is played,
by one that answers what the real one answers, and nothing else.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import datetime, timedelta, timezone
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowSkipException, Asset, BaseOperator, Param

from airflow_provider_dds import compat
from airflow_provider_dds.exceptions import (
    DdsBackupFailedError,
    DdsConfigurationError,
    DdsError,
)
from airflow_provider_dds.sensors.dds import DdsBackupSensor, DdsFreshBackupSensor
from airflow_provider_dds.triggers.base import TRIGGER_MARGIN
from tests.support.outage import KINDS, LASTS, OutageClock
from tests.support.runner import REPLICA, Run, TaskInstance, TriggererRestart, moment
from tests.support.versions import AirflowSensorTimeout, needs_rendering_in_the_triggerer

if TYPE_CHECKING:
    from airflow_provider_dds.emulator import Emulator, ManualClock
    from airflow_provider_dds.triggers.dds import DdsBackupStartTrigger

pytestmark = needs_rendering_in_the_triggerer
MARGIN = TRIGGER_MARGIN.total_seconds()


class Supervisor:
    """What the triggerer's supervisor answers. It never answers anything else: here that is an error."""

    def __init__(self) -> None:
        self.xcoms: dict[tuple[str, str], Any] = {}
        self.pushed: dict[str, Any] = {}
        self.deleted: list[str] = []
        self.broken: type[Exception] | None = None

    def send(self, msg: Any) -> Any:
        comms = import_module("airflow.sdk.execution_time.comms")
        if self.broken:
            raise self.broken("no connection to the API")
        if isinstance(msg, comms.GetXCom):
            return comms.XComResult(key=msg.key, value=self.xcoms.get((msg.task_id, msg.key)))
        if isinstance(msg, comms.SetXCom):
            self.pushed[msg.key] = msg.value
            return None
        if isinstance(msg, comms.DeleteXCom):
            self.deleted.append(msg.key)
            return None
        raise AssertionError(f"a triggerer never answers {type(msg).__name__}")

    async def asend(self, msg: Any) -> Any:
        return self.send(msg)


class Wait:
    """A sensor in a DAG, as the DAG processor stores it and the triggerer begins it."""

    def __init__(self, clock: ManualClock, supervisor: Supervisor, dag: Any, sensor: Any) -> None:
        self.clock, self.supervisor, self.dag, self.sensor = clock, supervisor, dag, sensor
        self.run = Run(sensor, clock, ti=TaskInstance(dag_id="gates", task_id=sensor.task_id))
        self.deferred_at = clock.now

    def stored(self) -> Any:
        serialization = import_module("airflow.serialization.serialized_objects").DagSerialization
        self.encoded = json.loads(json.dumps(serialization.to_dict(self.dag)))
        return serialization.from_dict(self.encoded).get_task(self.sensor.task_id)

    def kwargs(self) -> dict[str, Any]:
        decode = import_module("airflow.serialization.decoders").smart_decode_trigger_kwargs
        return decode(self.stored().start_trigger_args.trigger_kwargs)

    def trigger(self) -> DdsBackupStartTrigger:
        """Return the trigger as a triggerer that starts now builds it."""
        workloads = import_module("airflow.executors.workloads.task")
        runner = import_module("airflow.jobs.triggerer_job_runner").TriggerRunner
        task = self.stored()
        args = task.start_trigger_args
        trigger_class = self.sensor.start_trigger_class
        assert args.trigger_cls == f"{trigger_class.__module__}.{trigger_class.__qualname__}"
        trigger = trigger_class(**self.kwargs())
        allowed = min(args.timeout, task.execution_timeout or args.timeout)
        trigger.timeout_after = moment(self.clock) + allowed - timedelta(seconds=self.clock.now - self.deferred_at)
        ti = workloads.TaskInstanceDTO(
            id=uuid.UUID(int=1),
            dag_version_id=uuid.UUID(int=2),
            task_id=task.task_id,
            dag_id="gates",
            run_id="run",
            try_number=1,
            pool_slots=1,
            priority_weight=1,
        )
        now = datetime(2026, 11, 24, tzinfo=timezone.utc)
        times = dict.fromkeys(
            ("logical_date", "run_after", "start_date", "data_interval_start", "data_interval_end"), now
        )
        run = {"dag_id": "gates", "run_id": "run", **times, "end_date": None}
        kind = {"run_type": "manual", "state": "running", "conf": {}, "consumed_asset_events": []}
        runtime_ti = runner.create_runtime_ti(ti, self.encoded, {**run, **kind, "partition_key": None})
        trigger.task_instance = runtime_ti
        trigger.render_template_fields(runtime_ti.get_template_context())
        self.run.set_up_trigger(trigger)
        self.run._timeout_at = self.deferred_at + allowed.total_seconds()
        return trigger

    def fired(self, trigger: Any = None) -> Any:
        async def first() -> Any:
            async for event in (trigger or self.trigger()).run():
                return event
            raise AssertionError("no event")

        return asyncio.run(first())

    def end(self) -> Any:
        """Wait to the end; return what the task returns, or raise what a worker raises."""
        event = self.fired()
        if event.payload == "success":
            return self.supervisor.pushed.get("return_value")
        worker = self.sensor.prepare_for_execution()
        self.run.set_up_worker(worker)
        payload = json.loads(json.dumps(event.payload))
        return worker.resume_execution("execute_complete", {"event": payload}, self.run.context())


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    played = Supervisor()
    runner = import_module("airflow.sdk.execution_time.task_runner")
    monkeypatch.setattr(runner, "SUPERVISOR_COMMS", played, raising=False)
    return played


@pytest.fixture
def begin(clock: ManualClock, emulator: Emulator, supervisor: Supervisor) -> Any:
    """Make a wait of a sensor in a DAG ``gates``, after a task ``make``."""

    def make(
        backup_job_id: Any, db_instance_id: Any = REPLICA, *, dag: Any = None, cls: Any = DdsBackupSensor, **kwargs: Any
    ) -> Wait:
        arguments = {"poke_interval": 30, "timeout": 3600, "retries": 0, "start_from_trigger": True, **kwargs}
        with DAG("gates", schedule=None, **(dag or {})) as gates:
            made = BaseOperator(task_id="make")
            if backup_job_id is not None:
                arguments["backup_job_id"] = made.output if backup_job_id is XCOM else backup_job_id
            sensor = cls(task_id="wait", db_instance_id=db_instance_id, **arguments)
        return Wait(clock, supervisor, gates, sensor)

    return make


XCOM = object()
"""Stands for the output of the task before."""


# --- what Airflow stores ----------------------------------------------------------------------------------------------


def test_stored_arguments_are_plain_json_and_hold_no_secret(begin: Any, emulator: Emulator) -> None:
    kwargs = begin(XCOM, region_id="{{ var.value.region }}").kwargs()
    assert json.loads(json.dumps(kwargs, allow_nan=False)) == kwargs
    connection = json.loads(emulator.connection_json())
    assert connection["password"] not in json.dumps(kwargs)
    assert kwargs["backup_job_id"] == (
        "{{ task_instance.xcom_pull(task_ids='make', dag_id='gates', key='return_value') }}"
    )
    assert kwargs["region_id"] == "{{ var.value.region }}"


def test_default_arguments_reach_the_trigger_as_they_do_in_a_deferral(begin: Any, sensor: Any, hook: Any) -> None:
    defaults = {
        "poke_interval": 7,
        "timeout": 700,
        "max_wait": 90,
        "exponential_backoff": True,
        "confirm_timeout": 60,
        "not_found_grace": 30,
        "confirm_backup_set": False,
    }
    job = hook.create_backup(REPLICA)
    deferral = sensor(job, "deferrable", **defaults)
    deferral.once()
    [(_, there)] = deferral.deferrals
    wait = begin(job, dag={"default_args": defaults}, poke_interval=7, timeout=700)
    trigger = wait.trigger()
    wait.fired(trigger)
    here = trigger._wait.to_json()
    of_the_poll = {"started_at", "deadline"}
    assert {k: v for k, v in here.items() if k not in of_the_poll} == {
        k: v for k, v in there.items() if k in here and k not in of_the_poll
    }
    assert here["deadline"] - here["started_at"] == there["deadline"] - there["started_at"] == 700


def test_what_is_changed_of_the_task_later_counts(begin: Any) -> None:
    wait = begin("1")
    wait.sensor.timeout = 99
    wait.sensor.on_success_callback = [print]
    assert wait.kwargs()["timeout"] == 99
    assert wait.kwargs()["ends_task"] is False


def test_airflow_ends_a_deferral_whose_triggerer_is_gone_a_little_after_the_deadline(begin: Any) -> None:
    assert begin("1", timeout=700).stored().start_trigger_args.timeout == timedelta(seconds=700 + MARGIN)


def test_sensor_that_does_not_ask_for_it_is_stored_as_ever(begin: Any) -> None:
    stored = begin("1", start_from_trigger=False).stored()
    assert (stored.start_from_trigger, stored.start_trigger_args) == (False, None)


@pytest.mark.parametrize("where", ["partial", "expand", "dag"])
def test_mapped_sensor_is_left_to_a_worker(where: str) -> None:
    asked: dict[str, Any] = {"start_from_trigger": True}
    partial = {"poke_interval": 7, **(asked if where == "partial" else {})}
    with DAG("mapped", schedule=None, default_args=asked if where == "dag" else {}) as dag:
        mapped = DdsBackupSensor.partial(task_id="wait", db_instance_id=REPLICA, **partial)
        mapped.expand_kwargs([{"backup_job_id": "1", **(asked if where == "expand" else {})}])
    serialization = import_module("airflow.serialization.serialized_objects").DagSerialization
    stored = serialization.from_dict(json.loads(json.dumps(serialization.to_dict(dag)))).get_task("wait")
    assert (stored.start_from_trigger, stored.start_trigger_args) == (False, None)
    task = dag.get_task("wait").unmap({"backup_job_id": "1", **(asked if where == "expand" else {})})
    assert (task.deferrable, task.poke_interval) == (True, 7)


# --- where a worker has to begin, or to end ---------------------------------------------------------------------------


class WithPokeOfItsOwn(DdsBackupSensor):
    def poke(self, context: Any) -> Any:
        return super().poke(context)


class WithEndOfItsOwn(DdsBackupSensor):
    def execute_complete(self, context: Any, event: Any) -> Any:
        return super().execute_complete(context, event)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"pre_execute": print}, "code of its own"),
        ({"on_execute_callback": print}, "code of its own"),
        ({"cls": WithPokeOfItsOwn}, "code of its own"),
        ({"dag": {"user_defined_macros": {"job": 1}}}, "macros, filters or Jinja settings"),
        ({"dag": {"user_defined_filters": {"job": str}}}, "macros, filters or Jinja settings"),
        ({"dag": {"jinja_environment_kwargs": {"variable_start_string": "<<"}}}, "macros, filters or Jinja settings"),
        ({"dag": {"params": {"job": Param(type="string")}}}, "param job has no default"),
        ({"params": {"job": Param(type="string")}}, "param job has no default"),
    ],
    ids=str,
)
def test_worker_begins_what_only_a_worker_can(begin: Any, hook: Any, logged: Any, arguments: Any, why: str) -> None:
    wait = begin(hook.create_backup(REPLICA), **arguments)
    stored = wait.stored()
    assert (stored.start_from_trigger, stored.start_trigger_args) == (False, None)
    assert wait.run.once()["status"] == "Success"
    said = logged()
    assert said.count("Begun on a worker in spite of start_from_trigger") == 1
    assert why in said


def test_worker_begins_a_wait_for_an_id_that_is_no_text(begin: Any) -> None:
    with DAG("other", schedule=None):
        mapped = BaseOperator(task_id="make").output.map(lambda each: each)
    sensor = DdsBackupSensor(task_id="wait", db_instance_id=REPLICA, backup_job_id=mapped, start_from_trigger=True)
    assert sensor.start_from_trigger is False
    assert sensor.start_trigger_args is None


def test_worker_begins_a_wait_in_a_mapped_task_group() -> None:
    task_group = import_module("airflow.sdk").task_group
    with DAG("groups", schedule=None) as dag:

        @task_group
        def gate(job: str) -> None:
            DdsBackupSensor(task_id="wait", db_instance_id=REPLICA, backup_job_id=job, start_from_trigger=True)

        gate.expand(job=["1", "2"])
    assert dag.get_task("gate.wait").start_from_trigger is False


@pytest.mark.parametrize(
    "arguments",
    [
        {"on_success_callback": print},
        {"outlets": [Asset("good")]},
        {"post_execute": print},
        {"multiple_outputs": True},
        {"cls": WithEndOfItsOwn},
    ],
    ids=str,
)
def test_worker_ends_what_only_a_worker_can(begin: Any, hook: Any, supervisor: Supervisor, arguments: Any) -> None:
    wait = begin(hook.create_backup(REPLICA), **arguments)
    event = wait.fired()
    assert event.payload["outcome"] == "done"
    assert not supervisor.pushed
    assert wait.end()["status"] == "Success"


def test_worker_ends_a_task_whose_xcoms_go_elsewhere(begin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    base = import_module("airflow.sdk.bases.xcom").BaseXCom
    elsewhere = type("Elsewhere", (base,), {})
    monkeypatch.setattr("airflow.providers.common.compat.sdk.XCom", elsewhere, raising=False)
    assert compat.has_xcom_backend()
    assert begin("1").kwargs()["ends_task"] is False


# --- how it ends ------------------------------------------------------------------------------------------------------


def test_good_backup_ends_the_task_with_what_a_worker_would_leave(
    begin: Any, sensor: Any, hook: Any, supervisor: Supervisor
) -> None:
    job = hook.create_backup(REPLICA)
    event = begin(job).fired()
    assert event.task_instance_state == "success"
    assert event.xcoms is None, "Airflow would store them as text"
    on_a_worker = sensor(job, "deferrable")
    assert supervisor.pushed.pop("return_value") == on_a_worker.once()
    assert supervisor.pushed == {
        "dds_instance_console": on_a_worker.ti.xcoms["dds_instance_console"],
        "_link_DdsInstanceLink": on_a_worker.ti.xcoms["dds_instance_console"],
    }


def test_task_that_is_to_push_nothing_pushes_its_link_alone(begin: Any, hook: Any, supervisor: Supervisor) -> None:
    begin(hook.create_backup(REPLICA), do_xcom_push=False).end()
    assert set(supervisor.pushed) == {"dds_instance_console", "_link_DdsInstanceLink"}


def test_worker_ends_the_task_when_its_xcoms_cannot_be_pushed(
    begin: Any, hook: Any, supervisor: Supervisor, logged: Any
) -> None:
    wait = begin(hook.create_backup(REPLICA))
    supervisor.broken = ConnectionError
    assert wait.fired().payload["outcome"] == "done"
    assert "could not be pushed in the triggerer: ConnectionError: no connection to the API" in logged()


@pytest.mark.parametrize("soft", [{}, {"soft_fail": True}, {"never_fail": True}], ids=str)
def test_failed_backup_ends_as_in_a_deferral(
    begin: Any, sensor: Any, hook: Any, emulator: Emulator, supervisor: Supervisor, soft: Any
) -> None:
    emulator.service.next_job(REPLICA, fail_at=40)
    job = hook.create_backup(REPLICA)
    expected = AirflowSkipException if soft else DdsBackupFailedError
    with pytest.raises(expected) as here:
        begin(job, **soft).end()
    with pytest.raises(expected):
        sensor(job, "deferrable", **soft).once()
    if not soft:
        assert f"Backup {job} of {REPLICA} failed after" in str(here.value)
        assert "clear the task that makes the backup" in str(here.value)
    assert supervisor.deleted == ["return_value"], "what an earlier run returned"
    assert not supervisor.pushed


@pytest.mark.parametrize("restarted_after", [None, 5])
@pytest.mark.parametrize("execution_timeout", [None, timedelta(hours=1), timedelta(days=1)])
def test_deadline_counts_from_the_deferral_also_in_a_triggerer_that_starts_later(
    begin: Any, hook: Any, emulator: Emulator, clock: ManualClock, restarted_after: float | None, execution_timeout: Any
) -> None:
    emulator.service.next_job(REPLICA, seconds=100_000)
    began = clock.now
    wait = begin(hook.create_backup(REPLICA), timeout=1200, execution_timeout=execution_timeout)
    if restarted_after:
        clock.advance(restarted_after * 60)
    with pytest.raises(AirflowSensorTimeout, match="after 20m00s of waiting"):
        wait.end()
    assert clock.now == began + 1200


def test_wait_that_begins_after_its_deadline_still_looks_once(begin: Any, hook: Any, clock: ManualClock) -> None:
    wait = begin(hook.create_backup(REPLICA), timeout=1200)
    clock.advance(1230)
    assert wait.end()["status"] == "Success"


# --- what templates can be --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "template",
    [
        XCOM,
        "{{ ti.xcom_pull('make') }}",
        "{{ ti.xcom_pull(task_ids='make') }}\n",
        "{{ task_instance.xcom_pull('make', key='return_value') }}",
        "{{ ti.xcom_pull(task_ids=['make'])[0] }}",
        "{{ params.job }}",
        "{{ dag_run.conf.get('job', params.job) }}",
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", [str, int, "{}\n".format], ids=["text", "number", "line"])
def test_id_is_rendered_without_a_worker(
    begin: Any, hook: Any, supervisor: Supervisor, template: Any, kind: Any
) -> None:
    job = hook.create_backup(REPLICA)
    supervisor.xcoms["make", "return_value"] = kind(job)
    assert begin(template, params={"job": kind(job)}).end()["backup_job_id"] == job


@pytest.mark.parametrize(
    ("template", "value", "error"),
    [
        (XCOM, None, "backup_job_id is 'None' after rendering; it must be an id. Pass the output of the task"),
        (XCOM, "", "backup_job_id is '' after rendering"),
        (XCOM, " \n", "after rendering; it must be an id"),
        (XCOM, {"job": 1}, "a dict is not one value"),
        (XCOM, ["1"], "a list is not one value"),
        (XCOM, True, "a bool is not one value"),
        ("job-{{ nobody }}", None, "UndefinedError: 'nobody' is undefined. Set start_from_trigger=False"),
        ("{{ ti.hostname }}", None, "has no attribute 'hostname'. Set start_from_trigger=False"),
        ("{{ task_state_store.get('x') }}", None, "'task_state_store' is undefined"),
        ("{{ prev_start_date_success }}", None, "'prev_start_date_success' is undefined"),
        ("{{ 1 / 0 }}", None, "could not be rendered in the triggerer: ZeroDivisionError"),
        ("{{ job", None, "TemplateSyntaxError"),
    ],
    ids=str,
)
def test_id_that_is_none_fails_on_a_worker_before_anything_is_sent(
    begin: Any, emulator: Emulator, supervisor: Supervisor, template: Any, value: Any, error: str
) -> None:
    supervisor.xcoms["make", "return_value"] = value
    with pytest.raises(DdsError) as caught:
        begin(template).end()
    assert error in str(caught.value)
    assert isinstance(caught.value, DdsConfigurationError) == ("ZeroDivision" not in error)
    assert emulator.calls("DescribeBackupTasks") == 0


def test_request_that_fails_while_rendering_is_worth_a_retry(begin: Any, supervisor: Supervisor) -> None:
    wait = begin(XCOM)
    trigger = wait.trigger()
    supervisor.broken = ConnectionError
    error = wait.fired(trigger).payload["error"]
    assert error["type"] == "DdsError"
    assert "no connection to the API" in error["message"]


def test_connection_and_region_are_rendered(begin: Any, hook: Any) -> None:
    job = hook.create_backup(REPLICA)
    names = {"conn": "dds_default", "region": "cn-hangzhou", "instance": REPLICA}
    given = {"dds_conn_id": "{{ params.conn }}", "region_id": "{{ params.region }}"}
    assert begin(job, "{{ params.instance }}", params=names, **given).end()["status"] == "Success"
    missing = begin(job, params={"conn": "of_nobody"}, dds_conn_id="{{ params.conn }}")
    with pytest.raises(DdsConfigurationError, match="Connection 'of_nobody' is not defined"):
        missing.end()


def test_task_that_airflow_did_not_render_fails_instead_of_asking_for_a_template(
    begin: Any, emulator: Emulator
) -> None:
    wait = begin(XCOM)
    trigger = wait.trigger()
    trigger._context = None  # the task is not in the DAG any more: Airflow builds the trigger without a context
    error = wait.fired(trigger).payload["error"]
    assert error["type"] == "DdsConfigurationError"
    assert "Airflow did not render it in the triggerer" in error["message"]
    assert emulator.calls("DescribeBackupTasks") == 0


def test_killed_task_says_that_the_backup_goes_on(begin: Any, hook: Any, emulator: Emulator, logged: Any) -> None:
    wait = begin(hook.create_backup(REPLICA))
    trigger = wait.trigger()
    wait.fired(trigger)
    asyncio.run(trigger.on_kill())
    assert "goes on: the service cannot cancel it" in logged()


# --- inputs are read once a try ---------------------------------------------------------------------------------------


@pytest.fixture
def moving(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    """A supervisor that gives back what was pushed, as the real one does."""
    send = supervisor.send

    def kept(msg: Any) -> Any:
        if type(msg).__name__ == "GetXCom" and msg.task_id == "wait" and msg.key in supervisor.pushed:
            value = supervisor.pushed[msg.key]
            return import_module("airflow.sdk.execution_time.comms").XComResult(key=msg.key, value=value)
        return send(msg)

    monkeypatch.setattr(supervisor, "send", kept)
    return supervisor


def test_restart_of_the_triggerer_after_the_ids_have_moved_does_not_move_the_wait(
    begin: Any, hook: Any, emulator: Emulator, moving: Supervisor, clock: ManualClock
) -> None:
    emulator.service.next_job(REPLICA, fail_at=40)
    moving.xcoms["make", "return_value"] = bad = hook.create_backup(REPLICA)
    wait = begin(XCOM)
    wait.run.restart_triggerer_after = 1
    with pytest.raises(TriggererRestart):
        wait.fired()
    clock.advance(900)
    moving.xcoms["make", "return_value"] = good = hook.create_backup(REPLICA)
    clock.advance(900)
    with pytest.raises(DdsBackupFailedError, match=f"Backup {bad} "):
        wait.end()
    assert good != bad


def test_next_try_renders_anew(begin: Any, hook: Any, moving: Supervisor) -> None:
    moving.xcoms["make", "return_value"] = "999999"
    moving.pushed["dds_wait"] = {
        "version": 1, "try_number": 7, "db_instance_id": REPLICA, "backup_job_id": "999999", "started_at": 0.0,
        "dds_conn_id": "dds_default", "region_id": None, "deadline": 1.0,
    }  # fmt: skip
    moving.xcoms["make", "return_value"] = job = hook.create_backup(REPLICA)
    assert begin(XCOM).end()["backup_job_id"] == job
    assert (moving.pushed["dds_wait"]["try_number"], moving.pushed["dds_wait"]["backup_job_id"]) == (1, job)


def test_literal_ids_are_not_kept(begin: Any, hook: Any, moving: Supervisor) -> None:
    begin(hook.create_backup(REPLICA)).end()
    assert "dds_wait" not in moving.pushed


@pytest.mark.parametrize("stored", ["text", 5, [], {"version": 2}, {"version": 1, "try_number": 1}], ids=str)
def test_inputs_of_another_release_name_what_to_delete(
    begin: Any, hook: Any, moving: Supervisor, emulator: Emulator, stored: Any
) -> None:
    moving.xcoms["make", "return_value"] = hook.create_backup(REPLICA)
    moving.pushed["dds_wait"] = stored
    with pytest.raises(DdsConfigurationError, match=r"XCom 'dds_wait' of this task, .* Delete it and clear this task"):
        begin(XCOM).end()
    assert emulator.calls("DescribeBackupTasks") == 0


def test_airflow_that_does_not_answer_for_a_while_is_waited_out(
    begin: Any, hook: Any, moving: Supervisor, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving.xcoms["make", "return_value"] = job = hook.create_backup(REPLICA)
    send, until = moving.send, clock.now + 600

    def away(msg: Any) -> Any:
        if clock.now < until:
            raise ConnectionError("no connection to the API")
        return send(msg)

    monkeypatch.setattr(moving, "send", away)
    assert begin(XCOM).end()["backup_job_id"] == job


def test_inputs_that_cannot_be_kept_are_kept_with_a_later_poll(
    begin: Any, hook: Any, moving: Supervisor, clock: ManualClock, logged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving.xcoms["make", "return_value"] = job = hook.create_backup(REPLICA)
    send, until = moving.send, clock.now + 100

    def full(msg: Any) -> Any:
        if type(msg).__name__ == "SetXCom" and clock.now < until:
            raise RuntimeError("the database is full")
        return send(msg)

    monkeypatch.setattr(moving, "send", full)
    assert begin(XCOM).end()["backup_job_id"] == job
    assert "could not be kept (RuntimeError: the database is full)" in logged()
    assert moving.pushed["dds_wait"]["backup_job_id"] == job


# --- the deadline comes before Airflow's ------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [20, 60, 600, 3600, 3650])
def test_execution_timeout_ends_the_wait_with_what_was_seen_before_airflow_does(
    begin: Any, hook: Any, emulator: Emulator, clock: ManualClock, seconds: int
) -> None:
    emulator.service.next_job(REPLICA, stuck_at=50)
    began = clock.now
    wait = begin(
        hook.create_backup(REPLICA), timeout=3600, execution_timeout=timedelta(seconds=seconds), poke_interval=5
    )
    with pytest.raises(AirflowSensorTimeout, match="Last poll") as caught:
        wait.end()
    assert clock.now - began < seconds
    assert clock.now - began >= min(3600, seconds * 0.75, seconds) - 60
    assert ("execution_timeout" in str(caught.value)) == (seconds < 3660)


# --- subclasses -------------------------------------------------------------------------------------------------------


class WithOneFieldMore(DdsBackupSensor):
    template_fields = (*DdsBackupSensor.template_fields, "note")

    def __init__(self, *, note: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.note = note


class WithOneFieldLess(DdsBackupSensor):
    template_fields = tuple(name for name in DdsBackupSensor.template_fields if name != "region_id")


class WithARenderingOfItsOwn(DdsBackupSensor):
    def render_template_fields(self, *args: Any, **kwargs: Any) -> Any:
        return super().render_template_fields(*args, **kwargs)


class WithDefaultsOfItsOwn(DdsBackupSensor):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"not_found_grace": 7, **kwargs})
        self.confirm_timeout = 8.0


@pytest.mark.parametrize(
    ("cls", "why"),
    [
        (WithOneFieldMore, "WithOneFieldMore has template fields of its own: note"),
        (WithOneFieldLess, "WithOneFieldLess has template fields of its own: region_id"),
        (WithPokeOfItsOwn, "code of its own"),
        (WithARenderingOfItsOwn, "code of its own"),
    ],
)
def test_subclass_begins_on_a_worker_and_says_why(begin: Any, hook: Any, logged: Any, cls: Any, why: str) -> None:
    wait = begin(hook.create_backup(REPLICA), cls=cls)
    assert wait.stored().start_from_trigger is False
    assert wait.run.once()["status"] == "Success"
    assert why in logged()


def test_subclass_that_only_sets_defaults_begins_in_the_triggerer(begin: Any, hook: Any) -> None:
    wait = begin(hook.create_backup(REPLICA), cls=WithDefaultsOfItsOwn)
    assert (wait.kwargs()["not_found_grace"], wait.kwargs()["confirm_timeout"]) == (7, 8)
    assert wait.end()["status"] == "Success"


def test_method_that_is_replaced_on_the_task_counts_as_code_of_its_own(begin: Any) -> None:
    wait = begin("1")
    wait.sensor.poke = print
    assert wait.sensor.start_from_trigger is False


# --- patience ---------------------------------------------------------------------------------------------------------


class TestOutages:
    """Whatever call an outage begins with: only the deadline ends a wait."""

    @pytest.fixture
    def clock(self) -> OutageClock:
        return OutageClock()

    @pytest.mark.parametrize("kind", KINDS)
    def test_outage_at_any_call_is_waited_out(
        self, begin: Any, hook: Any, emulator: Emulator, clock: OutageClock, kind: str
    ) -> None:
        plan = {"poke_interval": 100, "poll_strategy": "fixed", "timeout": 6 * 3600}
        begin(hook.create_backup(REPLICA), **plan).end()
        calls = len(emulator.requests()) - 1
        assert calls > 4
        for first in range(calls):
            emulator.reset()
            job = hook.create_backup(REPLICA)
            clock.strike(emulator, kind, first)
            assert begin(job, **plan).end()["backup_job_id"] == job
            assert clock.began is not None
            assert clock.now > clock.began + LASTS


# --- the sensor for a fresh backup ------------------------------------------------------------------------------------


def test_fresh_backup_is_waited_for_without_a_worker(
    begin: Any, supervisor: Supervisor, emulator: Emulator, clock: ManualClock
) -> None:
    emulator.service.start_automatic_backup(REPLICA)
    wait = begin(
        None, "{{ params.instance }}", cls=DdsFreshBackupSensor, max_age=3600, dag={"params": {"instance": REPLICA}}
    )
    began = clock.now
    facts = wait.end()
    assert wait.run.starts == 0
    assert (facts["db_instance_id"], facts["age_seconds"]) == (REPLICA, 290)
    assert clock.now - began == 300
    assert supervisor.pushed["dds_instance_console"].endswith(f"/instances/{REPLICA}/basicInfo")


def test_fresh_backup_without_a_worker_is_asked_for_as_in_a_deferral(begin: Any) -> None:
    asked = {"age_of": "end", "backup_modes": ["Manual"], "backup_methods": ["Snapshot"], "min_size_ratio": 0.5}
    kwargs = begin(None, cls=DdsFreshBackupSensor, max_age=timedelta(hours=2), min_days_left=3, **asked).kwargs()
    named = {name: kwargs[name] for name in (*asked, "max_age", "min_days_left")}
    assert named == {**asked, "max_age": 7200.0, "min_days_left": 3.0}
    assert json.loads(json.dumps(kwargs, allow_nan=False)) == kwargs


def test_deadline_of_a_wait_for_a_fresh_backup_is_raised_by_a_worker(begin: Any, clock: ManualClock) -> None:
    began = clock.now
    with pytest.raises(AirflowSensorTimeout, match=r"A fresh backup of .* not there at its deadline, after 1h00m"):
        begin(None, cls=DdsFreshBackupSensor, max_age=3600).end()
    assert clock.now - began == 3600


def test_wait_for_a_fresh_backup_that_no_triggerer_took_up(begin: Any, emulator: Emulator, clock: ManualClock) -> None:
    wait = begin(None, cls=DdsFreshBackupSensor, max_age=3600)
    clock.advance(3600 + MARGIN)
    worker = wait.sensor.prepare_for_execution()
    wait.run.set_up_worker(worker)
    with pytest.raises(AirflowSensorTimeout, match="1h00m after the wait began, because the triggerer did not answer"):
        worker.resume_execution("__fail__", {"error": "Trigger timeout"}, wait.run.context())
