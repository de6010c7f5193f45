"""What a user reads at 3 a.m.: the full text of every error, and the whole task log of typical endings."""

from __future__ import annotations

import json
import logging
import re
import socket
from dataclasses import replace
from types import SimpleNamespace

import pytest
import tenacity.wait

from airflow_provider_dds import exceptions
from airflow_provider_dds.creating.record import RECORD_KEY
from airflow_provider_dds.emulator import Readings
from airflow_provider_dds.exceptions import (
    DdsAccessDeniedError,
    DdsApiError,
    DdsAuditError,
    DdsBackupFailedError,
    DdsBackupNotFoundError,
    DdsBackupOutcomeUnknownError,
    DdsBackupRunningError,
    DdsConfigurationError,
    DdsDeferralError,
    DdsEndedInDoubtError,
    DdsError,
    DdsInstanceBusyError,
    DdsInvalidRequestError,
    DdsNotFoundError,
    DdsRecordError,
    DdsResponseError,
    DdsSensorTimeoutError,
    DdsServiceError,
    DdsSupersededError,
    DdsThrottledError,
    DdsTimeoutError,
    DdsTransportError,
)
from airflow_provider_dds.hooks.dds import DdsHook
from airflow_provider_dds.operators.dds import DdsBackupAuditOperator, DdsCreateBackupOperator
from airflow_provider_dds.sensors.dds import DdsBackupSensor
from airflow_provider_dds.triggers.dds import DdsBackupTrigger, DdsInstanceFreeTrigger
from tests.support.creates import in_doubt
from tests.support.runner import REPLICA, Run
from tests.support.versions import (
    HAS_TASK_STATE_STORE,
    TRIGGER_FAIL_REPR,
    TRIGGER_TIMEOUT,
    AirflowSkipException,
    every_mode_that_remembers,
    needs_task_state_store,
)

SHOWN: set[type[Exception]] = set()
NOT_RETRIED = (
    ""
    if HAS_TASK_STATE_STORE
    else " There is no task state store: a retry would know nothing of that request, so none is made."
)
every_mode = pytest.mark.parametrize("mode", ["poke", "reschedule", "deferrable"])
both_waits = pytest.mark.parametrize("deferrable", [False, True], ids=["on the worker", "deferred"])


def shows(error_type):
    """Mark a test as the one that shows the text of a class."""
    SHOWN.add(error_type)
    return lambda test: test


def plain(text):
    """Return a text with the request ids and ports, which differ each time, replaced."""
    text = re.sub(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}", "<id>", text)
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:<port>", text)


def text_of(error_type, call):
    with pytest.raises(error_type) as caught:
        call()
    # without a store it is a class of the same name that is not retried
    assert type(caught.value).__name__ == error_type.__name__
    return plain(str(caught.value))


@pytest.fixture(autouse=True)
def _no_dice(monkeypatch):
    monkeypatch.setattr(tenacity.wait, "random", SimpleNamespace(uniform=lambda low, high: high))


