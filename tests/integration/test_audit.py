"""The audit operator against the service over HTTP."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from airflow_provider_dds.exceptions import DdsAccessDeniedError, DdsAuditError, DdsConfigurationError
from airflow_provider_dds.operators.dds import DdsBackupAuditOperator
from tests.support.runner import REPLICA, Run

KINDS = ["dds-demo-replica", "dds-demo-cluster", "dds-demo-sharded", "dds-demo-local", "dds-demo-standalone"]
HOUR = 3600


@pytest.fixture
def audit(clock):
    """Make a run of the operator."""

    def make(**kwargs):
        return Run(DdsBackupAuditOperator(task_id="audit", **{"max_age": 26 * HOUR, **kwargs}), clock)

    return make


def back_up(emulator, clock, *instance_ids):
    for instance_id in instance_ids:
        emulator.service.start_automatic_backup(instance_id)
    clock.advance(310)


def test_every_kind_holds_with_a_fresh_backup(emulator, clock, audit):
    back_up(emulator, clock, *KINDS)
    clock.advance(HOUR)
    run = audit()
    rows = run.once()
    assert {row["db_instance_id"] for row in rows} == set(KINDS)
    assert [row["ok"] for row in rows] == [True] * len(KINDS), [row["reasons"] for row in rows]
    assert run.ti.xcoms["audit"] == rows == json.loads(json.dumps(rows))
    assert all(HOUR < row["age_seconds"] < HOUR + 400 for row in rows)
    assert all(row["newest_good"]["status"] == "Success" for row in rows)
    assert {row["retention_days"] for row in rows} == {7}


def test_one_failure_names_every_offender_and_no_other(emulator, clock, audit, logged):
    back_up(emulator, clock, *KINDS[2:])
    emulator.service.next_job(KINDS[1], fail_at=50)
    back_up(emulator, clock, KINDS[1])
    run = audit()
    with pytest.raises(DdsAuditError, match="2 of 5 instances") as caught:
        run.once()
    assert sorted(caught.value.violations) == sorted(KINDS[:2])
    assert all(name in str(caught.value) for name in KINDS[:2])
    assert not any(name in str(caught.value) for name in KINDS[2:])
    assert [row["ok"] for row in run.ti.xcoms["audit"]] == [False, False, True, True, True]
    assert run.ti.xcoms["failure"]["violations"] == caught.value.violations
    assert "dds-demo-local       yes" in logged()
    assert "What to do: Look at the table" in logged()


def test_report_ends_well_and_says_what_does_not_hold(emulator, audit, logged):
    rows = audit(on_violation="report").once()
    assert [row["ok"] for row in rows] == [False] * len(KINDS)
    assert "5 of 5 instances do not hold" in logged()


def test_instances_by_tags_or_by_ids(emulator, clock, audit):
    emulator.service.instance(KINDS[0]).tags = {"env": "prod", "team": "a"}
    emulator.service.instance(KINDS[1]).tags = {"env": "prod"}
    back_up(emulator, clock, *KINDS)
    assert [row["db_instance_id"] for row in audit(tags={"env": "prod", "team": "a"}).once()] == [KINDS[0]]
    assert {row["db_instance_id"] for row in audit(tags={"env": "prod"}).once()} == set(KINDS[:2])
    ids = (KINDS[3], KINDS[0], KINDS[3])
    assert [row["db_instance_id"] for row in audit(db_instance_ids=ids).once()] == [KINDS[3], KINDS[0]]


def test_audit_of_nothing_is_no_success(emulator, audit):
    with pytest.raises(DdsConfigurationError, match="nothing to audit: no instance has the tags"):
        audit(tags={"env": "none"}, on_violation="report").once()
    emulator.service.instances.clear()
    with pytest.raises(DdsConfigurationError, match="no instance is in the region"):
        audit(on_violation="report").once()


def test_instance_that_cannot_be_read_is_unknown_and_not_ok(emulator, clock, audit):
    back_up(emulator, clock, *KINDS)
    run = audit(db_instance_ids=["dds-unknown", REPLICA])
    with pytest.raises(DdsAuditError, match="Of 1 of 2 instances it could not be found out: dds-unknown") as caught:
        run.once()
    assert (caught.value.violations, caught.value.unknown) == ([], ["dds-unknown"])
    assert [row["ok"] for row in run.ti.xcoms["audit"]] == [None, True]


@pytest.mark.parametrize("action", ["DescribeBackups", "DescribeDBInstanceAttribute"])
def test_denied_read_of_backups_is_unknown(emulator, clock, audit, action):
    back_up(emulator, clock, REPLICA)
    emulator.add_fault("error", status=403, code="Forbidden.RAM", action=action, times=None)
    [row] = audit(db_instance_ids=[REPLICA], on_violation="report").once()
    assert row["ok"] is None
    assert "Forbidden.RAM" in row["reasons"][0]


def test_denied_listing_of_instances_fails(emulator, audit):
    emulator.add_fault("error", status=403, code="Forbidden.RAM", action="DescribeDBInstances", times=None)
    with pytest.raises(DdsAccessDeniedError, match="DescribeDBInstances"):
        audit(on_violation="report").once()


def test_what_is_not_asked_for_may_be_denied_and_is_asked_once(emulator, clock, audit):
    back_up(emulator, clock, *KINDS)
    for action in ("DescribeBackupPolicy", "DescribeBackupStorage"):
        emulator.add_fault("error", status=403, code="Forbidden.RAM", action=action, times=None)
    assert {row["ok"] for row in audit().once()} == {True}
    assert len(emulator.requests("DescribeBackupPolicy")) == len(emulator.requests("DescribeBackupStorage")) == 1
    [row] = audit(db_instance_ids=[REPLICA], require_log_backup=True, on_violation="report").once()
    assert row["ok"] is None


def test_logs_lag_and_retention(emulator, clock, audit):
    emulator.service.instance(REPLICA).log_backup = True
    back_up(emulator, clock, *KINDS[:2])
    clock.advance(HOUR)
    asked = {"max_recovery_lag": timedelta(minutes=10), "require_log_backup": True, "min_retention_days": 7}
    [good] = audit(db_instance_ids=[REPLICA], **asked).once()
    assert (good["ok"], good["log_backup"], good["recovery_gaps"]) == (True, True, [])
    assert 300 <= good["recovery_lag_seconds"] <= 301
    [bad] = audit(db_instance_ids=[KINDS[1]], on_violation="report", **{**asked, "min_retention_days": 30}).once()
    assert len(bad["reasons"]) == 3


def test_service_that_does_not_answer_ends_the_audit_soon(emulator, clock, audit):
    for number in range(20):
        emulator.service.add_instance(f"dds-{number}")
    emulator.add_fault("error", status=503, code="ServiceUnavailable", action="DescribeBackups", times=None)
    began = clock.now
    rows = audit(on_violation="report").once()
    assert {row["ok"] for row in rows} == {None}
    assert sum("not asked, as the 5 before it gave no answer" in row["reasons"][0] for row in rows) == len(rows) - 5
    assert clock.now - began < 5 * 60


def test_older_backup_is_named_also_where_nothing_is_near(emulator, clock, audit):
    emulator.service.create_job(emulator.service.instance(REPLICA), "Automated", "Snapshot", retention_days=30)
    clock.advance(20 * 24 * HOUR)
    [row] = audit(db_instance_ids=[REPLICA], on_violation="report").once()
    assert "is 20d 00h old" in row["reasons"][0]
    assert row["age_seconds"] > 19 * 24 * HOUR


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"max_age": 0}, "max_age is 0"),
        ({"age_of": "start"}, "age_of is 'start'"),
        ({"backup_modes": "Manual"}, "backup_modes is 'Manual'"),
        ({"max_recovery_lag": -1}, "max_recovery_lag is -1"),
        ({"require_log_backup": "yes"}, "require_log_backup is 'yes'"),
        ({"min_retention_days": 9999}, "min_retention_days is 9999"),
        ({"on_violation": "warn"}, "on_violation is 'warn'; it must be one of fail, report"),
        ({"db_instance_ids": []}, "db_instance_ids is empty"),
        ({"db_instance_ids": ["dds-1", None]}, r"db_instance_ids\[1\] is None"),
        ({"db_instance_ids": ["dds-1"], "tags": {"a": "b"}}, "both given"),
    ],
)
def test_wrong_argument_is_refused_when_the_dag_is_read(audit, arguments, says):
    with pytest.raises(DdsConfigurationError, match=says):
        audit(**arguments)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"db_instance_ids": "dds-1"}, "db_instance_ids is 'dds-1'; it must be a list of ids"),
        ({"db_instance_ids": 7}, "db_instance_ids is 7"),
        ({"tags": {}}, "tags is {}"),
        ({"tags": {"env": 1}}, "tags is"),
        ({"tags": {str(number): "" for number in range(21)}}, "1 to 20"),
    ],
)
def test_wrong_rendered_argument_sends_nothing(emulator, audit, arguments, says):
    with pytest.raises(DdsConfigurationError, match=says):
        audit(**arguments).once()
    assert emulator.requests() == []


def test_mapped_over_regions_shows_the_region():
    partial = DdsBackupAuditOperator.partial(task_id="audit", max_age=HOUR)
    assert partial.kwargs["map_index_template"] == "{{ task.region_id or task.dds_conn_id }}"
