"""Two clocks: a worker ahead of the service or behind it, by as much as the service accepts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_dds.creating.evidence import SKEW_ALLOWANCE
from airflow_provider_dds.creating.record import RECORD_KEY
from airflow_provider_dds.emulator import Readings
from airflow_provider_dds.exceptions import DdsBackupOutcomeUnknownError
from tests.support.creates import backups, both_waits, in_doubt
from tests.support.runner import REPLICA
from tests.support.versions import needs_task_state_store

SKEWS = [-840, -300, -90, 90, 300, 840]
skewed = pytest.mark.parametrize("skew", SKEWS, ids=lambda each: f"service {each:+d} s")
every_kind = pytest.mark.parametrize(
    "instance_id", [REPLICA, "dds-demo-local", "dds-demo-cluster", "dds-demo-sharded"], ids=lambda each: each[9:]
)


@skewed
@every_kind
@pytest.mark.parametrize("fault", ["reset_after", "reset_before"])
def test_lost_answer_makes_no_second_backup(emulator, operator, instance_id, skew, fault):
    emulator.service.skew = skew
    emulator.add_fault(fault, action="CreateBackup")
    job_id = operator(instance_id, deferrable=skew > 0).once()
    assert [each.job_id for each in backups(emulator, instance_id)] == [job_id]


@skewed
def test_own_running_backup_does_not_explain_a_refusal(emulator, operator, skew):
    """It shows only after the next request was refused because of it."""
    emulator.service.skew = skew
    emulator.service.readings = Readings(new_row_delay_seconds=200, history="hidden")
    emulator.add_fault("reset_after", action="CreateBackup")
    job_id = operator().once()
    assert [each.job_id for each in backups(emulator)] == [job_id]


@skewed
@both_waits
def test_automatic_backup_that_runs_explains_a_refusal(emulator, operator, skew, deferrable):
    emulator.service.skew = skew
    emulator.add_fault("reset_before", action="CreateBackup")
    emulator.service.next_job(REPLICA, seconds=600)
    emulator.service.start_automatic_backup(REPLICA)
    assert operator(deferrable=deferrable).once() == backups(emulator)[0].job_id


@skewed
@pytest.mark.parametrize("ago", [301, 600, SKEW_ALLOWANCE - 10, 2 * SKEW_ALLOWANCE])
def test_backup_from_before_the_request_is_not_taken_for_its_own(emulator, operator, hook, clock, skew, ago):
    emulator.service.skew = skew
    earlier = hook.create_backup(REPLICA)
    clock.advance(ago)
    emulator.add_fault("reset_before", action="CreateBackup")
    assert operator().once() != earlier
    assert len(backups(emulator)) == 2


@needs_task_state_store
@skewed
def test_two_that_fit_are_told_apart_by_nobody(emulator, operator, hook, clock, skew):
    emulator.service.skew = skew
    run = operator()
    run.store[RECORD_KEY] = in_doubt(clock.now).to_json()
    first = hook.create_backup(REPLICA)
    clock.advance(301)
    second = hook.create_backup(REPLICA)
    with pytest.raises(DdsBackupOutcomeUnknownError, match=f"job {first}; job {second}"):
        run.retry()
    assert emulator.calls("CreateBackup") == 2


@pytest.mark.parametrize("jump", [-3600, -600, 600, 3600])
def test_clock_that_jumps_while_a_lost_answer_is_settled_makes_no_second_backup(emulator, operator, clock, jump):
    emulator.service.readings = Readings(new_row_delay_seconds=60)
    emulator.add_fault("reset_after", action="CreateBackup")
    jumps = []
    run = operator(timeout=4 * 3600)
    set_up = run.set_up_worker

    def jumping(worker):
        set_up(worker)
        sleep = worker.clock.sleep

        def sleeping(seconds):
            sleep(seconds)
            if not jumps:
                jumps.append(jump)

        worker.clock = replace(worker.clock, now=lambda: clock.now + sum(jumps), sleep=sleeping)

    run.set_up_worker = jumping
    assert run.once() == backups(emulator)[0].job_id
    assert len(backups(emulator)) == 1
