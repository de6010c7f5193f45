"""Poke, reschedule and deferrable mode come to the same end at the same time, whatever there is to see.

Reschedule mode has a task state store here on every Airflow; what it lacks without one, test_airflow_versions.py shows.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_dds.api.models import BackupJob, BackupSet
from airflow_provider_dds.arguments import POLL_STRATEGIES
from airflow_provider_dds.emulator import ManualClock
from airflow_provider_dds.exceptions import DdsAccessDeniedError, DdsResponseError, DdsThrottledError
from airflow_provider_dds.sensors.dds import DdsBackupSensor
from airflow_provider_dds.waiting import backup_job
from airflow_provider_dds.waiting.backup.observation import Observation
from tests.support.runner import Run, Store
from tests.support.versions import airflow_sensor

BEGIN = 1_800_000_000.0
MODES = ({"mode": "poke"}, {"mode": "reschedule"}, {"deferrable": True})


def look_of(job: str | None, sets: list[str], progress: int | None = None) -> Observation:
    row = None if job is None else BackupJob("17", job, progress=progress)
    return Observation(row, tuple(BackupSet(f"s{number}", "17", each) for number, each in enumerate(sets)))


def error_look(kind: str) -> Observation:
    errors = {
        "throttled": DdsThrottledError("slow down", code="Throttling", http_status=400),
        "unreadable": DdsResponseError("not JSON"),
        "denied": DdsAccessDeniedError("no", code="Forbidden.RAM", http_status=403),
    }
    return Observation(error=errors[kind])


WORDS = st.sampled_from([None, "Scheduled", "Checking", "Backuping", "Finished", "Failed", "Pondering"])
SETS = st.lists(st.sampled_from(["Success", "Failed", "Running"]), max_size=2)
ERRORS = st.sampled_from(["throttled", "unreadable", "throttled", "unreadable", "denied"])
LOOKS = st.one_of(
    st.builds(look_of, WORDS, SETS),
    st.builds(look_of, WORDS, st.just([])),
    st.builds(look_of, st.just("Backuping"), st.just([]), st.integers(0, 100)),
    st.builds(error_look, ERRORS),
)
STORY = st.lists(st.tuples(st.integers(1, 900), LOOKS), min_size=1, max_size=12)


def end(story: list[tuple[int, Observation]], **arguments: Any) -> tuple[str, str, float]:
    """Run a sensor through a story (how long each thing is to be seen) and return how and when it ended."""
    clock = ManualClock(BEGIN)

    def seen(*_: Any) -> Observation:
        passed = clock.now - BEGIN
        for lasts, look in story:
            passed -= lasts
            if passed < 0:
                return look
        return story[-1][1]

    def observe(target: Any, **_: Any) -> Any:
        yield from ()
        return seen(), target

    stand_in = SimpleNamespace(sleep=clock.advance, monotonic=clock)
    with (
        patch.object(backup_job, "observe_job", observe),
        patch.object(airflow_sensor, "time", stand_in),
    ):
        task = DdsBackupSensor(task_id="wait", db_instance_id="dds-1", backup_job_id="17", **arguments)
        try:
            result: Any = Run(task, clock, Store()).once()
        except Exception as error:
            result = error
    return type(result).__name__, str(result), clock.now - BEGIN


@settings(max_examples=300, deadline=None)
@given(
    story=STORY,
    poke_interval=st.integers(30, 120),
    timeout=st.integers(200, 4000),
    strategy=st.sampled_from(POLL_STRATEGIES),
    max_wait=st.one_of(st.none(), st.integers(120, 600)),
    confirm=st.booleans(),
    confirm_timeout=st.integers(0, 900),
    not_found_grace=st.integers(0, 900),
    silent_fail=st.booleans(),
)
def test_same_end_at_the_same_time(
    story: list[tuple[int, Observation]],
    poke_interval: int,
    timeout: int,
    strategy: str,
    max_wait: int | None,
    confirm: bool,
    confirm_timeout: int,
    not_found_grace: int,
    silent_fail: bool,
) -> None:
    ends = [
        end(
            story,
            poke_interval=poke_interval,
            timeout=timeout,
            poll_strategy=strategy,
            max_wait=max_wait,
            confirm_backup_set=confirm,
            confirm_timeout=confirm_timeout,
            not_found_grace=not_found_grace,
            silent_fail=silent_fail,
            **mode,
        )
        for mode in MODES
    ]
    assert ends[0] == ends[1] == ends[2]
    assert ends[0][2] <= timeout + 1
