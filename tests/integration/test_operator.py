"""The operator against the service over HTTP: one backup a task run, whatever happens."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_dds.creating.evidence import RECONCILE_GRACE
from airflow_provider_dds.creating.record import RECORD_KEY
from airflow_provider_dds.emulator import Readings
from airflow_provider_dds.exceptions import (
    DdsAccessDeniedError,
    DdsBackupFailedError,
    DdsBackupOutcomeUnknownError,
    DdsBackupRunningError,
    DdsConfigurationError,
    DdsError,
    DdsInvalidRequestError,
    DdsNotFoundError,
    DdsTimeoutError,
)
from airflow_provider_dds.hooks.dds import DdsHook
from airflow_provider_dds.operators.completion import BACKUP_XCOM
from airflow_provider_dds.operators.dds import DdsCreateBackupOperator
from airflow_provider_dds.sensors.dds import DdsBackupSensor
from airflow_provider_dds.triggers.dds import DdsBackupTrigger
from tests.support.creates import backups, both_waits, in_doubt
from tests.support.runner import REPLICA
from tests.support.versions import needs_task_state_store


def test_returns_the_job_id_as_a_clean_string(emulator, operator):
    emulator.service.readings = Readings(create_id_type="int")
    job_id = operator().once()
    assert job_id == backups(emulator)[0].job_id
    assert isinstance(job_id, str)


def test_asks_for_what_the_user_wrote(emulator, operator):
    operator(backup_method="Snapshot", backup_retention_period=30, region_id="cn-shanghai").once()
    [request] = emulator.requests("CreateBackup")
    assert request.params == {
        "DBInstanceId": REPLICA,
        "BackupMethod": "Snapshot",
        "BackupRetentionPeriod": "30",
        "RegionId": "cn-shanghai",
    }


def test_leaves_out_what_the_user_left_out(emulator, operator):
    operator().once()
    [request] = emulator.requests("CreateBackup")
    assert set(request.params) == {"DBInstanceId", "RegionId"}


@pytest.mark.parametrize("nothing", [None, "", " \n", "None", ["dds-1"], {}])
def test_instance_id_that_rendered_to_nothing_sends_nothing(emulator, operator, nothing):
    with pytest.raises(DdsConfigurationError, match="db_instance_id"):
        operator(nothing).once()
    assert emulator.requests() == []


def test_rendered_backup_method_is_checked_before_anything_is_sent(emulator, operator):
    run = operator(backup_method="{{ params.method }}")
    run.task.backup_method = "snapshot"
    with pytest.raises(DdsConfigurationError, match=r"backup_method is 'snapshot'.*Snapshot, Physical, Logical"):
        run.once()
    assert emulator.requests() == []


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("backup_method", "snapshot"),
        ("backup_retention_period", 6),
        ("backup_retention_period", 731),
        ("backup_retention_period", 0),
        ("backup_retention_period", "soon"),
        ("if_backup_running", "ignore"),
        ("poke_interval", 0),
        ("poke_interval", 7200),
        ("timeout", -1),
        ("timeout", 0),
    ],
)
def test_bad_literal_is_refused_at_construction(argument, value):
    with pytest.raises(DdsConfigurationError, match=argument):
        DdsCreateBackupOperator(
            task_id="create", db_instance_id=REPLICA, **{"poke_interval": 30, "timeout": 3600, argument: value}
        )


@both_waits
def test_wait_for_completion_pushes_the_facts_and_returns_the_job_id(emulator, operator, deferrable):
    run = operator(wait_for_completion=True, deferrable=deferrable)
    job_id = run.once()
    facts = run.ti.xcoms[BACKUP_XCOM]
    assert job_id == facts["backup_job_id"] == backups(emulator)[0].job_id
    assert facts["status"] == "Success"
    assert len(run.deferrals) == int(deferrable)


@both_waits
@pytest.mark.parametrize(
    ("strategy", "fewest", "most"), [("progress", 5, 20), ("exponential", 5, 15), ("fixed", 120, 130)]
)
def test_wait_for_completion_spaces_its_looks_by_the_strategy(emulator, operator, deferrable, strategy, fewest, most):
    emulator.service.next_job(REPLICA, seconds=7200)
    operator(
        wait_for_completion=True, deferrable=deferrable, poke_interval=60, timeout=6 * 3600, poll_strategy=strategy
    ).once()
    assert fewest < len(emulator.requests("DescribeBackupTasks")) < most


@both_waits
def test_wait_for_completion_fails_on_a_failed_backup(emulator, operator, deferrable):
    emulator.service.next_job(REPLICA, fail_at=30)
    with pytest.raises(DdsBackupFailedError):
        operator(wait_for_completion=True, deferrable=deferrable).once()


@both_waits
def test_wait_for_completion_ends_at_the_deadline(emulator, operator, clock, deferrable):
    emulator.service.next_job(REPLICA, stuck_at=30)
    began = clock.now
    with pytest.raises(DdsTimeoutError, match="Backuping"):
        operator(wait_for_completion=True, deferrable=deferrable, timeout=600).once()
    assert 600 <= clock.now - began <= 601


def test_create_is_repeated_while_it_is_throttled(emulator, operator):
    emulator.add_fault("throttle", action="CreateBackup", times=3)
    operator().once()
    assert emulator.calls("CreateBackup") == 4
    assert len(backups(emulator)) == 1


@both_waits
def test_throttling_without_end_ends_at_the_deadline_and_says_so(emulator, operator, clock, deferrable):
    emulator.add_fault("throttle", action="CreateBackup", times=None)
    began = clock.now
    with pytest.raises(
        DdsTimeoutError, match=r"CreateBackup was refused with Throttling.User, request id \S+\. This task"
    ):
        operator(deferrable=deferrable).once()
    assert 3600 <= clock.now - began <= 3601
    assert backups(emulator) == []


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("Forbidden.RAM", 403, DdsAccessDeniedError),
        ("OperationDenied.NoDatabase", 403, DdsInvalidRequestError),
        ("BackupTimesExceeded", 400, DdsInvalidRequestError),
        ("InsufficientBalance", 400, DdsAccessDeniedError),
        ("InvalidDBInstanceId.NotFound", 404, DdsNotFoundError),
    ],
)
def test_refusal_is_raised_at_once(emulator, operator, code, status, error):
    emulator.add_fault("error", code=code, status=status, action="CreateBackup", times=None)
    with pytest.raises(error, match=rf"CreateBackup for {REPLICA} failed with {code}"):
        operator().once()
    assert emulator.calls("CreateBackup") == 1


AFTER_ACTING = [
    {"kind": "reset_after"},
    {"kind": "error", "status": 503, "code": "ServiceUnavailable", "when": "after"},
    {"kind": "html", "status": 502, "when": "after"},
    {"kind": "html", "status": 200, "when": "after"},
    {"kind": "empty_body", "when": "after"},
    {"kind": "null_body", "when": "after"},
    {"kind": "truncated_body"},
    {"kind": "cut_body"},
    {"kind": "drop_job_id"},
    {"kind": "error", "status": 400, "code": "SignatureNonceUsed", "when": "after"},
]
name_of = lambda fault: "-".join(str(value) for value in fault.values())  # noqa: E731 - a name for ids


@pytest.mark.parametrize("fault", AFTER_ACTING, ids=name_of)
def test_job_whose_answer_was_lost_is_found_and_adopted(emulator, operator, fault):
    emulator.add_fault(**fault, action="CreateBackup")
    assert operator().once() == backups(emulator)[0].job_id
    assert emulator.calls("CreateBackup") == 1


@pytest.mark.parametrize("fault", [each for each in AFTER_ACTING if "when" in each], ids=name_of)
def test_request_that_was_not_executed_is_sent_again_after_the_grace(emulator, operator, clock, fault):
    emulator.add_fault(**{**fault, "when": "before"}, action="CreateBackup")
    began = clock.now
    operator().once()
    assert emulator.calls("CreateBackup") == 2
    assert len(backups(emulator)) == 1
    assert clock.now - began >= RECONCILE_GRACE


def test_job_that_shows_late_is_waited_for(emulator, operator):
    emulator.service.readings = Readings(new_row_delay_seconds=60)
    emulator.add_fault("reset_after", action="CreateBackup")
    assert operator().once() == backups(emulator)[0].job_id
    assert emulator.calls("CreateBackup") == 1


def test_job_that_shows_after_the_grace_is_not_made_twice(emulator, operator):
    emulator.service.readings = Readings(new_row_delay_seconds=RECONCILE_GRACE + 40, history="hidden")
    emulator.add_fault("reset_after", action="CreateBackup")
    assert operator().once() == backups(emulator)[0].job_id
    assert [request.code for request in emulator.requests("CreateBackup")[1:]] == ["OperationDenied.BackupJobExists"]


def test_backup_that_ended_before_the_request_is_never_adopted(emulator, operator, hook, clock):
    hook.create_backup(REPLICA)
    clock.advance(301)
    emulator.add_fault("reset_before", action="CreateBackup")
    job_id = operator().once()
    assert job_id == backups(emulator)[1].job_id


@needs_task_state_store
def test_several_jobs_that_fit_are_an_error_that_lists_them(emulator, operator, hook, clock):
    run = operator()
    run.store[RECORD_KEY] = in_doubt(clock.now).to_json()
    first = hook.create_backup(REPLICA)
    clock.advance(301)
    second = hook.create_backup(REPLICA)
    with pytest.raises(DdsBackupOutcomeUnknownError, match=f"job {first}; job {second}.*mark this task as success"):
        run.retry()
    assert emulator.calls("CreateBackup") == 2


def test_adopts_no_automatic_backup(emulator, operator, clock):
    emulator.add_fault("error", status=503, code="ServiceUnavailable", action="CreateBackup")
    run = operator()
    began = clock.now
    emulator.service.start_automatic_backup(REPLICA)
    job_id = run.once()
    assert job_id == backups(emulator)[0].job_id
    assert clock.now - began >= 300


# --- another backup runs, or the instance is busy ----------------------------------------------------------------


@both_waits
def test_waits_for_an_automatic_backup_and_then_makes_its_own(emulator, operator, clock, deferrable):
    automatic = emulator.service.start_automatic_backup(REPLICA)
    run = operator(deferrable=deferrable)
    began = clock.now
    assert run.once() != automatic
    assert clock.now - began >= 300
    assert len(backups(emulator)) == 1
    assert bool(run.deferrals) is deferrable


def test_deferred_wait_asks_again_only_once_the_instance_is_free(emulator, operator):
    emulator.service.start_automatic_backup(REPLICA)
    operator(deferrable=True).once()
    assert emulator.calls("CreateBackup") == 2


def test_adopts_the_running_backup_if_told_so(emulator, operator):
    automatic = emulator.service.start_automatic_backup(REPLICA)
    assert operator(if_backup_running="adopt").once() == automatic
    assert backups(emulator) == []


def test_fails_on_a_running_backup_if_told_so(emulator, operator):
    emulator.service.start_automatic_backup(REPLICA)
    with pytest.raises(DdsBackupRunningError, match="one backup of an instance at a time"):
        operator(if_backup_running="fail").once()
    assert backups(emulator) == []


@both_waits
def test_wait_for_a_running_backup_ends_at_the_deadline_and_says_what_it_saw(emulator, operator, clock, deferrable):
    emulator.service.next_job(REPLICA, stuck_at=20)
    automatic = emulator.service.start_automatic_backup(REPLICA)
    began = clock.now
    with pytest.raises(DdsTimeoutError, match=rf"{REPLICA} .*automated backup {automatic} is Backuping 20 %"):
        operator(deferrable=deferrable, timeout=900).once()
    assert 900 <= clock.now - began <= 901
    assert backups(emulator) == []


@both_waits
def test_waits_for_an_instance_that_is_not_running(emulator, operator, clock, deferrable):
    emulator.service.set_instance_status(REPLICA, "Rebooting")
    began = clock.now
    with pytest.raises(DdsTimeoutError, match="the instance is Rebooting"):
        operator(deferrable=deferrable, timeout=300).once()
    assert 300 <= clock.now - began <= 301
    emulator.service.set_instance_status(REPLICA, "Running")
    operator(deferrable=deferrable).once()
    assert len(backups(emulator)) == 1


# --- retries and clears ------------------------------------------------------------------------------------------


@needs_task_state_store
def test_retry_goes_on_with_the_job_of_the_try_before(emulator, operator):
    emulator.service.next_job(REPLICA, seconds=400)
    run = operator(wait_for_completion=True)
    emulator.add_fault("error", status=403, code="Forbidden.RAM", action="DescribeBackupTasks", after=3)
    with pytest.raises(DdsAccessDeniedError):
        run.once()
    assert run.retry() == backups(emulator)[0].job_id
    assert emulator.calls("CreateBackup") == 1


@needs_task_state_store
def test_retry_that_finds_an_intent_without_a_job_looks_for_it(emulator, operator):
    run = operator()
    run.once()
    run.store[RECORD_KEY] = in_doubt(run.clock.now).to_json()
    assert run.retry() == backups(emulator)[0].job_id
    assert len(backups(emulator)) == 1


def test_cleared_task_makes_a_new_backup(emulator, operator, clock):
    run = operator()
    first = run.once()
    clock.advance(400)
    assert run.clear() != first
    assert len(backups(emulator)) == 2


@needs_task_state_store
def test_cleared_task_adopts_its_backup_while_that_still_runs(emulator, operator, clock):
    run = operator()
    first = run.once()
    clock.advance(100)
    assert run.clear() == first
    assert len(backups(emulator)) == 1


def test_record_of_another_instance_is_none_of_its_own(emulator, operator):
    run = operator()
    run.once()
    other = operator("dds-demo-cluster")
    other.store = run.store
    assert other.retry() == backups(emulator, "dds-demo-cluster")[0].job_id


@needs_task_state_store
def test_without_durable_nothing_is_kept(emulator, operator):
    run = operator(durable=False)
    run.once()
    assert run.store == {}


def test_without_a_store_it_works_within_a_try_and_says_what_is_not_covered(emulator, operator, logged):
    run = operator(wait_for_completion=True, deferrable=True)
    run.store = None
    emulator.add_fault("reset_after", action="CreateBackup")
    assert run.once() == backups(emulator)[0].job_id
    assert "no task state store" in logged()


def test_record_holds_no_secret(emulator, operator):
    run = operator()
    run.once()
    kept = json.dumps(run.store)
    assert emulator.access_key_id not in kept
    assert emulator.access_key_secret not in kept


@pytest.mark.parametrize(
    ("code", "status"),
    [("Forbidden.RAM", 403), ("InvalidParameter", 400), ("InvalidAction.NotFound", 404), ("OperationDenied", 403)],
)
def test_task_centre_that_cannot_be_asked_is_no_obstacle(emulator, operator, code, status):
    emulator.add_fault("error", code=code, status=status, action="DescribeHistoryTasks", times=None)
    emulator.add_fault("reset_after", action="CreateBackup")
    assert operator().once() == backups(emulator)[0].job_id


def test_kill_says_that_the_backup_goes_on(emulator, operator, logged):
    run = operator()
    job_id = run.once()
    run.worker.on_kill()
    assert f"Backup job {job_id} of {REPLICA} goes on" in logged()


def test_kill_while_the_service_is_asked_says_that_it_may_have_begun(emulator, operator, logged, monkeypatch):
    run = operator()
    create = DdsHook.create_backup

    def killed_meanwhile(*args, **kwargs):
        run.worker.on_kill()
        return create(*args, **kwargs)

    monkeypatch.setattr(DdsHook, "create_backup", killed_meanwhile)
    run.once()
    assert f"A backup of {REPLICA} was asked for. If it began, it goes on" in logged()


def test_kill_before_the_service_was_asked_speaks_of_no_backup(emulator, operator, logged, monkeypatch):
    run = operator(if_backup_running="wait", deferrable=False)
    emulator.service.start_automatic_backup(REPLICA)
    sleeps = []

    def killed_meanwhile(seconds):
        sleeps.append(seconds)
        if len(sleeps) == 1:
            run.worker.on_kill()
        run.clock.advance(seconds)

    set_up = run.set_up_worker

    def set_up_worker(worker):
        set_up(worker)
        worker.clock = replace(worker.clock, sleep=killed_meanwhile)

    run.set_up_worker = set_up_worker
    run.once()
    assert f"No backup of {REPLICA} was asked for yet." in logged()
    assert "goes on" not in logged()


def test_kill_of_a_deferred_task_says_so_too(emulator, operator, logged):
    run = operator(wait_for_completion=True, deferrable=True)
    job_id = run.once()
    _, kwargs = run.deferrals[-1]
    asyncio.run(DdsBackupTrigger(**kwargs).on_kill())
    assert f"Backup job {job_id} of {REPLICA} goes on: the service cannot cancel it." in logged()


def test_service_that_cannot_be_reached_before_sending_is_no_doubt(operator, monkeypatch, emulator):
    import socket

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    connection = {**emulator.connection_dict(), "port": port}
    monkeypatch.setenv("AIRFLOW_CONN_DDS_DEFAULT", json.dumps(connection))
    with pytest.raises(DdsTimeoutError, match=r"was not sent: no connection to 127.0.0.1.*This task made no backup"):
        operator().once()


# --- what ends a try while a request is in doubt ----------------------------------------------------------------------

IN_DOUBT = r"whether CreateBackup for dds-demo-replica at .* UTC was accepted is not known: look under Backup"


@both_waits
def test_denied_poll_says_that_a_request_is_in_doubt(emulator, operator, deferrable):
    emulator.add_fault("reset_after", action="CreateBackup")
    run = operator(deferrable=deferrable)
    create = DdsHook.create_backup

    def then_denied(*args, **kwargs):
        emulator.add_fault("error", action="DescribeDBInstanceAttribute", status=403, code="Forbidden.RAM", times=9)
        return create(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DdsHook, "create_backup", then_denied)
        with pytest.raises(DdsAccessDeniedError, match=IN_DOUBT):
            run.once()


def test_denied_request_is_not_said_to_be_in_doubt(emulator, operator):
    emulator.add_fault("error", action="CreateBackup", status=403, code="Forbidden.RAM")
    with pytest.raises(DdsAccessDeniedError, match=r"^((?!not known).)*$"):
        operator().once()


@needs_task_state_store
def test_denied_request_is_said_although_the_store_is_out_of_reach(emulator, operator, clock):
    emulator.add_fault("error", action="CreateBackup", status=403, code="Forbidden.RAM")
    run = operator()
    keep = run.store.set

    def fail_after_the_request(key, value):
        if emulator.calls("CreateBackup"):
            raise RuntimeError("the store is out of reach")
        keep(key, value)

    run.store.set = fail_after_the_request
    began = clock.now
    with pytest.raises(DdsAccessDeniedError, match=r"Forbidden\.RAM"):
        run.once()
    assert clock.now - began < 120


@needs_task_state_store
@both_waits
def test_request_whose_intent_cannot_be_stored_is_not_said_to_be_in_doubt(emulator, operator, deferrable):
    run = operator(deferrable=deferrable)
    keep = run.store.set

    def fail_for_an_intent(key, value):
        if value["state"] == "in_doubt":
            raise RuntimeError("the store is out of reach")
        keep(key, value)

    run.store.set = fail_for_an_intent
    with pytest.raises(DdsError, match=r"^The record of .* could not be stored ((?!not known).)*$"):
        run.once()
    assert emulator.calls("CreateBackup") == 0
    assert run.store[RECORD_KEY]["state"] == "ready"


@both_waits
@pytest.mark.parametrize("days", [30, "{{ params.days }}"])
def test_retention_that_the_service_did_not_honour_is_told(emulator, operator, logged, deferrable, days):
    run = operator("dds-demo-local", backup_retention_period=days, wait_for_completion=True, deferrable=deferrable)
    run.task.backup_retention_period = 30  # as Airflow renders it
    facts_of = run.once()
    assert facts_of == run.ti.xcoms[BACKUP_XCOM]["backup_job_id"]
    assert emulator.requests("CreateBackup")[0].params["BackupRetentionPeriod"] == "30"
    assert "was to be kept for 30 days, but the service keeps it for 7 days, until " in logged()


@pytest.mark.parametrize("days", [None, 30, -1])
def test_retention_that_the_service_honours_is_no_news(operator, logged, days):
    operator(backup_retention_period=days, wait_for_completion=True).once()
    assert "was to be kept" not in logged()


def test_retention_that_is_none_after_rendering_is_refused_before_anything_is_sent(emulator, operator):
    run = operator(backup_retention_period="{{ params.days }}")
    run.task.backup_retention_period = "3"
    with pytest.raises(DdsConfigurationError, match="backup_retention_period is '3'"):
        run.once()
    assert emulator.requests() == []


def test_mapped_task_shows_its_instance():
    partial = DdsCreateBackupOperator.partial(task_id="back_up")
    assert partial.kwargs["map_index_template"] == "{{ task.db_instance_id }}"
    partial = DdsCreateBackupOperator.partial(task_id="back_up", map_index_template="{{ task.region_id }}")
    assert partial.kwargs["map_index_template"] == "{{ task.region_id }}"


def test_retention_may_be_what_another_task_returns():
    with DAG("d", schedule=None):
        policy = DdsBackupSensor(task_id="policy", db_instance_id=REPLICA, backup_job_id="17")
        asked = DdsCreateBackupOperator(
            task_id="create", db_instance_id=REPLICA, backup_retention_period=policy.output["days"]
        )
    assert asked.upstream_task_ids == {"policy"}