@pytest.fixture
def unreachable(emulator, monkeypatch):
    """Let the connection lead to a port that nobody listens on."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    connection = {**emulator.connection_dict(), "port": port}
    monkeypatch.setenv("AIRFLOW_CONN_DDS_DEFAULT", json.dumps(connection))


# --- arguments and connection: nothing was sent -------------------------------------------------------------------


@shows(DdsConfigurationError)
def test_task_whose_job_id_rendered_to_nothing(emulator, sensor):
    assert text_of(DdsConfigurationError, sensor(None).once) == (
        "backup_job_id is None after rendering; it must be one id. Pass the output of the task that makes the backup; "
        "that task must have run, not been skipped."
    )
    assert emulator.requests() == []


def test_connection_that_is_not_defined(emulator, operator, sensor):
    said = "Connection 'nope' is not defined. Add it in Airflow (type dds), or correct dds_conn_id."
    assert text_of(DdsConfigurationError, operator(dds_conn_id="nope").once) == said
    assert text_of(DdsConfigurationError, sensor("1", dds_conn_id="nope").once) == (
        f"Backup 1 of {REPLICA} cannot be watched. {said}"
    )
    assert emulator.requests() == []


# --- the service refuses ------------------------------------------------------------------------------------------


@shows(DdsThrottledError)
def test_request_that_is_throttled_without_end(emulator, hook):
    emulator.add_fault("throttle", action="CreateBackup", times=None)
    assert text_of(DdsThrottledError, lambda: hook.create_backup(REPLICA)) == (
        f"CreateBackup for {REPLICA} failed with Throttling.User (HTTP 400): Request was denied due to user flow "
        "control. The account calls this API too often. Raise poke_interval, or ask for a higher limit in Quota Center "
        "(API rate limits). Request id: <id>."
    )


@shows(DdsAccessDeniedError)
def test_key_that_may_not_make_backups(emulator, operator):
    emulator.add_fault("error", action="CreateBackup", status=403, code="Forbidden.RAM", message="Not authorized.")
    assert text_of(DdsAccessDeniedError, operator().once) == (
        f"CreateBackup for {REPLICA} failed with Forbidden.RAM (HTTP 403): Not authorized. Allow the action "
        "dds:CreateBackup on this instance in the RAM policy of the user or role. Request id: <id>."
    )


def test_key_that_may_not_look(emulator, hook, sensor):
    job_id = hook.create_backup(REPLICA)
    emulator.add_fault(
        "error", action="DescribeBackupTasks", status=403, code="Forbidden.RAM", message="Not authorized"
    )
    assert text_of(DdsAccessDeniedError, sensor(job_id).once) == (
        f"Backup {job_id} of {REPLICA} cannot be watched. DescribeBackupTasks for {REPLICA} failed with Forbidden.RAM "
        "(HTTP 403): Not authorized. Allow the action dds:DescribeBackupTasks on this instance in the RAM policy of "
        "the user or role. Request id: <id>."
    )


def test_credential_that_is_refused_is_not_explained_by_the_instance(emulator, operator, monkeypatch):
    connection = {**emulator.connection_dict(), "login": None, "password": None}
    uri = f"{emulator.url}/_emulator/nowhere"
    connection["extra"] = {**connection["extra"], "auth_type": "credentials_uri", "credentials_uri": uri}
    monkeypatch.setenv("AIRFLOW_CONN_DDS_DEFAULT", json.dumps(connection))
    assert text_of(DdsConfigurationError, operator().once) == (
        f"DescribeDBInstanceAttribute for {REPLICA} was not sent for want of a credential (auth_type "
        "'credentials_uri'): the address in credentials_uri answered HTTP 404. Check the address."
    )


@shows(DdsNotFoundError)
def test_instance_that_does_not_exist(emulator, sensor):
    assert text_of(DdsNotFoundError, sensor("170034", db_instance_id="dds-nowhere").once) == (
        "Backup 170034 of dds-nowhere cannot be watched. DescribeDBInstanceAttribute for dds-nowhere failed with "
        "InvalidDBInstanceId.NotFound (HTTP 404): The specified DB instance is not found. Check the instance id, and "
        "that the connection's region and account are those of the instance. Request id: <id>."
    )


@shows(DdsInvalidRequestError)
def test_instance_without_a_database(emulator, operator):
    emulator.service.set_instance_status(REPLICA, "Running")
    emulator.add_fault("error", action="CreateBackup", status=403, code="OperationDenied.NoDatabase", message="No.")
    assert text_of(DdsInvalidRequestError, operator().once) == (
        f"CreateBackup for {REPLICA} failed with OperationDenied.NoDatabase (HTTP 403): No. The instance holds no "
        "database yet, so there is nothing to back up. Create one first. Request id: <id>."
    )


def test_refusal_by_a_code_that_nobody_knows(emulator, operator):
    emulator.add_fault("error", action="CreateBackup", status=418, code="Teapot.Short", message="I am stout")
    assert text_of(DdsInvalidRequestError, operator().once) == (
        f"CreateBackup for {REPLICA} failed with Teapot.Short (HTTP 418): I am stout. The service refuses the request "
        "as it is, for a reason that this package does not know. Look its code up in the error center of Alibaba "
        "Cloud, or ask its support with the request id. Request id: <id>."
    )


@shows(DdsBackupRunningError)
def test_backup_that_runs_already(emulator, operator):
    emulator.service.start_automatic_backup(REPLICA)
    assert text_of(DdsBackupRunningError, operator(if_backup_running="fail").once) == (
        f"CreateBackup for {REPLICA} failed with OperationDenied.BackupJobExists (HTTP 403): A backup job of the "
        "instance is already running. The service makes one backup of an instance at a time. Try again when that one "
        "has ended, or let the operator wait for it or adopt it: if_backup_running. Request id: <id>."
    )


@shows(DdsInstanceBusyError)
def test_instance_that_is_not_running(emulator, hook):
    emulator.service.set_instance_status(REPLICA, "Rebooting")
    assert text_of(DdsInstanceBusyError, lambda: hook.create_backup(REPLICA)) == (
        f"CreateBackup for {REPLICA} failed with IncorrectDBInstanceState (HTTP 400): Current DB instance state does "
        "not support this operation. The instance must be in state Running and free of other tasks. Look at its state "
        "in the console; try again when it is Running. Request id: <id>."
    )


@shows(DdsServiceError)
def test_service_that_is_down(emulator, hook):
    emulator.add_fault(
        "error",
        action="DescribeDBInstanceAttribute",
        status=503,
        code="ServiceUnavailable",
        message="Down.",
        times=None,
    )
    assert text_of(DdsServiceError, lambda: hook.describe_db_instance(REPLICA)) == (
        f"DescribeDBInstanceAttribute for {REPLICA} failed with ServiceUnavailable (HTTP 503): Down. The service "
        "failed, not the request. If it goes on, look at the service's status page. Request id: <id>."
    )


@shows(DdsApiError)
def test_facts_of_an_api_error_are_fields_too(emulator, operator):
    emulator.add_fault("error", action="CreateBackup", status=403, code="Forbidden.RAM", message="Not authorized.")
    with pytest.raises(DdsApiError) as caught:
        operator().once()
    error = caught.value
    assert (error.action, error.code, error.http_status) == ("CreateBackup", "Forbidden.RAM", 403)
    assert (error.message, error.db_instance_id) == ("Not authorized.", REPLICA)
    assert f"Request id: {error.request_id}." in str(error)


@shows(DdsError)
def test_error_that_a_newer_triggerer_reports(emulator, sensor):
    said = f"Backup 1 of {REPLICA} cannot be watched. The moon is full. Wait for a day. Request id: none."
    error = {"type": "DdsMoonError", "message": said, "fields": {}}
    run = sensor("1", "deferrable")
    event = {"outcome": "error", "text": said, "backup": None, "error": error}
    assert text_of(DdsError, lambda: run.task.execute_complete(run.context(), event)) == said


# --- no answer, or none that can be read --------------------------------------------------------------------------


@shows(DdsTransportError)
def test_connection_that_is_lost(emulator, hook):
    emulator.add_fault("reset_after", action="DescribeDBInstanceAttribute", times=None)
    assert text_of(DdsTransportError, lambda: hook.describe_db_instance(REPLICA)) == (
        f"DescribeDBInstanceAttribute for {REPLICA} lost its connection to 127.0.0.1:<port> before the answer came "
        "(connection reset by peer). If it goes on, look at network, proxy and firewall."
    )


def test_host_that_cannot_be_reached(unreachable, hook):
    assert text_of(DdsTransportError, lambda: hook.describe_db_instance(REPLICA)) == (
        f"DescribeDBInstanceAttribute for {REPLICA} was not sent: no connection to 127.0.0.1:<port> "
        "(connection refused). Check Host, region, network (public or vpc), proxy and firewall."
    )


def test_answer_that_does_not_come_in_time(emulator, hook, monkeypatch):
    connection = emulator.connection_dict()
    connection["extra"] = {**connection["extra"], "read_timeout": 0.1}
    monkeypatch.setenv("AIRFLOW_CONN_DDS_DEFAULT", json.dumps(connection))
    emulator.add_fault("hang", action="DescribeDBInstanceAttribute", seconds=None, times=None)
    assert text_of(DdsTransportError, lambda: hook.describe_db_instance(REPLICA)) == (
        f"DescribeDBInstanceAttribute for {REPLICA} was sent to 127.0.0.1:<port>, but not answered within read_timeout "
        "(0.1 s). If it goes on, raise read_timeout in the connection's extra, and look at proxy and firewall."
    )


@shows(DdsResponseError)
def test_page_of_a_proxy(emulator, hook):
    emulator.add_fault("html", action="DescribeDBInstanceAttribute", status=200, times=None)
    assert text_of(DdsResponseError, lambda: hook.describe_db_instance(REPLICA)) == (
        f"DescribeDBInstanceAttribute for {REPLICA} was answered with something that is not a JSON object of the API "
        "(HTTP 200, HTML). If it goes on, check that Host is an endpoint of ApsaraDB for MongoDB and that no proxy "
        "answers in its place."
    )


def test_page_of_a_proxy_whose_status_says_enough(emulator, hook):
    emulator.add_fault("html", action="DescribeDBInstanceAttribute", status=502, times=None)
    assert text_of(DdsServiceError, lambda: hook.describe_db_instance(REPLICA)) == (
        f"DescribeDBInstanceAttribute for {REPLICA} failed with an error without a code (HTTP 502): the answer is "
        "HTML, not the API's JSON: it comes from something on the way. The service failed, not the request. If it goes "
        "on, look at the service's status page. Request id: none."
    )


def test_answer_of_another_shape(emulator, hook):
    body = {"RequestId": "R-1", "BackupJobs": "none"}
    emulator.add_fault("wrong_shape", action="DescribeBackupTasks", body=body, times=None)
    assert text_of(DdsResponseError, lambda: hook.describe_backup_tasks(REPLICA)) == (
        f"DescribeBackupTasks for {REPLICA} was answered in a shape that cannot be trusted: The answer's field "
        "'BackupJobs' is not a list of records. If it goes on, ask the support of Alibaba Cloud with the request id. "
        "Request id: R-1."
    )


def test_create_that_names_no_job(emulator, hook):
    emulator.add_fault("drop_job_id", action="CreateBackup")
    assert text_of(DdsResponseError, lambda: hook.create_backup(REPLICA)) == (
        f"CreateBackup for {REPLICA} was answered in a shape that cannot be trusted: The answer came without a backup "
        "job id. If it goes on, ask the support of Alibaba Cloud with the request id. Request id: <id>."
    )


# --- a request whose fate is not known ----------------------------------------------------------------------------


@needs_task_state_store
@shows(DdsBackupOutcomeUnknownError)
def test_several_jobs_that_fit(emulator, operator, hook, clock):
    run = operator()
    run.store[RECORD_KEY] = in_doubt(clock.now).to_json()
    first = hook.create_backup(REPLICA)
    clock.advance(301)
    second = hook.create_backup(REPLICA)
    assert text_of(DdsBackupOutcomeUnknownError, run.retry) == (
        f"CreateBackup for {REPLICA} at 2027-01-15 08:00:00 UTC may have been accepted: its answer was lost, and these "
        f"could come from it: job {first}; job {second}. So as not to make a second backup, this task stops. Look "
        "under Backup and Recovery of the instance in the console for a manual backup that started then; the two "
        "clocks may differ by 15 minutes. If it is there, set XCom return_value of this task to its job id and mark "
        "this task as success. If it is not, clear this task: it makes a new backup."
    )


@needs_task_state_store
def test_what_the_text_about_several_jobs_says_is_true(emulator, operator, hook, clock):
    run = operator()
    run.once()
    clock.advance(301)
    hook.create_backup(REPLICA)
    clock.advance(301)
    run.store[RECORD_KEY] = in_doubt(clock.now - 602).to_json()
    text_of(DdsBackupOutcomeUnknownError, run.retry)
    assert run.clear() == emulator.service.jobs(REPLICA)[2].job_id


def test_service_that_cannot_be_asked_what_became_of_a_request(emulator, operator):
    emulator.add_fault("reset_before", action="CreateBackup")
    emulator.add_fault(
        "error",
        action="DescribeDBInstanceAttribute",
        status=503,
        code="ServiceUnavailable",
        message="Down.",
        after=1,
        times=None,
    )
    assert text_of(DdsBackupOutcomeUnknownError, operator().once) == (
        f"CreateBackup for {REPLICA} at 2027-01-15 08:00:00 UTC may have been accepted: its answer was lost, and the "
        f"service could not be asked: DescribeDBInstanceAttribute for {REPLICA} failed with "
        "ServiceUnavailable (HTTP 503): Down. The service failed, not the request. If it goes on, look at the "
        "service's status page. Request id: <id> within timeout (3600 s). So as not to make a second backup, this task "
        "stops. Look under Backup and Recovery of the instance in the console for a manual backup that started then; "
        "the two clocks may differ by 15 minutes. If it is there, set XCom return_value of this task to its job id and "
        "mark this task as success. If it is not, clear this task: it makes a new backup." + NOT_RETRIED
    )


@needs_task_state_store
@pytest.mark.parametrize("fault", ["reset_before", "reset_after"])
def test_clear_after_that_makes_a_new_backup(emulator, operator, fault):
    emulator.add_fault(fault, action="CreateBackup")
    emulator.add_fault("error", action="DescribeDBInstanceAttribute", after=1, times=None)
    run = operator()
    text_of(DdsBackupOutcomeUnknownError, run.once)
    emulator.clear_faults()
    made = len(emulator.service.jobs(REPLICA))
    assert run.clear() == emulator.service.jobs(REPLICA)[made].job_id


@needs_task_state_store
def test_clear_after_that_adopts_the_backup_of_that_request_while_it_runs(emulator, operator):
    emulator.add_fault("reset_after", action="CreateBackup")
    emulator.service.readings = Readings(new_row_delay_seconds=150, history="hidden")
    run = operator(timeout=100)
    text_of(DdsBackupOutcomeUnknownError, run.once)
    assert run.clear() == emulator.service.jobs(REPLICA)[0].job_id
    assert len(emulator.service.jobs(REPLICA)) == 1


def test_request_without_a_sign_at_the_deadline(emulator, operator):
    emulator.add_fault("reset_before", action="CreateBackup")
    assert text_of(DdsBackupOutcomeUnknownError, operator(timeout=100).once) == (
        f"CreateBackup for {REPLICA} at 2027-01-15 08:00:00 UTC may have been accepted: its answer was lost, and "
        "nothing that could come from it showed within timeout (100 s). So as not to make a second backup, this task "
        "stops. Look under Backup and Recovery of the instance in the console for a manual backup that started then; "
        "the two clocks may differ by 15 minutes. If it is there, set XCom return_value of this task to its job id and "
        "mark this task as success. If it is not, clear this task: it makes a new backup." + NOT_RETRIED
    )


# --- the endings of a wait ----------------------------------------------------------------------------------------


@shows(DdsBackupFailedError)
@every_mode
def test_backup_that_failed(emulator, hook, sensor, mode):
    emulator.service.next_job(REPLICA, fail_at=40)
    job_id = hook.create_backup(REPLICA)
    assert text_of(DdsBackupFailedError, sensor(job_id, mode, poll_strategy="fixed").once) == (
        f"Backup {job_id} of {REPLICA} failed after 2m30s of waiting: its status is 'Failed'. Asked (request ids): "
        "DescribeBackupTasks (<id>). Look for the cause under Backup and Recovery of the instance in the console; then "
        "clear the task that makes the backup, and those after it, to make a new one."
    )


@both_waits
def test_backup_that_failed_while_the_operator_waited(emulator, operator, deferrable):
    emulator.service.readings = Readings(failed_job_status=None)
    emulator.service.next_job(REPLICA, fail_at=40)
    run = operator(wait_for_completion=True, deferrable=deferrable, poll_strategy="fixed")
    said = text_of(DdsBackupFailedError, run.once)
    [job] = emulator.service.jobs(REPLICA)
    assert re.sub(r"backup set \d+", "backup set <set>", said) == (
        f"Backup {job.job_id} of {REPLICA} failed after 2m30s of waiting: its backup set <set> is Failed. Asked "
        "(request ids): DescribeBackupTasks (<id>), DescribeBackups (<id>). Look for the cause under Backup and "
        "Recovery of the instance in the console; then clear this task to make a new backup."
    )


@shows(DdsBackupNotFoundError)
@every_mode
def test_backup_that_nobody_knows(emulator, sensor, mode):
    assert text_of(DdsBackupNotFoundError, sensor("170034", mode).once) == (
        f"Backup 170034 of {REPLICA} does not show after 5m00s of waiting: neither the job nor a backup set of it was "
        "found for 300 s in which the service answered. "
        "Asked (request ids): DescribeBackupTasks (<id>), DescribeBackups (<id>). Check that the job "
        "id is one of this instance, region and account. If the console shows the backup, raise not_found_grace and "
        "clear this task; if not, clear the task that makes the backup, and those after it."
    )


def test_backup_that_the_service_itself_has_lost(emulator, operator):
    emulator.service.readings = Readings(new_row_delay_seconds=10_000, set_lag_seconds=10_000)
    run = operator(wait_for_completion=True)
    said = text_of(DdsBackupNotFoundError, run.once)
    job_id = run.worker._keeper.record.backup_job_id
    assert said == (
        f"Backup {job_id} of {REPLICA} does not show after 5m00s of waiting: neither the job "
        "nor a backup set of it was found for 300 s in which the service answered. Asked (request ids): "
        "DescribeBackupTasks (<id>), DescribeBackups "
        "(<id>). Look under Backup and Recovery of the instance in the console: if the backup is there and good, mark "
        "this task as success; if not, clear it to make a new one."
    )


@shows(DdsSensorTimeoutError)
@every_mode
def test_backup_that_is_not_done_in_time(emulator, hook, sensor, mode):
    emulator.service.next_job(REPLICA, stuck_at=50)
    job_id = hook.create_backup(REPLICA)
    assert text_of(DdsSensorTimeoutError, sensor(job_id, mode, timeout=600).once) == (
        f"Backup {job_id} of {REPLICA} was not good at its deadline, after 10m00s of waiting. Last poll: Backuping "
        "50 %, running 9m50s. Asked (request ids): DescribeBackupTasks (<id>). A backup that still runs goes on; the "
        "service has no call to cancel it. Raise timeout and clear this task: it waits on for the same job."
    )


@every_mode_that_remembers
def test_outage_that_outlasts_the_timeout(emulator, hook, sensor, mode):
    job_id = hook.create_backup(REPLICA)
    emulator.add_fault("throttle", action="DescribeBackupTasks", after=2, times=None)
    said = text_of(DdsSensorTimeoutError, sensor(job_id, mode, timeout=600).once)
    # a sensor that is rescheduled is a new process for each poll
    seen = "" if mode == "reschedule" else "Seen before that: Backuping 0 %. "
    assert re.sub(r"after 10m\d\ds", "after <time>", said) == (
        f"Backup {job_id} of {REPLICA} was not good at its deadline, after <time> of waiting. The last poll failed (5 "
        f"in a row): DescribeBackupTasks for {REPLICA} failed with Throttling.User (HTTP 400): Request was denied due "
        "to user flow control. The account calls this API too often. Raise poke_interval, or ask for a higher limit in "
        f"Quota Center (API rate limits). Request id: <id>. {seen}A backup that still runs "
        "goes on; the service has no call to cancel it. Raise timeout and clear this task: it waits on for the same "
        "job."
    )


@shows(DdsTimeoutError)
@both_waits
def test_instance_that_is_never_free(emulator, operator, deferrable):
    emulator.service.next_job(REPLICA, stuck_at=20)
    automatic = emulator.service.start_automatic_backup(REPLICA)
    assert text_of(DdsTimeoutError, operator(deferrable=deferrable, timeout=600).once) == (
        f"{REPLICA} could not be backed up within timeout (600 s for all tries): automated backup {automatic} is "
        "Backuping 20 % (CreateBackup was refused with OperationDenied.BackupJobExists, request id <id>). This task "
        "made no backup. Clear it once the instance is Running and no backup runs on it, or raise timeout."
    )


@needs_task_state_store
def test_retry_that_begins_after_the_deadline(emulator, operator, clock):
    emulator.add_fault("error", action="CreateBackup", status=403, code="Forbidden.RAM")
    run = operator(timeout=600)
    with pytest.raises(DdsAccessDeniedError):
        run.once()
    clock.advance(700)
    assert text_of(DdsTimeoutError, run.retry) == (
        f"{REPLICA} could not be backed up within timeout (600 s for all tries): the service accepted no request "
        "before that. This task made no backup. Clear it once the instance is Running and no backup runs on it, or "
        "raise timeout."
    )


@both_waits
def test_backup_that_outlasts_the_operator(emulator, operator, deferrable):
    emulator.service.next_job(REPLICA, stuck_at=50)
    said = text_of(DdsTimeoutError, operator(wait_for_completion=True, deferrable=deferrable, timeout=600).once)
    [job] = emulator.service.jobs(REPLICA)
    assert said == (
        f"Backup {job.job_id} of {REPLICA} was not good at its deadline, after 10m00s of waiting. Last poll: Backuping "
        "50 %, running 9m50s. Asked (request ids): DescribeBackupTasks (<id>). A backup that still runs goes on; the "
        "service has no call to cancel it. Raise timeout and clear this task: on Airflow 3.3 and later it goes on with "
        "a job that still runs; otherwise it makes a new backup."
    )


def test_triggerer_that_never_answers(emulator, hook, sensor, operator, log, monkeypatch):
    async def never(self):
        await self.clock.asleep(100_000)
        yield

    emulator.service.next_job(REPLICA, stuck_at=50)
    job_id = hook.create_backup(REPLICA)
    monkeypatch.setattr(DdsBackupTrigger, "run", never)
    [said] = [text_of(DdsSensorTimeoutError, sensor(job_id, "deferrable").once)]
    assert said.startswith(
        f"Backup {job_id} of {REPLICA}: Backuping 50 %, running 27h46m. So it was when a worker polled it once, 27h46m "
        f"after the wait began, because the triggerer did not answer ({TRIGGER_TIMEOUT}). No triggerer runs, or none "
        "for the queue of this task; or it is full, hangs, or cannot load this package. Ask with airflow jobs check "
        "--job-type TriggererJob whether one runs, look at its log and its capacity, and install the same release of "
        "this package there. Then clear this task. Asked (request ids): DescribeBackupTasks ("
    )
    no_answer = f"error: No answer from the triggerer ({TRIGGER_TIMEOUT}); polling once on this worker."
    assert log.lines[-2] == no_answer
    assert log.lines[-1].startswith("error: What to do: No triggerer runs, or none for the queue of this task; ")
    emulator.service.next_job("dds-demo-cluster", stuck_at=20)
    run = operator("dds-demo-cluster", wait_for_completion=True, deferrable=True)
    said = text_of(DdsTimeoutError, run.once)
    assert re.match(
        r"Backup \d+ of dds-demo-cluster: Backuping 20 %, .* So it was when a worker polled it once, 27h4", said
    )
    assert log.lines[-2] == no_answer


# --- ends of a try that are no verdict --------------------------------------------------------------------------------


@shows(DdsRecordError)
@needs_task_state_store
def test_record_that_cannot_be_read(emulator, operator):
    run = operator()
    dict.__setitem__(run.store, RECORD_KEY, "text")
    assert text_of(DdsRecordError, run.once) == (
        f"What is stored of the backup of {REPLICA} under the key dds_create_backup of this task's "
        "state store cannot be "
        "read: it is 'text', not a record. So nobody knows whether this task run has made a backup, and none is asked "
        "for. Look under Backup and Recovery of it in the console. If the backup is there, set XCom return_value of "
        "this task to its job id and mark the task as success. If not, delete the key "
        "dds_create_backup (in the UI: the "
        "task instance, Task State Store) and clear the task: it makes a new one."
    )
    assert emulator.calls("CreateBackup") == 0


@shows(DdsSupersededError)
@needs_task_state_store
def test_try_that_airflow_has_given_up(emulator, operator):
    run = operator()
    context = run.context()
    run.ti.try_number = 2
    run.context = lambda: context
    assert text_of(DdsSupersededError, run.once) == (
        "Airflow no longer knows this try of the task: it has begun another one, or has cleared or "
        "ended this one, while "
        f"its worker was cut off. Nothing more is sent for {REPLICA} from here; look at the latest try."
    )
    assert emulator.requests() == []


@shows(DdsEndedInDoubtError)
def test_try_that_ends_after_its_request_where_no_record_outlives_it(emulator, operator):
    def too_long(*_, **__):
        raise TimeoutError("too long")

    run = operator(durable=False, wait_for_completion=True)
    set_up = run.set_up_worker

    def impatient(worker):
        set_up(worker)
        worker.clock = replace(worker.clock, sleep=too_long)

    run.set_up_worker = impatient
    said = text_of(DdsEndedInDoubtError, run.once)
    [job] = emulator.service.jobs(REPLICA)
    assert said == (
        f"Backup job {job.job_id} of {REPLICA} goes on: this try ended after CreateBackup was sent (TimeoutError: too "
        "long). There is no task state store: a retry would know nothing of that request, so none is made. Look under "
        "Backup and Recovery of the instance in the console: if the backup is there, set XCom "
        "return_value of this task "
        "to its job id and mark the task as success; if not, clear this task."
    )


class Ended(Exception):  # noqa: N818 - it is none
    """The test takes over where Airflow would."""


@shows(DdsDeferralError)
def test_trigger_that_fails(emulator, hook, sensor):
    emulator.service.next_job(REPLICA, stuck_at=50)
    run = sensor(hook.create_backup(REPLICA), "deferrable")
    run._wait = lambda trigger: (_ for _ in ()).throw(Ended)
    with pytest.raises(Ended):
        run.once()
    [job] = emulator.service.jobs(REPLICA)
    assert text_of(DdsDeferralError, lambda: run._work(TRIGGER_FAIL_REPR, {"error": "Trigger failure"})) == (
        f"Backup {job.job_id} of {REPLICA}: Scheduled. So it was when a worker polled it once, 0s "
        "after the wait began, "
        "because the triggerer did not answer (Trigger failure). The triggerer has no release of this package or "
        "another one, or was killed or out of memory when the trigger began. Ask with airflow jobs check --job-type "
        "TriggererJob whether one runs, look at its log and its capacity, and install the same release of this package "
        "there. Then clear this task. Asked (request ids): DescribeBackupTasks (<id>)."
    )


@shows(DdsAuditError)
def test_audit_that_finds_offenders(emulator, clock):
    emulator.service.instance(REPLICA).log_backup = True
    run = Run(DdsBackupAuditOperator(task_id="audit", db_instance_ids=[REPLICA, "dds-gone"], max_age=93_600), clock)
    assert text_of(DdsAuditError, run.once) == (
        "1 of 2 instances do not hold what is asked of their backups: dds-demo-replica (no good backup has begun in "
        "the last 32d 02h; the next automatic one is due at 2027-01-15 18:00 UTC). Of 1 of 2 instances it could not be "
        "found out: dds-gone (DescribeDBInstanceAttribute for dds-gone failed with InvalidDBInstanceId.NotFound (HTTP "
        "404): The specified DB instance is not found. Check the instance id, and that the connection's region and "
        "account are those of the instance. Request id: <id>)."
    )


def test_every_class_is_shown():
    defined = {each for each in vars(exceptions).values() if isinstance(each, type) and issubclass(each, DdsError)}
    assert defined == SHOWN


# --- the whole log of a task --------------------------------------------------------------------------------------


OF_NO_INTEREST = re.compile(
    "outside of the Task Runner|outside TaskInstance"  # what Airflow says to tests alone
    + ("" if HAS_TASK_STATE_STORE else "|has no task state store")  # said at first, and tested elsewhere
)


class Log:
    """Stands for the log of a task, of its hook and of its triggers; kept as ``level: line``."""

    def __init__(self):
        self.lines = []

    def log(self, level, message, *values):
        line = plain(message % values)
        if not OF_NO_INTEREST.search(line):
            self.lines.append(f"{logging.getLevelName(level).lower()}: {line}")

    def debug(self, message, *values):
        self.log(logging.DEBUG, message, *values)

    def info(self, message, *values):
        self.log(logging.INFO, message, *values)

    def warning(self, message, *values):
        self.log(logging.WARNING, message, *values)

    def error(self, message, *values):
        self.log(logging.ERROR, message, *values)


@pytest.fixture
def log(monkeypatch):
    kept = Log()
    for each in (DdsCreateBackupOperator, DdsBackupSensor, DdsHook, DdsBackupTrigger, DdsInstanceFreeTrigger):
        monkeypatch.setattr(each, "log", kept, raising=False)
    return kept


LOOKS = [
    "info: Backup {job} of {instance}: Scheduled; next poll in 1m00s",
    "info: Backup {job} of {instance}: Backuping 11 %, running 50s; next poll in 1m00s",
    "info: Backup {job} of {instance}: Backuping 33 %, running 1m50s; next poll in 1m00s",
    "info: Backup {job} of {instance}: Backuping 55 %, running 2m50s; next poll in 1m30s",
    "info: Backup {job} of {instance}: Backuping 88 %, running 4m20s; next poll in 1m00s",
]


def lines(template, job):
    return [line.format(job=job, instance=REPLICA) for line in template]


def good(job, facts, waited):
    seen = f"Finished, backup set {facts['backup_id']} is Success"
    return f"info: Backup {job} of {REPLICA} is good after {waited} of waiting: {seen}."


def test_log_of_a_good_backup(emulator, hook, sensor, log):
    job = hook.create_backup(REPLICA)
    facts = sensor(job, poke_interval=60).once()
    assert log.lines == [
        *lines(LOOKS, job),
        good(job, facts, "5m30s"),
        "info: Success criteria met. Exiting.",
    ]


def test_log_of_a_good_backup_that_the_triggerer_waited_for(emulator, hook, sensor, log):
    job = hook.create_backup(REPLICA)
    facts = sensor(job, "deferrable", poke_interval=60).once()
    done = f"Finished, backup set {facts['backup_id']} is Success"
    assert log.lines == [
        *lines(LOOKS, job),
        f"info: Backup {job} of {REPLICA}: {done}; a worker ends the task.",
        good(job, facts, "5m30s"),
    ]


def test_log_of_a_failed_backup(emulator, hook, sensor, log):
    emulator.service.next_job(REPLICA, fail_at=40)
    job = hook.create_backup(REPLICA)
    text_of(DdsBackupFailedError, sensor(job, poke_interval=60).once)
    assert log.lines == [
        *lines(LOOKS[:3], job),
        (
            "error: What to do: Look for the cause under Backup and Recovery of the instance in the console; then "
            "clear the task that makes the backup, and those after it, to make a new one."
        ),
    ]


@every_mode
def test_log_of_a_skip_gives_the_reason(emulator, hook, sensor, log, mode):
    emulator.service.next_job(REPLICA, fail_at=40)
    job = hook.create_backup(REPLICA)
    with pytest.raises(AirflowSkipException):
        sensor(job, mode, soft_fail=True, poll_strategy="fixed").once()
    assert log.lines[-1].startswith(f"warning: Backup {job} of {REPLICA} failed after 2m30s of waiting")


@every_mode
def test_log_of_a_task_that_may_never_fail_gives_the_reason(emulator, sensor, log, mode):
    with pytest.raises(AirflowSkipException):
        sensor("1", mode, db_instance_id="dds-nowhere", never_fail=True).once()
    assert log.lines[-1].startswith("warning: Backup 1 of dds-nowhere cannot be watched.")
    with pytest.raises(AirflowSkipException):
        sensor("", mode, never_fail=True).once()
    assert log.lines[-1].startswith("warning: backup_job_id is ''")


def test_log_of_a_wait_that_is_throttled_for_a_while(emulator, hook, sensor, log):
    job = hook.create_backup(REPLICA)
    emulator.add_fault("throttle", action="DescribeBackupTasks", after=1, times=15)
    facts = sensor(job, poke_interval=60).once()
    failed = f"warning: Backup {job} of {REPLICA}: poll failed"
    throttled = (
        f"DescribeBackupTasks for {REPLICA} failed with Throttling.User (HTTP 400): Request was denied due to user "
        "flow control. The account calls this API too often. Raise poke_interval, or ask for a higher limit in Quota "
        "Center (API rate limits)"
    )
    again = "DescribeBackupTasks failed with Throttling.User, request id <id>"
    assert log.lines == [
        f"info: Backup {job} of {REPLICA}: Scheduled; next poll in 1m00s",
        f"{failed}: {throttled}. Request id: <id>; next poll in 1m30s",
        f"{failed} (2 in a row): {again}; next poll in 3m00s",
        f"{failed} (3 in a row): {again}; next poll in 3m45s",
        good(job, facts, "9m39s"),
        "info: Success criteria met. Exiting.",
    ]


@needs_task_state_store
def test_log_of_a_retry_that_goes_on_with_its_job(emulator, operator, log):
    run = operator(wait_for_completion=True, poke_interval=60)
    emulator.add_fault("error", action="DescribeBackupTasks", status=403, code="Forbidden.RAM", after=3)
    with pytest.raises(DdsAccessDeniedError):
        run.once()
    first = list(log.lines)
    job = run.retry()
    [made] = emulator.service.jobs(REPLICA)
    assert made.job_id == job
    assert first == [
        f"info: Backup job {job} of {REPLICA} is under way.",
        *lines(LOOKS[:2], job),
        (
            "error: What to do: Allow the action dds:DescribeBackupTasks on this instance in the RAM policy of the "
            "user or role."
        ),
    ]
    facts = run.ti.xcoms["backup"]
    assert log.lines[len(first) :] == [
        f"info: Going on with backup job {job}, which an earlier try made.",
        *lines(LOOKS[2:3], job),
        f"info: Backup {job} of {REPLICA}: Backuping 55 %, running 2m50s; next poll in 1m00s",
        f"info: Backup {job} of {REPLICA}: Backuping 77 %, running 3m50s; next poll in 1m00s",
        good(job, facts, "3m00s"),
    ]


def test_log_of_an_answer_that_was_lost(emulator, operator, log):
    emulator.service.readings = Readings(new_row_delay_seconds=15)
    emulator.add_fault("reset_after", action="CreateBackup")
    job = operator().once()
    assert log.lines == [
        (
            f"warning: CreateBackup for {REPLICA} lost its connection to 127.0.0.1:<port> before the answer came "
            "(connection reset by peer). If it goes on, look at network, proxy and firewall."
        ),
        (
            f"warning: Whether CreateBackup for {REPLICA} at 2027-01-15 08:00:00 UTC was accepted is not known; "
            "looking for its job for up to 2m00s."
        ),
        f"info: Adopting backup job {job}: it is the only one that can come from that request.",
    ]


def test_log_of_a_request_that_was_not_executed(emulator, operator, log):
    emulator.add_fault("reset_before", action="CreateBackup")
    job = operator().once()
    assert log.lines[-2:] == [
        "info: Found no job that it made for 2m00s; asking again.",
        f"info: Backup job {job} of {REPLICA} is under way.",
    ]


def test_log_of_a_wait_for_a_free_instance(emulator, operator, log):
    automatic = emulator.service.start_automatic_backup(REPLICA)
    operator(poke_interval=120).once()
    [made] = [each for each in emulator.service.jobs(REPLICA) if each.job_id != automatic]
    held = f"info: Waiting to back up {REPLICA}"
    refusal = "CreateBackup was refused with OperationDenied.BackupJobExists, request id <id>"
    until = "It waits until 2027-01-15 09:00:00 UTC at most."
    assert log.lines == [
        f"{held}: {refusal}. {until}",
        f"{held}, for 2m00s so far: automated backup {automatic} is Backuping 33 % ({refusal}). {until}",
        f"{held}, for 4m00s so far: automated backup {automatic} is Backuping 77 % ({refusal}). {until}",
        f"info: Backup job {made.job_id} of {REPLICA} is under way.",
    ]
