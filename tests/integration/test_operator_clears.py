"""A clear makes a new backup, a retry never does; what the store may hold, lose or refuse."""

from __future__ import annotations

import json

import pytest

from airflow_provider_dds.creating.record import RECORD_KEY
from airflow_provider_dds.emulator import Readings
from airflow_provider_dds.exceptions import (
    DdsAccessDeniedError,
    DdsBackupOutcomeUnknownError,
    DdsError,
    DdsSupersededError,
    DdsTimeoutError,
)
from airflow_provider_dds.hooks.dds import DdsHook
from airflow_provider_dds.operators.record_keeper import INTENT_SECONDS, RecordKeeper
from tests.support.airflow_rules import api_server_error
from tests.support.creates import backups, both_waits, in_doubt
from tests.support.runner import REPLICA, Store, TaskInstance
from tests.support.versions import HAS_TASK_STATE_STORE, needs_task_state_store

pytestmark = needs_task_state_store
MONDAY = 1_800_000_000
DAY = 86_400.0


@pytest.fixture
def task_run(operator):
    """Make a run of the operator whose task has so many retries."""

    def make(retries=0, **kwargs):
        run = operator(**kwargs)
        run.ti, run.retries = TaskInstance(max_tries=retries), retries
        return run

    return make


def fails(emulator, run, call):
    """Run a try that fails for good reason, after its backup was made."""
    emulator.add_fault("error", status=403, code="Forbidden.RAM", action="DescribeBackupTasks", after=3)
    with pytest.raises(DdsAccessDeniedError):
        call()
    emulator.clear_faults()


@pytest.mark.parametrize("vanishes", [False, True])
def test_planned_row_with_the_id_of_the_job_before_the_clear_is_not_that_job(emulator, task_run, clock, vanishes):
    emulator.service.readings = Readings(automatic_twin="Scheduled", finished_row_seconds=0 if vanishes else None)
    run = task_run()
    first = run.once()
    clock.advance(1000)
    second = run.clear()
    assert [each.job_id for each in backups(emulator)] == [first, second]


def test_clear_right_after_an_end_that_is_not_retried_is_one(emulator, task_run, clock):
    """With the task gone, max_tries stays what it was; that this try was no retry shows in how the one before ended."""
    run = task_run(2, timeout=600)
    emulator.add_fault("error", status=503, code="ServiceUnavailable", times=None)
    run.ti.try_number = 2
    with pytest.raises(DdsTimeoutError):
        run.once()
    emulator.clear_faults()
    assert run.clear(2, task_gone=True) == backups(emulator)[0].job_id
    assert run.ti.max_tries == 2


@pytest.mark.parametrize("gone", [False, True], ids=["", "task gone from the DAG"])
@pytest.mark.parametrize("ended", ["returned", "failed"])
@pytest.mark.parametrize(
    ("before", "tries", "after"),
    [(1, 1, 0), (2, 1, 1), (2, 2, 0), (3, 1, 2), (3, 2, 1), (0, 1, 0), (1, 2, 3), (1, 1, 1)],
)
def test_clear_makes_a_new_backup_and_a_retry_does_not(emulator, task_run, clock, before, tries, after, ended, gone):
    run = task_run(before, wait_for_completion=True)
    emulator.service.next_job(REPLICA, seconds=250)
    for number in range(1, tries + 1):
        call = run.once if number == 1 else run.retry
        if number < tries or ended == "failed":
            fails(emulator, run, call)
            clock.advance(40)
        else:
            call()
    assert len(backups(emulator)) == 1
    clock.advance(7200)
    assert run.clear(after, task_gone=gone) == backups(emulator)[1].job_id
    assert len(backups(emulator)) == 2


def test_clear_of_another_task_of_the_run_makes_no_clear_of_a_retry(emulator, task_run, clock):
    run = task_run(2, wait_for_completion=True)
    fails(emulator, run, run.once)
    clock.advance(600)
    run.clear_number += 1
    assert run.retry() == backups(emulator)[0].job_id
    assert len(backups(emulator)) == 1


def test_backup_of_somebody_else_is_not_taken_after_a_clear_for_the_request_that_was_lost(
    emulator, task_run, hook, clock
):
    run = task_run()
    emulator.add_fault("reset_before", action="CreateBackup")
    emulator.add_fault("error", action="DescribeDBInstanceAttribute", after=1, times=None)
    with pytest.raises(DdsBackupOutcomeUnknownError, match="clear this task: it makes a new backup"):
        run.once()
    emulator.clear_faults()
    clock.advance(DAY)
    tuesdays = hook.create_backup(REPLICA)
    clock.advance(3 * DAY)
    assert run.clear() not in ("", tuesdays)
    assert len(backups(emulator)) == 2


