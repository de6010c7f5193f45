"""What the commands print, and the status they end with."""

from __future__ import annotations

import json
import time
from datetime import datetime, timezone
from types import SimpleNamespace

import pytest

from airflow_provider_dds.__main__ import main
from airflow_provider_dds.cli.backups import moment
from airflow_provider_dds.clock import Clock
from airflow_provider_dds.exceptions import DdsConfigurationError
from tests.support.runner import REPLICA

NOW = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)


@pytest.fixture
def dds(monkeypatch, emulator, clock, capfd, caplog):
    """Run a command; gives its status and what it printed."""
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")  # which the command sets, in a process of its own
    caplog.set_level("CRITICAL", logger="airflow_provider_dds.emulator")  # it is another process elsewhere

    class Now(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.fromtimestamp(clock.now, tz)

    monkeypatch.setattr("airflow_provider_dds.cli.backups.datetime", Now)

    def run(*arguments):
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main(arguments)
        return end.value.code, *capfd.readouterr()

    return run


def test_good_backup(emulator, clock, dds):
    emulator.service.start_automatic_backup(REPLICA)
    clock.advance(400)
    status, printed, _ = dds("backups", REPLICA, "-o", "json")
    [job] = emulator.service.jobs(REPLICA)
    [backup] = json.loads(printed)
    assert (status, backup["backup_job_id"], backup["good"], backup["nodes"]) == (0, job.job_id, True, [])


def test_running_backup_is_no_good_one(emulator, clock, dds):
    emulator.service.start_automatic_backup(REPLICA)
    clock.advance(100)
    status, printed, _ = dds("backups", REPLICA, "-o", "json")
    assert (status, [each["state"] for each in json.loads(printed)]) == (1, ["running"])


def test_failed_backup_is_no_good_one(emulator, clock, dds):
    emulator.service.next_job(REPLICA, fail_at=40)
    emulator.service.start_automatic_backup(REPLICA)
    clock.advance(400)
    status, printed, _ = dds("backups", REPLICA, "-o", "json")
    assert (status, [each["state"] for each in json.loads(printed)]) == (1, ["failed"])


def test_older_good_backup_counts_beside_a_newer_failed_one(emulator, clock, dds):
    emulator.service.start_automatic_backup(REPLICA)
    clock.advance(400)
    emulator.service.next_job(REPLICA, fail_at=40)
    emulator.service.start_automatic_backup(REPLICA)
    clock.advance(400)
    status, printed, _ = dds("backups", REPLICA)
    head, _, *lines = [line for line in printed.split("\n") if line.strip()]
    assert [name.strip() for name in head.split("|")][:3] == ["began (UTC)", "good", "why not"]
    assert [line.split("|")[1].strip() for line in lines] == ["no", "yes"]
    assert status == 0


def test_yaml_for_programs(emulator, clock, dds):
    emulator.service.start_automatic_backup(REPLICA)
    clock.advance(400)
    status, printed, _ = dds("backups", REPLICA, "-o", "yaml")
    assert status == 0
    assert "\n  good: true\n" in printed


@pytest.mark.parametrize("output", ["table", "json", "yaml"])
def test_instance_without_a_backup(dds, output):
    status, printed, said = dds("backups", REPLICA, "--since", "90m", "-o", output)
    assert (status, printed) == (1, {"table": "", "json": "[]\n", "yaml": "[]\n"}[output])
    assert f"{REPLICA} has no backup that began since " in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["dds-nowhere"], "Check the instance id"),
        ([REPLICA, "--since", "yesterday"], "--since is 'yesterday'. Give a span such as 24h"),
        ([REPLICA, "--since", "2026-01-01"], "--since is '2026-01-01'"),
        ([REPLICA, "--region-id", "no region"], "region"),
    ],
    ids=["instance", "since", "no zone", "region"],
)
def test_what_cannot_be_found_out(dds, arguments, said):
    status, printed, error = dds("backups", *arguments)
    assert (status, printed) == (2, "")
    assert said in error
    assert "Traceback" not in error


@pytest.mark.parametrize("arguments", [[REPLICA], ["dds-nowhere"]])
def test_no_secret_is_printed(emulator, dds, arguments):
    _, printed, said = dds("backups", *arguments)
    assert emulator.connection_dict()["password"] not in printed + said


def test_unknown_output_is_refused(dds):
    status, _, said = dds("backups", REPLICA, "-o", "xml")
    assert status == 2
    assert "invalid choice: 'xml'" in said


@pytest.mark.parametrize(
    ("since", "means"),
    [
        ("24h", datetime(2026, 1, 1, 12, tzinfo=timezone.utc)),
        ("90m", datetime(2026, 1, 2, 10, 30, tzinfo=timezone.utc)),
        (" 1d ", datetime(2026, 1, 1, 12, tzinfo=timezone.utc)),
        ("2026-01-01T00:00:00Z", datetime(2026, 1, 1, tzinfo=timezone.utc)),
        ("2026-01-01T08:00:00+08:00", datetime(2026, 1, 1, tzinfo=timezone.utc)),
    ],
)
def test_span_or_time(since, means):
    assert moment(since, NOW) == means


