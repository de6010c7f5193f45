"""A backup job's life, and when the service lets one begin. The clock is moved by hand."""

from __future__ import annotations

import pytest
from alibabacloud_dds20151201 import models

from airflow_provider_dds.emulator import Emulator, InstanceKind, JobOutcome, ServiceError, Timing
from airflow_provider_dds.emulator.clock import utc_text

REPLICA = {"DBInstanceId": "dds-demo-replica"}


def test_idle_instance_has_no_rows(call):
    body = call("DescribeBackupTasks", **REPLICA)
    assert set(body) == {"RequestId", "BackupJobs"}
    assert body["BackupJobs"] == []


@pytest.mark.parametrize(
    ("seconds", "status", "progress"),
    [
        (0, "Scheduled", None),
        (9.5, "Scheduled", None),
        (10, "Checking", None),
        (29.5, "Checking", None),
        (30, "Backuping", "0%"),
        (165, "Backuping", "50%"),
        (299, "Backuping", "99%"),
        (300, "Finished", None),
        (10**7, "Finished", None),
    ],
)
def test_job_goes_through_its_phases(clock, backup, row, seconds, status, progress):
    job_id = backup()
    clock.advance(seconds)
    found = row(job_id)
    assert found["BackupSetStatus"] == status
    assert found.get("Progress") == progress
    assert found["BackupjobId"] == job_id
    assert found["JobMode"] == "Manual"
    assert "BackupJobId" not in found


def test_row_has_the_services_times(clock, backup, row):
    asked = clock.now
    job_id = backup()
    assert row(job_id)["BackupStartTime"] == utc_text(asked + 10)
    clock.advance(1000)
    assert row(job_id)["BackupStartTime"] == utc_text(asked + 10)


def test_speed_shortens_what_the_service_does(clock):
    with Emulator(clock=clock, speed=60) as emu:
        emu.service.call("CreateBackup", REPLICA)
        clock.advance(4.9)
        assert emu.service.jobs()[0].status == "Backuping"
        clock.advance(0.1)
        assert emu.service.jobs()[0].status == "Finished"
        assert emu.service.jobs()[0].look.ended == pytest.approx(clock.now)


def test_sdk_reads_the_rows(sdk, clock):
    client = sdk()
    job_id = client.create_backup(
        models.CreateBackupRequest(dbinstance_id="dds-demo-replica", backup_retention_period=30)
    ).body.backup_job_id
    clock.advance(165)
    request = models.DescribeBackupTasksRequest(dbinstance_id="dds-demo-replica", backup_job_id=job_id)
    (job,) = client.describe_backup_tasks(request).body.backup_jobs
    assert (job.backupjob_id, job.backup_set_status, job.progress) == (job_id, "Backuping", "50%")


def test_jobs_are_listed_newest_first_and_per_instance(call, clock, backup):
    first = backup()
    clock.advance(300)
    second = backup()
    other = backup("dds-demo-cluster")
    rows = call("DescribeBackupTasks", **REPLICA)["BackupJobs"]
    assert [item["BackupjobId"] for item in rows] == [second, first]
    (row,) = call("DescribeBackupTasks", DBInstanceId="dds-demo-cluster")["BackupJobs"]
    assert row["BackupjobId"] == other
    assert len({first, second, other}) == 3


def test_one_backup_at_a_time(call, clock, backup):
    backup()
    assert call.refusal("CreateBackup", **REPLICA) == (403, "OperationDenied.BackupJobExists")
    clock.advance(299)
    assert call.refusal("CreateBackup", **REPLICA) == (403, "OperationDenied.BackupJobExists")
    backup("dds-demo-cluster")
    clock.advance(1)
    backup()


def test_automatic_backup_runs_like_any_other(emu, call, row, sets, clock):
    job_id = emu.service.start_automatic_backup("dds-demo-replica")
    assert row(job_id)["JobMode"] == "Automated"
    assert call.refusal("CreateBackup", **REPLICA) == (403, "OperationDenied.BackupJobExists")
    with pytest.raises(ServiceError, match="BackupJobExists"):
        emu.service.start_automatic_backup("dds-demo-replica")
    clock.advance(300)
    assert sets()[0]["BackupMode"] == "Automated"


@pytest.mark.parametrize("status", ["Restoring", "Creating", "released"])
def test_instance_must_be_running(emu, call, status):
    emu.service.set_instance_status("dds-demo-replica", status)
    assert call.refusal("CreateBackup", **REPLICA) == (400, "IncorrectDBInstanceState")
    attribute = call("DescribeDBInstanceAttribute", **REPLICA)["DBInstances"]["DBInstance"][0]
    assert attribute["DBInstanceStatus"] == status
    assert emu.service.jobs() == []


def test_instance_must_have_a_database(emu, call):
    emu.service.add_instance("dds-empty", has_databases=False)
    assert call.refusal("CreateBackup", DBInstanceId="dds-empty") == (403, "OperationDenied.NoDatabase")


