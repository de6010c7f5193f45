"""What a wait has to remember from poll to poll, and from process to process."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from airflow_provider_dds.api.models import FAILED, MANUAL, SUCCESS
from airflow_provider_dds.waiting.backup.observation import FINISHED, RUNNING, Observation, SetState, is_known
from airflow_provider_dds.waiting.records import read_dataclass


@dataclass(frozen=True)
class Memory:
    """What has to be remembered from poll to poll; times in epoch seconds.

    :ivar lacking: what the last answered poll did not show: ``job`` (nor a set of it), ``set`` (of a job that is over),
        ``shard`` (the set of some shard), or nothing.
    :ivar lacked_for: seconds for which the service has answered and not shown that.
    :ivar misses: answered polls since it began, which have not shown it.
    :ivar answered_at: when the last poll was answered; None after one that failed.
    :ivar planned_wait: seconds that were to pass between the last poll and the next one.
    :ivar failures: failed polls in a row.
    :ivar words: undocumented status words that were warned about.
    :ivar set_seen: whether a set of the job was visible once it was over; none of it was good yet.
    :ivar manual: whether the job was seen to be a manual one, so that an automatic one of its id is another.
    :ivar job_start: when the job started, by the service's clock; None where no row has shown it.
    :ivar shards: shards that were part of the backup: listed while it was first seen under way, or seen with a set.
    :ivar lost: whether earlier polls of this wait are forgotten: then any shard may have been part of the backup.
    """

    lacking: str = ""
    lacked_for: float = 0.0
    misses: int = 0
    answered_at: float | None = None
    planned_wait: float = 0.0
    failures: int = 0
    words: tuple[str, ...] = ()
    set_seen: bool = False
    manual: bool = False
    job_start: float | None = None
    shards: tuple[str, ...] = ()
    lost: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the memory as plain JSON."""
        data = asdict(self)
        return {**data, "words": list(self.words), "shards": list(self.shards)}

    @classmethod
    def from_json(cls, data: Any) -> Memory:
        """Return the memory that :meth:`to_json` gave.

        :raises UnreadableError: it is of another version, or nothing that this package stored.
        """
        return read_dataclass(cls, data)


def remember(observed: Observation, memory: Memory, now: float) -> Memory:
    """Return the memory after a poll.

    Only the time between two answered polls in a row counts as lacking something, and no more of it than was planned:
    an outage, a jump of the clock or a process that stood still adds nothing.
    """
    if observed.error is not None:
        return replace(memory, failures=memory.failures + 1, answered_at=None)
    lacking = _lacking(observed, now)
    goes_on = bool(lacking) and lacking == memory.lacking
    passed = 0.0 if memory.answered_at is None else now - memory.answered_at
    job = observed.job
    word = job.status if job and not is_known(job.status) else None
    known = memory.shards or (observed.shards if _under_way(observed) else ())
    return Memory(
        lacking=lacking,
        lacked_for=memory.lacked_for + max(0.0, min(passed, memory.planned_wait)) if goes_on else 0.0,
        misses=memory.misses + 1 if goes_on else int(bool(lacking)),
        answered_at=now,
        planned_wait=memory.planned_wait,
        words=memory.words if word is None or word in memory.words else (*memory.words, word),
        set_seen=memory.set_seen or (observed.job_listed and bool(observed.sets)),
        manual=memory.manual or (job is not None and job.job_mode == MANUAL),
        job_start=job.start_time.timestamp() if job and job.start_time else memory.job_start,
        shards=tuple(dict.fromkeys((*known, *(each.node_id for each in observed.sets if each.node_id)))),
        lost=memory.lost,
    )


def _lacking(observed: Observation, now: float) -> str:
    over = observed.job is None or observed.job.status == FINISHED
    state = observed.set_state(now)
    if over and state is SetState.PARTIAL:
        return "shard"
    if over and state is SetState.INVISIBLE:
        return "set" if observed.job is not None else "job" if observed.job_listed else ""
    return ""


def _under_way(observed: Observation) -> bool:
    """Whether the backup is seen to be made: its job runs or, where no call lists jobs, none of its sets is settled."""
    if observed.job is not None:
        return observed.job.status in RUNNING
    return not observed.job_listed and all(each.status not in (SUCCESS, FAILED) for each in observed.sets)
