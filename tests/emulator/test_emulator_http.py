"""What the HTTP side refuses, how errors look, and what the request log keeps."""

from __future__ import annotations

import re

import pytest
from alibabacloud_dds20151201 import models
from alibabacloud_tea_openapi.exceptions import ClientException

from airflow_provider_dds.emulator import Credential, Readings

REPLICA = {"DBInstanceId": "dds-demo-replica"}


def test_every_answer_carries_a_request_id_of_its_own(call, emu):
    first, second = call.raw("DescribeRegions"), call.raw("CreateBackup")
    ids = [first.json()["RequestId"], second.json()["RequestId"]]
    assert ids == [request.request_id for request in emu.requests()]
    assert ids[0] != ids[1]
    assert all(re.fullmatch(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}", item) for item in ids)
    assert first.headers["x-acs-request-id"] == ids[0]
    assert first.headers["content-type"] == "application/json;charset=utf-8"


def test_error_body(call):
    response = call.raw("CreateBackup", DBInstanceId="dds-nowhere")
    body = response.json()
    assert response.status_code == 404
    assert body["Code"] == "InvalidDBInstanceId.NotFound"
    assert set(body) == {"Code", "Message", "RequestId", "HostId", "Recommend"}
    assert body["HostId"] == f"127.0.0.1:{call.emu.port}"
    assert body["RequestId"] in body["Recommend"]


def test_unknown_action(call):
    assert call.refusal("DropEverything") == (404, "InvalidAction.NotFound")


def test_no_action(call):
    assert call.http.get("/").json()["Code"] == "InvalidAction.NotFound"


def test_other_paths_are_no_part_of_the_service(call):
    headers = call.signed({}, call.headers("DescribeRegions"))
    response = call.send({}, headers, path="/somewhere")
    assert (response.status_code, response.json()["Code"]) == (404, "InvalidAction.NotFound")


@pytest.mark.parametrize("version", ["2014-05-26", None])
def test_other_versions(call, version):
    headers = call.headers("DescribeRegions")
    if version is None:
        del headers["x-acs-version"]
    else:
        headers["x-acs-version"] = version
    response = call.send({}, call.signed({}, headers))
    assert (response.status_code, response.json()["Code"]) == (400, "InvalidVersion")


@pytest.mark.parametrize(
    ("action", "name"),
    [
        ("CreateBackup", "DBInstanceId"),
        ("DescribeBackupTasks", "DBInstanceId"),
        ("DescribeBackups", "DBInstanceId"),
        ("DescribeClusterBackups", "DBInstanceId"),
        ("DescribeDBInstanceAttribute", "DBInstanceId"),
        ("DescribeHistoryTasks", "FromStartTime"),
    ],
)
def test_missing_parameter(emu, call, action, name):
    assert call.refusal(action) == (400, f"Missing{name}")
    emu.service.readings = Readings(missing_parameter="generic")
    assert call.refusal(action) == (400, "MissingParameter")


def test_region_id_may_be_needed(emu, call):
    emu.service.readings = Readings(region_id_needed=True)
    assert call.refusal("DescribeBackupTasks", **REPLICA) == (400, "MissingRegionId")
    assert call("DescribeBackupTasks", RegionId="cn-hangzhou", **REPLICA)["BackupJobs"] == []


def test_unknown_parameters_do_no_harm(call):
    assert call("DescribeBackupTasks", OwnerId="1", Nonsense="x", **REPLICA)["BackupJobs"] == []


def test_sdk_tells_the_error(sdk):
    with pytest.raises(ClientException) as caught:
        sdk().describe_backups(models.DescribeBackupsRequest(dbinstance_id="dds-demo-replica", page_size=10))
    assert (caught.value.status_code, caught.value.code) == (400, "InvalidPageSize.Malformed")
    assert caught.value.request_id


def test_regions(call, sdk):
    assert call("DescribeRegions")["Regions"]["DdsRegion"][0]["RegionId"] == "cn-hangzhou"
    body = sdk().describe_regions(models.DescribeRegionsRequest()).body
    assert body.regions.dds_region[0].region_id == "cn-hangzhou"


def test_log_tells_what_came_and_what_became_of_it(emu, call, clock):
    call("CreateBackup", BackupMethod="Snapshot", **REPLICA)
    clock.advance(1)
    call.refusal("CreateBackup", **REPLICA)
    first, second = emu.requests()
    assert (first.sequence, second.sequence) == (1, 2)
    assert first.action == "CreateBackup"
    assert first.params == {"BackupMethod": "Snapshot", **REPLICA}
    assert first.access_key_id == emu.access_key_id
    assert first.user_agent.startswith("python-httpx/")
    assert (first.status, first.code, first.executed, first.fault) == (200, None, True, None)
    assert (second.status, second.code, second.executed) == (403, "OperationDenied.BackupJobExists", False)
    assert second.time - first.time == 1
    assert emu.calls("CreateBackup") == 2
    assert emu.calls("DescribeBackups") == 0
    assert [request.sequence for request in emu.requests("CreateBackup")] == [1, 2]


def test_log_keeps_no_signature_token_or_nonce(emu, sdk):
    emu.service.add_credential(Credential("STS.id", "the-secret", security_token="the-token"))
    client = sdk(
        access_key_id="STS.id",
        access_key_secret="the-secret",
        security_token="the-token",
        signature_algorithm="v2",
    )
    client.describe_backup_tasks(models.DescribeBackupTasksRequest(dbinstance_id="dds-demo-replica"))
    (request,) = emu.requests()
    assert request.params == REPLICA
    assert "the-token" not in repr(request)
    assert "the-secret" not in repr(request)


def test_refused_key_is_not_named_in_the_log(emu, call):
    call.secret = "wrong"
    call.refusal("DescribeRegions")
    (request,) = emu.requests()
    assert (request.status, request.code, request.access_key_id) == (400, "SignatureDoesNotMatch", None)


def test_program_log_shows_requests_without_signatures(emu, sdk, caplog):
    caplog.set_level("INFO")
    client = sdk(signature_algorithm="v2")
    client.describe_backup_tasks(models.DescribeBackupTasksRequest(dbinstance_id="dds-demo-replica"))
    assert "DescribeBackupTasks {'DBInstanceId': 'dds-demo-replica'}: 200" in caplog.text
    assert "Signature" not in caplog.text
