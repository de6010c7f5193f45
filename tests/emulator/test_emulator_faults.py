"""Each fault, seen from the client's end of the wire."""

from __future__ import annotations

import json
import socket
import time

import httpx
import pytest
from alibabacloud_dds20151201 import models
from alibabacloud_tea_openapi.exceptions import ClientException, ServerException, ThrottlingException

from airflow_provider_dds.emulator import Fault, Readings
from airflow_provider_dds.emulator.faults import FaultBook
from tests.support.emulator_calls import encode

REPLICA = {"DBInstanceId": "dds-demo-replica"}
PATIENCE = 10.0


def wait_for(condition) -> None:
    """Wait until something is so; fail when it does not come."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.fixture
def wire(emu, call):
    """Send a signed request over a bare socket and return the socket."""
    opened = []

    def send(action: str, **query: str) -> socket.socket:
        headers = call.signed(query, call.headers(action))
        text = "&".join(f"{encode(name)}={encode(value)}" for name, value in query.items())
        lines = [f"POST /?{text} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        connection = socket.create_connection((emu.host, emu.port), timeout=PATIENCE)
        opened.append(connection)
        connection.sendall(("\r\n".join([*lines, "content-length: 0", "", ""])).encode())
        return connection

    yield send
    for connection in opened:
        connection.close()


def received(connection: socket.socket) -> bytes:
    """Read until the peer closes."""
    data = b""
    while chunk := connection.recv(65536):
        data += chunk
    return data


def test_throttle(emu, sdk):
    emu.add_fault("throttle", action="CreateBackup")
    with pytest.raises(ClientException) as caught:
        sdk().create_backup(models.CreateBackupRequest(dbinstance_id="dds-demo-replica"))
    assert (caught.value.status_code, caught.value.code) == (400, "Throttling.User")
    assert not isinstance(caught.value, ThrottlingException)
    (request,) = emu.requests()
    assert (request.status, request.code, request.executed) == (400, "Throttling.User", False)
    assert request.fault == "throttle"
    sdk().create_backup(models.CreateBackupRequest(dbinstance_id="dds-demo-replica"))


def test_throttle_with_a_time_to_wait(emu, sdk, call):
    emu.add_fault("throttle", retry_after_ms=1500, status=429, code="Throttling.Api")
    with pytest.raises(ThrottlingException) as caught:
        sdk().describe_regions(models.DescribeRegionsRequest())
    assert (caught.value.status_code, caught.value.retry_after) == (429, 1500)
    assert caught.value.code == "Throttling.Api"
    emu.service.readings = Readings(throttle_status=503, throttle_retry_after_ms=20)
    emu.add_fault("throttle")
    response = call.raw("DescribeRegions")
    assert (response.status_code, response.headers["x-acs-retry-after"]) == (503, "20")


def test_error_before_acting(emu, sdk):
    emu.add_fault("error")
    with pytest.raises(ServerException) as caught:
        sdk().create_backup(models.CreateBackupRequest(dbinstance_id="dds-demo-replica"))
    assert (caught.value.status_code, caught.value.code) == (500, "InternalError")
    assert emu.service.jobs() == []


def test_error_after_acting(emu, call):
    emu.add_fault("error", when="after", status=503, code="ServiceUnavailable", message="come again")
    response = call.raw("CreateBackup", **REPLICA)
    assert response.status_code == 503
    assert (response.json()["Code"], response.json()["Message"]) == ("ServiceUnavailable", "come again")
    assert len(emu.service.jobs()) == 1
    assert emu.requests()[0].executed


def test_error_of_the_client(emu, call):
    emu.add_fault("error", status=400)
    assert call.refusal("DescribeRegions") == (400, "InvalidParameter")


@pytest.mark.parametrize(("status", "expected"), [(None, 502), (200, 200)])
@pytest.mark.parametrize(("when", "jobs"), [(None, 0), ("after", 1)])
def test_html(emu, call, status, expected, when, jobs):
    emu.add_fault("html", status=status, when=when)
    response = call.raw("CreateBackup", **REPLICA)
    assert response.status_code == expected
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.text.startswith("<html>")
    assert len(emu.service.jobs()) == jobs


@pytest.mark.parametrize(("when", "jobs"), [(None, 1), ("before", 0)])
def test_empty_body(emu, call, when, jobs):
    emu.add_fault("empty_body", when=when)
    response = call.raw("CreateBackup", **REPLICA)
    assert (response.status_code, response.content) == (200, b"")
    assert len(emu.service.jobs()) == jobs


def test_null_body(emu, call):
    emu.add_fault("null_body", status=400)
    response = call.raw("CreateBackup", **REPLICA)
    assert (response.status_code, response.content) == (400, b"null")


def test_truncated_body(emu, call):
    emu.add_fault("truncated_body")
    response = call.raw("DescribeBackupTasks", **REPLICA)
    assert response.status_code == 200
    assert response.text.startswith('{"RequestId"')
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(response.text)


def test_cut_body(emu, wire):
    emu.add_fault("cut_body")
    head, _, body = received(wire("CreateBackup", **REPLICA)).partition(b"\r\n\r\n")
    promised = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    assert head.startswith(b"HTTP/1.1 200 ")
    assert len(body) == promised // 2
    assert len(emu.service.jobs()) == 1


def test_cut_body_is_an_error_to_a_client(emu, call):
    emu.add_fault("cut_body")
    with pytest.raises(httpx.RemoteProtocolError):
        call.raw("DescribeBackupTasks", **REPLICA)


def test_wrong_shape_mixes_up_containers(emu, call, sdk, backup):
    backup()
    emu.add_fault("wrong_shape", times=5)
    assert list(call("DescribeBackupTasks", **REPLICA)["BackupJobs"]) == ["BackupJob"]
    assert call("DescribeBackups", **REPLICA)["Backups"] == []
    assert call("CreateBackup", DBInstanceId="dds-demo-cluster")["BackupJobId"] == ["775052"]
    request = models.DescribeBackupTasksRequest(dbinstance_id="dds-demo-replica")
    assert sdk().describe_backup_tasks(request).body is None


@pytest.mark.parametrize("body", [[], "text", 5, {"BackupJobs": None}])
def test_wrong_shape_of_choice(emu, call, body):
    emu.add_fault("wrong_shape", body=body)
    assert call.raw("DescribeBackupTasks", **REPLICA).json() == body


def test_drop_job_id(emu, sdk):
    emu.service.readings = Readings(create_returns="both")
    emu.add_fault("drop_job_id", action="CreateBackup")
    body = sdk().create_backup(models.CreateBackupRequest(dbinstance_id="dds-demo-replica")).body
    assert body.request_id
    assert (body.backup_job_id, body.backup_id) == (None, None)
    assert len(emu.service.jobs()) == 1


@pytest.mark.parametrize(("kind", "jobs"), [("reset_before", 0), ("reset_after", 1)])
def test_reset(emu, wire, kind, jobs):
    emu.add_fault(kind)
    connection = wire("CreateBackup", **REPLICA)
    with pytest.raises(ConnectionResetError):
        received(connection)
    assert len(emu.service.jobs()) == jobs
    (request,) = emu.requests()
    assert (request.executed, request.status, request.fault) == (bool(jobs), None, kind)


def test_only_the_connection_at_fault_is_reset(emu, call, wire):
    call("DescribeRegions")
    emu.add_fault("reset_before", action="CreateBackup")
    with pytest.raises(ConnectionResetError):
        received(wire("CreateBackup", **REPLICA))
    call("DescribeRegions")


def test_hang_before_acting_does_nothing_if_the_client_gives_up(emu, wire):
    emu.add_fault("hang", seconds=None)
    connection = wire("CreateBackup", **REPLICA)
    wait_for(lambda: emu.requests()[-1:] and emu.requests()[-1].fault == "hang")
    assert emu.service.jobs() == []
    connection.close()
    emu.stop()
    assert emu.service.jobs() == []
    assert (emu.requests()[0].status, emu.requests()[0].executed) == (None, False)


def test_hang_after_acting(emu, wire):
    emu.add_fault("hang", seconds=None, when="after")
    connection = wire("CreateBackup", **REPLICA)
    wait_for(lambda: emu.service.jobs())
    connection.setblocking(False)
    with pytest.raises(BlockingIOError):
        connection.recv(1)
    assert emu.requests()[0].executed


@pytest.mark.parametrize("when", ["before", "after"])
def test_hang_ends_with_the_true_answer(emu, call, when):
    emu.add_fault("hang", seconds=0.02, when=when)
    begun = time.monotonic()
    assert call("CreateBackup", **REPLICA)["BackupJobId"] == "775051"
    assert time.monotonic() - begun >= 0.02


def test_hang_holds_up_nobody_else(emu, call, wire):
    emu.add_fault("hang", seconds=None, action="DescribeBackups")
    wire("DescribeBackups", **REPLICA)
    wait_for(lambda: emu.calls("DescribeBackups"))
    call("DescribeRegions")


def test_hanging_client_gets_its_read_timeout(emu, call):
    emu.add_fault("hang", seconds=None)
    call.http.timeout = httpx.Timeout(5, read=0.05)
    with pytest.raises(httpx.ReadTimeout):
        call.raw("DescribeRegions")


def test_fault_meets_as_many_calls_as_it_says(emu, call):
    emu.add_fault("throttle", action="DescribeRegions", times=2, after=1)
    seen = [call.raw("DescribeRegions").status_code for _ in range(5)]
    assert seen == [200, 400, 400, 200, 200]


def test_fault_meets_only_its_action_and_instance(emu, call):
    emu.add_fault("throttle", action="CreateBackup", instance_id="dds-demo-cluster", times=None)
    assert call.raw("CreateBackup", **REPLICA).status_code == 200
    assert call.raw("DescribeBackupTasks", DBInstanceId="dds-demo-cluster").status_code == 200
    assert call.raw("CreateBackup", DBInstanceId="dds-demo-cluster").status_code == 400


def test_faults_follow_each_other(emu, call):
    emu.add_fault("throttle")
    emu.add_fault("error", status=503)
    assert [call.raw("DescribeRegions").status_code for _ in range(3)] == [400, 503, 200]


def test_fault_without_end_until_it_is_removed(emu, call):
    number = emu.add_fault("throttle", times=None)
    assert [call.raw("DescribeRegions").status_code for _ in range(3)] == [400] * 3
    emu.remove_fault(number)
    assert call.raw("DescribeRegions").status_code == 200
    emu.add_fault("throttle", times=None)
    emu.clear_faults()
    assert call.raw("DescribeRegions").status_code == 200


def test_requests_that_are_not_genuine_use_up_no_fault(emu, call):
    emu.add_fault("throttle")
    right, call.secret = call.secret, "wrong"
    assert call.refusal("DescribeRegions")[1] == "SignatureDoesNotMatch"
    call.secret = right
    assert call.refusal("DescribeRegions")[1] == "Throttling.User"


def test_dice_fall_the_same_with_the_same_seed():
    def thrown(seed: int) -> list[bool]:
        book = FaultBook()
        book.add(Fault("throttle", times=None, probability=0.5, seed=seed))
        return [book.take("DescribeRegions", None) is not None for _ in range(50)]

    assert thrown(1) == thrown(1)
    assert thrown(1) != thrown(2)
    assert 10 < sum(thrown(1)) < 40


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"kind": "explode"}, "kind"),
        ({"kind": "error", "action": "CreateBackups"}, "action"),
        ({"kind": "error", "times": 0}, "times"),
        ({"kind": "error", "after": -1}, "after"),
        ({"kind": "error", "probability": 2}, "probability"),
        ({"kind": "error", "when": "during"}, "when"),
        ({"kind": "throttle", "when": "after"}, "when"),
        ({"kind": "reset_after", "when": "before"}, "when"),
        ({"kind": "html", "status": 99}, "status"),
        ({"kind": "hang", "seconds": -1}, "seconds"),
    ],
)
def test_faults_that_make_no_sense(fields, name):
    with pytest.raises(ValueError, match=f"^{name}: "):
        Fault(**fields)
