"""The one engine: polls a wait until it is over, blocking or on an event loop.

Blocking, poll by poll, as a sensor or an operator wants it::

    while (result := poll(wait, hook.run, clock, log, limit=seconds)) is None:
        clock.sleep(wait.next_in)

On an event loop, to the end: ``result = await watch(wait, hook.arun, clock, log)``.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_dds import metrics
from airflow_provider_dds.exceptions import DdsError, DdsTransportError
from airflow_provider_dds.waiting.result import Outcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airflow_provider_dds.clock import Clock
    from airflow_provider_dds.waiting.result import Result
    from airflow_provider_dds.waiting.wait import Verdict, Wait

Seen = TypeVar("Seen")
LAST_POLL_SECONDS = 45.0
"""How long after the deadline a poll may take, so that a wait ends before Airflow ends its deferral."""


def poll(wait: Wait[Seen], run: Callable[..., Seen], clock: Clock, log: Any, *, limit: float) -> Result | None:
    """Poll once, and return the result, or None to poll again ``wait.next_in`` seconds later.

    :param wait: what is waited for.
    :param run: ``hook.run``.
    :param clock: of the task.
    :param log: logger of the task.
    :param limit: seconds in which the poll has to end.
    """
    return _end_or_go_on(wait, poll_once(wait, run, clock, limit=limit), clock, log)


def poll_once(wait: Wait[Seen], run: Callable[..., Seen], clock: Clock, *, limit: float) -> Verdict:
    """Poll once, and return the verdict, for whom only that one poll counts."""
    seen: Seen | DdsError
    try:
        seen = run(wait.observe(clock.now()), timeout=limit)
    except DdsError as error:  # is something seen, too
        seen = error
    return wait.conclude(seen, clock.now(), clock.random())


async def watch(
    wait: Wait[Seen],
    arun: Callable[..., Awaitable[Seen]],
    clock: Clock,
    log: Any,
    *,
    last_poll: float = LAST_POLL_SECONDS,
    before_poll: Callable[[], Awaitable[None]] | None = None,
) -> Result:
    """Poll, now and again, until the wait is over, and return the result.

    :param wait: what is waited for.
    :param arun: ``hook.arun``.
    :param clock: of the trigger.
    :param log: logger of the trigger.
    :param last_poll: seconds that a poll may take after the deadline. One that is not over then has failed.
    :param before_poll: awaited before each poll.
    """
    while True:
        if before_poll is not None:
            await before_poll()
        limit = max(0.0, wait.deadline - clock.now()) + last_poll
        seen: Seen | DdsError
        try:
            seen = await asyncio.wait_for(arun(wait.observe(clock.now()), timeout=limit), limit)
        except asyncio.TimeoutError:
            seen = DdsTransportError(_not_over(last_poll), request_sent=None)
        except DdsError as error:
            seen = error
        verdict = wait.conclude(seen, clock.now(), clock.random())
        if (result := _end_or_go_on(wait, verdict, clock, log)) is not None:
            return result
        await clock.asleep(wait.next_in)


def _end_or_go_on(wait: Wait[Any], verdict: Verdict, clock: Clock, log: Any) -> Result | None:
    """Return the result, or None where the wait goes on, which the log then says."""
    now = clock.now()
    region_id = wait.instance.region_id if wait.instance else None
    metrics.polled(wait.kind, verdict.outcome.value, region_id)
    if verdict.outcome is not Outcome.WAIT:
        metrics.waited(wait.kind, verdict.outcome.value, region_id, now - wait.started_at)
        wait.last_line = wait.line(verdict, now, None)
        result = wait.result(verdict, now)
        if result.backup and wait.is_newest(result.backup):
            metrics.good_backup(result.backup, region_id, now)
        return result
    wait.next_in = wait.next_wait(now, clock.random())
    wait.report(log, verdict, now)
    return None


def _not_over(seconds: float) -> str:
    return (
        f"The poll was not over {seconds:g} s after the deadline. If many triggers wait, its calls "
        "stood in line: raise calls_per_second of the connection, or poke_interval."
    )