def test_instance_must_not_be_locked(emu, call):
    emu.service.add_instance("dds-locked", lock_mode="LockByExpiration")
    assert call.refusal("CreateBackup", DBInstanceId="dds-locked") == (400, "IncorrectDBInstanceLockMode")


@pytest.mark.parametrize(
    ("instance_id", "method", "code"),
    [
        ("dds-demo-replica", "Snapshot", None),
        ("dds-demo-replica", "Physical", "InvalidBackupMethod.ValueNotSupport"),
        ("dds-demo-cluster", "Logical", "InvalidBackupMethod.ValueNotSupport"),
        ("dds-demo-replica", "snapshot", "InvalidBackupMethod.Format"),
        ("dds-demo-local", "Physical", None),
        ("dds-demo-local", "Logical", None),
        ("dds-demo-local", "Snapshot", "InvalidBackupMethod.ValueNotSupport"),
        ("dds-demo-standalone", "Snapshot", None),
        ("dds-demo-standalone", "Physical", "InvalidBackupMethod.ValueNotSupport"),
    ],
)
def test_backup_methods(call, clock, sets, instance_id, method, code):
    if code is not None:
        refused = call.refusal("CreateBackup", DBInstanceId=instance_id, BackupMethod=method)
        assert refused == (400, code)
        return
    call("CreateBackup", DBInstanceId=instance_id, BackupMethod=method)
    clock.advance(300)
    if instance_id != "dds-demo-cluster":
        assert sets(instance_id)[0]["BackupMethod"] == method


@pytest.mark.parametrize("days", ["6", "731", "0", "-2", "many", "7.5"])
def test_retention_out_of_range(call, days):
    refused = call.refusal("CreateBackup", BackupRetentionPeriod=days, **REPLICA)
    assert refused == (400, "InvalidBackupRetentionPeriod.Malformed")


@pytest.mark.parametrize(("days", "kept"), [(None, 7), (7, 7), (730, 730), (-1, None)])
def test_retention(clock, backup, sets, days, kept):
    backup(**({} if days is None else {"BackupRetentionPeriod": days}))
    clock.advance(300)
    expected = "9999-01-01T00:00:00Z" if kept is None else utc_text(clock.now + kept * 86_400)
    assert sets()[0]["BackupExpireTime"] == expected


def test_job_that_fails(emu, clock, backup, row, sets):
    emu.service.next_job("dds-demo-replica", fail_at=40)
    job_id = backup()
    clock.advance(30 + 270 * 0.39)
    assert row(job_id)["BackupSetStatus"] == "Backuping"
    clock.advance(270 * 0.01)
    assert row(job_id)["BackupSetStatus"] == "Failed"
    assert sets(BackupJobId=job_id)[0]["BackupStatus"] == "Failed"
    assert backup() != job_id


def test_job_that_fails_by_another_word(emu, clock, backup, row):
    emu.service.next_job("dds-demo-replica", fail_at=0, fail_word="BackupError")
    job_id = backup()
    clock.advance(30)
    assert row(job_id)["BackupSetStatus"] == "BackupError"


def test_job_that_vanishes_when_it_is_over(emu, clock, backup, row, sets):
    emu.service.next_job("dds-demo-replica", vanish=True)
    job_id = backup()
    clock.advance(299)
    assert row(job_id) is not None
    clock.advance(1)
    assert row(job_id) is None
    assert sets(BackupJobId=job_id)[0]["BackupStatus"] == "Success"


def test_job_with_an_unknown_word_on_its_way(emu, clock, backup, row):
    emu.service.next_job("dds-demo-replica", unknown_at=10, unknown_until=50, unknown_word="Uploading")
    job_id = backup()
    seen = []
    for seconds in (30, 27, 107, 2, 134):
        clock.advance(seconds)
        seen.append(row(job_id)["BackupSetStatus"])
    assert seen == ["Backuping", "Uploading", "Uploading", "Backuping", "Finished"]


def test_job_that_is_stuck(emu, call, clock, backup, row):
    emu.service.next_job("dds-demo-replica", stuck_at=73)
    job_id = backup()
    clock.advance(10**6)
    assert row(job_id)["Progress"] == "73%"
    assert call.refusal("CreateBackup", **REPLICA)[0] == 403


@pytest.mark.parametrize("seconds", [5, 15, 31, 45], ids=["scheduled", "checking", "backuping", "stuck"])
@pytest.mark.parametrize(("outcome", "word"), [({"stuck_at": 1}, "Finished"), ({"fail_at": 60}, "Failed")])
def test_job_that_is_told_to_end_ends_at_once(emu, clock, backup, row, sets, seconds, outcome, word):
    emu.service.next_job("dds-demo-replica", **outcome)
    job_id = backup()
    clock.advance(seconds)
    assert emu.service.end_backup("dds-demo-replica") == job_id
    assert row(job_id)["BackupSetStatus"] == word
    (state,) = emu.service.jobs()
    assert state.look.ended == pytest.approx(clock.now)
    assert len(sets(BackupJobId=job_id)) == 1
    clock.advance(3600)
    assert row(job_id)["BackupSetStatus"] == word


