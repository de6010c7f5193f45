"""The inventory: one row a backup for every layout, and why one is not good. The same for any order of rows."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_dds.api.models import BackupJob, BackupSet, DBInstance, Layout
from airflow_provider_dds.waiting.inventory.backup import BackupState
from airflow_provider_dds.waiting.inventory.rows import inventory

NOW = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)
REPLICA = DBInstance("dds-1", "Running", kind_code="18")
LOCAL = DBInstance("dds-1", "Running", kind_code="0")
SHARDED = DBInstance("dds-1", "Running", instance_type="sharding", kind_code="18", shard_node_ids=("d-1", "d-2"))
CLUSTER = replace(SHARDED, use_cluster_backup=True)


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


def a_set(backup_id: str = "s-1", job_id: str = "17", **fields: Any) -> BackupSet:
    of_all = {
        "status": "Success", "backup_method": "Snapshot", "backup_mode": "Automated", "backup_type": "FullBackup",
        "start_time": ago(hours=5), "end_time": ago(hours=4), "size_bytes": 100, "available": True,
        "expire_time": NOW + timedelta(days=7),
    }  # fmt: skip
    return BackupSet(backup_id, job_id, **{**of_all, **fields})


def rows_of(instance: DBInstance, sets: list[BackupSet], jobs: list[BackupJob] = []) -> list[Any]:  # noqa: B006
    return inventory(instance, sets, jobs, now=NOW.timestamp())


def test_layouts_of_these_tests():
    assert [each.layout for each in (REPLICA, LOCAL, SHARDED, CLUSTER)] == [
        Layout.REPLICA_SET, Layout.LOCAL, Layout.SHARDED, Layout.CLUSTER,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "state", "why_not"),
    [
        ({}, "good", None),
        ({"available": None, "expire_time": None}, "good", None),
        ({"status": "Running"}, "running", "running"),
        ({"status": ""}, "running", "running"),
        ({"status": "Failed"}, "failed", "failed"),
        ({"available": False}, "not available", "not available"),
        ({"expire_time": ago(days=1)}, "expired", "expired"),
        ({"expire_time": NOW + timedelta(minutes=10)}, "expired", "expired"),
        ({"backup_type": "IncrementalBackup"}, "incremental only", "incremental only"),
    ],
)
@pytest.mark.parametrize("instance", [REPLICA, LOCAL, CLUSTER], ids=lambda each: each.layout.value)
def test_why_a_set_is_not_good(instance, fields, state, why_not):
    [row] = rows_of(instance, [a_set(**fields)])
    assert (row.state.value, row.why_not, row.good) == (state, why_not, state == "good")


def test_newest_first_whoever_made_them():
    sets = [
        a_set("s-1", "17", start_time=ago(hours=30)),
        a_set("s-3", "19", start_time=ago(hours=2), backup_mode="Manual"),
        a_set("s-2", "18", start_time=ago(hours=6), status="Failed"),
        a_set("s-0", "", start_time=None),
    ]
    assert [row.backup_id for row in rows_of(REPLICA, sets)] == ["s-3", "s-2", "s-1", "s-0"]


def test_copies_and_incremental_sets_are_no_backups_of_their_own():
    sets = [
        a_set(),
        a_set("9s-1", start_time=ago(hours=4), status="Running"),
        a_set("8s-1", start_time=ago(hours=4), is_copy=True),
        a_set("7s-1", backup_type="IncrementalBackup"),
    ]
    [row] = rows_of(REPLICA, sets)
    assert (row.backup_id, row.good) == ("s-1", True)


def test_automatic_and_manual_backup_of_one_job_id_are_two():
    sets = [a_set("s-1", status="Failed"), a_set("s-2", backup_mode="Manual", start_time=ago(hours=3))]
    jobs = [
        BackupJob("17", "Backuping", ago(hours=3), 18, "Manual"),
        BackupJob("17", "Finished", None, None, "Automated"),
    ]
    found = [(row.backup_mode, row.why_not) for row in rows_of(REPLICA, sets, jobs)]
    assert found == [("Manual", "running: Backuping 18 %"), ("Automated", "failed")]


class TestShards:
    """In shard mode a backup is a set of each shard."""

    def both(self, **fields: Any) -> list[BackupSet]:
        return [
            a_set("s-1", node_id="d-1", size_bytes=100, start_time=ago(hours=5), **fields),
            a_set("s-2", node_id="d-2", size_bytes=50, start_time=ago(hours=4.9), end_time=ago(hours=3), **fields),
        ]

    def test_one_row_of_one_job(self):
        [row] = rows_of(SHARDED, self.both())
        assert (row.good, row.backup_job_id, row.backup_id, row.size_bytes) == (True, "17", "s-1,s-2", 150)
        assert (row.start_time, row.end_time) == (ago(hours=5), ago(hours=3))
        assert [each.node_id for each in row.nodes] == ["d-1", "d-2"]

    @pytest.mark.parametrize("ids", [("17", "18"), ("", "")])
    def test_without_a_common_job_id_what_began_together_is_one(self, ids):
        one, other = self.both()
        sets = [
            replace(one, backup_job_id=ids[0]),
            replace(other, backup_job_id=ids[1], start_time=ago(hours=5) + timedelta(seconds=110)),
            replace(one, backup_id="s-3", backup_job_id=ids[0] and "19", start_time=ago(hours=1), end_time=NOW),
            replace(other, backup_id="s-4", backup_job_id=ids[1] and "20", start_time=ago(hours=1), end_time=NOW),
        ]
        found = rows_of(SHARDED, sets)
        assert [(row.good, row.backup_id, row.backup_job_id) for row in found] == [
            (True, "s-3,s-4", "19" if ids[0] else None), (True, "s-1,s-2", "17" if ids[0] else None),
        ]  # fmt: skip

    @pytest.mark.parametrize("ids", [("17", "18"), ("", "")])
    @pytest.mark.parametrize("seconds", [60, 119])
    def test_what_began_when_the_other_had_ended_is_another_backup(self, ids, seconds):
        """An instance has one backup made at a time: each of two that were short has lost the set of a shard."""
        one, other = self.both()
        later = one.start_time + timedelta(seconds=seconds)
        sets = [
            replace(one, backup_job_id=ids[0], end_time=one.start_time + timedelta(seconds=50)),
            replace(other, backup_job_id=ids[1], start_time=later, end_time=later + timedelta(seconds=50)),
        ]
        assert [row.state for row in rows_of(SHARDED, sets)] == [BackupState.INCOMPLETE] * 2

    def test_what_began_at_another_time_or_in_another_mode_is_another_backup(self):
        one, other = self.both()
        late = replace(other, backup_job_id="18", start_time=ago(hours=5) + timedelta(minutes=3))
        by_hand = replace(other, backup_job_id="19", start_time=one.start_time, backup_mode="Manual")
        assert [row.state for row in rows_of(SHARDED, [one, late, by_hand])] == [BackupState.INCOMPLETE] * 3

    @pytest.mark.parametrize("ids", [("17", "17"), ("17", "18"), ("", "")])
    def test_set_that_does_not_say_its_mode_is_of_the_backup_of_the_other(self, ids):
        one, other = self.both()
        other = replace(other, start_time=one.start_time + timedelta(seconds=110))
        for sets in ([one, replace(other, backup_mode=None)], [replace(one, backup_mode=None), other]):
            sets = [replace(each, backup_job_id=job_id) for each, job_id in zip(sets, ids, strict=True)]
            [row] = rows_of(SHARDED, sets)
            assert (row.good, row.backup_mode, row.backup_id) == (True, "Automated", "s-1,s-2")

    def test_set_that_does_not_say_its_mode_is_of_neither_where_a_job_id_has_two(self):
        one, other = self.both()
        by_hand = replace(one, backup_id="s-3", backup_mode="Manual")
        rows = rows_of(SHARDED, [one, by_hand, replace(other, backup_mode=None)])
        assert sum(row.good for row in rows) <= 1

    def test_shard_without_a_set_is_named(self):
        [row] = rows_of(SHARDED, self.both()[:1])
        assert (row.good, row.why_not) == (False, "incomplete: no set of shard d-2")
        assert row.missing_shards == ("d-2",)

    def test_one_failed_or_running_set_is_the_state_of_all(self):
        one, other = self.both()
        assert rows_of(SHARDED, [one, replace(other, status="Failed")])[0].why_not == "failed"
        assert rows_of(SHARDED, [one, replace(other, status="Running")])[0].why_not == "running"

    def test_shard_with_only_an_incremental_set_is_missing(self):
        one, other = self.both()
        [row] = rows_of(SHARDED, [one, replace(other, backup_type="IncrementalBackup")])
        assert row.missing_shards == ("d-2",)

    def test_job_under_way_says_why_a_shard_is_missing(self):
        jobs = [BackupJob("17", "Backuping", ago(hours=5), 60, "Automated")]
        [row] = rows_of(SHARDED, self.both()[:1], jobs)
        assert (row.state, row.why_not) == (BackupState.RUNNING, "running: Backuping 60 %")

    def test_sets_listed_for_every_shard_do_not_count_as_the_sets_of_each(self):
        sets = [replace(each, node_id=node) for each in self.both() for node in ("d-1", "d-2")]
        [row] = rows_of(SHARDED, sets)
        assert row.why_not == "incomplete: which shards its sets are of is not shown"

    @pytest.mark.parametrize("name", ["start_time", "end_time", "size_bytes", "expire_time"])
    def test_what_only_one_of_two_sets_shows_is_not_known_of_the_backup(self, name):
        one, other = self.both()
        [row] = rows_of(SHARDED, [one, replace(other, **{name: None})])
        assert row.good
        assert getattr(row, name) is None

    def test_instance_that_shows_no_shards_has_no_complete_backup(self):
        [row] = rows_of(replace(SHARDED, shard_node_ids=()), [a_set()])
        assert not row.good


class TestClusters:
    """A cluster backup has a set of each shard, where it names its nodes as the instance does."""

    def backup(self, *node_ids: str) -> BackupSet:
        return a_set("cb-1", "", nodes=tuple(a_set(f"s-{node}", "", node_id=node) for node in node_ids))

    @pytest.mark.parametrize("node_ids", [("d-1", "d-2"), ("d-2", "cs-1", "d-1", "s-1")])
    def test_all_shards_are_there(self, node_ids):
        [row] = rows_of(CLUSTER, [self.backup(*node_ids)])
        assert (row.good, row.missing_shards) == (True, ())

    def test_shard_without_a_set_is_named(self):
        [row] = rows_of(CLUSTER, [self.backup("d-1", "cs-1")])
        assert (row.good, row.why_not) == (False, "incomplete: no set of shard d-2")
        assert row.missing_shards == ("d-2",)

    @pytest.mark.parametrize("node_ids", [(), ("r-1", "r-2")])
    def test_nodes_that_are_not_named_so_say_nothing(self, node_ids):
        [row] = rows_of(CLUSTER, [self.backup(*node_ids)])
        assert (row.good, row.missing_shards) == (True, ())

    def test_failed_backup_stays_a_failed_one(self):
        [row] = rows_of(CLUSTER, [replace(self.backup("d-1"), status="Failed")])
        assert row.state is BackupState.FAILED


class TestJobs:
    """A job is a row, too, while it has no set."""

    @pytest.mark.parametrize(
        ("status", "why_not"),
        [
            ("Backuping", "running: Backuping 18 %"),
            ("Pondering", "running: Pondering 18 %"),
            ("Failed", "failed: its job is 'Failed'"),
            ("Finished", "no backup set visible"),
        ],
    )
    def test_job_without_a_set(self, status, why_not):
        [row] = rows_of(REPLICA, [], [BackupJob("17", status, ago(hours=1), 18, "Manual")])
        assert (row.backup_job_id, row.backup_id, row.backup_mode, row.why_not) == ("17", None, "Manual", why_not)
        assert row.start_time == ago(hours=1)

    def test_automatic_backup_that_is_planned_for_later_is_none_yet(self):
        planned = BackupJob("99", "Scheduled", NOW + timedelta(hours=3), None, "Automated")
        begins = BackupJob("98", "Scheduled", NOW + timedelta(seconds=10), None, "Manual")
        assert [row.backup_job_id for row in rows_of(REPLICA, [], [planned, begins])] == ["98"]

    def test_job_that_runs_or_failed_counts_before_its_good_set(self):
        for status in ("Backuping", "Failed"):
            [row] = rows_of(REPLICA, [a_set()], [BackupJob("17", status, ago(hours=5), None, "Automated")])
            assert not row.good

    def test_job_of_a_cluster_backup_is_known_by_its_start(self):
        sets = [a_set("cb-1", ""), a_set("cb-0", "", start_time=ago(hours=30))]
        jobs = [BackupJob("17", "Finished", ago(hours=5) + timedelta(seconds=90), None, "Automated")]
        assert [(row.backup_job_id, row.backup_id) for row in rows_of(CLUSTER, sets, jobs)] == [
            ("17", "cb-1"), (None, "cb-0"),
        ]  # fmt: skip


def test_backup_goes_through_json():
    [row] = rows_of(SHARDED, [a_set(node_id="d-1"), a_set("s-2", node_id="d-2")])
    assert json.loads(json.dumps(row.to_dict())) == row.to_dict()
    assert row.to_dict() == {
        **row.facts(), "good": True, "state": "good", "why_not": None, "missing_shards": [],
        "nodes": [
            {
                "node_id": node, "backup_id": backup_id, "status": "Success", "available": True,
                "start_time": "2026-01-02T07:00:00+00:00", "end_time": "2026-01-02T08:00:00+00:00",
                "size_bytes": 100, "expire_time": "2026-01-09T12:00:00+00:00",
            }
            for node, backup_id in (("d-1", "s-1"), ("d-2", "s-2"))
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "modes", "is_of"),
    [
        ("Manual", None, True),
        ("Manual", ["Manual"], True),
        ("Manual", ["Automated"], False),
        (None, ["Automated"], False),
        (None, ["Automated", "Manual"], True),
        ("Other", ["Automated", "Manual"], False),
    ],
)
def test_modes_choose_among_backups(mode, modes, is_of):
    [row] = rows_of(REPLICA, [a_set(backup_mode=mode)])
    assert row.is_of(modes) is is_of


STARTS = st.sampled_from([None, *(ago(minutes=minutes) for minutes in (300, 299, 298, 290, 60, 59))])
SETS = st.builds(
    a_set,
    st.sampled_from(["s-1", "s-2", "s-3", "s-4", "s-5"]),
    st.sampled_from(["17", "17", "18", "19", ""]),
    status=st.sampled_from(["Success", "Success", "Success", "Failed", "Running"]),
    backup_mode=st.sampled_from(["Automated", "Manual", None]),
    backup_type=st.sampled_from(["FullBackup", "FullBackup", "FullBackup", "IncrementalBackup"]),
    available=st.sampled_from([True, True, None, False]),
    expire_time=st.sampled_from([None, NOW + timedelta(days=7), ago(days=1)]),
    is_copy=st.sampled_from([False, False, False, True]),
    start_time=STARTS,
    node_id=st.sampled_from(["d-1", "d-2", None]),
)
JOBS = st.builds(
    BackupJob,
    st.sampled_from(["17", "18", "20"]),
    st.sampled_from(["Finished", "Backuping", "Failed", "Scheduled"]),
    STARTS,
    st.none(),
    st.sampled_from(["Automated", "Manual", ""]),
)


@settings(max_examples=400, deadline=None)
@given(
    instance=st.sampled_from([REPLICA, LOCAL, SHARDED, CLUSTER, replace(SHARDED, shard_node_ids=())]),
    sets=st.lists(SETS, max_size=8),
    jobs=st.lists(JOBS, max_size=3),
    data=st.data(),
)
def test_good_only_with_a_good_set_of_each_shard_in_any_order(instance, sets, jobs, data):
    found = rows_of(instance, sets, jobs)
    again = rows_of(instance, data.draw(st.permutations(sets)) + sets[:2], data.draw(st.permutations(jobs)))
    assert again == found
    limit = NOW + timedelta(minutes=15)
    for row in found:
        ids = (row.backup_id or "").split(",")
        if not row.good:
            assert row.why_not
            continue
        own = [
            each
            for each in sets
            if each.backup_id in ids
            and each.status == "Success"
            and each.is_full
            and not each.is_copy
            and each.available is not False
            and not (each.expire_time and each.expire_time <= limit)
            and each.backup_mode in (None, row.backup_mode)
        ]
        assert len({each.backup_id for each in own}) == len(ids)
        if instance.layout is Layout.SHARDED:
            assert {"d-1", "d-2"} == {each.node_id for each in row.nodes}
            found_of = {(each.node_id, each.backup_id) for each in own}
            assert {("d-1", ids[0]), ("d-2", ids[1])} <= found_of
            starts = [each.start_time for each in row.nodes]
            jobs_of = {each.backup_job_id for each in row.nodes}
            assert len(jobs_of) == 1 or max(starts) - min(starts) <= timedelta(minutes=2)
