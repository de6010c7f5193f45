"""The pace of calls as a pure function, and who waits for it."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dds.client.pace import (
    BURST,
    LEAST_SHARE,
    PAUSE_SECONDS,
    RECOVERY_SECONDS,
    Limiter,
    Pace,
    key_of,
    limiter_for,
)
from airflow_provider_dds.client.settings import settings_from


def dues(pace, moments):
    """Return when calls that come at some moments may go, and the pace after them."""
    found = []
    for moment in moments:
        pace, due = pace.reserve(moment)
        found.append(due)
    return found, pace


# --- the pace ---------------------------------------------------------------------------------------------------------


def test_a_handful_of_calls_goes_at_once_and_more_follow_at_the_pace():
    found, _ = dues(Pace(10), [100.0] * (BURST + 3))
    assert found == pytest.approx([100.0] * BURST + [100.1, 100.2, 100.3])


def test_idle_time_gives_no_more_than_a_handful():
    _, pace = dues(Pace(10), [0.0])
    found, _ = dues(pace, [1000.0] * (BURST + 1))
    assert found == pytest.approx([1000.0] * BURST + [1000.1])


def test_throttled_answer_pauses_all_calls_and_halves_the_pace():
    found, _ = dues(Pace(10).throttled(50.0), [50.0] * 3)
    assert found == pytest.approx([51.0, 51.2, 51.4], abs=0.01)


def test_pause_lasts_as_long_as_the_service_asks_for():
    assert Pace(10).throttled(50.0, retry_after=7).reserve(50.0)[1] == 57.0
    assert Pace(10).throttled(50.0, retry_after=0.01).reserve(50.0)[1] == 50.0 + PAUSE_SECONDS


def test_answers_to_calls_that_were_under_way_count_once():
    once = Pace(10).throttled(50.0)
    again = once.throttled(50.3).throttled(50.6)
    assert again.slowed_to == once.slowed_to == 5.0
    assert again.resumes_at == 51.6


def test_pace_grows_evenly_until_it_is_whole_again():
    pace = Pace(10).throttled(0.0)
    rates = [pace.rate(PAUSE_SECONDS + share * RECOVERY_SECONDS) for share in (0, 0.25, 0.5, 1)]
    assert rates == pytest.approx([5.0, 7.5, 10.0, 10.0])


def test_some_pace_is_left_however_often_calls_are_throttled():
    pace = Pace(10)
    for _ in range(100):
        pace = pace.throttled(pace.resumes_at + 0.001 if pace.resumes_at > 0 else 0.0)
    assert pace.slowed_to == 10 * LEAST_SHARE


@given(
    st.floats(0.1, 1000),
    st.lists(st.tuples(st.floats(0, 5), st.sampled_from(["call"] * 5 + ["throttled"])), min_size=1, max_size=200),
)
def test_calls_keep_their_order_and_never_exceed_the_pace(most, story):
    pace, now, found = Pace(most), 1000.0, []
    for step, what in story:
        now += step
        if what == "throttled":
            pace = pace.throttled(now)
            found.clear()  # places taken before a pause are taken anew
        else:
            pace, due = pace.reserve(now)
            assert due >= now
            assert due >= pace.resumes_at
            found.append(due)
            now = max(now, due)
    assert found == sorted(found)
    for first, last in zip(found, found[BURST:], strict=False):
        assert last - first >= 1 / most - 1e-6


@given(st.floats(1, 1000), st.integers(50, 500))
def test_a_crowd_that_comes_at_once_is_let_out_at_the_pace(most, crowd):
    found, _ = dues(Pace(most), [0.0] * crowd)
    assert found[-1] == pytest.approx((crowd - BURST) / most)


# --- the waiting ------------------------------------------------------------------------------------------------------


class Time:
    """A moved clock with both ways to sleep on it."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds

    async def asleep(self, seconds):
        self.now += seconds
        await asyncio.sleep(0)


def test_event_loop_serves_in_the_order_of_arrival():
    limiter, clock, served = Limiter(10), Time(), []

    async def caller(number):
        await limiter.aturn(clock, clock.asleep)
        served.append((number, clock.now))

    async def crowd():
        await asyncio.gather(*[caller(number) for number in range(100)])

    asyncio.run(crowd())
    assert [number for number, _ in served] == list(range(100))
    assert served[-1][1] == pytest.approx((100 - BURST) / 10)


