"""The service's answers, read from the samples of its documentation and from what servers may send instead."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from datetime import datetime, timezone

import pytest

from airflow_provider_dds.api.models import (
    BackupJob,
    BackupSet,
    DBInstance,
    HistoryTask,
    Layout,
    backup_facts,
    flag,
    happened,
    number,
    percent,
    rows,
    text,
    when,
)
from airflow_provider_dds.exceptions import DdsResponseError

JOB_ROW = {
    "BackupjobId": "170034\n",
    "BackupSetStatus": "Backuping",
    "BackupStartTime": "2024-01-16T11:04:56Z",
    "Progress": "18%",
    "JobMode": "Manual",
}
SET_ROW = {
    "BackupId": "5664",
    "BackupJobId": "170034\n",
    "BackupStatus": "Success",
    "BackupType": "FullBackup",
    "BackupMethod": "Snapshot",
    "BackupMode": "Manual",
    "BackupStartTime": "2024-01-16T11:04:56Z",
    "BackupEndTime": "2024-01-16T11:24:56Z",
    "BackupSize": 2167808,
    "BackupDBNames": "orders,customers",
    "BackupDownloadURL": "https://bucket.example/set?Signature=public-secret",
    "BackupIntranetDownloadURL": "https://bucket.example/set?Signature=intranet-secret",
    "BackupName": "12345678.tar.gz",
    "BackupScale": "DBInstance",
    "IsAvail": True,
    "EngineVersion": "5.0",
    "BackupExpireTime": "9999-01-01T00:00:00Z",
}
NODE_ROW = {
    "BackupId": "5664",
    "InstanceName": "d-shard-1\n",
    "BackupStatus": "Success",
    "BackupSize": "1024",
    "BackupStartTime": "2024-01-16T11:04:56Z",
    "BackupEndTime": "2024-01-16T11:24:56Z",
    "BackupDownloadURL": "https://bucket.example/node?Signature=node-secret",
    "IsAvail": "1",
    "ExtraInfo": {"NodeId": "d-shard-1", "NodeType": "db", "InstanceClass": "mdb.shard.2x", "StorageSize": "20480"},
}
CLUSTER_ROW = {
    "ClusterBackupId": "cb-1",
    "ClusterBackupStatus": "OK",
    "ClusterBackupMode": "Manual",
    "ClusterBackupStartTime": "2024-01-16T11:04:56Z",
    "ClusterBackupEndTime": "2024-01-16T11:24:56Z",
    "ClusterBackupSize": "2048",
    "AttachLogStatus": "Ready",
    "IsAvail": 1,
    "EngineVersion": "5.0",
    "BackupExpireTime": "2024-02-16T11:24:56Z",
    "ExtraInfo": {"RegistryFromHistory": "0"},
    "Backups": [NODE_ROW, {**NODE_ROW, "BackupId": "5665"}],
}
INSTANCE_ROW = {
    "DBInstanceId": "dds-1",
    "DBInstanceStatus": "Running",
    "DBInstanceType": "replicate",
    "StorageType": "cloud_essd1",
    "KindCode": "18",
    "UseClusterBackup": False,
    "LockMode": "Unlock",
    "RegionId": "cn-hangzhou",
    "EngineVersion": "5.0",
}
SHARDS = {"ShardAttribute": [{"NodeId": "d-shard-1\n"}, {"NodeId": "d-shard-2"}]}
START = datetime(2024, 1, 16, 11, 4, 56, tzinfo=timezone.utc)
END = datetime(2024, 1, 16, 11, 24, 56, tzinfo=timezone.utc)


# --- single values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wire", "clean"),
    [
        ("170034\n", "170034"),
        (170034, "170034"),
        (170034.0, "170034"),
        (2.5, "2.5"),
        (2**70, str(2**70)),
        (" 170034 ", "170034"),
        ("", ""),
        (None, ""),
        (0, "0"),
    ],
)
def test_text_is_clean_whatever_type_the_service_sends(wire, clean):
    assert text(wire) == clean


@pytest.mark.parametrize(
    ("wire", "moment"),
    [
        ("2024-01-16T11:04:56Z", START),
        ("2024-01-16T11:04Z", START.replace(second=0)),
        ("2024-01-16T11:04:56Z\n", START),
        ("9999-01-01T00:00:00Z", datetime(9999, 1, 1, tzinfo=timezone.utc)),
        ("2024-01-16 11:04:56", None),
        ("2024-13-16T11:04:56Z", None),
        ("soon", None),
        ("", None),
        (None, None),
        (1705403096, None),
    ],
)
def test_time_is_aware_utc_or_unknown(wire, moment):
    assert when(wire) == moment


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        (2167808, 2167808),
        ("2167808", 2167808),
        ("2167808\n", 2167808),
        ("0", 0),
        (1.5, 1),
        (2**53 + 1, 2**53 + 1),
        (str(2**53 + 1), 2**53 + 1),
        (str(2**70 + 1), 2**70 + 1),
        ("1e3", 1000),
        ("1e999999999", None),
        ("9" * 5000, None),
        ([1], None),
        ("", None),
        (None, None),
        ("12 GB", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_number_may_be_text_and_is_unknown_when_it_is_not_one(wire, value):
    assert number(wire) == value


@pytest.mark.parametrize(
    ("wire", "share"),
    [
        ("18%", 18),
        ("50", 50),
        (50, 50),
        (50.0, 50),
        ("99.9%", 99),
        ("0%", 0),
        ("100%", 100),
        ("18 %", 18),
        ("101%", None),
        ("-1", None),
        ("half", None),
        ("%", None),
        ("", None),
        (None, None),
        ("nan", None),
        ({"value": 18}, None),
    ],
)
def test_progress_is_a_whole_share_or_unknown(wire, share):
    assert percent(wire) == share


# --- lists ------------------------------------------------------------------------------------------------------------


def _names(body, key="Names", inner="Name"):
    return rows(body, key, inner, lambda row: row["N"])


@pytest.mark.parametrize(
    "body",
    [
        {"Names": [{"N": 1}, {"N": 2}]},
        {"Names": {"Name": [{"N": 1}, {"N": 2}]}},
    ],
    ids=["plain", "wrapped"],
)
def test_list_is_read_plain_and_wrapped(body):
    assert _names(body) == [1, 2]


@pytest.mark.parametrize(
    "body",
    [
        {"RequestId": "R", "Names": []},
        {"RequestId": "R", "Names": {"Name": []}},
        {"RequestId": "R", "Names": {}},
        {"RequestId": "R", "Names": None},
        {"RequestId": "R"},
        {"Names": []},
    ],
)
def test_empty_or_missing_list_of_a_real_answer_means_no_rows(body):
    assert _names(body) == []


@pytest.mark.parametrize(
    "body", [{}, {"RequestId": ""}, {"RequestId": None, "Names": None}, {"Names": {}}, {"Code": "200"}]
)
def test_missing_list_without_a_request_id_is_no_answer(body):
    with pytest.raises(DdsResponseError, match="'Names'"):
        _names(body)


@pytest.mark.parametrize(
    "found",
    [
        "",
        "text",
        0,
        7,
        True,
        ["text"],
        [{"N": 1}, None],
        [[{"N": 1}]],
        {"Name": "text"},
        {"Name": {"N": 1}},
        {"Other": []},
    ],
)
def test_list_of_another_shape_is_not_trusted(found):
    with pytest.raises(DdsResponseError, match="'Names'"):
        _names({"RequestId": "R", "Names": found})


# --- backup jobs ------------------------------------------------------------------------------------------------------


def test_job_is_read_from_the_documented_sample():
    assert BackupJob.from_wire(JOB_ROW) == BackupJob(
        backup_job_id="170034", status="Backuping", start_time=START, progress=18, job_mode="Manual"
    )


@pytest.mark.parametrize(
    "id_field",
    [
        {"BackupjobId": "170034\n"},
        {"BackupjobId": "170034"},
        {"BackupjobId": 170034},
        {"BackupjobId": 170034.0},
        {"BackupjobId": None, "BackupJobId": "170034"},
        {"BackupjobId": " 170034 "},
        {"BackupJobId": "170034"},
        {"BackupJobId": 170034},
    ],
    ids=str,
)
def test_id_with_a_newline_as_a_number_or_with_a_capital_j_is_the_same_id(id_field):
    assert BackupJob.from_wire({"BackupSetStatus": "Finished", **id_field}).backup_job_id == "170034"


def test_lower_case_j_wins_where_a_row_has_both_spellings():
    assert BackupJob.from_wire({"BackupjobId": "1", "BackupJobId": "2"}).backup_job_id == "1"


def test_job_with_nothing_but_an_id_has_everything_else_unknown():
    assert BackupJob.from_wire({"BackupjobId": "1"}) == BackupJob("1", "", None, None, "")


def test_unreadable_progress_and_time_of_a_job_do_not_matter():
    job = BackupJob.from_wire({**JOB_ROW, "Progress": "soon", "BackupStartTime": "yesterday"})
    assert (job.status, job.progress, job.start_time) == ("Backuping", None, None)


@pytest.mark.parametrize("status", ["Scheduled", "Checking", "Backuping", "Finished", "Pausing"])
def test_status_of_a_job_is_the_service_s_word(status):
    assert BackupJob.from_wire({**JOB_ROW, "BackupSetStatus": f"{status}\n"}).status == status


# --- backup sets ------------------------------------------------------------------------------------------------------


def test_set_is_read_from_the_documented_sample():
    assert BackupSet.from_wire(SET_ROW) == BackupSet(
        backup_id="5664",
        backup_job_id="170034",
        status="Success",
        backup_method="Snapshot",
        backup_mode="Manual",
        backup_type="FullBackup",
        start_time=START,
        end_time=END,
        size_bytes=2167808,
        expire_time=datetime(9999, 1, 1, tzinfo=timezone.utc),
        engine_version="5.0",
        available=True,
    )


@pytest.mark.parametrize("size", [2167808, "2167808"])
def test_size_of_a_set_may_be_text(size):
    assert BackupSet.from_wire({**SET_ROW, "BackupSize": size}).size_bytes == 2167808


def test_ids_of_a_set_may_be_numbers():
    found = BackupSet.from_wire({**SET_ROW, "BackupId": 5664, "BackupJobId": 170034})
    assert (found.backup_id, found.backup_job_id) == ("5664", "170034")


def test_empty_words_of_a_set_are_unknown():
    found = BackupSet.from_wire(
        {"BackupId": "1", "BackupStatus": "Success", "BackupMethod": "", "BackupMode": "\n", "EngineVersion": None}
    )
    assert found == BackupSet("1", "", "Success")


@pytest.mark.parametrize(
    "found", [BackupSet.from_wire(SET_ROW), BackupSet.from_cluster_wire(CLUSTER_ROW)], ids=["set", "cluster backup"]
)
def test_download_links_are_never_read(found):
    assert "http" not in repr(found)
    assert "secret" not in repr(found)


# --- cluster backups --------------------------------------------------------------------------------------------------


def test_cluster_backup_is_read_from_the_documented_sample():
    assert replace(BackupSet.from_cluster_wire(CLUSTER_ROW), nodes=()) == BackupSet(
        backup_id="cb-1",
        backup_job_id="",
        status="Success",
        backup_mode="Manual",
        start_time=START,
        end_time=END,
        size_bytes=2048,
        expire_time=datetime(2024, 2, 16, 11, 24, 56, tzinfo=timezone.utc),
        engine_version="5.0",
        available=True,
    )


def test_cluster_backup_knows_the_sets_of_its_nodes():
    shown = {"ExtraInfo": {"NodeId": "d-1"}}, {"InstanceName": "d-2\n", "ExtraInfo": None}, {"ExtraInfo": ["?"]}
    nodes = [{"BackupId": str(number), "BackupStatus": "Success", **row} for number, row in enumerate(shown)]
    found = BackupSet.from_cluster_wire({**CLUSTER_ROW, "Backups": nodes}).nodes
    assert [(each.backup_id, each.node_id) for each in found] == [("0", "d-1"), ("1", "d-2"), ("2", None)]


FLAGS = [
    (True, True),
    (1, True),
    (1.0, True),
    ("1", True),
    ("true", True),
    ("True\n", True),
    ("YES", True),
    (False, False),
    (0, False),
    (0.0, False),
    ("0", False),
    ("false", False),
    ("FALSE", False),
    ("Deleted", False),
    ("-1", False),
    ([], False),
    (None, None),
    ("", None),
]


@pytest.mark.parametrize(("wire", "known"), FLAGS, ids=repr)
def test_flag_is_true_only_where_it_says_so_and_unknown_where_it_is_absent(wire, known):
    assert flag(wire) is known


@pytest.mark.parametrize(("wire", "known"), FLAGS, ids=repr)
def test_set_is_available_whatever_type_says_so(wire, known):
    assert BackupSet.from_wire({**SET_ROW, "IsAvail": wire}).available is known
    assert BackupSet.from_cluster_wire({**CLUSTER_ROW, "Backups": [], "IsAvail": wire}).available is known


def test_set_without_the_field_is_not_said_to_be_available_or_not():
    assert BackupSet.from_wire({name: value for name, value in SET_ROW.items() if name != "IsAvail"}).available is None


@pytest.mark.parametrize("of_cluster", [1, None])
@pytest.mark.parametrize(("of_node", "known"), [("0", False), ("1", True)])
def test_cluster_backup_is_available_only_with_the_set_of_each_node(of_cluster, of_node, known):
    nodes = [NODE_ROW, {**NODE_ROW, "IsAvail": of_node}]
    assert BackupSet.from_cluster_wire({**CLUSTER_ROW, "IsAvail": of_cluster, "Backups": nodes}).available is known


def test_cluster_backup_with_a_node_that_is_not_done_is_not_a_success():
    row = {**CLUSTER_ROW, "Backups": [NODE_ROW, {**NODE_ROW, "BackupStatus": "Running"}]}
    assert BackupSet.from_cluster_wire(row).status == "Incomplete"


@pytest.mark.parametrize(
    ("kind", "full"),
    [
        ("FullBackup", True),
        ("fullbackup", True),
        ("", True),
        (None, True),
        ("IncrementalBackup", False),
        ("Log", False),
    ],
)
def test_set_is_full_unless_it_says_otherwise(kind, full):
    assert BackupSet.from_wire({**SET_ROW, "BackupType": kind}).is_full is full


@pytest.mark.parametrize(
    ("regions", "is_copy"),
    [
        ({}, False),
        ({"SrcRegion": "", "DestRegion": ""}, False),
        ({"SrcRegion": "cn-hangzhou", "DestRegion": "cn-hangzhou"}, False),
        ({"SrcRegion": "cn-hangzhou"}, False),
        ({"SrcRegion": "cn-hangzhou", "DestRegion": "cn-beijing"}, True),
    ],
    ids=str,
)
def test_set_in_another_region_is_a_copy(regions, is_copy):
    assert BackupSet.from_wire({**SET_ROW, **regions}).is_copy is is_copy


@pytest.mark.parametrize("odd", [[], ["170034"], {"Id": 1}, True])
@pytest.mark.parametrize(
    ("read", "row", "name"),
    [
        (BackupJob.from_wire, JOB_ROW, "BackupjobId"),
        (BackupJob.from_wire, JOB_ROW, "BackupSetStatus"),
        (BackupSet.from_wire, SET_ROW, "BackupId"),
        (BackupSet.from_wire, SET_ROW, "BackupJobId"),
        (BackupSet.from_wire, SET_ROW, "BackupStatus"),
        (BackupSet.from_cluster_wire, CLUSTER_ROW, "ClusterBackupId"),
        (BackupSet.from_cluster_wire, CLUSTER_ROW, "ClusterBackupStatus"),
        (BackupSet.from_cluster_wire, CLUSTER_ROW, "AttachLogStatus"),
        (DBInstance.from_wire, INSTANCE_ROW, "DBInstanceId"),
        (DBInstance.from_wire, INSTANCE_ROW, "KindCode"),
        (DBInstance.from_wire, {**INSTANCE_ROW, "ShardList": {"ShardAttribute": [{"NodeId": []}]}}, "NodeId"),
    ],
)
def test_field_that_decides_is_not_trusted_with_another_type(read, row, name, odd):
    with pytest.raises(DdsResponseError, match=name):
        read(row if name == "NodeId" else {**row, name: odd})


def test_shards_are_named_once_and_not_without_an_id():
    shards = [{"NodeId": "d-1"}, {"NodeId": "d-1\n"}, {"NodeId": ""}, {}, {"NodeId": 2}]
    row = {**INSTANCE_ROW, "ShardList": {"ShardAttribute": shards}}
    assert DBInstance.from_wire(row).shard_node_ids == ("d-1", "2")


@pytest.mark.parametrize(
    ("logs", "status"),
    [
        ("Ready", "Success"),
        ("No_Need", "Success"),
        ("", "Success"),
        (None, "Success"),
        ("Init", "Incomplete"),
        ("Running", "Incomplete"),
        ("Pausing", "Incomplete"),
        ("Failed", "Failed"),
    ],
)
def test_cluster_backup_is_a_success_only_with_the_logs_it_needs(logs, status):
    assert BackupSet.from_cluster_wire({**CLUSTER_ROW, "AttachLogStatus": logs}).status == status


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("OK", "Success"),
        ("OK\n", "Success"),
        ("Failed", "Failed"),
        ("failure", "Failed"),
        ("Running", "Running"),
        ("Success", "Success"),
        ("", ""),
    ],
)
def test_word_of_a_cluster_backup_becomes_the_word_of_a_set(word, status):
    assert BackupSet.from_cluster_wire({**CLUSTER_ROW, "ClusterBackupStatus": word}).status == status


def test_failed_node_fails_the_cluster_backup():
    row = {**CLUSTER_ROW, "Backups": [NODE_ROW, {**NODE_ROW, "BackupStatus": "Failed"}]}
    assert BackupSet.from_cluster_wire(row).status == "Failed"


def test_cluster_backup_may_come_without_its_nodes():
    row = {name: value for name, value in CLUSTER_ROW.items() if name != "Backups"}
    assert BackupSet.from_cluster_wire(row).status == "Success"


def test_nodes_of_another_shape_are_not_trusted():
    with pytest.raises(DdsResponseError, match="'Backups'"):
        BackupSet.from_cluster_wire({**CLUSTER_ROW, "Backups": "none"})


# --- instances --------------------------------------------------------------------------------------------------------


def test_instance_is_read_with_the_fields_backups_depend_on():
    assert DBInstance.from_wire({**INSTANCE_ROW, "DBInstanceType": "sharding", "ShardList": SHARDS}) == DBInstance(
        db_instance_id="dds-1",
        status="Running",
        instance_type="sharding",
        storage_type="cloud_essd1",
        kind_code="18",
        use_cluster_backup=False,
        lock_mode="Unlock",
        region_id="cn-hangzhou",
        engine_version="5.0",
        shard_node_ids=("d-shard-1", "d-shard-2"),
    )


@pytest.mark.parametrize(
    "shards", [{}, {"ShardList": None}, {"ShardList": {}}, {"ShardList": {"ShardAttribute": []}}], ids=str
)
def test_instance_without_shards_has_no_shard_nodes(shards):
    assert DBInstance.from_wire({**INSTANCE_ROW, **shards}).shard_node_ids == ()


@pytest.mark.parametrize("shards", ["d-shard-1", 2, ["d-shard-1"], {"ShardAttribute": ["d-shard-1"]}], ids=str)
def test_shard_list_of_another_shape_is_not_trusted(shards):
    with pytest.raises(DdsResponseError):
        DBInstance.from_wire({**INSTANCE_ROW, "ShardList": shards})


@pytest.mark.parametrize(
    ("wire", "value"),
    [(True, True), ("true", True), ("True", True), (False, False), ("false", False), (None, False), ("", False)],
)
def test_cluster_backup_mode_may_be_a_flag_or_text(wire, value):
    assert DBInstance.from_wire({**INSTANCE_ROW, "UseClusterBackup": wire}).use_cluster_backup is value


SHARDED = {"DBInstanceType": "sharding", "ShardList": SHARDS}


@pytest.mark.parametrize(
    ("fields", "layout"),
    [
        ({}, Layout.REPLICA_SET),
        ({"KindCode": 18}, Layout.REPLICA_SET),
        ({"KindCode": ""}, Layout.REPLICA_SET),
        ({"StorageType": "cloud_auto"}, Layout.REPLICA_SET),
        ({"UseClusterBackup": True}, Layout.REPLICA_SET),
        ({"DBInstanceType": "sharding"}, Layout.SHARDED),
        (SHARDED, Layout.SHARDED),
        ({"ShardList": SHARDS}, Layout.SHARDED),
        ({**SHARDED, "UseClusterBackup": True}, Layout.CLUSTER),
        ({**SHARDED, "UseClusterBackup": "true"}, Layout.CLUSTER),
        ({"KindCode": "0", "StorageType": "local_ssd"}, Layout.LOCAL),
        ({"KindCode": 0, "StorageType": ""}, Layout.LOCAL),
        ({"KindCode": "", "StorageType": "local_ssd"}, Layout.LOCAL),
        ({"KindCode": "3"}, Layout.LOCAL),
        ({"KindCode": 3}, Layout.LOCAL),
        ({**SHARDED, "KindCode": "0", "StorageType": "local_ssd"}, Layout.LOCAL_SHARDED),
        ({**SHARDED, "KindCode": "0", "UseClusterBackup": True}, Layout.LOCAL_SHARDED),
    ],
    ids=str,
)
def test_layout_follows_from_kind_storage_and_shards(fields, layout):
    assert DBInstance.from_wire({**INSTANCE_ROW, **fields}).layout is layout


# --- history ----------------------------------------------------------------------------------------------------------


def test_history_task_is_read_from_the_documented_fields():
    row = {
        "TaskId": 1234,
        "TaskType": "ManualBackupIns",
        "Status": "Running",
        "Progress": 79.9,
        "StartTime": "2024-01-16T11:04:56Z",
        "EndTime": "",
        "CurrentStepName": "exec_task",
        "ReasonCode": "",
        "InstanceId": "dds-1\n",
    }
    assert HistoryTask.from_wire(row) == HistoryTask(
        task_id="1234",
        task_type="ManualBackupIns",
        status="Running",
        db_instance_id="dds-1",
        start_time=START,
        end_time=None,
        progress=79,
        current_step="exec_task",
        reason_code=None,
    )


def test_failed_history_task_keeps_its_reason():
    task = HistoryTask.from_wire({"Status": "Failed", "ReasonCode": "timeout", "EndTime": "2024-01-16T11:24:56Z"})
    assert (task.status, task.reason_code, task.end_time) == ("Failed", "timeout", END)


@pytest.mark.parametrize(
    "model",
    [
        BackupJob.from_wire(JOB_ROW),
        BackupSet.from_wire(SET_ROW),
        DBInstance.from_wire(INSTANCE_ROW),
        HistoryTask.from_wire({}),
    ],
    ids=lambda model: type(model).__name__,
)
def test_models_cannot_be_changed(model):
    with pytest.raises(FrozenInstanceError):
        model.status = "Finished"


# --- the facts that are handed on -------------------------------------------------------------------------------------

JOB = BackupJob.from_wire({**JOB_ROW, "BackupSetStatus": "Finished"})
SET = BackupSet.from_wire(SET_ROW)
FACTS = {
    "db_instance_id",
    "backup_job_id",
    "backup_id",
    "status",
    "backup_method",
    "backup_mode",
    "backup_type",
    "start_time",
    "end_time",
    "size_bytes",
    "expire_time",
    "engine_version",
}


def test_facts_of_one_set_are_those_of_the_set():
    assert backup_facts("dds-1", "170034", JOB, (SET,)) == {
        "db_instance_id": "dds-1",
        "backup_job_id": "170034",
        "backup_id": "5664",
        "status": "Success",
        "backup_method": "Snapshot",
        "backup_mode": "Manual",
        "backup_type": "FullBackup",
        "start_time": "2024-01-16T11:04:56+00:00",
        "end_time": "2024-01-16T11:24:56+00:00",
        "size_bytes": 2167808,
        "expire_time": "9999-01-01T00:00:00+00:00",
        "engine_version": "5.0",
    }


def test_facts_of_several_shards_are_one_backup():
    second = replace(
        SET,
        backup_id="5665",
        size_bytes=92,
        start_time=START.replace(hour=10),
        end_time=END.replace(hour=12),
        expire_time=END.replace(year=2025),
    )
    facts = backup_facts("dds-1", "170034", JOB, (SET, second))
    assert facts["backup_id"] == "5664,5665"
    assert facts["size_bytes"] == 2167900
    assert facts["start_time"] == "2024-01-16T10:04:56+00:00"
    assert facts["end_time"] == "2024-01-16T12:24:56+00:00"
    assert facts["expire_time"] == "2025-01-16T11:24:56+00:00", "the first shard to expire ends the backup"
    assert facts["status"] == "Success"


def test_facts_without_a_set_are_those_of_the_job():
    facts = backup_facts("dds-1", "170034", JOB, ())
    known = {name: value for name, value in facts.items() if value is not None}
    assert known == {
        "db_instance_id": "dds-1",
        "backup_job_id": "170034",
        "status": "Finished",
        "backup_mode": "Manual",
        "start_time": "2024-01-16T11:04:56+00:00",
    }


def test_facts_without_job_and_set_know_only_the_ids():
    facts = backup_facts("dds-1", "170034", None, ())
    assert {name: value for name, value in facts.items() if value is not None} == {
        "db_instance_id": "dds-1",
        "backup_job_id": "170034",
    }


def test_start_of_a_set_without_one_is_that_of_the_job():
    facts = backup_facts("dds-1", "170034", JOB, (replace(SET, start_time=None),))
    assert facts["start_time"] == "2024-01-16T11:04:56+00:00"


def test_size_of_an_empty_backup_is_zero_not_unknown():
    assert backup_facts("dds-1", "170034", JOB, (replace(SET, size_bytes=0),))["size_bytes"] == 0


@pytest.mark.parametrize(
    ("job", "sets"),
    [
        (JOB, (SET,)),
        (JOB, (SET, replace(SET, backup_id="5665"))),
        (JOB, (BackupSet.from_cluster_wire(CLUSTER_ROW),)),
        (JOB, ()),
        (None, (SET,)),
        (None, ()),
    ],
)
def test_facts_are_always_the_same_fields_as_plain_json_without_a_link(job, sets):
    facts = backup_facts("dds-1", "170034", job, sets)
    assert facts.keys() == FACTS
    assert json.loads(json.dumps(facts)) == facts
    assert "://" not in json.dumps(facts)


@pytest.mark.parametrize("wire", ["0001-01-01T00:00:00Z", "1970-01-01T00:00Z", "9999-12-31T23:59:59Z", "soon", None])
def test_time_at_which_nothing_can_have_happened_is_none(wire):
    assert happened(wire) is None
    assert happened("2024-01-16T11:04:56Z") == START
