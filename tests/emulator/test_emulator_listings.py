"""Backup sets, cluster backup sets and the task history: shapes, filters and pages."""

from __future__ import annotations

import pytest
from alibabacloud_dds20151201 import models

from airflow_provider_dds.emulator.clock import MINUTE_FORMAT, parse_utc, utc_text

REPLICA = {"DBInstanceId": "dds-demo-replica"}
SHARDS = ["d-demo-sharded-1", "d-demo-sharded-2"]


def minute(moment: float) -> str:
    return utc_text(moment)[:16] + "Z"


@pytest.fixture
def finished(emu, clock):
    """Make finished backups, 1000 seconds apart, and return their job ids."""

    def make(count: int = 1, instance_id: str = "dds-demo-replica") -> list[str]:
        made = []
        for _ in range(count):
            made.append(emu.service.call("CreateBackup", {"DBInstanceId": instance_id})["BackupJobId"])
            clock.advance(1000)
        return made

    return make


def test_set_appears_with_the_end_of_its_job(clock, backup, sets):
    job_id = backup()
    asked = clock.now
    clock.advance(299)
    assert sets(BackupJobId=job_id) == []
    clock.advance(1)
    (found,) = sets(BackupJobId=job_id)
    assert found == {
        "BackupId": "56640001",
        "BackupJobId": job_id,
        "BackupStatus": "Success",
        "BackupType": "FullBackup",
        "BackupMethod": "Snapshot",
        "BackupMode": "Manual",
        "BackupStartTime": utc_text(asked + 10),
        "BackupEndTime": utc_text(asked + 300),
        "BackupSize": 1_503_238_553,
        "BackupDBNames": "admin,app",
        "BackupDownloadURL": "",
        "BackupIntranetDownloadURL": "",
        "BackupName": "",
        "BackupScale": "",
        "IsAvail": True,
        "EngineVersion": "7.0",
        "BackupExpireTime": utc_text(asked + 300 + 7 * 86_400),
    }


def test_sdk_reads_the_sets(sdk, finished):
    (job_id,) = finished()
    request = models.DescribeBackupsRequest(dbinstance_id="dds-demo-replica", backup_job_id=job_id)
    body = sdk().describe_backups(request).body
    assert (body.total_count, body.page_number, body.page_size) == (1, 1, 30)
    (found,) = body.backups.backup
    assert (found.backup_job_id, found.backup_status, found.is_avail) == (job_id, "Success", True)


def test_local_disk_sets_come_with_signed_links(finished, sets):
    finished(instance_id="dds-demo-local")
    (found,) = sets("dds-demo-local")
    assert found["BackupMethod"] == "Physical"
    assert "Signature=" in found["BackupDownloadURL"]


def test_sets_are_filtered_by_job_and_by_set(finished, sets):
    first, second = finished(2)
    assert [item["BackupJobId"] for item in sets()] == [second, first]
    assert [item["BackupJobId"] for item in sets(BackupJobId=first)] == [first]
    assert sets(BackupJobId="1") == []
    assert [item["BackupId"] for item in sets(BackupId="56640001,56640002")] == ["56640002", "56640001"]
    assert [item["BackupId"] for item in sets(BackupId="56640001")] == ["56640001"]


def test_window_is_precise_to_the_minute(finished, sets, clock):
    begun = clock.now + 10
    first, second = finished(2)
    assert [item["BackupJobId"] for item in sets(StartTime=minute(begun))] == [second, first]
    assert [item["BackupJobId"] for item in sets(StartTime=minute(begun + 60))] == [second]
    assert [item["BackupJobId"] for item in sets(EndTime=minute(begun + 60))] == [first]
    assert sets(EndTime=minute(begun)) == []
    assert sets(BackupId="56640001", StartTime=minute(begun + 600))[0]["BackupJobId"] == first


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"StartTime": "2024-01-01T00:00:00Z"}, "InvalidStartTime.Malformed"),
        ({"EndTime": "yesterday"}, "InvalidEndTime.Malformed"),
        (
            {"StartTime": "2024-01-01T00:01Z", "EndTime": "2024-01-01T00:00Z"},
            "InvalidStartTimeAndEndTime.Malformed",
        ),
        ({"PageSize": "20"}, "InvalidPageSize.Malformed"),
        ({"PageSize": "many"}, "InvalidPageSize.Malformed"),
    ],
)
@pytest.mark.parametrize(
    ("action", "instance_id"),
    [("DescribeBackups", "dds-demo-replica"), ("DescribeClusterBackups", "dds-demo-cluster")],
)
def test_malformed_queries(call, action, instance_id, query, code):
    assert call.refusal(action, DBInstanceId=instance_id, **query) == (400, code)


@pytest.mark.parametrize(
    ("action", "instance_id", "name"),
    [
        ("DescribeBackups", "dds-demo-replica", "PageNumber"),
        ("DescribeClusterBackups", "dds-demo-cluster", "PageNo"),
    ],
)
def test_page_numbers_begin_at_one_and_have_a_name_of_their_own(call, action, instance_id, name):
    refused = call.refusal(action, DBInstanceId=instance_id, **{name: 0})
    assert refused == (400, f"Invalid{name}.Malformed")


