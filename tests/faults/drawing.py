"""Schedules as hypothesis draws and shrinks them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from airflow_provider_dds.emulator import JobOutcome, Readings
from tests.faults.elsewhere import GARBAGE
from tests.faults.faults import FAULTS
from tests.faults.schedule import (
    INSTANCES,
    READS,
    Clear,
    Deferral,
    FreshPlan,
    Happening,
    Kill,
    OperatorPlan,
    Schedule,
    SensorPlan,
    Strike,
)
from tests.faults.wire_schedule import SOURCE, SOURCE_FAULTS, WIRE_FAULTS, WirePlan, plans


def _some(
    cls: type, most: int, *groups: dict[str, st.SearchStrategy[Any]], **more: st.SearchStrategy[Any]
) -> st.SearchStrategy[Any]:
    """Draw a dataclass of which a few fields differ from their defaults; a group given twice does so more often."""
    options = [option for group in (*groups, more) for option in group.items()]
    changes = st.one_of([st.tuples(st.just(name), values) for name, values in options])
    return st.lists(changes, max_size=most, unique_by=lambda change: change[0]).map(lambda drawn: cls(**dict(drawn)))


def few(each: st.SearchStrategy[Any], most: int) -> st.SearchStrategy[Any]:
    return st.lists(each, max_size=most).map(tuple)


def strikes(*actions: str | None, first: int, times: tuple[int | None, ...]) -> st.SearchStrategy[Strike]:
    return st.builds(
        Strike,
        fault=st.sampled_from(sorted(FAULTS)),
        action=st.sampled_from(actions),
        first=st.integers(0, first),
        times=st.sampled_from(times),
    )


on_creates = strikes("CreateBackup", first=2, times=(1, 2, 3))
passing = strikes(None, *READS, first=12, times=(1, 2, 5))
lasting = strikes("CreateBackup", None, *READS, first=12, times=(1, 3, 8, 20, None))
kills_at_the_create = st.one_of(
    st.builds(Kill, at=st.just("create"), passed=st.integers(0, 4)),
    st.builds(Kill, at=st.just("store"), passed=st.integers(0, 10), thaws=st.booleans()),
    st.builds(Kill, at=st.just("store"), passed=st.integers(3, 6), thaws=st.just(True)),
    st.builds(Kill, at=st.sampled_from(["create", "call"]), passed=st.integers(0, 8), cleared=st.just(True)),
)
kills = kills_at_the_create | st.one_of(
    st.builds(Kill, at=st.just("call"), passed=st.integers(0, 40)),
    st.builds(Kill, at=st.just("sleep"), passed=st.integers(0, 20), cleared=st.booleans()),
)
moments: dict[str, st.SearchStrategy[Any]] = {
    "seconds": st.integers(0, 1200),
    "before": st.none() | st.tuples(st.sampled_from(["CreateBackup", *READS]), st.integers(0, 3)),
}
SKEWS = (0, 0, 0, 90, -90, 300, -300, 840, -840)
"""Seconds by which the service's clock may be ahead of the workers'."""
JUMPS = (0, 90, -90, 420, -420)
"""Where a clock may jump to."""
others = st.builds(
    Happening,
    what=st.sampled_from(["automatic", "manual", "busy"]),
    lasts=st.sampled_from([30, 300, 3000]),
    **moments,
)
clocks = st.builds(
    Happening, what=st.sampled_from(["service clock", "worker clock"]), skew=st.sampled_from(JUMPS), **moments
)
keys = st.builds(Happening, what=st.just("key rotated"), lasts=st.sampled_from([0, 0, 600]), **moments)
stores = st.one_of(
    st.builds(Happening, what=st.just("store emptied"), **moments),
    st.builds(Happening, what=st.just("store garbled"), garbage=st.sampled_from(sorted(GARBAGE)), **moments),
    st.builds(Happening, what=st.just("store full"), lasts=st.sampled_from([2, 300, 100_000]), **moments),
)
xcoms = st.builds(Happening, what=st.just("xcom fails"), lasts=st.sampled_from([2, 300, 100_000]), **moments)
moved = st.builds(Happening, what=st.just("inputs move"), **moments)
released = st.builds(Happening, what=st.just("released"), **moments)
happenings = others | others | clocks | keys | stores | xcoms | moved | released
clears = st.builds(
    Clear,
    after=st.sampled_from([0, 100, 1000, 4 * 86_400]),
    retries=st.none() | st.integers(0, 3),
    gone=st.booleans(),
    pending=st.booleans(),
    others=few(st.sampled_from(["manual", "automatic"]), 2),
)
outcomes = _some(
    JobOutcome,
    3,
    seconds=st.sampled_from([10.0, 60.0, 600.0, 1500.0]),
    vanish=st.booleans(),
    backup_set=st.sampled_from(["Failed", "none"]),
) | st.one_of(
    st.builds(
        JobOutcome,
        fail_at=st.sampled_from([0.0, 40.0, 100.0]),
        fail_word=st.sampled_from([None, "Failed", "BackupError", "Canceled", "Broken"]),
        vanish=st.booleans(),
        backup_set=st.sampled_from([None, "Failed", "none"]),
        seconds=st.sampled_from([None, 20.0, 600.0]),
    ),
    st.just(JobOutcome(backup_set="Failed")),
    st.builds(JobOutcome, stuck_at=st.sampled_from([0.0, 50.0])),
    st.builds(
        JobOutcome,
        unknown_at=st.sampled_from([0.0, 50.0]),
        unknown_until=st.sampled_from([60.0, 100.0]),
        unknown_word=st.sampled_from(["Pausing", "", "Uploading"]),
    ),
)
MISLEADING: dict[str, st.SearchStrategy[Any]] = {
    "finished_rows": st.just("only_by_id"),
    "finished_row_seconds": st.sampled_from([0.0, 60.0, 600.0]),
    "failed_job_status": st.sampled_from([None, "BackupFailed", "error"]),
    "failed_job_set": st.just("none"),
    "unknown_job_in_tasks": st.just("not_matched"),
    "job_filter_in_tasks": st.just(False),
    "job_filter_in_sets": st.just(False),
    "create_returns": st.sampled_from(["backup_id", "both", "neither"]),
    "create_backup_id": st.just("set_id"),
    "new_row_delay_seconds": st.sampled_from([5.0, 60.0, 119.0, 160.0, 400.0]),
    "running_sets": st.just("listed"),
    "running_cluster_sets": st.just("hidden"),
    "set_lag_seconds": st.sampled_from([30.0, 200.0, 700.0, 100_000.0]),
    "shard_set_lag_seconds": st.sampled_from([60.0, 700.0]),
    "duplicate_rows": st.just(True),
    "row_order": st.just("oldest_first"),
    "shard_job_ids": st.just("per_shard"),
    "available_lag_seconds": st.sampled_from([60.0, 700.0, 100_000.0]),
    "is_avail": st.sampled_from(["flag", "number", "text", "words", "absent"]),
    "expiry_seconds": st.sampled_from([30.0, 1_000.0, 2_000.0, 86_400.0]),
    "expired_sets": st.just("deleted"),
    "incremental_sets": st.just(True),
    "copies": st.sampled_from(["Success", "Failed", "Running"]),
    "copy_regions": st.just(False),
    "automatic_twin": st.sampled_from(["Scheduled", "Finished", "Failed"]),
    "history": st.sampled_from(["unrelated", "hidden"]),
}
"""Readings that decide what of a job is to be seen when, in which state, and under which id."""
PAGES: tuple[dict[str, Any], ...] = (
    {"page_number": "ignored"},
    {"page_rows": 1},
    {"page_rows": 1, "page_number": "ignored"},
    {"page_rows": 1, "page_size_shown": "absent"},
    {"page_rows": 2, "page_size_shown": "text", "total_count": "absent"},
    {"page_rows": 2, "total_count": "too_high"},
    {"page_rows": 30, "page_size_shown": "asked", "total_count": "absent"},
    {"page_rows": 30, "page_size_shown": "absent", "total_count": "of_page"},
    {"page_rows": 30, "page_size_shown": "asked", "total_count": "text"},
    {"total_count": "too_high"},
)
"""Ways in which listings come in pages."""
OTHER_READINGS: dict[str, st.SearchStrategy[Any]] = {
    "uncovered_tasks": st.sampled_from(["error", "listed"]),
    "uncovered_tasks_code": st.sampled_from(["SingleNodeNotSupport", "StorageTypeOrInstanceTypeNotSupported"]),
    "uncovered_tasks_status": st.just(403),
    "kind_shown": st.just(False),
    "shard_list": st.just(False),
    "node_filter": st.just(False),
    "unknown_job_in_sets": st.just("not_matched"),
    "create_id_type": st.sampled_from(["int", "float"]),
    "row_id_type": st.sampled_from(["int", "float"]),
    "trailing_newline": st.just(True),
    "scheduled_start_time": st.sampled_from(["requested", "absent"]),
    "upcoming_automatic_rows": st.integers(1, 2),
    "progress": st.sampled_from(["number", "absent", "nonsense"]),
    "running_set_status": st.sampled_from(["Doing", ""]),
    "failed_cluster_set_status": st.sampled_from(["FAILED", "Fail"]),
    "attach_log_seconds": st.sampled_from([60.0, 900.0]),
    "method_omitted_on_cloud": st.just("error"),
    "retention_on_local_disk": st.just("error"),
    "shard_node_id": st.just("optional"),
    "history_task_type": st.just("BackupIns"),
    "daily_cap": st.integers(1, 2),
    "not_running_code": st.sampled_from(["OperationDenied.DBInstanceStatus", "InstanceStatusInvalid", "Task.Conflict"]),
    "backup_exists_code": st.just("BackupJobExists"),
    "unknown_instance_code": st.just("InvalidInstanceId.NotFound"),
    "unknown_instance_attribute": st.just("empty"),
    "missing_parameter": st.just("generic"),
    "region_id_needed": st.just(True),
    "throttle_status": st.sampled_from([429, 503]),
    "throttle_retry_after_ms": st.sampled_from([1_000, 40_000]),
}


def readings(most: int) -> st.SearchStrategy[Readings]:
    drawn = _some(Readings, most, MISLEADING, MISLEADING, OTHER_READINGS)
    paged = st.tuples(drawn, st.sampled_from(PAGES)).map(lambda both: replace(both[0], **both[1]))
    return drawn | drawn | drawn | paged


operators = st.builds(
    replace,
    _some(
        OperatorPlan,
        4,
        if_backup_running=st.sampled_from(["adopt", "fail"]),
        confirm_backup_set=st.just(False),
        durable=st.just(False),
        has_store=st.just(False),
        poke_interval=st.sampled_from([10, 30, 120]),
        poll_strategy=st.sampled_from(["exponential", "fixed"]),
        looks=st.integers(1, 30),
        backup_method=st.sampled_from(["Snapshot", "Physical"]),
        execution_timeout=st.sampled_from([5, 100, 400, 2000]),
    ),
    wait_for_completion=st.booleans(),
    deferrable=st.booleans(),
)
sensors = st.builds(
    replace,
    _some(
        SensorPlan,
        4,
        confirm_backup_set=st.just(False),
        confirm_timeout=st.sampled_from([0, 120]),
        not_found_grace=st.sampled_from([0, 60]),
        poll_strategy=st.sampled_from(["exponential", "fixed"]),
        max_wait=st.sampled_from([120, 600]),
        poke_interval=st.sampled_from([10, 30, 120]),
        looks=st.integers(1, 30),
        soft_fail=st.just(True),
        has_store=st.just(False),
        execution_timeout=st.sampled_from([5, 100, 400, 2000]),
    ),
    mode=st.sampled_from(["poke", "reschedule", "deferrable", "from trigger"]),
    id_as=st.sampled_from(["text", "text", "number", "with newline", "unknown"]),
)
freshes = st.builds(
    replace,
    _some(
        FreshPlan,
        4,
        age_of=st.just("end"),
        backup_modes=st.sampled_from([("Automated",), ("Manual",)]),
        min_size_ratio=st.sampled_from([0.5, 1.0]),
        poll_strategy=st.just("exponential"),
        poke_interval=st.sampled_from([10, 30, 120]),
        looks=st.integers(1, 30),
        soft_fail=st.just(True),
        has_store=st.just(False),
        execution_timeout=st.sampled_from([5, 100, 400, 2000]),
    ),
    mode=st.sampled_from(["poke", "reschedule", "deferrable", "from trigger"]),
    max_age=st.sampled_from([200, 600, 1800, 86_400]),
)
deferrals = st.builds(
    Deferral,
    number=st.integers(0, 3),
    how=st.sampled_from(["times out", "fails", "arguments garbled", "event garbled"]),
)
common: dict[str, st.SearchStrategy[Any]] = {
    "kind": st.sampled_from(list(INSTANCES)),
    "operator": operators,
    "earlier": few(st.sampled_from(["automatic", "manual", "automatic", "manual", "many"]), 2),
    "outcomes": few(outcomes, 3),
    "restarts": st.frozensets(st.integers(0, 20), max_size=3),
    "deferrals": few(deferrals, 2),
    "retries": st.sampled_from([0, 1, 2, 2, 3, 4]),
    "skew": st.sampled_from(SKEWS),
    "stubborn": st.booleans(),
    "pause": st.sampled_from([0, 30, 300, 1200]),
    "strange_record": st.booleans(),
    "second": st.sampled_from([0.0, 29.5, 59.0]),
}
waits = st.builds(
    Schedule,
    **common,
    sensor=st.none() | sensors,
    fresh=st.none() | freshes,
    readings=st.builds(
        replace,
        readings(3),
        job_filter_in_tasks=st.booleans(),
        row_order=st.sampled_from(["newest_first", "oldest_first"]),
    ),
    strikes=few(passing, 4),
    kills=few(kills, 1),
    happenings=few(happenings, 1),
)
"""What a wait goes through: a backup is under way, and then reads go wrong."""
ages = st.builds(
    Schedule,
    **{**common, "operator": st.just(OperatorPlan()), "clears": st.just(())},
    fresh=freshes,
    readings=readings(4),
    strikes=few(passing, 3),
    happenings=few(happenings, 2),
)
"""What the gate for a fresh backup goes through: backups of others, old ones, and reads that go wrong."""
creates = st.builds(
    Schedule,
    **common,
    readings=readings(5),
    strikes=few(on_creates, 2),
    kills=few(kills_at_the_create, 2),
    happenings=few(happenings, 2),
    clears=few(clears, 2),
)
"""What a create goes through: its answers are lost, workers die around it, others make backups."""
storms = st.builds(
    Schedule,
    **common,
    sensor=st.none() | sensors,
    fresh=st.none() | freshes,
    readings=readings(6),
    strikes=st.tuples(few(on_creates, 2), few(lasting, 4)).map(lambda both: both[0] + both[1]),
    kills=few(kills, 3),
    happenings=few(happenings, 2),
    clears=few(clears, 2),
)
"""Everything at once."""
outages = st.builds(
    Strike,
    fault=st.sampled_from(sorted(FAULTS)),
    action=st.none(),
    during=st.tuples(st.integers(1, 1200), st.sampled_from([45, 200, 2000])).map(lambda t: (t[0], t[0] + t[1])),
)
UNDISTURBED: dict[str, st.SearchStrategy[Any]] = {
    "restarts": st.just(frozenset()),
    "deferrals": st.just(()),
    "retries": st.just(0),
    "stubborn": st.just(False),
}
gates = st.builds(
    Schedule,
    **{**common, **UNDISTURBED},
    sensor=sensors.map(lambda each: replace(each, execution_timeout=None)),
    readings=readings(4),
    strikes=few(outages, 3),
    happenings=few(st.builds(replace, others, before=st.none()), 1),
    agree=st.just(True),
)
"""What a sensor goes through that is played in all modes."""


def wired(plan: WirePlan, like: str = "") -> st.SearchStrategy[Schedule]:
    """Draw what befalls calls on a wire that cannot be trusted.

    :param like: what is in the name of each fault.
    """
    on_the_way = st.builds(
        Strike,
        fault=st.sampled_from([name for name, fault in WIRE_FAULTS.items() if plan.way in fault.ways and like in name]),
        action=st.sampled_from(["CreateBackup", None, *READS]),
        first=st.integers(0, 4),
        times=st.sampled_from([1, 2, 3, 8]),
    )
    at_the_source = st.builds(
        Strike,
        fault=st.sampled_from(SOURCE_FAULTS[plan.source or "uri"]),
        action=st.just(SOURCE),
        first=st.just(0),
        times=st.sampled_from([1, 2, 3]),
    )
    drawn = [few(on_the_way, 5), few(on_creates, 1), few(at_the_source, 1 if plan.source else 0)]
    return st.builds(
        Schedule,
        **common,
        sensor=st.none() | sensors,
        fresh=st.none() | freshes,
        readings=readings(2),
        strikes=st.tuples(*drawn).map(lambda several: sum(several, ())),
        kills=few(kills, 1),
        clears=few(clears, 1),
        wire=st.just(plan),
    )


wires = plans.flatmap(wired)
"""What a wire does that cannot be trusted."""
schedules = waits | creates | storms | ages | gates | wires