@pytest.mark.parametrize("since", ["", "24", "h", "-1h", "1w", "2026-01-01T00:00:00", "999999999d", "999999d"])
def test_anything_else_is_refused(since):
    with pytest.raises(DdsConfigurationError, match="--since is "):
        moment(since, NOW)


# --- audit ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def audit(dds, clock, monkeypatch):
    """Run the audit at the emulator's time."""
    monkeypatch.setattr("airflow_provider_dds.hooks.dds.DdsHook.clock", Clock(now=clock))
    return lambda *arguments: dds("audit", *arguments)


def test_audit_of_instances_that_hold(emulator, clock, audit):
    emulator.service.start_automatic_backup(REPLICA)
    clock.advance(400)
    status, printed, said = audit(REPLICA, "-o", "json")
    [row] = json.loads(printed)
    assert (status, row["db_instance_id"], row["ok"], row["retention_days"]) == (0, REPLICA, True, 7)
    assert "do not hold" not in said


def test_audit_of_a_region_names_what_does_not_hold(emulator, clock, audit):
    emulator.service.start_automatic_backup(REPLICA)
    clock.advance(400)
    status, printed, said = audit()
    head, _, *lines = [line for line in printed.split("\n") if line.strip()]
    assert [name.strip() for name in head.split("|")][:3] == ["instance", "ok", "age"]
    assert [line.split("|")[1].strip() for line in lines] == ["NO", "NO", "NO", "NO", "yes"]
    assert status == 1
    assert "4 of 5 instances do not hold" in said


def test_audit_by_tags_with_all_that_can_be_asked(emulator, clock, audit):
    emulator.service.instance(REPLICA).tags = {"env": "prod", "team": "a=b"}
    emulator.service.start_automatic_backup(REPLICA)
    clock.advance(400)
    asked = ["--max-age", "5m", "--max-recovery-lag", "15m", "--require-log-backup", "--min-retention-days", "30"]
    status, printed, _ = audit("--tag", "env=prod", "--tag", "team=a=b", *asked, "-o", "json")
    [row] = json.loads(printed)
    assert (status, len(row["reasons"])) == (1, 4)


def test_audit_that_cannot_read_an_instance_does_not_know(audit):
    status, printed, said = audit("dds-nowhere", "-o", "json")
    assert (status, [row["ok"] for row in json.loads(printed)]) == (2, [None])
    assert "could not be found out: dds-nowhere" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--max-age", "26"], "--max-age is '26'. Give a span such as 24h, 7d or 90m"),
        (["--max-age", "0h"], "--max-age is '0h'"),
        (["--max-age", "9999d"], "--max-age is"),
        (["--max-recovery-lag", "soon"], "--max-recovery-lag is 'soon'"),
        (["--min-retention-days", "-1"], "--min-retention-days is -1"),
        (["--tag", "prod"], "--tag is 'prod'. Give a tag such as env=prod"),
        (["--tag", "=prod"], "--tag is '=prod'"),
        ([REPLICA, "--tag", "env=prod"], "both given"),
        (["--tag", "env=none"], "nothing to audit"),
        ([" "], "INSTANCE"),
    ],
)
def test_audit_that_is_asked_nonsense(audit, arguments, said):
    status, printed, error = audit(*arguments)
    assert (status, printed) == (2, "")
    assert said in error


# --- doctor -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def doctor(dds, clock, monkeypatch):
    """Run the doctor at the emulator's time; gives its status and its lines by what they check."""
    monkeypatch.setattr("airflow_provider_dds.hooks.dds.DdsHook.clock", Clock(now=clock))
    monkeypatch.setattr("airflow_provider_dds.cli.doctor.time", SimpleNamespace(time=clock, monotonic=time.monotonic))

    def run(*arguments):
        status, printed, _ = dds("doctor", *arguments, "-o", "json")
        return status, {line["check"]: (line["result"], line["detail"]) for line in json.loads(printed)}

    return run


SENSOR = "wait for a backup: DdsBackupSensor, DdsFreshBackupSensor, backups"
OPERATOR = "make a backup: DdsCreateBackupOperator"


def test_doctor_of_a_connection_that_works(emulator, doctor):
    status, lines = doctor()
    assert status == 0
    assert lines["endpoint"] == ("ok", f"http://127.0.0.1:{emulator.port}, region cn-hangzhou, network public")
    assert lines["clock"][1].startswith("the service's clock is this machine's, to about a second; round trip ")
    assert lines["instance"] == ("ok", "dds-demo-replica is Running, replica_set")
    assert lines[SENSOR] == ("ok", "all that it needs is allowed")
    assert lines[OPERATOR] == ("untried", "nothing is missing of what was tried; dds:CreateBackup is not tried")
    assert {result for check, (result, _) in lines.items() if check.startswith("optional")} == {"ok"}
    assert not emulator.requests("CreateBackup")


