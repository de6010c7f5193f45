"""What the service says may be anything: logs, errors, events and links get it as short, harmless lines."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_dds.emulator import Readings
from airflow_provider_dds.exceptions import DdsApiError, DdsBackupOutcomeUnknownError, DdsError, DdsResponseError
from airflow_provider_dds.hooks.dds import DdsHook
from tests.support.runner import REPLICA
from tests.support.versions import needs_task_state_store
from tests.support.words import EVIL, MOST, assert_harmless, harmful

LONG = 100_000
every_mode = pytest.mark.parametrize("mode", ["poke", "reschedule", "deferrable"])
every_word = pytest.mark.parametrize("said", [EVIL, EVIL * (LONG // len(EVIL))], ids=["evil", "long"])
READS = ["DescribeDBInstanceAttribute", "DescribeBackupTasks", "DescribeBackups"]


def fails(call: Any) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which error it is, other tests say
        call()
    assert isinstance(caught.value, DdsError) or isinstance(caught.value.__cause__, DdsError)
    return caught.value


@every_word
@pytest.mark.parametrize("status", [400, 403, 404, 503])
@pytest.mark.parametrize("code", ["Forbidden.RAM", None], ids=["known code", "evil code"])
@pytest.mark.parametrize("action", [*READS, "CreateBackup"])
def test_error_of_the_service_is_told_in_one_line(emulator, hook, lines, said, status, code, action):
    emulator.add_fault("error", action=action, status=status, code=code or said, message=said, times=None)
    calls = {
        "CreateBackup": lambda: hook.create_backup(REPLICA),
        "DescribeBackupTasks": lambda: hook.describe_backup_tasks(REPLICA),
        "DescribeBackups": lambda: list(hook.describe_backups(REPLICA)),
        "DescribeDBInstanceAttribute": lambda: hook.describe_db_instance(REPLICA),
    }
    error = fails(calls[action])
    assert isinstance(error, DdsApiError)
    assert r"evil\r\n: :group::evil\x1b[2J" in str(error)
    assert_harmless(error, error.to_json())
    assert harmful("".join(lines())) == []


@every_word
@every_mode
@pytest.mark.parametrize("action", READS[:2])
def test_wait_that_is_refused_says_so_in_lines_of_its_own(emulator, hook, sensor, lines, said, mode, action):
    run = sensor(hook.create_backup(REPLICA), mode)
    emulator.add_fault("error", action=action, status=503, code=said, message=said, times=9)
    emulator.add_fault("error", action=action, status=403, code="Forbidden.RAM", message=said, times=None)
    assert_harmless(fails(run.once), run.events, run.ti.xcoms)
    assert harmful("".join(lines())) == []


@every_word
@every_mode
def test_status_that_nobody_knows_is_told_in_one_line(emulator, hook, sensor, lines, said, mode):
    job_id = hook.create_backup(REPLICA)
    row = {"BackupjobId": job_id, "BackupSetStatus": said, "JobMode": said, "Progress": said, "BackupStartTime": said}
    body = {"RequestId": said, "BackupJobs": [row, {**row, "BackupjobId": said}]}
    emulator.add_fault("wrong_shape", action="DescribeBackupTasks", body=body, times=3)
    run = sensor(job_id, mode)
    run.once()
    assert_harmless(run.events, run.ti.xcoms, run.deferrals)
    said_so = lines()
    assert any("is none that the service documents" in line for line in said_so)
    assert harmful("".join(said_so)) == []


@every_word
@every_mode
def test_failure_in_words_of_the_service_is_told_in_one_line(emulator, hook, sensor, lines, said, mode):
    job_id = hook.create_backup(REPLICA)
    row = {"BackupjobId": job_id, "BackupSetStatus": f"Failed {said}"}
    body = {"RequestId": said, "BackupJobs": [row]}
    emulator.add_fault("wrong_shape", action="DescribeBackupTasks", body=body, times=None)
    run = sensor(job_id, mode)
    assert_harmless(fails(run.once), run.events, run.ti.xcoms)
    assert harmful("".join(lines())) == []


@every_word
@every_mode
def test_backup_set_is_told_in_one_line(emulator, hook, sensor, lines, said, mode):
    job_id = hook.create_backup(REPLICA)
    row = {"BackupJobId": job_id, "BackupId": said, "BackupStatus": "Success", "BackupMethod": said}
    row |= {"BackupMode": said, "BackupType": said, "EngineVersion": said, "BackupSize": said, "BackupEndTime": said}
    body = {"RequestId": said, "TotalCount": 1, "Backups": {"Backup": [row]}}
    emulator.add_fault("wrong_shape", action="DescribeBackups", body=body, times=None)
    run = sensor(job_id, mode)
    facts = run.once()
    assert facts["backup_job_id"] == job_id
    for value in facts.values():
        assert_harmless(value)
    assert harmful("".join(lines())) == []


@every_word
def test_instance_that_is_held_is_told_in_one_line(emulator, operator, lines, said):
    emulator.service.set_instance_status(REPLICA, "Rebooting")
    row = {"DBInstanceId": REPLICA, "DBInstanceStatus": said, "RegionId": said, "EngineVersion": said}
    body = {"RequestId": said, "DBInstances": {"DBInstance": [row]}}
    emulator.add_fault("wrong_shape", action="DescribeDBInstanceAttribute", body=body, times=None)
    run = operator()
    assert_harmless(fails(run.once), run.events, run.ti.xcoms, run.deferrals)
    said_so = lines()
    assert any("the instance is evil" in line for line in said_so)
    assert harmful("".join(said_so)) == []


@every_word
@needs_task_state_store
@pytest.mark.parametrize("deferrable", [False, True])
def test_candidates_of_a_lost_create_are_told_in_one_line(emulator, operator, lines, said, deferrable):
    emulator.service.readings = Readings(finished_rows="only_by_id")
    task = {"TaskId": said, "TaskType": said, "Status": said, "InstanceId": REPLICA, "CurrentStepName": said}
    task["StartTime"] = "2027-01-15T08:00:01Z"
    job = {"BackupjobId": said, "BackupSetStatus": "Failed", "JobMode": "Manual"}
    job["BackupStartTime"] = "2027-01-15T08:00:01Z"
    emulator.add_fault("reset_after", action="CreateBackup", times=None)
    for action, rows in (
        ("DescribeBackupTasks", {"BackupJobs": [job, {**job, "BackupjobId": f"2 {said}"}]}),
        ("DescribeHistoryTasks", {"Items": [task] * 2}),
    ):
        body = {"RequestId": said, **rows}
        emulator.add_fault("wrong_shape", action=action, body=body, after=1, times=None)
    run = operator(deferrable=deferrable)
    error = fails(run.once)
    assert isinstance(error, DdsBackupOutcomeUnknownError)
    assert_harmless(error, run.ti.xcoms, run.events, dict(run.store))
    assert harmful("".join(lines())) == []


@every_word
def test_job_id_of_a_create_is_one_line(emulator, hook, lines, said):
    emulator.add_fault("wrong_shape", action="CreateBackup", body={"RequestId": said, "BackupJobId": said}, times=None)
    assert_harmless(hook.create_backup(REPLICA))
    assert harmful("".join(lines())) == []


@every_word
def test_request_id_of_an_answer_that_cannot_be_trusted_is_one_line(emulator, hook, said):
    body = {"RequestId": said, said[:50]: said, "BackupJobs": said}
    emulator.add_fault("wrong_shape", action="DescribeBackupTasks", body=body, times=None)
    error = fails(lambda: hook.describe_backup_tasks(REPLICA))
    assert isinstance(error, DdsResponseError)
    assert_harmless(error)


@every_word
def test_test_button_shows_one_line(emulator, hook, said):
    emulator.add_fault("error", action="DescribeRegions", status=403, code="Forbidden.RAM", message=said)
    assert_harmless(hook.test_connection()[1])
    emulator.add_fault("error", action="DescribeRegions", status=403, code=said, message=said)
    assert_harmless(hook.test_connection()[1])
    emulator.add_fault("wrong_shape", action="DescribeRegions", body={"RequestId": said})
    assert_harmless(hook.test_connection()[1])


def test_message_of_megabytes_is_cut(emulator, hook, lines):
    emulator.add_fault("error", action="DescribeRegions", status=403, message="The instance is busy. " * 250_000)
    said = hook.test_connection()[1]
    assert "(cut, 5500000 characters)" in said
    assert len(said) < MOST
    assert max(map(len, lines())) < MOST


SECRET_WORDS = ["{}", "the key {} is wrong", "x" * 480 + "{}", "{}" * 200]


@pytest.mark.parametrize("around", SECRET_WORDS, ids=range(4))
@pytest.mark.parametrize("field", ["code", "message"])
def test_service_that_repeats_the_secret_is_not_quoted(emulator, lines, around, field):
    connection = emulator.connection_dict()
    secret = connection["password"]
    hook = DdsHook()
    emulator.add_fault("error", action="DescribeRegions", status=400, **{field: around.replace("{}", secret)})
    said = hook.test_connection()[1]
    assert secret[:6] not in said
    assert secret not in "".join(lines())
