"""Each open question of the documentation, played each way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from airflow_provider_dds.emulator import Emulator, ManualClock, Readings
from airflow_provider_dds.emulator.clock import parse_utc, utc_text

REPLICA = {"DBInstanceId": "dds-demo-replica"}


@pytest.fixture
def read(emu):
    """Change readings of the running emulator."""

    def change(**fields) -> None:
        emu.service.readings = replace(emu.service.readings, **fields)

    return change


def rows(call, instance_id="dds-demo-replica", **query):
    return call("DescribeBackupTasks", DBInstanceId=instance_id, **query)["BackupJobs"]


def test_finished_rows_may_be_listed_only_by_their_id(read, call, clock, backup, row):
    read(finished_rows="only_by_id")
    job_id = backup()
    assert len(rows(call)) == 1
    clock.advance(300)
    assert rows(call) == []
    assert row(job_id)["BackupSetStatus"] == "Finished"


def test_finished_row_may_vanish_after_a_while(read, clock, backup, row):
    read(finished_row_seconds=60)
    job_id = backup()
    clock.advance(359)
    assert row(job_id)["BackupSetStatus"] == "Finished"
    clock.advance(1)
    assert row(job_id) is None


def test_finished_row_may_vanish_at_once(read, clock, backup, row):
    read(finished_row_seconds=0)
    job_id = backup()
    clock.advance(299)
    assert row(job_id)["BackupSetStatus"] == "Backuping"
    clock.advance(1)
    assert row(job_id) is None


@pytest.mark.parametrize(("word", "shown"), [("Failed", "Failed"), ("BackupFailed", "BackupFailed"), (None, None)])
def test_failed_row_may_have_any_word_or_vanish(emu, read, clock, backup, row, word, shown):
    read(failed_job_status=word)
    emu.service.next_job("dds-demo-replica", fail_at=50)
    job_id = backup()
    clock.advance(300)
    found = row(job_id)
    assert (None if found is None else found["BackupSetStatus"]) == shown


@pytest.mark.parametrize(("left", "statuses"), [("listed", ["Failed"]), ("none", [])])
def test_failed_job_may_leave_a_set(emu, read, clock, backup, sets, left, statuses):
    read(failed_job_set=left)
    emu.service.next_job("dds-demo-replica", fail_at=50)
    job_id = backup()
    clock.advance(300)
    assert [item["BackupStatus"] for item in sets(BackupJobId=job_id)] == statuses


@pytest.mark.parametrize("instance_id", ["dds-demo-local", "dds-demo-standalone"])
def test_uncovered_instances_may_have_no_rows_an_error_or_rows(read, call, backup, instance_id):
    job_id = backup(instance_id)
    assert rows(call, instance_id) == []
    read(uncovered_tasks="error")
    refused = call.refusal("DescribeBackupTasks", DBInstanceId=instance_id)
    assert refused == (400, "IncorrectDBInstanceType")
    read(uncovered_tasks="listed")
    assert rows(call, instance_id)[0]["BackupjobId"] == job_id


def test_unknown_job_may_be_an_error_in_tasks(read, call, backup, row):
    read(unknown_job_in_tasks="not_matched")
    asked = {"BackupJobId": "1", **REPLICA}
    assert call.refusal("DescribeBackupTasks", **asked) == (404, "InvalidBackupSet.NotMatched")
    assert row(backup()) is not None
    assert len(rows(call)) == 1


def test_unknown_job_may_be_an_error_in_sets(read, call, clock, backup, sets):
    read(unknown_job_in_sets="not_matched")
    job_id = backup()
    asked = {"BackupJobId": job_id, **REPLICA}
    assert call.refusal("DescribeBackups", **asked) == (404, "InvalidBackupSet.NotMatched")
    assert sets() == []
    clock.advance(300)
    assert len(sets(BackupJobId=job_id)) == 1
    asked = {"BackupJobId": "1", "DBInstanceId": "dds-demo-cluster"}
    assert call.refusal("DescribeClusterBackups", **asked) == (404, "InvalidBackupSet.NotMatched")


def test_job_filters_may_be_ignored(read, call, clock, backup, sets, cluster_sets):
    read(job_filter_in_tasks=False, job_filter_in_sets=False, upcoming_automatic_rows=1)
    first = backup()
    backup("dds-demo-cluster")
    clock.advance(300)
    second = backup()
    clock.advance(300)
    found = rows(call, BackupJobId=first)
    assert [item["BackupjobId"] for item in found] == ["900001", second, first]
    assert [item["BackupJobId"] for item in sets(BackupJobId=first)] == [second, first]
    assert len(cluster_sets(BackupJobId="1")) == 1


@pytest.mark.parametrize(
    ("returns", "names"),
    [
        ("job_id", {"BackupJobId"}),
        ("backup_id", {"BackupId"}),
        ("both", {"BackupId", "BackupJobId"}),
        ("neither", set()),
    ],
)
def test_ids_that_create_backup_answers(read, call, returns, names):
    read(create_returns=returns)
    answer = call("CreateBackup", **REPLICA)
    assert set(answer) - {"RequestId"} == names
    assert {answer[name] for name in names} <= {"775051"}
    assert rows(call)[0]["BackupjobId"] == "775051"


@pytest.mark.parametrize(
    ("instance_id", "expected"), [("dds-demo-replica", "56640001"), ("dds-demo-cluster", "cb-emulated775051")]
)
def test_backup_id_may_be_the_coming_sets(read, call, clock, sets, cluster_sets, instance_id, expected):
    read(create_returns="both", create_backup_id="set_id")
    answer = call("CreateBackup", DBInstanceId=instance_id)
    assert (answer["BackupJobId"], answer["BackupId"]) == ("775051", expected)
    clock.advance(300)
    if instance_id == "dds-demo-replica":
        assert sets()[0]["BackupId"] == expected
    else:
        assert cluster_sets()[0]["ClusterBackupId"] == expected


def test_created_ids_may_be_numbers(read, call):
    read(create_returns="both", create_id_type="int")
    answer = call("CreateBackup", **REPLICA)
    assert (answer["BackupId"], answer["BackupJobId"]) == (775051, 775051)


def test_ids_of_rows_may_be_numbers(read, call, clock, backup, sets):
    read(row_id_type="int", trailing_newline=True)
    job_id = backup()
    assert rows(call, BackupJobId=job_id)[0]["BackupjobId"] == int(job_id)
    clock.advance(300)
    assert sets(BackupJobId=job_id)[0]["BackupJobId"] == int(job_id)


def test_ids_may_end_in_a_newline(read, call, clock, backup, cluster_sets):
    read(trailing_newline=True)
    job_id = backup("dds-demo-cluster")
    assert rows(call, "dds-demo-cluster", BackupJobId=job_id)[0]["BackupjobId"] == job_id + "\n"
    clock.advance(300)
    assert cluster_sets()[0]["Backups"][0]["InstanceName"] == "d-demo-cluster-1\n"


def test_filter_with_a_newline_still_finds_the_job(call, backup):
    job_id = backup()
    assert len(rows(call, BackupJobId=job_id + "\n")) == 1


def test_new_row_may_be_late(read, call, clock, backup, row):
    read(new_row_delay_seconds=15)
    job_id = backup()
    assert row(job_id) is None
    assert call.refusal("CreateBackup", **REPLICA)[0] == 403
    clock.advance(15)
    assert row(job_id)["BackupSetStatus"] == "Checking"


@pytest.mark.parametrize(("reading", "offset"), [("planned", 10), ("requested", 0), ("absent", None)])
def test_start_time_of_a_scheduled_row(read, clock, backup, row, reading, offset):
    read(scheduled_start_time=reading)
    asked = clock.now
    job_id = backup()
    expected = None if offset is None else utc_text(asked + offset)
    assert row(job_id).get("BackupStartTime") == expected
    clock.advance(10)
    assert row(job_id)["BackupStartTime"] == utc_text(asked + 10)


def test_upcoming_automatic_backups_may_be_listed(read, call, clock, backup, row):
    read(upcoming_automatic_rows=2)
    job_id = backup()
    found = rows(call)
    assert [item["BackupSetStatus"] for item in found] == ["Scheduled"] * 3
    assert [item["JobMode"] for item in found] == ["Automated", "Automated", "Manual"]
    starts = [parse_utc(item["BackupStartTime"]) for item in found]
    assert starts[1] - starts[0] == 86_400
    assert starts[0] > clock.now
    assert row(job_id)["JobMode"] == "Manual"


@pytest.mark.parametrize(
    ("reading", "shown"), [("percent", "50%"), ("number", "50"), ("absent", None), ("nonsense", "--")]
)
def test_ways_to_write_progress(read, clock, backup, row, reading, shown):
    read(progress=reading)
    job_id = backup()
    clock.advance(165)
    assert row(job_id).get("Progress") == shown


def test_running_sets_may_be_listed(read, clock, backup, sets):
    read(running_sets="listed", running_set_status="Backuping")
    job_id = backup()
    assert sets(BackupJobId=job_id) == []
    clock.advance(100)
    (found,) = sets(BackupJobId=job_id)
    assert (found["BackupStatus"], found["IsAvail"], found["BackupSize"]) == ("Backuping", False, 0)
    assert "BackupEndTime" not in found
    clock.advance(200)
    assert sets(BackupJobId=job_id)[0]["BackupStatus"] == "Success"


def test_running_cluster_sets_may_be_hidden(read, clock, backup, cluster_sets):
    read(running_cluster_sets="hidden")
    backup("dds-demo-cluster")
    clock.advance(299)
    assert cluster_sets() == []
    clock.advance(1)
    assert len(cluster_sets()) == 1


def test_word_for_a_failed_cluster_set(emu, read, clock, backup, cluster_sets):
    read(failed_cluster_set_status="NotOK")
    emu.service.next_job("dds-demo-cluster", fail_at=1)
    backup("dds-demo-cluster")
    clock.advance(300)
    assert cluster_sets()[0]["ClusterBackupStatus"] == "NotOK"


def test_sets_may_lag_behind_their_job(read, clock, backup, row, sets):
    read(set_lag_seconds=120)
    job_id = backup()
    clock.advance(419)
    assert row(job_id)["BackupSetStatus"] == "Finished"
    assert sets(BackupJobId=job_id) == []
    clock.advance(1)
    assert sets(BackupJobId=job_id)[0]["BackupStatus"] == "Success"


def test_attached_log_may_be_late(read, clock, backup, cluster_sets):
    read(attach_log_seconds=60)
    backup("dds-demo-cluster")
    clock.advance(359)
    assert (cluster_sets()[0]["ClusterBackupStatus"], cluster_sets()[0]["AttachLogStatus"]) == ("OK", "Running")
    clock.advance(1)
    assert cluster_sets()[0]["AttachLogStatus"] == "Ready"


def test_method_may_be_needed_on_cloud_disks(read, call, backup):
    read(method_omitted_on_cloud="error")
    assert call.refusal("CreateBackup", **REPLICA) == (400, "InvalidBackupMethod.ValueNotSupport")
    backup(BackupMethod="Snapshot")
    backup("dds-demo-standalone")
    backup("dds-demo-local")


def test_retention_on_local_disks_may_be_an_error(read, call, clock, backup, sets):
    backup("dds-demo-local", BackupRetentionPeriod=30)
    clock.advance(300)
    assert sets("dds-demo-local")[0]["BackupExpireTime"] == utc_text(clock.now + 7 * 86_400)
    read(retention_on_local_disk="error")
    refused = call.refusal("CreateBackup", DBInstanceId="dds-demo-local", BackupRetentionPeriod=30)
    assert refused == (400, "InvalidBackupRetentionPeriod.Malformed")


def test_shards_may_have_jobs_of_their_own(read, call, clock, backup, sets):
    read(shard_job_ids="per_shard")
    job_id = backup("dds-demo-sharded")
    found = [item["BackupjobId"] for item in rows(call, "dds-demo-sharded")]
    assert found == [job_id, str(int(job_id) + 1)]
    clock.advance(300)
    first, second = "d-demo-sharded-1", "d-demo-sharded-2"
    assert len(sets("dds-demo-sharded", NodeId=first, BackupJobId=job_id)) == 1
    assert sets("dds-demo-sharded", NodeId=second, BackupJobId=job_id) == []
    assert len(sets("dds-demo-sharded", NodeId=second, BackupJobId=found[1])) == 1
    assert backup("dds-demo-sharded") == str(int(job_id) + 2)


def test_node_id_may_be_optional(read, clock, backup, sets):
    read(shard_node_id="optional")
    job_id = backup("dds-demo-sharded")
    clock.advance(300)
    assert len(sets("dds-demo-sharded", BackupJobId=job_id)) == 2
    assert len(sets("dds-demo-sharded", BackupJobId=job_id, NodeId="d-demo-sharded-1")) == 1


def test_sets_of_further_shards_may_show_later(read, clock, backup, sets):
    read(shard_set_lag_seconds=60)
    backup("dds-demo-sharded")
    clock.advance(300)
    assert len(sets("dds-demo-sharded", NodeId="d-demo-sharded-1")) == 1
    clock.advance(59)
    assert sets("dds-demo-sharded", NodeId="d-demo-sharded-2") == []
    clock.advance(1)
    assert len(sets("dds-demo-sharded", NodeId="d-demo-sharded-2")) == 1


def test_rows_may_be_listed_with_the_oldest_first(read, call, clock, backup, sets):
    first = backup()
    clock.advance(300)
    second = backup()
    clock.advance(300)
    assert [item["BackupjobId"] for item in rows(call)] == [second, first]
    read(row_order="oldest_first")
    assert [item["BackupjobId"] for item in rows(call)] == [first, second]
    assert [item["BackupJobId"] for item in sets("dds-demo-replica")] == [first, second]


@pytest.mark.parametrize(
    ("instance_id", "action"),
    [("dds-demo-replica", "DescribeBackups"), ("dds-demo-cluster", "DescribeClusterBackups")],
)
def test_rows_may_be_listed_twice(read, call, clock, backup, instance_id, action):
    backup(instance_id)
    clock.advance(300)
    read(duplicate_rows=True)
    jobs = rows(call, instance_id)
    answer = call(action, DBInstanceId=instance_id)
    sets = answer["ClusterBackups"] if "ClusterBackups" in answer else answer["Backups"]["Backup"]
    span = {"FromStartTime": utc_text(clock.now - 600), "ToStartTime": utc_text(clock.now)}
    tasks = call("DescribeHistoryTasks", **span)["Items"]
    for listing in (jobs, sets, tasks):
        assert len(listing) == 2
        assert listing[0] == listing[1]


@pytest.mark.parametrize(
    ("reading", "found"), [("job_id", ["775051"]), ("unrelated", ["t-emulated-bd38b"]), ("hidden", [])]
)
def test_history_may_or_may_not_know_the_job(read, call, clock, backup, reading, found):
    read(history=reading)
    backup()
    body = call("DescribeHistoryTasks", FromStartTime=utc_text(clock.now), ToStartTime=utc_text(clock.now))
    assert [item["TaskId"] for item in body["Items"]] == found


def test_task_type_in_the_history(read, call, clock, backup):
    read(history_task_type="BackupIns")
    backup()
    body = call("DescribeHistoryTasks", FromStartTime=utc_text(clock.now), ToStartTime=utc_text(clock.now))
    assert body["Items"][0]["TaskType"] == "BackupIns"


def test_daily_cap(emu, read, call, clock, backup):
    read(daily_cap=2)
    for _ in range(2):
        backup()
        clock.advance(300)
    emu.service.start_automatic_backup("dds-demo-replica")
    clock.advance(300)
    assert call.refusal("CreateBackup", **REPLICA) == (400, "BackupTimesExceeded")
    backup("dds-demo-cluster")
    clock.advance(86_400)
    backup()


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("IncorrectDBInstanceState", 400),
        ("OperationDenied.DBInstanceStatus", 403),
        ("InstanceStatusInvalid", 400),
        ("Task.Conflict", 400),
    ],
)
def test_codes_for_an_instance_that_is_not_running(emu, read, call, code, status):
    read(not_running_code=code)
    emu.service.set_instance_status("dds-demo-replica", "Rebooting")
    assert call.refusal("CreateBackup", **REPLICA) == (status, code)


def test_code_for_a_running_backup(read, call, backup):
    read(backup_exists_code="BackupJobExists")
    backup()
    assert call.refusal("CreateBackup", **REPLICA) == (400, "BackupJobExists")


def test_code_for_an_unknown_instance(read, call):
    read(unknown_instance_code="InvalidInstanceId.NotFound")
    assert call.refusal("CreateBackup", DBInstanceId="dds-x") == (404, "InvalidInstanceId.NotFound")


def test_attributes_of_an_unknown_instance_may_be_an_empty_list(read, call):
    read(unknown_instance_attribute="empty")
    body = call("DescribeDBInstanceAttribute", DBInstanceId="dds-x")
    assert body["DBInstances"] == {"DBInstance": []}
    assert call.refusal("DescribeDBInstanceAttribute") == (400, "MissingDBInstanceId")


def test_more_calls_in_a_second_than_allowed_are_throttled(caller_of):
    wall = ManualClock()
    with Emulator(readings=Readings(calls_per_second=2), wall_clock=wall) as emulator:
        call = caller_of(emulator)
        call("DescribeRegions")
        call("DescribeBackupTasks", **REPLICA)
        assert call.refusal("CreateBackup", **REPLICA) == (400, "Throttling.User")
        assert (emulator.requests()[-1].executed, emulator.requests()[-1].fault) == (False, None)
        wall.advance(1)
        call("CreateBackup", **REPLICA)
        call("DescribeRegions")
        assert call.refusal("DescribeRegions") == (400, "Throttling.User")


@pytest.mark.parametrize(
    "fields",
    [
        {"set_lag_seconds": -1},
        {"new_row_delay_seconds": -1},
        {"finished_row_seconds": -1},
        {"upcoming_automatic_rows": -1},
        {"calls_per_second": 0},
        {"throttle_status": 200},
    ],
)
def test_readings_that_make_no_sense(fields):
    with pytest.raises(ValueError, match=next(iter(fields))):
        Readings(**fields)


def test_every_reading_has_a_test_here():
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    untested = [name for name in Readings.__dataclass_fields__ if f"{name}=" not in tests]
    assert untested == []


def test_ranges_to_restore_within_may_have_a_gap(read, call, emu, clock, backup):
    emu.service.instance("dds-demo-replica").log_backup = True
    assert call("DescribeInstanceRecoverTime", **REPLICA)["RestoreRanges"] == []
    for _ in range(2):
        backup()
        clock.advance(7200)
    assert len(call("DescribeInstanceRecoverTime", **REPLICA)["RestoreRanges"]) == 1
    read(recover_gap_seconds=600)
    newest, oldest = call("DescribeInstanceRecoverTime", **REPLICA)["RestoreRanges"]
    assert parse_utc(newest["RestoreBeginTime"]) - parse_utc(oldest["RestoreEndTime"]) == 600


# --- what is said of a set --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "of_set", "of_cluster", "of_node"),
    [
        ("documented", True, 1, "1"),
        ("flag", True, True, True),
        ("number", 1, 1, 1),
        ("text", "1", "1", "1"),
        ("words", "true", "true", "true"),
        ("absent", None, None, None),
    ],
)
def test_availability_may_be_of_any_type(read, clock, backup, sets, cluster_sets, kind, of_set, of_cluster, of_node):
    read(is_avail=kind)
    backup()
    backup("dds-demo-cluster")
    clock.advance(300)
    [cluster] = cluster_sets()
    assert repr(sets()[0].get("IsAvail")) == repr(of_set)
    assert repr(cluster.get("IsAvail")) == repr(of_cluster)
    assert {repr(node.get("IsAvail")) for node in cluster["Backups"]} == {repr(of_node)}


def test_set_may_become_available_late(read, clock, backup, sets, cluster_sets):
    read(available_lag_seconds=60)
    backup()
    backup("dds-demo-cluster")
    clock.advance(359)
    assert (sets()[0]["BackupStatus"], sets()[0]["IsAvail"], cluster_sets()[0]["IsAvail"]) == ("Success", False, 0)
    clock.advance(1)
    assert (sets()[0]["IsAvail"], cluster_sets()[0]["IsAvail"]) == (True, 1)


def test_set_may_expire_soon_and_be_deleted_then(emu, read, clock, backup, sets):
    read(expiry_seconds=60)
    backup()
    clock.advance(300)
    assert sets()[0]["BackupExpireTime"] == utc_text(emu.service.now + 60)
    clock.advance(60)
    assert len(sets()) == 1
    read(expired_sets="deleted")
    assert sets() == []


def test_job_may_make_an_incremental_set_too(read, clock, backup, sets):
    read(incremental_sets=True)
    job_id = backup()
    clock.advance(60)
    assert [row["BackupType"] for row in sets(BackupJobId=job_id)] == ["IncrementalBackup"]
    clock.advance(240)
    assert {row["BackupType"] for row in sets(BackupJobId=job_id)} == {"IncrementalBackup", "FullBackup"}


@pytest.mark.parametrize("regions", [True, False])
@pytest.mark.parametrize("status", ["Success", "Failed", "Running"])
def test_copy_in_another_region_may_be_listed_under_the_same_job_id(read, clock, backup, sets, status, regions):
    read(copies=status, copy_regions=regions)
    job_id = backup()
    clock.advance(300)
    copy, own = sets(BackupJobId=job_id)
    assert (copy["BackupStatus"], own["BackupStatus"]) == (status, "Success")
    assert copy["BackupStartTime"] == own["BackupEndTime"]
    assert ("DestRegion" in copy) is regions


@pytest.mark.parametrize(("status", "left"), [("Scheduled", []), ("Finished", ["Success"]), ("Failed", ["Failed"])])
def test_automatic_job_may_have_the_id_of_a_manual_one(read, call, backup, sets, status, left):
    read(automatic_twin=status)
    job_id = backup()
    found = [(row["BackupjobId"], row["JobMode"], row["BackupSetStatus"]) for row in rows(call, BackupJobId=job_id)]
    assert found == [(job_id, "Automated", status), (job_id, "Manual", "Scheduled")]
    assert [(row["BackupMode"], row["BackupStatus"]) for row in sets(BackupJobId=job_id)] == [
        ("Automated", status) for status in left
    ]


def test_ids_may_be_numbers_with_a_fraction(read, call, clock, backup, sets):
    read(create_id_type="float", row_id_type="float")
    assert call("CreateBackup", **REPLICA)["BackupJobId"] == 775051.0
    assert isinstance(rows(call)[0]["BackupjobId"], float)
    clock.advance(300)
    assert isinstance(sets()[0]["BackupJobId"], float)


# --- pages ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def many(emu, clock, call):
    """Make 70 backups, one after the other."""
    for _ in range(70):
        call("CreateBackup", **REPLICA)
        clock.advance(400)


def test_page_may_have_fewer_rows_than_asked_for(read, call, many):
    read(page_rows=30)
    pages = [call("DescribeBackups", PageSize=100, PageNumber=number, **REPLICA) for number in (1, 2, 3, 4)]
    assert [len(page["Backups"]["Backup"]) for page in pages] == [30, 30, 10, 0]
    assert {page["PageSize"] for page in pages} == {30}


def test_page_number_may_be_ignored(read, call, many):
    read(page_number="ignored")
    first, second = (call("DescribeBackups", PageSize=50, PageNumber=number, **REPLICA) for number in (1, 2))
    assert first["Backups"] == second["Backups"]


@pytest.mark.parametrize(("kind", "said"), [("true", 30), ("asked", 100), ("text", "30"), ("absent", None)])
def test_answer_may_tell_the_page_size_in_other_ways(read, call, many, kind, said):
    read(page_rows=30, page_size_shown=kind)
    assert call("DescribeBackups", PageSize=100, **REPLICA).get("PageSize") == said


@pytest.mark.parametrize(
    ("kind", "said"), [("true", 70), ("text", "70"), ("of_page", 30), ("too_high", 1070), ("absent", None)]
)
def test_answer_may_tell_the_total_in_other_ways(read, call, many, kind, said):
    read(page_rows=30, total_count=kind)
    assert call("DescribeBackups", PageSize=100, **REPLICA).get("TotalCount") == said


# --- kinds and shards -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 403])
@pytest.mark.parametrize("code", ["SingleNodeNotSupport", "StorageTypeOrInstanceTypeNotSupported"])
def test_uncovered_instances_may_be_refused_by_other_codes(read, call, code, status):
    read(uncovered_tasks="error", uncovered_tasks_code=code, uncovered_tasks_status=status)
    assert call.refusal("DescribeBackupTasks", DBInstanceId="dds-demo-local") == (status, code)


def test_kind_of_an_instance_may_be_left_open(read, call):
    read(kind_shown=False)
    [row] = call("DescribeDBInstanceAttribute", DBInstanceId="dds-demo-local")["DBInstances"]["DBInstance"]
    assert not {"KindCode", "StorageType"} & set(row)


def test_shards_may_not_be_shown(read, call):
    read(shard_list=False)
    [row] = call("DescribeDBInstanceAttribute", DBInstanceId="dds-demo-sharded")["DBInstances"]["DBInstance"]
    assert "ShardList" not in row


def test_node_may_be_ignored(read, call, clock, backup):
    read(node_filter=False)
    backup("dds-demo-sharded")
    clock.advance(300)
    listed = call("DescribeBackups", DBInstanceId="dds-demo-sharded", NodeId="d-demo-sharded-1")
    assert len(listed["Backups"]["Backup"]) == 2


def test_shards_may_come_and_go_and_the_sets_stay(emu, call, clock, backup):
    def listed(number):
        node = f"d-demo-sharded-{number}"
        return len(call("DescribeBackups", DBInstanceId="dds-demo-sharded", NodeId=node)["Backups"]["Backup"])

    backup("dds-demo-sharded")
    clock.advance(300)
    emu.service.set_shards("dds-demo-sharded", 3)
    assert [listed(1), listed(2), listed(3)] == [1, 1, 0]
    emu.service.set_shards("dds-demo-sharded", 1)
    asked = {"DBInstanceId": "dds-demo-sharded", "NodeId": "d-demo-sharded-2"}
    assert call.refusal("DescribeBackups", **asked) == (404, "InvalidNodeId.NotFound")


@pytest.mark.parametrize(
    "wrong",
    [{"page_rows": 0}, {"uncovered_tasks_status": 500}, {"expiry_seconds": -1}, {"available_lag_seconds": -1}],
    ids=str,
)
def test_readings_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Readings(**wrong)
