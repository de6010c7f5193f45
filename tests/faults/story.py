"""What happened in one schedule: the calls, the tries, the log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from airflow_provider_dds.api.models import BackupSet
    from airflow_provider_dds.emulator import JobState, RecordedRequest
    from tests.faults.schedule import Schedule

STORE_TROUBLES = ("store emptied", "store garbled", "store full")
"""What may keep a task from knowing what it has stored, by its name in ``Happening.what``."""


@dataclass
class Call:
    """A request to the service.

    :ivar fault: the fault that it met.
    :ivar made: id of the job that the service made for it.
    :ivar body: the answer's text, where it came back as the service meant it.
    :ivar request: what the emulator recorded of it, as far as it came there.
    :ivar arrived: how many times it came there.
    :ivar status: HTTP status that came back, from wherever.
    :ivar answer: what came back.
    :ivar bound: seconds that it was given, besides what the connection allows; None: no bound.
    :ivar endless: whether nothing but its deadline was to end it.
    :ivar took: real seconds that it took, of an endless one since its deadline counts.
    :ivar error: what the package made of it; None: an answer; ``...``: nothing, since its process died.
    """

    action: str
    time: float
    fault: str | None
    made: str | None = None
    body: str | None = None
    request: RecordedRequest | None = None
    died: bool = False
    arrived: int = 1
    status: int | None = None
    answer: str | None = None
    bound: float | None = None
    endless: bool = False
    took: float = 0.0
    error: Any = ...


@dataclass
class Turn:
    """A call's wait for its turn in the pace of all calls.

    :ivar deadline: time after which it would be of no use.
    :ivar ended: when its turn came, or it was given up.
    :ivar given_up: whether its turn would have come after the deadline.
    """

    began: float
    deadline: float
    ended: float = 0.0
    given_up: bool = False


@dataclass
class Wiring:
    """What was seen on a hostile wire.

    :ivar trapped: what came to hosts that nobody may talk to, for each connection.
    :ivar asked_for: the hosts that the proxy was asked for.
    :ivar named: those that the connection names for it.
    :ivar at_the_service: heads of the requests that came to the service's host.
    :ivar at_the_uri: heads of those that came to the credentials URI.
    :ivar fetches: requests to the credential source, as calls.
    :ivar lent: secrets that the credential source gave away.
    :ivar neighbour: whether another connection was kept out; None: none was tried.
    :ivar in_a_crowd: whether a call was answered while many of another connection hung; None: there were none.
    """

    named: set[str]
    trapped: list[bytes] = field(default_factory=list)
    asked_for: set[str] = field(default_factory=set)
    at_the_service: list[bytes] = field(default_factory=list)
    at_the_uri: list[bytes] = field(default_factory=list)
    fetches: list[Call] = field(default_factory=list)
    lent: set[str] = field(default_factory=set)
    neighbour: bool | None = None
    in_a_crowd: bool | None = None


@dataclass
class Try:
    """One try of a task.

    :ivar deadline: epoch seconds by which it should end.
    :ivar calls: its calls.
    :ivar fetches: its requests to the credential source.
    :ivar stored: when it wrote to the task state store.
    :ivar frozen: whether its worker stands still, or did so while another try took over.
    :ivar asked: of the sensor, what it is to wait for.
    :ivar ended_deferrals: when deferrals in a wait for a backup ended other than by their trigger's event, and how.
    :ivar cleared: whether a clear ended it.
    :ivar jobs: the jobs of the instance at its end, as they really were.
    :ivar sets: for a good end, the sets that the service showed then, by id.
    :ivar skews: for a good end, seconds by which the clocks of the service and of the workers were ahead then.
    """

    task: Literal["operator", "sensor", "fresh"]
    generation: int
    began: float
    deadline: float
    calls: list[Call] = field(default_factory=list)
    fetches: list[Call] = field(default_factory=list)
    ended: float = 0.0
    stored: list[float] = field(default_factory=list)
    frozen: bool = False
    asked: Any = None
    ended_deferrals: list[tuple[float, str]] = field(default_factory=list)
    cleared: bool = False
    ending: Literal["returned", "raised", "killed"] = "raised"
    value: Any = None
    error: BaseException | None = None
    xcoms: dict[str, Any] = field(default_factory=dict)
    jobs: list[JobState] = field(default_factory=list)
    sets: dict[str, BackupSet] = field(default_factory=dict)
    skews: tuple[float, float] = (0.0, 0.0)
    record: dict[str, Any] | None = None


@dataclass
class Story:
    """All of it.

    :ivar turns: every wait of a call for its turn.
    :ivar log: every line that was logged.
    :ivar kept: whatever was handed to Airflow: XComs, arguments of triggers, their events, records, as text.
    :ivar happened: what happened around the task, and when.
    :ivar shifts: by how many seconds the workers' clock jumped, all jumps together.
    :ivar jobs: the jobs of the instance at the end of it all.
    """

    schedule: Schedule
    calls: list[Call] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    tries: list[Try] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    kills: int = 0
    frozen: int = 0
    restarts: int = 0
    clears: int = 0
    happened: list[tuple[str, float]] = field(default_factory=list)
    shifts: float = 0.0
    wiring: Wiring | None = None
    jobs: list[JobState] = field(default_factory=list)

    def calls_of(self, each: Try) -> list[Call]:
        return each.calls

    def met(self, *what: str) -> bool:
        """Return whether any of these happened."""
        return any(name in what for name, _ in self.happened)

    def plan_of(self, each: Try) -> Any:
        """Return what was drawn for the task of a try."""
        return getattr(self.schedule, each.task)

    def asked_for(self, each: Try) -> str | None:
        """Return the job that a try was about at its end, as far as it knew."""
        if each.task == "sensor":
            return str(each.asked).strip()
        if each.task == "fresh":
            return None
        if each.ending == "returned":
            return each.value
        record = each.record if isinstance(each.record, dict) and not self.met(*STORE_TROUBLES) else {}
        mine = record.get("db_instance_id") == self.schedule.instance_id
        return record.get("backup_job_id") if mine else None

    def tell(self) -> str:
        """Tell the story, for the reader of a failure."""
        begin = self.tries[0].began if self.tries else 0.0
        lines: list[str] = []
        for each in self.tries:
            lines.append(f"{each.began - begin:8.0f} s  {each.task}, generation {each.generation}:")
            for call in self.calls_of(each):
                request = call.request
                said = f"{request.status} {request.code or ''}" if request else "?"
                notes = [f"fault {call.fault}"] if call.fault else []
                notes += [f"made job {call.made}"] if call.made else []
                notes += ["the worker died"] if call.died else []
                lines.append(f"{call.time - begin:8.0f} s      {call.action}: {said} {', '.join(notes)}")
            ending = f"{each.ending} {each.value!r}" if each.ending == "returned" else each.ending
            ending += ", after it stood still" if each.frozen else ""
            ending += f" {type(each.error).__name__}: {each.error}" if each.error else ""
            lines.append(f"{each.ended - begin:8.0f} s    {ending}")
        lines += [f"{time - begin:8.0f} s  {what}" for what, time in self.happened]
        if self.tries:
            for state in self.jobs or self.tries[-1].jobs:
                job, look = state.job, state.look
                times = f"begun {job.created - begin:.0f} s" + (
                    f", over {look.ended - begin:.0f} s" if look.ended else ""
                )
                lines.append(f"    {job.mode} job {job.job_id}: {look.phase.value}, {times}")
        return "\n".join(lines)
