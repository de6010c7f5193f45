"""Which waits tell of the newest good backup: an old job must not move its gauges back."""

from __future__ import annotations

import pytest

from airflow_provider_dds import metrics
from airflow_provider_dds.sensors.dds import DdsFreshBackupSensor
from tests.support.runner import REPLICA, Run


@pytest.fixture
def measured(monkeypatch):
    """The ids of the backups that gauges were told of."""
    ids = []
    monkeypatch.setattr(metrics, "good_backup", lambda facts, region_id, now: ids.append(facts["backup_job_id"]))
    return ids


def test_backup_that_ended_while_it_was_waited_for(hook, sensor, measured):
    job = hook.create_backup(REPLICA)
    sensor(job).once()
    assert measured == [job]


def test_old_backup(hook, sensor, clock, measured):
    job = hook.create_backup(REPLICA)
    clock.advance(6 * 3600)
    sensor(job).once()
    assert measured == []


def test_fresh_backup_that_was_there_before(hook, clock, measured):
    job = hook.create_backup(REPLICA)
    clock.advance(3600)
    Run(DdsFreshBackupSensor(task_id="gate", db_instance_id=REPLICA, max_age=7200, timeout=60), clock).once()
    assert measured == [job]