def test_running_backup_of_somebody_else_is_not_adopted_after_a_clear(emulator, task_run, hook, clock):
    run = task_run()
    run.store[RECORD_KEY] = in_doubt(clock.now - DAY).to_json()
    running = hook.create_backup(REPLICA)
    assert run.clear() != running
    assert len(backups(emulator)) == 2


@pytest.mark.parametrize(("first", "second"), [(None, "cn-hangzhou"), ("cn-hangzhou", None), (None, ""), ("", "None")])
def test_region_that_renders_otherwise_on_a_retry_is_the_same_record(emulator, task_run, first, second):
    run = task_run(1, region_id="{{ region }}")
    run.task.region_id = first
    job_id = run.once()
    run.task.region_id = second
    assert run.retry() == job_id
    assert len(backups(emulator)) == 1


# --- the store ----------------------------------------------------------------------------------------------------


def test_cleared_task_whose_record_was_cleared_on_success_makes_a_new_backup(emulator, task_run, clock):
    run = task_run()
    first = run.once()
    run.store.clear()  # [state_store] clear_on_success
    clock.advance(100)
    assert run.clear() != first  # the old one ran on, and was waited for as anybody else's
    assert len(backups(emulator)) == 2


def test_retry_without_its_record_makes_a_new_backup_and_says_so(emulator, task_run, clock, logged):
    run = task_run(1)
    first = run.once()
    run.store.clear()
    clock.advance(400)
    assert run.retry() != first
    assert f"Try 2 finds no record under {RECORD_KEY} in the task state store" in logged()


def broken_records():
    good = in_doubt(MONDAY).to_json()
    yield from (None, "", "text", 7, True, [], ["dds"], {})
    yield from ({**good, "version": 2}, {**good, "version": None}, {**good, "more": 1})
    yield from ({name: value for name, value in good.items() if name != left_out} for left_out in good)
    yield from ({**good, name: {"odd": []}} for name in good)


@pytest.mark.parametrize("stored", broken_records(), ids=lambda each: json.dumps(each)[:30])
@pytest.mark.parametrize("again", ["once", "retry", "clear"])
def test_record_that_cannot_be_read_sends_nothing_and_names_its_key(emulator, task_run, stored, again):
    run = task_run(1)
    dict.__setitem__(run.store, RECORD_KEY, stored)
    with pytest.raises(
        DdsError, match=rf"of {REPLICA} under the key {RECORD_KEY} .*cannot be read: .*delete the key {RECORD_KEY}"
    ):
        getattr(run, again)()
    assert emulator.calls("CreateBackup") == 0
    del run.store[RECORD_KEY]
    run.clear()
    assert len(backups(emulator)) == 1


@pytest.mark.parametrize("event", [None, "text", [], {}, {"record": None}, {"record": {"version": 9}}])
def test_event_that_cannot_be_read_is_a_clear_error(emulator, operator, event):
    run = operator(deferrable=True)
    with pytest.raises(DdsError, match="in the event of this task's trigger cannot be read"):
        run.task.resume_create(run.context(), event)
    assert emulator.requests() == []


class FailsForAWhile:
    """A store that fails for some seconds from its n-th access on."""

    def __init__(self, store, clock, first, seconds, error):
        self.store, self.clock, self.first, self.seconds, self.error = store, clock, first, seconds, error
        self.accesses, self.until = 0, None

    def _access(self):
        self.accesses += 1
        if self.accesses == self.first:
            self.until = self.clock.now + self.seconds
        if self.until is not None and self.clock.now < self.until:
            raise self.error

    def get(self, *args):
        self._access()
        return self.store.get(*args)

    def set(self, *args):
        self._access()
        self.store.set(*args)


def with_store(run, store):
    context = run.context
    run.context = lambda: {**context(), "task_state_store": store}
    return run


ERRORS = [ConnectionError("refused"), OSError("gone")]
if HAS_TASK_STATE_STORE:
    ERRORS += [api_server_error(503), api_server_error(429)]


@both_waits
@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_trouble_of_airflows_api_server_is_waited_out_at_each_access(emulator, operator, clock, error, deferrable):
    counted = FailsForAWhile({}, clock, 0, 0, error)
    plain = operator(wait_for_completion=True, deferrable=deferrable)
    counted.store = plain.store
    with_store(plain, counted).once()
    for first in range(1, counted.accesses + 1):
        run = operator(wait_for_completion=True, deferrable=deferrable)
        made = len(backups(emulator))
        job_id = with_store(run, FailsForAWhile(run.store, clock, first, 55, error)).once()
        assert [each.job_id for each in backups(emulator)[made:]] == [job_id]
        clock.advance(600)


