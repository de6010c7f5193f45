"""A deferral that ended without an event that can be used, and an event that a worker takes up late."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_dds.exceptions import DdsDeferralError, DdsTimeoutError
from airflow_provider_dds.waiting.result import Outcome
from airflow_provider_dds.waiting.texts import duration
from airflow_provider_dds.waiting.watch import poll_once

if TYPE_CHECKING:
    from airflow_provider_dds.clock import Clock
    from airflow_provider_dds.hooks.dds import DdsHook
    from airflow_provider_dds.waiting.records import UnreadableError
    from airflow_provider_dds.waiting.result import Result
    from airflow_provider_dds.waiting.wait import Wait

TRIGGER_FAILED = "__fail__"
"""The method that Airflow resumes a task with when its deferral ended without an event."""
LAST_POLL_SECONDS = 30.0
"""Seconds that a worker's poll may take which is made at the deadline, or after it."""
AFTER_TIMEOUT_SECONDS = 60.0
"""Seconds for which Airflow is asked what a wait was for whose time is over."""
LATE_SECONDS = 60.0
"""How long after its event a worker may begin before the task says so."""
_CHECK = (
    "Ask with airflow jobs check --job-type TriggererJob whether one runs, look at its log and its capacity, and "
    "install the same release of this package there."
)


@dataclass(frozen=True)
class NoEvent:
    """Why a task has to end without an event.

    :ivar said: what is known of it, in words.
    :ivar timed_out: whether the time of the deferral was over, in which nobody watched it.
    :ivar traceback: of the trigger, where it failed.
    """

    said: str
    timed_out: bool = False
    traceback: str | None = None

    @classmethod
    def of(cls, next_method: str, next_kwargs: dict[str, Any] | None) -> NoEvent | None:
        """Return why there is no event, from what Airflow resumes a task with; None where there is one."""
        if next_method != TRIGGER_FAILED:
            return None
        error = (next_kwargs or {}).get("error") or "no reason given"
        said = str(getattr(error, "value", error))
        traceback = (next_kwargs or {}).get("traceback")
        lines = traceback if isinstance(traceback, (list, tuple)) else [traceback]
        return cls(said, "timeout" in said.lower(), "\n".join(map(str, lines)) if traceback else None)

    @classmethod
    def unreadable(cls, error: UnreadableError) -> NoEvent:
        """Return that there is an event, of which nothing can be used."""
        return cls(f"its event cannot be read: {error}")

    def left_of(self, timeout: float) -> float:
        """Return for how many seconds Airflow may be asked what the wait is for: the deadline is part of that.

        :param timeout: of the wait.
        """
        return AFTER_TIMEOUT_SECONDS if self.timed_out else timeout

    def tell(self, log: Any) -> None:
        """Log why there is no event, with what Airflow says of the trigger."""
        if self.traceback:
            log.error("Trigger failed:\n%s", self.traceback)
        log.error("No answer from the triggerer (%s); polling once on this worker.", self.said)

    def causes(self, execution_timeout: timedelta | None) -> str:
        """Return all that this can come from, and what to check."""
        if not self.timed_out:
            return (
                "The triggerer has no release of this package or another one, or was killed or out of memory when the "
                f"trigger began. {_CHECK}"
            )
        limit = ""
        if execution_timeout is not None:
            limit = f", or execution_timeout ({duration(execution_timeout.total_seconds())}) was over before timeout"
        return (
            "No triggerer runs, or none for the queue of this task; or it is full, hangs, or cannot load this package"
            f"{limit}. {_CHECK}"
        )


def end_without_event(
    why: NoEvent, wait: Wait[Any], hook: DdsHook, clock: Clock, execution_timeout: timedelta | None
) -> Result:
    """Poll once, and return the result that follows from it.

    :param why: why there is no event.
    :param wait: what is waited for.
    :param hook: the worker's.
    :param clock: of the task.
    :param execution_timeout: of the task.
    :raises DdsTimeoutError: the backup was not good, and Airflow ended the deferral because its time was over.
    :raises DdsDeferralError: the same, and it ended for another reason: a retry waits anew.
    """
    left = max(LAST_POLL_SECONDS, wait.deadline - clock.now())
    seen = poll_once(wait, hook.run, clock, limit=left)
    if seen.outcome not in (Outcome.WAIT, Outcome.TIMED_OUT):
        return wait.result(seen, clock.now())
    asked = f" Asked (request ids): {', '.join(wait.calls_made)}." if wait.calls_made else ""
    ended = clock.now()
    causes = why.causes(execution_timeout)
    text = (
        f"{wait.line(seen, ended, None)}. So it was when a worker polled it once, "
        f"{duration(ended - wait.started_at)} after the wait began, because the triggerer did not answer "
        f"({why.said}). {causes} Then clear this task.{asked}"
    )
    error = (DdsTimeoutError if why.timed_out else DdsDeferralError)(text)
    raise error.with_facts(advice=f"{causes} Then clear this task.", **wait.about(ended))


def raise_without_wait(why: NoEvent, about: str, execution_timeout: timedelta | None) -> NoReturn:
    """Raise what a deferral that ended without an event stands for, where there is no backup yet to poll.

    :param why: why there is no event.
    :param about: what the task waited for.
    :param execution_timeout: of the task.
    :raises DdsTimeoutError: Airflow ended the deferral because its time was over.
    :raises DdsDeferralError: it ended for another reason: a retry goes on.
    """
    said = f"The triggerer did not answer about {about} ({why.said}). {why.causes(execution_timeout)}"
    raise (DdsTimeoutError if why.timed_out else DdsDeferralError)(f"{said} Then clear this task.")


def as_taken_up(result: Result, now: float) -> Result:
    """Return an result as a worker takes it up, which says so where the worker came late.

    :param result: what the trigger fired.
    :param now: epoch seconds at which the worker began.
    """
    late = lateness(result.fired_at, now)
    if late is None:
        return result
    error = result.error.with_text(f"{result.error} {late}") if result.error is not None else None
    return replace(result, text=f"{result.text} {late}", error=error)


def lateness(fired_at: Any, now: float) -> str | None:
    """Return in words that a worker began long after the event that it takes up; None where it did not.

    :param fired_at: epoch seconds of the event, as it says; anything else says nothing.
    :param now: epoch seconds at which the worker began.
    """
    if not isinstance(fired_at, (int, float)) or now - fired_at < LATE_SECONDS:
        return None
    return (
        f"The triggerer fired this event at {_utc(fired_at)}, and the worker began at {_utc(now)}, "
        f"{duration(now - fired_at)} later: so long the task waited for a slot of its pool or for a worker."
    )


def _utc(moment: float) -> str:
    return datetime.fromtimestamp(moment, tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
