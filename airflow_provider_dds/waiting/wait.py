"""What a wait is: data. :mod:`airflow_provider_dds.waiting.watch` makes all ways to wait of it.

A wait for another thing is one subclass of :class:`Wait`: the fields that say what it waits for, the calls that observe
it, and what they mean. Poke, reschedule and deferrable mode, deadline, back-off, log lines and JSON come with it.
"""

from __future__ import annotations

import logging
import re
from abc import ABC, abstractmethod
from dataclasses import MISSING, dataclass, field, fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from airflow_provider_dds import arguments
from airflow_provider_dds.api.errors import is_transient
from airflow_provider_dds.exceptions import DdsError
from airflow_provider_dds.waiting.polling import PollPlan, Progress, next_wait
from airflow_provider_dds.waiting.records import read, shape_of
from airflow_provider_dds.waiting.result import Outcome, Result
from airflow_provider_dds.waiting.texts import brief, duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_dds.api.models import DBInstance
    from airflow_provider_dds.api.requests import ApiCalls

Seen = TypeVar("Seen")
_REQUEST_ID = re.compile(r"\(([^()]+)\)$")


@dataclass(frozen=True)
class Verdict:
    """The end of a poll.

    :ivar reason: what was seen, for people.
    :ivar warning: something the user should know although the wait goes on or the task succeeds.
    :ivar error: for ``Outcome.ERROR`` the error to raise; for a failed poll that will be repeated, its error.
    """

    outcome: Outcome
    reason: str
    warning: str | None = None
    error: DdsError | None = field(default=None, compare=False)


