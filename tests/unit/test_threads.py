"""Which calls get a thread: nobody uses up what the others need, and nobody is forgotten."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

import pytest

from airflow_provider_dds.client import threads
from airflow_provider_dds.client.threads import COMMON, MOST_OF_ONE, in_thread

SECONDS = 30.0
"""Until a test that should have ended is given up."""


class Hang:
    """What blocks until it is let go, and counts itself."""

    def __init__(self) -> None:
        self._gate = threading.Event()
        self._lock = threading.Lock()
        self.begun = self.running = 0

    def __call__(self) -> None:
        with self._lock:
            self.begun += 1
            self.running += 1
        assert self._gate.wait(SECONDS)
        with self._lock:
            self.running -= 1

    def end(self) -> None:
        self._gate.set()


@pytest.fixture
def hang():
    hang = Hang()
    yield hang
    hang.end()


async def until(condition):
    async def poll():
        for _ in iter(condition, True):
            await asyncio.sleep(0.001)

    await asyncio.wait_for(poll(), SECONDS)


def start(owner, work, number=1):
    return [asyncio.ensure_future(in_thread(owner, work)) for _ in range(number)]


async def settled():
    """Let all that can go on now go on."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_value_and_error_come_back():
    def fail():
        raise KeyError("mine")

    assert asyncio.run(in_thread("one", lambda: 7)) == 7
    with pytest.raises(KeyError, match="mine"):
        asyncio.run(in_thread("one", fail))


def test_one_owner_has_so_many_and_no_more(hang):
    async def main():
        calls = start("sick", hang, MOST_OF_ONE + 16)
        await until(lambda: hang.begun == MOST_OF_ONE)
        await settled()
        assert hang.begun == MOST_OF_ONE
        hang.end()
        await asyncio.gather(*calls)
        assert hang.begun == MOST_OF_ONE + 16

    asyncio.run(main())


@pytest.mark.parametrize("sick", [1, 2, 3, 10, 50])
def test_calls_of_a_healthy_owner_go_on_however_many_others_hang(hang, sick):
    async def main():
        calls = [call for number in range(sick) for call in start(("sick", number), hang, 24)]
        await until(lambda: hang.begun >= min(sick * MOST_OF_ONE, COMMON + sick))
        for _ in range(20):
            assert await asyncio.gather(*start("healthy", lambda: 1, 5)) == [1] * 5
        assert hang.begun <= COMMON + sick
        hang.end()
        await asyncio.gather(*calls)

    asyncio.run(main())


def test_waiter_of_an_owner_is_not_passed_over_by_its_own_later_calls(hang):
    """Its second call stands in line for a common place, but takes the owner's own as soon as that is free."""
    order = []

    async def main():
        sick = [call for number in range(3) for call in start(("sick", number), hang, 24)]
        await until(lambda: hang.begun == COMMON + 3)
        mine = [call for number in range(6) for call in start("healthy", partial(order.append, number))]
        await asyncio.gather(*mine)
        hang.end()
        await asyncio.gather(*sick)

    asyncio.run(main())
    assert order == list(range(6))


def test_common_places_go_round_the_owners(hang):
    """When one is free, it goes to the owner that was served longest ago, not again to the greedy one."""
    order = []

    async def main():
        sick = [call for number in range(3) for call in start(("sick", number), hang, 24)]
        await until(lambda: hang.begun == COMMON + 3)
        others = [call for owner in "abc" for call in start(owner, partial(order.append, owner), 3)]
        await asyncio.gather(*others)
        hang.end()
        await asyncio.gather(*sick)

    asyncio.run(main())
    assert sorted(order) == list("aaabbbccc")


def test_cancelled_calls_keep_their_threads_but_take_no_new_ones(hang):
    """What hangs does so until its own deadline; a thousand waits that are cancelled meanwhile start nothing."""

    async def main():
        calls = start("sick", hang, 1000)
        await until(lambda: hang.begun == MOST_OF_ONE)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        more = start("sick", hang, 3)
        await settled()
        assert (hang.begun, hang.running) == (MOST_OF_ONE, MOST_OF_ONE)
        hang.end()
        await asyncio.gather(*more)
        assert hang.begun == MOST_OF_ONE + 3

    asyncio.run(main())


def test_cancelled_at_every_step_loses_no_place(hang):
    """Cancelled while it waits for a place, as it gets one, before and after its thread has begun."""

    async def main():
        for steps in range(8):
            calls = start("one", lambda: None, MOST_OF_ONE * 3)
            for _ in range(steps):
                await asyncio.sleep(0)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        places = threads._places[asyncio.get_running_loop()]
        await until(lambda: places._total == 0)
        assert (places._running, places._queues) == ({}, {})
        calls = start("one", hang, MOST_OF_ONE)
        await until(lambda: hang.begun == MOST_OF_ONE)
        hang.end()
        await asyncio.gather(*calls)

    asyncio.run(main())


def test_call_that_is_cancelled_in_line_makes_room_for_the_next(hang):
    async def main():
        first = start("one", hang, MOST_OF_ONE)
        second, third = start("one", hang, 2)
        await until(lambda: hang.begun == MOST_OF_ONE)
        second.cancel()
        await settled()
        hang.end()
        await asyncio.gather(*first, third)
        assert hang.begun == MOST_OF_ONE + 1

    asyncio.run(main())


def test_call_that_outlives_its_loop_ends_quietly(hang):
    async def main():
        [call] = start("one", hang)
        await until(lambda: hang.begun == 1)
        call.cancel()

    asyncio.run(main())
    hang.end()
