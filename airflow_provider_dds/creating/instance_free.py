"""The wait until an operator can go on with its create: its instance is free, the service answers, a job has shown.

It stands here and not beside the other waits because it polls what a create polls.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dds.creating.backup import CreatePolicy, Observation, Step, conclude, failed, poll
from airflow_provider_dds.creating.record import CreateRecord, RecordError
from airflow_provider_dds.creating.states import Next
from airflow_provider_dds.waiting.result import Outcome
from airflow_provider_dds.waiting.wait import Verdict, Wait

if TYPE_CHECKING:
    from airflow_provider_dds.api.requests import ApiCalls
    from airflow_provider_dds.exceptions import DdsError


@dataclass(kw_only=True)
class InstanceFreeWait(Wait[Observation]):
    """Poll as the operator would, and send nothing.

    :ivar record: what the operator remembers of its create, as JSON.
    :ivar wait: seconds until the first poll.
    :ivar known: the same record, with what this wait has seen; None where it cannot be read.
    :ivar step: what followed from the last poll.
    """

    kind: ClassVar[str] = "instance_free"
    db_instance_id: str
    record: dict[str, Any]
    wait: float = 0.0
    step: Step | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.known: CreateRecord | None
        try:
            self.known = CreateRecord.from_json(self.record)
        except RecordError:
            self.known = None

    @classmethod
    def of(cls, record: CreateRecord, wait: float, poke_interval: float, now: float) -> InstanceFreeWait:
        """Return the wait for a create that cannot go on yet.

        :param wait: seconds until the first poll.
        :param poke_interval: seconds between two polls.
        :param now: epoch seconds.
        """
        return cls(
            db_instance_id=record.db_instance_id,
            started_at=now,
            deadline=record.deadline,
            poke_interval=poke_interval,
            record=record.to_json(),
            wait=wait,
        )

    @property
    def name(self) -> str:
        """The instance."""
        return f"Instance {self.db_instance_id}"

    def observe(self, now: float) -> ApiCalls[Observation]:
        """Return the calls of one poll."""
        return poll(self._record, now)

    def judge(self, seen: Observation, now: float) -> Verdict:
        """Return whether a worker has something to do."""
        return self._take(conclude(self._record, seen, CreatePolicy(self.poke_interval, 0.0), now), now)

    def failed(self, error: DdsError, now: float, jitter: float) -> Verdict:
        """Return whether a worker has something to do after a poll that failed."""
        return self._take(failed(self._record, error, CreatePolicy(self.poke_interval, 0.0), now, jitter), now)

    def next_wait(self, now: float, jitter: float) -> float:
        """Return the seconds until the next poll."""
        return max(0.0, min(self.step.wait if self.step else self.wait, self.deadline - now))

    def report(self, log: Any, verdict: Verdict, now: float) -> None:
        """Log what is new."""
        self.tell(log)

    def tell(self, log: Any) -> None:
        """Log what the last poll has shown that is new."""
        if self.step and self.step.line:
            log.log(logging.WARNING if self.step.warning else logging.INFO, "%s", self.step.line)

    def latest(self) -> dict[str, Any]:
        """Return the record with what this wait has seen, as JSON."""
        return self.record if self.known is None else self.known.to_json()

    @property
    def _record(self) -> CreateRecord:
        return self.known or CreateRecord.from_json(self.record)

    def _take(self, step: Step, now: float) -> Verdict:
        self.step = step
        # what a worker does with the same answer it decides itself, from the record as it was
        if step.next in (Next.WAIT, Next.SEND):
            self.known = step.record
        return Verdict(Outcome.WAIT if step.next is Next.WAIT else Outcome.DONE, step.line or "")