@dataclass(kw_only=True)
class Wait(ABC, Generic[Seen]):
    """A wait for something that polls can see. Its constructor's arguments are plain JSON.

    :cvar kind: what is waited for, in a word: a tag of metrics.
    :cvar good: what the name is when the wait ends well.
    :ivar started_at: epoch seconds at which the wait began.
    :ivar deadline: epoch seconds at which it ends.
    :ivar poke_interval: seconds between two polls, the finest spacing.
    :ivar max_wait: longest interval in seconds.
    :ivar poll_strategy: how polls are spaced: ``progress``, ``exponential`` or ``fixed``.
    :ivar silent_fail: wait on also after a poll that was refused for good, as Airflow's argument of that name says.
    :ivar failures: failed polls in a row.
    :ivar progress: how what is waited for gets on, None while that is not known; it spaces the polls, no more.
    :ivar next_in: seconds from the last poll to the next one.
    :ivar last_line: the last poll in words, once the wait is over.
    """

    kind: ClassVar[str] = ""
    good: ClassVar[str] = "good"
    started_at: float
    deadline: float
    poke_interval: float = 60.0
    max_wait: float | None = None
    poll_strategy: str = "progress"
    silent_fail: bool = False
    failures: int = field(default=0, init=False)
    progress: Progress | None = field(default=None, init=False)
    next_in: float = field(default=0.0, init=False)
    last_line: str = field(default="", init=False)

    def check(self) -> None:
        """Check what was stored of the wait, which nobody has checked since: sensors check their own arguments.

        :raises DdsConfigurationError: an argument has no meaning.
        """
        arguments.poll_strategy(self.poll_strategy)
        arguments.seconds("poke_interval", self.poke_interval)

    # --- what a subclass says ---------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def name(self) -> str:
        """What is waited for, at the beginning of a sentence: ``Backup 17 of dds-x``."""

    @abstractmethod
    def observe(self, now: float) -> ApiCalls[Seen]:
        """Return the calls of one poll, for the hook to run.

        :param now: epoch seconds at its beginning.
        """

    @abstractmethod
    def judge(self, seen: Seen, now: float) -> Verdict:
        """Return what an answered poll means.

        :param now: epoch seconds at its end.
        """

    def facts(self) -> dict[str, Any]:
        """Return the facts of what was waited for, as plain JSON, once it is good."""
        return {}

    def is_newest(self, backup: Mapping[str, Any]) -> bool:
        """Return whether the backup of the result is the newest of its instance: it ended while it was waited for.

        A wait for an old job must not tell metrics of an old backup.
        """
        ended: str | None = backup.get("end_time")
        return ended is not None and datetime.fromisoformat(ended).timestamp() >= self.started_at

    def subject(self) -> dict[str, Any]:
        """Return what the fields of an error say of what was waited for, by their names; None for what is not known."""
        return {}

    def shown(self, verdict: Verdict, now: float) -> str:
        """Return in words what a poll saw."""
        return verdict.reason

    @property
    def seen_before(self) -> str:
        """What was seen before polls failed, in words; empty where that was nothing."""
        return ""

    @property
    def calls_made(self) -> tuple[str, ...]:
        """The calls of the last poll, as ``Action (request id)``."""
        return ()

    @property
    def instance(self) -> DBInstance | None:
        """The instance that it is about, once a poll has asked for it."""
        return None

    @property
    def goes_on(self) -> str:
        """What becomes of it when whoever waits is stopped, in words; empty where nothing is left behind."""
        return ""

    # --- what all waits do ------------------------------------------------------------------------------------------

    def conclude(self, seen: Seen | DdsError, now: float, jitter: float) -> Verdict:
        """Take in what a poll saw, or how it failed, and return what follows.

        :param now: epoch seconds at its end.
        :param jitter: a random number from 0 to 1.
        """
        if isinstance(seen, DdsError):
            self.failures += 1
            verdict = self.failed(seen, now, jitter)
        else:
            self.failures = 0
            verdict = self.judge(seen, now)
        if self.silent_fail and verdict.outcome is Outcome.ERROR:
            verdict = replace(verdict, outcome=Outcome.WAIT, reason=f"poll failed: {verdict.reason.rstrip('.')}")
        if verdict.outcome is Outcome.WAIT and now >= self.deadline:
            verdict = replace(verdict, outcome=Outcome.TIMED_OUT)
        return verdict

    def failed(self, error: DdsError, now: float, jitter: float) -> Verdict:
        """Return what a failed poll means."""
        if not is_transient(error):
            return Verdict(Outcome.ERROR, str(error), error=error)
        count = f" ({self.failures} in a row)" if self.failures > 1 else ""
        return Verdict(Outcome.WAIT, f"poll failed{count}: {str(error).rstrip('.')}", error=error)

    def next_wait(self, now: float, jitter: float) -> float:
        """Return the seconds until the next poll; ``jitter`` is a random number from 0 to 1."""
        return next_wait(
            PollPlan(self.poke_interval, self.poll_strategy, self.max_wait),
            elapsed=now - self.started_at,
            left=self.deadline - now,
            failures=self.failures,
            jitter=jitter,
            progress=self.progress,
        )

    def report(self, log: Any, verdict: Verdict, now: float) -> None:
        """Log one line for a poll that does not end the wait; at warning where it failed or showed something odd."""
        log.log(logging.WARNING if verdict.error else logging.INFO, "%s", self.line(verdict, now, self.next_in))
        if verdict.warning:
            log.warning("%s", verdict.warning)

    def line(self, verdict: Verdict, now: float, wait: float | None) -> str:
        """Return the log line of a poll: ``Backup 17 of dds-x: Backuping 18 %, running 3m10s; next poll in 30s``."""
        shown = self.shown(verdict, now)
        if verdict.error is not None and self.failures > 1:
            shown = f"poll failed ({self.failures} in a row): {brief(verdict.error)}"
        then = "" if wait is None else f"; next poll in {duration(wait)}"
        return f"{self.name}: {shown.rstrip('.')}{then}"

    def about(self, now: float) -> dict[str, Any]:
        """Return the fields of an error that ends this wait, as plain JSON.

        :param now: epoch seconds.
        """
        ids = [found for call in self.calls_made for found in _REQUEST_ID.findall(call)]
        return {**self.subject(), "request_ids": ids, "waited_seconds": round(max(0.0, now - self.started_at), 3)}

    def result(self, verdict: Verdict, now: float) -> Result:
        """Return the result for a verdict that is not to wait."""
        waited = f"after {duration(now - self.started_at)} of waiting"
        asked = f" Asked (request ids): {', '.join(self.calls_made)}." if self.calls_made else ""
        if verdict.outcome is Outcome.DONE:
            warning = f" Warning: {verdict.warning}" if verdict.warning else ""
            text = f"{self.name} is {self.good} {waited}: {verdict.reason}.{warning}"
            return Result(verdict.outcome, text, self.facts())
        if verdict.outcome is Outcome.ERROR:
            said = f"{self.name} cannot be watched. {verdict.reason}"
            return Result(
                verdict.outcome, said, error=(verdict.error or DdsError()).with_text(said), about=self.about(now)
            )
        if verdict.outcome is Outcome.FAILED:
            said = f"failed {waited}: {verdict.reason}"
        elif verdict.outcome is Outcome.NOT_FOUND:
            said = f"does not show {waited}: {verdict.reason}"
        elif verdict.error is not None:
            seen = f". Seen before that: {self.seen_before}" if self.seen_before else ""
            said = f"was not {self.good} at its deadline, {waited}. The last {verdict.reason}{seen}"
        else:
            said = f"was not {self.good} at its deadline, {waited}. Last poll: {self.shown(verdict, now)}"
        return Result(verdict.outcome, f"{self.name} {said}.{asked}", about=self.about(now))

    # --- from process to process ------------------------------------------------------------------------------------

    @classmethod
    def shape(cls) -> dict[str, str]:
        """Return the kind of each of the constructor's arguments, as :func:`~.records.read` takes them."""
        return shape_of((each.name, str(each.type)) for each in fields(cls) if each.init)

    @classmethod
    def optional(cls) -> frozenset[str]:
        """Return the names of the constructor's arguments that have a default."""
        return frozenset(each.name for each in fields(cls) if each.init and each.default is not MISSING)

    def to_json(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        fields = {name: getattr(self, name) for name in self.shape()}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}

    @property
    def remembers(self) -> bool:
        """Whether the next verdict depends on what earlier polls saw, so that the memory must not be lost."""
        return False

    def remembered(self) -> dict[str, Any]:
        """Return as plain JSON what a later process that goes on with this wait has to know of earlier polls."""
        return {"failures": self.failures}

    def recall(self, memory: Any) -> None:
        """Take over what :meth:`remembered` gave.

        :raises UnreadableError: it is of another version, or nothing that this package stored.
        """
        self.failures = read(memory, {"failures": "count"})["failures"]

    def forget(self) -> None:
        """Go on with a wait whose earlier polls are forgotten."""