@pytest.mark.parametrize(
    "instance_id", ["dds-demo-cluster", "dds-demo-sharded", "dds-demo-local", "dds-demo-standalone"]
)
def test_doctor_tries_what_fits_the_instance(emulator, doctor, instance_id):
    status, lines = doctor("--instance", instance_id)
    assert (status, lines[SENSOR][0]) == (0, "ok")
    assert bool(emulator.requests("DescribeClusterBackups")) == (
        instance_id in ("dds-demo-cluster", "dds-demo-sharded")
    )


def test_doctor_names_what_the_key_may_not_do(emulator, doctor):
    for action in ("DescribeBackups", "DescribeHistoryTasks"):
        emulator.add_fault("error", status=403, code="Forbidden.RAM", action=action, times=None)
    status, lines = doctor()
    assert status == 1
    assert lines[SENSOR] == ("PROBLEM", "missing: dds:DescribeBackups")
    assert lines[OPERATOR] == ("PROBLEM", "missing: dds:DescribeBackups")
    assert lines["optional: DescribeHistoryTasks"][0] == "note"
    assert lines["optional: DescribeBackupPolicy"][0] == "ok"


def test_doctor_of_an_account_without_instances_says_what_it_could_not_try(emulator, doctor):
    emulator.service.instances.clear()
    status, lines = doctor()
    assert (status, lines["instance"][0], lines[SENSOR][0]) == (0, "untried", "untried")


def test_doctor_that_may_not_list_instances_wants_one_named(emulator, doctor):
    emulator.add_fault("error", status=403, code="Forbidden.RAM", action="DescribeDBInstances", times=None)
    assert "name one with --instance" in doctor()[1]["instance"][1]
    assert doctor("--instance", REPLICA)[1][SENSOR][0] == "ok"


def test_doctor_with_an_instance_that_is_not_there(doctor):
    status, lines = doctor("--instance", "dds-nowhere")
    assert (status, lines["instance"][0]) == (1, "PROBLEM")
    assert "Check the instance id" in lines["instance"][1]


@pytest.mark.parametrize(
    ("skew", "status", "result", "said"),
    [
        (30, 0, "ok", "is this machine's"),
        (300, 0, "note", "300 s ahead of this machine's; up to 900 s do no harm"),
        (-300, 0, "note", "300 s behind this machine's"),
        (2000, 2, "PROBLEM", "2000 s ahead of this machine's; beyond 900 s it refuses calls. Set the clock"),
    ],
)
def test_doctor_reads_the_clocks(emulator, doctor, skew, status, result, said):
    emulator.service.skew = skew
    ended, lines = doctor()
    assert (ended, lines["clock"][0]) == (status, result)
    assert said in lines["clock"][1]


def test_doctor_of_a_wrong_key_says_so_and_tries_nothing_more(emulator, doctor):
    emulator.add_fault("error", status=404, code="InvalidAccessKeyId.NotFound", times=None)
    status, lines = doctor()
    assert (status, lines["signed call"][0]) == (2, "PROBLEM")
    assert SENSOR not in lines


def test_doctor_keeps_what_it_saw_before_an_error(doctor, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "socks5://127.0.0.1:9")
    monkeypatch.setenv("AIRFLOW_CONN_DDS_DEFAULT", json.dumps({
        "conn_type": "dds", "login": "LTAI5t1234567890", "password": "no-such-secret", "host": "http://mongodb.test",
        "extra": {"region_id": "cn-hangzhou", "allow_http": True},
    }))  # fmt: skip
    status, lines = doctor()
    assert status == 2
    assert lines["endpoint"][0] == "ok"
    assert "HTTP_PROXY" in lines["connection"][1]


def test_doctor_shows_no_secret(emulator, dds, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://somebody:proxy-password@127.0.0.1:9")
    monkeypatch.setenv("AIRFLOW_CONN_DDS_DEFAULT", json.dumps({
        "conn_type": "dds", "login": "LTAI5t1234567890", "password": "no-such-secret", "host": "http://mongodb.test",
        "extra": {"region_id": "cn-hangzhou", "allow_http": True, "security_token": "no-such-token"},
    }))  # fmt: skip
    status, printed, said = dds("doctor")
    assert status == 2
    assert "127.0.0.1:9, by the environment" in printed
    assert "LTAI...7890, with a security token" in printed
    for secret in ("no-such-secret", "no-such-token", "proxy-password", "somebody", "LTAI5t1234567890"):
        assert secret not in printed + said
