"""When to poll again: tables for the plain cases, properties for all others."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime, timezone
from itertools import pairwise
from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dds.api.models import BackupJob, BackupSet
from airflow_provider_dds.arguments import POLL_STRATEGIES
from airflow_provider_dds.exceptions import DdsResponseError
from airflow_provider_dds.triggers.dds import DdsBackupTrigger
from airflow_provider_dds.waiting.backup.observation import Observation
from airflow_provider_dds.waiting.backup_job import BackupJobWait
from airflow_provider_dds.waiting.polling import COARSEST, MOST_AFTER_FAILURE, PollPlan, Progress, next_wait

NO_END = 1e9


def wait(plan, *, elapsed=0.0, left=NO_END, failures=0, jitter=0.0, progress=None):
    return next_wait(plan, elapsed=elapsed, left=left, failures=failures, jitter=jitter, progress=progress)


def progress_of(*seen):
    """Return the progress after polls, each as (seconds since the wait and the backup began, percent shown)."""
    progress = Progress()
    for elapsed, percent in seen:
        progress = progress.after(percent, elapsed=elapsed, ran=elapsed)
    return progress


def looks(plan, count, *, jitter=0.0, started=0.0):
    """Return the moments of the first polls, each wait derived from the time passed alone."""
    moments = [started]
    for _ in range(count - 1):
        moments.append(moments[-1] + wait(plan, elapsed=moments[-1], jitter=jitter))
    return moments


# --- plain interval ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("elapsed", [0, 59, 3600])
@pytest.mark.parametrize("jitter", [0, 0.5, 1])
@pytest.mark.parametrize("progress", [None, Progress(), progress_of((10, 1), (600, 50))])
def test_fixed_interval_stays_the_same_without_failures(elapsed, jitter, progress):
    assert wait(PollPlan(60, "fixed"), elapsed=elapsed, jitter=jitter, progress=progress) == 60


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


# --- progress ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("elapsed", [0, 59, 3600])
@pytest.mark.parametrize("jitter", [0, 1])
def test_what_does_not_run_is_looked_at_each_interval(elapsed, jitter):
    assert wait(PollPlan(60), elapsed=elapsed, jitter=jitter, progress=None) == 60


@pytest.mark.parametrize(
    ("elapsed", "percent", "seconds"),
    [
        # no progress is shown: a fifth of the time waited, up to four intervals
        (0, None, 60),
        (300, None, 60),
        (600, None, 120),
        (7200, None, 240),
        # nothing is done yet: twice that
        (300, 0, 120),
        (600, 0, 240),
        (7200, 0, 480),
        # the first progress may be one of few that are shown, so that twice of it may be done: four fifths of the rest
        (600, 10, 300),
        (1200, 10, 600),
        (7200, 10, 1800),
        (1000, 33, 0.8 * 34 * 1000 / 66),
        # at 50 it may end at any moment, or as late as in the time it ran
        (1000, 50, 62.5),
        (4000, 50, 180),
        (4000, 90, 60),
        (4000, 100, 60),
    ],
)
def test_first_progress_that_is_seen(elapsed, percent, seconds):
    assert wait(PollPlan(60), elapsed=elapsed, progress=progress_of((elapsed, percent))) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("seen", "seconds"),
    [
        # 1 % each 36 s: four fifths of what is left at the least, up to half the time waited, then a little beyond it
        ([(396, 11), (1260, 35)], 630),
        ([(396, 11), (1872, 52)], 936),
        ([(396, 11), (2880, 80)], 0.8 * 19 * 2484 / 70),
        ([(396, 11), (3492, 97)], 2 * 3096 / 87 + 43),
        # the fastest stretch counts: what stood still may go on as fast as before
        ([(396, 11), (1260, 35), (4000, 41)], 0.8 * 58 * 864 / 25),
        ([(396, 11), (1260, 35), (9000, 41)], 0.8 * 58 * 864 / 25),
    ],
)
def test_next_look_is_due_shortly_before_the_end_that_the_progress_foretells(seen, seconds):
    assert wait(PollPlan(60), elapsed=seen[-1][0], progress=progress_of(*seen)) == pytest.approx(seconds, rel=0.02)


def test_looks_at_a_steady_backup_are_few_and_the_last_is_soon_after_its_end():
    ends, moments, progress = 7200.0, [0.0], Progress()
    while moments[-1] < ends:
        now = moments[-1]
        progress = progress.after(int(100 * now / ends), elapsed=now, ran=now)
        moments.append(now + wait(PollPlan(60), elapsed=now, progress=progress))
    assert len(moments) < 17
    assert moments[-1] - ends < 60


def test_progress_in_steps_may_be_a_whole_step_behind():
    assert progress_of((600, 25), (1200, 50)).step == 25
    assert progress_of((600, 33), (1200, 66)).step == 33
    assert progress_of((600, 10), (700, 13)).step == 1
    # of four steps the third is seen: the end may come at any moment, however slow the progress was
    assert wait(PollPlan(60), elapsed=1800, progress=progress_of((600, 25), (1200, 50), (1800, 75))) < 120


def test_progress_that_stays_is_looked_at_less_and_less_often():
    progress = progress_of((360, 10), (1260, 35), (3540, 99))
    waits = [wait(PollPlan(60), elapsed=elapsed, progress=progress) for elapsed in (3600, 5000, 6000, 9000, 20_000)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (60, 180)


def test_progress_that_goes_back_is_not_relied_on_any_more():
    progress = progress_of((100, 10), (200, 80), (300, 30), (400, 60), (500, 90))
    assert not progress.steady
    assert wait(PollPlan(60), elapsed=7200, progress=progress) == 240


def test_absent_progress_changes_nothing():
    progress = progress_of((360, 10), (1260, 35))
    assert progress.after(None, elapsed=1400, ran=1400) is progress
    assert progress_of((10, None), (20, None)) == Progress()


def test_backup_that_began_long_before_the_wait_is_judged_by_its_own_age():
    young = Progress().after(45, elapsed=2000, ran=2000)
    old = Progress().after(45, elapsed=2000, ran=5000)
    assert wait(PollPlan(60), elapsed=2000, progress=young) < wait(PollPlan(60), elapsed=2000, progress=old)


def test_no_wait_is_longer_than_half_of_the_time_waited():
    assert wait(PollPlan(60), elapsed=300, progress=Progress().after(1, elapsed=300, ran=1e6)) == 150


@pytest.mark.parametrize(("max_wait", "seconds"), [(None, 60 * COARSEST), (600, 600), (7200, 7200)])
def test_max_wait_is_the_coarsest_spacing(max_wait, seconds):
    progress = Progress().after(1, elapsed=0, ran=40_000)
    assert wait(PollPlan(60, max_wait=max_wait), elapsed=40_000, progress=progress) == seconds


def test_jitter_shortens_what_follows_the_progress_by_at_most_a_tenth():
    far, near = progress_of((1000, 33)), progress_of((396, 11), (3492, 97))
    assert wait(PollPlan(60), elapsed=1000, progress=far, jitter=1) == pytest.approx(0.9 * 0.8 * 34 * 1000 / 66)
    shortened = wait(PollPlan(60), elapsed=3492, progress=near) - wait(
        PollPlan(60), elapsed=3492, progress=near, jitter=1
    )
    assert 0 < shortened < 6
    assert wait(PollPlan(60), elapsed=600, progress=Progress(), jitter=1) == pytest.approx(108)


# --- failed polls -----------------------------------------------------------------------------------------------------


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
moments = st.floats(0, 1e7, allow_nan=False)
progresses = st.none() | st.lists(st.tuples(moments, st.none() | st.integers(0, 100)), max_size=8).map(
    lambda seen: progress_of(*seen)
)
intervals = st.floats(0.01, 1e5, allow_nan=False)
plans = st.builds(PollPlan, intervals, st.sampled_from(POLL_STRATEGIES), st.none() | intervals)
calls = st.fixed_dictionaries(
    {
        "elapsed": seconds,
        "left": st.floats(-1e7, 1e7, allow_nan=False),
        "failures": st.integers(0, 10_000),
        "jitter": st.floats(0, 1),
        "progress": progresses,
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


@given(st.builds(PollPlan, intervals), calls)
def test_progress_never_leads_beyond_its_coarsest_spacing_nor_half_the_time_waited(plan, call):
    wait = next_wait(plan, **{**call, "failures": 0})
    assert wait <= max(plan.poke_interval, min(COARSEST * plan.poke_interval, call["elapsed"] / 2))


@given(plans, st.lists(st.tuples(moments, st.none() | st.integers(0, 100)), min_size=1, max_size=20), st.floats(0, 1))
def test_whatever_is_shown_and_whatever_the_clock_does_the_next_look_has_a_time(plan, seen, jitter):
    progress = Progress()
    for elapsed, percent in seen:
        progress = progress.after(percent, elapsed=elapsed, ran=elapsed / 3)
        found = next_wait(plan, elapsed=elapsed - 10, left=NO_END, failures=0, jitter=jitter, progress=progress)
        assert isfinite(found)
        assert found >= min(plan.poke_interval, plan.max_wait or plan.poke_interval)


@given(st.lists(st.tuples(moments, st.none() | st.integers(0, 100)), max_size=8))
def test_progress_goes_through_json_unchanged(seen):
    progress = progress_of(*seen)
    assert Progress(**json.loads(json.dumps(asdict(progress)))) == progress


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


# --- what a wait makes of its polls -----------------------------------------------------------------------------------


def watch():
    return BackupJobWait(db_instance_id="dds-1", backup_job_id="17", started_at=1000.0, deadline=1e9)


def row(status, progress=None, began=None):
    start = None if began is None else datetime.fromtimestamp(began, tz=timezone.utc)
    return BackupJob("17", status, start, progress)


@pytest.mark.parametrize(
    ("look", "progress"),
    [
        (Observation(row("Backuping", 40)), Progress(40, 600, 600, 40)),
        (Observation(row("Backuping", 40, began=500)), Progress(40, 600, 1100, 40)),
        (Observation(row("Backuping", 40, began=9000)), Progress(40, 600, 600, 40)),
        (Observation(row("Scheduled")), Progress()),
        (Observation(row("Pondering", 3)), Progress(3, 600, 600, 3)),
        (Observation(job_listed=False), Progress()),
        (Observation(sets=(BackupSet("1", "17", "Running"),), job_listed=False), Progress()),
        (Observation(row("Finished")), None),
        (Observation(), None),
    ],
)
def test_progress_is_of_a_backup_that_runs(look, progress):
    each = watch()
    each.conclude(look, 1600.0, 0.5)
    assert each.progress == progress


def test_failed_look_changes_nothing_of_the_progress():
    each = watch()
    each.conclude(Observation(row("Backuping", 40)), 1600.0, 0.5)
    before = each.progress
    each.conclude(Observation(error=DdsResponseError("not JSON")), 1700.0, 0.5)
    assert each.progress is before
    assert each.next_wait(1700.0, 0.0) >= 120


def test_wait_goes_on_in_another_process_with_the_same_looks():
    first, second = watch(), watch()
    for now, progress in ((1100.0, 3), (1600.0, 17)):
        first.conclude(Observation(row("Backuping", progress)), now, 0.5)
    second.recall(json.loads(json.dumps(first.remembered())))
    assert second.next_wait(1600.0, 0.3) == first.next_wait(1600.0, 0.3) != 60


def test_memory_that_an_older_version_left_is_taken_over_without_a_progress():
    first, second = watch(), watch()
    first.conclude(Observation(row("Backuping", 17)), 1600.0, 0.5)
    older = {name: value for name, value in first.remembered().items() if name != "progress"}
    second.recall(older)
    assert (second.memory, second.progress) == (first.memory, None)
    assert second.next_wait(1600.0, 0.3) == 60


@pytest.mark.parametrize(("kwargs", "strategy"), [({}, "progress"), ({"poll_strategy": "fixed"}, "fixed")])
def test_trigger_spaces_polls_by_progress_unless_it_is_told_otherwise(kwargs, strategy):
    stored = {"db_instance_id": "dds-1", "backup_job_id": "17", "dds_conn_id": "dds_default", "region_id": None}
    trigger = DdsBackupTrigger(**stored, started_at=0.0, deadline=1e9, **kwargs)
    assert (trigger.wait.poke_interval, trigger.wait.poll_strategy) == (60.0, strategy)