def test_who_gives_up_in_line_delays_nobody():
    limiter, clock, served = Limiter(10), Time(), []

    async def caller(number):
        await limiter.aturn(clock, clock.asleep)
        served.append(number)

    async def crowd():
        tasks = [asyncio.ensure_future(caller(number)) for number in range(100)]
        await asyncio.sleep(0)
        for task in tasks[10:90]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(crowd())
    assert served == [*range(10), *range(90, 100)]
    assert clock.now < (20 - BURST + 2) / 10


def test_pause_holds_for_those_in_line_too_and_the_new_pace_at_once():
    limiter, clock, served = Limiter(10), Time(), []

    async def caller(number):
        await limiter.aturn(clock, clock.asleep)
        served.append(clock.now)
        if number == 20:
            limiter.throttled(clock.now, retry_after=30)

    async def crowd():
        await asyncio.gather(*[caller(number) for number in range(40)])

    asyncio.run(crowd())
    gaps = [later - earlier for earlier, later in itertools.pairwise(served)]
    assert gaps[20] == pytest.approx(30, abs=0.2)
    assert gaps[21:] == pytest.approx([0.2] * 18, rel=0.1)


def test_who_need_not_wait_in_line_takes_the_next_place():
    limiter, clock, served = Limiter(10), Time(), []

    async def caller(name, first):
        await limiter.aturn(clock, clock.asleep, first=first)
        served.append(name)

    async def crowd():
        await asyncio.gather(*[caller("read", False) for _ in range(50)], caller("create", True))

    asyncio.run(crowd())
    assert served.index("create") <= BURST + 1


def test_place_taken_before_a_pause_is_taken_anew():
    limiter, clock, waits = Limiter(1), Time(), []

    def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 1:
            limiter.throttled(clock.now, retry_after=10)
        clock.sleep(seconds)

    for _ in range(BURST + 1):
        limiter.turn(clock, sleep)
    assert waits == pytest.approx([1.0, 9.0])


def test_threads_share_the_pace():
    limiter, clock, lock, served = Limiter(100), Time(), threading.Lock(), []

    def sleep(seconds):
        with lock:
            clock.now += seconds

    def work():
        for _ in range(100):
            limiter.turn(clock, sleep)
            served.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(served) == 400
    assert clock.now >= (400 - BURST) / 100 - 1e-6


def test_clock_that_does_not_move_holds_nobody_up():
    limiter, waits = Limiter(10), []
    for _ in range(BURST + 20):
        limiter.turn(lambda: 0.0, waits.append)
    assert waits == pytest.approx([number / 10 for number in range(1, 21)])


# --- whose limiter ----------------------------------------------------------------------------------------------------


def settings(login="LTAI-one", region_id=None, **extra):
    pair = {"login": login, "password": login and "secret"}
    return settings_from(
        conn_id="dds_default",
        **pair,
        host=None,
        port=None,
        schema=None,
        extra=json.dumps({"region_id": "cn-hangzhou", **extra}),
        region_id=region_id,
    )


def role(arn, **fields):
    return settings(auth_type="ram_role_arn", role_arn=arn, **fields)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (settings(), settings(read_timeout=3, network="vpc", calls_per_second=7), True),
        (settings(), settings("LTAI-two"), False),
        (settings(), settings(region_id="cn-beijing"), False),
        (settings(), settings(auth_type="sts", security_token="token"), True),
        (role("acs:ram::1:role/a"), role("acs:ram::1:role/b", login="LTAI-two"), True),
        (role("acs:ram::1:role/a"), role("acs:ram::2:role/a"), False),
        (settings(None), settings(None, auth_type="default"), True),
        (settings(None, auth_type="ecs_ram_role"), settings(None, auth_type="ecs_ram_role", role_name="x"), False),
    ],
)
def test_one_limiter_for_each_account_and_region(one, other, same):
    assert (key_of(one) == key_of(other)) is same
    assert (limiter_for(one) is limiter_for(other)) is same


def test_no_secret_tells_accounts_apart():
    assert "secret" not in str(key_of(settings()))
    assert "token" not in str(key_of(settings(auth_type="sts", security_token="token")))


def test_limiter_goes_with_its_last_user_and_lowers_its_pace_to_the_most_cautious():
    mine = settings("LTAI-mine", calls_per_second=50)
    first = limiter_for(mine)
    assert limiter_for(settings("LTAI-mine", calls_per_second=2)) is first
    assert first.pace.most == 2
    limiter_for(mine)
    assert first.pace.most == 2
    del first
    gc.collect()
    assert limiter_for(mine).pace.most == 50
