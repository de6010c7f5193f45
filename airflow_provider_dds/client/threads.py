"""Which calls of an event loop run in a thread now, so that no connection uses up what the others need.

A call that hangs keeps its thread until its own deadline, also when nobody waits for it any more. So threads are
counted for each owner, which is what the hooks of one connection and region share: the first call of an owner may
always run; further ones, up to ``MOST_OF_ONE``, take one of ``COMMON`` places that all owners share.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import suppress
from itertools import count
from math import inf
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from anyio import CapacityLimiter

T = TypeVar("T")

MOST_OF_ONE = 8
"""Most calls that one owner has under way at once on an event loop, of which a triggerer has one."""
COMMON = 16
"""Most calls of all owners together, beside the first of each."""


class Places:
    """The places of one event loop. Only its thread may use them.

    :ivar threads: has anyio count nothing by itself: it would forget a thread whose caller was cancelled.
    """

    def __init__(self, threads: CapacityLimiter) -> None:
        self.threads = threads
        self._running: dict[Hashable, int] = {}
        self._total = 0
        self._queues: dict[Hashable, deque[asyncio.Future[None]]] = {}

    async def take(self, owner: Hashable) -> None:
        """Wait for a place; those of one owner are served in the order in which they came."""
        if owner not in self._queues and self._has_room(owner):
            self._begin(owner)
            return
        waiter = asyncio.get_running_loop().create_future()
        self._queues.setdefault(owner, deque()).append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                self._let_in()  # forgets it
            else:  # its place came together with the cancellation
                self.give_back(owner)
            raise

    def give_back(self, owner: Hashable) -> None:
        """Free a place."""
        self._total -= 1
        self._running[owner] -= 1
        if not self._running[owner]:
            del self._running[owner]
        if self._queues:
            self._let_in()

    def _has_room(self, owner: Hashable) -> bool:
        running = self._running.get(owner, 0)
        return not running or (running < MOST_OF_ONE and self._total - len(self._running) < COMMON)

    def _begin(self, owner: Hashable) -> None:
        self._running[owner] = self._running.get(owner, 0) + 1
        self._total += 1

    def _let_in(self) -> None:
        """Give the free places away: one to each owner in turn, beginning with the one that was served longest ago."""
        served = True
        while served:
            served = False
            for owner, queue in list(self._queues.items()):
                while queue and queue[0].done():  # cancelled
                    queue.popleft()
                if queue and self._has_room(owner):
                    self._begin(owner)
                    queue.popleft().set_result(None)
                    self._queues[owner] = self._queues.pop(owner)  # to the end of the line of owners
                    served = True
                if not queue:
                    del self._queues[owner]


async def in_thread(owner: Hashable, work: Callable[[], T]) -> T:
    """Run what blocks in a thread.

    anyio takes the thread that was busy last, whose memory is still at hand for the processor: with that a poll costs a
    fifth less than with the pool of the standard library, which takes the one that was idle longest.

    :param owner: whose place it takes.
    :param work: what blocks. Once begun it goes on to its end when the caller is cancelled, and keeps its place.
    """
    import anyio.to_thread

    loop = asyncio.get_running_loop()
    places = _places.get(loop)
    if places is None:
        places = _places[loop] = Places(_uncounted())
    await places.take(owner)
    begun = threading.Lock()
    ends = count()  # of thread and caller the last one to end frees the place

    def run() -> T:
        if not begun.acquire(blocking=False):
            raise asyncio.CancelledError  # which nobody hears: the caller is gone
        try:
            return work()
        finally:
            if next(ends):
                with suppress(RuntimeError):  # the loop is gone, and its places with it
                    loop.call_soon_threadsafe(places.give_back, owner)

    try:
        return await anyio.to_thread.run_sync(run, limiter=places.threads, abandon_on_cancel=True)
    finally:
        if begun.acquire(blocking=False) or next(ends):
            places.give_back(owner)


def _uncounted() -> CapacityLimiter:
    """Return a limiter for anyio that limits nothing: its own passes the event loop once more to find that out."""
    import anyio

    class Uncounted(anyio.CapacityLimiter):
        def __new__(cls, total_tokens: float) -> Uncounted:
            return object.__new__(cls)

        async def __aenter__(self) -> None:
            pass

        async def __aexit__(self, *exc: object) -> None:
            pass

    return Uncounted(inf)


_places: WeakKeyDictionary[asyncio.AbstractEventLoop, Places] = WeakKeyDictionary()
