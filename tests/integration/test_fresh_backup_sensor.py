"""The sensor for a fresh backup against the service over HTTP, in all modes."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from airflow_provider_dds.emulator import Readings
from airflow_provider_dds.exceptions import (
    DdsAccessDeniedError,
    DdsConfigurationError,
    DdsDeferralError,
    DdsNotFoundError,
)
from airflow_provider_dds.hooks.dds import DdsHook
from airflow_provider_dds.sensors.dds import DdsFreshBackupSensor
from airflow_provider_dds.waiting.result import Outcome, Result
from tests.support.runner import MODES, REPLICA, Run
from tests.support.versions import AirflowSensorTimeout, AirflowSkipException

KINDS = ["dds-demo-replica", "dds-demo-cluster", "dds-demo-sharded", "dds-demo-local", "dds-demo-standalone"]
HOUR = 3600
every_mode = pytest.mark.parametrize("mode", MODES)
every_kind = pytest.mark.parametrize("instance_id", KINDS)


@pytest.fixture
def gate(clock, emulator):
    """Make a run of the sensor; ``mode`` is poke, reschedule or deferrable."""

    def make(mode="poke", db_instance_id=REPLICA, **kwargs):
        arguments = {"max_age": 26 * HOUR, "poke_interval": 60, "timeout": HOUR, **MODES[mode], **kwargs}
        return Run(DdsFreshBackupSensor(task_id="gate", db_instance_id=db_instance_id, **arguments), clock)

    return make


def backed_up(emulator, clock, instance_id=REPLICA, **outcome):
    """Let the schedule of an instance make a backup, which takes 300 seconds."""
    emulator.service.next_job(instance_id, **outcome)
    job_id = emulator.service.start_automatic_backup(instance_id)
    clock.advance(300)
    return job_id


@every_mode
@every_kind
def test_fresh_backup_ends_it_at_once_with_its_facts(emulator, clock, gate, mode, instance_id):
    backed_up(emulator, clock, instance_id)
    clock.advance(3 * HOUR)
    began = clock.now
    run = gate(mode, instance_id)
    facts = run.once()
    assert facts == json.loads(json.dumps(facts))
    assert (facts["db_instance_id"], facts["status"], facts["backup_mode"]) == (instance_id, "Success", "Automated")
    assert facts["backup_id"]
    assert facts["size_bytes"] > 0
    assert facts["age_seconds"] == 3 * HOUR + 290  # its data is as of its start, ten seconds after it was asked for
    assert (clock.now, run.deferrals) == (began, [])
    assert set(facts) == {
        "db_instance_id", "backup_job_id", "backup_id", "status", "backup_method", "backup_mode", "backup_type",
        "start_time", "end_time", "size_bytes", "expire_time", "engine_version", "age_seconds",
    }  # fmt: skip


@every_mode
@every_kind
def test_backup_that_runs_is_waited_for(emulator, clock, gate, mode, instance_id):
    emulator.service.start_automatic_backup(instance_id)
    clock.advance(5)
    began = clock.now
    facts = gate(mode, instance_id).once()
    assert facts["status"] == "Success"
    assert clock.now - began == 300
    assert facts["age_seconds"] == 295


@every_mode
def test_one_shard_of_two_is_not_enough(emulator, clock, gate, mode):
    emulator.service.readings = Readings(shard_set_lag_seconds=1200)
    backed_up(emulator, clock, "dds-demo-sharded")
    began = clock.now
    facts = gate(mode, "dds-demo-sharded").once()
    assert clock.now - began == 1200
    assert facts["backup_id"].count(",") == 1


@every_mode
def test_cluster_whose_logs_are_not_attached_is_waited_for(emulator, clock, gate, mode):
    emulator.service.readings = Readings(attach_log_seconds=600)
    backed_up(emulator, clock, "dds-demo-cluster")
    began = clock.now
    facts = gate(mode, "dds-demo-cluster").once()
    assert clock.now - began == 600
    assert facts["backup_job_id"]


@every_mode
def test_cluster_backup_whose_job_is_gone_has_no_job_id(emulator, clock, gate, mode):
    emulator.service.readings = Readings(finished_row_seconds=0, attach_log_seconds=600)
    backed_up(emulator, clock, "dds-demo-cluster")
    facts = gate(mode, "dds-demo-cluster").once()
    assert (facts["backup_job_id"], facts["backup_id"]) == (None, "cb-emulated775051")


@every_mode
def test_what_it_says_at_the_deadline(emulator, clock, gate, mode):
    backed_up(emulator, clock)
    clock.advance(28 * HOUR)
    backed_up(emulator, clock, fail_at=40)
    with pytest.raises(AirflowSensorTimeout) as caught:
        gate(mode).once()
    assert str(caught.value).partition(" Asked ")[0] == (
        "A fresh backup of dds-demo-replica was not there at its deadline, after 1h00m of waiting. Last poll: the "
        "newest good backup, 56640001 (Automated, 2027-01-15 08:00 UTC), is 29h09m old, more than max_age (26h00m); "
        "since then: 56640002 (Automated, 2027-01-16 12:05 UTC) failed; the next automatic one is due at "
        "2027-01-16 18:00 UTC."
    )
    assert str(caught.value).endswith("Make one there or with DdsCreateBackupOperator; then clear this task.")
    assert "DescribeBackups (" in str(caught.value)


@every_mode
def test_last_poll_looks_further_back_to_name_the_newest_good_one(emulator, clock, gate, mode):
    emulator.service.create_job(emulator.service.instance(REPLICA), "Automated", "Snapshot", retention_days=30)
    clock.advance(20 * 24 * HOUR)
    with pytest.raises(AirflowSensorTimeout, match=r"newest good backup, 56640001 .*, is 20d 01h old"):
        gate(mode).once()


@every_mode
def test_instance_without_any_backup_waits_until_the_deadline(emulator, clock, gate, mode):
    began = clock.now
    with pytest.raises(AirflowSensorTimeout, match="no good backup has begun in the last 32d 02h"):
        gate(mode).once()
    assert began + HOUR <= clock.now <= began + HOUR + 60


@every_mode
def test_soft_fail_skips_at_the_deadline(emulator, gate, mode):
    with pytest.raises(AirflowSkipException):
        gate(mode, soft_fail=True).once()


@every_mode
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "null_body"},
        {"kind": "wrong_shape", "body": {"RequestId": "R", "Backups": "none"}},
        {"kind": "error", "status": 503, "code": "ServiceUnavailable"},
        {"kind": "html"},
    ],
    ids=lambda fault: fault["kind"],
)
def test_listing_that_cannot_be_read_is_waited_out(emulator, clock, gate, mode, fault):
    backed_up(emulator, clock)
    emulator.add_fault(**fault, action="DescribeBackups", times=12)
    began = clock.now
    assert gate(mode).once()["status"] == "Success"
    assert clock.now > began


@every_mode
def test_listing_that_never_can_be_read_is_no_verdict(emulator, clock, gate, mode):
    backed_up(emulator, clock)
    emulator.add_fault("truncated_body", action="DescribeBackups", times=None)
    with pytest.raises(AirflowSensorTimeout, match="The last poll failed"):
        gate(mode).once()


@every_mode
def test_unknown_instance_fails_at_once(emulator, clock, gate, mode):
    began = clock.now
    with pytest.raises(DdsNotFoundError, match="A fresh backup of dds-unknown cannot be watched"):
        gate(mode, "dds-unknown").once()
    assert clock.now == began


@every_mode
def test_denied_call_fails_at_once_also_later(emulator, clock, gate, mode):
    emulator.add_fault("error", status=403, code="Forbidden.RAM", action="DescribeBackups", times=None, after=2)
    began = clock.now
    with pytest.raises(DdsAccessDeniedError, match="dds:DescribeBackups"):
        gate(mode).once()
    assert clock.now - began == 120


def test_all_that_can_be_asked_for_survives_the_deferral(emulator, clock, gate):
    asked = {
        "max_age": timedelta(hours=2), "age_of": "end", "backup_modes": ["Automated"], "backup_methods": ["Snapshot"],
        "min_size_ratio": 0.5, "min_days_left": 1,
    }  # fmt: skip
    run = gate("deferrable", **asked, poll_strategy="exponential", region_id="cn-hangzhou")
    emulator.service.start_automatic_backup(REPLICA)
    assert run.once()["backup_mode"] == "Automated"
    [(path, stored)] = run.deferrals
    assert path == "airflow_provider_dds.triggers.fresh_backup.DdsFreshBackupTrigger"
    named = {name: stored[name] for name in (*asked, "poll_strategy", "region_id")}
    assert named == {**asked, "max_age": 7200.0, "poll_strategy": "exponential", "region_id": "cn-hangzhou"}


def test_truncated_backup_is_not_taken(emulator, clock, gate):
    for _ in range(3):
        backed_up(emulator, clock)
        clock.advance(24 * HOUR - 300)
    emulator.service.instance(REPLICA).data_bytes //= 10  # all sets show the size of now
    backed_up(emulator, clock)
    assert gate(min_size_ratio=0.5).once()["age_seconds"] == 290


def test_restarted_triggerer_goes_on(emulator, clock, gate):
    run = gate("deferrable")
    run.restart_triggerer_after = 2
    emulator.service.start_automatic_backup(REPLICA)
    assert run.once()["status"] == "Success"


def test_a_poll_of_a_replica_set_is_two_calls_and_the_instance_is_asked_for_once(emulator, clock, gate):
    emulator.service.start_automatic_backup(REPLICA)
    gate("poke", poke_interval=100).once()
    asked = [request.action for request in emulator.requests()]
    assert asked == ["DescribeDBInstanceAttribute", *["DescribeBackupTasks", "DescribeBackups"] * 4]


@every_mode
def test_facts_go_to_the_link_and_the_outlets(emulator, clock, gate, mode):
    backed_up(emulator, clock)
    run = gate(mode)
    run.once()
    assert run.ti.xcoms["dds_instance_console"].endswith("/instances/dds-demo-replica/basicInfo")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"max_age": 0}, "max_age is 0; it must be more than 0 seconds"),
        ({"max_age": "26h"}, "max_age is '26h'"),
        ({"age_of": "start"}, "age_of is 'start'; it must be one of data, end"),
        ({"backup_modes": "Manual"}, "backup_modes is 'Manual'; it must be a list"),
        ({"backup_modes": []}, "backup_modes is"),
        ({"backup_methods": ["Dump"]}, "one or more of Snapshot, Physical, Logical"),
        ({"min_size_ratio": 50}, "min_size_ratio is 50; it must be a number above 0 and up to 1"),
        ({"min_days_left": -1}, "min_days_left is -1; it must be 0 to 730 days"),
        ({"min_days_left": "7"}, "min_days_left is '7'"),
        ({"poke_interval": 0}, "poke_interval is 0"),
        ({"timeout": 30}, "poke_interval .* is longer than timeout"),
        ({"deferrable": "yes"}, "deferrable is 'yes'"),
    ],
)
def test_wrong_argument_is_refused_when_the_dag_is_read(gate, arguments, says):
    with pytest.raises(DdsConfigurationError, match=says):
        gate(**arguments)


@pytest.mark.parametrize(
    "garbled",
    [
        {"age_seconds": None},
        {"age_seconds": "290"},
        {"age_seconds": -1},
        {"age_seconds": 27 * HOUR},
        {"age_seconds": ()},
    ],
)
def test_event_without_an_age_that_was_asked_for_is_not_believed(emulator, clock, gate, garbled):
    """A worker polls once instead: here there is no backup at all."""
    run = gate("deferrable")
    facts = {"db_instance_id": REPLICA, "backup_job_id": None, "age_seconds": 290, **garbled}
    if garbled["age_seconds"] == ():
        del facts["age_seconds"]
    event = Result(Outcome.DONE, "is 4m50s old", backup=facts).to_json()
    with pytest.raises(DdsDeferralError, match="its event cannot be read"):
        run.task.execute_complete(run.context(), event)
    assert emulator.requests("DescribeBackups")


def test_empty_instance_id_sends_nothing(emulator, gate):
    with pytest.raises(DdsConfigurationError, match="db_instance_id is 'None' after rendering"):
        gate(db_instance_id="None").once()
    assert emulator.requests() == []


def test_hook_lists_what_the_sensor_took(emulator, clock, gate):
    backed_up(emulator, clock)
    facts = gate().once()
    [row] = DdsHook().list_backups(REPLICA, since=datetime.fromtimestamp(clock.now - HOUR, tz=timezone.utc))
    assert {**row.facts(), "age_seconds": 290} == facts


@every_mode
def test_policy_that_cannot_be_read_changes_nothing(emulator, gate, mode):
    emulator.add_fault("error", status=403, code="Forbidden.RAM", action="DescribeBackupPolicy", times=None)
    with pytest.raises(AirflowSensorTimeout, match=r"no good backup has begun in the last 32d 02h\. Asked"):
        gate(mode).once()
    assert len(emulator.requests("DescribeBackupPolicy")) == 1