def test_only_a_running_backup_can_be_told_to_end(emu):
    with pytest.raises(ValueError, match="no backup of 'dds-demo-replica' runs"):
        emu.service.end_backup("dds-demo-replica")


@pytest.mark.parametrize(("backup_set", "rows"), [("Failed", ["Failed"]), ("none", []), ("Success", ["Success"])])
def test_finished_job_whose_set_is_another_matter(emu, clock, backup, row, sets, backup_set, rows):
    emu.service.next_job("dds-demo-replica", backup_set=backup_set)
    job_id = backup()
    clock.advance(300)
    assert row(job_id)["BackupSetStatus"] == "Finished"
    assert [item["BackupStatus"] for item in sets(BackupJobId=job_id)] == rows


def test_job_of_another_length(emu, clock, backup, row):
    emu.service.next_job("dds-demo-replica", seconds=10)
    job_id = backup()
    clock.advance(40)
    assert row(job_id)["BackupSetStatus"] == "Finished"


def test_outcomes_are_used_in_order_and_once(emu, clock, backup, row):
    emu.service.next_job("dds-demo-replica", JobOutcome(fail_at=0), count=2)
    emu.service.next_job("dds-demo-cluster", fail_at=0)
    seen = []
    for _ in range(3):
        job_id = backup()
        clock.advance(300)
        seen.append(row(job_id)["BackupSetStatus"])
    assert seen == ["Failed", "Failed", "Finished"]


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"fail_at": 101}, "fail_at"),
        ({"unknown_at": -1}, "unknown_at"),
        ({"fail_at": 5, "stuck_at": 5}, "stuck_at"),
        ({"fail_word": "x"}, "fail_word"),
        ({"seconds": 0}, "seconds"),
    ],
)
def test_outcomes_that_make_no_sense(fields, name):
    with pytest.raises(ValueError, match=name):
        JobOutcome(**fields)


@pytest.mark.parametrize("fields", [{"scheduled": -1}, {"checking": -1}, {"backup": 0}])
def test_timing_that_makes_no_sense(fields):
    with pytest.raises(ValueError, match="must"):
        Timing(**fields)


@pytest.mark.parametrize(
    ("instance_id", "expected"),
    [
        ("dds-demo-replica", ("replicate", "cloud_essd1", "18", False, "3")),
        ("dds-demo-cluster", ("sharding", "cloud_essd1", "18", True, None)),
        ("dds-demo-sharded", ("sharding", "cloud_essd1", "18", False, None)),
        ("dds-demo-local", ("replicate", "local_ssd", "0", False, "3")),
        ("dds-demo-standalone", ("replicate", "cloud_essd1", "3", False, "1")),
    ],
)
def test_attributes_tell_the_kinds_apart(sdk, instance_id, expected):
    request = models.DescribeDBInstanceAttributeRequest(dbinstance_id=instance_id)
    (found,) = sdk().describe_dbinstance_attribute(request).body.dbinstances.dbinstance
    assert found.dbinstance_id == instance_id
    assert found.dbinstance_status == "Running"
    assert found.region_id == "cn-hangzhou"
    kind = (found.dbinstance_type, found.storage_type, found.kind_code, found.use_cluster_backup)
    assert (*kind, found.replication_factor) == expected
    shards = [] if found.shard_list is None else found.shard_list.shard_attribute
    assert len(shards) == (2 if found.dbinstance_type == "sharding" else 0)


def test_any_instance_can_be_switched_on(clock):
    with Emulator(clock=clock, scenario={"any_instance": True}) as emu:
        emu.service.call("CreateBackup", {"DBInstanceId": "dds-from-nowhere"})
        assert emu.service.instances["dds-from-nowhere"].kind is InstanceKind.CLOUD_REPLICA


def test_unknown_instance(call):
    for action in ("CreateBackup", "DescribeBackupTasks", "DescribeBackups", "DescribeDBInstanceAttribute"):
        assert call.refusal(action, DBInstanceId="dds-x") == (404, "InvalidDBInstanceId.NotFound")


@pytest.mark.parametrize("fields", [{"instance_id": ""}, {"instance_id": "x", "shards": 0}])
def test_instances_that_make_no_sense(emu, fields):
    with pytest.raises(ValueError, match="must"):
        emu.service.add_instance(**fields)


def test_unknown_kind_of_instance(emu):
    with pytest.raises(ValueError, match="InstanceKind"):
        emu.service.add_instance("dds-x", "cloudy")
