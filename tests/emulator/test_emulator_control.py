"""The control plane."""

from __future__ import annotations

import httpx
import pytest

REPLICA = {"DBInstanceId": "dds-demo-replica"}


@pytest.fixture
def plane(emu):
    with httpx.Client(base_url=f"{emu.url}/_emulator", timeout=10, verify=False) as client:
        yield client


def test_health(plane, emu):
    assert plane.get("/health").json()["status"] == "ok"
    assert plane.get("/health").json()["speed"] == 1.0


def test_health_counts_the_connections_accepted_since_the_start(plane, emu):
    assert plane.get("/health").json()["connections"] == 1
    assert plane.get("/health").json()["connections"] == 1
    assert httpx.get(f"{emu.url}/_emulator/health").json()["connections"] == 2


def test_control_calls_are_no_part_of_the_request_log(plane, emu):
    plane.get("/health")
    plane.get("/requests")
    assert emu.requests() == []


def test_requests(plane, call):
    call("CreateBackup", **REPLICA)
    call("DescribeRegions")
    everything = plane.get("/requests").json()["requests"]
    assert [item["action"] for item in everything] == ["CreateBackup", "DescribeRegions"]
    (created,) = plane.get("/requests", params={"action": "CreateBackup"}).json()["requests"]
    assert created["params"] == REPLICA
    assert (created["sequence"], created["status"], created["executed"]) == (1, 200, True)
    assert (created["code"], created["fault"], created["access_key_id"]) == (None, None, call.key)


def test_state(plane, backup, clock):
    job_id = backup("dds-demo-cluster")
    clock.advance(165)
    state = plane.get("/state").json()
    assert {item["kind"] for item in state["instances"]} == {
        "cloud_replica",
        "cloud_cluster",
        "cloud_sharded",
        "local_replica",
        "standalone",
    }
    (job,) = state["jobs"]
    assert (job["job_id"], job["phase"], job["progress"], job["ended"]) == (job_id, "Backuping", 50.0, None)
    assert job["cluster_backup_id"] == f"cb-emulated{job_id}"
    assert state["readings"]["finished_rows"] == "listed"
    assert state["faults"] == []


def test_faults_are_added_listed_and_removed(plane, call):
    answer = plane.post("/faults", json={"kind": "throttle", "action": "DescribeRegions", "times": 2})
    assert (answer.status_code, answer.json()) == (201, {"ids": [1]})
    assert plane.post("/faults", json=[{"kind": "error"}, {"kind": "html"}]).json() == {"ids": [2, 3]}
    assert call.raw("DescribeRegions").status_code == 400
    first = plane.get("/faults").json()["faults"][0]
    assert (first["id"], first["kind"], first["spoiled"], first["times"]) == (1, "throttle", 1, 2)
    assert [item["id"] for item in plane.delete("/faults", params={"id": 1}).json()["faults"]] == [2, 3]
    assert plane.delete("/faults").json() == {"faults": []}
    assert call.raw("DescribeRegions").status_code == 200
    for number in ("1", "x"):
        refused = plane.delete("/faults", params={"id": number})
        assert (refused.status_code, refused.json()["error"]) == (400, f"id: no fault of number {number!r}")


def test_instances_are_created_and_changed(plane, call, emu):
    answer = plane.post("/instances", json={"instance_id": "dds-new", "kind": "cloud_sharded", "shards": 3})
    assert (answer.status_code, answer.json()["kind"]) == (201, "cloud_sharded")
    answer = plane.post("/instances", json={"instance_id": "dds-new", "status": "Restoring"})
    assert (answer.status_code, answer.json()["shards"]) == (200, 3)
    assert call.refusal("CreateBackup", DBInstanceId="dds-new") == (400, "IncorrectDBInstanceState")
    assert len(emu.service.instances["dds-new"].node_ids) == 3


def test_outcomes_are_queued(plane, backup, clock, row):
    order = {"instance_id": "dds-demo-replica", "outcome": {"fail_at": 10, "fail_word": "Broken"}, "count": 1}
    assert plane.post("/outcomes", json=order).status_code == 201
    job_id = backup()
    clock.advance(300)
    assert row(job_id)["BackupSetStatus"] == "Broken"


def test_automatic_backups_are_started(plane, row):
    answer = plane.post("/backups", json={"instance_id": "dds-demo-replica"})
    assert answer.status_code == 201
    assert row(answer.json()["job_id"])["JobMode"] == "Automated"
    again = plane.post("/backups", json={"instance_id": "dds-demo-replica"})
    assert (again.status_code, again.json()["code"]) == (403, "OperationDenied.BackupJobExists")


