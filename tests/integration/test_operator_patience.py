"""Only the deadline ends what passes: trouble at each single call of the operator, on a worker and deferred."""

from __future__ import annotations

import asyncio
import json

import pytest
from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_dds.client import sending
from airflow_provider_dds.creating.backup import FINAL_STATES, MOST_AFTER_REFUSAL
from airflow_provider_dds.emulator import Readings
from airflow_provider_dds.exceptions import (
    DdsAccessDeniedError,
    DdsBackupOutcomeUnknownError,
    DdsInvalidRequestError,
    DdsTimeoutError,
)
from airflow_provider_dds.hooks.dds import DdsHook
from airflow_provider_dds.operators.completion import BACKUP_XCOM
from airflow_provider_dds.triggers.dds import DdsInstanceFreeTrigger
from airflow_provider_dds.triggers.deferral import LAST_POLL_SECONDS
from airflow_provider_dds.waiting import watch
from tests.support.accounts import NEW, Account
from tests.support.creates import backups, both_waits
from tests.support.runner import REPLICA

SECONDS = 900.0
TROUBLE = {
    "429": {"kind": "throttle", "status": 429},
    "503 before": {"kind": "error", "status": 503, "code": "ServiceUnavailable", "when": "before"},
    "503 after": {"kind": "error", "status": 503, "code": "ServiceUnavailable", "when": "after"},
    "lost": {"kind": "reset_before"},
    "unreadable": {"kind": "html", "status": 200, "when": "before"},
}
KINDS = [REPLICA, "dds-demo-local", "dds-demo-cluster", "dds-demo-sharded"]


class Trouble:
    """Spoils all calls for some seconds from the n-th on, on the moved clock."""

    def __init__(self, emulator, clock, monkeypatch):
        self.service, self.clock, self.calls = emulator, clock, 0
        self.first, self.fault, self.until, self.seconds = None, {}, None, SECONDS
        send, advance = sending.send, clock.advance

        def counted(*args, **kwargs):
            self.calls += 1
            if self.calls == self.first:
                self.until = clock.now + self.seconds
                self.service.add_fault(**self.fault, times=None)
            return send(*args, **kwargs)

        def moved(seconds):
            advance(seconds)
            if self.until is not None and clock.now >= self.until:
                self.service.clear_faults()
                self.until = None
            return clock.now

        monkeypatch.setattr(sending, "send", counted)
        monkeypatch.setattr(clock, "advance", moved)

    def begins_at(self, call, fault):
        self.calls, self.first, self.fault = 0, call, fault


@pytest.fixture
def trouble(emulator, clock, monkeypatch):
    return Trouble(emulator, clock, monkeypatch)


def story(operator, emulator, deferrable, wait_for_completion, instance_id):
    """Run the operator while an automatic backup holds the instance, so that every kind of its calls is made."""
    emulator.service.start_automatic_backup(instance_id)
    run = operator(
        instance_id,
        deferrable=deferrable,
        wait_for_completion=wait_for_completion,
        timeout=20_000,
        poll_strategy="fixed",
        poke_interval=100,
    )
    return run, run.once()


@both_waits
@pytest.mark.parametrize(
    ("fault", "wait_for_completion"),
    [("429", True), ("503 after", True), ("503 before", False), ("lost", False), ("unreadable", False)],
)
def test_trouble_at_every_single_call_is_waited_out(
    emulator, operator, clock, trouble, fault, deferrable, wait_for_completion
):
    instance_id = REPLICA
    story(operator, emulator, deferrable, wait_for_completion, instance_id)
    calls = trouble.calls
    assert calls > 10
    for call in range(1, calls + 1):
        clock.advance(2_000)
        before, began = len(backups(emulator, instance_id)), clock.now
        trouble.begins_at(call, TROUBLE[fault])
        _, job_id = story(operator, emulator, deferrable, wait_for_completion, instance_id)
        assert [each.job_id for each in backups(emulator, instance_id)[before:]] == [job_id], f"call {call}"
        assert trouble.until is None, f"call {call} was not met"
        assert clock.now - began < 3_000


