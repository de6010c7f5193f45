"""What the fault search found; each as the smallest story that showed it."""

from __future__ import annotations

import pytest

from airflow_provider_dds.creating.record import RECORD_KEY
from airflow_provider_dds.emulator import Readings
from airflow_provider_dds.exceptions import DdsAccessDeniedError, DdsBackupOutcomeUnknownError
from tests.support.creates import backups, in_doubt
from tests.support.runner import REPLICA, Store
from tests.support.versions import needs_task_state_store


def test_id_that_is_neither_text_nor_a_number_is_no_id(emulator, operator):
    emulator.add_fault("wrong_shape", action="CreateBackup")
    assert operator().once() == backups(emulator)[0].job_id
    assert emulator.calls("CreateBackup") == 1


@pytest.mark.parametrize("instance_id", [REPLICA, "dds-demo-local", "dds-demo-cluster"])
def test_cleared_task_makes_a_new_backup_where_the_service_refuses_to_look_for_the_old_job(
    emulator, operator, clock, instance_id
):
    emulator.service.readings = Readings(
        unknown_job_in_tasks="not_matched", uncovered_tasks="error", finished_row_seconds=0
    )
    run = operator(instance_id)
    first = run.once()
    clock.advance(400)
    assert run.clear() != first
    assert len(backups(emulator, instance_id)) == 2


@needs_task_state_store
def test_error_of_a_cleared_task_names_the_job_that_it_could_not_look_up(emulator, operator):
    run = operator()
    job_id = run.once()
    emulator.add_fault("error", status=403, code="Forbidden.RAM", action="DescribeBackupTasks")
    with pytest.raises(DdsAccessDeniedError, match=f"Whether backup job {job_id} .* still runs is not known"):
        run.clear()


def test_refusal_while_a_backup_runs_unseen_is_a_sign_of_the_request_in_doubt(emulator, operator):
    emulator.service.readings = Readings(new_row_delay_seconds=100_000, set_lag_seconds=200, history="hidden")
    emulator.service.next_job(REPLICA, seconds=200)
    emulator.add_fault("reset_after", action="CreateBackup")
    assert operator().once() == backups(emulator)[0].job_id
    assert len(backups(emulator)) == 1


def test_request_in_doubt_whose_backup_never_shows_is_not_sent_again_once_it_was_seen_to_run(emulator, operator, clock):
    emulator.service.readings = Readings(new_row_delay_seconds=100_000, set_lag_seconds=100_000, history="hidden")
    emulator.add_fault("reset_after", action="CreateBackup")
    began = clock.now
    with pytest.raises(DdsBackupOutcomeUnknownError, match=r"a backup that ran at .* another request was refused"):
        operator().once()
    assert len(backups(emulator)) == 1
    assert 3600 <= clock.now - began < 3700


@pytest.mark.parametrize("instance_id", [REPLICA, "dds-demo-local"])
def test_automatic_backup_explains_that_a_request_was_refused(emulator, operator, instance_id):
    emulator.add_fault("reset_before", action="CreateBackup")
    emulator.service.next_job(instance_id, seconds=600)
    run = operator(instance_id)
    emulator.service.start_automatic_backup(instance_id)
    assert run.once() == backups(emulator, instance_id)[0].job_id


def test_set_that_shows_a_while_after_its_task_has_ended_names_the_job(emulator, operator):
    emulator.service.readings = Readings(set_lag_seconds=60)
    emulator.add_fault("reset_after", action="CreateBackup")
    assert operator("dds-demo-local").once() == backups(emulator, "dds-demo-local")[0].job_id


@pytest.mark.parametrize("instance_id", [REPLICA, "dds-demo-cluster", "dds-demo-sharded"])
def test_set_that_is_listed_twice_is_one_set(emulator, operator, instance_id):
    emulator.service.readings = Readings(duplicate_rows=True)
    run = operator(instance_id, wait_for_completion=True)
    run.once()
    set_ids = run.ti.xcoms["backup"]["backup_id"].split(",")
    assert len(set_ids) == len(set(set_ids))
    assert run.ti.xcoms["backup"]["size_bytes"] == (1 if instance_id == REPLICA else 2) * 1_503_238_553


def test_set_of_one_shard_that_is_listed_twice_is_not_the_set_of_another(emulator, operator):
    emulator.service.readings = Readings(duplicate_rows=True, shard_set_lag_seconds=120, finished_row_seconds=0)
    run = operator("dds-demo-sharded", wait_for_completion=True)
    run.once()
    assert len(set(run.ti.xcoms["backup"]["backup_id"].split(","))) == 2


@pytest.mark.parametrize("history", ["job_id", "unrelated"])
def test_backup_of_somebody_else_is_not_taken_for_one_that_failed_and_vanished(
    emulator, operator, hook, clock, history
):
    emulator.service.readings = Readings(history=history)
    emulator.service.next_job(REPLICA, fail_at=0, vanish=True, backup_set="none")
    run = operator()
    run.store = Store({RECORD_KEY: in_doubt(clock.now).to_json()})
    hook.create_backup(REPLICA)
    clock.advance(31)
    somebody_elses = hook.create_backup(REPLICA)
    with pytest.raises(DdsBackupOutcomeUnknownError, match=rf"job {somebody_elses}; task .*; task .* \(Failed\)"):
        run.retry()


@pytest.mark.parametrize("deferrable", [False, True])
def test_request_and_the_polls_before_it_are_given_the_time_that_the_task_has(emulator, operator, given, deferrable):
    emulator.service.start_automatic_backup(REPLICA)
    operator(deferrable=deferrable, timeout=3600).once()
    assert emulator.calls("CreateBackup")
    assert all(each is not None and each <= 3645 for each in given)
