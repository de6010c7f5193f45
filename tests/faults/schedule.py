"""What can go wrong in one schedule, as plain data that hypothesis draws and shrinks."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_dds.emulator import JobOutcome, Readings
from airflow_provider_dds.emulator.model import InstanceKind

if TYPE_CHECKING:
    from tests.faults.wire_schedule import WirePlan

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


@dataclass(frozen=True)
class Strike:
    """A fault that meets some calls in a row.

    :ivar fault: a name in ``FAULTS``, or in ``WIRE_FAULTS``.
    :ivar action: only calls of this action count, or only requests to the credential source; None: all calls do.
    :ivar first: how many calls pass before it.
    :ivar times: how many it meets; None: all that follow.
    :ivar during: instead, all calls between these seconds from the schedule's start on: the same polls in every mode.
    """

    fault: str
    action: str | None
    first: int = 0
    times: int | None = 1
    during: tuple[int, int] | None = None


@dataclass(frozen=True)
class Kill:
    """The end of the worker process at a point of its work.

    :ivar at: the points that count: around CreateBackup (before it is sent, after the service acted), around accesses
        to the store, around any call, or before a sleep.
    :ivar passed: how many such points pass first.
    :ivar cleared: it ends because somebody clears the task while it runs: one of the operator's.
    :ivar thaws: it only stands still, and goes on once the try that Airflow starts in its place is over. Only for
        points at the store: nobody can help a worker that stands still between its last instruction and the wire.
    """

    at: Literal["create", "store", "call", "sleep"]
    passed: int
    thaws: bool = False
    cleared: bool = False


@dataclass(frozen=True)
class Deferral:
    """What becomes of a deferral, other than that its trigger fires.

    :ivar number: how many deferrals of the schedule come before it.
    :ivar how: Airflow ends it because its time is over, or its trigger fails; or its arguments, or its event, come as
        another release of the package may have stored them.
    """

    number: int
    how: Literal["times out", "fails", "arguments garbled", "event garbled"]


What = Literal[
    "automatic",
    "manual",
    "busy",
    "service clock",
    "worker clock",
    "key rotated",
    "store emptied",
    "store garbled",
    "store full",
    "xcom fails",
    "inputs move",
    "released",
]


@dataclass(frozen=True)
class Happening:
    """Something that happens around the task.

    :ivar what: an automatic backup, or a manual one of somebody else, begins; the instance is busy for a time; a clock
        jumps; the AccessKey is replaced; something befalls what Airflow keeps for the task; what is behind the template
        of the sensor's job id moves; the instance is released.
    :ivar seconds: when, from the start of the schedule on.
    :ivar before: instead, right before this call of the task: its action, and how many of it pass first.
    :ivar lasts: seconds that the instance is busy, which is not Running, that the store is full, that XComs fail, or
        that the old key is dead before the connection has the new one.
    :ivar skew: seconds that the clock which jumps is ahead from then on.
    :ivar garbage: what is found in the store instead of each record, see ``elsewhere.GARBAGE``.
    """

    what: What
    seconds: int = 0
    before: tuple[str, int] | None = None
    lasts: int = 300
    skew: int = 0
    garbage: str = "text"


@dataclass(frozen=True)
class Clear:
    """A clear of the operator's task, by Airflow's own formula.

    :ivar after: seconds after the end of the task.
    :ivar retries: what ``retries`` was edited to before; None: nothing was.
    :ivar gone: the clear did not find the task in its DAG, which has it again by now.
    :ivar pending: it comes after the first try that ends, also where Airflow would retry.
    :ivar others: backups that others make in the meantime.
    """

    after: int = 0
    retries: int | None = None
    gone: bool = False
    pending: bool = False
    others: tuple[Literal["automatic", "manual"], ...] = ()


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
    execution_timeout: int | None = None

    @property
    def keeps_records(self) -> bool:
        return self.durable and self.has_store


@dataclass(frozen=True)
class SensorPlan:
    mode: Literal["poke", "reschedule", "deferrable", "from trigger"] = "poke"
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
    execution_timeout: int | None = None


@dataclass(frozen=True)
class FreshPlan:
    mode: Literal["poke", "reschedule", "deferrable", "from trigger"] = "poke"
    max_age: int = 3600
    age_of: Literal["data", "end"] = "data"
    backup_modes: tuple[str, ...] = ("Automated", "Manual")
    min_size_ratio: float | None = None
    poll_strategy: str | None = None
    poke_interval: int = 60
    looks: int = 20
    soft_fail: bool = False
    has_store: bool = True
    execution_timeout: int | None = None


@dataclass(frozen=True)
class Schedule:
    """One run of operator, sensor and gate for a fresh backup, and all that strikes them.

    :ivar earlier: backups of others that ended well before it begins; ``many`` are more than a page of the service has.
    :ivar outcomes: how the jobs of the instance go, in the order in which they begin, whoever began them.
    :ivar deferrals: deferrals whose trigger does not fire as it should.
    :ivar restarts: at which points of their work (sleeps and calls, counted together) triggerers end.
    :ivar retries: tries that may follow the first one.
    :ivar stubborn: retry also what Airflow would not.
    :ivar pause: seconds between two tries.
    :ivar clears: clears of the operator's task, one after the other.
    :ivar strange_record: the store holds the record of another item of a mapped task.
    :ivar second: where in its minute the schedule begins.
    :ivar skew: seconds by which the service's clock is ahead of the workers' to begin with.
    :ivar agree: the sensor is played in its other modes, too.
    :ivar wire: how calls get to the service; None: directly.
    """

    kind: InstanceKind = InstanceKind.CLOUD_REPLICA
    operator: OperatorPlan = field(default_factory=OperatorPlan)
    sensor: SensorPlan | None = None
    fresh: FreshPlan | None = None
    readings: Readings = field(default_factory=Readings)
    earlier: tuple[Literal["automatic", "manual", "many"], ...] = ()
    outcomes: tuple[JobOutcome, ...] = ()
    strikes: tuple[Strike, ...] = ()
    kills: tuple[Kill, ...] = ()
    happenings: tuple[Happening, ...] = ()
    deferrals: tuple[Deferral, ...] = ()
    restarts: frozenset[int] = frozenset()
    retries: int = 2
    stubborn: bool = False
    pause: int = 30
    clears: tuple[Clear, ...] = ()
    strange_record: bool = False
    second: float = 0.0
    skew: int = 0
    agree: bool = False
    wire: WirePlan | None = None

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
    plain = type(value)() if not isinstance(value, (Strike, Kill, Happening, Deferral)) else None
    shown = [
        f"{each.name}={_differences(getattr(value, each.name))}"
        for each in fields(value)
        if plain is None or getattr(value, each.name) != getattr(plain, each.name)
    ]
    return f"{type(value).__name__}({', '.join(shown)})"
