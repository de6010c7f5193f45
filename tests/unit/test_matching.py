"""Which rows are those of one job, whatever the order they come in."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_dds.api.models import BackupJob, BackupSet
from airflow_provider_dds.waiting.backup.matching import of_cluster, of_other_jobs, own_job, own_sets

START = datetime(2026, 1, 2, tzinfo=timezone.utc)


def job(status: str, mode: str = "Manual", job_id: str = "17") -> BackupJob:
    return BackupJob(job_id, status, job_mode=mode)


def backup_set(backup_id: str, status: str = "Success", **fields: Any) -> BackupSet:
    return BackupSet(backup_id, fields.pop("backup_job_id", "17"), status, **fields)


def later(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


# --- jobs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "manual", "status"),
    [
        ([], False, None),
        ([job("Finished", job_id="18")], False, None),
        ([job("Finished", "Automated"), job("Backuping")], False, "Backuping"),
        ([job("Failed", "Automated"), job("Backuping")], False, "Backuping"),
        ([job("Finished", "Automated")], False, "Finished"),
        ([job("Finished", "Automated")], True, None),
        ([job("Finished", "")], True, "Finished"),
        ([job("Finished"), job("Finished")], False, "Finished"),
        ([job("Finished"), job("Backuping")], False, "Backuping"),
        ([job("Finished"), job("Failed"), job("Backuping")], False, "Failed"),
        ([job("Finished"), job("Pondering")], False, "Pondering"),
    ],
)
def test_row_of_a_job(rows: list[BackupJob], manual: bool, status: str | None) -> None:
    for order in (rows, rows[::-1]):
        found = own_job(order, "17", manual=manual)
        assert (found.status if found else None) == status


# --- sets -------------------------------------------------------------------------------------------------------------

ORIGINAL = backup_set("s-1", start_time=START, end_time=later(20), size_bytes=5)
COPY = replace(ORIGINAL, backup_id="s-2", start_time=later(20), end_time=later(50))


@pytest.mark.parametrize(
    ("rows", "ids"),
    [
        ([backup_set("s-1")], ["s-1"]),
        ([backup_set("s-1"), backup_set("s-1")], ["s-1"]),
        ([backup_set("s-1", backup_job_id="18")], []),
        ([backup_set("s-1", backup_job_id="")], []),
        ([backup_set("s-1", backup_type="IncrementalBackup")], []),
        ([backup_set("s-1", backup_type="FullBackup"), backup_set("s-0", backup_type="IncrementalBackup")], ["s-1"]),
        ([backup_set("s-0", backup_mode="Automated"), backup_set("s-1", backup_mode="Manual")], ["s-1"]),
        ([backup_set("s-0", backup_mode="Automated")], ["s-0"]),
        ([ORIGINAL, COPY], ["s-1"]),
        ([ORIGINAL, replace(COPY, status="Failed")], ["s-1"]),
        ([ORIGINAL, replace(COPY, status="Running", end_time=None)], ["s-1"]),
        ([ORIGINAL, replace(COPY, start_time=START, end_time=later(20), status="Failed")], ["s-1"]),
        ([ORIGINAL, replace(COPY, start_time=START, end_time=later(20))], ["s-1"]),
        ([replace(ORIGINAL, backup_id="10", end_time=None), replace(ORIGINAL, backup_id="9", end_time=None)], ["9"]),
        ([ORIGINAL, replace(COPY, start_time=later(-1), is_copy=True, status="Failed")], ["s-1"]),
        ([replace(COPY, is_copy=True)], []),
        ([replace(ORIGINAL, status="Running"), replace(COPY, status="Failed")], ["s-1"]),
    ],
)
def test_set_of_a_job(rows: list[BackupSet], ids: list[str]) -> None:
    for order in (rows, rows[::-1]):
        assert [each.backup_id for each in own_sets(order, "17", manual=False, one_a_shard=False)] == ids


def test_original_that_is_not_available_is_not_replaced_by_its_copy() -> None:
    [found] = own_sets([COPY, replace(ORIGINAL, available=False)], "17", manual=False, one_a_shard=False)
    assert found.available is False


@pytest.mark.parametrize("worse", [{"status": "Failed"}, {"status": "Running"}, {"available": False}])
def test_set_that_changes_from_page_to_page_is_taken_at_its_worst(worse: dict[str, Any]) -> None:
    changed = replace(ORIGINAL, **worse)
    for rows in ([ORIGINAL, changed], [changed, ORIGINAL]):
        assert own_sets(rows, "17", manual=False, one_a_shard=False) == (changed,)


def test_automatic_set_is_not_that_of_a_manual_job() -> None:
    assert own_sets([backup_set("s-1", backup_mode="Automated")], "17", manual=True, one_a_shard=False) == ()


def test_automatic_set_of_one_shard_does_not_stand_for_the_manual_one() -> None:
    rows = [
        backup_set("s-1", node_id="d-1", backup_mode="Manual"),
        backup_set("s-2", node_id="d-2", backup_mode="Automated"),
    ]
    assert [each.node_id for each in own_sets(rows, "17", manual=False, one_a_shard=True)] == ["d-1"]


def test_shards_have_a_set_each_and_copies_count_for_none() -> None:
    rows = [
        replace(each, backup_id=f"{each.backup_id}{node}", node_id=node) for each in (ORIGINAL, COPY) for node in "ab"
    ]
    found = own_sets(rows, "17", manual=False, one_a_shard=True)
    assert [(each.backup_id, each.node_id) for each in found] == [("s-1a", "a"), ("s-1b", "b")]
    assert sum(each.size_bytes or 0 for each in found) == 10


def test_set_that_is_listed_for_several_shards_is_that_of_none() -> None:
    rows = [backup_set(backup_id, node_id=node) for node in ("d-1", "d-2") for backup_id in ("s-1", "s-2")]
    found = own_sets(rows, "17", manual=False, one_a_shard=True)
    assert [(each.backup_id, each.node_id) for each in found] == [("s-1", None), ("s-2", None)]


def test_sets_without_a_shard_are_kept_one_and_all() -> None:
    rows = [backup_set("s-1"), backup_set("s-2", "Failed")]
    assert len(own_sets(rows, "17", manual=False, one_a_shard=True)) == 2


TIMES = st.sampled_from([None, later(-60), START, later(5), later(20)])
SETS = st.lists(
    st.builds(
        BackupSet,
        st.sampled_from(["", "s-1", "s-2", "9", "10"]),
        st.sampled_from(["17", "17", "18"]),
        st.sampled_from(["Success", "Failed", "Running", ""]),
        backup_mode=st.sampled_from([None, "Manual", "Automated"]),
        backup_type=st.sampled_from([None, "FullBackup", "IncrementalBackup"]),
        start_time=TIMES,
        end_time=TIMES,
        expire_time=TIMES,
        available=st.sampled_from([None, True, False]),
        is_copy=st.booleans(),
        node_id=st.sampled_from([None, "d-1", "d-2"]),
    ),
    max_size=6,
)
JOBS = st.lists(
    st.builds(
        BackupJob,
        st.sampled_from(["17", "17", "18"]),
        st.sampled_from(["Scheduled", "Backuping", "Finished", "Failed", "Pondering"]),
        start_time=TIMES,
        progress=st.sampled_from([None, 0, 50]),
        job_mode=st.sampled_from(["", "Manual", "Automated"]),
    ),
    max_size=5,
)


@settings(max_examples=400, deadline=None)
@given(rows=SETS, manual=st.booleans(), one_a_shard=st.booleans(), data=st.data())
def test_any_order_of_sets_comes_to_the_same(rows: list[BackupSet], manual: bool, one_a_shard: bool, data: Any) -> None:
    shuffled = data.draw(st.permutations(rows))
    found = own_sets(rows, "17", manual=manual, one_a_shard=one_a_shard)
    assert own_sets(shuffled, "17", manual=manual, one_a_shard=one_a_shard) == found
    assert all(each.backup_job_id == "17" and each.is_full and not each.is_copy for each in found)
    shards = [each.node_id for each in found if each.node_id]
    assert len(shards) == len(set(shards))
    assert len(found) <= 1 or one_a_shard
    assert of_cluster(shuffled, START, manual=manual) == of_cluster(rows, START, manual=manual)


@settings(max_examples=200, deadline=None)
@given(rows=JOBS, manual=st.booleans(), data=st.data())
def test_any_order_of_jobs_comes_to_the_same(rows: list[BackupJob], manual: bool, data: Any) -> None:
    assert own_job(data.draw(st.permutations(rows)), "17", manual=manual) == own_job(rows, "17", manual=manual)


# --- cluster backups --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("starts", "others", "found"),
    [
        ([later(0)], [], [later(0)]),
        ([later(30)], [], [later(30)]),
        ([later(-1.9)], [], [later(-1.9)]),
        ([later(-3)], [], []),
        ([later(-3), later(0)], [], [later(0)]),
        ([None], [], [None]),
        ([later(0)], [later(0)], [later(0)]),
        ([later(30)], [later(30)], []),
        ([None], [None], []),
        ([later(1), later(0.5), later(30)], [later(1), later(0.5), later(30)], [later(0.5)]),
    ],
)
def test_cluster_backup_of_a_job(starts: list[Any], others: list[Any], found: list[Any]) -> None:
    sets = [BackupSet(f"cb-{number}", "", "Success", start_time=start) for number, start in enumerate(starts)]
    strange = [each for each in sets if each.start_time in others]
    own = of_cluster(sets, START, manual=False, others=strange)
    assert [each.start_time for each in own] == found


def test_cluster_backup_of_another_mode_is_not_that_of_a_manual_job() -> None:
    sets = [BackupSet("cb-1", "", "Success", start_time=START, backup_mode="Automated")]
    assert of_cluster(sets, START, manual=True) == ()
    assert of_cluster(sets, START, manual=False) == tuple(sets)


# --- a job for each shard ---------------------------------------------------------------------------------------------

OF_FIRST = backup_set("s-1", start_time=START, node_id="d-1", backup_mode="Manual")
OF_SECOND = backup_set("s-2", start_time=later(1), node_id="d-2", backup_mode="Manual", backup_job_id="18")


@pytest.mark.parametrize(
    ("around", "ids"),
    [
        ([OF_FIRST, OF_SECOND], ["s-2"]),
        ([OF_FIRST, replace(OF_SECOND, status="Failed")], ["s-2"]),
        ([OF_FIRST], []),
        ([OF_FIRST, replace(OF_SECOND, start_time=later(3))], []),
        ([OF_FIRST, replace(OF_SECOND, start_time=None)], []),
        ([OF_FIRST, replace(OF_SECOND, backup_mode="Automated")], []),
        ([OF_FIRST, replace(OF_SECOND, backup_type="IncrementalBackup")], []),
        ([OF_FIRST, replace(OF_SECOND, backup_job_id="")], []),
        # another backup, which shows its job on more than one shard
        ([OF_FIRST, OF_SECOND, replace(OF_SECOND, backup_id="s-3", node_id="d-1")], []),
        # two that fit
        ([OF_FIRST, OF_SECOND, replace(OF_SECOND, backup_id="s-3", backup_job_id="19")], []),
    ],
)
def test_set_of_a_shard_whose_job_is_its_own(around: list[BackupSet], ids: list[str]) -> None:
    for order in (around, around[::-1]):
        assert [each.backup_id for each in of_other_jobs((OF_FIRST,), order, ["d-2"])] == ids