@pytest.mark.parametrize("instance_id", KINDS[1:])
@pytest.mark.parametrize("fault", ["429", "503 after"])
def test_trouble_is_waited_out_on_every_kind_of_instance(emulator, operator, clock, trouble, fault, instance_id):
    story(operator, emulator, True, False, instance_id)
    for call in range(1, trouble.calls + 1):
        clock.advance(2_000)
        before = len(backups(emulator, instance_id))
        trouble.begins_at(call, TROUBLE[fault])
        _, job_id = story(operator, emulator, True, False, instance_id)
        assert len(backups(emulator, instance_id)) == before + 1, f"call {call}"
        assert job_id


@both_waits
def test_trouble_while_a_lost_answer_is_settled_is_waited_out(emulator, operator, clock, trouble, deferrable):
    emulator.service.readings = Readings(new_row_delay_seconds=45)
    emulator.add_fault("reset_after", action="CreateBackup")
    operator(deferrable=deferrable).once()
    calls = trouble.calls
    for call in range(1, calls + 1):
        clock.advance(2_000)
        before = len(backups(emulator))
        emulator.add_fault("reset_after", action="CreateBackup")
        trouble.begins_at(call, TROUBLE["503 before"])
        job_id = operator(deferrable=deferrable, timeout=20_000).once()
        assert [each.job_id for each in backups(emulator)[before:]] == [job_id], f"call {call}"


@both_waits
@pytest.mark.parametrize("fault", TROUBLE)
def test_trouble_without_end_ends_at_the_deadline(emulator, operator, clock, trouble, fault, deferrable):
    began = clock.now
    trouble.seconds = 1e9
    trouble.begins_at(1, TROUBLE[fault])
    with pytest.raises(DdsTimeoutError, match="the service could not be asked: DescribeDBInstanceAttribute"):
        operator(deferrable=deferrable).once()
    assert 3600 <= clock.now - began <= 3600 + 31
    assert backups(emulator) == []


@both_waits
def test_trouble_without_end_after_the_request_names_the_request_at_the_deadline(emulator, operator, clock, deferrable):
    emulator.add_fault("reset_after", action="CreateBackup")
    emulator.add_fault("error", status=503, action="DescribeDBInstanceAttribute", after=1, times=None)
    with pytest.raises(DdsBackupOutcomeUnknownError, match=r"could not be asked: .*within timeout \(3600 s\)"):
        operator(deferrable=deferrable).once()


def test_deferred_wait_for_the_service_holds_no_worker(emulator, operator, trouble):
    trouble.seconds = 3000
    trouble.begins_at(1, TROUBLE["503 before"])
    run = operator(deferrable=True)
    run.once()
    assert run.starts == 2
    assert {path.rpartition(".")[2] for path, _ in run.deferrals} == {"DdsInstanceFreeTrigger"}


def test_permanent_error_while_it_waits_is_raised_at_once(emulator, operator, clock):
    emulator.service.start_automatic_backup(REPLICA)
    emulator.add_fault("error", status=403, code="Forbidden.RAM", action="DescribeBackupTasks", after=3, times=None)
    began = clock.now
    with pytest.raises(DdsAccessDeniedError):
        operator(deferrable=True).once()
    assert clock.now - began < 120


# --- refusals -------------------------------------------------------------------------------------------------------


@both_waits
@pytest.mark.parametrize("kind", ["hidden backup on a local disk", "hidden task"])
def test_refusal_that_nothing_explains_is_met_ever_more_rarely(emulator, operator, clock, deferrable, kind):
    code = "OperationDenied.BackupJobExists" if "backup" in kind else "Task.Conflict"
    emulator.add_fault("error", status=403, code=code, action="CreateBackup", times=None)
    run = operator("dds-demo-local", deferrable=deferrable, timeout=4 * 3600, poke_interval=60)
    waits = []

    def over(seconds):
        waits.append(clock.now)
        if len(waits) and clock.now - began >= 3 * 3600:
            emulator.clear_faults()

    began = clock.now
    advance = clock.advance
    clock.advance = lambda seconds: over(seconds) or advance(seconds)
    run.once()
    clock.advance = advance
    assert emulator.calls("CreateBackup") < 30
    assert run.starts < 30
    assert clock.now - began < 3 * 3600 + 2 * MOST_AFTER_REFUSAL
    assert len(backups(emulator, "dds-demo-local")) == 1