def test_backups_are_told_to_end(plane, row):
    job_id = plane.post("/backups", json={"instance_id": "dds-demo-replica"}).json()["job_id"]
    answer = plane.post("/backups/end", json={"instance_id": "dds-demo-replica"})
    assert (answer.status_code, answer.json()) == (200, {"job_id": job_id})
    assert row(job_id)["BackupSetStatus"] == "Finished"
    again = plane.post("/backups/end", json={"instance_id": "dds-demo-replica"})
    assert (again.status_code, again.json()["error"]) == (400, "instance_id: no backup of 'dds-demo-replica' runs")


def test_readings_are_changed_one_by_one(plane, call):
    plane.post("/readings", json={"create_id_type": "int"})
    changed = plane.post("/readings", json={"create_returns": "both"}).json()
    assert (changed["create_id_type"], changed["create_returns"]) == ("int", "both")
    assert plane.get("/readings").json() == changed
    assert call("CreateBackup", **REPLICA)["BackupJobId"] == 775051


def test_reset_goes_back_to_the_start(plane, emu, call):
    emu.service.add_instance("dds-new")
    emu.service.set_instance_status("dds-demo-local", "Restoring")
    emu.add_fault("throttle", action="DescribeRegions", times=None)
    plane.post("/readings", json={"create_returns": "both"})
    plane.post("/clock", json={"skew": 90})
    call("CreateBackup", **REPLICA)
    service = emu.service
    assert plane.post("/reset").json() == {"status": "ok"}
    state = plane.get("/state").json()
    assert state["jobs"] == []
    assert state["faults"] == []
    assert state["skew"] == 0
    assert state["readings"]["create_returns"] == "job_id"
    assert {item["status"] for item in state["instances"]} == {"Running"}
    assert len(state["instances"]) == 5
    assert emu.requests() == []
    assert emu.service is service
    assert call("CreateBackup", **REPLICA)["BackupJobId"] == "775051"
    assert emu.requests()[0].sequence == 1


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("/faults", {"kind": "throttle", "times": "two"}, "times: must be a whole number, not 'two'"),
        ("/faults", {"kind": "throttle", "tmes": 2}, "tmes: unknown field; did you mean 'times'?"),
        ("/faults", [{"kind": "error"}, {"action": "X"}], "[1].kind: missing"),
        ("/faults", {"kind": "error", "times": True}, "times: must be a whole number, not True"),
        ("/faults", {"kind": "throttle", "when": "after"}, "when: throttle cannot be after acting"),
        ("/faults", 5, "top level: must be an object, not 5"),
        ("/access_keys", {"active": False}, "access_key_id: missing"),
        ("/access_keys", {"access_key_id": "new", "access_key_secret": ""}, "access_key_secret: must not be empty"),
        ("/instances", {"status": "Running"}, "instance_id: missing"),
        ("/instances", [], "top level: must be an object, not a list"),
        ("/instances", {"instance_id": "x", "shards": 0}, "shards: must be at least 1"),
        ("/outcomes", {"instance_id": "dds-demo-replica"}, "outcome: missing"),
        (
            "/outcomes",
            {"instance_id": "dds-demo-replica", "outcome": {"fail_at": 200}},
            "outcome.fail_at: must be a percentage, 0 to 100",
        ),
        ("/backups", {}, "instance_id: missing"),
        ("/readings", {"finished_rows": "maybe"}, "finished_rows: must be one of listed, only_by_id, not 'maybe'"),
        ("/clock", {"skew": "much"}, "skew: must be a number, not 'much'"),
        ("/clock", {}, "skew: missing"),
        ("/readings", {"set_lag_seconds": None}, "set_lag_seconds: must be a number, not null"),
    ],
)
def test_bad_input_names_the_field(plane, path, body, error):
    answer = plane.post(path, json=body)
    assert (answer.status_code, answer.json()) == (400, {"error": error})


def test_unknown_kind_lists_the_kinds(plane):
    error = plane.post("/instances", json={"instance_id": "x", "kind": "cloudy"}).json()["error"]
    assert error.startswith("kind: must be one of cloud_replica, ")


def test_body_that_is_not_json(plane):
    answer = plane.post("/faults", content=b"{")
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("body: not JSON: ")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/backups", {"instance_id": "dds-x"}),
        ("/outcomes", {"instance_id": "dds-x", "outcome": {}}),
    ],
)
def test_unknown_instance(plane, path, body):
    answer = plane.post(path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (404, "InvalidDBInstanceId.NotFound")


def test_access_key_is_disabled_and_another_takes_its_place(plane, emu, call):
    answer = plane.post("/access_keys", json={"access_key_id": call.key, "active": False})
    assert (answer.status_code, answer.json()["active"]) == (200, False)
    assert call.refusal("DescribeRegions") == (400, "InvalidAccessKeyId.Inactive")
    new = {"access_key_id": "new", "access_key_secret": "new-secret-of-the-emulator"}
    answer = plane.post("/access_keys", json=new)
    assert answer.status_code == 201
    assert "new-secret" not in answer.text
    assert emu.service.credentials["new"].access_key_secret == "new-secret-of-the-emulator"
    plane.post("/reset", json={})
    assert call("DescribeRegions")
