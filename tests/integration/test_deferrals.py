"""Deferrals that end without an event that can be used, and events that a worker takes up late."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_dds.exceptions import (
    DdsAccessDeniedError,
    DdsBackupFailedError,
    DdsConfigurationError,
    DdsDeferralError,
    DdsError,
    DdsTimeoutError,
)
from airflow_provider_dds.sensors.dds import DdsBackupSensor, DdsFreshBackupSensor
from airflow_provider_dds.sensors.memory import MEMORY_KEY
from airflow_provider_dds.triggers.dds import DdsBackupStartTrigger, DdsBackupTrigger
from tests.support.runner import REPLICA, Run
from tests.support.versions import (
    TRIGGER_FAIL_REPR,
    TRIGGER_TIMEOUT,
    AirflowSensorTimeout,
    AirflowSkipException,
    needs_task_state_store,
)

if TYPE_CHECKING:
    from collections.abc import Callable

TIMED_OUT = {"error": TRIGGER_TIMEOUT}
FAILED = {"error": "Trigger failure", "traceback": ["ModuleNotFoundError: No module named 'airflow_provider_dds'\n"]}
both = pytest.mark.parametrize("why", [TIMED_OUT, FAILED], ids=["timed out", "failed"])


@pytest.fixture
def deferred(sensor: Any, clock: Any) -> Callable[..., Any]:
    """Defer a sensor, let some time pass, and return how a worker goes on without an event."""

    def make(job_id: str, *, passed: float = 600, **arguments: Any) -> Callable[[dict[str, Any]], Any]:
        run = sensor(job_id, "deferrable", **arguments)

        def goes_on(why: dict[str, Any]) -> Any:
            run._wait = lambda trigger: (clock.advance(passed), _raise(Ended()))
            with pytest.raises(Ended):
                run.once()
            return run._work(TRIGGER_FAIL_REPR, why)

        goes_on.run = run  # type: ignore[attr-defined]
        return goes_on

    return make


class Ended(Exception):  # noqa: N818 - it is none
    """The test takes over where Airflow would."""


def _raise(error: Exception) -> None:
    raise error


@both
def test_good_backup_ends_well_although_nobody_watched_it(emulator: Any, hook: Any, deferred: Any, why: Any) -> None:
    job_id = hook.create_backup(REPLICA)
    facts = deferred(job_id)(why)
    assert (facts["backup_job_id"], facts["status"]) == (job_id, "Success")


def test_poll_of_the_worker_is_given_the_time_that_the_task_has(
    hook: Any, deferred: Any, given: list[float | None]
) -> None:
    goes_on = deferred(hook.create_backup(REPLICA), timeout=3600)
    given.clear()
    goes_on(TIMED_OUT)
    assert given
    assert all(each is not None and each <= 3645 for each in given)


@both
def test_failed_backup_is_said_to_have_failed(emulator: Any, hook: Any, deferred: Any, why: Any) -> None:
    emulator.service.next_job(REPLICA, fail_at=40)
    with pytest.raises(DdsBackupFailedError):
        deferred(hook.create_backup(REPLICA))(why)


@both
def test_call_that_is_denied_is_said_to_be_denied(emulator: Any, hook: Any, deferred: Any, why: Any) -> None:
    goes_on = deferred(hook.create_backup(REPLICA))
    emulator.add_fault("error", status=403, code="Forbidden.RAM", action="DescribeBackupTasks", after=1, times=None)
    with pytest.raises(DdsAccessDeniedError, match="Forbidden"):
        goes_on(why)


def test_backup_that_is_not_good_yet_ends_with_what_was_seen_and_all_causes(
    emulator: Any, hook: Any, deferred: Any
) -> None:
    emulator.service.next_job(REPLICA, stuck_at=50)
    job_id = hook.create_backup(REPLICA)
    with pytest.raises(AirflowSensorTimeout) as caught:
        deferred(job_id, execution_timeout=timedelta(minutes=10))(TIMED_OUT)
    said = str(caught.value)
    for part in (job_id, REPLICA, "Backuping 50 %", "10m00s after the wait began", TRIGGER_TIMEOUT, "No triggerer runs",
                 "none for the queue", "full", "cannot load this package", "execution_timeout (10m00s)",
                 "airflow jobs check --job-type TriggererJob", "clear this task", "DescribeBackupTasks ("):  # fmt: skip
        assert part in said


def test_trigger_that_failed_is_worth_a_retry_and_shows_why(
    emulator: Any, hook: Any, deferred: Any, logged: Any
) -> None:
    emulator.service.next_job(REPLICA, stuck_at=50)
    with pytest.raises(DdsError, match="Trigger failure") as caught:
        deferred(hook.create_backup(REPLICA))(FAILED)
    assert not isinstance(caught.value, AirflowSensorTimeout)
    assert "No module named 'airflow_provider_dds'" in logged()


def test_service_that_cannot_be_asked_then_is_said_to_be_so(emulator: Any, hook: Any, deferred: Any) -> None:
    goes_on = deferred(hook.create_backup(REPLICA))
    emulator.add_fault("error", status=503, code="ServiceUnavailable", after=2, times=None)
    with pytest.raises(AirflowSensorTimeout, match="ServiceUnavailable"):
        goes_on(TIMED_OUT)


@both
@pytest.mark.parametrize("soft", [{"soft_fail": True}, {"never_fail": True}], ids=str)
def test_soft_sensor_skips(emulator: Any, hook: Any, deferred: Any, why: Any, soft: Any, logged: Any) -> None:
    emulator.service.next_job(REPLICA, stuck_at=50)
    with pytest.raises(AirflowSkipException):
        deferred(hook.create_backup(REPLICA), **soft)(why)
    assert "Backuping 50 %" in logged()


def test_wrong_key_is_no_skip_for_a_soft_sensor(emulator: Any, hook: Any, deferred: Any) -> None:
    goes_on = deferred(hook.create_backup(REPLICA), soft_fail=True)
    emulator.add_fault("error", status=403, code="Forbidden.RAM", action="DescribeBackupTasks", after=1, times=None)
    with pytest.raises(DdsAccessDeniedError):
        goes_on(TIMED_OUT)


@both
def test_worker_polls_for_what_the_try_began_to_wait_for(emulator: Any, hook: Any, deferred: Any, why: Any) -> None:
    """What is behind the ids has moved since: this worker renders another job."""
    emulator.service.next_job(REPLICA, fail_at=40)
    bad = hook.create_backup(REPLICA)
    emulator.service.clock.advance(1000)
    good = hook.create_backup(REPLICA)
    goes_on = deferred(bad)
    emulator.service.clock.advance(1000)
    goes_on.run.set_up_worker = lambda worker, original=goes_on.run.set_up_worker: (
        original(worker),
        setattr(worker, "backup_job_id", good if goes_on.run.starts > 1 else bad),
    )
    with pytest.raises(DdsBackupFailedError, match=f"Backup {bad} "):
        goes_on(why)


def test_inputs_that_cannot_be_read_name_what_to_delete(emulator: Any, hook: Any, deferred: Any) -> None:
    goes_on = deferred(hook.create_backup(REPLICA))
    goes_on.run.ti.xcom_pull = lambda **_: {"version": 7}
    with pytest.raises(DdsConfigurationError, match="XCom 'dds_wait'"):
        goes_on(TIMED_OUT)


def test_worker_that_finds_no_inputs_takes_its_own(emulator: Any, hook: Any, deferred: Any) -> None:
    job_id = hook.create_backup(REPLICA)
    goes_on = deferred(job_id)
    goes_on.run.ti.xcom_pull = lambda **_: None
    assert goes_on(TIMED_OUT)["backup_job_id"] == job_id


def test_wait_of_which_nothing_is_known_but_that_its_time_is_over_is_given_no_more(
    emulator: Any, hook: Any, deferred: Any, given: list[float | None]
) -> None:
    emulator.service.next_job(REPLICA, stuck_at=50)
    goes_on = deferred(hook.create_backup(REPLICA), timeout=3600, passed=3660)
    goes_on.run.ti.xcom_pull = lambda **_: None
    before = len(given)
    with pytest.raises(AirflowSensorTimeout, match="1h00m after the wait began"):
        goes_on(TIMED_OUT)
    assert all(each is not None and each <= 31 for each in given[before + 2 :])


@pytest.mark.parametrize("sensor_class", [DdsBackupSensor, DdsFreshBackupSensor])
def test_wait_of_which_nothing_is_known_gets_the_time_of_a_last_poll(
    emulator: Any, hook: Any, clock: Any, given: list[float | None], sensor_class: Any
) -> None:
    """Its event cannot be read, and nothing was kept: when it began, and so how much is left of it, nobody knows."""
    emulator.service.next_job(REPLICA, stuck_at=50)
    job_id = hook.create_backup(REPLICA)
    ids = {"backup_job_id": job_id} if sensor_class is DdsBackupSensor else {"max_age": 60}
    run = Run(sensor_class(task_id="wait", db_instance_id=REPLICA, deferrable=True, timeout=3600, **ids), clock)
    given.clear()
    with pytest.raises(DdsError, match="its event cannot be read"):
        run._work("execute_complete", {"event": {"version": 2}})
    assert given
    assert all(each is not None and each <= 31 for each in given)


def test_worker_takes_no_wait_for_its_own_while_airflow_does_not_say(emulator: Any, hook: Any, deferred: Any) -> None:
    goes_on = deferred(hook.create_backup(REPLICA))
    goes_on.run.ti.xcom_pull = lambda **_: _raise(OSError("away"))
    with pytest.raises(AirflowSensorTimeout, match="'dds_wait': OSError: away"):
        goes_on(TIMED_OUT)


# --- events -----------------------------------------------------------------------------------------------------------

EVENTS: list[Any] = [
    None, "done", 5, [], {}, {"outcome": "done"}, {"outcome": "done", "text": "good"}, {"outcome": "wait", "text": ""},
    {"version": 2, "outcome": "timed_out", "text": "late"}, {"outcome": "timed_out", "text": "late", "new": 1},
    {"outcome": "done", "text": "good", "backup": "17"}, {"outcome": "error", "text": "", "error": {"type": "A"}},
    {"link": "https://example.com"},
]  # fmt: skip


@pytest.mark.parametrize("event", EVENTS, ids=str)
def test_event_that_cannot_be_read_is_none(emulator: Any, hook: Any, sensor: Any, clock: Any, event: Any) -> None:
    job_id = hook.create_backup(REPLICA)
    run = sensor(job_id, "deferrable")
    clock.advance(600)
    assert run._work("execute_complete", {"event": event})["backup_job_id"] == job_id
    emulator.service.next_job(REPLICA, stuck_at=50)
    run = sensor(hook.create_backup(REPLICA), "deferrable")
    with pytest.raises(DdsError, match="its event cannot be read") as caught:
        run._work("execute_complete", {"event": event})
    assert "install the same release" in str(caught.value)


@pytest.mark.parametrize(("late", "said"), [(30, False), (7200, True)])
def test_worker_that_comes_late_says_so(
    emulator: Any, hook: Any, sensor: Any, clock: Any, logged: Any, late: float, said: bool
) -> None:
    emulator.service.next_job(REPLICA, stuck_at=50)
    run = sensor(hook.create_backup(REPLICA), "deferrable", timeout=600)
    wait = run._wait
    run._wait = lambda trigger: (wait(trigger), clock.advance(late))[0]
    with pytest.raises(AirflowSensorTimeout, match="Backuping") as caught:
        run.once()
    assert ("2h00m later: so long the task waited for a slot of its pool or for a worker" in str(caught.value)) == said
    assert "The service refused" not in str(caught.value)


def test_good_backup_that_a_worker_takes_up_late_is_good(
    emulator: Any, hook: Any, sensor: Any, clock: Any, logged: Any
) -> None:
    run = sensor(hook.create_backup(REPLICA), "deferrable")
    wait = run._wait
    run._wait = lambda trigger: (wait(trigger), clock.advance(7200))[0]
    assert run.once()["status"] == "Success"
    assert "2h00m later" in logged()


class AwayForAWhile:
    """An API server that answers nothing to a worker for some seconds of the moved clock."""

    def __init__(self, run: Any, clock: Any, seconds: float) -> None:
        self.run, self.clock, self.until = run, clock, clock.now + seconds
        pull, get = run.ti.xcom_pull, run.store.get if run.store is not None else None
        run.ti.xcom_pull = lambda **options: (self.away(), pull(**options))[1]
        if get:
            run.store.get = lambda key, *default: (self.away(), get(key, *default))[1]

    def away(self) -> None:
        if self.clock.now < self.until:
            raise OSError("the API server is away")


def test_api_server_that_is_away_when_a_deferral_ends_is_waited_for(
    emulator: Any, hook: Any, deferred: Any, clock: Any
) -> None:
    """What is behind the ids has moved since: they must not be rendered anew because of it."""
    good = hook.create_backup(REPLICA)
    goes_on = deferred(good)
    run = goes_on.run
    setup = run.set_up_worker

    def moved(worker: Any) -> None:
        setup(worker)
        if run.starts > 1:
            worker.backup_job_id = "999999"
            AwayForAWhile(run, clock, 600)

    run.set_up_worker = moved
    assert goes_on(FAILED)["backup_job_id"] == good


def test_api_server_that_stays_away_when_a_deferral_ends_ends_the_wait_in_time(
    emulator: Any, hook: Any, deferred: Any, clock: Any
) -> None:
    goes_on = deferred(hook.create_backup(REPLICA), timeout=3600)
    run = goes_on.run
    setup = run.set_up_worker
    run.set_up_worker = lambda worker: (setup(worker), run.starts > 1 and AwayForAWhile(run, clock, 1e9))
    began = clock.now
    with pytest.raises(AirflowSensorTimeout, match="the API server is away"):
        goes_on(FAILED)
    assert clock.now - began == 600 + 3600


# --- arguments of triggers --------------------------------------------------------------------------------------------

GOOD: dict[str, Any] = {
    "db_instance_id": REPLICA, "backup_job_id": "17", "dds_conn_id": "dds_default", "region_id": None,
    "started_at": 0.0, "deadline": 100.0,
}  # fmt: skip
START: dict[str, Any] = {
    **{name: value for name, value in GOOD.items() if name not in ("started_at", "deadline")},
    "timeout": 100.0, "ends_after": 160.0,
}  # fmt: skip
BAD = [
    {"new_argument": 1},
    {"db_instance_id": None},
    {"region_id": 5},
    {"poke_interval": "60"},
    {"confirm_backup_set": "yes"},
    {"backup_job_id": ...},
    {"not_found_grace": None},
]


@pytest.mark.parametrize("change", [*BAD, {"memory": {"new": 1}, "remembered_at": 1e12}, {"memory": "text"}], ids=str)
@pytest.mark.parametrize("cls", [DdsBackupTrigger, DdsBackupStartTrigger])
def test_arguments_of_another_release_fire_an_error_that_says_what_to_do(emulator: Any, cls: Any, change: Any) -> None:
    if cls is DdsBackupStartTrigger and "memory" in change:
        change = {"memory": None}
    arguments = {**(GOOD if cls is DdsBackupTrigger else START), **change}
    arguments = {name: value for name, value in arguments.items() if value is not ...}
    trigger = cls(**arguments)
    assert trigger.serialize()[1].items() >= arguments.items()

    async def first() -> Any:
        async for event in trigger.run():
            return json.loads(json.dumps(event.payload))
        raise AssertionError("no event")

    event = asyncio.run(first())
    assert (event["outcome"], event["error"]["type"]) == ("error", "DdsConfigurationError")
    assert "clear this task" in event["text"]
    assert cls.__name__ in event["text"]
    assert f"of {arguments['db_instance_id'] or 'unknown'}" in event["text"]
    asyncio.run(trigger.on_kill())


def test_worker_raises_what_such_a_trigger_fired(emulator: Any, sensor: Any, hook: Any) -> None:
    run = sensor(hook.create_backup(REPLICA), "deferrable")
    fire = run._fire
    run._fire = lambda path, kwargs: fire(path, {**kwargs, "new_argument": 1})
    with pytest.raises(DdsConfigurationError, match="'new_argument' is not known"):
        run.once()


# --- the memory of reschedule mode ------------------------------------------------------------------------------------


@needs_task_state_store
@pytest.mark.parametrize(
    "stored", ["text", 5, [], {}, {"version": 2}, {"wait_of": [0, 1, "17"], "memory": {}}, {"memory": None}], ids=str
)
def test_memory_that_cannot_be_read_names_the_key_to_delete(emulator: Any, sensor: Any, hook: Any, stored: Any) -> None:
    run = sensor(hook.create_backup(REPLICA), "reschedule")
    run.store[MEMORY_KEY] = stored
    named = rf"'{MEMORY_KEY}' .* backup \d+ of {REPLICA} remembers, .* Delete that key .* clear this task"
    with pytest.raises(DdsConfigurationError, match=named):
        run.once()


@needs_task_state_store
@pytest.mark.parametrize("memory", [{"new": 1}, {"misses": "two"}, {"progress": 5}], ids=str)
def test_memory_of_another_release_names_the_key_to_delete(emulator: Any, sensor: Any, hook: Any, memory: Any) -> None:
    run = sensor(hook.create_backup(REPLICA), "reschedule")
    store = run.store.set
    run.store.set = lambda key, value: store(key, {**value, "memory": {**value["memory"], **memory}})
    with pytest.raises(DdsConfigurationError, match=MEMORY_KEY):
        run.once()
    assert run.starts == 2


@needs_task_state_store
def test_store_that_does_not_answer_for_a_while_is_waited_for(
    emulator: Any, sensor: Any, hook: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = sensor(hook.create_backup(REPLICA), "reschedule")
    began, get, store = clock.now, run.store.get, run.store.set

    def away() -> None:
        if 60 < clock.now - began < 200:
            raise OSError("the API server is away")

    run.store.get = lambda key, *_: (away(), get(key))[1]
    run.store.set = lambda key, value: (away(), store(key, value))[1]
    assert run.once()["status"] == "Success"


@needs_task_state_store
def test_store_that_never_answers_ends_at_the_deadline(emulator: Any, sensor: Any, hook: Any, clock: Any) -> None:
    run, began = sensor(hook.create_backup(REPLICA), "reschedule", timeout=600), clock.now
    run.store.get = lambda key, *_: _raise(OSError("the API server is away"))
    with pytest.raises(AirflowSensorTimeout, match="could not be read from the task's state store"):
        run.once()
    assert 600 <= clock.now - began <= 601


@needs_task_state_store
def test_job_that_moves_under_a_rescheduled_sensor_moves_no_wait(emulator: Any, sensor: Any, hook: Any) -> None:
    emulator.service.next_job(REPLICA, fail_at=40)
    bad = hook.create_backup(REPLICA)
    run = sensor(bad, "reschedule")
    original = run.set_up_worker

    def moved(worker: Any) -> None:
        original(worker)
        worker.backup_job_id = "999999" if run.starts > 1 else bad

    run.set_up_worker = moved
    with pytest.raises(DdsBackupFailedError, match=f"Backup {bad} "):
        run.once()
    assert run.starts > 2


# --- the operator -----------------------------------------------------------------------------------------------------


@both
def test_operator_ends_well_with_a_good_backup_that_nobody_watched(
    emulator: Any, operator: Any, clock: Any, why: Any
) -> None:
    run = operator(wait_for_completion=True, deferrable=True)
    run._wait = lambda trigger: (clock.advance(600), _raise(Ended()))
    with pytest.raises(Ended):
        run.once()
    assert run._work(TRIGGER_FAIL_REPR, why) == emulator.service.jobs(REPLICA)[0].job_id
    assert run.ti.xcoms["backup"]["status"] == "Success"
    assert len(emulator.service.jobs(REPLICA)) == 1


@pytest.mark.parametrize("seconds", [0, 20, 600, 2000])
def test_operator_waits_for_an_api_server_that_is_away_when_its_deferral_ends(
    emulator: Any, operator: Any, clock: Any, seconds: float
) -> None:
    run = operator(wait_for_completion=True, deferrable=True, timeout=3600)
    run._wait = lambda trigger: (clock.advance(600), _raise(Ended()))
    with pytest.raises(Ended):
        run.once()
    AwayForAWhile(run, clock, seconds)
    assert run._work(TRIGGER_FAIL_REPR, FAILED) == emulator.service.jobs(REPLICA)[0].job_id
    assert len(emulator.service.jobs(REPLICA)) == 1


def test_operator_whose_worker_comes_late_does_not_say_that_the_service_refused(
    emulator: Any, operator: Any, clock: Any
) -> None:
    emulator.service.start_automatic_backup(REPLICA)
    run = operator(deferrable=True, timeout=3600)
    wait = run._wait
    run._wait = lambda trigger: (wait(trigger), clock.advance(7200))[0]
    with pytest.raises(DdsTimeoutError, match=r"The triggerer fired this event at .*, 2h00m later") as caught:
        run.once()
    assert "refused" not in str(caught.value)
    assert "accepted no request" not in str(caught.value)


@pytest.mark.parametrize("change", [{"new_argument": 1}, {"deadline": "soon"}, {"record": None}], ids=str)
def test_operator_raises_what_a_trigger_says_of_arguments_of_another_release(
    emulator: Any, operator: Any, change: Any
) -> None:
    emulator.service.start_automatic_backup(REPLICA)
    run = operator(deferrable=True)
    fire = run._fire
    run._fire = lambda path, kwargs: fire(path, {**kwargs, **change})
    with pytest.raises(DdsConfigurationError, match=r"DdsInstanceFreeTrigger cannot be read: .* clear this task"):
        run.once()
    assert len(emulator.service.jobs(REPLICA)) == 1


@pytest.mark.parametrize(("timeout", "most"), [(3600, 340), (200, 200)])
def test_poll_of_a_worker_after_a_trigger_that_never_began_is_given_the_time_of_the_wait(
    emulator, hook, sensor, given, timeout, most
):
    """With ``start_from_trigger`` the wait ends before ``execution_timeout``; nothing tells that it began."""
    emulator.service.next_job(REPLICA, stuck_at=50)
    arguments = {"start_from_trigger": True, "timeout": timeout, "execution_timeout": timedelta(seconds=400)}
    run = sensor(hook.create_backup(REPLICA), "deferrable", **arguments)
    given.clear()
    with pytest.raises(DdsDeferralError):
        run._work(TRIGGER_FAIL_REPR, FAILED)
    assert given
    assert all(each is not None and each <= most for each in given)