@both_waits
def test_busy_instance_is_told_at_warning_less_often_as_time_passes(emulator, operator, clock, deferrable, logged):
    emulator.service.set_instance_status(REPLICA, "Restoring")
    with pytest.raises(DdsTimeoutError, match="the instance is Restoring"):
        operator(deferrable=deferrable, timeout=4 * 3600).once()
    lines = [line for line in logged().splitlines() if "Waiting to back up" in line]
    assert 5 <= len(lines) <= 14
    assert all("warning" in line.lower() for line in lines)
    assert "the instance is Restoring (CreateBackup was refused with IncorrectDBInstanceState" in lines[-1]
    assert "h" in lines[-1].partition(", for ")[2].partition(" so far")[0]
    assert "UTC at most" in lines[-1]
    assert emulator.calls("CreateBackup") == 1


@both_waits
@pytest.mark.parametrize("word", ["Deleting", "Released", "Destroyed", "LockByExpiration"])
@pytest.mark.parametrize("when", ["before", "while it waits"])
def test_instance_that_does_not_come_back_fails_at_once_with_its_word(
    emulator, operator, clock, deferrable, word, when
):
    def doom():
        if word.startswith("Lock"):
            emulator.service.instance(REPLICA).lock_mode = word
        else:
            emulator.service.set_instance_status(REPLICA, word)

    if when == "before":
        doom()
    else:
        emulator.service.set_instance_status(REPLICA, "Rebooting")
        advance = clock.advance
        clock.advance = lambda seconds: (doom() if clock.now > began + 200 else None, advance(seconds))[1]
    began = clock.now
    with pytest.raises(DdsInvalidRequestError, match=f"DescribeDBInstanceAttribute shows it as {word}"):
        operator(deferrable=deferrable).once()
    assert clock.now - began < 400
    assert backups(emulator) == []


def test_words_of_final_states_are_compared_in_any_case():
    assert all(word == word.lower() for word in FINAL_STATES)


# --- what only informs ----------------------------------------------------------------------------------------------


@both_waits
@pytest.mark.parametrize("seconds", [0, 20, 1e9])
def test_xcom_that_cannot_be_written_does_not_change_how_the_task_ends(
    emulator, operator, clock, deferrable, seconds, logged
):
    run = operator(wait_for_completion=True, deferrable=deferrable)
    push, until = run.ti.xcom_push, clock.now + 300 + seconds

    def failing(key, value):
        if seconds and clock.now < until:
            raise ConnectionError("the bucket is gone")
        push(key, value)

    run.ti.xcom_push = failing
    assert run.once() == backups(emulator)[0].job_id
    assert (BACKUP_XCOM in run.ti.xcoms) is (seconds < 1e9)
    if seconds == 1e9:
        assert "XCom backup could not be written (ConnectionError: the bucket is gone)" in logged()


def test_request_that_waits_for_its_turn_past_the_deadline_is_not_sent(emulator, operator, clock, monkeypatch):
    """Five calls go at once, of which the request is the sixth; then the pace lets one out every hundred seconds."""
    connection = json.loads(emulator.connection_json())
    connection["extra"] = {**connection["extra"], "calls_per_second": 0.01}
    monkeypatch.setenv("AIRFLOW_CONN_DDS_DEFAULT", json.dumps(connection))
    another = DdsHook()
    another.describe_backup_tasks(REPLICA)
    begun = clock.now
    with pytest.raises(DdsTimeoutError):
        operator(timeout=60).once()
    assert clock.now <= begun + 60 + LAST_POLL_SECONDS
    assert emulator.calls("CreateBackup") == 0


# --- the trigger ----------------------------------------------------------------------------------------------------