@pytest.mark.parametrize("size", [30, 50, 100])
def test_pages_of_sets(call, finished, size):
    made = finished(101)
    seen = []
    for number in range(1, 101 // size + 2):
        body = call("DescribeBackups", PageNumber=number, PageSize=size, **REPLICA)
        assert (body["TotalCount"], body["PageNumber"], body["PageSize"]) == (101, number, size)
        seen += [item["BackupJobId"] for item in body["Backups"]["Backup"]]
    assert seen == made[::-1]
    assert call("DescribeBackups", PageNumber=99, **REPLICA)["Backups"] == {"Backup": []}


def test_pages_of_cluster_sets_have_no_total(call, finished):
    finished(31, "dds-demo-cluster")
    first = call("DescribeClusterBackups", DBInstanceId="dds-demo-cluster", PageNo=1)
    second = call("DescribeClusterBackups", DBInstanceId="dds-demo-cluster", PageNo=2)
    assert [len(body["ClusterBackups"]) for body in (first, second)] == [30, 1]
    assert "TotalCount" not in first
    assert (second["PageNumber"], second["PageSize"]) == (2, 30)


def test_cluster_set(clock, backup, cluster_sets):
    asked = clock.now
    job_id = backup("dds-demo-cluster")
    clock.advance(300)
    (found,) = cluster_sets(BackupJobId=job_id)
    children = found.pop("Backups")
    assert found == {
        "ClusterBackupId": f"cb-emulated{job_id}",
        "ClusterBackupStatus": "OK",
        "ClusterBackupMode": "Manual",
        "ClusterBackupStartTime": utc_text(asked + 10),
        "ClusterBackupEndTime": utc_text(asked + 300),
        "ClusterBackupSize": str(2 * 1_503_238_553),
        "AttachLogStatus": "Ready",
        "IsAvail": 1,
        "EngineVersion": "7.0",
        "BackupExpireTime": utc_text(asked + 300 + 7 * 86_400),
        "ExtraInfo": {"RegistryFromHistory": "0"},
    }
    assert [child["ExtraInfo"]["NodeId"] for child in children] == ["d-demo-cluster-1", "d-demo-cluster-2"]
    assert [child["InstanceName"] for child in children] == ["d-demo-cluster-1", "d-demo-cluster-2"]
    assert {(child["BackupStatus"], child["IsAvail"], child["BackupSize"]) for child in children} == {
        ("Success", "1", "1503238553")
    }


def test_cluster_set_without_its_children(backup, clock, cluster_sets):
    backup("dds-demo-cluster")
    clock.advance(300)
    assert "Backups" not in cluster_sets(IsOnlyGetClusterBackUp="true")[0]
    assert "Backups" in cluster_sets(IsOnlyGetClusterBackUp="false")[0]


def test_running_cluster_set_tells_its_progress_without_a_percent_sign(backup, clock, cluster_sets):
    backup("dds-demo-cluster")
    assert cluster_sets() == []
    clock.advance(165)
    (found,) = cluster_sets()
    assert (found["ClusterBackupStatus"], found["Progress"], found["IsAvail"]) == ("Running", "50", 0)
    assert found["AttachLogStatus"] == "Init"
    assert "ClusterBackupEndTime" not in found


def test_failed_cluster_set(emu, backup, clock, cluster_sets):
    emu.service.next_job("dds-demo-cluster", fail_at=50)
    job_id = backup("dds-demo-cluster")
    clock.advance(300)
    (found,) = cluster_sets(BackupJobId=job_id)
    assert (found["ClusterBackupStatus"], found["IsAvail"], found["AttachLogStatus"]) == ("Failed", 0, "Failed")
    assert {child["IsAvail"] for child in found["Backups"]} == {"0"}


def test_cluster_sets_are_filtered(finished, cluster_sets):
    first, second = finished(2, "dds-demo-cluster")
    assert cluster_sets(BackupJobId="1") == []
    assert [item["ClusterBackupId"] for item in cluster_sets(BackupJobId=first)] == [f"cb-emulated{first}"]
    (found,) = cluster_sets(BackupId=f"cb-emulated{second}")
    window = minute(parse_utc(found["ClusterBackupStartTime"]))
    assert parse_utc(window, MINUTE_FORMAT) is not None
    assert [item["ClusterBackupId"] for item in cluster_sets(StartTime=window)] == [found["ClusterBackupId"]]


def test_sdk_reads_cluster_sets(sdk, finished):
    (job_id,) = finished(1, "dds-demo-cluster")
    request = models.DescribeClusterBackupsRequest(
        dbinstance_id="dds-demo-cluster", backup_job_id=job_id, is_only_get_cluster_back_up=True
    )
    (found,) = sdk().describe_cluster_backups(request).body.cluster_backups
    assert (found.cluster_backup_status, found.is_avail) == ("OK", 1)


@pytest.mark.parametrize("instance_id", ["dds-demo-replica", "dds-demo-sharded", "dds-demo-local"])
def test_only_clusters_in_cluster_backup_mode_have_cluster_sets(call, instance_id):
    refused = call.refusal("DescribeClusterBackups", DBInstanceId=instance_id)
    assert refused == (400, "IncorrectDBInstanceType")


def test_bad_boolean(call):
    refused = call.refusal("DescribeClusterBackups", DBInstanceId="dds-demo-cluster", IsOnlyGetClusterBackUp="y")
    assert refused == (400, "InvalidIsOnlyGetClusterBackUp.Malformed")


def test_shard_mode_has_one_set_per_shard(finished, sets, call):
    (job_id,) = finished(1, "dds-demo-sharded")
    found = [sets("dds-demo-sharded", NodeId=node, BackupJobId=job_id) for node in SHARDS]
    assert [len(rows) for rows in found] == [1, 1]
    assert found[0][0]["BackupId"] != found[1][0]["BackupId"]
    assert call.refusal("DescribeBackups", DBInstanceId="dds-demo-sharded") == (400, "MissingNodeId")
    unknown = call.refusal("DescribeBackups", DBInstanceId="dds-demo-sharded", NodeId="d-x")
    assert unknown == (404, "InvalidNodeId.NotFound")


def history(call, clock, **query):
    window = {"FromStartTime": utc_text(clock.now - 86_400), "ToStartTime": utc_text(clock.now)}
    return call("DescribeHistoryTasks", **{**window, **query})


def test_history_tells_how_jobs_went(emu, call, clock, backup):
    emu.service.next_job("dds-demo-local", fail_at=50)
    good, bad = backup(), backup("dds-demo-local")
    seen = []
    for seconds in (0, 10, 155, 135):
        clock.advance(seconds)
        items = {item["TaskId"]: item for item in history(call, clock)["Items"]}
        seen.append((items[good]["Status"], items[bad]["Status"]))
    assert seen == [
        ("Scheduled", "Scheduled"),
        ("Running", "Running"),
        ("Running", "Failed"),
        ("Succeed", "Failed"),
    ]
    assert items[good]["TaskType"] == "ManualBackupIns"
    assert items[good]["InstanceId"] == "dds-demo-replica"
    assert items[good]["Progress"] == 100.0
    assert items[good]["EndTime"] == utc_text(clock.now)


def test_sdk_reads_the_history(sdk, clock, finished):
    (job_id,) = finished()
    request = models.DescribeHistoryTasksRequest(
        from_start_time=utc_text(clock.now - 3600), to_start_time=utc_text(clock.now), instance_id="dds-demo-replica"
    )
    body = sdk().describe_history_tasks(request).body
    assert (body.total_count, body.items[0].task_id, body.items[0].status) == (1, job_id, "Succeed")


def test_history_is_filtered(call, clock, emu, finished):
    first, second = finished(2)
    automatic = emu.service.start_automatic_backup("dds-demo-cluster")

    def ids(**query):
        return [item["TaskId"] for item in history(call, clock, **query)["Items"]]

    assert ids() == [automatic, second, first]
    assert ids(TaskType="ManualBackupIns") == [second, first]
    assert ids(InstanceId="dds-demo-cluster,dds-demo-local") == [automatic]
    assert ids(Status="Succeed,Failed") == [second, first]
    assert ids(TaskId=first) == [first]
    assert ids(RegionId="cn-beijing") == []
    assert ids(FromStartTime=utc_text(clock.now - 1500)) == [automatic, second]
    assert ids(ToStartTime=utc_text(clock.now - 1500)) == [first]


def test_history_goes_back_thirty_days(call, clock, finished):
    finished()
    clock.advance(31 * 86_400)
    assert history(call, clock, FromStartTime="2020-01-01T00:00:00Z")["Items"] == []


def test_pages_of_the_history(call, clock, finished):
    made = finished(11)
    first, second = history(call, clock), history(call, clock, PageNumber=2)
    assert (first["TotalCount"], first["PageSize"]) == (11, 10)
    assert [item["TaskId"] for item in first["Items"] + second["Items"]] == made[::-1]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"FromStartTime": "2024-01-01T00:00Z"}, "InvalidFromStartTime.Malformed"),
        ({"FromStartTime": "9000-01-01T00:00:00Z"}, "InvalidFromStartTimeAndToStartTime.Malformed"),
        ({"PageSize": "9"}, "InvalidPageSize.Malformed"),
        ({"PageNumber": "-1"}, "InvalidPageNumber.Malformed"),
    ],
)
def test_malformed_history_queries(call, clock, query, code):
    window = {"FromStartTime": utc_text(clock.now - 60), "ToStartTime": utc_text(clock.now)}
    assert call.refusal("DescribeHistoryTasks", **{**window, **query}) == (400, code)
