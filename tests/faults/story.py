"""What happened in one schedule: the calls, the tries, the log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from airflow_provider_dds.emulator import JobState, RecordedRequest
    from tests.faults.schedule import Schedule


@dataclass
class Call:
    """A request that reached the service.

    :ivar fault: the fault that it met.
    :ivar made: id of the job that the service made for it.
    :ivar body: the answer's text, where it came back as the service meant it.
    :ivar request: what the emulator recorded of it.
    """

    action: str
    time: float
    fault: str | None
    made: str | None = None
    body: str | None = None
    request: RecordedRequest | None = None
    died: bool = False


@dataclass
class Try:
    """One try of a task.

    :ivar deadline: epoch seconds by which it should end.
    :ivar calls: its first call and the first that is not its own, by their place in ``Story.calls``.
    :ivar jobs: the jobs of the instance at its end, as they really were.
    :ivar sets: for a good end, the sets that the service showed of the job then, by id.
    """

    task: Literal["operator", "sensor"]
    generation: int
    began: float
    deadline: float
    first_call: int
    ended: float = 0.0
    end_call: int = 0
    ending: Literal["returned", "raised", "killed"] = "raised"
    value: Any = None
    error: BaseException | None = None
    xcoms: dict[str, Any] = field(default_factory=dict)
    jobs: list[JobState] = field(default_factory=list)
    sets: dict[str, str] = field(default_factory=dict)
    record: dict[str, Any] | None = None


@dataclass
class Story:
    """All of it.

    :ivar log: every line that was logged.
    :ivar kept: whatever was handed to Airflow: XComs, arguments of triggers, their events, records, as text.
    :ivar others: jobs that began without the task asking.
    """

    schedule: Schedule
    calls: list[Call] = field(default_factory=list)
    tries: list[Try] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    kills: int = 0
    restarts: int = 0
    clears: int = 0
    happenings: int = 0
    sensor_id: Any = None

    def calls_of(self, each: Try) -> list[Call]:
        return self.calls[each.first_call : each.end_call]

    def asked_for(self, each: Try) -> str | None:
        """Return the job that a try was about at its end, as far as it knew."""
        if each.task == "sensor":
            return str(self.sensor_id).strip()
        if each.ending == "returned":
            return each.value
        mine = each.record is not None and each.record["db_instance_id"] == self.schedule.instance_id
        return each.record["backup_job_id"] if mine else None

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
            ending += f" {type(each.error).__name__}: {each.error}" if each.error else ""
            lines.append(f"{each.ended - begin:8.0f} s    {ending}")
        if self.tries:
            for state in self.tries[-1].jobs:
                job, look = state.job, state.look
                times = f"begun {job.created - begin:.0f} s" + (
                    f", over {look.ended - begin:.0f} s" if look.ended else ""
                )
                lines.append(f"    {job.mode} job {job.job_id}: {look.phase.value}, {times}")
        return "\n".join(lines)
