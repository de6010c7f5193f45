"""When to look again: a pure function of the settings and of the time passed."""

from __future__ import annotations

from dataclasses import dataclass

MOST_AFTER_FAILURE = 300.0
"""Longest interval in seconds that failed looks alone lead to."""


@dataclass(frozen=True)
class PollPlan:
    """How often to look, with the meaning Airflow gives these names for sensors.

    :ivar poke_interval: seconds between two looks, the finest spacing.
    :ivar strategy: ``progress``, ``exponential`` (the interval doubles from look to look) or ``fixed``.
    :ivar max_wait: longest interval in seconds, None for no limit.
    """

    poke_interval: float = 60.0
    strategy: str = "progress"
    max_wait: float | None = None


def next_wait(plan: PollPlan, *, elapsed: float, left: float, failures: int, jitter: float) -> float:
    """Return the seconds until the next look.

    Doubling intervals p, 2p, 4p, ... put the looks at 0, p, 3p, 7p, ...: each interval is the time passed plus p. So
    the back-off needs no count of looks and goes on unchanged where one process takes over from another.

    :param elapsed: seconds since the wait began.
    :param left: seconds until the deadline; the last look is made at the deadline, not after it.
    :param failures: failed looks in a row; each doubles the interval, up to five minutes.
    :param jitter: a number from 0 to 1 that spreads a lengthened interval over its upper half.
    """
    wait = plan.poke_interval
    if plan.strategy == "exponential":
        wait = max(wait, (elapsed + wait) * (1 - jitter / 2))
    if failures:
        lengthened = min(MOST_AFTER_FAILURE, plan.poke_interval * 2.0 ** min(failures, 16))
        wait = max(wait, lengthened * (1 - jitter / 2))
    if plan.max_wait is not None:
        wait = min(wait, plan.max_wait)
    return max(0.0, min(wait, left))
