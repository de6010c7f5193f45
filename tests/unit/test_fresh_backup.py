"""What a fresh backup is: the table, and never green without one, whatever rows the service gives on whatever pages."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_dds.api.models import BackupJob, BackupSet, DBInstance
from airflow_provider_dds.api.requests import Answer
from airflow_provider_dds.arguments import POLL_STRATEGIES
from airflow_provider_dds.emulator import ManualClock
from airflow_provider_dds.exceptions import DdsAccessDeniedError, DdsError, DdsResponseError, DdsThrottledError
from airflow_provider_dds.sensors.dds import DdsFreshBackupSensor
from airflow_provider_dds.triggers.fresh_backup import DdsFreshBackupTrigger
from airflow_provider_dds.waiting import fresh_backup
from airflow_provider_dds.waiting.fresh_backup import FreshBackupWait
from airflow_provider_dds.waiting.inventory.listing import Inventory
from airflow_provider_dds.waiting.inventory.rows import inventory
from airflow_provider_dds.waiting.result import Outcome
from tests.support.runner import Run, Store, moment
from tests.support.versions import airflow_sensor

NOW = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)
T = NOW.timestamp()
HOUR = 3600.0
REPLICA = DBInstance("dds-1", "Running", kind_code="18")
SHARDED = DBInstance("dds-1", "Running", instance_type="sharding", kind_code="18", shard_node_ids=("d-1", "d-2"))


def a_set(hours: float, number: int = 1, **fields: Any) -> BackupSet:
    """Return a good automatic set that began some hours ago and took half an hour."""
    start = NOW - timedelta(hours=hours)
    of_all = {
        "status": "Success", "backup_method": "Snapshot", "backup_mode": "Automated", "start_time": start,
        "end_time": start + timedelta(minutes=30), "size_bytes": 100, "available": True,
        "expire_time": NOW + timedelta(days=7),
    }  # fmt: skip
    return BackupSet(f"s-{number}", str(number), **{**of_all, **fields})


def judged(*sets: BackupSet, jobs: tuple[BackupJob, ...] = (), instance: DBInstance = REPLICA, **policy: Any) -> Any:
    wait = FreshBackupWait(
        **{"db_instance_id": "dds-1", "started_at": T, "deadline": T + 9, "max_age": 26 * HOUR, **policy}
    )
    seen = Inventory(instance, inventory(instance, sets, jobs, now=T))
    return wait.conclude(seen, T, 0.5), wait


USUAL = [a_set(hours, number) for number, hours in enumerate((49, 73, 97), 2)]


@pytest.mark.parametrize(
    ("sets", "policy", "said"),
    [
        ([a_set(25)], {}, None),
        ([a_set(27)], {}, r"is 27h00m old, more than max_age \(26h00m\)"),
        ([a_set(26.2)], {"age_of": "end"}, None),
        ([a_set(26.6)], {"age_of": "end"}, "is 26h06m old"),
        ([a_set(5, start_time=None)], {}, "is of unknown age"),
        ([a_set(5, end_time=None)], {"age_of": "end"}, "is of unknown age"),
        ([a_set(-0.1)], {}, None),  # the service's clock is ahead
        ([a_set(5, status="Failed")], {}, "no good backup .*; not good: s-1 .* failed"),
        ([a_set(5, status="Running")], {}, r"no good backup .*; running now: s-1 \(Automated, 2026-01-02 07:00 UTC\)$"),
        ([a_set(5, available=False)], {}, "s-1 .* not available"),
        ([a_set(5, expire_time=NOW)], {}, "s-1 .* expired"),
        ([a_set(5, backup_type="IncrementalBackup")], {}, "s-1 .* incremental only"),
        ([a_set(5, backup_mode="Manual")], {}, None),
        ([a_set(5, backup_mode="Manual")], {"backup_modes": ["Automated"]}, "s-1 .* is left out by backup_modes"),
        ([a_set(5, backup_mode=None)], {}, None),
        ([a_set(5, backup_mode=None)], {"backup_modes": ["Automated"]}, "s-1 .* is left out by backup_modes"),
        ([a_set(5)], {"backup_methods": ["Snapshot", "Physical"]}, None),
        ([a_set(5)], {"backup_methods": ["Physical"]}, "s-1 .* left out by backup_modes or backup_methods"),
        ([a_set(5, backup_method=None)], {"backup_methods": ["Snapshot"]}, "s-1 .* is left out by"),
        ([replace(a_set(5), backup_id="", backup_method="Logical")], {"backup_methods": ["Snapshot"]}, "left out by"),
        ([a_set(-0.2)], {}, None),
        ([a_set(-0.3)], {}, "is of unknown age"),
        ([a_set(-9000)], {}, "is of unknown age"),
        ([a_set(5, size_bytes=0)], {"min_size_ratio": 0.5}, "has 0 bytes"),
        ([a_set(5)], {"min_days_left": 6.9}, None),
        ([a_set(5)], {"min_days_left": 7.1}, "is kept for 7.0 days more, less than min_days_left"),
        ([a_set(5, expire_time=None)], {"min_days_left": 1}, "does not say when it expires"),
        ([a_set(5, expire_time=datetime(9999, 1, 1, tzinfo=timezone.utc))], {"min_days_left": 700}, None),
        ([a_set(5), *USUAL], {"min_size_ratio": 1}, None),
        ([a_set(5, size_bytes=49), *USUAL], {"min_size_ratio": 0.5}, "has 49 bytes, less than .* of 100, "),
        ([a_set(5, size_bytes=50), *USUAL], {"min_size_ratio": 0.5}, None),
        ([a_set(5, size_bytes=49), a_set(49, 2, status="Failed")], {"min_size_ratio": 0.5}, None),
        ([a_set(5, size_bytes=49), a_set(49, 2, backup_method="Logical")], {"min_size_ratio": 0.5}, None),
        ([a_set(5, size_bytes=None)], {"min_size_ratio": 0.5}, "is of unknown size"),
        ([], {}, r"no good backup has begun in the last 2d 04h$"),
    ],
)  # fmt: skip
def test_table(sets: list[BackupSet], policy: dict[str, Any], said: str | None) -> None:
    verdict, _ = judged(*sets, **policy)
    if said is None:
        assert verdict.outcome is Outcome.DONE, verdict.reason
    else:
        assert verdict.outcome is Outcome.WAIT
        assert re.search(said, verdict.reason), verdict.reason


def test_newest_that_fits_is_taken_though_a_newer_one_failed_or_runs() -> None:
    jobs = (BackupJob("9", "Backuping", NOW - timedelta(minutes=5), 18, "Manual"),)
    verdict, wait = judged(a_set(9, 2), a_set(20, 3), a_set(1, status="Failed"), jobs=jobs)
    assert verdict.outcome is Outcome.DONE
    assert wait.facts()["backup_id"] == "s-2"
    assert wait.facts()["age_seconds"] == 9 * HOUR
    assert verdict.reason == "s-2 (Automated, 2026-01-02 03:00 UTC) is 9h00m old"


def test_newest_that_is_too_small_leaves_the_one_before_it() -> None:
    verdict, wait = judged(a_set(5, size_bytes=1), a_set(20, 5), *USUAL, min_size_ratio=0.5)
    assert (verdict.outcome, wait.facts()["backup_id"]) == (Outcome.DONE, "s-5")


def test_deadline_names_newest_good_its_age_what_failed_since_and_what_runs() -> None:
    failed = [a_set(hours, number, status="Failed") for number, hours in enumerate((1, 3, 5, 7), 5)]
    jobs = (BackupJob("9", "Backuping", NOW - timedelta(minutes=5), 18, "Manual"),)
    _, wait = judged(*failed, a_set(31.5), *USUAL, jobs=jobs)
    wait.deadline = T
    verdict = wait.conclude(wait.seen, T, 0.5)  # type: ignore[arg-type]
    assert verdict.outcome is Outcome.TIMED_OUT
    assert wait.result(verdict, T + 60).text == (
        "A fresh backup of dds-1 was not there at its deadline, after 1m00s of waiting. Last poll: the newest good "
        "backup, s-1 (Automated, 2026-01-01 04:30 UTC), is 31h30m old, more than max_age (26h00m); running now: job 9 "
        "(Manual, 2026-01-02 11:55 UTC); since then: s-5 (Automated, 2026-01-02 11:00 UTC) failed, s-6 (Automated, "
        "2026-01-02 09:00 UTC) failed, s-7 (Automated, 2026-01-02 07:00 UTC) failed and 1 more."
    )


def test_running_backup_whose_start_is_not_shown_is_told() -> None:
    jobs = (BackupJob("9", "Backuping", None, 18, "Manual"),)
    verdict, _ = judged(a_set(31.5), jobs=jobs)
    assert verdict.reason.endswith("running now: job 9 (Manual, start unknown)")


def test_size_is_compared_with_that_of_expired_ones_too() -> None:
    expired = [replace(each, expire_time=NOW - timedelta(days=1)) for each in USUAL]
    verdict, _ = judged(a_set(5, size_bytes=49), *expired, min_size_ratio=0.5)
    assert "less than min_size_ratio (0.5) of 100, the median of the 3 before it" in verdict.reason


@pytest.mark.parametrize(
    ("stored", "says"),
    [
        ({"age_of": "ends"}, "age_of is 'ends'"),
        ({"backup_modes": ("Automatic",)}, "backup_modes is"),
        ({"backup_modes": ()}, "backup_modes is"),
        ({"backup_methods": ("Dump",)}, "backup_methods is"),
        ({"max_age": 4e7}, "max_age is .* seconds, which is more than a year"),
        ({"min_size_ratio": 2.0}, "min_size_ratio is 2.0"),
        ({"min_days_left": 999.0}, "min_days_left is 999.0"),
        ({"poll_strategy": "fixd"}, "poll_strategy is 'fixd'"),
        ({"poke_interval": 0.0}, "poke_interval is 0.0"),
    ],
)  # fmt: skip
def test_stored_arguments_that_have_no_meaning_are_refused(stored: dict[str, Any], says: str) -> None:
    _, wait = judged()
    arguments = {**wait.to_json(), "dds_conn_id": "dds_default", "region_id": None, **stored}
    trigger = DdsFreshBackupTrigger(**arguments)
    assert trigger.refused is not None
    assert re.search(says, str(trigger.refused)), trigger.refused


def test_one_shard_of_two_is_not_enough() -> None:
    verdict, _ = judged(a_set(5, node_id="d-1"), instance=SHARDED)
    assert verdict.reason.endswith("s-1 (Automated, 2026-01-02 07:00 UTC) incomplete: no set of shard d-2")
    both = [a_set(25, node_id="d-1"), replace(a_set(25.99, node_id="d-2"), backup_id="s-2")]
    assert judged(*both, instance=SHARDED)[0].outcome is Outcome.DONE
    old = [a_set(25, node_id="d-1"), replace(a_set(26.01, node_id="d-2"), backup_id="s-2")]
    assert judged(*old, instance=SHARDED)[0].outcome is Outcome.WAIT, "its oldest data count"


def test_wait_goes_through_json() -> None:
    _, wait = judged(backup_modes=("Manual",), backup_methods=("Snapshot",), min_size_ratio=0.5)
    stored = wait.to_json()
    assert stored["backup_modes"] == ["Manual"]
    assert FreshBackupWait(**stored).to_json() == stored


# --- never green ------------------------------------------------------------------------------------------------------


def text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


TIMES = st.sampled_from([None, *(text(NOW - timedelta(minutes=minutes)) for minutes in (300, 119, 61, 60, 59, 58, 5))])
ROWS = st.fixed_dictionaries(
    {
        "BackupId": st.sampled_from(["s-1", "s-2", "s-3", "s-4", 5]),
        "BackupJobId": st.sampled_from(["17", "17", 17, "17\n", "18", "19", None]),
        "BackupStatus": st.sampled_from(["Success", "Success", "Success", "Success", "Failed", "Running", None]),
        "BackupType": st.sampled_from(["FullBackup", "FullBackup", "FullBackup", "IncrementalBackup", None]),
        "BackupMode": st.sampled_from(["Manual", "Automated", "Automated", None]),
        "IsAvail": st.sampled_from([True, True, 1, "1", "true", None, False, 0, "false"]),
        "BackupStartTime": TIMES,
        "BackupEndTime": TIMES,
        "BackupExpireTime": st.sampled_from([None, text(NOW + timedelta(days=7)), text(NOW - timedelta(days=1))]),
    }
)
JOBS = st.fixed_dictionaries(
    {
        "BackupjobId": st.sampled_from(["17", 17, "18", "20"]),
        "BackupSetStatus": st.sampled_from(["Finished", "Finished", "Backuping", "Failed", "Pondering"]),
        "BackupStartTime": TIMES,
        "JobMode": st.sampled_from(["Manual", "Automated"]),
    }
)
WORLDS = st.fixed_dictionaries(
    {
        "shards": st.lists(st.sampled_from(["d-1", "d-2"]), max_size=2, unique=True),
        "jobs": st.lists(JOBS, max_size=2),
        "sets": st.dictionaries(st.sampled_from(["d-1", "d-2"]), st.lists(ROWS, max_size=4), max_size=2),
        "page": st.sampled_from([1, 2, 100]),
        "said": st.sampled_from([{}, {}, {"PageSize": "x", "TotalCount": None}, {"TotalCount": 1}]),
    }
)


def body(world: dict[str, Any], action: str, query: dict[str, Any]) -> dict[str, Any]:
    if action == "DescribeDBInstanceAttribute":
        kind: dict[str, Any] = {"DBInstanceId": "dds-1", "DBInstanceStatus": "Running", "KindCode": "18"}
        if world["shards"]:
            kind["ShardList"] = {"ShardAttribute": [{"NodeId": shard} for shard in world["shards"]]}
        return {"RequestId": "R", "DBInstances": {"DBInstance": [kind]}}
    if action == "DescribeBackupTasks":
        return {"RequestId": "R", "BackupJobs": world["jobs"]}
    rows = rows_of(world, query["NodeId"])
    size, first = world["page"], (query["PageNumber"] - 1) * world["page"]
    said = {"PageSize": size, "TotalCount": len(rows), **world["said"]}
    return {"RequestId": "R", "Backups": {"Backup": rows[first : first + size]}, **said}


def rows_of(world: dict[str, Any], node: str | None) -> list[dict[str, Any]]:
    """Return what the service lists for a shard, or in all; it ignores the span asked for."""
    named = [(shard, row) for shard, rows in world["sets"].items() for row in rows]
    if not world["shards"]:
        return [row for _, row in named]
    return [{**row, "BackupId": f"{shard}-{row['BackupId']}"} for shard, row in named if shard == node]


def is_good(row: dict[str, Any], max_age: float) -> bool:
    """Whether a set is good and of data inside the age, by itself."""
    return (
        row["BackupStatus"] == "Success"
        and row["BackupType"] != "IncrementalBackup"
        and str(row["IsAvail"]).lower() in ("true", "1", "none")
        and (row["BackupExpireTime"] is None or row["BackupExpireTime"] > text(NOW + timedelta(minutes=15)))
        and row["BackupStartTime"] is not None
        and row["BackupStartTime"] >= text(NOW - timedelta(seconds=max_age))
    )


@settings(max_examples=400, deadline=None)
@given(world=WORLDS, max_age=st.sampled_from([600, 3600, 7200]), data=st.data())
def test_green_only_with_a_good_set_of_each_shard_inside_the_age(world: Any, max_age: float, data: Any) -> None:
    for rows in world["sets"].values():
        rows[:] = data.draw(st.permutations(rows))
    wait = FreshBackupWait(db_instance_id="dds-1", started_at=T, deadline=T + 9, max_age=max_age)
    steps = wait.observe(T)
    seen: Any
    try:
        request = next(steps)
        while True:
            try:
                answer = Answer(request.parse(body(world, request.action, request.query)), "R")
            except DdsError as error:
                request = steps.throw(error)
            else:
                request = steps.send(answer)
    except StopIteration as end:
        seen = end.value
    except DdsError as error:
        seen = error
    verdict = wait.conclude(seen, T, 0.5)
    assert verdict.outcome in (Outcome.WAIT, Outcome.DONE)
    if verdict.outcome is Outcome.DONE:
        ids = wait.facts()["backup_id"].split(",")
        nodes = sorted(world["shards"]) or [None]
        assert len(ids) == len(nodes)
        for node, backup_id in zip(nodes, ids, strict=True):
            own = [row for row in rows_of(world, node) if str(row["BackupId"]) == backup_id]
            assert any(is_good(row, max_age) for row in own)
        assert 0 <= wait.facts()["age_seconds"] <= max_age


def test_last_poll_that_cannot_list_further_back_says_what_it_sees() -> None:
    """The last poll asks what each poll asks; what it asks besides serves the text alone, and may fail."""
    _, wait = judged(deadline=T - 1)
    since: list[datetime] = []

    def listing(*_: Any, now: float, **asked: Any) -> Any:
        yield from ()
        since.append(asked["since"])
        if len(since) > 1:
            raise DdsResponseError("more rows than are shown")
        return Inventory(REPLICA, inventory(REPLICA, [a_set(30, status="Failed")], now=now))

    with patch.object(fresh_backup, "read_inventory", listing), pytest.raises(StopIteration) as ended:
        next(wait.observe(T))
    assert [NOW - each for each in since] == [timedelta(hours=52), timedelta(days=31, hours=26)]
    verdict = wait.conclude(ended.value.value, T, 0.5)
    assert verdict.outcome is Outcome.TIMED_OUT
    assert verdict.reason.startswith("no good backup has begun in the last 2d 04h; not good: s-1")


# --- all modes agree --------------------------------------------------------------------------------------------------

SHOWN = st.one_of(
    st.lists(st.builds(a_set, st.integers(-3, 3), st.integers(1, 4), status=st.sampled_from(["Success", "Failed"]))),
    st.sampled_from(["throttled", "unreadable", "throttled", "unreadable", "denied"]),
)
STORY = st.lists(st.tuples(st.integers(1, 2000), SHOWN), min_size=1, max_size=8)
ERRORS: dict[str, DdsError] = {
    "throttled": DdsThrottledError("slow down", code="Throttling", http_status=400),
    "unreadable": DdsResponseError("not JSON"),
    "denied": DdsAccessDeniedError("no", code="Forbidden.RAM", http_status=403),
}


def end(story: list[tuple[int, Any]], **arguments: Any) -> tuple[str, str, float]:
    """Run a sensor through a story (how long each thing is to be seen) and return how and when it ended."""
    clock = ManualClock(T)

    def listing(*_: Any, now: float, **__: Any) -> Any:
        yield from ()
        passed = clock.now - T
        shown = story[-1][1]
        for lasts, what in reversed(story):
            if passed < sum(each for each, _ in story[: story.index((lasts, what)) + 1]):
                shown = what
        if isinstance(shown, str):
            raise ERRORS[shown]
        return Inventory(REPLICA, inventory(REPLICA, shown, now=now))

    stand_in = SimpleNamespace(sleep=clock.advance, monotonic=clock)
    now = SimpleNamespace(utcnow=lambda: moment(clock))
    with (
        patch.object(fresh_backup, "read_inventory", listing),
        patch.object(airflow_sensor, "time", stand_in),
        patch.object(airflow_sensor, "timezone", now),
    ):
        task = DdsFreshBackupSensor(task_id="gate", db_instance_id="dds-1", max_age=3600, **arguments)
        try:
            result: Any = Run(task, clock, Store()).once()
        except Exception as error:
            result = error
    return type(result).__name__, str(result), clock.now - T


@settings(max_examples=150, deadline=None)
@given(
    story=STORY,
    poke_interval=st.integers(30, 120),
    timeout=st.integers(200, 4000),
    strategy=st.sampled_from(POLL_STRATEGIES),
    silent_fail=st.booleans(),
)
def test_same_end_at_the_same_time_in_all_modes(
    story: Any, poke_interval: int, timeout: int, strategy: str, silent_fail: bool
) -> None:
    policy = {"poke_interval": poke_interval, "timeout": timeout, "poll_strategy": strategy, "silent_fail": silent_fail}
    modes = ({"mode": "poke"}, {"mode": "reschedule"}, {"deferrable": True})
    ends = [end(story, **policy, **mode) for mode in modes]
    assert ends[0] == ends[1] == ends[2]
    assert ends[0][2] <= timeout + 1
