"""When the next call may go out: one pace for all calls of a process to one account and region.

:class:`Pace` decides, as a pure function of numbers and of a clock's reading; :class:`Limiter` waits.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakKeyDictionary, WeakValueDictionary

from airflow_provider_dds.client.forks import Lock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from airflow_provider_dds.client.settings import DdsSettings

BURST = 5
"""How many calls may go at once after a pause: a task that makes a handful of calls never waits."""
PAUSE_SECONDS = 1.0
"""How long all calls pause after a throttled answer that does not say how long: limits are counted by the second."""
MOST_PAUSE = 60.0
"""Longest pause, in seconds, that the service is granted: what it asks for holds for all calls to the account."""
RECOVERY_SECONDS = 120.0
"""How long the pace takes to grow from nothing to the whole: half of it after one throttled answer."""
LEAST_SHARE = 1 / 64
"""The share of the whole pace that is left however often calls are throttled."""
_ACCOUNT = re.compile("acs:ram::([0-9]+):")


class DeadlineError(Exception):
    """The deadline comes first."""


@dataclass(frozen=True)
class Pace:
    """How calls follow each other. All times are seconds of one clock.

    A throttled answer halves the pace and stops all calls for a while; with time the pace grows again, evenly.

    :ivar most: calls a second while nothing is throttled.
    :ivar spent_until: when a call would go if no burst were allowed: each call moves it on by one interval.
    :ivar resumes_at: end of the last pause.
    :ivar slowed_to: calls a second at the end of the last pause.
    """

    most: float
    spent_until: float = -inf
    resumes_at: float = -inf
    slowed_to: float = inf

    def rate(self, now: float) -> float:
        """Return the calls a second that may go now."""
        since = max(0.0, now - self.resumes_at)
        return min(self.most, self.slowed_to + self.most * since / RECOVERY_SECONDS)

    def reserve(self, now: float) -> tuple[Pace, float]:
        """Take the next place; return the pace after that, and when the call may go."""
        interval = 1 / self.rate(now)
        due = max(now, self.resumes_at, self.spent_until - (BURST - 1) * interval)
        return replace(self, spent_until=max(self.spent_until, due) + interval), due

    def throttled(self, now: float, retry_after: float | None = None) -> Pace:
        """Return the pace after a throttled answer. One to a call that went before the last pause halves it no more.

        :param retry_after: seconds that the service asks for.
        """
        resumes = max(self.resumes_at, now + min(MOST_PAUSE, max(PAUSE_SECONDS, retry_after or 0.0)))
        slowed = self.slowed_to
        if now >= self.resumes_at:
            slowed = max(self.most * LEAST_SHARE, self.rate(now) / 2)
        return Pace(self.most, resumes + (BURST - 1) / slowed, resumes, slowed)


class Limiter:
    """Lets calls out at one pace, from all threads and event loops of the process.

    On an event loop calls wait in line, first come, first served, and only the first of them holds a place in the pace:
    so all of them follow at once when it changes. A call that is not to wait behind them takes the next place.
    """

    def __init__(self, calls_per_second: float) -> None:
        self._pace = Pace(calls_per_second)
        self._lock = Lock()
        self._lines: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    @property
    def pace(self) -> Pace:
        """The pace as it stands."""
        return self._pace

    def at_most(self, calls_per_second: float) -> None:
        """Lower the pace, if it is higher: of several connections to one account the most cautious counts."""
        with self._lock:
            if calls_per_second < self._pace.most:
                self._pace = replace(self._pace, most=calls_per_second)

    def turn(self, clock: Callable[[], float], sleep: Callable[[float], None], deadline: float = inf) -> None:
        """Wait until the caller may make one call, blocking. Threads are served in the order in which they came.

        :param clock: seconds of a clock that never goes back.
        :param sleep: waits some seconds of that clock.
        :param deadline: reading of the clock after which the call is of no use.
        :raises DeadlineError: the turn would come after the deadline; it is not waited for.
        """
        for wait in self._waits(clock, deadline):
            sleep(wait)

    async def aturn(
        self,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        deadline: float = inf,
        *,
        first: bool = False,
    ) -> None:
        """Like :meth:`turn`, on an event loop.

        :param first: do not wait behind those in line.
        """
        with bounded(None if deadline == inf else deadline - clock()):
            async with nullcontext() if first else self._line():
                for wait in self._waits(clock, deadline):
                    await sleep(wait)

    def throttled(self, now: float, retry_after: float | None = None) -> None:
        """Take in that a call was throttled: all calls slow down.

        :param now: reading of the callers' clock.
        :param retry_after: seconds that the service asks for.
        """
        with self._lock:
            self._pace = self._pace.throttled(now, retry_after)

    def _waits(self, clock: Callable[[], float], deadline: float) -> Iterator[float]:
        """Yield how long to wait until the turn has come. A pause that begins meanwhile undoes the place taken."""
        now = clock()
        while True:
            with self._lock:
                pace, due = self._pace.reserve(now)
                if due >= deadline:
                    raise DeadlineError
                self._pace = pace
                pause = self._pace.resumes_at
            if due > now:
                yield due - now
                now = max(clock(), due)
            if self._pace.resumes_at == pause:
                return

    def _line(self) -> asyncio.Lock:
        loop = asyncio.get_running_loop()
        with self._lock:
            return self._lines.get(loop) or self._lines.setdefault(loop, asyncio.Lock())


@contextmanager
def bounded(seconds: float | None) -> Iterator[None]:
    """End what runs inside on an event loop once some seconds are over; None: never.

    :raises DeadlineError: they were over first.
    """
    if seconds is None:
        yield
        return
    import anyio

    with anyio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise DeadlineError


Key: TypeAlias = "tuple[str, str | None, str | None]"

_limiters: WeakValueDictionary[Key, Limiter] = WeakValueDictionary()
_making = Lock()


def limiter_for(settings: DdsSettings) -> Limiter:
    """Return the limiter for some settings: one for each account and region, as long as somebody holds it."""
    key = key_of(settings)
    with _making:
        limiter = _limiters.get(key)
        if limiter is None:
            limiter = _limiters[key] = Limiter(settings.calls_per_second)
    limiter.at_most(settings.calls_per_second)
    return limiter


def forget_limiters() -> None:
    """Forget all limiters of the process, so that each begins anew."""
    with _making:
        _limiters.clear()


def key_of(settings: DdsSettings) -> Key:
    """Return whose limits the calls count against, as far as settings tell, and where: no secret, but an address is.

    A role names its account; an AccessKey, an ECS role and a credentials URI stand for one each.
    """
    fields = dict(settings.credential)
    account = _ACCOUNT.match(str(fields.get("role_arn", "")))
    if account:
        who = account.group(1)
    else:
        names = ("access_key_id", "role_name", "credentials_uri")
        who = next((str(fields[name]) for name in names if name in fields), settings.auth_type)
    return who, settings.region_id, settings.endpoint
