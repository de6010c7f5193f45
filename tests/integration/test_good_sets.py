"""What a good set is, in all modes: whatever the service says of sets, shards, pages and time."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from airflow_provider_dds.api.models import BackupJob, BackupSet
from airflow_provider_dds.emulator import Readings
from airflow_provider_dds.exceptions import (
    DdsApiError,
    DdsBackupFailedError,
    DdsBackupNotFoundError,
    DdsInvalidRequestError,
    DdsNotFoundError,
)
from tests.support.runner import REPLICA
from tests.support.versions import AirflowSensorTimeout, every_mode_that_remembers

CLUSTER, SHARDED, LOCAL, STANDALONE = "dds-demo-cluster", "dds-demo-sharded", "dds-demo-local", "dds-demo-standalone"
every_mode = pytest.mark.parametrize("mode", ["poke", "reschedule", "deferrable"])
one_set = pytest.mark.parametrize("instance_id", [REPLICA, SHARDED, LOCAL])
every_kind = pytest.mark.parametrize("instance_id", [REPLICA, CLUSTER, SHARDED, LOCAL, STANDALONE])
NEVER = 100_000.0


@pytest.fixture
def plays(emulator):
    """Play other readings from now on."""

    def play(**fields):
        emulator.service.readings = replace(emulator.service.readings, **fields)

    return play


def ended(emulator, instance_id):
    return emulator.service.jobs(instance_id)[-1].look.ended


def own_sets(emulator, instance_id):
    job = emulator.service.jobs(instance_id)[-1].job
    return [job.cluster_backup_id] if job.cluster_backup_id else [ids.backup_id for ids in job.sets]


# --- available and not expired ----------------------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("kind", ["documented", "flag", "number", "text", "words"])
def test_set_is_waited_for_until_it_is_available(emulator, plays, hook, sensor, clock, instance_id, kind):
    plays(is_avail=kind, available_lag_seconds=900)
    facts = sensor(hook.create_backup(instance_id), "poke", instance_id, confirm_timeout=60).once()
    assert facts["status"] == "Success"
    assert clock.now - ended(emulator, instance_id) >= 900


@every_kind
def test_set_that_does_not_say_is_taken_for_available(plays, hook, sensor, instance_id):
    plays(is_avail="absent", available_lag_seconds=NEVER)
    assert sensor(hook.create_backup(instance_id), "poke", instance_id).once()["status"] == "Success"


@every_mode
@every_kind
def test_set_that_is_never_available_times_out_and_says_so(plays, hook, sensor, mode, instance_id):
    plays(available_lag_seconds=NEVER)
    with pytest.raises(AirflowSensorTimeout, match=r"not available \(IsAvail\)"):
        sensor(hook.create_backup(instance_id), mode, instance_id).once()


@every_mode
@pytest.mark.parametrize("instance_id", [REPLICA, CLUSTER, SHARDED])
@pytest.mark.parametrize("seconds", [0, 600])
def test_set_past_its_expiry_times_out_and_says_so(plays, hook, sensor, mode, instance_id, seconds):
    plays(expiry_seconds=seconds)
    with pytest.raises(AirflowSensorTimeout, match="its expiry is past or within 15 minutes"):
        sensor(hook.create_backup(instance_id), mode, instance_id).once()


@every_mode
def test_expired_set_that_is_deleted_is_not_taken_for_one_that_is_not_visible_yet(plays, hook, sensor, mode):
    plays(expiry_seconds=600, expired_sets="deleted")
    with pytest.raises(AirflowSensorTimeout, match="though a set of it was visible before"):
        sensor(hook.create_backup(REPLICA), mode, confirm_timeout=120).once()


@pytest.mark.parametrize("skew", [-840, 840])
@every_kind
def test_clocks_that_differ_make_no_good_set_look_bad(emulator, plays, hook, sensor, instance_id, skew):
    emulator.service.skew = skew
    plays(expiry_seconds=7 * 86_400)
    assert sensor(hook.create_backup(instance_id), "poke", instance_id).once()["status"] == "Success"


@pytest.mark.parametrize("skew", [-840, 840])
def test_clocks_that_differ_make_no_expired_set_look_good(emulator, plays, hook, sensor, skew):
    emulator.service.skew = skew
    plays(expiry_seconds=0)
    with pytest.raises(AirflowSensorTimeout, match="its expiry is past"):
        sensor(hook.create_backup(REPLICA)).once()


# --- the job's own, the original, the full one ------------------------------------------------------------------------


@every_mode
@one_set
def test_incremental_set_does_not_count(emulator, plays, hook, sensor, clock, mode, instance_id):
    plays(incremental_sets=True, set_lag_seconds=200)
    facts = sensor(hook.create_backup(instance_id), mode, instance_id).once()
    assert facts["backup_id"].split(",") == own_sets(emulator, instance_id)
    assert facts["backup_type"] == "FullBackup"
    assert clock.now - ended(emulator, instance_id) >= 200


@one_set
@pytest.mark.parametrize("regions", [True, False])
@pytest.mark.parametrize("copies", ["Success", "Failed", "Running"])
def test_copy_in_another_region_neither_counts_nor_fails(emulator, plays, hook, sensor, instance_id, copies, regions):
    plays(copies=copies, copy_regions=regions)
    facts = sensor(hook.create_backup(instance_id), "poke", instance_id).once()
    assert facts["backup_id"].split(",") == own_sets(emulator, instance_id)
    instance = emulator.service.instances[instance_id]
    assert facts["size_bytes"] == instance.data_bytes * len(own_sets(emulator, instance_id))


@every_mode
@pytest.mark.parametrize("instance_id", [REPLICA, SHARDED])
@pytest.mark.parametrize("twin", ["Scheduled", "Finished", "Failed"])
@pytest.mark.parametrize("kept", [None, 60])
def test_automatic_backup_of_the_same_id_is_not_the_manual_one(
    emulator, plays, hook, sensor, clock, mode, instance_id, twin, kept
):
    plays(automatic_twin=twin, set_lag_seconds=120, finished_row_seconds=kept)
    facts = sensor(hook.create_backup(instance_id), mode, instance_id, poke_interval=20).once()
    assert facts["backup_id"].split(",") == own_sets(emulator, instance_id)
    assert facts["backup_mode"] == "Manual"
    assert clock.now - ended(emulator, instance_id) >= 120


@pytest.mark.parametrize("kind", ["int", "float"])
@every_mode
def test_ids_may_be_numbers(plays, hook, sensor, mode, kind):
    plays(create_id_type=kind, row_id_type=kind)
    assert sensor(hook.create_backup(REPLICA), mode).once()["status"] == "Success"


def test_cluster_backup_that_expires_between_two_questions_is_not_taken_for_the_jobs(plays, hook, sensor, clock):
    hook.create_backup(CLUSTER)
    clock.advance(400)
    plays(job_filter_in_sets=False, expired_sets="deleted")
    with pytest.raises(DdsBackupNotFoundError):
        sensor("424242", "poke", CLUSTER, not_found_grace=60).once()


# --- shards -----------------------------------------------------------------------------------------------------------


@every_mode
def test_set_of_one_shard_does_not_stand_for_that_of_another(plays, hook, sensor, mode):
    plays(shard_set_lag_seconds=NEVER)
    with pytest.raises(AirflowSensorTimeout, match="no full backup set of shard d-demo-sharded-2 is visible"):
        sensor(hook.create_backup(SHARDED), mode, SHARDED, confirm_timeout=60).once()


@pytest.mark.parametrize("restart", range(8, 14))
def test_triggerer_that_starts_anew_takes_no_shard_for_added_later(plays, hook, sensor, restart):
    """Whatever poll it was after: only the first triggerer knows which shards there were while the backup ran."""
    plays(shard_set_lag_seconds=NEVER)
    run = sensor(hook.create_backup(SHARDED), "deferrable", SHARDED, confirm_timeout=60)
    run.restart_triggerer_after = restart
    with pytest.raises(AirflowSensorTimeout, match="no full backup set of shard d-demo-sharded-2 is visible"):
        run.once()


@every_mode
def test_shard_with_older_sets_was_part_of_the_backup(emulator, plays, hook, sensor, clock, mode):
    hook.create_backup(SHARDED)
    clock.advance(1000)
    plays(shard_set_lag_seconds=3000)  # by now the first backup's sets are there, the second one's not yet
    clock.advance(3000)
    job_id = hook.create_backup(SHARDED)
    clock.advance(400)
    with pytest.raises(AirflowSensorTimeout, match="no full backup set of shard d-demo-sharded-2 is visible"):
        sensor(job_id, mode, SHARDED, confirm_timeout=60, timeout=1800).once()


@every_mode
def test_shard_that_was_added_after_the_backup_is_not_waited_for_for_ever(emulator, hook, sensor, clock, mode, logged):
    job_id = hook.create_backup(SHARDED)
    clock.advance(400)
    emulator.service.set_shards(SHARDED, 3)
    facts = sensor(job_id, mode, SHARDED).once()
    assert facts["backup_id"].split(",") == own_sets(emulator, SHARDED)
    assert "none of shard d-demo-sharded-3, which nothing shows to have been part of the backup" in logged()


@every_mode_that_remembers
def test_shard_that_is_added_during_the_wait_is_not_waited_for(emulator, hook, sensor, clock, mode, monkeypatch):
    job_id = hook.create_backup(SHARDED)
    run = sensor(job_id, mode, SHARDED)
    original = emulator.service.jobs

    def jobs(*args):
        if clock.now > 1_800_000_200 and emulator.service.instances[SHARDED].shards == 2:
            emulator.service.set_shards(SHARDED, 3)
        return original(*args)

    monkeypatch.setattr(emulator.service, "jobs", jobs)
    facts = run.once()
    assert facts["backup_id"].split(",") == own_sets(emulator, SHARDED)
    assert emulator.service.instances[SHARDED].shards == 3


@every_mode
@pytest.mark.parametrize("when", ["before", "during"])
def test_shard_that_was_released_is_not_missed(emulator, hook, sensor, clock, mode, when, monkeypatch):
    job_id = hook.create_backup(SHARDED)
    original = emulator.service.jobs

    def jobs(*args):
        if clock.now > 1_800_000_200 and emulator.service.instances[SHARDED].shards == 2:
            emulator.service.set_shards(SHARDED, 1)
        return original(*args)

    if when == "during":
        monkeypatch.setattr(emulator.service, "jobs", jobs)
    else:
        clock.advance(400)
        emulator.service.set_shards(SHARDED, 1)
    facts = sensor(job_id, mode, SHARDED).once()
    assert facts["backup_id"].split(",") == own_sets(emulator, SHARDED)[:1]
    assert clock.now - 1_800_000_000 < 600


@pytest.mark.parametrize("node", ["required", "optional"])
def test_instance_that_shows_no_shards_is_asked_without_node(emulator, plays, hook, sensor, logged, node):
    plays(shard_list=False, shard_node_id=node)
    facts = sensor(hook.create_backup(SHARDED), "poke", SHARDED).once()
    told = facts["backup_id"].split(",") if facts["backup_id"] else []
    assert sorted(told) == (own_sets(emulator, SHARDED) if node == "optional" else [])
    assert ("which shards it is of is not shown" in logged()) is (node == "optional")
    assert "confirm_timeout (600 s); taken as done" in logged()


@pytest.mark.parametrize("node", ["required", "optional"])
@pytest.mark.parametrize("lost", [False, True])
def test_instance_that_shows_no_shards_is_backed_up_once(emulator, plays, operator, node, lost):
    plays(shard_list=False, shard_node_id=node)
    if lost:
        emulator.add_fault("reset_after", action="CreateBackup")
    assert operator(SHARDED).once() == emulator.service.jobs(SHARDED)[0].job_id
    assert len(emulator.service.jobs(SHARDED)) == 1


def test_node_that_is_ignored_does_not_make_one_set_that_of_each_shard(emulator, plays, hook, sensor):
    plays(node_filter=False, shard_set_lag_seconds=NEVER)
    with pytest.raises(AirflowSensorTimeout, match="1 backup sets are visible for 2 shards"):
        sensor(hook.create_backup(SHARDED), "poke", SHARDED, confirm_timeout=60).once()


# --- kinds that the listing of jobs refuses ---------------------------------------------------------------------------


@every_mode
@pytest.mark.parametrize("instance_id", [LOCAL, STANDALONE])
@pytest.mark.parametrize("code", ["SingleNodeNotSupport", "StorageTypeOrInstanceTypeNotSupported"])
@pytest.mark.parametrize("status", [400, 403])
def test_kind_that_is_refused_is_waited_for_through_its_sets(
    emulator, plays, operator, sensor, mode, instance_id, code, status
):
    job_id = operator(instance_id).once()
    plays(kind_shown=False, uncovered_tasks="error", uncovered_tasks_code=code, uncovered_tasks_status=status)
    facts = sensor(job_id, mode, instance_id, not_found_grace=60).once()
    assert facts["backup_id"].split(",") == own_sets(emulator, instance_id)


# --- what an answer means ---------------------------------------------------------------------------------------------


@every_mode
@pytest.mark.parametrize("action", ["DescribeBackupTasks", "DescribeBackups"])
@pytest.mark.parametrize("code", ["InvalidProduct.NotFound", "InvalidAction.NotFound", "Whatever.NotFound"])
def test_404_about_something_else_fails_at_once(emulator, hook, sensor, clock, mode, action, code):
    job_id = hook.create_backup(REPLICA)
    clock.advance(400)
    emulator.add_fault("error", status=404, code=code, action=action, times=None)
    with pytest.raises(DdsApiError, match=code) as caught:
        sensor(job_id, mode).once()
    assert isinstance(caught.value, (DdsInvalidRequestError, DdsNotFoundError))
    assert clock.now - 1_800_000_000 < 500


@every_mode
def test_unknown_instance_that_is_answered_with_an_empty_list_fails_at_once(emulator, plays, sensor, clock, mode):
    plays(unknown_instance_attribute="empty")
    with pytest.raises(DdsNotFoundError, match="knows no instance dds-nowhere"):
        sensor("1", mode, db_instance_id="dds-nowhere").once()
    assert clock.now == 1_800_000_000


@every_mode
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "IncorrectDBInstanceState"),
        (403, "IncorrectDBInstanceState"),
        (403, "OperationDenied.DBInstanceStatus"),
        (400, "Task.Conflict"),
        (400, "throttling.user"),
        (400, "THROTTLING"),
    ],
)
@pytest.mark.parametrize("action", ["DescribeDBInstanceAttribute", "DescribeBackupTasks", "DescribeBackups"])
def test_state_that_passes_is_waited_for_on_any_read(emulator, hook, sensor, mode, status, code, action):
    emulator.add_fault("error", status=status, code=code, action=action, times=12)
    assert sensor(hook.create_backup(REPLICA), mode).once()["status"] == "Success"


@every_mode
@pytest.mark.parametrize(
    "body",
    [
        {"RequestId": "R", "Backups": {"Backup": [{"BackupId": [], "BackupJobId": "775051"}]}},
        {"RequestId": "R", "Backups": {"Backup": [{"BackupId": "1", "BackupJobId": {"a": 1}}]}},
        {"RequestId": "R", "Backups": {"Backup": [{"BackupId": "1", "BackupJobId": "775051", "BackupStatus": [1]}]}},
        {"RequestId": "R", "Backups": {"Backup": [[]]}},
        {"RequestId": "R", "Backups": {"Backup": {}}},
    ],
    ids=str,
)
def test_rows_that_cannot_be_read_are_a_failed_poll(emulator, hook, sensor, mode, body):
    job_id = hook.create_backup(REPLICA)
    emulator.add_fault("wrong_shape", action="DescribeBackups", body=body, times=12)
    assert sensor(job_id, mode).once()["status"] == "Success"
    assert emulator.calls("DescribeBackups") > 12


# --- pages ------------------------------------------------------------------------------------------------------------

SAID = [
    {"page_size_shown": shown, "total_count": total}
    for shown in ("true", "asked", "text", "absent")
    for total in ("true", "text", "of_page", "too_high", "absent")
]


@pytest.mark.parametrize("said", SAID, ids=lambda said: "-".join(said.values()))
@pytest.mark.parametrize("page_rows", [30, 50])
def test_failed_set_on_a_later_page_is_seen(emulator, plays, hook, sensor, clock, said, page_rows):
    for _ in range(page_rows):
        hook.create_backup(REPLICA)
        clock.advance(400)
    emulator.service.next_job(REPLICA, backup_set="Failed")
    plays(job_filter_in_sets=False, row_order="oldest_first", page_rows=page_rows, **said)
    with pytest.raises(DdsBackupFailedError, match="is Failed"):
        sensor(hook.create_backup(REPLICA), "poke", confirm_timeout=60).once()


@every_mode
@pytest.mark.parametrize("total", ["true", "absent", "too_high"])
def test_listing_that_ignores_the_page_ends(emulator, plays, hook, sensor, clock, mode, total):
    for _ in range(40):
        hook.create_backup(REPLICA)
        clock.advance(400)
    plays(job_filter_in_sets=False, page_rows=30, page_number="ignored", total_count=total)
    assert sensor(hook.create_backup(REPLICA), mode).once()["status"] == "Success"
    assert emulator.calls("DescribeBackups") <= 4


def test_set_that_may_be_on_a_page_that_is_not_given_is_not_taken_for_one_that_is_not_there(
    emulator, plays, hook, sensor, clock
):
    for _ in range(40):
        hook.create_backup(REPLICA)
        clock.advance(400)
    emulator.service.next_job(REPLICA, backup_set="Failed")
    plays(job_filter_in_sets=False, row_order="oldest_first", page_rows=30, page_number="ignored")
    with pytest.raises(AirflowSensorTimeout, match=r"DescribeBackups .*gives the same page"):
        sensor(hook.create_backup(REPLICA), "poke", confirm_timeout=60).once()
    assert emulator.calls("DescribeBackups") < 400


# --- seconds in which the service answered ----------------------------------------------------------------------------


@every_mode
def test_outage_uses_none_of_not_found_grace(emulator, sensor, clock, mode):
    run = sensor("999999", mode, not_found_grace=300, timeout=40_000)
    emulator.add_fault("error", status=503, code="ServiceUnavailable", times=100, after=6)
    with pytest.raises(DdsBackupNotFoundError) as caught:
        run.once()
    assert "for 3" in str(caught.value)
    answered = [request.time for request in emulator.requests("DescribeBackups") if request.status == 200]
    assert answered[-1] - answered[0] > 300
    gaps = [late - early for early, late in itertools.pairwise(answered)]
    assert sum(gap for gap in gaps if gap <= 31) >= 300


@every_mode
def test_outage_uses_none_of_confirm_timeout(emulator, plays, hook, sensor, clock, mode, logged):
    plays(set_lag_seconds=NEVER)
    job_id = hook.create_backup(REPLICA)
    clock.advance(400)
    emulator.add_fault("error", status=503, code="ServiceUnavailable", action="DescribeBackups", times=60, after=2)
    assert sensor(job_id, mode, confirm_timeout=300, timeout=40_000).once()["status"] == "Finished"
    answered = [request.time for request in emulator.requests("DescribeBackups") if request.status == 200]
    gaps = [late - early for early, late in itertools.pairwise(answered)]
    assert sum(gap for gap in gaps if gap <= 31) >= 300
    assert "has not become visible within confirm_timeout (300 s)" in logged()


def test_readings_are_the_friendly_ones_by_default() -> None:
    assert Readings().copies == Readings().automatic_twin == "none"


# --- times that stand for none ----------------------------------------------------------------------------------------

NO_TIMES = ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0000-00-00T00:00:00Z", ""]


@pytest.fixture
def starts_say(monkeypatch):
    """Have each row say this in place of when its backup started."""

    def put(wire):
        for model, name in ((BackupJob, "from_wire"), (BackupSet, "from_wire"), (BackupSet, "from_cluster_wire")):
            parse = getattr(model, name)

            def read(row, read=parse):
                return read({key: wire if key.endswith("BackupStartTime") else row[key] for key in row})

            monkeypatch.setattr(model, name, read)

    return put


@every_mode
@every_kind
@pytest.mark.parametrize("wire", NO_TIMES)
def test_start_that_stands_for_no_time_fails_no_good_backup(starts_say, hook, sensor, mode, instance_id, wire):
    """Go's zero time, say, in the row of a job that has not begun."""
    starts_say(wire)
    facts = sensor(hook.create_backup(instance_id), mode, instance_id).once()
    assert (facts["status"], facts["start_time"]) == ("Success", None)


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("instance_id", [REPLICA, CLUSTER, SHARDED])
@pytest.mark.parametrize("wire", NO_TIMES)
def test_job_whose_start_stands_for_no_time_is_not_made_twice(
    starts_say, emulator, operator, instance_id, deferrable, wire
):
    starts_say(wire)
    emulator.add_fault("reset_after", action="CreateBackup")
    job_id = operator(instance_id, deferrable=deferrable).once()
    assert [each.job_id for each in emulator.service.jobs(instance_id) if each.job.mode == "Manual"] == [job_id]
    assert emulator.calls("CreateBackup") == 1
