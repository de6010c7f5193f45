"""The inventory against the service over HTTP: every layout, every reading of what its pages leave open."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta, timezone

import pytest

from airflow_provider_dds.emulator import Readings
from airflow_provider_dds.exceptions import (
    DdsAccessDeniedError,
    DdsConfigurationError,
    DdsInvalidRequestError,
    DdsNotFoundError,
    DdsResponseError,
)
from airflow_provider_dds.hooks.dds import DdsHook
from tests.support.runner import REPLICA

KINDS = ["dds-demo-replica", "dds-demo-cluster", "dds-demo-sharded", "dds-demo-local", "dds-demo-standalone"]
DAY = 86_400


@pytest.fixture
def now(clock):
    return lambda: datetime.fromtimestamp(clock.now, tz=timezone.utc)


def backed_up(emulator, clock, instance_id, *, mode="Automated", **outcome):
    """Let a backup of an instance be made and be over; return its job id."""
    emulator.service.next_job(instance_id, **outcome)
    if mode == "Automated":
        job_id = emulator.service.start_automatic_backup(instance_id)
    else:
        job_id = emulator.service.create_job(emulator.service.instance(instance_id), "Manual", "Snapshot").job_id
    clock.advance(400)
    return job_id


@pytest.mark.parametrize("instance_id", KINDS)
def test_every_layout_has_one_row_a_backup(emulator, clock, hook, now, instance_id):
    first = backed_up(emulator, clock, instance_id)
    clock.advance(3600)
    second = backed_up(emulator, clock, instance_id, mode="Manual")
    clock.advance(3600)
    backed_up(emulator, clock, instance_id, fail_at=40)
    found = hook.list_backups(instance_id, since=now() - timedelta(days=1))
    assert [row.good for row in found] == [False, True, True]
    assert found[0].why_not.startswith("failed")
    assert [row.backup_mode for row in found] == ["Automated", "Manual", "Automated"]
    assert [row.backup_job_id for row in found][1:] == [second, first]
    assert all(row.start_time < row.end_time and row.size_bytes > 0 for row in found[1:])
    nodes = 2 if instance_id in ("dds-demo-cluster", "dds-demo-sharded") else 0
    assert [len(row.nodes) for row in found[1:]] == [nodes, nodes]
    assert len({node.node_id for node in found[1].nodes}) == nodes


@pytest.mark.parametrize("instance_id", KINDS)
@pytest.mark.parametrize(
    "readings",
    [
        {"shard_job_ids": "per_shard"},
        {"finished_row_seconds": 0, "unknown_job_in_sets": "not_matched"},
        {"finished_rows": "only_by_id", "row_id_type": "float", "is_avail": "words"},
        {"copies": "Running", "incremental_sets": True},
        {"copies": "Success", "copy_regions": False},
        {"page_rows": 2, "duplicate_rows": True, "row_order": "oldest_first"},
        {"uncovered_tasks": "error", "running_sets": "listed"},
        {"uncovered_tasks": "error", "kind_shown": False},
        {"upcoming_automatic_rows": 3, "shard_node_id": "optional"},
    ],
    ids=lambda readings: next(iter(readings)),
)
def test_each_reading_has_the_same_rows(emulator, clock, hook, now, instance_id, readings):
    emulator.service.readings = Readings(**readings)
    for mode in ("Automated", "Manual"):
        backed_up(emulator, clock, instance_id, mode=mode)
        clock.advance(3600)
    found = hook.list_backups(instance_id, since=now() - timedelta(days=1))
    assert [(row.backup_mode, row.why_not) for row in found] == [("Manual", None), ("Automated", None)]


@pytest.mark.parametrize("readings", [{"node_filter": False}, {"shard_list": False, "shard_node_id": "optional"}])
def test_sets_of_unknown_shards_are_no_complete_backup(emulator, clock, hook, now, readings):
    emulator.service.readings = Readings(**readings)
    backed_up(emulator, clock, "dds-demo-sharded")
    [row] = hook.list_backups("dds-demo-sharded", since=now() - timedelta(days=1))
    assert row.why_not == "incomplete: which shards its sets are of is not shown"


@pytest.mark.parametrize("instance_id", KINDS[:3])
def test_backup_under_way_is_a_row(emulator, clock, hook, now, instance_id):
    emulator.service.start_automatic_backup(instance_id)
    clock.advance(150)
    [row] = hook.list_backups(instance_id, since=now() - timedelta(days=1))
    assert row.why_not.startswith("running: Backuping")
    assert row.backup_mode == "Automated"


def test_shard_whose_set_is_late_is_named(emulator, clock, hook, now):
    emulator.service.readings = Readings(shard_set_lag_seconds=3600)
    backed_up(emulator, clock, "dds-demo-sharded")
    [row] = hook.list_backups("dds-demo-sharded", since=now() - timedelta(days=1))
    assert row.why_not == "incomplete: no set of shard d-demo-sharded-2"


def test_shard_that_was_released_is_not_asked_again(emulator, clock, hook, now):
    backed_up(emulator, clock, "dds-demo-sharded")
    original = emulator.service.call

    def releases(action, params):
        if action == "DescribeBackups":
            emulator.service.set_shards("dds-demo-sharded", 1)
        return original(action, params)

    emulator.service.call = releases
    [row] = hook.list_backups("dds-demo-sharded", since=now() - timedelta(days=1))
    assert (row.good, row.backup_id) == (True, "56640001")


def test_span_and_modes_choose_the_rows(emulator, clock, hook, now):
    for _ in range(4):
        backed_up(emulator, clock, REPLICA)
        clock.advance(DAY - 400)
    backed_up(emulator, clock, REPLICA, mode="Manual")
    [by_hand] = hook.list_backups(REPLICA, since=now() - timedelta(days=9), backup_modes=["Manual"])
    assert by_hand.backup_mode == "Manual"
    assert len(hook.list_backups(REPLICA, since=now() - timedelta(days=9))) == 5
    assert len(hook.list_backups(REPLICA, since=now() - timedelta(days=2, hours=1))) == 3
    earlier = hook.list_backups(REPLICA, since=now() - timedelta(days=9), until=now() - timedelta(days=2, hours=1))
    assert len(earlier) == 2


def test_coroutine_gives_the_same(emulator, clock, hook, now):
    backed_up(emulator, clock, REPLICA)
    since = now() - timedelta(days=1)
    assert asyncio.run(hook.alist_backups(REPLICA, since=since)) == hook.list_backups(REPLICA, since=since)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"since": "2026-01-01"}, r"since is '2026-01-01'; .* such as datetime.fromisoformat\('2026-01-01'\)"),
        ({"since": datetime(2026, 1, 1)}, r"has no time zone; .*since.replace\(tzinfo=timezone.utc\)"),
        ({"until": datetime(2026, 1, 1)}, r"until.replace\(tzinfo=timezone.utc\)"),
        ({"until": datetime(2020, 1, 1, tzinfo=timezone.utc)}, "exchange them"),
        ({"since": timedelta(hours=1)}, "must be a datetime with a time zone"),
        ({"backup_modes": "Manual"}, "must be a list of one or more of Automated, Manual"),
        ({"backup_modes": []}, "must be a list"),
        ({"backup_modes": ["Auto"]}, "must be a list"),
        ({"db_instance_id": None}, "db_instance_id is None"),
    ],
)
def test_wrong_argument_is_refused_with_the_fix(emulator, hook, arguments, says):
    given = {"db_instance_id": REPLICA, "since": datetime(2026, 1, 1, tzinfo=timezone.utc), **arguments}
    with pytest.raises(DdsConfigurationError, match=says):
        hook.list_backups(**given)
    assert emulator.requests() == []


def test_listing_that_may_have_more_is_an_error(emulator, clock, hook, now):
    emulator.service.readings = Readings(page_rows=30, page_number="ignored")
    for _ in range(31):
        backed_up(emulator, clock, REPLICA)
    with pytest.raises(DdsResponseError, match="may have rows"):
        hook.list_backups(REPLICA, since=now() - timedelta(days=9))


def test_shards_that_cannot_be_asked_for_are_an_error_and_not_no_backups(emulator, clock, hook, now):
    emulator.service.readings = Readings(shard_list=False)
    backed_up(emulator, clock, "dds-demo-sharded")
    with pytest.raises(DdsResponseError, match="shows no shards"):
        hook.list_backups("dds-demo-sharded", since=now() - timedelta(days=1))


def test_unknown_instance_and_denied_calls_are_errors(emulator, hook, now):
    with pytest.raises(DdsNotFoundError):
        hook.list_backups("dds-unknown", since=now() - timedelta(days=1))
    emulator.add_fault("error", status=403, code="Forbidden.RAM", action="DescribeBackups", times=None)
    with pytest.raises(DdsAccessDeniedError):
        hook.list_backups(REPLICA, since=now() - timedelta(days=1))


@pytest.mark.parametrize("instance_id", KINDS)
def test_policy_says_when_the_next_backup_is_due(emulator, hook, now, instance_id):
    policy = hook.describe_backup_policy(instance_id)
    assert now() < policy.preferred_next_backup_time <= now() + timedelta(days=1)
    assert (policy.backup_retention_period, policy.enable_backup_log, policy.backup_interval) == (7, False, -1)
    assert len(policy.preferred_backup_period) == 7
    assert json.loads(json.dumps(policy.to_dict()))["preferred_next_backup_time"].endswith(":00+00:00")
    assert asyncio.run(hook.adescribe_backup_policy(instance_id)) == policy


def test_ranges_to_restore_within_end_when_the_last_logs_were_kept(emulator, clock, hook, now):
    for instance_id in (REPLICA, "dds-demo-cluster"):
        assert hook.describe_recover_ranges(instance_id) == []
        emulator.service.instance(instance_id).log_backup = True
        assert hook.describe_recover_ranges(instance_id) == [], "logs alone restore nothing"
        backed_up(emulator, clock, instance_id)
        clock.advance(3600)
        [found] = hook.describe_recover_ranges(instance_id)
        assert timedelta(minutes=5) <= now() - found.end_time < timedelta(minutes=5, seconds=1)
        assert timedelta(minutes=59) < now() - found.begin_time < timedelta(minutes=62)
        assert json.loads(json.dumps(found.to_dict()))["restore_type"] == "PointInTime"
        assert asyncio.run(hook.adescribe_recover_ranges(instance_id)) == [found]
    assert [request.action for request in emulator.requests("DescribeClusterRecoverTime")]


def test_gap_between_two_ranges_shows(emulator, clock, hook):
    emulator.service.instance(REPLICA).log_backup = True
    for _ in range(2):
        backed_up(emulator, clock, REPLICA)
        clock.advance(7200)
    emulator.service.readings = Readings(recover_gap_seconds=1800)
    first, second = hook.describe_recover_ranges(REPLICA)
    assert second.begin_time - first.end_time == timedelta(minutes=30)


def test_storage_is_that_of_each_shard(emulator, clock, hook):
    assert [each.full_bytes for each in hook.describe_backup_storage(REPLICA)] == [0]
    backed_up(emulator, clock, "dds-demo-cluster")
    shards = hook.describe_backup_storage("dds-demo-cluster")
    assert [each.node_id for each in shards] == ["d-demo-cluster-1", "d-demo-cluster-2"]
    assert all(0 < each.full_bytes < each.free_bytes for each in shards)
    assert json.loads(json.dumps(shards[0].to_dict()))["log_bytes"] == 0
    assert asyncio.run(hook.adescribe_backup_storage("dds-demo-cluster")) == shards


@pytest.mark.parametrize("read", [DdsHook.describe_recover_ranges, DdsHook.describe_backup_storage])
def test_kind_that_is_not_covered_is_an_error(hook, read):
    with pytest.raises(DdsInvalidRequestError):
        read(hook, "dds-demo-local")
    with pytest.raises(DdsNotFoundError):
        read(hook, "dds-unknown")
    with pytest.raises(DdsConfigurationError, match="db_instance_id"):
        read(hook, None)


@pytest.mark.parametrize(
    ("action", "body", "read"),
    [
        ("DescribeInstanceRecoverTime", {"RestoreRanges": [{"RestoreBeginTime": "soon"}]}, "describe_recover_ranges"),
        ("DescribeInstanceRecoverTime", {"RestoreRanges": "none"}, "describe_recover_ranges"),
        ("DescribeBackupStorage", {"FullStorageSize": "much"}, "describe_backup_storage"),
    ],
)
def test_answer_of_another_shape_is_an_error(emulator, hook, action, body, read):
    emulator.add_fault("wrong_shape", body={"RequestId": "R", **body}, action=action, times=None)
    with pytest.raises(DdsResponseError):
        getattr(hook, read)(REPLICA)


def test_answer_that_is_no_policy_is_an_error(emulator, hook):
    emulator.add_fault("wrong_shape", body={"RequestId": "R"}, action="DescribeBackupPolicy", times=None)
    with pytest.raises(DdsResponseError, match="no field of a backup policy"):
        hook.describe_backup_policy(REPLICA)
    with pytest.raises(DdsNotFoundError):
        hook.describe_backup_policy("dds-unknown")
