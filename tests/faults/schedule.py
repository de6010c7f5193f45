"""What can go wrong in one schedule, as plain data that hypothesis draws and shrinks."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from hypothesis import strategies as st

from airflow_provider_dds.emulator import JobOutcome, Readings
from airflow_provider_dds.emulator.model import InstanceKind

INSTANCES = {
    InstanceKind.CLOUD_REPLICA: "dds-demo-replica",
    InstanceKind.CLOUD_CLUSTER: "dds-demo-cluster",
    InstanceKind.CLOUD_SHARDED: "dds-demo-sharded",
    InstanceKind.LOCAL_REPLICA: "dds-demo-local",
    InstanceKind.STANDALONE: "dds-demo-standalone",
}
READS = (
    "DescribeBackupTasks",
    "DescribeBackups",
    "DescribeClusterBackups",
    "DescribeDBInstanceAttribute",
    "DescribeHistoryTasks",
)

UNAVAILABLE = {"kind": "error", "status": 503, "code": "ServiceUnavailable"}
FAULTS: dict[str, dict[str, Any]] = {
    "throttled": {"kind": "throttle"},
    "throttled_for_3_s": {"kind": "throttle", "retry_after_ms": 3_000},
    "throttled_for_20_s": {"kind": "throttle", "retry_after_ms": 20_000},
    "503_before": {**UNAVAILABLE, "when": "before"},
    "503_after": {**UNAVAILABLE, "when": "after"},
    "500_after": {"kind": "error", "status": 500, "code": "InternalError", "when": "after"},
    "nonce_used_after": {"kind": "error", "status": 400, "code": "SignatureNonceUsed", "when": "after"},
    "html_502_before": {"kind": "html", "status": 502, "when": "before"},
    "html_502_after": {"kind": "html", "status": 502, "when": "after"},
    "html_200_after": {"kind": "html", "status": 200, "when": "after"},
    "empty_before": {"kind": "empty_body", "when": "before"},
    "empty_after": {"kind": "empty_body", "when": "after"},
    "empty_503_after": {"kind": "empty_body", "status": 503, "when": "after"},
    "null_before": {"kind": "null_body", "when": "before"},
    "null_after": {"kind": "null_body", "when": "after"},
    "truncated": {"kind": "truncated_body"},
    "cut": {"kind": "cut_body"},
    "wrong_shape": {"kind": "wrong_shape"},
    "wrong_shape_list": {"kind": "wrong_shape", "body": []},
    "wrong_shape_text": {"kind": "wrong_shape", "body": dict.fromkeys(
        ("RequestId", "BackupJobs", "Backups", "ClusterBackups", "DBInstances", "Items"), "?")},
    "reset_before": {"kind": "reset_before"},
    "reset_after": {"kind": "reset_after"},
    "hang_before": {"kind": "hang", "when": "before", "seconds": None},
    "hang_after": {"kind": "hang", "when": "after", "seconds": None},
    "ids_dropped": {"kind": "drop_job_id"},
    "token_expired": {"kind": "error", "status": 400, "code": "InvalidSecurityToken.Expired",
                      "message": "Specified SecurityToken is expired.", "when": "before"},
    "denied": {"kind": "error", "status": 403, "code": "Forbidden.RAM", "when": "before"},
}  # fmt: skip
PERMANENT = ("token_expired", "denied")
"""Faults that fail every call that they meet, for good."""


@dataclass(frozen=True)
class Strike:
    """A fault that meets some calls in a row.

    :ivar fault: a name in ``FAULTS``.
    :ivar action: only calls of this action count; None: all calls do.
    :ivar first: how many calls pass before it.
    :ivar times: how many it meets; None: all that follow.
    """

    fault: str
    action: str | None
    first: int = 0
    times: int | None = 1


@dataclass(frozen=True)
class Kill:
    """The end of the worker process at a point of its work.

    :ivar at: the points that count: around CreateBackup (before it is sent, after the service acted), around accesses
        to the store, around any call, or before a sleep.
    :ivar passed: how many such points pass first.
    """

    at: Literal["create", "store", "call", "sleep"]
    passed: int


@dataclass(frozen=True)
class Happening:
    """Something that others do to the instance.

    :ivar what: an automatic backup, or a manual one of somebody else, begins; or the instance is busy for a time.
    :ivar seconds: when, from the start of the schedule on.
    :ivar before: instead, right before this call of the task: its action, and how many of it pass first.
    :ivar lasts: how long the instance is busy, which is not Running.
    """

    what: Literal["automatic", "manual", "busy"]
    seconds: int = 0
    before: tuple[str, int] | None = None
    lasts: int = 300


@dataclass(frozen=True)
class OperatorPlan:
    if_backup_running: str = "wait"
    wait_for_completion: bool = False
    confirm_backup_set: bool = True
    deferrable: bool = False
    durable: bool = True
    has_store: bool = True
    poke_interval: int = 60
    poll_strategy: str = "progress"
    looks: int = 20
    backup_method: str | None = None

    @property
    def keeps_records(self) -> bool:
        return self.durable and self.has_store


@dataclass(frozen=True)
class SensorPlan:
    mode: Literal["poke", "reschedule", "deferrable"] = "poke"
    confirm_backup_set: bool = True
    confirm_timeout: int = 600
    not_found_grace: int = 300
    poll_strategy: str | None = None
    max_wait: int | None = None
    poke_interval: int = 60
    looks: int = 20
    soft_fail: bool = False
    has_store: bool = True
    id_as: Literal["text", "number", "with newline", "unknown"] = "text"


@dataclass(frozen=True)
class Schedule:
    """One run of operator and sensor, and all that strikes them.

    :ivar earlier: backups of others that ended well before it begins.
    :ivar outcomes: how the jobs of the instance go, in the order in which they begin, whoever began them.
    :ivar restarts: at which points of their work (sleeps and calls, counted together) triggerers end.
    :ivar retries: tries that may follow the first one.
    :ivar stubborn: retry also what Airflow would not.
    :ivar pause: seconds between two tries.
    :ivar clear_after: clear the operator's task this many seconds after its end; None: do not.
    :ivar strange_record: the store holds the record of another item of a mapped task.
    :ivar second: where in its minute the schedule begins.
    """

    kind: InstanceKind = InstanceKind.CLOUD_REPLICA
    operator: OperatorPlan = field(default_factory=OperatorPlan)
    sensor: SensorPlan | None = None
    readings: Readings = field(default_factory=Readings)
    earlier: tuple[Literal["automatic", "manual"], ...] = ()
    outcomes: tuple[JobOutcome, ...] = ()
    strikes: tuple[Strike, ...] = ()
    kills: tuple[Kill, ...] = ()
    happenings: tuple[Happening, ...] = ()
    restarts: frozenset[int] = frozenset()
    retries: int = 2
    stubborn: bool = False
    pause: int = 30
    clear_after: int | None = None
    strange_record: bool = False
    second: float = 0.0

    @property
    def instance_id(self) -> str:
        return INSTANCES[self.kind]

    def __repr__(self) -> str:
        """Say only what differs from a schedule without faults."""
        return _differences(self)


def _differences(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_differences, value))}{',' if len(value) == 1 else ''})"
    if not hasattr(value, "__dataclass_fields__"):
        return str(value) if isinstance(value, InstanceKind) else repr(value)
    plain = type(value)() if not isinstance(value, (Strike, Kill, Happening)) else None
    shown = [
        f"{each.name}={_differences(getattr(value, each.name))}"
        for each in fields(value)
        if plain is None or getattr(value, each.name) != getattr(plain, each.name)
    ]
    return f"{type(value).__name__}({', '.join(shown)})"


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
    st.builds(Kill, at=st.just("store"), passed=st.integers(0, 10)),
)
kills = kills_at_the_create | st.one_of(
    st.builds(Kill, at=st.just("call"), passed=st.integers(0, 40)),
    st.builds(Kill, at=st.just("sleep"), passed=st.integers(0, 20)),
)
happenings = st.builds(
    Happening,
    what=st.sampled_from(["automatic", "manual", "busy"]),
    seconds=st.integers(0, 1200),
    before=st.none() | st.tuples(st.sampled_from(["CreateBackup", *READS]), st.integers(0, 3)),
    lasts=st.sampled_from([30, 300, 3000]),
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
    "history": st.sampled_from(["unrelated", "hidden"]),
}
"""Readings that decide what of a job is to be seen when, and under which id."""
OTHER_READINGS: dict[str, st.SearchStrategy[Any]] = {
    "uncovered_tasks": st.sampled_from(["error", "listed"]),
    "unknown_job_in_sets": st.just("not_matched"),
    "create_id_type": st.just("int"),
    "row_id_type": st.just("int"),
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
    return _some(Readings, most, MISLEADING, MISLEADING, OTHER_READINGS)


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
    ),
    mode=st.sampled_from(["poke", "reschedule", "deferrable"]),
    id_as=st.sampled_from(["text", "text", "number", "with newline", "unknown"]),
)
common: dict[str, st.SearchStrategy[Any]] = {
    "kind": st.sampled_from(list(INSTANCES)),
    "operator": operators,
    "earlier": few(st.sampled_from(["automatic", "manual"]), 2),
    "outcomes": few(outcomes, 3),
    "restarts": st.frozensets(st.integers(0, 20), max_size=3),
    "retries": st.integers(0, 4),
    "stubborn": st.booleans(),
    "pause": st.sampled_from([0, 30, 300, 1200]),
    "strange_record": st.booleans(),
    "second": st.sampled_from([0.0, 29.5, 59.0]),
}
waits = st.builds(
    Schedule,
    **common,
    sensor=st.none() | sensors,
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
creates = st.builds(
    Schedule,
    **common,
    readings=readings(5),
    strikes=few(on_creates, 2),
    kills=few(kills_at_the_create, 2),
    happenings=few(happenings, 2),
    clear_after=st.none() | st.sampled_from([0, 100, 1000]),
)
"""What a create goes through: its answers are lost, workers die around it, others make backups."""
storms = st.builds(
    Schedule,
    **common,
    sensor=st.none() | sensors,
    readings=readings(6),
    strikes=st.tuples(few(on_creates, 2), few(lasting, 4)).map(lambda both: both[0] + both[1]),
    kills=few(kills, 3),
    happenings=few(happenings, 2),
    clear_after=st.none() | st.sampled_from([0, 100, 1000]),
)
"""Everything at once."""
schedules = waits | creates | storms
