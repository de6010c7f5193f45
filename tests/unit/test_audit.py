"""What an audit says of an instance: the table of its judgement, and the texts."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dds.api.models import BackupSet, DBInstance
from airflow_provider_dds.api.policy import BackupPolicy, BackupStorage, RecoverRange
from airflow_provider_dds.exceptions import DdsAccessDeniedError, DdsError, DdsResponseError
from airflow_provider_dds.waiting.inventory.audit import Audit, Findings, gaps, judge, unread
from airflow_provider_dds.waiting.inventory.freshness import Freshness
from airflow_provider_dds.waiting.inventory.listing import Inventory
from airflow_provider_dds.waiting.inventory.rows import inventory
from airflow_provider_dds.waiting.inventory.table import failure_of, table_of

NOW = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)
T = NOW.timestamp()
HOUR = 3600.0
INSTANCE = DBInstance("dds-1", "Running", kind_code="18")
POLICY = BackupPolicy(
    backup_retention_period=7, enable_backup_log=True, preferred_next_backup_time=NOW + timedelta(hours=6)
)
DENIED = DdsAccessDeniedError("dds:DescribeBackupPolicy is not allowed", code="Forbidden.RAM", http_status=403)


def a_set(hours: float, number: int = 1, **fields: Any) -> BackupSet:
    start = NOW - timedelta(hours=hours)
    of_all = {
        "status": "Success", "backup_method": "Snapshot", "backup_mode": "Automated", "start_time": start,
        "end_time": start + timedelta(minutes=30), "size_bytes": 100, "available": True,
    }  # fmt: skip
    return BackupSet(f"s-{number}", str(number), **{**of_all, **fields})


def a_range(first: float, last: float, restore_type: str | None = "PointInTime") -> RecoverRange:
    return RecoverRange(NOW - timedelta(hours=first), NOW - timedelta(hours=last), restore_type)


def judged(*sets: BackupSet, policy: Any = POLICY, ranges: Any = None, storage: Any = None, **asked: Any) -> Any:
    seen = Inventory(INSTANCE, inventory(INSTANCE, sets, now=T))
    return judge(Findings(seen, 52 * HOUR, policy, ranges, storage), Audit(Freshness(26 * HOUR), **asked), T)


FRESH = a_set(5)
NO_LOGS = BackupPolicy("x", enable_backup_log=False)


@pytest.mark.parametrize(
    ("sets", "found", "asked", "ok", "said"),
    [
        ([FRESH], {}, {}, True, "^$"),
        ([FRESH], {"policy": DENIED, "ranges": DENIED, "storage": DENIED}, {}, True, "^$"),
        ([a_set(27)], {}, {}, False, r"s-1 .*, is 27h00m old, more than max_age \(26h00m\); the next .*-02 18:00 UTC$"),
        ([], {"policy": None}, {}, False, "^no good backup has begun in the last 2d 04h$"),
        ([a_set(3, 2, status="Failed"), FRESH], {}, {}, True, "^$"),
        ([FRESH], {}, {"require_log_backup": True}, True, "^$"),
        ([FRESH], {"policy": NO_LOGS}, {"require_log_backup": True}, False, "not backed up"),
        ([FRESH], {"policy": BackupPolicy("x")}, {"require_log_backup": True}, None, "^not known whether logs are"),
        ([FRESH], {"policy": DENIED}, {"require_log_backup": True}, None, "up: dds:DescribeBackupPolicy is"),
        ([FRESH], {}, {"min_retention_days": 7}, True, "^$"),
        ([FRESH], {}, {"min_retention_days": 8}, False, r"kept for 7 days, less than min_retention_days \(8\)"),
        ([FRESH], {"policy": BackupPolicy(backup_retention_period=-1)}, {"min_retention_days": 700}, True, "^$"),
        ([FRESH], {"policy": BackupPolicy("x")}, {"min_retention_days": 7}, None, "not known how long backups"),
        ([FRESH], {"ranges": [a_range(20, 0.05)]}, {"max_recovery_lag": 600.0}, True, "^$"),
        ([FRESH], {"ranges": [a_range(3, 0.5), a_range(20, 9)]}, {"max_recovery_lag": 600.0}, False, "lose 30m00s"),
        ([FRESH], {"ranges": []}, {"max_recovery_lag": 600.0}, False, "cannot be restored to any point in time"),
        ([FRESH], {"ranges": [a_range(20, 0.05, "Backup")]}, {"max_recovery_lag": 600.0}, False, "cannot be restored"),
        ([FRESH], {"ranges": [a_range(20, 0.05, None)]}, {"max_recovery_lag": 600.0}, True, "^$"),
        ([FRESH], {"ranges": DENIED}, {"max_recovery_lag": 600.0}, None, "not known to which points in time"),
        ([FRESH], {}, {"max_recovery_lag": 600.0}, None, "not known to which points in time"),
        ([a_set(27)], {"policy": DENIED}, {"require_log_backup": True}, False, "is 27h00m old"),
    ],
)  # fmt: skip
def test_table(sets: list[BackupSet], found: Any, asked: Any, ok: bool | None, said: str) -> None:
    row = judged(*sets, **found, **asked)
    assert row.ok is ok, row.reasons
    assert re.search(said, "; ".join(row.reasons)), row.reasons


def test_row_has_all_that_is_known_as_plain_json() -> None:
    row = judged(
        a_set(3, 2, status="Failed"), FRESH, ranges=[a_range(20, 9), a_range(8, 0.1)],
        storage=[BackupStorage(10, 2, 30, "d-1"), BackupStorage(5, 1, 30, "d-2")],
    )  # fmt: skip
    told = json.loads(json.dumps(row.to_dict()))
    assert told.pop("newest_good")["backup_id"] == "s-1"
    assert told == {
        "db_instance_id": "dds-1", "ok": True, "reasons": [], "region_id": None, "age_seconds": 5 * HOUR,
        "failed_since": ["s-2 (Automated, 2026-01-02 09:00 UTC) failed"], "recovery_lag_seconds": 360.0,
        "recovery_gaps": [
            {"begin_time": "2026-01-02T03:00:00+00:00", "end_time": "2026-01-02T04:00:00+00:00", "restore_type": None}
        ],
        "log_backup": True, "retention_days": 7, "full_bytes": 15, "log_bytes": 3, "free_bytes": 60,
        "next_due": "2026-01-02T18:00:00+00:00",
    }  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)).map(lambda two: (max(two), min(two))), max_size=6))
def test_gap_is_what_no_range_covers(spans: list[tuple[int, int]]) -> None:
    ranges = sorted((a_range(*each) for each in spans), key=lambda each: (each.begin_time, each.end_time))
    found = gaps(ranges)
    for hours in range(51):
        point = NOW - timedelta(hours=hours, minutes=-30)
        covered = any(each.begin_time <= point <= each.end_time for each in ranges)
        between = any(each.end_time < point for each in ranges) and any(each.begin_time > point for each in ranges)
        assert any(each.begin_time < point < each.end_time for each in found) == (between and not covered)


def test_one_text_names_every_offender_and_every_unknown_one() -> None:
    rows = [judged(a_set(27)), judged(FRESH), unread("dds-3", "no answer.")]
    assert failure_of(rows) == (
        "1 of 3 instances do not hold what is asked of their backups: dds-1 (the newest good backup, s-1 (Automated, "
        "2026-01-01 09:00 UTC), is 27h00m old, more than max_age (26h00m); the next automatic one is due at 2026-01-02 "
        "18:00 UTC). Of 1 of 3 instances it could not be found out: dds-3 (no answer)."
    )
    assert failure_of([judged(FRESH)]) is None
    assert failure_of([]) is None
    assert len(failure_of([unread("dds-3", "x" * 5000)]) or "") < 500


def test_table_is_aligned_and_says_what_is_not_known() -> None:
    lines = table_of([judged(FRESH), unread("dds-long-name", "no answer")])
    assert lines == [
        "instance       ok   age    recovery lag  kept    logs  next due (UTC)    reasons",
        "dds-1          yes  5h00m  ?             7 days  yes   2026-01-02 18:00",
        "dds-long-name  ?    ?      ?             ?       ?     ?                 no answer",
    ]


def test_free_storage_of_one_unknown_shard_is_unknown() -> None:
    row = judged(FRESH, storage=[BackupStorage(10, 2, 30, "d-1"), BackupStorage(5, 1, None, "d-2")])
    assert (row.full_bytes, row.log_bytes, row.free_bytes) == (15, 3, None)


@pytest.mark.parametrize("field", ["FullStorageSize", "LogStorageSize"])
def test_storage_below_zero_is_no_answer(field: str) -> None:
    with pytest.raises(DdsResponseError, match="how much storage"):
        BackupStorage.from_wire({"FullStorageSize": 1, "LogStorageSize": 1, field: -1})
    assert BackupStorage.from_wire({"FullStorageSize": 1, "LogStorageSize": 1, "FreeSize": -1}).free_bytes is None


def test_errors_are_no_findings() -> None:
    row = judged(FRESH, policy=DdsError("x"), ranges=DdsError("x"), storage=DdsError("x"))
    assert (row.log_backup, row.recovery_lag_seconds, row.full_bytes, row.next_due) == (None,) * 4
