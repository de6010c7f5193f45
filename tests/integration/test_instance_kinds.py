"""Each kind of instance is waited for by the calls that know about its backups."""

from __future__ import annotations

import pytest

from airflow_provider_dds.emulator import Readings
from airflow_provider_dds.exceptions import DdsBackupFailedError, DdsBackupNotFoundError

every_mode = pytest.mark.parametrize("mode", ["poke", "reschedule", "deferrable"])
CLUSTER, SHARDED, LOCAL, STANDALONE = "dds-demo-cluster", "dds-demo-sharded", "dds-demo-local", "dds-demo-standalone"
every_kind = pytest.mark.parametrize("instance_id", [CLUSTER, SHARDED, LOCAL, STANDALONE])


@every_mode
@every_kind
def test_good_backup(emulator, operator, sensor, mode, instance_id):
    job_id = operator(instance_id).once()
    facts = sensor(job_id, mode, instance_id).once()
    assert facts["status"] == "Success"
    assert facts["backup_job_id"] == job_id
    assert facts["backup_id"]
    assert facts["size_bytes"] > 0


@every_mode
@every_kind
def test_failed_backup(emulator, operator, sensor, mode, instance_id):
    emulator.service.next_job(instance_id, fail_at=40)
    job_id = operator(instance_id).once()
    with pytest.raises(DdsBackupFailedError):
        sensor(job_id, mode, instance_id).once()


@every_kind
def test_operator_alone_waits_for_it(emulator, operator, instance_id):
    run = operator(instance_id, wait_for_completion=True, deferrable=True)
    run.once()
    assert run.ti.xcoms["backup"]["status"] == "Success"


@every_kind
def test_lost_answer_is_settled(emulator, operator, instance_id):
    emulator.add_fault("reset_after", action="CreateBackup")
    assert operator(instance_id).once() == emulator.service.jobs(instance_id)[0].job_id
    assert emulator.calls("CreateBackup") == 1


def test_cluster_is_confirmed_by_its_cluster_backup(emulator, operator, sensor):
    facts = sensor(operator(CLUSTER).once(), "poke", CLUSTER).once()
    assert facts["backup_id"].startswith("cb-")
    assert emulator.calls("DescribeBackups") == 0


def test_cluster_waits_for_the_logs_that_make_it_consistent(emulator, operator, sensor, clock):
    emulator.service.readings = Readings(attach_log_seconds=300)
    began = clock.now
    assert sensor(operator(CLUSTER).once(), "poke", CLUSTER, confirm_timeout=60).once()["status"] == "Success"
    assert clock.now - began >= 600


@pytest.mark.parametrize("instance_id", [CLUSTER, SHARDED])
def test_set_of_another_job_is_not_taken_for_its_own(emulator, operator, sensor, clock, instance_id):
    operator(instance_id).once()
    clock.advance(4000)
    emulator.service.readings = Readings(job_filter_in_sets=False)
    with pytest.raises(DdsBackupNotFoundError):
        sensor("424242", "poke", instance_id).once()


def test_cluster_set_is_recognised_by_its_start_where_the_filter_is_ignored(emulator, operator, sensor, clock):
    operator(CLUSTER).once()
    clock.advance(4000)
    emulator.service.readings = Readings(job_filter_in_sets=False)
    facts = sensor(operator(CLUSTER).once(), "poke", CLUSTER).once()
    assert facts["status"] == "Success"
    assert facts["backup_id"] == emulator.service.jobs(CLUSTER)[-1].job.cluster_backup_id


def test_shard_mode_needs_the_set_of_every_shard(emulator, operator, sensor):
    facts = sensor(operator(SHARDED).once(), "poke", SHARDED).once()
    nodes = {request.params["NodeId"] for request in emulator.requests("DescribeBackups") if "NodeId" in request.params}
    assert len(facts["backup_id"].split(",")) == len(nodes) == 2


@every_mode
def test_shard_mode_with_a_job_for_each_shard_needs_the_set_of_every_shard(emulator, operator, sensor, clock, mode):
    emulator.service.readings = Readings(shard_job_ids="per_shard")
    operator(SHARDED).once()
    clock.advance(1000)
    emulator.service.readings = Readings(shard_job_ids="per_shard", shard_set_lag_seconds=120)
    facts = sensor(operator(SHARDED).once(), mode, SHARDED).once()
    made = [ids.backup_id for ids in emulator.service.jobs(SHARDED)[-1].job.sets]
    assert sorted(facts["backup_id"].split(",")) == made
    assert clock.now - emulator.service.jobs(SHARDED)[-1].look.ended >= 120


@pytest.mark.parametrize("instance_id", [LOCAL, STANDALONE])
@pytest.mark.parametrize("tasks", ["empty", "error"])
def test_local_disk_is_waited_for_by_its_set_alone(emulator, operator, sensor, instance_id, tasks):
    emulator.service.readings = Readings(uncovered_tasks=tasks)
    emulator.service.next_job(instance_id, seconds=1800)
    facts = sensor(operator(instance_id).once(), "deferrable", instance_id, not_found_grace=60).once()
    assert facts["status"] == "Success"
    assert emulator.calls("DescribeBackupTasks") == 0


@pytest.mark.parametrize("set_id", ["job_id", "set_id"])
def test_local_disk_whose_create_names_only_the_set(emulator, operator, sensor, set_id):
    emulator.service.readings = Readings(create_returns="backup_id", create_backup_id=set_id)
    facts = sensor(operator(LOCAL).once(), "poke", LOCAL).once()
    assert facts["status"] == "Success"


@pytest.mark.parametrize("error", ["empty", "not_matched"])
@every_kind
def test_service_that_answers_not_matched_means_not_there_yet(emulator, operator, sensor, instance_id, error):
    emulator.service.readings = Readings(
        unknown_job_in_tasks=error, unknown_job_in_sets=error, finished_row_seconds=0, set_lag_seconds=60
    )
    assert sensor(operator(instance_id).once(), "poke", instance_id).once()["status"] == "Success"