def test_trouble_of_airflows_api_server_that_does_not_pass_ends_at_the_deadline_and_sends_nothing(
    emulator, operator, clock
):
    run = operator()
    began = clock.now
    with pytest.raises(DdsError, match=r"could not be stored in Airflow's task state store: .*none is asked for now"):
        with_store(run, FailsForAWhile(run.store, clock, 2, 10_000, api_server_error(503))).once()
    assert 3600 <= clock.now - began <= 3601
    assert emulator.calls("CreateBackup") == 0


def test_store_that_refuses_the_record_for_good_is_an_error_at_once(emulator, operator, clock):
    run = operator()
    began = clock.now
    with pytest.raises(DdsError, match="could not be stored"):
        with_store(run, FailsForAWhile(run.store, clock, 2, 10_000, api_server_error(403))).once()
    assert clock.now == began
    assert emulator.requests() == []


# --- a worker that was frozen ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["wall", "monotonic"])
def test_worker_that_thaws_after_its_successor_has_finished_does_not_send(
    emulator, task_run, clock, monkeypatch, which
):
    """It is frozen between the intent and the request; its successor looks for the job, asks, waits and ends."""
    run = task_run(1)
    frozen, monotonic, sent = [], [0.0], []
    create = DdsHook.create_backup
    run.monotonic = lambda: monotonic[0]

    def freeze_once(hook, *args, **kwargs):
        if not frozen:
            frozen.append(clock.now)
            successor = task_run(1)
            successor.store, successor.ti = run.store, TaskInstance(max_tries=1, try_number=2)
            sent.append(successor.once())
            run.ti.try_number = 2  # Airflow knows this try no more
            if which == "monotonic":  # somebody has set the clock of the machine back
                monotonic[0], clock.now = 500.0, frozen[0]
        return create(hook, *args, **kwargs)

    monkeypatch.setattr(DdsHook, "create_backup", freeze_once)
    with pytest.raises(DdsSupersededError, match="Airflow no longer knows this try of the task"):
        run.once()
    assert len(backups(emulator)) == emulator.calls("CreateBackup") == 1


def test_worker_that_freezes_as_its_intent_is_stored_does_not_send(emulator, task_run):
    """Airflow has stored it, and the worker does not know yet."""
    run = task_run(1)
    sent = []

    class FreezesOnce(Store):
        def set(self, key, value):
            super().set(key, value)
            if value["state"] == "in_doubt" and not sent:
                sent.append(None)
                successor = task_run(1)
                successor.store, successor.ti = run.store, TaskInstance(max_tries=1, try_number=2)
                sent.append(successor.once())
                run.ti.try_number = 2  # Airflow knows this try no more

    run.store = FreezesOnce()
    with pytest.raises(DdsSupersededError, match=f"for {REPLICA} from here"):
        run.once()
    assert len(backups(emulator)) == emulator.calls("CreateBackup") == 1


def test_intent_that_is_not_fresh_is_stored_anew_before_each_attempt(emulator, task_run, monkeypatch):
    """The connection's pace and the pauses after throttling may take long."""
    stored = []
    keep = RecordKeeper.keep
    monkeypatch.setattr(RecordKeeper, "keep", lambda self, record: stored.append(record) or keep(self, record))
    emulator.add_fault("throttle", action="CreateBackup", times=1, retry_after_ms=int(2_000 * INTENT_SECONDS))
    task_run().once()
    assert [each.requested_until for each in stored if each.state.value == "in_doubt"] == sorted(
        {each.requested_until for each in stored if each.state.value == "in_doubt"}
    )
    assert sum(each.state.value == "in_doubt" for each in stored) == 2


def test_superseded_try_that_comes_to_its_store_sends_nothing(emulator, task_run):
    run = task_run(1)
    context = run.context()
    run.ti.try_number = 2
    run.context = lambda: context
    with pytest.raises(DdsSupersededError, match="look at the latest try"):
        run.once()
    assert emulator.requests() == []


@pytest.mark.parametrize("fault", ["reset_after", "reset_before"])
def test_kind_of_instance_does_not_matter_to_a_clear(emulator, task_run, clock, fault):
    for instance_id in ("dds-demo-local", "dds-demo-cluster", "dds-demo-sharded"):
        emulator.service.readings = Readings()
        run = task_run(1, db_instance_id=instance_id)
        emulator.add_fault(fault, action="CreateBackup")
        first = run.once()
        clock.advance(1000)
        assert run.clear(0) != first
        assert len(backups(emulator, instance_id)) == 2
