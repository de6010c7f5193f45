"""When to look again: tables for the plain cases, properties for all others."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dds.arguments import POLL_STRATEGIES
from airflow_provider_dds.polling import MOST_AFTER_FAILURE, PollPlan, next_wait

NO_END = 1e9


def wait(plan, *, elapsed=0.0, left=NO_END, failures=0, jitter=0.0):
    return next_wait(plan, elapsed=elapsed, left=left, failures=failures, jitter=jitter)


def looks(plan, count, *, jitter=0.0, started=0.0):
    """Return the moments of the first looks, each wait derived from the time passed alone."""
    moments = [started]
    for _ in range(count - 1):
        moments.append(moments[-1] + wait(plan, elapsed=moments[-1], jitter=jitter))
    return moments


# --- plain interval ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("elapsed", [0, 59, 3600])
@pytest.mark.parametrize("jitter", [0, 0.5, 1])
def test_interval_stays_the_same_without_backoff_and_failures(elapsed, jitter):
    assert wait(PollPlan(60), elapsed=elapsed, jitter=jitter) == 60


@pytest.mark.parametrize(("left", "seconds"), [(61, 60), (60, 60), (59, 59), (0.5, 0.5), (0, 0), (-5, 0)])
def test_last_look_is_made_at_the_deadline(left, seconds):
    assert wait(PollPlan(60), left=left) == seconds


@pytest.mark.parametrize(("max_wait", "seconds"), [(None, 60), (90, 60), (60, 60), (30, 30)])
def test_max_wait_shortens_a_longer_interval(max_wait, seconds):
    assert wait(PollPlan(60, max_wait=max_wait)) == seconds


def test_plan_is_a_look_a_minute_unless_told_otherwise():
    assert PollPlan() == PollPlan(poke_interval=60.0, strategy="progress", max_wait=None)


# --- exponential back-off ---------------------------------------------------------------------------------------------


def test_looks_double_their_distance():
    assert looks(PollPlan(60, strategy="exponential"), 6) == [0, 60, 180, 420, 900, 1860]


def test_doubling_ends_at_max_wait():
    assert looks(PollPlan(60, "exponential", 300), 7) == [0, 60, 180, 420, 720, 1020, 1320]


def test_process_that_takes_over_goes_on_with_the_same_looks():
    plan = PollPlan(60, strategy="exponential")
    alone = looks(plan, 8)
    assert looks(plan, 4, started=alone[4]) == alone[4:]


def test_jitter_shortens_a_lengthened_interval_by_at_most_half():
    plan = PollPlan(60, strategy="exponential")
    assert wait(plan, elapsed=540, jitter=0) == 600
    assert wait(plan, elapsed=540, jitter=0.5) == 450
    assert wait(plan, elapsed=540, jitter=1) == 300


# --- failed looks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("failures", "seconds"), [(0, 10), (1, 20), (2, 40), (3, 80), (4, 160), (5, 300), (1000, 300)])
def test_each_failed_look_doubles_the_interval_up_to_five_minutes(failures, seconds):
    assert wait(PollPlan(10), failures=failures) == seconds


def test_interval_longer_than_five_minutes_is_not_shortened_by_failures():
    assert wait(PollPlan(900), failures=3) == 900


def test_failed_looks_do_not_shorten_a_backoff():
    plan = PollPlan(60, strategy="exponential")
    assert wait(plan, elapsed=3600, failures=1) == 3660


def test_jitter_spreads_the_looks_after_a_failure():
    assert wait(PollPlan(60), failures=2, jitter=0) == 240
    assert wait(PollPlan(60), failures=2, jitter=1) == 120


# --- properties -------------------------------------------------------------------------------------------------------

seconds = st.floats(0, 1e7, allow_nan=False)
intervals = st.floats(0.01, 1e5, allow_nan=False)
plans = st.builds(PollPlan, intervals, st.sampled_from(POLL_STRATEGIES), st.none() | intervals)
calls = st.fixed_dictionaries(
    {
        "elapsed": seconds,
        "left": st.floats(-1e7, 1e7, allow_nan=False),
        "failures": st.integers(0, 10_000),
        "jitter": st.floats(0, 1),
    }
)


@given(plans, calls)
def test_wait_is_never_negative(plan, call):
    assert next_wait(plan, **call) >= 0


@given(plans, calls)
def test_wait_never_passes_the_deadline(plan, call):
    assert next_wait(plan, **call) <= max(0, call["left"])


@given(plans, calls)
def test_wait_is_never_shorter_than_the_interval_unless_the_deadline_or_max_wait_is(plan, call):
    shortest = min(plan.poke_interval, max(0, call["left"]), plan.max_wait or plan.poke_interval)
    assert next_wait(plan, **call) >= shortest


@given(plans, calls)
def test_wait_is_never_longer_than_max_wait(plan, call):
    if plan.max_wait is not None:
        assert next_wait(plan, **call) <= plan.max_wait


@given(plans, calls)
def test_failures_never_lead_beyond_five_minutes_by_themselves(plan, call):
    without = next_wait(plan, **{**call, "failures": 0})
    assert next_wait(plan, **call) <= max(without, MOST_AFTER_FAILURE)


@given(plans, calls)
def test_failures_never_bring_a_look_forward(plan, call):
    assert next_wait(plan, **call) >= next_wait(plan, **{**call, "failures": 0})


@given(plans, calls, st.floats(0, 1))
def test_jitter_only_ever_shortens_and_by_at_most_half(plan, call, jitter):
    longest, jittered = next_wait(plan, **{**call, "jitter": 0}), next_wait(plan, **{**call, "jitter": jitter})
    assert longest / 2 <= jittered <= longest


@given(st.floats(0.5, 1000), st.integers(2, 12))
def test_backoff_without_jitter_puts_the_looks_at_the_doubling_sums(interval, count):
    moments = looks(PollPlan(interval, strategy="exponential"), count)
    assert moments == pytest.approx([interval * (2**n - 1) for n in range(count)])


@given(st.floats(0.5, 1000), st.floats(0, 1), st.integers(1, 10))
def test_backoff_depends_on_the_time_passed_alone(interval, jitter, handover):
    plan = PollPlan(interval, strategy="exponential")
    alone = looks(plan, 12, jitter=jitter)
    assert looks(plan, 12 - handover, jitter=jitter, started=alone[handover]) == alone[handover:]


@given(st.floats(0.5, 1000), st.floats(0, 1))
def test_backoff_never_looks_more_often_as_time_passes(interval, jitter):
    moments = looks(PollPlan(interval, strategy="exponential"), 12, jitter=jitter)
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert all(later >= earlier - 1e-6 for earlier, later in pairwise(gaps))
