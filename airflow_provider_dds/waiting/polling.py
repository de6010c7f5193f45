"""When to poll again: a pure function of the settings, the time passed and what was seen of the progress."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import gcd

MOST_AFTER_FAILURE = 300.0
"""Longest interval in seconds that failed polls alone lead to."""
COARSEST = 30
"""Longest interval of the progress strategy without a ``max_wait``, in poke intervals."""
_BLIND = 4
"""Longest interval of the progress strategy where no progress can be relied on, in poke intervals."""
_CLEAR = 4
"""How many steps the progress has to gain between two polls to show a pace."""


@dataclass(frozen=True)
class PollPlan:
    """How often to poll, with the meaning Airflow gives these names for sensors.

    :ivar poke_interval: seconds between two polls, the finest spacing.
    :ivar strategy: ``progress``, ``exponential`` (the interval doubles from poll to poll) or ``fixed``.
    :ivar max_wait: longest interval in seconds, None for no limit (``progress``: 30 times ``poke_interval``).
    """

    poke_interval: float = 60.0
    strategy: str = "progress"
    max_wait: float | None = None


@dataclass(frozen=True)
class Progress:
    """How a backup gets on, as far as polls have shown it; times in seconds since the wait began.

    :ivar percent: progress shown last, None while none was shown.
    :ivar shown_at: when that was first seen.
    :ivar ran: how long the backup had been running then, in seconds.
    :ivar step: what all progress shown is a multiple of: the backup may be nearly that much further than it shows.
    :ivar fastest: seconds a percent takes where the backup was fastest, None while no two polls show it.
    :ivar steady: False once the progress went back: from then on it says nothing.
    """

    percent: int | None = None
    shown_at: float = 0.0
    ran: float = 0.0
    step: int = 0
    fastest: float | None = None
    steady: bool = True

    def after(self, percent: int | None, *, elapsed: float, ran: float) -> Progress:
        """Return the progress after a poll.

        :param percent: the progress it showed.
        :param elapsed: seconds since the wait began.
        :param ran: seconds that the backup has been running.
        """
        if percent is None or percent == self.percent:
            return self
        shown = replace(self, percent=percent, shown_at=elapsed, ran=ran)
        if self.percent is None:
            return replace(shown, step=percent)
        gain, step = percent - self.percent, gcd(self.step, percent)
        fastest = self.fastest
        if gain >= _CLEAR * step:
            pace = max(0.0, elapsed - self.shown_at) / (gain + step)
            fastest = pace if fastest is None else min(fastest, pace)
        return replace(shown, step=step, fastest=fastest, steady=self.steady and gain > 0)


def next_wait(
    plan: PollPlan, *, elapsed: float, left: float, failures: int, jitter: float, progress: Progress | None = None
) -> float:
    """Return the seconds until the next poll.

    Doubling intervals p, 2p, 4p, ... put the polls at 0, p, 3p, 7p, ...: each interval is the time passed plus p. So
    the back-off needs no count of polls and goes on unchanged where one process takes over from another.

    :param elapsed: seconds since the wait began.
    :param left: seconds until the deadline; the last poll is made at the deadline, not after it.
    :param failures: failed polls in a row; each doubles the interval, up to five minutes.
    :param jitter: a number from 0 to 1 that shortens a lengthened interval by up to half, one that follows progress by
        up to a tenth.
    :param progress: how the backup gets on, None where it does not run: then ``progress`` looks each ``poke_interval``.
    """
    wait = plan.poke_interval
    if plan.strategy == "exponential":
        wait = max(wait, (elapsed + wait) * (1 - jitter / 2))
    elif plan.strategy == "progress" and progress is not None:
        wait = _follow(progress, plan, max(0.0, elapsed), 1 - jitter / 10)
    if failures:
        lengthened = min(MOST_AFTER_FAILURE, plan.poke_interval * 2.0 ** min(failures, 16))
        wait = max(wait, lengthened * (1 - jitter / 2))
    if plan.max_wait is not None:
        wait = min(wait, plan.max_wait)
    return max(0.0, min(wait, left))


def _follow(progress: Progress, plan: PollPlan, elapsed: float, shortened: float) -> float:
    """Return the interval that follows the progress: most of what is left at the least, then in steps to the end.

    What is left at the least is the rest at the fastest pace seen. How far the end may lie beyond that is the doubt.
    All intervals stay below half of the time waited, which bounds what a wrong progress can cost.
    """
    finest = plan.poke_interval
    if progress.percent is None or not progress.steady:
        wait = min(elapsed / 5, _BLIND * finest) * shortened
    elif progress.percent == 0:
        wait = min(elapsed * 2 / 5, 2 * _BLIND * finest) * shortened
    else:
        reached = progress.percent + progress.step
        fastest = progress.ran / reached if progress.fastest is None else min(progress.fastest, progress.ran / reached)
        least = max(0, 100 - reached) * fastest
        doubt = max((100 - progress.percent) * progress.ran / progress.percent - least, elapsed - progress.shown_at)
        beyond = max(finest, min(doubt, elapsed) / 16)
        beyond = min(beyond, (_BLIND - 1) * finest, max(0.0, doubt) + finest / 10)
        wait = least * 4 / 5 * shortened if least / 5 > beyond else least + beyond * shortened
    coarsest = COARSEST * finest if plan.max_wait is None else plan.max_wait
    return max(finest, min(wait, coarsest, elapsed / 2))