def test_trigger_that_waits_for_a_free_instance_guards_its_last_poll(emulator, operator, clock, monkeypatch):
    """A poll that hangs must end before Airflow ends the deferral."""
    emulator.service.start_automatic_backup(REPLICA)
    run = operator(deferrable=True, timeout=900)
    waited = []
    wait_for = asyncio.wait_for

    async def noted(work, timeout):
        waited.append(timeout - (trigger_deadline - clock.now))
        return await wait_for(work, timeout)

    trigger_deadline = clock.now + 900
    monkeypatch.setattr(asyncio, "wait_for", noted)
    run.once()
    assert waited
    assert all(each <= watch.LAST_POLL_SECONDS + 0.1 for each in waited)


def test_poll_that_is_not_over_in_time_fires(emulator, operator, clock, monkeypatch):
    monkeypatch.setattr(DdsInstanceFreeTrigger, "last_poll", 0.05)
    run = operator(deferrable=True, timeout=900)
    emulator.service.start_automatic_backup(REPLICA)
    run.once()
    _, kwargs = run.deferrals[0]
    trigger = DdsInstanceFreeTrigger(**{**kwargs, "deadline": clock.now - 1})

    async def never(_, *, timeout):
        await asyncio.Event().wait()

    trigger.hook.arun = never
    run.set_up_trigger(trigger)

    async def fire():
        return await trigger.run().__anext__()

    event = asyncio.run(fire())
    assert event.payload["record"]["backoff"]["failures"] == 1


@both_waits
def test_read_before_the_request_that_keeps_failing_is_tried_ever_more_rarely(emulator, operator, clock, deferrable):
    """The poll for a free instance succeeds each time."""
    emulator.add_fault("error", status=503, code="ServiceUnavailable", action="DescribeBackups", times=None)
    run = operator(deferrable=deferrable, timeout=3 * 3600, poke_interval=60)
    with pytest.raises(DdsTimeoutError, match=r"DescribeBackups (for \S+ )?failed with ServiceUnavailable"):
        run.once()
    assert run.starts < 60
    assert emulator.calls("CreateBackup") == 0


def test_adopts_a_running_backup_that_shows_only_later(emulator, operator):
    emulator.service.readings = Readings(new_row_delay_seconds=100)
    automatic = emulator.service.start_automatic_backup(REPLICA)
    for deferrable in (False, True):
        assert operator(if_backup_running="adopt", deferrable=deferrable).once() == automatic
    assert backups(emulator) == []


# --- the connection -------------------------------------------------------------------------------------------------


@both_waits
@pytest.mark.parametrize("begins", [0, 100, 310], ids=["before", "while it waits", "around the request"])
def test_look_up_of_the_connection_that_fails_for_a_while_is_waited_out(
    emulator, operator, clock, monkeypatch, deferrable, begins
):
    original, began = BaseHook.get_connection.__func__, clock.now

    def get_connection(cls, conn_id):
        if began + begins <= clock.now < began + begins + 600:
            raise ConnectionError("the API server is away")
        return original(cls, conn_id)

    async def aget_connection(cls, conn_id):
        return get_connection(cls, conn_id)

    monkeypatch.setattr(BaseHook, "get_connection", classmethod(get_connection))
    monkeypatch.setattr(BaseHook, "aget_connection", classmethod(aget_connection), raising=False)
    emulator.service.start_automatic_backup(REPLICA)
    assert operator(deferrable=deferrable).once() == backups(emulator)[0].job_id
    assert len(backups(emulator)) == 1


@both_waits
@pytest.mark.parametrize("after", range(1, 14, 3))
def test_key_that_is_rotated_at_any_call_is_read_again(emulator, operator, trouble, monkeypatch, deferrable, after):
    """The old one is refused from then on: at a read, at the request, in the wait for the backup."""
    account = Account(emulator, monkeypatch)
    begins_at, send = trouble.begins_at, sending.send

    def rotating(*args, **kwargs):
        if trouble.calls + 1 == after:
            account.rotate()
        return send(*args, **kwargs)

    begins_at(0, {})
    monkeypatch.setattr(sending, "send", rotating)
    emulator.service.start_automatic_backup(REPLICA)
    job_id = operator(deferrable=deferrable, wait_for_completion=True, poke_interval=100).once()
    assert [each.job_id for each in backups(emulator)] == [job_id]
    assert {request.access_key_id for request in emulator.requests("CreateBackup")[-1:]} == {NEW.access_key_id}
